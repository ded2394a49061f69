"""Every reason that a ModelDeployment's conditions can give, and how kstatus reads the situations it can be in."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from builders import AT, digest
from kstatus import kstatus
from served import (
    arm,
    candidate,
    decision,
    deployment,
    good,
    held,
    pod,
    rolled_out,
    run,
    seen,
    terminated,
)
from toys import START
from treadle.api.modeldeployment import ModelDeployment
from treadle.control.engine.ports import Object
from treadle.control.modeldeployment.seen import Seen
from treadle.control.modeldeployment.status import CONDITIONS, status

DOCUMENTED = yaml.safe_load((Path(__file__).parents[4] / "docs" / "conditions.yaml").read_text())
BY_ENGINE = {("Ready", reason) for reason in ("ReconcileError", "InvalidSpec", "NameTaken")}


def heads() -> dict[tuple[str, str], str]:
    """Return what the documentation says of each reason of each condition, its groups resolved."""
    rows = [
        (type_, reason, text)
        for type_, found in DOCUMENTED["kinds"]["ModelDeployment"].items()
        for row in found["reasons"]
        for reason, text in row.items()
    ]
    groups = DOCUMENTED["groups"]
    inner = {(type_, reason): text for type_, name, text in rows for reason in groups.get(name, ())}
    return inner | {(type_, reason): text for type_, reason, text in rows if reason not in groups}


ANSWERS = pod(champion=held("a", "Serving"))
LATER = "2026-01-05T09:00:00Z"
"""Made after the weight was set, so that all its answers count."""
HOUR_LATER = START + timedelta(hours=1)
PULL = {"name": "server", "image": "server:1", "ready": False, "state": {"waiting": {"reason": "ImagePullBackOff"}}}
KILLED = pod(ready=False, revision=None, containerStatuses=[terminated("OOMKilled", 137, START)])
REFUSED = [decision("Refuse", "ChecksumMismatch", message="model.onnx: sha256 differs")]
ROLLED_BACK = [decision("Rollback", "ErrorRateHigher")]
TEMPLATE = deployment().spec.training.template.dump()  # type: ignore[union-attr]
LIMITED = {"template": True, "training": {"maxPerDay": 0, "template": TEMPLATE}}
UNREADABLE = {"training": {"template": TEMPLATE, "triggers": {"schedule": "0 4 * *"}}}
PAUSE = {"canary": {"steps": [{"setWeight": 20}, {"pause": {}}]}}
SMALL = {"canary": {"steps": [{"setWeight": 20}], "analysis": {"minSamplesPerArm": 10}}}

type Case = tuple[ModelDeployment, Seen, datetime]


def case(md: ModelDeployment, now: datetime = START, **found: Any) -> Case:
    return md, seen(md, now=now, **found), now


def trial(ours: int = 400, theirs: int = 400, errors: int = 0, now: datetime = START, **more: Any) -> Case:
    """Return a canary at weight 20 in which each arm answered so much since it began."""
    begun = candidate(weight=20, counts=[], baseline=[], **more)
    md = deployment({"candidate": begun}, strategy=SMALL)
    arms = [arm("a", theirs), arm("b", ours, errors)]
    models = {"champion": held("a", "Serving"), "candidate": held("b", "Serving")}
    return case(md, now, pods=[pod(arms=arms, created=LATER, **models)])


def first(*pods: Any, now: datetime = START) -> Case:
    """Return a first candidate that these pods try."""
    return case(deployment({"candidate": candidate(state="Verifying")}, served=False), now, pods=pods)


CASES: dict[str, tuple[Case, str, str, str]] = {
    "a champion answers": (case(deployment(), pods=[ANSWERS]), "Ready", "True", "Answering"),
    "a trial was left": (case(deployment({"decisions": ROLLED_BACK}), pods=[ANSWERS]), "Ready", "True", "RolledBack"),
    "there is no model": (case(deployment(served=False)), "Ready", "False", "WaitingForModel"),
    "pods load the first": (first(pod(ready=False)), "Ready", "False", "Loading"),
    "no pod is there": (case(deployment(), HOUR_LATER), "Ready", "False", "NoReadyPods"),
    "the only pod crashes": (
        case(deployment(), pods=[pod(ready=False, revision=None, containerStatuses=[terminated("Error", 1, START)])]),
        "Ready", "False", "NoReadyPods",
    ),
    "the first is tampered with": (
        case(deployment({"decisions": REFUSED}, served=False)), "Ready", "False", "ChecksumMismatch",
    ),
    **{
        f"the champion is refused: {reason}": (
            case(deployment(), pods=[pod(ready=False, champion=held("a", "Refused", reason, "so it is"))]),
            "Ready", "False", reason,
        )
        for reason in (
            "SignatureInvalid", "FormatRefused", "ArtifactMissing", "GoldenMismatch", "CandidateCrashed",
        )
    },
    "loading takes too long": (first(pod(ready=False), now=HOUR_LATER), "Ready", "False", "ProgressDeadlineExceeded"),
    "no node has room": (
        first(pod(ready=False, conditions=[{"type": "PodScheduled", "reason": "Unschedulable", "message": "0/1"}])),
        "Ready", "False", "Unschedulable",
    ),
    "no pod may be made": (
        case(deployment(), deployment={**rolled_out(), "status": {
            "conditions": [{"type": "ReplicaFailure", "status": "True", "message": "exceeded quota"}]}}),
        "Ready", "False", "PodQuotaExceeded",
    ),
    "the image cannot be pulled": (
        case(deployment(), pods=[pod(ready=False, revision=None, containerStatuses=[PULL])]),
        "Ready", "False", "ImagePullFailed",
    ),
    "the pod is killed for memory": (case(deployment(), pods=[KILLED]), "Ready", "False", "OutOfMemory"),
    **{
        f"the store cannot be read: {reason}": (
            first(pod(ready=False, candidate=held("b", "Loading", reason, "Secret treadle-store"))),
            "Ready", "False", reason,
        )
        for reason in DOCUMENTED["groups"]["store"]
    },
    "signature and digest hold": (case(deployment(), pods=[ANSWERS]), "Verified", "True", "SignatureAndDigest"),
    "policy Warn let it pass": (
        case(deployment(), pods=[pod(champion=held("a", "Serving", "NotEnforced", "no signature"))]),
        "Verified", "True", "NotEnforced",
    ),
    **{
        f"the candidate was refused: {reason}": (
            case(deployment({"decisions": [decision("Refuse", reason)]}), pods=[ANSWERS]), "Verified", "False", reason,
        )
        for reason in (
            "ArtifactMissing", "ChecksumMismatch", "SignatureInvalid", "FormatRefused", "GoldenMismatch",
            "CandidateCrashed",
        )
    },
    "a pod refuses it and names the page": (
        case(deployment({"candidate": candidate(state="Verifying")}), pods=[pod(champion=held("a", "Serving"),
             candidate=held("b", "Refused", "FormatRefused", "model.bin is no ONNX. docs: reasons/FormatRefused"))]),
        "Verified", "False", "FormatRefused",
    ),
    "enough pods": (case(deployment(), pods=[ANSWERS]), "Available", "True", "MinimumReplicas"),
    "too few pods": (case(deployment(replicas=2), pods=[ANSWERS]), "Available", "False", "TooFewReplicas"),
    "scaled to zero": (case(deployment(replicas=0)), "Available", "False", "ScaledToZero"),
    "nothing is tried": (case(deployment(), pods=[ANSWERS]), "Progressing", "False", "NoCandidate"),
    "it was promoted": (
        case(deployment({"decisions": [decision("Promote", "Promoted")]}), pods=[ANSWERS]),
        "Progressing", "False", "Promoted",
    ),
    "suspended": (case(deployment(suspend=True), pods=[ANSWERS]), "Progressing", "False", "Suspended"),
    "pods verify it": (first(pod(ready=False)), "Progressing", "True", "Verifying"),
    "it answers a share": (trial(0, 0), "Progressing", "True", "Canary"),
    "it waits for a person": (
        case(deployment({"candidate": candidate(step=1, weight=20)}, strategy=PAUSE), pods=[ANSWERS]),
        "Progressing", "True", "Paused",
    ),
    "it is undecided for too long": (
        trial(0, 0, now=START + timedelta(hours=25)), "Progressing", "True", "Held",
    ),
    "no candidate": (case(deployment(), pods=[ANSWERS]), "CanaryHealthy", "Unknown", "NoCandidate"),
    "too few answers": (trial(5, 5), "CanaryHealthy", "Unknown", "TooFewSamples"),
    "nothing is shown": (trial(30, 30), "CanaryHealthy", "Unknown", "Undecided"),
    "no worse is shown": (
        case(deployment({"candidate": candidate(step=1, weight=20, counts=[], baseline=[])}, strategy={
            "canary": {**PAUSE["canary"], "analysis": {"minSamplesPerArm": 10, "metrics": []}}}),
             pods=[pod(champion=held("a"), candidate=held("b"), arms=[arm("a", 50), arm("b", 50)],
                       created=LATER)]),
        "CanaryHealthy", "True", "Healthy",
    ),
    "it fails more often": (trial(errors=200), "CanaryHealthy", "False", "ErrorRateHigher"),
    "it was slower": (
        case(deployment({"decisions": [decision("Rollback", "LatencyHigher")]}), pods=[ANSWERS]),
        "CanaryHealthy", "False", "LatencyHigher",
    ),
    "it crashed": (
        case(deployment({"candidate": candidate()}), pods=[pod(candidate=held("b", "Refused", "CandidateCrashed"))]),
        "CanaryHealthy", "False", "CandidateCrashed",
    ),
    "nothing was left": (case(deployment(), pods=[ANSWERS]), "RolledBack", "False", "NotRolledBack"),
    "the canary failed": (
        case(deployment({"decisions": ROLLED_BACK}), pods=[ANSWERS]), "RolledBack", "True", "CanaryFailed",
    ),
    "a Monitor asked": (
        case(deployment({"decisions": [decision("Rollback", "MonitorAsked")]}), pods=[ANSWERS]),
        "RolledBack", "True", "MonitorAsked",
    ),
    "a person asked": (
        case(deployment({"lastKnownGood": good()}, metadata={"annotations": {"treadle.dev/rollback": digest("a")}}),
             pods=[ANSWERS]),
        "RolledBack", "True", "PersonAsked",
    ),
    "it could not be verified": (
        case(deployment({"decisions": REFUSED}), pods=[ANSWERS]), "RolledBack", "True", "VerificationFailed",
    ),
    "no run is wanted": (case(deployment(), pods=[ANSWERS]), "TrainingReady", "True", "Idle"),
    "a run is under way": (case(deployment(), runs=[run(verdict=None)]), "TrainingReady", "True", "Running"),
    "there is no template": (case(deployment(template=False)), "TrainingReady", "False", "NoTemplate"),
    "its schedule cannot be read": (
        case(deployment(**UNREADABLE), pods=[ANSWERS]), "TrainingReady", "False", "InvalidSpec",
    ),
    "no more today": (case(deployment(**LIMITED)), "TrainingReady", "False", "DailyLimit"),
    "there is no data": (case(deployment(), data=None), "TrainingReady", "False", "WaitingForDataSource"),
    "retrains are suspended": (case(deployment(suspend=True)), "TrainingReady", "False", "Suspended"),
    "a verdict is about a former champion": (
        case(deployment(), runs=[run(against="9", completed="2026-01-05T08:30:00Z")]),
        "TrainingReady", "False", "VerdictStale",
    ),
    "a trial comes first": (trial(0, 0), "TrainingReady", "False", "Canary"),
}  # fmt: skip


def judged(found: Case) -> dict[str, Object]:
    return {each["type"]: each for each in status(*found).status["conditions"]}


@pytest.mark.parametrize(("found", "type_", "value", "reason"), CASES.values(), ids=CASES.keys())
def test_a_condition_says(found: Case, type_: str, value: str, reason: str) -> None:
    conditions = judged(found)
    assert list(conditions) == list(CONDITIONS)
    told = conditions[type_]
    assert (told["status"], told["reason"]) == (value, reason), told
    for each in conditions.values():
        assert len(each["message"]) <= 300 and "\n" not in each["message"]
        assert " " not in each["message"].partition("docs: reasons/")[2]


@pytest.mark.parametrize(("found", "type_", "value", "reason"), CASES.values(), ids=CASES.keys())
def test_it_is_as_documented(found: Case, type_: str, value: str, reason: str) -> None:
    conditions, head = judged(found), heads()[type_, reason]
    assert head.startswith(value), (type_, reason, head)
    if type_ == "Ready":
        is_stalled = conditions["Stalled"]["status"] == "True"
        assert is_stalled == (", Stalled" in head), conditions["Stalled"]
        assert conditions["Stalled"]["reason"] == (reason if is_stalled else "Settled")
        if value == "False" and reason not in ("Loading", "WaitingForModel", "NoReadyPods"):
            assert conditions["Ready"]["message"].endswith(f" docs: reasons/{reason}")


def test_every_documented_reason_has_its_case() -> None:
    assert heads().keys() - {(type_, reason) for _, type_, _, reason in CASES.values()} - BY_ENGINE == set()


SITUATIONS: dict[str, tuple[Case, str]] = {
    "without a model": (case(deployment(served=False)), "InProgress"),
    "a canary from a retrain": (
        case(deployment({"candidate": candidate(weight=20), "settledGeneration": 1}), pods=[ANSWERS]), "Current",
    ),
    "a canary from a spec change": (
        case(deployment({"candidate": candidate(weight=20, generation=2), "settledGeneration": 1},
                        metadata={"generation": 2}), pods=[ANSWERS]),
        "InProgress",
    ),
    "a canary held for lack of traffic": (
        case(deployment({"candidate": candidate(weight=20, generation=2), "settledGeneration": 1},
                        metadata={"generation": 2}), START + timedelta(hours=25), pods=[ANSWERS]),
        "Current",
    ),
    "rolled back, the old version serving": (case(deployment({"decisions": ROLLED_BACK}), pods=[ANSWERS]), "Current"),
    "a candidate corrupt or unsigned": (case(deployment({"decisions": REFUSED}), pods=[ANSWERS]), "Current"),
    "the same, and nothing serves": (case(deployment({"decisions": REFUSED}, served=False)), "Failed"),
    "a schedule that cannot be read, the model serving": (case(deployment(**UNREADABLE), pods=[ANSWERS]), "Failed"),
    "all pods gone": (case(deployment({"settledGeneration": 1}), HOUR_LATER), "InProgress"),
    "a new spec's pods cannot come up beside the old": (
        case(deployment({"settledGeneration": 1}, metadata={"generation": 2}),
             pods=[ANSWERS, pod("server-1", ready=False, revision=None, containerStatuses=[PULL])],
             deployment=rolled_out(0)),
        "Failed",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("found", "expected"), SITUATIONS.values(), ids=SITUATIONS.keys())
def test_kstatus_reads(found: Case, expected: str) -> None:
    assert kstatus(judged(found).values()) == expected


ZONE = {"template": TEMPLATE, "triggers": {"timeZone": "Mars/Olympus"}}
UNREAD = {
    "a schedule": (UNREADABLE, "spec.training.triggers.schedule: '0 4 * *' has 4 fields, cron has 5"),
    "a time zone": ({"training": ZONE}, "spec.training.triggers.timeZone: 'Mars/Olympus' is no IANA time zone"),
}


@pytest.mark.parametrize(("spec", "text"), UNREAD.values(), ids=UNREAD.keys())
def test_what_cannot_be_read_is_told_by_an_event(spec: Any, text: str) -> None:
    outcome = status(*case(deployment({"settledGeneration": 1}, metadata={"generation": 2}, **spec), pods=[ANSWERS]))
    assert outcome.status["settledGeneration"] == 1
    told = {each["type"]: each["message"] for each in outcome.status["conditions"]}
    assert told["TrainingReady"].startswith(text) and told["TrainingReady"].endswith("docs: reasons/InvalidSpec")
    assert [event.reason for event in outcome.events if event.message == told["TrainingReady"]] == ["InvalidSpec"]


def test_one_pods_trouble_is_told_while_others_answer() -> None:
    stuck = pod("server-1", ready=False, revision=None, containerStatuses=[PULL])
    conditions = judged(case(deployment(replicas=2), pods=[ANSWERS, stuck]))
    assert (conditions["Ready"]["status"], conditions["Available"]["status"]) == ("True", "False")
    for type_ in ("Ready", "Available"):
        assert "pod server-1 cannot pull server:1 (ImagePullBackOff)" in conditions[type_]["message"]


def test_a_rollback_says_found_and_limit_and_until_when() -> None:
    message = judged(trial(errors=200))["CanaryHealthy"]["message"]
    assert message.startswith("candidate v2: ErrorRate 0.5 over 400 requests, champion 0 over 400; limit +0.01")
    assert "quarantined until 2026-02-04" in message


def test_a_condition_keeps_its_time_while_its_status_stays() -> None:
    written = judged(case(deployment(), pods=[ANSWERS]))["Ready"] | {"lastTransitionTime": AT}
    again = judged(case(deployment({"conditions": [written]}), HOUR_LATER, pods=[ANSWERS]))["Ready"]
    assert again["lastTransitionTime"] == AT
