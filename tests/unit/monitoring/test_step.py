"""A window from the log to its record and page, over a real store and a log that the real server code wrote."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from monitored import ALL, Flights, Row, Silent, World, answer, day_of, flights, flights_schema, late
from treadle.api.plan import PlannedLogger
from treadle.api.reasons import Reason
from treadle.api.step import MonitorResult, write_result
from treadle.monitoring.step import monitor
from treadle.serving.log import Answered, RequestLog
from treadle.store import blobs, keys, manifest
from treadle.store.errors import StoreError

DAY = ("2013-04-03T00:00:00Z", "2013-04-04T00:00:00Z")
CANDIDATE = f"sha256:{'c' * 64}"


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def champion(world: World, known: Flights, **changes: Any) -> str:
    return world.publish(flights_schema(), known.train, [late(row) for row in known.train], **changes)


def replay(
    world: World, digest: str, day: list[tuple[datetime, Row]], terms: PlannedLogger = ALL, *, arm: str = "champion"
) -> None:
    """Let a pod answer a day's flights, each at its time."""

    def add(log: RequestLog) -> None:
        for number, (when, row) in enumerate(sorted(day, key=lambda pair: pair[0])):
            world.now = when.replace(minute=number % 60)
            log.add(answer(flights_schema(), [row], digest, [f"{arm}{number}"], [late(row)], arm), flights_schema(), terms)

    world.serve(add)


def judge(world: World, digest: str, run: int = 1, window: tuple[str, str] = DAY, **spec: Any) -> MonitorResult:
    return monitor(world.step(digest, *window, run=run, **spec), world.store, Silent())


def effects(result: MonitorResult) -> dict[str, float]:
    assert result.drift is not None
    return {column.name: float(column.effect) for column in result.drift.columns}


def record_of(world: World, run: int = 1) -> dict[str, Any]:
    found = manifest.read_record(world.store, "monitor", f"{run:064x}")
    assert found is not None
    return found


def file_of(world: World, name: str, run: int = 1) -> bytes:
    [file] = [file for file in manifest.files_of(record_of(world, run)) if file.path == name]
    return blobs.get_bytes(world.store, file.sha256)


def test_an_unshifted_day_is_healthy(world: World) -> None:
    digest = champion(world, flights())
    replay(world, digest, day_of(flights().april, 3))
    result = judge(world, digest, drift={"excludeColumns": ["weekday"]})
    assert (result.outcome, result.reason) == ("Healthy", Reason.NO_DRIFT)
    assert {name: (found.status, found.reason) for name, found in result.findings.items()} == {
        "DataFlowing": ("True", "Enough"),
        "DriftSuspected": ("False", "NoDrift"),
        "QualityBreached": ("False", "WithinLimits"),
    }
    assert max(effects(result).values()) < 0.1
