"""Plays Job controller and kubelet for a benchmark without a node: each waiting Job ends with a result."""

import concurrent.futures
import json
from typing import Any

from tests.control_plane import ControlPlane

NOW = "2026-01-05T08:00:00Z"
DIGEST = "sha256:" + "9f" * 32


def finish_jobs(plane: ControlPlane) -> int:
    """End each Job that has no end yet; return how many."""
    jobs = plane.request("GET", "/apis/batch/v1/jobs?labelSelector=app.kubernetes.io/managed-by=treadle")[1]["items"]
    waiting = [job for job in jobs if not (job.get("status") or {}).get("completionTime")]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda job: finish(plane, job), waiting))
    return len(waiting)


def finish(plane: ControlPlane, job: dict[str, Any]) -> None:
    """Give a Job the pod that ran it, and the Job's own end."""
    namespace, name = job["metadata"]["namespace"], job["metadata"]["name"]
    template = job["spec"]["template"]
    marks = {"job-name": name, "batch.kubernetes.io/job-name": name}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"{name}-x",
            "namespace": namespace,
            "labels": {**template["metadata"]["labels"], **marks},
            "ownerReferences": [
                {
                    "apiVersion": "batch/v1",
                    "kind": "Job",
                    "name": name,
                    "uid": job["metadata"]["uid"],
                    "controller": True,
                }
            ],
        },
        "spec": template["spec"],
    }
    asked(plane, "POST", f"/api/v1/namespaces/{namespace}/pods", pod)
    ended = {"exitCode": 0, "reason": "Completed", "startedAt": NOW, "finishedAt": NOW, "message": result(job)}
    image = template["spec"]["containers"][0]["image"]
    container = {
        "name": "step",
        "image": image,
        "imageID": image,
        "ready": False,
        "restartCount": 0,
        "state": {"terminated": ended},
    }
    status = {"status": {"phase": "Succeeded", "containerStatuses": [container]}}
    asked(plane, "PATCH", f"/api/v1/namespaces/{namespace}/pods/{name}-x/status", status)
    conditions = [
        {"type": type_, "status": "True", "lastTransitionTime": NOW, "lastProbeTime": NOW}
        for type_ in ("SuccessCriteriaMet", "Complete")
    ]
    done = {"status": {"startTime": NOW, "completionTime": NOW, "succeeded": 1, "conditions": conditions}}
    asked(plane, "PATCH", f"/apis/batch/v1/namespaces/{namespace}/jobs/{name}/status", done)


def asked(plane: ControlPlane, method: str, path: str, body: Any) -> None:
    """Ask the API server, and raise where it refuses."""
    content = "application/merge-patch+json" if method == "PATCH" else "application/json"
    status, answer = plane.request(method, path, body, content)
    if status >= 300:
        raise RuntimeError(f"{method} {path}: {answer}")


def result(job: dict[str, Any]) -> str:
    """Return the termination message: a published version for ingest, a failed recipe for train."""
    step = job["spec"]["template"]["spec"]["containers"][0]["args"][0]
    told = {"v": 1, "step": step, "run": job["metadata"]["name"][-10:], "startedAt": NOW, "completedAt": NOW}
    if step != "ingest":
        failed = {
            "outcome": "Failed",
            "reason": "TrainingError",
            "message": "a recipe that cannot fit",
            "failed": "Trained",
        }
        return json.dumps({**told, **failed})
    split = {"rows": 100, "digest": DIGEST}
    version = {
        "digest": DIGEST, "contentDigest": DIGEST, "schemaDigest": DIGEST, "rows": 300, "bytes": 1000,
        "storageUri": "s3://ml/x", "splits": {"train": split, "validation": split, "holdout": split},
    }  # fmt: skip
    return json.dumps({**told, "outcome": "Published", "reason": "VersionPublished", "version": version})
