"""Documents inside the store that more than one program reads: a model's schema, its golden rows, the request log."""

from typing import Annotated, Any, Literal

from pydantic import Field

from treadle.api.base import Record
from treadle.api.datasource import Classification, ColumnType
from treadle.api.trainingjob import Task

MODEL_ONNX = "model.onnx"
MODEL_SKOPS = "model.skops"
SCHEMA_FILE = "schema.json"
GOLDEN_FILE = "golden.json"
REFERENCE_FILE = "reference.parquet"

OUTPUT_LABEL = "label"
OUTPUT_SCORE = "score"

# Columns of the request log and of reference.parquet. A model's inputs are columns under their own names with this
# prefix, so that no input can collide with what the log adds.
INPUT_PREFIX = "in."
SCORE_COLUMN = "out.score"
LABEL_COLUMN = "out.label"
LOG_COLUMNS = ("prediction_id", "model_digest", "arm", "time", "latency_microseconds", "status")
"""string, string, string, timestamp[us, UTC], int64, int16: the HTTP status. A refused request leaves no inputs."""


class Input(Record):
    """One input column of a model.

    Graph inputs have the column's name, shape (n, 1); numbers and booleans are float32 with NaN for null, text is a
    string tensor with "" for null; timestamps and dates are float32 seconds since 1970.
    """

    name: str
    type: ColumnType
    nullable: bool = True
    classification: Classification = Classification.PUBLIC
    values: list[str] | None = None
    """Values of a text column in the train part, sorted; absent beyond 1,000."""
    min: str | None = None
    max: str | None = None
    """Range of a number in the train part."""
    example: Any = None
    """A value from the train part; absent for personal columns."""


class ModelSchema(Record):
    """schema.json: what a model takes and answers.

    Output score: float, P(positive class) for BinaryClassification, the prediction for Regression, the highest
    probability for MulticlassClassification. Output label: the class as text (boolean true and false), absent for
    Regression.
    """

    v: Literal[1] = 1
    task: Task
    inputs: Annotated[list[Input], Field(min_length=1)]
    classes: list[str] = []
    """Classes in the order of probabilities; the last of two is the positive one."""
    threshold: str = "0.5"
    id_column: str | None = None
    """Column with role id: its value, if sent, is the prediction id."""


class Golden(Record):
    """golden.json: rows that a model must answer as it did in training.

    rows: for each input column its values, JSON values, null for missing. scores: one per row. labels: one per row,
    empty for Regression.
    """

    v: Literal[1] = 1
    columns: dict[str, list[Any]]
    scores: list[float]
    labels: list[str] = []
