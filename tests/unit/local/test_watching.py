"""A watch on virtual time: bookmarks each minute, and its end."""

import asyncio
import random
from dataclasses import replace
from typing import Any

import virtual
from treadle.local.server.api import MemoryApi
from treadle.local.server.types import BY_KIND
from treadle.local.server.watching import Watch, events

WATCH = Watch(
    type=BY_KIND["v1", "ConfigMap"],
    namespace="demo",
    selects=lambda raw: True,
    version=0,
    is_initial=True,
    has_initial_end=False,
    has_bookmarks=True,
    seconds=200,
)


def config_map(name: str, namespace: str = "demo") -> Any:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace}}


def seen(watch: Watch, *changes: tuple[float, Any]) -> list[tuple[float, str, str]]:
    """Return when a watch told what, in seconds; changes: when which object is stored."""

    async def watched() -> list[tuple[float, str, str]]:
        api, loop = MemoryApi(), asyncio.get_running_loop()
        api.put(config_map("first"))
        began = loop.time()
        for after, raw in changes:
            loop.call_later(after, api.put, raw)
        told = []
        async for kind, raw in events(api, watch, random.Random(1)):
            told.append((loop.time() - began, kind, raw["metadata"].get("name") or raw["metadata"]["resourceVersion"]))
        told.append((loop.time() - began, "END", ""))
        assert not api._watchers
        return told

    return virtual.run(watched())


def test_bookmarks_tell_each_minute_how_far_one_has_seen() -> None:
    assert seen(WATCH, (70, config_map("second")), (130, config_map("third", "elsewhere"))) == [
        (0, "ADDED", "first"),
        (60, "BOOKMARK", "1"),
        (70, "ADDED", "second"),
        (120, "BOOKMARK", "2"),
        (180, "BOOKMARK", "3"),
        (200, "END", ""),
    ]


def test_a_change_at_the_time_of_a_bookmark_is_told_too() -> None:
    told = seen(replace(WATCH, seconds=61), (60, config_map("second")))
    assert sorted(kind for _, kind, _ in told) == ["ADDED", "ADDED", "BOOKMARK", "END"]


def test_nobody_is_told_bookmarks_who_did_not_ask() -> None:
    assert seen(replace(WATCH, has_bookmarks=False)) == [(0, "ADDED", "first"), (200, "END", "")]


def test_a_watch_without_an_end_gets_one() -> None:
    *_, (ended, kind, _) = seen(replace(WATCH, has_bookmarks=False, seconds=None))
    assert kind == "END" and 1800 <= ended <= 3600
