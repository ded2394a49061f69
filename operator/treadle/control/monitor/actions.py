"""What a Monitor asks for: which actions its windows call for, and what keeps it from asking for a retrain."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from treadle.api.base import duration, moment, stamp
from treadle.api.blocks import Decision
from treadle.api.conditions import Condition, line, no, paged, yes
from treadle.api.datasource import DatasetVersion
from treadle.api.monitor import (
    Action,
    ActionKind,
    Breaker,
    Finding,
    Monitor,
    MonitorRequest,
    MonitorStatus,
    RetrainRules,
    RetrainStatus,
    RetrainWindow,
    Since,
    WindowRow,
    WindowVerdict,
)
from treadle.api.names import short, short_hash
from treadle.api.reasons import Reason
from treadle.api.trainingjob import Verdict
from treadle.control.monitor.seen import Retrained, Seen
from treadle.control.rows import most_rows

R = Reason

DAY = timedelta(days=1)
DECISIONS_KEPT = 10
NOTIFY_ON_ALL = Action(name="notify", when=list(Finding), do=ActionKind.NOTIFY)


class Call(NamedTuple):
    """An action that the windows call for."""

    action: Action
    finding: Finding
    is_new: bool
    """Whether the newest window is the first that calls for it."""


class Block(NamedTuple):
    """Why no retrain may be asked for now."""

    reason: Reason
    message: str
    until: datetime | None = None


def calls(monitor: Monitor, rows: Sequence[WindowRow], champion: str) -> list[Call]:
    """Return the actions that the windows call for; without actions, Notify on all findings."""
    found = []
    for action in monitor.spec.actions or (NOTIFY_ON_ALL,):
        needed = action.for_windows or 1
        streaks = [(streak(rows, finding, champion), finding) for finding in action.when]
        length, finding = max(streaks, key=lambda pair: pair[0])
        if length >= needed:
            found.append(Call(action, finding, is_new=length == needed))
    return found


def streak(rows: Sequence[WindowRow], finding: str, champion: str) -> int:
    """Return in how many windows in a row a finding was true of this champion; too few samples say nothing."""
    return len(streak_rows(rows, finding, champion))


def streak_rows(rows: Sequence[WindowRow], finding: str, champion: str) -> list[WindowRow]:
    """Return the windows of a finding's streak, newest first."""
    found: list[WindowRow] = []
    for row in rows:
        if row.champion_digest != champion:
            break
        if row.verdict is WindowVerdict.INSUFFICIENT:
            continue
        if finding not in row.breached:
            break
        found.append(row)
    return found


def called_by(record: MonitorStatus) -> WindowRow:
    """Return the window that calls for an action: the newest with enough samples, of those that call for any."""
    return next(row for row in record.windows or () if row.verdict is not WindowVerdict.INSUFFICIENT)


def counted(record: RetrainStatus | None, seen: Seen) -> RetrainStatus | None:
    """Return what became of the requests: the run that one started, and each verdict counted once."""
    if record is None:
        return None
    run = seen.retrained
    if seen.answer is not None and seen.answer.ref is not None:
        record = record.model_copy(update={"training_job": seen.answer.ref})
    if run is None or not run.is_finished or record.counted_run == run.name or record.training_job != run.name:
        return record
    verdict = run.status.gate.verdict if run.status.gate else None
    refusals = 0 if verdict is Verdict.PROMOTE else record.consecutive_refusals + 1
    return record.model_copy(
        update={
            "last_verdict": str(verdict) if verdict is not None else "Failed",
            "counted_run": run.name,
            "consecutive_refusals": refusals,
        }
    )


def requested(monitor: Monitor, record: MonitorStatus, seen: Seen, now: datetime) -> tuple[MonitorStatus, Condition]:
    """Return the record with the request that stands now, and whether a wanted retrain is blocked.

    A request stands while windows call for it and its champion serves; Rollback goes before Retrain, if it can.
    """
    free = no("RetrainBlocked", R.FREE)
    champion = seen.champion
    if champion is None:
        return record.model_copy(update={"request": None}), free
    current = record.request if record.request is not None and record.request.subject == champion else None
    if monitor.spec.suspend:
        return record.model_copy(update={"request": current}), free
    called = calls(monitor, record.windows or [], champion)
    rollback = next((call for call in called if call.action.do is ActionKind.ROLLBACK), None)
    if rollback is not None and can_go_back(seen):
        if current is not None and current.action is ActionKind.ROLLBACK:
            return record.model_copy(update={"request": current}), free
        return with_request(monitor, record, rollback, champion, now), free
    retrain = next((call for call in called if call.action.do is ActionKind.RETRAIN), None)
    if retrain is None:
        block = broken(monitor, record.retrain)
        return record.model_copy(update={"request": None}), yes_blocked(block) if block else free
    if current is not None and current.action is not ActionKind.RETRAIN:
        current = None  # No window calls for it any more.
    standing = record.model_copy(update={"request": current})
    if seen.watched is None or not seen.watched.has_template:
        return standing, yes_blocked(no_template(monitor))
    if current is not None and seen.answer is None:
        return standing, no("RetrainBlocked", R.FREE, f"asked at {current.requested_at}, not answered yet")
    if (block := blocked(monitor, record, seen, retrain, now)) is not None:
        return standing, yes_blocked(block)
    if current is not None and current.window == called_by(record).start:
        return standing, no("RetrainBlocked", R.FREE, "this window's request was answered; the next one may ask again")
    return with_request(monitor, record, retrain, champion, now), free


def with_request(monitor: Monitor, record: MonitorStatus, call: Call, champion: str, now: datetime) -> MonitorStatus:
    """Return the record with a new request, and the limits that it counts against."""
    window, action = called_by(record).start, call.action.do
    is_retrain = action is ActionKind.RETRAIN
    rules = retrain_rules(monitor)
    request = MonitorRequest(
        id=short_hash(monitor.metadata.uid, action, call.finding, window, champion),
        action=action,
        cause=call.finding,
        window=window,
        subject=champion,
        since=since(monitor, record, call) if is_retrain else None,
        min_labelled_rows=rules_window(monitor).min_labelled_rows if is_retrain else None,
        requested_at=stamp(now),
    )
    decision = Decision(
        time=stamp(now),
        actor=f"Monitor/{monitor.metadata.name}",
        action=action,
        subject=champion,
        reason=call.finding,
        message=line(f"{call.finding} in the window from {window}; asked {monitor.spec.target_ref.name}", 160),
    )
    decisions = [decision, *(record.decisions or [])][:DECISIONS_KEPT]
    if not is_retrain:
        return record.model_copy(update={"request": request, "decisions": decisions})
    before = record.retrain or RetrainStatus()
    retrain = before.model_copy(
        update={
            "last_triggered_at": stamp(now),
            "cause": str(call.finding),
            "next_allowed_at": stamp(now + duration(rules.cooldown)),
            "requests_today": [stamp(now), *recent(before, now)],
        }
    )
    return record.model_copy(update={"request": request, "decisions": decisions, "retrain": retrain})


def can_go_back(seen: Seen) -> bool:
    """Say whether there is a champion before this one; where there is none, a retrain is asked for instead."""
    return seen.watched is not None and seen.watched.status.last_known_good is not None


def no_template(monitor: Monitor) -> Block:
    """Return that the target has no recipe; it then looks at no request for a retrain."""
    target = monitor.spec.target_ref.name
    return Block(R.NO_TEMPLATE, f"ModelDeployment {target!r} has no training.template; add one")


def blocked(monitor: Monitor, record: MonitorStatus, seen: Seen, call: Call, now: datetime) -> Block | None:
    """Return why the retrain that the windows call for may not be asked for now; the first reason speaks."""
    if (block := broken(monitor, record.retrain)) is not None:
        return block
    if (block := in_progress(seen)) is not None:
        return block
    if (block := limited(monitor, record.retrain or RetrainStatus(), now)) is not None:
        return block
    version = seen.version
    if version is None:
        return None  # The ModelDeployment waits for a version; the request waits with it.
    begin = since(monitor, record, call)
    if (block := same_data(seen, version, begin)) is not None:
        return block
    return too_few_rows(monitor, seen, version, begin)


def broken(monitor: Monitor, record: RetrainStatus | None) -> Block | None:
    """Return that so many runs were refused in a row that only a person may ask again."""
    most = (retrain_rules(monitor).breaker or Breaker()).max_consecutive_refusals
    found = record.consecutive_refusals if record is not None else 0
    if found < most or record is None:
        return None
    return Block(
        R.BREAKER_OPEN,
        f"{found} runs in a row were refused, the last {record.training_job} ({record.last_verdict}); read the "
        "refusals, change recipe or data, then set the annotation treadle.dev/requested-at on this Monitor",
    )


def in_progress(seen: Seen) -> Block | None:
    """Return that a run or a trial is under way, whose verdict comes first."""
    if seen.retrained is not None and not seen.retrained.is_finished:
        return Block(R.RUN_IN_PROGRESS, f"TrainingJob {seen.retrained.name} has not ended; its verdict comes first")
    status = seen.watched.status if seen.watched is not None else None
    if status is not None and status.training is not None and status.training.running is not None:
        return Block(R.RUN_IN_PROGRESS, f"TrainingJob {status.training.running} runs; its verdict comes first")
    if status is not None and status.candidate is not None:
        return Block(R.RUN_IN_PROGRESS, f"candidate {status.candidate.version} is on trial; its verdict comes first")
    return None


def limited(monitor: Monitor, record: RetrainStatus, now: datetime) -> Block | None:
    """Return that this Monitor asked too recently, or too often."""
    rules = retrain_rules(monitor)
    if record.last_triggered_at is not None:
        until = moment(record.last_triggered_at) + duration(rules.cooldown)
        if until > now:
            return Block(
                R.COOLDOWN, f"asked at {record.last_triggered_at}; retrain.cooldown lasts until {stamp(until)}", until
            )
    today = recent(record, now)
    if len(today) >= rules.max_per_day:
        until_day = moment(today[-1]) + DAY if today else None
        when = f" until {stamp(until_day)}" if until_day is not None else ""
        message = f"{len(today)} requests in 24 hours, retrain.maxPerDay is {rules.max_per_day}; blocked{when}"
        return Block(R.DAILY_LIMIT, message, until_day)
    return None


def same_data(seen: Seen, version: DatasetVersion, begin: str | None) -> Block | None:
    """Return that a run would learn from what the champion, or the last run, has learnt from."""
    source = seen.watched.data_name if seen.watched is not None else None
    champion = seen.watched.status.champion if seen.watched is not None else None
    again = f"looked at again after the next version of DataSource {source}"
    if begin is None and champion is not None and champion.data_digest == version.digest:
        return Block(R.SAME_DATA, f"the champion learnt from version {short(version.digest)} already; {again}")
    if seen.retrained is not None and has_learnt(seen.retrained, version, begin):
        learnt = f"TrainingJob {seen.retrained.name} learnt from version {short(version.digest)} already"
        return Block(R.SAME_DATA, f"{learnt}; {again}")
    return None


def has_learnt(run: Retrained, version: DatasetVersion, begin: str | None) -> bool:
    """Say whether a run learnt from these rows."""
    data, window = run.status.data, run.window
    return data is not None and data.digest == version.digest and (window.since if window else None) == begin


def too_few_rows(monitor: Monitor, seen: Seen, version: DatasetVersion, begin: str | None) -> Block | None:
    """Return that the version cannot hold enough rows, where its splits tell."""
    least, found = rules_window(monitor).min_labelled_rows, most_rows(version, begin)
    if found >= least:
        return None
    shift = f" since {begin}" if begin is not None else ""
    source = seen.watched.data_name if seen.watched is not None else None
    return Block(
        R.NOT_ENOUGH_LABELLED_ROWS,
        f"at most {found} labelled rows{shift}, retrain.window.minLabelledRows is {least}. Nothing to do: looked at "
        f"again after the next version of DataSource {source}",
    )


def since(monitor: Monitor, record: MonitorStatus, call: Call) -> str | None:
    """Return where the rows to learn from begin, or None for all."""
    window = rules_window(monitor)
    if window.since is Since.LAST_SHIFT and call.finding is Finding.DRIFT_DETECTED:
        return record.drift.shift_at if record.drift is not None else None
    if window.since is Since.DURATION and window.duration is not None and record.last_window is not None:
        return stamp(moment(record.last_window.end) - duration(window.duration))
    return None


def recent(record: RetrainStatus, now: datetime) -> list[str]:
    """Return when it asked in the last 24 hours, newest first."""
    return [text for text in record.requests_today or () if moment(text) > now - DAY]


def retrain_rules(monitor: Monitor) -> RetrainRules:
    """Return the rules of asking, or their defaults."""
    return monitor.spec.retrain or RetrainRules()


def rules_window(monitor: Monitor) -> RetrainWindow:
    """Return the rows to learn from, or their defaults."""
    return retrain_rules(monitor).window or RetrainWindow()


def yes_blocked(block: Block) -> Condition:
    """Return the condition that says why."""
    return yes("RetrainBlocked", block.reason, paged(block.reason, block.message))
