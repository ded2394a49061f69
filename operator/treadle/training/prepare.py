"""Transforms as one scikit-learn step in front of the estimator, on columns as a model's graph takes them."""

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from treadle.api.artifacts import OUTPUT_LABEL, OUTPUT_SCORE, Input
from treadle.api.datasource import ColumnType
from treadle.api.trainingjob import EstimatorName, Preparation, PreparationMode, Transform, TransformType
from treadle.training.estimators import LINEAR, invalid, parameters

RESERVED = frozenset({OUTPUT_LABEL, OUTPUT_SCORE})
"""Names of the graph's outputs; an input may have neither."""

CLASSES: dict[TransformType, type[Any]] = {
    TransformType.IMPUTE: SimpleImputer,
    TransformType.SCALE: StandardScaler,
    TransformType.ONE_HOT: OneHotEncoder,
    TransformType.ORDINAL: OrdinalEncoder,
}
TEXT_ENCODERS = frozenset({TransformType.ONE_HOT, TransformType.ORDINAL})


def is_text(column: Input) -> bool:
    """Say whether a column enters the graph as text."""
    return column.type is ColumnType.STRING


def frame(table: pa.Table, inputs: Sequence[Input]) -> pa.Table:
    """Return the inputs as the graph takes them: float32 with NaN for null, text with "" for null.

    Timestamps and dates become seconds since 1970. Raises KeyError for a column that the table lacks.
    """
    return pa.table({column.name: _graph_column(table[column.name], column) for column in inputs})


def _graph_column(values: pa.ChunkedArray, column: Input) -> pa.Array:
    if is_text(column):
        return pc.fill_null(values.cast(pa.string()), "").combine_chunks()
    if column.type in (ColumnType.TIMESTAMP, ColumnType.DATE):
        values = values.cast(pa.timestamp("us", tz=getattr(values.type, "tz", None))).cast(pa.int64())
        numbers = np.asarray(pc.fill_null(values.cast(pa.float64(), safe=False), float("nan"))) / 1e6
    else:
        numbers = np.asarray(pc.fill_null(values.cast(pa.float64(), safe=False), float("nan")))
    # What is beyond float32 becomes infinite; a server refuses it, and so do estimators that cannot take it.
    with np.errstate(over="ignore"):
        return pa.array(numbers.astype(np.float32))


def preparer(preparation: Preparation | None, inputs: Sequence[Input], estimator: EstimatorName) -> ColumnTransformer:
    """Return the unfitted transforms of all inputs, by position; columns that share a chain share a step.

    Raises Refused for a transform that names an unknown column or parameter, or does not fit a column's type.
    """
    declared = preparation is not None and preparation.mode is PreparationMode.DECLARED
    transforms = (preparation.transforms or []) if preparation and declared else automatic(inputs, estimator)
    known = {column.name: column for column in inputs}
    for position, transform in enumerate(transforms):
        _check(transform, f"spec.preparation.transforms[{position}]", known)
    chains = {name: tuple(t for t in range(len(transforms)) if name in transforms[t].columns) for name in known}
    for name, chain in chains.items():
        if is_text(known[name]) and not any(transforms[t].type in TEXT_ENCODERS for t in chain):
            raise invalid(
                f"spec.preparation: column {name!r} is text and no transform encodes it; add OneHot or Ordinal"
            )
    # Positions, since a graph's conversion changes names that are no identifiers.
    ordered = sorted(range(len(inputs)), key=lambda position: chains[inputs[position].name])
    steps = []
    for chain, positions in groupby(ordered, key=lambda position: chains[inputs[position].name]):
        members = [transforms[t] for t in chain]
        named = [(member.name, _step(member, estimator)) for member in members] or [("as-is", as_is())]
        steps.append(("-".join(name for name, _ in named), Pipeline(named), list(positions)))
    return ColumnTransformer(steps)


def as_is() -> StandardScaler:
    """Return a transform that changes nothing; "passthrough" takes no Arrow table, and this one ONNX and skops know."""
    return StandardScaler(with_mean=False, with_std=False)


def automatic(inputs: Sequence[Input], estimator: EstimatorName) -> list[Transform]:
    """Return the transforms of mode Auto: impute and, for linear models, scale numbers; encode text."""
    numbers = [column.name for column in inputs if not is_text(column)]
    texts = [column.name for column in inputs if is_text(column)]
    linear = estimator in LINEAR
    encoding = TransformType.ONE_HOT if linear else TransformType.ORDINAL
    wanted = [
        ("impute", TransformType.IMPUTE, numbers, {"strategy": "median"}),
        ("scale", TransformType.SCALE, numbers if linear else [], None),
        ("encode", encoding, texts, None),
    ]
    return [
        Transform(name=name, type=kind, columns=columns, parameters=values)
        for name, kind, columns, values in wanted
        if columns
    ]


def _check(transform: Transform, where: str, known: dict[str, Input]) -> None:
    for name in transform.columns:
        if name not in known:
            found = ", ".join(sorted(known)[:8])
            raise invalid(f"{where}.columns: {name!r} is not a feature of this run; features are {found}")
        if transform.type is TransformType.SCALE and is_text(known[name]):
            raise invalid(f"{where}: Scale takes numbers, column {name!r} is text; use OneHot or Ordinal")


def _step(transform: Transform, estimator: EstimatorName) -> Any:
    made = CLASSES[transform.type]()
    where = f"spec.preparation.transforms {transform.name}"
    values = parameters(transform.parameters or {}, set(made.get_params()), where, CLASSES[transform.type].__name__)
    return made.set_params(**{**_defaults(transform, estimator), **values})


def _defaults(transform: Transform, estimator: EstimatorName) -> dict[str, Any]:
    if transform.type is TransformType.IMPUTE:
        # A column that is empty in the train part keeps its place, so that inputs and steps stay in line.
        return {"keep_empty_features": True}
    if transform.type is TransformType.ORDINAL:
        return {"handle_unknown": "use_encoded_value", "unknown_value": -1}
    if transform.type is TransformType.ONE_HOT:
        # Histogram boosting takes no sparse matrix; linear models are far smaller with one.
        return {"handle_unknown": "ignore", "sparse_output": estimator in LINEAR}
    return {}
