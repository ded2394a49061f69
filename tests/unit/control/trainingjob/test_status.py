"""What a pass concludes about a TrainingJob: a row for each state and each reason."""

from datetime import UTC, datetime
from typing import Any

import pytest

from builders import condition, digest, ended_pod, job, over, pod, train_result, training_job, version
from kstatus import kstatus
from toys import SETTINGS
from treadle.api.datasource import DatasetVersion
from treadle.api.step import Progress
from treadle.api.trainingjob import TrainingJob
from treadle.control.engine.ports import Object, Outcome
from treadle.control.jobs import Runs
from treadle.control.trainingjob.keys import NOBODY, Target
from treadle.control.trainingjob.observe import Seen
from treadle.control.trainingjob.status import CONDITIONS, STAGES, status

NOW = datetime(2026, 1, 5, 8, 10, tzinfo=UTC)
NAME = "first-0123456789"
RECORD = {
    "startTime": "2026-01-05T08:00:00Z", "jobName": NAME, "retries": 0, "runKey": "5" * 64,
    "data": {"digest": digest("d"), "short": "d" * 12}, "champion": digest("a"), "observedGeneration": 1,
    "conditions": [condition("DataResolved", "True", "Resolved"), condition("Complete", "False", "Running")],
}  # fmt: skip
CURRENT = DatasetVersion.parse(version("d"))


def running(status: Object | None = None, **spec: Any) -> Object:
    """Return a TrainingJob whose run is recorded and has not ended."""
    return training_job(status={**RECORD, **(status or {})}, **spec)


def judge(raw: Object, job_: Object | None = None, *pods: Object, at: datetime = NOW, **seen: Any) -> Outcome:
    return status(TrainingJob.read(raw), Seen(SETTINGS, Runs((job_,) if job_ else (), pods), **seen), at)


def ending(result: Any, raw: Object | None = None, how: str = "Complete", code: int = 0) -> Outcome:
    """Return the conclusion of a pass that meets a run that ended."""
    raw = raw or running()
    name = raw["status"]["jobName"]
    ended = job(raw, name, status=over(how), activeDeadlineSeconds=3600)
    return judge(raw, ended, ended_pod(ended, result, code))


def shown(outcome: Outcome) -> dict[str, tuple[str, str]]:
    return {found["type"]: (found["status"], found["reason"]) for found in outcome.status["conditions"]}


def message(outcome: Outcome, type_: str) -> str:
    return str(next(found["message"] for found in outcome.status["conditions"] if found["type"] == type_))


def test_the_first_pass_resolves_the_version_and_records_the_run() -> None:
    outcome = judge(training_job(), has_data_source=True, version=CURRENT)
    assert [found["type"] for found in outcome.status["conditions"]] == list(CONDITIONS)
    assert shown(outcome) == {
        "Complete": ("False", "Running"),
        "Failed": ("False", "NotFailed"),
        "Admitted": ("True", "NotQueued"),
        "DataResolved": ("True", "Resolved"),
        "Trained": ("Unknown", "Running"),
        "Evaluated": ("Unknown", "NotJudged"),
        "Registered": ("Unknown", "NotJudged"),
        "GatePassed": ("Unknown", "NotJudged"),
        "Reconciling": ("False", "Settled"),
        "Stalled": ("False", "Settled"),
    }
    assert outcome.status["data"] == {"digest": digest("d"), "short": "d" * 12}
    assert (outcome.status["retries"], len(outcome.status["runKey"])) == (0, 64)
    assert "champion" not in outcome.status and not outcome.events
    assert kstatus(outcome.status["conditions"]) == "Current"


FEW = {"dataRef": {"name": "flights", "window": {"minLabelledRows": 9000}}}
WAITS: dict[str, tuple[Object, dict[str, Any], tuple[str, str], str, str]] = {
    "for the DataSource": (
        training_job(), {}, ("WaitingForDataSource", "WaitingForDataSource"), "InProgress", "does not exist",
    ),
    "for its first version": (
        training_job(), {"has_data_source": True}, ("WaitingForVersion", "WaitingForDataSource"), "InProgress",
        "has no version yet",
    ),
    "for enough rows": (
        training_job(**FEW), {"has_data_source": True, "version": CURRENT},
        ("NotEnoughLabelledRows", "WaitingForDataSource"), "InProgress", "at most 8000 rows",
    ),
    "for the champion's deployment": (
        training_job(against="flights-late"),
        {"has_data_source": True, "version": CURRENT, "target": Target("flights-late")},
        ("Resolved", "WaitingForModelDeployment"), "InProgress", "ModelDeployment 'flights-late' does not exist",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("raw", "seen", "reasons", "health", "text"), WAITS.values(), ids=WAITS.keys())
def test_what_it_waits_for(raw: Object, seen: dict[str, Any], reasons: tuple[str, str], health: str, text: str) -> None:
    outcome = judge(raw, **seen)
    resolved, complete = reasons
    assert shown(outcome)["DataResolved"][1] == resolved
    assert shown(outcome)["Complete"] == ("False", complete)
    assert shown(outcome)["Reconciling"] == ("True", "Waiting")
    assert text in message(outcome, "Complete")
    assert message(outcome, "Complete").endswith(f"docs: reasons/{complete}")
    assert "runKey" not in outcome.status
    assert kstatus(outcome.status["conditions"]) == health


def test_the_champion_is_resolved_at_the_start() -> None:
    target = Target("flights-late", exists=True, champion=digest("a"))
    outcome = judge(training_job(against="flights-late"), has_data_source=True, version=CURRENT, target=target)
    assert outcome.status["champion"] == digest("a")


VERDICTS = {
    "Promote": ("PassedGate", ("True", "AllChecksPassed")),
    "Hold": ("HeldByGate", ("False", "NotBetter")),
    "Reject": ("RejectedByGate", ("False", "FloorMissed")),
    "Inconclusive": ("GateInconclusive", ("Unknown", "TooFewRows")),
}


@pytest.mark.parametrize("outcome_", VERDICTS)
def test_a_verdict_completes_the_run(outcome_: str) -> None:
    reason, gate = VERDICTS[outcome_]
    outcome = ending(train_result(outcome_))
    assert shown(outcome) == {
        "Complete": ("True", reason),
        "Failed": ("False", "NotFailed"),
        "Admitted": ("True", "NotQueued"),
        "DataResolved": ("True", "Resolved"),
        "Trained": ("True", "Trained"),
        "Evaluated": ("True", "Evaluated"),
        "Registered": ("True", "Registered"),
        "GatePassed": gate,
        "Reconciling": ("False", "Settled"),
        "Stalled": ("False", "Settled"),
    }
    found = outcome.status
    assert found["completionTime"] == "2026-01-05T08:05:00Z"
    assert (found["gate"]["verdict"], found["gate"]["decidedAt"]) == (outcome_, "2026-01-05T08:05:00Z")
    assert (found["model"]["name"], found["model"]["digest"]) == ("flights-late", digest("b"))
    assert (found["primaryMetric"]["value"], found["progress"]["percentage"]) == ("0.861", 100)
    assert [(event.reason, event.type) for event in outcome.events] == [(reason, "Normal")]
    assert message(outcome, "Complete") == f"average_precision 0.861. docs: reasons/{reason}" == found["message"]
    assert kstatus(found["conditions"]) == "Current"


GATES = {
    "no champion": (train_result(reason="NoChampion"), ("True", "NoChampion")),
    "a slice": (train_result("Hold", reason="SliceRegressed"), ("False", "SliceRegressed")),
    "a used-up holdout": (train_result("Inconclusive", reason="HoldoutUsedUp"), ("Unknown", "HoldoutUsedUp")),
    "an unscorable champion": (
        train_result("Inconclusive", reason="ChampionUnscorable"), ("Unknown", "ChampionUnscorable"),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("result", "gate"), GATES.values(), ids=GATES.keys())
def test_why_the_gate_says_so(result: Any, gate: tuple[str, str]) -> None:
    assert shown(ending(result))["GatePassed"] == gate


FAILED = {
    "DataResolved": ("DataGone", "InvalidSpec"),
    "Trained": ("TrainingError", "OneClassTarget"),
    "Evaluated": ("MetricsInvalid", "TooFewRows"),
    "Registered": ("FormatRefused", "ConversionMismatch"),
}
FAILED_ROWS = [(stage, reason) for stage, reasons in FAILED.items() for reason in reasons]


@pytest.mark.parametrize(("stage", "reason"), FAILED_ROWS, ids=[reason for _, reason in FAILED_ROWS])
def test_a_recipe_that_fails_is_not_repeated(stage: str, reason: str) -> None:
    outcome = ending(train_result("Failed", reason=reason, failed=stage, message="why"), how="Failed", code=10)
    found = shown(outcome)
    assert (found["Complete"], found["Failed"]) == (("False", reason), ("True", reason))
    assert found["Stalled"] == ("True", reason)
    place = STAGES.index(stage)
    assert [found[each][0] for each in STAGES] == ["True"] * place + ["False"] + ["Unknown"] * (4 - place)
    assert found[stage] == ("False", reason)
    assert outcome.status["completionTime"] == "2026-01-05T08:05:00Z"
    assert [(event.reason, event.type) for event in outcome.events] == [(reason, "Warning")]
    assert message(outcome, "Failed") == f"why. docs: reasons/{reason}" == outcome.status["message"]
    assert kstatus(outcome.status["conditions"]) == "Failed"


def silent(exit_code: int, reason: str, how: Object) -> Outcome:
    raw = running()
    ended = job(raw, NAME, status=how, activeDeadlineSeconds=3600)
    return judge(raw, ended, ended_pod(ended, None, exit_code, reason))


SILENT = {
    "killed for memory": (silent(137, "OOMKilled", over("Failed")), "OutOfMemory"),
    "over its deadline": (silent(1, "Error", over("Failed", reason="DeadlineExceeded")), "DeadlineExceeded"),
    "without a word": (silent(1, "Error", over("Failed")), "ResultMissing"),
}


@pytest.mark.parametrize(("outcome", "reason"), SILENT.values(), ids=SILENT.keys())
def test_a_run_that_ends_without_a_result_fails(outcome: Outcome, reason: str) -> None:
    assert shown(outcome)["Failed"] == ("True", reason)
    assert message(outcome, "Failed").endswith(f"docs: reasons/{reason}")


WORLD = (
    "SecretNotFound", "ConfigMapNotFound", "NameNotResolved", "ConnectionFailed", "TLSFailed", "ClockSkewed",
    "CredentialsRejected", "BucketNotFound", "RegionMismatch", "AccessDenied", "QuotaExceeded", "Throttled",
    "StoreUnsupported", "ChecksumMismatch", "SignatureInvalid",
)  # fmt: skip


@pytest.mark.parametrize("reason", WORLD)
def test_what_the_world_hinders_is_stalled_and_tried_again(reason: str) -> None:
    result = train_result("Failed", reason=reason, failed="DataResolved", message="why")
    outcome = ending(result, how="Failed", code=1)
    found = shown(outcome)
    assert (found["Complete"], found["Failed"]) == (("False", reason), ("False", "NotFailed"))
    assert (found["Stalled"], found["DataResolved"]) == (("True", reason), ("True", "Resolved"))
    assert (outcome.status["retries"], outcome.status["runKey"]) == (1, "5" * 64)
    assert outcome.status["jobName"] != NAME and "completionTime" not in outcome.status
    assert kstatus(outcome.status["conditions"]) == "Failed"


def test_a_publication_that_fails_says_so_and_is_tried_again() -> None:
    result = train_result("Failed", reason="AccessDenied", failed="Registered", message="403 to PutObject")
    outcome = ending(result, how="Failed", code=1)
    assert shown(outcome)["Registered"] == ("False", "PublishFailed")
    assert shown(outcome)["Evaluated"] == ("True", "Evaluated")
    assert shown(outcome)["Complete"] == ("False", "AccessDenied")


def test_a_retry_waits_thirty_seconds_and_then_longer() -> None:
    result = train_result("Failed", reason="AccessDenied", failed="DataResolved")

    def after(seconds: int, retries: int) -> Outcome:
        raw = running({"retries": retries})
        ended = job(raw, NAME, status=over("Failed"))
        at = datetime(2026, 1, 5, 8, 5 + seconds // 60, seconds % 60, tzinfo=UTC)
        return judge(raw, ended, ended_pod(ended, result, 1), at=at)

    assert [(outcome.status["retries"], outcome.again) for outcome in (after(20, 0), after(30, 0))] == [
        (0, 10),
        (1, 10),
    ]
    assert [after(seconds, 2).status["retries"] for seconds in (119, 120)] == [2, 3]
    assert [after(seconds, 9).status["retries"] for seconds in (299, 300)] == [9, 10]


def test_a_new_generation_is_a_reason_to_retry_at_once() -> None:
    result = train_result("Failed", reason="AccessDenied", failed="DataResolved")
    raw = running({"retries": 9}, metadata={"generation": 2})
    ended = job(raw, NAME, status=over("Failed", at="2026-01-05T08:10:00Z"))
    assert judge(raw, ended, ended_pod(ended, result, 1)).status["retries"] == 10


def retrying(**seen: Any) -> Outcome:
    held = [condition("Complete", "False", "AccessDenied", "403"), condition("DataResolved", "True", "Resolved")]
    raw = running({"retries": 1, "conditions": held})
    live = job(raw, NAME)
    return judge(raw, live, pod(live, {"running": {}}), **seen)


RETRYING = {
    "the trouble stands while nothing was heard": (retrying(), "AccessDenied", "True"),
    "and at the very beginning": (
        retrying(progress=Progress(step="train", stage="prepare", percentage=0)), "AccessDenied", "True",
    ),
    "until the run is past it": (
        retrying(progress=Progress(step="train", stage="fit", percentage=10)), "Running", "False",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("outcome", "reason", "stalled"), RETRYING.values(), ids=RETRYING.keys())
def test_a_retry_does_not_flap(outcome: Outcome, reason: str, stalled: str) -> None:
    assert shown(outcome)["Complete"] == ("False", reason)
    assert shown(outcome)["Stalled"][0] == stalled
    assert not outcome.events


def test_a_second_pod_of_one_job_does_not_flap_either() -> None:
    raw = running()
    live = job(raw, NAME)
    failed = ended_pod(live, train_result("Failed", reason="AccessDenied", failed="DataResolved"), 1, "Error")
    first = judge(raw, live, failed)
    assert shown(first)["Complete"] == ("False", "AccessDenied")
    second = pod(live, {"running": {}}, name="second")
    second["metadata"]["creationTimestamp"] = "2026-01-05T08:00:30Z"
    later = judge(training_job(status=first.status), live, failed, second)
    assert shown(later)["Complete"] == ("False", "AccessDenied") and not later.events


@pytest.mark.parametrize("reason", ["Unschedulable", "PodQuotaExceeded", "ImagePullFailed"])
def test_a_pod_that_runs_ends_what_kept_it_from_running(reason: str) -> None:
    raw = running({"conditions": [condition("Complete", "False", reason)]})
    live = job(raw, NAME)
    assert shown(judge(raw, live, pod(live, {"running": {}})))["Complete"] == ("False", "Running")


RUNNING = running()
LIVE = job(RUNNING, NAME, created="2026-01-05T08:00:00Z")
NO_NODE = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes: memory"}
HINDERED = {
    "no node fits": (judge(RUNNING, LIVE, pod(LIVE, {"waiting": {}}, conditions=[NO_NODE])), "Unschedulable"),
    "no pod is admitted": (judge(RUNNING, LIVE), "PodQuotaExceeded"),
    "no image": (judge(RUNNING, LIVE, pod(LIVE, {"waiting": {"reason": "ImagePullBackOff"}})), "ImagePullFailed"),
}


@pytest.mark.parametrize(("outcome", "reason"), HINDERED.values(), ids=HINDERED.keys())
def test_what_hinders_a_run_under_way_is_told_at_once(outcome: Outcome, reason: str) -> None:
    assert (shown(outcome)["Complete"], shown(outcome)["Stalled"]) == (("False", reason), ("True", reason))
    assert shown(outcome)["Failed"] == ("False", "NotFailed")
    assert [(event.reason, event.type) for event in outcome.events] == [(reason, "Warning")]


HELD = {
    "before it is resolved": judge(training_job(suspended=True), has_data_source=True, version=CURRENT),
    "while it runs": judge(running(suspended=True), job(RUNNING, NAME)),
}


@pytest.mark.parametrize("outcome", HELD.values(), ids=HELD.keys())
def test_suspended(outcome: Outcome) -> None:
    assert shown(outcome)["Complete"] == ("False", "Suspended") == shown(outcome)["Admitted"]
    assert (shown(outcome)["Reconciling"][0], shown(outcome)["Stalled"][0]) == ("False", "False")
    assert kstatus(outcome.status["conditions"]) == "Current"


def test_suspended_before_the_start_resolves_nothing() -> None:
    assert "runKey" not in HELD["before it is resolved"].status


def test_a_verdict_is_taken_though_the_run_is_held() -> None:
    assert shown(ending(train_result(), running(suspended=True)))["Complete"] == ("True", "PassedGate")


def test_progress_is_recorded_with_its_time() -> None:
    live = job(RUNNING, NAME)
    progress = Progress(step="train", stage="fit", percentage=40, estimated_remaining_seconds=60)
    outcome = judge(RUNNING, live, pod(live, {"running": {}}), progress=progress)
    assert outcome.status["progress"] == {
        "percentage": 40, "estimatedRemainingSeconds": 60, "lastUpdatedTime": "2026-01-05T08:10:00Z",
    }  # fmt: skip


def short(raw: Object | None = None) -> Outcome:
    result = train_result("Failed", reason="NotEnoughLabelledRows", failed="DataResolved", message="no labelled row")
    return ending(result, raw, "Failed", 10)


def test_a_version_with_too_few_rows_waits_for_the_next() -> None:
    first = short()
    assert shown(first)["Complete"] == ("False", "WaitingForDataSource")
    assert shown(first)["DataResolved"] == ("False", "NotEnoughLabelledRows")
    assert "completionTime" not in first.status
    raw = training_job(status=first.status)
    same = judge(raw, has_data_source=True, version=CURRENT)
    assert same.status == first.status
    newer = judge(raw, has_data_source=True, version=DatasetVersion.parse(version("e")))
    assert newer.status["data"]["digest"] == digest("e")
    assert newer.status["runKey"] != first.status["runKey"]
    assert shown(newer)["Complete"] == ("False", "Running")


PINNED = {"dataRef": {"name": "flights", "version": digest("d")}}
TRIGGER = {"trigger": {"kind": "Monitor", "id": "1"}}


def test_a_version_pinned_by_hand_will_never_hold_more_rows() -> None:
    assert shown(short(running(**PINNED)))["Failed"] == ("True", "NotEnoughLabelledRows")


NEVER_MORE = "this version never has more: create a TrainingJob on a newer one, or with a lower bound"
ADVICE: dict[str, tuple[Object, str]] = {
    "of a version pinned by hand": ({}, NEVER_MORE),
    "of a generated run": (TRIGGER, "looked at again after the next version"),
}


@pytest.mark.parametrize(("spec", "advice"), ADVICE.values(), ids=ADVICE.keys())
def test_too_few_rows_say_what_comes_next(spec: Object, advice: str) -> None:
    raw = training_job(dataRef={**FEW["dataRef"], **PINNED["dataRef"]}, **spec)
    outcome = judge(raw, has_data_source=True, version=CURRENT)
    assert message(outcome, "DataResolved").endswith(f"is 9000; {advice}. docs: reasons/NotEnoughLabelledRows")


def test_a_generated_run_waits_so_that_its_maker_names_a_newer_version() -> None:
    outcome = short(running(**PINNED, **TRIGGER))
    assert shown(outcome)["Failed"] == ("False", "NotFailed")
    assert shown(outcome)["DataResolved"] == ("False", "NotEnoughLabelledRows")


def test_a_finished_run_never_changes() -> None:
    done = ending(train_result()).status
    raw = training_job(status=done, suspended=True, metadata={"generation": 2})
    outcome = judge(raw)
    assert {key: value for key, value in outcome.status.items() if key not in ("conditions", "observedGeneration")} == {
        key: value for key, value in done.items() if key not in ("conditions", "observedGeneration")
    }
    assert shown(outcome) == {found["type"]: (found["status"], found["reason"]) for found in done["conditions"]}
    assert (outcome.status["observedGeneration"], outcome.again, list(outcome.events)) == (2, None, [])


def test_nobody_is_asked_without_an_opponent() -> None:
    assert Target(None, False, None) == NOBODY
