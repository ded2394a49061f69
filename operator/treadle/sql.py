"""SQL that users write: a DuckDB that reaches nothing but the rows, and expressions that are only expressions."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

import duckdb
import pyarrow as pa

BLAMED = (
    duckdb.BinderException,
    duckdb.CatalogException,
    duckdb.ConversionException,
    duckdb.InvalidInputException,
    duckdb.InvalidTypeException,
    duckdb.NotImplementedException,
    duckdb.OutOfRangeException,
    duckdb.ParserException,
    duckdb.TypeMismatchException,
)
"""Errors that an expression or its rows cause; any other is ours, or the machine's."""

CLASSES = frozenset(
    {"COLUMN_REF", "CONSTANT", "COMPARISON", "CONJUNCTION", "OPERATOR", "FUNCTION", "CASE", "CAST", "TYPE", "BETWEEN"}
)
OPERATORS = "+ - * / // % ** ^ || ~~ !~~ ~~* !~~* ~~~ like_escape not_like_escape ilike_escape not_ilike_escape"
NUMBERS = (
    "abs ceil ceiling floor round trunc sqrt cbrt ln log log2 log10 exp pow power sign mod greatest least sin cos tan "
    "asin acos atan atan2 pi radians degrees isnan isinf isfinite ifnull nullif if"
)
TEXTS = (
    "lower upper lcase ucase trim ltrim rtrim length len strlen substr substring left right replace concat concat_ws "
    "contains starts_with ends_with prefix suffix strpos instr position split_part reverse strip_accents ascii "
    "regexp_matches regexp_full_match regexp_extract regexp_replace translate"
)
TIMES = (
    "date_part datepart date_trunc datetrunc date_diff datediff date_sub datesub date_add year month day hour minute "
    "second millisecond isodow dayofweek weekday dayofmonth dayofyear week weekofyear quarter isoyear yearweek epoch "
    "epoch_ms epoch_us strftime strptime try_strptime make_date make_timestamp to_timestamp to_years to_months "
    "to_weeks to_days to_hours to_minutes to_seconds last_day dayname monthname timezone"
)
# No current_date, now or random: the same bytes must give the same version.
SCALARS = frozenset(f"{OPERATORS} {NUMBERS} {TEXTS} {TIMES}".split())
_AGGREGATES = (
    "count count_star count_if countif sum avg mean min max stddev stddev_samp stddev_pop variance var_samp var_pop "
    "median quantile_cont quantile_disc bool_and bool_or corr"
)
AGGREGATES = frozenset(_AGGREGATES.split())


class Unfit(ValueError):
    """A text that is no scalar expression over the columns; the message says why."""


def connect(threads: int = 2) -> duckdb.DuckDBPyConnection:
    """Open a database in memory that reaches no file, network or Python variable; its time zone is UTC."""
    engine = duckdb.connect(
        ":memory:",
        config={
            "enable_external_access": "false",
            "python_enable_replacements": "false",
            "autoinstall_known_extensions": "false",
            "threads": str(threads),
        },
    )
    engine.execute("SET TimeZone = 'UTC'").fetchall()
    engine.execute("SET lock_configuration = true").fetchall()
    return engine


def quoted(name: str) -> str:
    """Return a column's name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Return text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def query(engine: duckdb.DuckDBPyConnection, rows: pa.Table, text: str) -> pa.Table:
    """Return the answer of a query over the table `rows`."""
    engine.register("rows", rows)
    try:
        return engine.sql(text).to_arrow_table()
    finally:
        engine.unregister("rows")


def columns_read(
    engine: duckdb.DuckDBPyConnection, text: str, known: Iterable[str], *, aggregates: bool = False
) -> frozenset[str]:
    """Return the columns that a scalar expression reads; raise Unfit for any other text.

    known: the columns that exist. aggregates: whether the expression is about the whole table.
    """
    names = {name.casefold(): name for name in known}
    read = set()
    for node in _nodes(_expression(engine, text)):
        kind = node["class"]
        if kind not in CLASSES:
            raise Unfit(f"{text[:80]!r} holds a {kind.lower()}; write one scalar expression")
        if kind == "FUNCTION":
            _allow(str(node["function_name"]).lower(), aggregates=aggregates)
        if kind == "COLUMN_REF":
            name = ".".join(node["column_names"])
            if name.casefold() not in names:
                raise Unfit(f'unknown column "{name}"; known are {", ".join(names.values())}')
            read.add(names[name.casefold()])
    return frozenset(read)


def _allow(name: str, *, aggregates: bool) -> None:
    if name in AGGREGATES and not aggregates:
        raise Unfit(f"{name}() is an aggregate, and this is about one row")
    if name not in SCALARS | AGGREGATES:
        raise Unfit(f"function {name}() is not allowed; the documentation lists those that are")


def _expression(engine: duckdb.DuckDBPyConnection, text: str) -> Any:
    rows = engine.execute("SELECT json_serialize_sql(?::VARCHAR)", [f"SELECT {text}\n"]).fetchall()
    parsed: Any = json.loads(rows[0][0]) if rows else {"error": True, "error_message": "no answer"}
    if parsed["error"] or len(parsed["statements"]) != 1:
        found = " ".join(str(parsed.get("error_message", "it is several statements")).split())
        raise Unfit(f"{text[:80]!r} is no SQL expression: {found[:120]}")
    node = parsed["statements"][0]["node"]
    plain = (
        node["type"] == "SELECT_NODE"
        and node["from_table"]["type"] == "EMPTY"
        and len(node["select_list"]) == 1
        and not any(node.get(part) for part in ("modifiers", "where_clause", "group_expressions", "having", "qualify"))
        and not node["select_list"][0]["alias"]
        and ";" not in text
    )
    if not plain:
        raise Unfit(f"{text[:80]!r} is more than one scalar expression; write only the expression")
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
