"""The keyed work queue: what to look at next, never what happened."""

import asyncio
import heapq
import itertools
import random
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from treadle.control.engine.ports import Key

FIRST_RETRY_SECONDS = 0.1
LAST_RETRY_SECONDS = 60.0

type Pass = Callable[[Key], Awaitable[float | None]]
"""One pass over a key: seconds until the next look, None for no more; an exception is a failure."""


def retry_seconds(failures: int, rng: random.Random) -> float:
    """Return the pause after the n-th failure in a row: 0.1 s doubling to 60 s, less up to a quarter."""
    return float(min(LAST_RETRY_SECONDS, FIRST_RETRY_SECONDS * 2 ** min(failures - 1, 30)) * rng.uniform(0.75, 1.0))


@dataclass(slots=True)
class WorkQueue:
    """Keys for a number of workers. All times are the running loop's."""

    run: Pass
    rng: random.Random
    worker_count: int = 8
    _ready: dict[str, deque[Key]] = field(default_factory=dict)
    """By namespace; the first namespace is next, and goes last once it had its turn."""
    _waiting: set[Key] = field(default_factory=set)
    _running: set[Key] = field(default_factory=set)
    _again: set[Key] = field(default_factory=set)
    """Running, and added meanwhile."""
    _since: dict[Key, float] = field(default_factory=dict)
    _failures: dict[Key, int] = field(default_factory=dict)
    _due: dict[Key, float] = field(default_factory=dict)
    _timers: list[tuple[float, int, Key]] = field(default_factory=list)
    _count: "itertools.count[int]" = field(default_factory=itertools.count)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _workers: list[asyncio.Task[None]] = field(default_factory=list)
    _clock: asyncio.Task[None] | None = None
    _rearmed: asyncio.Event = field(default_factory=asyncio.Event)
    _closed: bool = False

    def start(self) -> None:
        """Start the workers on the running loop."""
        self._clock = asyncio.create_task(self._tick(), name="queue-clock")
        self._workers = [
            asyncio.create_task(self._work(), name=f"queue-worker-{number}") for number in range(self.worker_count)
        ]

    def add(self, key: Key) -> None:
        """Ask for a pass as soon as a worker is free; a waiting key is asked for already."""
        if self._closed or key in self._waiting:
            return
        self._since.setdefault(key, asyncio.get_running_loop().time())
        self._due.pop(key, None)
        if key in self._running:
            self._again.add(key)
            return
        self._waiting.add(key)
        self._ready.setdefault(key.namespace, deque()).append(key)
        self._changed.set()

    def add_after(self, key: Key, seconds: float) -> None:
        """Ask for a pass in so many seconds; never later than what was asked before."""
        due = asyncio.get_running_loop().time() + max(0.0, seconds)
        if self._closed or key in self._waiting or key in self._again or self._due.get(key, due + 1) <= due:
            return
        self._due[key] = due
        heapq.heappush(self._timers, (due, next(self._count), key))
        self._rearmed.set()

    async def close(self) -> None:
        """Take no more keys, and finish the passes in hand."""
        self._closed = True
        self._changed.set()
        if self._clock is not None:
            self._clock.cancel()
        await asyncio.gather(*self._workers, *filter(None, [self._clock]), return_exceptions=True)

    @property
    def depth(self) -> int:
        """How many keys wait for a worker."""
        return len(self._waiting)

    @property
    def is_idle(self) -> bool:
        """Nothing waits and nothing runs; keys may be due later."""
        return not self._waiting and not self._running

    def oldest_seconds(self) -> float:
        """Return how long the oldest key waits or runs."""
        now = asyncio.get_running_loop().time()
        return max((now - since for since in self._since.values()), default=0.0)

    def due_seconds(self, key: Key) -> float | None:
        """Return in how many seconds the key is looked at again, None if it is not planned."""
        due = self._due.get(key)
        return None if due is None else due - asyncio.get_running_loop().time()

    async def _tick(self) -> None:
        while True:
            self._rearmed.clear()
            now = asyncio.get_running_loop().time()
            while self._timers and self._timers[0][0] <= now:
                due, _, key = heapq.heappop(self._timers)
                if self._due.get(key) == due:
                    self.add(key)
            pause = self._timers[0][0] - now if self._timers else None
            try:
                async with asyncio.timeout(pause):
                    await self._rearmed.wait()
            except TimeoutError:
                continue

    async def _work(self) -> None:
        while (key := await self._next()) is not None:
            self._running.add(key)
            try:
                again = await self.run(key)
            except Exception:
                self._failures[key] = self._failures.get(key, 0) + 1
                again = retry_seconds(self._failures[key], self.rng)
            else:
                self._failures.pop(key, None)
            self._finish(key, again)

    def _finish(self, key: Key, again: float | None) -> None:
        self._running.discard(key)
        self._since.pop(key, None)
        if key in self._again:
            self._again.discard(key)
            self.add(key)
        elif again is not None:
            self.add_after(key, again)

    async def _next(self) -> Key | None:
        while not self._closed:
            if self._ready:
                namespace = next(iter(self._ready))
                keys = self._ready.pop(namespace)
                key = keys.popleft()
                if keys:
                    self._ready[namespace] = keys
                self._waiting.discard(key)
                return key
            self._changed.clear()
            await self._changed.wait()
        return None
