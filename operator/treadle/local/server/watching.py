"""A watch: what was, what changes from then on, and bookmarks of how far one has seen."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from treadle.local.server import refusals
from treadle.local.server.api import Change, MemoryApi
from treadle.local.server.types import Type

type Object = dict[str, Any]

BOOKMARK_SECONDS = 60.0
LONGEST_SECONDS = 3600.0
INITIAL_END = "k8s.io/initial-events-end"


@dataclass(frozen=True, slots=True)
class Watch:
    """What is watched, from which version on, and how."""

    type: Type
    namespace: str
    selects: Callable[[Object], bool]
    version: int
    is_initial: bool
    """Whether what there is comes first."""
    has_initial_end: bool
    has_bookmarks: bool
    seconds: float | None

    def event(self, change: Change) -> tuple[str, Object] | None:
        """Return what a change is for this watch: an object may come into its selection, and leave it."""
        raw, before = change.object, change.before
        if raw["kind"] != self.type.gvk.kind or self.namespace not in ("", raw["metadata"].get("namespace")):
            return None
        was = before is not None and self.selects(before)
        now = change.type != "DELETED" and self.selects(raw)
        if now:
            return ("MODIFIED" if was else "ADDED"), raw
        if not was or before is None:
            return None
        version = raw["metadata"]["resourceVersion"]
        return "DELETED", {**before, "metadata": {**before["metadata"], "resourceVersion": version}}

    def bookmark(self, version: int, *, is_initial_end: bool = False) -> Object:
        """Return the object that tells a version."""
        annotations = {"annotations": {INITIAL_END: "true"}} if is_initial_end else {}
        metadata = {"resourceVersion": str(version), **annotations}
        return {"kind": self.type.gvk.kind, "apiVersion": self.type.gvk.api_version, "metadata": metadata}


async def events(api: MemoryApi, watch: Watch, rng: random.Random) -> AsyncIterator[tuple[str, Object]]:
    """Yield what happens until the watch's time is over."""
    told: asyncio.Queue[Change] = asyncio.Queue()
    api.subscribe(told)
    loop = asyncio.get_running_loop()
    seconds = watch.seconds if watch.seconds is not None else LONGEST_SECONDS * rng.uniform(0.5, 1.0)
    end = loop.time() + seconds
    mark = loop.time() + BOOKMARK_SECONDS
    try:
        begun = past(api, watch)
        if begun is None:
            yield (
                "ERROR",
                refusals.status(refusals.expired(f"too old resource version: {watch.version} ({api.version})")),
            )
            return
        seen = api.version
        for event in begun:
            yield event
        if watch.has_initial_end:
            yield "BOOKMARK", watch.bookmark(seen, is_initial_end=True)
        while loop.time() < end:
            change = None
            with suppress(TimeoutError):
                async with asyncio.timeout_at(min(mark, end)):
                    change = await told.get()
            if loop.time() >= mark:
                if watch.has_bookmarks:
                    yield "BOOKMARK", watch.bookmark(seen)
                mark = loop.time() + BOOKMARK_SECONDS
            if change is None:
                continue
            seen = change.version
            if (told_event := watch.event(change)) is not None:
                yield told_event
    finally:
        api.unsubscribe(told)


def past(api: MemoryApi, watch: Watch) -> Iterable[tuple[str, Object]] | None:
    """Return what comes before the first change: what there is, or what changed since; None if that is forgotten."""
    if watch.is_initial:
        found = api.all(watch.type.gvk.kind, watch.namespace or None)
        return [("ADDED", raw) for raw in found if watch.selects(raw)]
    if not watch.version:
        return []
    changes = api.since(watch.version)
    if changes is None:
        return None
    return [event for change in changes if (event := watch.event(change)) is not None]
