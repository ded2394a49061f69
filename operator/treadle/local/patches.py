"""The three patches that change an object as it is: JSON patch, merge patch, and the strategic merge patch."""

import copy
from collections.abc import Mapping
from typing import Any

type Node = dict[str, Any]


class Unpatchable(Exception):
    """The patch does not fit the object."""


def merge(live: Any, patch: Any) -> Any:
    """Return what a merge patch makes of a value (RFC 7386)."""
    if not isinstance(patch, dict):
        return patch
    kept = live if isinstance(live, dict) else {}
    changed = {key: merge(kept.get(key), value) for key, value in patch.items() if value is not None}
    return {key: value for key, value in kept.items() if key not in patch} | changed


def json_patch(live: Any, operations: Any) -> Any:
    """Return what a JSON patch makes of a value (RFC 6902)."""
    patched = copy.deepcopy(live)
    for operation in operations:
        patched = _operate(patched, operation)
    return patched


def _operate(body: Any, operation: Mapping[str, Any]) -> Any:
    path = _steps(operation["path"])
    match operation["op"]:
        case "add":
            return _add(body, path, operation["value"])
        case "remove":
            return _remove(body, path)
        case "replace":
            _get(body, path)
            return _add(_remove(body, path), path, operation["value"]) if path else operation["value"]
        case "move":
            moved = _get(body, _steps(operation["from"]))
            return _add(_remove(body, _steps(operation["from"])), path, moved)
        case "copy":
            return _add(body, path, copy.deepcopy(_get(body, _steps(operation["from"]))))
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
