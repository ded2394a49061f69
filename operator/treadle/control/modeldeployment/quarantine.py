"""Digests that are not tried again for a while: who goes in, who comes out."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from treadle.api.base import duration, moment, stamp
from treadle.api.modeldeployment import ModelDeployment, ModelDeploymentStatus, Quarantined, Strategy
from treadle.api.names import ANNOTATION_UNQUARANTINE, short
from treadle.api.reasons import Reason
from treadle.api.trainingjob import Verdict
from treadle.control.modeldeployment.asked import asked
from treadle.control.modeldeployment.decisions import PERSON, Act, decided
from treadle.control.modeldeployment.seen import Run, Seen

KEPT = 10
REFUSALS = {
    Verdict.HOLD: Reason.HELD_BY_GATE,
    Verdict.REJECT: Reason.REJECTED_BY_GATE,
    Verdict.INCONCLUSIVE: Reason.GATE_INCONCLUSIVE,
}
OF_GATE = frozenset(REFUSALS.values())


def put(
    md: ModelDeployment, record: ModelDeploymentStatus, digest: str, reason: str, now: datetime
) -> ModelDeploymentStatus:
    """Return the record with a digest that is refused from now on."""
    row = Quarantined(digest=digest, reason=reason, until=stamp(now + period(md)))
    others = [other for other in record.quarantined or () if other.digest != digest]
    # What pods or people refused would be tried again without its row; what the gate refused would not.
    kept = sorted([row, *others], key=lambda row: row.reason in OF_GATE)[:KEPT]
    return record.model_copy(update={"quarantined": kept})


def released(md: ModelDeployment, record: ModelDeploymentStatus, seen: Seen, now: datetime) -> ModelDeploymentStatus:
    """Return the record without what is over, what a person releases, and what the gate has let pass since."""
    wished = asked(md, ANNOTATION_UNQUARANTINE)
    rows = list(record.quarantined or ())
    kept = [row for row in rows if moment(row.until) > now and row.digest != wished and not _is_lifted(row, seen)]
    if len(kept) == len(rows):
        return record
    after = record.model_copy(update={"quarantined": kept or None})
    if wished is None or not any(row.digest == wished for row in rows):
        return after
    message = f"model {short(wished)} may be tried again"
    return decided(after, Act.UNQUARANTINE, wished, now, reason=Reason.PERSON_ASKED, message=message, actor=PERSON)


def refused_runs(
    md: ModelDeployment, record: ModelDeploymentStatus, seen: Seen, now: datetime
) -> ModelDeploymentStatus:
    """Return the record with the models that the gate refused in generated runs that ended since the last pass."""
    for run in ended_runs(record, seen):
        reason = REFUSALS.get(run.verdict) if run.verdict is not None else None
        digest = run.model_digest
        if reason is None or digest is None or digest in _held(record):
            continue
        message = f"TrainingJob {run.name}: {reason}; its model {short(digest)} is not tried"
        record = put(md, record, digest, reason, now)
        record = decided(record, Act.QUARANTINE, digest, now, reason=reason, message=message)
    return record


def ended_runs(record: ModelDeploymentStatus, seen: Seen) -> Iterator[Run]:
    """Yield generated runs that ended and were not looked at since, oldest first."""
    running = record.training.running if record.training else None
    fresh = {run.name for run in new_runs(record, seen)}
    for run in reversed(seen.runs):
        if run.is_ours and run.is_finished and (run.name == running or run.name in fresh):
            yield run


def new_runs(record: ModelDeploymentStatus, seen: Seen) -> list[Run]:
    """Return generated runs that the record does not know yet, oldest first."""
    ours = [run for run in seen.runs if run.is_ours]
    last = record.training.last_run if record.training else None
    names = [run.name for run in ours]
    if last is None:
        return ours[::-1]
    return ours[: names.index(last)][::-1] if last in names else []


def period(md: ModelDeployment) -> timedelta:
    """Return how long a refused digest is not tried again."""
    return duration((md.spec.strategy or Strategy()).quarantine_for)


def _held(record: ModelDeploymentStatus) -> set[str]:
    """Return the digests in use: a retrain on the same data makes the champion again, which is no reason to shun it."""
    return {held.digest for held in (record.champion, record.candidate, record.last_known_good) if held is not None}


def _is_lifted(row: Quarantined, seen: Seen) -> bool:
    """Say whether what the gate refused has passed it since, under other rules."""
    if row.reason not in OF_GATE:
        return False
    judged = [run for run in seen.runs if run.verdict is not None and run.model_digest == row.digest]
    newest = max(judged, key=lambda run: run.status.completion_time or "", default=None)
    return newest is not None and newest.has_passed
