"""What was read for a check-up; no value of a Secret is in it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from treadle.cli.cluster import Object
from treadle.cli.estate import Estate
from treadle.cli.rights import Right


@dataclass(frozen=True, slots=True)
class Secret:
    """A Secret that objects of a namespace use."""

    name: str
    use: str
    """store, signing, privacy or source."""
    keys: frozenset[str] | None
    """None: there is none of that name."""
    problem: str = ""
    """What is wrong with its values, in the words of whoever would use them."""


@dataclass(frozen=True, slots=True)
class Store:
    """What a probe of a bucket found."""

    secret: str
    place: str = ""
    """Bucket and prefix."""
    host: str = ""
    problem: str = ""
    """The store's own message; see docs/concepts/store.md."""
    is_inside: bool = False
    """Whether only pods reach it."""
    lacks: tuple[str, ...] = ()
    """What it has not, and need not have."""
    ahead_seconds: float | None = None
    """How far this machine's clock is ahead of the store's."""


@dataclass(frozen=True, slots=True)
class Operator:
    """A Deployment of the operator, its Lease, and which of its rights are missing."""

    namespace: str
    name: str
    deployment: Object
    lease: Object | None = None
    missing: tuple[Right, ...] | None = None
    """None: this user may not ask."""


@dataclass(frozen=True, slots=True)
class Facts:
    """A cluster and a namespace as they were at one time."""

    namespace: str
    server: str
    program: str
    """The version of this command line."""
    now: datetime
    """The API server's time, to the second."""
    is_local: bool = False
    """Whether it is `treadle up`."""
    kubectl: str = ""
    """Version of kubectl; empty where there is none."""
    version: str = ""
    """Of Kubernetes."""
    ahead_seconds: float = 0.0
    """How far this machine's clock is ahead of the API server's."""
    groups: frozenset[str] = frozenset()
    crds: Mapping[str, str | None] = field(default_factory=dict)
    """By name, where the schema differs from this version's, empty where it does not; None: not installed."""
    operators: tuple[Operator, ...] = ()
    lacking: frozenset[Right] = frozenset()
    """Rights that this user has not."""
    estate: Estate = field(default_factory=lambda: Estate(""))
    secrets: tuple[Secret, ...] = ()
    stores: tuple[Store, ...] = ()
    quotas: tuple[Object, ...] = ()
    limits: tuple[Object, ...] = ()
    space: Object | None = None
    """The Namespace."""
    unread: Mapping[str, str] = field(default_factory=dict)
    """What could not be read: part to the answer."""


def environment(deployment: Object) -> dict[str, str]:
    """Return the environment of the operator's container, as far as it is plain text."""
    (container, *_) = deployment["spec"]["template"]["spec"]["containers"]
    return {each["name"]: each.get("value", "") for each in container.get("env") or []}
