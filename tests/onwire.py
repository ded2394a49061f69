"""The API in memory on its wire, in a thread of this process: a server as `treadle up` starts one, and no operator."""

import asyncio
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from treadle.control.engine.ports import Object
from treadle.local.schema.admit import schemas
from treadle.local.server.api import MemoryApi, namespace
from treadle.local.server.wire import LogOf, serve

STARTS_WITHIN_SECONDS = 30
KEPT = ("name", "labels", "annotations", "ownerReferences")


@contextmanager
def on_wire(objects: Iterable[Object], log_of: LogOf = lambda *_, **__: None) -> Iterator[str]:
    """Serve some objects in namespace demo; yield the URL.

    log_of: the file of what a container wrote, by namespace, pod and container.
    """
    told: list[str] = []
    is_up, loop = threading.Event(), asyncio.new_event_loop()

    async def run() -> None:
        api = MemoryApi(schemas=schemas())
        api.put(namespace("demo"))
        for each in objects:
            metadata = {key: each["metadata"][key] for key in KEPT if key in each["metadata"]}
            api.put({**each, "metadata": {**metadata, "namespace": "demo"}})
        server = await serve(api, "127.0.0.1", 0, log_of=log_of)
        told.append(server.url)
        is_up.set()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            await server.close()

    task = loop.create_task(run())
    task.add_done_callback(lambda _: is_up.set())
    thread = threading.Thread(target=lambda: loop.run_until_complete(asyncio.wait([task])))
    thread.start()
    try:
        is_up.wait(STARTS_WITHIN_SECONDS)
        if not told:
            raise RuntimeError("the server does not start") from (task.exception() if task.done() else None)
        yield told[0]
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join()
        loop.close()
