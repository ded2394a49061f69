"""The API in memory behind its wire, in a thread of its own, for tests that ask by HTTP."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from treadle.local.api import MemoryApi
from treadle.local.schema import Schemas
from treadle.local.wire import Server, serve


@dataclass(frozen=True, slots=True)
class Wired:
    """A server, and the loop that its API lives on."""

    api: MemoryApi
    url: str
    loop: asyncio.AbstractEventLoop

    def do[T](self, act: Callable[[], T]) -> T:
        """Do something with the API where it lives."""

        async def acted() -> T:
            return act()

        return asyncio.run_coroutine_threadsafe(acted(), self.loop).result(10)


@contextmanager
def wired(schemas: Schemas | None, *, version: int = 0, logs: Path | None = None) -> Iterator[Wired]:
    """Serve an API on a free port: versions follow `version`, and each container has its log below `logs`."""

    def log_of(namespace: str, pod: str, container: str, *, is_previous: bool = False) -> Path | None:
        found = None if logs is None else logs / f"{namespace}_{pod}" / f"{container}{'.previous' * is_previous}.log"
        return found if found is not None and found.is_file() else None

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="wire")
    thread.start()

    def run(work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, loop).result(10)

    api = MemoryApi(schemas=schemas)
    api.restore([], version)
    server: Server = run(serve(api, "127.0.0.1", 0, log_of=log_of))
    try:
        yield Wired(api, server.url, loop)
    finally:
        run(server.close())
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
