"""Which run is started, by whose wish and under which name; which runs are kept; which version is tried."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest

from builders import AT, champion, digest, recipe
from served import ask, candidate, deployment, good, run, seen
from toys import START
from treadle.api.modeldeployment import ModelDeployment
from treadle.control.modeldeployment import retrain
from treadle.control.modeldeployment.candidates import chosen, stale
from treadle.control.modeldeployment.seen import Run, Seen

ASKED_AT = {"metadata": {"annotations": {"treadle.dev/requested-at": "2026-01-05T09:00:00Z"}}}


def training(**more: Any) -> dict[str, Any]:
    return {"training": {"template": {"spec": recipe()}, **more}}


def scheduled(at: str) -> ModelDeployment:
    return deployment({"training": {"nextScheduleTime": at}}, **training(triggers={"schedule": "0 4 * * 1"}))


def by(kind: str, id_: str | None = None, asker: str | None = None) -> dict[str, Any]:
    reference = {"ref": {"kind": "Monitor", "name": "flights-late", "uid": asker}} if asker else {}
    return {"kind": kind, **({"id": id_} if id_ else {}), **reference}


MONITOR = "uid-Monitor-flights-late"
OF_MONITOR = by("Monitor", "one", MONITOR)
ROW = {"id": "one", "from": "Monitor/flights-late", "action": "Retrain", "outcome": "Started", "ref": "r", "time": AT}
PASSED_LATE = run("late", against="9", completed="2026-01-05T08:30:00Z", ours=False)
NEW_DATA = training(triggers={"newData": True})
BLOCKED = {
    "suspended": (deployment(suspend=True, **ASKED_AT), seen()),
    "no template": (deployment(template=False, **ASKED_AT), seen()),
    "no data": (deployment(**ASKED_AT), seen(data=None)),
    "a schedule that cannot be read": (deployment(**training(triggers={"schedule": "61 4 * * 1"}), **ASKED_AT), seen()),
    "one at a time": (deployment(**ASKED_AT), seen(runs=[run(verdict=None)])),
    "a trial is under way": (deployment({"candidate": candidate()}, **ASKED_AT), seen()),
    "the day is full": (deployment(**training(maxPerDay=1), **ASKED_AT), seen(runs=[run()])),
}

STARTS: dict[str, tuple[ModelDeployment, Seen, str | None]] = {
    "a first model is missing": (deployment(served=False), seen(), "Initial"),
    "a hand-made run may bring it": (deployment(served=False), seen(runs=[run(verdict=None, ours=False)]), None),
    "a hand-made run has brought it": (
        deployment(served=False), seen(runs=[run(against=None, ours=False)]), None,
    ),
    "a hand-made run was refused": (
        deployment(served=False), seen(runs=[run(verdict="Hold", against=None, ours=False)]), "Initial",
    ),
    "it is being tried": (deployment({"candidate": candidate(state="Verifying")}, served=False), seen(), None),
    "nobody wants a run": (deployment(), seen(), None),
    "a person asks": (deployment(**ASKED_AT), seen(), "Manual"),
    "a person's request was handled": (
        deployment({"handledRequest": "2026-01-05T09:00:00Z"}, **ASKED_AT), seen(), None,
    ),
    "a person's request has its run, whose record was lost": (
        deployment(**ASKED_AT), seen(runs=[run(trigger=by("Manual", "2026-01-05T09:00:00Z"))]), None,
    ),
    "a Monitor asks": (deployment(), seen(asks=[ask()]), "Monitor"),
    "a Monitor asks about a former champion": (deployment(), seen(asks=[ask(subject="9")]), None),
    "a Monitor asks to go back": (deployment(), seen(asks=[ask(action="Rollback")]), None),
    "a Monitor's request was answered": (deployment({"requests": [ROW]}), seen(asks=[ask()]), None),
    "another Monitor's request of the same id was": (
        deployment({"requests": [{**ROW, "from": "Monitor/other"}]}), seen(asks=[ask()]), "Monitor",
    ),
    "a Monitor's request has its run, whose record was lost": (
        deployment(), seen(asks=[ask()], data="e", runs=[run(trigger=OF_MONITOR)]), None,
    ),
    "its run lacked rows, and there is a newer version": (
        deployment({"requests": [ROW]}),
        seen(asks=[ask()], data="e", runs=[run(verdict=None, trigger=OF_MONITOR, short_of_rows=True)]), "Monitor",
    ),
    "its run failed for want of rows, and there is a newer version": (
        deployment({"requests": [ROW]}),
        seen(asks=[ask()], data="e", runs=[run(verdict=None, trigger=OF_MONITOR, failed="NotEnoughLabelledRows")]),
        "Monitor",
    ),
    "its run lacks rows, and there is no newer version": (
        deployment({"requests": [ROW]}),
        seen(asks=[ask()], runs=[run(verdict=None, trigger=OF_MONITOR, short_of_rows=True)]), None,
    ),
    "new data, and nobody asked for it": (deployment(), seen(data="e"), None),
    "new data, and spec asks for it": (deployment(**NEW_DATA), seen(data="e"), "Data"),
    "the champion's data, and spec asks for new data": (deployment(**NEW_DATA), seen(), None),
    "the clock is due": (scheduled("2026-01-05T07:59:00Z"), seen(), "Schedule"),
    "the clock is not due": (scheduled("2026-01-05T08:01:00Z"), seen(), None),
    "the clock's run is there": (
        scheduled("2026-01-05T04:00:00Z"), seen(runs=[run(trigger=by("Schedule", "2026-01-05T04:00:00Z"))]), None,
    ),
    "a verdict is about a former champion": (deployment(), seen(runs=[PASSED_LATE]), "Regate"),
    "a person goes before a Monitor": (deployment(**ASKED_AT), seen(asks=[ask()]), "Manual"),
    "a held trial does not block": (
        deployment({"candidate": candidate(state="Held")}, **ASKED_AT), seen(), "Manual",
    ),
    **{f"blocked: {name}": (md, found, None) for name, (md, found) in BLOCKED.items()},
}  # fmt: skip


@pytest.mark.parametrize(("md", "found", "expected"), STARTS.values(), ids=STARTS.keys())
def test_a_run_starts(md: ModelDeployment, found: Seen, expected: str | None) -> None:
    due = retrain.due(md, found, START)
    assert (due and due.spec["trigger"]["kind"]) == expected


def name_of(md: ModelDeployment, found: Seen) -> str:
    due = retrain.due(md, found, START)
    assert due is not None
    return due.name


WITH_NEW_DATA = name_of(deployment(**NEW_DATA), seen(data="e"))
NAMES: dict[str, tuple[str, bool]] = {
    "the same inputs": (name_of(deployment(**NEW_DATA), seen(data="e")), True),
    "a Monitor's wish without a window": (name_of(deployment(**NEW_DATA), seen(asks=[ask()], data="e")), True),
    "other data": (name_of(deployment(**NEW_DATA), seen(data="f")), False),
    "another champion": (name_of(deployment({"champion": champion("c", "d")}, **NEW_DATA), seen(data="e")), False),
    "another window": (
        name_of(deployment(), seen(data="e", asks=[ask(since="2025-01-01T00:00:00Z")])), False,
    ),
    "a person, who may repeat": (name_of(deployment(**ASKED_AT), seen(data="e")), False),
    "other resources": (
        name_of(
            deployment(training={
                "triggers": {"newData": True},
                "template": {"spec": recipe(jobTemplate={"activeDeadlineSeconds": 60})},
            }), seen(data="e"),
        ), False,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("name", "is_same"), NAMES.values(), ids=NAMES.keys())
def test_a_name_says_what_a_run_is_made_of(name: str, is_same: bool) -> None:
    assert (name == WITH_NEW_DATA) == is_same


def test_a_template_is_filled_in() -> None:
    wish = seen(asks=[ask(since="2025-01-01T00:00:00Z", minLabelledRows=5)], data="e")
    due = retrain.due(deployment(), wish, START)
    assert due is not None
    assert due.spec["dataRef"] == {
        "name": "flights",
        "version": digest("e"),
        "window": {"since": "2025-01-01T00:00:00Z", "minLabelledRows": 5},
    }
    assert due.spec["gate"]["against"] == {"deploymentRef": {"name": "flights-late"}}
    assert due.spec["trigger"] == {
        "kind": "Monitor",
        "ref": {"kind": "Monitor", "name": "flights-late", "uid": MONITOR},
        "id": "one",
        "reason": "DriftDetected",
    }


def test_a_template_may_name_another_deployment_to_beat() -> None:
    md = deployment(training={"template": {"spec": recipe("other")}}, **ASKED_AT)
    due = retrain.due(md, seen(), START)
    assert due is not None and due.spec["gate"]["against"] == {"deploymentRef": {"name": "other"}}


MONTH_AGO = "2025-12-05T07:30:00Z"


def old(name: str, verdict: str | None = "Hold", **more: Any) -> Run:
    return run(name, verdict, created=MONTH_AGO, data="c", trigger=by("Schedule", name), **more)


KEPT: dict[str, tuple[ModelDeployment, Sequence[Run], dict[str, Any], set[str]]] = {
    "within the limits": (deployment(**training(successfulRunsHistoryLimit=2)), [old("a"), old("b")], {}, {"a", "b"}),
    "beyond the limit": (deployment(**training(successfulRunsHistoryLimit=1)), [old("a"), old("b")], {}, {"b"}),
    "failed ones have a limit of their own": (
        deployment(**training(successfulRunsHistoryLimit=1, failedRunsHistoryLimit=1)),
        [old("a"), old("b", None, failed="TrainingError"), old("c", None, failed="TrainingError")], {}, {"a", "c"},
    ),
    "the run of what is served": (
        deployment({"champion": {**champion("a"), "trainingJob": "a"}}, **training(successfulRunsHistoryLimit=1)),
        [old("a"), old("b")], {}, {"a", "b"},
    ),
    "runs of the last day, which count": (
        deployment(**training(successfulRunsHistoryLimit=1)), [run("a", "Hold"), old("b")], {}, {"a"},
    ),
    "a run that keeps the current data from being repeated": (
        deployment(**training(successfulRunsHistoryLimit=1)),
        [run("a", "Hold", created=MONTH_AGO), run("b", "Hold", created=MONTH_AGO, trigger=by("Schedule", "b"))],
        {}, {"a", "b"},
    ),
    "a run under way": (deployment(), [old("a", None)], {}, {"a"}),
    "other people's runs are none of ours": (deployment(), [run("a", ours=False)], {}, set()),
    "a starved run, while nothing takes its place": (
        deployment({"requests": [ROW]}, suspend=True),
        [run("a", None, trigger=OF_MONITOR, short_of_rows=True)], {"data": "e", "asks": [ask()]}, {"a"},
    ),
    "a starved run is left for its successor": (
        deployment({"requests": [ROW]}),
        [run("a", None, trigger=OF_MONITOR, short_of_rows=True)], {"data": "e", "asks": [ask()]}, set(),
    ),
    "a starved run that somebody waits for stays beside others": (
        deployment(suspend=True),
        [run("a", None, trigger=OF_MONITOR, short_of_rows=True), run("b", "Hold", created=AT)],
        {"data": "e", "asks": [ask()]}, {"a", "b"},
    ),
    "a starved run of a due time gives way to a later one": (
        deployment(), [run("a", None, trigger=by("Schedule", "x"), short_of_rows=True), run("b", "Hold", created=AT)],
        {"data": "e"}, {"b"},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("md", "runs", "more", "expected"), KEPT.values(), ids=KEPT.keys())
def test_runs_are_kept(md: ModelDeployment, runs: Sequence[Run], more: dict[str, Any], expected: set[str]) -> None:
    found = seen(runs=runs, **more)
    kept = retrain.retained(md, found, retrain.due(md, found, START), START)
    assert {each.name for each in kept} == expected


QUARANTINED = {"quarantined": [{"digest": digest("b"), "reason": "ErrorRateHigher", "until": "2026-02-01T00:00:00Z"}]}
PINNED = {"source": {"follow": "Pinned", "digest": digest("b")}}
NEWER = run("new", letter="c", completed="2026-01-05T08:30:00Z")

TRIED: dict[str, tuple[ModelDeployment, Sequence[Run], str | None]] = {
    "nothing passed": (deployment(), [run(verdict="Hold")], None),
    "it passed against this champion": (deployment(), [run()], "b"),
    "the newest of two": (deployment(), [run(), NEWER], "c"),
    "it passed against a former champion": (deployment(), [run(against="9")], None),
    "it passed when there was none, and there is one": (deployment(), [run(against=None)], None),
    "it passed when there was none, and there is none": (deployment(served=False), [run(against=None)], "b"),
    "it is the champion": (deployment(), [run(letter="a")], None),
    "it was the champion before": (deployment({"lastKnownGood": good("b")}), [run()], None),
    "it is quarantined": (deployment(QUARANTINED), [run()], None),
    "it was quarantined": (
        deployment({"quarantined": [{"digest": digest("b"), "reason": "x", "until": "2026-01-05T07:00:00Z"}]}),
        [run()], "b",
    ),
    "it is pinned, and passed nothing": (deployment(**PINNED), [], "b"),
    "another is pinned": (deployment(source={"follow": "Pinned", "digest": digest("a")}), [run()], None),
    "it is pinned and quarantined": (deployment(QUARANTINED, **PINNED), [], None),
}  # fmt: skip


@pytest.mark.parametrize(("md", "runs", "expected"), TRIED.values(), ids=TRIED.keys())
def test_a_version_is_tried(md: ModelDeployment, runs: Sequence[Run], expected: str | None) -> None:
    choice = chosen(md, md.status, seen(runs=runs).runs, START)
    assert (choice and choice.digest) == (digest(expected) if expected else None)


def test_a_pinned_version_is_told_by_its_run_or_its_digest() -> None:
    md = deployment(**PINNED)
    of_run, of_nobody = chosen(md, md.status, [run()], START), chosen(md, md.status, [], START)
    assert of_run is not None and (of_run.version, of_run.training_job) == ("v-b", "r")
    assert of_nobody is not None and (of_nobody.version, of_nobody.training_job) == ("b" * 12, None)


JUDGED_AGAIN = run("again", "Hold", against="a", letter="c", completed="2026-01-05T08:45:00Z")
SINCE: datetime = START + timedelta(hours=2)
STALE: dict[str, tuple[ModelDeployment, Sequence[Run], str | None]] = {
    "it passed against a former champion": (deployment(), [PASSED_LATE], "late"),
    "it was judged again since": (deployment(), [PASSED_LATE, JUDGED_AGAIN], None),
    "it was refused": (
        deployment(), [run("late", "Hold", against="9", completed="2026-01-05T08:30:00Z")], None,
    ),
    "it ended before the champion's own run": (
        deployment({"champion": {**champion("a"), "trainingJob": "own"}}),
        [PASSED_LATE, run("own", letter="a", against=None, completed="2026-01-05T08:40:00Z")], None,
    ),
    "it made the champion again": (
        deployment(), [run("late", letter="a", against=None, completed="2026-01-05T08:30:00Z")], None,
    ),
    "it is quarantined": (deployment(QUARANTINED), [PASSED_LATE], None),
    "spec pins a digest": (deployment(**PINNED), [PASSED_LATE], None),
    "there is no champion": (deployment(served=False), [PASSED_LATE], None),
}  # fmt: skip


@pytest.mark.parametrize(("md", "runs", "expected"), STALE.values(), ids=STALE.keys())
def test_a_verdict_is_stale(md: ModelDeployment, runs: Sequence[Run], expected: str | None) -> None:
    found = stale(md, md.status, seen(runs=runs).runs, SINCE)
    assert (found and found.name) == expected
