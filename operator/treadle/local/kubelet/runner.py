"""One pod: its containers, from their first start until nothing of them is left."""

import asyncio
import math
import operator
import signal
from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from treadle.api.conditions import line
from treadle.control.engine.ports import CONFIG_MAP, POD, Object
from treadle.local.kubelet import lifecycle, podstatus, probes, supervised
from treadle.local.kubelet.addresses import trouble
from treadle.local.kubelet.environment import NoImage, Place, mount_paths, references
from treadle.local.kubelet.lifecycle import Container, due, grace_seconds
from treadle.local.kubelet.mounts import Missing, mapped
from treadle.local.kubelet.poddir import LOG_TAIL_BYTES, Objects, PodDirectory, memory_limit, tail
from treadle.local.kubelet.podstatus import EXIT_KILLED
from treadle.local.recorder import record
from treadle.local.server.api import MemoryApi
from treadle.local.server.types import SECRET
from treadle.local.told import Told
from treadle.local.writing import write_status

NODE = "local"
RETRY_SECONDS = 2.0
"""After this long a container that could not start is tried again, though nothing seems to have changed."""
MOUNTED = {"Secret": SECRET, "ConfigMap": CONFIG_MAP}


class Runner:
    """Does what is due to a pod, and tells its status."""

    def __init__(self, api: MemoryApi, directory: PodDirectory, pod: Object, own: Mapping[str, str]) -> None:
        self.pod, self.directory = pod, directory
        self._api, self._own = api, own
        self._specs: dict[str, Object] = {}
        self._containers: dict[str, Container] = {}
        self._references: set[tuple[str, str]] = set()
        self._processes: dict[str, supervised.Process] = {}
        self._programs: dict[str, supervised.Program] = {}
        self._stopping: dict[str, tuple[asyncio.Task[None], float]] = {}
        """Who ends a container, and when it is killed, by the loop's clock."""
        self._address, self._node = "", ""
        self._changed = asyncio.Event()
        self._verdict: Told | None = None
        self._deadline = math.inf
        """When what still runs is killed; infinite until the pod is to end."""
        self._group = asyncio.TaskGroup()

    @property
    def namespace(self) -> str:
        """Return the pod's namespace."""
        return str(self.pod["metadata"]["namespace"])

    @property
    def uid(self) -> str:
        """Return the pod's uid."""
        return str(self.pod["metadata"]["uid"])

    async def live(self) -> Object | None:
        """Return the pod as it is now; None where it is gone, though another may have its name."""
        found = await self._api.get(POD, self.namespace, self.pod["metadata"]["name"])
        return found if found is not None and found["metadata"]["uid"] == self.uid else None

    def limited(self) -> list[tuple[supervised.Process, int]]:
        """Return the processes that have a memory limit, with it in bytes."""
        limits = [(process, memory_limit(self._specs[name])) for name, process in self._processes.items()]
        return [(process, limit) for process, limit in limits if limit]

    @property
    def is_ending(self) -> bool:
        """Say whether the pod is on its way out."""
        return self._deadline < math.inf

    def end(self, verdict: Told | None, grace: float) -> None:
        """Begin to end the pod, for a reason that its status tells unless it was deleted, or hasten its end."""
        if not self.is_ending:
            self._verdict = verdict
        deadline = asyncio.get_running_loop().time() + grace
        if deadline < self._deadline:
            self._deadline = deadline
            self._changed.set()

    def refresh(self, kind: str, namespace: str, name: str) -> None:
        """Look at a Secret or ConfigMap again if the pod uses it."""
        if namespace == self.namespace and (kind, name) in self._references:
            self._changed.set()

    async def run(self, address: str, node: str) -> None:
        """Run the pod to its end."""
        self._address, self._node = address, node
        every = [*(self.pod["spec"].get("initContainers") or []), *self.pod["spec"]["containers"]]
        self._specs = {container["name"]: container for container in every}
        self._containers = {name: Container() for name in self._specs}
        self._references = references(self.pod)
        self.directory.clear()
        self.directory.path.mkdir(parents=True, exist_ok=True)
        if (live := await self.live()) is not None:
            # As a scheduler does it.
            self.pod = self._api.put({**live, "spec": {**live["spec"], "nodeName": NODE}})
        await self._tell()
        async with self._group:
            try:
                await self._until_over()
            finally:
                for process in self._processes.values():
                    process.send(signal.SIGKILL)
        await asyncio.to_thread(self.directory.clear)

    async def give_up(self, problem: Exception) -> None:
        """Say of a pod that it cannot be run here, since something of it was not foreseen."""
        while isinstance(problem, ExceptionGroup):
            problem = problem.exceptions[0]
        if (live := await self.live()) is not None:
            told = {"reason": "KubeletError", "message": line(f"{type(problem).__name__}: {problem}")}
            await write_status(self._api, POD, live, {**(live.get("status") or {}), "phase": "Failed", **told})

    async def _until_over(self) -> None:
        while True:
            self._changed.clear()
            now = self._api.now()
            found = due(self.pod, self._containers, now, is_ending=self.is_ending)
            if found.verdict is not None:
                self.end(found.verdict, grace_seconds(self.pod))
                continue
            if self.is_ending:
                for name in self._processes:
                    self._stop(name, self._deadline)
            objects = await self._objects()
            if self._processes:
                self.directory.refresh(self.pod, objects)
            for name in found.start:
                await self._start(self._specs[name], objects)
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
        if (live := await self.live()) is None:
            return
        addresses, now = (self._address, self._node), self._api.now()
        said = podstatus.status(live, self._containers, addresses, now, verdict=self._verdict, is_ending=self.is_ending)
        await write_status(self._api, POD, live, said)
        self.pod = {**live, "status": said}

    async def _objects(self) -> Objects:
        """Return the Secrets and ConfigMaps that the pod refers to and that exist."""
        found = {}
        for kind, name in self._references:
            raw = await self._api.get(MOUNTED[kind], self.namespace, name)
            if raw is not None:
                found[kind, name] = raw
        return found

    async def _start(self, container: Object, objects: Objects) -> None:
        """Start a container, or say what keeps it from that."""
        name, now = container["name"], self._api.now()
        program = self._program(container, objects)
        if isinstance(program, Told):
            self._hinder(name, program)
            return
        began = self._containers[name].began(now)
        try:
            process = await supervised.start(program)
        except supervised.NotStarted as problem:
            self._note(name, began.ended(lifecycle.EXIT_NOT_STARTED, Told("StartError", str(problem)), now))
            return
        self._processes[name], self._programs[name] = process, program
        is_started = "startupProbe" not in container
        is_ready = is_started and "readinessProbe" not in container
        self._note(name, replace(began, pid=process.pid, is_started=is_started, is_ready=is_ready))
        self._group.create_task(self._attend(container, process))

    def _hinder(self, name: str, hindrance: Told) -> None:
        """Note what keeps a container from its start; that alone is no reason to try again at once."""
        if self._containers[name].hindrance != hindrance:
            reason = "FailedMount" if hindrance.message.startswith("MountVolume") else "Failed"
            self._record(Told(reason, hindrance.message))
        self._containers[name] = replace(self._containers[name], hindrance=hindrance)

    def _record(self, told: Told) -> None:
        record(self._api, self.pod, told, "kubelet", is_warning=told.reason != "Killing")

    def _program(self, container: Object, objects: Objects) -> supervised.Program | Told:
        """Return what to start, all that it needs being in its place; or why it cannot start now."""
        place = self._place(container["name"])
        ports = [known["containerPort"] for known in container.get("ports") or []]
        try:
            self.directory.mount(self.pod, objects)
            program = self.directory.program(self.pod, container, place, objects, self._own)
        except NoImage as problem:
            return Told("ErrImagePull", str(problem))
        except Missing as problem:
            return Told("CreateContainerConfigError", str(problem))
        if (taken := next(filter(None, (trouble(self._address, port) for port in ports)), None)) is not None:
            return Told("CreateContainerError", taken)
        self.directory.prepare(container, place)
        return program

    def _note(self, name: str, after: Container) -> None:
        if after != self._containers[name]:
            self._containers[name] = after
            self._changed.set()

    async def _attend(self, container: Object, process: supervised.Process) -> None:
        """Probe a container until it ends, and note how it did."""
        name = container["name"]
        asking = self._group.create_task(self._probe(container))
        code = await process.wait()
        asking.cancel()
        if (stopping := self._stopping.pop(name, None)) is not None:
            stopping[0].cancel()
        message = self.directory.message(container, self._place(name), code)
        was_killed = process.is_out_of_memory and code == EXIT_KILLED
        reason = "OOMKilled" if was_killed else "Completed" if code == 0 else "Error"
        del self._processes[name]
        self._note(name, self._containers[name].ended(code, Told(reason, message), self._api.now()))
        if self.pod["spec"].get("restartPolicy") != "Never" and lifecycle.backoff_seconds(self._containers[name]):
            where = f"{self.pod['metadata']['name']}_{self.namespace}({self.uid})"
            self._record(Told("BackOff", f"Back-off restarting failed container {name} in pod {where}"))

    def _stop(self, name: str, deadline: float) -> None:
        """Have a container end until then; one that is ended already, no later than before."""
        if name not in self._processes:
            return
        if name in self._stopping:
            stopping, before = self._stopping[name]
            if deadline >= before:
                return
            stopping.cancel()
        task = self._group.create_task(self._end(name, self._processes[name], deadline))
        self._stopping[name] = (task, deadline)

    async def _end(self, name: str, process: supervised.Process, deadline: float) -> None:
        """Ask a container to end; kill it when its time is over."""
        clock = asyncio.get_running_loop().time
        hook = (self._specs[name].get("lifecycle") or {}).get("preStop") or {}
        left = max(0.0, deadline - clock())
        if "sleep" in hook:
            await asyncio.sleep(min(left, hook["sleep"]["seconds"]))
        elif hook:
            await self._ask(name, {**hook, "timeoutSeconds": left})
        process.send(signal.SIGTERM)
        await asyncio.sleep(max(0.0, deadline - clock()))
        process.send(signal.SIGKILL)

    async def _probe(self, container: Object) -> None:
        """Ask a container's probes until cancelled: first whether it has started, then the others."""
        name = container["name"]
        if (probe := container.get("startupProbe")) is not None:
            if not await probes.watch(probe, partial(self._asked, "Startup", name, probe), lambda _: True):
                self._fail("startup", name, probe)
                return
            is_ready = "readinessProbe" not in container
            self._note(name, replace(self._containers[name], is_started=True, is_ready=is_ready))
        async with asyncio.TaskGroup() as group:
            if (probe := container.get("readinessProbe")) is not None:
                asked = partial(self._asked, "Readiness", name, probe)
                group.create_task(probes.watch(probe, asked, partial(self._ready, name)))
            if (probe := container.get("livenessProbe")) is not None:
                await probes.watch(probe, partial(self._asked, "Liveness", name, probe), operator.not_)
                self._fail("liveness", name, probe)

    async def _asked(self, kind: str, name: str, probe: Object) -> str:
        problem = await self._ask(name, probe)
        if problem:
            self._record(Told("Unhealthy", f"{kind} probe failed: {problem}"))
        return problem

    async def _ask(self, name: str, probe: Object) -> str:
        return await probes.ask(probe, self._specs[name], self._address, partial(self._execute, name))

    def _ready(self, name: str, holds: bool) -> bool:
        self._note(name, replace(self._containers[name], is_ready=holds))
        return False

    def _fail(self, kind: str, name: str, probe: Object) -> None:
        """End a container that does not answer; its restart policy says what follows."""
        self._record(Told("Killing", f"Container {name} failed {kind} probe"))
        grace = float(probe.get("terminationGracePeriodSeconds", grace_seconds(self.pod)))
        self._stop(name, asyncio.get_running_loop().time() + grace)

    async def _execute(self, name: str, command: list[str], seconds: float) -> str:
        """Run a command as a container would; return what it said if it failed."""
        log = self.directory.path / ".ended" / f"{name}.said"
        log.unlink(missing_ok=True)
        argv = [mapped(word, self._place(name).root, mount_paths(self._specs[name])) for word in command]
        try:
            process = await supervised.start(replace(self._programs[name], argv=argv, log=log))
        except supervised.NotStarted as problem:
            return str(problem)
        waiting = asyncio.ensure_future(process.wait())
        try:
            async with asyncio.timeout(seconds):
                code = await asyncio.shield(waiting)
        finally:
            process.send(signal.SIGKILL)
            await waiting
        return f"command ended with code {code}: {tail(log, LOG_TAIL_BYTES)}" if code else ""

    def _place(self, name: str) -> Place:
        return self.directory.place(name, self._address, self._node)
