"""What keeps serving pods from answering, as a reason and a sentence."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from treadle.api.base import moment
from treadle.api.conditions import line
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
            message = f"no pod is made: {line(condition.get('message', ''), 180)}; raise the quota or lower requests"
            return Trouble(Reason.POD_QUOTA_EXCEEDED, message)
    return None


def _of_pod(pod: Object) -> Trouble | None:
    name, status = pod["metadata"]["name"], pod.get("status") or {}
    for condition in status.get("conditions") or []:
        if condition.get("type") == "PodScheduled" and condition.get("reason") == "Unschedulable":
            found = f"pod {name}: {line(condition.get('message', ''), 180)}; lower requests or add capacity"
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
            f"pod {pod} cannot pull {container.get('image', 'its image')} ({reason}); correct registry, tag or "
            "pull secret",
        )
    ended: Object = next((state["terminated"] for state in states if state.get("terminated")), {})
    if ended.get("reason") == "OOMKilled":
        return Trouble(
            Reason.OUT_OF_MEMORY,
            f"pod {pod} was killed for memory; raise predictor.pod.resources.limits.memory",
        )
    if reason in CONFIG_REASONS:
        return Trouble(None, f"pod {pod} cannot start: {line(waiting.get('message', reason), 180)}; read its events")
    if ended:
        log = f"read its log: kubectl logs {pod} --previous"
        return Trouble(None, f"pod {pod} ended with exit code {ended.get('exitCode')}; {log}")
    return None


def crashed_since(pod: Object, since: datetime, *, is_holding: bool) -> str:
    """Return how the server ended since a moment, as a clause; a pod that holds the model only counts if out of memory.

    is_holding: it holds the model on trial, so that another end of it may have any cause.
    """
    for container in (pod.get("status") or {}).get("containerStatuses") or []:
        for state in (container.get("state") or {}, container.get("lastState") or {}):
            ended: Object = state.get("terminated") or {}
            if not ended.get("finishedAt") or moment(ended["finishedAt"]) <= since:
                continue
            name = pod["metadata"]["name"]
            if ended.get("reason") == "OOMKilled":
                return f"pod {name} was killed for memory; raise predictor.pod.resources.limits.memory"
            if ended.get("exitCode") and not is_holding:
                return f"pod {name} ended with exit code {ended['exitCode']} while it loaded it; read its log"
    return ""
