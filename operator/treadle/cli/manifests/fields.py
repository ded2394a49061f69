"""The field that a person meant by one that is not there."""

import difflib
import re
from collections.abc import Iterator
from typing import Any

type Node = dict[str, Any]

MANY = 16
"""So many fields are listed; more are no help."""


def advice(kind: str, schema: Node, path: str) -> str:
    """Return a line on a field that a kind does not have: what it may be called, where it is, or what is there."""
    steps = re.findall(r"[^.[\]]+", path)
    *above, name = steps
    around = path.removesuffix(name).rstrip(".")
    known = fields_of(schema, above)
    # The same name elsewhere is the likelier mistake: one of indentation.
    elsewhere = sorted(_places(schema, name), key=lambda place: (-_shared(place, path), place.count("."), place))
    near = [f"{around}.{each}".removeprefix(".") for each in difflib.get_close_matches(name, known, n=1)]
    said = f"{path} is no field of {kind}"
    if elsewhere or near:
        return f"{said}; did you mean {[*elsewhere, *near][0]}?"
    if 0 < len(known) <= MANY:
        return f"{said}; {around or 'an object'} has {', '.join(known)}"
    return f"{said}; remove it"


def fields_of(schema: Node, steps: list[str]) -> list[str]:
    """Return the names of the fields at a place; items of lists and entries of maps are steps like fields."""
    for step in steps:
        properties = schema.get("properties", {})
        schema = properties.get(step) or schema.get("items") or schema.get("additionalProperties") or {}
    return list(schema.get("properties", {}))


def _places(schema: Node, name: str, at: str = "") -> Iterator[str]:
    """Yield the paths of the fields of a name that a person may set."""
    for field, child in schema.get("properties", {}).items():
        path = f"{at}.{field}".removeprefix(".")
        if path in ("apiVersion", "kind", "metadata", "status"):
            continue
        if field == name:
            yield path
        yield from _places(child, name, path)
    if "items" in schema:
        yield from _places(schema["items"], name, f"{at}[]")


def _shared(one: str, other: str) -> int:
    """Return how many steps two paths have in common at their beginning."""
    steps = zip(one.split("."), re.sub(r"\[\d+\]", "[]", other).split("."), strict=False)
    return next((place for place, (a, b) in enumerate(steps) if a != b), 0)
