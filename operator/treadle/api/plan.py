"""What the serving pods are told and what they report: ServerSpec and ReleasePlan in, ServerState out."""

from typing import Annotated, Literal

from pydantic import Field

from treadle.api.arms import ArmCounts
from treadle.api.base import Decimal, Digest, Duration, Record, Time
from treadle.api.modeldeployment import ErrorDetail, RequestExtraColumn, SchemaEnforcement, VerificationPolicy
from treadle.api.reasons import Reason
from treadle.api.step import Owner, StoreAddress

ENV_SERVE = "TREADLE_SERVE"
PLAN_FILE = "plan.json"
PREDICT_PORT = 8080
STATE_PORT = 8081


class ServerSpec(Record):
    """What a serving pod is told in TREADLE_SERVE; what changes while it runs is in the plan.

    The pod's own name and uid come by the downward API as POD_NAME and POD_UID.
    """

    v: Literal[1] = 1
    owner: Owner
    model_name: str
    store: StoreAddress
    signing_secret: str


class PlannedModel(Record):
    """A model that pods hold."""

    version: str
    digest: Digest


class PlannedCandidate(PlannedModel):
    """The candidate and the percentage of requests that it answers; 0 while verifying."""

    weight: Annotated[int, Field(ge=0, le=100)]


class PlannedPrevious(PlannedModel):
    """The last known good, and until when it stays loaded."""

    until: Time


class PlannedVerification(Record):
    """What must hold before a model is loaded."""

    policy: VerificationPolicy = VerificationPolicy.ENFORCE
    golden_tolerance: Decimal = "0.00001"


class PlannedPolicy(Record):
    """What a request must satisfy."""

    schema_enforcement: SchemaEnforcement = SchemaEnforcement.REJECT
    on_extra_column: RequestExtraColumn = RequestExtraColumn.REJECT
    error_detail: ErrorDetail = ErrorDetail.FULL
    max_rows: int = 1000
    max_body_bytes: int = 1048576


class PlannedPredictor(Record):
    """How the model is called."""

    max_batch_rows: int = 256
    timeout: Duration = "5s"


class PlannedLogger(Record):
    """What is kept of predictions."""

    percent: int = 100
    omit_columns: list[str] = []


class ReleasePlan(Record):
    """Key plan.json of ConfigMap <name>-plan. A pod applies a higher revision whole or not at all."""

    v: Literal[1] = 1
    model_name: str
    revision: int
    champion: PlannedModel | None = None
    candidate: PlannedCandidate | None = None
    previous: PlannedPrevious | None = None
    verification: PlannedVerification = PlannedVerification()
    request_policy: PlannedPolicy = PlannedPolicy()
    predictor: PlannedPredictor = PlannedPredictor()
    logger: PlannedLogger = PlannedLogger()


class HeldModel(Record):
    """A model as one pod holds it."""

    digest: Digest
    state: Literal["Loading", "Verifying", "Loaded", "Serving", "Refused"]
    golden: str = ""
    """Golden requests answered, for example 20/20."""
    reason: Reason | None = None
    """Why it was refused: one of Verified's, or CandidateCrashed."""
    message: str = ""


class LogState(Record):
    """What a pod logged."""

    rows: int = 0
    dropped: int = 0


class ServerState(Record):
    """What GET /progress on port 8081 of a serving pod answers."""

    v: Literal[1] = 1
    plan: int
    """Revision that it follows; 0 before the first."""
    champion: HeldModel | None = None
    candidate: HeldModel | None = None
    arms: list[ArmCounts] = []
    """One entry for each model that answered in this pod."""
    log: LogState = LogState()
