"""DataSource: immutable dataset versions of one source, fetched, checked, protected, split, published."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints

from treadle.api.base import ColumnName, Cron, Decimal, Digest, Fraction, Model, Name, Record, Sql, Time, TimeZone, Uri
from treadle.api.blocks import (
    JobTemplate,
    PrivacyRef,
    Ref,
    Resource,
    SecretRef,
    StoreRef,
    Text64,
    Text253,
    Text300,
)
from treadle.api.conditions import Condition
from treadle.api.rules import cel, exactly_one, goes_with, list_map, no_credentials, rule

Text32 = Annotated[str, StringConstraints(max_length=32)]
Text128 = Annotated[str, StringConstraints(max_length=128)]
Text256 = Annotated[str, StringConstraints(max_length=256)]


class S3Source(Model):
    """Objects in an S3 bucket, one file each."""

    model_config = cel(no_credentials("storageUri"), no_credentials("endpoint"))

    storage_uri: Annotated[Uri, StringConstraints(pattern="^s3://")]
    """Object or prefix, for example s3://raw/nycflights13/."""
    include: Annotated[str, StringConstraints(min_length=1, max_length=256)] = "*"
    """Glob on the keys below the prefix, for example flights-2013-*.csv. Default *."""
    endpoint: Uri | None = None
    """URL of the store, for example https://s3.example.com. Absent: AWS."""
    region: Text64 | None = None
    """Region of the bucket, for example eu-west-1. Absent: us-east-1."""
    secret_ref: SecretRef | None = None
    """Secret with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY. Absent: the pod's identity."""
    ca_ref: Ref | None = None
    """ConfigMap whose key ca.crt holds the authority of the endpoint's certificate."""


class HttpSource(Model):
    """One file behind a URL."""

    model_config = cel(no_credentials("url"))

    url: Annotated[Uri, StringConstraints(pattern="^https?://")]
    """Where the file is, for example https://example.com/flights.csv."""
    secret_ref: SecretRef | None = None
    """Secret whose keys header.NAME are sent as request headers, for example header.Authorization; no other key is."""
    ca_ref: Ref | None = None
    """ConfigMap whose key ca.crt holds the authority of the server's certificate."""


class InlineSource(Model):
    """Files in a ConfigMap, for small data and for trying."""

    config_map_ref: Ref
    """The ConfigMap; each of its keys is a file."""


class Source(Model):
    """Where the data is: exactly one of s3, http and inline."""

    model_config = cel(exactly_one("s3", "http", "inline"))

    s3: S3Source | None = None
    """Objects in an S3 bucket."""
    http: HttpSource | None = None
    """One file behind a URL."""
    inline: InlineSource | None = None
    """Files in a ConfigMap."""


class FormatName(StrEnum):
    """The file formats."""

    CSV = "csv"
    PARQUET = "parquet"
    JSONL = "jsonl"


class Format(Model):
    """How the files are written."""

    name: FormatName
    """csv, parquet or jsonl."""
    delimiter: Annotated[str, StringConstraints(min_length=1, max_length=1)] = ","
    """Between the fields of a csv line. Default a comma."""
    header: bool = True
    """Whether a csv file's first line names its columns; if not, columns are taken in schema order. Default true."""
    null_values: Annotated[list[Text32], Field(max_length=16)] | None = None
    """Texts of a csv file that mean null, for example "" and NA. Absent: the empty text."""


class ColumnType(StrEnum):
    """The types of a column."""

    BOOLEAN = "boolean"
    INTEGER = "integer"
    DOUBLE = "double"
    STRING = "string"
    TIMESTAMP = "timestamp"
    DATE = "date"


class Role(StrEnum):
    """What a column is for."""

    FEATURE = "feature"
    TARGET = "target"
    OUTCOME = "outcome"
    ID = "id"
    TIME = "time"
    GROUP = "group"
    WEIGHT = "weight"
    NONE = "none"


class Classification(StrEnum):
    """Whom a column's values concern."""

    PUBLIC = "public"
    PERSONAL = "personal"
    SENSITIVE = "sensitive"


class Constraints(Model):
    """What every value of a column must satisfy."""

    min: Decimal | None = None
    """Smallest value, for example "0"."""
    max: Decimal | None = None
    """Largest value, for example "23"."""
    values: Annotated[list[Text128], Field(min_length=1, max_length=64)] | None = None
    """The values that may occur, for example EWR, JFK, LGA."""
    pattern: Text256 | None = None
    """RE2 expression that the whole of each text matches, for example ^[A-Z]{3}$."""
    unique: bool | None = None
    """Whether no value may occur twice. Absent: false."""
    max_null_fraction: Fraction | None = None
    """Largest share of nulls, for example "0.05". Absent: no bound but nullable."""


class Column(Model):
    """A column of every version."""

    name: ColumnName
    """Name in the file, or of the derived column, for example distance."""
    type: ColumnType
    """boolean, integer, double, string, timestamp or date."""
    role: Role | None = None
    """What it is for. outcome: known only after the event, so no feature. none: kept, not used. Absent: feature."""
    classification: Classification | None = None
    """public, personal or sensitive. Absent: public; a derived column inherits the strictest it reads."""
    nullable: bool | None = None
    """Whether nulls may occur. Absent: true."""
    expression: Sql | None = None
    """SQL over the source's columns that computes it, for example arr_delay > 15. Absent: read from the file."""
    constraints: Constraints | None = None
    """What its values must satisfy."""


class ExtraColumn(StrEnum):
    """What happens to a column that the schema does not list."""

    REJECT = "Reject"
    DROP = "Drop"
    KEEP = "Keep"


class Schema(Model):
    """The columns of every version, in order."""

    model_config = cel(
        rule(
            "['target','id','time','weight'].all(r, self.columns.filter(c, has(c.role) && c.role == r).size() <= 1)",
            "roles target, id, time and weight may each be given to one column",
        )
    )

    on_extra_column: ExtraColumn = ExtraColumn.REJECT
    """Reject, Drop or Keep a column of the file that is not listed. Default Reject."""
    columns: Annotated[list[Column], Field(min_length=1, max_length=256, json_schema_extra=list_map("name"))]
    """The columns, in the version's order."""


class PrivacyAction(StrEnum):
    """What is stored instead of a value."""

    DROP = "Drop"
    HASH = "Hash"
    KEEP = "Keep"


class PrivacyPolicy(Model):
    """What happens to the columns of one class."""

    classification: Annotated[str, StringConstraints(pattern="^(personal|sensitive)$", max_length=16)]
    """personal or sensitive."""
    action: PrivacyAction
    """Drop the column, Hash its values with a key, or Keep them."""


class Privacy(Model):
    """What is stored, logged and reported instead of personal values; applied before the first write."""

    policies: (
        Annotated[list[PrivacyPolicy], Field(max_length=2, json_schema_extra=list_map("classification"))] | None
    ) = None
    """One policy for each class."""
    secret_ref: PrivacyRef | None = None
    """Secret whose hash.key keys the pseudonyms. Absent: treadle-privacy."""


class Severity(StrEnum):
    """What a failed check does."""

    BLOCK = "Block"
    WARN = "Warn"


class Check(Model):
    """An expectation about the data, in SQL."""

    model_config = cel(exactly_one("rows", "table"))

    name: Name
    """Name of the check, for example plausible."""
    severity: Severity
    """Block: no version is published. Warn: it is, and says so."""
    rows: Sql | None = None
    """True for each row, for example arr_delay BETWEEN -120 AND 1500."""
    table: Sql | None = None
    """One aggregate, true for the whole, for example count(*) >= 5000."""
    max_violations: Fraction | None = None
    """Share of rows that may violate a rows check. Absent: 0."""


class Leakage(StrEnum):
    """What is done about a feature that gives the target away."""

    BLOCK = "Block"
    WARN = "Warn"
    IGNORE = "Ignore"


class Quality(Model):
    """What the data must satisfy to become a version."""

    checks: Annotated[list[Check], Field(max_length=64, json_schema_extra=list_map("name"))] | None = None
    """Checks in SQL."""
    leakage: Leakage = Leakage.BLOCK
    """Block, Warn or Ignore target proxies, rows in both train and holdout, and overlap in time. Default Block."""


class SplitStrategy(StrEnum):
    """How rows are assigned."""

    RANDOM = "Random"
    TIME = "Time"


class Fractions(Model):
    """Shares of rows; they add up to 1."""

    model_config = cel(
        rule(
            "double(self.train) + double(self.validation) + double(self.holdout) > 0.999999 && "
            "double(self.train) + double(self.validation) + double(self.holdout) < 1.000001 && "
            "double(self.train) > 0.0 && double(self.holdout) > 0.0",
            "train, validation and holdout must add up to 1, train and holdout above 0",
        )
    )

    train: Fraction
    """Share that models learn from, for example "0.7"."""
    validation: Fraction
    """Share for choices made while training, for example "0.1"."""
    holdout: Fraction
    """Share that only the gate sees, for example "0.2"."""


class Split(Model):
    """How rows are assigned to train, validation and holdout."""

    model_config = cel(goes_with("timeColumn", "strategy", "Time"))

    strategy: SplitStrategy
    """Random: by a hash of the row and the seed, so that a holdout row stays one. Time: the newest are the holdout."""
    time_column: ColumnName | None = None
    """Column that orders the rows under strategy Time."""
    fractions: Fractions | None = None
    """Absent: 0.7, 0.1 and 0.2."""
    seed: Annotated[int, Field(ge=0, le=2147483647)] = 0
    """Varies a random split. Default 0."""


class DataSourceSpec(Model):
    """What the versions are made of."""

    model_config = cel(
        rule(
            "self.schema.columns.all(c, !has(c.classification) || c.classification == 'public' || "
            "(has(self.privacy) && has(self.privacy.policies) && "
            "self.privacy.policies.exists(p, p.classification == c.classification)))",
            "a column is personal or sensitive and no privacy policy covers its class; add one to privacy.policies, "
            "or action: Keep",
        ),
        rule(
            "!has(self.split) || !has(self.split.timeColumn) || self.schema.columns.exists(c, "
            "c.name == self.split.timeColumn && c.type in ['timestamp','date'])",
            "split.timeColumn must be among schema.columns, of type timestamp or date",
        ),
    )

    source: Source
    """Where the data is."""
    format: Format
    """How the files are written."""
    filter: Sql | None = None
    """Rows to keep, for example arr_delay IS NOT NULL. Absent: all."""
    schedule: Cron | None = None
    """When to fetch, as cron, for example 15 * * * *. Absent: when spec changes and on request."""
    time_zone: TimeZone = "Etc/UTC"
    """IANA zone in which schedule is read. Default Etc/UTC."""
    suspend: bool = False
    """True: no fetch; versions stay. Default false."""
    schema_: Annotated[Schema, Field(alias="schema")]
    """The columns, their types and roles."""
    privacy: Privacy | None = None
    """What is stored instead of personal values."""
    quality: Quality | None = None
    """What the data must satisfy."""
    split: Split | None = None
    """How rows are assigned. Absent: Random, 0.7, 0.1 and 0.2."""
    job_template: JobTemplate | None = None
    """How the ingest Job runs."""
    store_ref: StoreRef | None = None
    """The bucket's Secret. Absent: treadle-store."""


class SplitPart(Record):
    """One part of a version."""

    rows: int
    """Rows in it."""
    digest: Digest
    """Content digest."""
    from_: Annotated[Time | None, Field(alias="from")] = None
    """Earliest time, if a column has role time."""
    until: Time | None = None
    """Latest time."""


class Splits(Record):
    """The three parts of a version."""

    train: SplitPart
    """What models learn from."""
    validation: SplitPart | None = None
    """For choices made while training."""
    holdout: SplitPart
    """What only the gate sees."""


class DatasetVersion(Record):
    """A published dataset version."""

    digest: Digest
    """sha256 of its manifest: its name everywhere."""
    short: Text32
    """First twelve hex digits of the digest."""
    content_digest: Digest
    """sha256 of its values; equal content is not published twice."""
    storage_uri: Uri
    """Where its manifest lies."""
    rows: int
    """Rows in all parts."""
    bytes: int
    """Size of its Parquet files."""
    published_at: Time
    """When it was published."""
    schema_digest: Digest
    """sha256 of its schema."""
    profile_uri: Uri | None = None
    """Where its column profile lies."""
    warnings: int = 0
    """Checks that warned."""
    splits: Splits
    """Its three parts."""


class VersionRow(Record):
    """A version in the history."""

    digest: Digest
    """Its name."""
    rows: int
    """Rows in all parts."""
    published_at: Time
    """When it was published."""


class FetchResult(StrEnum):
    """How a fetch ended."""

    PUBLISHED = "Published"
    UNCHANGED = "Unchanged"
    REJECTED = "Rejected"
    FAILED = "Failed"


class FetchAttempt(Record):
    """The last fetch."""

    job_name: Text253
    """Its Job."""
    run_key: Text64
    """Hash of its inputs."""
    attempt: int = 0
    """Jobs of the same inputs before it that only the world could mend."""
    generation: int = 0
    """The generation of spec that it fetched."""
    config_map_version: Text64 | None = None
    """resourceVersion of the inline ConfigMap that called for it."""
    start_time: Time | None = None
    """When it began."""
    completion_time: Time | None = None
    """When it ended."""
    result: FetchResult | None = None
    """Published, Unchanged, Rejected or Failed; absent while it runs."""
    reason: Text64 | None = None
    """Why."""
    message: Text300 | None = None
    """Why, in a sentence."""
    percentage: int | None = None
    """Progress while it runs, 0 to 100."""


class CheckRow(Record):
    """What a check found."""

    name: Name
    """Name of the check."""
    severity: Severity
    """Block or Warn."""
    violations: int
    """Rows that violate it; 1 for a table check that failed."""
    fraction: Decimal
    """The same as a share of rows."""


class DataSourceStatus(Record):
    """What the operator found."""

    observed_generation: int | None = None
    """Generation of spec that status is about."""
    settled_generation: int | None = None
    """Last generation whose desired state was reached."""
    conditions: Annotated[list[Condition], Field(max_length=16, json_schema_extra=list_map("type"))] = []
    """Ready, Fetched, SchemaValid, PrivacyApplied, QualityPassed, Reconciling, Stalled."""
    current_version: DatasetVersion | None = None
    """The newest version."""
    versions: Annotated[list[VersionRow], Field(max_length=10)] | None = None
    """Newest first."""
    last_attempt: FetchAttempt | None = None
    """The last fetch."""
    checks: Annotated[list[CheckRow], Field(max_length=10)] | None = None
    """What the checks of the last fetch found, worst first."""
    last_schedule_time: Time | None = None
    """The due time last acted on."""
    next_schedule_time: Time | None = None
    """The next due time."""
    handled_request: Text64 | None = None
    """The value of treadle.dev/requested-at last acted on."""


class DataSource(Resource):
    """Immutable dataset versions of one source."""

    spec: DataSourceSpec
    status: DataSourceStatus = DataSourceStatus()
