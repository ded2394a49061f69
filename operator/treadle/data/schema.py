"""Declared types: a file's columns to typed ones, and which columns must be there."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import ValidationError

from treadle.api.datasource import Classification, Column, ColumnType, DataSourceSpec, ExtraColumn, Role
from treadle.api.reasons import Reason
from treadle.data.collect import SourceFile
from treadle.data.files import RawFile, read_file
from treadle.data.refused import Refused, invalid

ROW = "\x1frow"
"""The column with a row's number in the source: a control character, which no column's name can hold."""

ARROW = {
    ColumnType.BOOLEAN: pa.bool_(),
    ColumnType.INTEGER: pa.int64(),
    ColumnType.DOUBLE: pa.float64(),
    ColumnType.STRING: pa.string(),
    ColumnType.TIMESTAMP: pa.timestamp("us", "UTC"),
    ColumnType.DATE: pa.date32(),
}


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a run of source rows came from."""

    first_row: int
    file: RawFile


@dataclass(frozen=True, slots=True)
class Typed:
    """Typed source rows, with their number in the column ROW, and where they came from.

    kept: columns that the schema does not list and onExtraColumn keeps.
    """

    table: pa.Table
    origins: tuple[Origin, ...]
    kept: tuple[Column, ...]

    def where(self, row: int) -> str:
        """Say in which file and line a source row stands."""
        origin = next(origin for origin in reversed(self.origins) if origin.first_row <= row)
        return origin.file.where(row - origin.first_row)


def read(files: Iterable[SourceFile], spec: DataSourceSpec) -> Typed:
    """Return the typed rows of all files; raise Refused for a column that is missing, extra or of another type."""
    declared = [column for column in spec.schema_.columns if column.expression is None]
    distinct([column.name for column in spec.schema_.columns])
    tables: list[pa.Table] = []
    origins: list[Origin] = []
    kept: dict[str, Column] = {}
    row = 0
    for file in files:
        raw = read_file(file, spec.format, [column.name for column in declared])
        extra = extras(raw, spec)
        kept |= {column.name: column for column in extra if column.name not in kept}
        arrays = {column.name: typed(raw, column) for column in [*declared, *extra]}
        numbers = pa.array(range(row, row + raw.rows), pa.int64())
        tables.append(pa.table({**arrays, ROW: numbers}))
        origins.append(Origin(row, RawFile(raw.name, raw.rows, {}, raw.first_line)))
        row += raw.rows
    if row == 0:
        named = ", ".join(origin.file.name for origin in origins[:3]) or "the source"
        raise Refused(
            "Fetched", Reason.SOURCE_EMPTY, f"{named} holds no row. Check storageUri and include, or the file"
        )
    table = pa.concat_tables(tables, promote_options="default") if len(tables) > 1 else tables[0]
    return Typed(table, tuple(origins), tuple(kept.values()))


def distinct(names: Iterable[str]) -> None:
    """Raise Refused where two names differ only in case: SQL would take one for the other."""
    seen: dict[str, str] = {}
    for name in names:
        if (other := seen.setdefault(name.casefold(), name)) != name:
            raise invalid(
                "SchemaValid", "spec.schema.columns", f'"{other}" and "{name}" differ only in case; rename one'
            )


def extras(raw: RawFile, spec: DataSourceSpec) -> list[Column]:
    """Return the unlisted columns to keep; raise Refused (MissingColumn, ExtraColumn)."""
    listed = {column.name for column in spec.schema_.columns}
    for column in spec.schema_.columns:
        if column.expression is None and column.name not in raw.columns:
            has = ", ".join(list(raw.columns)[:12])
            raise Refused(
                "SchemaValid",
                Reason.MISSING_COLUMN,
                f'column "{column.name}" is not in {raw.name}, which has {has}. '
                "Correct the file, or spec.schema.columns",
            )
    more = [name for name in raw.columns if name not in listed]
    if more and spec.schema_.on_extra_column is ExtraColumn.REJECT:
        raise Refused(
            "SchemaValid",
            Reason.EXTRA_COLUMN,
            f'column "{more[0]}" of {raw.name} is not in spec.schema.columns ({len(more)} such). '
            "List it, or set schema.onExtraColumn",
        )
    if spec.schema_.on_extra_column is not ExtraColumn.KEEP:
        return []
    distinct([*listed, *more])
    return [kept_column(name, raw) for name in more]


def kept_column(name: str, raw: RawFile) -> Column:
    """Return the declaration of a column that is kept as it is; raise Refused for a name that no column may have."""
    try:
        return Column(name=name, type=type_as_found(raw.columns[name]), role=Role.NONE)
    except ValidationError as error:
        raise Refused(
            "SchemaValid",
            Reason.EXTRA_COLUMN,
            f"column {name[:40]!r} of {raw.name} has a name that no column may have. "
            "Name it in the file, or set schema.onExtraColumn: Drop",
        ) from error


def type_as_found(values: pa.ChunkedArray | list[object]) -> ColumnType:
    """Return the type of a column that is kept as it is; what has no declared type is kept as text."""
    if isinstance(values, list):
        names = {_JSON_NAMES.get(type(value).__name__, "") for value in values if value is not None}
        found = "double" if names == {"integer", "double"} else names.pop() if len(names) == 1 else "string"
    else:
        found = _arrow_name(values.type)
    return ColumnType(found) if found in {kind.value for kind in ColumnType} else ColumnType.STRING


def typed(raw: RawFile, column: Column) -> pa.ChunkedArray:
    """Return a file's column in its declared type; raise Refused (SchemaMismatch) with the first line that differs.

    NaN becomes null: both mean that there is no number.
    """
    values = raw.columns[column.name]
    convert: Callable[[pa.Array, ColumnType], pa.Array]
    if isinstance(values, list):
        array, convert = _from_json(raw, column, values), _from_text
        if column.type not in (ColumnType.TIMESTAMP, ColumnType.DATE):
            return _finite(raw, column, pa.chunked_array([array]))
        chunks = [array]
    else:
        chunks = [_plain(chunk) for chunk in values.chunks]
        if not all(_fits(chunk.type, column.type) for chunk in chunks):
            found = _arrow_name(chunks[0].type)
            raise mismatch(column, found, raw.name, None)
        convert = _from_text if chunks and pa.types.is_string(chunks[0].type) else _from_arrow
    done, at = [], 0
    for chunk in chunks:
        try:
            done.append(convert(chunk, column.type))
        except pa.ArrowInvalid as error:
            row = at + first_bad(chunk, lambda part: convert(part, column.type))
            text = str(chunk[row - at].as_py())
            raise mismatch(column, guess(text), raw.where(row), text) from error
        at += len(chunk)
    return _finite(raw, column, pa.chunked_array(done, ARROW[column.type]))


def first_bad(array: pa.Array, convert: Callable[[pa.Array], object]) -> int:
    """Return the index of the first value that `convert` refuses, by halving."""
    low, high = 0, len(array)
    while high - low > 1:
        middle = (low + high) // 2
        try:
            convert(array.slice(low, middle - low))
        except pa.ArrowInvalid:
            high = middle
        else:
            low = middle
    return low


def guess(text: str) -> str:
    """Return the type that a text looks like."""
    if re.fullmatch(r"[+-]?\d{1,18}", text):
        return "integer"
    if re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", text):
        return "double"
    if text.lower() in ("true", "false"):
        return "boolean"
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
        return "date"
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}[ T]\d{2}:\d{2}.*", text):
        return "timestamp"
    return "string"


def mismatch(column: Column, found: str, where: str, value: str | None) -> Refused:
    """Return the refusal of a value of another type; only a public column's value is quoted."""
    public = column.classification in (None, Classification.PUBLIC)
    quoted = f' ("{value[:40]}")' if value is not None and public else ""
    other = f", or set type: {found}" if found in {kind.value for kind in ColumnType} and found != column.type else ""
    return Refused(
        "SchemaValid",
        Reason.SCHEMA_MISMATCH,
        f'column "{column.name}" is {found} in {where}{quoted}, spec.schema says {column.type.value}. '
        f"Fix the file{other}",
    )


def _plain(chunk: pa.Array) -> pa.Array:
    """Return text of any encoding as plain text."""
    kind = chunk.type
    if pa.types.is_dictionary(kind):
        return _plain(chunk.dictionary_decode())
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return chunk.cast(pa.string())
    return chunk.cast(pa.string()) if pa.types.is_null(kind) else chunk


def _fits(found: pa.DataType, declared: ColumnType) -> bool:
    """Say whether values of an Arrow type may be those of a declared one; text is judged value by value."""
    types = pa.types
    if types.is_string(found):
        return True
    match declared:
        case ColumnType.BOOLEAN:
            return bool(types.is_boolean(found))
        case ColumnType.INTEGER | ColumnType.DOUBLE:
            return bool(types.is_integer(found) or types.is_floating(found) or types.is_decimal(found))
        case ColumnType.STRING:
            return False
        case ColumnType.TIMESTAMP:
            return bool(types.is_timestamp(found) or types.is_date(found))
        case ColumnType.DATE:
            return bool(types.is_date(found))


def _arrow_name(found: pa.DataType) -> str:
    types = pa.types
    if types.is_integer(found):
        return "integer"
    if types.is_floating(found) or types.is_decimal(found):
        return "double"
    if types.is_timestamp(found):
        return "timestamp"
    return {"bool": "boolean", "date32[day]": "date"}.get(str(found), str(found))


def _from_arrow(chunk: pa.Array, kind: ColumnType) -> pa.Array:
    if kind is ColumnType.TIMESTAMP and pa.types.is_timestamp(chunk.type) and chunk.type.tz is None:
        return chunk.cast(pa.timestamp("us")).cast(ARROW[kind])  # a time without zone is UTC
    if pa.types.is_floating(chunk.type):
        chunk = pc.if_else(pc.is_nan(chunk), pa.scalar(None, chunk.type), chunk)
    return chunk.cast(ARROW[kind])


def _from_text(chunk: pa.Array, kind: ColumnType) -> pa.Array:
    match kind:
        case ColumnType.STRING:
            return chunk
        case ColumnType.TIMESTAMP:
            midnight = pc.binary_join_element_wise(chunk, "T00:00:00", "")
            full = pc.if_else(pc.equal(pc.utf8_length(chunk), 10), midnight, chunk)
            zoned = pc.match_substring_regex(full, r"(Z|[+-]\d{2}:?\d{2})$")
            return pc.if_else(zoned, full, pc.binary_join_element_wise(full, "Z", "")).cast(ARROW[kind])
        case _:
            return chunk.cast(ARROW[kind])


_JSON: dict[ColumnType, tuple[type, ...]] = {
    ColumnType.BOOLEAN: (bool,),
    ColumnType.INTEGER: (int,),
    ColumnType.DOUBLE: (int, float),
    ColumnType.STRING: (str,),
    ColumnType.TIMESTAMP: (str,),
    ColumnType.DATE: (str,),
}
_JSON_NAMES = {
    "bool": "boolean",
    "int": "integer",
    "float": "double",
    "str": "string",
    "dict": "object",
    "list": "list",
}


def _from_json(raw: RawFile, column: Column, values: list[object]) -> pa.Array:
    """Return JSON values as an Arrow array, times still as text."""
    allowed = _JSON[column.type]
    for row, value in enumerate(values):
        wrong = not isinstance(value, allowed) or (isinstance(value, bool) and column.type is not ColumnType.BOOLEAN)
        too_large = isinstance(value, int) and not -(2**63) <= value < 2**63
        if value is not None and (wrong or too_large):
            found = _JSON_NAMES.get(type(value).__name__, type(value).__name__)
            raise mismatch(column, found, raw.where(row), str(value))
    is_time = column.type in (ColumnType.TIMESTAMP, ColumnType.DATE)
    return pa.array(values, pa.string() if is_time else ARROW[column.type])


def _finite(raw: RawFile, column: Column, array: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return doubles without NaN; raise Refused for an infinite one."""
    if column.type is not ColumnType.DOUBLE:
        return array
    infinite = pc.fill_null(pc.is_inf(array), False)
    if pc.any(infinite).as_py():
        row = pc.index(infinite, True).as_py()
        raise mismatch(column, "infinite", raw.where(row), str(array[row].as_py()))
    return pc.if_else(pc.fill_null(pc.is_nan(array), False), pa.scalar(None, pa.float64()), array)
