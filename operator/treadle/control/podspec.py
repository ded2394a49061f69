"""Pod parts that all children share: security, mounts, resources, and the Job of one step."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from treadle.api.blocks import JobTemplate, Pod, Resource
from treadle.api.names import ANNOTATION_ATTEMPT, ANNOTATION_RUN_KEY, LABEL_FOR_RUNS, canonical, labels
from treadle.api.step import (
    DEFAULT_MOUNTS,
    ENV_MOUNTS,
    ENV_STEP,
    EXIT_CHECKPOINTED,
    EXIT_NO_RETRY,
    PROGRESS_PORT,
)
from treadle.control.engine.objects import owned
from treadle.control.engine.ports import Object
from treadle.control.settings import Settings

USER_ID = 65532
STEP = "step"
"""The container whose exit code and termination message count."""
TEMPORARY_SIZE = "2Gi"
EPHEMERAL_LIMIT = "4Gi"

JOB_RESOURCES: Object = {"requests": {"cpu": "250m", "memory": "512Mi"}, "limits": {"memory": "2Gi"}}
SERVER_RESOURCES: Object = {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"memory": "1Gi"}}

CONTAINER_SECURITY: Object = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
}
POD_SECURITY: Object = {
    "fsGroup": USER_ID,
    "runAsGroup": USER_ID,
    "runAsNonRoot": True,
    "runAsUser": USER_ID,
    "seccompProfile": {"type": "RuntimeDefault"},
}


@dataclass(frozen=True, slots=True)
class Mounts:
    """What a pod mounts besides /tmp."""

    secrets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Secrets below /treadle/secrets/<name>/ with the keys to mount; no key: all."""
    configs: tuple[str, ...] = ()
    """ConfigMaps below /treadle/configs/<name>/."""


@dataclass(frozen=True, slots=True)
class Run:
    """One attempt of a step: its name hashes kind, run key and attempt."""

    name: str
    step: str
    """ingest, train, monitor or sweep: the program's argument and the Job's role."""
    spec: Object
    """The StepSpec, as JSON values."""
    run_key: str
    attempt: int = 0


def resources(pod: Pod | None, default: Object) -> Object:
    """Return the container's resources: the user's, or the default, always with a bound on local disk."""
    given = pod.resources.dump() if pod is not None and pod.resources is not None else default
    limits = {"ephemeral-storage": EPHEMERAL_LIMIT, **given.get("limits", {})}
    return {**given, "limits": limits}


def volumes(mounts: Mounts) -> list[Object]:
    """Return the pod's volumes; a missing Secret or ConfigMap is for the program to report, so each is optional."""
    return [
        {"name": "tmp", "emptyDir": {"sizeLimit": TEMPORARY_SIZE}},
        *(
            {"name": f"secret-{index}", "secret": {"secretName": name, "optional": True, **_items(keys)}}
            for index, (name, keys) in enumerate(sorted(mounts.secrets.items()))
        ),
        *(
            {"name": f"config-{index}", "configMap": {"name": name, "optional": True}}
            for index, name in enumerate(mounts.configs)
        ),
    ]


def volume_mounts(mounts: Mounts) -> list[Object]:
    """Return the container's mounts of `volumes`; directories, never a subPath, which no update reaches."""
    return [
        {"name": "tmp", "mountPath": "/tmp"},
        *(
            {"name": f"secret-{index}", "mountPath": f"{DEFAULT_MOUNTS}/secrets/{name}", "readOnly": True}
            for index, name in enumerate(sorted(mounts.secrets))
        ),
        *(
            {"name": f"config-{index}", "mountPath": f"{DEFAULT_MOUNTS}/configs/{name}", "readOnly": True}
            for index, name in enumerate(mounts.configs)
        ),
    ]


def pod_metadata(owner: Resource, role: str, pod: Pod | None, annotations: Mapping[str, str] | None = None) -> Object:
    """Return the metadata of a pod template; the user's labels never replace ours."""
    marks = {**((pod and pod.annotations) or {}), **(annotations or {})}
    return {
        "labels": {**((pod and pod.labels) or {}), **labels(owner.kind, owner.metadata.name, role)},
        **({"annotations": marks} if marks else {}),
    }


def pod_spec(container: Object, mounts: Mounts, pod: Pod | None) -> Object:
    """Return the spec of a pod with one container: hardened, without an API token, placed as the user wishes."""
    chosen = pod.dump() if pod is not None else {}
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": POD_SECURITY,
        "containers": [container],
        "volumes": volumes(mounts),
        **{
            key: chosen[key]
            for key in ("serviceAccountName", "nodeSelector", "tolerations", "priorityClassName", "imagePullSecrets")
            if key in chosen
        },
    }


def step_job(
    owner: Resource, run: Run, template: JobTemplate, mounts: Mounts, settings: Settings, *, suspended: bool = False
) -> Object:
    """Return the Job that runs one attempt of a step in the worker's image."""
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": owned(
            owner,
            name=run.name,
            role=run.step,
            annotations={ANNOTATION_RUN_KEY: run.run_key, ANNOTATION_ATTEMPT: str(run.attempt)},
        ),
        "spec": {
            "suspend": suspended,
            "backoffLimit": template.backoff_limit,
            "activeDeadlineSeconds": template.active_deadline_seconds,
            "ttlSecondsAfterFinished": template.ttl_seconds_after_finished,
            "podReplacementPolicy": "Failed",
            "podFailurePolicy": failure_policy(),
            "template": {
                "metadata": pod_metadata(owner, run.step, template.pod),
                "spec": {
                    **pod_spec(step_container(run, template.pod, mounts, settings), mounts, template.pod),
                    "restartPolicy": "Never",
                },
            },
        },
    }


def step_container(run: Run, pod: Pod | None, mounts: Mounts, settings: Settings) -> Object:
    """Return the container that reads its StepSpec from TREADLE_STEP and answers /progress on port 8081."""
    return {
        "name": STEP,
        "image": settings.image("worker"),
        "imagePullPolicy": settings.image_pull_policy,
        "args": [run.step],
        "env": [
            {"name": ENV_STEP, "value": canonical(run.spec).decode()},
            {"name": ENV_MOUNTS, "value": DEFAULT_MOUNTS},
        ],
        "ports": [{"name": "progress", "containerPort": PROGRESS_PORT, "protocol": "TCP"}],
        "resources": resources(pod, JOB_RESOURCES),
        "securityContext": CONTAINER_SECURITY,
        # The log's tail in a pod's status could show a value of the data.
        "terminationMessagePolicy": "File",
        "volumeMounts": volume_mounts(mounts),
    }


def failure_policy() -> Object:
    """Return which ends of a pod are final, and which do not count as a try."""
    return {
        "rules": [
            {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
            {
                "action": "Ignore",
                "onExitCodes": {"containerName": STEP, "operator": "In", "values": [EXIT_CHECKPOINTED]},
            },
            {
                "action": "FailJob",
                "onExitCodes": {"containerName": STEP, "operator": "In", "values": [EXIT_NO_RETRY]},
            },
        ]
    }


def may_run_as(account: Object) -> bool:
    """Say whether a ServiceAccount carries the label by which its owner lends it to runs."""
    return LABEL_FOR_RUNS in (account["metadata"].get("labels") or {})


def _items(keys: tuple[str, ...]) -> Object:
    return {"items": [{"key": key, "path": key} for key in keys]} if keys else {}
