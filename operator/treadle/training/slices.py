"""Subgroups of the holdout: the rows for which an SQL expression is true, in a DuckDB that reaches nothing else."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from treadle.api.trainingjob import Slice
from treadle.training.errors import Refused
from treadle.training.estimators import invalid

CLASSES = frozenset(
    {"COLUMN_REF", "CONSTANT", "COMPARISON", "CONJUNCTION", "OPERATOR", "FUNCTION", "CASE", "CAST", "TYPE", "BETWEEN"}
)
"""Nodes of an expression about one row; no subquery, no window, no aggregate, no lambda."""
MACROS = frozenset({"nullif", "split_part"})


def slice_rows(table: pa.Table, slices: Sequence[Slice]) -> dict[str, NDArray[np.int64]]:
    """Return the positions of each slice's rows, by its name; null is not true.

    Raises Refused (InvalidSpec) for an expression that is no claim about one row.
    """
    if not slices:
        return {}
    with connect() as engine:
        pure = functions(engine)
        engine.register("rows", table)
        return {one.name: _rows(engine, table, one, pure) for one in slices}


def connect() -> duckdb.DuckDBPyConnection:
    """Open a database in memory that reaches no file, network or Python variable; its time zone is UTC."""
    engine = duckdb.connect(
        ":memory:",
        config={
            "enable_external_access": "false",
            "python_enable_replacements": "false",
            "autoinstall_known_extensions": "false",
            # A slice's rows come in the table's order.
            "preserve_insertion_order": "true",
            "threads": "1",
        },
    )
    engine.execute("SET TimeZone = 'UTC'").fetchall()
    engine.execute("SET lock_configuration = true").fetchall()
    return engine


def functions(engine: duckdb.DuckDBPyConnection) -> frozenset[str]:
    """Return the scalar functions that give the same for the same row, whenever they are asked."""
    found = engine.execute(
        "SELECT DISTINCT function_name FROM duckdb_functions() "
        "WHERE function_type = 'scalar' AND stability = 'CONSISTENT'"
    ).fetchall()
    return frozenset(str(row[0]) for row in found) | MACROS


def _rows(engine: duckdb.DuckDBPyConnection, table: pa.Table, one: Slice, pure: frozenset[str]) -> NDArray[np.int64]:
    text = one.expression
    known = {name.casefold() for name in table.column_names}
    for node in _nodes(_expression(engine, one)):
        kind = str(node["class"])
        if kind not in CLASSES:
            raise _wrong(one, f"it holds a {kind.lower()}; write a condition on the columns of one row")
        if kind == "FUNCTION" and str(node["function_name"]).lower() not in pure:
            raise _wrong(one, f"function {node['function_name']}() is not allowed here")
        if kind == "COLUMN_REF" and (name := ".".join(node["column_names"])).casefold() not in known:
            raise _wrong(one, f"unknown column {name!r}; columns are {', '.join(table.column_names)}")
    try:
        found = str(engine.execute(f"DESCRIBE SELECT ({text}\n) AS value FROM rows LIMIT 0").fetchall()[0][1])
        if found != "BOOLEAN":
            raise _wrong(one, f"it gives {found}, expected BOOLEAN; write a comparison")
        answer = engine.sql(f"SELECT ({text}\n) IS TRUE AS value FROM rows").to_arrow_table()
    except duckdb.Error as error:
        # The error's text may quote a value.
        raise _wrong(one, f"it fails on the holdout's rows ({type(error).__name__}); correct it") from error
    return np.flatnonzero(answer.column("value").to_numpy())


def _expression(engine: duckdb.DuckDBPyConnection, one: Slice) -> Any:
    """Return the syntax tree of an expression; raise Refused for more or less than one."""
    answer = engine.execute("SELECT json_serialize_sql(?::VARCHAR)", [f"SELECT {one.expression}\n"]).fetchall()
    parsed: Any = json.loads(answer[0][0])
    if parsed["error"] or len(parsed["statements"]) != 1 or ";" in one.expression:
        raise _wrong(one, "it is no SQL expression")
    node = parsed["statements"][0]["node"]
    plain = (
        node["type"] == "SELECT_NODE"
        and node["from_table"]["type"] == "EMPTY"
        and len(node["select_list"]) == 1
        and not any(node.get(part) for part in ("modifiers", "where_clause", "group_expressions", "having", "qualify"))
        and not node["select_list"][0]["alias"]
    )
    if not plain:
        raise _wrong(one, "it is more than one expression; write only the condition")
    return node["select_list"][0]


def _nodes(value: Any) -> Iterator[dict[str, Any]]:
    """Yield every expression node below a value of DuckDB's syntax tree."""
    if isinstance(value, dict):
        if isinstance(value.get("class"), str):
            yield value
        for item in value.values():
            yield from _nodes(item)
    if isinstance(value, list):
        for item in value:
            yield from _nodes(item)


def _wrong(one: Slice, text: str) -> Refused:
    return invalid(f"spec.evaluation.slices {one.name}: {one.expression[:60]!r}: {text}")
