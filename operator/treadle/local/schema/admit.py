"""What kube-apiserver does to an object of ours before it stores it: prune, fill in defaults, validate."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from treadle.api.crds import DEFINITIONS, crd
from treadle.api.names import GROUP, VERSION
from treadle.local.schema import cel, objectmeta, structural, values
from treadle.local.schema.causes import (
    NOT_SUPPORTED,
    NOWHERE,
    REQUIRED,
    TOO_LONG,
    TOO_MANY,
    TYPE_INVALID,
    Cause,
    Refused,
    go_type,
    invalid,
    invalid_object,
    printed,
)
from treadle.local.schema.past import Past

__all__ = ["UNCHECKED", "Cause", "Refused", "Schema", "Schemas", "schema_of", "schemas"]

type Object = dict[str, Any]

INT32, INT64 = 2**31, 2**63
BLOCKING = frozenset({NOT_SUPPORTED, REQUIRED, TOO_LONG, TOO_MANY, TYPE_INVALID})
UNCHECKED = invalid(
    NOWHERE,
    None,
    "some validation rules were not checked because the object was invalid; "
    "correct the existing errors to complete validation",
)
KEPT_METADATA = ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation")
"""What an update cannot change, and what the server therefore takes from the live object."""

SEEN_METADATA = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "generateName": {"type": "string"}},
}
"""What rules may see of metadata."""


@dataclass(frozen=True, slots=True)
class Schema:
    """The schema of a kind, and the paths of its scale."""

    root: Object
    scale: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Schemas:
    """The schemas of the kinds of one group and version."""

    kinds: Mapping[str, Schema]

    def admit(self, wished: Object, live: Object | None, *, subresource: str = "") -> Object:
        """Return an object as it will be stored: pruned, with defaults, its status apart from the rest.

        wished: what was sent, or what a patch made of the live object, of one of these kinds; it is not changed.
        live: what is stored, or None for a create.
        subresource: "status" takes nothing but the status from `wished`; anything else takes all but the status.

        Name, namespace, uid and resourceVersion have been compared with the request and the live object before.
        Raises Refused, with the code, causes and texts of kube-apiserver 1.35; among fields that are wrong
        side by side, the server has no order, and this one has that of the object.
        """
        schema = self.kinds[wished["kind"]]
        new = _parts(_decoded(wished, schema), live, subresource)
        causes = _causes(new, live, schema, subresource)
        if causes:
            raise invalid_object(GROUP, new["kind"], new["metadata"].get("name", ""), causes)
        stored: Object = _whole_numbers(new)
        return stored

    def unknown(self, wished: Object) -> tuple[str, ...]:
        """Return what fieldValidation=Strict refuses and Warn warns of: `unknown field "spec.x"`."""
        fields = sorted(structural.unknown(wished, self.kinds[wished["kind"]].root))
        return tuple(f'unknown field "{path}"' for path in [*objectmeta.unknown(wished.get("metadata")), *fields])


@cache
def schemas() -> Schemas:
    """Return the schemas of our four kinds, made from the models; no file is read."""
    return Schemas({each.kind: schema_of(crd(each)) for each in DEFINITIONS})


def schema_of(definition: Object) -> Schema:
    """Return what a CustomResourceDefinition of one version says about its objects."""
    (version,) = definition["spec"]["versions"]
    root = version["schema"]["openAPIV3Schema"]
    properties = {**root["properties"], "metadata": SEEN_METADATA}
    return Schema({**root, "properties": properties}, version["subresources"].get("scale", {}))


def _decoded(wished: Object, schema: Schema) -> Object:
    """Return an object as the server reads it: metadata of the right types, no unknown field, defaults filled in."""
    kind = wished["kind"]
    body = _numbers(wished)
    try:
        metadata = objectmeta.read(body.get("metadata"))
    except objectmeta.Malformed as error:
        raise Refused(
            400, "BadRequest", f'{kind} in version "{VERSION}" cannot be handled as a {kind}: {error}'
        ) from error
    fields = {name: value for name, value in body.items() if name not in structural.META}
    known = structural.defaulted(structural.pruned(fields, schema.root), schema.root)
    return {"apiVersion": wished["apiVersion"], "kind": kind, "metadata": metadata, **known}


def _parts(new: Object, live: Object | None, subresource: str) -> Object:
    """Return what of a request counts, beside what the live object keeps."""
    status = {"status": new["status"]} if "status" in new else {}
    if live is None:
        return _without_status(new)
    if subresource == "status":
        managed = {key: new["metadata"][key] for key in ("managedFields",) if key in new["metadata"]}
        return {**_without_status(live), "metadata": {**live["metadata"], **managed}, **status}
    kept = {key: live["metadata"][key] for key in KEPT_METADATA if key in live["metadata"]}
    held = {"status": live["status"]} if "status" in live else {}
    return {**_without_status(new), "metadata": {**new["metadata"], **kept}, **held}


def _without_status(raw: Object) -> Object:
    return {key: value for key, value in raw.items() if key != "status"}


def _causes(new: Object, live: Object | None, schema: Schema, subresource: str) -> list[Cause]:
    past = None if live is None else Past(new, live, schema.root)
    metadata = (
        objectmeta.judge(new["metadata"])
        if live is None
        else objectmeta.judge_update(new["metadata"], live["metadata"])
    )
    causes = [*metadata, *_of_schema(new, schema, past, subresource)]
    if live is None or not list(values.duplicates(live, schema.root)):
        causes += values.duplicates(new, schema.root)
    if any(cause.reason in BLOCKING for cause in causes):
        return [*causes, UNCHECKED]
    return [*causes, *cel.judge(new, schema.root, past=past)]


def _of_schema(new: Object, schema: Schema, past: Past | None, subresource: str) -> Iterator[Cause]:
    if subresource != "status":
        yield from values.judge(new, schema.root, past=past)
        if "specReplicasPath" in schema.scale:
            yield from _of_scale(new, schema.scale["specReplicasPath"], 0)
    elif "status" in new:
        # The server judges a status by itself, so that texts name its fields without it.
        for cause in values.judge(new["status"], schema.root["properties"]["status"], past=past and past.at("status")):
            yield replace(cause, field=f"status.{cause.field}".removesuffix("."))
    for path, zero in (("statusReplicasPath", 0), ("labelSelectorPath", "")):
        if path in schema.scale:
            yield from _of_scale(new, schema.scale[path], zero)


def _of_scale(new: Object, path: str, zero: int | str) -> Iterator[Cause]:
    """Yield what keeps a field of the scale subresource from being read, as what `zero` is."""
    value: Any = new
    for name in path.removeprefix(".").split("."):
        if not isinstance(value, dict):
            yield invalid(path, zero, _unreadable(path, value, "map[string]interface{}"))
            return
        if value.get(name) is None:
            return
        value = value[name]
    if type(value) is not type(zero):
        yield invalid(path, zero, _unreadable(path, value, go_type(zero)))
    elif isinstance(value, int) and value < 0:
        yield invalid(path, value, "should be a non-negative integer")
    elif isinstance(value, int) and value >= INT32:
        yield invalid(path, value, f"should be less than or equal to {INT32 - 1}")


def _unreadable(path: str, value: Any, wanted: str) -> str:
    return f"{path} accessor error: {printed(value)} is of the type {go_type(value)}, expected {wanted}"


def _numbers(value: Any) -> Any:
    """Return a value as Go decodes JSON: an integer beyond 64 bits is a float."""
    if isinstance(value, dict):
        return {name: _numbers(child) for name, child in value.items()}
    if isinstance(value, list):
        return [_numbers(item) for item in value]
    if isinstance(value, int) and not -INT64 <= value < INT64:
        return float(value)
    return value


def _whole_numbers(value: Any) -> Any:
    """Return a value as it is read after it was stored: Go writes 1.0 as 1."""
    if isinstance(value, dict):
        return {name: _whole_numbers(child) for name, child in value.items()}
    if isinstance(value, list):
        return [_whole_numbers(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < INT64 else value
