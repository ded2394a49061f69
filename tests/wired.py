"""The API in memory behind its wire, in a thread of its own, for tests that ask by HTTP."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from treadle.local.schema.admit import Schemas
from treadle.local.server.api import MemoryApi
from treadle.local.server.wire import Server, serve

STARTING_SECONDS = 10.0


class Wired:
    """A server that may go away and come back, and the API behind it."""

    def __init__(self, api: MemoryApi, logs: Path | None) -> None:
        self.api = api
        self.logs = logs
        """Where a container has its log: NAMESPACE_POD/CONTAINER.log."""
        self.loop = asyncio.new_event_loop()
        """Of the API: whoever touches it does so there."""
        self._server: Server | None = None
        self._port = 0

    @property
    def url(self) -> str:
        """Return where the API answers."""
        return f"http://127.0.0.1:{self._port}"

    def do[T](self, act: Callable[[], T]) -> T:
        """Do something with the API where it lives."""

        async def acted() -> T:
            return act()

        return self.run(acted())

    def run[T](self, work: Coroutine[Any, Any, T]) -> T:
        """Run something where the API lives."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(STARTING_SECONDS)

    def start(self) -> None:
        """Answer, on the port of the first time."""
        self._server = self.run(serve(self.api, "127.0.0.1", self._port, log_of=self._log_of))
        self._port = int(self._server.url.rpartition(":")[2])

    def stop(self) -> None:
        """Cut every connection, and answer no more."""
        if self._server is not None:
            self.run(self._server.close())
        self._server = None

    @contextmanager
    def living(self) -> Iterator["Wired"]:
        """Live in a thread, and answer."""
        thread = threading.Thread(target=self.loop.run_forever, name="wire")
        thread.start()
        try:
            self.start()
            yield self
            self.stop()
        finally:
            self.loop.call_soon_threadsafe(self.loop.stop)
            thread.join()
            self.loop.close()

    def _log_of(self, namespace: str, pod: str, container: str, *, is_previous: bool = False) -> Path | None:
        if self.logs is None:
            return None
        found = self.logs / f"{namespace}_{pod}" / f"{container}{'.previous' if is_previous else ''}.log"
        return found if found.is_file() else None


@contextmanager
def wired(schemas: Schemas | None, *, version: int = 0, logs: Path | None = None) -> Iterator[Wired]:
    """Serve an API on a free port; the versions of its objects follow `version`."""
    api = MemoryApi(schemas=schemas)
    api.restore([], version)
    with Wired(api, logs).living() as server:
        yield server
