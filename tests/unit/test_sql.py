"""Which texts are expressions over a row, and what the database behind them can reach."""

import duckdb
import pyarrow as pa
import pytest

from treadle import sql

COLUMNS = ("distance", "moment", "carrier", "Arr Delay")

# name: (expression, the columns it reads)
ACCEPTED = {
    "a comparison": ("distance > 3", {"distance"}),
    "a quoted name": ('"Arr Delay" IS NOT NULL', {"Arr Delay"}),
    "a name in other case": ("DISTANCE + 1", {"distance"}),
    "a case": ("CASE WHEN distance > 3 THEN 'far' ELSE carrier END", {"distance", "carrier"}),
    "a range and a list": ("distance BETWEEN 1 AND 3 OR carrier NOT IN ('AA', 'UA')", {"distance", "carrier"}),
    "a pattern": ("carrier LIKE 'A%' AND regexp_matches(carrier, '^A')", {"carrier"}),
    "a cast": ("distance::DOUBLE / 2", {"distance"}),
    "parts of a time": ("extract(hour FROM moment) + isodow(moment)", {"moment"}),
    "an interval": ("moment + INTERVAL 3 HOUR > TIMESTAMPTZ '2013-01-01 00:00:00Z'", {"moment"}),
    "a coalesce": ("coalesce(distance, -1)", {"distance"}),
}

# name: (expression, what the message holds)
REFUSED = {
    "a subquery": ("(SELECT 1)", "holds a subquery"),
    "a list from a subquery": ("distance IN (SELECT 1)", "holds a subquery"),
    "a second statement": ("1; SELECT 2", "it is several statements"),
    "a table": ("distance FROM range(3)", "more than one scalar expression"),
    "a condition of its own": ("distance WHERE true", "more than one scalar expression"),
    "two expressions": ("distance, carrier", "more than one scalar expression"),
    "an alias": ("distance AS d", "more than one scalar expression"),
    "a bracket that closes another": ("1) OR (1=1", "no SQL expression"),
    "a star": ("*", "holds a star"),
    "a window": ("sum(distance) OVER ()", "holds a window"),
    "a parameter": ("?", "holds a parameter"),
    "an aggregate": ("count(*) > 3", "is an aggregate"),
    "a file": ("read_text('/etc/passwd')", "function read_text() is not allowed"),
    "an environment variable": ("getenv('HOME')", "function getenv() is not allowed"),
    "the clock": ("moment < now()", "function now() is not allowed"),
    "chance": ("random() < 0.5", "function random() is not allowed"),
    "a setting": ("current_setting('threads')", "function current_setting() is not allowed"),
    "an unknown column": ("speed > 3", 'unknown column "speed"'),
    "a table's column": ("rows.distance", 'unknown column "rows.distance"'),
    "nothing": ("", "no SQL expression"),
}


@pytest.fixture(scope="module")
def engine():
    with sql.connect() as engine:
        yield engine


@pytest.mark.parametrize(("text", "columns"), ACCEPTED.values(), ids=ACCEPTED.keys())
def test_accepted(engine, text, columns):
    assert sql.columns_read(engine, text, COLUMNS) == columns


@pytest.mark.parametrize(("text", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_refused(engine, text, message):
    with pytest.raises(sql.Unfit) as caught:
        sql.columns_read(engine, text, COLUMNS)
    assert message in str(caught.value)


CLOSED = {
    "a file": "SELECT * FROM read_text('/etc/hostname')",
    "a file by its name": "SELECT * FROM '/etc/hostname'",
    "a variable of Python": "SELECT * FROM table_of_python",
    "another database": "ATTACH '/tmp/other.db'",
    "its own configuration": "SET enable_external_access = true",
    "an extension": "INSTALL httpfs",
}


@pytest.mark.parametrize("text", CLOSED.values(), ids=CLOSED.keys())
def test_the_database_is_closed(engine, text):
    table_of_python = pa.table({"a": [1]})
    with pytest.raises(duckdb.Error):
        engine.execute(text).fetchall()
    assert table_of_python.num_rows == 1


def test_times_are_read_in_utc(engine):
    table = pa.table({"moment": pa.array(["2013-01-01T23:30:00Z"]).cast(pa.timestamp("us", "UTC"))})
    answer = sql.query(engine, table, "SELECT isodow(moment) AS day, strftime(moment, '%Y%m%dT%H') AS hour FROM rows")
    assert answer.to_pylist() == [{"day": 2, "hour": "20130101T23"}]
