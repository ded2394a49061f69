"""What a pass reads while nothing is due: six objects or lists at most, and nothing is written."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from builders import (
    champion,
    data_source,
    ingest_result,
    model_deployment,
    monitor,
    monitor_result,
    pod,
    train_result,
    training_job,
)
from crashes import World
from treadle.api.step import IngestStep, MonitorStep, StepResult, StepSpec
from treadle.control.kinds import KINDS

LIMIT = 6
SOURCE, RUN, WATCH = ("DataSource", "flights"), ("TrainingJob", "first"), ("Monitor", "flights-late")
RELEARN = {"actions": [{"name": "relearn", "when": ["DriftDetected"], "do": "Retrain"}]}
MINUTES: dict[str, Any] = {"schedule": "* * * * *", "window": {"size": "1m", "minSamples": 30}}
ASKED = {"retrain": {"trainingJob": "first", "lastTriggeredAt": "2026-01-05T07:00:00Z"}}


def answer(step: StepSpec) -> StepResult:
    if isinstance(step, IngestStep):
        return ingest_result()
    if isinstance(step, MonitorStep):
        return monitor_result("Suspected", (step.window.start, step.window.end), step.champion[7])
    return train_result()


async def under_way(found: World, kind: str, name: str) -> None:
    """Take passes until a Job is there, and let its pod run."""
    for _ in range(3):
        await found.pass_(kind, name)
    (job,) = await found.jobs()
    found.api.put(pod(job, {"running": {}}))


async def a_source_that_was_fetched(found: World) -> tuple[str, str]:
    found.put(data_source(schedule="15 * * * *"))
    await found.settle(*SOURCE)
    return SOURCE


async def an_inline_source(found: World) -> tuple[str, str]:
    found.put(data_source(inline=True))
    await found.settle(*SOURCE)
    return SOURCE


async def a_source_that_is_fetched(found: World) -> tuple[str, str]:
    found.put(data_source())
    await under_way(found, *SOURCE)
    return SOURCE


async def a_run_that_waits(found: World) -> tuple[str, str]:
    found.put(training_job(against="flights-late"))
    await found.settle(*RUN)
    return RUN


async def a_run_under_way(found: World) -> tuple[str, str]:
    found.put(data_source(current="d"))
    found.put(model_deployment(champion=champion()))
    found.put(training_job(against="flights-late"))
    await under_way(found, *RUN)
    return RUN


async def a_run_that_ended(found: World) -> tuple[str, str]:
    found.put(data_source(current="d"))
    found.put(training_job())
    await found.settle(*RUN)
    return RUN


async def a_monitor_without_target(found: World) -> tuple[str, str]:
    found.put(monitor())
    await found.settle(*WATCH)
    return WATCH


async def a_monitor_between_windows(found: World) -> tuple[str, str]:
    """It has asked once, and its run is known."""
    found.put(data_source(current="e"))
    found.put(model_deployment(champion=champion("a", "d")))
    found.put(training_job(status={"completionTime": "2026-01-05T07:30:00Z", "gate": {"verdict": "Hold"}}))
    found.put(monitor(**MINUTES, **RELEARN, status=ASKED))
    await found.settle(*WATCH)
    for _ in range(2):
        found.clock.pass_(90)
        await found.settle(*WATCH)
    return WATCH


async def a_monitor_whose_window_is_judged(found: World) -> tuple[str, str]:
    await a_monitor_between_windows(found)
    before = {job["metadata"]["name"] for job in await found.jobs()}
    found.clock.pass_(60)
    for _ in range(3):
        await found.pass_(*WATCH)
    (job,) = [job for job in await found.jobs() if job["metadata"]["name"] not in before]
    found.api.put(pod(job, {"running": {}}))
    return WATCH


async def a_deployment_without_a_model(found: World) -> tuple[str, str]:
    found.put(model_deployment(template=False))
    await found.settle("ModelDeployment", "flights-late")
    return "ModelDeployment", "flights-late"


RESTING: dict[Callable[[World], Awaitable[tuple[str, str]]], int] = {
    a_source_that_was_fetched: 2,
    an_inline_source: 3,
    a_source_that_is_fetched: 3,
    a_run_that_waits: 4,
    a_run_under_way: 3,
    a_run_that_ended: 2,
    a_monitor_without_target: 3,
    a_monitor_between_windows: 5,
    a_monitor_whose_window_is_judged: 6,
    a_deployment_without_a_model: 3,
}


@pytest.mark.parametrize(("rest", "reads"), RESTING.items(), ids=[rest.__name__ for rest in RESTING])
async def test_a_pass_that_finds_nothing_due(rest: Callable[[World], Awaitable[tuple[str, str]]], reads: int) -> None:
    found = World(KINDS, answer)
    resting = await rest(found)
    await found.pass_(*resting)
    found.recorded.calls.clear()
    await found.pass_(*resting)
    assert found.recorded.writes() == []
    assert found.again is not None and found.again > 0
    assert found.recorded.reads() == reads <= LIMIT, found.recorded.calls
