"""How one attempt of a step stands: read from its Job and pods, and whether another attempt is due."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from pydantic import ValidationError

from treadle.api.base import moment
from treadle.api.blocks import JobTemplate, Resource
from treadle.api.conditions import PAGE, Condition, line
from treadle.api.names import LABEL_KIND, LABEL_MANAGED_BY, LABEL_NAME, MANAGER
from treadle.api.reasons import WORLD, Reason
from treadle.api.step import Owner, Progress, StepResult, StoreAddress, read_result
from treadle.control.engine.errors import Invalid
from treadle.control.engine.objects import controller_uid, keep
from treadle.control.engine.ports import JOB, NAMESPACE, POD, SERVICE_ACCOUNT, Object, Ports
from treadle.control.engine.prune import children_of
from treadle.control.podspec import STEP, may_run_as

log = logging.getLogger(__name__)

FIRST_RETRY_SECONDS = 30
LONGEST_RETRY_SECONDS = 300
POLL_SECONDS = 10.0
LEAST_TTL_SECONDS = 60
KEPT_JOBS = 3
POD_PATIENCE = timedelta(seconds=30)
"""A Job controller makes its pod within seconds; after this long something refuses it."""

HINDRANCES = frozenset({Reason.UNSCHEDULABLE, Reason.POD_QUOTA_EXCEEDED, Reason.IMAGE_PULL_FAILED})
"""What keeps a pod from running is gone once it runs."""

IMAGE_TROUBLE = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError"}
)
"""The reasons by which kubelet says that it has no image (k8s.io/kubernetes/pkg/kubelet/images/types.go)."""


class Phase(StrEnum):
    """How far an attempt is."""

    ABSENT = "Absent"
    SUSPENDED = "Suspended"
    RUNNING = "Running"
    LOST = "Lost"
    """Over and no pod left to tell how, or waiting for an image that is wished no more: the Job is made again."""
    ENDED = "Ended"


@dataclass(frozen=True, slots=True)
class Standing:
    """How one attempt stands."""

    phase: Phase
    result: StepResult | None = None
    """What the step reported, refusals included."""
    reason: Reason | None = None
    """Why it ended without a result, or what hinders it while it runs."""
    message: str = ""
    ended_at: datetime | None = None
    pod: Object | None = None
    """The running pod, which answers /progress."""

    @property
    def has_ended(self) -> bool:
        return self.phase is Phase.ENDED

    @property
    def is_hindered(self) -> bool:
        return self.phase is Phase.RUNNING and self.reason is not None


@dataclass(frozen=True, slots=True)
class Retry:
    """The next attempt of the same inputs."""

    attempt: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Runs:
    """What a pass sees of an object's Jobs."""

    jobs: tuple[Object, ...] = ()
    pods: tuple[Object, ...] = ()
    prefix: str = ""
    """treadle/v1/<namespace UID>/; read only when a Job is to be made."""

    def job(self, name: str | None) -> Object | None:
        """Return the Job of this name, or None."""
        return next((job for job in self.jobs if job["metadata"]["name"] == name), None)

    def having(self, live: Sequence[Object]) -> "Runs":
        """Return the same with the Jobs as they are after the apply."""
        applied = tuple(child for child in live if child["kind"] == "Job" and "spec" in child)
        names = {job["metadata"]["name"] for job in applied}
        others = tuple(job for job in self.jobs if job["metadata"]["name"] not in names)
        return Runs(jobs=(*applied, *others), pods=self.pods, prefix=self.prefix)


async def look(owner: Resource, job_name: str | None, account: str | None, ports: Ports) -> Runs:
    """Read an object's Jobs, the pods of the one that is looked for, and what is needed to make it.

    job_name: the attempt that has not ended; None: only the Jobs are read.
    account: pod.serviceAccountName; Invalid unless its owner lends it to runs.
    """
    jobs = tuple(await children_of(_raw(owner), (JOB,), ports.api))
    if job_name is None:
        return Runs(jobs=jobs)
    runs = Runs(jobs=jobs)
    if runs.job(job_name) is None:
        await _refuse_account(owner.metadata.namespace, account, ports)
        return Runs(jobs=jobs, prefix=await store_prefix(owner.metadata.namespace, ports))
    labels = {LABEL_MANAGED_BY: MANAGER, LABEL_KIND: owner.kind, LABEL_NAME: owner.metadata.name}
    return Runs(jobs=jobs, pods=tuple(await ports.api.list(POD, owner.metadata.namespace, labels=labels)))


async def poll(pod: Object | None, ports: Ports) -> Progress | None:
    """Return how far a running pod says it is; None for no pod, and for a failed poll, which changes nothing."""
    answer = await ports.pods.progress(pod) if pod is not None else None
    if answer is None or pod is None:
        return None
    try:
        return Progress.parse(answer)
    except ValidationError as problem:
        log.warning("Could not read a pod's progress", extra={"pod": pod["metadata"]["name"], "problem": str(problem)})
        return None


async def store_prefix(namespace: str, ports: Ports) -> str:
    """Return the place of a namespace in its bucket."""
    raw = await ports.api.get(NAMESPACE, "", namespace)
    # An object is in it, so that its absence is a namespace that is going: the uid is not needed any more.
    return f"treadle/v1/{raw['metadata']['uid']}/" if raw is not None else ""


async def _refuse_account(namespace: str, name: str | None, ports: Ports) -> None:
    if name is None:
        return
    account = await ports.api.get(SERVICE_ACCOUNT, namespace, name)
    if account is None or not may_run_as(account):
        found = "does not exist" if account is None else "does not carry the label treadle.dev/for-runs"
        raise Invalid(
            Reason.INVALID_SPEC,
            f"jobTemplate.pod.serviceAccountName: ServiceAccount {name!r} {found}; "
            f"label it treadle.dev/for-runs: 'true', or name another",
        )


def stand(job: Object | None, pods: Iterable[Object], step: str, image: str, now: datetime) -> Standing:
    """Return how an attempt stands, from its Job and the pods of its owner.

    step: ingest, train or monitor; what another step reports is no result of this Job.
    image: what a Job made now would run; a template is immutable, so one that cannot be pulled is replaced whole.
    """
    if job is None:
        return Standing(Phase.ABSENT)
    own = sorted((pod for pod in pods if controller_uid(pod) == job["metadata"]["uid"]), key=_age, reverse=True)
    over = _over(job)
    if over is not None:
        return _ended(job, own, over, step)
    if (job.get("spec") or {}).get("suspend"):
        return Standing(Phase.SUSPENDED)
    reason, message = _hindrance(job, own, step, now)
    if reason is Reason.IMAGE_PULL_FAILED and _image(job) != image:
        return Standing(Phase.LOST)
    running = next((pod for pod in own if (pod.get("status") or {}).get("phase") == "Running"), None)
    return Standing(Phase.RUNNING, reason=reason, message=line(message), pod=running)


def with_hindrance(standing: Standing, before: Condition | None) -> Standing:
    """Return how an attempt stands; where its time was over, with what hindered it when it was seen last.

    before: the summary as it stands. The pods of such a Job are deleted, and with them what they said.
    """
    if standing.reason is not Reason.DEADLINE_EXCEEDED or before is None or before.reason not in HINDRANCES:
        return standing
    hindered = f"{before.reason} when it was seen last: {PAGE.sub('', before.message)}"
    return replace(standing, message=line(f"{hindered}; {standing.message}"))


def is_over(job: Object) -> bool:
    """Say whether a Job is complete or failed."""
    return _over(job) is not None


def is_worlds(reason: Reason | str | None, also: frozenset[Reason] = frozenset()) -> bool:
    """Say whether only the world can mend it, so that the same inputs are tried again."""
    return reason in WORLD or reason in also


def retry_delay(attempt: int) -> timedelta:
    """Return how long after the end of an attempt the next one begins: 30 s doubling to 5 min."""
    return timedelta(seconds=min(FIRST_RETRY_SECONDS * 2 ** min(attempt, 10), LONGEST_RETRY_SECONDS))


def retry(
    attempt: int,
    reason: Reason | str | None,
    ended_at: datetime | None,
    now: datetime,
    *,
    is_new_generation: bool = False,
    also: frozenset[Reason] = frozenset(),
) -> Retry | None:
    """Return the next attempt of a failed one, or None where repeating cannot help.

    reason: why it failed without a verdict about the data or the model.
    ended_at: None where the Job is gone; then there is nothing to wait for.
    is_new_generation: spec changed since, in what is no input of the run (resources, deadline): try at once.
    """
    if is_new_generation or (is_worlds(reason, also) and ended_at is None):
        return Retry(attempt + 1, now)
    if is_worlds(reason, also) and ended_at is not None:
        return Retry(attempt + 1, ended_at + retry_delay(attempt))
    return None


def kept(jobs: Iterable[Object], current: str | None) -> list[Object]:
    """Return the wishes that finished Jobs stay: the current one and the newest others; time-to-live does the rest."""
    finished = sorted((job for job in jobs if is_over(job)), key=_age, reverse=True)
    others = [job for job in finished if job["metadata"]["name"] != current][:KEPT_JOBS]
    return [keep(job) for job in finished if job in others or job["metadata"]["name"] == current]


def wished(
    runs: Runs, name: str, standing: Standing, made: Object | None, *, is_suspended: bool | None = None
) -> list[Object]:
    """Return the Job of the recorded attempt, if there is or may be one, and the finished others.

    made: the Job to begin with; None where it may not begin now. A lost one is left out, so that it is made again.
    is_suspended: whether a Job under way is held; None leaves that as it is.
    """
    finished = kept((job for job in runs.jobs if job["metadata"]["name"] != name), None)
    live = runs.job(name)
    if live is None:
        return finished if made is None else [made, *finished]
    if standing.phase is Phase.LOST:
        return finished
    return [keep(live) if is_suspended is None else hold(live, is_suspended=is_suspended), *finished]


def hold(job: Object, *, is_suspended: bool) -> Object:
    """Return the wish that a Job stays; held or going while it is under way."""
    return keep(job) if is_over(job) else {**keep(job), "spec": {"suspend": is_suspended}}


def lasting(template: JobTemplate | None) -> JobTemplate:
    """Return how a Job runs; it stays long enough for its result to be read, whatever its time-to-live."""
    given = template or JobTemplate()
    seconds = max(LEAST_TTL_SECONDS, given.ttl_seconds_after_finished)
    return given.model_copy(update={"ttl_seconds_after_finished": seconds})


def step_owner(owner: Resource) -> Owner:
    """Return for whom a step works."""
    return Owner(kind=owner.kind, name=owner.metadata.name, uid=owner.metadata.uid, namespace=owner.metadata.namespace)


def address(secret: str, prefix: str) -> StoreAddress:
    """Return where a step finds its store."""
    return StoreAddress(secret=secret, prefix=prefix)


def run_of(job_name: str) -> str:
    """Return the ten hex digits in a Job's name."""
    return job_name.rsplit("-", 1)[-1]


def _raw(owner: Resource) -> Object:
    found = owner.metadata
    return {"kind": owner.kind, "metadata": {"name": found.name, "namespace": found.namespace, "uid": found.uid}}


def _age(raw: Object) -> tuple[str, str]:
    return raw["metadata"].get("creationTimestamp") or "", raw["metadata"]["name"]


def _over(job: Object) -> dict[str, Any] | None:
    conditions: list[dict[str, Any]] = (job.get("status") or {}).get("conditions") or []
    return next(
        (found for found in conditions if found["type"] in ("Complete", "Failed") and found["status"] == "True"), None
    )


def _terminated(pod: Object) -> dict[str, Any] | None:
    for container in (pod.get("status") or {}).get("containerStatuses") or []:
        if container["name"] == STEP:
            found: dict[str, Any] | None = (container.get("state") or {}).get("terminated")
            return found
    return None


def _result(pod: Object, step: str) -> StepResult | None:
    end = _terminated(pod)
    try:
        result = read_result(end["message"]) if end and end.get("message") else None
    except ValidationError:
        return None  # A message that is no result is judged as its absence: ResultMissing.
    return result if result is not None and result.step == step else None


def _ended(job: Object, own: Sequence[Object], over: dict[str, Any], step: str) -> Standing:
    when = over.get("lastTransitionTime")
    ended_at = moment(when) if when else None
    results = [(pod, result) for pod in own if (result := _result(pod, step)) is not None]
    final = [result for pod, result in results if (_terminated(pod) or {}).get("exitCode") == 0]
    if final:
        return Standing(Phase.ENDED, result=final[0], ended_at=ended_at)
    if over.get("reason") == "DeadlineExceeded":
        seconds = (job.get("spec") or {}).get("activeDeadlineSeconds")
        message = f"the {step} Job took more than {seconds} s; raise jobTemplate.activeDeadlineSeconds, or do less"
        return Standing(Phase.ENDED, reason=Reason.DEADLINE_EXCEEDED, message=message, ended_at=ended_at)
    if not any(_terminated(pod) for pod in own):
        return Standing(Phase.LOST, ended_at=ended_at)
    newest = next(pod for pod in own if _terminated(pod))
    if results and (results[0][0] is newest):
        return Standing(Phase.ENDED, result=results[0][1], ended_at=ended_at)
    reason, message = _silent(newest, step)
    return Standing(Phase.ENDED, reason=reason, message=line(message), ended_at=ended_at)


def _silent(pod: Object, step: str) -> tuple[Reason, str]:
    """Return why a pod ended without a result."""
    end = _terminated(pod) or {}
    name = pod["metadata"]["name"]
    if end.get("reason") == "OOMKilled":
        limit = _memory_limit(pod)
        return (
            Reason.OUT_OF_MEMORY,
            f"the {step} step was killed at a peak of {limit}, its memory limit; "
            f"raise jobTemplate.pod.resources.limits.memory above {limit}",
        )
    return (
        Reason.RESULT_MISSING,
        f"pod {name} ended with exit code {end.get('exitCode')} and no result; read its log: kubectl logs {name}",
    )


def _image(job: Object) -> str:
    """Return the image of a Job's step."""
    containers = job["spec"]["template"]["spec"]["containers"]
    return str(next(container["image"] for container in containers if container["name"] == STEP))


def _memory_limit(pod: Object) -> str:
    for container in (pod.get("spec") or {}).get("containers") or []:
        if container["name"] == STEP:
            return str(((container.get("resources") or {}).get("limits") or {}).get("memory", "the node's memory"))
    return "the node's memory"


def _hindrance(job: Object, own: Sequence[Object], step: str, now: datetime) -> tuple[Reason | None, str]:
    """Return what keeps a Job under way from its end, if anything."""
    if not own:
        started = (job.get("status") or {}).get("startTime")
        if started is None or now - moment(started) < POD_PATIENCE:
            return None, ""
        name = job["metadata"]["name"]
        return (
            Reason.POD_QUOTA_EXCEEDED,
            f"Job {name} has no pod {int((now - moment(started)).total_seconds())} s after its start; a quota or "
            f"admission refuses it. Lower requests or raise the quota; see kubectl describe job {name}",
        )
    status = own[0].get("status") or {}
    for container in status.get("containerStatuses") or []:
        waiting = (container.get("state") or {}).get("waiting") or {}
        if waiting.get("reason") in IMAGE_TROUBLE:
            image = container.get("image") or "the image"
            return (
                Reason.IMAGE_PULL_FAILED,
                f"{image} cannot be pulled ({waiting['reason']}); correct registry, tag or pull secret",
            )
    for condition in status.get("conditions") or []:
        if (condition["type"], condition["status"], condition.get("reason")) == (
            "PodScheduled",
            "False",
            "Unschedulable",
        ):
            told = condition.get("message", "no node fits")
            return Reason.UNSCHEDULABLE, f"{line(told, 180)}. Lower requests or add capacity"
    result = _result(own[0], step)
    if result is not None and result.reason in WORLD:
        return result.reason, result.message
    return None, ""
