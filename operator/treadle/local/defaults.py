"""What kube-apiserver fills into built-in objects besides what their schemas say: its defaulting functions, as data."""

import base64
from collections.abc import Callable, Iterator, Mapping
from typing import Any

type Object = dict[str, Any]

CONTAINERS = ("containers[]", "initContainers[]")
PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
PROBE = {"timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3}
CONTAINER = {"terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File"}
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
    "Namespace": {"spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}},
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


SPECIAL: Mapping[str, Callable[[Object], None]] = {
    "Deployment": _deployment,
    "Namespace": _namespace,
    "Secret": _secret,
    "Service": _service,
}
