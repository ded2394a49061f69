"""Monitor: judges each window of a deployment's prediction log and asks for action."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from treadle.api.base import (
    ColumnName,
    Cron,
    Decimal,
    Digest,
    Duration,
    Fraction,
    Model,
    Name,
    Record,
    Time,
    TimeZone,
    Uri,
)
from treadle.api.blocks import Decision, JobTemplate, Ref, Resource, StoreRef, Text64, Text253, Text300
from treadle.api.conditions import Condition
from treadle.api.rules import cel, field_cel, goes_with, list_map, rule


class Window(Model):
    """The stretch of log that is judged at once."""

    size: Duration = "24h"
    """Length, 1m to 31d, aligned to UTC; judged 30 s after its end at the earliest. Default 24h."""
    min_samples: Annotated[int, Field(ge=30, le=10000000)] = 500
    """Fewer predictions: Insufficient, never Healthy. Default 500."""


class ReferenceFrom(StrEnum):
    """What is normal."""

    CHAMPION_TRAINING_DATA = "ChampionTrainingData"


class Reference(Model):
    """What the window is compared with."""

    from_: Annotated[ReferenceFrom, Field(alias="from")] = ReferenceFrom.CHAMPION_TRAINING_DATA
    """ChampionTrainingData. Default ChampionTrainingData."""


class Drift(Model):
    """When columns count as moved."""

    enabled: bool = True
    """Default true, also without this block."""
    alpha: Fraction = "0.01"
    """Largest adjusted p-value (Benjamini-Hochberg). Default 0.01."""
    min_effect: Fraction = "0.1"
    """Smallest effect, 0 to 1: the Kolmogorov-Smirnov distance, or Cramer's V. Default 0.1."""
    confirm_windows: Annotated[int, Field(ge=1, le=10)] = 2
    """Suspected in so many windows in a row is Detected. Default 2."""
    prediction: bool = True
    """Whether the predictions are tested too. Default true."""
    exclude_columns: Annotated[list[ColumnName], Field(max_length=256)] | None = None
    """Columns that are not tested."""


class QualityLimits(Model):
    """What inputs may look like."""

    max_null_fraction: Fraction = "0.1"
    """Nulls of a column. Default 0.1."""
    max_unseen_fraction: Fraction = "0.05"
    """Values of a text column that training did not see. Default 0.05."""
    max_range_violations: Fraction = "0.05"
    """Numbers outside training's range. Default 0.05."""
    max_rejected: Fraction = "0.1"
    """Requests refused by the server. Default 0.1."""


class Finding(StrEnum):
    """What an action may wait for."""

    DRIFT_DETECTED = "DriftDetected"
    QUALITY_BREACHED = "QualityBreached"


class ActionKind(StrEnum):
    """What may be asked."""

    NOTIFY = "Notify"
    RETRAIN = "Retrain"
    ROLLBACK = "Rollback"


class Action(Model):
    """What is asked when something is found."""

    model_config = cel(
        rule(
            "self.do != 'Rollback' || !self.when.exists(w, w == 'DriftDetected')",
            "Rollback on DriftDetected is refused: moved inputs do not say that the former model is better",
        )
    )

    name: Name
    """Name of the action, for example relearn."""
    when: Annotated[list[Finding], Field(min_length=1, max_length=6)]
    """Findings, any of which calls for it."""
    do: ActionKind
    """Notify, Retrain or Rollback."""
    for_windows: Annotated[int, Field(ge=1, le=10)] | None = None
    """So many windows in a row. Absent: 1."""


class Since(StrEnum):
    """Where a retrain's rows begin."""

    LAST_SHIFT = "LastShift"
    DURATION = "Duration"
    ALL = "All"


class RetrainWindow(Model):
    """The rows that a retrain learns from."""

    model_config = cel(goes_with("duration", "since", "Duration"))

    since: Since = Since.ALL
    """LastShift, Duration or All. Default All."""
    duration: Duration | None = None
    """How far back, for since Duration."""
    min_labelled_rows: Annotated[int, Field(ge=0, le=1000000000)] = 1000
    """Fewer rows with a label: the request waits. Default 1000."""


class Breaker(Model):
    """When asking stops."""

    max_consecutive_refusals: Annotated[int, Field(ge=1, le=20)] = 3
    """Refused runs in a row; then a person must ask. Default 3."""


class RetrainRules(Model):
    """How often a retrain may be asked for."""

    cooldown: Duration = "24h"
    """Between requests. Default 24h."""
    max_per_day: Annotated[int, Field(ge=0, le=24)] = 1
    """Requests in 24 hours. Default 1."""
    window: RetrainWindow | None = None
    """Rows to learn from. Absent: all."""
    breaker: Breaker | None = None
    """When asking stops. Absent: after 3 refusals."""


class MonitorSpec(Model):
    """What is watched, and what is asked for."""

    target_ref: Annotated[
        Ref,
        Field(
            json_schema_extra=field_cel(
                rule("self.name == oldSelf.name", "targetRef is immutable; create another Monitor")
            )
        ),
    ]
    """The ModelDeployment. Immutable."""
    schedule: Cron = "@hourly"
    """When the last whole window is judged. Default @hourly."""
    time_zone: TimeZone = "Etc/UTC"
    """IANA zone in which schedule is read. Default Etc/UTC."""
    suspend: bool = False
    """True: no window is judged. Default false."""
    window: Window | None = None
    """Absent: 24h, 500 samples."""
    reference: Reference | None = None
    """Absent: the champion's training data."""
    drift: Drift | None = None
    """Absent: on, with its defaults."""
    quality: QualityLimits | None = None
    """Absent: its defaults."""
    actions: Annotated[list[Action], Field(max_length=16, json_schema_extra=list_map("name"))] | None = None
    """Absent: Notify on all."""
    retrain: RetrainRules | None = None
    """How often a retrain may be asked for."""
    job_template: JobTemplate | None = None
    """How the monitor Job runs."""
    store_ref: StoreRef | None = None
    """The bucket's Secret. Absent: treadle-store."""


class WindowVerdict(StrEnum):
    """What a window says."""

    HEALTHY = "Healthy"
    SUSPECTED = "Suspected"
    DETECTED = "Detected"
    INSUFFICIENT = "Insufficient"


class LastWindow(Record):
    """The window judged last."""

    start: Time
    """Its begin."""
    end: Time
    """Its end."""
    revision: int = 1
    """How often it was judged."""
    samples: int
    """Predictions in it."""
    verdict: WindowVerdict
    """Healthy, Suspected, Detected or Insufficient."""
    worst_column: ColumnName | None = None
    """The column that passed a limit, else the one that moved most; predictions are out.score."""
    champion_digest: Digest | None = None
    """The model whose predictions were judged."""
    report_uri: Uri | None = None
    """The readable report."""
    digest: Digest | None = None
    """sha256 of the record."""


class WindowRow(Record):
    """A window in the history."""

    start: Time
    """Its begin."""
    verdict: WindowVerdict
    """Healthy, Suspected, Detected or Insufficient."""
    breached: Annotated[list[Text64], Field(max_length=8)] = []
    """Findings that were True."""
    champion_digest: Digest | None = None
    """The model whose predictions were judged; streaks are counted for each model alone."""


class DriftColumn(Record):
    """How far a column moved."""

    name: ColumnName
    """The column; predictions are out.score."""
    test: Text64
    """ks or chi2."""
    statistic: Decimal
    """The test's statistic."""
    p_value: Decimal
    """Its p-value."""
    adjusted_p_value: Decimal
    """The same, adjusted for the number of columns."""
    effect: Decimal
    """0 to 1."""


class DriftStatus(Record):
    """How far the inputs moved."""

    score: Decimal
    """Share of columns that moved."""
    worst_column: ColumnName | None = None
    """The one that moved most."""
    shift_at: Time | None = None
    """Begin of the first window of this streak."""
    columns: Annotated[list[DriftColumn], Field(max_length=10)] = []
    """Worst first."""


class MonitorRequest(Record):
    """What this Monitor asks of its target."""

    id: Text64
    """Names the request; one id acts once."""
    action: ActionKind
    """Retrain or Rollback."""
    cause: Text64
    """The finding."""
    window: Time
    """Begin of the window that called for it."""
    subject: Digest
    """The champion that it is about."""
    since: Time | None = None
    """Rows to learn from begin here. Absent: all."""
    min_labelled_rows: int | None = None
    """Fewer rows with a label: the run waits."""
    requested_at: Time
    """When."""


class RetrainStatus(Record):
    """What became of the requests."""

    last_triggered_at: Time | None = None
    """When it last asked."""
    cause: Text64 | None = None
    """Why."""
    training_job: Text253 | None = None
    """The run that it started."""
    last_verdict: Text64 | None = None
    """How that ended."""
    counted_run: Text253 | None = None
    """The last run whose verdict was counted."""
    next_allowed_at: Time | None = None
    """When it may ask again."""
    consecutive_refusals: int = 0
    """Refused runs in a row."""
    requests_today: Annotated[list[Time], Field(max_length=24)] | None = None
    """When it asked in the last 24 hours."""


class WindowAttempt(Record):
    """The window that is judged now, or was judged last."""

    start: Time
    """Its begin."""
    end: Time
    """Its end."""
    job_name: Text253
    """Its Job."""
    run_key: Text64
    """Hash of its inputs."""
    champion_digest: Digest | None = None
    """The model whose predictions are judged."""
    attempt: int = 0
    """Jobs of the same inputs before it that only the world could mend."""
    finished: bool = False
    """Whether its result was taken."""
    reason: Text64 | None = None
    """Why it failed."""


class MonitorStatus(Record):
    """What the operator found."""

    observed_generation: int | None = None
    """Generation of spec that status is about."""
    settled_generation: int | None = None
    """Last generation whose desired state was reached."""
    conditions: Annotated[list[Condition], Field(max_length=16, json_schema_extra=list_map("type"))] = []
    """Ready, DataFlowing, DriftSuspected, DriftDetected, QualityBreached, RetrainBlocked, Reconciling, Stalled."""
    attempt: WindowAttempt | None = None
    """The window that is judged now."""
    last_window: LastWindow | None = None
    """The window judged last."""
    windows: Annotated[list[WindowRow], Field(max_length=10)] | None = None
    """Newest first."""
    drift: DriftStatus | None = None
    """How far the inputs moved."""
    request: MonitorRequest | None = None
    """What it asks of its target."""
    retrain: RetrainStatus | None = None
    """What became of the requests."""
    summary: Text300 | None = None
    """What moved, why it matters, what is next."""
    last_schedule_time: Time | None = None
    """The due time last acted on."""
    next_schedule_time: Time | None = None
    """The next due time."""
    handled_request: Text64 | None = None
    """The value of treadle.dev/requested-at last acted on."""
    decisions: Annotated[list[Decision], Field(max_length=10)] | None = None
    """Newest first."""


class Monitor(Resource):
    """Judges each window of a deployment's prediction log."""

    spec: MonitorSpec
    status: MonitorStatus = MonitorStatus()
