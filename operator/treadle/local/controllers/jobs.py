"""The Job controller: which pods a Job should have now, and what its status says.

    Job, its Pods, now --- decide ---> pods to start and to end, status, when to look again
          ^                                     |
          '------- MemoryApi <--- run_jobs -----'

It watches Jobs and Pods; processes.py watches the Pods that are made here, and what becomes of them is in their status.
Not kept: Indexed completion, success policies, managedBy, and the finalizers by which a real controller counts a pod
that goes before it was looked at.
"""

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from treadle.api.base import moment, stamp
from treadle.control.engine.objects import is_deleting
from treadle.control.engine.ports import JOB, POD, Key, Object
from treadle.local.controllers.controller import children, condition, control, end_pod, keys_of, start_pod
from treadle.local.recorder import record
from treadle.local.server.api import MemoryApi
from treadle.local.told import Told, dated, is_over
from treadle.local.writing import write_status

COMPONENT = "job-controller"
LET_GO = {"treadle.dev/let-go": "true"}
"""On pods that a Job itself ended, which are no failed tries."""
BACKOFF_LIMIT = 6
FIRST_BACKOFF_SECONDS = 10
LONGEST_BACKOFF_SECONDS = 600
"""k8s.io/kubernetes/pkg/controller/job: DefaultJobPodFailureBackOff, MaxJobPodFailureBackOff."""

COMPLETED = Told("CompletionsReached", "Reached expected number of succeeded pods")
TOO_OFTEN = Told("BackoffLimitExceeded", "Job has reached the specified backoff limit")
TOO_LONG = Told("DeadlineExceeded", "Job was active longer than specified deadline")
SUSPENDED = Told("JobSuspended", "Job suspended")
RESUMED = Told("JobResumed", "Job resumed")


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to be done about a Job now."""

    status: Object
    starts: int = 0
    ends: tuple[Object, ...] = ()
    again: float | None = None
    """Seconds until something is due."""
    is_expired: bool = False
    """It is over for longer than it is to stay."""


@dataclass(frozen=True, slots=True)
class Counts:
    """A Job's pods, sorted by how they stand."""

    active: tuple[Object, ...]
    terminating: tuple[Object, ...]
    succeeded: tuple[Object, ...]
    failed: tuple[Object, ...]
    """Those that the Job itself ended are none of these."""


async def run_jobs(api: MemoryApi, rng: random.Random | None = None) -> None:
    """Run the Jobs of the API until cancelled; an error ends it."""
    chance = rng or random.SystemRandom()

    async def look(key: Key) -> float | None:
        job = await api.get(JOB, key.namespace, key.name)
        if job is None or is_deleting(job):
            return None
        decision = decide(job, await children(api, POD, job), api.now())
        if decision.is_expired:
            await api.delete(job)
            return None
        # The status first: a pod that starts before its Job has a startTime would be one that nobody asked for.
        await write_status(api, JOB, job, decision.status)
        for told, is_warning in news(job, decision.status):
            record(api, job, told, COMPONENT, is_warning=is_warning)
        for pod in decision.ends:
            await end_pod(api, pod, LET_GO)
            record(api, job, Told("SuccessfulDelete", f"Deleted pod: {pod['metadata']['name']}"), COMPONENT)
        for _ in range(decision.starts):
            pod = await start_pod(api, job, labels(job), chance)
            record(api, job, Told("SuccessfulCreate", f"Created pod: {pod['metadata']['name']}"), COMPONENT)
        return decision.again

    await control(api, (JOB, POD), keys_of("Job"), look)


def news(job: Object, status: Object) -> Iterator[tuple[Told, bool]]:
    """Yield what a new status is told of by an Event, and whether that is a warning."""
    before = {(entry["type"], entry["status"]) for entry in (job.get("status") or {}).get("conditions") or []}
    for entry in status.get("conditions") or []:
        if (entry["type"], entry["status"]) in before:
            continue
        if entry["type"] == "Complete":
            yield Told("Completed", "Job completed"), False
        elif entry["type"] == "Failed":
            yield Told(entry["reason"], entry["message"]), True
        elif entry["type"] == "Suspended":
            reason = "Suspended" if entry["status"] == "True" else "Resumed"
            yield Told(reason, entry["message"]), False


def labels(job: Object) -> dict[str, str]:
    """Return the labels by which a Job's pods are found."""
    name, uid = job["metadata"]["name"], job["metadata"]["uid"]
    return {
        "batch.kubernetes.io/controller-uid": uid,
        "batch.kubernetes.io/job-name": name,
        "controller-uid": uid,
        "job-name": name,
    }


def decide(job: Object, pods: Sequence[Object], now: datetime) -> Decision:
    """Return what is due to a Job that has these pods."""
    status = job.get("status") or {}
    if condition(job, "Complete") or condition(job, "Failed"):
        return _expiry(job, status, now)
    counts = count(pods)
    verdict = _reached(job) or _verdict(job, counts, now)
    if verdict is not None:
        return _ending(job, counts, verdict, now)
    if job["spec"].get("suspend"):
        conditions = [*_others(status, "Suspended"), _condition("Suspended", SUSPENDED)]
        return Decision(status=_present(_status(job, counts, conditions, now, active=())), ends=counts.active)
    return _running(job, counts, now)


def count(pods: Iterable[Object]) -> Counts:
    """Return the pods by how they stand."""
    every = list(pods)
    living = [pod for pod in every if not is_over(pod)]
    return Counts(
        active=tuple(pod for pod in living if not is_deleting(pod)),
        terminating=tuple(pod for pod in living if is_deleting(pod)),
        succeeded=tuple(pod for pod in every if _phase(pod) == "Succeeded"),
        failed=tuple(pod for pod in every if _phase(pod) == "Failed" and not _was_let_go(pod)),
    )


def _phase(pod: Object) -> str | None:
    return (pod.get("status") or {}).get("phase")


def _was_let_go(pod: Object) -> bool:
    return LET_GO.items() <= (pod["metadata"].get("annotations") or {}).items()


def _reached(job: Object) -> tuple[bool, Told] | None:
    """Return the verdict that was written before the last pods had ended."""
    for kind, succeeds in (("SuccessCriteriaMet", True), ("FailureTarget", False)):
        if (found := condition(job, kind)) is not None:
            return succeeds, Told(found["reason"], found.get("message", ""))
    return None


def _verdict(job: Object, counts: Counts, now: datetime) -> tuple[bool, Told] | None:
    """Return whether a Job has succeeded or failed, and why; None while it goes on."""
    spec = job["spec"]
    actions = [action(job, pod) for pod in counts.failed]
    final = next((told for _, told in actions if told is not None), None)
    if final is not None:
        return False, final
    limit = spec.get("backoffLimit", BACKOFF_LIMIT)
    if _failures(job, counts) > limit or _is_restarted_too_often(spec, counts, limit):
        return False, TOO_OFTEN
    if (last := _deadline(job)) is not None and now >= last:
        return False, TOO_LONG
    done, wanted = len(counts.succeeded), spec.get("completions")
    is_done = done >= wanted if wanted is not None else bool(done) and not counts.active
    return (True, COMPLETED) if is_done else None


def _is_restarted_too_often(spec: Object, counts: Counts, limit: int) -> bool:
    if spec["template"]["spec"].get("restartPolicy") != "OnFailure":
        return False
    restarts = sum(
        container.get("restartCount", 0)
        for pod in counts.active
        for field in ("initContainerStatuses", "containerStatuses")
        for container in (pod.get("status") or {}).get(field) or []
    )
    return bool(restarts >= limit if limit else restarts > 0)


def _deadline(job: Object) -> datetime | None:
    seconds, began = job["spec"].get("activeDeadlineSeconds"), (job.get("status") or {}).get("startTime")
    if seconds is None or began is None or job["spec"].get("suspend") or condition(job, "Suspended"):
        return None
    return moment(began) + timedelta(seconds=seconds)


def action(job: Object, pod: Object) -> tuple[str, Told | None]:
    """Return what the failure policy says of a failed pod: Count, Ignore, or FailJob with its reason."""
    rules: list[Object] = (job["spec"].get("podFailurePolicy") or {}).get("rules") or []
    for index, rule in enumerate(rules):
        matched = _matched(rule, pod)
        if matched is None:
            continue
        if rule["action"] == "FailJob":
            where = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
            message = matched.format(pod=where) + f" matching FailJob rule at index {index}"
            return "FailJob", Told("PodFailurePolicy", message)
        return rule["action"], None
    return "Count", None


def _matched(rule: Object, pod: Object) -> str | None:
    """Return how a rule's match is told, None where it does not match."""
    status = pod.get("status") or {}
    if (codes := rule.get("onExitCodes")) is not None:
        for container in [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]:
            code = ((container.get("state") or {}).get("terminated") or {}).get("exitCode", 0)
            named = codes.get("containerName") in (None, container["name"])
            if named and code != 0 and (code in codes["values"]) == (codes["operator"] == "In"):
                return f"Container {container['name']} for pod {{pod}} failed with exit code {code}"
        return None
    found = {(entry["type"], entry["status"]) for entry in status.get("conditions") or []}
    for pattern in rule.get("onPodConditions") or []:
        if (pattern["type"], pattern.get("status", "True")) in found:
            return f"Pod {{pod}} has condition {pattern['type']}"
    return None


def _failures(job: Object, counts: Counts, lost: int = 0) -> int:
    """Return how many tries failed, with those that are lost; what was counted stays so when its pod is gone."""
    found = lost + sum(1 for pod in counts.failed if action(job, pod)[0] != "Ignore")
    return max(found, int((job.get("status") or {}).get("failed", 0)))


def _running(job: Object, counts: Counts, now: datetime) -> Decision:
    spec, status = job["spec"], job.get("status") or {}
    conditions = [
        _condition("Suspended", RESUMED, "False") if entry["type"] == "Suspended" else entry
        for entry in status.get("conditions") or []
    ]
    # Active again, it has all of its time.
    began = stamp(now) if condition(job, "Suspended") or "startTime" not in status else status["startTime"]
    parallel = spec.get("parallelism", 1)
    left = (spec["completions"] - len(counts.succeeded)) if spec.get("completions") is not None else parallel
    if spec.get("completions") is None and counts.succeeded:
        left = len(counts.active)
    wanted = max(0, min(parallel, left))
    replaces_failed = spec.get("podReplacementPolicy") == "Failed" or "podFailurePolicy" in spec
    missing = wanted - len(counts.active) - (len(counts.terminating) if replaces_failed else 0)
    pause = _pause(counts, now)
    starts = missing if missing > 0 and pause == 0 else 0
    ends = counts.active[wanted:] if len(counts.active) > wanted else ()
    last = _deadline({**job, "status": {**status, "startTime": began}})
    waits = [pause] if missing > 0 and pause else []
    waits += [(last - now).total_seconds()] if last is not None else []
    changed = {**_status(job, counts, conditions, now, active=counts.active), "startTime": began}
    if starts:
        changed["active"] = len(counts.active) + starts
    return Decision(status=_present(changed), starts=starts, ends=tuple(ends), again=min(waits, default=None))


def _pause(counts: Counts, now: datetime) -> float:
    """Return for how many seconds no pod is started: 10 s after a failure, doubling with each in a row."""
    last_success = max((_finished(pod) for pod in counts.succeeded), default=None)
    # A pod that was disrupted is no sign that the next will fail.
    failures = [_finished(pod) for pod in counts.failed if condition(pod, "DisruptionTarget") is None]
    row = [at for at in failures if last_success is None or at > last_success]
    if not row:
        return 0.0
    seconds = min(LONGEST_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS << min(len(row) - 1, 10))
    return max(0.0, (max(row) + timedelta(seconds=seconds) - now).total_seconds())


def _finished(pod: Object) -> datetime:
    ends = [
        terminated["finishedAt"]
        for container in (pod.get("status") or {}).get("containerStatuses") or []
        if (terminated := (container.get("state") or {}).get("terminated") or {}).get("finishedAt")
    ]
    return moment(max(ends, default=pod["metadata"]["creationTimestamp"]))


def _ending(job: Object, counts: Counts, verdict: tuple[bool, Told], now: datetime) -> Decision:
    """Return how a Job ends: the verdict is written at once, and is final when its last pod has ended."""
    succeeds, told = verdict
    before = job.get("status") or {}
    early, final = ("SuccessCriteriaMet", "Complete") if succeeds else ("FailureTarget", "Failed")
    conditions = [*_others(before, early), _condition(early, told)]
    is_final = not counts.active and not counts.terminating
    if is_final:
        conditions.append(_condition(final, told))
    changed = _status(job, counts, conditions, now, active=())
    if not succeeds:
        # What is ended with the Job has not succeeded either.
        lost = len(counts.active) + len(counts.terminating)
        changed["failed"] = _failures(job, counts, lost) or None
    if is_final and succeeds:
        changed["completionTime"] = stamp(now)
    if not is_final:
        changed["terminating"] = len(counts.terminating) + len(counts.active)
    return Decision(status=_present(changed), ends=counts.active)


def _expiry(job: Object, status: Object, now: datetime) -> Decision:
    """Return whether a Job that is over is to go, or when."""
    seconds = job["spec"].get("ttlSecondsAfterFinished")
    ended = condition(job, "Complete") or condition(job, "Failed")
    if seconds is None or ended is None:
        return Decision(status=status)
    left = (moment(ended["lastTransitionTime"]) + timedelta(seconds=seconds) - now).total_seconds()
    return Decision(status=status, is_expired=left <= 0, again=max(0.0, left))


def _status(
    job: Object, counts: Counts, conditions: Sequence[Object], now: datetime, *, active: Sequence[Object]
) -> Object:
    before = job.get("status") or {}
    undated = [{key: entry[key] for key in entry if key != "lastTransitionTime"} for entry in conditions]
    dates = dated(undated, before.get("conditions") or [], now)
    return {
        **before,
        "conditions": [{**entry, "lastProbeTime": entry["lastTransitionTime"]} for entry in dates],
        "active": len(active) or None,
        "ready": sum(1 for pod in active if condition(pod, "Ready")),
        "terminating": len(counts.terminating),
        "succeeded": len(counts.succeeded) or None,
        "failed": _failures(job, counts) or None,
        "uncountedTerminatedPods": {},
    }


def _present(status: Object) -> Object:
    """Return a status without what is absent or an empty list."""
    return {key: value for key, value in status.items() if value is not None and value != []}


def _condition(kind: str, told: Told, status: str = "True") -> Object:
    return {"type": kind, "status": status, "reason": told.reason, "message": told.message}


def _others(status: Object, kind: str) -> list[Object]:
    return [entry for entry in status.get("conditions") or [] if entry["type"] != kind]
