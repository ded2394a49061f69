"""Patches, by the examples of their RFCs and of Kubernetes' documentation."""

from typing import Any

import pytest

from treadle.local.server import patches
from treadle.local.server.patches import Undecodable, Unpatchable

type Json = Any

# RFC 7386, appendix A.
MERGED: list[tuple[Json, Json, Json]] = [
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    (["a", "b"], ["c", "d"], ["c", "d"]),
    ({"a": "b"}, ["c"], ["c"]),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
]


@pytest.mark.parametrize(("live", "patch", "after"), MERGED)
def test_merge(live: Json, patch: Json, after: Json) -> None:
    assert patches.merge(live, patch) == after


# RFC 6902, appendix A.
OPERATED: dict[str, tuple[Json, list[Json], Json]] = {
    "add a member": ({"a": 1}, [{"op": "add", "path": "/b", "value": 2}], {"a": 1, "b": 2}),
    "add an item": ({"a": [1, 3]}, [{"op": "add", "path": "/a/1", "value": 2}], {"a": [1, 2, 3]}),
    "add at the end": ({"a": [1]}, [{"op": "add", "path": "/a/-", "value": [2]}], {"a": [1, [2]]}),
    "add nothing": ({}, [{"op": "add", "path": "/a"}], {"a": None}),
    "add over a member": ({"a": 1}, [{"op": "add", "path": "/a", "value": None}], {"a": None}),
    "remove a member": ({"a": 1, "b": 2}, [{"op": "remove", "path": "/b"}], {"a": 1}),
    "remove an item": ({"a": [1, 2, 3]}, [{"op": "remove", "path": "/a/1"}], {"a": [1, 3]}),
    "replace": ({"a": 1}, [{"op": "replace", "path": "/a", "value": 2}], {"a": 2}),
    "replace an item": ({"a": [1, 2]}, [{"op": "replace", "path": "/a/0", "value": 0}], {"a": [0, 2]}),
    "replace all": ({"a": 1}, [{"op": "replace", "path": "", "value": {}}], {}),
    "move": ({"a": {"x": 1}, "b": {}}, [{"op": "move", "from": "/a/x", "path": "/b/y"}], {"a": {}, "b": {"y": 1}}),
    "copy": ({"a": [1]}, [{"op": "copy", "from": "/a", "path": "/b"}, {"op": "add", "path": "/b/-", "value": 2}],
             {"a": [1], "b": [1, 2]}),
    "test, then go on": ({"a": 1}, [{"op": "test", "path": "/a", "value": 1}, {"op": "remove", "path": "/a"}], {}),
    "escaped names": (
        {"/": 9, "~1": 10},
        [{"op": "test", "path": "/~01", "value": 10}, {"op": "remove", "path": "/~1"}],
        {"~1": 10},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("live", "operations", "after"), OPERATED.values(), ids=OPERATED.keys())
def test_json_patch(live: Json, operations: list[Json], after: Json) -> None:
    before = repr(live)
    assert patches.json_patch(live, operations) == after
    assert repr(live) == before


UNFIT: dict[str, Json] = {
    "a test that fails": {"op": "test", "path": "/a", "value": 2},
    "a path that is not there": {"op": "remove", "path": "/b"},
    "an item that is not there": {"op": "replace", "path": "/c/7", "value": 1},
    "a place beyond the end": {"op": "add", "path": "/c/2", "value": 1},
    "a member of a number": {"op": "add", "path": "/a/b", "value": 1},
    "a move from nowhere": {"op": "move", "from": "/b", "path": "/d"},
    "no such operation": {"op": "turn", "path": "/a"},
    "no path": {"op": "remove"},
    "no operation at all": {"path": "/a"},
}


@pytest.mark.parametrize("operation", UNFIT.values(), ids=UNFIT.keys())
def test_a_json_patch_that_does_not_fit(operation: Json) -> None:
    with pytest.raises(Unpatchable):
        patches.json_patch({"a": 1, "c": [1]}, [operation])


@pytest.mark.parametrize("patch", [[], "text", 7, None], ids=repr)
def test_a_merge_patch_that_is_none(patch: Json) -> None:
    with pytest.raises(Undecodable, match="cannot unmarshal"):
        patches.merge_patch({}, patch)


LIST: Json = {"x-kubernetes-patch-strategy": "merge", "x-kubernetes-patch-merge-key": "name", "items": {}}
SCHEMA: Json = {"properties": {"items": LIST, "words": {"x-kubernetes-patch-strategy": "merge"}, "whole": {}}}


def named(*names: str) -> list[Json]:
    return [{"name": name} for name in names]


STRATEGIC: dict[str, tuple[Json, Json, Json]] = {
    "items by their key": ({"items": [{"name": "a", "x": 1}]}, {"items": [{"name": "a", "y": 2}]},
                           {"items": [{"name": "a", "x": 1, "y": 2}]}),
    "new items first": ({"items": named("a", "b")}, {"items": named("c")}, {"items": named("c", "a", "b")}),
    "items in the order that is asked for": (
        {"items": named("a", "b", "c")},
        {"items": [], "$setElementOrder/items": named("c", "a", "b")},
        {"items": named("c", "a", "b")},
    ),
    "others where they stood": (
        {"items": named("a", "x", "b")},
        {"items": [{"name": "b", "y": 1}], "$setElementOrder/items": named("a", "b")},
        {"items": [{"name": "a"}, {"name": "x"}, {"name": "b", "y": 1}]},
    ),
    "an item deleted": ({"items": named("a", "b")}, {"items": [{"name": "a", "$patch": "delete"}]},
                        {"items": named("b")}),
    "a list replaced": ({"items": named("a", "b")}, {"items": [{"$patch": "replace"}, {"name": "c"}]},
                        {"items": named("c")}),
    "a list without a strategy": ({"whole": [1, 2]}, {"whole": [3]}, {"whole": [3]}),
    "words": ({"words": ["a", "b"]}, {"words": ["c"]}, {"words": ["c", "a", "b"]}),
    "words that go": ({"words": ["a", "b"]}, {"$deleteFromPrimitiveList/words": ["a"]}, {"words": ["b"]}),
    "a map replaced": ({"m": {"a": 1}}, {"m": {"$patch": "replace", "b": 2}}, {"m": {"b": 2}}),
    "a map emptied": ({"m": {"a": 1}}, {"m": {"$patch": "delete"}}, {"m": {}}),
    "keys that are kept": ({"s": {"a": 1, "b": 2}}, {"s": {"$retainKeys": ["b"], "b": 3}}, {"s": {"b": 3}}),
    "a null": ({"a": 1, "b": 2}, {"a": None}, {"b": 2}),
}  # fmt: skip


@pytest.mark.parametrize(("live", "patch", "after"), STRATEGIC.values(), ids=STRATEGIC.keys())
def test_strategic(live: Json, patch: Json, after: Json) -> None:
    assert patches.strategic(live, patch, SCHEMA) == after
