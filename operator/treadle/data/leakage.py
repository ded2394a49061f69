"""What gives the target away: a feature that alone predicts it, a row in two parts, an overlap in time."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from treadle.api.base import decimal
from treadle.api.datasource import CheckRow, Leakage, Role, Severity, Split, SplitStrategy
from treadle.api.reasons import Reason
from treadle.data.refused import Refused
from treadle.data.transform import Field

LIMIT = 0.99
"""An AUC, rank correlation or purity above it: no honest feature of a real event comes near."""
ROWS_PER_VALUE = 10  # with fewer rows a value, purity is chance: a unique value "predicts" its own row
ROWS_NEEDED = 100  # among fewer rows a perfect order is likely by chance

type Floats = np.ndarray


@dataclass(frozen=True, slots=True)
class Leak:
    """One finding: its name among the checks, rows concerned, and the text of its message."""

    name: str
    violations: int
    text: str


def leakage(
    parts: dict[str, pa.Table], fields: tuple[Field, ...], rule: Leakage, split: Split | None
) -> list[CheckRow]:
    """Return the leaks as warnings; raise Refused (LeakageFound) under Block."""
    if rule is Leakage.IGNORE:
        return []
    rows = sum(part.num_rows for part in parts.values())
    found = [*proxies(parts["train"], fields), *shared(parts, fields), *overlap(parts, split)]
    if found and rule is Leakage.BLOCK:
        raise Refused("QualityPassed", Reason.LEAKAGE_FOUND, found[0].text)
    return [
        CheckRow(
            name=leak.name,
            severity=Severity.WARN,
            violations=leak.violations,
            fraction=decimal(min(1.0, leak.violations / rows)),
        )
        for leak in found
    ]


def proxies(train: pa.Table, fields: tuple[Field, ...]) -> list[Leak]:
    """Return the features that alone predict the target almost perfectly."""
    target = next((field for field in fields if field.role is Role.TARGET), None)
    if target is None:
        return []
    train = train.filter(pc.is_valid(train.column(target.name)))
    labels = train.column(target.name)
    if train.num_rows < ROWS_NEEDED:
        return []
    leaks = []
    for field in fields:
        if field.role is not Role.FEATURE:
            continue
        strength = predictive(train.column(field.name), labels)
        if strength > LIMIT:
            leaks.append(
                Leak(
                    "leakage-proxy",
                    train.num_rows,
                    f'column "{field.name}" alone predicts target "{target.name}" almost perfectly '
                    f"({strength:.4f}, limit {LIMIT}). Give it role: outcome, or set quality.leakage: Warn if it is "
                    "known at prediction time",
                )
            )
    return leaks


def predictive(feature: pa.ChunkedArray, target: pa.ChunkedArray) -> float:
    """Return how well a feature alone predicts the target, 0 to 1: AUC, rank correlation or purity, by the target.

    feature, target: shape (n,); nulls of the feature are a value of their own. 0 for a target of one value.
    """
    codes, values = codes_of(target)
    if len(values) < 2:
        return 0.0
    is_number = _is_number(target.type)
    feature_codes, feature_values = codes_of(feature)
    grouped = len(feature_values) * ROWS_PER_VALUE <= len(codes)
    if len(values) == 2:
        hits = codes.astype(float)
        ranked = auc(ranks(feature), hits) if _has_order(feature.type) else 0.5
        by_value = auc(means(feature_codes, hits)[feature_codes], hits) if grouped else 0.5
        return max(ranked, 1 - ranked, by_value)
    if is_number:
        numbers = target.combine_chunks().cast(pa.float64()).to_numpy(zero_copy_only=False)
        ranked = abs(correlation(ranks(feature), average_ranks(numbers))) if _has_order(feature.type) else 0.0
        by_value = correlation(means(feature_codes, numbers)[feature_codes], numbers) if grouped else 0.0
        return max(ranked, by_value)
    return purity(feature_codes, codes) if grouped else 0.0


def shared(parts: dict[str, pa.Table], fields: tuple[Field, ...]) -> list[Leak]:
    """Return the leak of ids that stand in train and holdout; without an id rows cannot be told from look-alikes."""
    name = next((field.name for field in fields if field.role is Role.ID), None)
    if name is None or "holdout" not in parts:
        return []
    both = pc.is_in(parts["holdout"].column(name), value_set=pc.unique(parts["train"].column(name)))
    count = pc.sum(both).as_py() or 0
    if not count:
        return []
    text = (
        f'{count} of {parts["holdout"].num_rows} holdout rows have an id of column "{name}" that train holds too. '
        "Remove the double rows, or set quality.leakage: Warn"
    )
    return [Leak("leakage-shared", count, text)]


def overlap(parts: dict[str, pa.Table], split: Split | None) -> list[Leak]:
    """Return the leak of holdout rows that are not after all train rows, under strategy Time."""
    if split is None or split.strategy is not SplitStrategy.TIME or split.time_column is None:
        return []
    last = pc.max(parts["train"].column(split.time_column))
    early = pc.sum(pc.less_equal(parts["holdout"].column(split.time_column), last)).as_py() or 0
    if not early:
        return []
    text = f'{early} holdout rows are not after train in "{split.time_column}". Correct the column, or split'
    return [Leak("leakage-time", early, text)]


def codes_of(values: pa.ChunkedArray) -> tuple[np.ndarray, list[object]]:
    """Return each row's index among the sorted distinct values, null last, and those values."""
    encoded = pc.dictionary_encode(values, null_encoding="encode").combine_chunks()
    known = encoded.dictionary.to_pylist()
    # One null at most, so that no two nulls are compared.
    order = sorted(range(len(known)), key=lambda index: (known[index] is None, known[index]))
    place = np.empty(len(known), dtype=np.int64)
    place[order] = np.arange(len(known))
    return place[encoded.indices.to_numpy(zero_copy_only=False)], [known[index] for index in order]


def ranks(values: pa.ChunkedArray) -> Floats:
    """Return average ranks of values that have an order; nulls rank first."""
    array = values.combine_chunks()
    if pa.types.is_timestamp(array.type):
        array = array.cast(pa.int64())
    if pa.types.is_date32(array.type):
        array = array.cast(pa.int32())
    numbers = array.cast(pa.float64()).to_numpy(zero_copy_only=False)
    return average_ranks(np.where(np.isnan(numbers), -np.inf, numbers))


def average_ranks(numbers: Floats) -> Floats:
    """Return ranks from 1, equal numbers sharing the mean of theirs."""
    _, inverse, counts = np.unique(numbers, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[inverse]


def auc(scores: Floats, hits: Floats) -> float:
    """Return the area under the ROC curve of scores for hits of 0 and 1, by the rank sum (Mann and Whitney 1947)."""
    positive = hits.sum()
    negative = len(hits) - positive
    total = average_ranks(scores)[hits == 1].sum()
    return float((total - positive * (positive + 1) / 2) / (positive * negative))


def means(codes: np.ndarray, numbers: Floats) -> Floats:
    """Return the mean of the numbers of each code."""
    return np.bincount(codes, weights=numbers) / np.maximum(np.bincount(codes), 1)


def correlation(left: Floats, right: Floats) -> float:
    """Return Pearson's correlation; 0 where one side does not vary."""
    if left.std() == 0 or right.std() == 0:
        return 0.0
    return float(np.corrcoef(left, right)[0, 1])


def purity(feature: np.ndarray, target: np.ndarray) -> float:
    """Return the share of rows whose target is the commonest for their feature's value, beyond the commonest of all."""
    table = np.zeros((feature.max() + 1, target.max() + 1))
    np.add.at(table, (feature, target), 1)
    hits, base = table.max(axis=1).sum() / len(feature), table.sum(axis=0).max() / len(feature)
    return float((hits - base) / (1 - base))


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _has_order(kind: pa.DataType) -> bool:
    times = pa.types.is_timestamp(kind) or pa.types.is_date32(kind)
    return bool(_is_number(kind) or times or pa.types.is_boolean(kind))
