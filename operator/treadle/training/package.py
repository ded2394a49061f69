"""A fitted Pipeline as the files of a model version: its graph, schema, golden rows and reference."""

import json
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sklearn.pipeline import Pipeline

from treadle.api.artifacts import (
    GOLDEN_FILE,
    INPUT_PREFIX,
    LABEL_COLUMN,
    MODEL_ONNX,
    MODEL_SKOPS,
    REFERENCE_FILE,
    SCHEMA_FILE,
    SCORE_COLUMN,
    Golden,
    Input,
    ModelSchema,
)
from treadle.api.base import decimal
from treadle.api.datasource import Classification, ColumnType
from treadle.api.reasons import Reason
from treadle.api.trainingjob import Recipe, Task
from treadle.store.tables import encode, normal
from treadle.training.bootstrap import Floats
from treadle.training.dataset import Columns
from treadle.training.errors import TRAINED, Refused
from treadle.training.formats import skops_bytes, written
from treadle.training.metrics import Answers, Ints
from treadle.training.opened import Format, Opened, Unopened, answers, open_model
from treadle.training.prepare import frame, is_text

GOLDEN_ROWS = 20
REFERENCE_ROWS = 10_000
VALUES_LIMIT = 1_000
TOLERANCE = 1e-5
"""As a server's verification.goldenTolerance, relative above 1."""
DECIDED = 1e-3
"""How far a golden row's score is from where its label would change, so that rounding never changes a label."""
FLOAT32_MAX = 3.4028234e38


@dataclass(frozen=True, slots=True)
class Package:
    """A model version before it is published: its files by path, and the model as servers will open it."""

    format: Format
    path: str
    files: dict[str, bytes]
    opened: Opened
    blocked: str = ""
    """What ONNX cannot express of it; empty where it is ONNX, or where skops was asked for."""


def package(
    recipe: Recipe, pipeline: Pipeline, columns: Columns, classes: list[str], *, train: pa.Table, reference: pa.Table
) -> Package:
    """Return the files of a model version.

    train: rows whose values the schema describes. reference: rows that are normal for this model, of which golden
    rows are some. Raises Refused: FormatRefused where no safe format holds the pipeline, ConversionMismatch where the
    written model answers otherwise than the fitted one.
    """
    schema = schema_of(recipe, columns, classes, train)
    form, data, opened, blocked = written(pipeline, schema, recipe)
    able = reference.filter(pa.array(askable(reference, schema)))
    rows = spread(able if able.num_rows else train, REFERENCE_ROWS)
    expected = fitted_answers(pipeline, rows, schema)
    if (apart := mismatch(expected, opened.answers(rows), form)) is not None:
        raise Refused(Reason.CONVERSION_MISMATCH, f"{apart}; {remedy(pipeline, form, schema)}", TRAINED)
    path = MODEL_ONNX if form == "onnx" else MODEL_SKOPS
    files = {
        path: data,
        SCHEMA_FILE: _json(schema.dump()),
        GOLDEN_FILE: _json(golden(rows, expected, schema).dump()),
        REFERENCE_FILE: reference_file(rows, expected, schema),
    }
    return Package(form, path, files, opened, blocked)


def schema_of(recipe: Recipe, columns: Columns, classes: list[str], train: pa.Table) -> ModelSchema:
    """Return what the model takes and answers, with what the train rows hold."""
    return ModelSchema(
        task=recipe.task,
        inputs=[described(column, train.column(column.name)) for column in columns.inputs],
        classes=classes,
        threshold=recipe.decision.threshold if recipe.decision is not None else "0.5",
        id_column=columns.id,
    )


def described(column: Input, values: pa.ChunkedArray) -> Input:
    """Return an input with its values, range and example; nothing is quoted of a column that is not public."""
    if column.classification is not Classification.PUBLIC:
        return column
    present = values.drop_null()
    facts: dict[str, Any] = {"example": json_value(present[0].as_py())} if len(present) else {}
    if is_text(column):
        distinct = pc.unique(present)
        if len(distinct) <= VALUES_LIMIT:
            facts["values"] = sorted(distinct.to_pylist())
    elif column.type is not ColumnType.BOOLEAN and len(present):
        ends = pc.min_max(present).as_py()
        facts |= {end: bound for end in ("min", "max") if (bound := _bound(ends[end])) is not None}
    return column.model_copy(update=facts)


def fitted_answers(pipeline: Pipeline, rows: pa.Table, schema: ModelSchema) -> Answers:
    """Return what scikit-learn itself answers."""
    x = frame(rows, schema.inputs)
    found = pipeline.predict(x).reshape(-1, 1) if schema.task is Task.REGRESSION else pipeline.predict_proba(x)
    return answers(np.asarray(found, np.float64), schema)


def mismatch(expected: Answers, found: Answers, form: Format) -> str | None:
    """Return how two models' answers to the same rows differ beyond TOLERANCE; None where they do not."""
    ours = found.score[:, None] if found.probability is None else found.probability
    theirs = expected.score[:, None] if expected.probability is None else expected.probability
    apart = np.abs(ours - theirs) / np.maximum(1.0, np.abs(theirs))
    # Where both are no number, the metrics say so.
    wrong = ~(apart <= TOLERANCE) & ~(np.isnan(ours) & np.isnan(theirs))
    if not wrong.any():
        return None
    row, column = np.argwhere(wrong)[0]
    return (
        f"the model as {form} answers {ours[row, column]:.9g} where scikit-learn answers "
        f"{theirs[row, column]:.9g}, in {int(wrong.any(axis=1).sum())} of {len(wrong)} rows beyond {TOLERANCE:g}"
    )


def remedy(pipeline: Pipeline, form: Format, schema: ModelSchema) -> str:
    """Return what mends a model that answers otherwise once it is written: skops, where that can hold it."""
    if form == "skops":
        return "use another estimator"
    try:
        open_model(skops_bytes(pipeline), "skops", schema)
    except Unopened:
        return "scale large columns down by an expression of the DataSource, or use another estimator"
    return "set spec.output.format.name: skops"


def golden(rows: pa.Table, expected: Answers, schema: ModelSchema) -> Golden:
    """Return rows with scikit-learn's answers, by which a server proves that it opened the same model."""
    able = np.flatnonzero(np.isfinite(expected.score))
    decided = able[margin(expected, schema)[able] > DECIDED]
    chosen = evenly(decided if len(decided) else able, GOLDEN_ROWS)
    picked = rows.take(pa.array(chosen))
    return Golden(
        columns={
            column.name: [json_value(value) for value in picked.column(column.name).to_pylist()]
            for column in schema.inputs
        },
        scores=expected.score[chosen].tolist(),
        labels=[schema.classes[code] for code in expected.label[chosen]] if schema.classes else [],
    )


def askable(rows: pa.Table, schema: ModelSchema) -> np.ndarray:
    """Return which rows a request could hold, shape (n,): their numbers fit into float32."""
    able = np.ones(rows.num_rows, bool)
    for column in schema.inputs:
        if column.type is ColumnType.DOUBLE:
            able &= np.abs(np.asarray(pc.fill_null(rows.column(column.name), 0.0))) <= FLOAT32_MAX
    return able


def margin(expected: Answers, schema: ModelSchema) -> Floats:
    """Return how far each answer is from another label, shape (n,); infinite for Regression."""
    if schema.task is Task.BINARY:
        return np.abs(expected.score - float(schema.threshold))
    if expected.probability is None:
        return np.full(len(expected.score), np.inf)
    ordered = np.sort(expected.probability, axis=1)
    return np.asarray(ordered[:, -1] - ordered[:, -2])


def reference_file(rows: pa.Table, expected: Answers, schema: ModelSchema) -> bytes:
    """Return rows and answers under the names and types of the request log, as one Parquet part."""
    labels = [schema.classes[code] for code in expected.label] if schema.classes else [None] * rows.num_rows
    table = pa.table(
        {
            **{INPUT_PREFIX + column.name: rows.column(column.name) for column in schema.inputs},
            SCORE_COLUMN: pa.array(expected.score, pa.float64()),
            LABEL_COLUMN: pa.array(labels, pa.string()),
        }
    )
    return next(encode(normal(table)))[1]


def spread(table: pa.Table, limit: int) -> pa.Table:
    """Return at most `limit` rows at even distances."""
    return table if table.num_rows <= limit else table.take(pa.array(evenly(np.arange(table.num_rows), limit)))


def evenly(positions: Ints, limit: int) -> Ints:
    """Return at most `limit` of some positions, at even distances, the first among them."""
    if len(positions) <= limit:
        return positions
    return positions[np.arange(limit) * len(positions) // limit]


def json_value(value: Any) -> Any:
    """Return a value as a request spells it; None for NaN."""
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _bound(value: Any) -> str | None:
    if isinstance(value, int | float):
        return decimal(value) if np.isfinite(value) else None
    return str(json_value(value))


def _json(document: Any) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
