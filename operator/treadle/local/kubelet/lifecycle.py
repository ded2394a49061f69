"""What is due to a pod's containers, from how each of them stands."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from treadle.api.base import moment
from treadle.control.engine.ports import Object
from treadle.local.told import Told

FIRST_BACKOFF_SECONDS = 10
LONGEST_BACKOFF_SECONDS = 300
SETTLED = timedelta(seconds=2 * LONGEST_BACKOFF_SECONDS)
"""A container that ran this long is no crash loop (k8s.io/kubernetes/pkg/kubelet, MaxContainerBackOff)."""
GRACE_SECONDS = 30
EXIT_NOT_STARTED = 128

type Containers = Mapping[str, "Container"]
"""How the containers stand, by name, init containers too."""


@dataclass(frozen=True, slots=True)
class End:
    """How one run of a container ended."""

    exit_code: int
    reason: str
    message: str
    started_at: datetime
    finished_at: datetime


@dataclass(frozen=True, slots=True)
class Container:
    """How one container stands: it waits, runs since some time, or ended."""

    running_since: datetime | None = None
    hindrance: Told | None = None
    """What keeps it from its start."""
    end: End | None = None
    """Of its last run."""
    former: End | None = None
    """Of the run before the last."""
    restarts: int = 0
    crashes: int = 0
    """Short runs in a row that were followed by another."""
    is_started: bool = False
    """Its startup probe has succeeded, or it has none."""
    is_ready: bool = False
    pid: int = 0
    """Of the program of the latest run."""

    @property
    def is_running(self) -> bool:
        return self.running_since is not None

    def began(self, now: datetime) -> "Container":
        """Return the same after a start."""
        if self.end is None:
            return replace(self, running_since=now, hindrance=None)
        crashes = 0 if _has_settled(self.end) else self.crashes + 1
        return replace(self, running_since=now, hindrance=None, restarts=self.restarts + 1, crashes=crashes)

    def ended(self, exit_code: int, told: Told, now: datetime) -> "Container":
        """Return the same after the end of its run."""
        end = End(exit_code, told.reason, told.message, self.running_since or now, now)
        return replace(
            self, running_since=None, hindrance=None, end=end, former=self.end, is_started=False, is_ready=False
        )


@dataclass(frozen=True, slots=True)
class Due:
    """What is to be done with a pod now."""

    start: tuple[str, ...] = ()
    at: datetime | None = None
    """When a container that waits out its back-off starts."""
    verdict: Told | None = None
    """Why the whole pod is to be ended."""
    is_over: bool = False
    """Nothing runs and nothing will."""


def due(pod: Object, containers: Containers, now: datetime, *, is_ending: bool = False) -> Due:
    """Return what is due to a pod that was accepted at status.startTime."""
    spec = pod["spec"]
    if is_ending:
        return Due(is_over=not any(container.is_running for container in containers.values()))
    limit = spec.get("activeDeadlineSeconds")
    began = (pod.get("status") or {}).get("startTime")
    last = moment(began) + timedelta(seconds=limit) if limit is not None and began else None
    if last is not None and now >= last:
        return Due(verdict=Told("DeadlineExceeded", "Pod was active on the node longer than the specified deadline"))
    found = _due(spec, containers, now)
    if found.is_over or last is None:
        return found
    return replace(found, at=min(found.at or last, last))


def _due(spec: Object, containers: Containers, now: datetime) -> Due:
    policy = spec.get("restartPolicy", "Always")
    for name in names(spec, "initContainers"):
        container = containers[name]
        if container.end is not None and container.end.exit_code == 0 and not container.is_running:
            continue
        # Init containers run one after another, and again until each has succeeded once.
        found = _of_each([(name, container)], "Never" if policy == "Never" else "OnFailure", now)
        return found if policy == "Never" else replace(found, is_over=False)
    return _of_each([(name, containers[name]) for name in names(spec, "containers")], policy, now)


def _of_each(group: Sequence[tuple[str, Container]], policy: str, now: datetime) -> Due:
    idle = [(name, container) for name, container in group if not container.is_running]
    starts = {name: _next_start(container) for name, container in idle if will_run(container, policy)}
    late = [at for at in starts.values() if at is not None and at > now]
    return Due(
        start=tuple(name for name, at in starts.items() if at is None or at <= now),
        at=min(late, default=None),
        is_over=len(idle) == len(group) and not starts,
    )


def will_run(container: Container, policy: str) -> bool:
    """Say whether a container that does not run is to, now or later."""
    if container.end is None or policy == "Always":
        return True
    return policy == "OnFailure" and container.end.exit_code != 0


def _next_start(container: Container) -> datetime | None:
    """Return when an idle container starts again; None: it has never run."""
    if container.end is None:
        return None
    return container.end.finished_at + timedelta(seconds=backoff_seconds(container))


def backoff_seconds(container: Container) -> int:
    """Return how long a container that ended waits: not at all at first, then 10 s doubling to 300 s."""
    if container.end is None or container.crashes == 0 or _has_settled(container.end):
        return 0
    return min(LONGEST_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS << min(container.crashes - 1, 10))


def _has_settled(end: End) -> bool:
    return end.finished_at - end.started_at >= SETTLED


def names(spec: Object, field: str) -> list[str]:
    """Return the names of a pod's containers, or of its initContainers."""
    return [container["name"] for container in spec.get(field) or []]


def grace_seconds(pod: Object) -> float:
    """Return how long a pod's containers may take to end."""
    asked = pod["metadata"].get("deletionGracePeriodSeconds")
    return float(pod["spec"].get("terminationGracePeriodSeconds", GRACE_SECONDS) if asked is None else asked)
