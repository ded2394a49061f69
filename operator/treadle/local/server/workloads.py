"""What kube-apiserver asks of the built-in objects that people and operators write most, besides their schemas.

Not all of its rules: those that a manifest for this cluster can break without being told by a controller.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from treadle.local.schema.causes import Cause, forbidden, invalid, not_supported, required

type Object = dict[str, Any]

RESTARTS = ("Always", "OnFailure", "Never")
LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
OLD_LABEL = "[a-z]([-a-z0-9]*[a-z0-9])?"
OF_LABEL = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with "
    f"an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '{LABEL}')"
)
OF_OLD_LABEL = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, "
    "and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is "
    f"'{OLD_LABEL}')"
)
MAY_CHANGE = (
    "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
    "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)
CHANGING = ("activeDeadlineSeconds", "tolerations", "terminationGracePeriodSeconds", "nodeName")


def judge(new: Object, live: Object | None) -> list[Cause]:
    """Return what is wrong with an object of a built-in type."""
    rules = RULES.get(new["kind"])
    return [] if rules is None else list(rules(new, live))


def named(kind: str, name: str) -> list[Cause] | None:
    """Return what is wrong with a name of a kind that is stricter with names than others; None for other kinds."""
    if kind == "Namespace":
        if "." in name:
            return [invalid("metadata.name", name, "must not contain dots")]
        return [] if re.fullmatch(LABEL, name) else [invalid("metadata.name", name, OF_LABEL)]
    if kind == "Service":
        return [] if re.fullmatch(OLD_LABEL, name) else [invalid("metadata.name", name, OF_OLD_LABEL)]
    return None


def _pod(new: Object, live: Object | None) -> Iterator[Cause]:
    yield from _pod_spec(new.get("spec") or {}, "spec", RESTARTS)
    if live is not None and _fixed(new["spec"]) != _fixed(live["spec"]):
        yield forbidden("spec", MAY_CHANGE)


def _job(new: Object, live: Object | None) -> Iterator[Cause]:
    spec = new["spec"].get("template", {}).get("spec") or {}
    yield from _pod_spec(spec, "spec.template.spec", RESTARTS)
    if spec.get("restartPolicy", "Always") == "Always":
        yield required("spec.template.spec.restartPolicy", 'valid values: "OnFailure", "Never"')


def _replicated(new: Object, live: Object | None) -> Iterator[Cause]:
    spec = new["spec"]
    template = spec.get("template") or {}
    labels = (template.get("metadata") or {}).get("labels")
    selector = spec.get("selector")
    if not selector:
        yield required("spec.selector")
    wanted = (selector or {}).get("matchLabels") or {}
    if not wanted.items() <= (labels or {}).items() or not labels:
        yield invalid("spec.template.metadata.labels", labels, "`selector` does not match template `labels`")
    if spec.get("replicas", 1) < 0:
        yield invalid("spec.replicas", spec["replicas"], "must be greater than or equal to 0")
    yield from _pod_spec(template.get("spec") or {}, "spec.template.spec", ("Always",))


def _service(new: Object, live: Object | None) -> Iterator[Cause]:
    spec = new["spec"]
    if not spec.get("ports") and spec["type"] != "ExternalName" and spec.get("clusterIP") != "None":
        yield required("spec.ports")


def _secret(new: Object, live: Object | None) -> Iterator[Cause]:
    if new.get("type") == "kubernetes.io/tls":
        for key in ("tls.crt", "tls.key"):
            if key not in (new.get("data") or {}):
                yield required(f"data[{key}]")


def _lease(new: Object, live: Object | None) -> Iterator[Cause]:
    seconds = (new.get("spec") or {}).get("leaseDurationSeconds")
    if seconds is not None and seconds <= 0:
        yield invalid("spec.leaseDurationSeconds", seconds, "must be greater than 0")


def _pod_spec(spec: Object, at: str, restarts: tuple[str, ...]) -> Iterator[Cause]:
    if not spec.get("containers"):
        yield required(f"{at}.containers")
    for name in ("initContainers", "containers"):
        for position, container in enumerate(spec.get(name) or ()):
            yield from _container(container, f"{at}.{name}[{position}]")
    if spec.get("restartPolicy", "Always") not in restarts:
        yield not_supported(f"{at}.restartPolicy", spec["restartPolicy"], restarts)


def _container(container: Object, at: str) -> Iterator[Cause]:
    name = container.get("name")
    if not name:
        yield required(f"{at}.name")
    elif not re.fullmatch(LABEL, name):
        yield invalid(f"{at}.name", name, OF_LABEL)
    if not container.get("image"):
        yield required(f"{at}.image")


def _fixed(spec: Object) -> Object:
    """Return the part of a pod's spec that cannot change."""
    images = {
        name: [{**each, "image": ""} for each in spec.get(name) or ()] for name in ("containers", "initContainers")
    }
    return {key: value for key, value in {**spec, **images}.items() if key not in CHANGING}


RULES: Mapping[str, Callable[[Object, Object | None], Iterator[Cause]]] = {
    "Deployment": _replicated,
    "Job": _job,
    "Lease": _lease,
    "Pod": _pod,
    "ReplicaSet": _replicated,
    "Secret": _secret,
    "Service": _service,
}
