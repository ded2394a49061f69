"""One column as the reference and the window hold it: two samples, ready to be compared."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from treadle.api.artifacts import SCORE_COLUMN, Input
from treadle.api.datasource import Classification, ColumnType
from treadle.api.monitor import Drift

NUMBERS = frozenset({ColumnType.INTEGER, ColumnType.DOUBLE})
TIMES = frozenset({ColumnType.TIMESTAMP, ColumnType.DATE})
ROWS_NEEDED = 30
"""The least that window.minSamples may be; a column in fewer rows of the log says nothing about the window."""

type Floats = NDArray[np.float64]
type Counts = dict[str | None, int]
type Values = Floats | pa.ChunkedArray


@dataclass(frozen=True, slots=True)
class Numbers:
    """A column of numbers; NaN is null."""

    reference: Floats
    window: Floats


@dataclass(frozen=True, slots=True)
class Categories:
    """How often each value of a text or boolean column occurs; None is null."""

    reference: Counts
    window: Counts


type Pair = Numbers | Categories


@dataclass(frozen=True, slots=True)
class Skipped:
    """A column that is not compared, and why."""

    name: str
    why: str


def pairs(
    inputs: Sequence[Input], reference: Mapping[str, Values], window: Mapping[str, Values]
) -> tuple[dict[str, Pair], list[Skipped]]:
    """Return the columns that both sides hold, in the model's order, and those that cannot be compared.

    What the log leaves out, by class or by logger.omitColumns, is no drift: it is skipped and named.
    """
    found: dict[str, Pair] = {}
    skipped = []
    for item in inputs:
        why = obstacle(item, reference, window)
        if why is None:
            found[item.name] = paired(reference[item.name], window[item.name])
        else:
            skipped.append(Skipped(item.name, why))
    return found, skipped


def to_test(
    inputs: Mapping[str, Pair], rules: Drift, reference: Values | None, window: Values | None
) -> tuple[dict[str, Pair], list[Skipped]]:
    """Return the columns that are tested for drift, predictions among them, and those that the rules leave out.

    reference, window: the model's scores.
    """
    excluded = set(rules.exclude_columns or ())
    found = {name: pair for name, pair in inputs.items() if name not in excluded}
    skipped = [Skipped(name, "named in drift.excludeColumns") for name in inputs if name in excluded]
    if not rules.prediction:
        return found, skipped
    rows = 0 if window is None else len(window)
    if reference is None or not len(reference):
        skipped.append(Skipped(SCORE_COLUMN, "the model's reference has no scores"))
    elif window is None or rows < ROWS_NEEDED:
        skipped.append(Skipped(SCORE_COLUMN, f"the champion gave {rows} of the answers, {ROWS_NEEDED} are needed"))
    else:
        found[SCORE_COLUMN] = paired(reference, window)
    return found, skipped


def obstacle(item: Input, reference: Mapping[str, Values], window: Mapping[str, Values]) -> str | None:
    """Say why a column cannot be compared; None if it can."""
    if item.type in TIMES:
        return "a time moves by itself"
    if item.name not in window:
        hidden = item.classification is not Classification.PUBLIC
        return f"{item.classification.value}, so it is never logged" if hidden else "the log leaves it out"
    if item.name not in reference or not len(reference[item.name]):
        return "the model's reference leaves it out"
    if len(window[item.name]) < ROWS_NEEDED:
        return f"in {len(window[item.name])} rows of the log, {ROWS_NEEDED} are needed"
    return None


def paired(reference: Values, window: Values) -> Pair:
    """Return two sides of one column as a pair; raise TypeError for sides of different kinds."""
    if isinstance(reference, np.ndarray) and isinstance(window, np.ndarray):
        return Numbers(reference, window)
    if isinstance(reference, np.ndarray) or isinstance(window, np.ndarray):
        raise TypeError("numbers cannot be compared with text")
    return Categories(counted(reference), counted(window))


def counted(values: pa.ChunkedArray) -> Counts:
    """Return how often each value of a text column occurs."""
    found = pc.value_counts(values.combine_chunks())
    return dict(zip(found.field("values").to_pylist(), found.field("counts").to_pylist(), strict=True))


def values_of(column: pa.ChunkedArray, kind: ColumnType) -> Values | None:
    """Return a column as it is compared; None for a time, and for values that are not of the kind.

    Numbers are rounded to float32, as the model's graph takes them, since one side may be stored so already: atoms
    such as 0.1 would else seem to move. Booleans are the texts true and false.
    """
    stored = column.type
    if kind in NUMBERS and (pa.types.is_integer(stored) or pa.types.is_floating(stored)):
        numbers = column.cast(pa.float64(), safe=False).to_numpy()
        return numbers.astype(np.float32).astype(np.float64)
    if kind is ColumnType.BOOLEAN and pa.types.is_boolean(stored):
        return pc.if_else(column, "true", "false").cast(pa.string())
    if kind is ColumnType.STRING and (pa.types.is_string(stored) or pa.types.is_large_string(stored)):
        return column.cast(pa.string())
    return None


def joined(chunks: Sequence[Values]) -> Values:
    """Return chunks of one column, all of one kind and at least one, as one."""
    numbers = [chunk for chunk in chunks if isinstance(chunk, np.ndarray)]
    if numbers:
        return np.concatenate(numbers)
    texts = [chunk for chunk in chunks if not isinstance(chunk, np.ndarray)]
    return pa.chunked_array([piece for text in texts for piece in text.chunks], pa.string())
