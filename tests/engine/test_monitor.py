"""A Monitor on the API in memory: windows, the request and its verdict, its budget, a death at any call."""

from typing import Any

from builders import champion, data_source, digest, model_deployment, monitor, monitor_result, training_job
from crashes import World, deaths, judgements, step_of
from treadle.api.names import ANNOTATION_REQUESTED_AT
from treadle.api.step import MonitorStep, StepResult, StepSpec
from treadle.control.engine.ports import EVENT, Object
from treadle.control.kinds import KINDS

KIND = ("Monitor", "flights-late")
MINUTES: dict[str, Any] = {"schedule": "* * * * *", "window": {"size": "1m", "minSamples": 30}}
RELEARN: dict[str, Any] = {"actions": [{"name": "relearn", "when": ["DriftDetected"], "do": "Retrain"}]}


def moved(step: StepSpec, outcome: str = "Suspected") -> StepResult:
    """Judge a window: columns moved."""
    assert isinstance(step, MonitorStep)
    letter = step.champion.removeprefix("sha256:")[0]
    return monitor_result(outcome, (step.window.start, step.window.end), letter)


def healthy(step: StepSpec) -> StepResult:
    """Judge a window: nothing moved."""
    return moved(step, "Healthy")


def quiet(step: StepSpec) -> StepResult:
    """Judge a window: too few samples."""
    return moved(step, "Insufficient")


def world(answer: Any = healthy, dies_at: int = -1, is_sent: bool = False, **spec: Any) -> World:
    found = World(KINDS, answer, dies_at, is_sent)
    found.put(data_source(current="e"))
    found.put(model_deployment(champion=champion("a", "d")))
    found.put(monitor(**{**MINUTES, **spec}))
    return found


async def windows(found: World, count: int) -> None:
    """Let so many minutes pass, each judged 30 s after its end."""
    for _ in range(count):
        found.clock.pass_(60)
        await found.settle(*KIND)


async def begin(found: World) -> None:
    """Take the first passes, and go to half past the minute."""
    await found.settle(*KIND)
    found.clock.pass_(30)
    await found.settle(*KIND)


async def test_a_window_costs_three_writes_and_a_few_reads() -> None:
    found = world()
    await begin(found)
    assert found.recorded.writes() == [("apply_status", "Monitor")]
    found.recorded.calls.clear()
    await windows(found, 1)
    assert found.recorded.writes() == [("apply_status", "Monitor"), ("apply", "Job"), ("apply_status", "Monitor")]
    assert found.recorded.reads() <= 16
    raw = await found.read(*KIND)
    assert (raw["status"]["lastWindow"]["start"], raw["status"]["lastWindow"]["end"]) == (
        "2026-01-05T08:00:00Z", "2026-01-05T08:01:00Z",
    )  # fmt: skip


async def test_an_operator_that_fell_behind_judges_only_the_newest_window() -> None:
    found = world()
    await begin(found)
    await windows(found, 1)
    found.clock.pass_(600)
    await found.settle(*KIND)
    raw = await found.read(*KIND)
    assert raw["status"]["lastWindow"]["end"] == "2026-01-05T08:11:00Z"
    assert len(found.made) == 2


async def test_every_minute_is_judged_while_the_operator_keeps_up() -> None:
    found = world()
    await begin(found)
    await windows(found, 12)
    raw = await found.read(*KIND)
    assert len(found.made) == len(set(found.made)) == 12
    assert [row["start"][11:16] for row in raw["status"]["windows"]] == [
        f"08:{minute:02}" for minute in range(11, 1, -1)
    ]


def answer_request(found: World, raw: Object, outcome: str, ref: str) -> None:
    """Let the ModelDeployment answer the Monitor's request."""
    row = {
        "id": raw["status"]["request"]["id"], "from": "Monitor/flights-late", "action": "Retrain", "outcome": outcome,
        "ref": ref, "time": "2026-01-05T08:03:00Z",
    }  # fmt: skip
    found.put(model_deployment(champion=champion("a", "d"), status={"requests": [row]}))


async def test_drift_asks_once_and_counts_the_verdict_of_its_run() -> None:
    found = world(
        moved, **RELEARN, retrain={"cooldown": "5m", "maxPerDay": 5, "breaker": {"maxConsecutiveRefusals": 1}}
    )
    await begin(found)
    await windows(found, 1)
    assert "request" not in (await found.read(*KIND))["status"]
    await windows(found, 1)
    raw = await found.read(*KIND)
    request = raw["status"]["request"]
    assert (request["cause"], request["subject"], request["minLabelledRows"]) == ("DriftDetected", digest("a"), 1000)
    await windows(found, 2)
    assert (await found.read(*KIND))["status"]["request"] == request
    answer_request(found, raw, "Started", "run-1")
    found.put(training_job("run-1"))
    await found.settle(*KIND)
    raw = await found.read(*KIND)
    assert judgements(raw)["RetrainBlocked"] == ("True", "RunInProgress")
    assert raw["status"]["retrain"]["trainingJob"] == "run-1"
    held = {"completionTime": "2026-01-05T08:06:00Z", "gate": {"verdict": "Hold"}}
    found.put(training_job("run-1", status=held))
    await found.settle(*KIND)
    raw = await found.read(*KIND)
    assert (raw["status"]["retrain"]["lastVerdict"], raw["status"]["retrain"]["consecutiveRefusals"]) == ("Hold", 1)
    assert judgements(raw)["RetrainBlocked"] == ("True", "BreakerOpen")
    await windows(found, 12)
    assert (await found.read(*KIND))["status"]["request"] == request
    await found.change(*KIND, annotations={ANNOTATION_REQUESTED_AT: "2026-01-05T08:20:00Z"})
    await windows(found, 2)
    raw = await found.read(*KIND)
    assert raw["status"]["retrain"]["consecutiveRefusals"] == 0
    assert raw["status"]["request"]["id"] != request["id"]
    reasons = [event["reason"] for event in await found.api.list(EVENT, "demo")]
    assert (reasons.count("DriftDetected"), reasons.count("BreakerOpen")) == (2, 1)


async def test_a_night_without_traffic_neither_withdraws_nor_renews_a_request() -> None:
    found = world(moved, **RELEARN, retrain={"cooldown": "5m", "maxPerDay": 5})
    await begin(found)
    await windows(found, 2)
    raw = await found.read(*KIND)
    answer_request(found, raw, "Duplicate", "gone")
    found.answer = quiet
    await windows(found, 15)
    after = await found.read(*KIND)
    assert judgements(after)["DriftDetected"] == ("Unknown", "Insufficient")
    assert after["status"]["request"] == raw["status"]["request"]
    assert [row["verdict"] for row in after["status"]["windows"]] == ["Insufficient"] * 8 + ["Detected", "Suspected"]
    found.answer = moved
    await windows(found, 1)
    after = await found.read(*KIND)
    assert judgements(after)["DriftDetected"] == ("True", "ColumnsMoved")
    assert after["status"]["drift"]["shiftAt"] == raw["status"]["drift"]["shiftAt"]
    assert after["status"]["request"]["window"] == after["status"]["lastWindow"]["start"]


async def test_a_new_champion_begins_anew() -> None:
    found = world(moved, **RELEARN)
    await begin(found)
    await windows(found, 2)
    found.put(model_deployment(champion={**champion("b", "e", "v2"), "since": "2026-01-05T08:02:40Z"}))
    await found.settle(*KIND)
    raw = await found.read(*KIND)
    assert "request" not in raw["status"]
    assert judgements(raw)["DriftDetected"] == ("Unknown", "NotJudged")
    await windows(found, 1)
    raw = await found.read(*KIND)
    assert judgements(raw)["DriftDetected"] == ("False", "NoDrift")
    assert raw["status"]["lastWindow"]["championDigest"] == digest("b")


async def test_a_monitor_waits_for_its_target() -> None:
    found = World(KINDS, healthy)
    found.put(monitor(**MINUTES))
    await found.settle(*KIND)
    assert judgements(await found.read(*KIND))["Ready"] == ("False", "WaitingForModelDeployment")
    found.put(model_deployment())
    await found.settle(*KIND)
    raw = await found.read(*KIND)
    assert judgements(raw)["DataFlowing"] == ("False", "NoModel")
    assert raw["status"]["settledGeneration"] == 1
    found.put(model_deployment(champion=champion("a")))
    await begin(found)
    await windows(found, 1)
    assert judgements(await found.read(*KIND))["DataFlowing"] == ("True", "Enough")


async def test_a_window_that_the_world_hinders_is_tried_again_until_a_newer_one_is_due() -> None:
    found = world(lambda _: monitor_result("Failed", reason="ConnectionFailed"), schedule="*/5 * * * *")
    await found.settle(*KIND)
    found.clock.pass_(60 * 5 + 30)
    await found.settle(*KIND)
    raw = await found.read(*KIND)
    assert (judgements(raw)["Ready"], found.again) == (("False", "ConnectionFailed"), 30)
    found.clock.pass_(30)
    await found.settle(*KIND)
    assert [step_of(job).attempt for job in await found.jobs()].count(1) == 1
    found.clock.pass_(60 * 5)
    found.answer = healthy
    await found.settle(*KIND)
    raw = await found.read(*KIND)
    assert (judgements(raw)["Ready"], raw["status"]["lastWindow"]["end"]) == (
        ("True", "Watching"), "2026-01-05T08:10:00Z",
    )  # fmt: skip


async def life(found: World) -> tuple[Object, list[str]]:
    """A window in which columns moved, and the request that it calls for."""
    await found.settle(*KIND)
    found.clock.pass_(90)
    await found.settle(*KIND)
    return (await found.read(*KIND))["status"], sorted(found.made)


async def test_a_death_at_any_call_loses_and_doubles_nothing() -> None:
    rules = {**RELEARN, "drift": {"confirmWindows": 1}}
    whole = world(moved, **rules)
    expected = await life(whole)
    assert "request" in expected[0]
    for number, is_sent in deaths(whole.recorded):
        ended = await life(world(moved, number, is_sent, **rules))
        assert ended == expected, f"died at call {number} ({whole.recorded.calls[number]}), sent: {is_sent}"
    assert len(whole.recorded.calls) > 20
