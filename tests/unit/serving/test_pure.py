"""What the server decides without asking anyone: split, golden rows, plans, files."""

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving_pod import SPEC
from treadle.api.plan import PlannedModel, PlannedVerification, ReleasePlan
from treadle.api.reasons import Reason
from treadle.serving.follow import (
    Follower,
    Held,
    Place,
    is_mendable,
    must_try_again,
    next_due,
    read_plan,
    wanted_models,
)
from treadle.serving.golden import agreement
from treadle.serving.onnxfile import problem
from treadle.serving.split import bucket, is_sampled, takes

A, B, C = (f"sha256:{letter * 64}" for letter in "abc")


def test_split_is_the_documented_hash() -> None:
    head = hashlib.sha256((A + "request-7").encode()).hexdigest()[:16]
    assert bucket(A, "request-7") == int(head, 16) % 10_000


def test_split_is_exact_at_each_weight() -> None:
    ids = [str(number) for number in range(20_000)]
    for weight in (0, 1, 5, 25, 50, 100):
        share = sum(takes(A, id_, weight) for id_ in ids) / len(ids)
        assert share == pytest.approx(weight / 100, abs=0.01)
    assert not any(takes(A, id_, 0) for id_ in ids)
    assert all(takes(A, id_, 100) for id_ in ids)


@given(st.text(), st.integers(0, 100), st.integers(0, 100))
def test_split_grows_with_the_weight(id_: str, one: int, other: int) -> None:
    low, high = sorted((one, other))
    assert takes(A, id_, high) or not takes(A, id_, low)


def test_sampling_keeps_about_its_share() -> None:
    kept = sum(is_sampled(str(number), 20) for number in range(10_000))
    assert 1_850 < kept < 2_150
    assert not any(is_sampled(str(number), 0) for number in range(100))


GOLDEN = {
    "agrees within the tolerance": ([0.500001, 0.2], ["1", "0"], "2/2", True),
    "disagrees beyond it": ([0.51, 0.2], ["1", "0"], "1/2", False),
    "disagrees in a label": ([0.5, 0.2], ["0", "0"], "1/2", False),
    "disagrees where it answers no number": ([float("nan"), 0.2], ["1", "0"], "1/2", False),
    "disagrees with another number of rows": ([0.5], ["1"], "0/2", False),
}


@pytest.mark.parametrize(("scores", "labels", "text", "is_whole"), GOLDEN.values(), ids=GOLDEN.keys())
def test_agreement(scores: list[float], labels: list[str], text: str, is_whole: bool) -> None:
    found = agreement(scores, labels, [0.5, 0.2], ["1", "0"], 0.00001)
    assert (str(found), found.is_whole) == (text, is_whole)


def test_no_golden_rows_agree_with_nothing() -> None:
    assert not agreement([], [], [], [], 1.0).is_whole


def plan(**changes: Any) -> dict[str, Any]:
    return {"v": 1, "modelName": "m", "revision": 5, **changes}


PLANS = {
    "takes a higher revision": (plan(), 4, 5),
    "takes keys of a newer version": (plan(shadow=None, ledger=[]), 4, 5),
    "leaves an equal revision": (plan(), 5, None),
    "leaves a lower revision": (plan(), 6, None),
    "leaves another model's": (plan(modelName="other"), 4, None),
    "leaves one with a wrong digest": (plan(champion={"version": "v1", "digest": "x"}), 4, None),
    "leaves one with a weight of 101": (plan(candidate={"version": "v1", "digest": A, "weight": 101}), 4, None),
    "leaves one with a wrong timeout": (plan(predictor={"timeout": "soon"}), 4, None),
    "leaves one with a time of no calendar": (
        plan(previous={"version": "v1", "digest": A, "until": "2013-13-45T10:00:00Z"}),
        4,
        None,
    ),
    "leaves another version of the format": (plan(v=2), 4, None),
    "leaves what is no object": ([], 4, None),
}


@pytest.mark.parametrize(("document", "current", "revision"), PLANS.values(), ids=PLANS.keys())
def test_read_plan(document: Any, current: int, revision: int | None) -> None:
    found = read_plan(json.dumps(document).encode(), "m", current)
    assert (found.revision if found else None) == revision


def test_read_plan_leaves_what_is_no_json() -> None:
    assert read_plan(b'{"v":1,', "m", 0) is None


def test_previous_is_held_until_its_time() -> None:
    document = plan(
        champion={"version": "v2", "digest": B},
        previous={"version": "v1", "digest": A, "until": "2013-07-03T10:00:00Z"},
    )
    found = ReleasePlan.model_validate(document)
    assert list(wanted_models(found, datetime(2013, 7, 3, 9, tzinfo=UTC))) == [B, A]
    assert list(wanted_models(found, datetime(2013, 7, 3, 10, tzinfo=UTC))) == [B]


def held(digest: str, **changes: Any) -> Held:
    return Held(PlannedModel(version="v", digest=digest), PlannedVerification(), **changes)


def test_the_champion_is_brought_first() -> None:
    found = ReleasePlan.model_validate(plan(champion={"version": "v", "digest": C}))
    models = {digest: held(digest) for digest in (A, B, C)}
    assert next_due(found, models, 1.0) is models[C]
    models[C].due = 9.0
    assert next_due(found, models, 1.0) is models[A]


TERMS = {
    "a refusal is tried under other terms": ("Refused", Reason.GOLDEN_MISMATCH, True),
    "what Warn let pass is tried under other terms": ("Loaded", Reason.NOT_ENFORCED, True),
    "what was verified stays": ("Loaded", None, False),
}


@pytest.mark.parametrize(("state", "reason", "again"), TERMS.values(), ids=TERMS.keys())
def test_other_terms(state: Any, reason: Reason | None, again: bool) -> None:
    assert must_try_again(held(A, state=state, reason=reason), PlannedVerification(golden_tolerance="0.1")) is again


def test_only_a_restored_store_mends_a_refusal() -> None:
    assert is_mendable(held(A, state="Refused", reason=Reason.CHECKSUM_MISMATCH))
    assert not is_mendable(held(A, state="Refused", reason=Reason.CANDIDATE_CRASHED))


def field(number: int, data: bytes) -> bytes:
    assert len(data) < 128
    return bytes([number << 3 | 2, len(data)]) + data


TENSOR_OUTSIDE = field(13, field(1, b"location") + field(2, b"/etc/passwd"))
VERSION = b"\x08\x08"
FILES = {
    "takes a graph of its own": (VERSION + field(7, field(5, field(9, b"\0\0\0\0"))), ""),
    "refuses an initializer elsewhere": (VERSION + field(7, field(5, TENSOR_OUTSIDE)), "other files"),
    "refuses a node's tensor elsewhere": (
        VERSION + field(7, field(1, field(5, field(5, TENSOR_OUTSIDE)))),
        "other files",
    ),
    "refuses the flag alone": (VERSION + field(7, field(5, b"\x70\x01")), "other files"),
    "refuses a pickle": (b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00", "no ONNX model"),
    "refuses no bytes": (b"", "no ONNX model"),
    "refuses a torn file": ((VERSION + field(7, field(5, field(9, b"\0\0\0\0"))))[:-2], "no ONNX model"),
}


@pytest.mark.parametrize(("data", "text"), FILES.values(), ids=FILES.keys())
def test_onnx_file_stands_alone(data: bytes, text: str) -> None:
    assert text in problem(data)
    assert bool(problem(data)) == bool(text)


@given(st.binary(max_size=200))
def test_onnx_scanner_survives_any_bytes(data: bytes) -> None:
    assert isinstance(problem(data), str)


def test_a_plan_is_found_when_kubelet_swaps_its_link(tmp_path: Path) -> None:
    directory = tmp_path / "plan"
    directory.mkdir()
    (directory / "plan.json").symlink_to("..data/plan.json")
    follower = Follower(Place(SPEC, tmp_path, tmp_path))
    follower.look()
    assert follower.plan is None
    for revision in (5, 6):
        version = directory / f"..version-{revision}"
        version.mkdir()
        (version / "plan.json").write_text(json.dumps(plan(modelName="flights-late", revision=revision)))
        (directory / "..data_tmp").symlink_to(version.name)
        (directory / "..data_tmp").rename(directory / "..data")
        follower.look()
        assert follower.plan is not None
        assert follower.plan.revision == revision
