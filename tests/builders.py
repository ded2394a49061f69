"""Objects of the four kinds, results of steps, and Jobs with their pods, so that a row shows what matters to it."""

from collections.abc import Mapping, Sequence
from typing import Any

from treadle.api.names import API_VERSION, LABEL_KIND, LABEL_MANAGED_BY, LABEL_NAME, MANAGER
from treadle.api.step import IngestResult, MonitorResult, StepResult, TrainResult, write_result
from treadle.control.engine.ports import Object

CREATED = "2026-01-05T07:00:00Z"
AT = "2026-01-05T08:00:00Z"


def digest(letter: str) -> str:
    """Return the digest that is one hex digit, 64 times."""
    return f"sha256:{letter * 64}"


def resource(kind: str, name: str, spec: Object, status: Object | None = None, **metadata: Any) -> Object:
    """Return an object as the API server would answer it."""
    return {
        "apiVersion": API_VERSION,
        "kind": kind,
        "metadata": {
            "name": name,
            "namespace": "demo",
            "uid": f"uid-{kind}-{name}",
            "generation": 1,
            "resourceVersion": "1",
            "creationTimestamp": CREATED,
            **metadata,
        },
        "spec": spec,
        **({"status": status} if status is not None else {}),
    }


def condition(type_: str, status: str, reason: str, message: str = "") -> Object:
    """Return a condition as it stands in a status."""
    return {
        "type": type_, "status": status, "reason": reason, "message": message,
        "lastTransitionTime": AT, "observedGeneration": 1,
    }  # fmt: skip


def splits(rows: int = 10000, until: str | None = None) -> Object:
    """Return the parts of a version of so many rows; until: the time of its newest row."""
    times = {"from": "2025-01-01T00:00:00Z", "until": until} if until else {}
    holdout = {"rows": rows // 5, "digest": digest("9"), **times}
    return {"train": {"rows": rows - rows // 5, "digest": digest("8"), **times}, "holdout": holdout}


def version(letter: str = "d", rows: int = 10000, until: str | None = None) -> Object:
    """Return a DataSource's currentVersion."""
    return {
        "digest": digest(letter),
        "short": letter * 12,
        "contentDigest": digest(letter),
        "storageUri": f"s3://ml/treadle/v1/ns/datasets/{letter * 64}.json",
        "rows": rows,
        "bytes": 4096,
        "publishedAt": AT,
        "schemaDigest": digest("7"),
        "splits": splits(rows, until),
    }


def data_source(
    name: str = "flights",
    *,
    current: str | None = None,
    inline: bool = False,
    suspended: bool = False,
    status: Object | None = None,
    metadata: Mapping[str, Any] | None = None,
    **spec: Any,
) -> Object:
    """Return a DataSource on S3, or inline; current: the letter of its version's digest."""
    s3 = {"s3": {"storageUri": "s3://raw/flights/", "secretRef": {"name": "treadle-raw"}}}
    found = {"currentVersion": version(current)} if current else {}
    return resource(
        "DataSource",
        name,
        {
            "source": {"inline": {"configMapRef": {"name": "rows"}}} if inline else s3,
            "format": {"name": "csv"},
            "schema": {
                "columns": [
                    {"name": "distance", "type": "integer"},
                    {"name": "late", "type": "boolean", "role": "target"},
                ]
            },
            **({"suspend": True} if suspended else {}),
            **spec,
        },
        {**found, **(status or {})} if found or status else None,
        **(metadata or {}),
    )


def recipe(against: str | None = None, **spec: Any) -> Object:
    """Return a TrainingJob's spec; against: the ModelDeployment whose champion is to beat."""
    gate = {"gate": {"against": {"deploymentRef": {"name": against}}}} if against else {}
    return {
        "modelName": "flights-late",
        "dataRef": {"name": "flights"},
        "task": "BinaryClassification",
        "estimator": {"name": "LogisticRegression"},
        "objective": {"metric": "average_precision"},
        **gate,
        **spec,
    }


def training_job(
    name: str = "first",
    *,
    against: str | None = None,
    suspended: bool = False,
    status: Object | None = None,
    metadata: Mapping[str, Any] | None = None,
    **spec: Any,
) -> Object:
    """Return a TrainingJob on the newest version of DataSource flights."""
    held = {"suspend": True} if suspended else {}
    return resource("TrainingJob", name, recipe(against, **held, **spec), status, **(metadata or {}))


def champion(letter: str = "a", data: str = "d", version: str = "v1") -> Object:
    """Return a ModelDeployment's champion by the letters of its digest and its data's."""
    return {"version": version, "digest": digest(letter), "since": AT, "dataDigest": digest(data)}


def model_deployment(
    name: str = "flights-late",
    *,
    champion: Object | None = None,
    template: bool = True,
    status: Object | None = None,
    metadata: Mapping[str, Any] | None = None,
    **spec: Any,
) -> Object:
    """Return a ModelDeployment, with a template for retrains unless told otherwise."""
    training = {"training": {"template": {"spec": recipe()}}} if template else {}
    found = {"champion": champion} if champion else {}
    return resource(
        "ModelDeployment",
        name,
        {"modelName": "flights-late", **training, **spec},
        {**found, **(status or {})} if found or status else None,
        **(metadata or {}),
    )


def monitor(
    name: str = "flights-late",
    *,
    target: str = "flights-late",
    suspended: bool = False,
    status: Object | None = None,
    metadata: Mapping[str, Any] | None = None,
    **spec: Any,
) -> Object:
    """Return a Monitor of windows of an hour."""
    held = {"suspend": True} if suspended else {}
    default = {"targetRef": {"name": target}, "window": {"size": "1h", "minSamples": 30}}
    return resource("Monitor", name, {**default, **held, **spec}, status, **(metadata or {}))


def owner_of(raw: Object) -> Object:
    """Return the metadata that a child of `raw` carries."""
    found = raw["metadata"]
    return {
        "namespace": found["namespace"],
        "labels": {LABEL_MANAGED_BY: MANAGER, LABEL_KIND: raw["kind"], LABEL_NAME: found["name"]},
        "ownerReferences": [{"kind": raw["kind"], "name": found["name"], "uid": found["uid"], "controller": True}],
    }


WORKER = "registry.example/treadle-worker:1"
"""The image of the settings that tests use."""


def job(owner: Object, name: str, *, created: str = AT, status: Object | None = None, **spec: Any) -> Object:
    """Return a Job of an object, under way unless its status says otherwise."""
    metadata = {**owner_of(owner), "name": name, "uid": f"uid-{name}", "creationTimestamp": created}
    started = {"startTime": created} if status is None else status
    template = {"spec": {"containers": [{"name": "step", "image": WORKER}]}}
    made = {"template": template, **spec}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": made, "status": started}


def over(how: str = "Complete", at: str = "2026-01-05T08:05:00Z", reason: str = "") -> Object:
    """Return the status of a Job that is over: Complete or Failed."""
    why = {"reason": reason} if reason else {}
    return {"conditions": [{"type": how, "status": "True", "lastTransitionTime": at, **why}]}


def pod(job: Object, state: Object, name: str = "", phase: str = "", **status: Any) -> Object:
    """Return a pod of a Job, its container `step` in a state such as {"running": {}}."""
    found = job["metadata"]
    named = name or f"{found['name']}-x"
    reference = {"kind": "Job", "name": found["name"], "uid": found["uid"], "controller": True}
    default = "Running" if "running" in state else "Pending" if "waiting" in state else "Succeeded"
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": named, "namespace": found["namespace"], "uid": f"uid-{named}", "labels": found.get("labels", {}),
            "creationTimestamp": found["creationTimestamp"], "ownerReferences": [reference],
        },
        "spec": {"containers": [{"name": "step", "resources": {"limits": {"memory": "2Gi"}}}]},
        "status": {
            "phase": phase or default, "podIP": "10.0.0.9", **status,
            "containerStatuses": [{"name": "step", "image": "worker:1", "state": state}],
        },
    }  # fmt: skip


def ended_pod(job: Object, result: StepResult | None, exit_code: int = 0, reason: str = "Completed") -> Object:
    """Return the pod of a step that ended, with its result as the termination message."""
    message = {"message": write_result(result).decode()} if result is not None else {}
    return pod(job, {"terminated": {"exitCode": exit_code, "reason": reason, **message}})


def ingest_result(outcome: str = "Published", letter: str = "d", rows: int = 10000, **changes: Any) -> IngestResult:
    """Return how a fetch ended."""
    published = {
        key: value for key, value in version(letter, rows).items() if key not in ("short", "publishedAt", "warnings")
    }
    is_good = outcome in ("Published", "Unchanged")
    return IngestResult.parse(
        {
            "run": "0123456789",
            "outcome": outcome,
            "reason": "VersionPublished",
            "message": f"{rows} rows",
            "startedAt": AT,
            "completedAt": "2026-01-05T08:04:00Z",
            **({"version": published} if is_good else {}),
            **changes,
        }
    )


def train_result(outcome: str = "Promote", letter: str = "b", **changes: Any) -> TrainResult:
    """Return how a run ended; letter: of the model's digest."""
    reasons = {"Promote": "AllChecksPassed", "Hold": "NotBetter", "Reject": "FloorMissed", "Inconclusive": "TooFewRows"}
    judged = {
        "gate": {"verdict": outcome, "champion": digest("a"), "holdoutDigest": digest("9"), "holdoutUses": 1},
        "model": {
            "version": "v2", "digest": digest(letter), "storageUri": "s3://ml/models/b.json", "format": "onnx",
        },
        "metrics": [{"name": "average_precision", "value": "0.861", "lower": "0.854", "upper": "0.868"}],
    }  # fmt: skip
    return TrainResult.parse(
        {
            "run": "0123456789",
            "outcome": outcome,
            "reason": reasons.get(outcome, "TrainingError"),
            "message": "average_precision 0.861",
            "failed": None if outcome == "Promote" else "GatePassed" if outcome in reasons else "Trained",
            "startedAt": AT,
            "completedAt": "2026-01-05T08:04:00Z",
            **(judged if outcome in reasons else {}),
            **changes,
        }
    )


def monitor_result(
    outcome: str = "Healthy", window: Sequence[str] = ("2026-01-05T07:00:00Z", AT), letter: str = "a", **changes: Any
) -> MonitorResult:
    """Return how a window looked: Healthy, Suspected, Detected (quality breached), Insufficient or Failed."""
    flows, moved, breached = {
        "Healthy": (["True", "Enough"], ["False", "NoDrift"], ["False", "WithinLimits"]),
        "Suspected": (["True", "Enough"], ["True", "ColumnsMoved"], ["False", "WithinLimits"]),
        "Detected": (["True", "Enough"], ["False", "NoDrift"], ["True", "TooManyNulls"]),
    }.get(outcome, (["False", "Insufficient"], ["Unknown", "Insufficient"], ["Unknown", "Insufficient"]))
    column = {
        "name": "dest",
        "test": "chi2",
        "statistic": "214.6",
        "pValue": "0",
        "adjustedPValue": "0",
        "effect": "0.21",
    }
    pairs = {"DataFlowing": flows, "DriftSuspected": moved, "QualityBreached": breached}
    samples = 10 if outcome == "Insufficient" else 961
    judged = {
        "window": {"start": window[0], "end": window[1], "samples": samples, "champion": digest(letter)},
        "findings": {
            type_: {"status": pair[0], "reason": pair[1], **({"column": "dest"} if pair[0] == "True" else {})}
            for type_, pair in pairs.items()
        },
        **({"drift": {"score": "0.17", "columns": [column]}} if outcome != "Insufficient" else {}),
        "reportUri": "s3://ml/reports/r.html",
    }
    return MonitorResult.parse(
        {
            "run": "0123456789",
            "outcome": outcome,
            "reason": {"Suspected": "ColumnsMoved", "Detected": "TooManyNulls", "Healthy": "NoDrift"}.get(
                outcome, "Insufficient"
            ),
            "message": "dest moved most (effect 0.21); 2 of 7 columns" if outcome == "Suspected" else "",
            "startedAt": AT,
            "completedAt": "2026-01-05T08:04:00Z",
            **(judged if outcome != "Failed" else {}),
            **changes,
        }
    )
