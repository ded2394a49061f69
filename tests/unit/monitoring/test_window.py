"""Which rows of the log a window holds, and what is counted of them."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from monitored import ALL, CANDIDATE, Silent, World, answer
from treadle.api.artifacts import Input, ModelSchema
from treadle.api.datasource import ColumnType
from treadle.api.plan import PlannedLogger
from treadle.api.reasons import Reason
from treadle.monitoring.evidence import Log, LogPart, Tally
from treadle.monitoring.samples import pairs, values_of
from treadle.monitoring.window import hours, kept_rates, parsed, read_log
from treadle.serving.log import RequestLog
from treadle.store import keys
from treadle.store.errors import StoreError

CHAMPION = f"sha256:{'a' * 64}"
SCHEMA = ModelSchema.model_validate(
    {
        "task": "BinaryClassification",
        "inputs": [{"name": "x", "type": "integer"}, {"name": "name", "type": "string"}],
        "classes": ["0", "1"],
    }
)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"2013-07-03T{text}").replace(tzinfo=UTC)


def send(world: World, times: dict[str, list[int]], terms: PlannedLogger = ALL, digest: str = CHAMPION) -> None:
    """Let one pod answer a request of some rows at each time; a row's score is its x."""

    def add(log: RequestLog) -> None:
        for text, values in times.items():
            world.now = at(text)
            rows = [{"x": value, "name": None if value % 2 else "even"} for value in values]
            ids = [f"{text}/{index}" for index in range(len(values))]
            log.add(answer(SCHEMA, rows, digest, ids, [float(value) for value in values]), SCHEMA, terms)

    world.serve(add)


def read(world: World, start: str, end: str, schema: ModelSchema = SCHEMA) -> Log:
    step = world.step(CHAMPION, f"2013-07-03T{start}Z", f"2013-07-03T{end}Z")
    return read_log(step, schema.inputs, world.store, Silent())


def x(log: Log) -> list[float]:
    return sorted(np.asarray(log.columns.get("x", [])).tolist())


WINDOWS: dict[str, tuple[str, str, list[float]]] = {
    "the begin belongs to a window and the end does not": ("10:00:00", "11:00:00", [2, 3, 4]),
    "the next window begins with the end": ("11:00:00", "12:00:00", [5]),
    "a window within an hour": ("10:30:00", "10:59:59", [3]),
    "a window over the border of hours": ("10:45:00", "11:15:00", [4, 5]),
    "a window of nothing": ("14:00:00", "15:00:00", []),
    "all of it": ("09:00:00", "12:00:00", [1, 2, 3, 4, 5]),
}


@pytest.mark.parametrize(("start", "end", "expected"), WINDOWS.values(), ids=WINDOWS.keys())
def test_windows_are_half_open(world: World, start: str, end: str, expected: list[float]) -> None:
    send(world, {"09:59:59.999999": [1], "10:00:00": [2], "10:30:00": [3], "10:59:59.999999": [4], "11:00:00": [5]})
    log = read(world, start, end)
    assert x(log) == expected
    assert (log.tally.answered, log.kept) == (len(expected), len(expected))


def test_pods_and_requests_are_told_apart(world: World) -> None:
    send(world, {"10:00:00": [1, 2, 3], "10:00:01": [4]})
    send(world, {"10:00:00": [5, 6]}, digest=CANDIDATE)
    log = read(world, "10:00:00", "11:00:00")
    assert log.tally == Tally(answered=6, by_champion=4, requests=3, refused=0, failed=0)
    assert x(log) == [1, 2, 3, 4, 5, 6]
    assert sorted(np.asarray(log.scores).tolist()) == [1, 2, 3, 4]
    assert len(log.parts) == 2


def test_a_column_that_a_part_leaves_out_is_shorter_and_not_null(world: World) -> None:
    send(world, {"10:00:00": [2, 4]}, PlannedLogger(omit_columns=["name"]))
    send(world, {"10:00:00": [6, 7]})
    log = read(world, "10:00:00", "11:00:00")
    assert x(log) == [2, 4, 6, 7]
    assert sorted(log.columns["name"].to_pylist(), key=str) == [None, "even"]  # type: ignore[union-attr]


def test_hours_logged_in_full_weigh_no_more_than_sampled_ones(world: World) -> None:
    send(world, {"10:00:00": list(range(1000))}, PlannedLogger(percent=20))
    send(world, {"10:30:00": list(range(1000, 2000))})
    log = read(world, "10:00:00", "11:00:00")
    assert log.percents == (20, 100)
    early, late = (sum(value < 1000 for value in x(log)), sum(value >= 1000 for value in x(log)))
    assert early == pytest.approx(200, abs=50), "all that was logged"
    assert late == pytest.approx(200, abs=50), "as many of the full hour"
    assert log.tally.answered == early + 1000
    assert log.kept == early + late == len(x(log))


PART = LogPart("requests/x", "0" * 64, 1000, 0, 100, at("10:00:00"), at("11:00:00"))


def test_of_too_many_rows_some_are_drawn() -> None:
    from dataclasses import replace

    assert kept_rates([PART, PART]) == [1.0, 1.0]
    assert kept_rates([replace(PART, rows=900_000), replace(PART, rows=50_000, percent=50)]) == pytest.approx(
        [0.5, 1.0]
    )
    assert kept_rates([]) == []


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        ("10:00:00", "12:00:00", [10, 11]),
        ("10:30:00", "12:00:01", [10, 11, 12]),
        ("10:59:59", "11:00:00", [10]),
    ],
    ids=["whole hours", "parts of hours", "the last second of one"],
)
def test_hours(start: str, end: str, expected: list[int]) -> None:
    assert [hour.hour for hour in hours(at(start), at(end))] == expected


def test_a_long_window_is_read_over_days(world: World) -> None:
    send(world, {"23:59:00": [1]})
    world.now = at("23:59:00")
    step = world.step(CHAMPION, "2013-07-01T00:00:00Z", "2013-08-01T00:00:00Z")
    silent = Silent()
    assert read_log(step, SCHEMA.inputs, world.store, silent).tally.answered == 1
    assert len(list(hours(datetime(2013, 7, 1, tzinfo=UTC), datetime(2013, 8, 1, tzinfo=UTC)))) == 31 * 24


DOCUMENT: dict[str, Any] = {
    "rows": 5,
    "dropped": 2,
    "percent": 100,
    "from": "2013-07-03T10:00:00Z",
    "until": "2013-07-03T10:00:01Z",
    "files": [{"path": "rows.parquet", "bytes": 1, "sha256": "0" * 64}],
}
BROKEN = {
    "no rows": {"rows": 0},
    "no percentage": {"percent": 0},
    "no file": {"files": []},
    "no times": {"from": "yesterday"},
}


@pytest.mark.parametrize("change", BROKEN.values(), ids=BROKEN.keys())
def test_a_manifest_that_is_none_is_refused(change: dict[str, Any]) -> None:
    assert parsed("key", DOCUMENT).dropped == 2
    with pytest.raises(StoreError, match="key is no part of a request log") as caught:
        parsed("key", {**DOCUMENT, **change})
    assert caught.value.reason is Reason.CHECKSUM_MISMATCH


def test_a_part_that_is_not_what_its_manifest_says_is_refused(world: World) -> None:
    send(world, {"10:00:00": [1, 2]})
    [entry] = world.store.list(keys.requests_of("flights-late"))
    found = world.store.get(entry.key)
    assert found is not None
    world.store.delete(entry.key)
    world.store.put_once(entry.key, found.data.replace(b'"rows":2', b'"rows":3'))
    with pytest.raises(StoreError, match="says 3 rows, its file has 2"):
        read(world, "10:00:00", "11:00:00")


def test_a_candidate_that_gives_a_name_another_type_says_nothing_about_it(world: World) -> None:
    send(world, {"10:00:00": [1, 2]})
    other = SCHEMA.model_copy(update={"inputs": [Input(name="x", type=ColumnType.STRING), SCHEMA.inputs[1]]})
    log = read(world, "10:00:00", "11:00:00", other)
    assert (set(log.columns), log.tally.answered) == ({"name"}, 2)


VALUES: dict[str, tuple[pa.Array, ColumnType, list[Any] | None]] = {
    "integers with nulls": (pa.array([1, None]), ColumnType.INTEGER, [1.0, None]),
    "doubles as the graph takes them": (pa.array([0.1]), ColumnType.DOUBLE, [float(np.float32(0.1))]),
    "an integer where a double is meant": (pa.array([3]), ColumnType.DOUBLE, [3.0]),
    "booleans as text": (pa.array([True, False, None]), ColumnType.BOOLEAN, ["true", "false", None]),
    "text": (pa.array(["a", None]), ColumnType.STRING, ["a", None]),
    "text where a number is meant": (pa.array(["1"]), ColumnType.INTEGER, None),
    "a number where text is meant": (pa.array([1]), ColumnType.STRING, None),
    "times are not compared": (pa.array([datetime(2013, 7, 1, tzinfo=UTC)]), ColumnType.TIMESTAMP, None),
}


@pytest.mark.parametrize(("column", "kind", "expected"), VALUES.values(), ids=VALUES.keys())
def test_values_of(column: pa.Array, kind: ColumnType, expected: list[Any] | None) -> None:
    found = values_of(pa.chunked_array([column]), kind)
    shown = pa.array(found, from_pandas=True) if isinstance(found, np.ndarray) else found  # NaN as null
    assert (None if shown is None else shown.to_pylist()) == expected


OBSTACLES: dict[str, tuple[dict[str, Any], int | None, int | None, str | None]] = {
    "both sides": ({"type": "double"}, 100, 100, None),
    "a time": ({"type": "timestamp"}, 100, 100, "a time moves by itself"),
    "a personal column": (
        {"type": "double", "classification": "personal"},
        100,
        None,
        "personal, so it is never logged",
    ),
    "an omitted column": ({"type": "double"}, 100, None, "the log leaves it out"),
    "no reference": ({"type": "double"}, None, 100, "the model's reference leaves it out"),
    "an empty reference": ({"type": "double"}, 0, 100, "the model's reference leaves it out"),
    "few rows": ({"type": "double"}, 100, 29, "in 29 rows of the log, 30 are needed"),
}


@pytest.mark.parametrize(("column", "reference", "window", "why"), OBSTACLES.values(), ids=OBSTACLES.keys())
def test_what_cannot_be_compared_is_named(
    column: dict[str, Any], reference: int | None, window: int | None, why: str | None
) -> None:
    sides = [{} if rows is None else {"x": np.zeros(rows)} for rows in (reference, window)]
    found, skipped = pairs([Input.parse({"name": "x", **column})], *sides)
    assert (list(found), [item.why for item in skipped]) == ((["x"], []) if why is None else ([], [why]))


def test_a_minute_of_a_month_is_read_from_one_hour(world: World) -> None:
    send(world, {"10:00:30": [1]})
    start = at("10:00:00")
    assert list(hours(start, start + timedelta(minutes=1))) == [start]
    assert x(read(world, "10:00:00", "10:01:00")) == [1]
