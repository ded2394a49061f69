"""Kubelet on processes: what the API says of Pods is done here, and what becomes of them is written there.

    Pods, Secrets, ConfigMaps             status of Pods
              |                                 ^
      MemoryApi.subscribe                  write_status
              v                                 |
           Kubelet ------ a Runner for each pod that is not over
           |     |                      |
     addresses  memory       lifecycle.due: what starts, what ends
                                        |
          mounts, environment ---> supervised.Process ---> supervisor ---> the program
                                        |
                                  probes, grace, log

A pod is a group of processes below one supervisor per container. Of a container there remain: program, arguments,
environment, mounts as links, a memory limit, probes, restarts, signals, grace and termination message, and an address
of its own. There are no namespaces, no users and no read-only root: a pod sees this machine as its user does.
"""

import asyncio
import operator
import os
import shutil
import signal
from collections.abc import Coroutine, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from treadle.control.engine.fields import quantity
from treadle.control.engine.objects import is_deleting
from treadle.control.engine.ports import CONFIG_MAP, POD, Gvk, Object
from treadle.local import lifecycle, memory, mounts, probes, supervised
from treadle.local.addresses import Addresses, trouble
from treadle.local.api import Change, MemoryApi
from treadle.local.controller import write_status
from treadle.local.environment import NoImage, Place, arguments, environment, mount_paths, references
from treadle.local.lifecycle import TERMINATED, Container, Told, due, grace_seconds, is_over
from treadle.local.mounts import Missing

NODE = "local"
SECRET = Gvk("", "v1", "Secret", "secrets")
MOUNTED = {"Secret": SECRET, "ConfigMap": CONFIG_MAP}
SAMPLE_SECONDS = 0.5
RETRY_SECONDS = 2.0
CLOSE_SECONDS = 10.0
"""How long a pod may take to end when the cluster does; a server stores its log meanwhile."""
MESSAGE_BYTES = 4096
LOG_TAIL_BYTES = 2048
HEADROOM = 2
"""Times its limit, what a container may allocate: a bound for the machine between two samples of what it uses."""

type Work = Coroutine[Any, Any, None]


class Kubelet:
    """Runs the pods of an API below one directory."""

    def __init__(self, api: MemoryApi, root: Path, *, own: Mapping[str, str] = os.environ) -> None:
        self._api, self._root, self._own = api, root, own
        self._addresses = Addresses()
        self._runners: dict[str, Runner] = {}
        """By the pod's uid."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._failed: asyncio.Future[None] | None = None

    async def run(self) -> None:
        """Run the pods until cancelled; the error of any part ends it. Then `close` ends the pods."""
        self._failed = asyncio.get_running_loop().create_future()
        told: asyncio.Queue[Change] = asyncio.Queue()
        self._api.subscribe(told)
        await self._take_over()
        self._spawn(self._follow(told))
        self._spawn(self._watch_memory())
        await self._failed

    async def close(self) -> None:
        """End all pods in good order, and say in their status that it was not their fault."""
        for runner in self._runners.values():
            runner.end(TERMINATED, CLOSE_SECONDS)
        running = [task for task in self._tasks if task.get_name().startswith("pod ")]
        if running:
            await asyncio.wait(running)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._addresses.close()

    def log_of(self, namespace: str, pod: str, container: str, *, is_previous: bool = False) -> Path | None:
        """Return the log of a container's current run, or of the one before; None where there is none."""
        log = self._root / f"{namespace}_{pod}" / f"{container}{'.previous' if is_previous else ''}.log"
        return log if log.is_file() else None

    async def _take_over(self) -> None:
        """Mark what ran under a former process as lost; begin with what never ran."""
        pods = await self._api.list(POD)
        known = {directory_name(pod) for pod in pods}
        for left in self._root.iterdir() if self._root.is_dir() else ():
            if left.name not in known:
                shutil.rmtree(left)
        for pod in pods:
            if is_deleting(pod):
                await self._api.delete(pod)
            elif (pod.get("status") or {}).get("startTime") and not is_over(pod):
                clear(self._root / directory_name(pod))
                await write_status(self._api, POD, pod, lifecycle.lost(pod, self._api.now()))
            else:
                await self._told(Change("ADDED", pod))

    async def _follow(self, told: asyncio.Queue[Change]) -> None:
        while True:
            change = await told.get()
            if change.object["kind"] == "Pod":
                await self._told(change)
            elif change.object["kind"] in MOUNTED:
                metadata = change.object["metadata"]
                for runner in self._runners.values():
                    runner.refresh(change.object["kind"], metadata["namespace"], metadata["name"])

    async def _told(self, change: Change) -> None:
        pod, uid = change.object, change.object["metadata"]["uid"]
        runner = self._runners.get(uid)
        if change.type == "DELETED":
            if runner is not None:
                runner.end(None, grace_seconds(pod))
            else:
                shutil.rmtree(self._root / directory_name(pod), ignore_errors=True)
            return
        if runner is not None:
            runner.pod = pod
            if is_deleting(pod):
                runner.end(None, grace_seconds(pod))
            return
        if is_deleting(pod):
            await self._api.delete(pod)
        elif not is_over(pod):
            name = f"pod {directory_name(pod)}"
            before = [task for task in self._tasks if task.get_name() == name]
            runner = Runner(self._api, self._root / directory_name(pod), pod, self._own)
            self._runners[uid] = runner
            self._spawn(self._run(runner, uid, before), name)

    async def _run(self, runner: "Runner", uid: str, before: list[asyncio.Task[None]]) -> None:
        """Run one pod, after the one that had its name."""
        if before:
            await asyncio.wait(before)
        address = await self._address(runner)
        try:
            await runner.run(address, self._addresses.node)
        finally:
            del self._runners[uid]
            self._addresses.give_back(address)
        live = await self._api.get(POD, runner.namespace, runner.pod["metadata"]["name"])
        is_there = live is not None and live["metadata"]["uid"] == uid
        if live is not None and is_there and is_deleting(live):
            await self._api.delete(live)
        if not is_there:
            shutil.rmtree(runner.directory, ignore_errors=True)

    async def _address(self, runner: "Runner") -> str:
        while (address := self._addresses.take()) is None:
            message = "0/1 nodes are available: 1 Too many pods: no loopback address is free"
            waits = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
            await write_status(self._api, POD, runner.pod, {"phase": "Pending", "conditions": [waits]})
            await asyncio.sleep(RETRY_SECONDS)
        return address

    async def _watch_memory(self) -> None:
        """End what uses more than its limit, as a cgroup does."""
        while True:
            await asyncio.sleep(SAMPLE_SECONDS)
            limits = {
                process.supervisor_pid: (process, limit)
                for runner in self._runners.values()
                for process, limit in runner.limited()
            }
            if not limits:
                continue
            found = await asyncio.to_thread(memory.over, {pid: limit for pid, (_, limit) in limits.items()})
            for pid in found:
                process, _ = limits[pid]
                process.is_out_of_memory = True
                process.send(signal.SIGKILL)

    def _spawn(self, work: Work, name: str = "") -> None:
        task = asyncio.create_task(work, name=name or None)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if self._failed is None or self._failed.done() or task.cancelled():
            return
        if (error := task.exception()) is not None:
            self._failed.set_exception(error)


class Runner:
    """One pod: its containers, from their first start until nothing of them is left."""

    def __init__(self, api: MemoryApi, directory: Path, pod: Object, own: Mapping[str, str]) -> None:
        self.pod, self.directory = pod, directory
        self._api, self._own = api, own
        spec = pod["spec"]
        every = [*(spec.get("initContainers") or []), *spec["containers"]]
        self._specs: dict[str, Object] = {container["name"]: container for container in every}
        self._containers = {name: Container() for name in self._specs}
        self._processes: dict[str, supervised.Process] = {}
        self._programs: dict[str, supervised.Program] = {}
        self._stopping: dict[str, asyncio.Task[None]] = {}
        self._address, self._node = "", ""
        self._changed = asyncio.Event()
        self._verdict: Told | None = None
        self._is_ending = False
        self._grace = 0.0
        self._group: asyncio.TaskGroup | None = None

    @property
    def namespace(self) -> str:
        """Return the pod's namespace."""
        return str(self.pod["metadata"]["namespace"])

    @property
    def volumes(self) -> Path:
        """Return where the pod's volumes lie."""
        return self.directory / ".volumes"

    def limited(self) -> list[tuple[supervised.Process, int]]:
        """Return the processes that have a memory limit, with it."""
        return [
            (process, limit) for name, process in self._processes.items() if (limit := memory_limit(self._specs[name]))
        ]

    def end(self, verdict: Told | None, grace: float) -> None:
        """Begin to end the pod."""
        if not self._is_ending:
            self._is_ending, self._verdict, self._grace = True, self._verdict or verdict, grace
            self._changed.set()

    def refresh(self, kind: str, namespace: str, name: str) -> None:
        """Look at a Secret or ConfigMap again that the pod may use."""
        if namespace == self.namespace and (kind, name) in references(self.pod):
            self._changed.set()

    async def run(self, address: str, node: str) -> None:
        """Run the pod to its end."""
        self._address, self._node = address, node
        await self._accept()
        async with asyncio.TaskGroup() as group:
            self._group = group
            try:
                await self._until_over()
            finally:
                for process in self._processes.values():
                    process.send(signal.SIGKILL)
        await asyncio.to_thread(clear, self.directory)

    async def _accept(self) -> None:
        """Bind the pod to this node, as a scheduler does, and tell its first status."""
        live = await self._api.get(POD, self.namespace, self.pod["metadata"]["name"])
        if live is not None and live["metadata"]["uid"] == self.pod["metadata"]["uid"]:
            self.pod = self._api.put({**live, "spec": {**live["spec"], "nodeName": NODE}})
        clear(self.directory)
        await self._tell()

    async def _until_over(self) -> None:
        while True:
            self._changed.clear()
            now = self._api.now()
            is_ending = self._is_ending or self._verdict is not None
            found = due(self.pod, self._containers, now, is_ending=is_ending)
            if found.verdict is not None:
                self._verdict, self._grace = found.verdict, grace_seconds(self.pod)
                continue
            if is_ending:
                for name in self._processes:
                    self._stop(name, self._grace)
            await self._mount_again()
            for name in found.start:
                await self._start(name)
            await self._tell()
            if found.is_over:
                return
            waits = [RETRY_SECONDS] if any(self._containers[name].hindrance for name in found.start) else []
            waits += [max(0.0, (found.at - now).total_seconds())] if found.at is not None else []
            try:
                async with asyncio.timeout(min(waits, default=None)):
                    await self._changed.wait()
            except TimeoutError:
                continue

    async def _tell(self) -> None:
        live = await self._api.get(POD, self.namespace, self.pod["metadata"]["name"])
        if live is None or live["metadata"]["uid"] != self.pod["metadata"]["uid"]:
            return
        said = lifecycle.status(
            live,
            self._containers,
            (self._address, self._node),
            self._api.now(),
            verdict=self._verdict,
            is_ending=self._is_ending,
        )
        await write_status(self._api, POD, live, said)
        self.pod = {**live, "status": said}

    async def _objects(self) -> dict[tuple[str, str], Object]:
        """Return the Secrets and ConfigMaps that the pod refers to and that exist."""
        found = {}
        for kind, name in references(self.pod):
            raw = await self._api.get(MOUNTED[kind], self.namespace, name)
            if raw is not None:
                found[kind, name] = raw
        return found

    def _mount(self, objects: Mapping[tuple[str, str], Object]) -> None:
        for volume in self.pod["spec"].get("volumes") or []:
            where = mounts.source(volume)
            if where is None:
                (self.volumes / volume["name"]).mkdir(parents=True, exist_ok=True)
            else:
                mounts.write(self.volumes / volume["name"], mounts.contents(volume, self.namespace, objects.get(where)))

    async def _mount_again(self) -> None:
        """Show running containers what Secrets and ConfigMaps hold now; what went away stays as it was."""
        if self._processes:
            try:
                self._mount(await self._objects())
            except Missing:
                return

    async def _start(self, name: str) -> None:
        container, now = self._specs[name], self._api.now()
        try:
            program = await self._program(container)
        except NoImage as problem:
            self._hinder(name, Told("ErrImagePull", str(problem)))
            return
        except Missing as problem:
            self._hinder(name, Told("CreateContainerConfigError", str(problem)))
            return
        for known in container.get("ports") or []:
            if (taken := trouble(self._address, known["containerPort"])) is not None:
                self._hinder(name, Told("CreateContainerError", taken))
                return
        try:
            process = await supervised.start(program)
        except supervised.NotStarted as problem:
            began = self._containers[name].began(now)
            self._containers[name] = began.ended(lifecycle.EXIT_NOT_STARTED, Told("StartError", str(problem)), now)
            self._changed.set()
            return
        self._processes[name] = process
        self._programs[name] = program
        is_started = "startupProbe" not in container
        is_ready = is_started and "readinessProbe" not in container
        self._containers[name] = replace(self._containers[name].began(now), is_started=is_started, is_ready=is_ready)
        self._spawn(self._attend(name, process, program.log))

    async def _program(self, container: Object) -> supervised.Program:
        place, objects = self._place(container["name"]), await self._objects()
        self._mount(objects)
        mounts.link(place.root, self.volumes, container.get("volumeMounts") or [])
        place.home.mkdir(parents=True, exist_ok=True)
        told = environment(self.pod, container, place, lambda kind, name: objects.get((kind, name)), self._own)
        argv = arguments(container, told, place)
        log = self.directory / f"{container['name']}.log"
        if log.exists():
            log.replace(log.with_suffix(".previous.log"))
        place.termination_log.write_bytes(b"")
        wished = container.get("workingDir") or ""
        found = mounts.mapped(wished, place.root, mount_paths(container))
        directory = place.home if found == wished else Path(found)
        return supervised.Program(argv, told, directory, log, HEADROOM * memory_limit(container))

    def _hinder(self, name: str, told: Told) -> None:
        self._containers[name] = replace(self._containers[name], hindrance=told)

    async def _attend(self, name: str, process: supervised.Process, log: Path) -> None:
        """Probe a container until it ends, and note how it did."""
        container = self._specs[name]
        asking = self._spawn(self._probe(name, container))
        code = await process.wait()
        asking.cancel()
        if (stopping := self._stopping.pop(name, None)) is not None:
            stopping.cancel()
        message = termination_message(container, self._place(name).termination_log, log, code)
        reason = "OOMKilled" if process.is_out_of_memory else "Completed" if code == 0 else "Error"
        del self._processes[name]
        self._containers[name] = self._containers[name].ended(code, Told(reason, message), self._api.now())
        self._changed.set()

    def _stop(self, name: str, grace: float) -> None:
        if name not in self._stopping:
            self._stopping[name] = self._spawn(self._end(name, self._processes[name], grace))

    async def _end(self, name: str, process: supervised.Process, grace: float) -> None:
        """Ask a container to end; kill it when its grace is over."""
        deadline = asyncio.get_running_loop().time() + grace
        hook = (self._specs[name].get("lifecycle") or {}).get("preStop") or {}
        if "sleep" in hook:
            await asyncio.sleep(min(grace, hook["sleep"]["seconds"]))
        elif hook:
            await self._ask(name, {**hook, "timeoutSeconds": grace})
        process.send(signal.SIGTERM)
        await asyncio.sleep(max(0.0, deadline - asyncio.get_running_loop().time()))
        process.send(signal.SIGKILL)

    async def _probe(self, name: str, container: Object) -> None:
        """Ask a container's probes until cancelled: first whether it has started, then the others."""
        if (probe := container.get("startupProbe")) is not None:
            if not await probes.watch(probe, partial(self._ask, name, probe), lambda _: True):
                self._fail(name, probe)
                return
            is_ready = "readinessProbe" not in container
            self._note(name, replace(self._containers[name], is_started=True, is_ready=is_ready))
        async with asyncio.TaskGroup() as group:
            if (probe := container.get("readinessProbe")) is not None:
                group.create_task(probes.watch(probe, partial(self._ask, name, probe), partial(self._answer, name)))
            if (probe := container.get("livenessProbe")) is not None:
                await probes.watch(probe, partial(self._ask, name, probe), operator.not_)
                self._fail(name, probe)

    async def _ask(self, name: str, probe: Object) -> str:
        return await probes.ask(probe, self._specs[name], self._address, partial(self._execute, name))

    def _answer(self, name: str, holds: bool) -> bool:
        self._note(name, replace(self._containers[name], is_ready=holds))
        return False

    def _fail(self, name: str, probe: Object) -> None:
        """End a container that does not answer; its restart policy says what follows."""
        self._stop(name, float(probe.get("terminationGracePeriodSeconds", grace_seconds(self.pod))))

    def _note(self, name: str, after: Container) -> None:
        if after != self._containers[name]:
            self._containers[name] = after
            self._changed.set()

    async def _execute(self, name: str, command: list[str], seconds: float) -> str:
        """Run a command as a container would; return what it said if it failed."""
        running, place = self._programs[name], self._place(name)
        log = self.directory / f".{name}.said"
        log.unlink(missing_ok=True)
        paths = mount_paths(self._specs[name])
        argv = [mounts.mapped(word, place.root, paths) for word in command]
        try:
            process = await supervised.start(replace(running, argv=argv, log=log, data_bytes=0))
        except supervised.NotStarted as problem:
            return str(problem)
        try:
            async with asyncio.timeout(seconds):
                code = await asyncio.shield(waiting := asyncio.ensure_future(process.wait()))
        finally:
            process.send(signal.SIGKILL)
            await waiting
        return f"command ended with code {code}: {tail(log, LOG_TAIL_BYTES)}" if code else ""

    def _place(self, name: str) -> Place:
        return Place(self.directory / name, self._address, self._node, self.directory / f".{name}.ended")

    def _spawn(self, work: Work) -> asyncio.Task[None]:
        if self._group is None:
            raise RuntimeError("the pod does not run")
        return self._group.create_task(work)


def directory_name(pod: Object) -> str:
    """Return the name of a pod's directory."""
    return f"{pod['metadata']['namespace']}_{pod['metadata']['name']}"


def clear(directory: Path) -> None:
    """Make a directory that holds nothing but the logs of a pod that was there."""
    directory.mkdir(parents=True, exist_ok=True)
    for entry in directory.iterdir():
        if entry.is_dir():
            shutil.rmtree(entry)
        elif not entry.name.endswith((".log", ".log.1")):
            entry.unlink()


def memory_limit(container: Object) -> int:
    """Return a container's memory limit in bytes; 0 for none."""
    found = quantity(str(((container.get("resources") or {}).get("limits") or {}).get("memory", "0")))
    return 0 if isinstance(found, str) else int(found)


def termination_message(container: Object, file: Path, log: Path, exit_code: int) -> str:
    """Return what a container left to tell about its end."""
    message = tail(file, MESSAGE_BYTES)
    if not message and exit_code and container.get("terminationMessagePolicy") == "FallbackToLogsOnError":
        return tail(log, LOG_TAIL_BYTES)
    return message


def tail(file: Path, size: int) -> str:
    """Return the last bytes of a file as text; nothing where it is missing."""
    if not file.is_file():
        return ""
    with file.open("rb") as reading:
        reading.seek(max(0, file.stat().st_size - size))
        return reading.read(size).decode(errors="replace")
