"""The next record of a trial, check by check, and a walk through all of it."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from builders import AT, digest
from served import arm, held
from toys import START
from treadle.api.arms import ArmCounts
from treadle.api.base import stamp
from treadle.api.modeldeployment import Analysis, ArmRow, Candidate, Step
from treadle.api.plan import HeldModel
from treadle.control.modeldeployment import counts
from treadle.control.modeldeployment.canary import Arms, Rollout, Rules, advance
from treadle.control.modeldeployment.counts import PodArms

STEPS = tuple(
    Step.parse(step)
    for step in (
        {"setWeight": 20},
        {"pause": {"duration": "60s"}},
        {"setWeight": 50},
        {"pause": {}},
        {"setWeight": 100},
    )
)
ERRORS = Analysis.parse({"metrics": [{"name": "ErrorRate", "maxIncrease": "0.05"}], "minSamplesPerArm": 50})
SLOW = Analysis.parse({"metrics": [{"name": "LatencyP99", "maxRatio": "1.5"}], "minSamplesPerArm": 50})
QUICK = Analysis.parse({"metrics": [], "minSamplesPerArm": 50, "maxDuration": "1h", "onInconclusive": "Rollback"})


def rules(**changes: Any) -> Rules:
    return Rules(**{"steps": STEPS, "analysis": ERRORS, **changes})


def trial(state: str = "Canary", step: int = 1, weight: int = 20, **more: Any) -> Candidate:
    begun = {"counts": [], "baseline": []} if state != "Verifying" else {}
    return Candidate.parse(
        {
            "version": "v2", "digest": digest("b"), "state": state, "step": step, "weight": weight,
            "since": AT, "stepSince": AT, **begun, **more,
        }
    )  # fmt: skip


def verifying(**more: Any) -> Candidate:
    return trial("Verifying", 0, 0, **more)


def pod(
    ours: int = 0, theirs: int = 0, errors: int = 0, state: str = "Serving", bucket: int = 3, **more: Any
) -> PodArms:
    told = HeldModel.parse(held("b", state, **{key: more.pop(key) for key in ("reason", "message") if key in more}))
    pair = (ArmCounts.parse(arm("a", theirs)), ArmCounts.parse(arm("b", ours, errors, bucket)))
    # Made after the weight was set, so that all of its answers count.
    found = {"uid": "p", "created": START + timedelta(hours=9), "candidate": told, "arms": pair, "is_ready": True}
    return PodArms(**{**found, **more})


STARTING = PodArms(uid="s")
SILENT = PodArms(uid="q", is_ready=True)
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)

ENDS: dict[str, tuple[Candidate, Rules, tuple[PodArms, ...], timedelta, tuple[str, str] | None]] = {
    "verified without a champion is promoted": (
        verifying(), rules(is_first=True), (pod(state="Loaded"),), MINUTE, ("Promote", "Promoted"),
    ),
    "one pod still loads": (
        verifying(), rules(is_first=True), (pod(state="Loaded"), pod(state="Loading", uid="o")), MINUTE, None,
    ),
    "a pod that starts is not waited for": (
        verifying(), rules(is_first=True), (pod(state="Loaded"), STARTING), MINUTE, ("Promote", "Promoted"),
    ),
    "a pod that takes requests and says nothing is waited for": (
        verifying(), rules(is_first=True), (pod(state="Loaded"), SILENT), MINUTE, None,
    ),
    "without a pod nothing is known": (verifying(), rules(is_first=True), (), DAY, None),
    "one refusal is enough": (
        verifying(), rules(), (pod(state="Loaded"), pod(state="Refused", reason="SignatureInvalid", uid="o")),
        MINUTE, ("Refuse", "SignatureInvalid"),
    ),
    "a refusal while it answers is a rollback": (
        trial(), rules(), (pod(state="Refused", reason="CandidateCrashed"),), MINUTE, ("Rollback", "CandidateCrashed"),
    ),
    "a pod that crashed over it is enough": (
        verifying(), rules(), (pod(state="Loading", crash="pod p was killed for memory"),), MINUTE,
        ("Refuse", "CandidateCrashed"),
    ),
    "without a champion a crash may have any cause": (
        verifying(), rules(is_first=True), (pod(state="Loading", crash="pod p ended with exit code 1"),), MINUTE, None,
    ),
    "loading takes too long": (
        verifying(), rules(), (pod(state="Loading"),), timedelta(minutes=10), ("Refuse", "ProgressDeadlineExceeded"),
    ),
    "without a champion it may take as long as it takes": (
        verifying(), rules(is_first=True), (pod(state="Loading"),), DAY, None,
    ),
    "spec wishes it no longer": (trial(), rules(withdrawn="left"), (pod(),), MINUTE, ("Withdraw", "NoCandidate")),
    "a person refuses it": (
        trial(), rules(is_refused_by_person=True), (pod(),), MINUTE, ("Rollback", "PersonAsked"),
    ),
    "a person promotes it before its steps": (
        verifying(), rules(is_promoted_by_person=True), (pod(state="Loaded"),), MINUTE, ("Promote", "PersonAsked"),
    ),
    "a person promotes it amid its steps": (
        trial(), rules(is_promoted_by_person=True), (pod(),), MINUTE, ("Promote", "PersonAsked"),
    ),
    "a person cannot promote what a pod refuses": (
        verifying(), rules(is_promoted_by_person=True), (pod(state="Refused", reason="FormatRefused"),), MINUTE,
        ("Refuse", "FormatRefused"),
    ),
    "more errors are shown": (trial(), rules(), (pod(100, 400, 40),), MINUTE, ("Rollback", "ErrorRateHigher")),
    "more errors are shown before there are enough answers": (
        trial(), rules(), (pod(30, 400, 30),), timedelta(), ("Rollback", "ErrorRateHigher"),
    ),
    "slower answers are shown": (
        trial(), rules(analysis=SLOW), (pod(3000, 3000, bucket=10),), MINUTE, ("Rollback", "LatencyHigher"),
    ),
    "undecided for too long, and spec says Rollback": (
        trial(), rules(analysis=QUICK), (pod(10, 10),), timedelta(hours=2), ("Rollback", "TooFewSamples"),
    ),
    "undecided for too long, and spec says Hold": (trial(), rules(), (pod(10, 10),), 2 * DAY, None),
    "without steps it is champion after verification": (
        verifying(), rules(steps=()), (pod(state="Loaded"),), MINUTE, ("Promote", "Promoted"),
    ),
    "the last step is done": (
        trial(step=4, weight=100), rules(), (pod(300, 0),), MINUTE, ("Promote", "Promoted"),
    ),
    "the steps became fewer than where it stands": (
        trial(step=4), rules(steps=STEPS[:2]), (pod(300, 300),), MINUTE, ("Promote", "Promoted"),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("candidate", "said", "pods", "later", "expected"), ENDS.values(), ids=ENDS.keys())
def test_a_trial_ends(
    candidate: Candidate, said: Rules, pods: tuple[PodArms, ...], later: timedelta, expected: tuple[str, str] | None
) -> None:
    end = advance(Rollout(candidate, said), Arms(pods), START + later).end
    assert (end and (end.how, end.reason)) == expected, end


GOES_ON: dict[str, tuple[Candidate, Rules, PodArms, timedelta, tuple[str, int, int]]] = {
    "verified, it takes the first weight and its pause": (
        verifying(), rules(), pod(state="Loaded"), MINUTE, ("Canary", 1, 20),
    ),
    "a pause lasts": (trial(), rules(), pod(400, 400), timedelta(seconds=59), ("Canary", 1, 20)),
    "after the pause comes the next weight": (trial(), rules(), pod(400, 400), MINUTE, ("Paused", 3, 50)),
    "enough answers are waited for": (trial(), rules(), pod(49, 400), MINUTE, ("Canary", 1, 20)),
    "of both arms": (trial(), rules(), pod(400, 49), MINUTE, ("Canary", 1, 20)),
    "an open comparison is waited for": (trial(), rules(), pod(60, 60), MINUTE, ("Canary", 1, 20)),
    "a pause without duration waits for a person": (
        trial("Paused", 3, 50), rules(), pod(4000, 4000), DAY * 30, ("Paused", 3, 50),
    ),
    "undecided for too long it is held": (trial(), rules(), pod(10, 10), DAY, ("Held", 1, 20)),
    "held, it goes on once there are answers": (trial("Held"), rules(), pod(400, 400), DAY, ("Paused", 3, 50)),
    "at weight 100 the champion answers nothing more": (
        trial(step=2, weight=50), rules(steps=(*STEPS[:3], STEPS[4])), pod(400, 400), MINUTE, ("Canary", 3, 100),
    ),
    "a pause before the first weight": (
        verifying(), rules(steps=(STEPS[1], STEPS[0])), pod(state="Loaded"), MINUTE, ("Canary", 0, 0),
    ),
    "a first pause is over": (
        trial(step=0, weight=0), rules(steps=(STEPS[1], STEPS[0])), pod(), MINUTE, ("Canary", 1, 20),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("candidate", "said", "told", "later", "expected"), GOES_ON.values(), ids=GOES_ON.keys())
def test_a_trial_goes_on(
    candidate: Candidate, said: Rules, told: PodArms, later: timedelta, expected: tuple[str, int, int]
) -> None:
    found = advance(Rollout(candidate, said), Arms((told,)), START + later)
    assert found.end is None
    assert (found.candidate.state, found.candidate.step, found.candidate.weight) == expected


def test_requests_of_an_earlier_weight_do_not_count_at_the_next() -> None:
    rollout = Rollout(trial(), rules(steps=STEPS[:3]))
    rollout = advance(rollout, Arms((pod(400, 400),)), START + MINUTE)
    assert rollout.candidate.weight == 50
    rollout = advance(rollout, Arms((pod(420, 410),)), START + 2 * MINUTE)
    found = rollout.candidate.samples
    assert rollout.end is None and found is not None
    assert (found.candidate, found.champion) == (20, 10)


def test_a_count_is_taken_every_ten_seconds_at_most() -> None:
    first = advance(Rollout(trial(), rules()), Arms((pod(5, 5),)), START)
    soon = advance(first, Arms((pod(9, 9),)), START + timedelta(seconds=9))
    later = advance(first, Arms((pod(9, 9),)), START + timedelta(seconds=10))
    assert soon.candidate == first.candidate
    assert later.candidate.samples is not None and later.candidate.samples.candidate == 9


def test_without_new_answers_nothing_changes() -> None:
    first = advance(Rollout(trial(), rules()), Arms((pod(5, 5),)), START)
    assert advance(first, Arms((pod(5, 5),)), START + timedelta(hours=5)).candidate == first.candidate


JOINED: dict[str, tuple[list[tuple[str, int, int]], list[PodArms], dict[str, int]]] = {
    "a pod's first word": ([], [pod(5)], {"p": 5}),
    "counts grow": ([("p", 5, 0)], [pod(9)], {"p": 9}),
    "a container that restarted counts from zero": ([("p", 50, 0)], [pod(3)], {"p": 50}),
    "a failed poll changes nothing": ([("p", 5, 0)], [PodArms(uid="p")], {"p": 5}),
    "a pod that is gone stays in the sum": ([("old", 7, 1)], [pod(2)], {"gone": 7, "p": 2}),
    "those that are gone add up": ([("gone", 7, 1), ("old", 3, 0)], [], {"gone": 10}),
}


@pytest.mark.parametrize(("before", "pods", "expected"), JOINED.values(), ids=JOINED.keys())
def test_counts_join(before: list[tuple[str, int, int]], pods: list[PodArms], expected: dict[str, int]) -> None:
    rows = [
        ArmRow(pod=uid, arm="candidate", requests=count, errors=errors, latency=[count])
        for uid, count, errors in before
    ]
    found = counts.joined(rows, pods)
    assert {row.pod: row.requests for row in found if row.arm == "candidate"} == expected


def test_no_more_than_32_rows_stand_in_status() -> None:
    pods = [pod(1, 1, uid=f"p-{number:03}") for number in range(100)]
    rows = counts.joined([], pods)
    gone = counts.joined(rows, [pod(1, 1, uid=f"q-{number}") for number in range(100)])
    assert len(rows) == 30 and len(gone) == 32
    assert sum(row.requests for row in gone if row.pod == "gone") == 30


def test_a_pod_met_late_begins_at_what_it_counted_before() -> None:
    old = pod(1000, 1000, created=START - DAY)
    rollout = advance(Rollout(trial(), rules()), Arms((old,)), START + MINUTE)
    assert rollout.candidate.samples is not None and rollout.candidate.samples.candidate == 0


def walk(rate: float, seed: int, steps: int = 400) -> tuple[str, datetime]:
    """Let a candidate with this error rate walk the steps at 20 requests a look; return how it ended."""
    import random

    rng = random.Random(seed)
    rollout, now = Rollout(verifying(), rules(steps=STEPS[:3])), START
    ours = theirs = failed = 0
    for _ in range(steps):
        now += timedelta(seconds=10)
        weight = rollout.candidate.weight
        mine = sum(rng.random() < weight / 100 for _ in range(20))
        ours, theirs = ours + mine, theirs + 20 - mine
        failed += sum(rng.random() < rate for _ in range(mine))
        rollout = advance(rollout, Arms((pod(ours, theirs, failed),)), now)
        if rollout.end is not None:
            return rollout.end.how, now
    return rollout.candidate.state, now


def test_good_candidates_pass_and_bad_ones_are_left() -> None:
    good = [walk(0.0, seed)[0] for seed in range(10)]
    bad = [walk(0.3, seed)[0] for seed in range(10)]
    assert (good.count("Promote"), bad.count("Rollback")) == (10, 10), (good, bad)


def test_times_are_written_as_kubernetes_writes_them() -> None:
    found = advance(Rollout(verifying(), rules()), Arms((pod(state="Loaded"),)), START + MINUTE).candidate
    assert (found.step_since, found.counted_at) == (stamp(START + MINUTE),) * 2
