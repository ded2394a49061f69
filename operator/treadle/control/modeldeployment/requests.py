"""What becomes of requests: each is answered once, by a run, a former run, a refusal, or the act itself."""

from collections.abc import Iterable
from datetime import datetime

from treadle.api.base import stamp
from treadle.api.blocks import TriggerKind
from treadle.api.modeldeployment import ModelDeployment, ModelDeploymentStatus, RequestOutcome, RequestRow
from treadle.api.monitor import ActionKind
from treadle.api.names import ANNOTATION_REQUESTED_AT
from treadle.api.reasons import Reason
from treadle.control.modeldeployment import retrain
from treadle.control.modeldeployment.decisions import PERSON
from treadle.control.modeldeployment.seen import Ask, Seen

KEPT = 10
RETRAIN = "Retrain"


def answered(record: ModelDeploymentStatus, row: RequestRow, asks: Iterable[Ask]) -> ModelDeploymentStatus:
    """Return the record with an answer; that to a request which still stands is never forgotten."""
    key = (row.id, row.from_)
    rows = [row, *(other for other in record.requests or () if (other.id, other.from_) != key)]
    standing = {(ask.request.id, ask.who) for ask in asks}
    kept = sorted(rows, key=lambda row: (row.id, row.from_) not in standing)[:KEPT]
    return record.model_copy(update={"requests": [row for row in rows if row in kept]})


def retrains(md: ModelDeployment, record: ModelDeploymentStatus, seen: Seen, now: datetime) -> ModelDeploymentStatus:
    """Return the record with the answers to the wishes for a run that this pass can answer."""
    for ask in seen.asks:
        row = _to_monitor(md, record, seen, ask, now)
        if row is not None and row != retrain.answer_to(record, ask):
            record = answered(record, row, seen.asks)
    return _to_person(md, record, seen, now)


def _to_monitor(
    md: ModelDeployment, record: ModelDeploymentStatus, seen: Seen, ask: Ask, now: datetime
) -> RequestRow | None:
    request, former = ask.request, retrain.answer_to(record, ask)
    run = retrain.of_trigger(seen, TriggerKind.MONITOR, request.id, ask.uid)
    if run is not None:
        if former is not None and former.ref == run.name:
            return former
        return _row(request.id, ask.who, RETRAIN, RequestOutcome.STARTED, now, ref=run.name)
    if former is not None:
        return former
    # As it was when the pass began: a champion of this very pass is not what the children were made for.
    if md.status.champion is None or request.subject != md.status.champion.digest:
        return _row(request.id, ask.who, request.action, RequestOutcome.REFUSED, now, reason=Reason.VERDICT_STALE)
    if request.action is not ActionKind.RETRAIN:
        return None
    wished = retrain.start(md, seen, retrain.monitors_wish(ask))
    if wished is not None and any(run.name == wished.name for run in seen.runs):
        return _row(request.id, ask.who, RETRAIN, RequestOutcome.DUPLICATE, now, ref=wished.name)
    block = retrain.blocked(md, seen, now)
    if block is not None and block.is_refusal:
        return _row(request.id, ask.who, RETRAIN, RequestOutcome.REFUSED, now, reason=block.reason)
    return None


def _to_person(md: ModelDeployment, record: ModelDeploymentStatus, seen: Seen, now: datetime) -> ModelDeploymentStatus:
    asked = retrain.asked_by_person(md)
    if asked is None:
        return record
    run, block = retrain.of_trigger(seen, TriggerKind.MANUAL, asked), retrain.blocked(md, seen, now)
    if run is not None:
        row = _row(asked, PERSON, RETRAIN, RequestOutcome.STARTED, now, ref=run.name)
    elif block is not None and block.is_refusal:
        row = _row(asked, PERSON, RETRAIN, RequestOutcome.REFUSED, now, reason=block.reason)
    else:
        return record
    handled = md.metadata.annotations[ANNOTATION_REQUESTED_AT].strip()[:64]
    return answered(record, row, seen.asks).model_copy(update={"handled_request": handled})


def done(id_: str, who: str, action: str, now: datetime) -> RequestRow:
    """Return the answer that an act is done."""
    return _row(id_, who, action, RequestOutcome.DONE, now)


def refused(id_: str, who: str, action: str, reason: Reason, now: datetime) -> RequestRow:
    """Return the answer that an act is refused."""
    return _row(id_, who, action, RequestOutcome.REFUSED, now, reason=reason)


def _row(
    id_: str,
    who: str,
    action: str,
    outcome: RequestOutcome,
    now: datetime,
    *,
    ref: str | None = None,
    reason: Reason | None = None,
) -> RequestRow:
    return RequestRow(id=id_, from_=who, action=action, outcome=outcome, ref=ref, reason=reason, time=stamp(now))
