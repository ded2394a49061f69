"""Rows as declared: the filter over source columns, and derived columns, in SQL."""

from dataclasses import dataclass

import duckdb
import pyarrow as pa

from treadle.api.datasource import Classification, Column, ColumnType, DataSourceSpec, Role
from treadle.api.reasons import Reason
from treadle.data.refused import Condition, Refused, invalid
from treadle.data.schema import ARROW, ROW, Typed
from treadle.sql import BLAMED, Unfit, columns_read, query, quoted

SQL_TYPES = {
    ColumnType.BOOLEAN: "BOOLEAN",
    ColumnType.INTEGER: "BIGINT",
    ColumnType.DOUBLE: "DOUBLE",
    ColumnType.STRING: "VARCHAR",
    ColumnType.TIMESTAMP: "TIMESTAMPTZ",
    ColumnType.DATE: "DATE",
}
# By how much a class is worth protecting.
STRICTNESS = (Classification.PUBLIC, Classification.PERSONAL, Classification.SENSITIVE)


@dataclass(frozen=True, slots=True)
class Field:
    """A column of the version: its declaration, and the strictest class of what it was made of."""

    column: Column
    classification: Classification

    @property
    def name(self) -> str:
        """Return the column's name."""
        return self.column.name

    @property
    def role(self) -> Role:
        """Return what the column is for; one without a role is a feature."""
        return self.column.role or Role.FEATURE

    @property
    def is_public(self) -> bool:
        """Say whether a message may quote its values."""
        return self.classification is Classification.PUBLIC


@dataclass(frozen=True, slots=True)
class Shaped:
    """The rows of the version in its columns' order, with ROW last."""

    table: pa.Table
    fields: tuple[Field, ...]


def reads_of(
    engine: duckdb.DuckDBPyConnection,
    text: str,
    known: list[str],
    blame: tuple[Condition, str],
    *,
    aggregates: bool = False,
) -> frozenset[str]:
    """Return the columns that an expression reads; raise Refused for any other text.

    blame: the condition that is False then, and the field that holds the text.
    """
    try:
        return columns_read(engine, text, known, aggregates=aggregates)
    except Unfit as error:
        raise invalid(*blame, str(error)) from error


def transform(engine: duckdb.DuckDBPyConnection, typed: Typed, spec: DataSourceSpec) -> Shaped:
    """Return the rows that the filter keeps, with derived columns; raise Refused for an expression that cannot be."""
    columns = [*spec.schema_.columns, *typed.kept]
    sources = [name for name in typed.table.column_names if name != ROW]
    declared = {column.name: column.classification or Classification.PUBLIC for column in columns}
    selected, fields = [], []
    for column in columns:
        reads = frozenset({column.name})
        if column.expression is not None:
            where = f'expression of column "{column.name}"'
            reads = reads_of(engine, column.expression, sources, ("SchemaValid", where))
            _agrees(engine, typed.table, column)
        strictest = max([declared[column.name], *(declared[name] for name in reads)], key=STRICTNESS.index)
        selected.append(f"{_value(column)} AS {quoted(column.name)}")
        fields.append(Field(column, strictest))
    condition = "TRUE"
    if spec.filter is not None:
        reads_of(engine, spec.filter, sources, ("SchemaValid", "spec.filter"))
        is_boolean(engine, typed.table, spec.filter, "spec.filter")
        condition = f"({spec.filter}\n)"
    text = f"SELECT {', '.join(selected)}, {quoted(ROW)} FROM rows WHERE {condition} ORDER BY {quoted(ROW)}"
    try:
        table = query(engine, typed.table, text)
    except BLAMED as error:
        raise _failed(engine, typed.table, spec, fields, error) from error
    if table.num_rows == 0:
        raise Refused(
            "Fetched",
            Reason.SOURCE_EMPTY,
            f"spec.filter {spec.filter!r} keeps none of {typed.table.num_rows} rows. Correct the filter or the source",
        )
    shape = pa.schema([*((field.name, ARROW[field.column.type]) for field in fields), (ROW, pa.int64())])
    return Shaped(table.cast(shape), tuple(fields))


def is_boolean(engine: duckdb.DuckDBPyConnection, table: pa.Table, text: str, where: str) -> None:
    """Raise Refused (InvalidSpec) for an expression that is no claim."""
    if (found := type_of(engine, table, text, where)) != "BOOLEAN":
        raise invalid("SchemaValid", where, f"{text[:80]!r} gives {found}, expected BOOLEAN; write a comparison")


def type_of(engine: duckdb.DuckDBPyConnection, table: pa.Table, text: str, where: str) -> str:
    """Return the SQL type of a validated expression; raise Refused (InvalidSpec) for one that does not bind."""
    try:
        found = query(engine, table.slice(0, 0), f"DESCRIBE SELECT ({text}\n) AS value FROM rows")
    except BLAMED as error:
        raise invalid("SchemaValid", where, f"{text[:80]!r}: {_first_line(error)}") from error
    return str(found.column("column_type")[0].as_py())


def _value(column: Column) -> str:
    """Return the SQL of a column: its own name, or its expression in its declared type."""
    if column.expression is None:
        return quoted(column.name)
    return f"CAST(({column.expression}\n) AS {SQL_TYPES[column.type]})"


def _agrees(engine: duckdb.DuckDBPyConnection, table: pa.Table, column: Column) -> None:
    """Raise Refused (InvalidSpec) where an expression gives another type than declared."""
    text = column.expression or ""
    where = f'expression of column "{column.name}"'
    found = type_of(engine, table, text, where).split("(")[0]
    integers = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT")
    allowed: dict[ColumnType, tuple[str, ...]] = {
        ColumnType.BOOLEAN: ("BOOLEAN",),
        ColumnType.INTEGER: integers,
        ColumnType.DOUBLE: (*integers, "FLOAT", "DOUBLE", "DECIMAL"),
        ColumnType.STRING: ("VARCHAR",),
        ColumnType.TIMESTAMP: ("TIMESTAMP WITH TIME ZONE", "TIMESTAMP", "DATE"),
        ColumnType.DATE: ("DATE",),
    }
    if found not in allowed[column.type]:
        raise invalid("SchemaValid", where, f"{text[:80]!r} gives {found}, type says {column.type.value}; correct one")


def _failed(
    engine: duckdb.DuckDBPyConnection, table: pa.Table, spec: DataSourceSpec, fields: list[Field], error: duckdb.Error
) -> Refused:
    """Return the refusal that names the expression which fails on these rows; the error may quote values."""
    text = _first_line(error) if all(field.is_public for field in fields) else type(error).__name__
    for field in fields:
        if field.column.expression is None:
            continue
        try:
            query(engine, table, f"SELECT count({_value(field.column)}) FROM rows")
        except BLAMED:
            what = f'expression of column "{field.name}"'
            break
    else:
        what = f"spec.filter {spec.filter!r}"
    return Refused("SchemaValid", Reason.SCHEMA_MISMATCH, f"{what} fails: {text}. Correct the expression or the file")


def _first_line(error: duckdb.Error) -> str:
    return str(error).strip().splitlines()[0][:140]
