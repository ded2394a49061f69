"""`treadle status`: the screen and the facts of all 22 situations of api.md, section 3, and how they fit a terminal."""

import json
import re
from typing import Any

import pytest

from goldens import same, same_text
from kstatus import kstatus
from situations import SITUATIONS, canary
from treadle.cli.draw import overview, rounded, screen, seconds
from treadle.cli.estate import Estate, model_of, models, name_of
from treadle.cli.picture import picture, pictures
from treadle.cli.rows import PLAIN, SYMBOLS, length
from treadle.cli.show import drawn, is_running

WIDTHS = (80, 100, 160)
PARTS = ("data", "training", "gate", "serving", "canary", "monitor", "next")
EVERY = pytest.mark.parametrize("name", SITUATIONS)


def slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def texts(lines: Any) -> list[str]:
    return ["".join(text for text, _ in line).rstrip() for line in lines]


@EVERY
def test_the_situation_is_the_one_of_the_table(name: str) -> None:
    situation = SITUATIONS[name]()
    subject = next(each for each in situation.objects if each["kind"] == situation.kind)
    assert kstatus(subject["status"]["conditions"]) == situation.kstatus


@EVERY
def test_the_screen(name: str) -> None:
    situation = SITUATIONS[name]()
    lines = [line for facts in pictures(situation.estate) for line in screen(facts, situation.now, 100)]
    same_text(f"cli/status/{slug(name)}.txt", "\n".join(texts(lines)) + "\n")


@EVERY
def test_the_facts(name: str) -> None:
    found = pictures(SITUATIONS[name]().estate)
    # What -o json prints.
    same(f"cli/status/{slug(name)}", json.loads(json.dumps(found)))


@EVERY
@pytest.mark.parametrize("width", WIDTHS)
def test_no_line_is_wider_than_the_terminal_and_no_word_is_lost(name: str, width: int) -> None:
    situation = SITUATIONS[name]()
    for facts in pictures(situation.estate):
        lines = screen(facts, situation.now, width)
        assert max(map(length, lines)) <= width
        told = " ".join(" ".join(texts(lines)).split())
        for step in facts["next"]:
            for text in (step["what"], *step["commands"]):
                assert " ".join(text.split()) in told
        if facts["object"] and facts["object"].startswith("ModelDeployment/"):
            assert " ".join(facts["message"].split()) in told


@EVERY
def test_colour_is_never_the_only_sign(name: str) -> None:
    situation = SITUATIONS[name]()
    for facts in pictures(situation.estate):
        for line in screen(facts, situation.now, 100):
            coloured = {style for text, style in line if style in ("bad", "look", "good") and text.strip()}
            assert not coloured or any(character.isalnum() for character in "".join(texts([line])))


def test_ascii_has_a_sign_for_each() -> None:
    for symbol in SYMBOLS.values():
        assert symbol.translate(PLAIN).isascii()


@EVERY
@pytest.mark.parametrize("height", [12, 18])
def test_a_low_terminal_keeps_the_first_row_of_each_part(name: str, height: int) -> None:
    situation = SITUATIONS[name]()
    for facts in pictures(situation.estate):
        whole, cut = texts(screen(facts, situation.now, 160)), texts(screen(facts, situation.now, 160, height))
        parts = [line[:12].strip() for line in whole if line[:2] == "  " and line[2:12].strip() in PARTS]
        assert [line[:12].strip() for line in cut if line[:2] == "  " and line[2:12].strip() in PARTS] == parts
        assert (len(cut) < len(whole)) == (len(whole) > height)
        steps = len(facts["next"])
        assert cut[-steps:] == whole[-steps:]


# What belongs together.

CANARY = SITUATIONS["a canary comes of a retrain"]()
OWNERS = {
    "the model": ("ModelDeployment", "flights-late"),
    "its DataSource": ("DataSource", "flights"),
    "its run": ("TrainingJob", "flights-late-7c20d91e4a"),
    "its Monitor": ("Monitor", "flights-late"),
}


@pytest.mark.parametrize("named", OWNERS.values(), ids=OWNERS.keys())
def test_an_object_leads_to_its_model(named: tuple[str, str]) -> None:
    found = model_of(CANARY.estate, *named)
    assert found is not None and found.name == "flights-late"
    assert [name_of(run) for run in found.runs] == ["flights-late-7c20d91e4a", "flights-late-5be1c0a7d2"]


def test_what_is_not_there_leads_nowhere() -> None:
    assert model_of(CANARY.estate, "TrainingJob", "flights-late") is None


def test_without_its_deployment_a_family_is_named_by_its_runs() -> None:
    source, run, *_, monitor = canary()
    estate = Estate("demo", (source,), (run,), (), (monitor,))
    [found] = models(estate)
    assert (found.name, found.deployment, found.monitors) == ("flights-late", None, (monitor,))


def test_a_source_that_nothing_uses_stands_alone() -> None:
    source, run, *_ = canary()
    other = {**source, "metadata": {**source["metadata"], "name": "weather"}}
    estate = Estate("demo", (source, other), (run,))
    assert [model.name for model in models(estate)] == ["flights-late", "weather"]


# Several models, none, and what could not be read.


def test_several_models_have_a_line_each() -> None:
    source, run, first, deployment, monitor = canary()
    broken = SITUATIONS["the candidate is unsigned and nothing serves"]().objects[-1]
    other = {**broken, "metadata": {**broken["metadata"], "name": "flights-cancelled"}}
    other = {**other, "spec": {**other["spec"], "modelName": "flights-cancelled"}}
    estate = Estate("demo", (source,), (run, first), (other, deployment), (monitor,))
    lines = drawn({"namespace": "demo", "models": pictures(estate), "unread": []}, CANARY.now, 100)
    same_text("cli/status/several.txt", "\n".join(texts(lines)) + "\n")
    assert all(length(line) <= 80 for line in overview(pictures(estate), CANARY.now, 80))


SHOWN = {
    "nothing is there": (
        {"models": [], "unread": []},
        ["nothing of Treadle is in namespace demo; begin with treadle init FILE, or kubectl apply -f DIRECTORY"],
    ),
    "a part could not be read": (
        {"models": [], "unread": ["no right to list pods in demo"]},
        [
            "nothing of Treadle is in namespace demo; begin with treadle init FILE, or kubectl apply -f DIRECTORY",
            "! no right to list pods in demo",
        ],
    ),
}


@pytest.mark.parametrize(("shown", "expected"), SHOWN.values(), ids=SHOWN.keys())
def test_what_is_shown_without_a_model(shown: Any, expected: list[str]) -> None:
    assert texts(drawn({"namespace": "demo", **shown}, CANARY.now, 100)) == expected


RUNNING = {
    "a fetch": "a DataSource fetches its first version",
    "a training": "a TrainingJob runs",
}


@pytest.mark.parametrize("name", RUNNING.values(), ids=RUNNING.keys())
def test_what_runs_is_read_again_soon(name: str) -> None:
    assert is_running({"models": pictures(SITUATIONS[name]().estate)})
    assert not is_running({"models": pictures(CANARY.estate)})


def test_a_monitor_that_judges_shows_a_bar_by_what_its_pod_tells() -> None:
    situation = SITUATIONS["a Monitor finds drift"]()
    *others, monitor = situation.objects
    attempt = {**monitor["status"]["attempt"], "finished": False}
    judging = {**monitor, "status": {**monitor["status"], "attempt": attempt}}
    marks = {"treadle.dev/kind": "Monitor", "treadle.dev/name": "flights-late", "treadle.dev/role": "monitor"}
    owners = [{"kind": "Job", "name": attempt["jobName"]}]
    metadata = {"name": "m-x", "labels": marks, "ownerReferences": owners}
    pod = {"kind": "Pod", "metadata": metadata, "status": {"phase": "Running"}}
    told = {"step": "monitor", "stage": "judge", "percentage": 70, "estimatedRemainingSeconds": 9}
    source, run, deployment = others
    estate = Estate("demo", (source,), (run,), (deployment,), (judging,), pods=(pod,), progress={"m-x": told})
    [facts] = pictures(estate)
    assert facts["monitor"][0]["running"] == {"percentage": 70, "stage": "judge", "remainingSeconds": 9}
    assert any(
        "██████████████░░░░░░  70 % · judge · about 9 s left" in text
        for text in texts(screen(facts, situation.now, 100))
    )


# phase of the pod, what it tells -> percentage, stage, remaining seconds; status says 20 %
PHASES: dict[str, tuple[Any, Any, tuple[Any, ...]]] = {
    "no pod is there yet": (None, None, (20, "starting", None)),
    "the pod waits": ("Pending", None, (20, "starting", None)),
    "the pod does not answer": ("Running", None, (20, None, None)),
    "the pod tells": (
        "Running", {"stage": "split", "percentage": 60, "estimatedRemainingSeconds": 4}, (60, "split", 4),
    ),
    "a second pod begins anew": ("Running", {"stage": "collect", "percentage": 0}, (0, "collect", None)),
    "its result is not taken yet": ("Succeeded", None, (100, "ending", None)),
    "it failed": ("Failed", None, (20, "ending", None)),
}  # fmt: skip


@pytest.mark.parametrize(("phase", "told", "expected"), PHASES.values(), ids=PHASES.keys())
def test_how_far_a_fetch_is(phase: str | None, told: Any, expected: tuple[Any, ...]) -> None:
    situation = SITUATIONS["a DataSource fetches its first version"]()
    [source], [pod] = situation.objects, situation.pods
    attempt = {**source["status"]["lastAttempt"], "percentage": 20}
    found = {**source, "status": {**source["status"], "lastAttempt": attempt}}
    pods = ({**pod, "status": {"phase": phase}},) if phase else ()
    estate = Estate("demo", (found,), pods=pods, progress={name_of(pod): told} if told else {})
    running = pictures(estate)[0]["data"][0]["running"]
    assert (running["percentage"], running["stage"], running["remainingSeconds"]) == expected


# Numbers and times.

NUMBERS = {"0.861": "0.861", "0.00320513": "0.00321", "0.000012345": "1.2e-05", "15406": "15406", "-0.002": "-0.002",
           "1": "1", "0": "0"}  # fmt: skip


@pytest.mark.parametrize(("number", "expected"), NUMBERS.items())
def test_a_number_keeps_three_digits(number: str, expected: str) -> None:
    assert rounded(number) == expected


LASTING = {0: "0 s", 59.9: "59 s", 60: "1 min", 119: "1 min", 3600: "60 min", 7200: "2 h", 90000: "25 h", 172800: "2 d"}


@pytest.mark.parametrize(("number", "expected"), LASTING.items())
def test_a_duration_is_told_in_one_unit(number: float, expected: str) -> None:
    assert seconds(number) == expected


def test_an_object_that_nobody_has_looked_at_is_waiting() -> None:
    source, *_ = canary()
    fresh = {key: value for key, value in source.items() if key != "status"}
    [facts] = pictures(Estate("demo", (fresh,)))
    assert (facts["mark"], facts["reason"]) == ("waiting", "NotJudged")
    assert picture(Estate("demo", (fresh,)), models(Estate("demo", (fresh,)))[0]) == facts
