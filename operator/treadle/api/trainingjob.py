"""TrainingJob: one immutable run, from a dataset version to a judged model version."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints

from treadle.api.base import ColumnName, Decimal, Digest, Fraction, Literal, Model, Name, Record, Sql, Time, Uri
from treadle.api.blocks import (
    Decision,
    JobTemplate,
    Ref,
    Resource,
    SigningRef,
    StoreRef,
    Text64,
    Text253,
    Text300,
    Trigger,
)
from treadle.api.conditions import Condition
from treadle.api.rules import cel, exactly_one, goes_with, immutable, list_map, no_keys, rule

ModelName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", min_length=1, max_length=40)]

CLASSIFICATION_METRICS = (
    "roc_auc",
    "average_precision",
    "f1",
    "precision",
    "recall",
    "accuracy",
    "balanced_accuracy",
    "log_loss",
    "brier",
    "ece",
)
REGRESSION_METRICS = ("rmse", "mae", "median_ae", "mape", "r2")
METRICS = CLASSIFICATION_METRICS + REGRESSION_METRICS
SMALLER_IS_BETTER = frozenset({"log_loss", "brier", "ece", "rmse", "mae", "median_ae", "mape"})


class Task(StrEnum):
    """What is predicted."""

    BINARY = "BinaryClassification"
    MULTICLASS = "MulticlassClassification"
    REGRESSION = "Regression"


class DataWindow(Model):
    """The rows to learn from; the holdout stays whole."""

    model_config = cel(
        rule(
            "!has(self.since) || !has(self.until) || timestamp(self.since) < timestamp(self.until)",
            "since must be before until",
        )
    )

    since: Time | None = None
    """Earliest value of the column with role time, for example 2013-04-01T00:00:00Z."""
    until: Time | None = None
    """Rows at or after this are left out."""
    min_labelled_rows: Annotated[int, Field(ge=0, le=1000000000)] | None = None
    """Fewer rows with a label: the run waits. Absent: no bound."""


class DataRef(Model):
    """The dataset version to learn from."""

    name: Name
    """Name of the DataSource, for example flights."""
    version: Annotated[str, StringConstraints(pattern=r"^(latest|sha256:[0-9a-f]{64})$", max_length=71)] = "latest"
    """A version's digest, or latest: resolved once and recorded in status.data. Default latest."""
    window: DataWindow | None = None
    """Rows to learn from. Absent: all of the train part."""


class Features(Model):
    """Which columns the model sees."""

    include: Annotated[list[ColumnName], Field(min_length=1, max_length=256)] | None = None
    """Only these. Absent: every column with role feature."""
    exclude: Annotated[list[ColumnName], Field(max_length=256)] | None = None
    """All but these."""


class PreparationMode(StrEnum):
    """Who chooses the transforms."""

    AUTO = "Auto"
    DECLARED = "Declared"


class TransformType(StrEnum):
    """The transforms; each becomes a scikit-learn step."""

    IMPUTE = "Impute"
    SCALE = "Scale"
    ONE_HOT = "OneHot"
    ORDINAL = "Ordinal"


class Transform(Model):
    """A transform of some columns, fitted on train rows only."""

    model_config = cel(no_keys("parameters"))

    name: Name
    """Name of the step, for example codes."""
    type: TransformType
    """Impute, Scale, OneHot or Ordinal."""
    columns: Annotated[list[ColumnName], Field(min_length=1, max_length=256)]
    """Columns it takes; columns named by no transform pass through."""
    parameters: Annotated[dict[str, Literal], Field(max_length=16)] | None = None
    """scikit-learn parameters as literals, for example strategy: median."""


class Preparation(Model):
    """Transforms that ship inside the model."""

    model_config = cel(goes_with("transforms", "mode", "Declared"))

    mode: PreparationMode = PreparationMode.AUTO
    """Auto: impute, encode, and scale for linear models. Declared: as transforms says. Default Auto."""
    transforms: (
        Annotated[list[Transform], Field(min_length=1, max_length=32, json_schema_extra=list_map("name"))] | None
    ) = None
    """The transforms, in order."""


class EstimatorName(StrEnum):
    """The scikit-learn classes that may be named."""

    LOGISTIC_REGRESSION = "LogisticRegression"
    RANDOM_FOREST_CLASSIFIER = "RandomForestClassifier"
    HIST_GRADIENT_BOOSTING_CLASSIFIER = "HistGradientBoostingClassifier"
    DUMMY_CLASSIFIER = "DummyClassifier"
    LINEAR_REGRESSION = "LinearRegression"
    RIDGE = "Ridge"
    RANDOM_FOREST_REGRESSOR = "RandomForestRegressor"
    HIST_GRADIENT_BOOSTING_REGRESSOR = "HistGradientBoostingRegressor"
    DUMMY_REGRESSOR = "DummyRegressor"


class Estimator(Model):
    """The estimator and its parameters."""

    model_config = cel(no_keys("parameters"))

    name: EstimatorName
    """scikit-learn class, for example HistGradientBoostingClassifier."""
    parameters: Annotated[dict[str, Literal], Field(max_length=32)] | None = None
    """Parameters as literals, for example max_iter: "300". n_jobs and random_state are ours."""


class Direction(StrEnum):
    """Which way a metric is better."""

    MAXIMIZE = "Maximize"
    MINIMIZE = "Minimize"


class Objective(Model):
    """The metric that decides."""

    metric: Text64
    """Name of the metric, for example average_precision."""
    direction: Direction | None = None
    """Maximize or Minimize. Absent: as known for the metric."""


class DecisionRule(Model):
    """How classes are made from scores."""

    threshold: Fraction = "0.5"
    """Smallest score of the positive class. Default 0.5."""


class Slice(Model):
    """A subgroup of the holdout."""

    name: Name
    """Name of the slice, for example laguardia."""
    expression: Sql
    """Its rows, for example origin = 'LGA'."""


class Bootstrap(Model):
    """How intervals are made: rows are drawn in pairs for both models."""

    samples: Annotated[int, Field(ge=200, le=10000)] = 1000
    """Resamples. Default 1000."""
    confidence: Fraction = "0.95"
    """Confidence of the intervals. Default 0.95."""


class Evaluation(Model):
    """What is measured on the holdout."""

    metrics: Annotated[list[Text64], Field(max_length=16)] | None = None
    """Reported besides the objective, for example roc_auc."""
    slices: Annotated[list[Slice], Field(max_length=32, json_schema_extra=list_map("name"))] | None = None
    """Subgroups measured on their own."""
    bootstrap: Bootstrap | None = None
    """How intervals are made. Absent: 1000 resamples, 0.95."""


class Against(Model):
    """Whose champion is to beat."""

    deployment_ref: Ref
    """The ModelDeployment; its champion at the start of the run."""


class Requirement(StrEnum):
    """What the paired difference must show."""

    BETTER = "Better"
    NOT_WORSE = "NotWorse"


class Floor(Model):
    """A bound that holds whatever the champion does; its interval must lie on the right side."""

    model_config = cel(exactly_one("min", "max"))

    metric: Text64
    """Name of the metric."""
    min: Decimal | None = None
    """Smallest value, on the lower bound."""
    max: Decimal | None = None
    """Largest value, on the upper bound."""
    slice: Name | None = None
    """Slice that it is about. Absent: the whole holdout."""


class Gate(Model):
    """What a model must show to be served."""

    against: Against | None = None
    """Absent: floors only."""
    metric: Text64 | None = None
    """Metric of the comparison. Absent: the objective."""
    require: Requirement = Requirement.BETTER
    """Better: the difference's lower bound is above margin. NotWorse: above -margin. Default Better."""
    margin: Decimal = "0"
    """See require. Default 0."""
    max_slice_regression: Decimal | None = None
    """How much a slice may lose, on the bound. Absent: not checked."""
    floors: Annotated[list[Floor], Field(max_length=32)] | None = None
    """Bounds of metrics."""
    min_rows: Annotated[int, Field(ge=1, le=10000000)] = 500
    """Fewer holdout rows: Inconclusive. Default 500."""
    min_slice_rows: Annotated[int, Field(ge=1, le=10000000)] = 100
    """Smaller slices block only if a floor names them. Default 100."""
    max_holdout_uses: Annotated[int, Field(ge=1, le=10000)] = 50
    """Verdicts one holdout may give. Default 50."""


class OutputFormatName(StrEnum):
    """How the model is written."""

    ONNX = "onnx"
    SKOPS = "skops"


class OutputFormat(Model):
    """How the model is written."""

    name: OutputFormatName = OutputFormatName.ONNX
    """onnx falls back to skops where it cannot express the pipeline; never to pickle. Default onnx."""


class Signing(Model):
    """Who signs."""

    secret_ref: SigningRef | None = None
    """Secret with private.pem. Absent: treadle-signing."""


class Output(Model):
    """How the model is written and signed."""

    format: OutputFormat | None = None
    """Absent: onnx."""
    signing: Signing | None = None
    """Absent: the key in treadle-signing."""


RECIPE_RULES = (
    rule(
        f"has(self.objective.direction) || self.objective.metric in [{', '.join(repr(metric) for metric in METRICS)}]",
        "this metric is not built in: set objective.direction",
    ),
    rule(
        "self.task == 'BinaryClassification' || !has(self.decision)",
        "decision applies to BinaryClassification only",
    ),
    rule(
        "!has(self.gate) || !has(self.gate.floors) || self.gate.floors.all(f, !has(f.slice) || "
        "(has(self.evaluation) && has(self.evaluation.slices) && self.evaluation.slices.exists(s, s.name == f.slice)))",
        "a floor names a slice that evaluation.slices does not define",
    ),
)


class Recipe(Model):
    """What a run does, as a template may hold it too."""

    model_config = cel(*RECIPE_RULES)

    model_name: ModelName
    """Family of versions, followed by a ModelDeployment, for example flights-late."""
    data_ref: DataRef
    """What to learn from."""
    task: Task
    """BinaryClassification, MulticlassClassification or Regression."""
    target: ColumnName | None = None
    """Column to predict. Absent: the one with role target."""
    features: Features | None = None
    """Columns the model sees. Absent: every column with role feature."""
    preparation: Preparation | None = None
    """Transforms. Absent: Auto."""
    estimator: Estimator
    """The estimator and its parameters."""
    objective: Objective
    """The metric that decides."""
    seed: Annotated[int, Field(ge=0, le=2147483647)] = 0
    """Of all randomness. Default 0."""
    decision: DecisionRule | None = None
    """How classes are made from scores."""
    evaluation: Evaluation | None = None
    """What is measured besides the objective."""
    gate: Gate | None = None
    """What the model must show. Absent: nothing but enough rows."""
    output: Output | None = None
    """How the model is written and signed."""
    trigger: Trigger | None = None
    """Who asked; set on generated runs."""
    suspend: bool = False
    """True: hold the run, or pause its Job. The one field that may change. Default false."""
    job_template: JobTemplate | None = None
    """How the Job runs."""
    store_ref: StoreRef | None = None
    """The bucket's Secret. Absent: treadle-store."""


class TrainingJobSpec(Recipe):
    """One run."""

    model_config = cel(
        *RECIPE_RULES,
        *(
            immutable(field)
            for field in [
                "modelName",
                "dataRef",
                "task",
                "target",
                "features",
                "preparation",
                "estimator",
                "objective",
                "seed",
                "decision",
                "evaluation",
                "gate",
                "output",
                "trigger",
                "jobTemplate",
                "storeRef",
            ]
        ),
    )


class Interval(Record):
    """A value with its interval."""

    value: Decimal
    """Point estimate."""
    lower: Decimal | None = None
    """Lower bound."""
    upper: Decimal | None = None
    """Upper bound."""


class Metric(Interval):
    """A metric on a part or slice."""

    name: Text64
    """Name of the metric."""
    split: Text64 = "holdout"
    """Part of the data."""
    slice: Text64 | None = None
    """Slice, if any."""


class ResolvedData(Record):
    """The version that the run learnt from."""

    digest: Digest
    """Its digest."""
    short: Text64
    """Twelve hex digits of it."""
    window: DataWindow | None = None
    """Rows learnt from."""


class Progress(Record):
    """How far the run is."""

    percentage: Annotated[int, Field(ge=0, le=100)]
    """0 to 100."""
    estimated_remaining_seconds: int | None = None
    """Seconds until it ends, if known."""
    last_updated_time: Time | None = None
    """When it was read."""


class CheckResult(StrEnum):
    """How a check ended."""

    PASS = "Pass"
    FAIL = "Fail"
    OPEN = "Open"


class GateCheck(Interval):
    """A check of the gate with its numbers."""

    name: Text64
    """For example better, or floor:roc_auc:laguardia."""
    threshold: Decimal
    """What was needed."""
    result: CheckResult
    """Pass; Fail: the whole interval is on the wrong side; Open: neither is shown."""


class Verdict(StrEnum):
    """What the gate says."""

    PROMOTE = "Promote"
    HOLD = "Hold"
    REJECT = "Reject"
    INCONCLUSIVE = "Inconclusive"


class GateStatus(Record):
    """The verdict and what it rests on."""

    verdict: Verdict
    """Promote, Hold, Reject or Inconclusive."""
    champion: Digest | None = None
    """The model to beat; absent: there was none."""
    holdout_digest: Digest | None = None
    """The rows it was judged on."""
    holdout_uses: int | None = None
    """Verdicts that these rows have given."""
    rows: int | None = None
    """How many rows."""
    difference: Interval | None = None
    """Challenger less champion, positive when better."""
    checks: Annotated[list[GateCheck], Field(max_length=8)] = []
    """Failed ones first."""
    decided_at: Time | None = None
    """When."""


class ModelVersion(Record):
    """The registered model version."""

    name: ModelName | None = None
    """Its family."""
    version: Text64
    """v and the store's run number."""
    digest: Digest
    """sha256 of its manifest."""
    storage_uri: Uri
    """Where its manifest lies."""
    format: Text64
    """onnx or skops."""
    schema_digest: Digest | None = None
    """sha256 of its input schema."""
    golden_digest: Digest | None = None
    """sha256 of its golden requests."""
    card_digest: Digest | None = None
    """sha256 of its model card, as this run wrote it."""


class Environment(Record):
    """Where it was trained."""

    packages_digest: Digest | None = None
    """sha256 of the installed packages and their versions."""
    source_revision: Text64 | None = None
    """Version of Treadle."""


class TrainingJobStatus(Record):
    """What the operator found."""

    observed_generation: int | None = None
    """Generation of spec that status is about."""
    conditions: Annotated[list[Condition], Field(max_length=16, json_schema_extra=list_map("type"))] = []
    """Complete, Failed, Admitted, DataResolved, Trained, Evaluated, Registered, GatePassed, Reconciling, Stalled."""
    start_time: Time | None = None
    """When its first Job was made."""
    completion_time: Time | None = None
    """When it ended, either way."""
    job_name: Text253 | None = None
    """Its Job."""
    retries: int | None = None
    """Jobs before this one that only the world could mend."""
    run_key: Text64 | None = None
    """sha256 of recipe, data and request."""
    data: ResolvedData | None = None
    """The version that latest meant."""
    environment: Environment | None = None
    """Where it was trained."""
    progress: Progress | None = None
    """How far it is."""
    primary_metric: Metric | None = None
    """The objective on the holdout."""
    metrics: Annotated[list[Metric], Field(max_length=8)] | None = None
    """What was measured."""
    gate: GateStatus | None = None
    """The verdict."""
    champion: Digest | None = None
    """The champion to beat, resolved at the start."""
    model: ModelVersion | None = None
    """The registered version."""
    report_uri: Uri | None = None
    """The readable report."""
    message: Text300 | None = None
    """One sentence on how it stands."""
    decisions: Annotated[list[Decision], Field(max_length=10)] | None = None
    """Newest first."""


class TrainingJob(Resource):
    """One immutable run."""

    spec: TrainingJobSpec
    status: TrainingJobStatus = TrainingJobStatus()
