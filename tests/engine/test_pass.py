"""The pass on the API in memory: what it writes, what it leaves, and what it survives."""

import asyncio
import itertools
from collections.abc import Mapping
from typing import Any

import pytest

from crashes import Death, Recorded, deaths
from toys import DECLARED, TOY, Clock, data_source, finished, ports
from treadle.control.engine.conditions import find, is_true
from treadle.control.engine.errors import Conflict
from treadle.control.engine.ports import CONFIG_MAP, DATA_SOURCE, EVENT, JOB, Key, Object
from treadle.control.engine.reconcile import reconcile
from treadle.local.server.api import MemoryApi

KEY = Key("DataSource", "demo", "flights")


def memory() -> MemoryApi:
    numbers = itertools.count(1)
    return MemoryApi(now=Clock(), new_uid=lambda: f"uid-{next(numbers)}")


async def made(**spec: Any) -> MemoryApi:
    api = memory()
    await api.create(data_source(**spec))
    return api


async def settle(api: MemoryApi, through: Any = None, passes: int = 6) -> None:
    """Pass until nothing changes, with a Job controller that finishes each Job at once."""
    for _ in range(passes):
        await reconcile(TOY, KEY, ports(through or api))
        for job in await api.list(JOB, "demo"):
            if not is_true(job, "Complete"):
                api.put(finished(job))


async def stored(api: MemoryApi) -> Object:
    found = await api.get(DATA_SOURCE, "demo", "flights")
    assert found is not None
    return found


def condition(raw: Object, type_: str) -> Mapping[str, Any]:
    found = find(raw["status"]["conditions"], type_)
    assert found is not None
    return found


async def test_an_object_reaches_its_spec() -> None:
    api = await made(filter="a > 1")
    await settle(api)
    raw = await stored(api)
    assert (condition(raw, "Ready")["status"], raw["status"]["settledGeneration"]) == ("True", 1)
    assert [written["type"] for written in raw["status"]["conditions"]] == list(DECLARED)


async def test_every_declared_condition_is_there_from_the_first_write() -> None:
    api = await made()
    await reconcile(TOY, KEY, ports(api))
    fetched = condition(await stored(api), "Fetched")
    assert (fetched["status"], fetched["reason"]) == ("Unknown", "NotJudged")


async def test_a_settled_object_is_left_alone() -> None:
    api = await made()
    await settle(api)
    recorded = Recorded(api)
    assert await reconcile(TOY, KEY, ports(recorded)) == pytest.approx(600, rel=0.2)
    assert recorded.writes() == []
    assert len(recorded.calls) <= 6


async def test_the_first_passes_write_little() -> None:
    api = await made()
    recorded = Recorded(api)
    await settle(api, recorded)
    assert len(recorded.writes()) <= 6


async def test_a_changed_spec_makes_a_new_job_and_removes_the_old_one() -> None:
    api = await made(filter="a > 1")
    await settle(api)
    before = {job["metadata"]["name"] for job in await api.list(JOB, "demo")}
    raw = await stored(api)
    api.put({**raw, "spec": {**raw["spec"], "filter": "a > 2"}})
    await settle(api)
    after = {job["metadata"]["name"] for job in await api.list(JOB, "demo")}
    assert len(after) == 1 and not before & after


async def test_a_child_that_was_edited_comes_back() -> None:
    api = await made(filter="a > 1")
    await settle(api)
    plan = await api.get(CONFIG_MAP, "demo", "flights-plan")
    assert plan is not None
    api.put({**plan, "data": {"filter": "edited"}})
    await reconcile(TOY, KEY, ports(api))
    plan = await api.get(CONFIG_MAP, "demo", "flights-plan")
    assert plan is not None and plan["data"] == {"filter": "a > 1"}


async def test_a_label_removed_by_hand_comes_back() -> None:
    api = await made()
    await settle(api)
    plan = await api.get(CONFIG_MAP, "demo", "flights-plan")
    assert plan is not None
    labels = {key: value for key, value in plan["metadata"]["labels"].items() if key != "treadle.dev/name"}
    api.put({**plan, "metadata": {**plan["metadata"], "labels": labels}})
    await reconcile(TOY, KEY, ports(api))
    plan = await api.get(CONFIG_MAP, "demo", "flights-plan")
    assert plan is not None and plan["metadata"]["labels"]["treadle.dev/name"] == "flights"


async def test_fields_of_others_stay() -> None:
    api = await made()
    await settle(api)
    raw = await stored(api)
    others = {"type": "Theirs", "status": "True", "reason": "Theirs"}
    raw["status"]["conditions"].append(others)
    api.put(raw)
    recorded = Recorded(api)
    await reconcile(TOY, KEY, ports(recorded))
    assert recorded.writes() == []
    assert others in (await stored(api))["status"]["conditions"]


async def test_a_foreign_namesake_is_never_adopted() -> None:
    api = await made()
    foreign = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "flights-plan", "namespace": "demo"}}
    await api.create(foreign)
    await reconcile(TOY, KEY, ports(api))
    raw = await stored(api)
    assert (condition(raw, "Ready")["reason"], condition(raw, "Stalled")["status"]) == ("NameTaken", "True")
    assert condition(raw, "Reconciling")["status"] == "False"
    theirs = await api.get(CONFIG_MAP, "demo", "flights-plan")
    assert theirs is not None and "data" not in theirs


STOPS = {
    "a wait is not stalled, and looks again when it says": ("wait", 30.0, "AccessDenied", "False", "True"),
    "an invalid spec is stalled, and looked at every five minutes": ("invalid", 300.0, "InvalidSpec", "True", "False"),
}


@pytest.mark.parametrize(("text", "again", "reason", "stalled", "reconciling"), STOPS.values(), ids=STOPS.keys())
async def test_what_stops_a_pass_becomes_a_condition(
    text: str, again: float, reason: str, stalled: str, reconciling: str
) -> None:
    api = await made(filter=text)
    assert await reconcile(TOY, KEY, ports(api)) == again
    raw = await stored(api)
    ready = condition(raw, "Ready")
    assert (ready["status"], ready["reason"], ready["observedGeneration"]) == ("False", reason, 1)
    assert condition(raw, "Stalled")["status"] == stalled
    assert condition(raw, "Reconciling")["status"] == reconciling
    assert [event["reason"] for event in await api.list(EVENT, "demo")] == [reason]


async def test_a_stop_keeps_the_former_status_and_tells_once() -> None:
    api = await made(filter="a > 1")
    await settle(api)
    raw = await stored(api)
    api.put({**raw, "spec": {**raw["spec"], "filter": "invalid"}})
    await reconcile(TOY, KEY, ports(api))
    await reconcile(TOY, KEY, ports(api))
    raw = await stored(api)
    assert condition(raw, "Fetched")["status"] == "True"
    assert raw["status"]["handledRequest"]
    assert {written["observedGeneration"] for written in raw["status"]["conditions"]} == {2}
    assert len([event for event in await api.list(EVENT, "demo") if event["reason"] == "InvalidSpec"]) == 1


async def test_correcting_the_spec_recovers() -> None:
    api = await made(filter="invalid")
    await reconcile(TOY, KEY, ports(api))
    raw = await stored(api)
    api.put({**raw, "spec": {**raw["spec"], "filter": "a > 1"}})
    await settle(api)
    raw = await stored(api)
    assert (condition(raw, "Ready")["status"], condition(raw, "Stalled")["status"]) == ("True", "False")


async def test_a_bug_of_ours_is_told_and_raised_for_the_back_off() -> None:
    api = await made(filter="bug")
    with pytest.raises(RuntimeError, match="a bug in observe"):
        await reconcile(TOY, KEY, ports(api))
    raw = await stored(api)
    assert (condition(raw, "Ready")["reason"], condition(raw, "Stalled")["status"]) == ("ReconcileError", "False")


async def test_a_status_that_changed_meanwhile_is_a_conflict() -> None:
    api = await made()

    class Meddled(Recorded):
        async def apply_status(self, raw: Object, status: Object) -> Object:
            api.put({**await stored(api), "spec": {"filter": "meanwhile"}})
            return await super().apply_status(raw, status)

    with pytest.raises(Conflict):
        await reconcile(TOY, KEY, ports(Meddled(api)))


async def test_a_deleted_object_takes_its_children_along() -> None:
    api = await made()
    await settle(api)
    await api.delete(await stored(api))
    assert await reconcile(TOY, KEY, ports(api)) is None
    assert [await api.list(gvk, "demo") for gvk in (JOB, CONFIG_MAP)] == [[], []]


async def test_an_object_on_its_way_out_is_left_alone() -> None:
    api = await made()
    raw = await stored(api)
    api.put({**raw, "metadata": {**raw["metadata"], "deletionTimestamp": "2026-01-05T08:00:00Z"}})
    recorded = Recorded(api)
    assert await reconcile(TOY, KEY, ports(recorded)) is None
    assert recorded.calls == [("get", "DataSource")]


async def test_transition_times_move_only_with_status() -> None:
    api, clock = await made(), Clock()
    await reconcile(TOY, KEY, ports(api, clock))
    first = condition(await stored(api), "Ready")["lastTransitionTime"]
    clock.pass_(3600)
    raw = await stored(api)
    api.put({**raw, "spec": {**raw["spec"], "filter": "invalid"}})
    await reconcile(TOY, KEY, ports(api, clock))
    assert condition(await stored(api), "Ready")["lastTransitionTime"] == first
    assert condition(await stored(api), "Stalled")["lastTransitionTime"] != first


def made_jobs(told: asyncio.Queue[Any]) -> tuple[str, ...]:
    """Return the names of all Jobs that were ever made, each as often as it was."""
    created = []
    while not told.empty():
        change = told.get_nowait()
        if change.type == "ADDED" and change.object["kind"] == "Job":
            created.append(change.object["metadata"]["name"])
    return tuple(sorted(created))


async def scenario(api: MemoryApi, dies_at: int = -1, is_sent: bool = False) -> tuple[Recorded, tuple[Any, ...]]:
    """First version, then a changed spec; the process dies at one call and is started again."""
    told: asyncio.Queue[Any] = asyncio.Queue()
    api.subscribe(told)
    recorded = Recorded(api, dies_at, is_sent)
    await api.create(data_source(filter="a > 1"))
    for text in ("a > 1", "a > 2"):
        raw = await stored(api)
        api.put({**raw, "spec": {**raw["spec"], "filter": text}})
        for _ in range(3):
            try:
                await settle(api, recorded)
            except Death:
                continue
    raw = await stored(api)
    children = [(await api.list(gvk, "demo")) for gvk in (JOB, CONFIG_MAP)]
    names = [[child["metadata"]["name"] for child in each] for each in children]
    state = {written["type"]: written["status"] for written in raw["status"]["conditions"]}
    return recorded, (made_jobs(told), names, state, raw["status"]["handledRequest"])


async def test_a_death_at_any_call_loses_and_doubles_nothing() -> None:
    whole, expected = await scenario(memory())
    for number, is_sent in deaths(whole):
        _, ended = await scenario(memory(), number, is_sent)
        assert ended == expected, f"died at call {number} ({whole.calls[number]}), sent: {is_sent}"
    assert len(whole.calls) > 30
