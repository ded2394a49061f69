"""Blocks that several kinds share: references, pods, Jobs, triggers, decisions."""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, StringConstraints, WithJsonSchema

from treadle.api.base import Digest, Json, Model, Name, Record, Time
from treadle.api.rules import SECRET_NAME, cel

Text63 = Annotated[str, StringConstraints(max_length=63)]
Text64 = Annotated[str, StringConstraints(max_length=64)]
Text160 = Annotated[str, StringConstraints(max_length=160)]
Text253 = Annotated[str, StringConstraints(max_length=253)]
Text300 = Annotated[str, StringConstraints(max_length=300)]
Text1024 = Annotated[str, StringConstraints(max_length=1024)]
QUANTITY = r"^[0-9]+(\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi|T|Ti)?$"
# `cpu: 1` is a number in YAML, and taken as in any pod.
Quantity = Annotated[
    str,
    StringConstraints(max_length=32, pattern=QUANTITY),
    BeforeValidator(lambda given: str(given) if type(given) is int else given),
    WithJsonSchema({"x-kubernetes-int-or-string": True, "maxLength": 32, "pattern": QUANTITY}),
]


class Ref(Model):
    """An object in the same namespace."""

    name: Name
    """Name of the object, for example flights."""


class SecretRef(Model):
    """A Secret in the same namespace. The operator never reads it; pods mount it."""

    model_config = cel(SECRET_NAME)

    name: Name
    """Name of the Secret; begins with treadle-, for example treadle-raw."""


class StoreRef(Model):
    """The Secret that says where the bucket is and holds its keys."""

    model_config = cel(SECRET_NAME)

    name: Name = "treadle-store"
    """Name of the Secret. Default treadle-store."""


class SigningRef(Model):
    """The Secret with the signing key pair."""

    model_config = cel(SECRET_NAME)

    name: Name = "treadle-signing"
    """Name of the Secret. Default treadle-signing."""


class PrivacyRef(Model):
    """The Secret with the keys of pseudonyms."""

    model_config = cel(SECRET_NAME)

    name: Name = "treadle-privacy"
    """Name of the Secret. Default treadle-privacy."""


class Toleration(Model):
    """A taint that the pod tolerates, as in a pod's spec."""

    key: Text253 | None = None
    """Taint key, for example nvidia.com/gpu."""
    operator: Annotated[str, StringConstraints(pattern="^(Exists|Equal)$", max_length=16)] | None = None
    """Exists or Equal."""
    value: Text63 | None = None
    """Taint value."""
    effect: Annotated[str, StringConstraints(max_length=32)] | None = None
    """NoSchedule, PreferNoSchedule or NoExecute; absent: all."""
    toleration_seconds: Annotated[int, Field(ge=0)] | None = None
    """How long a NoExecute taint is tolerated, in seconds."""


class Resources(Model):
    """What a container asks for and may use."""

    requests: Annotated[dict[str, Quantity], Field(max_length=8)] | None = None
    """Reserved amounts, for example cpu 500m and memory 512Mi."""
    limits: Annotated[dict[str, Quantity], Field(max_length=8)] | None = None
    """Upper bounds, for example memory 2Gi."""


class Pod(Model):
    """The parts of a pod that are the user's to choose."""

    resources: Resources | None = None
    """Absent: Jobs request 250m and 512Mi with limit 2Gi, servers 100m and 256Mi with limit 1Gi."""
    service_account_name: Name | None = None
    """A ServiceAccount labelled treadle.dev/for-runs, for cloud identity. Absent: default, without a token."""
    node_selector: Annotated[dict[str, Text63], Field(max_length=16)] | None = None
    """Labels a node must have."""
    tolerations: Annotated[list[Toleration], Field(max_length=16)] | None = None
    """Taints the pod tolerates."""
    labels: Annotated[dict[str, Text63], Field(max_length=16)] | None = None
    """More labels of the pod."""
    annotations: Annotated[dict[str, Text1024], Field(max_length=16)] | None = None
    """More annotations of the pod."""
    priority_class_name: Name | None = None
    """PriorityClass of the pod."""
    image_pull_secrets: Annotated[list[Ref], Field(max_length=4)] | None = None
    """Secrets for a private registry."""


class JobTemplate(Model):
    """How the Job of a step runs."""

    backoff_limit: Annotated[int, Field(ge=0, le=10)] = 3
    """Retries of a pod that failed. Default 3."""
    active_deadline_seconds: Annotated[int, Field(ge=60, le=604800)] = 3600
    """Seconds the Job may take in all. Default 3600."""
    ttl_seconds_after_finished: Annotated[int, Field(ge=0, le=31536000)] = 86400
    """Seconds a finished Job is kept. Default 86400."""
    pod: Pod | None = None
    """Resources and placement of the pod."""


class TriggerKind(StrEnum):
    """Who asked for a run."""

    MANUAL = "Manual"
    INITIAL = "Initial"
    SCHEDULE = "Schedule"
    DATA = "Data"
    MONITOR = "Monitor"
    REGATE = "Regate"


class TriggerRef(Model):
    """The object that asked."""

    kind: Text64
    """Its kind, for example Monitor."""
    name: Name
    """Its name."""
    uid: Text64
    """Its uid, so that a namesake made later is not taken for it."""


class Trigger(Model):
    """Why this run exists; set on generated runs."""

    kind: TriggerKind = TriggerKind.MANUAL
    """Manual, Initial, Schedule, Data, Monitor or Regate. Default Manual."""
    ref: TriggerRef | None = None
    """The object that asked."""
    id: Text64 | None = None
    """The request's id, as in the Monitor's status."""
    reason: Text64 | None = None
    """The finding, for example DriftDetected."""


class Decision(Record):
    """An act that changed the object's course."""

    time: Time
    """When."""
    actor: Text64
    """Who: operator, a person's annotation, a Monitor."""
    action: Text64
    """What, for example Promote."""
    subject: Digest | None = None
    """The digest it is about."""
    reason: Text64
    """Why, as one word."""
    message: Text160 = ""
    """Why, in a sentence."""


class Meta(Record):
    """What the engine reads of an object's metadata."""

    name: str
    namespace: str
    uid: str
    generation: int = 1
    resource_version: str = ""
    creation_timestamp: str | None = None
    annotations: dict[str, str] = {}
    labels: dict[str, str] = {}


class Resource(Record):
    """An object of one of the four kinds, as read."""

    kind: str
    metadata: Meta

    @classmethod
    def read(cls, raw: Json) -> Self:
        """Return the object that the API server answered; raise pydantic.ValidationError naming each bad field."""
        return cls.parse(raw)
