"""A proxy before a real API server that follows a script: drops events, answers errors, ends, comes back."""

import asyncio
import contextlib
import json
import ssl
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import aiohttp
from aiohttp import web

from control_plane import ControlPlane, free_ports

type Script = Callable[[web.Request], "Answer | None"]
"""What a request gets instead of the server's answer; None: the server's."""

HOP = {"transfer-encoding", "content-length", "connection", "content-encoding"}


class Answer:
    """A scripted answer: an error, a stream that says one line, or a stream without some events."""

    def __init__(self, status: int = 200, line: Any = None, drops: bool = False) -> None:
        self.status, self.line, self.drops = status, line, drops


class Proxy:
    """The proxy; `script` may be replaced at any time, and `cut` ends all streams and refuses connections."""

    def __init__(self, plane: ControlPlane) -> None:
        self.plane = plane
        (self.port,) = free_ports(1)
        self.script: Script = lambda _: None
        self._loop = asyncio.new_event_loop()
        self._site: web.TCPSite | None = None
        self._streams: dict[asyncio.Task[Any], str] = {}
        self._is_cut = False

    @property
    def server(self) -> str:
        """Where the operator shall connect."""
        return f"http://127.0.0.1:{self.port}"

    def cut(self) -> None:
        """Refuse connections, and end the streams."""
        self._do(self._close())

    def mend(self) -> None:
        """Listen again."""
        self._do(self._listen())

    def end_stream(self, plural: str) -> None:
        """End the streams of one kind: the client connects again."""
        self._do(self._end_streams(plural))

    @contextlib.contextmanager
    def running(self) -> Iterator["Proxy"]:
        """Run the proxy in a thread of its own."""
        thread = threading.Thread(target=self._loop.run_forever)
        thread.start()
        try:
            self._do(self._open())
            try:
                yield self
            finally:
                self._do(self._shut())
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            thread.join()
            self._loop.close()

    def _do[T](self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _open(self) -> None:
        context = ssl.create_default_context(cafile=str(self.plane.directory / "ca.crt"))
        context.load_cert_chain(self.plane.directory / "admin.crt", self.plane.directory / "admin.key")
        connector = aiohttp.TCPConnector(ssl=context, limit=0)
        self._session = aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=None))
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await self._listen()

    async def _shut(self) -> None:
        await self._end_streams()
        await self._runner.cleanup()
        await self._session.close()
        # Closed transports leave their sockets in the loop's next turns.
        await asyncio.sleep(0.2)

    async def _listen(self) -> None:
        self._is_cut = False
        self._site = web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True)
        await self._site.start()

    async def _close(self) -> None:
        self._is_cut = True
        if self._site is not None:
            await self._site.stop()
        await self._end_streams()

    async def _end_streams(self, plural: str = "") -> None:
        ending = [task for task, named in self._streams.items() if plural in ("", named)]
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        if self._is_cut and request.transport is not None:
            request.transport.abort()
        task = asyncio.current_task()
        is_watch = "watch" in request.query
        if is_watch and task is not None:
            self._streams[task] = request.path.rpartition("/")[2]
            task.add_done_callback(lambda done: self._streams.pop(done, None))
        scripted = self.script(request)
        if scripted is not None and not scripted.drops:
            return await self._scripted(request, scripted)
        body = await request.read()
        headers = {key: value for key, value in request.headers.items() if key.lower() not in ("host", "authorization")}
        url = self.plane.server + request.raw_path
        async with self._session.request(request.method, url, data=body or None, headers=headers) as answer:
            kept = {key: value for key, value in answer.headers.items() if key.lower() not in HOP}
            response = web.StreamResponse(status=answer.status, headers=kept)
            await response.prepare(request)
            if is_watch:
                async for line in answer.content:
                    now = self.script(request)
                    if now is None or not now.drops or b'"BOOKMARK"' in line:
                        await response.write(line)
            else:
                async for chunk in answer.content.iter_any():
                    await response.write(chunk)
            await response.write_eof()
            return response

    async def _scripted(self, request: web.Request, scripted: Answer) -> web.StreamResponse:
        if scripted.line is None:
            status = {
                "kind": "Status",
                "apiVersion": "v1",
                "status": "Failure",
                "code": scripted.status,
                "message": "no",
            }
            return web.json_response(status, status=scripted.status)
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(json.dumps(scripted.line).encode() + b"\n")
        await response.write_eof()
        return response


def error(code: int, reason: str = "") -> dict[str, Any]:
    """Return the ERROR event of a watch stream."""
    return {
        "type": "ERROR",
        "object": {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason},
    }
