"""Kubelet on processes: what the API says of Pods is done here, and what becomes of them is written there.

    Pods, Secrets, ConfigMaps                 status of Pods
              |                                     ^
      MemoryApi.subscribe                      write_status
              v                                     |
           Kubelet ------ a Runner for each pod that is not over
           |     |                        |
     addresses  memory         lifecycle.due: what starts, what ends
                                          |
       poddir, mounts, environment ---> supervised ---> supervisor ---> the program
                                          |
                                   probes, grace, log

A pod is a group of processes, each container's below a supervisor. Of a container there remain: program, arguments,
environment, mounts as links, a memory limit, probes, restarts, signals, grace, termination message, and an address of
its own. There are no namespaces, no users and no read-only root: a pod sees this machine as its user does.
"""

import asyncio
import logging
import os
import signal
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Any

from treadle.control.engine.objects import is_deleting
from treadle.control.engine.ports import POD, Object
from treadle.local.kubelet import memory, podstatus
from treadle.local.kubelet.addresses import Addresses
from treadle.local.kubelet.lifecycle import grace_seconds
from treadle.local.kubelet.poddir import PodDirectory
from treadle.local.kubelet.podstatus import TERMINATED
from treadle.local.kubelet.runner import MOUNTED, RETRY_SECONDS, Runner
from treadle.local.recorder import forget
from treadle.local.server.api import Change, MemoryApi
from treadle.local.told import is_over
from treadle.local.writing import take_away, write_status

log = logging.getLogger(__name__)

SAMPLE_SECONDS = 0.5
EVENTS_SECONDS = 60.0
CLOSE_SECONDS = 10.0
"""How long a pod may take to end when the cluster does; a server stores its log meanwhile."""
NO_ADDRESS = "0/1 nodes are available: 1 Too many pods: every loopback address of this node is in use."


class Kubelet:
    """Runs the pods of an API below one directory."""

    def __init__(self, api: MemoryApi, root: Path, *, own: Mapping[str, str] = os.environ) -> None:
        self._api, self._root, self._own = api, root, own
        self._addresses = Addresses()
        self._runners: dict[str, Runner] = {}
        """By the pod's uid."""
        self._pods: dict[Path, asyncio.Task[None]] = {}
        """The latest pod of each directory."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._failed: asyncio.Future[None] | None = None

    async def run(self) -> None:
        """Run the pods until cancelled, after which `close` ends them; the error of any part ends it."""
        self._addresses.open()
        self._failed = asyncio.get_running_loop().create_future()
        told: asyncio.Queue[Change] = asyncio.Queue()
        self._api.subscribe(told)
        await self._take_over()
        self._spawn(self._follow(told))
        self._spawn(self._watch_memory())
        self._spawn(self._forget_events())
        await self._failed

    async def close(self) -> None:
        """End all pods in good order, and say in their status that it was not their fault."""
        for runner in self._runners.values():
            runner.end(TERMINATED, min(CLOSE_SECONDS, grace_seconds(runner.pod)))
        pods = [task for task in self._pods.values() if not task.done()]
        if pods:
            await asyncio.wait(pods)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._addresses.close()

    def log_of(self, namespace: str, pod: str, container: str, *, is_previous: bool = False) -> Path | None:
        """Return the log of a container's current run, or of the one before; None where there is none."""
        log = PodDirectory(self._root / f"{namespace}_{pod}").log(container, is_previous=is_previous)
        return log if log.is_file() else None

    async def _take_over(self) -> None:
        """Mark what ran under a former process as lost, and begin with what never ran."""
        pods = await self._api.list(POD)
        known = {self._directory(pod).path for pod in pods}
        for left in self._root.iterdir() if self._root.is_dir() else ():
            if left not in known:
                PodDirectory(left).remove()
        for pod in pods:
            self._directory(pod).clear()
            if (pod.get("status") or {}).get("startTime") and not is_over(pod) and not is_deleting(pod):
                await write_status(self._api, POD, pod, podstatus.lost(pod, self._api.now()))
            else:
                await self._told(Change("ADDED", pod))

    async def _follow(self, told: asyncio.Queue[Change]) -> None:
        while True:
            change = await told.get()
            kind, metadata = change.object["kind"], change.object["metadata"]
            if kind == "Pod":
                await self._told(change)
            elif kind in MOUNTED:
                for runner in self._runners.values():
                    runner.refresh(kind, metadata["namespace"], metadata["name"])

    async def _told(self, change: Change) -> None:
        """Begin a pod, end it, or take it away."""
        pod = change.object
        runner = self._runners.get(pod["metadata"]["uid"])
        is_gone = change.type == "DELETED"
        if runner is not None:
            runner.pod = pod
            if is_gone or is_deleting(pod):
                runner.end(None, grace_seconds(pod))
        elif is_gone:
            # Of a pod that has its name now, this is no part.
            if self._directory(pod).path not in self._pods:
                self._directory(pod).remove()
        elif is_deleting(pod):
            take_away(self._api, pod)
        elif not is_over(pod):
            self._begin(pod)

    def _begin(self, pod: Object) -> None:
        directory = self._directory(pod)
        runner = self._runners[pod["metadata"]["uid"]] = Runner(self._api, directory, pod, self._own)
        self._pods[directory.path] = self._spawn(self._run(runner, self._pods.get(directory.path)))

    async def _run(self, runner: Runner, before: asyncio.Task[None] | None) -> None:
        """Run one pod, after the one that had its name."""
        if before is not None:
            await asyncio.wait((before,))
        address = await self._address(runner)
        try:
            await runner.run(address, self._addresses.node)
        except Exception as problem:
            log.exception("Could not run a pod", extra={"pod": runner.directory.path.name})
            await runner.give_up(problem)
        finally:
            del self._runners[runner.uid]
            self._addresses.give_back(address)
            if self._pods[runner.directory.path] is asyncio.current_task():
                del self._pods[runner.directory.path]
        live = await runner.live()
        if live is None:
            runner.directory.remove()
        elif is_deleting(live):
            take_away(self._api, live)

    async def _address(self, runner: Runner) -> str:
        while (address := self._addresses.take()) is None and not runner.is_ending:
            waits = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": NO_ADDRESS}
            await write_status(self._api, POD, runner.pod, {"phase": "Pending", "conditions": [waits]})
            await asyncio.sleep(RETRY_SECONDS)
        return address or ""

    async def _watch_memory(self) -> None:
        """End what uses more than its limit, as a cgroup does."""
        while True:
            await asyncio.sleep(SAMPLE_SECONDS)
            limited = [pair for runner in self._runners.values() for pair in runner.limited()]
            for process, limit in limited:
                if await asyncio.to_thread(memory.used, process.supervisor_pid, limit) > limit:
                    process.is_out_of_memory = True
                    process.send(signal.SIGKILL)

    async def _forget_events(self) -> None:
        while True:
            await forget(self._api)
            await asyncio.sleep(EVENTS_SECONDS)

    def _directory(self, pod: Object) -> PodDirectory:
        return PodDirectory(self._root / f"{pod['metadata']['namespace']}_{pod['metadata']['name']}")

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if self._failed is None or self._failed.done() or task.cancelled():
            return
        if (error := task.exception()) is not None:
            self._failed.set_exception(error)
