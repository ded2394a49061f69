"""Values under a schema as structured-merge-diff v6 sees them: their fields, what differs, what a merge makes of two.

Null is Go's nil interface inside a value, and ABSENT is a side that has nothing there.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from typing import Any, Final

from treadle.local.fields.fieldsets import Path, Set, by_first, key_step, keys_of, value_step
from treadle.local.schema.causes import printed, quoted

type Node = dict[str, Any]


class Absent(Enum):
    """The type of ABSENT."""

    ABSENT = "absent"


ABSENT: Final = Absent.ABSENT
DEDUCED: Node = {}
"""The schema of a value that has none: maps are merged, lists are atomic."""
MAP, LIST, SCALAR = "map", "list", "scalar"
KINDS = {"object": MAP, "array": LIST, "string": SCALAR, "integer": SCALAR, "number": SCALAR, "boolean": SCALAR}


@dataclass(slots=True)
class Comparison:
    """What a change added, changed and took away."""

    added: set[Path] = field(default_factory=set)
    modified: set[Path] = field(default_factory=set)
    removed: set[Path] = field(default_factory=set)


def kind_of(schema: Node, value: Any) -> str:
    """Return map, list or scalar: as the schema says, else as the value is."""
    declared = KINDS.get(schema.get("type", ""))
    if declared is not None or "oneOf" in schema or "x-kubernetes-int-or-string" in schema:
        return declared or SCALAR
    return MAP if isinstance(value, dict) else LIST if isinstance(value, list) else SCALAR


def is_atomic(schema: Node, kind: str) -> bool:
    """Say whether a map or list is owned and replaced as a whole."""
    if kind == LIST:
        return "x-kubernetes-list-type" not in schema or schema["x-kubernetes-list-type"] == "atomic"
    return "x-kubernetes-map-type" in schema and schema["x-kubernetes-map-type"] == "atomic"


def child_of(schema: Node, name: str) -> Node:
    """Return the schema of a field, or of the values of a map."""
    properties = schema.get("properties")
    if properties is not None and name in properties:
        found: Node = properties[name]
        return found
    values = schema.get("additionalProperties")
    return values if isinstance(values, dict) else DEDUCED


def item_step(schema: Node, item: Any) -> str:
    """Return the step of an item of a list that is not atomic."""
    if schema.get("x-kubernetes-list-type") == "set":
        return value_step(item)
    properties = schema["items"].get("properties", {})
    named = {
        key: item[key] if key in item else properties[key]["default"]
        for key in schema["x-kubernetes-list-map-keys"]
        if key in item or "default" in properties.get(key, {})
    }
    return key_step(named)


def field_set(value: Any, schema: Node, path: Path = ()) -> Set:
    """Return the fields that an apply of this value owns."""
    return frozenset(_fields(value, schema, path))


def compare(old: Any, new: Any, schema: Node) -> Comparison:
    """Return what differs between two values."""
    found = Comparison()
    _compare(old, new, schema, (), found)
    return found


def merged(live: Any, wished: Any, schema: Node) -> Any:
    """Return a live value with the fields of a wish; items of both stand in the wish's order."""
    if live is ABSENT or wished is ABSENT:
        return live if wished is ABSENT else wished
    kind = kind_of(schema, wished)
    if kind == SCALAR or is_atomic(schema, kind) or not live or not wished:
        # Two empty values are a leaf; one empty side leaves the other whole.
        return wished if wished or not live or kind == SCALAR or is_atomic(schema, kind) else live
    if kind == MAP:
        if not isinstance(live, dict) or not isinstance(wished, dict):
            return wished
        return {
            name: merged(live.get(name, ABSENT), wished.get(name, ABSENT), child_of(schema, name))
            for name in {**live, **wished}
        }
    if not isinstance(live, list) or not isinstance(wished, list):
        return wished
    return _merged_lists(live, wished, schema)


def without(value: Any, paths: Set, schema: Node) -> Any:
    """Return a value without these fields and items; a map or list that loses all is null."""
    kind = kind_of(schema, value)
    if kind == SCALAR:
        return value
    if not value or is_atomic(schema, kind):
        return None
    inner = by_first(paths)
    if isinstance(value, dict):
        kept = {
            name: without(child, inner[f"f:{name}"], child_of(schema, name)) if f"f:{name}" in inner else child
            for name, child in value.items()
            if (f"f:{name}",) not in paths
        }
        return kept or None
    items = [(item_step(schema, item), item) for item in value]
    return [
        without(item, inner[step], schema["items"]) if step in inner else item
        for step, item in items
        if (step,) not in paths
    ] or None


def with_names(paths: Set, schema: Node) -> Set:
    """Return a set in which each named field on the way to a member is one too; the keys of maps are not added."""
    found = set(paths)
    for path in paths:
        node = schema
        for length, step in enumerate(path, 1):
            if step.startswith("f:"):
                if length < len(path) and step[2:] in node.get("properties", {}):
                    found.add(path[:length])
                node = child_of(node, step[2:])
            else:
                node = node.get("items", DEDUCED)
    return frozenset(found)


def faults(value: Any, schema: Node, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """Yield what keeps a value from having the schema's type."""
    kind = kind_of(schema, value)
    if value is None:
        return
    if kind == SCALAR:
        yield from _scalar_faults(value, schema, path)
    elif kind == MAP:
        if not isinstance(value, dict):
            yield path, f"expected map, got &{{{printed(value)}}}"
            return
        properties = schema.get("properties")
        for name, child in value.items():
            if properties is not None and name not in properties and "additionalProperties" not in schema:
                yield (*path, f"f:{name}"), "field not declared in schema"
            else:
                yield from faults(child, child_of(schema, name), (*path, f"f:{name}"))
    else:
        yield from _list_faults(value, schema, path)


def _scalar_faults(value: Any, schema: Node, path: Path) -> Iterator[tuple[Path, str]]:
    match schema.get("type"), value:
        case "string", str():
            return
        case "boolean", bool():
            return
        case "integer" | "number", int() | float() if not isinstance(value, bool):
            return
        case None, _:
            return
        case declared, _:
            wanted = {"integer": "numeric (int or float)", "number": "numeric (int or float)"}.get(declared, declared)
            yield path, f"expected {wanted}, got {_told(value)}"


def _list_faults(value: Any, schema: Node, path: Path) -> Iterator[tuple[Path, str]]:
    if not isinstance(value, list):
        yield path, f"expected list, got &{{{printed(value)}}}"
        return
    items = schema.get("items", DEDUCED)
    if is_atomic(schema, LIST):
        for position, item in enumerate(value):
            yield from faults(item, items, (*path, f"i:{position}"))
        return
    seen: set[str] = set()
    for position, item in enumerate(value):
        if schema.get("x-kubernetes-list-type") == "map" and not isinstance(item, dict):
            yield path, f"element {position}: associative list with keys may not have non-map elements"
            continue
        step = item_step(schema, item)
        if step in seen:
            shown = ",".join(f'{name}="{key}"' for name, key in keys_of(step).items())
            yield path, f"duplicate entries for key [{shown}]" if shown else f"duplicate entries for key [={step[2:]}]"
        seen.add(step)
        yield from faults(item, items, (*path, step))


def _told(value: Any) -> str:
    return f"&value.valueUnstructured{{Value:{_in_go(value)}}}"


def _in_go(value: Any) -> str:
    """Return a value as Go's %#v writes it."""
    match value:
        case str():
            return quoted(value)
        case bool():
            return str(value).lower()
        case dict():
            fields = ", ".join(f"{quoted(key)}:{_in_go(child)}" for key, child in sorted(value.items()))
            return f"map[string]interface {{}}{{{fields}}}"
        case list():
            return f"[]interface {{}}{{{', '.join(_in_go(item) for item in value)}}}"
        case None:
            return "interface {}(nil)"
    return printed(value)


def _fields(value: Any, schema: Node, path: Path) -> Iterator[Path]:
    kind = kind_of(schema, value)
    if kind == SCALAR or is_atomic(schema, kind):
        yield path
    elif kind == MAP and isinstance(value, dict):
        properties = schema.get("properties", DEDUCED)
        for name, child in value.items():
            inner = (*path, f"f:{name}")
            yield from _fields(child, child_of(schema, name), inner)
            if child is None or child == {} or name not in properties:
                yield inner
    elif isinstance(value, list):
        for item in value:
            inner = (*path, item_step(schema, item))
            yield from _fields(item, schema["items"], inner)
            yield inner


def _compare(old: Any, new: Any, schema: Node, path: Path, found: Comparison) -> None:
    """Note the leaves that differ, and each map or item that only one side has."""
    kinds = {kind_of(schema, side) for side in (old, new) if side is not ABSENT}
    is_leaf = False
    for kind in kinds:
        children = partial(_children, schema=schema, kind=kind)
        if kind == SCALAR or is_atomic(schema, kind) or not (children(old) or children(new)):
            is_leaf = True
            continue
        ours, theirs = children(old), children(new)
        for step in {**ours, **theirs}:
            inner = child_of(schema, step[2:]) if kind == MAP else schema["items"]
            _compare(ours.get(step, ABSENT), theirs.get(step, ABSENT), inner, (*path, step), found)
    if old is ABSENT:
        found.added.add(path)
    elif new is ABSENT:
        found.removed.add(path)
    elif is_leaf and not _is_equal(old, new):
        found.modified.add(path)


def _children(side: Any, *, schema: Node, kind: str) -> Mapping[str, Any]:
    if kind == MAP:
        return {f"f:{name}": child for name, child in side.items()} if isinstance(side, dict) else {}
    if not isinstance(side, list):
        return {}
    first: dict[str, Any] = {}
    for item in side:
        first.setdefault(item_step(schema, item), item)
    return first


def _is_equal(old: Any, new: Any) -> bool:
    return type(old) is type(new) and bool(old == new) if isinstance(old, bool) or isinstance(new, bool) else old == new


def _merged_lists(live: list[Any], wished: list[Any], schema: Node) -> list[Any]:
    """Return the items of both in the order of mergingWalker.visitListItems: the wish's, others where they stood."""
    left = [(item_step(schema, item), item) for item in live]
    right = [(item_step(schema, item), item) for item in wished]
    ours, theirs = dict(reversed(left)), dict(right)
    shared = [step for step, _ in right if step in ours]
    out: list[Any] = []
    done: set[str] = set()

    def take(step: str) -> None:
        out.append(merged(ours.get(step, ABSENT), theirs[step], schema["items"]))
        done.add(step)
        if shared and shared[0] == step:
            shared.pop(0)

    here = there = 0
    while here < len(left) or there < len(right):
        if here < len(left) and there < len(right):
            step = left[here][0]
            if step == right[there][0]:
                take(step)
                here, there = here + 1, there + 1
                continue
            if step in theirs and shared and shared[0] != step:
                here += 1  # A shared item, but not the one whose turn it is.
                continue
        if here < len(left):
            step, item = left[here]
            if step not in theirs:
                out.append(item)
                here += 1
                continue
            if step in done:
                here += 1
        if there < len(right):
            take(right[there][0])
            there += 1
    return out
