"""Watches the four kinds and their children; the only module importing kopf."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

import kopf

from treadle.api.names import LABEL_MANAGED_BY, MANAGER
from treadle.control.engine.ports import CHILDREN, OURS, Gvk
from treadle.control.kube import Credentials
from treadle.control.settings import Settings

log = logging.getLogger(__name__)

CONNECT_SECONDS = 5.0
REQUEST_SECONDS = 30.0
EXITING_SECONDS = 30.0

type Health = Callable[[], tuple[Mapping[str, float], str]]
"""Facts, and the sentence about what is wrong, empty while all is well."""
type Login = Callable[[], Awaitable[Credentials]]


class Told(Protocol):
    """Told of every event: the type, the object's place, its body, and whether it was deleted."""

    def __call__(self, gvk: Gvk, namespace: Any, name: Any, body: Any, *, is_gone: bool) -> None: ...


def registry(told: Told, health: Health, login: Login) -> kopf.OperatorRegistry:
    """Return the handlers: each only tells the operator, which adds keys."""
    handlers = kopf.OperatorRegistry()

    async def connect(**_: Any) -> kopf.ConnectionInfo | None:
        return await connection(login)

    def changed(gvk: Gvk) -> Callable[..., Awaitable[None]]:
        async def tell(namespace: str | None, name: str | None, body: kopf.Body, type: str | None, **_: Any) -> None:
            told(gvk, namespace, name, body, is_gone=type == "DELETED")

        return tell

    async def probe(**_: Any) -> dict[str, float]:
        facts, problem = health()
        if problem:
            # Any other error is retried after a minute, while the kubelet's request hangs.
            raise kopf.PermanentError(problem)
        return dict(facts)

    kopf.on.login(id="login", registry=handlers)(connect)
    for gvk in (*OURS, *CHILDREN):
        kopf.on.event(gvk.group, gvk.version, gvk.plural, id=f"watch-{gvk.plural}", registry=handlers)(changed(gvk))
    kopf.on.probe(id="engine", registry=handlers)(probe)
    return handlers


async def connection(login: Login) -> kopf.ConnectionInfo | None:
    """Return how to connect, or None, which ends kopf: with a login that raises it would idle for ever."""
    try:
        found = await login()
    except Exception:
        log.exception("Could not log in")
        return None
    return kopf.ConnectionInfo(
        server=found.server,
        ca_path=found.ca_path,
        token=found.token,
        certificate_path=found.certificate_path,
        private_key_path=found.private_key_path,
    )


def operator_settings(settings: Settings) -> kopf.OperatorSettings:
    """Return kopf's settings; what is not set here keeps its default on purpose."""
    chosen = kopf.OperatorSettings()
    chosen.peering.standalone = True
    chosen.posting.enabled = False
    chosen.scanning.disabled = bool(settings.watch_namespaces)
    chosen.networking.connect_timeout = CONNECT_SECONDS
    chosen.networking.request_timeout = REQUEST_SECONDS
    chosen.process.ultimate_exiting_timeout = EXITING_SECONDS
    for gvk in CHILDREN:
        # Other people's Jobs never arrive.
        chosen.watching.label_selectors[gvk.group, gvk.version, gvk.plural] = f"{LABEL_MANAGED_BY}={MANAGER}"
    return chosen


async def watch(handlers: kopf.OperatorRegistry, settings: Settings, stop: asyncio.Event, ready: asyncio.Event) -> None:
    """Run kopf until `stop` is set, or until it ends by itself, which is for the process to follow."""
    # One line for every event delivered otherwise.
    logging.getLogger("kopf.objects").setLevel(logging.WARNING)
    await kopf.operator(
        registry=handlers,
        settings=operator_settings(settings),
        # Never used without peering, but kopf would ask the system for a user name, which a container has not.
        identity=settings.identity,  # type: ignore[arg-type]  # its type is not exported
        standalone=True,
        clusterwide=not settings.watch_namespaces,
        namespaces=settings.watch_namespaces,
        stop_flag=stop,
        ready_flag=ready,
        liveness_endpoint=f"http://0.0.0.0:{settings.probe_port}/healthz",
    )
