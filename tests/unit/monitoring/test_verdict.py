"""Findings of a window, their messages, and the verdict."""

from datetime import UTC, datetime
from typing import Any

import pytest

from treadle.api.monitor import Drift, Window
from treadle.api.reasons import Reason
from treadle.api.step import WindowFinding
from treadle.monitoring.drift import Compared, Distance
from treadle.monitoring.evidence import Log, LogPart, Tally
from treadle.monitoring.quality import Breach
from treadle.monitoring.verdict import (
    conclude,
    data_flowing,
    drift_suspected,
    finding,
    judges_requests,
    quality_breached,
)

NOON = datetime(2013, 7, 1, 12, tzinfo=UTC)
YES = WindowFinding(status="True", reason=Reason.ENOUGH)
NO = WindowFinding(status="False", reason=Reason.INSUFFICIENT)


def part(percent: int) -> LogPart:
    return LogPart("requests/x", "0" * 64, 1, 0, percent, NOON, NOON)


FLOWING: dict[str, tuple[Log, bool, str, Reason, str]] = {
    "as many as needed": (
        Log(Tally(500), 500, parts=(part(100),)),
        True,
        "True",
        Reason.ENOUGH,
        "500 predictions, window.minSamples is 500",
    ),
    "one too few": (
        Log(Tally(499), 499, parts=(part(100),)),
        True,
        "False",
        Reason.INSUFFICIENT,
        "499 predictions; window.minSamples is 500. Send traffic, or widen window.size. docs: reasons/Insufficient",
    ),
    "nothing but refusals": (
        Log(Tally(0, 0, 700, 700), 0, parts=(part(100),)),
        True,
        "False",
        Reason.INSUFFICIENT,
        "0 predictions, 700 requests were refused; window.minSamples is 500. Send traffic, or widen window.size. "
        "docs: reasons/Insufficient",
    ),
    "a window without traffic": (
        Log(),
        True,
        "False",
        Reason.INSUFFICIENT,
        "0 predictions; window.minSamples is 500. Send traffic, or widen window.size. docs: reasons/Insufficient",
    ),
    "a deployment that never logged": (
        Log(),
        False,
        "False",
        Reason.NO_LOG,
        "the deployment has no prediction log. Send traffic; if there was some, set logger.percent above 0. "
        "docs: reasons/NoLog",
    ),
    "a percentage that changed within the window": (
        Log(Tally(5000), 90, parts=(part(1), part(100))),
        True,
        "False",
        Reason.INSUFFICIENT,
        "logger.percent went from 1 to 100 within the window: of 5000 predictions 90 weigh alike, "
        "window.minSamples is 500. Wait for the next window. docs: reasons/Insufficient",
    ),
}


@pytest.mark.parametrize(("log", "logged", "status", "reason", "message"), FLOWING.values(), ids=FLOWING.keys())
def test_data_flowing(log: Log, logged: bool, status: str, reason: Reason, message: str) -> None:
    found = data_flowing(log, Window(), was_logged=logged)
    assert (found.status, found.reason, found.message) == (status, reason, message)


def row(column: str, effect: float, *, moved: bool) -> Compared:
    return Compared(column, Distance("ks", effect, 0.0, effect), 0.0, moved)


DRIFT: dict[str, tuple[WindowFinding, dict[str, Any], list[Compared], str, Reason, str]] = {
    "switched off": (YES, {"enabled": False}, [], "Unknown", Reason.DISABLED, "drift.enabled is false"),
    "too few rows": (NO, {}, [], "Unknown", Reason.INSUFFICIENT, "too few predictions to tell a move from chance"),
    "nothing to compare": (
        YES,
        {},
        [],
        "Unknown",
        Reason.INSUFFICIENT,
        "the log holds no column that can be compared; see the report",
    ),
    "nothing moved": (
        YES,
        {},
        [row("hour", 0.0412, moved=False)],
        "False",
        Reason.NO_DRIFT,
        "none of 1 column moved; hour comes nearest (effect 0.041, drift.minEffect 0.1)",
    ),
    "inputs and predictions moved": (
        YES,
        {},
        [row("out.score", 0.3, moved=True), row("hour", 0.18, moved=True), row("dest", 0.02, moved=False)],
        "True",
        Reason.COLUMNS_MOVED,
        "column hour moved most (effect 0.180, drift.minEffect 0.1); 2 of 3 columns. "
        "Look at the source before you retrain. docs: reasons/ColumnsMoved",
    ),
    "the predictions alone moved": (
        YES,
        {},
        [row("out.score", 0.3, moved=True), row("hour", 0.02, moved=False)],
        "True",
        Reason.PREDICTIONS_MOVED,
        "the predictions moved and no input did (effect 0.300, drift.minEffect 0.1); 1 of 2 columns. "
        "Look at the source before you retrain. docs: reasons/PredictionsMoved",
    ),
}


@pytest.mark.parametrize(
    ("flowing", "rules", "compared", "status", "reason", "message"), DRIFT.values(), ids=DRIFT.keys()
)
def test_drift_suspected(
    flowing: WindowFinding, rules: dict[str, Any], compared: list[Compared], status: str, reason: Reason, message: str
) -> None:
    found = drift_suspected(flowing, Drift.parse(rules), compared)
    assert (found.status, found.reason, found.message) == (status, reason, message)
    assert found.column == {"True": "hour" if reason is Reason.COLUMNS_MOVED else "out.score"}.get(status)


NULLS = Breach(Reason.TOO_MANY_NULLS, "dest", 0.312, 0.1)
QUALITY: dict[str, tuple[WindowFinding, list[Breach], str, Reason, str]] = {
    "within limits": (
        YES,
        [],
        "False",
        Reason.WITHIN_LIMITS,
        "every column is within its limits; 3 of 900 refused",
    ),
    "too few rows": (NO, [], "Unknown", Reason.INSUFFICIENT, "too few predictions to judge the inputs by"),
    "one limit is passed": (
        YES,
        [NULLS],
        "True",
        Reason.TOO_MANY_NULLS,
        "column dest: 31.2 % of rows are null beyond the reference's; quality.maxNullFraction is 0.1. "
        "Mend the caller or the feed. docs: reasons/TooManyNulls",
    ),
    "refusals, although too few were answered": (
        NO,
        [Breach(Reason.REQUESTS_REJECTED, None, 0.9, 0.1), NULLS],
        "True",
        Reason.REQUESTS_REJECTED,
        "90.0 % of requests were refused; quality.maxRejected is 0.1, and 1 limit more passed. "
        "Mend the caller or the feed. docs: reasons/RequestsRejected",
    ),
}


@pytest.mark.parametrize(("flowing", "passed", "status", "reason", "message"), QUALITY.values(), ids=QUALITY.keys())
def test_quality_breached(
    flowing: WindowFinding, passed: list[Breach], status: str, reason: Reason, message: str
) -> None:
    found = quality_breached(flowing, Tally(800, 800, 900, 3), passed)
    assert (found.status, found.reason, found.message) == (status, reason, message)
    assert found.column == ("dest" if NULLS in passed else None)


def test_requests_are_judged_from_min_samples_on() -> None:
    assert [judges_requests(Window(), Tally(requests=number)) for number in (499, 500)] == [False, True]


VERDICTS = {
    "all is well": ("True", "False", "False", "Healthy"),
    "a move alone is suspected": ("True", "True", "False", "Suspected"),
    "a breach is detected": ("True", "False", "True", "Detected"),
    "a breach outweighs a move": ("True", "True", "True", "Detected"),
    "too little data outweighs all": ("False", "Unknown", "True", "Insufficient"),
    "without drift, quality decides": ("True", "Unknown", "False", "Healthy"),
}


@pytest.mark.parametrize(("flowing", "drift", "quality", "outcome"), VERDICTS.values(), ids=VERDICTS.keys())
def test_conclude(flowing: str, drift: str, quality: str, outcome: str) -> None:
    statuses = {"DataFlowing": flowing, "DriftSuspected": drift, "QualityBreached": quality}
    reasons = {"DataFlowing": Reason.INSUFFICIENT, "DriftSuspected": Reason.COLUMNS_MOVED}
    findings = {
        name: WindowFinding.parse({"status": status, "reason": reasons.get(name, Reason.OUT_OF_RANGE), "message": name})
        for name, status in statuses.items()
    }
    decisive = {"Insufficient": "DataFlowing", "Suspected": "DriftSuspected", "Detected": "QualityBreached"}
    found = conclude(findings)
    assert found.outcome == outcome
    assert found.message == decisive.get(outcome, "DriftSuspected" if drift == "False" else "QualityBreached")


def test_a_long_message_keeps_its_page() -> None:
    found = finding("True", Reason.COLUMNS_MOVED, "c" * 400)
    assert len(found.message) == 300
    assert found.message.endswith("docs: reasons/ColumnsMoved")
