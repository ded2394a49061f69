"""What each command, and the operator, must be allowed to do; the documents and `treadle doctor` read it from here."""

from collections.abc import Collection
from dataclasses import dataclass

from treadle.api.names import GROUP, PLURALS

OURS = tuple(PLURALS.values())


@dataclass(frozen=True, slots=True)
class Right:
    """A verb on a resource, in a namespace."""

    verb: str
    resource: str
    """Plural, with the subresource if there is one: pods/proxy."""
    group: str = ""

    @property
    def what(self) -> str:
        """Return the resource as kubectl names it, without our own group."""
        return self.resource + (f".{self.group}" if self.group and self.group != GROUP else "")

    def __str__(self) -> str:
        return f"{self.verb} {self.what}"


def rights(verbs: str, *resources: str, group: str = "") -> tuple[Right, ...]:
    """Return every verb on every resource."""
    return tuple(Right(verb, resource, group) for resource in resources for verb in verbs.split())


READS = rights("list", *OURS, group=GROUP)
PODS = rights("list", "pods")
SCREEN = READS + PODS + rights("get", "pods/proxy") + rights("list", "deployments", group="apps")
CAUSES = SCREEN + rights("list", "events") + rights("list", "jobs", group="batch")
CHANGES = READS + rights("get patch", *OURS, group=GROUP)
DEPLOYMENT = READS + rights("get patch", "modeldeployments", group=GROUP)

NEEDS: dict[str, tuple[Right, ...]] = {
    **dict.fromkeys(("status", "tree"), SCREEN),
    "why": CAUSES,
    **dict.fromkeys(("diff", "lineage", "card", "report"), READS + rights("get", "secrets")),
    "logs": READS + PODS + rights("get", "pods/log"),
    "wait": rights("get list watch", *OURS, group=GROUP),
    "predict": rights("get list", "modeldeployments", group=GROUP) + rights("get create", "services/proxy"),
    "ui": CAUSES + rights("get", "secrets"),
    **dict.fromkeys(("up", "init", "validate", "completion"), ()),
    "doctor": READS + PODS + rights("get", "secrets") + rights("list", "resourcequotas", "limitranges"),
    **dict.fromkeys(("retrain", "refresh", "suspend", "resume"), CHANGES),
    "promote": DEPLOYMENT + rights("promote", "modeldeployments", group=GROUP),
    "rollback": DEPLOYMENT + rights("rollback", "modeldeployments", group=GROUP),
    "unquarantine": DEPLOYMENT + rights("promote", "modeldeployments", group=GROUP),
    "store": rights("get create patch", "secrets"),
    "keys": rights("create", "secrets"),
}
"""By command; one that reaches no cluster needs none."""

OPERATOR: tuple[Right, ...] = (
    *rights("get list watch", "datasources", "modeldeployments", "monitors", group=GROUP),
    *rights("get list watch create patch delete", "trainingjobs", group=GROUP),
    *rights("patch", *(f"{plural}/status" for plural in OURS), group=GROUP),
    *rights("get list watch create patch delete", "jobs", group="batch"),
    *rights("get list watch create patch delete", "deployments", group="apps"),
    *rights("get list watch create patch delete", "configmaps"),
    *rights("get list watch create patch", "services"),
    *rights("list watch patch", "pods"),
    *rights("get", "namespaces", "serviceaccounts"),
    *rights("create", "events", group="events.k8s.io"),
)
"""As charts/treadle/templates/_helpers.tpl grants it."""


def listed(some: Collection[Right]) -> str:
    """Return rights as people read them: get, list pods; patch the four kinds."""
    verbs: dict[str, list[str]] = {}
    for right in sorted(some, key=str):
        verbs.setdefault(right.what, []).append(right.verb)
    alike: dict[tuple[str, ...], list[str]] = {}
    for what, which in sorted(verbs.items()):
        alike.setdefault(tuple(which), []).append(what)
    return "; ".join(f"{', '.join(which)} {', '.join(_shortened(whats))}" for which, whats in sorted(alike.items()))


def _shortened(resources: list[str]) -> list[str]:
    if not set(OURS) <= set(resources):
        return resources
    return ["the four kinds", *(each for each in resources if each not in OURS)]
