"""Subgroups of the holdout: the rows for which an SQL expression is true."""

from collections.abc import Sequence

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from treadle import sql
from treadle.api.trainingjob import Slice
from treadle.training.errors import Refused
from treadle.training.estimators import invalid


def slice_rows(table: pa.Table, slices: Sequence[Slice]) -> dict[str, NDArray[np.int64]]:
    """Return the positions of each slice's rows, by its name; null is not true.

    Raises Refused (InvalidSpec) for an expression that is no claim about one row.
    """
    if not slices:
        return {}
    # One thread: a slice's rows come in the table's order.
    with sql.connect(threads=1) as engine:
        return {one.name: _rows(engine, table, one) for one in slices}


def _rows(engine: duckdb.DuckDBPyConnection, table: pa.Table, one: Slice) -> NDArray[np.int64]:
    text = one.expression
    try:
        sql.columns_read(engine, text, table.column_names)
        shape = sql.query(engine, table, f"SELECT ({text}\n) AS value FROM rows LIMIT 0").schema.field("value").type
        if not pa.types.is_boolean(shape):
            raise _wrong(one, f"{text[:60]!r} gives {shape}, expected boolean; write a comparison")
        answer = sql.query(engine, table, f"SELECT ({text}\n) IS TRUE AS value FROM rows")
    except sql.Unfit as error:
        raise _wrong(one, str(error)) from error
    except duckdb.Error as error:
        # The error's text may quote a value.
        raise _wrong(one, f"{text[:60]!r} fails on the holdout's rows ({type(error).__name__}); correct it") from error
    return np.flatnonzero(answer.column("value").to_numpy())


def _wrong(one: Slice, text: str) -> Refused:
    return invalid(f"spec.evaluation.slices {one.name}: {text}")
