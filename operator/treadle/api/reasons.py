"""Every reason that a condition can give: one closed list, and which condition of which kind may give it."""

from enum import StrEnum


class Reason(StrEnum):
    """Why a condition is as it is. docs/reasons has a page for each; renaming one breaks people's alerts."""

    # Shared: a person corrects the object.
    INVALID_SPEC = "InvalidSpec"
    NAME_TAKEN = "NameTaken"
    OUT_OF_MEMORY = "OutOfMemory"
    DEADLINE_EXCEEDED = "DeadlineExceeded"
    RESULT_MISSING = "ResultMissing"
    RECONCILE_ERROR = "ReconcileError"
    # Shared: the world changes; WORLD below lists those that are tried again.
    SECRET_NOT_FOUND = "SecretNotFound"
    CONFIG_MAP_NOT_FOUND = "ConfigMapNotFound"
    NAME_NOT_RESOLVED = "NameNotResolved"
    CONNECTION_FAILED = "ConnectionFailed"
    TLS_FAILED = "TLSFailed"
    CLOCK_SKEWED = "ClockSkewed"
    CREDENTIALS_REJECTED = "CredentialsRejected"
    BUCKET_NOT_FOUND = "BucketNotFound"
    REGION_MISMATCH = "RegionMismatch"
    ACCESS_DENIED = "AccessDenied"
    QUOTA_EXCEEDED = "QuotaExceeded"
    THROTTLED = "Throttled"
    STORE_UNSUPPORTED = "StoreUnsupported"
    CHECKSUM_MISMATCH = "ChecksumMismatch"
    SIGNATURE_INVALID = "SignatureInvalid"
    UNSCHEDULABLE = "Unschedulable"
    POD_QUOTA_EXCEEDED = "PodQuotaExceeded"
    IMAGE_PULL_FAILED = "ImagePullFailed"
    # Shared: the two kstatus conditions, and what is not judged yet.
    SETTLED = "Settled"
    SPEC_CHANGED = "SpecChanged"
    WAITING = "Waiting"
    NOT_JUDGED = "NotJudged"
    SUSPENDED = "Suspended"
    # DataSource
    VERSION_PUBLISHED = "VersionPublished"
    SERVING_PREVIOUS_VERSION = "ServingPreviousVersion"
    FETCHING = "Fetching"
    FETCHED = "Fetched"
    SOURCE_EMPTY = "SourceEmpty"
    SOURCE_CHANGED = "SourceChanged"
    FORMAT_ERROR = "FormatError"
    SCHEMA_VALID = "SchemaValid"
    SCHEMA_MISMATCH = "SchemaMismatch"
    CONSTRAINT_VIOLATED = "ConstraintViolated"
    EXTRA_COLUMN = "ExtraColumn"
    MISSING_COLUMN = "MissingColumn"
    APPLIED = "Applied"
    NO_PERSONAL_COLUMNS = "NoPersonalColumns"
    PRIVACY_KEY_MISSING = "PrivacyKeyMissing"
    CHECKS_PASSED = "ChecksPassed"
    PASSED_WITH_WARNINGS = "PassedWithWarnings"
    QUALITY_FAILED = "QualityFailed"
    LEAKAGE_FOUND = "LeakageFound"
    TOO_FEW_ROWS = "TooFewRows"
    # TrainingJob
    PASSED_GATE = "PassedGate"
    HELD_BY_GATE = "HeldByGate"
    REJECTED_BY_GATE = "RejectedByGate"
    GATE_INCONCLUSIVE = "GateInconclusive"
    WAITING_FOR_DATA_SOURCE = "WaitingForDataSource"
    WAITING_FOR_MODEL_DEPLOYMENT = "WaitingForModelDeployment"
    WAITING_FOR_VERSION = "WaitingForVersion"
    NOT_ENOUGH_LABELLED_ROWS = "NotEnoughLabelledRows"
    RUNNING = "Running"
    NOT_FAILED = "NotFailed"
    METRICS_INVALID = "MetricsInvalid"
    ONE_CLASS_TARGET = "OneClassTarget"
    TRAINING_ERROR = "TrainingError"
    DATA_GONE = "DataGone"
    FORMAT_REFUSED = "FormatRefused"
    CONVERSION_MISMATCH = "ConversionMismatch"
    NOT_QUEUED = "NotQueued"
    RESOLVED = "Resolved"
    TRAINED = "Trained"
    EVALUATED = "Evaluated"
    REGISTERED = "Registered"
    PUBLISH_FAILED = "PublishFailed"
    ALL_CHECKS_PASSED = "AllChecksPassed"
    NO_CHAMPION = "NoChampion"
    NOT_BETTER = "NotBetter"
    FLOOR_MISSED = "FloorMissed"
    SLICE_REGRESSED = "SliceRegressed"
    HOLDOUT_USED_UP = "HoldoutUsedUp"
    CHAMPION_UNSCORABLE = "ChampionUnscorable"
    # ModelDeployment
    ANSWERING = "Answering"
    ROLLED_BACK = "RolledBack"
    WAITING_FOR_MODEL = "WaitingForModel"
    LOADING = "Loading"
    NO_READY_PODS = "NoReadyPods"
    GOLDEN_MISMATCH = "GoldenMismatch"
    PROGRESS_DEADLINE_EXCEEDED = "ProgressDeadlineExceeded"
    SIGNATURE_AND_DIGEST = "SignatureAndDigest"
    NOT_ENFORCED = "NotEnforced"
    ARTIFACT_MISSING = "ArtifactMissing"
    MINIMUM_REPLICAS = "MinimumReplicas"
    TOO_FEW_REPLICAS = "TooFewReplicas"
    SCALED_TO_ZERO = "ScaledToZero"
    NO_CANDIDATE = "NoCandidate"
    PROMOTED = "Promoted"
    VERIFYING = "Verifying"
    CANARY = "Canary"
    PAUSED = "Paused"
    HELD = "Held"
    TOO_FEW_SAMPLES = "TooFewSamples"
    UNDECIDED = "Undecided"
    HEALTHY = "Healthy"
    ERROR_RATE_HIGHER = "ErrorRateHigher"
    LATENCY_HIGHER = "LatencyHigher"
    CANDIDATE_CRASHED = "CandidateCrashed"
    NOT_ROLLED_BACK = "NotRolledBack"
    CANARY_FAILED = "CanaryFailed"
    MONITOR_ASKED = "MonitorAsked"
    PERSON_ASKED = "PersonAsked"
    VERIFICATION_FAILED = "VerificationFailed"
    IDLE = "Idle"
    NO_TEMPLATE = "NoTemplate"
    DAILY_LIMIT = "DailyLimit"
    VERDICT_STALE = "VerdictStale"
    # Monitor
    WATCHING = "Watching"
    REFERENCE_GONE = "ReferenceGone"
    ENOUGH = "Enough"
    INSUFFICIENT = "Insufficient"
    NO_MODEL = "NoModel"
    NO_LOG = "NoLog"
    NO_DRIFT = "NoDrift"
    COLUMNS_MOVED = "ColumnsMoved"
    PREDICTIONS_MOVED = "PredictionsMoved"
    DISABLED = "Disabled"
    WITHIN_LIMITS = "WithinLimits"
    TOO_MANY_NULLS = "TooManyNulls"
    UNSEEN_VALUES = "UnseenValues"
    OUT_OF_RANGE = "OutOfRange"
    REQUESTS_REJECTED = "RequestsRejected"
    FREE = "Free"
    COOLDOWN = "Cooldown"
    SAME_DATA = "SameData"
    RUN_IN_PROGRESS = "RunInProgress"
    BREAKER_OPEN = "BreakerOpen"


WORLD = frozenset(
    {
        Reason.SECRET_NOT_FOUND,
        Reason.CONFIG_MAP_NOT_FOUND,
        Reason.NAME_NOT_RESOLVED,
        Reason.CONNECTION_FAILED,
        Reason.TLS_FAILED,
        Reason.CLOCK_SKEWED,
        Reason.CREDENTIALS_REJECTED,
        Reason.BUCKET_NOT_FOUND,
        Reason.REGION_MISMATCH,
        Reason.ACCESS_DENIED,
        Reason.QUOTA_EXCEEDED,
        Reason.THROTTLED,
        Reason.STORE_UNSUPPORTED,
        Reason.CHECKSUM_MISMATCH,
        Reason.SIGNATURE_INVALID,
        Reason.UNSCHEDULABLE,
        Reason.POD_QUOTA_EXCEEDED,
        Reason.IMAGE_PULL_FAILED,
    }
)
"""Only the world can mend these; the run is tried again. Failures of the recipe are not repeated."""
