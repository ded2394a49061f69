"""A cluster in one process: API, operator, controllers and kubelet, on one loop, until a signal.

           kubectl, treadle …
                  | HTTP on loopback
    server/  wire --- MemoryApi --- watch.py --- the operator
                      |      \\
    controllers/  Jobs,     state.py: every change, on disk
                  Deployments
                      | Pods
    kubelet/      processes --- treadle ingest | train | monitor | serve
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from treadle import __version__
from treadle.control import logs
from treadle.control.kinds import KINDS
from treadle.control.operate import Operator, operate
from treadle.control.pods import HttpPods
from treadle.control.settings import Settings
from treadle.local import secrets
from treadle.local.controllers.deployments import run_deployments
from treadle.local.controllers.jobs import run_jobs
from treadle.local.kubelet.processes import Kubelet
from treadle.local.schema.admit import schemas
from treadle.local.server.api import Change, MemoryApi, namespace
from treadle.local.server.wire import serve
from treadle.local.state import Folder, Objects, Unusable, kubeconfig, used
from treadle.local.watch import Watching

log = logging.getLogger(__name__)

HOST = "127.0.0.1"
SYSTEM_NAMESPACE = "treadle-system"

SETTINGS = Settings(
    image_registry="local",
    image_tag=__version__,
    lease_namespace=SYSTEM_NAMESPACE,
    # The folder is held by one process, so the Lease that a former one left is this one's.
    identity="treadle-up",
    metrics_port=0,
)


@dataclass(frozen=True, slots=True)
class Running:
    """A cluster that runs: its API, and where that answers."""

    api: MemoryApi
    url: str
    folder: Folder


type Act = Callable[[Running], Coroutine[Any, Any, None]]
"""What goes on while the cluster runs; an error of it ends the cluster."""


async def up(folder: Folder, port: int, namespaces: Sequence[str], act: Act) -> int:
    """Run the cluster whose state is in a folder until a signal (0), or until a part of it fails (1).

    port: of the API on loopback; 0 takes a free one. namespaces: made if they are missing, each with its Secrets;
    the first is the kubeconfig's. Raises Unusable for a folder or a port that cannot be had.
    """
    with used(folder) as objects, folder.log.open("a", encoding="utf-8") as lines:
        logs.configure(SETTINGS.log_level, lines)
        api = MemoryApi(schemas=schemas())
        api.restore(*objects.load())
        told: asyncio.Queue[Change] = asyncio.Queue()
        api.subscribe(told)
        kubelet = Kubelet(api, folder.pods)
        try:
            server = await serve(api, HOST, port, log_of=kubelet.log_of)
        except OSError as error:
            raise Unusable(f"port {port} of {HOST} cannot be had: {error.strerror}; take another: --port N") from error
        keeping = asyncio.create_task(keep(told, objects), name="the state's keeper")
        await prepare(api, folder, namespaces)
        folder.kubeconfig.write_text(kubeconfig(server.url, namespaces[0]), encoding="utf-8")
        pods = HttpPods(SETTINGS.pod_timeout_seconds)
        operator = Operator(KINDS, api, pods, SETTINGS)
        tasks = [
            asyncio.create_task(part, name=name)
            for name, part in (
                ("the kubelet", kubelet.run()),
                ("the Job controller", run_jobs(api)),
                ("the Deployment controller", run_deployments(api)),
                ("the view", act(Running(api, server.url, folder))),
            )
        ]
        for task in (keeping, *tasks):
            task.add_done_callback(lambda done: end_with(operator, done))
        try:
            return await operate(operator, Watching(api))
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await kubelet.close()
            await server.close()
            await pods.close()
            # Last, so that what the others wrote at their end is kept too.
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)


def end_with(operator: Operator, done: asyncio.Task[None]) -> None:
    """End the operator when a part of the cluster has ended by itself."""
    if done.cancelled():
        return
    if (bug := done.exception()) is not None:
        log.error("A part of the cluster ended", exc_info=bug)
    operator.fail(f"{done.get_name()} ended: {bug or 'it should not'}")


async def keep(told: asyncio.Queue[Change], objects: Objects) -> None:
    """Write each change to disk, those that are waiting together."""
    try:
        while True:
            objects.keep([await told.get(), *waiting(told)])
    finally:
        objects.keep(waiting(told))


def waiting(told: asyncio.Queue[Change]) -> list[Change]:
    """Return what is in a queue at this moment."""
    return [told.get_nowait() for _ in range(told.qsize())]


async def prepare(api: MemoryApi, folder: Folder, namespaces: Sequence[str]) -> None:
    """Make the namespaces that are missing, and in those of people the Secrets that are."""
    for name in ("default", "kube-system", SYSTEM_NAMESPACE, *namespaces):
        await api.create(namespace(name))
    for name in namespaces:
        for made in secrets.for_namespace(name, folder.buckets):
            await api.create(made)
