"""Requests to a ModelDeployment: the operator's own next pass over what was read, with the request set.

The pods are left out, since only the operator asks them: what depends on their word is told as a wait.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from treadle.api.base import moment, stamp
from treadle.api.blocks import Trigger, TriggerKind
from treadle.api.modeldeployment import (
    Candidate,
    CandidateState,
    Champion,
    Follow,
    LastKnownGood,
    ModelDeployment,
    ModelDeploymentStatus,
    ModelSource,
    Training,
)
from treadle.api.names import (
    ANNOTATION_PROMOTE,
    ANNOTATION_REQUESTED_AT,
    ANNOTATION_ROLLBACK,
    ANNOTATION_UNQUARANTINE,
    API_VERSION,
    short,
)
from treadle.cli.asking.preview import Change, Object, Preview, Refusal, annotated, time_of, told
from treadle.control.modeldeployment import canary, quarantine, retrain, trial
from treadle.control.modeldeployment.asked import FIELDS, is_handled
from treadle.control.modeldeployment.conditions import analysis_of, canary_of
from treadle.control.modeldeployment.decisions import fresh
from treadle.control.modeldeployment.seen import Seen, read_asks, read_runs, read_version
from treadle.control.modeldeployment.status import recorded
from treadle.control.settings import Settings

KIND = "ModelDeployment"
LEAST_DIGITS = 8


@dataclass(frozen=True, slots=True)
class Scene:
    """A deployment, and what its next pass depends on."""

    md: ModelDeployment
    seen: Seen
    source: Object | None = None
    monitors: tuple[Object, ...] = ()

    @property
    def name(self) -> str:
        return self.md.metadata.name

    @property
    def is_pinned(self) -> bool:
        return (self.md.spec.source or ModelSource()).follow is Follow.PINNED


class Known(NamedTuple):
    """A version that the objects name, and how it stands."""

    version: str
    digest: str
    where: str


def scene(raw: Object, runs: list[Object], monitors: list[Object], source: Object | None) -> Scene:
    """Return what was read, as a pass sees it."""
    md = ModelDeployment.read(raw)
    return Scene(
        md=md,
        seen=Seen(
            settings=Settings(),
            runs=read_runs(md, runs),
            has_data_source=source is not None,
            data_digest=read_version(source),
            asks=read_asks(md, monitors),
            owner_uid=md.metadata.uid,
        ),
        source=source,
        monitors=tuple(found for found in monitors if found["spec"]["targetRef"]["name"] == md.metadata.name),
    )


def data_name(raw: Object) -> str | None:
    """Return the DataSource of a deployment's template."""
    template = ((raw["spec"].get("training") or {}).get("template") or {}).get("spec") or {}
    name: str | None = (template.get("dataRef") or {}).get("name")
    return name


# What a person may name.


def known(scene: Scene) -> list[Known]:
    """Return every version that status and runs name; what is served and tried comes first."""
    record = scene.md.status
    refused = {row.digest: f"quarantined until {row.until}: {row.reason}" for row in record.quarantined or ()}
    held = [
        Known(model.version, model.digest, where)
        for model, where in (
            (record.candidate, "on trial"),
            (record.champion, "the champion"),
            (record.last_known_good, "the champion before"),
        )
        if model is not None
    ]
    made = [
        Known(run.status.model.version, run.status.model.digest, f"of TrainingJob {run.name}: {run.reason}")
        for run in scene.seen.runs
        if run.status.model is not None
    ]
    named = {one.digest for one in (*held, *made)}
    rest = [Known(short(digest), digest, where) for digest, where in refused.items() if digest not in named]
    return [*held, *(one._replace(where=refused.get(one.digest, one.where)) for one in made), *rest]


def find(scene: Scene, wanted: str) -> Known:
    """Return the version that a person names: v7, a digest, or at least eight of its digits; raise Refusal."""
    all_known, text = known(scene), wanted.strip().lower()
    digits = text.removeprefix("sha256:")
    by_version = [one for one in all_known if one.version == text]
    is_digest = len(digits) >= LEAST_DIGITS and all(letter in "0123456789abcdef" for letter in digits)
    found = by_version or [one for one in all_known if is_digest and one.digest.startswith(f"sha256:{digits}")]
    if len({one.digest for one in found}) == 1:
        return found[0]
    listed = ", ".join(dict.fromkeys(f"{told(one.version, one.digest)} {one.where}" for one in found or all_known))
    if found:
        raise Refusal(f"{wanted!r} names several versions: {listed}; give more digits")
    raise Refusal(f"{wanted!r} is no version of model {scene.md.spec.model_name}; known: {listed or 'none'}")


# The four requests.


def retrains(scene: Scene, wanted: str, now: datetime) -> Preview:
    """Preview a run that a person asks for."""
    at, training = time_of(scene.md.metadata.annotations, now), scene.md.spec.training or Training()
    md = asking(scene.md, ANNOTATION_REQUESTED_AT, at)
    block = retrain.blocked(md, scene.seen, now)
    if block is not None and block.is_refusal:
        raise Refusal(f"{KIND} {scene.name} starts no run: {block.message}{_room(scene, now)}")
    wish = retrain.Wish(Trigger(kind=TriggerKind.MANUAL, id=at), nonce=at)
    start, today = retrain.start(md, scene.seen, wish), retrain.started_today(scene.seen, now)
    running = retrain.running(scene.seen)
    run = f"TrainingJob {start.name}" if start is not None and block is None else "a TrainingJob"
    return Preview(
        act=f"Retrain model {md.spec.model_name} of {KIND} {scene.name}",
        kind=KIND,
        name=scene.name,
        patch=annotated(ANNOTATION_REQUESTED_AT, at),
        changes=(
            Change("run", f"TrainingJob {running.name}" if running else "none", run),
            Change("runs in 24 hours", f"{today} of {training.max_per_day}", f"{today + 1} of {training.max_per_day}"),
        ),
        waits=f"{block.reason}: {block.message}" if block is not None else "",
        following=(f"{run} learns from {_data(scene)}", _judged(scene)),
        notes=tuple(_notes_on_retrain(scene)),
    )


def promotes(scene: Scene, wanted: str, now: datetime) -> Preview:
    """Preview the end of a trial by promotion; with spec.source.follow Pinned also the patch for Git."""
    candidate = scene.md.status.candidate or recorded(scene.md, scene.seen, now).candidate
    one = find(scene, wanted) if wanted else None
    if candidate is None or (one is not None and one.digest != candidate.digest):
        return _pinned(scene, one, candidate)
    digest, name = candidate.digest, told(candidate.version, candidate.digest)
    before, after = scene.md.status, recorded(asking(scene.md, ANNOTATION_PROMOTE, digest), scene.seen, now)
    is_promoted = after.champion is not None and after.champion.digest == digest
    if not is_promoted and (after.candidate is None or after.candidate.digest != digest):
        raise Refusal(f"{name} would not be promoted: {_last(before, after)}")
    steps, step = canary_of(scene.md).steps or [], candidate.step
    is_verifying = candidate.state is CandidateState.VERIFYING
    skipped = 0 if is_verifying else max(0, len(steps) - step - 1)
    verify = f"the pods load and verify {name} first; it is promoted once every pod that answers holds it"
    skip = f", past {skipped} further step{'s' if skipped > 1 else ''} of {len(steps)}" if skipped else ""
    keep = f"; {before.champion.version} stays loaded for a return" if before.champion is not None else ""
    return Preview(
        act=f"Promote {name} of {KIND} {scene.name}",
        kind=KIND,
        name=scene.name,
        patch=annotated(ANNOTATION_PROMOTE, digest),
        clears=_clears(scene, ANNOTATION_PROMOTE, digest),
        changes=differences(before, after) if is_promoted else (),
        waits="" if is_promoted else verify,
        following=(f"{candidate.version} answers every request{skip}, and no pod restarts{keep}",),
        notes=tuple(_notes_on_trial(scene, candidate, now)),
    )


def rolls_back(scene: Scene, wanted: str, now: datetime) -> Preview:
    """Preview the return to the champion before, or, where the candidate is named, the end of its trial."""
    record, one = scene.md.status, find(scene, wanted) if wanted else None
    candidate, champion, former = record.candidate, record.champion, record.last_known_good
    is_of_candidate = one is not None and candidate is not None and one.digest == candidate.digest
    if champion is None and not is_of_candidate:
        named = f"; to end the trial of {candidate.version}, name it" if candidate is not None else ""
        raise Refusal(f"{KIND} {scene.name} has no champion to leave{named}")
    left = candidate if is_of_candidate else champion
    assert left is not None
    name = told(left.version, left.digest)
    if one is not None and one.digest != left.digest:
        raise Refusal(f"{one.version} is {one.where}; what can be left is the champion, {name}, or a candidate")
    after = recorded(asking(scene.md, ANNOTATION_ROLLBACK, left.digest), scene.seen, now)
    if not is_of_candidate and former is None:
        raise Refusal(
            f"no champion before {name} is known: it is the first, or a return led to it. Serve another by "
            "spec.source with follow: Pinned, or retrain"
        )
    if is_of_candidate:
        kept = f"{champion.version} answers every request" if champion is not None else "nothing answers"
    else:
        assert former is not None
        is_loaded = moment(former.loaded_until) > now
        how = "the pods still hold it" if is_loaded else "the pods load and verify it first"
        kept = f"{told(former.version, former.digest)} answers every request: {how}, and none restarts"
    until = next((row.until for row in after.quarantined or () if row.digest == left.digest), "")
    return Preview(
        act=f"{'End the trial of' if is_of_candidate else 'Leave'} {name} of {KIND} {scene.name}",
        kind=KIND,
        name=scene.name,
        patch=annotated(ANNOTATION_ROLLBACK, left.digest),
        clears=_clears(scene, ANNOTATION_ROLLBACK, left.digest),
        changes=differences(record, after),
        following=(kept, *([f"{left.version} is not tried again before {until}"] if until else ())),
        notes=tuple(_notes_on_rollback(scene, left, until)),
    )


def unquarantines(scene: Scene, wanted: str, now: datetime) -> Preview:
    """Preview the release of a refused digest."""
    one = find(scene, wanted)
    row = next((row for row in scene.md.status.quarantined or () if row.digest == one.digest), None)
    if row is None:
        raise Refusal(f"{told(one.version, one.digest)} is not quarantined: it is {one.where}")
    after = recorded(asking(scene.md, ANNOTATION_UNQUARANTINE, one.digest), scene.seen, now)
    is_tried = after.candidate is not None and after.candidate.digest == one.digest
    if is_tried:
        following = f"{one.version} is tried at once: the pods load and verify it, then it walks the steps"
    elif row.reason in quarantine.OF_GATE:
        following = "nothing by itself: the gate refused it, and only a run that passes brings it back"
    else:
        following = "nothing by itself: a run must pass with it against this champion, or spec.source must pin it"
    return Preview(
        act=f"Allow {told(one.version, one.digest)} of {KIND} {scene.name} again",
        kind=KIND,
        name=scene.name,
        patch=annotated(ANNOTATION_UNQUARANTINE, one.digest),
        clears=_clears(scene, ANNOTATION_UNQUARANTINE, one.digest),
        changes=differences(scene.md.status, after),
        following=(following,),
        notes=(f"it was refused: {row.reason}",),
    )


type Request = Callable[[Scene, str, datetime], Preview]


# What the pass would find.


def asking(md: ModelDeployment, annotation: str, value: str) -> ModelDeployment:
    """Return the deployment with a request that was not acted on yet."""
    metadata = md.metadata.model_copy(update={"annotations": {**md.metadata.annotations, annotation: value}})
    record = md.status.handled_digests
    if record is not None and is_handled(md, annotation, value):
        record = record.model_copy(update={FIELDS[annotation]: None})
    return md.model_copy(
        update={"metadata": metadata, "status": md.status.model_copy(update={"handled_digests": record})}
    )


def differences(before: ModelDeploymentStatus, after: ModelDeploymentStatus) -> tuple[Change, ...]:
    """Return what a pass changes of what is served, tried and refused."""
    found = (Change(what, shown(before), shown(after)) for what, shown in SHOWN.items())
    return tuple(row for row in found if row.before != row.after)


def _model(model: Champion | LastKnownGood | None) -> str:
    return told(model.version, model.digest) if model is not None else "none"


def _candidate(record: ModelDeploymentStatus) -> str:
    found = record.candidate
    return f"{told(found.version, found.digest)}, {found.state} at {found.weight} %" if found is not None else "none"


SHOWN: dict[str, Callable[[ModelDeploymentStatus], str]] = {
    "champion": lambda record: _model(record.champion),
    "candidate": _candidate,
    "champion before": lambda record: _model(record.last_known_good),
    "quarantined": lambda record: ", ".join(short(row.digest) for row in record.quarantined or ()) or "none",
}


def _last(before: ModelDeploymentStatus, after: ModelDeploymentStatus) -> str:
    rows = fresh(before, after)
    return f"{rows[-1].reason}: {rows[-1].message}" if rows else "it is no longer wished"


def _clears(scene: Scene, annotation: str, value: str) -> str:
    return annotation if is_handled(scene.md, annotation, value) else ""


def _pinned(scene: Scene, one: Known | None, candidate: Candidate | None) -> Preview:
    """Return the patch for Git, where spec says which version is served; else say why nothing can be promoted."""
    if not scene.is_pinned:
        raise Refusal(_nothing(scene, one, candidate))
    if one is None:
        raise Refusal(
            f"spec.source of {KIND} {scene.name} pins the version, so that Git says which is served: name it, for "
            f"example treadle promote {scene.name} v8 --print, for the patch"
        )
    pinned, record = (scene.md.spec.source or ModelSource()).digest or "", scene.md.status
    refused = next((row for row in record.quarantined or () if row.digest == one.digest), None)
    head = {"apiVersion": API_VERSION, "kind": KIND}
    return Preview(
        act=f"Pin {told(one.version, one.digest)} for {KIND} {scene.name}, in Git",
        kind=KIND,
        name=scene.name,
        git="\n".join(
            [
                *(f"{key}: {value}" for key, value in head.items()),
                f"metadata: {{name: {scene.name}, namespace: {scene.md.metadata.namespace}}}",
                "spec:",
                f'  source: {{follow: Pinned, digest: "{one.digest}"}}  # {one.version}, {one.where}',
                "",
            ]
        ),
        changes=(Change("spec.source.digest", short(pinned), short(one.digest)),),
        following=("the pods load and verify it, then it walks the steps like any candidate",),
        notes=(f"{one.version} is {one.where}; release it first",) if refused is not None else (),
    )


def _nothing(scene: Scene, one: Known | None, candidate: Candidate | None) -> str:
    """Return why a version, or none, cannot be promoted, and what to do instead."""
    record, name = scene.md.status, scene.name
    tried = f"the candidate is {told(candidate.version, candidate.digest)}" if candidate else "no candidate is on trial"
    if one is None:
        last = next((run for run in scene.seen.runs if run.is_finished), None)
        held = "; spec.suspend is true, so that none is tried" if scene.md.spec.suspend else ""
        ended = f"; the last run, TrainingJob {last.name}, ended: {last.reason}" if last is not None else ""
        refused = [row.digest for row in record.quarantined or ()]
        released = (
            f", and its model is quarantined; release it by: treadle unquarantine {name} {last.status.model.version}"
            if last is not None and last.status.model is not None and last.status.model.digest in refused
            else ""
        )
        return f"nothing to promote: {tried} in {KIND} {name}{held or ended + released}"
    text = f"{told(one.version, one.digest)} cannot be promoted: it is {one.where}, and {tried}"
    if record.last_known_good is not None and record.last_known_good.digest == one.digest:
        return f"{text}. Return to it: treadle rollback {name}"
    if any(row.digest == one.digest for row in record.quarantined or ()):
        return f"{text}. Release it first: treadle unquarantine {name} {short(one.digest)}"
    return f"{text}; only what passed the gate against this champion is tried"


def _data(scene: Scene) -> str:
    recipe = retrain.template(scene.md)
    name = recipe.data_ref.name if recipe is not None else ""
    current = ((scene.source or {}).get("status") or {}).get("currentVersion")
    if current is None:
        return f"the first version of DataSource {name}"
    return f"version {current['short']} of DataSource {name}, {current['rows']} rows"


def _judged(scene: Scene) -> str:
    champion = scene.md.status.champion
    against = f"against champion {told(champion.version, champion.digest)}" if champion else "without a champion"
    if scene.is_pinned:
        return f"its model is judged {against}; it is served only where spec.source pins it"
    steps = [f"{step.set_weight} %" for step in canary_of(scene.md).steps or () if step.set_weight is not None]
    walk = f"walks {', '.join(steps)}" if steps and champion is not None else "is promoted"
    return f"its model is judged {against}; if it passes, the pods verify it and it {walk}"


def _room(scene: Scene, now: datetime) -> str:
    """Return when the daily limit leaves room again, where that is what blocks."""
    training = scene.md.spec.training or Training()
    ours = [run.created for run in scene.seen.runs if run.is_ours and run.created and run.created > now - retrain.DAY]
    if training.max_per_day == 0 or len(ours) < training.max_per_day or scene.md.spec.suspend:
        return ""
    return f" until {stamp(sorted(ours)[-training.max_per_day] + retrain.DAY)}"


def _notes_on_retrain(scene: Scene) -> list[str]:
    champion, found = scene.md.status.champion, []
    if champion is not None and champion.data_digest == scene.seen.data_digest:
        again = "the same recipe makes the same model again"
        found.append(f"champion {champion.version} learnt from this version of the data already: {again}")
    standing = retrain.asked_by_person(scene.md)
    if standing is not None:
        found.append(f"the request of {standing} was not answered yet; this one takes its place")
    for monitor in scene.monitors:
        conditions = (monitor.get("status") or {}).get("conditions") or []
        blocked = next((row for row in conditions if row["type"] == "RetrainBlocked" and row["status"] == "True"), None)
        if blocked is not None:
            name = monitor["metadata"]["name"]
            more = f"; treadle refresh mon/{name} closes its breaker" if blocked["reason"] == "BreakerOpen" else ""
            found.append(f"Monitor {name} is blocked ({blocked['reason']}), which does not hold a person's run{more}")
    return found


def _notes_on_trial(scene: Scene, candidate: Candidate, now: datetime) -> list[str]:
    if scene.md.status.champion is None:
        return ["without a champion it is promoted once verified, asked or not"]
    rollout = canary.Rollout(candidate, trial.rules(scene.md, scene.md.status, scene.seen, now))
    open_rows = [row for row in candidate.analysis or () if row.verdict != "Better"]
    found = [f"{row.verdict.lower()}: {canary.told(rollout, row.name)}" for row in open_rows]
    least, seen = analysis_of(scene.md).min_samples_per_arm, candidate.samples
    if seen is None or seen.candidate < least:
        found.append(f"it answered {seen.candidate if seen else 0} requests at this weight, {least} make a verdict")
    return found


def _notes_on_rollback(scene: Scene, left: Champion | Candidate, until: str) -> list[str]:
    found, pinned = [], (scene.md.spec.source or ModelSource()).digest
    if scene.is_pinned and pinned == left.digest:
        found.append(f"spec.source still pins {left.version}: correct it in Git, or it is tried again after {until}")
    running = retrain.running(scene.seen)
    if running is not None and isinstance(left, Champion):
        found.append(f"TrainingJob {running.name} is judged against {left.version}: its verdict will be stale")
    return found
