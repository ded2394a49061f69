"""What the columns of a version look like; equal rows give equal bytes."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from treadle.api.base import Json, decimal
from treadle.api.names import canonical
from treadle.data.transform import Field

TOP_VALUES = 20
QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)


def profile(table: pa.Table, fields: tuple[Field, ...]) -> bytes:
    """Return profile.json: counts for each column, range and quantiles of numbers, the commonest public values.

    Columns that are not public have counts only.
    """
    columns = [_column(table.column(field.name), field) for field in fields]
    return canonical({"format": "treadle.dev/profile/v1", "rows": table.num_rows, "columns": columns})


def _column(values: pa.ChunkedArray, field: Field) -> Json:
    counts: Json = {
        "name": field.name,
        "type": field.column.type.value,
        "nulls": values.null_count,
        "distinct": pc.count_distinct(values).as_py(),
    }
    kind = values.type
    if not field.is_public or values.null_count == len(values):
        return counts
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return {**counts, **_numbers(values)}
    if pa.types.is_string(kind) or pa.types.is_boolean(kind):
        return {**counts, "top": _top(values)}
    ends = pc.min_max(values).as_py()
    return {**counts, "min": ends["min"].isoformat(), "max": ends["max"].isoformat()}


def _numbers(values: pa.ChunkedArray) -> Json:
    # numpy in one thread: a sum over threads would differ in its last digits from run to run.
    numbers = values.drop_null().combine_chunks().cast(pa.float64()).to_numpy(zero_copy_only=False)
    return {
        "min": decimal(numbers.min()),
        "max": decimal(numbers.max()),
        "mean": decimal(numbers.mean()),
        "deviation": decimal(numbers.std()),
        "quantiles": [
            {"share": decimal(share), "value": decimal(value)}
            for share, value in zip(QUANTILES, np.quantile(numbers, QUANTILES), strict=True)
        ],
    }


def _top(values: pa.ChunkedArray) -> list[Json]:
    counted = pc.value_counts(values.drop_null()).to_pylist()
    commonest = sorted(counted, key=lambda row: (-row["counts"], str(row["values"])))[:TOP_VALUES]
    return [{"value": str(row["values"])[:64], "rows": row["counts"]} for row in commonest]
