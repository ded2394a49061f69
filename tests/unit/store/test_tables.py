"""Equal tables are equal bytes, and equal content has one digest whatever its form."""

import hashlib
import subprocess
import sys
from datetime import UTC, date, datetime

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from treadle.store import tables

BUILD = """
import hashlib
import numpy as np
import pyarrow as pa
from treadle.store import tables

def table(rows=200_000):
    rng = np.random.default_rng(7)
    mask = rng.random(rows) < 0.1
    return pa.table({
        "hour": pa.array(rng.integers(0, 24, rows), mask=mask),
        "distance": pa.array(np.where(rng.random(rows) < 0.01, np.nan, rng.normal(size=rows)), mask=mask[::-1]),
        "origin": pa.array(rng.choice(["JFK", "LGA", "EWR", "Zürich"], rows), mask=mask),
        "late": pa.array(rng.random(rows) < 0.2),
        "time": pa.array(rng.integers(0, 10**15, rows), pa.timestamp("us", tz="UTC")),
    })

def digests(table):
    return [hashlib.sha256(data).hexdigest() for _, data in tables.encode(table)], tables.content_digest(table)
"""
SCOPE: dict = {}
exec(BUILD, SCOPE)  # the same source builds the table here and in another process
WHOLE = SCOPE["table"]()
DIGESTS = SCOPE["digests"](WHOLE)


def rechunked(table: pa.Table, size: int) -> pa.Table:
    return pa.concat_tables([table.slice(start, size) for start in range(0, table.num_rows, size)])


SAME = {
    "in chunks of 1,000 rows": lambda: rechunked(WHOLE, 1000),
    "in chunks of 70,001 rows": lambda: rechunked(WHOLE, 70_001),
    "with text as a dictionary": lambda: WHOLE.set_column(2, "origin", WHOLE["origin"].dictionary_encode()),
    "with text of 64-bit offsets": lambda: WHOLE.set_column(2, "origin", WHOLE["origin"].cast(pa.large_string())),
    "with metadata": lambda: WHOLE.replace_schema_metadata({"pandas": "{}"}),
    "cut from a longer table": lambda: pa.concat_tables([WHOLE, WHOLE]).combine_chunks().slice(0, WHOLE.num_rows),
    "cut from within a longer table": lambda: (
        pa.concat_tables([WHOLE.slice(0, 12_345), WHOLE]).combine_chunks().slice(12_345)
    ),
    "read back from Parquet": lambda: pa.concat_tables([tables.decode(data) for _, data in tables.encode(WHOLE)]),
}


@pytest.mark.parametrize("made", SAME.values(), ids=SAME.keys())
def test_equal_bytes(made) -> None:
    assert SCOPE["digests"](made()) == DIGESTS


def test_equal_bytes_in_another_process() -> None:
    code = BUILD + "print(digests(table()))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == repr(DIGESTS)


def small(**changed: object) -> pa.Table:
    columns: dict = {
        "a": pa.array([1, None, 3], pa.int64()),
        "b": pa.array([0.5, float("nan"), None], pa.float64()),
        "c": ["x", None, "yz"],
        **changed,
    }
    return pa.table(columns)


OTHER = {
    "another value": small(a=pa.array([1, None, 4], pa.int64())),
    "a null for a zero": small(a=pa.array([1, 0, 3], pa.int64())),
    "a null for a NaN": small(b=pa.array([0.5, None, None], pa.float64())),
    "an empty text for a null": small(c=["x", "", "yz"]),
    "text cut elsewhere": small(c=["xy", None, "z"]),
    "another type": small(a=pa.array([1, None, 3], pa.int32())),
    "another name": small().rename_columns(["a", "b", "d"]),
    "another order of rows": small().take([2, 1, 0]),
    "another order of columns": small().select(["b", "a", "c"]),
    "fewer rows": small().slice(0, 2),
}


@pytest.mark.parametrize("other", OTHER.values(), ids=OTHER.keys())
def test_another_digest_for(other: pa.Table) -> None:
    assert tables.content_digest(other) != tables.content_digest(small())


def test_one_nan_and_one_zero() -> None:
    nans = np.array([0x7FF8000000000001, 0xFFF8000000000000, 0x8000000000000000], "u8").view("f8")
    plain = np.array([np.nan, np.nan, 0.0])
    assert tables.content_digest(pa.table({"a": nans})) == tables.content_digest(pa.table({"a": plain}))


def test_the_digest_is_what_the_page_says() -> None:
    table = pa.table({"c": pa.array(["x", None, "yz"])})
    lengths = np.array([1, 0, 2], "<i8").tobytes()
    column = hashlib.sha256(bytes([0b101]) + lengths + b"xyz").hexdigest()
    whole = hashlib.sha256(f'[["c","string",3,"{column}"]]'.encode()).hexdigest()
    assert tables.content_digest(table) == f"sha256:{whole}"


def test_files_are_as_the_page_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "PART_ROWS", 150_000)
    parts = list(tables.encode(WHOLE))
    assert [rows for rows, _ in parts] == [150_000, 50_000]
    found = pq.ParquetFile(pa.BufferReader(parts[0][1])).metadata
    assert (found.format_version, found.num_row_groups, found.row_group(0).num_rows) == ("2.6", 2, 131_072)
    assert found.row_group(0).column(0).compression == "ZSTD"
    assert found.metadata is None


def test_a_table_without_rows_keeps_its_schema() -> None:
    ((rows, data),) = tables.encode(small().slice(0, 0))
    assert rows == 0
    assert tables.decode(data).schema.equals(small().schema)


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(
        st.tuples(
            st.none() | st.integers(-(2**63), 2**63 - 1),
            st.none() | st.floats(width=64),
            st.none() | st.text(max_size=5),
            st.none() | st.booleans(),
            st.none() | st.dates(date(1, 1, 1)),
            st.none() | st.integers(-(10**15), 10**16).map(lambda n: datetime.fromtimestamp(n / 10**6, UTC)),
        ),
        max_size=20,
    ),
    cut=st.integers(0, 20),
)
def test_the_digest_survives_parquet_and_chunks(rows: list, cut: int) -> None:
    kinds = [pa.int64(), pa.float64(), pa.string(), pa.bool_(), pa.date32(), pa.timestamp("us", tz="UTC")]
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(kinds)
    names = list("abcdef")
    table = pa.table([pa.array(list(values), kind) for values, kind in zip(columns, kinds, strict=True)], names)
    digest = tables.content_digest(table)
    assert tables.content_digest(pa.concat_tables([table.slice(0, cut), table.slice(cut)])) == digest
    assert tables.content_digest(pa.concat_tables([tables.decode(data) for _, data in tables.encode(table)])) == digest


def test_a_type_without_a_form_is_refused() -> None:
    with pytest.raises(TypeError, match="list<"):
        tables.content_digest(pa.table({"a": [[1]]}))
