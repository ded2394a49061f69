"""Verdicts from numbers: what passes, what is refused, and what was not shown."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treadle.api.trainingjob import Gate
from treadle.training.bootstrap import Estimate
from treadle.training.gate import Evidence, judge

CHAMPION = "sha256:" + "5" * 64


def evidence(difference: tuple[float, float, float] | None = (0.006, 0.003, 0.009), **changes: Any) -> Evidence:
    """Return what a good challenger shows; a change replaces a field."""
    given_fields: dict[str, Any] = {
        "rows": 32605,
        "holdout_uses": 3,
        "holdout_digest": "sha256:" + "3" * 64,
        "metric": "average_precision",
        "metrics": {
            ("average_precision", None): Estimate(0.861, 0.854, 0.868),
            ("roc_auc", None): Estimate(0.7, 0.69, 0.71),
            ("roc_auc", "laguardia"): Estimate(0.66, 0.61, 0.71),
        },
        "slice_rows": {"laguardia": 900},
        "differences": {} if difference is None else {None: Estimate(*difference)},
    }
    if difference is not None or "unscorable" in changes:
        given_fields |= {"champion": CHAMPION, "champion_name": "v7", "champion_value": 0.858}
    return Evidence(**{**given_fields, **changes})


def differing(laguardia: tuple[float, float, float]) -> Evidence:
    """Return evidence with a difference on the slice too."""
    return evidence(differences={None: Estimate(0.006, 0.003, 0.009), "laguardia": Estimate(*laguardia)})


FLOOR = {"metric": "roc_auc", "slice": "laguardia"}
CASES: dict[str, tuple[dict[str, Any], Evidence, str, str]] = {
    "a gain above the margin": ({"margin": "0.002"}, evidence(), "Promote", "AllChecksPassed"),
    "a gain that the margin may hide": ({"margin": "0.002"}, evidence((0.003, -0.002, 0.008)), "Hold", "NotBetter"),
    "a bound that is shown as the margin": (
        {"margin": "0.002"}, evidence((0.004, 0.0020000001, 0.006)), "Hold", "NotBetter",
    ),
    "a gain that is surely below the margin": (
        {"margin": "0.002"}, evidence((-0.01, -0.02, 0.001)), "Reject", "NotBetter",
    ),
    "no bounds of the gain": ({}, evidence((0.01, float("nan"), float("nan"))), "Hold", "NotBetter"),
    "a small loss where only NotWorse is asked": (
        {"require": "NotWorse", "margin": "0.002"}, evidence((-0.0005, -0.0015, 0.001)), "Promote", "AllChecksPassed",
    ),
    "a larger loss where only NotWorse is asked": (
        {"require": "NotWorse", "margin": "0.002"}, evidence((-0.0005, -0.0025, 0.001)), "Hold", "NotBetter",
    ),
    "no champion and no floor": ({}, evidence(None), "Promote", "NoChampion"),
    "no champion and a floor that holds": (
        {"floors": [{**FLOOR, "min": "0.6"}]}, evidence(None), "Promote", "NoChampion",
    ),
    "a floor within the interval": ({"floors": [{**FLOOR, "min": "0.65"}]}, evidence(), "Hold", "FloorMissed"),
    "a floor above the interval": ({"floors": [{**FLOOR, "min": "0.72"}]}, evidence(), "Reject", "FloorMissed"),
    "a ceiling within the interval": ({"floors": [{**FLOOR, "max": "0.7"}]}, evidence(), "Hold", "FloorMissed"),
    "a ceiling below the interval": ({"floors": [{**FLOOR, "max": "0.6"}]}, evidence(), "Reject", "FloorMissed"),
    "a failed floor beside an open gain": (
        {"floors": [{**FLOOR, "min": "0.72"}]}, evidence((0.003, -0.002, 0.008)), "Reject", "FloorMissed",
    ),
    "too few rows": ({"minRows": 40000}, evidence(), "Inconclusive", "TooFewRows"),
    "a holdout that gave too many verdicts": ({"maxHoldoutUses": 2}, evidence(), "Inconclusive", "HoldoutUsedUp"),
    "a champion that gives no answer": (
        {}, evidence(None, unscorable="it takes column 'gate'"), "Inconclusive", "ChampionUnscorable",
    ),
    "a floor of a small slice": (
        {"floors": [{**FLOOR, "min": "0.72"}]}, evidence(slice_rows={"laguardia": 99}), "Inconclusive", "TooFewRows",
    ),
    "a floor of a slice with one class": (
        {"floors": [{**FLOOR, "metric": "recall", "min": "0.1"}]}, evidence(), "Inconclusive", "TooFewRows",
    ),
    "a small slice without a floor": ({}, evidence(slice_rows={"laguardia": 3}), "Promote", "AllChecksPassed"),
    "a slice that lost more than allowed": (
        {"maxSliceRegression": "0.02"}, differing((-0.05, -0.07, -0.03)), "Reject", "SliceRegressed",
    ),
    "a slice that may have lost more than allowed": (
        {"maxSliceRegression": "0.02"}, differing((-0.01, -0.03, 0.01)), "Hold", "SliceRegressed",
    ),
    "a slice that lost less than allowed": (
        {"maxSliceRegression": "0.02"}, differing((-0.01, -0.015, 0.01)), "Promote", "AllChecksPassed",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("rule", "found", "verdict", "reason"), CASES.values(), ids=CASES.keys())
def test_verdict(rule: dict[str, Any], found: Evidence, verdict: str, reason: str) -> None:
    judged = judge(Gate.parse({"minRows": 1000, **rule}), found)
    assert (judged.verdict, judged.reason) == (verdict, reason), judged.message
    assert 0 < len(judged.message) <= 300


TEXTS = {
    "held": (
        evidence((0.003, -0.002, 0.008)),
        "average_precision 0.861 against champion v7 0.858 on 32605 holdout rows; difference 0.003 [-0.002, 0.008], "
        "needed above 0.002. v7 stays. Wait for data, or lower gate.margin",
    ),
    "passed": (
        evidence(),
        "average_precision 0.861 against champion v7 0.858 on 32605 holdout rows; difference 0.006 [0.003, 0.009], "
        "needed above 0.002",
    ),
    "first": (
        evidence(None),
        "average_precision 0.861 [0.854, 0.868] on 32605 holdout rows; there was no champion to beat",
    ),
    "used up": (
        evidence(holdout_uses=51),
        "this holdout gave 51 verdicts, gate.maxHoldoutUses is 50; publish a version with new holdout rows",
    ),
}


@pytest.mark.parametrize(("found", "text"), TEXTS.values(), ids=TEXTS.keys())
def test_message(found: Evidence, text: str) -> None:
    assert judge(Gate.parse({"margin": "0.002"}), found).message == text


def test_status_shows_failed_checks_first_and_no_more_than_eight() -> None:
    floors = [{"metric": "roc_auc", "min": f"0.{n}"} for n in (10, 20, 30, 40, 50, 60, 65, 95)]
    found = evidence((0.003, -0.002, 0.008))
    judged = judge(Gate.parse({"margin": "0.002", "floors": floors}), found)
    status = judged.status(found, "2013-07-01T04:15:02Z")
    assert [check.result for check in status.checks] == ["Fail", "Open", *["Pass"] * 6]
    assert (len(judged.checks), status.checks[0].threshold, status.champion) == (9, "0.95", CHAMPION)
    assert status.difference is not None and status.difference.dump() == {
        "value": "0.003", "lower": "-0.002", "upper": "0.008",
    }  # fmt: skip


@given(
    value=st.floats(-1, 1, allow_nan=False),
    width=st.floats(0, 1, allow_nan=False),
    margin=st.sampled_from(["0", "0.002", "0.1"]),
)
def test_a_gain_passes_exactly_when_its_lower_bound_is_above_the_margin(
    value: float, width: float, margin: str
) -> None:
    found = evidence((value, value - width, value + width))
    judged = judge(Gate.parse({"margin": margin}), found)
    shown = judged.difference
    assert shown is not None and shown.lower is not None and shown.upper is not None
    assert (judged.verdict == "Promote") == (float(shown.lower) > float(margin)), "as a person reads the numbers"
    assert (judged.verdict == "Reject") == (float(shown.upper) <= float(margin))
