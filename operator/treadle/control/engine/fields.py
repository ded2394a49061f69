"""Compares a wish with what our field manager owns, so that a pass that changes nothing sends nothing."""

import json
import re
from fractions import Fraction
from typing import Any

from treadle.api.names import MANAGER
from treadle.control.engine.ports import Object

# Kubernetes' fieldsV1 (structured-merge-diff v6): `f:` a field, `k:` an item of a list map, `v:` an item of a set,
# `.` the thing itself; an empty set is a leaf, owned whole.
type Fields = dict[str, Any]

QUANTITIES = frozenset({"requests", "limits", "sizeLimit"})
SUFFIXES = {
    **{suffix: Fraction(10) ** power for suffix, power in zip("numkMGTP", (-9, -6, -3, 3, 6, 9, 12, 15), strict=True)},
    **{f"{prefix}i": Fraction(2) ** power for prefix, power in zip("KMGTP", (10, 20, 30, 40, 50), strict=True)},
    "": Fraction(1),
}
IDENTITY = frozenset({"name", "namespace", "uid", "resourceVersion"})


def managed(live: Object, subresource: str = "", manager: str = MANAGER) -> Fields:
    """Return the fields that a manager applied to the object, or to its subresource."""
    for entry in live["metadata"].get("managedFields") or []:
        author = (entry.get("manager"), entry.get("operation"), entry.get("subresource", ""))
        if author == (manager, "Apply", subresource):
            fields: Fields = entry.get("fieldsV1") or {}
            return fields
    return {}


def is_applied(wish: Object, live: Object) -> bool:
    """Say whether applying the wish would change nothing: neither a value nor what we own."""
    metadata = {key: value for key, value in wish["metadata"].items() if key not in IDENTITY}
    body = {key: value for key, value in wish.items() if key not in ("apiVersion", "kind", "metadata")}
    return _is_same({**body, "metadata": metadata} if metadata else body, live, managed(live))


def is_status_applied(status: Object, live: Object) -> bool:
    """Say whether applying this status would change nothing; fields of other managers do not count."""
    return _is_same({"status": status}, live, managed(live, "status"))


def applied_status(live: Object) -> Object:
    """Return the part of an object's status that we wrote."""
    part = _part(live, managed(live, "status"))
    status: Object = part.get("status", {})
    return status


def quantity(text: str) -> Fraction | str:
    """Return the number that a quantity such as `250m` or `1Gi` means; other text as it is."""
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([a-zA-Z]{0,2})", text)
    scale = SUFFIXES.get(found[2]) if found else None
    return text if found is None or scale is None else Fraction(found[1]) * scale


def _is_same(wish: Any, live: Any, fields: Fields, name: str = "") -> bool:
    owned = {path: inner for path, inner in fields.items() if path != "."}
    if not owned:
        return _is_equal(wish, live, name)
    if isinstance(wish, dict) and isinstance(live, dict):
        return {f"f:{key}" for key in wish} == owned.keys() and all(
            key in live and _is_same(value, live[key], owned[f"f:{key}"], name if name in QUANTITIES else key)
            for key, value in wish.items()
        )
    if isinstance(wish, list) and isinstance(live, list):
        return len(wish) == len(owned) and all(_is_item_same(wish, live, path, owned[path]) for path in owned)
    return False


def _is_item_same(wish: list[Any], live: list[Any], path: str, fields: Fields) -> bool:
    wanted, found = _item(wish, path), _item(live, path)
    if isinstance(wanted, dict):
        # A key that the wish leaves to its default, such as protocol: TCP, is owned without being wished.
        wanted = {**{key: value for key, value in _keys(path).items() if f"f:{key}" in fields}, **wanted}
    return wanted is not None and found is not None and _is_same(wanted, found, fields)


def _is_equal(wish: Any, live: Any, name: str) -> bool:
    if name in QUANTITIES and isinstance(wish, str) and isinstance(live, str):
        return quantity(wish) == quantity(live)
    return bool(wish == live)


def _part(live: Any, fields: Fields) -> Any:
    owned = {path: inner for path, inner in fields.items() if path != "."}
    if not owned:
        return live
    if isinstance(live, dict):
        return {path[2:]: _part(live[path[2:]], inner) for path, inner in owned.items() if path[2:] in live}
    if isinstance(live, list):
        return [_part(found, inner) for path, inner in owned.items() if (found := _item(live, path)) is not None]
    return live


def _keys(path: str) -> dict[str, Any]:
    keys: dict[str, Any] = json.loads(path[2:]) if path.startswith("k:") else {}
    return keys


def _item(items: list[Any], path: str) -> Any:
    if path.startswith("v:"):
        value = json.loads(path[2:])
        return value if value in items else None
    keys = _keys(path)
    for candidate in items:
        if isinstance(candidate, dict) and all(candidate.get(key, value) == value for key, value in keys.items()):
            return candidate
    return None
