"""The ReplicaSet controller: which pods are started and ended so that there are as many as wished.

A pod that failed is deleted, as a cluster's garbage collector would do later; its replacement is made at once.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from treadle.api.base import moment
from treadle.control.engine.objects import is_deleting
from treadle.control.engine.ports import POD, Key, Object
from treadle.local.controllers.controller import children, condition, control, end_pod, keys_of, start_pod
from treadle.local.recorder import record
from treadle.local.server.api import MemoryApi
from treadle.local.server.types import REPLICA_SET
from treadle.local.told import Told, is_over
from treadle.local.writing import write_status

COMPONENT = "replicaset-controller"


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to be done about a ReplicaSet now."""

    status: Object
    starts: int = 0
    ends: tuple[Object, ...] = ()
    again: float | None = None
    """Seconds until a pod has been ready for long enough."""


async def run_replicasets(api: MemoryApi, rng: random.Random) -> None:
    """Run the ReplicaSets of the API until cancelled; an error ends it."""

    async def look(key: Key) -> float | None:
        replica_set = await api.get(REPLICA_SET, key.namespace, key.name)
        if replica_set is None or is_deleting(replica_set):
            return None
        decision = decide(replica_set, await children(api, POD, replica_set), api.now())
        for pod in decision.ends:
            await end_pod(api, pod)
            record(api, replica_set, Told("SuccessfulDelete", f"Deleted pod: {pod['metadata']['name']}"), COMPONENT)
        for _ in range(decision.starts):
            pod = await start_pod(api, replica_set, {}, rng)
            record(api, replica_set, Told("SuccessfulCreate", f"Created pod: {pod['metadata']['name']}"), COMPONENT)
        await write_status(api, REPLICA_SET, replica_set, decision.status)
        return decision.again

    await control(api, (REPLICA_SET, POD), keys_of("ReplicaSet"), look)


def decide(replica_set: Object, pods: Sequence[Object], now: datetime) -> Decision:
    """Return what is due to a ReplicaSet that has these pods."""
    spec = replica_set["spec"]
    wanted, patience = spec.get("replicas", 1), timedelta(seconds=spec.get("minReadySeconds", 0))
    living = sorted((pod for pod in pods if not is_over(pod) and not is_deleting(pod)), key=worth)
    ready = [since for pod in living if (since := _ready_since(pod)) is not None]
    available = [since for since in ready if since + patience <= now]
    waits = [(since + patience - now).total_seconds() for since in ready if since + patience > now]
    counts = {
        "fullyLabeledReplicas": len(living),
        "readyReplicas": len(ready),
        "availableReplicas": len(available),
    }
    return Decision(
        status={
            "replicas": len(living),
            **{name: number for name, number in counts.items() if number},
            "terminatingReplicas": sum(1 for pod in pods if is_deleting(pod) and not is_over(pod)),
            "observedGeneration": replica_set["metadata"]["generation"],
        },
        starts=max(0, wanted - len(living)),
        ends=(*(pod for pod in pods if is_over(pod)), *living[: max(0, len(living) - wanted)]),
        again=min(waits, default=None),
    )


def worth(pod: Object) -> tuple[object, ...]:
    """Return by what pods are sorted: the first is ended first (k8s.io/kubernetes, ActivePodsWithRanks)."""
    status, metadata = pod.get("status") or {}, pod["metadata"]
    since = _ready_since(pod)
    cost = int((metadata.get("annotations") or {}).get("controller.kubernetes.io/pod-deletion-cost", "0"))
    restarts = max((found.get("restartCount", 0) for found in status.get("containerStatuses") or []), default=0)
    return (
        bool(pod["spec"].get("nodeName")),
        status.get("phase") == "Running",
        since is not None,
        cost,
        # Newer, or ready for a shorter time: less is lost with it.
        -since.timestamp() if since is not None else 0.0,
        -restarts,
        -moment(metadata["creationTimestamp"]).timestamp(),
        metadata["name"],
    )


def _ready_since(pod: Object) -> datetime | None:
    found = condition(pod, "Ready")
    return moment(found["lastTransitionTime"]) if found is not None else None
