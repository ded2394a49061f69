"""A TrainingJob on the API in memory: what it waits for, its budget, and a death of the process at any call."""

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any

import pytest

from builders import champion, data_source, digest, model_deployment, pod, train_result, training_job, version
from crashes import World, deaths, judgements, step_of
from toys import ports
from treadle.api.step import StepResult, StepSpec, TrainStep
from treadle.control.engine.ports import EVENT, JOB, POD, Key, Object
from treadle.control.engine.reconcile import reconcile
from treadle.control.kinds import KINDS

KIND = ("TrainingJob", "first")
DATA = ("DataSource", "flights")


def trained(step: StepSpec) -> StepResult:
    """Hold a model against a champion, and promote it where there is none."""
    assert isinstance(step, TrainStep)
    return train_result("Hold" if step.champion else "Promote")


def world(answer: Any = trained, dies_at: int = -1, is_sent: bool = False) -> World:
    return World(KINDS, answer, dies_at, is_sent)


async def made(answer: Any = trained, **spec: Any) -> World:
    found = world(answer)
    found.put(data_source(current="d"))
    found.put(training_job(**spec))
    return found


async def test_a_run_costs_twelve_reads_and_four_writes() -> None:
    found = await made()
    await found.settle(*KIND)
    raw = await found.read(*KIND)
    assert judgements(raw)["Complete"] == ("True", "PassedGate")
    assert found.recorded.reads() <= 12
    assert found.recorded.writes() == [
        ("apply_status", "TrainingJob"), ("apply", "Job"), ("apply_status", "TrainingJob"), ("create", "Event"),
    ]  # fmt: skip


async def test_the_job_is_told_the_version_and_the_champion_of_the_start() -> None:
    found = await made(against="flights-late")
    found.put(model_deployment(champion=champion("a")))
    await found.pass_(*KIND)
    raw = await found.read(*DATA)
    found.api.put({**raw, "status": {"currentVersion": version("e")}})
    await found.pass_(*KIND)
    (job,) = await found.jobs()
    step = step_of(job)
    assert isinstance(step, TrainStep)
    assert (step.data, step.champion) == (digest("d"), digest("a"))
    await found.settle(*KIND)
    raw = await found.read(*KIND)
    assert judgements(raw)["Complete"] == ("True", "HeldByGate")
    assert raw["status"]["data"]["digest"] == digest("d")


PARTS: dict[str, Object] = {
    "data": data_source(current="d"),
    "deployment": model_deployment(champion=champion("a")),
    "run": training_job(against="flights-late"),
}


@pytest.mark.parametrize("order", list(itertools.permutations(PARTS)), ids="-".join)
async def test_any_order_of_creation_ends_in_one_state(order: Sequence[str]) -> None:
    found = world()
    for name in order:
        found.put(PARTS[name])
        await found.settle(*KIND)
    raw = await found.read(*KIND)
    assert judgements(raw)["Complete"] == ("True", "HeldByGate")
    assert len(found.made) == 1


async def test_a_run_is_held_and_goes_on() -> None:
    found = await made()
    await found.pass_(*KIND)
    await found.pass_(*KIND)
    await found.change(*KIND, suspend=True)
    await found.settle(*KIND)
    (job,) = await found.jobs()
    assert job["spec"]["suspend"] is True and not found.made
    assert judgements(await found.read(*KIND))["Complete"] == ("False", "Suspended")
    await found.change(*KIND, suspend=False)
    await found.settle(*KIND)
    assert judgements(await found.read(*KIND))["Complete"] == ("True", "PassedGate")
    assert len(found.made) == 1


async def test_a_job_that_is_lost_is_made_again() -> None:
    found = await made()
    await found.pass_(*KIND)
    await found.pass_(*KIND)
    await found.end_jobs()
    for ended in await found.api.list(POD, "demo"):
        await found.api.delete(ended)
    await found.settle(*KIND)
    assert len(set(found.made)) == 1 and len(found.made) == 2
    assert judgements(await found.read(*KIND))["Complete"] == ("True", "PassedGate")


async def test_a_failure_of_the_recipe_is_final() -> None:
    found = await made(lambda _: train_result("Failed", reason="OneClassTarget", failed="Trained"))
    await found.settle(*KIND)
    found.clock.pass_(3600)
    await found.settle(*KIND)
    raw = await found.read(*KIND)
    assert (judgements(raw)["Failed"], len(found.made)) == (("True", "OneClassTarget"), 1)
    assert raw["status"]["completionTime"] == "2026-01-05T08:00:00Z"


async def test_a_failure_of_the_world_is_tried_again() -> None:
    results = [train_result("Failed", reason="BucketNotFound", failed="DataResolved"), train_result()]
    found = await made(lambda _: results[min(len(found.made), 1)])
    await found.settle(*KIND)
    assert (judgements(await found.read(*KIND))["Complete"], found.again) == (("False", "BucketNotFound"), 30)
    found.clock.pass_(30)
    await found.settle(*KIND)
    raw = await found.read(*KIND)
    assert (judgements(raw)["Complete"], raw["status"]["retries"]) == (("True", "PassedGate"), 1)
    assert {step_of(job).run_key for job in await found.jobs()} == {raw["status"]["runKey"]}


async def test_a_version_that_is_short_of_rows_gives_way_to_the_next() -> None:
    def answer(step: StepSpec) -> StepResult:
        assert isinstance(step, TrainStep)
        few = train_result("Failed", reason="NotEnoughLabelledRows", failed="DataResolved")
        return few if step.data == digest("d") else trained(step)

    found = await made(answer)
    await found.settle(*KIND)
    await found.settle(*KIND)
    assert judgements(await found.read(*KIND))["DataResolved"] == ("False", "NotEnoughLabelledRows")
    assert len(found.made) == 1
    raw = await found.read(*DATA)
    found.api.put({**raw, "status": {"currentVersion": version("e")}})
    await found.settle(*KIND)
    raw = await found.read(*KIND)
    assert (judgements(raw)["Complete"], raw["status"]["data"]["digest"]) == (("True", "PassedGate"), digest("e"))


class Telling:
    """A pod that answers /progress, and counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    async def progress(self, pod: Object) -> Object | None:
        self.asked += 1
        return {"step": "train", "stage": "fit", "percentage": min(99, 10 * self.asked)}

    async def metrics(self, pod: Object) -> str | None:
        return None


async def test_progress_is_asked_for_and_written_every_ten_seconds_at_most() -> None:
    found = await made()
    await found.pass_(*KIND)
    await found.pass_(*KIND)
    (job,) = await found.jobs()
    found.api.put(pod(job, {"running": {}}))
    pods = Telling()
    found.recorded.calls.clear()
    for _ in range(30):
        told = dataclasses.replace(ports(found.recorded, found.clock), pods=pods)
        await reconcile(next(kind for kind in KINDS if kind.name == KIND[0]), Key(KIND[0], "demo", KIND[1]), told)
        found.clock.pass_(1)
    assert pods.asked == 3
    assert found.recorded.writes() == [("apply_status", "TrainingJob")] * 3
    assert (await found.read(*KIND))["status"]["progress"]["percentage"] == 30


async def life(found: World) -> tuple[Object, list[str]]:
    """It waits for its data, is hindered once by the world, and is judged against a champion."""
    found.put(training_job(against="flights-late"))
    await found.settle(*KIND)
    found.put(model_deployment(champion=champion("a")))
    found.put(data_source(current="d"))
    await found.settle(*KIND)
    found.clock.pass_(30)
    await found.settle(*KIND)
    return (await found.read(*KIND))["status"], sorted(found.made)


def hindered_once(step: StepSpec) -> StepResult:
    return train_result("Failed", reason="Throttled", failed="DataResolved") if step.attempt == 0 else trained(step)


async def test_a_death_at_any_call_loses_and_doubles_nothing() -> None:
    whole = world(hindered_once)
    expected = await life(whole)
    assert {found["type"]: found["reason"] for found in expected[0]["conditions"]}["Complete"] == "HeldByGate"
    for number, is_sent in deaths(whole.recorded):
        ended = await life(world(hindered_once, number, is_sent))
        assert ended == expected, f"died at call {number} ({whole.recorded.calls[number]}), sent: {is_sent}"
    assert len(whole.recorded.calls) > 25


async def test_events_tell_the_end_once() -> None:
    found = await made()
    await found.settle(*KIND)
    await found.settle(*KIND)
    assert [event["reason"] for event in await found.api.list(EVENT, "demo")] == ["PassedGate"]
    assert await found.api.list(JOB, "demo")
