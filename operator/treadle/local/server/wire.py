"""The API in memory as a Kubernetes API server on loopback: what kubectl and the operator's own client ask.

request --- guard, paths, options ---> verbs ---> MemoryApi
answer  <--- tables, refusals ---------'
"""

import contextlib
import json
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from aiohttp import web
from aiohttp.client_exceptions import ClientConnectionResetError

from treadle.local.schema.causes import Refused, printed
from treadle.local.server import (
    bodies,
    documents,
    events,
    forward,
    logs,
    options,
    pages,
    patches,
    paths,
    refusals,
    reviews,
    scale,
    selectors,
    shapes,
    types,
    verbs,
    watching,
)
from treadle.local.server.api import MemoryApi
from treadle.local.server.options import Options
from treadle.local.server.paths import Target

log = logging.getLogger(__name__)

type Object = dict[str, Any]

LOOPBACK = ("localhost", "[::1]", "127.0.0.1")
REQUEST_BYTES = 3 * 1024 * 1024
SHUTDOWN_SECONDS = 1.0
INTERNAL = "Internal error occurred: the log of treadle up says which"
HEADERS = {"Cache-Control": "no-cache, private"}
WARNINGS = web.RequestKey("warnings", list[str])
PATCHES: dict[str, Callable[[Any, Any], Any]] = {
    "application/json-patch+json": patches.json_patch,
    "application/merge-patch+json": patches.merge_patch,
}
REVIEWS = frozenset({types.ACCESS_REVIEW, types.RULES_REVIEW, types.SELF_REVIEW})


class LogOf(Protocol):
    """Returns the file of a container's log, or None where there is none."""

    def __call__(self, namespace: str, pod: str, container: str, *, is_previous: bool = False) -> Path | None: ...


@dataclass(frozen=True, slots=True)
class Server:
    """A server that answers."""

    url: str
    _runner: web.AppRunner
    _forwarder: forward.Forwarder

    async def close(self) -> None:
        """End every request, and give the port back."""
        await self._runner.cleanup()
        await self._forwarder.close()


async def serve(api: MemoryApi, host: str, port: int, *, log_of: LogOf) -> Server:
    """Answer on a loopback address; port 0 takes a free one. OSError where the port is taken."""
    for definition in types.definitions(api.now()):
        api.hold(definition)
    wire = Wire(api, log_of)
    application = web.Application(client_max_size=REQUEST_BYTES)
    application.router.add_route("*", "/{path:.*}", wire.answer)
    runner = web.AppRunner(application, access_log=None, handler_cancellation=True, shutdown_timeout=SHUTDOWN_SECONDS)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError:
        await runner.cleanup()
        raise
    return Server(f"http://{host}:{runner.addresses[0][1]}", runner, wire.forwarder)


class Wire:
    """Requests to answers."""

    def __init__(self, api: MemoryApi, log_of: LogOf) -> None:
        self._api = api
        self._log_of = log_of
        self._rng = random.Random()
        self.forwarder = forward.Forwarder()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer one request; whatever goes wrong is a Status."""
        try:
            guard(request)
            if request.method == "GET" and (document := fixed(request)) is not None:
                return document
            about = paths.target(request.path)
            if about is None:
                return unknown(request.path)
            return await self._act(request, about)
        except Refused as refused:
            return refusal(refused, request.get(WARNINGS))
        except web.HTTPRequestEntityTooLarge:
            return refusal(refusals.too_large(f"Request entity too large: limit is {REQUEST_BYTES}"))
        except Exception:
            log.exception("Could not answer a request", extra={"method": request.method, "path": request.path})
            return refusal(refusals.Refusal(500, "InternalError", INTERNAL, None))

    async def _act(self, request: web.Request, about: Target) -> web.StreamResponse:
        if about.type.gvk in REVIEWS and request.method == "POST":
            sent = bodies.read_any(await request.read(), request.content_type)
            return answered(reviews.answer(about.type.gvk.kind, sent), status=201)
        verb = paths.verb(about, request.method, is_watch=request.query.get("watch") in options.TRUE)
        if verb is None:
            raise refusals.method_not_allowed()
        match about.part:
            case "proxy":
                return await self.forwarder.forward(request, forward.address(self._api, about), about.rest)
            case "log":
                return await self._log(request, about)
            case "scale":
                return await self._scale(request, about, verb)
        match verb:
            case "get":
                return self._object(request, about, verbs.get(self._api, about))
            case "list":
                return self._list(request, about)
            case "watch":
                return await self._watch(request, about)
            case "delete" | "deletecollection":
                return await self._delete(request, about)
        return await self._write(request, about, verb)

    async def _write(self, request: web.Request, about: Target, verb: str) -> web.Response:
        text = await request.read()
        if verb == "patch":
            how = written(request, "PatchOptions")
            after, is_new = self._patched(request, about, bodies.read_patch(text, request.content_type), how)
            return self._object(request, about, after, status=201 if is_new else 200)
        how = written(request, "CreateOptions" if verb == "create" else "UpdateOptions")
        sent, doubled = bodies.read(text, request.content_type, about.type)
        verbs.tell(about, doubled, how)
        if verb == "create":
            return self._object(request, about, verbs.create(self._api, about, sent, how), status=201)
        return self._object(request, about, verbs.update(self._api, about, sent, how))

    def _patched(self, request: web.Request, about: Target, sent: Any, how: Options) -> tuple[Object, bool]:
        if request.content_type == options.APPLY:
            return verbs.apply(self._api, about, sent, how)
        if request.content_type == refusals.STRATEGIC and not about.type.is_ours:
            schema = verbs.schema_of(about)
            told = printed(sent)
            return verbs.patch(self._api, about, lambda live: patches.strategic(live, sent, schema), how, told), False
        patched = PATCHES.get(request.content_type)
        if patched is None:
            raise refusals.no_patch(about.type)
        return verbs.patch(self._api, about, lambda live: patched(live, sent), how), False

    async def _scale(self, request: web.Request, about: Target, verb: str) -> web.Response:
        live = verbs.get(self._api, about)
        if verb == "get":
            return answered(scale.of(live))
        text, how = await request.read(), written(request, "UpdateOptions")
        sent = bodies.read_any(text, request.content_type)
        if verb == "patch":
            sent = PATCHES.get(request.content_type, patches.merge)(scale.of(live), sent)
        return answered(scale.of(verbs.update(self._api, about, scale.scaled(live, sent), how)))

    async def _delete(self, request: web.Request, about: Target) -> web.Response:
        sent = bodies.read_any(await request.read(), request.content_type)
        asked = options.of_delete(request.query, sent)
        how = Options("", dry_run=bool(asked.get("dryRun")))
        if about.name:
            gone = verbs.delete(self._api, about, asked, how)
            return deleted(about, *gone, how.warnings)
        found = verbs.select(self._api, about, selected(request, about))
        for raw in found:
            one = Target(about.type, raw["metadata"].get("namespace", ""), raw["metadata"]["name"])
            with contextlib.suppress(refusals.Refusal):
                # What went with another needs no deletion.
                verbs.delete(self._api, one, asked, how)
        return self._page(request, about, pages.Page(found, self._api.version))

    def _object(self, request: web.Request, about: Target, raw: Object, *, status: int = 200) -> web.Response:
        return answered(self._shape(request, about).one(raw), status=status, warnings=request.get(WARNINGS))

    def _list(self, request: web.Request, about: Target) -> web.Response:
        query, kind = request.query, about.type.gvk.kind
        version = options.version(query, is_watch=False)
        selects = selected(request, about)
        token = pages.token_of(query["continue"]) if query.get("continue") else None
        if token is not None:
            version = token.version
            there = pages.as_of(self._api, kind, version, pages.PAGE_TOO_OLD)
        elif query.get("resourceVersionMatch") == "Exact":
            there = pages.as_of(self._api, kind, version, pages.LIST_TOO_OLD)
        else:
            version = self._api.version
            there = self._api.all(kind)
        found = [raw for raw in there if about.holds(raw) and selects(raw)]
        return self._page(request, about, pages.page(found, version, options.number(query, "limit"), token))

    def _page(self, request: web.Request, about: Target, page: pages.Page) -> web.Response:
        is_selected = bool(request.query.get("labelSelector") or request.query.get("fieldSelector"))
        return answered(self._shape(request, about).page(page, is_selected=is_selected))

    def _shape(self, request: web.Request, about: Target) -> shapes.Shape:
        return shapes.shape_of(request.headers.get("Accept", ""), request.query, about.type, self._api.now())

    async def _watch(self, request: web.Request, about: Target) -> web.StreamResponse:
        query = request.query
        version = options.version(query, is_watch=True)
        begins = query.get("sendInitialEvents")
        watch = watching.Watch(
            type=about.type,
            namespace=about.namespace,
            selects=selected(request, about),
            version=version,
            is_initial=begins in options.TRUE if begins is not None else version == 0,
            has_initial_end=begins in options.TRUE,
            has_bookmarks=query.get("allowWatchBookmarks") in options.TRUE,
            seconds=options.number(query, "timeoutSeconds") or None,
        )
        response = web.StreamResponse(headers={"Content-Type": documents.JSON, **HEADERS})
        await response.prepare(request)
        headings = True
        with contextlib.suppress(ClientConnectionResetError):
            async for kind, raw in watching.events(self._api, watch, self._rng):
                shape = self._shape(request, about)
                shown = shape.bookmark(raw) if kind in ("BOOKMARK", "ERROR") else shape.one(raw, headings=headings)
                headings = False
                await response.write(dumped({"type": kind, "object": raw if kind == "ERROR" else shown}))
        return response

    async def _log(self, request: web.Request, about: Target) -> web.StreamResponse:
        pod = verbs.get(self._api, about)
        asked = logs.query_of(request.query)
        container = logs.container_of(pod, request.query.get("container", ""))
        file = self._log_of(about.namespace, about.name, container, is_previous=asked.is_previous)
        if file is None:
            raise logs.nothing(pod, container, is_previous=asked.is_previous)

        def is_running() -> bool:
            live = self._api.find("Pod", about.namespace, about.name)
            return live is not None and live["metadata"]["uid"] == pod["metadata"]["uid"] and logs.runs(live, container)

        response = web.StreamResponse(headers={"Content-Type": "text/plain", **HEADERS})
        await response.prepare(request)
        with contextlib.suppress(ClientConnectionResetError):
            async for piece in logs.read(file, asked, is_running):
                await response.write(piece)
        return response


def fixed(request: web.Request) -> web.Response | None:
    """Return a document that is the same for everybody, if the path names one."""
    found = documents.fixed(request.path, request.headers.get("Accept", ""), request.host)
    return None if found is None else web.Response(body=found.body, headers={"Content-Type": found.content, **HEADERS})


def unknown(path: str) -> web.Response:
    """Return the answer to a path that names nothing; groups of built-in types have one of their own."""
    match path.split("/"):
        case ["", "api", "v1", *_]:
            return refusal(refusals.unknown_path())
        case ["", "apis", group, version, *_] if version == "v1" and "v1" in types.GROUPS.get(group, ()):
            return refusal(refusals.unknown_path())
    return web.Response(status=404, text="404 page not found\n")


def guard(request: web.Request) -> None:
    """Refuse what a web page may have sent: to another host's name, with an Origin, or as a browser marks it."""
    name = request.headers.get("Host", "")
    name = name if name.endswith("]") else name.rpartition(":")[0] or name
    # A person who types the address into a browser is no site.
    is_page = "Origin" in request.headers or request.headers.get("Sec-Fetch-Site", "none") != "none"
    if name not in LOOPBACK or is_page:
        said = "this API answers programs on this machine only: by the name 127.0.0.1 or localhost, and no web page"
        raise refusals.Refusal(403, "Forbidden", said, {})


def selected(request: web.Request, about: Target) -> Callable[[Object], bool]:
    """Return what the selectors of a request select."""
    by_label = selectors.labels(request.query.get("labelSelector", ""))
    by_field = selectors.fields(request.query.get("fieldSelector", ""), about.type)
    return lambda raw: by_label(raw) and by_field(raw)


def written(request: web.Request, kind: str) -> Options:
    """Return how a write is asked for."""
    how = options.of_write(kind, request.query, request.headers.get("User-Agent", ""), request.content_type)
    request[WARNINGS] = how.warnings
    return how


def deleted(about: Target, raw: Object, is_gone: bool, warnings: list[str]) -> web.Response:
    """Return the answer to a delete: that it is gone, or what is left of it."""
    if not is_gone or about.type.gvk.kind in verbs.RETURNED:
        return answered(events.seen_as(raw, about.type.gvk), warnings=warnings)
    group = {"group": about.type.gvk.group} if about.type.gvk.group else {}
    details = {"name": about.name, **group, "kind": about.type.gvk.plural, "uid": raw["metadata"]["uid"]}
    status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}
    return answered(status, warnings=warnings)


def refusal(refused: Refused, warnings: list[str] | None = None) -> web.Response:
    """Return a refusal as a Status."""
    return answered(refusals.status(refused), status=refused.code, warnings=warnings)


def answered(
    body: Object, *, status: int = 200, content: str = documents.JSON, warnings: list[str] | None = None
) -> web.Response:
    """Return an answer as JSON."""
    response = web.Response(body=dumped(body), status=status, headers={"Content-Type": content, **HEADERS})
    for warning in warnings or ():
        quoted = warning.replace("\\", "\\\\").replace('"', '\\"')
        response.headers.add("Warning", f'299 - "{quoted}"')
    return response


def dumped(body: Object) -> bytes:
    """Return a line of JSON."""
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
