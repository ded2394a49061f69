"""ModelDeployment: one champion at a stable Service, candidates tried beside it, retrains from a template."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints

from treadle.api.base import (
    ColumnName,
    Cron,
    Decimal,
    Digest,
    Duration,
    Fraction,
    Model,
    Record,
    Time,
    TimeZone,
    Uri,
)
from treadle.api.blocks import Decision, Pod, Resource, SigningRef, StoreRef, Text64, Text253, Text300, Text1024
from treadle.api.conditions import Condition
from treadle.api.rules import cel, exactly_one, field_cel, goes_with, list_map, rule
from treadle.api.trainingjob import ModelName, Recipe

Version = Annotated[str, StringConstraints(max_length=16)]


class Follow(StrEnum):
    """Which version is served."""

    GATE = "Gate"
    PINNED = "Pinned"


class ModelSource(Model):
    """Which version is served."""

    model_config = cel(goes_with("digest", "follow", "Pinned"))

    follow: Follow = Follow.GATE
    """Gate: the newest that passed, judged against this champion. Pinned: the digest below. Default Gate."""
    digest: Digest | None = None
    """The version to serve; verified and rolled out by steps like any other."""


class Template(Model):
    """The recipe of retrains."""

    spec: Recipe
    """A TrainingJob's spec; gate.against is this object if absent."""


class Triggers(Model):
    """What starts a run by itself, besides a Monitor."""

    new_data: bool = False
    """True: each new dataset version. Default false."""
    schedule: Cron | None = None
    """As cron, for example 0 4 * * 1."""
    time_zone: TimeZone = "Etc/UTC"
    """IANA zone in which schedule is read. Default Etc/UTC."""


class Training(Model):
    """How new versions come about."""

    model_config = cel(rule("has(self.template) || !has(self.triggers)", "triggers need a template"))

    template: Template | None = None
    """Without a champion a run starts by itself, and again for each new recipe or dataset version."""
    triggers: Triggers | None = None
    """What else starts a run."""
    max_per_day: Annotated[int, Field(ge=0, le=48)] = 4
    """Generated runs of all causes in 24 hours; one at a time. Default 4."""
    successful_runs_history_limit: Annotated[int, Field(ge=1, le=100)] = 10
    """Finished TrainingJobs kept. Default 10."""
    failed_runs_history_limit: Annotated[int, Field(ge=1, le=100)] = 5
    """Failed TrainingJobs kept. Default 5."""


class Runtime(StrEnum):
    """What serves."""

    NATIVE = "native"


class Protocol(StrEnum):
    """What the endpoint speaks."""

    V2 = "v2"


class Predictor(Model):
    """The serving pods."""

    runtime: Runtime = Runtime.NATIVE
    """native. Default native."""
    protocols: Annotated[list[Protocol], Field(min_length=1, max_length=4)] | None = None
    """Absent: v2, the Open Inference Protocol."""
    max_batch_rows: Annotated[int, Field(ge=1, le=4096)] = 256
    """Rows that one call of the model takes. Default 256."""
    timeout: Duration = "5s"
    """Deadline of a request, which also bounds the queue: beyond it 503 with Retry-After. Default 5s."""
    pod: Pod | None = None
    """Resources and placement of the pods."""


class VerificationPolicy(StrEnum):
    """What happens to what cannot be verified."""

    ENFORCE = "Enforce"
    WARN = "Warn"


class Verification(Model):
    """What must hold before a model is loaded."""

    policy: VerificationPolicy = VerificationPolicy.ENFORCE
    """Enforce: signature and sha256 before load. Warn: a bad signature is told; sha256 still holds. Default Enforce."""
    secret_ref: SigningRef | None = None
    """Secret whose public.pem is mounted. Absent: treadle-signing."""
    golden_tolerance: Decimal = "0.00001"
    """How far a golden answer may be from training's. Default 0.00001."""


class Pause(Model):
    """A wait between weights."""

    duration: Duration | None = None
    """At least so long, and until enough samples. Absent: until the promote annotation."""


class Step(Model):
    """A weight or a pause."""

    model_config = cel(exactly_one("setWeight", "pause"))

    set_weight: Annotated[int, Field(ge=1, le=100)] | None = None
    """Share of requests that the candidate answers, in percent."""
    pause: Pause | None = None
    """A wait. {} waits for the promote annotation."""


class AnalysisName(StrEnum):
    """What is compared between the arms."""

    ERROR_RATE = "ErrorRate"
    LATENCY_P99 = "LatencyP99"


class AnalysisMetric(Model):
    """A comparison of candidate and champion over the same period."""

    model_config = cel(exactly_one("maxIncrease", "maxRatio"))

    name: AnalysisName
    """ErrorRate or LatencyP99."""
    max_increase: Decimal | None = None
    """How much more the candidate's may be, for example "0.005"."""
    max_ratio: Decimal | None = None
    """How many times the champion's it may be, for example "1.25"."""


class OnInconclusive(StrEnum):
    """What an undecided canary becomes."""

    HOLD = "Hold"
    ROLLBACK = "Rollback"


class Analysis(Model):
    """How a canary is judged."""

    metrics: Annotated[list[AnalysisMetric], Field(max_length=8, json_schema_extra=list_map("name"))] | None = None
    """Absent: ErrorRate with maxIncrease 0.01, LatencyP99 with maxRatio 1.5."""
    min_samples_per_arm: Annotated[int, Field(ge=10, le=10000000)] = 500
    """Requests of each arm at each weight. Default 500."""
    confidence: Fraction = "0.95"
    """Of the intervals, which hold however often one looks. Default 0.95."""
    max_duration: Duration = "24h"
    """Longest canary. Default 24h."""
    on_inconclusive: OnInconclusive = OnInconclusive.HOLD
    """Hold or Rollback when maxDuration is over. Default Hold."""


class CanaryStrategy(Model):
    """The steps of a candidate."""

    steps: Annotated[list[Step], Field(max_length=20)] | None = None
    """Absent: 100 percent after verification. Without a champion they are skipped."""
    analysis: Analysis | None = None
    """How it is judged."""


class Strategy(Model):
    """How a candidate becomes champion."""

    canary: CanaryStrategy | None = None
    """Absent: at once after verification."""
    keep_previous_for: Duration = "1h"
    """How long the last known good stays loaded. Default 1h."""
    quarantine_for: Duration = "30d"
    """How long a refused digest is not tried again. Default 30d."""


class SchemaEnforcement(StrEnum):
    """What happens to a value of another type."""

    REJECT = "Reject"
    COERCE = "Coerce"


class RequestExtraColumn(StrEnum):
    """What happens to a column that the model does not know."""

    REJECT = "Reject"
    IGNORE = "Ignore"


class ErrorDetail(StrEnum):
    """How much an error tells."""

    FULL = "Full"
    MINIMAL = "Minimal"


class RequestPolicy(Model):
    """What a request must satisfy."""

    schema_enforcement: SchemaEnforcement = SchemaEnforcement.REJECT
    """Reject a value of another type (integer to double is always taken), or Coerce strings. Default Reject."""
    on_extra_column: RequestExtraColumn = RequestExtraColumn.REJECT
    """Reject or Ignore a column that the model does not know. Default Reject."""
    error_detail: ErrorDetail = ErrorDetail.FULL
    """Full: column, expected, found, an example. Minimal: hides the schema. Default Full."""
    max_rows: Annotated[int, Field(ge=1, le=10000)] = 1000
    """Rows of one request. Default 1000."""
    max_body_bytes: Annotated[int, Field(ge=1024, le=16777216)] = 1048576
    """Size of one request. Default 1048576."""


class Logger(Model):
    """What is kept of predictions."""

    percent: Annotated[int, Field(ge=0, le=100)] = 100
    """Share of requests that is logged. Default 100."""
    omit_columns: Annotated[list[ColumnName], Field(max_length=256)] | None = None
    """Columns that are not logged; personal ones follow the data's policy anyway."""


class ModelDeploymentSpec(Model):
    """What is served, and how it changes."""

    model_config = cel(
        rule(
            "!has(self.training) || !has(self.training.template) || "
            "(self.training.template.spec.modelName == self.modelName && "
            "self.training.template.spec.dataRef.version == 'latest' && !has(self.training.template.spec.trigger))",
            "training.template.spec must have the same modelName, dataRef.version latest and no trigger",
        )
    )

    model_name: Annotated[
        ModelName,
        Field(
            json_schema_extra=field_cel(
                rule("self == oldSelf", "modelName is immutable; create another ModelDeployment")
            )
        ),
    ]
    """Family of versions, for example flights-late. Immutable."""
    source: ModelSource | None = None
    """Which version is served. Absent: the newest that passed the gate."""
    training: Training | None = None
    """How new versions come about. Absent: from TrainingJobs made by hand."""
    replicas: Annotated[int, Field(ge=0, le=1000)] = 1
    """Serving pods; written through scale by people and autoscalers. Default 1."""
    predictor: Predictor | None = None
    """The serving pods."""
    verification: Verification | None = None
    """What must hold before a model is loaded. Absent: signature and sha256."""
    strategy: Strategy | None = None
    """How a candidate becomes champion."""
    request_policy: RequestPolicy | None = None
    """What a request must satisfy."""
    logger: Logger | None = None
    """What is kept of predictions. Absent: every one."""
    progress_deadline_seconds: Annotated[int, Field(ge=30, le=86400)] = 600
    """Seconds a candidate may take to load and verify. Default 600."""
    revision_history_limit: Annotated[int, Field(ge=0, le=10)] = 3
    """Of the child Deployment. Default 3."""
    suspend: bool = False
    """True: no new candidate, no retrain; serving goes on. Default false."""
    store_ref: StoreRef | None = None
    """The bucket's Secret, which may have fewer rights than the Jobs'. Absent: treadle-store."""


class Endpoint(Record):
    """Where the model answers."""

    url: Uri
    """Base URL inside the cluster."""
    protocols: Annotated[list[Text64], Field(max_length=4)]
    """What it speaks."""


class Champion(Record):
    """The version that answers."""

    version: Version
    """For example v7."""
    digest: Digest
    """Its digest."""
    since: Time
    """When it became champion."""
    data_digest: Digest | None = None
    """The dataset version it learnt from."""
    training_job: Text253 | None = None
    """The run that made it."""


class CandidateState(StrEnum):
    """How far a candidate is."""

    VERIFYING = "Verifying"
    CANARY = "Canary"
    PAUSED = "Paused"
    HELD = "Held"


class Samples(Record):
    """Requests at the current weight."""

    champion: int = 0
    """Answered by the champion."""
    candidate: int = 0
    """Answered by the candidate."""


class ArmRow(Record):
    """What one pod counted for one arm, as maxima; pods that are gone are one row."""

    pod: Text64
    """The pod's uid; gone for those that are gone."""
    arm: Annotated[str, StringConstraints(pattern="^(champion|candidate)$", max_length=16)]
    """champion or candidate."""
    requests: int
    """Requests answered."""
    errors: int
    """Of those, failed by the model."""
    latency: Annotated[list[int], Field(max_length=16)]
    """Requests by latency bucket."""


class AnalysisRow(Record):
    """A comparison with its interval."""

    name: Text64
    """ErrorRate or LatencyP99."""
    champion: Decimal | None = None
    """The champion's value."""
    candidate: Decimal | None = None
    """The candidate's value."""
    lower: Decimal | None = None
    """Lower bound of the difference or ratio."""
    upper: Decimal | None = None
    """Upper bound."""
    verdict: Text64
    """Better, Worse or Undecided."""


class CandidateVerdict(StrEnum):
    """What the canary says."""

    PROMOTE = "Promote"
    ROLLBACK = "Rollback"
    INCONCLUSIVE = "Inconclusive"


class Candidate(Record):
    """The version on trial."""

    version: Version
    """For example v8."""
    digest: Digest
    """Its digest."""
    data_digest: Digest | None = None
    """The dataset version it learnt from."""
    training_job: Text253 | None = None
    """The run that made it."""
    state: CandidateState
    """Verifying, Canary, Paused or Held."""
    step: int = 0
    """Index of the current step."""
    weight: int = 0
    """Percent of requests it answers."""
    since: Time
    """When the trial began."""
    step_since: Time
    """When the current step began."""
    generation: int = 0
    """Generation of spec that the trial began under."""
    samples: Samples | None = None
    """Requests at the current weight."""
    counts: Annotated[list[ArmRow], Field(max_length=32)] | None = None
    """What the pods counted."""
    counted_at: Time | None = None
    """When they counted it; looked at again ten seconds later at the earliest."""
    baseline: Annotated[list[ArmRow], Field(max_length=32)] | None = None
    """What the pods had counted when the current weight began."""
    analysis: Annotated[list[AnalysisRow], Field(max_length=8)] | None = None
    """The comparisons."""
    verdict: CandidateVerdict | None = None
    """Promote, Rollback or Inconclusive."""


class LastKnownGood(Record):
    """The champion before."""

    version: Version
    """For example v6."""
    digest: Digest
    """Its digest."""
    data_digest: Digest | None = None
    """The dataset version it learnt from."""
    training_job: Text253 | None = None
    """The run that made it."""
    loaded_until: Time
    """How long the pods keep it loaded."""


class Quarantined(Record):
    """A digest that is not tried again."""

    digest: Digest
    """Which."""
    reason: Text64
    """Why."""
    until: Time
    """Until when."""


class PlanStatus(Record):
    """The release plan."""

    revision: int
    """Grows with each change."""
    digest: Digest
    """sha256 of the plan."""
    pods_in_sync: int = 0
    """Pods that follow it."""


class TrainingStatus(Record):
    """The generated runs."""

    running: Text253 | None = None
    """The TrainingJob that runs."""
    last_run: Text253 | None = None
    """The newest."""
    runs_today: int = 0
    """Started in the last 24 hours."""
    next_schedule_time: Time | None = None
    """The next due time."""
    last_schedule_time: Time | None = None
    """The due time last acted on."""


class RequestOutcome(StrEnum):
    """What became of a request."""

    STARTED = "Started"
    REFUSED = "Refused"
    DUPLICATE = "Duplicate"
    DONE = "Done"


class RequestRow(Record):
    """A request by a Monitor or person."""

    id: Text64
    """The request's id."""
    from_: Annotated[Text253, Field(alias="from")]
    """Who asked, for example Monitor/flights-late."""
    action: Text64
    """Retrain or Rollback."""
    outcome: RequestOutcome
    """Started, Refused, Duplicate or Done."""
    ref: Text253 | None = None
    """The TrainingJob it started or met."""
    reason: Text64 | None = None
    """Why it was refused."""
    time: Time
    """When."""


class LoggerStatus(Record):
    """What the pods logged."""

    rows: int = 0
    """Predictions written."""
    dropped: int = 0
    """Predictions lost to a full buffer."""


class HandledDigests(Record):
    """The digests in annotations that act no more; each acts again once its annotation was taken away."""

    promote: Text253 | None = None
    """The value of treadle.dev/promote last acted on."""
    rollback: Text253 | None = None
    """The value of treadle.dev/rollback last acted on."""
    unquarantine: Text253 | None = None
    """The value of treadle.dev/unquarantine last acted on."""


class ModelDeploymentStatus(Record):
    """What the operator found."""

    observed_generation: int | None = None
    """Generation of spec that status is about."""
    settled_generation: int | None = None
    """Last generation whose desired state was reached."""
    conditions: Annotated[list[Condition], Field(max_length=16, json_schema_extra=list_map("type"))] = []
    """Ready, Verified, Available, Progressing, CanaryHealthy, RolledBack, TrainingReady, Reconciling, Stalled."""
    endpoint: Endpoint | None = None
    """Where the model answers."""
    replicas: int = 0
    """Pods that exist."""
    ready_replicas: int = 0
    """Pods that answer."""
    selector: Text1024 | None = None
    """Labels of the pods, for autoscalers."""
    champion: Champion | None = None
    """The version that answers."""
    candidate: Candidate | None = None
    """The version on trial."""
    last_known_good: LastKnownGood | None = None
    """The champion before."""
    quarantined: Annotated[list[Quarantined], Field(max_length=10)] | None = None
    """Digests that are not tried again."""
    plan: PlanStatus | None = None
    """The release plan."""
    training: TrainingStatus | None = None
    """The generated runs."""
    requests: Annotated[list[RequestRow], Field(max_length=10)] | None = None
    """Newest first."""
    logger: LoggerStatus | None = None
    """What the pods logged."""
    handled_request: Text64 | None = None
    """The value of treadle.dev/requested-at last acted on."""
    handled_digests: HandledDigests | None = None
    """The values of the annotations by digest that act no more."""
    message: Text300 | None = None
    """One sentence on how it stands."""
    decisions: Annotated[list[Decision], Field(max_length=10)] | None = None
    """Newest first."""


class ModelDeployment(Resource):
    """One champion at a stable Service."""

    spec: ModelDeploymentSpec
    status: ModelDeploymentStatus = ModelDeploymentStatus()
