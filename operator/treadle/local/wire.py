"""The API in memory as a Kubernetes API server on loopback; what kubectl and the operator's own client ask."""

import asyncio
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from aiohttp import web

from treadle.local import discovery, events, openapi, patches, refusals, selectors, tables, verbs
from treadle.local.api import Change, MemoryApi
from treadle.local.causes import Refused
from treadle.local.paths import Target, target
from treadle.local.verbs import Options

type Object = dict[str, Any]
type LogOf = Callable[[str, str, str], Path | None]

LOOPBACK = ("localhost", "[::1]")
LIMIT_BYTES = 3 * 1024 * 1024
BOOKMARK_SECONDS = 60.0
SHUTDOWN_SECONDS = 1.0
APPLY = "application/apply-patch+yaml"
PATCHES: dict[str, Callable[[Any, Any], Any]] = {
    "application/json-patch+json": patches.json_patch,
    "application/merge-patch+json": patches.merge,
    refusals.STRATEGIC: patches.merge,
}


@dataclass(frozen=True, slots=True)
class Server:
    """A server that answers."""

    url: str
    _runner: web.AppRunner

    async def close(self) -> None:
        """End every request, and give the port back."""
        await self._runner.cleanup()


async def serve(api: MemoryApi, host: str, port: int, *, log_of: LogOf) -> Server:
    """Answer on a loopback address; port 0 takes a free one. OSError where the port is taken."""
    application = web.Application(client_max_size=LIMIT_BYTES)
    wire = Wire(api, log_of)
    application.router.add_route("*", "/{path:.*}", wire.answer)
    runner = web.AppRunner(application, access_log=None, handler_cancellation=True, shutdown_timeout=SHUTDOWN_SECONDS)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError:
        await runner.cleanup()
        raise
    return Server(f"http://{host}:{runner.addresses[0][1]}", runner)


class Wire:
    """Requests to answers."""

    def __init__(self, api: MemoryApi, log_of: LogOf) -> None:
        self._api = api
        self._log_of = log_of

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        found = None
        try:
            guard(request)
            if (fixed := self._document(request)) is not None:
                return fixed
            found = target(request.path)
            if found is None:
                return web.Response(status=404, text="404 page not found\n")
            return await self._act(request, found)
        except Refused as refused:
            about = found.type if found else None
            return answered(refusals.status(refused, about, found.name if found else ""), status=refused.code)

    def _document(self, request: web.Request) -> web.Response | None:
        path = request.path.rstrip("/")
        accept = request.headers.get("Accept", "")
        if path in ("/api", "/apis"):
            if "as=APIGroupDiscoveryList" in accept and "v=v2;" in accept:
                return answered(discovery.aggregated(core=path == "/api"), content=discovery.AGGREGATED)
            return answered(discovery.core_versions(request.host) if path == "/api" else discovery.groups())
        match path.split("/"):
            case ["", "version"]:
                return answered(discovery.VERSION)
            case ["", "healthz" | "livez" | "readyz"]:
                return web.Response(text="ok")
            case ["", "openapi", "v2"]:
                return answered(openapi.whole())
            case ["", "openapi", "v3"]:
                return answered(openapi.index())
            case ["", "openapi", "v3", *rest] if (document := openapi.document("/".join(rest))) is not None:
                return answered(document)
            case ["", "api", "v1"]:
                return answered(discovery.resources("", "v1") or {})
            case ["", "apis", name] if (group := discovery.group(name)) is not None:
                return answered(group)
            case ["", "apis", name, version] if (resources := discovery.resources(name, version)) is not None:
                return answered(resources)
        return None

    async def _act(self, request: web.Request, about: Target) -> web.StreamResponse:
        query = request.query
        match request.method, bool(about.name):
            case "GET", True if about.part == "log":
                raise refusals.method_not_allowed()
            case "GET", True:
                return self._object(request, about, verbs.get(self._api, about))
            case "GET", False:
                if query.get("watch") in ("1", "true"):
                    return await self._watch(request, about)
                return self._list(request, about)
            case "POST", False:
                sent = body_of(await request.read())
                return self._object(request, about, verbs.create(self._api, about, sent, options(request)), 201)
            case "PUT", True:
                sent = body_of(await request.read())
                return self._object(request, about, verbs.update(self._api, about, sent, options(request)))
            case "PATCH", True:
                return self._object(request, about, await self._patch(request, about))
            case "DELETE", True:
                verbs.delete(self._api, about)
                return answered({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"})
        raise refusals.method_not_allowed()

    async def _patch(self, request: web.Request, about: Target) -> Object:
        sent = body_of(await request.read())
        if request.content_type == APPLY:
            return verbs.apply(self._api, about, sent, options(request))
        patched = PATCHES.get(request.content_type)
        if patched is None:
            raise refusals.unsupported(refusals.PATCH_TYPES)
        return verbs.patch(self._api, about, lambda live: patched(live, sent), options(request))

    def _object(self, request: web.Request, about: Target, raw: Object, status: int = 200) -> web.Response:
        seen = events.seen_as(raw, about.type.gvk)
        match shape(request):
            case "Table":
                include = request.query.get("includeObject", "Metadata")
                shown = tables.table([seen], about.type, self._api.now(), include=include)
                shown["metadata"] = {"resourceVersion": raw["metadata"]["resourceVersion"]}
            case "PartialObjectMetadata":
                shown = tables.partial(seen)
            case _:
                shown = seen
        return answered(shown, status=status)

    def _list(self, request: web.Request, about: Target) -> web.Response:
        gvk = about.type.gvk
        found = [events.seen_as(raw, gvk) for raw in verbs.select(self._api, about, selected(request, about))]
        metadata = {"resourceVersion": str(self._api.version)}
        match shape(request):
            case "Table":
                include = request.query.get("includeObject", "Metadata")
                shown = tables.table(found, about.type, self._api.now(), include=include)
            case "PartialObjectMetadataList":
                items = [tables.partial(raw) for raw in found]
                shown = {"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "items": items}
            case _:
                shown = {"kind": f"{gvk.kind}List", "apiVersion": gvk.api_version, "items": found}
        return answered({**shown, "metadata": metadata})

    async def _watch(self, request: web.Request, about: Target) -> web.StreamResponse:
        query, gvk = request.query, about.type.gvk
        selects = selected(request, about)
        told: asyncio.Queue[Change] = asyncio.Queue()
        self._api.subscribe(told)
        try:
            version = query.get("resourceVersion", "")
            response = web.StreamResponse(
                headers={"Content-Type": "application/json", "Cache-Control": "no-cache, private"}
            )
            await response.prepare(request)
            if version in ("", "0") or query.get("sendInitialEvents") == "true":
                past = [Change("ADDED", raw) for raw in self._api.all(gvk.kind)]
            else:
                past = self._api.since(int(version)) or []
            with suppress(TimeoutError):
                async with asyncio.timeout(float(query.get("timeoutSeconds", "3600"))):
                    for change in past:
                        await self._tell(response, request, about, change, selects)
                    while True:
                        await self._tell(response, request, about, await told.get(), selects)
            return response
        finally:
            self._api.unsubscribe(told)

    async def _tell(
        self,
        response: web.StreamResponse,
        request: web.Request,
        about: Target,
        change: Change,
        selects: Callable[[Object], bool],
    ) -> None:
        raw = change.object
        if raw["kind"] != about.type.gvk.kind or about.namespace not in ("", raw["metadata"].get("namespace")):
            return
        if not selects(raw):
            return
        shown = events.seen_as(raw, about.type.gvk)
        if shape(request) == "Table":
            shown = tables.table(
                [shown], about.type, self._api.now(), include=request.query.get("includeObject", "Metadata")
            )
        await response.write(json.dumps({"type": change.type, "object": shown}).encode() + b"\n")


def guard(request: web.Request) -> None:
    """Refuse what a web page may have sent: another host's name, or an Origin."""
    host = request.headers.get("Host", "")
    name = host if host.endswith("]") else host.rpartition(":")[0] or host
    if "Origin" in request.headers or not (name in LOOPBACK or name.startswith("127.")):
        raise refusals.Refusal(403, "Forbidden", f"this API answers on loopback only, not for {host!r}", {})


def shape(request: web.Request) -> str:
    """Return the form that a client wants an object in: Table, PartialObjectMetadata, or plain."""
    for each in request.headers.get("Accept", "").split(","):
        parameters = dict(part.strip().partition("=")[::2] for part in each.split(";")[1:])
        if parameters.get("g") == "meta.k8s.io" and parameters.get("v") == "v1":
            return parameters.get("as", "")
    return ""


def selected(request: web.Request, about: Target) -> Callable[[Object], bool]:
    """Return what the selectors of a request select."""
    by_label = selectors.labels(request.query.get("labelSelector", ""))
    by_field = selectors.fields(request.query.get("fieldSelector", ""), about.type)
    return lambda raw: by_label(raw) and by_field(raw)


def options(request: web.Request) -> Options:
    """Return how a write is asked for."""
    query: Mapping[str, str] = request.query
    agent = request.headers.get("User-Agent", "unknown").partition("/")[0]
    return Options(
        manager=query.get("fieldManager") or agent,
        force=query.get("force") == "true",
        dry_run=query.get("dryRun") == "All",
        validation=query.get("fieldValidation") or "Warn",
    )


def body_of(text: bytes) -> Any:
    """Return a body, JSON or YAML."""
    try:
        return json.loads(text)
    except ValueError:
        return yaml.safe_load(text)


def answered(body: Object, *, status: int = 200, content: str = "application/json") -> web.Response:
    """Return an answer as JSON."""
    return web.Response(
        body=json.dumps(body).encode() + b"\n",
        status=status,
        headers={"Content-Type": content, "Cache-Control": "no-cache, private"},
    )
