"""What names a run, and what does not."""

from typing import Any

import pytest

from builders import digest, recipe
from treadle.api.trainingjob import TrainingJobSpec
from treadle.control.trainingjob.keys import run_key


def key(data: str = "d", champion: str | None = "a", **spec: Any) -> str:
    parsed = TrainingJobSpec.parse(recipe("flights-late", **spec))
    return run_key(parsed, digest(data), champion and digest(champion))


def pinned(letter: str) -> dict[str, Any]:
    return {"dataRef": {"name": "flights", "version": digest(letter)}}


SAME: dict[str, str] = {
    "what latest meant": key(**pinned("d")),
    "its resources": key(jobTemplate={"backoffLimit": 0}),
    "its store": key(storeRef={"name": "treadle-other"}),
    "being held": key(suspend=True),
    "a Monitor's wish": key(trigger={"kind": "Monitor", "id": "request-1"}),
    "new data": key(trigger={"kind": "Data"}),
}
OTHER = {
    "another version": key(data="e"),
    "another champion": key(champion="b"),
    "no champion": key(champion=None),
    "another seed": key(seed=1),
    "another window": key(dataRef={"name": "flights", "window": {"since": "2013-06-24T00:00:00Z"}}),
    "a person's wish to repeat": key(trigger={"kind": "Manual", "id": "2026-01-05T08:00:00Z"}),
    "a due time": key(trigger={"kind": "Schedule", "id": "2026-01-05T08:00:00Z"}),
}


@pytest.mark.parametrize("other", SAME.values(), ids=SAME.keys())
def test_the_same_run(other: str) -> None:
    assert other == key()


@pytest.mark.parametrize("other", OTHER.values(), ids=OTHER.keys())
def test_another_run(other: str) -> None:
    assert other != key()


def test_all_other_runs_differ() -> None:
    assert len({key(), *OTHER.values()}) == len(OTHER) + 1
