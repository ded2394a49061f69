"""Sets of fields: their paths, the form that managedFields gives them, and how a refusal names one."""

import json
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

type Path = tuple[str, ...]
"""Steps as fieldsV1 spells them: `f:name` a field, `k:{"name":"step"}` an item of a list map, `v:"x"` one of a set."""
type Set = frozenset[Path]
type Fields = dict[str, Any]

EMPTY: Set = frozenset()


def parsed(fields: Fields, path: Path = ()) -> Set:
    """Return the set that fieldsV1 spells; `.` is the thing itself."""
    inner = [step for step in fields if step != "."]
    own = {path} if path and (not inner or "." in fields) else set()
    return frozenset(own.union(*(parsed(fields[step], (*path, step)) for step in inner)))


def spelt(paths: Set) -> Fields:
    """Return a set as fieldsV1."""
    fields: Fields = {}
    for path in sorted(paths):
        inner = fields
        for step in path:
            inner = inner.setdefault(step, {})
        inner["."] = {}
    return _without_dots(fields)


def under(paths: Iterable[Path], step: str) -> Set:
    """Return what lies under a step, as paths from there."""
    return frozenset(path[1:] for path in paths if path[0] == step and len(path) > 1)


def by_first(paths: Iterable[Path]) -> Mapping[str, Set]:
    """Return the paths that have more than one step, by their first."""
    found: dict[str, set[Path]] = {}
    for path in paths:
        if len(path) > 1:
            found.setdefault(path[0], set()).add(path[1:])
    return {step: frozenset(inner) for step, inner in found.items()}


def shown(path: Path) -> str:
    """Return a path as a refusal names it: .spec.containers[name="step"].image."""
    return "".join(_shown_step(step) for step in path)


def key_step(keys: Mapping[str, Any]) -> str:
    """Return the step that names an item of a list map."""
    return "k:" + json.dumps(keys, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def value_step(value: Any) -> str:
    """Return the step that names an item of a set."""
    return "v:" + json.dumps(value, separators=(",", ":"), ensure_ascii=False)


@cache
def keys_of(step: str) -> Mapping[str, Any]:
    """Return the keys by which a step names an item of a list map; none where it names something else."""
    keys: Mapping[str, Any] = json.loads(step[2:]) if step.startswith("k:") else {}
    return keys


def _without_dots(fields: Fields) -> Fields:
    """Return fields where a leaf is an empty object."""
    inner = {step: _without_dots(child) for step, child in fields.items() if step != "."}
    return {".": {}, **inner} if inner and "." in fields else inner


def _shown_step(step: str) -> str:
    mark, text = step[:2], step[2:]
    if mark == "f:":
        return f".{text}"
    if mark == "k:":
        return "[" + ",".join(f"{name}={json.dumps(value)}" for name, value in sorted(keys_of(step).items())) + "]"
    return f"[={text}]" if mark == "v:" else f"[{text}]"
