"""The Job controller's decisions, as those of k8s.io/kubernetes/pkg/controller/job."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from treadle.api.base import stamp
from treadle.control.podspec import failure_policy
from treadle.local.controllers.jobs import LET_GO, Decision, decide

type Object = dict[str, Any]

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def ago(seconds: float) -> str:
    """Return a time before now."""
    return stamp(NOW - timedelta(seconds=seconds))


def job(*, status: Object | None = None, restart: str = "Never", **spec: Any) -> Object:
    """Return a Job of one pod."""
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "j", "namespace": "demo", "uid": "j-uid"},
        "spec": {"template": {"spec": {"restartPolicy": restart, "containers": []}}, **spec},
        "status": status or {},
    }


def started(seconds: float, **status: Any) -> Object:
    """Return the status of a Job that started so long ago."""
    return {"startTime": ago(seconds), **status}


def conditions(*said: tuple[str, str], since: float = 1) -> Object:
    """Return a status with conditions that are True, each with its reason."""
    every = [
        {"type": kind, "status": "True", "reason": reason, "message": "", "lastTransitionTime": ago(since)}
        for kind, reason in said
    ]
    return started(since + 10, conditions=every)


def pod(name: str, phase: str = "Running", *, going: bool = False, disrupted: bool = False, **ended: Any) -> Object:
    """Return a pod; `code` and `before` say how, and how long ago, its container ended, `restarts` how often."""
    said = [{"type": "DisruptionTarget", "status": "True"}] if disrupted else []
    if phase == "Running":
        said.append({"type": "Ready", "status": "True"})
    state: Object = {"running": {}}
    if phase in ("Succeeded", "Failed"):
        code = ended.get("code", 0 if phase == "Succeeded" else 1)
        state = {"terminated": {"exitCode": code, "finishedAt": ago(ended.get("before", 1))}}
    container = {"name": "step", "state": state, "restartCount": ended.get("restarts", 0)}
    marks: Object = {"deletionTimestamp": ago(0)} if going else {}
    if ended.get("let_go"):
        marks["annotations"] = LET_GO
    return {
        "metadata": {"name": name, "namespace": "demo", "uid": name, "creationTimestamp": ago(3600), **marks},
        "spec": {},
        "status": {"phase": phase, "conditions": said, "containerStatuses": [container]},
    }


def found(decision: Decision) -> tuple[int, list[str], float | None]:
    """Return how many pods are started, which are ended, and in how many seconds to look again."""
    return decision.starts, [raw["metadata"]["name"] for raw in decision.ends], decision.again


POLICY = {"podFailurePolicy": failure_policy(), "podReplacementPolicy": "Failed"}

# (the Job, its pods, what is started and ended and when to look again)
STEPS: dict[str, tuple[Object, list[Object], tuple[int, list[str], float | None]]] = {
    "a new Job starts its pod": (job(), [], (1, [], None)),
    "a Job with a running pod waits": (job(status=started(5)), [pod("a")], (0, [], None)),
    "a Job with a deadline looks again when it is over": (
        job(activeDeadlineSeconds=30, status=started(5)),
        [pod("a")],
        (0, [], 25.0),
    ),
    "a deadline counts from the start": (job(activeDeadlineSeconds=30), [], (1, [], 30.0)),
    "a Job that is held starts nothing": (job(suspend=True), [], (0, [], None)),
    "a Job that is held ends what runs": (job(suspend=True, status=started(5)), [pod("a")], (0, ["a"], None)),
    "a Job that goes on starts again": (job(status=conditions(("Suspended", "JobSuspended"))), [], (1, [], None)),
    "after a failure there is a pause of 10 s": (
        job(status=started(60)),
        [pod("a", "Failed", before=4)],
        (0, [], 6.0),
    ),
    "which doubles with each failure in a row": (
        job(status=started(60)),
        [pod("a", "Failed", before=30), pod("b", "Failed", before=4)],
        (0, [], 16.0),
    ),
    "and begins anew after a success": (
        job(status=started(60), completions=2),
        [pod("a", "Failed", before=30), pod("b", "Succeeded", before=20), pod("c", "Failed", before=4)],
        (0, [], 6.0),
    ),
    "after the pause a pod is started": (job(status=started(60)), [pod("a", "Failed", before=10)], (1, [], None)),
    "a disrupted pod is replaced at once": (
        job(status=started(60), backoffLimit=0, **POLICY),
        [pod("a", "Failed", disrupted=True, before=1)],
        (1, [], None),
    ),
    "a checkpoint is no failure, but has its pause": (
        job(status=started(60), backoffLimit=0, **POLICY),
        [pod("a", "Failed", code=11, before=1)],
        (0, [], 9.0),
    ),
    "a replacement waits until the pod has ended": (job(**POLICY), [pod("a", going=True)], (0, [], None)),
    "unless that is not asked for": (job(), [pod("a", going=True)], (1, [], None)),
    "a Job of many pods starts as many as may run": (
        job(completions=5, parallelism=2, status=started(5)),
        [pod("a", "Succeeded")],
        (2, [], None),
    ),
    "and no more than are left": (
        job(completions=5, parallelism=3, status=started(5)),
        [pod(name, "Succeeded") for name in "abcd"],
        (1, [], None),
    ),
    "fewer may run than do": (job(completions=5, parallelism=1), [pod("a"), pod("b")], (0, ["b"], None)),
    "a success ends what still runs": (
        job(completions=1, parallelism=2),
        [pod("a", "Succeeded"), pod("b")],
        (0, ["b"], None),
    ),
    "a failure ends what still runs": (
        job(backoffLimit=0, parallelism=2, completions=2),
        [pod("a", "Failed"), pod("b")],
        (0, ["b"], None),
    ),
    "a Job that is over stays for its time": (
        job(ttlSecondsAfterFinished=60, status=conditions(("Complete", "CompletionsReached"), since=20)),
        [],
        (0, [], 40.0),
    ),
    "a Job that is over stays for ever where no time is given": (
        job(status=conditions(("Failed", "BackoffLimitExceeded"))),
        [pod("a", "Failed")],
        (0, [], None),
    ),
}


@pytest.mark.parametrize(("live", "pods", "wanted"), STEPS.values(), ids=STEPS.keys())
def test_what_is_due(live: Object, pods: list[Object], wanted: tuple[int, list[str], float | None]) -> None:
    assert found(decide(live, pods, NOW)) == wanted


LIMIT = "BackoffLimitExceeded"

# (the Job, its pods, the conditions that are True with their reasons)
VERDICTS: dict[str, tuple[Object, list[Object], dict[str, str]]] = {
    "a success": (
        job(),
        [pod("a", "Succeeded")],
        {"SuccessCriteriaMet": "CompletionsReached", "Complete": "CompletionsReached"},
    ),
    "a success while another pod still ends": (
        job(completions=1, parallelism=2),
        [pod("a", "Succeeded"), pod("b", going=True)],
        {"SuccessCriteriaMet": "CompletionsReached"},
    ),
    "not yet a success": (job(completions=2), [pod("a", "Succeeded")], {}),
    "six tries more than the first": (job(), [pod(f"p{n}", "Failed") for n in range(6)], {}),
    "one try too many": (
        job(),
        [pod(f"p{n}", "Failed") for n in range(7)],
        {"FailureTarget": LIMIT, "Failed": LIMIT},
    ),
    "tries whose pods are gone still count": (
        job(backoffLimit=2, status=started(60, failed=3)),
        [],
        {"FailureTarget": LIMIT, "Failed": LIMIT},
    ),
    "a failure while its pod still ends": (
        job(backoffLimit=0, parallelism=2, completions=2),
        [pod("a", "Failed"), pod("b", going=True)],
        {"FailureTarget": LIMIT},
    ),
    "a pod that a person deletes is a failure": (
        job(backoffLimit=0),
        [pod("a", "Failed", going=True)],
        {"FailureTarget": LIMIT, "Failed": LIMIT},
    ),
    "a pod that the Job let go is none": (job(backoffLimit=0), [pod("a", "Failed", going=True, let_go=True)], {}),
    "a pod that was restarted too often": (
        job(restart="OnFailure", backoffLimit=2),
        [pod("a", restarts=2)],
        {"FailureTarget": LIMIT},
    ),
    "a deadline": (
        job(activeDeadlineSeconds=30, status=started(30)),
        [],
        {"FailureTarget": "DeadlineExceeded", "Failed": "DeadlineExceeded"},
    ),
    "a deadline stands still while a Job is held": (
        job(activeDeadlineSeconds=30, suspend=True, status=started(300)),
        [],
        {"Suspended": "JobSuspended"},
    ),
    "an exit code that is final": (
        job(**POLICY),
        [pod("a", "Failed", code=10)],
        {"FailureTarget": "PodFailurePolicy", "Failed": "PodFailurePolicy"},
    ),
    "an exit code that is ignored": (job(backoffLimit=0, **POLICY), [pod("a", "Failed", code=11)], {}),
    "a disruption is ignored, whatever the code": (
        job(backoffLimit=0, **POLICY),
        [pod("a", "Failed", code=10, disrupted=True)],
        {},
    ),
    "any other code counts": (
        job(backoffLimit=0, **POLICY),
        [pod("a", "Failed", code=1)],
        {"FailureTarget": LIMIT, "Failed": LIMIT},
    ),
    "a verdict that was written is not judged again": (
        job(backoffLimit=6, status=conditions(("FailureTarget", "PodFailurePolicy"))),
        [pod("a", "Failed", code=1)],
        {"FailureTarget": "PodFailurePolicy", "Failed": "PodFailurePolicy"},
    ),
}


@pytest.mark.parametrize(("live", "pods", "wanted"), VERDICTS.values(), ids=VERDICTS.keys())
def test_verdicts(live: Object, pods: list[Object], wanted: dict[str, str]) -> None:
    status = decide(live, pods, NOW).status
    said = status.get("conditions", [])
    assert {entry["type"]: entry["reason"] for entry in said if entry["status"] == "True"} == wanted
    assert ("completionTime" in status) == ("Complete" in wanted)


CODES = {"containerName": "step", "operator": "NotIn", "values": [1, 2]}
RULES: dict[str, tuple[Object, Object, str]] = {
    "a code that is not in the list": (
        {"action": "FailJob", "onExitCodes": CODES},
        pod("a", "Failed", code=3),
        "Container step for pod demo/a failed with exit code 3 matching FailJob rule at index 0",
    ),
    "a condition": (
        {"action": "FailJob", "onPodConditions": [{"type": "DisruptionTarget"}]},
        pod("a", "Failed", disrupted=True),
        "Pod demo/a has condition DisruptionTarget matching FailJob rule at index 0",
    ),
}


@pytest.mark.parametrize(("rule", "failed", "message"), RULES.values(), ids=RULES.keys())
def test_a_failure_policy_tells_which_rule_matched(rule: Object, failed: Object, message: str) -> None:
    status = decide(job(podFailurePolicy={"rules": [rule]}), [failed], NOW).status
    assert status["conditions"][0]["message"] == message


@pytest.mark.parametrize("code", [0, 1, 2])
def test_a_success_and_a_code_of_the_list_match_no_such_rule(code: int) -> None:
    rules = {"rules": [{"action": "FailJob", "onExitCodes": CODES}]}
    status = decide(job(podFailurePolicy=rules), [pod("a", "Failed", code=code)], NOW).status
    assert status.get("conditions", []) == []


# (the Job, its pods, fields of the status)
COUNTS: dict[str, tuple[Object, list[Object], Object]] = {
    "a new Job has started, and its pod is on its way": (
        job(),
        [],
        {"startTime": ago(0), "active": 1, "ready": 0, "terminating": 0},
    ),
    "pods by how they stand": (
        job(completions=9, parallelism=2, status=started(60)),
        [pod("a"), pod("b", "Pending"), pod("c", "Succeeded"), pod("d", "Failed"), pod("e", going=True)],
        {"startTime": ago(60), "active": 2, "ready": 1, "terminating": 1, "succeeded": 1, "failed": 1},
    ),
    "a held Job has none that is active": (
        job(suspend=True, status=started(60)),
        [pod("a")],
        {"startTime": ago(60), "active": None, "ready": 0, "terminating": 0},
    ),
    "one that was held starts anew": (
        job(status=conditions(("Suspended", "JobSuspended"), since=60)),
        [],
        {"startTime": ago(0), "active": 1},
    ),
    "a success has an end": (
        job(status=started(60)),
        [pod("a", "Succeeded")],
        {"startTime": ago(60), "completionTime": ago(0), "active": None, "succeeded": 1},
    ),
    "what is to be ended with a failed Job is terminating, and has failed as well": (
        job(backoffLimit=0, parallelism=2, completions=2, status=started(60)),
        [pod("a", "Failed"), pod("b")],
        {"active": None, "terminating": 1, "failed": 2},
    ),
}


@pytest.mark.parametrize(("live", "pods", "wanted"), COUNTS.values(), ids=COUNTS.keys())
def test_counts(live: Object, pods: list[Object], wanted: Object) -> None:
    status = decide(live, pods, NOW).status
    assert {name: status.get(name) for name in wanted} == wanted


def test_a_job_whose_time_is_over_is_expired() -> None:
    ended = conditions(("Complete", "CompletionsReached"), since=60)
    assert decide(job(ttlSecondsAfterFinished=60, status=ended), [], NOW).is_expired


def test_a_held_job_tells_that_it_went_on() -> None:
    status = decide(job(status=conditions(("Suspended", "JobSuspended"))), [], NOW).status
    entries = [(entry["type"], entry["status"], entry["reason"]) for entry in status["conditions"]]
    assert entries == [("Suspended", "False", "JobResumed")]
    assert status["conditions"][0]["lastTransitionTime"] == ago(0)


@pytest.mark.parametrize("pods", [[], [pod("a")], [pod("a", "Succeeded")], [pod("a", "Failed")]])
def test_a_second_look_at_the_same_changes_nothing(pods: list[Object]) -> None:
    live = job()
    for _ in range(2):
        live = {**live, "status": decide(live, pods, NOW).status}
    later = decide(live, pods, NOW + timedelta(seconds=1))
    assert later.status == live["status"]
