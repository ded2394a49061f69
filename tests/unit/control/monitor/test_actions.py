"""What a Monitor asks for, and what keeps it from asking: a row for each reason."""

from datetime import UTC, datetime
from typing import Any

import pytest

from builders import champion, digest, model_deployment, monitor, version
from toys import SETTINGS
from treadle.api.datasource import DatasetVersion
from treadle.api.modeldeployment import ModelDeploymentStatus, RequestRow
from treadle.api.monitor import Monitor, RetrainStatus
from treadle.api.trainingjob import DataWindow, TrainingJobStatus
from treadle.control.engine.ports import Object
from treadle.control.jobs import Runs
from treadle.control.monitor.actions import calls, counted, requested, streak
from treadle.control.monitor.seen import Retrained, Seen, Watched

NOW = datetime(2026, 1, 5, 8, 10, tzinfo=UTC)
RELEARN = {"name": "relearn", "when": ["DriftDetected"], "do": "Retrain"}
ESCAPE = {"name": "escape", "when": ["QualityBreached"], "do": "Rollback", "forWindows": 2}
TELL = {"name": "tell", "when": ["QualityBreached"], "do": "Notify", "forWindows": 2}
HOURS = ["07", "06", "05", "04"]


def rows(*windows: str, letter: str = "a") -> list[Object]:
    """Return windows newest first: d drift, q quality, s suspected, h healthy, i insufficient."""
    kinds = {
        "d": ("Detected", ["DriftSuspected", "DriftDetected"]),
        "q": ("Detected", ["QualityBreached"]),
        "b": ("Detected", ["DriftSuspected", "DriftDetected", "QualityBreached"]),
        "s": ("Suspected", ["DriftSuspected"]),
        "h": ("Healthy", []),
        "i": ("Insufficient", []),
    }
    return [
        {
            "start": f"2026-01-05T{hour}:00:00Z", "verdict": kinds[word][0], "breached": kinds[word][1],
            "championDigest": digest(letter),
        }
        for hour, word in zip(HOURS, windows, strict=False)
    ]  # fmt: skip


def watching(*windows: str, actions: list[Object] | None = None, status: Object | None = None, **spec: Any) -> Monitor:
    found = rows(*windows)
    last = {
        "start": "2026-01-05T07:00:00Z", "end": "2026-01-05T08:00:00Z", "samples": 900, "verdict": "Detected",
        "championDigest": digest("a"),
    }  # fmt: skip
    drift = {"score": "0.2", "shiftAt": "2026-01-05T05:00:00Z"}
    written = {"windows": found, "lastWindow": last, "drift": drift, **(status or {})}
    return Monitor.read(monitor(status=written, actions=[RELEARN] if actions is None else actions, **spec))


def seen(
    *, template: bool = True, data: str = "d", current: str | None = "e", until: str | None = None,
    status: Object | None = None, **more: Any
) -> Seen:  # fmt: skip
    raw = model_deployment(champion=champion("a", data), status=status)
    watched = Watched(ModelDeploymentStatus.parse(raw["status"]), template, True, "flights")
    found = DatasetVersion.parse(version(current, until=until)) if current else None
    return Seen(SETTINGS, Runs(), watched, found, **more)


STREAKS = {
    "none": ((), 0),
    "two": (("d", "d", "h", "d"), 2),
    "a quiet window says nothing": (("i", "d", "i", "d"), 2),
    "ended": (("h", "d"), 0),
}


@pytest.mark.parametrize(("windows", "count"), STREAKS.values(), ids=STREAKS.keys())
def test_streaks(windows: tuple[str, ...], count: int) -> None:
    assert streak(watching(*windows).status.windows or [], "DriftDetected", digest("a")) == count


def test_a_new_champion_begins_anew() -> None:
    assert streak(watching("d", "d").status.windows or [], "DriftDetected", digest("b")) == 0


CALLS: dict[str, tuple[list[Object], tuple[str, ...], list[tuple[str, str, bool]]]] = {
    "nothing found": ([RELEARN], ("h",), []),
    "at once": ([RELEARN], ("d",), [("Retrain", "DriftDetected", True)]),
    "again": ([RELEARN], ("d", "d"), [("Retrain", "DriftDetected", False)]),
    "not before so many windows": ([TELL], ("q",), []),
    "after so many windows": ([TELL], ("q", "q"), [("Notify", "QualityBreached", True)]),
    "both": (
        [ESCAPE, RELEARN],
        ("b", "q"),
        [("Rollback", "QualityBreached", True), ("Retrain", "DriftDetected", True)],
    ),
    "suspected is not detected": ([RELEARN], ("s",), []),
}


@pytest.mark.parametrize(("actions", "windows", "expected"), CALLS.values(), ids=CALLS.keys())
def test_calls(actions: list[Object], windows: tuple[str, ...], expected: list[tuple[str, str, bool]]) -> None:
    given = watching(*windows, actions=actions)
    found = calls(given, given.status.windows or [], digest("a"))
    assert [(call.action.do, call.finding, call.is_new) for call in found] == expected


def test_without_actions_all_findings_are_told() -> None:
    given = Monitor.read(monitor(status={"windows": rows("q")}))
    assert [call.action.do for call in calls(given, given.status.windows or [], digest("a"))] == ["Notify"]


ASKED = {
    "id": "r1", "action": "Retrain", "cause": "DriftDetected", "window": "2026-01-05T06:00:00Z",
    "subject": digest("a"), "requestedAt": "2026-01-05T07:05:00Z",
}  # fmt: skip


def answered(outcome: str = "Started", ref: str = "run-1") -> RequestRow:
    return RequestRow.parse(
        {"id": "r1", "from": "Monitor/flights-late", "action": "Retrain", "outcome": outcome, "ref": ref,
         "time": "2026-01-05T07:06:00Z"}
    )  # fmt: skip


def run_(verdict: str | None = None, data: str = "e", since: str | None = None, done: bool = True) -> Retrained:
    status = {
        "data": {"digest": digest(data), "short": data * 12},
        **({"completionTime": "2026-01-05T07:30:00Z"} if done else {}),
        **({"gate": {"verdict": verdict}} if verdict else {}),
    }
    return Retrained("run-1", TrainingJobStatus.parse(status), DataWindow(since=since) if since else None)


def retrain(refusals: int = 0, at: str = "2026-01-04T07:00:00Z", **more: Any) -> Object:
    return {"retrain": {"lastTriggeredAt": at, "consecutiveRefusals": refusals, "requestsToday": [at], **more}}


SHIFT = {"window": {"since": "LastShift"}}
BLOCKS: dict[str, tuple[Monitor, Seen, tuple[str, str]]] = {
    "nothing is wanted": (watching("h"), seen(template=False), ("False", "Free")),
    "nothing but to tell": (watching("q", "q", actions=[TELL]), seen(template=False), ("False", "Free")),
    "free": (watching("d"), seen(), ("False", "Free")),
    "no template": (watching("d"), seen(template=False), ("True", "NoTemplate")),
    "the breaker is open": (watching("d", status=retrain(3)), seen(), ("True", "BreakerOpen")),
    "the breaker is open, also while nothing is found": (
        watching("h", status=retrain(3)), seen(), ("True", "BreakerOpen"),
    ),
    "its own run goes on": (watching("d"), seen(retrained=run_(done=False)), ("True", "RunInProgress")),
    "another run goes on": (watching("d"), seen(status={"training": {"running": "r"}}), ("True", "RunInProgress")),
    "a candidate is on trial": (
        watching("d"),
        seen(status={"candidate": {"version": "v2", "digest": digest("b"), "state": "Canary",
                                   "since": "2026-01-05T08:00:00Z", "stepSince": "2026-01-05T08:00:00Z"}}),
        ("True", "RunInProgress"),
    ),
    "cooldown": (watching("d", status=retrain(at="2026-01-05T07:00:00Z")), seen(), ("True", "Cooldown")),
    "after the cooldown, the day's limit": (
        watching("d", status=retrain(at="2026-01-05T07:00:00Z"), retrain={"cooldown": "30m"}), seen(),
        ("True", "DailyLimit"),
    ),
    "a limit of none": (watching("d", retrain={"maxPerDay": 0}), seen(), ("True", "DailyLimit")),
    "yesterday does not count": (watching("d", status=retrain()), seen(), ("False", "Free")),
    "the champion has learnt from it": (watching("d"), seen(data="e"), ("True", "SameData")),
    "the last run has learnt from it": (watching("d"), seen(retrained=run_("Hold")), ("True", "SameData")),
    "another window of it is other data": (
        watching("d", retrain=SHIFT), seen(data="e", retrained=run_("Hold")), ("False", "Free"),
    ),
    "the same window of it": (
        watching("d", retrain=SHIFT), seen(retrained=run_("Hold", since="2026-01-05T05:00:00Z")), ("True", "SameData"),
    ),
    "too few rows": (
        watching("d", retrain={"window": {"minLabelledRows": 9000}}), seen(), ("True", "NotEnoughLabelledRows"),
    ),
    "no row since the shift": (
        watching("d", retrain=SHIFT), seen(until="2026-01-05T04:00:00Z"), ("True", "NotEnoughLabelledRows"),
    ),
    "rows since the shift, how many is not known": (
        watching("d", retrain=SHIFT), seen(until="2026-01-05T06:00:00Z"), ("False", "Free"),
    ),
    "no version yet": (watching("d"), seen(current=None), ("False", "Free")),
    "not answered yet": (watching("d", status={"request": ASKED}), seen(), ("False", "Free")),
    "never answered, since the template is gone": (
        watching("d", status={"request": ASKED}), seen(template=False), ("True", "NoTemplate"),
    ),
    "suspended": (watching("d", suspended=True), seen(template=False), ("False", "Free")),
}  # fmt: skip


@pytest.mark.parametrize(("given", "found", "expected"), BLOCKS.values(), ids=BLOCKS.keys())
def test_what_blocks_a_retrain(given: Monitor, found: Seen, expected: tuple[str, str]) -> None:
    record, blocked = requested(given, given.status, found, NOW)
    assert (blocked.status, blocked.reason) == expected
    if blocked.status == "True":
        assert record.request == given.status.request
        assert blocked.message.endswith(f"docs: reasons/{blocked.reason}")


def test_a_request_says_what_a_run_needs_and_counts_against_its_limits() -> None:
    given = watching("d", "d", retrain={"cooldown": "2h", "window": {"since": "LastShift", "minLabelledRows": 5000}})
    record, _ = requested(given, given.status, seen(), NOW)
    request, count = record.request, record.retrain
    assert request is not None and count is not None
    assert (request.action, request.cause, request.subject) == ("Retrain", "DriftDetected", digest("a"))
    assert (request.window, request.since) == ("2026-01-05T07:00:00Z", "2026-01-05T05:00:00Z")
    assert (request.min_labelled_rows, request.requested_at) == (5000, "2026-01-05T08:10:00Z")
    assert (count.last_triggered_at, count.next_allowed_at) == ("2026-01-05T08:10:00Z", "2026-01-05T10:10:00Z")
    assert count.requests_today == ["2026-01-05T08:10:00Z"]
    assert [(row.action, row.subject) for row in record.decisions or []] == [("Retrain", digest("a"))]


def test_a_request_names_the_window_that_calls_for_it() -> None:
    given = watching("i", "d")
    record, _ = requested(given, given.status, seen(), NOW)
    assert record.request is not None and record.request.window == "2026-01-05T06:00:00Z"


WINDOWS = {
    "all rows": ({}, None),
    "a duration": ({"window": {"since": "Duration", "duration": "24h"}}, "2026-01-04T08:00:00Z"),
    "since the shift": ({"window": {"since": "LastShift"}}, "2026-01-05T05:00:00Z"),
}


@pytest.mark.parametrize(("rules", "since"), WINDOWS.values(), ids=WINDOWS.keys())
def test_where_the_rows_begin(rules: Object, since: str | None) -> None:
    given = watching("d", retrain=rules)
    record, _ = requested(given, given.status, seen(), NOW)
    assert record.request is not None and record.request.since == since


FORMER = {"lastKnownGood": {"version": "v0", "digest": digest("9"), "loadedUntil": "2026-01-05T09:00:00Z"}}
STANDING: dict[str, tuple[Monitor, Seen, str | None]] = {
    "while it is not answered": (watching("d", "d", status={"request": ASKED}), seen(), "r1"),
    "while its run goes on": (
        watching("d", "d", status={"request": ASKED}), seen(answer=answered(), retrained=run_(done=False)), "r1",
    ),
    "while it is blocked": (
        watching("d", "d", status={"request": ASKED, **retrain(at="2026-01-05T07:05:00Z")}),
        seen(answer=answered(), retrained=run_("Hold", data="c")), "r1",
    ),
    "until a newer window may ask again": (
        watching("d", "d", status={"request": ASKED, **retrain()}),
        seen(answer=answered(), retrained=run_("Hold", data="c")), "new",
    ),
    "not twice for one window": (
        watching("d", status={"request": {**ASKED, "window": "2026-01-05T07:00:00Z"}, **retrain()}),
        seen(answer=answered(), retrained=run_("Hold", data="c")), "r1",
    ),
    "through a quiet window after its answer": (
        watching("i", "d", status={"request": ASKED, **retrain()}),
        seen(answer=answered(), retrained=run_("Hold", data="c")), "r1",
    ),
    "until a window before a quiet one asks again": (
        watching("i", "d", "d", status={"request": {**ASKED, "window": "2026-01-05T05:00:00Z"}, **retrain()}),
        seen(answer=answered(), retrained=run_("Hold", data="c")), "new",
    ),
    "until nothing is found": (watching("h", "d", status={"request": ASKED}), seen(), None),
    "through a quiet window": (watching("i", "d", status={"request": ASKED}), seen(), "r1"),
    "until another champion answers": (
        watching("h", status={"request": {**ASKED, "subject": digest("f")}}), seen(), None,
    ),
    "though its target has no template any more": (
        watching("d", "d", status={"request": ASKED}), seen(template=False), "r1",
    ),
    "a rollback goes before it": (
        watching("b", "q", actions=[RELEARN, ESCAPE], status={"request": ASKED}), seen(status=FORMER), "new",
    ),
    "a rollback to nothing does not": (
        watching("b", "q", actions=[RELEARN, ESCAPE], status={"request": ASKED}), seen(), "r1",
    ),
    "a rollback is asked for once": (
        watching("q", "q", actions=[ESCAPE], status={"request": {**ASKED, "action": "Rollback"}}),
        seen(status=FORMER), "r1",
    ),
    "a rollback that no window calls for gives way to a retrain": (
        watching("d", actions=[RELEARN, ESCAPE], status={"request": {**ASKED, "action": "Rollback"}}),
        seen(status=FORMER), "new",
    ),
    "a rollback to nothing is not asked for": (watching("q", "q", actions=[ESCAPE]), seen(), None),
}  # fmt: skip


@pytest.mark.parametrize(("given", "found", "expected"), STANDING.values(), ids=STANDING.keys())
def test_how_long_a_request_stands(given: Monitor, found: Seen, expected: str | None) -> None:
    record, _ = requested(given, given.status, found, NOW)
    name = record.request.id if record.request else None
    assert (name not in (None, "r1")) if expected == "new" else (name == expected)


def counts(found: Seen, **record: Any) -> RetrainStatus:
    result = counted(RetrainStatus.parse({"consecutiveRefusals": 1, "trainingJob": "run-1", **record}), found)
    assert result is not None
    return result


COUNTED = {
    "promoted": (counts(seen(retrained=run_("Promote"))), ("Promote", 0)),
    "held": (counts(seen(retrained=run_("Hold"))), ("Hold", 2)),
    "rejected": (counts(seen(retrained=run_("Reject"))), ("Reject", 2)),
    "inconclusive": (counts(seen(retrained=run_("Inconclusive"))), ("Inconclusive", 2)),
    "failed": (counts(seen(retrained=run_())), ("Failed", 2)),
    "goes on": (counts(seen(retrained=run_(done=False))), (None, 1)),
    "counted already": (counts(seen(retrained=run_("Hold")), countedRun="run-1", lastVerdict="Hold"), ("Hold", 1)),
    "gone": (counts(seen(retrained=None)), (None, 1)),
}


@pytest.mark.parametrize(("found", "expected"), COUNTED.values(), ids=COUNTED.keys())
def test_each_verdict_counts_once(found: RetrainStatus, expected: tuple[str | None, int]) -> None:
    assert (found.last_verdict, found.consecutive_refusals) == expected


def test_the_run_of_a_request_is_known_by_the_answer() -> None:
    found = counts(seen(answer=answered(ref="run-2")), trainingJob="run-1")
    assert found.training_job == "run-2"
