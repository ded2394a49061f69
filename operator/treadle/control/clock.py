"""The due times of a spec's schedule; one that cannot be read is the user's to correct."""

from datetime import datetime

from treadle.api.conditions import paged
from treadle.api.reasons import Reason
from treadle.control.engine.errors import Invalid
from treadle.control.schedule import latest_due, next_due, time_zone


def newest_due(cron: str, tz: str, since: datetime, now: datetime) -> datetime | None:
    """Return the newest due time after `since` and not after `now`; older ones are skipped."""
    _check(tz)
    try:
        return latest_due(cron, tz, since, now)
    except ValueError as problem:
        raise _invalid("spec.schedule", problem) from problem


def following_due(cron: str, tz: str, now: datetime) -> datetime:
    """Return the first due time after `now`."""
    _check(tz)
    try:
        return next_due(cron, tz, now)
    except ValueError as problem:
        raise _invalid("spec.schedule", problem) from problem


def _check(tz: str) -> None:
    try:
        time_zone(tz)
    except ValueError as problem:
        raise _invalid("spec.timeZone", problem) from problem


def _invalid(field: str, problem: ValueError) -> Invalid:
    return Invalid(Reason.INVALID_SPEC, paged(Reason.INVALID_SPEC, f"{field}: {problem}"))
