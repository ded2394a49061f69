"""What a URL path of the API names: a type, a namespace, an object, a subresource."""

from dataclasses import dataclass
from typing import Any

from treadle.local.server import types
from treadle.local.server.types import Type

NAMED = {"GET": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
PASSED = {**NAMED, "POST": "create"}
COLLECTED = {"GET": "list", "POST": "create", "DELETE": "deletecollection"}


@dataclass(frozen=True, slots=True)
class Target:
    """What a request is about; `name` is empty for a collection, `rest` is the path behind a proxy."""

    type: Type
    namespace: str = ""
    name: str = ""
    part: str = ""
    rest: str = ""

    def holds(self, raw: dict[str, Any]) -> bool:
        """Say whether an object is in this collection."""
        return self.namespace in ("", raw["metadata"].get("namespace"))


def target(path: str) -> Target | None:
    """Return what a path names, or None for a path that the server does not know."""
    match path.split("/"):
        case ["", "api", "v1", *rest]:
            return _in_group("", "v1", rest)
        case ["", "apis", group, version, *rest]:
            return _in_group(group, version, rest)
    return None


def verb(about: Target, method: str, *, is_watch: bool) -> str | None:
    """Return what a method does with a target, or None where the type or part does not have it."""
    found = (COLLECTED if not about.name else PASSED if about.part == "proxy" else NAMED).get(method)
    if found == "list" and is_watch:
        found = "watch"
    part = about.type.part(about.part)
    return found if found in (part.verbs if part else about.type.verbs) else None


def _in_group(group: str, version: str, rest: list[str]) -> Target | None:
    if rest[-1:] == [""] and rest[2:3] != ["proxy"] and rest[4:5] != ["proxy"]:
        rest = rest[:-1]
    match rest:
        case ["namespaces", namespace, plural, *more] if (plural not in ("status", "finalize")) or group:
            found = types.BY_PATH.get((group, version, plural))
            return _named(found, namespace, more) if found is not None and found.gvk.namespaced else None
        case [plural, *more]:
            found = types.BY_PATH.get((group, version, plural))
            if found is None or (found.gvk.namespaced and more):
                return None
            return _named(found, "", more)
    return None


def _named(type_: Type, namespace: str, rest: list[str]) -> Target | None:
    match rest:
        case []:
            return Target(type_, namespace)
        case [name]:
            return Target(type_, namespace, name)
        case [name, "proxy", *more] if type_.part("proxy"):
            return Target(type_, namespace, name, "proxy", "/" + "/".join(more))
        case [name, part] if type_.part(part):
            return Target(type_, namespace, name, part)
    return None
