"""Which window is judged: aligned, after its log has arrived, and only the newest."""

from datetime import UTC, datetime
from typing import Any

import pytest

from builders import digest, monitor
from treadle.api.base import moment
from treadle.api.monitor import Monitor
from treadle.control.engine.errors import Invalid
from treadle.control.engine.ports import Object
from treadle.control.monitor.due import bounds, newest, next_due_time, ready_at, run_key, size

SINCE = datetime(2026, 1, 5, 6, 0, tzinfo=UTC)


def parsed(status: Object | None = None, **spec: Any) -> Monitor:
    return Monitor.read(monitor(status=status, **spec))


def judged(end: str, start: str = "2026-01-05T07:00:00Z", due: str = "2026-01-05T08:00:00Z") -> Object:
    attempt = {
        "start": start, "end": end, "jobName": "m-1", "runKey": "5" * 64, "championDigest": digest("a"),
        "finished": True,
    }  # fmt: skip
    return {"attempt": attempt, "lastScheduleTime": due}


MINUTES: dict[str, Any] = {"schedule": "* * * * *", "window": {"size": "1m", "minSamples": 30}}
DAYS: dict[str, Any] = {"schedule": "*/5 * * * *", "window": {"size": "24h"}}
# Each row: the monitor, now, the due time that is met now, the next one.
WINDOWS: dict[str, tuple[Monitor, str, str | None, str]] = {
    "the first due time after its creation": (parsed(), "08:00:30", "08:00:00", "09:00:00"),
    "not before the log has arrived": (parsed(), "08:00:29", None, "08:00:00"),
    "an hour later": (parsed(judged("2026-01-05T08:00:00Z")), "09:00:30", "09:00:00", "10:00:00"),
    "not twice": (parsed(judged("2026-01-05T08:00:00Z")), "08:30:00", None, "09:00:00"),
    "only the newest of many": (
        parsed(judged("2026-01-05T07:30:00Z", "2026-01-05T07:29:00Z", "2026-01-05T07:30:00Z"), **MINUTES),
        "08:10:40", "08:10:00", "08:11:00",
    ),
    "the one before, while the newest log is not there": (
        parsed(judged("2026-01-05T08:08:00Z", "2026-01-05T08:07:00Z", "2026-01-05T08:08:00Z"), **MINUTES),
        "08:10:10", "08:09:00", "08:10:00",
    ),
    "a window larger than the schedule, once": (
        parsed(judged("2026-01-05T00:00:00Z", "2026-01-04T00:00:00Z", "2026-01-05T07:05:00Z"), **DAYS),
        "08:10:40", None, "24:00:00",
    ),
    "nothing after a window that a person asked for": (
        parsed(judged("2026-01-05T08:10:00Z", "2026-01-05T07:10:00Z")), "08:30:00", None, "09:00:00",
    ),
    "the aligned window after one that a person asked for": (
        parsed(judged("2026-01-05T08:10:00Z", "2026-01-05T07:10:00Z")), "09:00:30", "09:00:00", "10:00:00",
    ),
}  # fmt: skip


def at(text: str) -> datetime:
    return datetime(2026, 1, 6, tzinfo=UTC) if text == "24:00:00" else moment(f"2026-01-05T{text}Z")


@pytest.mark.parametrize(("given", "now", "due", "following"), WINDOWS.values(), ids=WINDOWS.keys())
def test_due(given: Monitor, now: str, due: str | None, following: str) -> None:
    found = newest(given, SINCE, at(now))
    assert found == (at(due) if due else None)
    if found is None:
        assert next_due_time(given, SINCE, at(now)) == at(following)


def test_a_window_that_ended_before_the_champion_answered_is_left_out() -> None:
    assert newest(parsed(), at("08:00:10"), at("08:01:00")) is None
    assert next_due_time(parsed(), at("08:00:10"), at("08:01:00")) == at("09:00:00")
    assert newest(parsed(), at("08:00:10"), at("09:00:30")) == at("09:00:00")


BOUNDS = {
    "an hour": ("1h", "08:20:00", "2026-01-05T07:00:00Z", "2026-01-05T08:00:00Z"),
    "a day": ("24h", "08:20:00", "2026-01-04T00:00:00Z", "2026-01-05T00:00:00Z"),
    "a minute, at its end": ("1m", "08:20:00", "2026-01-05T08:19:00Z", "2026-01-05T08:20:00Z"),
    "ninety minutes": ("90m", "08:20:00", "2026-01-05T06:00:00Z", "2026-01-05T07:30:00Z"),
}


@pytest.mark.parametrize(("length", "due", "start", "end"), BOUNDS.values(), ids=BOUNDS.keys())
def test_windows_are_aligned_to_utc(length: str, due: str, start: str, end: str) -> None:
    given = parsed(window={"size": length})
    window = bounds(at(due), size(given))
    assert (window.start, window.end) == (start, end)
    assert ready_at(at(due), size(given)) >= max(at(due), moment(end))


@pytest.mark.parametrize("text", ["59s", "32d"])
def test_a_window_that_is_too_short_or_too_long_is_invalid(text: str) -> None:
    with pytest.raises(Invalid, match="is not from 1m to 31d"):
        size(parsed(window={"size": text}))


def test_what_to_ask_for_is_no_input_of_a_judgement() -> None:
    window = bounds(at("08:00:00"), size(parsed()))
    plain = run_key(parsed(), window, digest("a"))
    asks = parsed(actions=[{"name": "x", "when": ["DriftDetected"], "do": "Notify"}], schedule="@daily", suspend=True)
    assert run_key(asks, window, digest("a")) == plain
    assert run_key(parsed(), window, digest("b")) != plain
    assert run_key(parsed(drift={"alpha": "0.05"}), window, digest("a")) != plain
