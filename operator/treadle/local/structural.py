"""Objects under a structural schema: what is unknown and goes, what is absent and has a default."""

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

type Node = dict[str, Any]
"""A schema, or an object under it."""

META = ("apiVersion", "kind", "metadata")


def child_of(schema: Node, name: str) -> Node | None:
    """Return the schema of a field or of the values of a map, or None where it is unknown."""
    found: Node | None = schema.get("properties", {}).get(name, schema.get("additionalProperties"))
    return found


def unknown(value: Any, schema: Node, at: str = "") -> Iterator[str]:
    """Yield the path of each field that the schema does not know."""
    if isinstance(value, dict):
        for name, child in value.items():
            if not at and name in META:
                continue
            path = f"{at}.{name}" if at else name
            known = child_of(schema, name)
            if known is None:
                yield path
            else:
                yield from unknown(child, known, path)
    if isinstance(value, list):
        for position, item in enumerate(value):
            yield from unknown(item, schema.get("items", {}), f"{at}[{position}]")


def pruned(value: Any, schema: Node, *, at_root: bool = False) -> Any:
    """Return a copy without unknown fields, and without nulls that no default replaces."""
    if isinstance(value, dict):
        return {
            name: child if at_root and name in META else pruned(child, known or {})
            for name, child in value.items()
            if (known := child_of(schema, name)) is not None or (at_root and name in META)
            if child is not None or not known or known.get("nullable") or "default" in known
        }
    if isinstance(value, list):
        return [pruned(item, schema.get("items", {})) for item in value]
    return value


def defaulted(value: Any, schema: Node) -> Any:
    """Return a copy with defaults where fields are absent, or null and may not be."""
    if isinstance(value, dict):
        absent = {
            name: deepcopy(child["default"])
            for name, child in schema.get("properties", {}).items()
            if "default" in child and (name not in value or (value[name] is None and not child.get("nullable")))
        }
        return {name: defaulted(child, child_of(schema, name) or {}) for name, child in {**value, **absent}.items()}
    if isinstance(value, list):
        return [defaulted(item, schema.get("items", {})) for item in value]
    return value
