"""The children of a Monitor: the Job of the window under judgement, and finished ones."""

from collections.abc import Sequence
from datetime import datetime

from treadle.api.base import moment
from treadle.api.blocks import StoreRef
from treadle.api.monitor import Monitor, WindowAttempt
from treadle.api.step import MonitorStep, WindowBounds
from treadle.control.engine.ports import Object
from treadle.control.jobs import address, kept, lasting, run_of, step_owner, wished
from treadle.control.monitor.due import LOG_ARRIVES, run_key
from treadle.control.monitor.seen import Seen
from treadle.control.podspec import Mounts, Run, step_job


def desired(monitor: Monitor, seen: Seen, now: datetime) -> Sequence[Object]:
    """Return the Jobs that should exist now; one that is lost is left out, so that it is made again."""
    attempt = monitor.status.attempt
    if attempt is None or attempt.finished:
        return kept(seen.runs.jobs, attempt.job_name if attempt else None)
    made = monitor_job(monitor, attempt, seen) if is_wanted(monitor, attempt, now) else None
    return wished(seen.runs, attempt.job_name, seen.standing(monitor, now), made)


def is_wanted(monitor: Monitor, attempt: WindowAttempt, now: datetime) -> bool:
    """Say whether the attempt's Job may be made: its log has arrived, and its rules are still these."""
    if monitor.spec.suspend or attempt.champion_digest is None or attempt.reason is not None:
        return False
    window = WindowBounds(start=attempt.start, end=attempt.end)
    has_arrived = now >= moment(attempt.end) + LOG_ARRIVES
    return has_arrived and run_key(monitor, window, attempt.champion_digest) == attempt.run_key


def monitor_job(monitor: Monitor, attempt: WindowAttempt, seen: Seen) -> Object:
    """Return the Job that judges one window."""
    store = (monitor.spec.store_ref or StoreRef()).name
    step = MonitorStep(
        run=run_of(attempt.job_name),
        run_key=attempt.run_key,
        attempt=attempt.attempt,
        owner=step_owner(monitor),
        store=address(store, seen.runs.prefix),
        spec=monitor.spec,
        deployment=monitor.spec.target_ref.name,
        champion=attempt.champion_digest or "",
        window=WindowBounds(start=attempt.start, end=attempt.end),
    )
    run = Run(attempt.job_name, step.step, step.dump(), attempt.run_key, attempt.attempt)
    mounts = Mounts(secrets={store: ()})
    return step_job(monitor, run, lasting(monitor.spec.job_template), mounts, seen.settings)
