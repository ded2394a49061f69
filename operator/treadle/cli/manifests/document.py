"""The objects of a file as kubectl reads them, with the line of each field."""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

TAG = "tag:yaml.org,2002:"
# go-yaml, which kubectl reads with: no dates, 1:30 is a text, 1e3 a number, and y is true.
PLAIN = {
    "null": "~|null|Null|NULL|",
    "bool": "[yYnN]|yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF",
    "int": "[-+]?(0b[01_]+|0o?[0-7_]+|0x[0-9a-fA-F_]+|[1-9][0-9_]*|0)",
    "float": r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?",
    "merge": "<<",
}
TRUE = frozenset({"y", "yes", "true", "on"})
BASES = {"0b": 2, "0o": 8, "0x": 16}
WHOLE = 1e21
"""Below it Go writes a float without fraction as an integer, and so sends one."""


class Loader(yaml.SafeLoader):
    """YAML with the plain values of go-yaml."""

    yaml_implicit_resolvers: dict[Any, Any] = {
        None: [(f"{TAG}{name}", re.compile(f"(?:{pattern})\\Z")) for name, pattern in PLAIN.items()]
    }


@dataclass(frozen=True, slots=True)
class Document:
    """One object of a file."""

    file: str
    line: int
    """Of its beginning, from 1."""
    raw: Any
    lines: dict[str, int]
    """The line of each field, by its path as the API server writes it."""

    def line_of(self, field: str) -> int:
        """Return the line of a field, or of what is nearest around it."""
        path = re.sub(r"\[([^]0-9][^]]*)\]", r".\1", field)
        while path and path not in self.lines:
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        return self.lines.get(path, self.line)


class Unreadable(Exception):
    """A text is no YAML, or its YAML is nothing that can be sent."""

    def __init__(self, line: int, text: str) -> None:
        super().__init__(text)
        self.line = line


def read(file: str, text: str) -> Iterator[Document | Unreadable]:
    """Yield the objects of a text, those of a List each by itself; behind a place that is no YAML nothing is read."""
    try:
        for node in yaml.compose_all(text, Loader):
            for part in _parts(node):
                yield _document(file, part)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line if mark else 0
        yield Unreadable(line + 1, f"not YAML: {error.problem}{_hint(error, text)}")
    except yaml.YAMLError as error:
        yield Unreadable(1, f"not YAML: {' '.join(str(error).split())}")


def _document(file: str, node: yaml.Node) -> Document | Unreadable:
    lines: dict[str, int] = {}
    try:
        return Document(file, _line(node), _value(node, "", lines, ()), lines)
    except Unreadable as problem:
        return problem


def _hint(error: yaml.MarkedYAMLError, text: str) -> str:
    if "{{" in text:
        return "; a template is rendered first, for example by helm template"
    return "; indent by spaces" if "\\t" in str(error.problem) else ""


def _parts(node: yaml.Node) -> list[yaml.Node]:
    """Return a document's objects: itself, or the items of a List; none where it is empty."""
    if isinstance(node, yaml.ScalarNode) and node.tag == f"{TAG}null":
        return []
    if isinstance(node, yaml.MappingNode):
        fields = {key.value: value for key, value in node.value if isinstance(key, yaml.ScalarNode)}
        kind, items = fields.get("kind"), fields.get("items")
        if isinstance(items, yaml.SequenceNode) and isinstance(kind, yaml.ScalarNode) and kind.value.endswith("List"):
            return list(items.value)
    return [node]


def _value(node: yaml.Node, at: str, lines: dict[str, int], above: tuple[yaml.Node, ...]) -> Any:
    if node in above:
        raise Unreadable(_line(node), f"{at or 'the document'} holds itself by an alias")
    lines.setdefault(at, _line(node))
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, at, lines, (*above, node))
    if isinstance(node, yaml.SequenceNode):
        return [_value(item, f"{at}[{place}]", lines, (*above, node)) for place, item in enumerate(node.value)]
    return _scalar(node)


def _mapping(node: yaml.MappingNode, at: str, lines: dict[str, int], above: tuple[yaml.Node, ...]) -> dict[str, Any]:
    first: dict[str, int] = {}
    own: dict[str, Any] = {}
    merged: dict[str, Any] = {}
    for key, child in node.value:
        if key.tag == f"{TAG}merge":
            for other in reversed(child.value if isinstance(child, yaml.SequenceNode) else [child]):
                found = _value(other, at, {}, above)
                merged |= found if isinstance(found, dict) else {}
            continue
        if not isinstance(key, yaml.ScalarNode):
            raise Unreadable(_line(key), f"a key of {at or 'the document'} is a list or map; write a text")
        path = f"{at}.{key.value}" if at else key.value
        if key.value in first:
            raise Unreadable(_line(key), f"{path} is given twice, first in line {first[key.value]}; remove one of them")
        first[key.value] = lines[path] = _line(key)
        own[key.value] = _value(child, path, lines, above)
    return merged | own


def _scalar(node: yaml.Node) -> Any:
    text: str = node.value
    match node.tag.removeprefix(TAG):
        case "null":
            return None
        case "bool":
            return text.lower() in TRUE
        case "int":
            return _whole(text)
        case "float":
            number = float(text)
            # What is beyond all numbers is a text, as for Go.
            return (
                text if math.isinf(number) else int(number) if number.is_integer() and abs(number) < WHOLE else number
            )
        case "str" | "merge":
            return text
        case tag:
            raise Unreadable(_line(node), f"the tag {tag} is none that kubectl reads; write the value without it")


def _whole(text: str) -> int:
    digits = text.lstrip("+-").replace("_", "")
    base = BASES.get(digits[:2], 8 if digits.startswith("0") else 10)
    return (-1 if text.startswith("-") else 1) * int(digits, base)


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1
