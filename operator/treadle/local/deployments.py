"""The Deployment controller: a ReplicaSet for each template, and how pods move from the old to the new.

    Deployment ---> deployments.decide ---> ReplicaSets ---> replicasets.decide ---> Pods ---> processes.py
        ^                                        |                                     |
        '---------------- status ----------------'--------------- status --------------'

Each watches its own kind and what it controls. Nothing is written for Services: the wire asks for ready pods by label.
Not kept: adoption of what others made, and scaling in proportion in the middle of a rollout, where what is added goes
to the new template.
"""

import asyncio
import hashlib
import math
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from fractions import Fraction

from treadle.api.base import moment, stamp
from treadle.api.names import canonical
from treadle.control.engine.objects import controller_uid, is_deleting
from treadle.control.engine.ports import DEPLOYMENT, POD, Key, Object
from treadle.local.api import MemoryApi
from treadle.local.controller import LETTERS, children, control, keys_of, reference, write_status
from treadle.local.lifecycle import Told, is_over
from treadle.local.recorder import record
from treadle.local.replicasets import run_replicasets
from treadle.local.types import REPLICA_SET

COMPONENT = "deployment-controller"
HASH_LABEL = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"
PROGRESS_SECONDS = 600
HISTORY = 10
QUARTER = "25%"
NAME_TAKEN_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to be done about a Deployment now."""

    status: Object
    revision: str
    new: Object | None = None
    """The ReplicaSet to create."""
    scales: Mapping[str, int] = field(default_factory=dict)
    """Replicas by the name of a ReplicaSet."""
    removed: tuple[Object, ...] = ()
    """ReplicaSets that no rollback needs."""
    again: float | None = None


@dataclass(frozen=True, slots=True)
class Sets:
    """A Deployment's ReplicaSets: the one of its template, and the others, the oldest first."""

    new: Object | None
    old: tuple[Object, ...]

    @property
    def every(self) -> tuple[Object, ...]:
        return (*self.old, *([self.new] if self.new is not None else []))


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
    namespace = deployment["metadata"]["namespace"]
    for name, replicas in decision.scales.items():
        live = await api.get(REPLICA_SET, namespace, name)
        if live is not None:
            api.put({**live, "spec": {**live["spec"], "replicas": replicas}})
            _tell_scale(api, deployment, name, _replicas(live), replicas)
    for old in decision.removed:
        await api.delete(old)
    if decision.new is not None and await api.create(decision.new) is None:
        # Another's, by chance or from a former Deployment of this name that is still going.
        return NAME_TAKEN_SECONDS
    if decision.new is not None:
        _tell_scale(api, deployment, decision.new["metadata"]["name"], 0, _replicas(decision.new))
    await _mark(api, deployment, decision.revision)
    await write_status(api, DEPLOYMENT, deployment, decision.status)
    return decision.again


def _tell_scale(api: MemoryApi, deployment: Object, name: str, before: int, after: int) -> None:
    way = "up" if after > before else "down"
    told = Told("ScalingReplicaSet", f"Scaled {way} replica set {name} from {before} to {after}")
    record(api, deployment, told, COMPONENT)


async def _mark(api: MemoryApi, deployment: Object, revision: str) -> None:
    """Write the revision onto the Deployment and the ReplicaSet of its template."""
    metadata = deployment["metadata"]
    names = ((DEPLOYMENT, metadata["name"]), (REPLICA_SET, set_name(deployment)))
    for gvk, name in names:
        live = await api.get(gvk, metadata["namespace"], name)
        if live is None:
            continue
        annotations = live["metadata"].get("annotations") or {}
        if revision and annotations.get(REVISION) != revision:
            api.put({**live, "metadata": {**live["metadata"], "annotations": {**annotations, REVISION: revision}}})


def decide(deployment: Object, owned: Sequence[Object], pods: Sequence[Object], now: datetime) -> Decision:
    """Return what is due to a Deployment that owns these ReplicaSets, which have these pods."""
    sets = sort(deployment, owned)
    revision = _revision(sets)
    if deployment["spec"].get("paused"):
        scales = {} if sets.new is None else _scaled(sets.new, deployment["spec"].get("replicas", 1))
        decision = Decision(status={}, revision=revision if sets.new is not None else "", scales=scales)
    elif deployment["spec"].get("strategy", {}).get("type") == "Recreate":
        decision = _recreate(deployment, sets, pods, revision)
    else:
        decision = _roll(deployment, sets, revision)
    status, again = _status(deployment, sets, decision.new, now)
    removed = _forgotten(deployment, sets) if _is_complete(deployment, status) else ()
    return replace(decision, status=status, removed=removed, again=again)


def sort(deployment: Object, owned: Sequence[Object]) -> Sets:
    """Return the ReplicaSet of the Deployment's template, and the others."""
    name = set_name(deployment)
    oldest = sorted(owned, key=lambda raw: (_number(raw), raw["metadata"]["creationTimestamp"]))
    return Sets(
        new=next((raw for raw in oldest if raw["metadata"]["name"] == name), None),
        old=tuple(raw for raw in oldest if raw["metadata"]["name"] != name),
    )


def template_hash(template: Object) -> str:
    """Return ten letters and digits that tell one template from another."""
    digest = int.from_bytes(hashlib.sha256(canonical(template)).digest())
    return "".join(LETTERS[digest // len(LETTERS) ** place % len(LETTERS)] for place in range(10))


def set_name(deployment: Object) -> str:
    """Return the name of the ReplicaSet of a Deployment's template."""
    return f"{deployment['metadata']['name']}-{template_hash(deployment['spec']['template'])}"


def replica_set(deployment: Object, replicas: int, revision: str) -> Object:
    """Return the ReplicaSet of a Deployment's template."""
    spec, template = deployment["spec"], deployment["spec"]["template"]
    mark = {HASH_LABEL: template_hash(template)}
    labels = {**((template.get("metadata") or {}).get("labels") or {}), **mark}
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": set_name(deployment),
            "namespace": deployment["metadata"]["namespace"],
            "labels": labels,
            "annotations": {REVISION: revision},
            "ownerReferences": [reference(deployment)],
        },
        "spec": {
            "replicas": replicas,
            **({"minReadySeconds": spec["minReadySeconds"]} if spec.get("minReadySeconds") else {}),
            "selector": {**spec["selector"], "matchLabels": {**(spec["selector"].get("matchLabels") or {}), **mark}},
            "template": {**template, "metadata": {**(template.get("metadata") or {}), "labels": labels}},
        },
    }


def bounds(deployment: Object) -> tuple[int, int]:
    """Return how many pods there may be beyond the wished, and how many of these may be missing, in a rollout."""
    wanted = deployment["spec"].get("replicas", 1)
    rolling = deployment["spec"].get("strategy", {}).get("rollingUpdate") or {}
    surge = math.ceil(_part(rolling.get("maxSurge", QUARTER), wanted))
    missing = math.floor(_part(rolling.get("maxUnavailable", QUARTER), wanted))
    if surge == 0 and missing == 0:
        # Both may round to 0, and then nothing would ever move.
        missing = 1
    return surge, min(missing, wanted)


def _part(bound: int | str, whole: int) -> Fraction:
    return Fraction(bound) if isinstance(bound, int) else Fraction(int(bound.removesuffix("%")) * whole, 100)


def _roll(deployment: Object, sets: Sets, revision: str) -> Decision:
    """Return one step of a rolling update: the new grows as far as it may, else the old shrink as far as they may."""
    wanted = deployment["spec"].get("replicas", 1)
    surge, missing = bounds(deployment)
    size = _replicas(sets.new) if sets.new is not None else 0
    room = wanted + surge - sum(map(_replicas, sets.every))
    grown = wanted if size > wanted else size + max(0, min(room, wanted - size))
    if sets.new is None:
        return Decision({}, revision, new=replica_set(deployment, grown, revision))
    if grown != size:
        return Decision({}, revision, scales=_scaled(sets.new, grown))
    return Decision({}, revision, scales=_shrunk(sets, wanted - missing))


def _shrunk(sets: Sets, least: int) -> dict[str, int]:
    """Return to what the old ReplicaSets shrink so that at least so many pods stay available: first what is broken."""
    new_missing = _replicas(sets.new) - _count(sets.new, "availableReplicas") if sets.new is not None else 0
    spare = sum(map(_replicas, sets.every)) - least - new_missing
    sizes = {raw["metadata"]["name"]: _replicas(raw) for raw in sets.old}
    if spare <= 0:
        return {}
    for raw in sets.old:
        broken = min(spare, sizes[raw["metadata"]["name"]] - _count(raw, "availableReplicas"))
        if broken > 0:
            sizes[raw["metadata"]["name"]] -= broken
            spare -= broken
    spare = sum(_count(raw, "availableReplicas") for raw in sets.every) - least
    for raw in sets.old:
        shrunk = max(0, min(spare, sizes[raw["metadata"]["name"]]))
        sizes[raw["metadata"]["name"]] -= shrunk
        spare -= shrunk
    before = {raw["metadata"]["name"]: _replicas(raw) for raw in sets.old}
    return {name: size for name, size in sizes.items() if size != before[name]}


def _recreate(deployment: Object, sets: Sets, pods: Sequence[Object], revision: str) -> Decision:
    """Return one step of a replacement at once: the new begins when the last old pod has ended."""
    shrinking = {raw["metadata"]["name"]: 0 for raw in sets.old if _replicas(raw)}
    if shrinking:
        return Decision({}, revision, scales=shrinking)
    uids = {raw["metadata"]["uid"] for raw in sets.old}
    if any(controller_uid(pod) in uids and not is_over(pod) for pod in pods):
        return Decision({}, revision)
    wanted = deployment["spec"].get("replicas", 1)
    if sets.new is None:
        return Decision({}, revision, new=replica_set(deployment, wanted, revision))
    return Decision({}, revision, scales=_scaled(sets.new, wanted))


def _scaled(found: Object, replicas: int) -> dict[str, int]:
    return {found["metadata"]["name"]: replicas} if _replicas(found) != replicas else {}


def _revision(sets: Sets) -> str:
    """Return the number of the rollout: one more than any before, unless the newest is the one that is there."""
    newest = max(map(_number, sets.old), default=0)
    mine = _number(sets.new) if sets.new is not None else 0
    return str(mine if mine > newest else newest + 1)


def _number(raw: Object) -> int:
    return int((raw["metadata"].get("annotations") or {}).get(REVISION, "0"))


def _forgotten(deployment: Object, sets: Sets) -> tuple[Object, ...]:
    empty = [raw for raw in sets.old if not _replicas(raw) and not _count(raw, "replicas")]
    return tuple(empty[: max(0, len(empty) - deployment["spec"].get("revisionHistoryLimit", HISTORY))])


def _status(deployment: Object, sets: Sets, made: Object | None, now: datetime) -> tuple[Object, float | None]:
    """Return the status, and in how many seconds a rollout that makes no progress is late."""
    before = deployment.get("status") or {}
    wanted = deployment["spec"].get("replicas", 1)
    available = sum(_count(raw, "availableReplicas") for raw in sets.every)
    counts = {
        "replicas": sum(_count(raw, "replicas") for raw in sets.every),
        "updatedReplicas": _count(sets.new, "replicas") if sets.new is not None else 0,
        "readyReplicas": sum(_count(raw, "readyReplicas") for raw in sets.every),
        "availableReplicas": available,
        "unavailableReplicas": max(0, sum(map(_replicas, sets.every)) - available),
    }
    status = {
        "observedGeneration": deployment["metadata"]["generation"],
        **{name: number for name, number in counts.items() if number},
    }
    is_available = available >= wanted - bounds(deployment)[1]
    enough = (
        Told("MinimumReplicasAvailable", "Deployment has minimum availability.")
        if is_available
        else Told("MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
    )
    progress, again = _progress(deployment, status, sets, made, now)
    known = {entry["type"]: entry for entry in before.get("conditions") or []}
    conditions = [_condition("Available", is_available, enough, known, now)]
    if progress is not None:
        is_late = progress.reason == "ProgressDeadlineExceeded"
        has_moved = progress.reason == "ReplicaSetUpdated"
        conditions.append(_condition("Progressing", not is_late, progress, known, now, has_moved=has_moved))
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
    if made is not None:
        return Told("NewReplicaSetCreated", f'Created new replica set "{name}"'), float(seconds)
    if _is_complete(deployment, status):
        return Told("NewReplicaSetAvailable", f'ReplicaSet "{name}" has successfully progressed.'), None
    if last is None:
        return (Told("FoundNewReplicaSet", f'Found new replica set "{name}"') if sets.new else None), float(seconds)
    if last["reason"] == "NewReplicaSetAvailable" and status.get("replicas") == status.get("updatedReplicas"):
        # A finished rollout whose pods come and go makes no progress that could be late.
        return None, None
    if _has_moved(before, status):
        return Told("ReplicaSetUpdated", f'ReplicaSet "{name}" is progressing.'), float(seconds)
    left = (moment(last["lastUpdateTime"]) + timedelta(seconds=seconds) - now).total_seconds()
    if left <= 0 or last["reason"] == "ProgressDeadlineExceeded":
        return Told("ProgressDeadlineExceeded", f'ReplicaSet "{name}" has timed out progressing.'), None
    return None, left


def _has_moved(before: Object, after: Object) -> bool:
    def old(status: Object) -> int:
        return int(status.get("replicas", 0) - status.get("updatedReplicas", 0))

    grew = any(
        after.get(name, 0) > before.get(name, 0) for name in ("updatedReplicas", "readyReplicas", "availableReplicas")
    )
    return grew or old(after) < old(before)


def _is_complete(deployment: Object, status: Object) -> bool:
    wanted = deployment["spec"].get("replicas", 1)
    return all(status.get(name, 0) == wanted for name in ("replicas", "updatedReplicas", "availableReplicas"))


def _condition(
    kind: str, is_true: bool, told: Told, known: Mapping[str, Object], now: datetime, *, has_moved: bool = False
) -> Object:
    """Return a condition whose times move with its status, and with what it says."""
    said = {"type": kind, "status": str(is_true), "reason": told.reason, "message": told.message}
    before = known.get(kind, {})
    if not has_moved and all(before.get(name) == value for name, value in said.items()):
        return before
    since = before.get("lastTransitionTime") if before.get("status") == said["status"] else None
    return {**said, "lastUpdateTime": stamp(now), "lastTransitionTime": since or stamp(now)}


def _replicas(raw: Object | None) -> int:
    return int(raw["spec"].get("replicas", 1)) if raw is not None else 0


def _count(raw: Object | None, name: str) -> int:
    return int((raw.get("status") or {}).get(name, 0)) if raw is not None else 0
