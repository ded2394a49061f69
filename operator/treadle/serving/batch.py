"""Requests to calls of one model: what waits while a call runs goes together into the next."""

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from treadle.serving.load import Model
from treadle.serving.schema import Feeds
from treadle.serving.v2 import Answers

WAITING_LIMIT = 1024
SMOOTHING = 0.2  # weight of the newest call in the mean seconds per row


class QueueFull(Exception):
    """Too many requests wait, or the wait would be too long."""


@dataclass(frozen=True, slots=True)
class Job:
    """One request's rows and where its answer goes."""

    inputs: Feeds
    rows: int
    deadline: float
    """On the event loop's clock; work is not started beyond it."""
    answer: asyncio.Future[Answers]


class Batcher:
    """The bounded queue of one model; its calls run in one thread of its own, so that a slow one holds up no other."""

    def __init__(self, model: Model, name: str) -> None:
        """Begin with nothing waiting; needs a running loop only when asked."""
        self._model = model
        self._pool = ThreadPoolExecutor(1, thread_name_prefix=f"model-{name}")
        self._waiting: deque[Job] = deque()
        self._rows = 0
        self._runner: asyncio.Task[None] | None = None
        self._seconds_per_row = 0.0

    @property
    def waiting(self) -> int:
        """Return how many requests wait."""
        return len(self._waiting)

    async def ask(self, inputs: Feeds, rows: int, timeout_seconds: float, max_batch_rows: int) -> Answers:
        """Return the model's answers to a request; raise QueueFull, TimeoutError, or what the model raises."""
        expected = self._rows * self._seconds_per_row
        if len(self._waiting) >= WAITING_LIMIT or expected > timeout_seconds / 2:
            raise QueueFull
        loop = asyncio.get_running_loop()
        job = Job(inputs, rows, loop.time() + timeout_seconds, loop.create_future())
        self._waiting.append(job)
        self._rows += rows
        if self._runner is None:
            self._runner = loop.create_task(self._run(max_batch_rows))
        async with asyncio.timeout(timeout_seconds):
            return await job.answer

    def close(self) -> None:
        """Let the thread end after the calls that were begun."""
        self._pool.shutdown(wait=False)

    async def _run(self, max_batch_rows: int) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._waiting:
                jobs = self._take(max_batch_rows, loop.time())
                if not jobs:
                    continue
                started = time.perf_counter()
                results = await loop.run_in_executor(self._pool, call, self._model, jobs, max_batch_rows)
                rows = sum(job.rows for job in jobs)
                spent = (time.perf_counter() - started) / rows
                self._seconds_per_row += SMOOTHING * (spent - self._seconds_per_row)
                for job, result in zip(jobs, results, strict=True):
                    settle(job, result)
        except RuntimeError as error:  # the pool was closed: this model left the plan
            for job in self._waiting:
                settle(job, error)
            self._waiting.clear()
            self._rows = 0
        finally:
            self._runner = None

    def _take(self, max_rows: int, now: float) -> list[Job]:
        """Return the next requests that fit one call; those that nobody waits for any more are let go."""
        jobs: list[Job] = []
        rows = 0
        while self._waiting and (not jobs or rows + self._waiting[0].rows <= max_rows):
            job = self._waiting.popleft()
            self._rows -= job.rows
            if job.answer.done() or now >= job.deadline:
                continue
            jobs.append(job)
            rows += job.rows
        return jobs


def settle(job: Job, result: Answers | Exception) -> None:
    """Give a request its answer, unless it gave up waiting."""
    if job.answer.done():
        return
    if isinstance(result, Answers):
        job.answer.set_result(result)
    else:
        job.answer.set_exception(result)


def call(model: Model, jobs: Sequence[Job], max_rows: int) -> list[Answers | Exception]:
    """Return each request's answer, or its own failure: a row that breaks a call fails only its request."""
    if len(jobs) == 1:
        return [alone(model, jobs[0], max_rows)]
    together = {name: np.concatenate([job.inputs[name] for job in jobs]) for name in jobs[0].inputs}
    try:
        found = model.predict(together)
    except Exception:  # asked again one by one: then each failure has its request
        return [alone(model, job, max_rows) for job in jobs]
    ends = np.cumsum([job.rows for job in jobs]).tolist()
    starts = [0, *ends[:-1]]
    return [Answers(found.scores[start:end], found.labels[start:end]) for start, end in zip(starts, ends, strict=True)]


def alone(model: Model, job: Job, max_rows: int) -> Answers | Exception:
    """Return the answer to one request, in calls of at most `max_rows` rows."""
    scores: list[float] = []
    labels: list[str] = []
    try:
        for start in range(0, job.rows, max_rows):
            found = model.predict({name: array[start : start + max_rows] for name, array in job.inputs.items()})
            scores += found.scores
            labels += found.labels
    except Exception as error:  # the caller of `ask` gets it
        return error
    return Answers(scores, labels)
