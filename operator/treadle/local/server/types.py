"""The types that the embedded API serves, as the discovery of kube-apiserver 1.35 tells of them."""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from treadle.api.base import stamp
from treadle.api.crds import DEFINITIONS, crd
from treadle.api.names import GROUP, PLURALS, VERSION
from treadle.control.engine.ports import (
    CONFIG_MAP,
    DEPLOYMENT,
    EVENT,
    JOB,
    LEASE,
    NAMESPACE,
    POD,
    SERVICE,
    SERVICE_ACCOUNT,
    Gvk,
)

ALL_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
READ_ONLY = ("get", "list", "watch")
PART_VERBS = ("get", "patch", "update")
PROXY_VERBS = ("create", "delete", "get", "patch", "update")

CORE_EVENT = Gvk("", "v1", "Event", "events")
SECRET = Gvk("", "v1", "Secret", "secrets")
REPLICA_SET = Gvk("apps", "v1", "ReplicaSet", "replicasets")
DEFINITION = Gvk(
    "apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions", namespaced=False
)
ACCESS_REVIEW = Gvk(
    "authorization.k8s.io", "v1", "SelfSubjectAccessReview", "selfsubjectaccessreviews", namespaced=False
)
RULES_REVIEW = Gvk("authorization.k8s.io", "v1", "SelfSubjectRulesReview", "selfsubjectrulesreviews", namespaced=False)
SELF_REVIEW = Gvk("authentication.k8s.io", "v1", "SelfSubjectReview", "selfsubjectreviews", namespaced=False)


@dataclass(frozen=True, slots=True)
class Part:
    """A subresource: the kind that it speaks, and what may be done with it."""

    name: str
    kind: str
    verbs: tuple[str, ...] = PART_VERBS
    group: str = ""
    version: str = ""
    """Both only where the kind is of another group than the type."""


@dataclass(frozen=True, slots=True)
class Type:
    """One type as discovery tells of it."""

    gvk: Gvk
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    parts: tuple[Part, ...] = ()
    verbs: tuple[str, ...] = ALL_VERBS
    selectable: tuple[str, ...] = ()
    """The fields, besides name and namespace, by which a list may be selected."""

    @property
    def resource(self) -> str:
        """Return the name by which refusals call the type: trainingjobs.treadle.dev."""
        return f"{self.gvk.plural}.{self.gvk.group}" if self.gvk.group else self.gvk.plural

    @property
    def key(self) -> tuple[str, str]:
        """Return apiVersion and kind."""
        return self.gvk.api_version, self.gvk.kind

    @property
    def singular(self) -> str:
        return self.gvk.kind.lower()

    @property
    def is_ours(self) -> bool:
        return self.gvk.group == GROUP

    @property
    def has_status(self) -> bool:
        """Say whether the type has a /status, which a write of the object leaves alone."""
        return any(part.name == "status" for part in self.parts)

    def part(self, name: str) -> Part | None:
        """Return the subresource of this name."""
        return next((part for part in self.parts if part.name == name), None)


def _status(kind: str) -> Part:
    return Part("status", kind)


def _scale() -> Part:
    return Part("scale", "Scale", group="autoscaling", version="v1")


POD_FIELDS = (
    "spec.hostNetwork",
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.schedulerName",
    "spec.serviceAccountName",
    "status.nominatedNodeName",
    "status.phase",
    "status.podIP",
    "status.podIPs",
)
CORE_EVENT_FIELDS = (
    *(f"involvedObject.{name}" for name in (
        "apiVersion", "fieldPath", "kind", "name", "namespace", "resourceVersion", "uid",
    )),
    "reason",
    "reportingComponent",
    "source",
    "type",
)  # fmt: skip
EVENT_FIELDS = (
    *(f"regarding.{name}" for name in (
        "apiVersion", "fieldPath", "kind", "name", "namespace", "resourceVersion", "uid",
    )),
    "reason",
    "reportingController",
    "type",
)  # fmt: skip

BUILT_IN = (
    Type(CONFIG_MAP, ("cm",)),
    Type(CORE_EVENT, ("ev",), selectable=CORE_EVENT_FIELDS),
    Type(NAMESPACE, ("ns",), parts=(_status("Namespace"),),
         verbs=tuple(verb for verb in ALL_VERBS if verb != "deletecollection"), selectable=("status.phase",)),
    Type(POD, ("po",), ("all",),
         (Part("log", "Pod", ("get",)), Part("proxy", "PodProxyOptions", PROXY_VERBS), _status("Pod")),
         selectable=POD_FIELDS),
    Type(SECRET, selectable=("type",)),
    Type(SERVICE_ACCOUNT, ("sa",)),
    Type(SERVICE, ("svc",), ("all",),
         (Part("proxy", "ServiceProxyOptions", PROXY_VERBS), _status("Service")),
         selectable=("spec.clusterIP", "spec.type")),
    Type(DEPLOYMENT, ("deploy",), ("all",), (_scale(), _status("Deployment"))),
    Type(REPLICA_SET, ("rs",), ("all",), (_scale(), _status("ReplicaSet"))),
    Type(JOB, (), ("all",), (_status("Job"),), selectable=("status.successful",)),
    Type(EVENT, ("ev",), selectable=EVENT_FIELDS),
    Type(LEASE),
    Type(DEFINITION, ("crd", "crds"), ("api-extensions",), verbs=READ_ONLY),
    Type(ACCESS_REVIEW, verbs=("create",)),
    Type(RULES_REVIEW, verbs=("create",)),
    Type(SELF_REVIEW, verbs=("create",)),
)  # fmt: skip

OURS = tuple(
    Type(
        Gvk(GROUP, VERSION, each.kind, PLURALS[each.kind]),
        (each.short_name,),
        ("treadle",),
        (_status(each.kind), *((_scale(),) if each.scale else ())),
        selectable=tuple(path.removeprefix(".") for path in each.selectable),
    )
    for each in DEFINITIONS
)

TYPES = (*BUILT_IN, *OURS)
BY_KIND = {each.key: each for each in TYPES}
NAMESPACE_TYPE = BY_KIND["v1", "Namespace"]
BY_PATH = {(each.gvk.group, each.gvk.version, each.gvk.plural): each for each in TYPES}
GROUPS: dict[str, tuple[str, ...]] = {
    "apps": ("v1",),
    "events.k8s.io": ("v1",),
    "authentication.k8s.io": ("v1",),
    "authorization.k8s.io": ("v1",),
    "batch": ("v1",),
    "apiextensions.k8s.io": ("v1",),
    "coordination.k8s.io": ("v1",),
    GROUP: (VERSION,),
}
"""The named groups in the order of their priority, which decides what a short word such as `ev` means."""


def gvk_of(raw: Any) -> str:
    """Return group, version and kind of an object as Go writes them: apps/v1, Kind=Deployment."""
    found = raw if isinstance(raw, dict) else {}
    group, _, version = str(found.get("apiVersion", "")).rpartition("/")
    return f"{group}/{version}, Kind={found.get('kind', '')}"


def of(raw: dict[str, Any]) -> Type:
    """Return the type of an object; one of its own for an object that is not served."""
    api_version, kind = raw["apiVersion"], raw["kind"]
    found = BY_KIND.get((api_version, kind))
    group, _, version = api_version.rpartition("/")
    return found or Type(Gvk(group, version, kind, f"{kind.lower()}s"))


def definitions(now: datetime) -> Iterable[dict[str, Any]]:
    """Yield our CustomResourceDefinitions as a server has them once they are served."""
    for each in DEFINITIONS:
        found = crd(each)
        name = found["metadata"]["name"]
        conditions = [
            {"type": "NamesAccepted", "status": "True", "reason": "NoConflicts", "message": "no conflicts found"},
            {
                "type": "Established",
                "status": "True",
                "reason": "InitialNamesAccepted",
                "message": "the initial names have been accepted",
            },
        ]
        metadata = {
            "name": name,
            "uid": str(uuid.uuid5(uuid.NAMESPACE_DNS, name)),
            "generation": 1,
            "creationTimestamp": stamp(now),
        }
        status = {
            "conditions": [{**condition, "lastTransitionTime": stamp(now)} for condition in conditions],
            "acceptedNames": found["spec"]["names"],
            "storedVersions": [VERSION],
        }
        yield {**found, "metadata": metadata, "status": status}


def in_group(group: str, version: str) -> Iterable[Type]:
    """Return the types of a group and version."""
    return [each for each in TYPES if (each.gvk.group, each.gvk.version) == (group, version)]
