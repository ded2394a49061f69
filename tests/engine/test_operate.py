"""The operator's parts together, on the API in memory and virtual time: Lease, blind watch, resync, the end."""

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

import virtual
from toys import SETTINGS, START, TOY, Clock, NoPods, data_source
from treadle.control.engine.errors import Busy
from treadle.control.engine.ports import CONFIG_MAP, DATA_SOURCE, JOB, LEASE, Object
from treadle.control.lease import LeaseGate
from treadle.control.operate import Operator, operate
from treadle.local import watch
from treadle.local.server.api import Change, MemoryApi

QUIET = dataclasses.replace(SETTINGS, metrics_port=0, resync_seconds=600.0)


@pytest.fixture(autouse=True)
def no_signals(monkeypatch: pytest.MonkeyPatch) -> None:
    """A virtual loop takes no signals: tests end the operator by its event."""
    monkeypatch.setattr("treadle.control.operate._on_signals", lambda act: None)


class Watching(watch.Watching):
    """Watches all but the kinds that it is blind for."""

    def __init__(self, api: MemoryApi, blind: tuple[str, ...] = ()) -> None:
        super().__init__(api)
        self.blind = blind

    def tell(self, operator: Operator, change: Change) -> None:
        if change.object["kind"] not in self.blind:
            super().tell(operator, change)


async def live(
    api: MemoryApi, watch: Any, script: Callable[[Operator], Awaitable[None]], seconds: float = 3600.0
) -> tuple[int, Operator]:
    """Run an operator while the script plays; end it then; return the exit code."""
    operator = Operator([TOY], api, NoPods(), QUIET)
    running = asyncio.create_task(operate(operator, watch))
    playing = asyncio.create_task(script(operator))
    async with asyncio.timeout(seconds):
        await asyncio.wait({running, playing}, return_when=asyncio.FIRST_COMPLETED)
        if playing.done():
            playing.result()
            operator.ended.set()
        else:
            playing.cancel()
        return await running, operator


def test_the_operator_settles_objects_and_ends_with_0() -> None:
    async def scene() -> None:
        api = MemoryApi(now=Clock())
        await api.create(data_source())

        async def script(_: Operator) -> None:
            await asyncio.sleep(30)
            assert len(await api.list(JOB)) == 1

        code, _ = await live(api, Watching(api), script)
        assert code == 0
        lease = await api.get(LEASE, "treadle-system", "treadle-operator")
        assert lease is not None and not lease["spec"].get("holderIdentity")

    virtual.run(scene())


@pytest.mark.parametrize("blind", ["DataSource", "ConfigMap", "Job"])
def test_a_blind_watch_ends_the_process_with_1_within_120_seconds(blind: str) -> None:
    async def scene() -> None:
        api = MemoryApi(now=Clock())
        await api.create(data_source())
        watch = Watching(api)

        async def script(operator: Operator) -> None:
            await asyncio.sleep(30)
            watch.blind = (blind,)
            raw = await api.get(DATA_SOURCE, "demo", "flights")
            assert raw is not None
            api.put({**raw, "spec": {**raw["spec"], "filter": "a > 2"}})
            for key in list(operator.references.keys_for("datasources", "demo", "flights", raw)):
                operator.add(key)
            await asyncio.sleep(120)

        code, operator = await live(api, watch, script)
        assert code == 1
        assert f"the watch of {blind} is blind" in operator.failure

    virtual.run(scene())


def test_a_watch_that_ends_ends_the_process_with_1() -> None:
    async def scene() -> None:
        async def watch(_: Operator, __: asyncio.Event, ready: asyncio.Event) -> None:
            ready.set()
            await asyncio.sleep(10)

        async def script(_: Operator) -> None:
            await asyncio.sleep(100)

        code, operator = await live(MemoryApi(now=Clock()), watch, script)
        assert (code, operator.failure) == (1, "the watch ended: see the lines before")

    virtual.run(scene())


def test_a_deletion_lost_in_a_gap_is_found_by_the_resync() -> None:
    async def scene() -> None:
        api = MemoryApi(now=Clock())
        await api.create(data_source())
        watch = Watching(api)

        async def script(operator: Operator) -> None:
            await asyncio.sleep(30)
            watch.blind = ("ConfigMap",)
            plan = await api.get(CONFIG_MAP, "demo", "flights-plan")
            assert plan is not None
            await api.delete(plan)
            watch.blind = ()
            await asyncio.sleep(QUIET.resync_seconds + 30)
            assert await api.get(CONFIG_MAP, "demo", "flights-plan") is not None

        code, _ = await live(api, watch, script)
        assert code == 0

    virtual.run(scene())


def test_a_lost_lease_ends_the_process_with_1_at_once() -> None:
    async def scene() -> None:
        api = MemoryApi(now=Clock())

        async def script(_: Operator) -> None:
            await asyncio.sleep(30)
            lease = await api.get(LEASE, "treadle-system", "treadle-operator")
            assert lease is not None
            api.put({**lease, "spec": {**lease["spec"], "holderIdentity": "another"}})
            await asyncio.sleep(20)

        code, operator = await live(api, Watching(api), script)
        assert (code, operator.failure) == (1, "the Lease is lost")

    virtual.run(scene())


class Cut(MemoryApi):
    """An API that a network cut makes unreachable."""

    cut = False

    async def apply(self, child: Object, *, manager: str = "treadle") -> Object:
        if self.cut:
            raise Busy("no answer")
        return await super().apply(child, manager=manager)


def gate(api: MemoryApi, identity: str) -> LeaseGate:
    def now() -> datetime:
        return START + timedelta(seconds=asyncio.get_running_loop().time())

    return LeaseGate(api, "treadle-system", "gate", identity, now)


def test_a_second_operator_waits_until_the_first_releases() -> None:
    async def scene() -> None:
        api = MemoryApi(now=Clock())
        first, second = gate(api, "first"), gate(api, "second")
        await first.acquire()
        waiting = asyncio.create_task(second.acquire())
        await asyncio.sleep(300)
        assert not waiting.done()
        await first.release()
        await asyncio.sleep(2)
        assert waiting.done()
        await second.release()

    virtual.run(scene())


def test_a_silent_holder_is_dead_after_15_seconds_and_lost_after_10() -> None:
    async def scene() -> None:
        api = Cut(now=Clock())
        first, second = gate(api, "first"), gate(api, "second")
        await first.acquire()
        waiting = asyncio.create_task(second.acquire())
        await asyncio.sleep(20)
        api.cut = True
        began = asyncio.get_running_loop().time()
        await first.lost.wait()
        assert asyncio.get_running_loop().time() - began <= 11
        api.cut = False
        await waiting
        assert asyncio.get_running_loop().time() - began <= 20
        await second.release()

    virtual.run(scene())


def test_a_short_cut_loses_nothing() -> None:
    async def scene() -> None:
        api = Cut(now=Clock())
        first = gate(api, "first")
        await first.acquire()
        api.cut = True
        await asyncio.sleep(8)
        api.cut = False
        await asyncio.sleep(60)
        assert not first.lost.is_set()
        await first.release()

    virtual.run(scene())


class Lossy(MemoryApi):
    """An API whose answer to one write is lost on its way."""

    loses = False

    async def apply(self, child: Object, *, manager: str = "treadle") -> Object:
        live = await super().apply(child, manager=manager)
        if self.loses:
            self.loses = False
            raise Busy("the answer was lost")
        return live


def test_a_renewal_whose_answer_was_lost_loses_nothing() -> None:
    async def scene() -> None:
        api = Lossy(now=Clock())
        first = gate(api, "first")
        await first.acquire()
        api.loses = True
        await asyncio.sleep(60)
        assert not first.lost.is_set()
        await first.release()

    virtual.run(scene())


def test_a_restarted_operator_takes_its_own_lease_at_once() -> None:
    async def scene() -> None:
        api = MemoryApi(now=Clock())
        await gate(api, "first").acquire()
        began = asyncio.get_running_loop().time()
        again = gate(api, "first")
        await again.acquire()
        assert asyncio.get_running_loop().time() == began
        await again.release()

    virtual.run(scene())
