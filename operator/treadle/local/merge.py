"""Server-side apply on field sets: who owns which field, and what an apply changes."""

import copy
import json
from collections.abc import Iterable, Iterator
from typing import Any

type Path = tuple[str, ...]
"""Steps as fieldsV1 spells them: `f:name`, `k:{"name":"step"}`, `v:"x"`."""
type Set = frozenset[Path]
type Fields = dict[str, Any]

# The list maps of the built-in types we apply, and of our own kinds; every other list is atomic.
# Source: the x-kubernetes-list-map-keys of Kubernetes 1.35's OpenAPI.
LIST_KEYS: dict[str, tuple[str, ...]] = {
    "conditions": ("type",),
    "containers": ("name",),
    "env": ("name",),
    "imagePullSecrets": ("name",),
    "initContainers": ("name",),
    "ownerReferences": ("uid",),
    "volumeMounts": ("mountPath",),
    "volumes": ("name",),
}
CONTAINER_PORT = ("containerPort", "protocol")
SERVICE_PORT = ("port", "protocol")
KEY_DEFAULTS = {"protocol": "TCP"}
SETS = frozenset({"finalizers"})
ATOMIC_MAPS = frozenset({"selector", "nodeSelector", "secretKeyRef", "configMapKeyRef", "fieldRef", "resourceFieldRef"})
UNOWNED = frozenset(
    {
        ("f:apiVersion",),
        ("f:kind",),
        *(("f:metadata", f"f:{name}") for name in (
            "name", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp", "managedFields",
            "deletionTimestamp", "deletionGracePeriodSeconds",
        )),
    }
)  # fmt: skip


def field_set(body: Any) -> Set:
    """Return the leaves that an apply of this body owns."""
    return frozenset(path for path in _leaves(body, (), "") if path[:1] not in UNOWNED and path[:2] not in UNOWNED)


def apply(live: Any, body: Any, dropped: Iterable[Path]) -> Any:
    """Return the live object with the body's fields, and without those that nobody owns any more."""
    merged = copy.deepcopy(live)
    # Deepest first, and the field that names an item last of the item's.
    for path in sorted(dropped, key=lambda path: (-len(path), _is_name(path))):
        _remove(merged, path)
    return _merge(merged, copy.deepcopy(body), "")


def overlaps(path: Path, others: Iterable[Path]) -> bool:
    """Say whether a field, or a part of it, is among the others."""
    return any(other[: len(path)] == path or path[: len(other)] == other for other in others)


def value(body: Any, path: Path) -> Any:
    """Return what stands at a path, or None."""
    for step in path:
        body = _step(body, step)
        if body is None:
            return None
    return body


def fields_v1(owned: Set) -> Fields:
    """Return a set of leaves as fieldsV1, with `.` where an item or a map is owned for itself."""
    fields: Fields = {}
    for path in sorted(owned):
        inner = fields
        for step in path:
            inner = inner.setdefault(step, {})
            if step.startswith("k:"):
                inner.setdefault(".", {})
    return fields


def _leaves(body: Any, path: Path, name: str) -> Iterator[Path]:
    children = list(_children(body, path, name))
    if not children:
        yield path
    for step, child, child_name in children:
        yield from _leaves(child, (*path, step), child_name)


def _children(body: Any, path: Path, name: str) -> Iterator[tuple[str, Any, str]]:
    if (
        isinstance(body, dict)
        and name not in ATOMIC_MAPS
        and not (path and path[-1].startswith("k:") and _is_reference(path))
    ):
        for key, child in body.items():
            yield f"f:{key}", child, key
    elif isinstance(body, list) and name in SETS:
        for child in body:
            yield f"v:{json.dumps(child)}", child, ""
    elif isinstance(body, list) and (keys := list_keys(name, body)):
        for child in body:
            yield key_step(child, keys), child, ""


def _is_name(path: Path) -> bool:
    return len(path) > 1 and path[-2].startswith("k:") and path[-1][2:] in json.loads(path[-2][2:])


def _is_reference(path: Path) -> bool:
    return path[-2] == "f:ownerReferences"


def list_keys(name: str, items: list[Any]) -> tuple[str, ...]:
    """Return the fields by which items of this list are told apart; none for an atomic list."""
    if name == "ports" and items and all(isinstance(item, dict) for item in items):
        return CONTAINER_PORT if "containerPort" in items[0] else SERVICE_PORT
    keys = LIST_KEYS.get(name, ())
    return keys if all(isinstance(item, dict) and any(key in item for key in keys) for item in items) else ()


def key_step(item: Any, keys: tuple[str, ...]) -> str:
    """Return the step that names an item of a list map."""
    named = {key: item.get(key, KEY_DEFAULTS.get(key)) for key in keys}
    return "k:" + json.dumps(named, sort_keys=True, separators=(",", ":"))


def _step(body: Any, step: str) -> Any:
    mark, text = step[:2], step[2:]
    if mark == "f:":
        return body.get(text) if isinstance(body, dict) else None
    if not isinstance(body, list):
        return None
    wanted = json.loads(text)
    if mark == "v:":
        return wanted if wanted in body else None
    return next((item for item in body if _is_named(item, wanted)), None)


def _is_named(item: Any, keys: dict[str, Any]) -> bool:
    return isinstance(item, dict) and all(item.get(key, KEY_DEFAULTS.get(key)) == name for key, name in keys.items())


def _remove(body: Any, path: Path) -> None:
    parent = value(body, path[:-1])
    if parent is None:
        return
    mark, text = path[-1][:2], path[-1][2:]
    if mark == "f:" and isinstance(parent, dict):
        parent.pop(text, None)
    elif isinstance(parent, list):
        wanted = json.loads(text)
        # An item without a field has lost its name with the last of them.
        parent[:] = [
            item for item in parent if item and not (item == wanted or (mark == "k:" and _is_named(item, wanted)))
        ]
    if len(path) > 1 and not parent and path[:-1] not in {("f:metadata",), ("f:spec",), ("f:status",)}:
        _remove(body, path[:-1])


def _merge(live: Any, body: Any, name: str) -> Any:
    if isinstance(live, dict) and isinstance(body, dict) and name not in ATOMIC_MAPS:
        return {**live, **{key: _merge(live.get(key), child, key) for key, child in body.items()}}
    if isinstance(live, list) and isinstance(body, list):
        if name in SETS:
            return [*live, *(item for item in body if item not in live)]
        if keys := list_keys(name, body):
            wished = {key_step(item, keys): item for item in body}
            kept = [_merge(item, wished.pop(key_step(item, keys), item), "") for item in live]
            return [*kept, *wished.values()]
    return body


def leaves_of(fields: Fields, path: Path = ()) -> Set:
    """Return the leaves that fieldsV1 spells."""
    inner = {step: child for step, child in fields.items() if step != "."}
    if not inner:
        return frozenset({path}) if path else frozenset()
    return frozenset(leaf for step, child in inner.items() for leaf in leaves_of(child, (*path, step)))
