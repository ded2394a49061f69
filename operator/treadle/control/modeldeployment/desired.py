"""The children of a ModelDeployment: Service, plan, Deployment, touches and TrainingJobs."""

from collections.abc import Sequence
from datetime import datetime

from treadle.api.blocks import SigningRef
from treadle.api.modeldeployment import ModelDeployment, ModelDeploymentStatus
from treadle.api.names import (
    ANNOTATION_PLAN,
    API_VERSION,
    LABEL_KIND,
    LABEL_NAME,
    LABEL_ROLE,
    canonical,
    plan_name,
    server_name,
)
from treadle.api.plan import ENV_SERVE, PLAN_FILE, PREDICT_PORT, STATE_PORT, ReleasePlan, ServerSpec
from treadle.api.step import DEFAULT_MOUNTS, ENV_MOUNTS, StoreAddress
from treadle.control.engine.objects import keep, owned, touch
from treadle.control.engine.ports import CONFIG_MAP, DEPLOYMENT, SERVICE, TRAINING_JOB, Gvk, Object
from treadle.control.jobs import step_owner
from treadle.control.modeldeployment import plan, retrain
from treadle.control.modeldeployment.seen import Seen
from treadle.control.podspec import (
    CONTAINER_SECURITY,
    SERVER_RESOURCES,
    Mounts,
    pod_metadata,
    pod_spec,
    resources,
    volume_mounts,
)
from treadle.control.settings import Settings

SERVER = "server"
TRAINING = "training"
CHILDREN = (SERVICE, CONFIG_MAP, DEPLOYMENT, TRAINING_JOB)
GRACE_SECONDS = 90
"""For draining: 10 s until endpoints forget the pod, 45 s for requests in flight, 20 s for the log."""


def desired(md: ModelDeployment, seen: Seen, now: datetime) -> Sequence[Object]:
    """Return every child that should exist now; plan and pods come with the first candidate."""
    runs = training_jobs(md, seen, now)
    if not has_model(md.status) or seen.store is None:
        return [service(md), *runs]
    followed = [pod.state.plan for pod in seen.pods if pod.state is not None]
    release = plan.project(md.spec, md.status, seen.plan, followed, now)
    touches = [touch(pod.raw, {ANNOTATION_PLAN: plan.digest(release)}) for pod in seen.pods]
    return [service(md), config(md, release), server(md, seen.store, seen.settings), *touches, *runs]


def has_model(record: ModelDeploymentStatus) -> bool:
    """Say whether there is something to serve or to try."""
    return record.champion is not None or record.candidate is not None


def children(md: ModelDeployment) -> Sequence[Gvk]:
    """Return the types of which it can have children: plan and pods were made only if status tells of a plan."""
    was_made = has_model(md.status) or md.status.plan is not None
    return CHILDREN if was_made else (SERVICE, TRAINING_JOB)


def selector(md: ModelDeployment) -> dict[str, str]:
    """Return the labels by which Service, Deployment and autoscalers know the pods."""
    return {LABEL_KIND: md.kind, LABEL_NAME: md.metadata.name, LABEL_ROLE: SERVER}


def service(md: ModelDeployment) -> Object:
    """Return the stable endpoint."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": owned(md, name=md.metadata.name, role=SERVER),
        "spec": {
            "selector": selector(md),
            "ports": [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": PREDICT_PORT}],
        },
    }


def config(md: ModelDeployment, release: ReleasePlan) -> Object:
    """Return the ConfigMap that pods mount as a directory."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": owned(md, name=plan_name(md.metadata.name), role="plan"),
        "data": {PLAN_FILE: plan.text(release)},
    }


def server(md: ModelDeployment, store: StoreAddress, settings: Settings) -> Object:
    """Return the Deployment of the serving pods; which models they hold is the plan's to say, not the template's."""
    pod = md.spec.predictor.pod if md.spec.predictor else None
    mounts = Mounts(secrets={store.secret: (), signing_secret(md): ("public.pem",)})
    spec = pod_spec(container(md, store, mounts, settings), mounts, pod)
    release = {"name": "plan", "configMap": {"name": plan_name(md.metadata.name)}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": owned(md, name=server_name(md.metadata.name), role=SERVER),
        "spec": {
            "replicas": md.spec.replicas,
            "revisionHistoryLimit": md.spec.revision_history_limit,
            "selector": {"matchLabels": selector(md)},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "template": {
                "metadata": pod_metadata(md, SERVER, pod),
                "spec": {
                    **spec,
                    "terminationGracePeriodSeconds": GRACE_SECONDS,
                    "volumes": [*spec["volumes"], release],
                },
            },
        },
    }


def container(md: ModelDeployment, store: StoreAddress, mounts: Mounts, settings: Settings) -> Object:
    """Return the server's container."""
    told = ServerSpec(
        owner=step_owner(md), model_name=md.spec.model_name, store=store, signing_secret=signing_secret(md)
    )
    return {
        "name": SERVER,
        "image": settings.image("server"),
        "imagePullPolicy": settings.image_pull_policy,
        "args": ["serve"],
        "env": [
            {"name": ENV_SERVE, "value": canonical(told.dump()).decode()},
            {"name": ENV_MOUNTS, "value": DEFAULT_MOUNTS},
            # The reference is one atomic field, so that its default is written out.
            {"name": "POD_NAME", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}}},
            {"name": "POD_UID", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.uid"}}},
        ],
        "ports": [
            {"name": "http", "containerPort": PREDICT_PORT, "protocol": "TCP"},
            {"name": "state", "containerPort": STATE_PORT, "protocol": "TCP"},
        ],
        "readinessProbe": {
            "httpGet": {"path": "/readyz", "port": STATE_PORT},
            "periodSeconds": 2,
            "timeoutSeconds": 2,
            "failureThreshold": 3,
        },
        # A slow start on a busy node is no reason to start again: patience of two minutes, then of one.
        "startupProbe": {
            "httpGet": {"path": "/livez", "port": STATE_PORT},
            "periodSeconds": 2,
            "timeoutSeconds": 2,
            "failureThreshold": 60,
        },
        "livenessProbe": {
            "httpGet": {"path": "/livez", "port": STATE_PORT},
            "periodSeconds": 10,
            "timeoutSeconds": 5,
            "failureThreshold": 6,
        },
        "resources": resources(md.spec.predictor.pod if md.spec.predictor else None, SERVER_RESOURCES),
        "securityContext": CONTAINER_SECURITY,
        "terminationMessagePolicy": "File",
        "volumeMounts": [
            *volume_mounts(mounts),
            {"name": "plan", "mountPath": f"{DEFAULT_MOUNTS}/plan", "readOnly": True},
        ],
    }


def signing_secret(md: ModelDeployment) -> str:
    """Return the Secret whose public key verifies models."""
    verification = md.spec.verification
    return ((verification and verification.secret_ref) or SigningRef()).name


def training_jobs(md: ModelDeployment, seen: Seen, now: datetime) -> list[Object]:
    """Return the generated runs to keep, and the one to start."""
    due = retrain.due(md, seen, now)
    kept = [keep(run.raw) for run in retrain.retained(md, seen, due, now)]
    if due is None:
        return kept
    made = {
        "apiVersion": API_VERSION,
        "kind": "TrainingJob",
        "metadata": owned(md, name=due.name, role=TRAINING),
        "spec": due.spec,
    }
    return [*kept, made]
