"""Nullability and constraints: the first row of a version that breaks what its column declares."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import duckdb

from treadle.api.datasource import ColumnType, DataSourceSpec, Role
from treadle.api.reasons import Reason
from treadle.data.refused import Refused, invalid
from treadle.data.schema import ROW
from treadle.data.transform import Field, Shaped
from treadle.sql import BLAMED, literal, query, quoted


@dataclass(frozen=True, slots=True)
class Rule:
    """What no row may be, in SQL, and how a message says what was expected."""

    broken: str
    expected: str
    allowed: float = 0.0
    """Share of rows that may break it."""


def constrain(
    engine: duckdb.DuckDBPyConnection, shaped: Shaped, spec: DataSourceSpec, where: Callable[[int], str]
) -> None:
    """Raise Refused (ConstraintViolated) for the first rule that rows break; `where` says where a source row stands."""
    rows = shaped.table.num_rows
    time = spec.split.time_column if spec.split is not None else None
    for field in shaped.fields:
        for rule in rules(field, needed=field.role is Role.ID or field.name == time):
            text = (
                f"SELECT count(*) AS n, min({quoted(ROW)}) AS at, "
                f"arg_min(CAST({quoted(field.name)} AS VARCHAR), {quoted(ROW)}) AS value FROM rows WHERE {rule.broken}"
            )
            try:
                found = query(engine, shaped.table, text).to_pylist()[0]
            except BLAMED as error:
                name = f'constraints of column "{field.name}"'
                raise invalid("SchemaValid", name, f"{rule.expected}: {str(error).splitlines()[0][:120]}") from error
            if found["n"] > rule.allowed * rows:
                raise violated(field, rule, (found["n"], rows), where(found["at"]), found["value"])


def violated(field: Field, rule: Rule, counts: tuple[int, int], where: str, value: str | None) -> Refused:
    """Return the refusal of rows that break a rule; only a public column's value is quoted."""
    shown = "null" if value is None else f'"{value[:40]}"' if field.is_public else "a value not shown"
    return Refused(
        "SchemaValid",
        Reason.CONSTRAINT_VIOLATED,
        f'column "{field.name}" is {shown} in {where}, expected {rule.expected}; {counts[0]} of {counts[1]} rows. '
        "Correct the file, or the constraint",
    )


def rules(field: Field, *, needed: bool) -> Iterator[Rule]:
    """Yield the rules of one column; `needed`: an id or the time of a split, which cannot be null."""
    column, name = field.column, quoted(field.name)
    if column.nullable is False or needed:
        yield Rule(
            f"{name} IS NULL", "a value (nullable: false)" if column.nullable is False else "a value in each row"
        )
    bounds = column.constraints
    if bounds is None:
        return
    is_number = column.type in (ColumnType.INTEGER, ColumnType.DOUBLE)
    if (bounds.min is not None or bounds.max is not None) and not is_number:
        where = f'constraints of column "{field.name}"'
        raise invalid("SchemaValid", where, f"min and max are for numbers, type is {column.type.value}; remove them")
    if bounds.min is not None:
        yield Rule(f"{name} < {bounds.min}", f"at least {bounds.min}")
    if bounds.max is not None:
        yield Rule(f"{name} > {bounds.max}", f"at most {bounds.max}")
    if bounds.values is not None:
        listed = ", ".join(literal(value) for value in bounds.values)
        yield Rule(f"CAST({name} AS VARCHAR) NOT IN ({listed})", f"one of {', '.join(bounds.values[:8])}")
    if bounds.pattern is not None:
        pattern = literal(bounds.pattern)
        yield Rule(f"NOT regexp_full_match(CAST({name} AS VARCHAR), {pattern})", f"a match of {bounds.pattern[:60]}")
    if bounds.unique:
        again = f"SELECT {name} FROM rows WHERE {name} IS NOT NULL GROUP BY 1 HAVING count(*) > 1"
        yield Rule(f"{name} IN ({again})", "no value twice (unique)")
    if bounds.max_null_fraction is not None:
        share = bounds.max_null_fraction
        yield Rule(f"{name} IS NULL", f"nulls in at most {share} of the rows", float(share))
