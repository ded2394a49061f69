"""What a ModelDeployment's conditions say, one function each; the first check that objects gives reason and message."""

from datetime import datetime, timedelta

from treadle.api.base import moment
from treadle.api.conditions import Condition, no, paged, unknown, yes
from treadle.api.modeldeployment import (
    Analysis,
    CanaryStrategy,
    Candidate,
    CandidateState,
    CandidateVerdict,
    Champion,
    Follow,
    ModelDeployment,
    ModelDeploymentStatus,
    ModelSource,
    Strategy,
)
from treadle.api.names import ANNOTATION_PROMOTE, server_name, short
from treadle.api.plan import HeldModel
from treadle.api.reasons import WORLD, Reason
from treadle.control.judged import former
from treadle.control.modeldeployment import retrain
from treadle.control.modeldeployment.asked import is_handled
from treadle.control.modeldeployment.canary import HOLDS
from treadle.control.modeldeployment.candidates import is_quarantined, stale
from treadle.control.modeldeployment.decisions import GOING_BACK, Act, last_return, standing
from treadle.control.modeldeployment.seen import Run, Seen
from treadle.control.modeldeployment.trouble import trouble

READY, VERIFIED, AVAILABLE = "Ready", "Verified", "Available"
PROGRESSING, CANARY_HEALTHY, ROLLED_BACK, TRAINING_READY = "Progressing", "CanaryHealthy", "RolledBack", "TrainingReady"

VERIFICATION = frozenset(
    {
        Reason.ARTIFACT_MISSING,
        Reason.CHECKSUM_MISMATCH,
        Reason.SIGNATURE_INVALID,
        Reason.FORMAT_REFUSED,
        Reason.GOLDEN_MISMATCH,
        Reason.CANDIDATE_CRASHED,
    }
)
"""Why a pod refuses a model."""
TOLD_BY_PODS = VERIFICATION | {Reason.NOT_ENFORCED}
CANARY_FAULTS = frozenset({Reason.ERROR_RATE_HIGHER, Reason.LATENCY_HIGHER, Reason.CANDIDATE_CRASHED})
WAITS = frozenset({Reason.WAITING_FOR_MODEL, Reason.LOADING, Reason.NO_READY_PODS})
"""Reasons of Ready=False that may pass by themselves; all others stall."""
ASKED = (Reason.PERSON_ASKED, Reason.MONITOR_ASKED)


def ready(md: ModelDeployment, record: ModelDeploymentStatus, seen: Seen, now: datetime) -> Condition:
    """Say whether pods answer the champion's golden requests."""
    champion, candidate = record.champion, record.candidate
    if champion is None:
        if candidate is None:
            return _without_model(md, record, seen, now)
        return _unready(md, seen, candidate, now)
    if (refused := refusal(seen, champion.digest)) is not None:
        reason = refused.reason or Reason.CANDIDATE_CRASHED
        return no(READY, reason, paged(reason, f"champion {champion.version}: {refused.message}"))
    if seen.ready_count == 0:
        return _unready(md, seen, champion, now)
    told = f"{champion.version} answers in {_pods(md, seen)}"
    found, back = trouble([pod.raw for pod in seen.pods], seen.deployment), last_return(record)
    told = f"{told}; {found.reason or 'NoReadyPods'}: {found.message}" if found is not None else told
    if back is not None:
        return yes(READY, Reason.ROLLED_BACK, f"{told}; {back.reason}: {back.message}")
    return yes(READY, Reason.ANSWERING, told)


def verified(md: ModelDeployment, record: ModelDeploymentStatus, seen: Seen) -> Condition:
    """Say whether signature, digests and golden answers hold; what was refused last is told until the next trial."""
    last, champion = standing(record), record.champion
    if last is not None and last.action in GOING_BACK and last.reason in VERIFICATION:
        reason = Reason(last.reason)
        return no(VERIFIED, reason, paged(reason, f"{last.message}; that digest is refused"))
    if champion is not None and (refused := refusal(seen, champion.digest)) is not None:
        reason = refused.reason or Reason.CANDIDATE_CRASHED
        return no(VERIFIED, reason, paged(reason, f"champion {champion.version}: {refused.message}"))
    if last == standing(md.status) and (told := _last_word(md, seen, VERIFIED, TOLD_BY_PODS)) is not None:
        return told
    held = [model for _, state in seen.followers for model in (state.champion, state.candidate) if model is not None]
    unproven = next((model for model in held if model.reason is Reason.NOT_ENFORCED and model.state in HOLDS), None)
    if unproven is not None:
        return yes(VERIFIED, Reason.NOT_ENFORCED, paged(Reason.NOT_ENFORCED, unproven.message or "policy Warn"))
    if champion is None:
        return unknown(VERIFIED)
    return yes(VERIFIED, Reason.SIGNATURE_AND_DIGEST, f"{champion.version} {short(champion.digest)}")


def available(md: ModelDeployment, record: ModelDeploymentStatus, seen: Seen) -> Condition:
    """Say whether as many pods are ready as spec.replicas says."""
    if record.champion is None:
        return unknown(AVAILABLE)
    if md.spec.replicas == 0:
        return no(AVAILABLE, Reason.SCALED_TO_ZERO, "spec.replicas is 0")
    if seen.ready_count >= md.spec.replicas:
        return yes(AVAILABLE, Reason.MINIMUM_REPLICAS, f"{_pods(md, seen)} ready")
    found = trouble([pod.raw for pod in seen.pods], seen.deployment)
    cause = f"; {found.message}" if found is not None else "; look at pods and quota"
    return no(AVAILABLE, Reason.TOO_FEW_REPLICAS, paged(Reason.TOO_FEW_REPLICAS, f"{_pods(md, seen)} ready{cause}"))


def progressing(md: ModelDeployment, record: ModelDeploymentStatus, seen: Seen) -> Condition:
    """Say whether a candidate is on trial, and where it stands."""
    candidate = record.candidate
    if candidate is None:
        if md.spec.suspend:
            return no(PROGRESSING, Reason.SUSPENDED, "spec.suspend is true: no candidate is tried; set it to false")
        last = standing(record)
        if last is not None and last.action == Act.PROMOTE:
            return no(PROGRESSING, Reason.PROMOTED, last.message)
        return no(PROGRESSING, Reason.NO_CANDIDATE)
    name = f"candidate {candidate.version}"
    if candidate.state is CandidateState.VERIFYING:
        holding = [state for _, state in seen.followers if _holds(state.candidate, candidate.digest)]
        away = _away(seen, candidate.digest)
        cause = f"; {away.reason or 'retried'}: {away.message}" if away is not None else ""
        return yes(PROGRESSING, Reason.VERIFYING, f"{name}: {len(holding)} of {len(seen.pods)} pods hold it{cause}")
    steps = canary_of(md).steps or []
    where = f"{name} answers {candidate.weight} % of the requests, step {candidate.step + 1} of {len(steps)}"
    if candidate.state is CandidateState.PAUSED:
        if is_handled(md, ANNOTATION_PROMOTE, candidate.digest):
            how = f"the annotation {ANNOTATION_PROMOTE} acted on this digest before: remove it, then set it again"
        else:
            how = f"goes on by: kubectl annotate mdep {md.metadata.name} {ANNOTATION_PROMOTE}={candidate.digest}"
        return yes(PROGRESSING, Reason.PAUSED, f"{where}; {how}")
    if candidate.state is CandidateState.HELD:
        longest = analysis_of(md).max_duration
        text = f"{where}; undecided after {longest}: send traffic, promote or roll back"
        return yes(PROGRESSING, Reason.HELD, paged(Reason.HELD, text))
    return yes(PROGRESSING, Reason.CANARY, where)


def canary_healthy(md: ModelDeployment, record: ModelDeploymentStatus) -> Condition:
    """Say whether the candidate is shown to do no worse than the champion."""
    candidate = record.candidate
    if candidate is None:
        last = standing(record)
        if last is None or last.action not in GOING_BACK or last.reason not in CANARY_FAULTS:
            return unknown(CANARY_HEALTHY, Reason.NO_CANDIDATE)
        row = next((row for row in record.quarantined or () if row.digest == last.subject), None)
        until = f", quarantined until {row.until[:10]}" if row is not None else ""
        logs = f"Read the logs of {server_name(md.metadata.name)}"
        reason = Reason(last.reason)
        return no(CANARY_HEALTHY, reason, paged(reason, f"{last.message}. It was rolled back{until}. {logs}"))
    least, found = analysis_of(md).min_samples_per_arm, candidate.samples
    if candidate.state is CandidateState.VERIFYING or found is None or candidate.weight == 0:
        return unknown(CANARY_HEALTHY, Reason.TOO_FEW_SAMPLES, f"candidate {candidate.version} answers nothing yet")
    counted = f"requests at weight {candidate.weight}: candidate {found.candidate}, champion {found.champion}"
    if found.candidate < least or (found.champion < least and candidate.weight < 100):
        return unknown(CANARY_HEALTHY, Reason.TOO_FEW_SAMPLES, f"{counted}; {least} of each are needed")
    if candidate.verdict in (None, CandidateVerdict.PROMOTE):
        return yes(CANARY_HEALTHY, Reason.HEALTHY, counted)
    return unknown(CANARY_HEALTHY, Reason.UNDECIDED, f"{counted}; {_undecided(candidate)}")


def rolled_back(record: ModelDeploymentStatus) -> Condition:
    """Say whether the last trial, or the last champion, was left; until the next promotion."""
    last = last_return(record)
    if last is None:
        return no(ROLLED_BACK, Reason.NOT_ROLLED_BACK)
    otherwise = Reason.VERIFICATION_FAILED if last.action == Act.REFUSE else Reason.CANARY_FAILED
    reason = next((asked for asked in ASKED if asked == last.reason), otherwise)
    return yes(ROLLED_BACK, reason, paged(reason, f"{last.reason}: {last.message}"))


def training_ready(md: ModelDeployment, record: ModelDeploymentStatus, seen: Seen, now: datetime) -> Condition:
    """Say whether a retrain may start."""
    block, run, old = retrain.blocked(md, seen, now), retrain.running(seen), stale(md, record, seen.runs, now)
    if block is not None and block.reason in (Reason.NO_TEMPLATE, Reason.SUSPENDED):
        return no(TRAINING_READY, block.reason, block.message)
    if block is not None and block.reason is Reason.INVALID_SPEC:
        return no(TRAINING_READY, block.reason, paged(block.reason, block.message))
    if old is not None:
        follows = f"; TrainingJob {run.name} runs" if run is not None else "; a Regate run follows"
        text = f"TrainingJob {old.name} passed against a champion that is gone{follows}"
        return no(TRAINING_READY, Reason.VERDICT_STALE, text)
    if run is not None:
        asked = f", asked by {run.trigger.kind}" if run.trigger is not None else ""
        return yes(TRAINING_READY, Reason.RUNNING, f"TrainingJob {run.name} runs{asked}")
    if block is not None:
        return no(TRAINING_READY, block.reason, paged(block.reason, block.message))
    last = _last_ended(seen, only_ours=True)
    return yes(TRAINING_READY, Reason.IDLE, f"TrainingJob {last.name}: {last.reason}" if last is not None else "")


def canary_of(md: ModelDeployment) -> CanaryStrategy:
    """Return the steps and the analysis that spec asks for."""
    return (md.spec.strategy or Strategy()).canary or CanaryStrategy()


def analysis_of(md: ModelDeployment) -> Analysis:
    """Return how a canary is judged."""
    return canary_of(md).analysis or Analysis()


def refusal(seen: Seen, digest: str) -> HeldModel | None:
    """Return why the champion is refused where no pod holds it any more."""
    held = [state.champion for _, state in seen.followers if state.champion and state.champion.digest == digest]
    if any(model.state in HOLDS for model in held):
        return None
    return next((model for model in held if model.state == "Refused"), None)


def _without_model(md: ModelDeployment, record: ModelDeploymentStatus, seen: Seen, now: datetime) -> Condition:
    running = next((run for run in seen.runs if not run.is_finished and not retrain.is_starved(run, seen)), None)
    if running is not None:
        is_under_way = running.reason in (Reason.NOT_JUDGED, Reason.RUNNING)
        how = "runs" if is_under_way else f"has not ended ({running.reason})"
        text = f"TrainingJob {running.name} {how}; its model is served once the gate lets it pass"
        return no(READY, Reason.WAITING_FOR_MODEL, text)
    last = standing(record)
    if last is not None and last.action == Act.REFUSE and last.reason in VERIFICATION:
        reason = Reason(last.reason)
        text = f"{last.message.removesuffix('.')}; nothing verified is there: retrain, or pin a good digest"
        return no(READY, reason, paged(reason, text))
    source = md.spec.source or ModelSource()
    if source.follow is Follow.PINNED and source.digest and is_quarantined(record, source.digest, now):
        text = f"spec.source pins {short(source.digest)}, which is quarantined; pin another, or release it"
    else:
        text = _missing(md, seen, now)
    return no(READY, Reason.WAITING_FOR_MODEL, paged(Reason.WAITING_FOR_MODEL, text))


def _missing(md: ModelDeployment, seen: Seen, now: datetime) -> str:
    """Return why no model is there and what brings one."""
    last, block = _last_ended(seen), retrain.blocked(md, seen, now)
    ended = f"TrainingJob {last.name} ended: {last.reason}" if last is not None else f"no model {md.spec.model_name}"
    return f"{ended}; {block.message if block is not None else 'looked at again with new data or another recipe'}"


def _unready(md: ModelDeployment, seen: Seen, served: Champion | Candidate, now: datetime) -> Condition:
    """Return why no pod answers."""
    version, since = served.version, moment(served.since)
    pods, server = [pod.raw for pod in seen.pods], server_name(md.metadata.name)
    if (found := trouble(pods, seen.deployment)) is not None:
        reason = found.reason or Reason.NO_READY_PODS
        return no(READY, reason, paged(reason, found.message))
    away = _away(seen, served.digest)
    if away is not None and away.reason in WORLD:
        return no(READY, away.reason, paged(away.reason, f"{version} cannot be loaded: {away.message}"))
    if (told := _last_word(md, seen, READY, TOLD_BY_PODS | WORLD)) is not None and told.status == "False":
        return told
    if md.spec.replicas == 0:
        return no(READY, Reason.NO_READY_PODS, "spec.replicas is 0, so that nothing answers; scale it up")
    if not pods and seen.deployment is not None and now > since + _patience(md):
        text = f"there is no pod; look at: kubectl describe deployment {server}"
        return no(READY, Reason.NO_READY_PODS, paged(Reason.NO_READY_PODS, text))
    youngest = max([since, *(pod.created for pod in seen.pods if pod.created is not None)])
    if now > youngest + _patience(md):
        text = f"no pod loaded and verified {version} in {md.spec.progress_deadline_seconds} s; read the pods' logs"
        reason = Reason.PROGRESS_DEADLINE_EXCEEDED
        return no(READY, reason, paged(reason, text))
    cause = f": {away.message}" if away is not None and away.message else ""
    return no(READY, Reason.LOADING, f"pods load and verify {version}{cause}")


def _last_word(md: ModelDeployment, seen: Seen, type_: str, reasons: frozenset[Reason]) -> Condition | None:
    """Return the condition as it stands where only pods know better and none says: a failed poll changes nothing."""
    if seen.followers or not seen.pods:
        return None
    told = former(md.status.conditions, type_)
    return told if told is not None and told.reason in reasons else None


def _away(seen: Seen, digest: str) -> HeldModel | None:
    """Return what a pod says that cannot load the model yet."""
    held = [model for _, state in seen.followers for model in (state.champion, state.candidate) if model is not None]
    return next(
        (model for model in held if model.digest == digest and model.state == "Loading" and model.message), None
    )


def _holds(model: HeldModel | None, digest: str) -> bool:
    return model is not None and model.digest == digest and model.state in HOLDS


def _last_ended(seen: Seen, *, only_ours: bool = False) -> Run | None:
    return next((run for run in seen.runs if run.is_finished and (run.is_ours or not only_ours)), None)


def _undecided(candidate: Candidate) -> str:
    rows = [row for row in candidate.analysis or () if row.verdict != "Better"]
    return "; ".join(f"{row.name} in [{row.lower or 'unbounded'}, {row.upper or 'unbounded'}]" for row in rows)


def _patience(md: ModelDeployment) -> timedelta:
    return timedelta(seconds=md.spec.progress_deadline_seconds)


def _pods(md: ModelDeployment, seen: Seen) -> str:
    total = max(md.spec.replicas, seen.ready_count)
    return f"{seen.ready_count} of {total} pod{'s' if total != 1 else ''}"
