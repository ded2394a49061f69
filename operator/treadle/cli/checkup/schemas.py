"""Where two schemas of a CustomResourceDefinition differ."""

from typing import Any

from treadle.api.crds import DEFINITIONS, crd
from treadle.api.names import GROUP, PLURALS
from treadle.cli.cluster import Object


def names() -> list[str]:
    """Return the names of the CustomResourceDefinitions."""
    return [f"{plural}.{GROUP}" for plural in PLURALS.values()]


def differs(name: str, found: Object) -> str:
    """Return the first place where an installed definition is not as this version has it; empty where it is."""
    wished = next(crd(each) for each in DEFINITIONS if f"{PLURALS[each.kind]}.{GROUP}" == name)
    version = next((each for each in found["spec"]["versions"] if each["served"] and each["storage"]), None)
    if version is None:
        return "versions"
    ours = wished["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    theirs = version["schema"]["openAPIV3Schema"].get("properties", {})
    return next((place for part in ("spec", "status") if (place := first(ours[part], theirs.get(part), part))), "")


def first(ours: Any, theirs: Any, path: str) -> str:
    """Return the path of the first field whose schema differs, descriptions aside."""
    if not isinstance(ours, dict) or not isinstance(theirs, dict):
        return "" if ours == theirs else path
    fields = ours.get("properties", {}), theirs.get("properties", {})
    for name in sorted(set(fields[0]) | set(fields[1])):
        if found := first(fields[0].get(name), fields[1].get(name), f"{path}.{name}"):
            return found
    for below, mark in (("items", "[]"), ("additionalProperties", "{}")):
        if below in ours and below in theirs and (found := first(ours[below], theirs[below], path + mark)):
            return found
    apart = ("properties", "items", "additionalProperties", "description")
    rest = [{key: value for key, value in each.items() if key not in apart} for each in (ours, theirs)]
    kinds = [{key for key in apart[1:3] if key in each} for each in (ours, theirs)]
    return "" if rest[0] == rest[1] and kinds[0] == kinds[1] else path
