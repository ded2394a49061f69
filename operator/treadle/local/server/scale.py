"""The scale subresource: how many replicas an object wants and has, whatever else it is."""

from typing import Any

from treadle.local.server.cells import found, pairs

type Object = dict[str, Any]


def of(raw: Object) -> Object:
    """Return an object's scale."""
    metadata = raw["metadata"]
    named = {key: metadata[key] for key in ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")}
    selector = found(raw, ".status.selector") or _labels(raw)
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": named,
        "spec": {"replicas": wanted} if (wanted := found(raw, ".spec.replicas")) else {},
        "status": {
            "replicas": found(raw, ".status.replicas") or 0,
            **({"selector": selector} if selector else {}),
        },
    }


def scaled(raw: Object, sent: Object) -> Object:
    """Return an object with the replicas of a scale; the version of the scale is the object's."""
    version = (sent.get("metadata") or {}).get("resourceVersion") or raw["metadata"]["resourceVersion"]
    replicas = (sent.get("spec") or {}).get("replicas", 0)
    metadata = {**raw["metadata"], "resourceVersion": version}
    return {**raw, "metadata": metadata, "spec": {**raw["spec"], "replicas": replicas}}


def _labels(raw: Object) -> str:
    labels = found(raw, ".spec.selector.matchLabels")
    return pairs(labels) if labels else ""
