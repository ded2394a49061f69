"""The work queue, line by line of architecture.md section 6, on virtual time."""

import asyncio
import itertools
import random
from collections.abc import Awaitable, Callable

import pytest

from treadle.control.engine.ports import Key
from treadle.control.engine.queue import WorkQueue, retry_seconds
from virtual import run

A, B, C = (Key("DataSource", "one", name) for name in "abc")
OTHER = Key("DataSource", "two", "a")


class Passes:
    """Takes two seconds for each pass, and remembers when each began."""

    def __init__(self, seconds: float = 2.0, again: float | None = None, failures: int = 0) -> None:
        self.seconds, self.again, self.failures = seconds, again, failures
        self.began: list[tuple[Key, float]] = []
        self.running: set[Key] = set()
        self.ended = 0

    async def __call__(self, key: Key) -> float | None:
        assert key not in self.running, "two workers hold one key"
        self.running.add(key)
        self.began.append((key, asyncio.get_running_loop().time() - 1000.0))
        await asyncio.sleep(self.seconds)
        self.running.discard(key)
        self.ended += 1
        if self.failures > 0:
            self.failures -= 1
            raise RuntimeError("failed")
        return self.again

    def times(self, key: Key) -> list[float]:
        return [began for each, began in self.began if each == key]


def play(
    passes: Passes, script: Callable[[WorkQueue], Awaitable[None]], workers: int = 1, seconds: float = 100.0
) -> Passes:
    async def scene() -> None:
        queue = WorkQueue(passes, random.Random(7), workers)
        queue.start()
        await script(queue)
        await asyncio.sleep(seconds)
        await queue.close()

    run(scene())
    return passes


def adding(*keys: Key) -> Callable[[WorkQueue], Awaitable[None]]:
    async def script(queue: WorkQueue) -> None:
        for key in keys:
            queue.add(key)

    return script


def test_adding_a_waiting_key_is_a_no_op() -> None:
    assert play(Passes(), adding(A, B, B, B)).times(B) == [2.0]


def test_a_key_added_while_it_runs_runs_once_more() -> None:
    async def script(queue: WorkQueue) -> None:
        queue.add(A)
        await asyncio.sleep(1)
        queue.add(A)
        queue.add(A)

    assert play(Passes(), script).times(A) == [0.0, 2.0]


def test_two_workers_never_hold_one_key() -> None:
    async def script(queue: WorkQueue) -> None:
        for _ in range(50):
            queue.add(A)
            queue.add(B)
            await asyncio.sleep(0.5)

    passes = play(Passes(), script, workers=4)
    assert passes.ended == len(passes.began) > 10


def test_failures_retry_after_a_doubling_pause_up_to_a_minute() -> None:
    times = play(Passes(0.0, failures=14), adding(A), seconds=400).times(A)
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    for index, gap in enumerate(gaps):
        longest = min(60.0, 0.1 * 2**index)
        assert 0.75 * longest - 1e-6 <= gap <= longest + 1e-6, f"pause {index}"
    assert len(gaps) == 14


def test_retries_are_jittered() -> None:
    rng = random.Random(3)
    assert len({retry_seconds(5, rng) for _ in range(20)}) == 20


def test_success_forgets_failures() -> None:
    async def script(queue: WorkQueue) -> None:
        queue.add(A)
        await asyncio.sleep(30)
        passes.failures = 1
        queue.add(A)

    passes = Passes(0.0, failures=5)
    times = play(passes, script).times(A)
    assert times[-1] - times[-2] <= 0.1


def test_a_later_revisit_never_replaces_an_earlier_one() -> None:
    async def script(queue: WorkQueue) -> None:
        queue.add_after(A, 5)
        queue.add_after(A, 50)

    assert play(Passes(), script, seconds=40).times(A) == [5.0]


def test_an_earlier_revisit_replaces_a_later_one() -> None:
    async def script(queue: WorkQueue) -> None:
        queue.add_after(A, 30)
        queue.add_after(A, 5)

    assert play(Passes(), script, seconds=60).times(A) == [5.0]


def test_a_pass_says_when_to_look_again() -> None:
    assert play(Passes(0.0, again=20.0), adding(A), seconds=65).times(A) == [0.0, 20.0, 40.0, 60.0]


def test_namespaces_take_turns() -> None:
    passes = play(Passes(), adding(A, B, C, OTHER))
    assert [key for key, _ in passes.began] == [A, OTHER, B, C]


def test_stopping_finishes_the_pass_in_hand_and_begins_no_other() -> None:
    async def script(queue: WorkQueue) -> None:
        queue.add(A)
        queue.add(B)
        await asyncio.sleep(1)
        await queue.close()
        queue.add(C)

    passes = play(Passes(7.0), script)
    assert (passes.ended, passes.began) == (1, [(A, 0.0)])


def test_the_oldest_key_counts_from_when_it_was_added() -> None:
    async def scene() -> float:
        queue = WorkQueue(Passes(400.0), random.Random(1), 1)
        queue.start()
        queue.add(A)
        await asyncio.sleep(301)
        age = queue.oldest_seconds()
        await queue.close()
        return age

    assert run(scene()) == pytest.approx(301)


def test_five_thousand_keys_leave_the_loop_responsive() -> None:
    """On the real clock: the lag of the loop stays below 100 ms."""

    async def scene() -> float:
        async def brief(_: Key) -> None:
            await asyncio.sleep(0)

        queue = WorkQueue(brief, random.Random(1), 8)
        queue.start()
        loop, worst = asyncio.get_running_loop(), 0.0
        for number in range(5000):
            queue.add(Key("DataSource", f"ns-{number % 20}", f"n-{number}"))
            if number % 100 == 0:
                before = loop.time()
                await asyncio.sleep(0)
                worst = max(worst, loop.time() - before)
        while not queue.is_idle:
            before = loop.time()
            await asyncio.sleep(0.001)
            worst = max(worst, loop.time() - before)
        await queue.close()
        return worst

    assert asyncio.run(scene()) < 0.1
