"""What the engine needs from the world, as Protocols, and what a kind gives to the engine."""

import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, Protocol, Self

from treadle.api.names import GROUP, PLURALS, VERSION
from treadle.control.settings import Settings

type Object = dict[str, Any]
"""A Kubernetes object as JSON values."""


@dataclass(frozen=True, slots=True)
class Gvk:
    """A resource type, with the plural by which its path is named."""

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version


CONFIG_MAP = Gvk("", "v1", "ConfigMap", "configmaps")
DEPLOYMENT = Gvk("apps", "v1", "Deployment", "deployments")
EVENT = Gvk("events.k8s.io", "v1", "Event", "events")
JOB = Gvk("batch", "v1", "Job", "jobs")
LEASE = Gvk("coordination.k8s.io", "v1", "Lease", "leases")
NAMESPACE = Gvk("", "v1", "Namespace", "namespaces", namespaced=False)
POD = Gvk("", "v1", "Pod", "pods")
SERVICE = Gvk("", "v1", "Service", "services")
SERVICE_ACCOUNT = Gvk("", "v1", "ServiceAccount", "serviceaccounts")

DATA_SOURCE, TRAINING_JOB, MODEL_DEPLOYMENT, MONITOR = (Gvk(GROUP, VERSION, kind, PLURALS[kind]) for kind in PLURALS)

OURS = (DATA_SOURCE, TRAINING_JOB, MODEL_DEPLOYMENT, MONITOR)
CHILDREN = (JOB, POD, DEPLOYMENT, SERVICE, CONFIG_MAP)
"""Watched where they carry the managed-by label; generated TrainingJobs are among OURS."""

CREATE_ONCE = frozenset({"Job", "TrainingJob"})
"""An existing one is left alone: their names hash their inputs, so that changed inputs are a new name."""


class Key(NamedTuple):
    """What the queue holds: which object to look at, never what happened to it."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.namespace}/{self.name}"


class Api(Protocol):
    """The part of the Kubernetes API that the operator uses; each answer is the object as it is now."""

    async def get(self, gvk: Gvk, namespace: str, name: str) -> Object | None:
        """Return the object, or None where there is none."""
        ...

    async def list(
        self,
        gvk: Gvk,
        namespace: str | None = None,
        *,
        labels: Mapping[str, str] | None = None,
        metadata_only: bool = False,
    ) -> list[Object]:
        """Return the objects of one namespace, or of all, that carry the labels, by namespace and name."""
        ...

    async def apply(self, child: Object, *, manager: str = "treadle") -> Object:
        """Apply exactly these fields, by force; a uid or resourceVersion in the metadata must match, or Conflict."""
        ...

    async def apply_status(self, raw: Object, status: Object) -> Object:
        """Apply the whole status of `raw`; Conflict if the object changed since it was read."""
        ...

    async def create(self, new: Object) -> Object | None:
        """Create the object; return None where the name exists."""
        ...

    async def delete(self, child: Object) -> None:
        """Delete this very object with all that it owns; being gone is success, another uid is Conflict."""
        ...


class Pods(Protocol):
    """What running pods tell; a failed poll is None, and changes no condition."""

    async def progress(self, pod: Object) -> Object | None:
        """Return what the pod answers to GET /progress on port 8081."""
        ...

    async def metrics(self, pod: Object) -> str | None:
        """Return what the pod answers to GET /metrics on port 8081, in Prometheus' text format."""
        ...


@dataclass(frozen=True, slots=True)
class Ports:
    """All that a pass reaches."""

    api: Api
    pods: Pods
    now: Callable[[], datetime]
    rng: random.Random
    settings: Settings


@dataclass(frozen=True, slots=True)
class Event:
    """One line of `kubectl describe`, written at a change of state, after the status."""

    reason: str
    message: str
    type: str = "Normal"
    action: str = "Reconcile"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a pass concluded: the whole status, what to tell, and in how many seconds to look again."""

    status: Object
    events: Sequence[Event] = field(default_factory=tuple)
    again: float | None = None


class Seen(Protocol):
    """What a kind's `observe` read."""

    def having(self, live: Sequence[Object]) -> Self:
        """Return the same with the children as they are after the apply."""
        ...


@dataclass(frozen=True, slots=True)
class Kind[R, S: Seen]:
    """One of the four kinds: its functions, its conditions with the summary first, and what it may own."""

    gvk: Gvk
    conditions: tuple[str, ...]
    children: tuple[Gvk, ...]
    parse: Callable[[Object], R]
    observe: Callable[[R, Ports], Awaitable[S]]
    desired: Callable[[R, S, datetime], Sequence[Object]]
    status: Callable[[R, S, datetime], Outcome]
    living: Callable[[R], Sequence[Gvk]] | None = None
    """The types of which children can be there, by its status, so that no others are read; None: all."""

    @property
    def name(self) -> str:
        return self.gvk.kind

    @property
    def plural(self) -> str:
        return self.gvk.plural
