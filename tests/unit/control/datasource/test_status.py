"""What a pass concludes about a DataSource: a row for each state and each reason."""

from datetime import UTC, datetime
from typing import Any

import pytest

from builders import condition, data_source, digest, ended_pod, ingest_result, job, over, pod, version
from kstatus import kstatus
from toys import SETTINGS
from treadle.api.datasource import DataSource
from treadle.api.names import ANNOTATION_REQUESTED_AT
from treadle.control.datasource.observe import Seen
from treadle.control.datasource.status import CHECKS_KEPT, CONDITIONS, VERSIONS_KEPT, status
from treadle.control.engine.errors import Invalid
from treadle.control.engine.ports import Object, Outcome
from treadle.control.jobs import Runs

NOW = datetime(2026, 1, 5, 8, 10, tzinfo=UTC)
NAME = "flights-0123456789"
ATTEMPT = {"jobName": NAME, "runKey": "5" * 64, "generation": 1, "startTime": "2026-01-05T08:00:00Z"}


def running(current: str | None = None, status: Object | None = None, **spec: Any) -> Object:
    """Return a DataSource whose fetch is recorded and has not ended."""
    return data_source(current=current, status={"lastAttempt": ATTEMPT, **(status or {})}, **spec)


def judge(raw: Object, job_: Object | None = None, *pods: Object, config: str | None = None, at: datetime = NOW,
          percentage: int | None = None) -> Outcome:  # fmt: skip
    source = DataSource.read(raw)
    seen = Seen(SETTINGS, Runs((job_,) if job_ else (), pods), config, percentage)
    return status(source, seen, at)


def ending(result: Any, raw: Object | None = None, how: str = "Complete", code: int = 0) -> Outcome:
    """Return the conclusion of a pass that meets a fetch that ended."""
    raw = raw or running()
    ended = job(raw, NAME, status=over(how))
    return judge(raw, ended, ended_pod(ended, result, code))


def shown(outcome: Outcome) -> dict[str, tuple[str, str]]:
    return {found["type"]: (found["status"], found["reason"]) for found in outcome.status["conditions"]}


def test_the_first_pass_records_a_fetch_and_gives_every_condition() -> None:
    outcome = judge(data_source())
    assert [found["type"] for found in outcome.status["conditions"]] == list(CONDITIONS)
    assert shown(outcome) == {
        "Ready": ("False", "Fetching"),
        **dict.fromkeys(CONDITIONS[1:5], ("Unknown", "NotJudged")),
        "Reconciling": ("True", "SpecChanged"),
        "Stalled": ("False", "Settled"),
    }
    assert outcome.status["lastAttempt"]["generation"] == 1
    assert kstatus(outcome.status["conditions"]) == "InProgress"
    assert not outcome.events


PUBLISHED = {
    "with nothing personal": (ingest_result(), data_source(), "NoPersonalColumns", "ChecksPassed"),
    "with personal columns": (ingest_result(protected=["tailnum"]), data_source(), "Applied", "ChecksPassed"),
    "with a warning": (
        ingest_result(checks=[{"name": "plausible", "severity": "Warn", "violations": 41, "fraction": "0.0002"}]),
        data_source(), "NoPersonalColumns", "PassedWithWarnings",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("result", "raw", "privacy", "quality"), PUBLISHED.values(), ids=PUBLISHED.keys())
def test_a_published_version(result: Any, raw: Object, privacy: str, quality: str) -> None:
    outcome = ending(result, {**raw, "status": {"lastAttempt": ATTEMPT}})
    assert shown(outcome) == {
        "Ready": ("True", "VersionPublished"),
        "Fetched": ("True", "Fetched"),
        "SchemaValid": ("True", "SchemaValid"),
        "PrivacyApplied": ("True", privacy),
        "QualityPassed": ("True", quality),
        "Reconciling": ("False", "Settled"),
        "Stalled": ("False", "Settled"),
    }
    found = outcome.status
    assert (found["currentVersion"]["digest"], found["currentVersion"]["short"]) == (digest("d"), "d" * 12)
    assert [row["digest"] for row in found["versions"]] == [digest("d")]
    assert (found["settledGeneration"], found["lastAttempt"]["result"]) == (1, "Published")
    assert found["lastAttempt"]["completionTime"] == "2026-01-05T08:05:00Z"
    assert [(event.reason, event.type) for event in outcome.events] == [("VersionPublished", "Normal")]
    assert kstatus(found["conditions"]) == "Current"


REFUSED = {
    "Fetched": ("SourceEmpty", "SourceChanged", "FormatError", "InvalidSpec", "SecretNotFound", "ConfigMapNotFound",
                "NameNotResolved", "ConnectionFailed", "TLSFailed", "ClockSkewed", "CredentialsRejected",
                "BucketNotFound", "RegionMismatch", "AccessDenied", "QuotaExceeded", "Throttled", "StoreUnsupported",
                "ChecksumMismatch", "ReconcileError"),
    "SchemaValid": ("SchemaMismatch", "ConstraintViolated", "ExtraColumn", "MissingColumn"),
    "PrivacyApplied": ("PrivacyKeyMissing",),
    "QualityPassed": ("QualityFailed", "LeakageFound", "TooFewRows"),
}  # fmt: skip
ROWS = [(stage, reason) for stage, reasons in REFUSED.items() for reason in reasons]
STAGES = list(REFUSED)


@pytest.mark.parametrize(("stage", "reason"), ROWS, ids=[reason for _, reason in ROWS])
@pytest.mark.parametrize("current", [None, "c"], ids=["without a version", "with a former version"])
def test_a_refusal(stage: str, reason: str, current: str | None) -> None:
    result = ingest_result("Rejected", reason=reason, failed=stage, message="line 3018 is wrong")
    outcome = ending(result, running(current), "Failed", 10)
    found = shown(outcome)
    place = STAGES.index(stage)
    assert found[stage] == ("False", reason)
    assert {found[before][0] for before in STAGES[:place]} <= {"True"}
    assert {found[after] for after in STAGES[place + 1 :]} <= {("Unknown", "NotJudged")}
    messages = {each["type"]: each["message"] for each in outcome.status["conditions"]}
    assert messages[stage] == f"line 3018 is wrong. docs: reasons/{reason}"
    assert [(event.reason, event.type) for event in outcome.events] == [(reason, "Warning")]
    if current is None:
        assert found["Ready"] == ("False", reason)
        assert (found["Stalled"], found["Reconciling"]) == (("True", reason), ("False", "Settled"))
        assert "settledGeneration" not in outcome.status
        assert kstatus(outcome.status["conditions"]) == "Failed"
    else:
        assert found["Ready"] == ("True", "ServingPreviousVersion")
        assert (found["Stalled"], outcome.status["settledGeneration"]) == (("False", "Settled"), 1)
        assert f"{stage} is False: {reason}" in messages["Ready"]
        assert kstatus(outcome.status["conditions"]) == "Current"


def silent(exit_code: int, reason: str, how: Object) -> Outcome:
    raw = running()
    ended = job(raw, NAME, status=how, activeDeadlineSeconds=3600)
    return judge(raw, ended, ended_pod(ended, None, exit_code, reason))


SILENT = {
    "killed for memory": (silent(137, "OOMKilled", over("Failed")), "OutOfMemory", "above 2Gi"),
    "over its deadline": (silent(1, "Error", over("Failed", reason="DeadlineExceeded")), "DeadlineExceeded", "3600 s"),
    "without a word": (silent(1, "Error", over("Failed")), "ResultMissing", "read its log"),
}


@pytest.mark.parametrize(("outcome", "reason", "text"), SILENT.values(), ids=SILENT.keys())
def test_a_fetch_that_ends_without_a_result(outcome: Outcome, reason: str, text: str) -> None:
    assert shown(outcome)["Ready"] == ("False", reason) == shown(outcome)["Fetched"]
    assert text in outcome.status["lastAttempt"]["message"]
    assert outcome.status["lastAttempt"]["message"].endswith(f"docs: reasons/{reason}")


UNSCHEDULABLE = {
    "conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes: cpu"}]
}


def hindered(current: str | None = None) -> dict[str, tuple[Outcome, str]]:
    raw = running(current)
    live = job(raw, NAME, created="2026-01-05T08:00:00Z")
    return {
        "no node fits": (judge(raw, live, pod(live, {"waiting": {}}, **UNSCHEDULABLE)), "Unschedulable"),
        "no pod is admitted": (judge(raw, live), "PodQuotaExceeded"),
        "no image": (judge(raw, live, pod(live, {"waiting": {"reason": "ErrImagePull"}})), "ImagePullFailed"),
    }


@pytest.mark.parametrize(("outcome", "reason"), hindered().values(), ids=hindered().keys())
def test_what_hinders_the_first_fetch_is_told_at_once(outcome: Outcome, reason: str) -> None:
    assert (shown(outcome)["Ready"], shown(outcome)["Stalled"]) == (("False", reason), ("True", reason))
    assert shown(outcome)["Fetched"] == ("Unknown", "NotJudged")
    assert outcome.again == 10


@pytest.mark.parametrize(("outcome", "reason"), hindered("d").values(), ids=hindered().keys())
def test_what_hinders_a_later_fetch_leaves_the_version_in_use(outcome: Outcome, reason: str) -> None:
    assert shown(outcome)["Ready"] == ("True", "VersionPublished")
    assert shown(outcome)["Reconciling"] == ("True", "Waiting")


def test_a_second_pod_of_one_job_does_not_flap() -> None:
    raw = running()
    live = job(raw, NAME)
    failed = ended_pod(live, ingest_result("Failed", reason="AccessDenied", failed="Fetched"), 1, "Error")
    first = judge(raw, live, failed)
    assert shown(first)["Ready"] == ("False", "AccessDenied")
    second = pod(live, {"running": {}}, name="second")
    second["metadata"]["creationTimestamp"] = "2026-01-05T08:00:30Z"
    later = judge(data_source(status=first.status), live, failed, second)
    assert shown(later)["Ready"] == ("False", "AccessDenied") and not later.events


@pytest.mark.parametrize("reason", ["Unschedulable", "PodQuotaExceeded", "ImagePullFailed", "InvalidSpec"])
def test_a_pod_that_runs_ends_what_kept_it_from_running(reason: str) -> None:
    raw = running(status={"conditions": [condition("Ready", "False", reason)]})
    live = job(raw, NAME)
    assert shown(judge(raw, live, pod(live, {"running": {}})))["Ready"] == ("False", "Fetching")


SUSPENDED = {
    "without a version": (data_source(suspended=True), ("False", "Suspended")),
    "with a version": (data_source(suspended=True, current="d"), ("True", "Suspended")),
}


@pytest.mark.parametrize(("raw", "ready"), SUSPENDED.values(), ids=SUSPENDED.keys())
def test_suspended_records_nothing(raw: Object, ready: tuple[str, str]) -> None:
    outcome = judge(raw)
    assert (shown(outcome)["Ready"], shown(outcome)["Reconciling"]) == (ready, ("False", "Settled"))
    assert "lastAttempt" not in outcome.status
    assert outcome.again is None


def test_a_fetch_that_ends_while_suspended_is_taken() -> None:
    raw = running(suspended=True, metadata={"generation": 2})
    outcome = ending(ingest_result(), raw)
    assert outcome.status["currentVersion"]["digest"] == digest("d")
    assert shown(outcome)["Ready"] == ("True", "Suspended")


def test_equal_bytes_change_no_version_and_tell_nothing() -> None:
    first = ending(ingest_result()).status
    raw = running(status={**first, "lastAttempt": ATTEMPT})
    outcome = ending(ingest_result("Unchanged"), raw)
    assert outcome.status["currentVersion"] == first["currentVersion"]
    assert outcome.status["lastAttempt"]["result"] == "Unchanged"
    assert not outcome.events


def test_a_version_that_the_store_knows_is_adopted() -> None:
    outcome = ending(ingest_result("Unchanged"))
    assert outcome.status["currentVersion"]["digest"] == digest("d")
    assert shown(outcome)["Ready"] == ("True", "VersionPublished")


def test_the_history_holds_ten_versions_newest_first_and_each_once() -> None:
    rows = [{"digest": digest(letter), "rows": 1, "publishedAt": "2026-01-01T00:00:00Z"} for letter in "0123456789"]
    raw = running(status={"currentVersion": version("0"), "versions": rows})
    outcome = ending(ingest_result(letter="5"), raw)
    found = [row["digest"] for row in outcome.status["versions"]]
    assert found == [digest(letter) for letter in "5012346789"]
    assert len(ending(ingest_result(letter="a"), raw).status["versions"]) == VERSIONS_KEPT


def test_checks_stand_worst_first() -> None:
    def check(name: str, severity: str, fraction: str) -> Object:
        return {"name": name, "severity": severity, "violations": 1, "fraction": fraction}

    many = [check(f"w{number}", "Warn", f"0.{number:02}") for number in range(12)]
    outcome = ending(ingest_result(checks=[*many, check("blocks", "Block", "0.001")]))
    assert [row["name"] for row in outcome.status["checks"]][:3] == ["blocks", "w11", "w10"]
    assert len(outcome.status["checks"]) == CHECKS_KEPT


def test_a_new_spec_is_not_judged_by_what_the_old_one_brought() -> None:
    first = ending(ingest_result("Rejected", reason="SchemaMismatch", failed="SchemaValid")).status
    raw = data_source(status=first, metadata={"generation": 2})
    outcome = judge(raw)
    assert (shown(outcome)["SchemaValid"], shown(outcome)["Ready"]) == (("Unknown", "NotJudged"), ("False", "Fetching"))
    assert {found["observedGeneration"] for found in outcome.status["conditions"]} == {2}
    assert outcome.status["lastAttempt"]["generation"] == 2


def test_a_retry_keeps_the_trouble_until_it_ended() -> None:
    refused = ingest_result("Failed", reason="AccessDenied", failed="Fetched", message="403")
    first = ending(refused, how="Failed", code=1)
    raw = data_source(status=first.status)
    waiting = judge(raw, at=datetime(2026, 1, 5, 8, 5, 10, tzinfo=UTC))
    assert (waiting.status, waiting.again) == (first.status, 20)
    second = judge(raw, at=NOW)
    assert (second.status["lastAttempt"]["attempt"], second.status["lastAttempt"]["runKey"]) == (1, "5" * 64)
    for outcome in (waiting, second):
        assert (shown(outcome)["Ready"], shown(outcome)["Stalled"][0]) == (("False", "AccessDenied"), "True")
        assert not outcome.events


def test_a_publication_that_fails_keeps_the_stages_and_its_trouble() -> None:
    outcome = ending(ingest_result("Failed", reason="QuotaExceeded", message="no room"), how="Failed", code=1)
    assert shown(outcome)["QualityPassed"] == ("True", "ChecksPassed")
    assert shown(outcome)["Ready"] == ("False", "QuotaExceeded")
    again = judge(data_source(status=outcome.status))
    assert again.status["lastAttempt"]["attempt"] == 1
    assert shown(again)["Ready"] == ("False", "QuotaExceeded")


def test_a_new_wish_after_a_failed_publication_begins_anew() -> None:
    first = ending(ingest_result("Failed", reason="QuotaExceeded", message="no room"), how="Failed", code=1).status
    annotations = {ANNOTATION_REQUESTED_AT: "2026-01-05T08:09:00Z"}
    outcome = judge(data_source(status=first, metadata={"annotations": annotations}))
    assert outcome.status["lastAttempt"]["attempt"] == 0
    assert shown(outcome)["Ready"] == ("False", "Fetching")


PROGRESS = {
    "nothing before ten seconds": (None, 5, 50, None),
    "the first word": (None, 11, 7, None),
    "ten points": (None, 11, 12, 12),
    "not twice in ten seconds": (12, 15, 60, 12),
    "after another ten": (12, 21, 60, 60),
    "never back": (60, 3600, 20, 60),
}


@pytest.mark.parametrize(("stood", "seconds", "told", "expected"), PROGRESS.values(), ids=PROGRESS.keys())
def test_progress_is_written_every_ten_seconds_at_most(
    stood: int | None, seconds: int, told: int, expected: int | None
) -> None:
    attempt = {**ATTEMPT, **({"percentage": stood} if stood else {})}
    raw = data_source(status={"lastAttempt": attempt})
    live = job(raw, NAME)
    at = datetime.fromtimestamp(datetime(2026, 1, 5, 8, 0, tzinfo=UTC).timestamp() + seconds, UTC)
    outcome = judge(raw, live, pod(live, {"running": {}}), at=at, percentage=told)
    assert outcome.status["lastAttempt"].get("percentage") == expected


WRONG = {
    "too few fields": ({"schedule": "15 * * *"}, "spec.schedule: '15 * * *' has 4 fields, cron has 5"),
    "an unknown zone": ({"schedule": "@hourly", "timeZone": "Mars/Base"}, "spec.timeZone: 'Mars/Base' is no IANA"),
}


@pytest.mark.parametrize(("spec", "text"), WRONG.values(), ids=WRONG.keys())
def test_a_schedule_that_cannot_be_meant_is_invalid(spec: Object, text: str) -> None:
    with pytest.raises(Invalid) as refused:
        judge(data_source(current="d", status={"lastAttempt": {**ATTEMPT, "completionTime": "2026-01-05T08:05:00Z",
                                                             "result": "Published"}}, **spec))  # fmt: skip
    assert refused.value.reason == "InvalidSpec"
    assert refused.value.message.startswith(text) and refused.value.message.endswith("docs: reasons/InvalidSpec")


DONE = {**ATTEMPT, "completionTime": "2026-01-05T08:05:00Z", "result": "Published"}
AGAIN = {
    "at the next due time": (data_source(current="d", status={"lastAttempt": DONE}, schedule="15 * * * *"), 300),
    "a minute for a ConfigMap": (data_source(current="d", status={"lastAttempt": DONE}, inline=True), 60),
    "at leisure": (data_source(current="d", status={"lastAttempt": DONE}), None),
    "every ten seconds while it runs": (running(), 10),
}


@pytest.mark.parametrize(("raw", "seconds"), AGAIN.values(), ids=AGAIN.keys())
def test_when_it_looks_again(raw: Object, seconds: float | None) -> None:
    assert judge(raw).again == seconds
