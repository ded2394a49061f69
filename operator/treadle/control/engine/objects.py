"""Reading and writing the metadata of objects: who they are, whose they are, and what they are for."""

from collections.abc import Mapping
from typing import Any

from treadle.api.blocks import Resource
from treadle.api.names import API_VERSION, labels
from treadle.control.engine.ports import Key, Object


def owned(
    owner: Resource,
    *,
    name: str,
    role: str,
    extra_labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
) -> Object:
    """Return the metadata of a child: its name, its owner's labels, and the reference by which it goes with it."""
    return {
        "name": name,
        "namespace": owner.metadata.namespace,
        "labels": {**(extra_labels or {}), **labels(owner.kind, owner.metadata.name, role)},
        **({"annotations": dict(annotations)} if annotations else {}),
        "ownerReferences": [
            {
                "apiVersion": API_VERSION,
                "kind": owner.kind,
                "name": owner.metadata.name,
                "uid": owner.metadata.uid,
                "controller": True,
                "blockOwnerDeletion": False,
            }
        ],
    }


def keep(live: Object) -> Object:
    """Return the wish that an existing Job or TrainingJob stays as it is; prune deletes what nobody wishes."""
    found = live["metadata"]
    return {
        "apiVersion": live["apiVersion"],
        "kind": live["kind"],
        "metadata": {"name": found["name"], "namespace": found["namespace"], "uid": found["uid"]},
    }


def touch(pod: Object, annotations: Mapping[str, str]) -> Object:
    """Return the wish that this very pod carries the annotations: kubelet then refreshes its mounts at once."""
    found = pod["metadata"]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": found["name"],
            "namespace": found["namespace"],
            "uid": found["uid"],
            "annotations": dict(annotations),
        },
    }


def is_deleting(raw: Object) -> bool:
    """Say whether the object is on its way out."""
    return raw["metadata"].get("deletionTimestamp") is not None


def controller_uid(raw: Object) -> str | None:
    """Return the uid of the object's controller, if it has one."""
    references: list[dict[str, Any]] = raw["metadata"].get("ownerReferences") or []
    return next((str(reference["uid"]) for reference in references if reference.get("controller")), None)


def identity(raw: Object) -> tuple[str, str]:
    """Return kind and name, by which a child is told from its siblings."""
    return raw["kind"], raw["metadata"]["name"]


def told(owner: Object) -> str:
    """Return how a log line names an object."""
    return str(Key(owner["kind"], owner["metadata"]["namespace"], owner["metadata"]["name"]))
