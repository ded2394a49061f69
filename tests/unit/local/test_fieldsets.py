"""Sets of fields and their spelling in managedFields."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treadle.local.fields.fieldsets import parsed, shown, spelt

SPELT: dict[str, tuple[Any, set[tuple[str, ...]]]] = {
    "a leaf": ({"f:data": {"f:x": {}}}, {("f:data", "f:x")}),
    "a map and a leaf": ({"f:data": {".": {}, "f:x": {}}}, {("f:data",), ("f:data", "f:x")}),
    "an item": (
        {"f:c": {'k:{"name":"a"}': {".": {}, "f:name": {}}}},
        {("f:c", 'k:{"name":"a"}'), ("f:c", 'k:{"name":"a"}', "f:name")},
    ),
    "nothing": ({}, set()),
}


@pytest.mark.parametrize(("fields", "paths"), SPELT.values(), ids=SPELT.keys())
def test_parsed(fields: Any, paths: set[tuple[str, ...]]) -> None:
    assert parsed(fields) == paths
    assert spelt(frozenset(paths)) == fields


steps = st.sampled_from(["f:a", "f:b", 'k:{"n":"x"}', 'v:"y"'])


@given(st.frozensets(st.lists(steps, min_size=1, max_size=4).map(tuple), max_size=12))
def test_what_is_spelt_is_parsed(paths: frozenset[tuple[str, ...]]) -> None:
    assert parsed(spelt(paths)) == paths


SHOWN = {
    ".spec.filter": ("f:spec", "f:filter"),
    '.spec.containers[name="step"].image': ("f:spec", "f:containers", 'k:{"name":"step"}', "f:image"),
    '.ports[containerPort=80,protocol="TCP"]': ("f:ports", 'k:{"containerPort":80,"protocol":"TCP"}'),
    '.metadata.finalizers[="treadle.dev/x"]': ("f:metadata", "f:finalizers", 'v:"treadle.dev/x"'),
}


@pytest.mark.parametrize(("text", "path"), SHOWN.items(), ids=SHOWN.keys())
def test_shown(text: str, path: tuple[str, ...]) -> None:
    assert shown(path) == text
