"""A window from the log to its record and page, over a real store and a log that the real server code wrote."""

import json
import re
from datetime import datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from monitored import ALL, CANDIDATE, Flights, Row, Silent, World, answer, day_of, flights, flights_schema, late
from treadle.api.plan import PlannedLogger
from treadle.api.reasons import Reason
from treadle.api.step import RESULT_LIMIT_BYTES, MonitorResult, read_result, write_result
from treadle.monitoring.step import monitor
from treadle.serving.log import Answered, RequestLog
from treadle.store import blobs, keys, manifest
from treadle.store.errors import StoreError

DAY = ("2013-04-03T00:00:00Z", "2013-04-04T00:00:00Z")
FEW = {"window": {"minSamples": 200}}
NO_WEEKDAY = {"drift": {"excludeColumns": ["weekday"]}}  # one day has one weekday


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def third(found: list[tuple[datetime, Row]]) -> list[tuple[datetime, Row]]:
    """Return every third flight of the day that is judged."""
    return day_of(found, 3)[::3]


def champion(world: World, known: Flights, **changes: Any) -> str:
    return world.publish(flights_schema(), known.train, known.scores, **changes)


def replay(
    world: World, digest: str, day: list[tuple[datetime, Row]], terms: PlannedLogger = ALL, *, arm: str = "champion"
) -> None:
    """Let a pod answer a day's flights, each at its time."""

    def add(log: RequestLog) -> None:
        for number, (when, row) in enumerate(sorted(day, key=lambda pair: pair[0])):
            world.now = when.replace(minute=number % 60)
            answered = answer(flights_schema(), [row], digest, [f"{arm}{number}"], [late(row)], arm)
            log.add(answered, flights_schema(), terms)

    world.serve(add)


def judge(world: World, digest: str, run: int = 1, when: tuple[str, str] = DAY, **spec: Any) -> MonitorResult:
    return monitor(world.step(digest, *when, run=run, **{**FEW, **spec}), world.store, Silent())


def effects(result: MonitorResult) -> dict[str, float]:
    assert result.drift is not None
    return {column.name: float(column.effect) for column in result.drift.columns}


def statuses(result: MonitorResult) -> dict[str, tuple[str, str]]:
    return {name: (found.status, found.reason.value) for name, found in result.findings.items()}


def record_of(world: World, run: int = 1) -> dict[str, Any]:
    found = manifest.read_record(world.store, "monitor", f"{run:064x}")
    assert found is not None
    return found


def file_of(world: World, name: str, run: int = 1) -> bytes:
    [file] = [file for file in manifest.files_of(record_of(world, run)) if file.path == name]
    return blobs.get_bytes(world.store, file.sha256)


def details_of(world: World) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(file_of(world, "window.json"))
    return found


def test_an_unshifted_day_is_healthy_and_an_hour_in_utc_is_found(world: World) -> None:
    digest = champion(world, flights())
    replay(world, digest, day_of(flights().april, 3))
    result = judge(world, digest, window={}, **NO_WEEKDAY)
    assert (result.outcome, result.reason, result.failed) == ("Healthy", Reason.NO_DRIFT, None)
    assert statuses(result) == {
        "DataFlowing": ("True", "Enough"),
        "DriftSuspected": ("False", "NoDrift"),
        "QualityBreached": ("False", "WithinLimits"),
    }
    assert set(effects(result)) == {"hour", "distance", "carrier", "origin", "dest", "out.score"}
    assert max(effects(result).values()) < 0.1

    replay(world, digest, [(when.replace(day=5), row) for when, row in day_of(flights().april_utc, 5)])
    shifted = judge(
        world,
        digest,
        2,
        ("2013-04-05T00:00:00Z", "2013-04-06T00:00:00Z"),
        quality={"maxRangeViolations": "0.2"},
        **NO_WEEKDAY,
    )
    assert (shifted.outcome, shifted.reason) == ("Suspected", Reason.COLUMNS_MOVED)
    assert effects(shifted)["hour"] == pytest.approx(0.18, abs=0.03)
    assert {name for name, effect in effects(shifted).items() if effect >= 0.1} == {"hour", "out.score"}
    assert "column hour moved most" in shifted.message
    assert shifted.drift is not None
    assert shifted.drift.columns[0].name == "hour"
    assert float(shifted.drift.score) == pytest.approx(2 / 6, abs=1e-6)


def test_hours_that_training_never_saw_breach_the_range(world: World) -> None:
    digest = champion(world, flights())
    replay(world, digest, third(flights().april_utc))
    result = judge(world, digest, **NO_WEEKDAY)
    assert (result.outcome, result.reason) == ("Detected", Reason.OUT_OF_RANGE)
    assert statuses(result)["DriftSuspected"] == ("True", "ColumnsMoved")
    assert result.message.startswith("column hour: 9.7 % of rows lie outside training's range")


def test_a_month_that_did_not_move(world: World) -> None:
    digest = champion(world, flights())
    month = flights().april[::25]
    replay(world, digest, [(when.replace(day=3), row) for when, row in month])  # a month's flights in a day's parts
    result = judge(world, digest)
    assert result.outcome == "Healthy"
    assert max(effects(result).values()) < 0.1
    assert set(effects(result)) == {"hour", "weekday", "distance", "carrier", "origin", "dest", "out.score"}


def test_a_job_that_finds_its_record_reports_it_again(world: World) -> None:
    digest = champion(world, flights())
    replay(world, digest, third(flights().april))
    first = judge(world, digest)
    assert first.record is not None
    replay(world, digest, third(flights().april), arm="late")
    world.store.delete(keys.report(f"{1:064x}"))
    assert judge(world, digest) == first
    shown = world.store.get(keys.report(f"{1:064x}"))
    assert shown is not None
    assert shown.data == file_of(world, "report.html"), "the page is there again, as it was recorded"
    again = judge(world, digest, run=2)
    assert again.window is not None and first.window is not None
    assert again.window.samples == 2 * first.window.samples, "another run key judges what the log holds now"


def test_the_record_names_what_was_read(world: World) -> None:
    digest = champion(world, flights())
    replay(world, digest, third(flights().april))
    result = judge(world, digest)
    document = record_of(world)
    parts = json.loads(file_of(world, "parts.json"))
    assert (document["format"], document["step"], document["champion"]) == ("treadle.dev/run/v1", "monitor", digest)
    assert document["requests"] == {"parts": len(parts), "list": manifest.digest_of(file_of(world, "parts.json"))}
    assert all(key.startswith("requests/flights-late/2013-04-03/") for key, _ in parts)
    assert result.report_uri == f"s3://{world.store.place}/reports/{1:064x}.html"
    assert result.window is not None
    assert (result.window.samples, result.window.champion) == (len(third(flights().april)), digest)
    assert read_result(write_result(result)) == result
    assert len(write_result(result)) < RESULT_LIMIT_BYTES


def test_a_column_that_is_not_logged_is_skipped_and_named(world: World) -> None:
    digest = champion(world, flights())
    replay(world, digest, third(flights().april_utc), PlannedLogger(omit_columns=["hour", "dest"]))
    result = judge(world, digest, drift={"excludeColumns": ["weekday"], "prediction": False})
    assert (result.outcome, set(effects(result))) == ("Healthy", {"distance", "carrier", "origin"})
    assert {item["name"]: item["why"] for item in details_of(world)["skipped"]} == {
        "hour": "the log leaves it out",
        "dest": "the log leaves it out",
        "weekday": "named in drift.excludeColumns",
    }


def test_the_inputs_of_all_arms_count_and_the_scores_of_the_champion_alone(world: World) -> None:
    digest = champion(world, flights())
    day = third(flights().april)
    replay(world, digest, day[::2])
    high = [(when, {**row, "hour": 23}) for when, row in day[1::2]]
    replay(world, CANDIDATE, high, arm="candidate")
    result = judge(world, digest, **NO_WEEKDAY)
    assert result.window is not None
    assert result.window.samples == len(day)
    assert effects(result)["hour"] > 0.4, "whoever answered, these callers sent 23"
    assert effects(result)["out.score"] < 0.1, "what the candidate scored is none of the champion's"


def test_without_answers_of_the_champion_its_scores_are_skipped(world: World) -> None:
    digest = champion(world, flights())
    replay(world, CANDIDATE, third(flights().april))
    result = judge(world, digest, **NO_WEEKDAY)
    assert (result.outcome, "out.score" in effects(result)) == ("Healthy", False)
    assert {"name": "out.score", "why": "the champion gave 0 of the answers, 30 are needed"} in details_of(world)[
        "skipped"
    ]


def refuse(world: World, digest: str, count: int, status: int = 400) -> None:
    def add(log: RequestLog) -> None:
        for number in range(count):
            world.now = datetime.fromisoformat(DAY[0]).replace(microsecond=number)
            log.add(Answered([f"bad{number}"], digest, "champion", 0.001 + number / 1e6, status), flights_schema(), ALL)

    world.serve(add)


def test_refused_requests_are_counted_and_failed_ones_are_not(world: World) -> None:
    digest = champion(world, flights())
    replay(world, digest, third(flights().april))
    refuse(world, digest, 30)
    refuse(world, digest, 100, 503)
    assert judge(world, digest, **NO_WEEKDAY).outcome == "Healthy"
    refuse(world, digest, 60)
    result = judge(world, digest, run=2, **NO_WEEKDAY)
    assert (result.outcome, result.reason) == ("Detected", Reason.REQUESTS_REJECTED)
    assert result.message.startswith("17.3 % of requests were refused")  # 90 of 330 + 100 + 90


def test_nothing_but_refusals_is_insufficient_and_a_breach(world: World) -> None:
    digest = champion(world, flights())
    refuse(world, digest, 201)
    result = judge(world, digest)
    assert (result.outcome, result.reason, result.drift) == ("Insufficient", Reason.INSUFFICIENT, None)
    assert statuses(result) == {
        "DataFlowing": ("False", "Insufficient"),
        "DriftSuspected": ("Unknown", "Insufficient"),
        "QualityBreached": ("True", "RequestsRejected"),
    }


def test_a_window_without_rows_is_insufficient_and_without_any_log_has_none(world: World) -> None:
    digest = champion(world, flights())
    never = judge(world, digest)
    assert (never.outcome, never.reason) == ("Insufficient", Reason.NO_LOG)
    replay(world, digest, day_of(flights().april, 4)[:20])
    quiet = judge(world, digest, run=2)
    assert (quiet.outcome, quiet.reason) == ("Insufficient", Reason.INSUFFICIENT)
    assert quiet.message.startswith("0 predictions; window.minSamples is 200")
    assert judge(world, digest) == never, "a window that was judged stays so"


GONE: dict[str, tuple[list[str], str]] = {
    "a model without a reference": (["reference.parquet"], "has no reference.parquet"),
    "a model without a schema": (["schema.json"], "has no schema.json"),
}


@pytest.mark.parametrize(("without", "text"), GONE.values(), ids=GONE.keys())
def test_a_model_that_says_not_what_is_normal(world: World, without: list[str], text: str) -> None:
    digest = champion(world, flights(), without=without)
    with pytest.raises(StoreError, match=re.escape(text)) as caught:
        judge(world, digest)
    assert caught.value.reason is Reason.REFERENCE_GONE
    assert caught.value.message.endswith("docs: reasons/ReferenceGone")
    assert manifest.read_record(world.store, "monitor", f"{1:064x}") is None, "what is restored can be judged"


def test_a_model_that_is_gone(world: World) -> None:
    with pytest.raises(StoreError, match="is not whole") as caught:
        judge(world, CANDIDATE)
    assert caught.value.reason is Reason.REFERENCE_GONE


class Outline(HTMLParser):
    """Tags that a page leaves open, and what it loads or runs."""

    VOID = frozenset({"meta", "br", "rect", "line", "polyline"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.wrong: list[str] = []
        self.names: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.wrong += [f"{tag} {name}" for name, _ in attrs if name in ("src", "href") or name.startswith("on")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong.append(f"/{tag}")


def test_the_page_is_whole_and_stands_alone(world: World) -> None:
    digest = champion(world, flights())
    evil = [(when, {**row, "dest": "<script>alert(1)</script>"}) for when, row in third(flights().april_utc)]
    replay(world, digest, evil)
    judge(world, digest)
    text = file_of(world, "report.html").decode()
    outline = Outline()
    outline.feed(text)
    assert (outline.open, outline.wrong) == ([], [])
    assert {"script", "img", "link", "iframe"} & set(outline.names) == set()
    assert outline.names.count("section") == 7, "one card a column"
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    for fact in ("flights-late", "3 April 2013, 00:00", "Detected", "ColumnsMoved", digest):
        assert fact in text
