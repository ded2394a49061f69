"""Nulls, unknown values, numbers out of range, refusals."""

from typing import Any

import numpy as np
import pytest

from treadle.api.artifacts import Input
from treadle.api.monitor import QualityLimits
from treadle.api.reasons import Reason
from treadle.monitoring.quality import Share, breaches, measure
from treadle.monitoring.samples import Categories, Numbers, Pair

NAN = float("nan")
DOUBLE = {"name": "x", "type": "double"}
TEXT = {"name": "x", "type": "string"}


def numbers(reference: list[float], window: list[float]) -> Numbers:
    return Numbers(np.array(reference), np.array(window))


MEASURED: dict[str, tuple[dict[str, Any], Pair, Share, Share | None, Share | None]] = {
    "nulls of numbers, on both sides": (
        DOUBLE,
        numbers([1, NAN, 1, 1], [NAN, NAN, 1, 1]),
        Share(0.5, 0.25),
        None,
        None,
    ),
    "numbers outside the bounds of training": (
        {**DOUBLE, "min": "0", "max": "10"},
        numbers([1, 2], [-1, 0, 10, 11]),
        Share(0, 0),
        None,
        Share(0.5, 0),
    ),
    "a null is not out of range": (
        {**DOUBLE, "min": "0", "max": "1"},
        numbers([0], [NAN, 5]),
        Share(0.5, 0),
        None,
        Share(0.5, 0),
    ),
    "a bound that was rounded to six digits still holds": (
        {**DOUBLE, "min": "-1234560", "max": "0.1"},
        numbers([0], [-1234564, float(np.float32(0.1))]),
        Share(0, 0),
        None,
        Share(0, 0),
    ),
    "values that training did not see; null is none": (
        {**TEXT, "values": ["a", "b"]},
        Categories({"a": 5, "b": 4, "old": 1}, {"a": 1, "new": 2, None: 1}),
        Share(0.25, 0),
        Share(0.5, 0.1),
        None,
    ),
    "too many values to know them": (TEXT, Categories({"a": 1}, {"z": 1}), Share(0, 0), None, None),
}


@pytest.mark.parametrize(("column", "pair", "nulls", "unseen", "outside"), MEASURED.values(), ids=MEASURED.keys())
def test_measure(column: dict[str, Any], pair: Pair, nulls: Share, unseen: Share | None, outside: Share | None) -> None:
    [found] = measure([Input.parse(column)], {"x": pair})
    assert (found.nulls, found.unseen, found.outside) == (nulls, unseen, outside)


@pytest.mark.parametrize(
    ("refused", "limits", "expected"),
    [
        (0, {}, []),
        (10, {}, []),
        (11, {}, [Reason.REQUESTS_REJECTED]),
        (1, {"maxRejected": "0"}, [Reason.REQUESTS_REJECTED]),
    ],
    ids=["none refused", "as many as allowed", "one more", "none allowed"],
)
def test_refused_requests(refused: int, limits: dict[str, str], expected: list[Reason]) -> None:
    assert [breach.reason for breach in breaches([], refused, 100, QualityLimits.parse(limits))] == expected


BREACHED: dict[str, tuple[dict[str, Any], Pair, bool, list[Reason]]] = {
    "gaps that training had too": (DOUBLE, numbers([NAN, 1], [NAN, 1, NAN, 1]), True, []),
    "more gaps than in training": (DOUBLE, numbers([NAN, *[1] * 9], [NAN, NAN, NAN, 1]), True, [Reason.TOO_MANY_NULLS]),
    "columns are not judged by too few rows": (DOUBLE, numbers([1], [NAN]), False, []),
    "unknown values": ({**TEXT, "values": []}, Categories({None: 1}, {"a": 1}), True, [Reason.UNSEEN_VALUES]),
    "out of range and empty, the farthest first": (
        {**DOUBLE, "min": "0", "max": "1"},
        numbers([1], [9, 9, 9, NAN, NAN]),
        True,
        [Reason.OUT_OF_RANGE, Reason.TOO_MANY_NULLS],
    ),
}


@pytest.mark.parametrize(("column", "pair", "judged", "expected"), BREACHED.values(), ids=BREACHED.keys())
def test_breaches(column: dict[str, Any], pair: Pair, judged: bool, expected: list[Reason]) -> None:
    measured = measure([Input.parse(column)], {"x": pair})
    found = breaches(measured, 0, 0, QualityLimits(), judge_columns=judged)
    assert [breach.reason for breach in found] == expected
