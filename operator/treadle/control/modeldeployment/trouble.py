"""What keeps serving pods from answering, as a reason and a sentence."""

from collections.abc import Sequence
from typing import NamedTuple

from treadle.api.reasons import Reason
from treadle.control.engine.ports import Object

PULL_REASONS = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"})
CONFIG_REASONS = frozenset({"CreateContainerConfigError", "CreateContainerError"})


class Trouble(NamedTuple):
    """A cause, and what to do about it; the reason is None for what has no page of its own."""

    reason: Reason | None
    message: str


def trouble(pods: Sequence[Object], deployment: Object | None) -> Trouble | None:
    """Return the first cause that a pod, or the Deployment without any, tells of."""
    for pod in pods:
        if (found := _of_pod(pod)) is not None:
            return found
    for condition in ((deployment or {}).get("status") or {}).get("conditions") or []:
        if condition.get("type") == "ReplicaFailure" and condition.get("status") == "True":
            message = f"PodQuotaExceeded: {condition.get('message', '')}; raise the quota or lower requests"
            return Trouble(Reason.POD_QUOTA_EXCEEDED, message)
    return None


def _of_pod(pod: Object) -> Trouble | None:
    name, status = pod["metadata"]["name"], pod.get("status") or {}
    for condition in status.get("conditions") or []:
        if condition.get("type") == "PodScheduled" and condition.get("reason") == "Unschedulable":
            found = f"Unschedulable: pod {name}: {condition.get('message', '')}; lower requests or add capacity"
            return Trouble(Reason.UNSCHEDULABLE, found)
    for container in status.get("containerStatuses") or []:
        if container.get("ready"):
            continue
        if (found_trouble := _of_container(name, container)) is not None:
            return found_trouble
    return None


def _of_container(pod: str, container: Object) -> Trouble | None:
    states = [container.get("state") or {}, container.get("lastState") or {}]
    waiting = states[0].get("waiting") or {}
    reason = waiting.get("reason", "")
    if reason in PULL_REASONS:
        return Trouble(
            Reason.IMAGE_PULL_FAILED,
            f"ImagePullFailed: pod {pod} cannot pull {container.get('image', 'its image')}; correct registry, tag or "
            "pull secret",
        )
    ended = next((state["terminated"] for state in states if state.get("terminated")), {})
    if ended.get("reason") == "OOMKilled":
        return Trouble(
            Reason.OUT_OF_MEMORY,
            f"OutOfMemory: pod {pod} was killed for memory; raise predictor.pod.resources.limits.memory",
        )
    if reason in CONFIG_REASONS:
        return Trouble(None, f"pod {pod} cannot start: {waiting.get('message', reason)}")
    if ended:
        return Trouble(None, f"pod {pod} ended with exit code {ended.get('exitCode')}; read its log")
    return None
