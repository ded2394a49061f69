"""What each command, and the operator, must be allowed to do; the documents and `treadle doctor` read it from here."""

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

    def __str__(self) -> str:
        return f"{self.verb} {self.resource}" + (f".{self.group}" if self.group and self.group != GROUP else "")


def rights(verbs: str, *resources: str, group: str = "") -> tuple[Right, ...]:
    """Return every verb on every resource."""
    return tuple(Right(verb, resource, group) for resource in resources for verb in verbs.split())


READS = rights("list", *OURS, group=GROUP)
PODS = rights("list", "pods")
CHANGES = rights("get", *OURS, group=GROUP) + rights("patch", *OURS, group=GROUP)
DEPLOYMENT = rights("get patch", "modeldeployments", group=GROUP)

NEEDS: dict[str, tuple[Right, ...]] = {
    "status": READS + PODS + rights("get", "pods/proxy") + rights("list", "deployments", group="apps"),
    "tree": READS + PODS + rights("get", "pods/proxy") + rights("list", "deployments", group="apps"),
    "logs": READS + PODS + rights("get", "pods/log"),
    "wait": rights("get list watch", *OURS, group=GROUP),
    "retrain": CHANGES,
    "promote": DEPLOYMENT + rights("promote", "modeldeployments", group=GROUP),
    "rollback": DEPLOYMENT + rights("rollback", "modeldeployments", group=GROUP),
    "unquarantine": DEPLOYMENT + rights("promote", "modeldeployments", group=GROUP),
    "refresh": CHANGES,
    "suspend": CHANGES,
    "resume": CHANGES,
    "store": rights("get create patch", "secrets"),
    "keys": rights("create", "secrets"),
    "doctor": READS + PODS + rights("get", "secrets") + rights("list", "resourcequotas", "limitranges"),
    "completion": (),
    "init": (),
    "validate": (),
    "up": (),
}
"""By command; a command that reaches no cluster needs none."""

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
