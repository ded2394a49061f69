"""How an attempt stands, when the next is due, and which Jobs stay; pages, rows of a version."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from builders import WORKER, data_source, ended_pod, ingest_result, job, over, pod, train_result, version
from treadle.api.blocks import JobTemplate
from treadle.api.conditions import Condition, no, paged
from treadle.api.datasource import DatasetVersion
from treadle.api.reasons import Reason
from treadle.control.engine.ports import Object
from treadle.control.jobs import Phase, Retry, Standing, hold, kept, lasting, retry, retry_delay, stand, with_hindrance
from treadle.control.rows import most_rows

NOW = datetime(2026, 1, 5, 8, 0, 20, tzinfo=UTC)
OWNER = data_source()


def live(**more: Any) -> Object:
    return job(OWNER, "flights-1", **more)


DONE, FAILED = live(status=over()), live(status=over("Failed"))
GOOD, REFUSED = ingest_result(), ingest_result("Failed", reason="AccessDenied", failed="Fetched")


def stranger() -> Object:
    """Return a good pod of another Job that carries the same labels."""
    other = job(OWNER, "flights-2")
    return ended_pod(other, GOOD)


def older(raw: Object) -> Object:
    metadata = {**raw["metadata"], "name": "older", "creationTimestamp": "2026-01-05T07:59:00Z"}
    return {**raw, "metadata": metadata}


def pulling(owner: Object) -> Object:
    return pod(owner, {"waiting": {"reason": "ImagePullBackOff"}})


def stale(raw: Object) -> Object:
    """Return a Job made when another image was wished."""
    template = {"spec": {"containers": [{"name": "step", "image": "registry.invalid/treadle-worker:1"}]}}
    return {**raw, "spec": {**raw["spec"], "template": template}}


STANDINGS: dict[str, tuple[Object | None, list[Object], Phase, str | None, str | None]] = {
    "no Job": (None, [], Phase.ABSENT, None, None),
    "held": (live(suspend=True), [], Phase.SUSPENDED, None, None),
    "an image that cannot be pulled": (live(), [pulling(live())], Phase.RUNNING, "ImagePullFailed", None),
    "an image that cannot be pulled and is wished no more": (
        stale(live()), [pulling(stale(live()))], Phase.LOST, None, None,
    ),
    "a former image that runs": (stale(live()), [pod(stale(live()), {"running": {}})], Phase.RUNNING, None, None),
    "about to get its pod": (live(), [], Phase.RUNNING, None, None),
    "running": (live(), [pod(live(), {"running": {}})], Phase.RUNNING, None, None),
    "between two pods": (live(), [ended_pod(live(), REFUSED, 1)], Phase.RUNNING, "AccessDenied", None),
    "complete": (DONE, [ended_pod(DONE, GOOD)], Phase.ENDED, None, "Published"),
    "failed with a word": (FAILED, [ended_pod(FAILED, REFUSED, 10)], Phase.ENDED, None, "Failed"),
    "a final result goes before a later failure": (
        FAILED, [older(ended_pod(FAILED, GOOD)), ended_pod(FAILED, None, 1)], Phase.ENDED, None, "Published",
    ),
    "the newest pod speaks": (
        FAILED, [older(ended_pod(FAILED, REFUSED, 1)), ended_pod(FAILED, None, 137, "OOMKilled")], Phase.ENDED,
        "OutOfMemory", None,
    ),
    "a word that is no result": (
        FAILED, [pod(FAILED, {"terminated": {"exitCode": 1, "message": "Killed"}})], Phase.ENDED, "ResultMissing", None,
    ),
    "the result of another step": (DONE, [ended_pod(DONE, train_result())], Phase.ENDED, "ResultMissing", None),
    "no pod is left": (DONE, [], Phase.LOST, None, None),
    "only another Job's pod is left": (DONE, [stranger()], Phase.LOST, None, None),
    "its deadline took the pod": (
        live(status=over("Failed", reason="DeadlineExceeded")), [], Phase.ENDED, "DeadlineExceeded", None,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("job_", "pods", "phase", "reason", "outcome"), STANDINGS.values(), ids=STANDINGS.keys())
def test_standings(
    job_: Object | None, pods: list[Object], phase: Phase, reason: str | None, outcome: str | None
) -> None:
    standing = stand(job_, pods, "ingest", WORKER, NOW)
    assert (standing.phase, standing.reason) == (phase, reason)
    assert (standing.result and standing.result.outcome) == outcome


def test_a_job_that_gets_no_pod_is_refused_by_a_quota_after_half_a_minute() -> None:
    assert stand(live(), [], "ingest", WORKER, NOW).reason is None
    later = stand(live(), [], "ingest", WORKER, NOW + timedelta(seconds=10))
    assert later.reason == "PodQuotaExceeded" and "30 s after its start" in later.message


def test_a_retry_waits_thirty_seconds_doubling_to_five_minutes() -> None:
    assert [retry_delay(number).total_seconds() for number in range(6)] == [30, 60, 120, 240, 300, 300]


RETRIES = {
    "the world": (retry(0, "AccessDenied", NOW, NOW), Retry(1, NOW + timedelta(seconds=30))),
    "the world, its Job gone": (retry(3, "AccessDenied", None, NOW), Retry(4, NOW)),
    "the recipe": (retry(0, "TrainingError", NOW, NOW), None),
    "the recipe, under a new generation": (retry(0, "OutOfMemory", NOW, NOW, is_new_generation=True), Retry(1, NOW)),
}


@pytest.mark.parametrize(("found", "expected"), RETRIES.values(), ids=RETRIES.keys())
def test_retries(found: Retry | None, expected: Retry | None) -> None:
    assert found == expected


def test_the_three_newest_finished_jobs_stay_beside_the_current_one() -> None:
    jobs = [job(OWNER, f"j{day}", created=f"2026-01-0{day}T00:00:00Z", status=over()) for day in range(1, 7)]
    running = job(OWNER, "running")
    assert [wish["metadata"]["name"] for wish in kept([*jobs, running], "j1")] == ["j6", "j5", "j4", "j1"]


def test_a_job_that_is_over_is_not_held() -> None:
    assert "spec" not in hold(DONE, is_suspended=True)
    assert hold(live(), is_suspended=True)["spec"] == {"suspend": True}


def test_a_result_can_be_read_whatever_the_time_to_live() -> None:
    assert lasting(JobTemplate(ttl_seconds_after_finished=0)).ttl_seconds_after_finished == 60
    assert lasting(None).ttl_seconds_after_finished == 86400


PAGES = {
    "a sentence": ("Fix the file.", "Fix the file. docs: reasons/FormatError"),
    "a sentence without its stop": ("Fix the file", "Fix the file. docs: reasons/FormatError"),
    "one with its page": ("Fix it. docs: reasons/FormatError", "Fix it. docs: reasons/FormatError"),
    "one with another page": ("Held. docs: reasons/NotBetter", "Held. docs: reasons/FormatError"),
}


@pytest.mark.parametrize(("text", "expected"), PAGES.values(), ids=PAGES.keys())
def test_a_message_ends_with_its_page(text: str, expected: str) -> None:
    assert paged("FormatError", text) == expected


def test_a_long_message_keeps_its_page() -> None:
    text = paged("FormatError", "word " * 200)
    assert len(text) <= 300 and text.endswith("docs: reasons/FormatError")


ROWS = {
    "all": (None, None, 8000),
    "some, how many is not known": ("2026-01-05T04:00:00Z", "2026-01-01T00:00:00Z", 8000),
    "none so new": ("2026-01-05T04:00:00Z", "2026-01-06T00:00:00Z", 0),
    "no times to tell by": (None, "2026-01-06T00:00:00Z", 8000),
}


@pytest.mark.parametrize(("until", "since", "rows"), ROWS.values(), ids=ROWS.keys())
def test_the_most_rows_to_learn_from(until: str | None, since: str | None, rows: int) -> None:
    assert most_rows(DatasetVersion.parse(version(until=until)), since) == rows


LATE = Standing(Phase.ENDED, reason=Reason.DEADLINE_EXCEEDED, message="the train Job took more than 3600 s")
NO_NODE = no("Complete", Reason.UNSCHEDULABLE, paged(Reason.UNSCHEDULABLE, "0/3 nodes are available"))
HINDERED_TO_THE_END = {
    "no node took it": (
        LATE, NO_NODE,
        "Unschedulable when it was seen last: 0/3 nodes are available; the train Job took more than 3600 s",
    ),
    "it ran": (LATE, no("Complete", Reason.RUNNING), LATE.message),
    "nothing was said of it before": (LATE, None, LATE.message),
    "it ended otherwise": (Standing(Phase.ENDED, reason=Reason.OUT_OF_MEMORY, message="killed"), NO_NODE, "killed"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("standing", "before", "message"), HINDERED_TO_THE_END.values(), ids=HINDERED_TO_THE_END.keys()
)
def test_a_deadline_tells_what_took_the_time(standing: Standing, before: Condition | None, message: str) -> None:
    found = with_hindrance(standing, before)
    assert (found.reason, found.message) == (standing.reason, message)
