"""The Deployment controller: a ReplicaSet for each template, and what a Deployment's status says of them.

    Deployment ---> rollout.step ---> ReplicaSets ---> replicasets.decide ---> Pods ---> processes.py
        ^                                  |                                     |
        '------------- status -------------'--------------- status --------------'

Each watches its own kind and what it controls. Nothing is written for Services: the wire asks for ready pods by label.
Not kept: adoption of what others made, and scaling in proportion in the middle of a rollout, where what is added goes
to the new template, or waits where the rollout is paused.
"""

import asyncio
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from treadle.api.base import moment, stamp
from treadle.control.engine.objects import controller_uid, is_deleting
from treadle.control.engine.ports import DEPLOYMENT, POD, Key, Object
from treadle.local.controllers.controller import children, control, keys_of
from treadle.local.controllers.replicasets import run_replicasets
from treadle.local.controllers.rollout import (
    REVISION,
    Sets,
    Step,
    bounds,
    count,
    forgotten,
    numbered,
    replicas,
    revision,
    set_name,
    sized,
    sort,
    step,
    wanted,
)
from treadle.local.recorder import record
from treadle.local.server.api import MemoryApi
from treadle.local.server.types import REPLICA_SET
from treadle.local.told import Told
from treadle.local.writing import write_status

COMPONENT = "deployment-controller"
PROGRESS_SECONDS = 600
HISTORY = 10
NAME_TAKEN_SECONDS = 1.0
NOT_PROGRESSING = {"ProgressDeadlineExceeded": "False", "DeploymentPaused": "Unknown", "DeploymentResumed": "Unknown"}
"""The status of Progressing by its reason, where it is not True."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to be done about a Deployment now."""

    status: Object
    revision: str
    step: Step
    removed: tuple[Object, ...]
    """ReplicaSets that no way back needs."""
    again: float | None
    """Seconds until a rollout that makes no progress is late."""


async def run_deployments(api: MemoryApi, rng: random.Random | None = None) -> None:
    """Run the Deployments of the API, and their ReplicaSets, until cancelled; an error ends it."""

    async def look(key: Key) -> float | None:
        deployment = await api.get(DEPLOYMENT, key.namespace, key.name)
        if deployment is None or is_deleting(deployment):
            return None
        owned = await children(api, REPLICA_SET, deployment)
        uids = {raw["metadata"]["uid"] for raw in owned}
        pods = [pod for pod in await api.list(POD, key.namespace) if controller_uid(pod) in uids]
        return await _act(api, deployment, decide(deployment, owned, pods, api.now()))

    own = keys_of(DEPLOYMENT.kind)

    def keys(raw: Object) -> Iterable[Key]:
        yield from own(raw)
        # Recreate waits for the last old pod to be gone, of which the status of its ReplicaSet tells nothing.
        for key in keys_of(REPLICA_SET.kind)(raw) if raw["kind"] == POD.kind else ():
            if (owner := api.find(*key)) is not None:
                yield from own(owner)

    async with asyncio.TaskGroup() as group:
        group.create_task(run_replicasets(api, rng or random.SystemRandom()))
        group.create_task(control(api, (DEPLOYMENT, REPLICA_SET, POD), keys, look))


async def _act(api: MemoryApi, deployment: Object, decision: Decision) -> float | None:
    namespace, made = deployment["metadata"]["namespace"], decision.step.new
    for name, size in decision.step.scales.items():
        live = await api.get(REPLICA_SET, namespace, name)
        if live is not None:
            annotations = {**(live["metadata"].get("annotations") or {}), **sized(deployment)}
            metadata = {**live["metadata"], "annotations": annotations}
            api.put({**live, "metadata": metadata, "spec": {**live["spec"], "replicas": size}})
            _tell_scale(api, deployment, name, replicas(live), size)
    for old in decision.removed:
        await api.delete(old)
    if made is not None and await api.create(made) is None:
        # Another's, by chance or from a former Deployment of this name that is still going.
        return NAME_TAKEN_SECONDS
    if made is not None:
        _tell_scale(api, deployment, made["metadata"]["name"], 0, replicas(made))
    await _mark(api, deployment, decision.revision)
    await write_status(api, DEPLOYMENT, deployment, decision.status)
    return decision.again


def _tell_scale(api: MemoryApi, deployment: Object, name: str, before: int, after: int) -> None:
    way = "up" if after > before else "down"
    told = Told("ScalingReplicaSet", f"Scaled {way} replica set {name} from {before} to {after}")
    record(api, deployment, told, COMPONENT)


async def _mark(api: MemoryApi, deployment: Object, number: str) -> None:
    """Write the revision onto the ReplicaSet of the Deployment's template, if it has one, and onto the Deployment."""
    metadata = deployment["metadata"]
    for gvk, name in ((REPLICA_SET, set_name(deployment)), (DEPLOYMENT, metadata["name"])):
        live = await api.get(gvk, metadata["namespace"], name)
        if live is None:
            return
        annotations = live["metadata"].get("annotations") or {}
        marked = numbered(annotations, number) if gvk is REPLICA_SET else {**annotations, REVISION: number}
        api.put({**live, "metadata": {**live["metadata"], "annotations": marked}})


def decide(deployment: Object, owned: Sequence[Object], pods: Sequence[Object], now: datetime) -> Decision:
    """Return what is due to a Deployment that owns these ReplicaSets, which have these pods."""
    sets = sort(deployment, owned)
    number = revision(sets)
    due = step(deployment, sets, pods, number)
    status, again = _status(deployment, sets, due.new, now)
    limit = deployment["spec"].get("revisionHistoryLimit", HISTORY)
    removed = forgotten(sets, limit) if _is_complete(deployment, status) else ()
    return Decision(status=status, revision=number, step=due, removed=removed, again=again)


def _status(deployment: Object, sets: Sets, made: Object | None, now: datetime) -> tuple[Object, float | None]:
    """Return the status, and in how many seconds a rollout that makes no progress is late."""
    available = sum(count(raw, "availableReplicas") for raw in sets.every)
    counts = {
        "replicas": sum(count(raw, "replicas") for raw in sets.every),
        "updatedReplicas": count(sets.new, "replicas"),
        "readyReplicas": sum(count(raw, "readyReplicas") for raw in sets.every),
        "availableReplicas": available,
        "unavailableReplicas": max(0, sum(map(replicas, sets.every)) - available),
    }
    status = {
        "observedGeneration": deployment["metadata"]["generation"],
        **{name: number for name, number in counts.items() if number},
        "terminatingReplicas": sum(count(raw, "terminatingReplicas") for raw in sets.every),
    }
    is_available = available >= wanted(deployment) - bounds(deployment)[1]
    enough = (
        Told("MinimumReplicasAvailable", "Deployment has minimum availability.")
        if is_available
        else Told("MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
    )
    progress, again = _progress(deployment, status, sets, made, now)
    known = {entry["type"]: entry for entry in (deployment.get("status") or {}).get("conditions") or []}
    conditions = [_condition("Available", str(is_available), enough, known, now)]
    if progress is not None:
        holds, has_moved = NOT_PROGRESSING.get(progress.reason, "True"), progress.reason == "ReplicaSetUpdated"
        conditions.append(_condition("Progressing", holds, progress, known, now, has_moved=has_moved))
    elif "Progressing" in known:
        conditions.append(known["Progressing"])
    return {**status, "conditions": conditions}, again


def _progress(
    deployment: Object, status: Object, sets: Sets, made: Object | None, now: datetime
) -> tuple[Told | None, float | None]:
    """Return what is to be said of the rollout, None where nothing is new; and in how many seconds it is late."""
    before = deployment.get("status") or {}
    last = next((entry for entry in before.get("conditions") or [] if entry["type"] == "Progressing"), None)
    name = set_name(deployment)
    seconds = deployment["spec"].get("progressDeadlineSeconds", PROGRESS_SECONDS)
    if deployment["spec"].get("paused"):
        is_late = last is not None and last["reason"] == "ProgressDeadlineExceeded"
        return None if is_late else Told("DeploymentPaused", "Deployment is paused"), None
    if made is not None:
        return Told("NewReplicaSetCreated", f'Created new replica set "{name}"'), float(seconds)
    if _is_complete(deployment, status):
        return Told("NewReplicaSetAvailable", f'ReplicaSet "{name}" has successfully progressed.'), None
    if last is None:
        return (Told("FoundNewReplicaSet", f'Found new replica set "{name}"') if sets.new else None), float(seconds)
    if last["reason"] == "NewReplicaSetAvailable" and status.get("replicas") == status.get("updatedReplicas"):
        # A finished rollout whose pods come and go makes no progress that could be late.
        return None, None
    if last["reason"] == "DeploymentPaused":
        return Told("DeploymentResumed", "Deployment is resumed"), float(seconds)
    if _has_moved(before, status):
        return Told("ReplicaSetUpdated", f'ReplicaSet "{name}" is progressing.'), float(seconds)
    left = (moment(last["lastUpdateTime"]) + timedelta(seconds=seconds) - now).total_seconds()
    if left <= 0 or last["reason"] == "ProgressDeadlineExceeded":
        return Told("ProgressDeadlineExceeded", f'ReplicaSet "{name}" has timed out progressing.'), None
    return None, left


def _has_moved(before: Object, after: Object) -> bool:
    """Say whether a rollout came nearer to its end: more of the new, or fewer of the old."""
    grew = any(
        after.get(name, 0) > before.get(name, 0) for name in ("updatedReplicas", "readyReplicas", "availableReplicas")
    )
    old_before, old_after = (found.get("replicas", 0) - found.get("updatedReplicas", 0) for found in (before, after))
    return grew or bool(old_after < old_before)


def _is_complete(deployment: Object, status: Object) -> bool:
    whole = wanted(deployment)
    return all(status.get(name, 0) == whole for name in ("replicas", "updatedReplicas", "availableReplicas"))


def _condition(
    kind: str, status: str, told: Told, known: Mapping[str, Object], now: datetime, *, has_moved: bool = False
) -> Object:
    """Return a condition whose times move with its status, and with what it says."""
    said = {"type": kind, "status": status, "reason": told.reason, "message": told.message}
    before = known.get(kind, {})
    if not has_moved and all(before.get(name) == value for name, value in said.items()):
        return before
    since = before.get("lastTransitionTime") if before.get("status") == status else None
    return {**said, "lastUpdateTime": stamp(now), "lastTransitionTime": since or stamp(now)}
