"""Expectations in SQL: what they found, and whether it stops the version."""

from collections.abc import Callable, Sequence

import duckdb
import pyarrow as pa

from treadle.api.base import decimal
from treadle.api.datasource import Check, CheckRow, Severity
from treadle.api.reasons import Reason
from treadle.data.refused import Refused, invalid
from treadle.data.schema import ROW
from treadle.data.transform import is_boolean, reads_of
from treadle.sql import BLAMED, query, quoted


def check(
    engine: duckdb.DuckDBPyConnection, table: pa.Table, checks: Sequence[Check], where: Callable[[int], str]
) -> list[CheckRow]:
    """Return what the checks found that did not hold; raise Refused (QualityFailed) for one of severity Block.

    A rows check must be true for each row: null is not true.
    """
    found = []
    for expectation in checks:
        violations, first = _violations(engine, table, expectation)
        allowed = float(expectation.max_violations or 0)
        share = violations / table.num_rows if expectation.rows is not None else float(violations)
        if share <= allowed:
            continue
        if expectation.severity is Severity.BLOCK:
            raise _failed(expectation, violations, table.num_rows, where(first) if first is not None else "")
        found.append(
            CheckRow(
                name=expectation.name, severity=expectation.severity, violations=violations, fraction=decimal(share)
            )
        )
    return sorted(found, key=lambda row: float(row.fraction), reverse=True)


def _violations(engine: duckdb.DuckDBPyConnection, table: pa.Table, expectation: Check) -> tuple[int, int | None]:
    """Return how many rows break a check and the first of them; 1 for a table check that does not hold."""
    text = expectation.rows or expectation.table or ""
    field = f'quality.checks "{expectation.name}"'
    names = [name for name in table.column_names if name != ROW]
    reads_of(engine, text, names, ("QualityPassed", field), aggregates=expectation.rows is None)
    try:
        is_boolean(engine, table, text, field)
        if expectation.rows is None:
            holds = query(engine, table, f"SELECT ({text}\n) AS holds FROM rows").column("holds")[0].as_py()
            return (0 if holds is True else 1), None
        broken = query(
            engine,
            table,
            f"SELECT count(*) AS n, min({quoted(ROW)}) AS at FROM rows WHERE ({text}\n) IS NOT TRUE",
        ).to_pylist()[0]
    except BLAMED as error:
        raise invalid("QualityPassed", field, f"{text[:80]!r} fails: {type(error).__name__}; correct it") from error
    return broken["n"], broken["at"]


def _failed(expectation: Check, violations: int, rows: int, where: str) -> Refused:
    if expectation.table is not None:
        return Refused(
            "QualityPassed",
            Reason.QUALITY_FAILED,
            f'check "{expectation.name}" does not hold on {rows} rows, expected {expectation.table[:100]}. '
            "Correct the data or the check",
        )
    return Refused(
        "QualityPassed",
        Reason.QUALITY_FAILED,
        f'check "{expectation.name}" ({(expectation.rows or "")[:80]}) is not true for {violations} of {rows} rows, '
        f"allowed share {expectation.max_violations or '0'}; first in {where}. Correct the data or the check",
    )
