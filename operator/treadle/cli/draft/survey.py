"""A file of rows to facts: how it is written, and what each of its columns holds."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import ValidationError

from treadle import sql
from treadle.api.datasource import Column, ColumnType, Format, FormatName
from treadle.cli.draft.form import NoTable, form_of
from treadle.data.collect import SourceFile
from treadle.data.files import RawFile, read_file
from treadle.data.refused import Refused
from treadle.data.schema import type_as_found, typed

COLUMNS_LIMIT = 256
"""Of a DataSource."""
ROWS_NEEDED = 20
"""Fewer leave a part of the split empty more often than not, and tell nothing."""
VALUES_LIMIT = 64
"""Of a column's constraint."""
LOOKED_AT = 2_000
"""Distinct texts that a pattern is tried on."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What the texts of a column mean in the type that they are meant as."""

    type: ColumnType
    expression: str
    suffix: str
    about: str


@dataclass(frozen=True, slots=True)
class Facts:
    """What a column holds; where `reading` is set, of the values that it gives.

    type: None where no declared type takes the values. values: each distinct value as text with its rows, most rows
    first; empty beyond VALUES_LIMIT. looks: by pattern, the share of texts that match.
    """

    name: str
    type: ColumnType | None
    rows: int
    nulls: int = 0
    distinct: int = 0
    singles: int = 0
    """Values that occur once."""
    values: tuple[tuple[str, int], ...] = ()
    least: float | None = None
    most: float | None = None
    is_whole: bool = False
    looks: Mapping[str, float] = field(default_factory=dict)
    reading: Reading | None = None

    @property
    def is_text(self) -> bool:
        """Say whether the values are texts."""
        return self.type is ColumnType.STRING

    @property
    def is_number(self) -> bool:
        """Say whether the values are numbers."""
        return self.type in (ColumnType.INTEGER, ColumnType.DOUBLE)

    @property
    def is_time(self) -> bool:
        """Say whether the values are moments or days."""
        return self.type in (ColumnType.TIMESTAMP, ColumnType.DATE)

    @property
    def is_unique(self) -> bool:
        """Say whether each row has a value of its own."""
        return self.nulls == 0 and self.distinct == self.rows > 1

    @property
    def counts_up(self) -> bool:
        """Say whether the values are whole numbers without a gap, each once: row numbers."""
        span = self.most - self.least + 1 if self.least is not None and self.most is not None else 0
        return self.is_unique and self.type is ColumnType.INTEGER and span == self.rows

    @property
    def nameable(self) -> bool:
        """Say whether a manifest can name the column."""
        try:
            Column(name=self.name, type=ColumnType.STRING)
        except ValidationError:
            return False
        return True


@dataclass(frozen=True, slots=True)
class Survey:
    """A file as a DataSource would read it."""

    form: Format
    rows: int
    columns: tuple[Facts, ...]


def survey(file: SourceFile) -> Survey:
    """Return what a file holds; raise NoTable or Refused where it is no table that a DataSource can read."""
    form, names = form_of(file)
    raw = read_file(file, form, names)
    if form.name is FormatName.CSV:
        tokens = null_tokens(raw)
        if tokens:
            form = form.model_copy(update={"null_values": ["", *tokens]})
            raw = read_file(file, form, names)
    _refuse(file.name, raw)
    with sql.connect() as engine:
        columns = tuple(facts(engine, raw, name, form.delimiter) for name in raw.columns)
    return Survey(form, raw.rows, columns)


def _refuse(name: str, raw: RawFile) -> None:
    """Raise NoTable for what no DataSource takes."""
    if raw.rows == 0:
        raise NoTable(f"{name} holds no row; expected a table with one line for each case to learn from")
    if len(raw.columns) > COLUMNS_LIMIT:
        raise NoTable(
            f"{name} has {len(raw.columns)} columns, a DataSource takes {COLUMNS_LIMIT}; leave out those that a "
            "prediction cannot have"
        )
    if raw.rows < ROWS_NEEDED:
        raise NoTable(f"{name} has {raw.rows} rows; {ROWS_NEEDED} are the least from which to learn and to judge")
    lower: dict[str, str] = {}
    for column in raw.columns:
        if (other := lower.setdefault(column.casefold(), column)) != column:
            raise NoTable(f'{name} has columns "{other}" and "{column}", which differ only in case; rename one')


NULLS = frozenset({"na", "n/a", "nan", "null", "none", "nil", "?", "-", "--", ".", r"\n", "#n/a", "(null)", "missing"})
"""Texts that mean null where the other values of the column are numbers, times or booleans."""


def null_tokens(raw: RawFile) -> list[str]:
    """Return the texts that stand for null among values of another type, at most 15 of up to 32 characters."""
    found: dict[str, None] = {}
    for values in raw.columns.values():
        assert isinstance(values, pa.ChunkedArray)
        texts = pc.unique(values.drop_null())
        strange = [text for text in texts.to_pylist() if text.strip().casefold() in NULLS]
        if not strange or len(strange) == len(texts):
            continue
        rest = texts.filter(pc.invert(pc.is_in(texts, value_set=pa.array(strange, pa.string()))))
        if type_of(pa.chunked_array([rest])) is not ColumnType.STRING:
            found |= dict.fromkeys(text for text in strange if len(text) <= 32)
    return list(found)[:15]


# What a column holds.

PREFERRED = (ColumnType.BOOLEAN, ColumnType.INTEGER, ColumnType.DOUBLE, ColumnType.DATE, ColumnType.TIMESTAMP)
ZERO_LED = r"^[+-]?0\d+$"
"""A postcode or an article's number: as an integer it would lose its zeros."""

PATTERNS = {
    "mail": re.compile(r"[^@\s]+@[^@\s]+\.[A-Za-z]{2,}"),
    "phone": re.compile(r"(?=(\D*\d){9,15}\D*$)(?=.*[+ ()/-])\+?[\d ()./-]+"),
    "ip": re.compile(r"(\d{1,3}\.){3}\d{1,3}|([0-9A-Fa-f]{1,4}:){2,7}[0-9A-Fa-f:]{0,39}"),
    "iban": re.compile(r"[A-Z]{2}\d{2}( ?[A-Z0-9]{4}){3,7}( ?[A-Z0-9]{1,3})?"),
    "social": re.compile(r"\d{3}-\d{2}-\d{4}"),
    "word": re.compile(r"\S{1,64}"),
}


def facts(engine: duckdb.DuckDBPyConnection, raw: RawFile, name: str, delimiter: str) -> Facts:
    """Return what a column of a file holds."""
    values = raw.columns[name]
    kind = type_of(values)
    if kind is None:
        return Facts(name, None, raw.rows)
    array = as_type(values, kind)
    if kind is ColumnType.STRING:
        looks = looks_of(array)
        meant = None if looks.get("ip", 0) > 0.5 else reading(engine, array, name, delimiter)
        if meant is not None:
            return described(name, meant[1], raw.rows, meant[0].type, reading=meant[0])
        return described(name, array, raw.rows, kind, looks=looks)
    return described(name, array, raw.rows, kind)


def described(
    name: str,
    array: pa.ChunkedArray,
    rows: int,
    kind: ColumnType,
    *,
    looks: Mapping[str, float] | None = None,
    reading: Reading | None = None,
) -> Facts:
    """Return the facts of typed values."""
    present = array.drop_null()
    counted = pc.value_counts(present)
    counts = counted.field("counts")
    few = len(counted) <= VALUES_LIMIT
    texts = [(plain(row["values"]), row["counts"]) for row in counted.to_pylist()] if few else []
    is_number = kind in (ColumnType.INTEGER, ColumnType.DOUBLE)
    ends = pc.min_max(present).as_py() if is_number and len(present) else {"min": None, "max": None}
    return Facts(
        name=name,
        type=kind,
        rows=rows,
        nulls=array.null_count,
        distinct=len(counted),
        singles=pc.sum(pc.equal(counts, 1)).as_py() or 0,
        values=tuple(sorted(texts, key=lambda item: (-item[1], item[0]))),
        least=None if ends["min"] is None else float(ends["min"]),
        most=None if ends["max"] is None else float(ends["max"]),
        is_whole=kind is ColumnType.INTEGER
        or (is_number and bool(pc.all(pc.equal(present, pc.floor(present))).as_py())),
        looks=looks or {},
        reading=reading,
    )


def plain(value: object) -> str:
    """Return a value as a manifest's constraint, and a class, spell it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:.15g}" if isinstance(value, float) else str(value)


def type_of(values: pa.ChunkedArray | list[object]) -> ColumnType | None:
    """Return the narrowest type that takes every value of a column; None where not even string does."""
    found = type_as_found(values)
    if found is not ColumnType.STRING:
        return found if _takes(values, found) else None
    if not _takes(values, ColumnType.STRING):
        return None
    texts = pc.unique(as_type(values, ColumnType.STRING).drop_null())
    # What a JSON document has as text is no number.
    wished = (ColumnType.DATE, ColumnType.TIMESTAMP) if isinstance(values, list) else PREFERRED
    plausible = (kind for kind in wished if len(texts) and _is_meant(texts, kind))
    return next((kind for kind in plausible if _takes(pa.chunked_array([texts]), kind)), ColumnType.STRING)


def _is_meant(texts: pa.Array, kind: ColumnType) -> bool:
    """Say whether texts that a type would take are meant as it."""
    first = texts[0].as_py()
    if kind is ColumnType.BOOLEAN:
        # 0 and 1 are booleans for the reader too, and better kept as numbers.
        return first.lower() in ("true", "false")
    if kind in (ColumnType.INTEGER, ColumnType.DOUBLE):
        return not pc.any(pc.match_substring_regex(texts, ZERO_LED)).as_py()
    return bool(re.match(r"\d{4}-\d{2}-\d{2}", first))


def _takes(values: pa.ChunkedArray | list[object], kind: ColumnType) -> bool:
    try:
        as_type(values, kind)
    except (Refused, pa.ArrowException):
        return False
    return True


def as_type(values: pa.ChunkedArray | list[object], kind: ColumnType) -> pa.ChunkedArray:
    """Return values in a declared type, as an ingest would; raise Refused where it would refuse them."""
    return typed(RawFile("", len(values), {"x": values}, None), Column(name="x", type=kind))


def looks_of(array: pa.ChunkedArray) -> dict[str, float]:
    """Return the share of distinct texts that match each pattern."""
    texts = pc.unique(array.drop_null()).slice(0, LOOKED_AT).to_pylist()
    return {name: sum(bool(p.fullmatch(text)) for text in texts) / max(1, len(texts)) for name, p in PATTERNS.items()}


# Texts that mean something else.

DECIMAL_COMMA = re.compile(r"[+-]?(\d{1,3}(\.\d{3})+|\d+)(,\d+)?")
GROUPED = re.compile(r"[+-]?\d{1,3}(,\d{3})*(\.\d+)?")
TIME_FORMATS = (
    *("%d.%m.%Y", "%d.%m.%Y %H:%M", "%d.%m.%Y %H:%M:%S"),
    *("%Y/%m/%d", "%Y/%m/%d %H:%M", "%Y/%m/%d %H:%M:%S"),
    *("%m/%d/%Y", "%m/%d/%Y %H:%M", "%m/%d/%Y %H:%M:%S", "%m/%d/%y"),
    *("%d/%m/%Y", "%d/%m/%Y %H:%M", "%d/%m/%Y %H:%M:%S", "%d/%m/%y"),
    *("%d-%b-%Y", "%d %b %Y", "%b %d, %Y", "%d-%m-%Y", "%Y%m%dT%H%M%SZ"),
)


def reading(
    engine: duckdb.DuckDBPyConnection, array: pa.ChunkedArray, name: str, delimiter: str
) -> tuple[Reading, pa.ChunkedArray] | None:
    """Return what all texts of a column can be read as, by an expression, and the values; None for plain text."""
    texts = pc.unique(array.drop_null())
    if len(texts) < 2 or not any(character.isdigit() for character in texts[0].as_py()):
        return None
    column = sql.quoted(name)
    for found in (_number(texts, column, delimiter), _time(engine, texts, column)):
        if found is not None:
            text = found.expression.replace(column, "x")
            kind = "TIMESTAMPTZ" if found.type is ColumnType.TIMESTAMP else found.type.value.upper()
            answer = sql.query(engine, pa.table({"x": array}), f"SELECT CAST({text} AS {kind}) AS x FROM rows")
            return found, answer.column("x")
    return None


def _number(texts: pa.Array, column: str, delimiter: str) -> Reading | None:
    values = texts.to_pylist()
    for pattern, expression, about in (
        (DECIMAL_COMMA, f"CAST(replace(replace({column}, '.', ''), ',', '.') AS DOUBLE)", "a decimal comma"),
        (GROUPED, f"CAST(replace({column}, ',', '') AS DOUBLE)", "commas between thousands"),
    ):
        # 1,234 is either; where the comma parts the fields, nobody writes decimals with it.
        skipped = delimiter == "," and pattern is DECIMAL_COMMA
        if not skipped and any("," in text for text in values) and all(pattern.fullmatch(text) for text in values):
            return Reading(ColumnType.DOUBLE, expression, "number", f"texts with {about}, read as numbers")
    return None


def _time(engine: duckdb.DuckDBPyConnection, texts: pa.Array, column: str) -> Reading | None:
    for form in TIME_FORMATS:
        text = f"SELECT count(*) AS n FROM rows WHERE try_strptime(x, {sql.literal(form)}) IS NULL"
        for part in (texts.slice(0, 20), texts):
            if sql.query(engine, pa.table({"x": part}), text).column("n")[0].as_py():
                break
        else:
            expression = f"strptime({column}, {sql.literal(form)})"
            return Reading(ColumnType.TIMESTAMP, expression, "time", f"texts like {form}, read as times in UTC")
    return None
