"""A store with a champion and a prediction log, both written as the real programs write them."""

import importlib.util
import json
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa

from treadle.api.artifacts import INPUT_PREFIX, REFERENCE_FILE, SCHEMA_FILE, SCORE_COLUMN, ModelSchema
from treadle.api.monitor import MonitorSpec
from treadle.api.plan import PlannedLogger, ServerSpec
from treadle.api.step import MonitorStep
from treadle.serving.log import Answered, RequestLog
from treadle.serving.upload import PartUploader
from treadle.store import blobs, manifest, tables
from treadle.store.folder import FolderStore

PREFIX = "treadle/v1/0b6e/"
OWNER = {"kind": "ModelDeployment", "name": "flights-late", "uid": "u", "namespace": "demo"}
TYPES = {"integer": pa.int64(), "double": pa.float64(), "string": pa.string(), "boolean": pa.bool_()}
ALL = PlannedLogger()
CANDIDATE = f"sha256:{'c' * 64}"

type Row = dict[str, Any]


class Silent:
    """A report that nobody reads."""

    def __init__(self) -> None:
        self.fractions: list[float] = []

    def stage(self, name: str, fraction: float) -> None:
        assert 0 <= fraction <= 1, name
        self.fractions.append(fraction)


@dataclass
class World:
    """A folder store, its Secret, and what is put into it."""

    root: Path
    now: datetime = datetime(2013, 4, 1, tzinfo=UTC)
    pods: int = 0
    store: FolderStore = field(init=False)

    def __post_init__(self) -> None:
        (self.root / "secret").mkdir()
        (self.root / "bucket").mkdir()
        (self.root / "secret" / "bucket").write_text("bucket")
        (self.root / "secret" / "endpoint").write_text(f"file://{self.root}")
        self.store = FolderStore(self.root / "bucket", PREFIX)

    def publish(
        self, schema: ModelSchema, rows: list[Row], scores: list[float] | None, *, without: Iterable[str] = ()
    ) -> str:
        """Publish a model's schema and reference; return its digest."""
        columns = {
            INPUT_PREFIX + item.name: pa.array([row[item.name] for row in rows], TYPES[item.type.value])
            for item in schema.inputs
            if item.name in rows[0]
        }
        if scores is not None:
            columns[SCORE_COLUMN] = pa.array(scores, pa.float64())
        [(_, reference)] = tables.encode(pa.table(columns))
        contents = {SCHEMA_FILE: json.dumps(schema.dump()).encode(), REFERENCE_FILE: reference}
        files = [
            manifest.File(path, len(data), blobs.put_bytes(self.store, data).removeprefix("sha256:")).dump()
            for path, data in contents.items()
            if path not in without
        ]
        document = {"format": "treadle.dev/model/v1", "fitKey": f"sha256:{len(rows):064x}", "files": files}
        return manifest.publish_manifest(self.store, "models", document)

    def serve(self, add: Callable[[RequestLog], None]) -> None:
        """Let one pod log what `add` gives it; the clock is this world's `now`."""
        self.pods += 1
        spec = ServerSpec.model_validate(
            {
                "owner": OWNER,
                "modelName": "flights-late",
                "store": {"secret": "treadle-store", "prefix": PREFIX},
                "signingSecret": "treadle-signing",
            }
        )
        log = RequestLog(PartUploader(spec, self.root / "secret", f"pod{self.pods}"), lambda: self.now)
        add(log)
        log.finish(30)
        assert log.state.dropped == 0

    def step(self, champion: str, start: str, end: str, run: int = 1, **spec: Any) -> MonitorStep:
        """Return the step that judges a window."""
        return MonitorStep(
            run=f"{run:010x}",
            run_key=f"{run:064x}",
            owner={"kind": "Monitor", "name": "flights-late", "uid": "m", "namespace": "demo"},
            store={"secret": "treadle-store", "prefix": PREFIX},
            spec=MonitorSpec.parse({"targetRef": {"name": "flights-late"}, **spec}),
            deployment="flights-late",
            champion=champion,
            window={"start": start, "end": end},
        )


def answer(
    schema: ModelSchema, rows: list[Row], digest: str, ids: list[str], scores: list[float], arm: str = "champion"
) -> Answered:
    """Return an answered request of some rows."""
    columns = {item.name: [row[item.name] for row in rows] for item in schema.inputs}
    return Answered(ids, digest, arm, 0.0015, 200, columns, scores, ["0"] * len(rows))


FLIGHT_INPUTS: list[dict[str, Any]] = [
    {"name": "hour", "type": "integer", "min": "5", "max": "23"},
    {"name": "weekday", "type": "integer", "min": "1", "max": "7"},
    {"name": "distance", "type": "integer", "min": "80", "max": "4983"},
    {"name": "carrier", "type": "string"},
    {"name": "origin", "type": "string", "values": ["EWR", "JFK", "LGA"]},
    {"name": "dest", "type": "string"},
]


def flights_schema() -> ModelSchema:
    return ModelSchema.model_validate({"task": "BinaryClassification", "inputs": FLIGHT_INPUTS, "classes": ["0", "1"]})


def late(row: Row) -> float:
    """Return a score that rises with the hour, as the real model's does."""
    return float(1 / (1 + np.exp(2.5 - 0.12 * row["hour"])))


@dataclass(frozen=True)
class Flights:
    """The real flights as a model's inputs, each with the moment of its departure."""

    train: list[Row]
    scores: list[float]
    april: list[tuple[datetime, Row]]
    april_utc: list[tuple[datetime, Row]]


@cache
def flights() -> Flights:
    """Return a sample of January to March, as training saw them, and April in both clocks."""
    path = Path(__file__).parents[1] / "hack" / "flights.py"
    spec = importlib.util.spec_from_file_location("flights", path)
    assert spec is not None and spec.loader is not None
    module: ModuleType = importlib.util.module_from_spec(spec)
    sys.modules["flights"] = module
    spec.loader.exec_module(module)
    months = module.flights({1, 2, 3, 4})
    april = [(moment(flight), row(flight)) for flight in months[4] if flight["arr_delay"] not in ("", "NA")]
    moved = [(when, {**found, "hour": when.hour}) for when, found in april]
    train = [row(flight) for month in (1, 2, 3) for flight in months[month] if flight["arr_delay"] not in ("", "NA")]
    chosen = np.random.default_rng(7).choice(len(train), 6_000, replace=False)
    normal = [train[index] for index in sorted(chosen)]
    return Flights(normal, [late(found) for found in normal], april, moved)


def moment(flight: dict[str, str]) -> datetime:
    return datetime.fromisoformat(flight["time_hour"]).replace(tzinfo=UTC)


def row(flight: dict[str, str]) -> Row:
    texts = {name: flight[name] for name in ("carrier", "origin", "dest")}
    return {
        "hour": int(flight["hour"]),
        "weekday": moment(flight).isoweekday(),
        "distance": int(flight["distance"]),
        **texts,
    }


def day_of(found: list[tuple[datetime, Row]], day: int) -> list[tuple[datetime, Row]]:
    """Return the flights of one UTC day."""
    return [(when, flight) for when, flight in found if when.day == day]
