"""The fields of an object under a structural schema: what is unknown and goes, what is absent and has a default."""

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

type Node = dict[str, Any]
"""A schema, or an object under it."""

META = ("apiVersion", "kind", "metadata")
NOTHING: Node = {}


def child_of(schema: Node, name: str) -> Node | None:
    """Return the schema of a field or of the values of a map, or None where it is unknown."""
    found: Node | None = schema.get("properties", NOTHING).get(name, schema.get("additionalProperties"))
    return found


def keys_of(schema: Node) -> list[str]:
    """Return the fields by which the items of a list are told apart; none where it is atomic or a set."""
    return schema.get("x-kubernetes-list-map-keys", []) if schema.get("x-kubernetes-list-type") == "map" else []


def unknown(value: Any, schema: Node, at: str = "") -> Iterator[str]:
    """Yield the path of each field that the schema does not know."""
    if isinstance(value, dict):
        for name, child in value.items():
            path = f"{at}.{name}" if at else name
            known = child_of(schema, name)
            if not at and name in META:
                continue
            if known is None:
                yield path
            else:
                yield from unknown(child, known, path)
    if isinstance(value, list):
        for position, item in enumerate(value):
            yield from unknown(item, schema.get("items", NOTHING), f"{at}[{position}]")


def pruned(value: Any, schema: Node) -> Any:
    """Return a copy without unknown fields, and without nulls that no default replaces."""
    if isinstance(value, dict):
        return {
            name: pruned(child, known)
            for name, child in value.items()
            if (known := child_of(schema, name)) is not None
            if child is not None or known.get("nullable") or "default" in known
        }
    if isinstance(value, list):
        return [pruned(item, schema.get("items", NOTHING)) for item in value]
    return value


def defaulted(value: Any, schema: Node) -> Any:
    """Return a copy with defaults where fields are absent, or null and may not be."""
    if isinstance(value, dict):
        absent = {
            name: deepcopy(child["default"])
            for name, child in schema.get("properties", NOTHING).items()
            if "default" in child and (name not in value or (value[name] is None and not child.get("nullable")))
        }
        return {name: defaulted(child, child_of(schema, name) or NOTHING) for name, child in (value | absent).items()}
    if isinstance(value, list):
        return [defaulted(item, schema.get("items", NOTHING)) for item in value]
    return value
