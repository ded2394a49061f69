"""Group, labels, annotations and the names of children, computed from their inputs alone."""

import hashlib
import json
from typing import Any

GROUP = "treadle.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
MANAGER = "treadle"

PLURALS = {
    "DataSource": "datasources",
    "TrainingJob": "trainingjobs",
    "ModelDeployment": "modeldeployments",
    "Monitor": "monitors",
}

LABEL_MANAGED_BY = "app.kubernetes.io/managed-by"
LABEL_KIND = f"{GROUP}/kind"
LABEL_NAME = f"{GROUP}/name"
LABEL_ROLE = f"{GROUP}/role"
LABEL_FOR_RUNS = f"{GROUP}/for-runs"

ANNOTATION_REQUESTED_AT = f"{GROUP}/requested-at"
ANNOTATION_PROMOTE = f"{GROUP}/promote"
ANNOTATION_ROLLBACK = f"{GROUP}/rollback"
ANNOTATION_UNQUARANTINE = f"{GROUP}/unquarantine"
ANNOTATION_RUN_KEY = f"{GROUP}/run-key"
ANNOTATION_ATTEMPT = f"{GROUP}/attempt"
ANNOTATION_PLAN = f"{GROUP}/plan"


def labels(kind: str, name: str, role: str) -> dict[str, str]:
    """Return the labels of a child: who manages it, whose it is, and what it is for."""
    return {LABEL_MANAGED_BY: MANAGER, LABEL_KIND: kind, LABEL_NAME: name, LABEL_ROLE: role}


def canonical(value: Any) -> bytes:
    """Return canonical JSON: UTF-8, sorted keys, no spaces; raise ValueError for a float, whose text is no identity."""
    _refuse_floats(value)
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def sha256(value: Any) -> str:
    """Return the 64 hex digits of SHA-256 over a value's canonical JSON."""
    return hashlib.sha256(canonical(value)).hexdigest()


def short_hash(*parts: Any) -> str:
    """Return the ten hex digits by which children of different inputs have different names."""
    return sha256(list(parts))[:10]


def job_name(kind: str, parent: str, run_key: str, attempt: int) -> str:
    """Return the name of the Job of one attempt: the same inputs are the same Job."""
    return f"{parent}-{short_hash(kind, run_key, attempt)}"


def server_name(deployment: str) -> str:
    """Return the name of the Deployment that serves a ModelDeployment."""
    return f"{deployment}-server"


def plan_name(deployment: str) -> str:
    """Return the name of the ConfigMap that holds a ModelDeployment's release plan."""
    return f"{deployment}-plan"


def short(digest: str) -> str:
    """Return the twelve hex digits by which people name a digest."""
    return digest.removeprefix("sha256:")[:12]


def _refuse_floats(value: Any) -> None:
    if isinstance(value, float):
        raise ValueError(f"{value!r} is a float; an identity holds decimal strings")
    if isinstance(value, dict):
        for item in value.values():
            _refuse_floats(item)
    if isinstance(value, list | tuple):
        for item in value:
            _refuse_floats(item)
