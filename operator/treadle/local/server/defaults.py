"""What kube-apiserver fills into built-in objects besides what their schemas say: its defaulting functions, as data."""

import base64
from collections.abc import Callable, Iterator, Mapping
from typing import Any

type Object = dict[str, Any]

CONTAINERS = ("containers[]", "initContainers[]")
PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
PROBE = {"timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3}
CONTAINER = {"terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File"}
UNREADY = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
UNTIL_EVICTED = {"operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}
MODE = {"defaultMode": 0o644}

# Paths within a pod's spec, `[]` for each item; only what is there gets defaults.
POD_SPEC: Mapping[str, Object] = {
    "": {
        "restartPolicy": "Always",
        "terminationGracePeriodSeconds": 30,
        "dnsPolicy": "ClusterFirst",
        "securityContext": {},
        "schedulerName": "default-scheduler",
    },
    "volumes[].configMap": MODE,
    "volumes[].secret": MODE,
    "volumes[].projected": MODE,
    **dict.fromkeys(CONTAINERS, CONTAINER),
    **{f"{each}.env[].valueFrom.fieldRef": {"apiVersion": "v1"} for each in CONTAINERS},
    **{f"{each}.{probe}": PROBE for each in CONTAINERS for probe in PROBES},
    **{f"{each}.{probe}.httpGet": {"path": "/", "scheme": "HTTP"} for each in CONTAINERS for probe in PROBES},
}
TEMPLATE = {f"spec.template.spec.{path}".removesuffix("."): values for path, values in POD_SPEC.items()}

DEFAULTS: Mapping[str, Mapping[str, Object]] = {
    "Pod": {
        "spec": {**POD_SPEC[""], "enableServiceLinks": True},
        **{f"spec.{path}": values for path, values in POD_SPEC.items() if path},
    },
    "Job": {
        "spec": {
            "parallelism": 1,
            "completions": 1,
            "backoffLimit": 6,
            "completionMode": "NonIndexed",
            "suspend": False,
            "manualSelector": False,
            "podReplacementPolicy": "TerminatingOrFailed",
        },
        **TEMPLATE,
    },
    "Deployment": {
        "spec": {"replicas": 1, "revisionHistoryLimit": 10, "progressDeadlineSeconds": 600},
        "spec.strategy": {"type": "RollingUpdate"},
        **TEMPLATE,
    },
    "ReplicaSet": {"spec": {"replicas": 1}, **TEMPLATE},
    "Service": {"spec": {"type": "ClusterIP", "sessionAffinity": "None", "internalTrafficPolicy": "Cluster"}},
    "Secret": {"": {"type": "Opaque"}},
}


def fill(raw: Object) -> None:
    """Fill defaults into a built-in object."""
    kind = raw["kind"]
    if kind == "Job" and "podFailurePolicy" in raw["spec"]:
        raw["spec"].setdefault("podReplacementPolicy", "Failed")
    for path, values in DEFAULTS.get(kind, {}).items():
        for found in _at(raw, [step for step in path.split(".") if step]):
            for name, value in values.items():
                found.setdefault(name, value.copy() if isinstance(value, dict | list) else value)
    if kind in SPECIAL:
        SPECIAL[kind](raw)
    template = raw if kind == "Pod" else (raw.get("spec") or {}).get("template")
    for container in _containers(template or {}):
        image = container.get("image", "")
        tag = image.rpartition("/")[2].partition("@")[0].partition(":")[2]
        is_latest = "@" not in image and tag in ("", "latest")
        container.setdefault("imagePullPolicy", "Always" if is_latest else "IfNotPresent")


def prepare(new: Object, uid: str) -> None:
    """Give a new built-in object what nobody owns: what the server's strategies and admission plugins fill in."""
    if new["kind"] in PREPARED:
        PREPARED[new["kind"]](new, uid)


def _containers(pod: Object) -> Iterator[Object]:
    for name in ("initContainers", "containers"):
        yield from (pod.get("spec") or {}).get(name) or ()


def _at(found: Any, steps: list[str]) -> Iterator[Object]:
    if not steps:
        if isinstance(found, dict):
            yield found
        return
    step, rest = steps[0], steps[1:]
    child = found.get(step.removesuffix("[]")) if isinstance(found, dict) else None
    for each in child or () if step.endswith("[]") else (child,):
        yield from _at(each, rest)


def _deployment(raw: Object) -> None:
    strategy = raw["spec"]["strategy"]
    if strategy["type"] == "RollingUpdate":
        rolling = strategy.setdefault("rollingUpdate", {})
        rolling.setdefault("maxUnavailable", "25%")
        rolling.setdefault("maxSurge", "25%")


def _service(raw: Object) -> None:
    for port in raw["spec"].get("ports") or ():
        port.setdefault("targetPort", port["port"])


def _secret(raw: Object) -> None:
    plain = raw.pop("stringData", None) or {}
    coded = {key: base64.b64encode(text.encode()).decode() for key, text in plain.items()}
    if coded:
        raw["data"] = {**(raw.get("data") or {}), **coded}


def _namespace(raw: Object) -> None:
    labels = raw["metadata"].setdefault("labels", {})
    labels["kubernetes.io/metadata.name"] = raw["metadata"].get("name", "")


def _pod(raw: Object) -> None:
    status = raw.get("status") or {}
    if status.get("podIP") and not status.get("podIPs"):
        status["podIPs"] = [{"ip": status["podIP"]}]


def _new_pod(new: Object, uid: str) -> None:
    spec = new["spec"]
    spec.setdefault("priority", 0)
    spec.setdefault("preemptionPolicy", "PreemptLowerPriority")
    known = {each.get("key") for each in spec.get("tolerations") or ()}
    added = [{"key": key, **UNTIL_EVICTED} for key in UNREADY if key not in known]
    spec["tolerations"] = [*(spec.get("tolerations") or ()), *added]


def _new_job(new: Object, uid: str) -> None:
    spec, metadata = new["spec"], new["metadata"]
    if spec.get("manualSelector"):
        return
    name = metadata["name"]
    labels = {
        "batch.kubernetes.io/controller-uid": uid,
        "batch.kubernetes.io/job-name": name,
        "controller-uid": uid,
        "job-name": name,
    }
    template = spec["template"].setdefault("metadata", {})
    template["labels"] = {**(template.get("labels") or {}), **labels}
    # The labels of the template that were sent are the Job's too.
    metadata["labels"] = {**(metadata.get("labels") or template["labels"])}
    spec["selector"] = {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}


def _new_service(new: Object, uid: str) -> None:
    spec = new["spec"]
    if spec["type"] == "ExternalName":
        return
    # There is no network to give an address in: a Service is reached through the API's proxy.
    address = spec.setdefault("clusterIP", "None")
    spec.setdefault("clusterIPs", [address])
    spec.setdefault("ipFamilies", ["IPv4"])
    spec.setdefault("ipFamilyPolicy", "SingleStack")


def _new_namespace(new: Object, uid: str) -> None:
    new["spec"] = {"finalizers": ["kubernetes"]}


PREPARED: Mapping[str, Callable[[Object, str], None]] = {
    "Job": _new_job,
    "Namespace": _new_namespace,
    "Pod": _new_pod,
    "Service": _new_service,
}
SPECIAL: Mapping[str, Callable[[Object], None]] = {
    "Deployment": _deployment,
    "Namespace": _namespace,
    "Pod": _pod,
    "Secret": _secret,
    "Service": _service,
}
