"""Objects made wrong by chance: what nobody thought of."""

import copy
import random
from collections.abc import Iterator
from typing import Any

type Json = dict[str, Any]
type Path = tuple[str | int, ...]

KEPT = frozenset({"name", "namespace", "uid", "resourceVersion", "creationTimestamp", "generation", "managedFields"})
"""Metadata that say which object it is."""

# No 1.0, and no list where a time belongs: see the ADR on CEL.
ODD: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 7, 1.5, -2.5, 1e20, 2**63 - 1, 2**63, "", "x", "X Y", "é", "a" * 70, "a" * 1100,
    "70%", "0.5", " 0.5", "1e3", "latest", "champion", "10m", "\n", "a\nb", "<&>", 100, "AKIAABCDEFGHIJKLMNOP",
    "2026-01-01T00:00:00Z", "2026-13-01T00:00:00Z", "2026-01-01T00:00:00+02:00", "2026-01-01T00:00:00.5z",
    "https://a:b@c/", "s3://x", "treadle-x", {}, {"a": "b"}, {"a": 1}, {"a": None}, {"name": "x"},
)  # fmt: skip
LISTS: tuple[Any, ...] = ([], ["x"], ["x", "x"], [None], [{}], [{"name": "x"}, {"name": "x"}])
TEXTS = ("a", "hour", "10m", "0.5", "latest", "2026-01-01T00:00:00Z", "2025-06-01T00:00:00.5Z", "treadle-a", "s3://a/b")


def mutated(rng: random.Random, body: Json, root: Json) -> Json:
    """Return an object with one to four places changed: taken away, made odd, made anew, or with more in them."""
    out = copy.deepcopy(body)
    for _ in range(rng.randint(1, 4)):
        places = [path for path in _paths(out) if path and _may_change(path)]
        if not places:
            break
        *above, last = rng.choice(places)
        around = _at(out, above)
        schema = _schema(root, (*above, last))
        match rng.randrange(4):
            case 0:
                del around[last]
            case 1:
                around[last] = _odd(rng, schema)
            case 2:
                around[last] = made(rng, schema)
            case _:
                _add(rng, around, last, schema)
    return out


def made(rng: random.Random, schema: Json) -> Any:
    """Return a value that a schema may ask for, more often than not."""
    if rng.random() < 0.2:
        return _odd(rng, schema)
    if "enum" in schema:
        return rng.choice(schema["enum"])
    properties, below = schema.get("properties", {}), schema.get("additionalProperties")
    match schema.get("type"):
        case "object" if below is not None:
            return {rng.choice("abc"): made(rng, below) for _ in range(rng.randrange(3))}
        case "object":
            wanted = [n for n in properties if rng.random() < (0.95 if n in schema.get("required", ()) else 0.3)]
            return {name: made(rng, properties[name]) for name in wanted}
        case "array":
            return [made(rng, schema["items"]) for _ in range(rng.randrange(4))]
        case "integer":
            return rng.choice([0, 1, schema.get("minimum", 0) - 1, schema.get("maximum", 9) + 1])
        case "boolean":
            return rng.random() < 0.5
    return rng.choice(TEXTS)


def _add(rng: random.Random, around: Any, last: str | int, schema: Json) -> None:
    node, properties = around[last], schema.get("properties", {})
    if isinstance(node, dict) and properties and rng.random() < 0.8:
        name = rng.choice(list(properties))
        node[name] = made(rng, properties[name])
    elif isinstance(node, dict):
        node[rng.choice(["surprise", "a b", "x/y"])] = copy.deepcopy(rng.choice(ODD))
    elif isinstance(node, list) and node:
        node.append(copy.deepcopy(rng.choice(node)))
        rng.shuffle(node)
    else:
        around[last] = _odd(rng, schema)


def _odd(rng: random.Random, schema: Json) -> Any:
    return copy.deepcopy(rng.choice(ODD if schema.get("format") == "date-time" else ODD + LISTS))


def _paths(node: Any, at: Path = ()) -> Iterator[Path]:
    yield at
    steps = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for step, child in steps:
        yield from _paths(child, (*at, step))


def _may_change(path: Path) -> bool:
    return path[0] in ("spec", "status") or (path[0] == "metadata" and len(path) > 1 and path[1] not in KEPT)


def _at(node: Any, path: list[str | int]) -> Any:
    for step in path:
        node = node[step]
    return node


def _schema(root: Json, path: Path) -> Json:
    for step in path:
        below = root.get("items") if isinstance(step, int) else root.get("properties", {}).get(step)
        root = below or root.get("additionalProperties") or {}
    return root
