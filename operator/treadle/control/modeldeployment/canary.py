"""The next record of a rollout: a candidate is vetted, walks its steps, and ends as champion or refused."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from treadle.api.base import duration, moment, stamp
from treadle.api.modeldeployment import (
    Analysis,
    Candidate,
    CandidateState,
    CandidateVerdict,
    OnInconclusive,
    Pause,
    Step,
)
from treadle.api.reasons import Reason
from treadle.control.modeldeployment import analysis, counts
from treadle.control.modeldeployment.counts import PodArms

HOLDS = ("Loaded", "Serving")
HANGS = ("Loading", "Verifying")
LOOK = timedelta(seconds=10)
"""Between two counts: each is a status write, which wakes the next pass."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What spec and people say about this trial."""

    steps: tuple[Step, ...] = ()
    analysis: Analysis = field(default_factory=Analysis)
    deadline: timedelta = timedelta(minutes=10)
    """For loading and verifying."""
    is_first: bool = False
    """No champion: what is verified is champion."""
    withdrawn: str | None = None
    """Why the candidate is no longer wished; it is not its fault."""
    is_promoted_by_person: bool = False
    is_refused_by_person: bool = False

    @property
    def weights(self) -> int:
        return sum(step.set_weight is not None for step in self.steps)


@dataclass(frozen=True, slots=True)
class Arms:
    """What the pods say."""

    pods: tuple[PodArms, ...] = ()

    @property
    def answering(self) -> tuple[PodArms, ...]:
        """Pods whose word counts: they take requests, or answer for themselves. Others load the candidate later."""
        return tuple(pod for pod in self.pods if pod.is_ready or pod.arms is not None)


class Ending(StrEnum):
    """How a trial ends."""

    PROMOTE = "Promote"
    ROLLBACK = "Rollback"
    REFUSE = "Refuse"
    WITHDRAW = "Withdraw"


@dataclass(frozen=True, slots=True)
class End:
    """How a trial ended, and why."""

    how: Ending
    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class Rollout:
    """A trial: the record in status, the rules, and its end once there is one."""

    candidate: Candidate
    rules: Rules
    end: End | None = None

    @property
    def pause(self) -> Pause | None:
        """The pause that the trial stands at."""
        index = self.candidate.step
        if self.candidate.state is CandidateState.VERIFYING or index >= len(self.rules.steps):
            return None
        return self.rules.steps[index].pause

    @property
    def waits_for_person(self) -> bool:
        return self.pause is not None and self.pause.duration is None

    def ends(self, how: Ending, reason: Reason, message: str) -> Rollout:
        """Return the trial, ended."""
        return dataclasses.replace(self, end=End(how, reason, message))

    def stays(self) -> Rollout:
        """Return the trial where it is."""
        return self

    def changed(self, **fields: Any) -> Rollout:
        """Return the trial with these fields of its record."""
        return dataclasses.replace(self, candidate=self.candidate.model_copy(update=fields))


type Check = Callable[[Rollout, Arms, datetime], Rollout | None]


def advance(rollout: Rollout, arms: Arms, now: datetime) -> Rollout:
    """Return the record after one more look; the first check that speaks decides."""
    looked = look(rollout, arms, now)
    for check in CHECKS:
        if (step := check(looked, arms, now)) is not None:
            return _with_state(step, now)
    return _with_state(looked, now)


def look(rollout: Rollout, arms: Arms, now: datetime) -> Rollout:
    """Return the record with the pods' counts, at most every ten seconds, and the comparisons."""
    candidate = rollout.candidate
    if candidate.state is CandidateState.VERIFYING:
        return rollout
    seen = counted(candidate, arms, now)
    compared = analysis.judged(seen, rollout.rules.analysis, rollout.rules.weights)
    verdicts = {row.verdict for row in compared}
    verdict = (
        CandidateVerdict.ROLLBACK
        if analysis.WORSE in verdicts
        else CandidateVerdict.INCONCLUSIVE
        if analysis.UNDECIDED in verdicts
        else CandidateVerdict.PROMOTE
    )
    judged = {"samples": analysis.samples(seen), "analysis": compared, "verdict": verdict if compared else None}
    return dataclasses.replace(rollout, candidate=seen.model_copy(update=judged))


def counted(candidate: Candidate, arms: Arms, now: datetime) -> Candidate:
    """Return the record with what the pods counted; unchanged where nothing is new, or the last count is fresh."""
    previous = candidate.counts or []
    if candidate.counted_at is not None and now < moment(candidate.counted_at) + LOOK:
        return candidate
    rows = counts.joined(previous, arms.pods)
    if rows == previous:
        return candidate
    met = counts.first_met(previous, rows, arms.pods, moment(candidate.step_since))
    baseline = counts.totals([*(candidate.baseline or []), *met])
    return candidate.model_copy(update={"counts": rows, "baseline": baseline, "counted_at": stamp(now)})


def withdrawn(rollout: Rollout, arms: Arms, now: datetime) -> Rollout | None:
    """End the trial of what is no longer wished."""
    if rollout.rules.withdrawn is not None:
        return rollout.ends(Ending.WITHDRAW, Reason.NO_CANDIDATE, rollout.rules.withdrawn)
    if rollout.rules.is_refused_by_person:
        return rollout.ends(Ending.ROLLBACK, Reason.PERSON_ASKED, f"a person rolled {_name(rollout)} back")
    return None


def vet_refused(rollout: Rollout, arms: Arms, now: datetime) -> Rollout | None:
    """Refuse what a pod refuses: one that cannot hold it is enough."""
    for pod in arms.pods:
        held = pod.candidate
        if held is None or held.state != "Refused":
            continue
        reason = held.reason or Reason.CANDIDATE_CRASHED
        return rollout.ends(_how(rollout), reason, held.message or f"{_name(rollout)} was refused by a serving pod")
    crash = next((pod.crash for pod in arms.pods if pod.crash), "")
    # Without a champion a pod may crash for any reason; it goes on trying, and Ready says why.
    if crash and not rollout.rules.is_first:
        return rollout.ends(_how(rollout), Reason.CANDIDATE_CRASHED, f"{_name(rollout)}: {crash}")
    return None


def overdue(rollout: Rollout, arms: Arms, now: datetime) -> Rollout | None:
    """End what hangs while it loads, or is undecided for too long where spec says Rollback; else it is held."""
    rules, candidate = rollout.rules, rollout.candidate
    if candidate.state is CandidateState.VERIFYING:
        is_hanging = any(pod.candidate is not None and pod.candidate.state in HANGS for pod in arms.pods)
        if rules.is_first or not is_hanging or now < moment(candidate.since) + rules.deadline:
            return None
        return rollout.ends(
            Ending.REFUSE,
            Reason.PROGRESS_DEADLINE_EXCEEDED,
            f"{_name(rollout)} was not loaded and verified in {int(rules.deadline.total_seconds())} s",
        )
    if not is_overdue(rollout, now) or rules.analysis.on_inconclusive is OnInconclusive.HOLD:
        return None
    if candidate.verdict is CandidateVerdict.ROLLBACK:
        return None  # `worse` names the cause.
    found = candidate.samples
    return rollout.ends(
        Ending.ROLLBACK,
        Reason.UNDECIDED if _has_samples(rollout) else Reason.TOO_FEW_SAMPLES,
        f"{_name(rollout)} was undecided after {rules.analysis.max_duration} "
        f"({found.candidate if found else 0} requests at weight {candidate.weight}); onInconclusive is Rollback",
    )


def verifying(rollout: Rollout, arms: Arms, now: datetime) -> Rollout | None:
    """Begin the steps once every answering pod holds the candidate; without a champion it is one."""
    if rollout.candidate.state is not CandidateState.VERIFYING:
        return None
    asked = arms.answering
    if not asked or not all(pod.candidate is not None and pod.candidate.state in HOLDS for pod in asked):
        return rollout.stays()
    if rollout.rules.is_promoted_by_person:
        return rollout.ends(Ending.PROMOTE, Reason.PERSON_ASKED, f"a person promoted {_name(rollout)}")
    if rollout.rules.is_first:
        count = f"{len(asked)} pod{'s' if len(asked) > 1 else ''}"
        return rollout.ends(Ending.PROMOTE, Reason.PROMOTED, f"{_name(rollout)} was verified by {count}")
    return enters(rollout, 0, arms, now)


def worse(rollout: Rollout, arms: Arms, now: datetime) -> Rollout | None:
    """Roll back what is shown to be worse than the limit."""
    metrics = analysis.metrics_of(rollout.rules.analysis)
    for row, metric in zip(rollout.candidate.analysis or [], metrics, strict=False):
        if row.verdict == analysis.WORSE:
            return rollout.ends(
                Ending.ROLLBACK, analysis.REASONS[metric.name], f"{_name(rollout)}: {told(rollout, row.name)}"
            )
    return None


def asked(rollout: Rollout, arms: Arms, now: datetime) -> Rollout | None:
    """Promote what a person promotes."""
    if not rollout.rules.is_promoted_by_person:
        return None
    return rollout.ends(Ending.PROMOTE, Reason.PERSON_ASKED, f"a person promoted {_name(rollout)}")


def too_few(rollout: Rollout, arms: Arms, now: datetime) -> Rollout | None:
    """Wait for enough requests of each arm at this weight."""
    return None if rollout.candidate.weight == 0 or _has_samples(rollout) else rollout.stays()


def pausing(rollout: Rollout, arms: Arms, now: datetime) -> Rollout | None:
    """Wait out a pause; one without duration ends by a person only."""
    pause = rollout.pause
    if pause is None:
        return None
    if pause.duration is None or now < moment(rollout.candidate.step_since) + duration(pause.duration):
        return rollout.stays()
    return None


def better(rollout: Rollout, arms: Arms, now: datetime) -> Rollout | None:
    """Take the next step where every comparison is shown to be within its limit."""
    if any(row.verdict != analysis.BETTER for row in rollout.candidate.analysis or []):
        return None
    return enters(rollout, rollout.candidate.step + 1, arms, now)


CHECKS: tuple[Check, ...] = (withdrawn, vet_refused, overdue, verifying, worse, asked, too_few, pausing, better)


def enters(rollout: Rollout, index: int, arms: Arms, now: datetime) -> Rollout:
    """Return the trial at a step; a pause counts from the weight before it, and after the last comes promotion."""
    steps = rollout.rules.steps
    if index >= len(steps):
        return rollout.ends(Ending.PROMOTE, Reason.PROMOTED, f"{_name(rollout)} passed every step")
    weight = steps[index].set_weight
    if weight is None:
        return rollout.changed(state=CandidateState.CANARY, step=index, step_since=stamp(now))
    has_pause = index + 1 < len(steps) and steps[index + 1].pause is not None
    rows = counts.joined(rollout.candidate.counts or [], arms.pods)
    # At 100 the champion answers nothing more: what it counted before stays the comparison.
    kept = [row for row in rollout.candidate.baseline or [] if weight == 100 and row.arm == "champion"]
    fresh = [row for row in counts.totals(rows) if not (weight == 100 and row.arm == "champion")]
    return rollout.changed(
        state=CandidateState.CANARY,
        step=index + 1 if has_pause else index,
        weight=weight,
        step_since=stamp(now),
        counts=rows,
        counted_at=stamp(now),
        baseline=[*kept, *fresh],
        samples=None,
        analysis=None,
        verdict=None,
    )


def is_overdue(rollout: Rollout, now: datetime) -> bool:
    """Say whether the canary took longer than maxDuration; a pause for a person may take as long as it takes."""
    longest = duration(rollout.rules.analysis.max_duration)
    return not rollout.waits_for_person and now >= moment(rollout.candidate.since) + longest


def told(rollout: Rollout, name: str) -> str:
    """Return a comparison as a sentence: found, expected, over how many requests."""
    candidate = rollout.candidate
    row = next(row for row in candidate.analysis or [] if row.name == name)
    metric = next(found for found in analysis.metrics_of(rollout.rules.analysis) if found.name == name)
    limit = f"+{metric.max_increase}" if metric.max_increase is not None else f"{metric.max_ratio} times"
    found = candidate.samples or analysis.samples(candidate)
    return (
        f"{name} {row.candidate} over {found.candidate} requests, champion {row.champion} over {found.champion}; "
        f"limit {limit}, shown [{row.lower or 'unbounded'}, {row.upper or 'unbounded'}] at weight {candidate.weight}"
    )


def _has_samples(rollout: Rollout) -> bool:
    found = rollout.candidate.samples
    least = rollout.rules.analysis.min_samples_per_arm
    if found is None:
        return False
    return found.candidate >= least and (found.champion >= least or rollout.candidate.weight == 100)


def _with_state(rollout: Rollout, now: datetime) -> Rollout:
    if rollout.end is not None or rollout.candidate.state is CandidateState.VERIFYING:
        return rollout
    state = (
        CandidateState.PAUSED
        if rollout.waits_for_person
        else CandidateState.HELD
        if is_overdue(rollout, now)
        else CandidateState.CANARY
    )
    return rollout.changed(state=state)


def _how(rollout: Rollout) -> Ending:
    return Ending.REFUSE if rollout.candidate.state is CandidateState.VERIFYING else Ending.ROLLBACK


def _name(rollout: Rollout) -> str:
    return f"candidate {rollout.candidate.version}"
