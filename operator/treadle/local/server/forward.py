"""The proxies of the API: requests to a pod, or to a ready pod of a Service, go to its address on loopback."""

import ipaddress
from typing import Any

import aiohttp
from aiohttp import web

from treadle.control.engine.objects import is_deleting
from treadle.control.engine.ports import POD
from treadle.local.server import refusals
from treadle.local.server.api import MemoryApi
from treadle.local.server.cells import found
from treadle.local.server.paths import Target

type Object = dict[str, Any]

TIMEOUT_SECONDS = 300.0
HOP = frozenset(
    {"connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer", "transfer-encoding",
     "upgrade", "host", "content-length", "content-encoding", "accept-encoding"}
)  # fmt: skip
"""Headers of one connection, which are not passed on."""


class Forwarder:
    """Passes requests on and answers back; one session for all."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def forward(self, request: web.Request, url: str, path: str) -> web.StreamResponse:
        """Pass a request on to the same path below a URL, and its answer back as it comes."""
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
            self._session = aiohttp.ClientSession(timeout=timeout, trust_env=False, auto_decompress=False)
        target = f"{url}{path}" + (f"?{request.query_string}" if request.query_string else "")
        try:
            async with self._session.request(
                request.method,
                target,
                data=await request.read(),
                headers=_passed(request.headers),
                allow_redirects=False,
            ) as answer:
                response = web.StreamResponse(status=answer.status, headers=_passed(answer.headers))
                await response.prepare(request)
                async for piece in answer.content.iter_any():
                    await response.write(piece)
                return response
        except (aiohttp.ClientConnectionError, TimeoutError) as problem:
            raise refusals.unavailable(f"error trying to reach service: {problem}") from problem

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()


def address(api: MemoryApi, about: Target) -> str:
    """Return the URL of a pod, or of a ready pod of a Service; NAME, NAME:PORT or http:NAME:PORT."""
    scheme, name, port = _split(about.name)
    if scheme not in ("", "http"):
        raise refusals.bad_request(f"invalid scheme {scheme!r}: local pods speak http")
    live = api.find(about.type.gvk.kind, about.namespace, name)
    if live is None:
        raise refusals.not_found(about.type, name)
    pod, number = (live, _pod_port(live, port)) if about.type.gvk == POD else _of_service(api, live, port)
    host = found(pod, ".status.podIP")
    if not host:
        raise refusals.unavailable(f"pod {pod['metadata']['name']} has no address yet")
    if not _is_here(host):
        # Whoever can write a pod's status shall not reach other machines through this one.
        raise refusals.forbidden(about.type, name, f"{host} is no address of this machine")
    return f"http://{host}:{number}"


def _of_service(api: MemoryApi, service: Object, port: str) -> tuple[Object, int]:
    """Return a ready pod of a Service, and the port that the Service's port means there."""
    metadata = service["metadata"]
    ports = service["spec"].get("ports") or []
    wanted = next((each for each in ports if port in ("", each.get("name"), str(each["port"]))), None)
    if wanted is None:
        raise refusals.unavailable(f'no service port "{port}" found for service "{metadata["name"]}"')
    selector = (service["spec"].get("selector") or {}).items()
    for pod in api.all("Pod", metadata["namespace"]):
        is_ready = found(pod, ".status.conditions[?(@.type=='Ready')].status") == "True"
        # A pod on its way out still answers what it has, and is no endpoint any more.
        if is_ready and not is_deleting(pod) and selector <= (pod["metadata"].get("labels") or {}).items():
            return pod, _pod_port(pod, str(wanted.get("targetPort", wanted["port"])))
    raise refusals.unavailable(f'no endpoints available for service "{metadata["name"]}"')


def _pod_port(pod: Object, port: str) -> int:
    """Return the number of a port: named by one of the containers, the first of the pod's for none."""
    ports = [each for container in pod["spec"]["containers"] for each in container.get("ports") or ()]
    named = next((each["containerPort"] for each in ports if port in ("", each.get("name"))), None)
    if named is None and not port.isdigit():
        raise refusals.unavailable(f"pod {pod['metadata']['name']} has no port {port!r}")
    return int(named if named is not None else port)


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _split(name: str) -> tuple[str, str, str]:
    match name.split(":"):
        case [scheme, name, port]:
            return scheme, name, port
        case [name, port]:
            return "", name, port
    return "", name, ""


def _passed(headers: Any) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() not in HOP}
