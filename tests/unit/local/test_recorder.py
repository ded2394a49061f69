"""Events: one for what happens again and again, and for an hour."""

from datetime import UTC, datetime, timedelta
from typing import Any

from treadle.control.engine.ports import EVENT
from treadle.local.recorder import forget, record
from treadle.local.server.api import MemoryApi
from treadle.local.told import Told

BEGIN = datetime(2026, 3, 1, 12, tzinfo=UTC)
POD: dict[str, Any] = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "demo", "uid": "u"}}
UNHEALTHY = Told("Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503")


async def test_the_same_again_is_counted_now_and_then() -> None:
    now = [BEGIN]
    api = MemoryApi(now=lambda: now[0])
    for _ in range(31):
        record(api, POD, UNHEALTHY, "kubelet", is_warning=True)
        now[0] += timedelta(seconds=2)
    record(api, POD, Told("Killing", "Container step failed liveness probe"), "kubelet")
    events = {raw["reason"]: raw for raw in await api.list(EVENT)}
    assert {reason: (raw["type"], raw["deprecatedCount"]) for reason, raw in events.items()} == {
        "Unhealthy": ("Warning", 7),
        "Killing": ("Normal", 1),
    }
    assert events["Unhealthy"]["note"] == UNHEALTHY.message
    assert events["Unhealthy"]["regarding"]["name"] == "p"


async def test_an_hour_later_it_is_forgotten() -> None:
    now = [BEGIN]
    api = MemoryApi(now=lambda: now[0])
    record(api, POD, UNHEALTHY, "kubelet", is_warning=True)
    theirs = {"apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": "x", "namespace": "demo"}}
    api.put(theirs)
    now[0] += timedelta(minutes=59)
    await forget(api)
    assert len(await api.list(EVENT)) == 2
    now[0] += timedelta(minutes=1)
    await forget(api)
    assert [raw["metadata"]["name"] for raw in await api.list(EVENT)] == ["x"]
