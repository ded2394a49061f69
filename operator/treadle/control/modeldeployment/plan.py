"""Projects the record in status into the release plan that the pods follow."""

from datetime import datetime

from treadle.api.base import moment
from treadle.api.modeldeployment import (
    Logger,
    ModelDeploymentSpec,
    ModelDeploymentStatus,
    PlanStatus,
    Predictor,
    RequestPolicy,
    Verification,
)
from treadle.api.names import canonical, sha256
from treadle.api.plan import (
    PlannedCandidate,
    PlannedLogger,
    PlannedModel,
    PlannedPolicy,
    PlannedPredictor,
    PlannedPrevious,
    PlannedVerification,
    ReleasePlan,
)


def project(
    spec: ModelDeploymentSpec,
    record: ModelDeploymentStatus,
    live: ReleasePlan | None,
    now: datetime,
) -> ReleasePlan:
    """Return the plan of a record; its revision grows where its content is not what was promised or is live.

    live: the plan as the ConfigMap holds it, from which a pass that died before its status write is met again.
    """
    recorded = record.plan
    known = max(live.revision if live else 0, recorded.revision if recorded else 0)
    plan = content(spec, record, known, now)
    is_live = live is not None and live == plan
    is_promised = recorded is not None and recorded.revision == known and recorded.digest == digest(plan)
    # A live plan of the same revision and other content was written by a pass whose record is lost.
    is_taken = live is not None and live.revision == known and not is_live
    if is_live or (is_promised and not is_taken):
        return plan
    return plan.model_copy(update={"revision": known + 1})


def content(spec: ModelDeploymentSpec, record: ModelDeploymentStatus, revision: int, now: datetime) -> ReleasePlan:
    """Return what pods are told of spec and record, under a revision."""
    champion, candidate = record.champion, record.candidate
    policy, predictor = spec.request_policy or RequestPolicy(), spec.predictor or Predictor()
    verification, logger = spec.verification or Verification(), spec.logger or Logger()
    return ReleasePlan(
        model_name=spec.model_name,
        revision=revision,
        champion=PlannedModel(version=champion.version, digest=champion.digest) if champion else None,
        candidate=PlannedCandidate(version=candidate.version, digest=candidate.digest, weight=candidate.weight)
        if candidate
        else None,
        previous=_previous(record, now),
        verification=PlannedVerification(policy=verification.policy, golden_tolerance=verification.golden_tolerance),
        request_policy=PlannedPolicy(
            schema_enforcement=policy.schema_enforcement,
            on_extra_column=policy.on_extra_column,
            error_detail=policy.error_detail,
            max_rows=policy.max_rows,
            max_body_bytes=policy.max_body_bytes,
        ),
        predictor=PlannedPredictor(max_batch_rows=predictor.max_batch_rows, timeout=predictor.timeout),
        logger=PlannedLogger(percent=logger.percent, omit_columns=list(logger.omit_columns or [])),
    )


def text(plan: ReleasePlan) -> str:
    """Return plan.json: canonical JSON."""
    return canonical(plan.dump()).decode()


def digest(plan: ReleasePlan) -> str:
    """Return the sha256 of plan.json, with its prefix."""
    return f"sha256:{sha256(plan.dump())}"


def status_of(plan: ReleasePlan, pods_in_sync: int) -> PlanStatus:
    """Return what status says of a plan."""
    return PlanStatus(revision=plan.revision, digest=digest(plan), pods_in_sync=pods_in_sync)


def _previous(record: ModelDeploymentStatus, now: datetime) -> PlannedPrevious | None:
    good = record.last_known_good
    if good is None or moment(good.loaded_until) <= now:
        return None
    return PlannedPrevious(version=good.version, digest=good.digest, until=good.loaded_until)
