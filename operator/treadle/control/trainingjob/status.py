"""What a pass concludes about a TrainingJob: progress, metrics, verdict, conditions."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from treadle.api.base import stamp
from treadle.api.conditions import Condition, line, no, paged, unknown, yes
from treadle.api.reasons import WORLD, Reason
from treadle.api.step import TrainResult
from treadle.api.trainingjob import Metric, Progress, TrainingJob, TrainingJobStatus, Verdict
from treadle.control.engine.conditions import reconciling_and_stalled
from treadle.control.engine.ports import Event, Outcome
from treadle.control.engine.reconcile import STALLED_SECONDS
from treadle.control.jobs import HINDRANCES, POLL_SECONDS, Retry, Standing, is_worlds, retry, with_hindrance
from treadle.control.judged import carried, former, told, written
from treadle.control.trainingjob.keys import attempted, data_resolved, is_hopeless, is_resolved, resolved
from treadle.control.trainingjob.observe import Seen

R = Reason

STAGES = ("DataResolved", "Trained", "Evaluated", "Registered", "GatePassed")
CONDITIONS = ("Complete", "Failed", "Admitted", *STAGES, "Reconciling", "Stalled")
METRICS_KEPT = 8
VERDICTS = {
    Verdict.PROMOTE: R.PASSED_GATE,
    Verdict.HOLD: R.HELD_BY_GATE,
    Verdict.REJECT: R.REJECTED_BY_GATE,
    Verdict.INCONCLUSIVE: R.GATE_INCONCLUSIVE,
}
GOOD = {
    "DataResolved": R.RESOLVED,
    "Trained": R.TRAINED,
    "Evaluated": R.EVALUATED,
    "Registered": R.REGISTERED,
    "GatePassed": R.ALL_CHECKS_PASSED,
}
QUIET = frozenset({R.RUNNING, R.NOT_JUDGED})
NOT_FAILED = no("Failed", R.NOT_FAILED)


@dataclass(frozen=True, slots=True)
class Judged:
    """The record of this pass, its summary, and the stages that it judged."""

    record: TrainingJobStatus
    complete: Condition
    stages: Sequence[Condition]
    failed: Condition = NOT_FAILED
    is_waiting: bool = False
    again: float | None = None
    is_world: bool = False
    """Only the world can mend what Complete says."""


def status(run: TrainingJob, seen: Seen, now: datetime) -> Outcome:
    """Return the whole status: the record of this pass, and every condition."""
    judged = judge(run, seen, now)
    trouble = judged.failed if judged.failed.status == "True" else judged.complete if judged.is_world else None
    kstatus = reconciling_and_stalled(
        settled=not judged.is_waiting, stalled=trouble, waiting=judged.complete.message if judged.is_waiting else ""
    )
    before, generation = run.status.conditions, run.metadata.generation
    conditions = [judged.complete, judged.failed, admitted(run, judged), *judged.stages, *kstatus]
    shown = judged.failed if judged.failed.status == "True" else judged.complete
    record = judged.record.model_copy(
        update={"observed_generation": generation, "message": line(shown.message) if shown.message else None}
    )
    return Outcome(
        status={**record.dump(), "conditions": written(CONDITIONS, before, conditions, now, generation)},
        events=events(run, judged),
        again=judged.again,
    )


def judge(run: TrainingJob, seen: Seen, now: datetime) -> Judged:
    """Return how the run stands; the first that applies speaks."""
    if run.status.completion_time is not None:
        return ended_before(run)
    if not is_resolved(run.status):
        return unresolved(run, seen, now)
    standing = with_hindrance(seen.standing(run, now), former(run.status.conditions, "Complete"))
    if standing.has_ended:
        return ended(run, standing, now)
    return under_way(run, seen, standing, now)


def ended_before(run: TrainingJob) -> Judged:
    """Return what stands: a finished run never changes."""
    held = run.status.conditions
    complete, failed = former(held, "Complete"), former(held, "Failed")
    return Judged(
        run.status, complete or unknown("Complete"), carried(held, STAGES), failed=failed or unknown("Failed")
    )


def unresolved(run: TrainingJob, seen: Seen, now: datetime) -> Judged:
    """Return what the run waits for, or the record by which it starts."""
    if run.spec.suspend:
        return Judged(run.status, suspended(), carried(run.status.conditions, STAGES))
    data = data_resolved(run, seen.version, has_data_source=seen.has_data_source)
    if data.status == "False":
        if data.reason == R.NOT_ENOUGH_LABELLED_ROWS and is_hopeless(run):
            return failed_for_good(run, R.NOT_ENOUGH_LABELLED_ROWS, data.message, [data], now)
        waiting = no("Complete", R.WAITING_FOR_DATA_SOURCE, paged(R.WAITING_FOR_DATA_SOURCE, data.message))
        return Judged(run.status, waiting, [data], is_waiting=True)
    if seen.target.name is not None and not seen.target.exists:
        message = (
            f"ModelDeployment {seen.target.name!r} does not exist; create it, or correct "
            "spec.gate.against.deploymentRef.name"
        )
        waiting = no("Complete", R.WAITING_FOR_MODEL_DEPLOYMENT, paged(R.WAITING_FOR_MODEL_DEPLOYMENT, message))
        return Judged(run.status, waiting, [data], is_waiting=True)
    record = resolved(run, seen.version, seen.target.champion, stamp(now))
    stages = [data, unknown("Trained", R.RUNNING)]
    return Judged(record, running(record), stages, again=POLL_SECONDS)


def under_way(run: TrainingJob, seen: Seen, standing: Standing, now: datetime) -> Judged:
    """Return how far a run is that has not ended."""
    held = [stage for stage in carried(run.status.conditions, STAGES) if stage.status == "True"]
    is_trained = any(stage.type == "Trained" for stage in held)
    stages = held if is_trained else [*held, unknown("Trained", R.RUNNING)]
    record = run.status
    if seen.progress is not None:
        progress = Progress(
            percentage=seen.progress.percentage,
            estimated_remaining_seconds=seen.progress.estimated_remaining_seconds,
            last_updated_time=stamp(now),
        )
        record = record.model_copy(update={"progress": progress})
    if run.spec.suspend:
        return Judged(record, suspended(), stages)
    if standing.is_hindered and standing.reason is not None:
        message = paged(standing.reason, standing.message)
        return Judged(record, no("Complete", standing.reason, message), stages, is_world=True, again=POLL_SECONDS)
    trouble = former(run.status.conditions, "Complete")
    has_moved = seen.progress is not None and seen.progress.percentage > 0
    if trouble is not None and trouble.reason in WORLD - HINDRANCES and not has_moved:
        # What hindered the last pod may hinder this one at once: no flapping until it is past its beginning.
        return Judged(record, trouble, stages, is_world=True, again=POLL_SECONDS)
    return Judged(record, running(record), stages, again=POLL_SECONDS)


def ended(run: TrainingJob, standing: Standing, now: datetime) -> Judged:
    """Return what an attempt that is over brought: a verdict, a failure for good, or another attempt."""
    result = standing.result if isinstance(standing.result, TrainResult) else None
    if result is not None and result.verdict is not None:
        return with_verdict(run, result, result.verdict, standing.ended_at or now)
    reason = result.reason if result is not None else standing.reason or R.RESULT_MISSING
    message = result.message if result is not None else standing.message
    stages = stages_of(result)
    if reason == R.NOT_ENOUGH_LABELLED_ROWS:
        short = no("DataResolved", reason, paged(reason, message))
        if is_hopeless(run):
            return failed_for_good(run, reason, message, [short], standing.ended_at or now)
        waiting = no("Complete", R.WAITING_FOR_DATA_SOURCE, paged(R.WAITING_FOR_DATA_SOURCE, message))
        return Judged(run.status, waiting, [short], is_waiting=True, again=0.0)
    if not is_worlds(reason):
        return failed_for_good(run, reason, message, stages, standing.ended_at or now)
    complete = no("Complete", reason, paged(reason, message))
    again = next_attempt(run, reason, standing, now)
    if again.at > now:
        wait = min(STALLED_SECONDS, (again.at - now).total_seconds())
        return Judged(run.status, complete, stages, is_world=True, again=wait)
    return Judged(attempted(run, again.attempt), complete, stages, is_world=True, again=POLL_SECONDS)


def next_attempt(run: TrainingJob, reason: Reason, standing: Standing, now: datetime) -> Retry:
    """Return when a run that the world hindered is tried again; at once after a new generation."""
    is_new = run.status.observed_generation not in (None, run.metadata.generation)
    number = run.status.retries or 0
    found = retry(number, reason, standing.ended_at, now, is_new_generation=is_new)
    return found or Retry(number + 1, now)


def with_verdict(run: TrainingJob, result: TrainResult, verdict: Verdict, at: datetime) -> Judged:
    """Return the end of a run that was judged; refusing is a success of the gate."""
    gate = result.gate
    record = run.status.model_copy(
        update={
            "completion_time": stamp(at),
            "environment": result.environment,
            "progress": Progress(percentage=100, last_updated_time=stamp(at)),
            "primary_metric": primary(run, result.metrics),
            "metrics": result.metrics[:METRICS_KEPT] or None,
            "gate": gate and gate.model_copy(update={"decided_at": gate.decided_at or stamp(at)}),
            "model": result.model and result.model.model_copy(update={"name": run.spec.model_name}),
            "report_uri": result.report_uri,
        }
    )
    reason = VERDICTS[verdict]
    return Judged(record, yes("Complete", reason, paged(reason, result.message)), stages_of(result))


def primary(run: TrainingJob, metrics: Sequence[Metric]) -> Metric | None:
    """Return the objective on the whole holdout."""
    wanted = (run.spec.objective.metric, "holdout", None)
    return next((metric for metric in metrics if (metric.name, metric.split, metric.slice) == wanted), None)


def failed_for_good(
    run: TrainingJob, reason: Reason, message: str, stages: Sequence[Condition], at: datetime
) -> Judged:
    """Return the end of a run that no repetition can save."""
    text = paged(reason, message)
    return Judged(
        run.status.model_copy(update={"completion_time": stamp(at)}),
        # The summary names the cause too, since the STATUS column shows it.
        no("Complete", reason, text),
        stages,
        failed=yes("Failed", reason, text),
    )


def stages_of(result: TrainResult | None) -> list[Condition]:
    """Return the stages of an attempt that is over: those before the failed one are True, those after it Unknown."""
    if result is None:
        return [yes("DataResolved", R.RESOLVED)]
    failed = result.failed
    if failed not in STAGES:
        known = STAGES if result.verdict is not None else STAGES[:1]
        return [yes(stage, good(stage, result)) for stage in known]
    place = STAGES.index(failed)
    before = [yes(stage, good(stage, result)) for stage in STAGES[:place]]
    return [*before, *stage_that_failed(failed, result)]


def good(stage: str, result: TrainResult) -> Reason:
    """Return why a stage is True."""
    if stage == "GatePassed" and result.reason is R.NO_CHAMPION:
        return R.NO_CHAMPION
    return GOOD[stage]


def stage_that_failed(stage: str, result: TrainResult) -> list[Condition]:
    """Return the condition at which an attempt ended; the world's hindrances are about no stage but the publishing."""
    text = paged(result.reason, result.message)
    if stage == "GatePassed" and result.verdict is Verdict.INCONCLUSIVE:
        return [unknown(stage, result.reason, text)]
    if result.reason not in WORLD:
        return [no(stage, result.reason, text)]
    if stage == "Registered":
        return [no(stage, R.PUBLISH_FAILED, paged(R.PUBLISH_FAILED, result.message))]
    return [yes(stage, R.RESOLVED)] if stage == "DataResolved" else []


def admitted(run: TrainingJob, judged: Judged) -> Condition:
    """Return whether the run may use the cluster; without a queue, always."""
    if run.spec.suspend and judged.record.completion_time is None:
        return no("Admitted", R.SUSPENDED, "spec.suspend is true; set it to false")
    return yes("Admitted", R.NOT_QUEUED)


def suspended() -> Condition:
    """Return that a person holds the run."""
    return no("Complete", R.SUSPENDED, "spec.suspend is true: the run is held; set it to false")


def running(record: TrainingJobStatus) -> Condition:
    """Return that the run goes on."""
    return no("Complete", R.RUNNING, f"Job {record.job_name} trains on version {record.data and record.data.short}")


def events(run: TrainingJob, judged: Judged) -> list[Event]:
    """Return what changed: a wait, a hindrance, the end."""
    held = run.status.conditions
    if judged.failed.status == "True":
        return told(held, judged.failed, is_warning=True)
    if judged.complete.reason in QUIET:
        return []
    return told(held, judged.complete, is_warning=judged.is_world)
