"""Which window is judged next: aligned to UTC, when its log has arrived, and only the newest."""

from datetime import UTC, datetime, timedelta

from treadle.api.base import duration, moment, stamp
from treadle.api.conditions import paged
from treadle.api.monitor import Monitor, MonitorStatus, Window, WindowAttempt
from treadle.api.names import ANNOTATION_REQUESTED_AT, job_name, sha256
from treadle.api.reasons import Reason
from treadle.api.step import WindowBounds
from treadle.control.clock import following_due, newest_due
from treadle.control.engine.errors import Invalid

LOG_ARRIVES = timedelta(seconds=30)
"""A server closes a log part after ten seconds, and retries its upload."""
SMALLEST, LARGEST = timedelta(minutes=1), timedelta(days=31)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# What says when to look and what to ask for, and not how a window is judged.
NO_RULES = frozenset({"targetRef", "schedule", "timeZone", "suspend", "actions", "retrain", "jobTemplate", "storeRef"})


def size(monitor: Monitor) -> timedelta:
    """Return the length of a window; Invalid unless it is from 1m to 31d."""
    text = (monitor.spec.window or Window()).size
    found = duration(text)
    if not SMALLEST <= found <= LARGEST:
        message = f"spec.window.size: {text!r} is not from 1m to 31d; correct it"
        raise Invalid(Reason.INVALID_SPEC, paged(Reason.INVALID_SPEC, message))
    return found


def bounds(due_at: datetime, length: timedelta) -> WindowBounds:
    """Return the last whole window at a due time."""
    end = EPOCH + (due_at - EPOCH) // length * length
    return WindowBounds(start=stamp(end - length), end=stamp(end))


def ready_at(due_at: datetime, length: timedelta) -> datetime:
    """Return when the window of a due time may be judged: the log arrives a little after its end."""
    return max(due_at, moment(bounds(due_at, length).end) + LOG_ARRIVES)


def newest(monitor: Monitor, since_champion: datetime, now: datetime) -> datetime | None:
    """Return the newest due time whose window may be judged and was not; those before it are skipped.

    since_champion: since when the champion answers; a window that ended before holds nothing of it.
    """
    spec, length = monitor.spec, size(monitor)
    since = last_due(monitor)
    found = newest_due(spec.schedule, spec.time_zone, since, now)
    if found is not None and ready_at(found, length) > now:
        # A window that is not ready ended less than 30 s ago; due times are a minute apart, so the one before is.
        found = newest_due(spec.schedule, spec.time_zone, since, found - timedelta(seconds=1))
    if found is None or moment(bounds(found, length).end) <= judged_until(monitor, since_champion):
        return None
    return found


def next_due_time(monitor: Monitor, since_champion: datetime, now: datetime) -> datetime:
    """Return the next due time that brings a window which was not judged yet."""
    length = size(monitor)
    first_end = judged_until(monitor, since_champion) + length
    newer = max(last_due(monitor), first_end - timedelta(seconds=1))
    found = following_due(monitor.spec.schedule, monitor.spec.time_zone, newer)
    if ready_at(found, length) > now:
        return found
    return following_due(monitor.spec.schedule, monitor.spec.time_zone, now)


def last_due(monitor: Monitor) -> datetime:
    """Return since when due times count: the last one acted on, or the object's creation."""
    known = (monitor.status.last_schedule_time, monitor.metadata.creation_timestamp)
    return max((moment(text) for text in known if text is not None), default=EPOCH)


def judged_until(monitor: Monitor, since_champion: datetime) -> datetime:
    """Return the end of the newest aligned window that needs no judgement any more."""
    attempt, length = monitor.status.attempt, size(monitor)
    # A window that a person asked for ends anywhere; the aligned one around its end is still to come.
    until = max(since_champion, moment(attempt.end)) if attempt is not None else since_champion
    return EPOCH + (until - EPOCH) // length * length


def requested(monitor: Monitor) -> str | None:
    """Return a person's request that was not acted on yet."""
    value = monitor.metadata.annotations.get(ANNOTATION_REQUESTED_AT, "").strip()[:64]
    return value if value and value != monitor.status.handled_request else None


def begun(monitor: Monitor, window: WindowBounds, champion: str, number: int = 0) -> WindowAttempt:
    """Return the attempt to record: equal inputs are the same run, found by its record."""
    key = run_key(monitor, window, champion)
    return WindowAttempt(
        start=window.start,
        end=window.end,
        job_name=job_name(monitor.kind, monitor.metadata.name, key, number),
        run_key=key,
        champion_digest=champion,
        attempt=number,
    )


def run_key(monitor: Monitor, window: WindowBounds, champion: str) -> str:
    """Return the hash of what a judgement depends on: whose predictions, which window, and by which rules."""
    rules = {key: value for key, value in monitor.spec.dump().items() if key not in NO_RULES}
    return sha256(
        {
            "monitor": monitor.metadata.name,
            "deployment": monitor.spec.target_ref.name,
            "champion": champion,
            "window": window.dump(),
            "rules": rules,
        }
    )


def asked(monitor: Monitor, champion: str, value: str, now: datetime) -> MonitorStatus:
    """Return the record with the window that ends now, as a person asked."""
    window = WindowBounds(start=stamp(now - size(monitor)), end=stamp(now))
    return monitor.status.model_copy(update={"attempt": begun(monitor, window, champion), "handled_request": value})


def scheduled(monitor: Monitor, champion: str, due_at: datetime) -> MonitorStatus:
    """Return the record with the window of a due time."""
    attempt = begun(monitor, bounds(due_at, size(monitor)), champion)
    return monitor.status.model_copy(update={"attempt": attempt, "last_schedule_time": stamp(due_at)})
