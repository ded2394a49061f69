"""What the pods counted for each arm, joined over looks, restarts and pods that are gone."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from treadle.api.arms import LATENCY_BOUNDS_MILLISECONDS, ArmCounts
from treadle.api.modeldeployment import ArmRow
from treadle.api.plan import HeldModel

ARMS = ("champion", "candidate")
GONE = "gone"
ALL = "all"
# Two rows a pod and two for those gone are 32, the bound of status; further pods are like the watched ones.
WATCHED_PODS = 15
BUCKETS = len(LATENCY_BOUNDS_MILLISECONDS) + 1


@dataclass(frozen=True, slots=True)
class PodArms:
    """One pod's word on the trial; `arms` is None for a failed poll."""

    uid: str
    created: datetime | None = None
    candidate: HeldModel | None = None
    """The candidate as this pod holds it; None until it follows the plan that names it."""
    arms: tuple[ArmCounts | None, ArmCounts | None] | None = None
    """Champion's counts and candidate's."""
    is_ready: bool = False
    crash: str = ""
    """How its server ended since the trial began, while it did not hold the candidate, or for want of memory."""


@dataclass(frozen=True, slots=True)
class Total:
    """Counts of one arm."""

    requests: int = 0
    errors: int = 0
    latency: tuple[int, ...] = (0,) * BUCKETS


def joined(previous: Iterable[ArmRow], pods: Sequence[PodArms]) -> list[ArmRow]:
    """Return the rows after one more look: maxima for each pod, and one row an arm for pods that are gone."""
    before = {(row.pod, row.arm): row for row in previous}
    alive = {pod.uid for pod in pods}
    watched = sorted(pods, key=lambda pod: (not any((pod.uid, arm) in before for arm in ARMS), pod.uid))[:WATCHED_PODS]
    gone = [
        _sum(GONE, arm, [row for row in before.values() if row.arm == arm and row.pod not in alive]) for arm in ARMS
    ]
    rows = [
        _maxima(pod.uid, arm, before.get((pod.uid, arm)), pod.arms[index] if pod.arms else None)
        for pod in watched
        for index, arm in enumerate(ARMS)
    ]
    return [row for row in (*gone, *rows) if row is not None]


def first_met(
    previous: Iterable[ArmRow], rows: Iterable[ArmRow], pods: Sequence[PodArms], since: datetime
) -> list[ArmRow]:
    """Return rows of pods that are met for the first time though they are older than the current weight."""
    known = {row.pod for row in previous}
    old = {pod.uid for pod in pods if pod.created is not None and pod.created < since}
    return [row for row in rows if row.pod in old and row.pod not in known]


def totals(rows: Iterable[ArmRow]) -> list[ArmRow]:
    """Return one row an arm with the sum of all."""
    found = list(rows)
    summed = [_sum(ALL, arm, [row for row in found if row.arm == arm]) for arm in ARMS]
    return [row for row in summed if row is not None]


def since(rows: Iterable[ArmRow], baseline: Iterable[ArmRow], arm: str) -> Total:
    """Return what an arm counted since the baseline was taken."""
    now, then = _total(rows, arm), _total(baseline, arm)
    return Total(
        requests=max(0, now.requests - then.requests),
        errors=max(0, now.errors - then.errors),
        latency=tuple(max(0, new - old) for new, old in zip(now.latency, then.latency, strict=True)),
    )


def _total(rows: Iterable[ArmRow], arm: str) -> Total:
    summed = _sum(ALL, arm, [row for row in rows if row.arm == arm])
    return Total(summed.requests, summed.errors, tuple(summed.latency)) if summed else Total()


def _sum(pod: str, arm: str, rows: list[ArmRow]) -> ArmRow | None:
    if not rows:
        return None
    return ArmRow(
        pod=pod,
        arm=arm,
        requests=sum(row.requests for row in rows),
        errors=sum(row.errors for row in rows),
        latency=[sum(column) for column in zip(*(_padded(row.latency) for row in rows), strict=True)],
    )


def _maxima(pod: str, arm: str, before: ArmRow | None, now: ArmCounts | None) -> ArmRow | None:
    if now is None:
        return before
    latency = _padded(now.latency)
    if before is None:
        return ArmRow(pod=pod, arm=arm, requests=now.requests, errors=now.errors, latency=latency)
    return ArmRow(
        pod=pod,
        arm=arm,
        requests=max(before.requests, now.requests),
        errors=max(before.errors, now.errors),
        latency=[max(old, new) for old, new in zip(_padded(before.latency), latency, strict=True)],
    )


def _padded(latency: Sequence[int]) -> list[int]:
    return [*latency, *[0] * BUCKETS][:BUCKETS]
