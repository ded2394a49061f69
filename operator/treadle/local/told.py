"""What kubelet and the controllers say of objects: a reason, and since when a condition holds."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from treadle.api.base import stamp
from treadle.control.engine.ports import Object


@dataclass(frozen=True, slots=True)
class Told:
    """A reason in one word, and a message."""

    reason: str
    message: str = ""


def is_over(pod: Object) -> bool:
    """Say whether a pod has succeeded or failed."""
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def dated(conditions: Sequence[Object], before: Sequence[Object], now: datetime) -> list[Object]:
    """Return conditions with the time at which each took its status."""
    since = {(found["type"], found["status"]): found.get("lastTransitionTime") for found in before}
    return [
        {**found, "lastTransitionTime": since.get((found["type"], found["status"])) or stamp(now)}
        for found in conditions
    ]
