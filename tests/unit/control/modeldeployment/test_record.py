"""What a pass records: plan revisions, decisions, quarantine, answers to requests, and what it keeps small."""

import json
from datetime import timedelta
from typing import Any

import pytest

from builders import AT, condition, digest
from served import ask, candidate, decision, deployment, good, held, pod, run, seen
from toys import START
from treadle.api.modeldeployment import ModelDeployment, ModelDeploymentStatus
from treadle.api.plan import ReleasePlan
from treadle.control.modeldeployment import plan, trial
from treadle.control.modeldeployment.decisions import Act, decided, kept
from treadle.control.modeldeployment.seen import Seen, ServingPod
from treadle.control.modeldeployment.status import LIMIT_BYTES, fitted, is_rolled_out, recorded, status

ANSWERS = pod(champion=held("a", "Serving"))


def live(revision: int, md: ModelDeployment | None = None) -> ReleasePlan:
    md = md or deployment()
    return plan.content(md.spec, md.status, revision, START)


OTHER = live(4, deployment(logger={"percent": 1}))
PLANS: dict[str, tuple[int | None, ReleasePlan | None, list[int], int]] = {
    "the first": (None, None, [], 1),
    "as it is": (4, live(4), [4], 4),
    "written by a pass whose record was lost": (3, live(4), [4], 4),
    "its content changed": (4, OTHER, [4], 5),
    "deleted": (4, None, [4], 5),
    "somebody raised it, and wrote other things": (3, OTHER, [], 5),
    "pods follow what nobody knows": (4, live(4), [90, 4], 91),
    "the record is lost": (None, live(7), [7], 7),
}


@pytest.mark.parametrize(("recorded_", "found", "followed", "expected"), PLANS.values(), ids=PLANS.keys())
def test_a_plans_revision(recorded_: int | None, found: ReleasePlan | None, followed: list[int], expected: int) -> None:
    row = {"plan": {"revision": recorded_, "digest": digest("0")}} if recorded_ else {}
    md = deployment(row)
    projected = plan.project(md.spec, md.status, found, followed, START)
    assert projected == live(expected, md)


def test_a_plan_says_what_spec_and_record_say() -> None:
    md = deployment(
        {"candidate": candidate(weight=20), "lastKnownGood": good("9")},
        logger={"percent": 50, "omitColumns": ["dest"]},
        predictor={"timeout": "2s", "maxBatchRows": 8},
        verification={"policy": "Warn"},
        requestPolicy={"errorDetail": "Minimal"},
    )
    found = live(3, md)
    assert found.champion is not None and found.candidate is not None and found.previous is not None
    assert (found.champion.digest, found.candidate.weight, found.previous.digest) == (digest("a"), 20, digest("9"))
    assert (found.logger.percent, found.predictor.timeout, found.verification.policy) == (50, "2s", "Warn")
    later = plan.content(md.spec, md.status, 3, START + timedelta(hours=1))
    assert later.previous is None


def test_decisions_are_ten_and_never_lose_how_the_trial_stands() -> None:
    record = decided(deployment().status, Act.ROLLBACK, digest("b"), START, reason="ErrorRateHigher", message="worse")
    for _ in range(30):
        record = decided(record, Act.RETRAIN, digest("d"), START, reason="Manual", message="a run")
    assert record.decisions is not None
    assert [row.action for row in record.decisions] == ["Retrain"] * 9 + ["Rollback"]
    few = kept(record.decisions, 3)
    assert [row.action for row in few] == ["Retrain", "Retrain", "Rollback"]


HELD = [run("r", "Hold", letter="7", trigger={"kind": "Manual"})]
RUNNING = {"training": {"running": "r", "lastRun": "r"}}


def quarantined(md: ModelDeployment, found: Seen) -> dict[str, str]:
    return {row.digest[7]: row.reason for row in recorded(md, found, START).quarantined or ()}


def row(letter: str, reason: str = "ErrorRateHigher", until: str = "2026-02-01T00:00:00Z") -> dict[str, str]:
    return {"digest": digest(letter), "reason": reason, "until": until}


QUARANTINES: dict[str, tuple[ModelDeployment, Seen, dict[str, str]]] = {
    "a refused run's model": (deployment(RUNNING), seen(runs=HELD), {"7": "HeldByGate"}),
    "a refused run that ended before it was seen": (deployment(), seen(runs=HELD), {"7": "HeldByGate"}),
    "once looked at, it is not put in again": (deployment({"training": {"lastRun": "r"}}), seen(runs=HELD), {}),
    "a hand-made run is its maker's": (deployment(), seen(runs=[run("r", "Hold", letter="7", ours=False)]), {}),
    "the champion made again": (deployment(RUNNING), seen(runs=[run("r", "Hold", letter="a")]), {}),
    "its time is over": (deployment({"quarantined": [row("7", until=AT)]}), seen(), {}),
    "a person lets it go": (
        deployment({"quarantined": [row("7"), row("8")]},
                   metadata={"annotations": {"treadle.dev/unquarantine": digest("7")}}),
        seen(), {"8": "ErrorRateHigher"},
    ),
    "the gate lets it pass under other rules": (
        deployment({"quarantined": [row("7", "HeldByGate")], "training": {"lastRun": "x"}}),
        seen(runs=[run("x", letter="7", against="9")]), {},
    ),
    "the gate cannot lift what pods refused": (
        deployment({"quarantined": [row("7")], "training": {"lastRun": "x"}}),
        seen(runs=[run("x", letter="7", against="9")]), {"7": "ErrorRateHigher"},
    ),
    "ten at most, and those that pods refused stay": (
        deployment({"quarantined": [row(letter) for letter in "123456890"], **RUNNING, "candidate": candidate("c")}),
        seen(deployment({"candidate": candidate("c")}), runs=HELD,
             pods=[pod(candidate=held("c", "Refused", "FormatRefused"))]),
        {**dict.fromkeys("123456890", "ErrorRateHigher"), "c": "FormatRefused"},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("md", "found", "expected"), QUARANTINES.values(), ids=QUARANTINES.keys())
def test_what_is_quarantined(md: ModelDeployment, found: Seen, expected: dict[str, str]) -> None:
    assert quarantined(md, found) == expected


BACK = {"lastKnownGood": good("9")}
ASKED_AT = {"metadata": {"annotations": {"treadle.dev/requested-at": "2026-01-05T09:00:00Z"}}}
MONITORS = {"kind": "Monitor", "id": "one"}
REFERENCE = {"ref": {"kind": "Monitor", "name": "flights-late", "uid": "uid-Monitor-flights-late"}}
ANSWERED = {
    "id": "one",
    "from": "Monitor/flights-late",
    "action": "Retrain",
    "outcome": "Started",
    "ref": "r",
    "time": AT,
}

ANSWERS_TO: dict[str, tuple[ModelDeployment, Seen, tuple[str, str, str | None, str | None] | None]] = {
    "its run is there": (
        deployment(), seen(asks=[ask()], runs=[run(trigger={**MONITORS, **REFERENCE})]),
        ("Retrain", "Started", "r", None),
    ),
    "a starved run has a successor": (
        deployment({"requests": [ANSWERED]}),
        seen(asks=[ask()], runs=[run("s", trigger={**MONITORS, **REFERENCE})]), ("Retrain", "Started", "s", None),
    ),
    "an answer stands though its run is gone": (
        deployment({"requests": [ANSWERED]}), seen(asks=[ask()]), ("Retrain", "Started", "r", None),
    ),
    "it waits while a run is under way": (deployment(), seen(asks=[ask()], runs=[run(verdict=None)]), None),
    "it waits for a version": (deployment(), seen(asks=[ask()], data=None), None),
    "it is about a champion that is gone": (
        deployment(), seen(asks=[ask(subject="9")]), ("Retrain", "Refused", None, "VerdictStale"),
    ),
    "spec suspends": (
        deployment(suspend=True), seen(asks=[ask()]), ("Retrain", "Refused", None, "Suspended"),
    ),
    "there is no template": (
        deployment(template=False), seen(asks=[ask()]), ("Retrain", "Refused", None, "NoTemplate"),
    ),
    "a Monitor goes back": (deployment(BACK), seen(asks=[ask(action="Rollback")]), ("Rollback", "Done", None, None)),
    "there is nothing to go back to": (
        deployment(), seen(asks=[ask(action="Rollback")]), ("Rollback", "Refused", None, "NoModel"),
    ),
    "a person's run is there": (
        deployment(**ASKED_AT), seen(runs=[run(trigger={"kind": "Manual", "id": "2026-01-05T09:00:00Z"})]),
        ("Retrain", "Started", "r", None),
    ),
    "a person asks without a template": (
        deployment(template=False, **ASKED_AT), seen(), ("Retrain", "Refused", None, "NoTemplate"),
    ),
    "a person goes back to nothing": (
        deployment(metadata={"annotations": {"treadle.dev/rollback": digest("a")}}), seen(),
        ("Rollback", "Refused", None, "NoModel"),
    ),
    "a person names what is not champion": (
        deployment(BACK, metadata={"annotations": {"treadle.dev/rollback": digest("8")}}), seen(), None,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("md", "found", "expected"), ANSWERS_TO.values(), ids=ANSWERS_TO.keys())
def test_a_request_is_answered(
    md: ModelDeployment, found: Seen, expected: tuple[str, str, str | None, str | None] | None
) -> None:
    rows = recorded(md, found, START).requests or []
    assert [(row.action, row.outcome, row.ref, row.reason) for row in rows] == ([expected] if expected else [])
    again = md.model_copy(update={"status": recorded(md, found, START)})
    assert recorded(again, found, START + timedelta(minutes=1)).requests == (rows or None)


def annotated(status: Any, told: Any = None, **annotations: str) -> ModelDeployment:
    """Return a ModelDeployment whose annotations name digests by a letter; told: what status says that was handled."""
    marks = {f"treadle.dev/{name}": digest(letter) for name, letter in annotations.items()}
    handled = {"handledDigests": {name: digest(letter) for name, letter in told.items()}} if told else {}
    return deployment({**status, **handled}, metadata={"annotations": marks})


ON_TRIAL = {"candidate": candidate("b", "Verifying")}
LOADS, HOLDS, REFUSES = (
    pod(champion=held("a", "Serving"), candidate=held("b", state, reason))
    for state, reason in (("Loading", ""), ("Loaded", ""), ("Refused", "FormatRefused"))
)
HANDLED: dict[str, tuple[ModelDeployment, ServingPod, dict[str, str]]] = {
    "nothing is asked": (annotated({}), ANSWERS, {}),
    "a candidate that loads may be promoted later": (annotated(ON_TRIAL, promote="b"), LOADS, {}),
    "a candidate is promoted": (annotated(ON_TRIAL, promote="b"), HOLDS, {"promote": "b"}),
    "a candidate is refused though": (annotated(ON_TRIAL, promote="b"), REFUSES, {"promote": "b"}),
    "a later trial of what was promoted": (
        annotated(ON_TRIAL, {"promote": "b"}, promote="b"), LOADS, {"promote": "b"},
    ),
    "promotion of the champion": (annotated({}, promote="a"), ANSWERS, {"promote": "a"}),
    "promotion of what is refused": (annotated({"quarantined": [row("7")]}, promote="7"), ANSWERS, {"promote": "7"}),
    "promotion of what nobody knows yet": (annotated({}, promote="7"), ANSWERS, {}),
    "the champion is left": (annotated(BACK, rollback="a"), ANSWERS, {"rollback": "a"}),
    "there is nothing to go back to": (annotated({}, rollback="a"), ANSWERS, {"rollback": "a"}),
    "a candidate is left": (annotated(ON_TRIAL, rollback="b"), LOADS, {"rollback": "b"}),
    "the former champion is named too late": (annotated(BACK, rollback="9"), ANSWERS, {"rollback": "9"}),
    "rollback of what nobody knows yet": (annotated({}, rollback="7"), ANSWERS, {}),
    "a digest is released": (
        annotated({"quarantined": [row("7")]}, unquarantine="7"), ANSWERS, {"unquarantine": "7"},
    ),
    "there is nothing to release": (annotated({}, unquarantine="7"), ANSWERS, {"unquarantine": "7"}),
    "what was released is refused again": (
        annotated({"quarantined": [row("7")]}, {"unquarantine": "7"}, unquarantine="7"), ANSWERS, {"unquarantine": "7"},
    ),
    "another value replaces the last": (
        annotated({"quarantined": [row("8")]}, {"unquarantine": "7"}, unquarantine="8"), ANSWERS, {"unquarantine": "8"},
    ),
    "an annotation was taken away": (annotated({}, {"promote": "b", "unquarantine": "7"}), ANSWERS, {}),
}  # fmt: skip


@pytest.mark.parametrize(("md", "answer", "expected"), HANDLED.values(), ids=HANDLED.keys())
def test_a_digest_in_an_annotation_acts_once(md: ModelDeployment, answer: ServingPod, expected: dict[str, str]) -> None:
    found = seen(md, pods=[answer])
    after = recorded(md, found, START)
    told = after.handled_digests.dump() if after.handled_digests is not None else {}
    assert {name: value[7] for name, value in told.items()} == expected
    acts = {"promote": "Promote", "rollback": "Rollback", "unquarantine": "Unquarantine"}
    again = recorded(md.model_copy(update={"status": after}), found, START + timedelta(minutes=1))
    done = [each.action for each in again.decisions or () if each not in (after.decisions or ())]
    assert not {acts[name] for name in expected} & set(done)


def test_answers_to_standing_requests_outlast_ten_others() -> None:
    others = [{**ANSWERED, "id": f"old-{number}"} for number in range(9)]
    md = deployment({"requests": [*others, ANSWERED]}, template=False, **ASKED_AT)
    rows = recorded(md, seen(asks=[ask()]), START).requests or []
    assert (len(rows), rows[0].from_, rows[-1].id) == (10, "person", "one")


def test_a_pinned_candidate_that_spec_no_longer_pins_is_left() -> None:
    md = deployment(
        {"candidate": candidate("b")},
        source={"follow": "Pinned", "digest": digest("c")},
        metadata={"generation": 2},
    )
    record = trial.followed(md, md.status, seen(md, pods=[ANSWERS]), START)
    assert record.candidate is None and record.quarantined is None
    assert record.decisions is not None and record.decisions[0].action == "Withdraw"
    after = trial.followed(md, record, seen(md, pods=[ANSWERS]), START)
    assert after.candidate is not None and after.candidate.digest == digest("c")


def test_a_newer_run_that_passed_takes_the_place_of_a_candidate() -> None:
    steps = {"canary": {"steps": [{"setWeight": 20}]}}
    md = deployment({"candidate": candidate("b", weight=20)}, strategy=steps)
    newer = run("new", letter="c", completed="2026-01-05T08:30:00Z")
    record = trial.followed(md, md.status, seen(md, runs=[run(), newer]), START)
    assert record.candidate is None
    record = trial.followed(md, md.status, seen(md, runs=[run()]), START)
    assert record.candidate is not None


def test_a_refusal_of_a_former_trial_is_not_taken_for_one_of_this() -> None:
    """A pod that still follows the plan before this candidate's says nothing about it."""
    md = deployment({"candidate": candidate("b", state="Verifying")})
    behind = pod(revision=3, champion=held("a", "Serving"), candidate=held("b", "Refused", "ChecksumMismatch"))
    assert trial.followed(md, md.status, seen(md, pods=[behind], revision=4), START).candidate is not None
    assert trial.followed(md, md.status, seen(md, pods=[behind], revision=3), START).candidate is None


def test_a_status_stays_within_16_kib() -> None:
    rows = [
        {"pod": f"pod-{number}-{'x' * 40}", "arm": arm, "requests": 10**9, "errors": 10**6, "latency": [10**8] * 16}
        for number in range(16)
        for arm in ("champion", "candidate")
    ]
    many = {
        "candidate": candidate(counts=rows, baseline=rows),
        "decisions": [decision("Retrain", "Manual", message="m" * 160) for _ in range(10)],
    }
    conditions = [condition("Ready", "True", "Answering", "m" * 300)] * 9
    document = {**deployment(many).status.dump(), "conditions": conditions}
    found = fitted(document)
    assert len(found["decisions"]) == 3
    small = {**document, "candidate": candidate()}
    assert fitted(small) == small
    assert len(json.dumps(small)) < LIMIT_BYTES


def again(md: ModelDeployment, **found: Any) -> float | None:
    return status(md, seen(md, **found), START).again


LOOKS: dict[str, tuple[float | None, float | None]] = {
    "at rest": (again(deployment(), pods=[ANSWERS]), None),
    "pods load": (again(deployment(), pods=[pod(ready=False)]), 5.0),
    "a pod does not follow": (again(deployment(), pods=[pod(revision=0)]), 5.0),
    "a canary": (again(deployment({"candidate": candidate(weight=20)}), pods=[ANSWERS]), 10.0),
    "the former champion is let go": (
        again(deployment({"lastKnownGood": good(until="2026-01-05T08:07:00Z")}), pods=[ANSWERS]), 420.0,
    ),
    "scaled to zero": (again(deployment(replicas=0)), None),
    "a quarantine ends": (
        again(deployment({"quarantined": [row("7", until="2026-01-05T08:01:00Z")]}), pods=[ANSWERS]), 60.0,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("found", "expected"), LOOKS.values(), ids=LOOKS.keys())
def test_the_next_look(found: float | None, expected: float | None) -> None:
    assert found == expected


ROLLOUTS: dict[str, tuple[dict[str, int] | None, int, bool]] = {
    "all are new and ready": ({"replicas": 2, "updatedReplicas": 2, "readyReplicas": 2}, 2, True),
    "an old one is left": ({"replicas": 2, "updatedReplicas": 1, "readyReplicas": 1}, 1, False),
    "a new one is not ready": ({"replicas": 2, "updatedReplicas": 2, "readyReplicas": 1}, 2, False),
    "its controller has not seen it": ({"replicas": 1, "updatedReplicas": 1, "readyReplicas": 1, "is": 0}, 1, False),
    "scaled to zero": ({}, 0, True),
    "there is none": (None, 1, False),
}


@pytest.mark.parametrize(("counts", "replicas", "expected"), ROLLOUTS.values(), ids=ROLLOUTS.keys())
def test_a_rollout_is_over(counts: dict[str, int] | None, replicas: int, expected: bool) -> None:
    found = {"observedGeneration": 3 if counts is None else counts.pop("is", 3), **(counts or {})}
    live = {"metadata": {"generation": 3}, "status": found} if counts is not None else None
    assert is_rolled_out(live, replicas) == expected


SCHEDULES: dict[str, tuple[str | None, list[Any], str]] = {
    "the first": (None, [], "2026-01-05T09:00:00Z"),
    "it is due and waits for its run": (AT, [], AT),
    "its run is there": (AT, [run(trigger={"kind": "Schedule", "id": AT})], "2026-01-05T09:00:00Z"),
    "the schedule changed": ("2026-01-07T00:00:00Z", [], "2026-01-05T09:00:00Z"),
}  # fmt: skip


@pytest.mark.parametrize(("former", "runs", "expected"), SCHEDULES.values(), ids=SCHEDULES.keys())
def test_the_next_due_time(former: str | None, runs: list[Any], expected: str) -> None:
    before = {"training": {"nextScheduleTime": former}} if former else {}
    template = deployment().spec.training
    assert template is not None and template.template is not None
    spec = {"template": template.template.dump(), "triggers": {"schedule": "0 9 * * *"}}
    found = recorded(deployment(before, training=spec), seen(runs=runs), START).training
    assert found is not None and found.next_schedule_time == expected


def test_a_due_time_is_skipped_while_runs_are_refused() -> None:
    template = deployment().spec.training
    assert template is not None and template.template is not None
    spec = {"template": template.template.dump(), "triggers": {"schedule": "0 9 * * *"}}
    md = deployment({"training": {"nextScheduleTime": AT}}, training=spec, suspend=True)
    found = recorded(md, seen(), START).training
    assert found is not None and (found.next_schedule_time, found.last_schedule_time) == ("2026-01-05T09:00:00Z", None)


def test_log_counters_alone_are_no_change() -> None:
    md = deployment()
    first = status(md, seen(md, pods=[pod(champion=held("a", "Serving"), rows=500)]), START)
    after = md.model_copy(update={"status": ModelDeploymentStatus.parse(first.status)})
    more = status(after, seen(after, pods=[pod(champion=held("a", "Serving"), rows=900)]), START)
    assert more.status == first.status
    far_more = status(after, seen(after, pods=[pod(champion=held("a", "Serving"), rows=1000)]), START)
    assert far_more.status["logger"] == {"rows": 1000, "dropped": 0}
