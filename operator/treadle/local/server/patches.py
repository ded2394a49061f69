"""The three patches that change an object as it is: JSON patch, merge patch, and the strategic merge patch."""

from collections.abc import Mapping
from typing import Any

from treadle.local.server.copies import copied

type Node = dict[str, Any]


NEEDED: dict[Any, tuple[str, ...]] = {
    "move": ("path", "from"),
    "copy": ("path", "from"),
}


class Unpatchable(Exception):
    """The patch does not fit the object."""


class Undecodable(Exception):
    """The patch is no patch; the text is Go's."""


def merge_patch(live: Any, patch: Any) -> Any:
    """Return what a merge patch makes of an object; refuse one that is none."""
    if not isinstance(patch, dict):
        raise Undecodable(f"json: cannot unmarshal {_kind(patch)} into Go value of type map[string]interface {{}}")
    return merge(live, patch)


def merge(live: Any, patch: Any) -> Any:
    """Return what a merge patch makes of a value (RFC 7386)."""
    if not isinstance(patch, dict):
        return patch
    kept = live if isinstance(live, dict) else {}
    changed = {key: merge(kept.get(key), value) for key, value in patch.items() if value is not None}
    return {key: value for key, value in kept.items() if key not in patch} | changed


def json_patch(live: Any, operations: Any) -> Any:
    """Return what a JSON patch makes of a value (RFC 6902)."""
    if not isinstance(operations, list):
        raise Undecodable(f"json: cannot unmarshal {_kind(operations)} into Go value of type []handlers.jsonPatchOp")
    patched = copied(live)
    for operation in operations:
        if not isinstance(operation, dict):
            raise Undecodable(f"json: cannot unmarshal {_kind(operation)} into Go value of type handlers.jsonPatchOp")
        for name in ("op", "path", "from"):
            if not isinstance(operation.get(name, ""), str):
                field = f"Go struct field jsonPatchOp.{name} of type string"
                raise Undecodable(f"json: cannot unmarshal {_kind(operation[name])} into {field}")
        patched = _operate(patched, operation)
    return patched


def _kind(value: Any) -> str:
    return {dict: "object", list: "array", str: "string", bool: "bool"}.get(type(value), "number")


def _operate(body: Any, operation: Mapping[str, Any]) -> Any:
    kind = operation.get("op")
    for name in NEEDED.get(kind, ("path",)):
        if name not in operation:
            raise Unpatchable(f"operation {kind!r} has no {name!r}")
    path = _steps(operation["path"])
    match kind:
        case "add":
            return _add(body, path, operation.get("value"))
        case "remove":
            return _remove(body, path)
        case "replace":
            _get(body, path)
            return _add(_remove(body, path), path, operation.get("value")) if path else operation.get("value")
        case "move":
            moved = _get(body, _steps(operation["from"]))
            return _add(_remove(body, _steps(operation["from"])), path, moved)
        case "copy":
            return _add(body, path, copied(_get(body, _steps(operation["from"]))))
        case "test":
            if _get(body, path) != operation.get("value"):
                raise Unpatchable(f"testing value {operation['path']} failed")
            return body
        case other:
            raise Unpatchable(f"Unexpected kind: {other}")


def _steps(pointer: str) -> list[str]:
    return [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]]


def _get(body: Any, path: list[str]) -> Any:
    for step in path:
        body = _child(body, step)
    return body


def _child(body: Any, step: str) -> Any:
    if isinstance(body, list):
        return body[_position(body, step)]
    if not isinstance(body, dict) or step not in body:
        raise Unpatchable(f"unable to find {step!r}")
    return body[step]


def _position(items: list[Any], step: str) -> int:
    if not step.isdigit() or int(step) >= len(items):
        raise Unpatchable(f"no item {step} in a list of {len(items)}")
    return int(step)


def _add(body: Any, path: list[str], value: Any) -> Any:
    if not path:
        return value
    parent, step = _get(body, path[:-1]), path[-1]
    if isinstance(parent, list):
        if step != "-" and (not step.isdigit() or int(step) > len(parent)):
            raise Unpatchable(f"no place {step} in a list of {len(parent)}")
        parent.insert(len(parent) if step == "-" else int(step), value)
    elif isinstance(parent, dict):
        parent[step] = value
    else:
        raise Unpatchable(f"unable to add {step!r} to what is no object")
    return body


def _remove(body: Any, path: list[str]) -> Any:
    if not path:
        return None
    parent = _get(body, path[:-1])
    _child(parent, path[-1])
    if isinstance(parent, list):
        del parent[_position(parent, path[-1])]
    else:
        del parent[path[-1]]
    return body


DIRECTIVE, RETAIN = "$patch", "$retainKeys"
ORDER, DROP = "$setElementOrder/", "$deleteFromPrimitiveList/"


def strategic(live: Any, patch: Any, schema: Node) -> Any:
    """Return what a strategic merge patch makes of an object of a built-in type.

    Source: k8s.io/apimachinery/pkg/util/strategicpatch.
    """
    if not isinstance(patch, dict):
        raise Undecodable(f"json: cannot unmarshal {_kind(patch)} into Go value of type map[string]interface {{}}")
    try:
        return _strategic(live, patch, schema)
    except (TypeError, AttributeError) as error:
        # Items and directives that are not of the types that the lists and keys of the schema ask for.
        raise Unpatchable(str(error)) from error


def _strategic(live: Any, patch: Any, schema: Node) -> Any:
    if not isinstance(patch, dict):
        return patch
    match patch.get(DIRECTIVE):
        case "replace":
            return {key: value for key, value in patch.items() if key != DIRECTIVE}
        case "delete":
            return {}
    kept = dict(live) if isinstance(live, dict) else {}
    if (retained := patch.get(RETAIN)) is not None:
        kept = {key: value for key, value in kept.items() if key in retained}
    for key, value in patch.items():
        if key.startswith(DROP):
            name = key.removeprefix(DROP)
            kept[name] = [item for item in kept.get(name) or [] if item not in value]
    for key, value in patch.items():
        if key in (DIRECTIVE, RETAIN) or key.startswith((ORDER, DROP)):
            continue
        if value is None:
            kept.pop(key, None)
            continue
        child = _child_schema(schema, key)
        if isinstance(value, list):
            kept[key] = _merged_list(kept.get(key) or [], value, child, patch.get(ORDER + key))
        else:
            kept[key] = _strategic(kept.get(key), value, child)
    return kept


def _child_schema(schema: Node, name: str) -> Node:
    found: Node = schema.get("properties", {}).get(name) or schema.get("additionalProperties") or {}
    return found


def _merged_list(live: list[Any], patch: list[Any], schema: Node, order: list[Any] | None) -> list[Any]:
    """Return the items of both by their merge key, or the patch's where the type has none."""
    if schema.get("x-kubernetes-patch-strategy") is None or "merge" not in schema["x-kubernetes-patch-strategy"]:
        return patch
    key = schema.get("x-kubernetes-patch-merge-key")
    if key is None:
        return _ordered({item: item for item in live}, {item: item for item in patch}, order)
    if any(item.get(DIRECTIVE) == "replace" for item in patch):
        return [item for item in patch if DIRECTIVE not in item]
    gone = {item.get(key) for item in patch if item.get(DIRECTIVE) == "delete"}
    found = {item.get(key): item for item in live if item.get(key) not in gone}
    changed = {
        item.get(key): _strategic(found.get(item.get(key)), item, schema.get("items", {}))
        for item in patch
        if DIRECTIVE not in item
    }
    return _ordered(found, changed, order and [item.get(key) for item in order])


def _ordered(live: Mapping[Any, Any], patch: Mapping[Any, Any], order: list[Any] | None) -> list[Any]:
    """Return the items of both: the patch's in its order, and each other before the first that it stood before."""
    names = [name for name in order or patch if name in patch or name in live]
    first = [name for name in patch if name not in names] + names
    others = [name for name in live if name not in first]
    place = {name: position for position, name in enumerate(live)}
    out: list[Any] = []
    while others or first:
        if not first or (others and first[0] in place and place[others[0]] < place[first[0]]):
            out.append(others.pop(0))
        else:
            out.append(first.pop(0))
    return [patch[name] if name in patch else live[name] for name in out]
