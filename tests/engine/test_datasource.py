"""A DataSource on the API in memory: its life, its budget, and a death of the process at any call."""

from typing import Any

from builders import data_source, digest, ingest_result
from crashes import World, deaths, judgements, step_of
from treadle.api.names import ANNOTATION_REQUESTED_AT
from treadle.api.step import IngestStep, StepResult, StepSpec
from treadle.control.engine.ports import CONFIG_MAP, EVENT, JOB, POD, Object
from treadle.control.kinds import KINDS

KIND = ("DataSource", "flights")


def published(step: StepSpec) -> StepResult:
    """Publish a version that depends on the filter alone: equal rules and bytes are one version."""
    assert isinstance(step, IngestStep)
    letter = "d" if step.spec.filter is None else "e"
    return ingest_result("Unchanged" if step.current == digest(letter) else "Published", letter)


def world(answer: Any = published, dies_at: int = -1, is_sent: bool = False) -> World:
    return World(KINDS, answer, dies_at, is_sent)


async def made(answer: Any = published, **spec: Any) -> World:
    found = world(answer)
    found.put(data_source(**spec))
    return found


async def test_the_first_version_costs_twelve_reads_and_four_writes() -> None:
    found = await made()
    await found.settle(*KIND)
    raw = await found.read(*KIND)
    assert judgements(raw)["Ready"] == ("True", "VersionPublished")
    assert len(found.made) == 1
    assert found.recorded.reads() <= 12
    assert found.recorded.writes() == [
        ("apply_status", "DataSource"), ("apply", "Job"), ("apply_status", "DataSource"), ("create", "Event"),
    ]  # fmt: skip


async def test_a_due_time_fetches_once() -> None:
    found = await made(schedule="15 * * * *")
    await found.settle(*KIND)
    assert found.again == 15 * 60
    found.clock.pass_(15 * 60)
    await found.settle(*KIND)
    raw = await found.read(*KIND)
    assert raw["status"]["lastAttempt"]["result"] == "Unchanged"
    assert raw["status"]["lastScheduleTime"] == "2026-01-05T08:15:00Z"
    assert raw["status"]["nextScheduleTime"] == "2026-01-05T09:15:00Z"
    assert len(found.made) == 2


async def test_a_request_fetches_once() -> None:
    found = await made()
    await found.settle(*KIND)
    await found.change(*KIND, annotations={ANNOTATION_REQUESTED_AT: "2026-01-05T08:01:00Z"})
    await found.settle(*KIND)
    await found.settle(*KIND)
    assert len(found.made) == 2
    assert (await found.read(*KIND))["status"]["handledRequest"] == "2026-01-05T08:01:00Z"


async def test_an_inline_source_is_fetched_when_its_config_map_changes() -> None:
    found = await made(inline=True)
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "rows", "namespace": "demo"}}
    found.api.put({**config, "data": {"a.csv": "1"}})
    await found.settle(*KIND)
    assert (found.again, len(found.made)) == (60, 1)
    stored = await found.api.get(CONFIG_MAP, "demo", "rows")
    assert stored is not None
    found.api.put({**stored, "data": {"a.csv": "2"}})
    await found.settle(*KIND)
    assert len(found.made) == 2


async def test_a_spec_that_changes_while_it_is_fetched_leaves_one_job_and_one_truth() -> None:
    found = await made()
    await found.pass_(*KIND)
    await found.pass_(*KIND)
    before = [job["metadata"]["name"] for job in await found.jobs()]
    await found.change(*KIND, filter="distance > 0")
    await found.pass_(*KIND)
    await found.pass_(*KIND)
    after = [job["metadata"]["name"] for job in await found.jobs()]
    assert len(before) == len(after) == 1 and before != after
    await found.settle(*KIND)
    assert found.made == after
    raw = await found.read(*KIND)
    assert (raw["status"]["currentVersion"]["digest"], raw["status"]["settledGeneration"]) == (digest("e"), 2)


async def test_a_job_that_is_lost_is_made_again() -> None:
    found = await made()
    await found.pass_(*KIND)
    await found.pass_(*KIND)
    await found.end_jobs()
    (job,), (pod,) = await found.jobs(), await found.api.list(POD, "demo")
    await found.api.delete(pod)
    await found.pass_(*KIND)
    assert await found.jobs() == []
    await found.settle(*KIND)
    (again,) = await found.jobs()
    assert again["metadata"]["name"] == job["metadata"]["name"]
    assert again["metadata"]["uid"] != job["metadata"]["uid"]
    assert judgements(await found.read(*KIND))["Ready"] == ("True", "VersionPublished")


async def test_what_the_world_hinders_is_tried_again_under_the_same_run_key() -> None:
    hindered = True

    def answer(step: StepSpec) -> StepResult:
        return ingest_result("Failed", reason="AccessDenied", failed="Fetched") if hindered else published(step)

    found = await made(answer)
    await found.settle(*KIND)
    raw = await found.read(*KIND)
    assert (judgements(raw)["Ready"], found.again) == (("False", "AccessDenied"), 30)
    found.clock.pass_(30)
    await found.settle(*KIND)
    assert found.again == 60
    hindered = False
    found.clock.pass_(60)
    await found.settle(*KIND)
    jobs = await found.jobs()
    assert judgements(await found.read(*KIND))["Ready"] == ("True", "VersionPublished")
    assert {step_of(job).run_key for job in jobs} == {step_of(jobs[0]).run_key}
    assert sorted(step_of(job).attempt for job in jobs) == [0, 1, 2]
    assert [event["reason"] for event in await found.api.list(EVENT, "demo")].count("AccessDenied") == 1


async def test_a_foreign_job_of_the_same_name_is_not_adopted() -> None:
    found = await made()
    await found.pass_(*KIND)
    name = (await found.read(*KIND))["status"]["lastAttempt"]["jobName"]
    found.api.put(
        {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name, "namespace": "demo"}, "spec": {}}
    )
    await found.pass_(*KIND)
    assert judgements(await found.read(*KIND))["Ready"] == ("False", "NameTaken")


async def test_a_service_account_must_be_lent_to_runs() -> None:
    found = await made(jobTemplate={"pod": {"serviceAccountName": "runs"}})
    await found.pass_(*KIND)
    await found.pass_(*KIND)
    assert judgements(await found.read(*KIND))["Ready"] == ("False", "InvalidSpec")
    assert await found.api.list(JOB, "demo") == []


async def life(found: World) -> tuple[Object, list[str]]:
    """First version, a changed spec, a due time."""
    found.put(data_source(schedule="15 * * * *"))
    await found.settle(*KIND)
    await found.change(*KIND, filter="distance > 0")
    await found.settle(*KIND)
    found.clock.pass_(15 * 60)
    await found.settle(*KIND)
    return (await found.read(*KIND))["status"], sorted(found.made)


async def test_a_death_at_any_call_loses_and_doubles_nothing() -> None:
    whole = world()
    expected = await life(whole)
    for number, is_sent in deaths(whole.recorded):
        ended = await life(world(dies_at=number, is_sent=is_sent))
        assert ended == expected, f"died at call {number} ({whole.recorded.calls[number]}), sent: {is_sent}"
    assert len(whole.recorded.calls) > 30
