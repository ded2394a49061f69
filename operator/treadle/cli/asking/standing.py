"""Requests to objects that stand: fetch now, judge now, hold, and go on."""

from datetime import datetime

from treadle.api.blocks import Resource
from treadle.api.datasource import DataSource
from treadle.api.monitor import Monitor, WindowAttempt
from treadle.api.names import ANNOTATION_REQUESTED_AT, short
from treadle.cli.asking.preview import Change, Object, Preview, annotated, time_of
from treadle.control.datasource import due
from treadle.control.jobs import Phase, Runs, Standing
from treadle.control.monitor.actions import broken
from treadle.control.monitor.seen import Seen, read_watched
from treadle.control.monitor.status import begun, can_judge
from treadle.control.settings import Settings


def fetches(raw: Object, now: datetime) -> Preview:
    """Preview a fetch that a person asks for."""
    source = DataSource.read(raw)
    name, current, last = source.metadata.name, source.status.current_version, source.status.last_attempt
    at = time_of(source.metadata.annotations, now)
    config = last.config_map_version if last is not None else None
    started = due.due(asking(source, at), config, now)
    attempt = started.last_attempt if started is not None else None
    kept = f"version {current.short} stays in use" if current is not None else "there is no version to go on with"
    return Preview(
        act=f"Fetch DataSource {name} now",
        kind="DataSource",
        name=name,
        patch=annotated(ANNOTATION_REQUESTED_AT, at),
        changes=(Change("Job", last.job_name if last else "none", attempt.job_name),) if attempt is not None else (),
        waits="" if attempt is not None else _why_no_fetch(source),
        following=(
            "the same bytes again are Unchanged: no version, no run",
            f"where the new ones are refused, {kept}",
        ),
    )


def judges(raw: Object, target: Object | None, now: datetime) -> Preview:
    """Preview the judgement of the window that ends now.

    target: the ModelDeployment that is watched, or None where it does not exist.
    """
    monitor = Monitor.read(raw)
    name, record = monitor.metadata.name, monitor.status
    at = time_of(monitor.metadata.annotations, now)
    asked, seen = asking(monitor, at), Seen(settings=Settings(), runs=Runs(), watched=read_watched(target))
    started = begun(asked, seen, Standing(Phase.RUNNING), now) if can_judge(asked, seen) else None
    window = started.attempt if started is not None and started.handled_request == at else None
    refusals = record.retrain.consecutive_refusals if record.retrain is not None else 0
    changes = [
        *([Change("window", _window(record.attempt), _window(window))] if window is not None else []),
        *([Change("refusals in a row", str(refusals), "0")] if refusals else []),
    ]
    is_broken = broken(monitor, record.retrain) is not None
    return Preview(
        act=f"Judge the window of Monitor {name} that ends now",
        kind="Monitor",
        name=name,
        patch=annotated(ANNOTATION_REQUESTED_AT, at),
        changes=tuple(changes),
        waits="" if window is not None else _why_no_window(monitor, seen),
        following=(
            f"a Job judges what champion {short(seen.champion)} answered in it; too few samples are Insufficient"
            if seen.champion is not None
            else "a Job judges what the champion answered in it; too few samples are Insufficient",
        ),
        notes=("the breaker closes: a later window may ask for a retrain again",) if is_broken else (),
    )


HELD = {
    "DataSource": "nothing is fetched; versions stay, and a fetch under way goes on",
    "TrainingJob": "the Job is held, its pod ends, and what it had done is lost",
    "ModelDeployment": "no candidate is tried and no run starts; serving, and a trial under way, go on",
    "Monitor": "no window is judged; what is logged meanwhile stays",
}
GOES_ON = {
    "DataSource": "it is fetched again: by schedule, for a changed spec, and for a request that waited",
    "TrainingJob": "the Job runs again, from its beginning",
    "ModelDeployment": "candidates are tried and runs start again, first those whose cause came meanwhile",
    "Monitor": "the newest whole window is judged next; older ones are skipped",
}


def suspends(raw: Object, suspend: bool) -> Preview:
    """Preview spec.suspend, the one lasting wish that is set here."""
    kind, name = raw["kind"], raw["metadata"]["name"]
    spec, status = raw["spec"], raw.get("status") or {}
    act = f"{'Suspend' if suspend else 'Resume'} {kind} {name}"
    if bool(spec.get("suspend", False)) == suspend:
        return Preview(act, kind, name, notes=(f"spec.suspend is {str(suspend).lower()} already: nothing to do",))
    if kind == "TrainingJob" and status.get("completionTime"):
        return Preview(act, kind, name, notes=(f"it ended at {status['completionTime']}: nothing to do",))
    owners = [f"it is owned by {other}, which may set it back" for other in owning(raw)]
    return Preview(
        act=act,
        kind=kind,
        name=name,
        patch={"spec": {"suspend": suspend}},
        changes=(Change("spec.suspend", str(not suspend).lower(), str(suspend).lower()),),
        following=((HELD if suspend else GOES_ON)[kind],),
        notes=tuple(f"spec.suspend: {text}" for text in owners),
    )


def owning(raw: Object) -> list[str]:
    """Return who applied spec.suspend, and thus sets it again with the next sync."""
    found = raw["metadata"].get("managedFields") or []
    applied = [row for row in found if row.get("operation") == "Apply" and not row.get("subresource")]
    return [row["manager"] for row in applied if "f:suspend" in row.get("fieldsV1", {}).get("f:spec", {})]


def asking[R: Resource](object_: R, at: str) -> R:
    """Return an object with a request of this time."""
    annotations = {**object_.metadata.annotations, ANNOTATION_REQUESTED_AT: at}
    return object_.model_copy(update={"metadata": object_.metadata.model_copy(update={"annotations": annotations})})


def _why_no_fetch(source: DataSource) -> str:
    if source.spec.suspend:
        return f"spec.suspend is true; go on by: treadle resume dsrc/{source.metadata.name}"
    last = source.status.last_attempt
    return f"Job {last.job_name} still fetches; the one asked for follows it" if last is not None else "it is new"


def _why_no_window(monitor: Monitor, seen: Seen) -> str:
    name, target = monitor.metadata.name, monitor.spec.target_ref.name
    if monitor.spec.suspend:
        return f"spec.suspend is true; go on by: treadle resume mon/{name}"
    if seen.watched is None:
        return f"ModelDeployment {target} does not exist"
    if seen.champion is None:
        return f"ModelDeployment {target} has no champion yet"
    if not seen.watched.is_logged:
        return f"logger.percent of ModelDeployment {target} is 0, so that nothing is kept; set it above 0"
    return f"the window {_window(monitor.status.attempt)} is judged first"


def _window(attempt: WindowAttempt | None) -> str:
    return f"{attempt.start} to {attempt.end}" if attempt is not None else "none"
