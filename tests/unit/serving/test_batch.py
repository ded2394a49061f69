"""The queue of one model."""

import asyncio
import threading
from typing import Any

import numpy as np
import pytest

from serving_pod import schema
from treadle.api.artifacts import Golden
from treadle.serving.batch import WAITING_LIMIT, Batcher, QueueFull
from treadle.serving.load import Model


class Doubler:
    """An engine that doubles column x, counts its calls, breaks on -1 and waits while held."""

    def __init__(self) -> None:
        self.calls: list[int] = []
        self.free = threading.Event()
        self.free.set()

    def __call__(self, inputs: Any) -> Any:
        self.free.wait(5)
        rows = inputs["x"]
        self.calls.append(len(rows))
        if (rows == -1).any():
            raise ValueError("a row that breaks it")
        return rows * 2, None


def batcher(engine: Doubler) -> Batcher:
    return Batcher(Model(schema(task="Regression"), Golden(columns={}, scores=[]), engine, "test"), "v1")


def column(*values: float) -> dict[str, Any]:
    return {"x": np.array(values, dtype=np.float32).reshape(-1, 1)}


async def test_each_request_gets_its_own_rows() -> None:
    engine = Doubler()
    queue = batcher(engine)
    found = await asyncio.gather(*(queue.ask(column(n, n + 0.5), 2, 5.0, 256) for n in range(50)))
    assert [answers.scores for answers in found] == [[2.0 * n, 2.0 * n + 1] for n in range(50)]
    assert len(engine.calls) < 50
    queue.close()


async def test_a_bad_row_fails_its_own_request_alone() -> None:
    engine = Doubler()
    engine.free.clear()
    queue = batcher(engine)
    asked = [asyncio.create_task(queue.ask(column(n), 1, 5.0, 256)) for n in (1, -1, 3)]
    await asyncio.sleep(0)
    engine.free.set()
    found = await asyncio.gather(*asked, return_exceptions=True)
    assert [getattr(item, "scores", type(item)) for item in found] == [[2.0], ValueError, [6.0]]
    queue.close()


async def test_no_call_takes_more_rows_than_it_may() -> None:
    engine = Doubler()
    queue = batcher(engine)
    found = await queue.ask(column(*range(10)), 10, 5.0, 4)
    assert found.scores == [2.0 * n for n in range(10)]
    assert engine.calls == [4, 4, 2]
    queue.close()


async def test_a_full_queue_refuses_and_a_late_request_is_not_begun() -> None:
    engine = Doubler()
    engine.free.clear()
    queue = batcher(engine)
    first = asyncio.create_task(queue.ask(column(0), 1, 5.0, 1))
    await asyncio.sleep(0.01)
    others = [asyncio.create_task(queue.ask(column(n), 1, 0.05, 1)) for n in range(WAITING_LIMIT)]
    await asyncio.sleep(0)
    with pytest.raises(QueueFull):
        await queue.ask(column(1), 1, 5.0, 1)
    late = await asyncio.gather(*others, return_exceptions=True)
    assert {type(item) for item in late} == {TimeoutError}
    engine.free.set()
    assert (await first).scores == [0.0]
    assert (await queue.ask(column(7), 1, 5.0, 1)).scores == [14.0]
    assert len(engine.calls) == 2
    queue.close()
