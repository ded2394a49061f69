"""How the pods of a Deployment move from one template to the next: one step at a time, within its bounds."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from treadle.api.names import canonical
from treadle.control.engine.objects import controller_uid
from treadle.control.engine.ports import Object
from treadle.local.controllers.controller import LETTERS, reference
from treadle.local.told import is_over

HASH_LABEL = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"
REVISIONS = "deployment.kubernetes.io/revision-history"
"""The numbers that a ReplicaSet had before."""
QUARTER = "25%"


@dataclass(frozen=True, slots=True)
class Sets:
    """A Deployment's ReplicaSets: the one of its template, and the others, the oldest first."""

    new: Object | None
    old: tuple[Object, ...]

    @property
    def every(self) -> tuple[Object, ...]:
        return (*self.old, *([self.new] if self.new is not None else []))


@dataclass(frozen=True, slots=True)
class Step:
    """What becomes of the ReplicaSets now."""

    new: Object | None = None
    """The one to create."""
    scales: Mapping[str, int] = field(default_factory=dict)
    """Replicas by the name of one that changes."""


def sort(deployment: Object, owned: Sequence[Object]) -> Sets:
    """Return the ReplicaSet of the Deployment's template, and the others."""
    name = set_name(deployment)
    oldest = sorted(owned, key=lambda raw: (_number(raw), raw["metadata"]["creationTimestamp"]))
    return Sets(
        new=next((raw for raw in oldest if raw["metadata"]["name"] == name), None),
        old=tuple(raw for raw in oldest if raw["metadata"]["name"] != name),
    )


def step(deployment: Object, sets: Sets, pods: Sequence[Object], revision: str) -> Step:
    """Return the next step of a Deployment whose ReplicaSets have these pods."""
    spec = deployment["spec"]
    if spec.get("paused"):
        return Step(scales=_paused(sets, wanted(deployment)))
    if (spec.get("strategy") or {}).get("type") == "Recreate":
        return _recreate(deployment, sets, pods, revision)
    return _roll(deployment, sets, revision)


def wanted(deployment: Object) -> int:
    """Return how many pods a Deployment is to have."""
    return int(deployment["spec"].get("replicas", 1))


def replicas(raw: Object | None) -> int:
    """Return how many pods a ReplicaSet is to have."""
    return int(raw["spec"].get("replicas", 1)) if raw is not None else 0


def count(raw: Object | None, name: str) -> int:
    """Return a number in a ReplicaSet's status."""
    return int((raw.get("status") or {}).get(name, 0)) if raw is not None else 0


def template_hash(template: Object) -> str:
    """Return ten letters and digits that tell one template from another."""
    digest = int.from_bytes(hashlib.sha256(canonical(template)).digest())
    return "".join(LETTERS[digest // len(LETTERS) ** place % len(LETTERS)] for place in range(10))


def set_name(deployment: Object) -> str:
    """Return the name of the ReplicaSet of a Deployment's template."""
    return f"{deployment['metadata']['name']}-{template_hash(deployment['spec']['template'])}"


def revision(sets: Sets) -> str:
    """Return the number of the rollout: one more than any before, unless the newest is the one that is there."""
    newest = max(map(_number, sets.old), default=0)
    mine = _number(sets.new) if sets.new is not None else 0
    return str(mine if mine > newest else newest + 1)


def forgotten(sets: Sets, limit: int) -> tuple[Object, ...]:
    """Return the ReplicaSets without pods that are too old for a way back."""
    empty = [raw for raw in sets.old if not replicas(raw) and not count(raw, "replicas")]
    return tuple(empty[: max(0, len(empty) - limit)])


def bounds(deployment: Object) -> tuple[int, int]:
    """Return how many pods there may be beyond the wished, and how many of these may be missing, in a rollout."""
    whole = wanted(deployment)
    rolling = (deployment["spec"].get("strategy") or {}).get("rollingUpdate") or {}
    surge = math.ceil(_part(rolling.get("maxSurge", QUARTER), whole))
    missing = math.floor(_part(rolling.get("maxUnavailable", QUARTER), whole))
    if surge == 0 and missing == 0:
        # Both may round to 0, and then nothing would ever move.
        missing = 1
    return surge, min(missing, whole)


def sized(deployment: Object) -> dict[str, str]:
    """Return the annotations that tell a ReplicaSet for how large a Deployment it got its size."""
    whole = wanted(deployment)
    is_rolling = (deployment["spec"].get("strategy") or {}).get("type") != "Recreate"
    most = whole + (bounds(deployment)[0] if is_rolling else 0)
    prefix = "deployment.kubernetes.io"
    return {f"{prefix}/desired-replicas": str(whole), f"{prefix}/max-replicas": str(most)}


def numbered(annotations: Mapping[str, str], number: str) -> dict[str, str]:
    """Return a ReplicaSet's annotations with the number of its rollout; a former one is remembered."""
    before = annotations.get(REVISION)
    if before is None or before == number:
        return {**annotations, REVISION: number}
    history = [*filter(None, [annotations.get(REVISIONS)]), before]
    return {**annotations, REVISION: number, REVISIONS: ",".join(history)}


def replica_set(deployment: Object, size: int, number: str) -> Object:
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
            "annotations": {REVISION: number, **sized(deployment)},
            "ownerReferences": [reference(deployment)],
        },
        "spec": {
            "replicas": size,
            **({"minReadySeconds": spec["minReadySeconds"]} if spec.get("minReadySeconds") else {}),
            "selector": {**spec["selector"], "matchLabels": {**(spec["selector"].get("matchLabels") or {}), **mark}},
            "template": {**template, "metadata": {**(template.get("metadata") or {}), "labels": labels}},
        },
    }


def _part(bound: int | str, whole: int) -> Fraction:
    return Fraction(bound) if isinstance(bound, int) else Fraction(int(bound.removesuffix("%")) * whole, 100)


def _roll(deployment: Object, sets: Sets, number: str) -> Step:
    """Return one step of a rolling update: the new grows as far as it may, else the old shrink as far as they may."""
    whole, size = wanted(deployment), replicas(sets.new)
    surge, missing = bounds(deployment)
    room = whole + surge - sum(map(replicas, sets.every))
    grown = whole if size > whole else size + max(0, min(room, whole - size))
    if sets.new is None:
        return Step(new=replica_set(deployment, grown, number))
    if grown != size:
        return Step(scales=_scaled(sets.new, grown))
    return Step(scales=_shrunk(sets, whole - missing))


def _shrunk(sets: Sets, least: int) -> dict[str, int]:
    """Return to what the old ReplicaSets shrink so that at least so many pods stay available: first what is broken."""
    spare = sum(map(replicas, sets.every)) - least - (replicas(sets.new) - count(sets.new, "availableReplicas"))
    before = {raw["metadata"]["name"]: replicas(raw) for raw in sets.old}
    if spare <= 0:
        return {}
    sizes = dict(before)
    for raw in sets.old:
        name = raw["metadata"]["name"]
        broken = max(0, min(spare, sizes[name] - count(raw, "availableReplicas")))
        sizes[name] -= broken
        spare -= broken
    spare = sum(count(raw, "availableReplicas") for raw in sets.every) - least
    for raw in sets.old:
        name = raw["metadata"]["name"]
        shrunk = max(0, min(spare, sizes[name]))
        sizes[name] -= shrunk
        spare -= shrunk
    return {name: size for name, size in sizes.items() if size != before[name]}


def _paused(sets: Sets, whole: int) -> dict[str, int]:
    """Return how a Deployment is scaled that does not roll: the one ReplicaSet that has pods, or the newest."""
    active = [raw for raw in sets.every if replicas(raw)]
    if len(active) > 1 or not sets.every:
        return {}
    return _scaled(active[0] if active else sets.every[-1], whole)


def _recreate(deployment: Object, sets: Sets, pods: Sequence[Object], number: str) -> Step:
    """Return one step of a replacement at once: the new begins when the last old pod has ended."""
    shrinking = {raw["metadata"]["name"]: 0 for raw in sets.old if replicas(raw)}
    if shrinking:
        return Step(scales=shrinking)
    uids = {raw["metadata"]["uid"] for raw in sets.old}
    if any(controller_uid(pod) in uids and not is_over(pod) for pod in pods):
        return Step()
    if sets.new is None:
        return Step(new=replica_set(deployment, wanted(deployment), number))
    return Step(scales=_scaled(sets.new, wanted(deployment)))


def _scaled(found: Object, size: int) -> dict[str, int]:
    return {found["metadata"]["name"]: size} if replicas(found) != size else {}


def _number(raw: Object) -> int:
    return int((raw["metadata"].get("annotations") or {}).get(REVISION, "0"))
