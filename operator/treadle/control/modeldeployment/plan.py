"""Projects the record in status into the release plan that the pods follow."""

from collections.abc import Iterable
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
    followed: Iterable[int],
    now: datetime,
) -> ReleasePlan:
    """Return the plan of a record: the live one where that says the same, else under a revision that nobody knows yet.

    live: the plan as the ConfigMap holds it, which a pass that died before its status write may have left.
    followed: the revisions that pods follow; above the record's where somebody edited the ConfigMap.
    """
    known = max(live.revision if live else 0, record.plan.revision if record.plan else 0, *followed, 0)
    plan = content(spec, record, known, now)
    return plan if live == plan else plan.model_copy(update={"revision": known + 1})


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
