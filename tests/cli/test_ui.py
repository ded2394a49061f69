"""The pages: what they say in every situation, that every number is one of status, and the rules that each keeps."""

import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from goldens import same_text
from pages import Node, faults, outline, parse
from situations import SITUATIONS, Situation
from staged import NOW, stage
from treadle.cli.estate import Estate, status_of
from treadle.cli.ui import render, words
from treadle.cli.ui.orders import Where
from treadle.cli.ui.plots import Interval
from treadle.cli.ui.story import Extras
from treadle.cli.ui.versions import Version, versions

EVERY = pytest.mark.parametrize("name", SITUATIONS)
STAGE = stage()
WITH_VERSIONS = ("a run is held by the gate", "a run failed for good", "a TrainingJob runs")
"""Situations whose goldens hold the pages of versions too, which differ little elsewhere."""


def slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def frame(now: datetime) -> render.Frame:
    return render.Frame(Where("demo"), "https://cluster.example", now)


def pages(situation: Situation) -> Iterator[tuple[str, str]]:
    """Yield every page of a namespace, by its path."""
    estate, given = situation.estate, frame(situation.now)
    yield "/", render.index(estate, given)
    for model in render.named(estate):
        yield f"/models/{model.name}", render.page(estate, model, Extras(), given)
        yield f"/models/{model.name}/versions", render.listing(estate, model, given)
        for version in versions(model):
            yield f"/models/{model.name}/{version.path}", render.version(estate, model, version, Extras(), given)


@EVERY
def test_what_the_pages_say(name: str) -> None:
    situation = SITUATIONS[name]()
    shown = [(path, html) for path, html in pages(situation) if path.count("/") < 3 or name in WITH_VERSIONS]
    told = [line for path, html in shown for line in (f"== {path}", *outline(parse(html).all("main")[0]), "")]
    same_text(f"ui/{slug(name)}.txt", "\n".join(told))


@EVERY
def test_each_page_keeps_the_rules(name: str) -> None:
    for path, html in pages(SITUATIONS[name]()):
        assert (path, faults(parse(html))) == (path, [])


def test_each_page_of_a_reason_keeps_the_rules() -> None:
    for reason in render.reasons():
        html = render.reason(frame(NOW), reason)
        assert html is not None
        assert (reason, faults(parse(html))) == (reason, [])
    assert render.reason(frame(NOW), "NoSuchReason") is None


# Every number is one of status.


def values(document: Any) -> Iterator[str]:
    """Yield every text and number of a document."""
    if isinstance(document, dict):
        for key, value in document.items():
            yield str(key)
            yield from values(value)
    elif isinstance(document, list | tuple):
        for value in document:
            yield from values(value)
    elif document is not None:
        yield str(document)


def numbers(text: str) -> set[str]:
    """Return the numbers in a text, thousands joined."""
    joined = re.sub(r"(?<=\d)[\u202f\u2009](?=\d{3})", "", text)
    return set(re.findall(r"(?<![\w.-])-?\d+(?:\.\d+)?(?![\w]|\.\d)", joined))


def told_by(estate: Estate, now: datetime) -> set[str]:
    """Return every number that the objects hold, and what follows from them by counting."""
    objects = (*estate.sources, *estate.runs, *estate.deployments, *estate.monitors)
    found = {number for text in values([list(objects), estate.progress]) for number in numbers(text)}
    counted: list[int] = [len(estate.runs), sum(bool(status_of(run).get("model")) for run in estate.runs)]
    for monitor in estate.monitors:
        columns = (status_of(monitor).get("drift") or {}).get("columns") or []
        # As the monitor's report rounds them; the smallest p is a bound.
        found |= {f"{float(column['effect']):.3f}" for column in columns} | {"0.000001"}
        found |= {f"{float(column['adjustedPValue']):.3g}" for column in columns}
        counted += [len(columns), len(status_of(monitor).get("windows") or [])]
    for deployment in estate.deployments:
        weight = (status_of(deployment).get("candidate") or {}).get("weight", 0)
        steps = ((deployment["spec"].get("strategy") or {}).get("canary") or {}).get("steps") or []
        # The share of the champion; steps are counted from one; one more pod is what a line would scale to.
        counted += [100 - weight, *range(len(steps) + 1), deployment["spec"].get("replicas", 1) + 1]
    return found | {str(number) for number in counted}


DEFAULTS = {
    "0.1": "drift.minEffect", "0.01": "drift.alpha and maxIncrease of ErrorRate", "1.5": "maxRatio of LatencyP99",
    "500": "minSamplesPerArm and window.minSamples", "4": "maxPerDay", "0": "what was not counted", "1": "replicas",
    "95": "confidence, in percent",
}  # fmt: skip
"""What an absent block means: defaults of api.md, by their field."""


def text_without(node: Node, *tags: str) -> str:
    """Return the words of an element, but for some elements in it."""
    kept = [child if isinstance(child, str) else text_without(child, *tags) for child in node.children
            if isinstance(child, str) or child.tag not in tags]  # fmt: skip
    return " ".join(kept)


@EVERY
def test_every_number_is_one_of_the_objects(name: str) -> None:
    situation = SITUATIONS[name]()
    known = told_by(situation.estate, situation.now) | set(DEFAULTS)
    for path, html in pages(situation):
        page = parse(html)
        [main] = page.all("main")
        # Times and ages are compared apart; lines for a shell are tried by click.
        said = re.sub(
            r"\((?:in )?\d+\s\w+(?: ago)?\)|\d+ (?:s|min|h|d) ago",
            "",
            text_without(main, "time", "code", "svg", "style"),
        )
        said = re.sub(r"\d+ more|from \d+ to \d+|Runs in 24 hours", "", said)
        assert (path, numbers(said) - known) == (path, set())


@EVERY
def test_every_time_is_one_of_the_objects(name: str) -> None:
    situation = SITUATIONS[name]()
    estate = situation.estate
    told = set(values([*estate.sources, *estate.runs, *estate.deployments, *estate.monitors]))
    for _, html in pages(situation):
        [main] = parse(html).all("main")
        for told_at in main.all("time"):
            stated = told_at.attributes["datetime"]
            assert stated in told or is_derived(stated, estate)
            assert told_at.text in {" ".join(write(stated).split()) for write in (words.day, words.hour)}


def is_derived(time: str, estate: Estate) -> bool:
    """Say whether a time is a step's begin and its pause, which status does not add up."""
    begun = {(status_of(each).get("candidate") or {}).get("stepSince") for each in estate.deployments}
    return any(then is not None and datetime.fromisoformat(time) > datetime.fromisoformat(then) for then in begun)


def rows(node: Node) -> list[list[str]]:
    """Return the cells of a table's body."""
    [body] = node.all("tbody")
    return [[cell.text for cell in row.all("th", "td")] for row in body.all("tr")]


def spoken(found: Interval | None) -> str:
    if found is None:
        return ""
    return f"{found.value} [{found.lower or 'unbounded'}, {found.upper or 'unbounded'}]"


def test_the_table_of_versions_is_the_runs() -> None:
    [model] = render.named(STAGE.estate)
    page = parse(render.listing(STAGE.estate, model, frame(NOW)))
    shown = {row[0].split()[0]: row for row in rows(page.all("table")[0])}
    assert len(shown) == len(STAGE.estate.runs)
    for run in STAGE.estate.runs:
        record = status_of(run)
        row, metric, gap = shown[record["model"]["version"]], record["primaryMetric"], record["gate"].get("difference")
        assert row[2] == f"{metric['value']} [{metric['lower']}, {metric['upper']}]"
        assert row[3] == (f"{gap['value']} [{gap['lower']}, {gap['upper']}]" if gap else "")
        assert row[4] == next(each["reason"] for each in record["conditions"] if each["type"] == "Complete")


def test_the_page_of_a_version_is_its_run() -> None:
    [model] = render.named(STAGE.estate)
    for version in versions(model):
        page = parse(render.version(STAGE.estate, model, version, Extras(), frame(NOW)))
        metrics, *gate = (rows(table) for table in page.all("table"))
        record = status_of(version.run)
        assert [(row[0], row[2]) for row in metrics] == [
            (row["name"], f"{row['value']} [{row['lower']}, {row['upper']}]") for row in record["metrics"]
        ]
        assert [(row[0], row[2], row[3].split()[1], row[4]) for row in gate[0]] == [
            (row["name"], f"{row['value']} [{row['lower']}, {row['upper']}]", row["threshold"], row["result"])
            for row in record["gate"]["checks"]
        ]


def drawn(svg: Node) -> tuple[float, float, float]:
    """Return where a whisker begins, its dot stands and it ends."""
    [line] = [
        node
        for node in svg.all("line")
        if node.classes == {"whisker"} and node.attributes["x1"] != node.attributes["x2"]
    ]
    [dot] = svg.all("circle")
    return float(line.attributes["x1"]), float(dot.attributes["cx"]), float(line.attributes["x2"])


def test_whiskers_lie_on_one_scale() -> None:
    """Positions are linear in the numbers beside them, with the same slope in every row."""
    [model] = render.named(STAGE.estate)
    page = parse(render.listing(STAGE.estate, model, frame(NOW)))
    [body] = page.all("table")[0].all("tbody")
    points = []
    for row in body.all("tr"):
        cells = row.all("td")
        value, lower, upper = (float(text) for text in re.findall(r"-?[\d.]+", cells[1].text))
        points += list(zip((lower, value, upper), drawn(cells[0].all("svg")[0]), strict=True))
    (low, left), (high, right) = min(points), max(points)
    slope = (right - left) / (high - low)
    assert right - left > 200, "the scale is used"
    for number, x in points:
        assert x == pytest.approx(left + slope * (number - low), abs=0.11)


CONFIRMED = {
    "the champion's version": lambda page: "v16" in page.all("h1")[0].text or page.find("now").text.count("v16"),
    "samples n of m": lambda page: "312 of 500" in page.find("now").text,
    "what the gate asked of the candidate": lambda page: "better" in page.find("why").text,
    "worst ten columns": lambda page: len([node for node in page.find("drift").walk() if node.tag == "h4"]) == 10,
    "ten windows": lambda page: len(page.find("drift").all("figure")[0].all("li")) == 10,
    "a new champion is marked": lambda page: sum("new" in node.classes for node in page.find("drift").all("li")) == 1,
    "best and last": lambda page: {"best", "last"} <= {node.text for node in page.find("versions").all("span")},
    "the other versions": lambda page: "All 18 versions and runs" in page.find("versions").text,
    "the chain of both arms": lambda page: len(page.find("lineage").all("ol")) == 2,
}


@pytest.mark.parametrize("told", CONFIRMED.values(), ids=CONFIRMED.keys())
def test_the_stage_shows(told: Any) -> None:
    [model] = render.named(STAGE.estate)
    assert told(parse(render.page(STAGE.estate, model, Extras(), frame(NOW))))


def test_a_thousand_versions() -> None:
    situation = stage(1000)
    [model] = render.named(situation.estate)
    began = time.process_time()
    html = render.page(situation.estate, model, Extras(), frame(situation.now))
    listed = render.listing(situation.estate, model, frame(situation.now))
    # The bound of ecosystem.md, section 6; of this process alone, since others may be at work.
    assert time.process_time() - began < 1
    assert len(rows(parse(listed).all("table")[0])) == 1000
    assert len(rows(parse(html).find("versions").all("table")[0])) < 20


def test_what_a_person_writes_is_text() -> None:
    """Names, messages and annotations reach the page escaped, wherever they stand."""
    evil = "<script>alert(1)</script>"
    objects = [{**raw, "metadata": {**raw["metadata"], "annotations": {"x": evil}}} for raw in STAGE.objects]
    for raw in objects:
        for each in raw["status"]["conditions"]:
            each["message"] = evil
    html = render.page(Situation("ModelDeployment", "", tuple(objects), now=NOW).estate,
                       render.named(STAGE.estate)[0], Extras(), frame(NOW))  # fmt: skip
    assert evil not in html and "&lt;script&gt;" in html


def test_times_are_utc() -> None:
    assert words.day("2026-01-05T08:00:00Z") == "5\u00a0Jan\u00a02026, 08:00"
    assert words.ago("2026-01-05T08:00:00Z", datetime(2026, 1, 5, 8, 10, tzinfo=UTC)) == "10 min ago"
    assert words.ago("2026-01-05T08:00:00Z", datetime(2026, 1, 5, 7, 0, tzinfo=UTC)) == "in 60 min"
    assert isinstance(versions(render.named(STAGE.estate)[0])[0], Version)
