"""The parts that pages are made of: counts of pods, intervals as drawings, cards as text, lines for a shell."""

import math
import re
import shlex
from datetime import UTC, datetime, timedelta
from typing import Any

import click
import pytest

from pages import parse
from situations import SITUATIONS, Situation
from staged import NOW, metrics, model_digest, stage
from treadle.__main__ import PROGRAMS
from treadle.cli.main import Commands
from treadle.cli.ui import plots, render, words
from treadle.cli.ui import traffic as counts
from treadle.cli.ui.markdown import rendered
from treadle.cli.ui.orders import Where, groups, of_version
from treadle.cli.ui.plots import Interval, Scale
from treadle.cli.ui.traffic import Counted, Look, traffic, wilson
from treadle.cli.ui.versions import best_of, versions

CHAMPION, CANDIDATE = model_digest(1), model_digest(2)
SCRAPED = counts.parse(metrics([CHAMPION, CANDIDATE]))


def look(seconds: int = 0, **pods: Any) -> Look:
    return Look(NOW + timedelta(seconds=seconds), pods, len(pods))


# What pods count.


def test_what_a_pod_counts_is_read_as_the_server_writes_it() -> None:
    found = SCRAPED[CHAMPION]
    assert (found.requests, found.errors, found.rejected) == (200, 1, 0)
    assert (found.latency[0.003], found.latency[0.005], found.latency[math.inf]) == (0, 199, 200)
    assert SCRAPED[CANDIDATE].requests == 20


def test_pods_add_up_and_only_what_came_since_counts() -> None:
    whole = traffic(look(a=SCRAPED, b=SCRAPED), None, CHAMPION)
    assert whole is not None
    assert (whole.counted.requests, whole.counted.errors, whole.per_second, whole.p99) == (400, 2, None, 0.005)
    more = {CHAMPION: Counted(230, 1, 0, {0.005: 228, 0.2: 230, math.inf: 230})}
    since = traffic(look(20, a=more), look(0, a=SCRAPED), CHAMPION)
    assert since is not None
    assert (since.counted.requests, since.counted.errors, since.per_second) == (30, 0, 1.5)
    assert since.p99 == 0.2, "29 of 30 within 5 ms are less than 99 of 100"


RESTARTS = {
    "a pod that started anew counts from zero": ({"a": {CHAMPION: Counted(7)}}, {"a": SCRAPED}, 7),
    "a pod that is new counts whole": ({"b": {CHAMPION: Counted(7)}}, {"a": SCRAPED}, 7),
    "a model that no pod knows was asked nothing": ({"a": {}}, {}, 0),
}


@pytest.mark.parametrize(("now", "before", "requests"), RESTARTS.values(), ids=RESTARTS.keys())
def test_counts_survive_restarts(now: Any, before: Any, requests: int) -> None:
    found = traffic(look(10, **now), look(0, **before), CHAMPION)
    assert found is not None and found.counted.requests == requests


def test_no_pod_is_no_traffic() -> None:
    assert traffic(look(), None, CHAMPION) is None


# Newcombe 1998, Statistics in Medicine 17, table I, method 3: score intervals of 81/263, 15/148, 0/20 and 1/29.
PUBLISHED = {
    (81, 263): (0.2553, 0.3662),
    (15, 148): (0.0624, 0.1605),
    (0, 20): (0.0, 0.1611),
    (1, 29): (0.0061, 0.1718),
}


@pytest.mark.parametrize(("share", "bounds"), PUBLISHED.items())
def test_wilsons_interval_is_the_published_one(share: tuple[int, int], bounds: tuple[float, float]) -> None:
    assert wilson(*share) == pytest.approx(bounds, abs=5e-5)


def test_of_no_request_nothing_is_known() -> None:
    assert wilson(0, 0) == (0.0, 1.0)


# Drawings.

SCALES = {
    "two numbers": ([1.0, 2.0], (0.96, 2.04)),
    "one number": ([0.5], (0.475, 0.525)),
    "zero": ([0.0], (-0.5, 0.5)),
    "none": ([], (-0.5, 0.5)),
}


@pytest.mark.parametrize(("numbers", "expected"), SCALES.values(), ids=SCALES.keys())
def test_a_scale_holds_its_numbers_with_room(numbers: list[float], expected: tuple[float, float]) -> None:
    found = plots.scale(numbers)
    assert (found.low, found.high) == pytest.approx(expected)


TICKS = {
    "hundredths": (Scale(0.441, 0.502), [0.46, 0.48, 0.5]),
    "around zero": (Scale(-0.012, 0.021), [-0.01, 0.0, 0.01, 0.02]),
    "thousands": (Scale(0, 4983), [0, 1000, 2000, 3000, 4000]),
    "tiny": (Scale(1e-7, 9e-7), [2e-7, 4e-7, 6e-7, 8e-7]),
}


@pytest.mark.parametrize(("scale", "expected"), TICKS.values(), ids=TICKS.keys())
def test_ticks_are_round_and_few(scale: Scale, expected: list[float]) -> None:
    assert plots.ticks(scale) == pytest.approx(expected)


NEEDED = {
    "above a floor": (Interval("0.6", "0.58", "0.62"), "0.5", True),
    "below a bound": (Interval("0.2", "0.1", "0.3"), "0.25", False),
    "without bounds": (Interval("0.6"), "0.5", True),
    "on the limit": (Interval("0.5", "0.5", "0.5"), "0.5", True),
}


@pytest.mark.parametrize(("found", "limit", "is_above"), NEEDED.values(), ids=NEEDED.keys())
def test_the_tinted_part_begins_at_the_limit(found: Interval, limit: str, is_above: bool) -> None:
    svg = parse(plots.against(found, limit, is_above=is_above, tone="good")).all("svg")[0]
    [rect], [dot] = svg.all("rect"), svg.all("circle")
    [edge] = [line for line in svg.all("line") if line.classes == {"limit"}]
    start, width = float(rect.attributes["x"]), float(rect.attributes["width"])
    assert float(edge.attributes["x1"]) == pytest.approx(start if is_above else start + width, abs=0.11)
    is_inside = start - 0.1 <= float(dot.attributes["cx"]) <= start + width + 0.1
    assert is_inside == ((float(found.value) >= float(limit)) == is_above or float(found.value) == float(limit))


def test_shares_are_drawn_and_said() -> None:
    svg = parse(plots.shares(5, "v1", "<v2>")).all("svg")[0]
    assert [rect.attributes["width"] for rect in svg.all("rect")] == ["950", "50"]
    assert svg.attributes["aria-label"] == "v1 answers 95 % of the requests, <v2> 5 %"


# Words.

SAID = {
    "a page's name goes": ("it is so. docs: reasons/HeldByGate", "it is so."),
    "a question stays one": ("is it?", "is it?"),
    "what was cut stays cut": ("and so o…", "and so o…"),
    "nothing": ("", ""),
}


@pytest.mark.parametrize(("message", "expected"), SAID.values(), ids=SAID.keys())
def test_a_message_is_a_sentence(message: str, expected: str) -> None:
    assert words.sentence(message) == expected


def test_names_keep_their_small_letters() -> None:
    assert [words.capital(text) for text in ("v16 answers", "no pod", "average_precision is", "mdep/x waits")] == [
        "v16 answers.", "No pod.", "average_precision is.", "mdep/x waits.",
    ]  # fmt: skip


SHARES = {0.0: "0", 0.00001: "under 0.01", 0.00031: "0.03", 0.0156: "1.6", 0.9999: "100", 1.0: "100"}


@pytest.mark.parametrize(("share", "expected"), SHARES.items())
def test_a_share_has_digits_that_say_something(share: float, expected: str) -> None:
    assert words.percent(share) == f"{expected}\u00a0%"


RATES = {0.0: "0/s", 0.001: "under 0.01/s", 0.05: "0.05/s", 1.5: "1.5/s", 9.96: "10/s", 489 / 15: "33/s"}


@pytest.mark.parametrize(("number", "expected"), RATES.items())
def test_a_rate_has_two_digits(number: float, expected: str) -> None:
    assert words.rate(number) == expected


SPANS = {0.004: "4 ms", 0.5: "500 ms", 5.0: "5 s", 300.0: "5 min", 7200.0: "2 h"}


@pytest.mark.parametrize(("span", "expected"), SPANS.items())
def test_a_span_has_the_unit_that_people_choose(span: float, expected: str) -> None:
    assert words.seconds(span) == expected


# Cards.

MARKDOWN = {
    "headings stand below the page's": ("# a\n\n## b", "<h3>a</h3> <h4>b</h4>"),
    "the head for programs is left out": ("---\na: 1\n---\n\ntext", "<p>text</p>"),
    "HTML is text": ("<b>x</b>", "<p>&lt;b&gt;x&lt;/b&gt;</p>"),
    "a script is text": ("<script>x</script>", "<p>&lt;script&gt;x&lt;/script&gt;</p>"),
    "an image is not asked for": (
        "![a](https://e.example/x.png)",
        '<p>!<a href="https://e.example/x.png" rel="noopener noreferrer">a</a></p>',
    ),
    "a script is no link": ("[a](javascript:x)", "<p>[a](javascript:x)</p>"),
    "a file of another place is no link": ("[a](../b.md)", "<p>a</p>"),
    "a page of a reason is one": (
        "[a](HeldByGate.md)", '<p><a href="/reasons/HeldByGate" rel="noopener noreferrer">a</a></p>',
    ),
    "a head that says nothing is left out": (
        "| | |\n|--|--|\n| a | b |",
        '<div class="scroll" role="region" aria-label="Table" tabindex="0"><table> <tbody> <tr> <td>a</td> <td>b</td> '
        "</tr> </tbody> </table> </div>",
    ),
    "a head has a scope": (
        "| a |\n|--|\n| b |",
        '<div class="scroll" role="region" aria-label="Table" tabindex="0"><table> <thead> <tr> <th scope="col">a</th> '
        "</tr> </thead> <tbody> <tr> <td>b</td> </tr> </tbody> </table> </div>",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), MARKDOWN.values(), ids=MARKDOWN.keys())
def test_markdown(text: str, expected: str) -> None:
    assert " ".join(rendered(text, below=2).split()) == expected


# Versions.


def test_best_goes_by_the_objectives_direction() -> None:
    [model] = render.named(stage(6).estate)
    found = versions(model)
    values = [float(each.metric.interval.value) for each in found if each.metric]
    assert best_of(found) == values.index(max(values))
    for each in found:
        each.run["spec"]["objective"]["direction"] = "Minimize"
    assert best_of(found) == values.index(min(values))


# Lines for a shell: each is one that `treadle` takes.


def lines(situation: Situation) -> list[str]:
    found = []
    for model in render.named(situation.estate):
        made = versions(model)
        told = groups(model, made, Where("demo", "other"), NOW)
        told += [group for each in made for group in of_version(model, each, Where("demo"))]
        found += [line for group in told for order in group.orders for line in (order.cli, order.kubectl) if line]
    return found


@pytest.mark.parametrize("name", SITUATIONS)
def test_each_line_is_one_that_the_tool_takes(name: str) -> None:
    commands = Commands(PROGRAMS)
    for line in lines(SITUATIONS[name]()):
        tool, verb, *rest = shlex.split(line)
        assert rest[rest.index("-n") + 1] == "demo" if "-n" in rest else "--raw" in rest, line
        if tool == "treadle":
            command = commands.get_command(click.Context(commands), verb)
            assert command is not None, line
            # Parsed as when it runs, and not run.
            command.make_context(verb, rest)
        else:
            assert tool == "kubectl" and re.fullmatch(r"get|describe|logs|wait|annotate|patch|scale", verb), line


def test_the_lines_of_a_trial_name_its_digests() -> None:
    found = lines(stage())
    champion, candidate = (
        next(each["status"] for each in stage().objects if each["kind"] == "ModelDeployment")[arm]["digest"]
        for arm in ("champion", "candidate")
    )
    assert "treadle promote flights-late v18 -n demo --context other" in found
    for wanted in (
        f"annotate modeldeployments.treadle.dev flights-late --overwrite treadle.dev/promote={candidate} -n demo",
        f"annotate modeldeployments.treadle.dev flights-late --overwrite treadle.dev/rollback={candidate} -n demo",
        f"annotate modeldeployments.treadle.dev flights-late --overwrite treadle.dev/rollback={champion} -n demo",
    ):
        assert f"kubectl {wanted} --context other" in found
    assert datetime(2026, 1, 5, 8, 10, tzinfo=UTC) == NOW
