"""Conditions over time: what a pass judged, joined with what status said before."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from treadle.api.base import stamp
from treadle.api.conditions import Condition, no, unknown, yes
from treadle.api.reasons import Reason

type Written = Mapping[str, Any]
"""A condition as it stands in an object's status."""


def merge(
    previous: Iterable[Written], current: Iterable[Condition], now: datetime, generation: int
) -> list[dict[str, Any]]:
    """Return the conditions to write: transition times move only with status; all are about this generation."""
    before = {written["type"]: written for written in previous}
    return [_written(condition, before.get(condition.type), now, generation) for condition in current]


def every(declared: Sequence[str], judged: Iterable[Condition]) -> list[Condition]:
    """Return one condition for each declared type, Unknown where none was judged.

    Raises ValueError for a type that is not declared, or judged twice.
    """
    found: dict[str, Condition] = {}
    for condition in judged:
        if condition.type not in declared or condition.type in found:
            raise ValueError(f"condition {condition.type} is not declared, or judged twice")
        found[condition.type] = condition
    return [found.get(type_, unknown(type_)) for type_ in declared]


def reconciling_and_stalled(
    *, settled: bool, stalled: Condition | None = None, waiting: str = ""
) -> tuple[Condition, Condition]:
    """Return the two kstatus conditions, never both True.

    settled: the desired state of this generation was reached once (settledGeneration), or the run is over.
    stalled: the condition whose reason a person must act upon.
    waiting: what is waited for; empty while a new spec is being rolled out.
    """
    if stalled is not None:
        message = "a person must act; see Stalled"
        return no("Reconciling", Reason.SETTLED, message), yes("Stalled", Reason(stalled.reason), stalled.message)
    if settled:
        return no("Reconciling", Reason.SETTLED), no("Stalled", Reason.SETTLED)
    reason = Reason.WAITING if waiting else Reason.SPEC_CHANGED
    return yes("Reconciling", reason, waiting), no("Stalled", Reason.SETTLED)


def find(conditions: Iterable[Written], type_: str) -> Written | None:
    """Return the condition of a type as status has it, or None."""
    return next((written for written in conditions if written.get("type") == type_), None)


def is_true(raw: Mapping[str, Any], type_: str) -> bool:
    """Say whether an object's status has the condition, True."""
    found = find((raw.get("status") or {}).get("conditions") or [], type_)
    return found is not None and found.get("status") == "True"


def parsed(written: Written) -> Condition:
    """Return a condition of a status as the model, without its times."""
    return Condition(
        type=written["type"],
        status=written["status"],
        reason=written["reason"],
        message=written.get("message", ""),
    )


def _written(condition: Condition, before: Written | None, now: datetime, generation: int) -> dict[str, Any]:
    is_unmoved = before is not None and before.get("status") == condition.status
    since = before.get("lastTransitionTime") if before is not None and is_unmoved else None
    return {
        "type": condition.type,
        "status": condition.status,
        "reason": str(condition.reason),
        "message": condition.message,
        "lastTransitionTime": since or stamp(now),
        "observedGeneration": generation,
    }
