"""Label and field selectors of a list or a watch."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from treadle.local.server import events
from treadle.local.server.refusals import bad_request
from treadle.local.server.types import Type

type Object = dict[str, Any]
type Selects = Callable[[Object], bool]

KEY = r"(?:[A-Za-z0-9](?:[-A-Za-z0-9.]*[A-Za-z0-9])?/)?[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?"
VALUE = r"(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?)?"
REQUIREMENT = re.compile(
    rf"\s*(?:(?P<absent>!)\s*)?(?P<key>{KEY})\s*"
    rf"(?:(?P<sign>==|=|!=)\s*(?P<value>{VALUE})|(?P<set>in|notin)\s*\((?P<values>[^)]*)\))?\s*"
)
FIELD = re.compile(r"(?P<path>[^=!,]+)(?P<sign>==|=|!=)(?P<value>(?:[^\\,=]|\\[\\,=])*)(?:,|$)")
METADATA = ("metadata.name", "metadata.namespace")


@dataclass(frozen=True, slots=True)
class Requirement:
    """One part of a label selector: the values that a label may have, or may not have."""

    key: str
    values: tuple[str, ...] | None
    """None: any."""
    is_wanted: bool

    def holds(self, labels: Mapping[str, str]) -> bool:
        """Say whether labels meet it."""
        has = self.key in labels and (self.values is None or labels[self.key] in self.values)
        return has is self.is_wanted


def labels(text: str) -> Selects:
    """Return what a label selector selects; refuse one that cannot be read."""
    requirements = []
    position = 0
    while position < len(text):
        found = REQUIREMENT.match(text, position)
        if found is None or (found["absent"] and (found["sign"] or found["set"])):
            raise bad_request(f"unable to parse requirement: found {text[position:]!r}")
        requirements.append(_requirement(found))
        position = found.end()
        if text[position : position + 1] not in ("", ","):
            raise bad_request(f"found '{text[position]}', expected: ',' or 'end of string'")
        position += 1
    return lambda raw: all(each.holds(raw["metadata"].get("labels") or {}) for each in requirements)


def fields(text: str, type_: Type) -> Selects:
    """Return what a field selector selects; refuse a field that the type does not offer."""
    wanted: list[tuple[str, bool, str]] = []
    position = 0
    while position < len(text):
        found = FIELD.match(text, position)
        if found is None:
            raise bad_request(f"invalid selector: '{text}'; can't understand '{text[position:]}'")
        wanted.append((found["path"], found["sign"] != "!=", re.sub(r"\\(.)", r"\1", found["value"])))
        position = found.end()
    for path, _, _ in wanted:
        if path not in (*METADATA, *type_.selectable):
            raise bad_request(_unknown(path, type_))
    return lambda raw: all((field(raw, path, type_) == value) is is_wanted for path, is_wanted, value in wanted)


def field(raw: Object, path: str, type_: Type) -> str:
    """Return the text of a selectable field, empty where it is absent."""
    found: Any = events.seen_as(raw, type_.gvk)
    for name in (ALIASES.get(path) or path).split("."):
        found = found.get(name) if isinstance(found, dict) else None
    if isinstance(found, bool):
        return str(found).lower()
    return "" if found is None else str(found)


ALIASES = {"status.successful": "status.succeeded", "source": "source.component"}


def _unknown(path: str, type_: Type) -> str:
    if type_.is_ours or type_.selectable:
        return f"field label not supported: {path}"
    return f'"{path}" is not a known field selector: only "metadata.name", "metadata.namespace"'


def _requirement(found: re.Match[str]) -> Requirement:
    if found["set"]:
        values = tuple(each.strip() for each in found["values"].split(","))
        return Requirement(found["key"], values, found["set"] == "in")
    if found["sign"]:
        return Requirement(found["key"], (found["value"],), found["sign"] != "!=")
    return Requirement(found["key"], None, not found["absent"])
