"""What objects of files say of each other: names that are given twice, references, and columns."""

import difflib
from collections.abc import Iterator, Sequence
from typing import Any

from treadle.cli.manifests.finding import Finding, Weight
from treadle.cli.manifests.ours import Ours
from treadle.control.references import REFERENCES

NAMED_TOO = {
    "ModelDeployment": (
        (("spec", "training", "template", "spec", "gate", "against", "deploymentRef", "name"), "ModelDeployment"),
    )
}
"""References that wake nobody, beside those of control/references.py."""

RECIPES = {"TrainingJob": ("spec",), "ModelDeployment": ("spec", "training", "template", "spec")}


def twice(ours: Sequence[Ours]) -> Iterator[Finding]:
    """Yield each object whose name another one before it has."""
    first: dict[tuple[str, str, str], Ours] = {}
    for one in ours:
        key = (one.kind, one.namespace, one.name)
        if one.name and key in first:
            there = first[key].document
            said = f"{one} is in {there.file}:{there.line} too, and the later one would win; remove one"
            yield one.says(said, "metadata.name")
        first.setdefault(key, one)


def references(ours: Sequence[Ours], weight: Weight) -> Iterator[Finding]:
    """Yield each reference to an object of ours that is not in the files."""
    for one in ours:
        for path, kind in (*REFERENCES[one.kind], *NAMED_TOO.get(one.kind, ())):
            name, field = _at(one.document.raw, path), ".".join(path)
            if isinstance(name, str) and name and _target(ours, one, kind, name) is None:
                yield one.says(f"{field}: {_absent(ours, one, kind, name)}", field, weight)


def columns(ours: Sequence[Ours], weight: Weight) -> Iterator[Finding]:
    """Yield each column of a recipe that its DataSource does not list, unless that keeps others."""
    for one in ours:
        if one.kind not in RECIPES:
            continue
        at = RECIPES[one.kind]
        recipe = _at(one.document.raw, at)
        source = _at(recipe, ("dataRef", "name"))
        found = _target(ours, one, "DataSource", source) if isinstance(source, str) else None
        known = _known_columns(found.document.raw) if found else []
        for field, column in _columns_of(recipe) if known else ():
            if column not in known:
                near = difflib.get_close_matches(column, known, n=1)
                advice = f"did you mean {near[0]}?" if near else f"columns are {', '.join(known)}"
                place = f"{'.'.join(at)}.{field}"
                yield one.says(f"{place}: {column!r} is no column of DataSource {source!r}; {advice}", place, weight)


def _absent(ours: Sequence[Ours], one: Ours, kind: str, name: str) -> str:
    """Return that a target is not in the files, and what is instead."""
    elsewhere = [each.namespace for each in ours if (each.kind, each.name) == (kind, name)]
    if elsewhere:
        own = f"and a reference stays in its own, {one.namespace!r}"
        return f"{kind} {name!r} is in namespace {elsewhere[0]!r} of these files, {own}"
    there = [each.name for each in ours if (each.kind, each.namespace) == (kind, one.namespace)]
    near = difflib.get_close_matches(name, there, n=1)
    advice = f"did you mean {near[0]}?" if near else "the cluster must have it"
    return f"{kind} {name!r} is not in these files; {advice}"


def _known_columns(source: Any) -> list[str]:
    schema = _at(source, ("spec", "schema"))
    if _at(schema, ("onExtraColumn",)) == "Keep":
        return []
    return [name for column in _list(schema, "columns") if isinstance(name := _at(column, ("name",)), str)]


def _columns_of(recipe: Any) -> list[tuple[str, str]]:
    """Return the columns that a recipe names, each with its field."""
    lists = [(f"features.{key}", _list(_at(recipe, ("features",)), key)) for key in ("include", "exclude")]
    for step, transform in enumerate(_list(_at(recipe, ("preparation",)), "transforms")):
        lists.append((f"preparation.transforms[{step}].columns", _list(transform, "columns")))
    named = [(f"{at}[{place}]", name) for at, names in lists for place, name in enumerate(names)]
    return [(field, name) for field, name in [("target", _at(recipe, ("target",))), *named] if isinstance(name, str)]


def _target(ours: Sequence[Ours], one: Ours, kind: str, name: str) -> Ours | None:
    key = (kind, one.namespace, name)
    return next((each for each in ours if (each.kind, each.namespace, each.name) == key), None)


def _list(raw: Any, field: str) -> list[Any]:
    found = _at(raw, (field,))
    return found if isinstance(found, list) else []


def _at(raw: Any, path: Sequence[str]) -> Any:
    """Return what lies at a path, or None."""
    for step in path:
        raw = raw.get(step) if isinstance(raw, dict) else None
    return raw
