"""What a Job is told and what it reports: StepSpec in, Progress meanwhile, StepResult out."""

from typing import Annotated, Literal, Protocol

from pydantic import Field, TypeAdapter

from treadle.api.base import ColumnName, Digest, Json, Record, Time, Uri
from treadle.api.blocks import Text64, Text300, Trigger
from treadle.api.datasource import CheckRow, DataSourceSpec, Splits
from treadle.api.monitor import DriftColumn, MonitorSpec
from treadle.api.reasons import Reason
from treadle.api.trainingjob import Environment, GateStatus, Metric, ModelVersion, Recipe, ResolvedData, Verdict

ENV_STEP = "TREADLE_STEP"
ENV_MOUNTS = "TREADLE_MOUNTS"
"""Root of what is mounted; Secrets at secrets/<name>/, ConfigMaps at configs/<name>/, the plan at plan/."""
DEFAULT_MOUNTS = "/treadle"
ENV_TERMINATION_LOG = "TREADLE_TERMINATION_LOG"
DEFAULT_TERMINATION_LOG = "/dev/termination-log"
RESULT_LIMIT_BYTES = 4096
PROGRESS_PORT = 8081

EXIT_FINAL = 0
EXIT_NO_RETRY = 10
EXIT_CHECKPOINTED = 11


class Owner(Record):
    """The object that a step works for."""

    kind: str
    name: str
    uid: str
    namespace: str


class StoreAddress(Record):
    """Where the store is: the mounted Secret, and the namespace's place in its bucket."""

    secret: str
    prefix: str
    """treadle/v1/<namespace UID>/"""


class StepBase(Record):
    """What every step is told."""

    v: Literal[1] = 1
    run: str
    """The ten hex digits in the Job's name."""
    run_key: str
    """64 hex digits: the hash of the step's inputs; names its record in the store."""
    attempt: int = 0
    owner: Owner
    store: StoreAddress


class IngestStep(StepBase):
    """Fetch a source once."""

    step: Literal["ingest"] = "ingest"
    spec: DataSourceSpec
    current: Digest | None = None
    """The version in status; equal content and rules are Unchanged."""


class TrainStep(StepBase):
    """Train, judge and register one model."""

    step: Literal["train"] = "train"
    spec: Recipe
    data: Digest
    champion: Digest | None = None
    cause: Trigger | None = None


class WindowBounds(Record):
    """A window of the log: start inclusive, end exclusive."""

    start: Time
    end: Time
    revision: int = 1


class MonitorStep(StepBase):
    """Judge one window."""

    step: Literal["monitor"] = "monitor"
    spec: MonitorSpec
    deployment: str
    champion: Digest
    window: WindowBounds


type StepSpec = Annotated[IngestStep | TrainStep | MonitorStep, Field(discriminator="step")]


class Progress(Record):
    """How far a step is, as GET /progress on port 8081 answers while it runs."""

    v: Literal[1] = 1
    step: str
    stage: str
    percentage: Annotated[int, Field(ge=0, le=100)]
    estimated_remaining_seconds: int | None = None


class Report(Protocol):
    """Where a step says how far it is."""

    def stage(self, name: str, fraction: float) -> None:
        """Say that a stage begins, with the fraction of the whole step that is done, 0 to 1."""
        ...


class ResultBase(Record):
    """What every step reports."""

    v: Literal[1] = 1
    run: str
    reason: Reason
    message: Text300 = ""
    failed: Text64 | None = None
    """The first condition that is False; those before it are True, those after it Unknown."""
    started_at: Time
    completed_at: Time
    record: Digest | None = None
    """sha256 of the full record in the store."""
    truncated: bool = False


class PublishedVersion(Record):
    """A dataset version, as published or met again."""

    digest: Digest
    content_digest: Digest
    storage_uri: Uri
    rows: int
    new_rows: int = 0
    bytes: int
    schema_digest: Digest
    profile_uri: Uri | None = None
    warnings: int = 0
    splits: Splits


class IngestResult(ResultBase):
    """How a fetch ended. Order of failed: Fetched, SchemaValid, PrivacyApplied, QualityPassed."""

    step: Literal["ingest"] = "ingest"
    outcome: Literal["Published", "Unchanged", "Rejected", "Failed"]
    version: PublishedVersion | None = None
    checks: list[CheckRow] = []
    protected: list[str] = []


class TrainResult(ResultBase):
    """How a run ended. Order of failed: DataResolved, Trained, Evaluated, Registered, GatePassed."""

    step: Literal["train"] = "train"
    outcome: Literal["Promote", "Hold", "Reject", "Inconclusive", "Failed"]
    data: ResolvedData | None = None
    metrics: list[Metric] = []
    gate: GateStatus | None = None
    model: ModelVersion | None = None
    environment: Environment | None = None
    report_uri: Uri | None = None

    @property
    def verdict(self) -> Verdict | None:
        """Return the gate's verdict, or None for a run that failed."""
        return None if self.outcome == "Failed" else Verdict(self.outcome)


class JudgedWindow(WindowBounds):
    """The window with what was in it."""

    samples: int
    champion: Digest


class WindowFinding(Record):
    """A condition's status and reason for this window alone."""

    status: Literal["True", "False", "Unknown"]
    reason: Reason
    message: Text300 = ""
    column: ColumnName | None = None
    """The column that makes it True, the worst where there are several."""


class DriftFound(Record):
    """How far the columns moved, worst first."""

    score: str
    columns: list[DriftColumn] = []


class MonitorResult(ResultBase):
    """How a window looks; the operator counts windows and asks for actions."""

    step: Literal["monitor"] = "monitor"
    outcome: Literal["Healthy", "Suspected", "Detected", "Insufficient", "Failed"]
    window: JudgedWindow | None = None
    findings: dict[str, WindowFinding] = {}
    """By condition: DataFlowing, DriftSuspected, QualityBreached."""
    drift: DriftFound | None = None
    report_uri: Uri | None = None


type StepResult = Annotated[IngestResult | TrainResult | MonitorResult, Field(discriminator="step")]

_SPEC: TypeAdapter[StepSpec] = TypeAdapter(StepSpec)
_RESULT: TypeAdapter[StepResult] = TypeAdapter(StepResult)


def read_step(text: str | bytes) -> StepSpec:
    """Return the step that a Job's environment names; raise pydantic.ValidationError."""
    return _SPEC.validate_json(text)


def read_result(text: str | bytes) -> StepResult:
    """Return what a termination message says; raise pydantic.ValidationError for what is no result."""
    return _RESULT.validate_json(text)


def write_result(result: StepResult) -> bytes:
    """Return a result as a termination message of at most 4 KiB: lists lose their last items before it is too long."""
    document = result.dump()
    while len(text := _encode(document)) > RESULT_LIMIT_BYTES:
        longest = max(_lists(document), key=len, default=[])
        if longest:
            longest.pop()
        else:
            document["message"] = document["message"][: len(document["message"]) // 2]
        document["truncated"] = True
    return text


def _encode(document: Json) -> bytes:
    import json

    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def _lists(document: Json) -> list[list[object]]:
    found = []
    for value in document.values():
        if isinstance(value, list) and value:
            found.append(value)
        elif isinstance(value, dict):
            found.extend(_lists(value))
    return found
