"""What a built-in object must be like, and what becomes of it before it is stored; schema.py does this for ours."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from treadle.local.fields import typed
from treadle.local.schema import objectmeta, structural
from treadle.local.schema.causes import Cause, forbidden, invalid, too_long
from treadle.local.server import builtin, defaults, godecode, refusals, workloads
from treadle.local.server.types import Type

type Object = dict[str, Any]

DATA_BYTES = 1024 * 1024
DATA_KEY = re.compile(r"[-._a-zA-Z0-9]+")
OF_DATA_KEY = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  "
    "or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
)
IMMUTABLE: Mapping[str, tuple[str, ...]] = {
    "Deployment": ("spec.selector",),
    "ReplicaSet": ("spec.selector",),
    "Job": ("spec.completions", "spec.selector", "spec.template", "spec.completionMode"),
    "Secret": ("type",),
}
STANDARD_FINALIZERS = ("kubernetes", "orphan", "foregroundDeletion")
HELD = ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation")
"""What an update takes from the live object."""


def admit(type_: Type, wished: Object, live: Object | None, part: str) -> Object:
    """Return an object as it will be stored: pruned, with defaults, its status apart from the rest; or refuse it."""
    new = decoded(type_, wished)
    if live is None:
        if type_.has_status:
            new["status"] = structural.defaulted({}, builtin.schema(type_)).get("status", {})
        _initial(new)
    elif part == "status":
        managed = {key: new["metadata"][key] for key in ("managedFields",) if key in new["metadata"]}
        new = {**live, "metadata": {**live["metadata"], **managed}, "status": new.get("status", {})}
    else:
        held = {key: live["metadata"][key] for key in HELD if key in live["metadata"]}
        new["metadata"] = {**new["metadata"], **held}
        if type_.has_status:
            new = {**new, "status": live.get("status", {})}
        if type_.gvk.kind == "Namespace":
            new["spec"] = live["spec"]
    causes = [*_of_metadata(new, live), *_of_data(new, live), *_of_fields(new, live)]
    if part != "status":
        causes += workloads.judge(new, live)
    if causes:
        raise refusals.invalid(type_, new["metadata"].get("name", ""), causes)
    return new


def check_types(type_: Type, wished: Object) -> None:
    """Refuse an object with fields of other types."""
    kind, version = type_.gvk.kind, type_.gvk.version
    fault = next(godecode.faults(wished, builtin.schema(type_), kind), None)
    if fault is None:
        try:
            objectmeta.read(wished.get("metadata"))
        except objectmeta.Malformed as error:
            fault = str(error)
    if fault is not None:
        raise refusals.undecodable(kind, version, fault)


def decoded(type_: Type, wished: Object) -> Object:
    """Return an object as the server reads it; refuse fields of other types."""
    schema = builtin.schema(type_)
    body = {name: value for name, value in wished.items() if name != "metadata"}
    check_types(type_, wished)
    metadata = objectmeta.read(wished.get("metadata"))
    new: Object = structural.defaulted(filled(structural.pruned(body, schema), schema), schema)
    new["metadata"] = metadata
    defaults.fill(new)
    return {name: new[name] for name in ("apiVersion", "kind", "metadata")} | new


def filled(value: Any, schema: Object) -> Any:
    """Return a value where nulls in lists and maps are what Go has instead."""
    if isinstance(value, dict):
        in_map = isinstance(schema.get("additionalProperties"), dict)
        children = {name: typed.child_of(schema, name) for name in value}
        return {
            name: _zero(children[name]) if child is None and in_map else filled(child, children[name])
            for name, child in value.items()
        }
    if isinstance(value, list):
        items = schema.get("items", {})
        return [_zero(items) if item is None else filled(item, items) for item in value]
    return value


def _zero(schema: Object) -> Any:
    return schema.get("default", {} if schema.get("type") == "object" else "")


def unknown(type_: Type, wished: Object) -> tuple[str, ...]:
    """Return what fieldValidation=Strict refuses and Warn warns of: `unknown field "spec.x"`."""
    fields = sorted(structural.unknown(wished, builtin.schema(type_)))
    return tuple(f'unknown field "{path}"' for path in [*objectmeta.unknown(wished.get("metadata")), *fields])


def _initial(new: Object) -> None:
    """Set the status that a new object of a built-in type has."""
    match new["kind"]:
        case "Pod":
            new["status"] |= {"phase": "Pending", "qosClass": "BestEffort"}
        case "Namespace":
            new["status"] = {"phase": "Active"}


def _of_metadata(new: Object, live: Object | None) -> list[Cause]:
    finalizers = list(_of_finalizers(new["metadata"].get("finalizers") or ()))
    of_name = workloads.named(new["kind"], new["metadata"].get("name", ""))
    causes = [*objectmeta.judge(new["metadata"]), *finalizers]
    if of_name is not None and new["metadata"].get("name"):
        causes = [*of_name, *(cause for cause in causes if cause.field != "metadata.name")]
    if live is None:
        return causes
    # An update is judged as a new object too.
    return [*objectmeta.judge_update(new["metadata"], live["metadata"]), *finalizers, *causes]


def _of_finalizers(finalizers: Sequence[str]) -> Iterator[Cause]:
    """Yield what built-in types ask of finalizers besides."""
    for position, finalizer in enumerate(finalizers):
        if "/" not in finalizer and finalizer not in STANDARD_FINALIZERS:
            said = "name is neither a standard finalizer name nor is it fully qualified"
            yield invalid(f"metadata.finalizers[{position}]", finalizer, said)


def _of_data(new: Object, live: Object | None) -> Iterator[Cause]:
    if new["kind"] not in ("ConfigMap", "Secret"):
        return
    data, binary = new.get("data") or {}, new.get("binaryData") or {}
    for name, values in (("data", data), ("binaryData", binary)):
        for key in sorted(values):
            if not DATA_KEY.fullmatch(key):
                yield invalid(f"{name}[{key}]", key, OF_DATA_KEY)
    size = sum(len(value.encode()) for value in data.values()) + sum(len(value) * 3 // 4 for value in binary.values())
    if size > DATA_BYTES:
        yield too_long("[]" if new["kind"] == "ConfigMap" else "data", DATA_BYTES)
    if live is not None and live.get("immutable"):
        said = "field is immutable when `immutable` is set"
        if not new.get("immutable"):
            yield forbidden("immutable", said)
        for name in ("data", "binaryData"):
            if (new.get(name) or {}) != (live.get(name) or {}):
                yield forbidden(name, said)


def _of_fields(new: Object, live: Object | None) -> Iterator[Cause]:
    if live is None:
        return
    for path in IMMUTABLE.get(new["kind"], ()):
        before, after = _at(live, path), _at(new, path)
        if before is not None and before != after:
            yield invalid(path, after, "field is immutable")


def _at(found: Any, path: str) -> Any:
    for name in path.split("."):
        found = found.get(name) if isinstance(found, dict) else None
    return found
