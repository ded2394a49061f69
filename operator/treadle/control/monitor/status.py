"""What a pass concludes about a Monitor: windows, findings, request, conditions."""

from collections.abc import Sequence
from datetime import datetime

from treadle.api.base import moment, stamp
from treadle.api.conditions import Condition, no, paged, yes
from treadle.api.monitor import ActionKind, Monitor, MonitorStatus, WindowAttempt, WindowVerdict
from treadle.api.reasons import Reason
from treadle.api.step import MonitorResult, WindowBounds
from treadle.control.clock import following_due
from treadle.control.engine.conditions import reconciling_and_stalled
from treadle.control.engine.ports import Event, Outcome
from treadle.control.engine.reconcile import STALLED_SECONDS
from treadle.control.jobs import HINDRANCES, POLL_SECONDS, Phase, Standing, is_worlds, retry, with_hindrance
from treadle.control.judged import carried, former, told, written
from treadle.control.monitor import due
from treadle.control.monitor.actions import calls, counted, requested
from treadle.control.monitor.seen import Seen
from treadle.control.monitor.summary import summary
from treadle.control.monitor.windows import FINDINGS, judged, unjudged

R = Reason

CONDITIONS = ("Ready", *FINDINGS, "RetrainBlocked", "Reconciling", "Stalled")
PASSING = HINDRANCES | {R.WAITING_FOR_MODEL_DEPLOYMENT, R.NAME_TAKEN, R.RECONCILE_ERROR}
"""These are about a moment, and gone when they do not hold any more."""
DATA_LOOK_SECONDS = 60.0
"""No event tells a Monitor of a new dataset version."""
DATA_REASONS = frozenset({R.SAME_DATA, R.NOT_ENOUGH_LABELLED_ROWS})


def status(monitor: Monitor, seen: Seen, now: datetime) -> Outcome:
    """Return the whole status: the record of this pass, and every condition."""
    before, generation = monitor.status, monitor.metadata.generation
    standing = with_hindrance(seen.standing(monitor, now), former(before.conditions, "Ready"))
    record, failure, findings = before, None, carried(before.conditions, FINDINGS)
    attempt = before.attempt
    if attempt is not None and standing.has_ended and attempt.reason is None:
        record, failure, findings = taken(monitor, attempt, standing, findings)
    elif can_judge(monitor, seen):
        record = begun(monitor, seen, standing, now) or before
    if is_anew(record, seen):
        record = record.model_copy(update={"drift": None})
    findings = about_champion(monitor, record, seen, findings)
    record = record.model_copy(update={"retrain": counted(record.retrain, seen)})
    record, blocked = requested(monitor, record, seen, now)
    summed = ready(monitor, record, seen, standing, failure)
    is_ready = summed.status == "True"
    is_waiting = summed.reason == R.WAITING_FOR_MODEL_DEPLOYMENT
    kstatus = reconciling_and_stalled(
        settled=is_ready,
        stalled=None if is_ready or is_waiting else summed,
        waiting=summed.message if is_waiting else "",
    )
    text = summary(monitor, record, findings, blocked, seen.champion)
    following = next_window(monitor, record, seen, now)
    final = record.model_copy(
        update={
            "observed_generation": generation,
            "settled_generation": generation if is_ready else before.settled_generation,
            "next_schedule_time": stamp(following) if following is not None else None,
            "summary": text,
        }
    )
    conditions = [summed, *findings, blocked, *kstatus]
    return Outcome(
        status={**final.dump(), "conditions": written(CONDITIONS, before.conditions, conditions, now, generation)},
        events=events(monitor, final, seen, [summed, *findings, blocked]),
        again=next_look(monitor, final, standing, following, now, summed=summed, blocked=blocked),
    )


def can_judge(monitor: Monitor, seen: Seen) -> bool:
    """Say whether there is a log to judge."""
    return not monitor.spec.suspend and seen.watched is not None and seen.watched.is_logged and bool(seen.champion)


def taken(
    monitor: Monitor, attempt: WindowAttempt, standing: Standing, findings: list[Condition]
) -> tuple[MonitorStatus, Condition | None, list[Condition]]:
    """Return the record with what a Job that ended brought: a window, or why there is none."""
    result = standing.result if isinstance(standing.result, MonitorResult) else None
    if result is not None and result.window is not None and result.outcome != "Failed":
        finished = attempt.model_copy(update={"finished": True})
        record, found = judged(monitor, monitor.status, result, result.window)
        return record.model_copy(update={"attempt": finished}), None, found
    reason = result.reason if result is not None else standing.reason or R.RESULT_MISSING
    message = result.message if result is not None else standing.message
    failed = attempt.model_copy(update={"reason": str(reason), "finished": not is_worlds(reason)})
    record = monitor.status.model_copy(update={"attempt": failed})
    return record, no("Ready", reason, paged(reason, message)), findings


def begun(monitor: Monitor, seen: Seen, standing: Standing, now: datetime) -> MonitorStatus | None:
    """Return the record with the window that is judged from now on, or None."""
    attempt, champion = monitor.status.attempt, seen.champion
    if champion is None or seen.watched is None or seen.watched.status.champion is None:
        return None
    is_new_spec = monitor.status.observed_generation not in (None, monitor.metadata.generation)
    is_under_way = attempt is not None and not attempt.finished and attempt.reason is None
    if is_under_way and attempt is not None:
        return rewritten(monitor, attempt, standing)
    if (value := due.requested(monitor)) is not None:
        record = due.asked(monitor, champion, value, now)
        # A person asks: what was refused before does not count any more.
        free = record.retrain and record.retrain.model_copy(update={"consecutive_refusals": 0})
        return record.model_copy(update={"retrain": free})
    if (when := due.newest(monitor, moment(seen.watched.status.champion.since), now)) is not None:
        return due.scheduled(monitor, champion, when)
    if attempt is None or attempt.reason is None:
        return None
    again = retry(attempt.attempt, attempt.reason, standing.ended_at, now, is_new_generation=is_new_spec)
    if again is None or again.at > now:
        return None
    window = WindowBounds(start=attempt.start, end=attempt.end)
    return monitor.status.model_copy(update={"attempt": due.begun(monitor, window, champion, again.attempt)})


def rewritten(monitor: Monitor, attempt: WindowAttempt, standing: Standing) -> MonitorStatus | None:
    """Return the record with the run key of changed rules, while the attempt has no Job yet."""
    if standing.phase is not Phase.ABSENT or attempt.champion_digest is None:
        return None
    window = WindowBounds(start=attempt.start, end=attempt.end)
    fresh = due.begun(monitor, window, attempt.champion_digest, attempt.attempt)
    return None if fresh.run_key == attempt.run_key else monitor.status.model_copy(update={"attempt": fresh})


def is_anew(record: MonitorStatus, seen: Seen) -> bool:
    """Say whether another champion answers than the one that was judged last: what is known is not about it."""
    last = record.last_window
    return seen.champion is not None and last is not None and last.champion_digest != seen.champion


def about_champion(monitor: Monitor, record: MonitorStatus, seen: Seen, findings: list[Condition]) -> list[Condition]:
    """Return the findings, Unknown while no window of this champion was judged: a new one starts anew."""
    if monitor.spec.suspend or seen.watched is None:
        return findings
    if can_judge(monitor, seen) and record.last_window is not None and not is_anew(record, seen):
        return findings
    return unjudged(seen.champion, is_logged=seen.watched.is_logged, target=monitor.spec.target_ref.name)


def ready(
    monitor: Monitor, record: MonitorStatus, seen: Seen, standing: Standing, failure: Condition | None
) -> Condition:
    """Return whether the watching works; what it finds leaves that alone."""
    if monitor.spec.suspend:
        return yes("Ready", R.SUSPENDED, "spec.suspend is true: no window is judged; set it to false")
    if seen.watched is None:
        name = monitor.spec.target_ref.name
        message = f"ModelDeployment {name!r} does not exist; create it, or correct spec.targetRef.name"
        return no("Ready", R.WAITING_FOR_MODEL_DEPLOYMENT, paged(R.WAITING_FOR_MODEL_DEPLOYMENT, message))
    if failure is not None:
        return failure
    if standing.is_hindered and standing.reason is not None:
        return no("Ready", standing.reason, paged(standing.reason, standing.message))
    is_new_spec = monitor.status.observed_generation not in (None, monitor.metadata.generation)
    held = former(monitor.status.conditions, "Ready") if not is_new_spec else None
    message = f"windows of ModelDeployment {monitor.spec.target_ref.name!r} are judged"
    return trouble(record.attempt, held) or yes("Ready", R.WATCHING, message)


def trouble(attempt: WindowAttempt | None, held: Condition | None) -> Condition | None:
    """Return what hindered the last window: it stands until one was judged again, or the spec changed.

    held: Ready as it stands; None for a new spec.
    """
    if attempt is None or (attempt.finished and attempt.reason is None):
        return None
    if attempt.reason is not None and (held is None or held.reason != attempt.reason):
        message = f"the window from {attempt.start} could not be judged; see the Job {attempt.job_name}"
        return no("Ready", R(attempt.reason), paged(attempt.reason, message))
    if held is None or held.status != "False" or (attempt.reason is None and held.reason in PASSING):
        return None
    return held


def next_window(monitor: Monitor, record: MonitorStatus, seen: Seen, now: datetime) -> datetime | None:
    """Return the next due time that brings a new window."""
    due.size(monitor)
    if not can_judge(monitor, seen) or seen.watched is None or seen.watched.status.champion is None:
        following_due(monitor.spec.schedule, monitor.spec.time_zone, now)  # A wrong schedule is told at once.
        return None
    since = moment(seen.watched.status.champion.since)
    return due.next_due_time(monitor.model_copy(update={"status": record}), since, now)


def events(monitor: Monitor, record: MonitorStatus, seen: Seen, conditions: Sequence[Condition]) -> list[Event]:
    """Return what changed: a notification, a request, a block, the watching itself."""
    before, by_type = monitor.status, {condition.type: condition for condition in conditions}
    found: list[Event] = []
    is_new_window = record.last_window is not None and record.last_window != before.last_window
    if is_new_window and seen.champion is not None and record.last_window is not None:
        is_enough = record.last_window.verdict is not WindowVerdict.INSUFFICIENT
        notify = [call for call in calls(monitor, record.windows or [], seen.champion) if call.is_new and is_enough]
        found += [
            Event(by_type[call.finding].reason, record.summary or by_type[call.finding].message, "Warning")
            for call in notify
            if call.action.do is ActionKind.NOTIFY and call.finding in by_type
        ]
    request = record.request
    if request is not None and (before.request is None or before.request.id != request.id):
        target = monitor.spec.target_ref.name
        found.append(Event(request.cause, f"asked ModelDeployment {target}: {request.action}, {request.cause}"))
    if by_type["RetrainBlocked"].status == "True":
        found += told(before.conditions, by_type["RetrainBlocked"], is_warning=False)
    summed = by_type["Ready"]
    if summed.status == "False":
        found += told(before.conditions, summed, is_warning=summed.reason != R.WAITING_FOR_MODEL_DEPLOYMENT)
    return found


def next_look(
    monitor: Monitor,
    record: MonitorStatus,
    standing: Standing,
    following: datetime | None,
    now: datetime,
    *,
    summed: Condition,
    blocked: Condition,
) -> float | None:
    """Return in how many seconds something is due."""
    if monitor.spec.suspend:
        return None
    looks: list[float] = []
    attempt = record.attempt
    if attempt is not None and not attempt.finished:
        looks.append(attempt_look(attempt, standing, now))
    if following is not None:
        looks.append((due.ready_at(following, due.size(monitor)) - now).total_seconds())
    if summed.status == "False" and summed.reason != R.WAITING_FOR_MODEL_DEPLOYMENT:
        looks.append(STALLED_SECONDS)
    if blocked.status == "True":
        until = record.retrain.next_allowed_at if record.retrain else None
        if until is not None and moment(until) > now:
            looks.append((moment(until) - now).total_seconds())
        if blocked.reason in DATA_REASONS:
            looks.append(DATA_LOOK_SECONDS)
    return max(0.0, min(looks)) if looks else None


def attempt_look(attempt: WindowAttempt, standing: Standing, now: datetime) -> float:
    """Return when an open attempt is looked at again: when its log has arrived, its retry is due, or it runs."""
    if attempt.reason is not None:
        again = retry(attempt.attempt, attempt.reason, standing.ended_at, now)
        return (again.at - now).total_seconds() if again is not None else STALLED_SECONDS
    arrives = (moment(attempt.end) + due.LOG_ARRIVES - now).total_seconds()
    return arrives if arrives > 0 else POLL_SECONDS
