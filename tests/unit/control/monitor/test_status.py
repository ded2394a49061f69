"""What a pass concludes about a Monitor: a row for each state and each reason."""

from datetime import UTC, datetime
from typing import Any

import pytest

from builders import (
    champion,
    condition,
    digest,
    ended_pod,
    job,
    model_deployment,
    monitor,
    monitor_result,
    over,
    pod,
)
from kstatus import kstatus
from toys import SETTINGS
from treadle.api.datasource import DatasetVersion
from treadle.api.modeldeployment import ModelDeploymentStatus
from treadle.api.monitor import Monitor
from treadle.api.names import ANNOTATION_REQUESTED_AT
from treadle.control.engine.errors import Invalid
from treadle.control.engine.ports import Object, Outcome
from treadle.control.jobs import Runs
from treadle.control.monitor.due import begun, bounds, size
from treadle.control.monitor.seen import Seen, Watched
from treadle.control.monitor.status import CONDITIONS, status

NOW = datetime(2026, 1, 5, 8, 10, tzinfo=UTC)
HOUR = bounds(datetime(2026, 1, 5, 8, 0, tzinfo=UTC), size(Monitor.read(monitor())))


def watched(letter: str | None = "a", *, logged: bool = True, template: bool = True, **status: Any) -> Watched:
    found = model_deployment(champion={**champion(letter), "since": "2026-01-05T06:00:00Z"} if letter else None)
    return Watched(ModelDeploymentStatus.parse({**found.get("status", {}), **status}), template, logged, "flights")


def attempt(raw: Object | None = None, **more: Any) -> Object:
    """Return the record of the window from 7 to 8, under way."""
    return {**begun(Monitor.read(raw or monitor()), HOUR, digest("a")).dump(), **more}


def judging(raw: Object | None = None, status: Object | None = None, **more: Any) -> Object:
    raw = raw or monitor()
    written = {"lastScheduleTime": "2026-01-05T08:00:00Z", **(raw.get("status") or {}), **(status or {})}
    return {**raw, "status": {**written, "attempt": attempt(raw, **more)}}


WATCHED = watched()


def judge(raw: Object, job_: Object | None = None, *pods: Object, target: Watched | None = WATCHED,
          at: datetime = NOW, version: DatasetVersion | None = None) -> Outcome:  # fmt: skip
    seen = Seen(SETTINGS, Runs((job_,) if job_ else (), pods), target, version)
    return status(Monitor.read(raw), seen, at)


def ending(result: Any, raw: Object | None = None, how: str = "Complete", code: int = 0, **seen: Any) -> Outcome:
    """Return the conclusion of a pass that meets a window that was judged."""
    raw = raw or judging()
    ended = job(raw, raw["status"]["attempt"]["jobName"], status=over(how))
    return judge(raw, ended, ended_pod(ended, result, code), **seen)


def shown(outcome: Outcome) -> dict[str, tuple[str, str]]:
    return {found["type"]: (found["status"], found["reason"]) for found in outcome.status["conditions"]}


UNJUDGED = dict.fromkeys(("DriftSuspected", "DriftDetected", "QualityBreached"), ("Unknown", "NotJudged"))
SETTLED = {"Reconciling": ("False", "Settled"), "Stalled": ("False", "Settled")}
QUIET = {"RetrainBlocked": ("False", "Free"), **SETTLED}
STATES: dict[str, tuple[Outcome, dict[str, tuple[str, str]], str]] = {
    "it waits for its target": (
        judge(monitor(), target=None),
        {
            "Ready": ("False", "WaitingForModelDeployment"), "DataFlowing": ("Unknown", "NotJudged"), **UNJUDGED,
            "RetrainBlocked": ("False", "Free"), "Reconciling": ("True", "Waiting"), "Stalled": ("False", "Settled"),
        },
        "InProgress",
    ),
    "the target has no model": (
        judge(monitor(), target=watched(None)),
        {"Ready": ("True", "Watching"), "DataFlowing": ("False", "NoModel"), **UNJUDGED, **QUIET}, "Current",
    ),
    "the target keeps no log": (
        judge(monitor(), target=watched(logged=False)),
        {"Ready": ("True", "Watching"), "DataFlowing": ("False", "NoLog"), **UNJUDGED, **QUIET}, "Current",
    ),
    "the first window is to come": (
        judge(monitor(), at=datetime(2026, 1, 5, 7, 10, tzinfo=UTC)),
        {"Ready": ("True", "Watching"), "DataFlowing": ("Unknown", "NotJudged"), **UNJUDGED, **QUIET}, "Current",
    ),
    "suspended": (
        judge(monitor(suspended=True)),
        {"Ready": ("True", "Suspended"), "DataFlowing": ("Unknown", "NotJudged"), **UNJUDGED, **QUIET}, "Current",
    ),
    "healthy": (
        ending(monitor_result("Healthy")),
        {
            "Ready": ("True", "Watching"), "DataFlowing": ("True", "Enough"), "DriftSuspected": ("False", "NoDrift"),
            "DriftDetected": ("False", "NoDrift"), "QualityBreached": ("False", "WithinLimits"), **QUIET,
        },
        "Current",
    ),
    "suspected once": (
        ending(monitor_result("Suspected")),
        {
            "Ready": ("True", "Watching"), "DataFlowing": ("True", "Enough"),
            "DriftSuspected": ("True", "ColumnsMoved"), "DriftDetected": ("False", "NoDrift"),
            "QualityBreached": ("False", "WithinLimits"), **QUIET,
        },
        "Current",
    ),
    "detected": (
        ending(monitor_result("Suspected"), judging(monitor(drift={"confirmWindows": 1}))),
        {
            "Ready": ("True", "Watching"), "DataFlowing": ("True", "Enough"),
            "DriftSuspected": ("True", "ColumnsMoved"), "DriftDetected": ("True", "ColumnsMoved"),
            "QualityBreached": ("False", "WithinLimits"), **QUIET,
        },
        "Current",
    ),
    "too few samples": (
        ending(monitor_result("Insufficient")),
        {
            "Ready": ("True", "Watching"), "DataFlowing": ("False", "Insufficient"),
            "DriftSuspected": ("Unknown", "Insufficient"), "DriftDetected": ("Unknown", "Insufficient"),
            "QualityBreached": ("Unknown", "Insufficient"), **QUIET,
        },
        "Current",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("outcome", "expected", "health"), STATES.values(), ids=STATES.keys())
def test_states(outcome: Outcome, expected: dict[str, tuple[str, str]], health: str) -> None:
    assert [found["type"] for found in outcome.status["conditions"]] == list(CONDITIONS)
    assert shown(outcome) == expected
    assert kstatus(outcome.status["conditions"]) == health


def found(**findings: tuple[str, str]) -> Any:
    both = {"DataFlowing": ("True", "Enough"), "DriftSuspected": ("False", "NoDrift"),
            "QualityBreached": ("False", "WithinLimits"), **findings}  # fmt: skip
    spelt = {type_: {"status": pair[0], "reason": pair[1]} for type_, pair in both.items()}
    return monitor_result("Healthy", findings=spelt)


FINDINGS = {
    "PredictionsMoved": (found(DriftSuspected=("True", "PredictionsMoved")), "DriftSuspected", "True", "Suspected"),
    "Disabled": (found(DriftSuspected=("Unknown", "Disabled")), "DriftDetected", "Unknown", "Healthy"),
    "TooManyNulls": (found(QualityBreached=("True", "TooManyNulls")), "QualityBreached", "True", "Detected"),
    "UnseenValues": (found(QualityBreached=("True", "UnseenValues")), "QualityBreached", "True", "Detected"),
    "OutOfRange": (found(QualityBreached=("True", "OutOfRange")), "QualityBreached", "True", "Detected"),
    "RequestsRejected": (found(QualityBreached=("True", "RequestsRejected")), "QualityBreached", "True", "Detected"),
}


@pytest.mark.parametrize("reason", FINDINGS)
def test_findings(reason: str) -> None:
    result, type_, state, verdict = FINDINGS[reason]
    outcome = ending(result)
    assert shown(outcome)[type_] == (state, reason)
    assert outcome.status["lastWindow"]["verdict"] == verdict == outcome.status["windows"][0]["verdict"]


def naming(columns: dict[str, str], **findings: tuple[str, str]) -> Any:
    """Return a window whose findings are about these columns, by condition; dest is the farthest of those tested."""
    result = found(**findings)
    judged = {type_: one.model_copy(update={"column": columns.get(type_)}) for type_, one in result.findings.items()}
    return result.model_copy(update={"findings": judged})


SUSPECTED, BREACHED = {"DriftSuspected": ("True", "ColumnsMoved")}, {"QualityBreached": ("True", "UnseenValues")}
WORST = {
    "nothing moved": (naming({}), "dest"),
    "a column moved": (naming({"DriftSuspected": "hour"}, **SUSPECTED), "hour"),
    "a column passed a limit": (naming({"QualityBreached": "origin"}, **BREACHED), "origin"),
    "one moved and another passed a limit": (
        naming({"DriftSuspected": "hour", "QualityBreached": "origin"}, **SUSPECTED, **BREACHED), "origin",
    ),
    "requests were refused, which is no column's fault": (naming({}, **BREACHED), None),
    "too few samples": (monitor_result("Insufficient"), None),
}  # fmt: skip


@pytest.mark.parametrize(("result", "column"), WORST.values(), ids=WORST.keys())
def test_the_column_to_look_at_first(result: Any, column: str | None) -> None:
    assert ending(result).status["lastWindow"].get("worstColumn") == column


def test_another_champion_leaves_the_last_window_as_it_was_judged() -> None:
    judged = ending(monitor_result("Suspected"), judging(monitor(drift={"confirmWindows": 1}))).status
    later = judge(monitor(status=judged), target=watched("b")).status
    assert later["lastWindow"] == judged["lastWindow"]
    assert (later["lastWindow"]["verdict"], later["lastWindow"]["worstColumn"]) == ("Detected", "dest")
    assert "drift" not in later


HINDERED_BY_THE_WORLD = ("SecretNotFound", "AccessDenied", "ConnectionFailed", "ChecksumMismatch")
FINAL = ("ReferenceGone", "InvalidSpec", "ReconcileError")


@pytest.mark.parametrize("reason", [*HINDERED_BY_THE_WORLD, *FINAL])
def test_a_window_that_cannot_be_judged(reason: str) -> None:
    outcome = ending(monitor_result("Failed", reason=reason, message="why"), how="Failed", code=1)
    assert (shown(outcome)["Ready"], shown(outcome)["Stalled"]) == (("False", reason), ("True", reason))
    assert kstatus(outcome.status["conditions"]) == "Failed"
    assert outcome.status["attempt"]["finished"] == (reason in FINAL)
    assert [(event.reason, event.type) for event in outcome.events] == [(reason, "Warning")]
    ready = next(each for each in outcome.status["conditions"] if each["type"] == "Ready")
    assert ready["message"] == f"why. docs: reasons/{reason}"


@pytest.mark.parametrize("reason", FINAL)
def test_a_window_that_cannot_be_judged_stands_until_the_next_was(reason: str) -> None:
    failed = ending(monitor_result("Failed", reason=reason, message="why"), how="Failed", code=1).status
    later = judge(monitor(status=failed))
    assert (later.status, list(later.events)) == (failed, [])
    newer = judge(monitor(status=failed), at=datetime(2026, 1, 5, 9, 1, tzinfo=UTC))
    assert newer.status["attempt"]["start"] == "2026-01-05T08:00:00Z"
    assert shown(newer)["Ready"] == (("False", reason) if reason != "ReconcileError" else ("True", "Watching"))


PASSED = ("NameTaken", "Unschedulable", "WaitingForModelDeployment")


@pytest.mark.parametrize("reason", PASSED)
def test_what_is_about_a_moment_passes_with_it(reason: str) -> None:
    raw = judging(status={"conditions": [condition("Ready", "False", reason)]})
    live = job(raw, raw["status"]["attempt"]["jobName"])
    assert shown(judge(raw, live, pod(live, {"running": {}})))["Ready"] == ("True", "Watching")


def test_a_new_spec_is_not_blamed_for_the_old_one() -> None:
    raw = judging(monitor(metadata={"generation": 2}), status={
        "conditions": [condition("Ready", "False", "InvalidSpec")], "observedGeneration": 1})  # fmt: skip
    assert shown(judge(raw))["Ready"] == ("True", "Watching")


SILENT = {
    "killed for memory": ("OOMKilled", over("Failed"), "OutOfMemory"),
    "over its deadline": ("Error", over("Failed", reason="DeadlineExceeded"), "DeadlineExceeded"),
    "without a word": ("Error", over("Failed"), "ResultMissing"),
}


@pytest.mark.parametrize(("end", "how", "reason"), SILENT.values(), ids=SILENT.keys())
def test_a_job_that_ends_without_a_result(end: str, how: Object, reason: str) -> None:
    raw = judging()
    ended = job(raw, raw["status"]["attempt"]["jobName"], status=how)
    outcome = judge(raw, ended, ended_pod(ended, None, 137, end))
    assert shown(outcome)["Ready"] == ("False", reason)
    assert outcome.status["attempt"]["finished"] is True


NO_NODE = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes: memory"}


def hindered(**state: Any) -> Outcome:
    raw = judging()
    live = job(raw, raw["status"]["attempt"]["jobName"], created="2026-01-05T08:00:00Z")
    return judge(raw, live, *([pod(live, {"waiting": {}}, **state)] if state else []))


HINDERED = {
    "no node fits": (hindered(conditions=[NO_NODE]), "Unschedulable"),
    "no pod is admitted": (hindered(), "PodQuotaExceeded"),
}


@pytest.mark.parametrize(("outcome", "reason"), HINDERED.values(), ids=HINDERED.keys())
def test_what_hinders_a_job_under_way(outcome: Outcome, reason: str) -> None:
    assert (shown(outcome)["Ready"], shown(outcome)["Stalled"]) == (("False", reason), ("True", reason))


def refused(at: datetime = NOW, **metadata: Any) -> Outcome:
    first = ending(monitor_result("Failed", reason="AccessDenied"), how="Failed", code=1).status
    raw = monitor(status=first, metadata=metadata)
    ended = job(raw, first["attempt"]["jobName"], status=over("Failed", at="2026-01-05T08:09:50Z"))
    return judge(raw, ended, ended_pod(ended, monitor_result("Failed", reason="AccessDenied"), 1), at=at)


RETRIES = {
    "not before thirty seconds": (refused(), 0, 20),
    "after thirty seconds": (refused(datetime(2026, 1, 5, 8, 10, 20, tzinfo=UTC)), 1, 10),
}


@pytest.mark.parametrize(("outcome", "number", "again"), RETRIES.values(), ids=RETRIES.keys())
def test_what_the_world_hindered_is_tried_again(outcome: Outcome, number: int, again: float) -> None:
    assert (outcome.status["attempt"]["attempt"], outcome.again) == (number, again)
    assert outcome.status["attempt"]["start"] == "2026-01-05T07:00:00Z"
    assert (shown(outcome)["Ready"], shown(outcome)["Stalled"][0]) == (("False", "AccessDenied"), "True")
    assert not outcome.events


def test_a_new_spec_is_a_reason_to_retry_at_once() -> None:
    outcome = refused(generation=2)
    assert (outcome.status["attempt"]["attempt"], outcome.again) == (1, 10)
    assert shown(outcome)["Ready"] == ("True", "Watching")


def test_the_newest_window_replaces_one_that_cannot_be_judged() -> None:
    outcome = refused(datetime(2026, 1, 5, 9, 0, 30, tzinfo=UTC))
    assert (outcome.status["attempt"]["start"], outcome.status["attempt"]["attempt"]) == ("2026-01-05T08:00:00Z", 0)
    assert shown(outcome)["Ready"] == ("False", "AccessDenied")


def test_a_window_that_is_judged_again_ends_the_trouble() -> None:
    held = [condition("Ready", "False", "AccessDenied", "403")]
    outcome = ending(monitor_result("Healthy"), judging(status={"conditions": held}, attempt=1))
    assert (shown(outcome)["Ready"], shown(outcome)["Stalled"]) == (("True", "Watching"), ("False", "Settled"))


def test_drift_is_confirmed_by_the_second_window_and_asks_for_a_retrain() -> None:
    actions = [{"name": "relearn", "when": ["DriftDetected"], "do": "Retrain"}]
    first = ending(monitor_result("Suspected"), judging(monitor(actions=actions))).status
    assert "request" not in first and first["drift"]["shiftAt"] == "2026-01-05T07:00:00Z"
    assert "Suspected in 1 of 2 windows in a row; the next one decides" in first["summary"]
    raw = judging(monitor(actions=actions, status=first))
    window = ("2026-01-05T08:00:00Z", "2026-01-05T09:00:00Z")
    raw["status"]["attempt"].update(start=window[0], end=window[1])
    outcome = ending(monitor_result("Suspected", window), raw, at=datetime(2026, 1, 5, 9, 1, tzinfo=UTC))
    assert shown(outcome)["DriftDetected"] == ("True", "ColumnsMoved")
    assert outcome.status["request"]["cause"] == "DriftDetected"
    assert outcome.status["drift"]["shiftAt"] == "2026-01-05T07:00:00Z"
    assert "flights-late was asked to retrain" in outcome.status["summary"]
    assert [(event.reason, event.type) for event in outcome.events] == [("DriftDetected", "Normal")]


def test_a_finding_is_told_once_to_people() -> None:
    first = ending(monitor_result("Detected"))
    assert [(event.reason, event.type) for event in first.events] == [("TooManyNulls", "Warning")]
    assert first.events[0].message == first.status["summary"]
    window = ("2026-01-05T08:00:00Z", "2026-01-05T09:00:00Z")
    raw = judging(monitor(status=first.status))
    raw["status"]["attempt"].update(start=window[0], end=window[1])
    assert not ending(monitor_result("Detected", window), raw).events


def test_the_shift_of_a_long_streak_stays() -> None:
    rows = [
        {"start": f"2026-01-05T0{hour}:00:00Z", "verdict": "Detected", "breached": ["DriftSuspected", "DriftDetected"],
         "championDigest": digest("a")}
        for hour in range(6, 0, -1)
    ]  # fmt: skip
    known = {"windows": rows, "drift": {"score": "0.1", "shiftAt": "2026-01-01T00:00:00Z"}}
    outcome = ending(monitor_result("Suspected"), judging(status=known))
    assert outcome.status["drift"]["shiftAt"] == "2026-01-01T00:00:00Z"


def test_another_champion_begins_anew() -> None:
    actions = [{"name": "relearn", "when": ["DriftDetected"], "do": "Retrain"}]
    raw = monitor(drift={"confirmWindows": 1}, actions=actions)
    first = ending(monitor_result("Suspected"), judging(raw)).status
    assert "request" in first
    outcome = judge({**raw, "status": first}, target=watched("b"))
    assert (shown(outcome)["DriftDetected"], shown(outcome)["DataFlowing"]) == (("Unknown", "NotJudged"),) * 2
    assert "request" not in outcome.status and "drift" not in outcome.status
    assert outcome.status["windows"] == first["windows"]


def test_a_window_of_a_former_champion_is_kept_and_judges_nobody() -> None:
    outcome = ending(monitor_result("Detected"), target=watched("b"))
    assert outcome.status["lastWindow"]["championDigest"] == digest("a")
    assert shown(outcome)["QualityBreached"] == ("Unknown", "NotJudged")
    assert not outcome.events


ASK = {"annotations": {ANNOTATION_REQUESTED_AT: "2026-01-05T08:09:00Z"}}


def test_a_person_may_ask_for_the_window_that_ends_now_and_frees_the_breaker() -> None:
    retrain = {"retrain": {"consecutiveRefusals": 3, "trainingJob": "r", "lastVerdict": "Hold", "countedRun": "r"}}
    outcome = judge(monitor(metadata=ASK, status=retrain))
    found = outcome.status
    assert (found["attempt"]["start"], found["attempt"]["end"]) == ("2026-01-05T07:10:00Z", "2026-01-05T08:10:00Z")
    assert found["handledRequest"] == "2026-01-05T08:09:00Z"
    assert found["retrain"]["consecutiveRefusals"] == 0
    assert shown(outcome)["RetrainBlocked"] == ("False", "Free")
    assert outcome.again == 30
    again = judge(monitor(metadata=ASK, status={**found, "attempt": {**found["attempt"], "finished": True}}))
    assert again.status["attempt"]["end"] == found["attempt"]["end"]


def test_changed_rules_rename_a_window_whose_job_is_not_made() -> None:
    raw = judging(monitor())
    changed = monitor(drift={"alpha": "0.05"}, status=raw["status"], metadata={"generation": 2})
    outcome = judge(changed)
    assert outcome.status["attempt"]["runKey"] != raw["status"]["attempt"]["runKey"]
    assert outcome.status["attempt"]["start"] == raw["status"]["attempt"]["start"]


WRONG = {
    "a schedule": ({"schedule": "* * *  "}, "spec.schedule"),
    "a zone": ({"timeZone": "Mars/Base"}, "spec.timeZone"),
    "a window": ({"window": {"size": "5s"}}, "spec.window.size"),
}


@pytest.mark.parametrize(("spec", "field"), WRONG.values(), ids=WRONG.keys())
@pytest.mark.parametrize("target", [watched(), watched(None)], ids=["with a model", "without one"])
def test_what_cannot_be_meant_is_invalid(spec: Object, field: str, target: Watched) -> None:
    with pytest.raises(Invalid) as refused_:
        judge(monitor(**spec), target=target)
    assert refused_.value.reason == "InvalidSpec" and refused_.value.message.startswith(field)


AGAIN = {
    "when the next log has arrived": (ending(monitor_result("Healthy")), 50 * 60 + 30),
    "never while suspended": (judge(monitor(suspended=True)), None),
    "never without a model": (judge(monitor(), target=watched(None)), None),
}


@pytest.mark.parametrize(("outcome", "seconds"), AGAIN.values(), ids=AGAIN.keys())
def test_when_it_looks_again(outcome: Outcome, seconds: float | None) -> None:
    assert outcome.again == seconds


SUMMARIES = {
    "healthy": (
        ending(monitor_result("Healthy")),
        "961 predictions from 2026-01-05T07:00:00Z to 2026-01-05T08:00:00Z: nothing moved.",
    ),
    "insufficient": (
        ending(monitor_result("Insufficient")),
        "10 predictions from 2026-01-05T07:00:00Z to 2026-01-05T08:00:00Z: too few to judge, window.minSamples is 30.",
    ),
    "detected, and nobody acts": (
        ending(monitor_result("Suspected"), judging(monitor(drift={"confirmWindows": 1}))),
        "961 predictions from 2026-01-05T07:00:00Z to 2026-01-05T08:00:00Z: dest moved most (effect 0.21); 2 of 7 "
        "columns. The model answers for inputs unlike those it learnt from. Look at the source before you retrain.",
    ),
    "no model": (judge(monitor(), target=watched(None)), "ModelDeployment 'flights-late' has no champion yet"),
}


@pytest.mark.parametrize(("outcome", "text"), SUMMARIES.values(), ids=SUMMARIES.keys())
def test_summaries(outcome: Outcome, text: str) -> None:
    assert outcome.status["summary"] == text
