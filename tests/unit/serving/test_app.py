"""The predict port over arms whose engines a test chooses: fallback, deadlines, counts."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serving_pod import SPEC, inference, schema
from treadle.api.artifacts import Golden, ModelSchema
from treadle.api.plan import ReleasePlan
from treadle.serving.app import Predict
from treadle.serving.batch import Batcher
from treadle.serving.follow import Arm, Follower, Place, View
from treadle.serving.health import Health
from treadle.serving.load import Model
from treadle.serving.log import Part, RequestLog
from treadle.serving.metrics import Counts, cumulative
from treadle.serving.wire import Reply

A, B = (f"sha256:{letter * 64}" for letter in "ab")
PLAN: dict[str, Any] = {"v": 1, "modelName": "flights-late", "revision": 1}


def good(score: float) -> Callable[[Any], Any]:
    return lambda inputs: (np.full((len(inputs["distance"]), 1), score, dtype=np.float32), None)


def failing(inputs: Any) -> Any:
    raise RuntimeError("no kernel for this node")


def not_a_number(inputs: Any) -> Any:
    return good(float("nan"))(inputs)


class Slow:
    """An engine that answers when the test is over."""

    def __init__(self) -> None:
        self.over = threading.Event()

    def __call__(self, inputs: Any) -> Any:
        self.over.wait(5)
        return good(0.9)(inputs)


class Kept:
    """A store for parts, in memory."""

    def __init__(self) -> None:
        self.parts: list[Part] = []

    def __call__(self, part: Part, dropped: int) -> None:
        self.parts.append(part)


class Server:
    """A predict port with a champion A and a candidate B."""

    def __init__(self, root: Path) -> None:
        self.kept = Kept()
        self.log = RequestLog(self.kept)
        self.health = Health(Follower(Place(SPEC, root, root)), Counts(), self.log)
        self.app = Predict(self.health, "flights-late")

    def serve(
        self, champion: Any, candidate: Any = None, takes: ModelSchema | None = None, timeout: float = 5.0, **plan: Any
    ) -> None:
        plain = schema(task="Regression")

        def arm(version: str, digest: str, engine: Any, taken: ModelSchema) -> Arm:
            model = Model(taken, Golden(columns={}, scores=[]), engine, "test")
            return Arm(version, digest, model, Batcher(model, version))

        self.health.follower.view = View(
            ReleasePlan.model_validate({**PLAN, **plan}),
            arm("v1", A, champion, plain),
            arm("v2", B, candidate, takes or plain) if candidate is not None else None,
            100,
            timeout,
        )

    async def infer(self, body: Any) -> Reply:
        scope = {"method": "POST", "path": "/v2/models/flights-late/infer", "headers": []}
        message = {"type": "http.request", "body": body if isinstance(body, bytes) else json.dumps(body).encode()}

        async def receive() -> dict[str, Any]:
            return message

        return await self.app.reply(scope, receive)

    def counted(self) -> dict[str, tuple[int, int, int]]:
        return {arm.digest: (arm.requests, arm.errors, arm.rejected) for arm in self.health.counts.arms()}

    def logged(self) -> list[tuple[str, str, int]]:
        self.log.finish(5)
        return [
            (rows.answered.digest, rows.answered.arm, rows.answered.status)
            for part in self.kept.parts
            for rows in part.requests
        ]


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    found = Server(tmp_path)
    yield found
    found.log.finish(5)
    view = found.health.follower.view
    for arm in (view.champion, view.candidate) if view is not None else ():
        if arm is not None:
            arm.batcher.close()


CANDIDATES = {
    "that fails": failing,
    "that answers no number": not_a_number,
}


@pytest.mark.parametrize("engine", CANDIDATES.values(), ids=CANDIDATES.keys())
async def test_the_champion_answers_for_a_candidate(server: Server, engine: Any) -> None:
    server.serve(good(0.5), engine)
    reply = await server.infer(inference(id="r"))
    assert reply.status == 200
    assert json.loads(reply.body)["outputs"][0]["data"] == [0.5]
    assert (b"treadle-model-version", b"v1") in reply.headers
    assert server.counted() == {B: (1, 1, 0)}
    assert server.logged() == [(A, "champion", 200)]


async def test_the_champion_answers_for_a_slow_candidate_within_the_deadline(server: Server) -> None:
    slow = Slow()
    server.serve(good(0.5), slow, timeout=0.2)
    reply = await server.infer(inference())
    slow.over.set()
    assert (reply.status, server.counted()) == (200, {B: (1, 1, 0)})


async def test_a_candidate_that_refuses_what_the_champion_takes_has_failed(server: Server) -> None:
    document = schema(task="Regression").dump()
    document["inputs"].append({"name": "wind", "type": "double"})
    server.serve(good(0.5), good(0.9), ModelSchema.model_validate(document))
    assert (await server.infer(inference())).status == 200
    assert server.counted() == {B: (1, 1, 0)}


async def test_what_both_refuse_is_the_callers(server: Server) -> None:
    server.serve(good(0.5), good(0.9))
    assert (await server.infer(inference(hour=None, id="r"))).status == 400
    assert server.counted() == {B: (0, 0, 1)}
    assert server.logged() == [(B, "candidate", 400)]


CHAMPIONS = {
    "a champion that fails": (failing, 500),
    "a champion that answers no number": (not_a_number, 500),
}


@pytest.mark.parametrize(("engine", "status"), CHAMPIONS.values(), ids=CHAMPIONS.keys())
async def test_a_failure_is_counted_and_tells_nothing(server: Server, engine: Any, status: int) -> None:
    server.serve(engine)
    reply = await server.infer(inference())
    assert reply.status == status
    assert b"kernel" not in reply.body
    assert server.counted() == {A: (1, 1, 0)}
    assert server.logged() == [(A, "champion", status)]


async def test_a_deadline_is_504_and_a_full_queue_is_503_with_retry_after(server: Server) -> None:
    slow = Slow()
    server.serve(slow, timeout=0.3)
    asked = [asyncio.create_task(server.infer(inference())) for _ in range(1100)]
    replies = await asyncio.gather(*asked)
    slow.over.set()
    statuses = {reply.status for reply in replies}
    assert statuses == {503, 504}
    refused = next(reply for reply in replies if reply.status == 503)
    assert dict(refused.headers)[b"retry-after"] in (b"1", b"2", b"3")
    assert server.counted()[A][:2] == (1100, 1100)


async def test_without_a_view_nothing_is_answered_or_counted(server: Server) -> None:
    reply = await server.infer(inference())
    assert (reply.status, server.counted()) == (503, {})


POLICIES = {
    "Full shows columns": ("Full", True),
    "Minimal shows none": ("Minimal", False),
}


@pytest.mark.parametrize(("detail", "shown"), POLICIES.values(), ids=POLICIES.keys())
@pytest.mark.parametrize("body", [b"{", b"{}", json.dumps(inference(hour=None)).encode()])
async def test_error_detail(server: Server, body: bytes, detail: str, shown: bool) -> None:
    server.serve(good(0.5), requestPolicy={"errorDetail": detail})
    reply = await server.infer(body)
    assert reply.status == 400
    assert (b"hour" in reply.body) is shown
    assert (b"distance" in reply.body) is shown


async def test_only_the_outputs_asked_for_are_sent(server: Server) -> None:
    server.serve(good(0.5))
    reply = await server.infer({**inference(), "outputs": [{"name": "score"}]})
    assert [item["name"] for item in json.loads(reply.body)["outputs"]] == ["score"]


def test_latency_buckets_are_the_documented_ones() -> None:
    counts = Counts()
    for milliseconds in (0.5, 1.0, 1.1, 5000, 5001):
        counts.answered(A, milliseconds / 1000, failed=False)
    [arm] = counts.arms()
    assert (arm.latency[0], arm.latency[1], arm.latency[14], arm.latency[15]) == (2, 1, 1, 1)
    assert cumulative(arm.latency)[-1] == ("+Inf", 5.0)
