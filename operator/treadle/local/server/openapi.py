"""OpenAPI as kubectl asks for it: the kinds, their fields, and that a patch takes fieldValidation."""

import hashlib
import json
from functools import cache
from typing import Any

from treadle.local.server import builtin, types
from treadle.local.server.types import Type

type Node = dict[str, Any]

PROTOBUF = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
QUERIES = ("dryRun", "fieldManager", "fieldValidation", "force")


def index() -> Node:
    """Return the answer to /openapi/v3: each group and version with the address of its document."""
    return {"paths": {path: {"serverRelativeURL": f"/openapi/v3/{path}?hash={digest(path)}"} for path in _documents()}}


def document(path: str) -> Node | None:
    """Return the document of a group and version, such as apis/apps/v1."""
    return _documents().get(path)


@cache
def digest(path: str) -> str:
    """Return the digest by which clients cache a document."""
    return hashlib.sha256(json.dumps(_documents()[path]).encode()).hexdigest().upper()


def whole() -> Node:
    """Return all kinds as one document of OpenAPI 2."""
    documents = _documents().values()
    text = json.dumps([each["components"]["schemas"] for each in documents])
    schemas = json.loads(text.replace("#/components/schemas/", "#/definitions/"))
    return {
        "swagger": "2.0",
        "info": {"title": "Treadle", "version": "v1.35.4"},
        "paths": {path: item for each in documents for path, item in each["paths"].items()},
        "definitions": {name: node for found in schemas for name, node in found.items()},
    }


def whole_as_protobuf() -> bytes:
    """Return an empty document of OpenAPI 2: kubectl asks for one where OpenAPI 3 does not know a kind.

    Its fields, as gnostic numbers them: swagger (1), and info (2) with title (1) and version (2).
    """
    info = _text(1, "Treadle") + _text(2, "v1.35.4")
    return _text(1, "2.0") + bytes((2 << 3 | 2, len(info))) + info


def _text(number: int, text: str) -> bytes:
    return bytes((number << 3 | 2, len(text))) + text.encode()


@cache
def _documents() -> dict[str, Node]:
    groups = {"api/v1": ("", "v1")} | {
        f"apis/{name}/{version}": (name, version) for name, versions in types.GROUPS.items() for version in versions
    }
    return {path: _document(list(types.in_group(*group))) for path, group in groups.items()}


def _document(found: list[Type]) -> Node:
    schemas: dict[str, Node] = {}
    for type_ in found:
        if type_.gvk.kind == "CustomResourceDefinition":
            continue
        if type_.is_ours:
            schemas[builtin.name_of(type_)] = _ours(type_)
            _gather(builtin.META, schemas)
        else:
            _gather(builtin.name_of(type_), schemas)
    return {
        "openapi": "3.0.0",
        "info": {"title": "Treadle", "version": "v1.35.4"},
        "paths": {_path(type_): _item(type_) for type_ in found},
        "components": {"schemas": schemas},
    }


def _ours(type_: Type) -> Node:
    gvk = type_.gvk
    found = builtin.custom()[gvk.kind]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    described = builtin.definitions()["top"]["properties"]
    meta = {**described["metadata"], "allOf": [{"$ref": builtin.REFERENCE + builtin.META}]}
    properties = {**found["properties"], "apiVersion": described["apiVersion"], "kind": described["kind"]}
    return {
        **found,
        "properties": {**properties, "metadata": meta},
        "x-kubernetes-group-version-kind": [_named(type_)],
    }


def _gather(name: str, schemas: dict[str, Node]) -> None:
    if name in schemas:
        return
    schemas[name] = builtin.definitions()[name]
    text = json.dumps(schemas[name])
    for reference in text.split(f'"$ref": "{builtin.REFERENCE}')[1:]:
        _gather(reference.partition('"')[0], schemas)


def _named(type_: Type) -> Node:
    return {"group": type_.gvk.group, "version": type_.gvk.version, "kind": type_.gvk.kind}


def _path(type_: Type) -> str:
    root = f"/apis/{type_.gvk.group}/{type_.gvk.version}" if type_.gvk.group else f"/api/{type_.gvk.version}"
    inside = "/namespaces/{namespace}" if type_.gvk.namespaced else ""
    return f"{root}{inside}/{type_.gvk.plural}/{{name}}"


def _item(type_: Type) -> Node:
    verbs = {"get": "get", "update": "put", "patch": "patch", "delete": "delete"}
    queries = [{"name": name, "in": "query", "schema": {"type": "string"}} for name in QUERIES]
    return {
        method: {
            "operationId": f"{method}{type_.gvk.group.title()}{type_.gvk.version}{type_.gvk.kind}",
            **({"parameters": queries} if method in ("put", "patch") else {}),
            "responses": {"200": {"description": "OK"}},
            "x-kubernetes-group-version-kind": _named(type_),
        }
        for verb, method in verbs.items()
        if verb in type_.verbs
    }
