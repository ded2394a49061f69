"""What memory tells about its types is what a real API server publishes: schemas, discovery, fields to select by."""

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from control_plane import ControlPlane
from treadle.local.server import discovery, types
from treadle.local.server.types import Type

PROGRAM = Path(__file__).parents[2] / "hack" / "builtin.py"
SERVED = {f"{each.gvk.plural}.{each.gvk.group}".rstrip("."): each for each in types.TYPES}
UNSERVED = {"CustomResourceDefinition": ("create", "delete", "deletecollection", "patch", "update")}
"""Ours are there from the beginning, and stay."""


@pytest.fixture(scope="module")
def program() -> ModuleType:
    """Return the program that writes builtin.json."""
    specification = importlib.util.spec_from_file_location("hack_builtin", PROGRAM)
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_the_schemas_of_built_in_types_are_those_of_the_server(program: ModuleType, plane: ControlPlane) -> None:
    assert program.FILE.read_text() == program.builtin(plane), "run python hack/builtin.py"


@pytest.mark.parametrize("type_", SERVED.values(), ids=SERVED.keys())
def test_a_type_is_told_as_the_server_tells_it(type_: Type, plane: ControlPlane) -> None:
    gvk = type_.gvk
    status, real = plane.request("GET", f"/{'apis' if gvk.group else 'api'}/{gvk.api_version}")
    assert status == 200
    mine = discovery.resources(gvk.group, gvk.version)
    assert mine is not None and mine["groupVersion"] == real["groupVersion"]
    theirs = entries(real, gvk.plural)
    theirs[gvk.plural]["verbs"] = [
        verb for verb in theirs[gvk.plural]["verbs"] if verb not in UNSERVED.get(gvk.kind, ())
    ]
    for name, entry in entries(mine, gvk.plural).items():
        assert entry == theirs[name]


def entries(document: Any, plural: str) -> dict[str, Any]:
    """Return what a document tells of a type and its subresources, by their names."""
    return {
        each["name"]: {key: sorted(value) if key == "verbs" else value for key, value in each.items()
                       if key != "storageVersionHash"}
        for each in document["resources"]
        if each["name"].partition("/")[0] == plural
    }  # fmt: skip


def test_both_forms_of_discovery_tell_the_same() -> None:
    for core in (True, False):
        for group in discovery.aggregated(core=core)["items"]:
            name = group["metadata"].get("name", "")
            for version in group["versions"]:
                plain = discovery.resources(name, version["version"])
                assert plain is not None
                told = {
                    path
                    for each in version["resources"]
                    for path in (
                        each["resource"],
                        *(f"{each['resource']}/{part['subresource']}" for part in each.get("subresources", ())),
                    )
                }
                assert told == {each["name"] for each in plain["resources"]}


SELECTABLE = {name: each for name, each in SERVED.items() if "list" in each.verbs and each.gvk.namespaced}


@pytest.mark.parametrize("type_", SELECTABLE.values(), ids=SELECTABLE.keys())
def test_a_field_that_is_offered_can_be_selected_by(type_: Type, plane: ControlPlane) -> None:
    root = f"/{'apis' if type_.gvk.group else 'api'}/{type_.gvk.api_version}/{type_.gvk.plural}"
    for field in type_.selectable:
        assert plane.request("GET", f"{root}?fieldSelector={field}=x")[0] == 200, field


def test_the_release_is_that_of_the_server(plane: ControlPlane) -> None:
    _, real = plane.request("GET", "/version")
    assert discovery.VERSION["gitVersion"].partition("+")[0] == real["gitVersion"]
