"""What was decided, newest first: ten acts, among them always the one by which the last trial stands as it does."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import StrEnum

from treadle.api.base import stamp
from treadle.api.blocks import Decision
from treadle.api.conditions import PAGE, line
from treadle.api.modeldeployment import ModelDeploymentStatus

KEPT = 10
MESSAGE_LIMIT = 160
OPERATOR = "operator"
PERSON = "person"


class Act(StrEnum):
    """What can be decided."""

    TRY = "Try"
    SET_WEIGHT = "SetWeight"
    PROMOTE = "Promote"
    ROLLBACK = "Rollback"
    REFUSE = "Refuse"
    WITHDRAW = "Withdraw"
    QUARANTINE = "Quarantine"
    UNQUARANTINE = "Unquarantine"
    RETRAIN = "Retrain"


TRIALS = frozenset({Act.TRY, Act.PROMOTE, Act.ROLLBACK, Act.REFUSE, Act.WITHDRAW})
GOING_BACK = frozenset({Act.ROLLBACK, Act.REFUSE})


def decided(
    record: ModelDeploymentStatus,
    act: Act,
    subject: str | None,
    now: datetime,
    *,
    reason: str,
    message: str,
    actor: str = OPERATOR,
) -> ModelDeploymentStatus:
    """Return the record with one more decision."""
    row = Decision(
        time=stamp(now),
        actor=line(actor, 64),
        action=act,
        subject=subject,
        reason=reason,
        # Conditions go on after it, and end with the page themselves.
        message=line(PAGE.sub("", message), MESSAGE_LIMIT),
    )
    return record.model_copy(update={"decisions": kept([row, *(record.decisions or ())])})


def kept(rows: Sequence[Decision], limit: int = KEPT) -> list[Decision]:
    """Return the newest decisions; how the last trial stands is among them, however much came after it."""
    needed = [row for row in (_of(rows, TRIALS), _last_return(rows)) if row is not None]
    room = limit - sum(1 for row in rows[limit:] if row in needed)
    return [row for index, row in enumerate(rows) if index < room or row in needed]


def standing(record: ModelDeploymentStatus) -> Decision | None:
    """Return how the last trial stands: Try, Promote, Rollback, Refuse or Withdraw."""
    return _of(record.decisions or (), TRIALS)


def last_return(record: ModelDeploymentStatus) -> Decision | None:
    """Return the Rollback or Refuse that no Promote followed."""
    return _last_return(record.decisions or ())


def fresh(before: ModelDeploymentStatus, after: ModelDeploymentStatus) -> list[Decision]:
    """Return what this pass decided, in the order in which it did."""
    known = before.decisions or []
    return [row for row in reversed(after.decisions or []) if row not in known]


def _last_return(rows: Iterable[Decision]) -> Decision | None:
    found = _of(rows, GOING_BACK | {Act.PROMOTE})
    return found if found is not None and found.action in GOING_BACK else None


def _of(rows: Iterable[Decision], acts: frozenset[Act]) -> Decision | None:
    return next((row for row in rows if row.action in acts), None)
