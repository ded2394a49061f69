"""The request log, read back from the store."""

import json
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from serving_pod import PREFIX, SPEC, schema
from treadle.api.artifacts import LOG_COLUMNS, ModelSchema
from treadle.api.plan import PlannedLogger
from treadle.serving.log import ROWS_LIMIT, Answered, Part, RequestLog, kept_columns
from treadle.serving.upload import PartUploader
from treadle.store import blobs, keys, tables
from treadle.store.folder import FolderStore

NOON = datetime(2013, 7, 3, 12, 30, 0, 250_000, tzinfo=UTC)
DIGEST = f"sha256:{'a' * 64}"
ALL = PlannedLogger()


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def bucket(tmp_path: Path) -> FolderStore:
    secret = tmp_path / "secret"
    secret.mkdir()
    (tmp_path / "bucket").mkdir()
    (secret / "bucket").write_text("bucket")
    (secret / "endpoint").write_text(f"file://{tmp_path}")
    return FolderStore(tmp_path / "bucket", PREFIX)


def uploader(tmp_path: Path) -> PartUploader:
    return PartUploader(SPEC, tmp_path / "secret", "8d1f")


def answered(*ids: str, status: int = 200) -> Answered:
    if status != 200:
        return Answered(list(ids), DIGEST, "champion", 0.0015, status)
    rows = len(ids)
    columns: dict[str, list[Any]] = {"distance": [529] * rows, "hour": [None] * rows, "origin": ["LGA"] * rows}
    return Answered(list(ids), DIGEST, "champion", 0.0015, 200, columns, [0.25] * rows, ["0"] * rows)


def manifests(bucket: FolderStore, hour: int = 12) -> Iterator[tuple[str, dict[str, Any]]]:
    for entry in bucket.list(keys.requests_hour("flights-late", "2013-07-03", hour)):
        found = bucket.get(entry.key)
        assert found is not None
        yield entry.key, json.loads(found.data)


def rows(bucket: FolderStore, document: dict[str, Any]) -> list[dict[str, Any]]:
    return list(tables.decode(blobs.get_bytes(bucket, document["files"][0]["sha256"])).to_pylist())


def test_rows_are_read_back(tmp_path: Path, bucket: FolderStore) -> None:
    log = RequestLog(uploader(tmp_path), Clock())
    log.add(answered("r", "r/1"), schema(), ALL)
    log.add(answered("bad", status=400), schema(), ALL)
    log.finish(5)
    [(key, document)] = manifests(bucket)
    assert key == "requests/flights-late/2013-07-03/12/8d1f-000000.json"
    assert {name: document[name] for name in ("format", "rows", "dropped", "from", "until", "models")} == {
        "format": "treadle.dev/requests/v1",
        "rows": 3,
        "dropped": 0,
        "from": "2013-07-03T12:30:00Z",
        "until": "2013-07-03T12:30:01Z",
        "models": [DIGEST],
    }
    found = rows(bucket, document)
    assert tuple(found[0])[:6] == LOG_COLUMNS
    assert found[1] == {
        "prediction_id": "r/1",
        "model_digest": DIGEST,
        "arm": "champion",
        "time": NOON,
        "latency_microseconds": 1500,
        "status": 200,
        "in.distance": 529,
        "in.hour": None,
        "in.origin": "LGA",
        "out.score": 0.25,
        "out.label": "0",
    }
    assert (found[2]["status"], found[2]["in.distance"], found[2]["out.score"]) == (400, None, None)
    assert (log.state.rows, log.state.dropped) == (3, 0)


def test_a_part_stays_within_its_hour(tmp_path: Path, bucket: FolderStore) -> None:
    clock = Clock()
    log = RequestLog(uploader(tmp_path), clock)
    log.add(answered("a"), schema(), ALL)
    clock.now += timedelta(minutes=30)
    log.add(answered("b"), schema(), ALL)
    log.finish(5)
    assert [document["rows"] for hour in (12, 13) for _, document in manifests(bucket, hour)] == [1, 1]


def test_a_container_started_again_counts_on(tmp_path: Path, bucket: FolderStore) -> None:
    for name in ("a", "b", "c"):
        log = RequestLog(uploader(tmp_path), Clock())
        log.add(answered(name), schema(), ALL)
        log.finish(5)
    assert [document["n"] for _, document in manifests(bucket)] == [0, 1, 2]


def sensitive() -> ModelSchema:
    document = schema().dump()
    document["inputs"][0]["classification"] = "personal"
    document["inputs"][1]["classification"] = "sensitive"
    return ModelSchema.model_validate(document)


KEPT = {
    "public columns": (schema(), [], ["distance", "hour", "origin"]),
    "what is not omitted": (schema(), ["origin"], ["distance", "hour"]),
    "nothing personal or sensitive": (sensitive(), [], ["origin"]),
}


@pytest.mark.parametrize(("given", "omitted", "expected"), KEPT.values(), ids=KEPT.keys())
def test_kept_columns(given: ModelSchema, omitted: list[str], expected: list[str]) -> None:
    assert [name for name, _ in kept_columns(given, omitted)] == expected


class Broken:
    """A store that never answers; it keeps nothing."""

    def __call__(self, part: Part, dropped: int) -> None:
        raise ConnectionError("refused")


def test_a_full_buffer_drops_and_counts() -> None:
    log = RequestLog(Broken(), Clock())
    ids = [str(number) for number in range(1000)]
    for _ in range(ROWS_LIMIT // 1000 + 3):
        log.add(answered(*ids), schema(), ALL)
    assert log.state.dropped == 3000
    log.finish(0.1)
    assert log.state.dropped == ROWS_LIMIT + 3000
    assert log.state.rows == 0


def test_sampling_is_by_prediction_id(tmp_path: Path, bucket: FolderStore) -> None:
    log = RequestLog(uploader(tmp_path), Clock())
    ids = [str(number) for number in range(1000)]
    log.add(answered(*ids), schema(), PlannedLogger(percent=10))
    log.add(answered(*ids), schema(), PlannedLogger(percent=10))
    log.finish(5)
    [(_, document)] = manifests(bucket)
    found = [row["prediction_id"] for row in rows(bucket, document)]
    assert document["percent"] == 10
    assert 60 < len(found) // 2 < 140
    assert found[: len(found) // 2] == found[len(found) // 2 :]


def test_every_type_of_column_is_logged(tmp_path: Path, bucket: FolderStore) -> None:
    values: dict[str, Any] = {
        "boolean": True,
        "integer": -7,
        "double": 2,
        "string": "é",
        "timestamp": NOON,
        "date": NOON.date(),
    }
    typed = ModelSchema.model_validate(
        {"task": "Regression", "inputs": [{"name": name, "type": name} for name in values]}
    )
    log = RequestLog(uploader(tmp_path), Clock())
    columns = {name: [value, None] for name, value in values.items()}
    log.add(Answered(["a", "b"], DIGEST, "champion", 0.001, 200, columns, [1.5, 2.5], []), typed, ALL)
    log.finish(5)
    [(_, document)] = manifests(bucket)
    first, second = rows(bucket, document)
    assert {name: first[f"in.{name}"] for name in values} == values
    assert [second[f"in.{name}"] for name in values] == [None] * 6
    assert (first["out.score"], first["out.label"]) == (1.5, None)


def test_a_part_is_stored_when_it_is_old_enough(tmp_path: Path, bucket: FolderStore) -> None:
    log = RequestLog(uploader(tmp_path), Clock(), part_seconds=0.02)
    for name in ("a", "b"):
        log.add(answered(name), schema(), ALL)
        end = time.monotonic() + 5
        while log.state.rows < ord(name) - ord("a") + 1 and time.monotonic() < end:
            threading.Event().wait(0.01)
    assert [document["rows"] for _, document in manifests(bucket)] == [1, 1]
    log.finish(5)


def test_a_store_that_comes_back_gets_every_row(tmp_path: Path, bucket: FolderStore) -> None:
    away = tmp_path / "away"
    (tmp_path / "bucket").rename(away)
    log = RequestLog(uploader(tmp_path), Clock(), part_seconds=0.0)
    log.add(answered("a"), schema(), ALL)
    threading.Event().wait(0.2)
    assert log.state.rows == 0
    away.rename(tmp_path / "bucket")
    log.finish(5)
    assert [document["rows"] for _, document in manifests(bucket)] == [1]
    assert (log.state.rows, log.state.dropped) == (1, 0)
