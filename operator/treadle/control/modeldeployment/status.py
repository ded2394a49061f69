"""Status of a ModelDeployment: the next record, what it means as conditions, whom to tell, and when to look again."""

import json
from collections.abc import Iterator
from datetime import datetime

from treadle.api.base import Json, duration, moment, stamp
from treadle.api.blocks import Trigger, TriggerKind
from treadle.api.conditions import Condition, line, no, paged
from treadle.api.modeldeployment import (
    CandidateState,
    Endpoint,
    LoggerStatus,
    ModelDeployment,
    ModelDeploymentStatus,
    PlanStatus,
    Predictor,
    Protocol,
    TrainingStatus,
)
from treadle.api.names import short
from treadle.api.reasons import Reason
from treadle.control.engine.conditions import reconciling_and_stalled
from treadle.control.engine.ports import Event, Object, Outcome
from treadle.control.judged import told, written
from treadle.control.modeldeployment import conditions, plan, quarantine, requests, retrain, trial
from treadle.control.modeldeployment.asked import handled
from treadle.control.modeldeployment.canary import LOOK
from treadle.control.modeldeployment.decisions import GOING_BACK, OPERATOR, PERSON, Act, decided, fresh, kept
from treadle.control.modeldeployment.desired import has_model, selector
from treadle.control.modeldeployment.seen import Run, Seen
from treadle.control.modeldeployment.trouble import trouble
from treadle.control.schedule import next_due

CONDITIONS = (
    conditions.READY,
    conditions.VERIFIED,
    conditions.AVAILABLE,
    conditions.PROGRESSING,
    conditions.CANARY_HEALTHY,
    conditions.ROLLED_BACK,
    conditions.TRAINING_READY,
    "Reconciling",
    "Stalled",
)

POLL_SECONDS = 5.0
"""While pods load, verify or take a plan over: what they hold comes by no event."""
LONG_SECONDS = 700.0
"""What is due later is met by one of the looks that the engine takes every ten minutes anyway."""
LIMIT_BYTES = 16 * 1024
SHORT_MESSAGE = 120
FEW_DECISIONS = 3


def status(md: ModelDeployment, seen: Seen, now: datetime) -> Outcome:
    """Return the whole status after this look, its events, and when the next one is due."""
    record = recorded(md, seen, now)
    judged = [
        conditions.ready(md, record, seen, now),
        conditions.verified(md, record, seen),
        conditions.available(md, record, seen),
        conditions.progressing(md, record, seen),
        conditions.canary_healthy(md, record),
        conditions.rolled_back(record),
        conditions.training_ready(md, record, seen, now),
    ]
    ready, training, generation = judged[0], judged[-1], md.metadata.generation
    if training.reason != Reason.INVALID_SPEC and is_settled(md, record, seen, ready, now):
        record = record.model_copy(update={"settled_generation": generation})
    record = record.model_copy(update={"observed_generation": generation, "message": ready.message or None})
    all_judged = [*judged, *kstatus(md, record, seen, ready, training)]
    document = {**record.dump(), "conditions": written(CONDITIONS, md.status.conditions, all_judged, now, generation)}
    return Outcome(
        status=fitted(with_logger(md, document, seen)),
        events=tuple(events(md, record, ready, training)),
        again=next_look(md, record, seen, ready, now),
    )


def recorded(md: ModelDeployment, seen: Seen, now: datetime) -> ModelDeploymentStatus:
    """Return the record that the next pass projects."""
    record = quarantine.released(md, md.status, seen, now)
    record = quarantine.refused_runs(md, record, seen, now)
    record = _with_new_runs(record, seen, now)
    record = trial.followed(md, record, seen, now)
    record = requests.retrains(md, record, seen, now)
    return record.model_copy(
        update={
            "endpoint": endpoint(md),
            "replicas": len(seen.pods),
            "ready_replicas": seen.ready_count,
            "selector": ",".join(f"{key}={value}" for key, value in sorted(selector(md).items())),
            "plan": plan_status(record, seen),
            "training": training_status(md, record, seen, now),
            "handled_digests": handled(md, record),
        }
    )


def endpoint(md: ModelDeployment) -> Endpoint:
    """Return where the model answers inside the cluster."""
    protocols = (md.spec.predictor or Predictor()).protocols or [Protocol.V2]
    url = f"http://{md.metadata.name}.{md.metadata.namespace}.svc"
    return Endpoint(url=url, protocols=[str(protocol) for protocol in protocols])


def plan_status(record: ModelDeploymentStatus, seen: Seen) -> PlanStatus | None:
    """Return what status says of the plan; a pod that did not answer is taken to follow it as before."""
    former = record.plan
    if seen.plan is None:
        return former and former.model_copy(update={"pods_in_sync": 0})
    found = plan.status_of(seen.plan, len(seen.followers))
    silent = sum(pod.state is None for pod in seen.pods)
    if former is None or former.revision != found.revision:
        return found
    missing = max(0, former.pods_in_sync - found.pods_in_sync)
    return found.model_copy(update={"pods_in_sync": found.pods_in_sync + min(silent, missing)})


def training_status(
    md: ModelDeployment, record: ModelDeploymentStatus, seen: Seen, now: datetime
) -> TrainingStatus | None:
    """Return what status says of generated runs."""
    former, running = record.training or TrainingStatus(), retrain.running(seen)
    newest = next((run.name for run in seen.runs if run.is_ours), former.last_run)
    if retrain.template(md) is None and newest is None:
        return None
    due, next_time = retrain.due_time(md, now), _next_schedule(md, seen, now)
    has_run = due is not None and retrain.of_trigger(seen, TriggerKind.SCHEDULE, due) is not None
    return TrainingStatus(
        running=running.name if running is not None else None,
        last_run=newest,
        runs_today=retrain.started_today(seen, now),
        next_schedule_time=next_time,
        last_schedule_time=due if has_run else former.last_schedule_time,
    )


def is_settled(md: ModelDeployment, record: ModelDeploymentStatus, seen: Seen, ready: Condition, now: datetime) -> bool:
    """Say whether this generation's desired state is reached; a trial that another generation began does not count."""
    candidate, live = record.candidate, seen.plan
    is_rolling = (
        candidate is not None
        and candidate.generation == md.metadata.generation
        and candidate.state is not CandidateState.HELD
    )
    if record.champion is None or live is None or is_rolling:
        return False
    is_up = ready.status == "True" or (md.spec.replicas == 0 and not seen.pods)
    is_followed = all(pod.state is None or pod.state.plan == live.revision for pod in seen.pods)
    is_projected = plan.content(md.spec, record, live.revision, now) == live
    return is_up and is_projected and is_followed and is_rolled_out(seen.deployment, md.spec.replicas)


def is_rolled_out(deployment: Object | None, replicas: int) -> bool:
    """Say whether the Deployment's pods are all of its newest template, and ready."""
    if deployment is None:
        return False
    found = deployment.get("status") or {}
    is_observed = int(found.get("observedGeneration", 0)) >= int(deployment["metadata"].get("generation", 1))
    updated, ready = int(found.get("updatedReplicas", 0)), int(found.get("readyReplicas", 0))
    # As kubectl rollout status judges: no pod of a former template is left.
    return is_observed and min(updated, ready) >= replicas and int(found.get("replicas", 0)) <= updated


def kstatus(
    md: ModelDeployment, record: ModelDeploymentStatus, seen: Seen, ready: Condition, training: Condition
) -> tuple[Condition, Condition]:
    """Return Reconciling and Stalled."""
    settled = (record.settled_generation or 0) >= md.metadata.generation
    stalled = ready if ready.status == "False" and ready.reason not in conditions.WAITS else None
    if stalled is None and not settled and ready.status == "True":
        # The former pods answer while those of the new spec cannot come up.
        found = trouble([pod.raw for pod in seen.pods], seen.deployment)
        stalled = no("Ready", found.reason, found.message) if found is not None and found.reason is not None else None
    if stalled is None and training.reason == Reason.INVALID_SPEC:
        stalled = training
    waiting = ready.message if ready.status == "False" else ""
    return reconciling_and_stalled(settled=settled, stalled=stalled, waiting=waiting)


def events(
    md: ModelDeployment, record: ModelDeploymentStatus, ready: Condition, training: Condition
) -> Iterator[Event]:
    """Yield what was decided, how Ready turned, and that the schedule of runs cannot be read."""
    for row in fresh(md.status, record):
        if row.action in GOING_BACK:
            yield Event(row.reason, paged(row.reason, row.message), "Warning", row.action)
        else:
            yield Event(row.reason, row.message, "Normal", row.action)
    if md.status.conditions or ready.reason != Reason.WAITING_FOR_MODEL:
        is_warning = ready.status == "False" and ready.reason not in (Reason.WAITING_FOR_MODEL, Reason.LOADING)
        yield from told(md.status.conditions, ready, is_warning=is_warning)
    if training.reason == Reason.INVALID_SPEC:
        yield from told(md.status.conditions, training, is_warning=True)


def next_look(
    md: ModelDeployment, record: ModelDeploymentStatus, seen: Seen, ready: Condition, now: datetime
) -> float | None:
    """Return in how many seconds something is due by itself, None where only an event can change anything."""
    due = [(moment - now).total_seconds() for moment in _due_times(md, record, seen)]
    seconds = [max(1.0, each) for each in due if each > 0]
    candidate = record.candidate
    if candidate is not None and candidate.state is not CandidateState.VERIFYING:
        seconds.append(LOOK.total_seconds())
    is_followed = seen.plan is not None and len(seen.followers) == len(seen.pods)
    is_quiet = candidate is None or candidate.state is not CandidateState.VERIFYING
    if has_model(record) and md.spec.replicas > 0 and not (is_followed and is_quiet and ready.status == "True"):
        seconds.append(POLL_SECONDS)
    return min((each for each in seconds if each < LONG_SECONDS), default=None)


def with_logger(md: ModelDeployment, document: Json, seen: Seen) -> Json:
    """Return the status with the pods' log counters, renewed with any other change, or when one has a digit more.

    Each status write wakes this object again: a counter that grows with every request must not cause one.
    """
    states = [pod.state.log for pod in seen.pods if pod.state is not None]
    if not states:
        return document
    found = LoggerStatus(rows=sum(each.rows for each in states), dropped=sum(each.dropped for each in states))
    former = md.status.logger
    is_far_off = former is None or any(
        len(str(new)) != len(str(old)) for new, old in ((found.rows, former.rows), (found.dropped, former.dropped))
    )
    is_same = _comparable(document) == _comparable(md.status.dump())
    return document if is_same and not is_far_off else {**document, "logger": found.dump()}


def fitted(document: Json) -> Json:
    """Return the status in at most 16 KiB: first older decisions go, then messages are cut."""
    if _size(document) <= LIMIT_BYTES:
        return document
    rows = ModelDeploymentStatus.parse(document).decisions or []
    fewer = {**document, "decisions": [row.dump() for row in kept(rows, FEW_DECISIONS)]}
    if _size(fewer) <= LIMIT_BYTES:
        return fewer
    cut = [{**found, "message": line(found["message"], SHORT_MESSAGE)} for found in document["conditions"]]
    return {**fewer, "conditions": cut}


def _with_new_runs(record: ModelDeploymentStatus, seen: Seen, now: datetime) -> ModelDeploymentStatus:
    for run in quarantine.new_runs(record, seen):
        version = str(run.raw["spec"]["dataRef"].get("version", ""))
        cause = run.trigger or Trigger()
        message = f"TrainingJob {run.name} on version {short(version)} of its data"
        reason = cause.reason or str(cause.kind)
        subject = version if version.startswith("sha256:") else None
        record = decided(record, Act.RETRAIN, subject, now, reason=reason, message=message, actor=_actor(run))
    return record


def _actor(run: Run) -> str:
    cause = run.trigger
    if cause is None or cause.kind is TriggerKind.MANUAL:
        return PERSON
    return f"Monitor/{cause.ref.name}" if cause.kind is TriggerKind.MONITOR and cause.ref else OPERATOR


def _next_schedule(md: ModelDeployment, seen: Seen, now: datetime) -> str | None:
    """Return the due time to record: the one that waits to be acted on, else the next by the clock."""
    wished = retrain.triggers(md)
    if wished.schedule is None or retrain.wrong_schedule(md, now) is not None:
        return None
    due, block = retrain.due_time(md, now), retrain.blocked(md, seen, now)
    is_skipped = block is not None and block.is_refusal
    if due is not None and not is_skipped and retrain.of_trigger(seen, TriggerKind.SCHEDULE, due) is None:
        return due
    return stamp(next_due(wished.schedule, wished.time_zone, now))


def _due_times(md: ModelDeployment, record: ModelDeploymentStatus, seen: Seen) -> Iterator[datetime]:
    if record.training is not None and record.training.next_schedule_time is not None:
        yield moment(record.training.next_schedule_time)
    if record.last_known_good is not None:
        yield moment(record.last_known_good.loaded_until)
    yield from (moment(row.until) for row in record.quarantined or ())
    yield from (run.created + retrain.DAY for run in seen.runs if run.is_ours and run.created is not None)
    candidate, steps = record.candidate, conditions.canary_of(md).steps or []
    if candidate is not None and candidate.state is CandidateState.CANARY and candidate.step < len(steps):
        pause = steps[candidate.step].pause
        if pause is not None and pause.duration is not None:
            yield moment(candidate.step_since) + duration(pause.duration)


def _comparable(document: Json) -> Json:
    found = {each["type"]: each for each in document.get("conditions", []) if each["type"] in CONDITIONS}
    return {**{key: value for key, value in document.items() if key != "logger"}, "conditions": found}


def _size(document: Json) -> int:
    return len(json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode())
