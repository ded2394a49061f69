"""The metadata of an object: read as Go reads it into ObjectMeta, judged as k8s.io/apimachinery judges it."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from treadle.local.schema.causes import (
    Cause,
    Spelled,
    forbidden,
    invalid,
    marshalled,
    printed,
    quoted,
    required,
    too_long,
)
from treadle.local.schema.structural import Node

STRINGS = "map[string]string"
FIELDS = {
    "name": "string",
    "generateName": "string",
    "namespace": "string",
    "selfLink": "string",
    "uid": "types.UID",
    "resourceVersion": "string",
    "generation": "int64",
    "creationTimestamp": "v1.Time",
    "deletionTimestamp": "v1.Time",
    "deletionGracePeriodSeconds": "int64",
    "labels": STRINGS,
    "annotations": STRINGS,
    "ownerReferences": "[]v1.OwnerReference",
    "finalizers": "[]string",
    "managedFields": "[]v1.ManagedFieldsEntry",
}
STRUCTS: dict[str, dict[str, str]] = {
    "v1.OwnerReference": {
        "apiVersion": "string",
        "kind": "string",
        "name": "string",
        "uid": "types.UID",
        "controller": "bool",
        "blockOwnerDeletion": "bool",
    },
}
"""Fields with their Go types; what is no struct, list or map is one of SCALARS."""

SCALARS: dict[str, type] = {
    "string": str,
    "types.UID": str,
    "int64": int,
    "bool": bool,
    "v1.Time": str,
    "v1.ManagedFieldsEntry": dict,
}
JSON_NAMES = {bool: "bool", str: "string", int: "number", float: "number", list: "array", dict: "object"}
RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", re.ASCII)
ANNOTATIONS_BYTES = 256 * 1024
LABEL_BYTES, SUBDOMAIN_BYTES = 63, 253

KEY = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
VALUE = f"({KEY})?"
LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
SUBDOMAIN = rf"{LABEL}(\.{LABEL})*"
OF_KEY = (
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character"
)
OF_VALUE = f"a valid label must be an empty string or {OF_KEY.removeprefix('must ')}"
OF_SUBDOMAIN = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', "
    "and must start and end with an alphanumeric character"
)


class Malformed(Exception):
    """The metadata are not of the types that Go decodes them into; the text is Go's."""


def read(metadata: Any) -> Node:
    """Return metadata without unknown fields and without what is empty; raise Malformed."""
    if metadata is None:
        return {}
    if not isinstance(metadata, dict):
        raise Malformed(f"json: cannot unmarshal {JSON_NAMES[type(metadata)]} into Go value of type v1.ObjectMeta")
    return _struct(metadata, FIELDS, "ObjectMeta", "")


def unknown(metadata: Any) -> list[str]:
    """Return the paths of fields that metadata do not have."""
    return [f"metadata.{name}" for name in sorted(metadata if isinstance(metadata, dict) else ()) if name not in FIELDS]


def judge(metadata: Node) -> list[Cause]:
    """Return what is wrong with the metadata of a new object."""
    name, prefix = metadata.get("name", ""), metadata.get("generateName", "")
    # The server judges a prefix with what its end will be.
    whole = f"{prefix[:-2]}a" if len(prefix) > 1 and prefix.endswith("-") else prefix
    causes = [invalid("metadata.generateName", prefix, text) for text in _not_subdomain(whole) if prefix]
    if not name:
        causes.append(required("metadata.name", "name or generateName is required"))
    causes += [invalid("metadata.name", name, text) for text in _not_subdomain(name) if name]
    return [*causes, *_common(metadata), *_finalizers(metadata.get("finalizers", []))]


def judge_update(new: Node, old: Node) -> list[Cause]:
    """Return what is wrong with new metadata, as often as the server says it: three times, but for finalizers."""
    causes = []
    if "deletionTimestamp" in old:
        added = sorted(set(new.get("finalizers", [])) - set(old.get("finalizers", [])))
        if added:
            said = "no new finalizers can be added if the object is being deleted, found new finalizers "
            causes.append(forbidden("metadata.finalizers", f"{said}[]string{{{', '.join(map(quoted, added))}}}"))
    elif "deletionTimestamp" in new:
        causes.append(invalid("metadata.deletionTimestamp", new["deletionTimestamp"], "field is immutable"))
    common = list(_common(new))
    update = [*causes, *common]
    return [*common, *_finalizers(new.get("finalizers", [])), *update, *update]


def _common(metadata: Node) -> Iterator[Cause]:
    for key, value in metadata.get("labels", {}).items():
        yield from (invalid("metadata.labels", key, text) for text in _not_key(key))
        yield from (invalid("metadata.labels", value, text) for text in _not_label(value))
    annotations = metadata.get("annotations", {})
    for key in annotations:
        yield from (invalid("metadata.annotations", key, text) for text in _not_key(key.lower()))
    if sum(len(f"{key}{value}".encode()) for key, value in annotations.items()) > ANNOTATIONS_BYTES:
        yield too_long("metadata.annotations", ANNOTATIONS_BYTES)
    yield from _owners(metadata.get("ownerReferences", []))


def _owners(owners: list[Node]) -> Iterator[Cause]:
    at, controller = "metadata.ownerReferences", ""
    for owner in owners:
        for field in ("apiVersion", "kind", "name", "uid"):
            if not owner.get(field):
                said = "version must not be empty" if field == "apiVersion" else "must not be empty"
                yield invalid(f"{at}.{field}", "", said)
        name = f"{owner.get('kind', '')}/{owner.get('name', '')}"
        if owner.get("controller") and controller:
            said = 'Only one reference can have Controller set to true. Found "true" in references for'
            yield invalid(at, Spelled(f"[{','.join(map(_spelled, owners))}]"), f"{said} {controller} and {name}")
        elif owner.get("controller"):
            controller = name


def _spelled(owner: Node) -> str:
    """Return an owner as Go marshals it: its fields in the order of the struct."""
    fields = (f'"{name}":{marshalled(owner[name])}' for name in STRUCTS["v1.OwnerReference"] if name in owner)
    return f"{{{','.join(fields)}}}"


def _finalizers(finalizers: list[str]) -> Iterator[Cause]:
    at = "metadata.finalizers"
    for finalizer in finalizers:
        yield from (invalid(at, finalizer, text) for text in _not_key(finalizer))
    if {"orphan", "foregroundDeletion"} <= set(finalizers):
        yield invalid(at, finalizers, "finalizer orphan and foregroundDeletion cannot be both set")


def _not_subdomain(text: str, unit: str = "characters") -> Iterator[str]:
    if len(text.encode()) > SUBDOMAIN_BYTES:
        yield f"must be no more than {SUBDOMAIN_BYTES} {unit}"
    if not re.fullmatch(SUBDOMAIN, text):
        yield f"{OF_SUBDOMAIN} (e.g. 'example.com', regex used for validation is '{SUBDOMAIN}')"


def _not_key(text: str) -> Iterator[str]:
    of_key = f"{OF_KEY} (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '{KEY}')"
    *prefixes, name = text.split("/")
    if len(prefixes) > 1:
        yield f"a valid label key {of_key} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
        return
    for prefix in prefixes:
        texts = _not_subdomain(prefix, "bytes") if prefix else ["must be non-empty"]
        yield from (f"prefix part {text}" for text in texts)
    if not name:
        yield "name part must be non-empty"
    elif len(name.encode()) > LABEL_BYTES:
        yield f"name part must be no more than {LABEL_BYTES} bytes"
    if not re.fullmatch(KEY, name):
        yield f"name part {of_key}"


def _not_label(text: str) -> Iterator[str]:
    if len(text.encode()) > LABEL_BYTES:
        yield f"must be no more than {LABEL_BYTES} bytes"
    if not re.fullmatch(VALUE, text):
        yield f"{OF_VALUE} (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '{VALUE}')"


def _struct(found: Mapping[str, Any], fields: Mapping[str, str], struct: str, at: str) -> Node:
    """Return the fields of a struct that are not empty."""
    read = {
        name: _value(found[name], fields[name], struct, f"{at}.{name}".removeprefix("."))
        # Go marshals first, and so meets the fields in the order of their names.
        for name in sorted(found)
        if name in fields
    }
    return {name: value for name, value in read.items() if value not in (None, "", 0, [], {}) or value is False}


def _value(found: Any, wanted: str, struct: str, at: str) -> Any:
    if found is None:
        return found
    if wanted == STRINGS and isinstance(found, dict):
        return {key: _value(found[key], "string", struct, at) or "" for key in sorted(found)}
    if wanted.startswith("[]") and isinstance(found, list):
        return [_value(item, wanted.removeprefix("[]"), struct, at) for item in found]
    if wanted in STRUCTS and isinstance(found, dict):
        return _struct(found, STRUCTS[wanted], wanted.removeprefix("v1."), at)
    if type(found) is not SCALARS.get(wanted):
        number = f" {printed(found)}" if wanted == "int64" and isinstance(found, float) else ""
        told = "string" if wanted == "v1.Time" else wanted
        said = f"json: cannot unmarshal {JSON_NAMES[type(found)]}{number} into Go struct field"
        raise Malformed(f"{said} {struct}.{at} of type {told}")
    if wanted == "v1.Time" and not RFC3339.fullmatch(str(found)):
        text = quoted(str(found))
        raise Malformed(f'parsing time {text} as "2006-01-02T15:04:05Z07:00": cannot parse {text} as "2006"')
    return found
