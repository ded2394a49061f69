"""Which run to start: from data, clock, Monitor and person to the name and spec of a TrainingJob."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from treadle.api.base import moment, stamp
from treadle.api.blocks import Trigger, TriggerKind, TriggerRef
from treadle.api.modeldeployment import (
    CandidateState,
    ModelDeployment,
    ModelDeploymentStatus,
    RequestRow,
    Training,
    Triggers,
)
from treadle.api.monitor import ActionKind
from treadle.api.names import ANNOTATION_REQUESTED_AT, short_hash
from treadle.api.reasons import Reason
from treadle.api.trainingjob import Recipe
from treadle.control.engine.ports import Object
from treadle.control.modeldeployment.candidates import chosen, stale
from treadle.control.modeldeployment.seen import Ask, Run, Seen
from treadle.control.schedule import next_due, time_zone

DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Wish:
    """Somebody's wish for a run."""

    trigger: Trigger
    since: str | None = None
    min_labelled_rows: int | None = None
    nonce: str | None = None
    """What makes this run another than one of equal inputs: the time of a schedule, or a person's."""


class Start(NamedTuple):
    """A run to start."""

    name: str
    spec: Object


class Block(NamedTuple):
    """Why no run may start now."""

    reason: Reason
    message: str
    is_refusal: bool
    """Whether a request is refused for it, instead of waiting."""


def due(md: ModelDeployment, seen: Seen, now: datetime) -> Start | None:
    """Return the run to start now: the first wish whose run does not exist yet, or None."""
    if blocked(md, seen, now) is not None:
        return None
    existing = {run.name for run in seen.runs}
    starts = (start(md, seen, wish) for wish in wishes(md, seen, now))
    return next((found for found in starts if found is not None and found.name not in existing), None)


def start(md: ModelDeployment, seen: Seen, wish: Wish) -> Start | None:
    """Return the run that fulfils a wish, named by its spec without the trigger, the champion, and its nonce."""
    recipe = template(md)
    if recipe is None or seen.data_digest is None:
        return None
    spec = filled(md, recipe, seen.data_digest, wish)
    champion = md.status.champion.digest if md.status.champion else None
    name = f"{md.metadata.name}-{short_hash('TrainingJob', spec, champion, wish.nonce)}"
    return Start(name, {**spec, "trigger": wish.trigger.dump()})


def filled(md: ModelDeployment, recipe: Recipe, data_digest: str, wish: Wish) -> Object:
    """Return the template's spec with version, window and champion's deployment, and without a trigger."""
    spec = recipe.dump()
    asked = {"since": wish.since, "minLabelledRows": wish.min_labelled_rows}
    window = {**spec["dataRef"].get("window", {}), **{key: value for key, value in asked.items() if value is not None}}
    reference = {**spec["dataRef"], "version": data_digest, **({"window": window} if window else {})}
    gate = spec.get("gate", {})
    against = gate.get("against") or {"deploymentRef": {"name": md.metadata.name}}
    return {**spec, "dataRef": reference, "gate": {**gate, "against": against}}


def wishes(md: ModelDeployment, seen: Seen, now: datetime) -> Iterator[Wish]:
    """Yield who wants a run, persons first."""
    person = asked_by_person(md)
    if person is not None and of_trigger(seen, TriggerKind.MANUAL, person) is None:
        yield Wish(Trigger(kind=TriggerKind.MANUAL, id=person), nonce=person)
    for ask in seen.asks:
        if is_pending(md, seen, ask):
            yield monitors_wish(ask)
    if wants_first(md, seen, now):
        yield Wish(Trigger(kind=TriggerKind.INITIAL))
    if (former := stale(md, md.status, seen.runs, now)) is not None:
        yield Wish(Trigger(kind=TriggerKind.REGATE, ref=_ref("TrainingJob", former), reason=Reason.VERDICT_STALE))
    champion = md.status.champion
    if triggers(md).new_data and champion is not None and seen.data_digest != champion.data_digest:
        yield Wish(Trigger(kind=TriggerKind.DATA))
    when = due_time(md, now)
    if when is not None and of_trigger(seen, TriggerKind.SCHEDULE, when) is None:
        yield Wish(Trigger(kind=TriggerKind.SCHEDULE, id=when), nonce=when)


def blocked(md: ModelDeployment, seen: Seen, now: datetime) -> Block | None:
    """Return why no run may start now, or None."""
    if md.spec.suspend:
        return Block(Reason.SUSPENDED, "spec.suspend is true; set it to false", True)
    recipe = template(md)
    if recipe is None:
        return Block(Reason.NO_TEMPLATE, "there is no training.template; add one, or make TrainingJobs by hand", True)
    if (problem := wrong_schedule(md, now)) is not None:
        return Block(Reason.INVALID_SPEC, problem, False)
    if seen.data_digest is None:
        found = "has no version yet" if seen.has_data_source else "does not exist"
        message = f"DataSource {recipe.data_ref.name!r} {found}; see its conditions, or create it"
        return Block(Reason.WAITING_FOR_DATA_SOURCE, message, False)
    if (run := running(seen)) is not None:
        return Block(Reason.RUNNING, f"TrainingJob {run.name} runs; one at a time", False)
    candidate = md.status.candidate
    if candidate is not None and candidate.state is not CandidateState.HELD:
        return Block(Reason.CANARY, f"candidate {candidate.version} is on trial; a verdict now could be stale", False)
    limit = (md.spec.training or Training()).max_per_day
    if started_today(seen, now) >= limit:
        return Block(Reason.DAILY_LIMIT, f"{limit} runs in 24 hours; raise training.maxPerDay, or wait", True)
    return None


def running(seen: Seen) -> Run | None:
    """Return the generated run that is under way."""
    return next((run for run in seen.runs if run.is_ours and not run.is_finished and not is_starved(run, seen)), None)


def is_starved(run: Run, seen: Seen) -> bool:
    """Say whether a generated run waits for rows that its version lacks while a newer version is there."""
    version = run.raw["spec"]["dataRef"].get("version")
    return run.is_ours and run.is_short_of_rows and seen.data_digest is not None and version != seen.data_digest


def started_today(seen: Seen, now: datetime) -> int:
    """Return how many runs of all causes were generated in the last 24 hours."""
    return sum(run.is_ours and run.created is not None and run.created > now - DAY for run in seen.runs)


def retained(md: ModelDeployment, seen: Seen, due: Start | None, now: datetime) -> list[Run]:
    """Return the generated runs to keep: the limits count finished ones, newest first.

    due: the run that starts now, which may take the place of a starved one.
    """
    training = md.spec.training or Training()
    record = md.status
    served = {found.training_job for found in (record.champion, record.candidate, record.last_known_good) if found}
    room = {True: training.failed_runs_history_limit, False: training.successful_runs_history_limit}
    kept = []
    ours = [run for run in seen.runs if run.is_ours]
    for index, run in enumerate(ours):
        if is_given_up(md, seen, run, ours[:index], due):
            continue
        has_failed = run.is_finished and run.verdict is None
        has_room = room[has_failed] > 0
        room[has_failed] -= run.is_finished
        # Runs of the last day count against maxPerDay, and one that is not accounted for yet has more to say.
        is_needed = run.name in served or (record.training is not None and run.name == record.training.running)
        is_fresh = run.created is None or run.created > now - DAY
        if not run.is_finished or has_room or is_needed or is_fresh or is_current(run, seen):
            kept.append(run)
    return kept


def is_given_up(md: ModelDeployment, seen: Seen, run: Run, newer: Sequence[Run], due: Start | None) -> bool:
    """Say whether a starved run may go: another has its wish, or nobody has that wish any more."""
    if not is_starved(run, seen) or run.trigger is None:
        return False
    others = [other.trigger for other in newer if other.trigger is not None]
    if due is not None:
        others.append(Trigger.parse(due.spec["trigger"]))
    if any(_is_same_wish(run.trigger, other) for other in others):
        return True
    champion = md.status.champion
    is_wished = any(
        _is_same_wish(run.trigger, monitors_wish(ask).trigger) and champion and ask.request.subject == champion.digest
        for ask in seen.asks
    )
    return bool(others) and not is_wished


def is_current(run: Run, seen: Seen) -> bool:
    """Say whether a run without a nonce learnt from the current version: while it is there, it is not repeated."""
    has_nonce = run.trigger is None or run.trigger.kind in (TriggerKind.MANUAL, TriggerKind.SCHEDULE)
    return not has_nonce and run.raw["spec"]["dataRef"].get("version") == seen.data_digest


def template(md: ModelDeployment) -> Recipe | None:
    """Return the recipe of retrains."""
    found = md.spec.training.template if md.spec.training else None
    return found.spec if found else None


def triggers(md: ModelDeployment) -> Triggers:
    """Return what starts a run by itself."""
    return (md.spec.training.triggers if md.spec.training else None) or Triggers()


def wants_first(md: ModelDeployment, seen: Seen, now: datetime) -> bool:
    """Say whether a first model is missing and nobody else is about to bring one.

    A run made by hand goes first while it is under way or has passed, so that a template beside it costs no second run.
    """
    if md.status.champion is not None or md.status.candidate is not None:
        return False
    if chosen(md, md.status, seen.runs, now) is not None:
        return False
    return not any(not run.is_finished and not run.is_ours for run in seen.runs)


def wrong_schedule(md: ModelDeployment, now: datetime) -> str | None:
    """Return where and why the schedule of runs cannot be read, or None; serving does not depend on it."""
    wished = triggers(md)
    for field, check in (
        ("timeZone", lambda: time_zone(wished.time_zone)),
        ("schedule", lambda: wished.schedule and next_due(wished.schedule, wished.time_zone, now)),
    ):
        try:
            check()
        except ValueError as problem:
            return f"spec.training.triggers.{field}: {problem}"
    return None


def asked_by_person(md: ModelDeployment) -> str | None:
    """Return the time of a person's request that was not acted on yet."""
    value = md.metadata.annotations.get(ANNOTATION_REQUESTED_AT, "").strip()[:64]
    return value if value and value != md.status.handled_request else None


def is_pending(md: ModelDeployment, seen: Seen, ask: Ask) -> bool:
    """Say whether a Monitor's wish for a run is about this champion and not answered yet."""
    champion = md.status.champion
    if ask.request.action is not ActionKind.RETRAIN or champion is None or ask.request.subject != champion.digest:
        return False
    run = of_trigger(seen, TriggerKind.MONITOR, ask.request.id, ask.uid)
    if run is not None:
        return is_starved(run, seen)
    return answer_to(md.status, ask) is None


def answer_to(record: ModelDeploymentStatus, ask: Ask) -> RequestRow | None:
    """Return what status says of a Monitor's request."""
    return next((row for row in record.requests or () if (row.id, row.from_) == (ask.request.id, ask.who)), None)


def monitors_wish(ask: Ask) -> Wish:
    """Return what a Monitor's request wants."""
    request = ask.request
    reference = TriggerRef(kind="Monitor", name=ask.monitor, uid=ask.uid)
    return Wish(
        Trigger(kind=TriggerKind.MONITOR, ref=reference, id=request.id, reason=request.cause),
        since=request.since,
        min_labelled_rows=request.min_labelled_rows,
    )


def due_time(md: ModelDeployment, now: datetime) -> str | None:
    """Return the due time that is recorded and has come."""
    recorded = md.status.training.next_schedule_time if md.status.training else None
    if triggers(md).schedule is None or recorded is None or moment(recorded) > now:
        return None
    return stamp(moment(recorded))


def of_trigger(seen: Seen, kind: TriggerKind, id_: str, asker_uid: str | None = None) -> Run | None:
    """Return the newest generated run that was started for a request or due time."""
    for run in seen.runs:
        cause = run.trigger if run.is_ours else None
        if cause is None or (cause.kind, cause.id) != (kind, id_):
            continue
        if asker_uid is None or (cause.ref is not None and cause.ref.uid == asker_uid):
            return run
    return None


def _is_same_wish(one: Trigger, other: Trigger) -> bool:
    return (one.kind, one.id, one.ref) == (other.kind, other.id, other.ref)


def _ref(kind: str, run: Run) -> TriggerRef:
    return TriggerRef(kind=kind, name=run.name, uid=str(run.raw["metadata"]["uid"]))
