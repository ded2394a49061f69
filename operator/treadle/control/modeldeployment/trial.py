"""The next record of what is served: a candidate begins, goes on or ends, or the champion is left for the former."""

from datetime import datetime, timedelta
from typing import NamedTuple

from treadle.api.arms import ArmCounts
from treadle.api.base import duration, moment, stamp
from treadle.api.modeldeployment import (
    Analysis,
    CanaryStrategy,
    Candidate,
    CandidateState,
    Champion,
    Follow,
    LastKnownGood,
    ModelDeployment,
    ModelDeploymentStatus,
    ModelSource,
    Strategy,
)
from treadle.api.monitor import ActionKind
from treadle.api.names import ANNOTATION_PROMOTE, ANNOTATION_ROLLBACK, short
from treadle.api.plan import ServerState
from treadle.api.reasons import Reason
from treadle.control.modeldeployment import canary, quarantine, requests, retrain
from treadle.control.modeldeployment.asked import asked
from treadle.control.modeldeployment.canary import HOLDS, Arms, Ending, Rollout, Rules
from treadle.control.modeldeployment.candidates import chosen
from treadle.control.modeldeployment.counts import PodArms
from treadle.control.modeldeployment.decisions import OPERATOR, PERSON, Act, decided
from treadle.control.modeldeployment.seen import Seen, ServingPod
from treadle.control.modeldeployment.trouble import crashed_since

ACTS = {
    Ending.PROMOTE: Act.PROMOTE,
    Ending.ROLLBACK: Act.ROLLBACK,
    Ending.REFUSE: Act.REFUSE,
    Ending.WITHDRAW: Act.WITHDRAW,
}
ROLLBACK = "Rollback"
PROMOTE = "Promote"


class Back(NamedTuple):
    """Somebody's wish to leave the champion for the one before."""

    id: str
    who: str
    reason: Reason


def followed(md: ModelDeployment, record: ModelDeploymentStatus, seen: Seen, now: datetime) -> ModelDeploymentStatus:
    """Return the record after this look; at most one trial begins or ends in it."""
    after = gone_back(md, record, seen, now)
    if after.champion != record.champion:
        return after
    return tried(md, after, seen, now) if after.candidate is not None else begun(md, after, seen, now)


def begun(md: ModelDeployment, record: ModelDeploymentStatus, seen: Seen, now: datetime) -> ModelDeploymentStatus:
    """Return the record with the version that should be tried now, if there is one."""
    choice = None if md.spec.suspend else chosen(md, record, seen.runs, now)
    if choice is None:
        return record
    candidate = Candidate(
        version=choice.version,
        digest=choice.digest,
        data_digest=choice.data_digest,
        training_job=choice.training_job,
        state=CandidateState.VERIFYING,
        since=stamp(now),
        step_since=stamp(now),
        generation=md.metadata.generation,
    )
    source = f"of TrainingJob {choice.training_job}" if choice.training_job else "as spec.source pins it"
    message = f"candidate {choice.version} {source}: the pods load and verify it"
    after = record.model_copy(update={"candidate": candidate})
    return decided(after, Act.TRY, choice.digest, now, reason=Reason.VERIFYING, message=message)


def tried(md: ModelDeployment, record: ModelDeploymentStatus, seen: Seen, now: datetime) -> ModelDeploymentStatus:
    """Return the record with the trial one look further."""
    candidate = record.candidate
    if candidate is None:
        return record
    rollout = canary.advance(Rollout(candidate, rules(md, record, seen, now)), arms(record, seen), now)
    after = rollout.candidate
    if rollout.end is None:
        record = record.model_copy(update={"candidate": after})
        if after.weight == candidate.weight:
            return record
        message = f"candidate {after.version} answers {after.weight} % of the requests"
        return decided(record, Act.SET_WEIGHT, after.digest, now, reason=Reason.CANARY, message=message)
    how, reason, message = rollout.end.how, rollout.end.reason, rollout.end.message
    actor = PERSON if reason is Reason.PERSON_ASKED else OPERATOR
    record = _promoted(md, record, now) if how is Ending.PROMOTE else record.model_copy(update={"candidate": None})
    if how in (Ending.ROLLBACK, Ending.REFUSE):
        record = quarantine.put(md, record, after.digest, reason, now)
    record = decided(record, ACTS[how], after.digest, now, reason=reason, message=message, actor=actor)
    if actor != PERSON:
        return record
    act = PROMOTE if how is Ending.PROMOTE else ROLLBACK
    return requests.answered(record, requests.done(_id(act, after.digest), PERSON, act, now), seen.asks)


def rules(md: ModelDeployment, record: ModelDeploymentStatus, seen: Seen, now: datetime) -> Rules:
    """Return what spec and people say about the candidate's trial."""
    strategy = (md.spec.strategy or Strategy()).canary or CanaryStrategy()
    digest = record.candidate.digest if record.candidate else ""
    return Rules(
        steps=tuple(strategy.steps or ()),
        analysis=strategy.analysis or Analysis(),
        deadline=timedelta(seconds=md.spec.progress_deadline_seconds),
        is_first=record.champion is None,
        withdrawn=withdrawn(md, record, seen, now),
        is_promoted_by_person=asked(md, ANNOTATION_PROMOTE) == digest,
        is_refused_by_person=asked(md, ANNOTATION_ROLLBACK) == digest,
    )


def withdrawn(md: ModelDeployment, record: ModelDeploymentStatus, seen: Seen, now: datetime) -> str | None:
    """Return why the candidate is no longer wished, or None."""
    candidate, source = record.candidate, md.spec.source or ModelSource()
    if candidate is None:
        return None
    if source.follow is Follow.PINNED:
        is_wished = candidate.digest == source.digest
        return None if is_wished else f"candidate {candidate.version} left: spec.source pins another digest"
    champion = record.champion.digest if record.champion else None
    own = [run for run in seen.runs if run.has_passed and run.model_digest == candidate.digest]
    if not any(run.judged_against == champion for run in own) and candidate.generation < md.metadata.generation:
        return f"candidate {candidate.version} left: it passed no gate against this champion, and spec follows the gate"
    wished = chosen(md, record, seen.runs, now)
    if wished is None or wished.digest == candidate.digest:
        return None
    newer = next((run for run in seen.runs if run.name == wished.training_job), None)
    if newer is None or newer.completed is None or newer.completed <= moment(candidate.since):
        return None
    return f"candidate {candidate.version} left: {wished.version} is newer and passed the gate"


def arms(record: ModelDeploymentStatus, seen: Seen) -> Arms:
    """Return what the pods say about the trial; about the candidate only those that follow the live plan."""
    following = {pod.uid for pod, _ in seen.followers}
    return Arms(tuple(_pod_arms(record, pod, pod.uid in following) for pod in seen.pods))


def gone_back(md: ModelDeployment, record: ModelDeploymentStatus, seen: Seen, now: datetime) -> ModelDeploymentStatus:
    """Return the record with the former champion, where a person or a Monitor asks for it."""
    champion, good = record.champion, record.last_known_good
    wish = wish_to_go_back(md, record, seen)
    if champion is None or wish is None:
        return record
    if good is None:
        return requests.answered(record, requests.refused(wish.id, wish.who, ROLLBACK, Reason.NO_MODEL, now), seen.asks)
    former = Champion(
        version=good.version,
        digest=good.digest,
        since=stamp(now),
        data_digest=good.data_digest,
        training_job=good.training_job,
    )
    message = f"{wish.who} asked: {champion.version} left for {good.version}"
    # A candidate was judged against the champion that goes, so that it goes too.
    record = record.model_copy(update={"champion": former, "candidate": None, "last_known_good": None})
    record = quarantine.put(md, record, champion.digest, wish.reason, now)
    record = decided(record, Act.ROLLBACK, champion.digest, now, reason=wish.reason, message=message, actor=wish.who)
    return requests.answered(record, requests.done(wish.id, wish.who, ROLLBACK, now), seen.asks)


def wish_to_go_back(md: ModelDeployment, record: ModelDeploymentStatus, seen: Seen) -> Back | None:
    """Return who wants the former champion and was not answered yet, persons first."""
    champion = record.champion
    if champion is None:
        return None
    if asked(md, ANNOTATION_ROLLBACK) == champion.digest:
        return Back(_id(ROLLBACK, champion.digest), PERSON, Reason.PERSON_ASKED)
    for ask in seen.asks:
        is_about_it = ask.request.action is ActionKind.ROLLBACK and ask.request.subject == champion.digest
        if is_about_it and retrain.answer_to(record, ask) is None:
            return Back(ask.request.id, ask.who, Reason.MONITOR_ASKED)
    return None


def _promoted(md: ModelDeployment, record: ModelDeploymentStatus, now: datetime) -> ModelDeploymentStatus:
    candidate, champion = record.candidate, record.champion
    if candidate is None:
        return record
    keep = duration((md.spec.strategy or Strategy()).keep_previous_for)
    good = champion and LastKnownGood(
        version=champion.version,
        digest=champion.digest,
        data_digest=champion.data_digest,
        training_job=champion.training_job,
        loaded_until=stamp(now + keep),
    )
    new = Champion(
        version=candidate.version,
        digest=candidate.digest,
        since=stamp(now),
        data_digest=candidate.data_digest,
        training_job=candidate.training_job,
    )
    return record.model_copy(update={"champion": new, "candidate": None, "last_known_good": good})


def _pod_arms(record: ModelDeploymentStatus, pod: ServingPod, is_following: bool) -> PodArms:
    candidate, champion, state = record.candidate, record.champion, pod.state
    held = state.candidate if state is not None and is_following else None
    if held is not None and (candidate is None or held.digest != candidate.digest):
        held = None
    is_holding = held is not None and held.state in HOLDS
    return PodArms(
        uid=pod.uid,
        created=pod.created,
        candidate=held,
        arms=(_counts(state, champion), _counts(state, candidate)) if state is not None else None,
        is_ready=pod.is_ready,
        crash=crashed_since(pod.raw, moment(candidate.since), is_holding=is_holding) if candidate else "",
    )


def _counts(state: ServerState, model: Champion | Candidate | None) -> ArmCounts | None:
    """Return an arm's counts; a pod that answered nothing with this model counted zero."""
    if model is None:
        return None
    return next((arm for arm in state.arms if arm.digest == model.digest), ArmCounts(digest=model.digest))


def _id(act: str, digest: str) -> str:
    return f"{act.lower()}-{short(digest)}"
