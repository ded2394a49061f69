"""What each request will change, told before it is set; and what keeps it from being set."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from builders import AT, champion, condition, data_source, digest, model_deployment, monitor, recipe, training_job
from goldens import same
from served import CHAMPION, candidate, good, run
from toys import START
from treadle.api.base import stamp
from treadle.cli.ask import answer
from treadle.cli.asking import deployment as asking
from treadle.cli.asking.preview import Preview, Refusal, commands, document, lines
from treadle.cli.asking.standing import fetches, judges, suspends
from treadle.control.engine.ports import Object
from treadle.control.modeldeployment import retrain
from treadle.control.modeldeployment.seen import Run

CANARY = {
    "canary": {
        "steps": [{"setWeight": 5}, {"pause": {"duration": "10m"}}, {"setWeight": 25}, {"pause": {}}],
        "analysis": {"minSamplesPerArm": 500},
    }
}
PAUSED = candidate(
    state="Paused", step=3, weight=25, trainingJob="r", samples={"champion": 900, "candidate": 312},
    analysis=[{"name": "ErrorRate", "champion": "0.01", "candidate": "0.012", "lower": "-0.004", "upper": "0.02",
               "verdict": "Undecided"}],
)  # fmt: skip
BEGUN = candidate(step=1, weight=5, samples={"champion": 9500, "candidate": 505})
SERVED: Object = {"champion": CHAMPION}
TRIED = {**SERVED, "candidate": PAUSED, "lastKnownGood": good()}
REFUSED = {"digest": digest("c"), "reason": "ErrorRateHigher", "until": "2026-02-04T08:00:00Z"}
OF_GATE = {"digest": digest("c"), "reason": "HeldByGate", "until": "2026-02-04T08:00:00Z"}
PIN = {"source": {"follow": "Pinned", "digest": digest("a")}}
HANDLED = {"handledDigests": {"promote": digest("b")}}
ASKED = {"treadle.dev/requested-at": "2026-01-05T07:59:00Z"}
PASSED = run("r", letter="b")
DATA = data_source(current="e")
MADE_C = run("s", letter="c", verdict="Promote", ours=False)
BLOCKED = monitor(status={"conditions": [condition("RetrainBlocked", "True", "BreakerOpen")]})


def scene(
    status: Object | None = None,
    *,
    runs: Sequence[Run] = (),
    monitors: Sequence[Object] = (),
    data: Object | None = DATA,
    annotations: Object | None = None,
    **spec: Any,
) -> asking.Scene:
    metadata = {"annotations": annotations} if annotations else {}
    known = {"training": {"lastRun": runs[0].name}} if runs else {}
    raw = model_deployment(status={**(status or {}), **known}, metadata=metadata, **spec)
    return asking.scene(raw, [found.raw | {"status": found.status.dump()} for found in runs], list(monitors), data)


def training(**more: Any) -> Object:
    return {"training": {"template": {"spec": recipe()}, **more}}


# verb: case: (what was read, which version is named)
REQUESTS: dict[str, dict[str, tuple[asking.Scene, str]]] = {
    "retrains": {
        "a run can start": (scene(SERVED, strategy=CANARY), ""),
        "the champion learnt from the same data": (scene(SERVED, data=data_source(current="d")), ""),
        "there is no champion": (scene(), ""),
        "a run is under way": (scene(SERVED, runs=[run("under-way", verdict=None)]), ""),
        "a candidate is on trial": (scene(TRIED, runs=[PASSED]), ""),
        "the source has no version": (scene(SERVED, data=data_source()), ""),
        "the source does not exist": (scene(SERVED, data=None), ""),
        "the day is full": (scene(SERVED, runs=[run()], **training(maxPerDay=1)), ""),
        "no run is ever allowed": (scene(SERVED, **training(maxPerDay=0)), ""),
        "it is suspended": (scene(SERVED, suspend=True), ""),
        "there is no template": (scene(SERVED, template=False), ""),
        "a Monitor's breaker is open": (scene(SERVED, monitors=[BLOCKED]), ""),
        "a former request stands": (scene(SERVED, annotations=ASKED), ""),
        "Git says what is served": (scene(SERVED, **PIN), ""),
    },
    "promotes": {
        "a candidate waits for a person": (scene(TRIED, runs=[PASSED], strategy=CANARY), ""),
        "its canary has just begun": (scene(SERVED | {"candidate": BEGUN}, runs=[PASSED], strategy=CANARY), "v2"),
        "pods still verify it": (scene(SERVED | {"candidate": candidate(state="Verifying")}, runs=[PASSED]), ""),
        "it is the first": (scene({"candidate": candidate(state="Verifying")}, runs=[run(against=None)]), ""),
        "it is about to be tried": (scene(SERVED, runs=[PASSED]), ""),
        "its digest was promoted before": (
            scene(TRIED | HANDLED, runs=[PASSED], annotations={"treadle.dev/promote": digest("b")}), "",
        ),
        "it would be rolled back instead": (
            scene(
                SERVED | {"candidate": candidate(weight=25, since="2026-01-04T08:00:00Z")}, runs=[PASSED],
                strategy={"canary": {"analysis": {"maxDuration": "1h", "onInconclusive": "Rollback"}}},
            ), "",
        ),
        "there is none": (scene(SERVED), ""),
        "there is none after a refusal": (scene(SERVED, runs=[run("refused", verdict="Hold")]), ""),
        "there is none, since it was rolled back": (scene(SERVED | {"quarantined": [REFUSED]}, runs=[MADE_C]), ""),
        "there is none while suspended": (scene(SERVED, suspend=True), ""),
        "the champion is named": (scene(TRIED, runs=[PASSED]), "v1"),
        "the champion before is named": (scene(TRIED, runs=[PASSED]), "v0"),
        "a refused one is named": (scene(TRIED | {"quarantined": [REFUSED]}, runs=[PASSED]), "cccccccc"),
        "an unknown one is named": (scene(TRIED, runs=[PASSED]), "v99"),
        "too few digits are given": (scene(TRIED, runs=[PASSED]), "bbb"),
        "Git pins another": (scene(SERVED, runs=[MADE_C], **PIN), "v-c"),
        "Git pins it, and none is named": (scene(SERVED, **PIN), ""),
        "Git pins the candidate": (
            scene(TRIED, strategy=CANARY, source={"follow": "Pinned", "digest": digest("b")}), "",
        ),
    },
    "rolls_back": {
        "the champion before is loaded": (scene(SERVED | {"lastKnownGood": good()}), ""),
        "it is no longer loaded": (scene(SERVED | {"lastKnownGood": good(until=AT.replace("08:", "07:"))}), ""),
        "a candidate goes with the champion": (scene(TRIED, runs=[PASSED, run("next", verdict=None)]), ""),
        "the candidate is named": (scene(TRIED, runs=[PASSED]), "v2"),
        "Git pins the champion": (scene(SERVED | {"lastKnownGood": good()}, **PIN), ""),
        "there is none before": (scene(SERVED), ""),
        "there is no champion": (scene({"candidate": candidate()}), ""),
        "neither is named": (scene(TRIED, runs=[PASSED]), "v0"),
    },
    "unquarantines": {
        "it passed the gate": (scene(SERVED | {"quarantined": [REFUSED]}, runs=[MADE_C]), "v-c"),
        "its verdict is about a former champion": (scene(SERVED | {"quarantined": [REFUSED]}), "c" * 12),
        "the gate refused it": (
            scene(SERVED | {"quarantined": [OF_GATE]}, runs=[run("s", letter="c", verdict="Hold")]), digest("c"),
        ),
        "it was released before": (
            scene(
                SERVED | {"quarantined": [REFUSED], "handledDigests": {"unquarantine": digest("c")}},
                annotations={"treadle.dev/unquarantine": digest("c")},
            ), "cccccccc",
        ),
        "it is not quarantined": (scene(TRIED, runs=[PASSED]), "v2"),
    },
}  # fmt: skip


def shown(request: Callable[[], Preview]) -> list[str]:
    """Return what a person sees: the preview with what kubectl would be told, or why there is none."""
    try:
        preview = request()
    except Refusal as refusal:
        return [f"Refused: {refusal}"]
    return [*lines(preview), *commands(preview, "demo", "").splitlines()]


@pytest.mark.parametrize("verb", REQUESTS)
def test_a_request_to_a_deployment(verb: str) -> None:
    request: asking.Request = getattr(asking, verb)
    found = {case: shown(lambda: request(*row, START)) for case, row in REQUESTS[verb].items()}  # noqa: B023
    same(f"cli/ask/{verb}", found)


def test_the_run_is_the_one_that_the_operator_will_make() -> None:
    before = REQUESTS["retrains"]["a run can start"][0]
    preview = asking.retrains(before, "", START)
    assert preview.patch is not None
    md = asking.asking(before.md, *preview.patch["metadata"]["annotations"].popitem())
    due = retrain.due(md, before.seen, START)
    assert due is not None
    assert preview.changes[0].after == f"TrainingJob {due.name}"


def test_a_second_request_in_one_second_is_another_one() -> None:
    again = scene(SERVED, annotations={"treadle.dev/requested-at": stamp(START)})
    preview = asking.retrains(again, "", START)
    assert preview.annotation == ("treadle.dev/requested-at", "2026-01-05T08:00:01Z")


ATTEMPT = {"jobName": "flights-1", "runKey": "k", "generation": 1, "startTime": AT, "completionTime": AT}
UNDER_WAY = {key: value for key, value in ATTEMPT.items() if key != "completionTime"}
WINDOW = {"start": "2026-01-05T06:00:00Z", "end": "2026-01-05T07:00:00Z", "jobName": "m-1", "runKey": "k"}
SERVING = model_deployment(champion=CHAMPION)

STANDING: dict[str, Callable[[], Preview]] = {
    "fetch": lambda: fetches(data_source(current="d", status={"lastAttempt": ATTEMPT}), START),
    "fetch, and it is fetching": lambda: fetches(data_source(status={"lastAttempt": UNDER_WAY}), START),
    "fetch, and it is suspended": lambda: fetches(data_source(suspended=True, status={"lastAttempt": ATTEMPT}), START),
    "judge": lambda: judges(monitor(status={"attempt": WINDOW | {"finished": True}}), SERVING, START),
    "judge the first window": lambda: judges(monitor(), SERVING, START),
    "judge, and the breaker is open": lambda: judges(
        monitor(status={"retrain": {"consecutiveRefusals": 3, "trainingJob": "r", "lastVerdict": "Hold"}}),
        SERVING, START,
    ),
    "judge, and a window is judged": lambda: judges(monitor(status={"attempt": WINDOW}), SERVING, START),
    "judge, and it is suspended": lambda: judges(monitor(suspended=True), SERVING, START),
    "judge, and nothing is logged": lambda: judges(
        monitor(), model_deployment(champion=champion(), logger={"percent": 0}), START
    ),
    "judge, and there is no champion": lambda: judges(monitor(), model_deployment(), START),
    "judge, and there is no target": lambda: judges(monitor(), None, START),
    **{f"suspend {raw['kind']}": lambda raw=raw: suspends(raw, True)
       for raw in (data_source(), training_job(), model_deployment(), monitor())},
    **{f"resume {raw['kind']}": lambda raw=raw: suspends(raw, False)
       for raw in (data_source(suspend=True), training_job(suspend=True), model_deployment(suspend=True),
                   monitor(suspend=True))},
    "suspend what is suspended": lambda: suspends(data_source(suspend=True), True),
    "suspend what ended": lambda: suspends(training_job(status={"completionTime": AT}), True),
    "suspend what Git owns": lambda: suspends(
        data_source(metadata={"managedFields": [
            {"manager": "argocd-controller", "operation": "Apply", "fieldsV1": {"f:spec": {"f:suspend": {}}}},
            {"manager": "treadle", "operation": "Apply", "subresource": "status", "fieldsV1": {"f:status": {}}},
        ]}), True,
    ),
}  # fmt: skip


def test_a_request_to_an_object_that_stands() -> None:
    same("cli/ask/standing", {case: shown(request) for case, request in STANDING.items()})


def test_a_program_reads_the_same() -> None:
    preview = asking.promotes(*REQUESTS["promotes"]["a candidate waits for a person"], START)
    found = document(preview, "DryRun")
    assert found["changes"][0] == {"what": "champion", "from": "v1 (aaaaaaaaaaaa)", "to": "v2 (bbbbbbbbbbbb)"}
    assert found["patch"] == {"metadata": {"annotations": {"treadle.dev/promote": digest("b")}}}
    assert (found["object"], found["outcome"]) == ({"kind": "ModelDeployment", "name": "flights-late"}, "DryRun")


def row(id_: str, outcome: str = "Done", **more: str) -> Object:
    return {"id": id_, "from": "person", "action": "Promote", "outcome": outcome, "time": AT, **more}


B = digest("b")
PROMOTED = row("promote-bbbbbbbbbbbb")
ANSWERS: dict[str, tuple[Object, Object, tuple[str, str], str | None]] = {
    "a run was started": (
        {"handledRequest": AT, "requests": [row(AT, "Started", ref="r")]}, {}, ("requested-at", AT), "Started r",
    ),
    "a run was refused": (
        {"handledRequest": AT, "requests": [row(AT, "Refused", reason="DailyLimit")]}, {}, ("requested-at", AT),
        "Refused DailyLimit",
    ),
    "a fetch began": ({"handledRequest": AT}, {}, ("requested-at", AT), "Done"),
    "an older request was handled": ({"handledRequest": "2026-01-05T07:00:00Z"}, {}, ("requested-at", AT), None),
    "it was promoted": ({"requests": [PROMOTED]}, {}, ("promote", B), "Done"),
    "it was promoted once before": ({"requests": [PROMOTED]}, {"requests": [PROMOTED]}, ("promote", B), None),
    "it was rolled back": ({"requests": [row("rollback-bbbbbbbbbbbb")]}, {}, ("rollback", B), "Done"),
    "another was promoted": ({"requests": [row("promote-cccccccccccc")]}, {}, ("promote", B), None),
    "it was released": ({"handledDigests": {"unquarantine": B}}, {}, ("unquarantine", B), "Done"),
    "nobody looked": ({}, {}, ("unquarantine", B), None),
}  # fmt: skip


@pytest.mark.parametrize(("status", "before", "request_", "expected"), ANSWERS.values(), ids=ANSWERS.keys())
def test_the_operators_answer(status: Object, before: Object, request_: tuple[str, str], expected: str | None) -> None:
    annotation, value = request_
    assert answer({"status": status}, {"status": before}, f"treadle.dev/{annotation}", value) == expected
