"""The schemas of all types that are served: the built-in ones from builtin.json, ours from the models."""

import json
from functools import cache
from importlib import resources
from typing import Any

from treadle.api.crds import DEFINITIONS, crd
from treadle.local.server import types
from treadle.local.server.types import Type

type Node = dict[str, Any]

REFERENCE = "#/components/schemas/"
META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
LIST_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta"
SCALE = "io.k8s.api.autoscaling.v1.Scale"


@cache
def definitions() -> dict[str, Node]:
    """Return the definitions of kube-apiserver 1.35, whose references are names (see hack/builtin.py)."""
    text = resources.files("treadle.local.server").joinpath("builtin.json").read_text(encoding="utf-8")
    found: dict[str, Node] = json.loads(text)
    return found


@cache
def custom() -> dict[str, Node]:
    """Return our CustomResourceDefinitions, by kind."""
    return {each.kind: crd(each) for each in DEFINITIONS}


def name_of(type_: Type) -> str:
    """Return the name of a type's definition."""
    if type_.is_ours:
        group = ".".join(reversed(type_.gvk.group.split(".")))
        return f"{group}.{type_.gvk.version}.{type_.gvk.kind}"
    wanted = {"group": type_.gvk.group, "version": type_.gvk.version, "kind": type_.gvk.kind}
    return next(
        name for name, node in definitions().items() if wanted in node.get("x-kubernetes-group-version-kind", ())
    )


@cache
def schema(type_: Type) -> Node:
    """Return the schema of a type, where each reference is the very node that it names."""
    if type_.is_ours:
        found = custom()[type_.gvk.kind]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        return {**found, "properties": {**found["properties"], "metadata": _linked()[META]}}
    return _linked()[name_of(type_)]


def meta_schema() -> Node:
    """Return the schema of an object's metadata."""
    return _linked()[META]


def schema_of(type_: Type) -> Node:
    """Return the schema of a type, or of any object where the type is not served."""
    is_served = (type_.gvk.api_version, type_.gvk.kind) in types.BY_KIND
    return schema(type_) if is_served else {"properties": {"metadata": _linked()[META]}}


@cache
def zero(type_: Type) -> Node:
    """Return an object of a built-in type as Go has it before anything is set; to be read only."""
    found: Node = _zero(schema(type_))
    return found


def _zero(node: Node) -> Node:
    fields = node.get("properties", {})
    lists = {name: None for name in node.get("required", ()) if fields[name].get("type") == "array"}
    known = {name: _zero(child) or child["default"] for name, child in fields.items() if "default" in child}
    return {**lists, **known}


@cache
def _linked() -> dict[str, Node]:
    """Return the definitions as one graph."""
    nodes: dict[str, Node] = {name: {} for name in definitions()}
    defaulted: list[tuple[Node, str, Node]] = []
    for name, node in definitions().items():
        # The name of the Go struct, for what is said about a field of another type.
        nodes[name].update(_link(node, nodes, defaulted), **{"x-go": name.rpartition(".")[2]})
    # A default beside a reference is of the field, not of the type, which is shared; so last, when all are whole.
    for fields, name, node in defaulted:
        fields[name] = {**nodes[node["$ref"].removeprefix(REFERENCE)], "default": node["default"]}
    return nodes


def _link(node: Any, nodes: dict[str, Node], defaulted: list[tuple[Node, str, Node]]) -> Any:
    if isinstance(node, list):
        return [_link(each, nodes, defaulted) for each in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        return nodes[node["$ref"].removeprefix(REFERENCE)]
    linked = {key: _link(child, nodes, defaulted) for key, child in node.items()}
    if "properties" in node:
        fields = node["properties"].items()
        defaulted += [
            (linked["properties"], name, child) for name, child in fields if {"$ref", "default"} <= child.keys()
        ]
    return linked
