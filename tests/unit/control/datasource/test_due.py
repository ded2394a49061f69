"""Which fetch is due: a row for each cause, and for each reason to wait."""

from datetime import UTC, datetime
from typing import Any

import pytest

from builders import data_source
from treadle.api.datasource import DataSource
from treadle.api.names import ANNOTATION_REQUESTED_AT
from treadle.control.datasource.due import due, next_scheduled, run_key
from treadle.control.engine.ports import Object

NOW = datetime(2026, 1, 5, 8, 10, tzinfo=UTC)
DONE = {
    "jobName": "flights-0123456789", "runKey": "5" * 64, "generation": 1, "startTime": "2026-01-05T08:00:00Z",
    "completionTime": "2026-01-05T08:05:00Z", "result": "Unchanged", "configMapVersion": "7",
}  # fmt: skip
ASKED = {"annotations": {ANNOTATION_REQUESTED_AT: "2026-01-05T08:09:00Z"}}


def source(attempt: Object | None = DONE, handled: str | None = None, metadata: Object | None = None, **spec: Any):
    status = {**({"lastAttempt": attempt} if attempt else {}), **({"handledRequest": handled} if handled else {})}
    return DataSource.read(data_source(status=status, metadata=metadata, **spec))


def failed(reason: str, attempt: int = 0) -> Object:
    return {**DONE, "result": "Failed", "reason": reason, "attempt": attempt}


DUE: dict[str, tuple[DataSource, str | None, int | None]] = {
    "the first": (source(None), None, 0),
    "a new spec": (source(metadata={"generation": 2}), None, 0),
    "a new spec while the old one is fetched": (
        source({**DONE, "completionTime": None, "result": None}, metadata={"generation": 2}), None, 0,
    ),
    "nothing while suspended": (source(None, suspended=True), None, None),
    "nothing while one runs": (source({**DONE, "completionTime": None, "result": None}, metadata=ASKED), None, None),
    "nothing new": (source(), None, None),
    "a person's request": (source(metadata=ASKED), None, 0),
    "a request that was handled": (source(metadata=ASKED, handled="2026-01-05T08:09:00Z"), None, None),
    "another ConfigMap": (source(inline=True), "8", 0),
    "the same ConfigMap": (source(inline=True), "7", None),
    "no ConfigMap any more": (source(inline=True), None, None),
    "a due time": (source(schedule="5 * * * *"), None, 0),
    "a due time to come": (source(schedule="15 * * * *"), None, None),
    "a due time that the last fetch met": (source(schedule="0 8 * * *"), None, None),
    "the world hindered it": (source(failed("AccessDenied")), None, 1),
    "the world hinders it still, and waits longer": (source(failed("AccessDenied", 4)), None, 5),
    "five minutes are the longest": (
        source({**failed("AccessDenied", 9), "completionTime": "2026-01-05T08:05:01Z"}), None, None,
    ),
    "the source changed while read": (source(failed("SourceChanged")), None, 1),
    "the recipe failed": (source(failed("InvalidSpec")), None, None),
    "the data was refused": (source({**DONE, "result": "Rejected", "reason": "SchemaMismatch"}), None, None),
}  # fmt: skip


@pytest.mark.parametrize(("given", "config", "attempt"), DUE.values(), ids=DUE.keys())
def test_due(given: DataSource, config: str | None, attempt: int | None) -> None:
    record = due(given, config, NOW)
    assert (record and record.last_attempt and record.last_attempt.attempt) == attempt
    if record is not None and record.last_attempt is not None:
        assert record.last_attempt.completion_time is None
        assert record.last_attempt.job_name.startswith("flights-")
        is_retry = record.last_attempt.attempt > 0
        assert (record.last_attempt.run_key == DONE["runKey"]) == is_retry


def test_a_fetch_meets_every_wish_that_stands_at_its_start() -> None:
    given = source(metadata={**ASKED, "generation": 2}, schedule="5 * * * *", inline=True)
    record = due(given, "8", NOW)
    assert record is not None and record.last_attempt is not None
    assert record.handled_request == "2026-01-05T08:09:00Z"
    assert record.last_schedule_time == "2026-01-05T08:05:00Z"
    assert record.last_attempt.config_map_version == "8"
    ended = record.last_attempt.model_copy(update={"completion_time": "2026-01-05T08:10:00Z"})
    settled = given.model_copy(update={"status": record.model_copy(update={"last_attempt": ended})})
    assert due(settled, "8", NOW) is None


def test_of_many_due_times_only_the_newest_is_met() -> None:
    given = source({**DONE, "startTime": "2026-01-01T00:00:00Z"}, schedule="*/2 * * * *")
    record = due(given, None, NOW)
    assert record is not None and record.last_schedule_time == "2026-01-05T08:10:00Z"


def test_a_due_time_names_the_same_run_whoever_asks() -> None:
    first, second = due(source(schedule="5 * * * *"), None, NOW), due(source(schedule="5 * * * *"), None, NOW)
    assert first is not None and second is not None
    assert first.last_attempt == second.last_attempt


def test_what_says_when_and_where_to_fetch_is_no_input() -> None:
    cause = {"due": "2026-01-05T08:05:00Z"}
    plain = run_key(source(), cause)
    elsewhere = source(schedule="@hourly", jobTemplate={"backoffLimit": 1}, storeRef={"name": "treadle-other"})
    assert run_key(elsewhere, cause) == plain
    assert run_key(source(filter="distance > 0"), cause) != plain
    assert run_key(source(), {"due": "2026-01-05T09:05:00Z"}) != plain


def test_the_next_due_time_is_read_in_its_zone() -> None:
    given = source(schedule="30 3 * * *", timeZone="America/New_York")
    assert next_scheduled(given, NOW) == datetime(2026, 1, 5, 8, 30, tzinfo=UTC)
    assert next_scheduled(source(schedule="@hourly", suspended=True), NOW) is None
