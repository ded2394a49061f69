"""Pods as processes: real ones, of tiny programs, below the kubelet of the embedded cluster."""

import asyncio
import base64
import json
import os
import random
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from treadle.api.blocks import JobTemplate
from treadle.api.datasource import DataSource
from treadle.api.step import IngestStep, Owner, StoreAddress, read_result
from treadle.control.engine.ports import JOB, POD, Gvk, Object
from treadle.control.podspec import Mounts, Run, failure_policy, step_job
from treadle.control.settings import Settings
from treadle.local import secrets
from treadle.local.controllers.controller import end_pod, start_pod
from treadle.local.controllers.jobs import labels, run_jobs
from treadle.local.kubelet.processes import Kubelet
from treadle.local.server.api import MemoryApi

SECONDS = 20
IMAGE = "local/treadle-worker:1"


@dataclass
class Node:
    """An API, and a kubelet that runs its pods."""

    api: MemoryApi
    kubelet: Kubelet
    root: Path
    parts: list[asyncio.Task[None]]

    async def until(self, gvk: Gvk, name: str, holds: Callable[[Object], Any]) -> Object:
        """Return an object as soon as it is as wished; fail with what it is when that takes too long."""
        found: Object | None = None
        for _ in range(SECONDS * 50):
            for part in self.parts:
                if part.done():
                    part.result()
            found = await self.api.get(gvk, "demo", name)
            if found is not None and holds(found):
                return found
            await asyncio.sleep(0.02)
        pytest.fail(f"{gvk.kind} {name} is {json.dumps(found, indent=1)}")

    async def run(self, made: Object) -> Object:
        """Create a pod; return it when it is over."""
        await self.api.create(made)
        return await self.until(POD, made["metadata"]["name"], lambda raw: phase(raw) in ("Succeeded", "Failed"))

    async def up(self, made: Object) -> Object:
        """Create a pod whose program says `up`; return it when that was said, and its status tells of it."""
        await self.api.create(made)
        name = made["metadata"]["name"]
        return await self.until(
            POD, name, lambda raw: self.log(name).startswith("up\n") and container(raw).get("containerID")
        )

    async def pod_of(self, job: str) -> Object:
        """Return the pod of a Job that has one."""
        pods = await self.api.list(POD, "demo", labels={"job-name": job})
        assert len(pods) == 1, [pod["metadata"]["name"] for pod in pods]
        return pods[0]

    def log(self, name: str, *, is_previous: bool = False) -> str:
        """Return what a pod's container has said."""
        found = self.kubelet.log_of("demo", name, "step", is_previous=is_previous)
        return found.read_text() if found is not None else ""


@asynccontextmanager
async def running(api: MemoryApi, root: Path) -> AsyncIterator[Node]:
    """Yield a node in which Jobs run; at the end its pods have ended in good order."""
    kubelet = Kubelet(api, root / "pods", own={"AWS_SECRET_ACCESS_KEY": "mine", "HOME": "/home/me"})
    parts = [asyncio.create_task(kubelet.run()), asyncio.create_task(run_jobs(api))]
    try:
        yield Node(api, kubelet, root, parts)
    finally:
        for part in parts:
            part.cancel()
        await asyncio.gather(*parts, return_exceptions=True)
        await kubelet.close()


@pytest.fixture
async def node(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> AsyncIterator[Node]:
    """Yield a node; nothing of it is left at the end, and nothing went wrong in it that was not foreseen."""
    before = psutil.Process().children(recursive=True)
    async with running(MemoryApi(), tmp_path) as started:
        yield started
    assert set(psutil.Process().children(recursive=True)) <= set(before)
    assert [record.getMessage() for record in caplog.get_records("call")] == []


def python(code: str, **more: Any) -> Object:
    """Return a container that runs a program."""
    return {"name": "step", "image": IMAGE, "command": ["python", "-c", textwrap.dedent(code)], **more}


SLEEP = "import time; print('up', flush=True); time.sleep(60)"


def pod(name: str, container: Object, **spec: Any) -> Object:
    """Return a pod that is not restarted."""
    chosen = {"restartPolicy": "Never", "terminationGracePeriodSeconds": 5, "containers": [container], **spec}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "demo"}, "spec": chosen}


def job(name: str, code: str, **spec: Any) -> Object:
    """Return a Job of one pod that is not restarted."""
    template = {"spec": {**pod("", python(code))["spec"], "terminationGracePeriodSeconds": 1}}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": "demo"},
        "spec": {"template": template, "podFailurePolicy": failure_policy(), "podReplacementPolicy": "Failed", **spec},
    }


def config(kind: str, name: str, **data: str) -> Object:
    """Return a Secret or ConfigMap."""
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    held = encoded if kind == "Secret" else data
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": "demo"}, "data": held}


def mount(name: str, path: str) -> Object:
    """Return a mount of a volume."""
    return {"name": name, "mountPath": path}


def phase(raw: Object) -> str:
    """Return a pod's phase."""
    return str((raw.get("status") or {}).get("phase"))


def container(raw: Object) -> Object:
    """Return the status of a pod's first container."""
    found: Object = ((raw.get("status") or {}).get("containerStatuses") or [{}])[0]
    return found


def terminated(raw: Object) -> Object:
    """Return how the first container of a pod ended."""
    found: Object = container(raw)["state"]["terminated"]
    return found


def pid_of(raw: Object) -> int:
    """Return the process of a pod's first container."""
    return int(container(raw)["containerID"].removeprefix("process://"))


def waiting(reason: str) -> Callable[[Object], bool]:
    """Return whether a pod waits for this reason."""
    return lambda raw: (container(raw).get("state") or {}).get("waiting", {}).get("reason") == reason


def has(kind: str) -> Callable[[Object], bool]:
    """Return whether an object has the condition."""
    return lambda raw: any(
        entry["type"] == kind and entry["status"] == "True"
        for entry in (raw.get("status") or {}).get("conditions") or []
    )


is_ready = has("Ready")


def eventually(holds: Callable[[], bool]) -> None:
    """Wait until it holds."""
    deadline = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < deadline, "it does not come true"
        time.sleep(0.02)


RIDES = {
    "source": {"inline": {"configMapRef": {"name": "rides"}}},
    "format": {"name": "csv"},
    "schema": {"columns": [{"name": "a", "type": "integer"}]},
}


async def test_a_job_runs_a_real_step(node: Node) -> None:
    (node.root / "buckets" / "treadle").mkdir(parents=True)
    for made in secrets.for_namespace("demo", node.root / "buckets"):
        await node.api.create(made)
    rows = "a\n" + "".join(f"{number}\n" for number in range(100))
    await node.api.create(config("ConfigMap", "rides", **{"a.csv": rows}))
    step = IngestStep.parse(
        {
            "run": "0" * 10,
            "runKey": "0" * 64,
            "owner": Owner(kind="DataSource", name="rides", uid="u", namespace="demo").dump(),
            "store": StoreAddress(secret="treadle-store", prefix="treadle/v1/u/").dump(),
            "spec": RIDES,
        }
    )
    source = DataSource.parse(
        {
            "apiVersion": "treadle.dev/v1alpha1",
            "kind": "DataSource",
            "metadata": {"name": "rides", "namespace": "demo", "uid": "u"},
            "spec": RIDES,
        }
    )
    mounts = Mounts(secrets={"treadle-store": ()}, configs=("rides",))
    settings = Settings(image_registry="local", image_tag="1", lease_namespace="demo", identity="test")
    run = Run("rides-0", "ingest", step.dump(), "0" * 64)
    await node.api.create(step_job(source, run, JobTemplate(), mounts, settings))

    ended = await node.until(JOB, "rides-0", has("Complete"))
    assert ended["status"]["succeeded"] == 1
    worker = await node.pod_of("rides-0")
    result = read_result(terminated(worker)["message"])
    assert (result.outcome, result.message) == ("Published", "100 rows")
    assert node.log(worker["metadata"]["name"]) == "Published VersionPublished: 100 rows\n"


# How a program ends: (what it does, the pod's phase, exit code, reason, message)
ENDS = {
    "success": ("print('done')", ("Succeeded", 0, "Completed", None)),
    "an exit code": ("raise SystemExit(10)", ("Failed", 10, "Error", None)),
    "an error": ("raise ValueError('no')", ("Failed", 1, "Error", None)),
    "a signal": ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", ("Failed", 137, "Error", None)),
    "a message": (
        "import os; open(os.environ['TREADLE_TERMINATION_LOG'], 'w').write('why'); raise SystemExit(3)",
        ("Failed", 3, "Error", "why"),
    ),
    "the end of a long message": (
        "import os; open(os.environ['TREADLE_TERMINATION_LOG'], 'w').write('a' * 5000 + 'b' * 4096)",
        ("Succeeded", 0, "Completed", "b" * 4096),
    ),
}


@pytest.mark.parametrize(("code", "end"), ENDS.values(), ids=ENDS.keys())
async def test_how_a_program_ends(node: Node, code: str, end: tuple[Any, ...]) -> None:
    ended = await node.run(pod("p", python(code)))
    found = terminated(ended)
    assert (phase(ended), found["exitCode"], found["reason"], found.get("message")) == end
    assert has("Initialized")(ended) and not is_ready(ended)


async def test_the_logs_tail_is_the_message_where_that_is_asked_for(node: Node) -> None:
    asked = python("print('first'); raise SystemExit('last')", terminationMessagePolicy="FallbackToLogsOnError")
    assert terminated(await node.run(pod("p", asked)))["message"] == "first\nlast\n"


async def test_what_cannot_be_executed_says_so(node: Node) -> None:
    ended = await node.run(pod("p", {"name": "step", "image": IMAGE, "command": ["no-such-program"]}))
    found = terminated(ended)
    assert (found["exitCode"], found["reason"]) == (128, "StartError")
    assert found["message"] == "no-such-program: No such file or directory"


async def test_what_is_too_long_for_the_system_says_so(node: Node) -> None:
    ended = await node.run(pod("p", python("", env=[{"name": "LONG", "value": "x" * 200_000}])))
    assert terminated(ended)["message"] == "python: Argument list too long"


async def test_a_program_is_told_of_its_own_world_alone(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "mine too")
    await node.api.create(config("Secret", "keys", token="s3cret"))
    await node.api.create(config("ConfigMap", "words", greeting="hello"))
    env = [
        {"name": "ROOT", "value": "/treadle"},
        {"name": "FILE", "value": "/treadle/configs/words/greeting"},
        {"name": "ELSEWHERE", "value": "/usr/share"},
        {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "POD_UID", "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}},
        {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "token"}}},
        {"name": "NOTHING", "valueFrom": {"secretKeyRef": {"name": "gone", "key": "a", "optional": True}}},
        {"name": "BOTH", "value": "$(POD_NAME)-$$(TOKEN)-$(UNKNOWN)"},
    ]
    program = python(
        "import json, os, sys; print(json.dumps([dict(os.environ), os.getcwd(), sys.argv[1:]]))",
        args=["--root", "/treadle/configs"],
        env=env,
        envFrom=[{"prefix": "W_", "configMapRef": {"name": "words"}}],
        volumeMounts=[mount("tmp", "/tmp"), mount("words", "/treadle/configs/words")],
    )
    volumes = [{"name": "tmp", "emptyDir": {}}, {"name": "words", "configMap": {"name": "words"}}]
    ended = await node.run(pod("p", program, volumes=volumes))
    own, directory, arguments = json.loads(node.log("p"))
    root = str(node.root / "pods/demo_p/step")
    assert not [name for name in own if name.startswith("AWS_")] and "NOTHING" not in own
    assert {name: own.pop(name) for name in ("ROOT", "FILE", "ELSEWHERE", "HOME", "TMPDIR", "TREADLE_HOST", "TZ")} == {
        "ROOT": f"{root}/treadle",
        "FILE": f"{root}/treadle/configs/words/greeting",
        "ELSEWHERE": "/usr/share",
        "HOME": f"{root}/tmp",
        "TMPDIR": f"{root}/tmp",
        "TREADLE_HOST": ended["status"]["podIP"],
        "TZ": "UTC",
    }
    assert {name: own.pop(name) for name in ("POD_NAME", "POD_UID", "IP", "TOKEN", "BOTH", "W_greeting")} == {
        "POD_NAME": "p",
        "POD_UID": ended["metadata"]["uid"],
        "IP": ended["status"]["podIP"],
        "TOKEN": "s3cret",
        "BOTH": "p-$(TOKEN)-$(UNKNOWN)",
        "W_greeting": "hello",
    }
    assert arguments == ["--root", f"{root}/treadle/configs"]
    assert directory == str(node.root / "pods/demo_p/.volumes/tmp")


# What keeps a pod from its start: (its container, its volumes, reason, what the message holds)
LATE: Object = {"name": "v", "secret": {"secretName": "late"}}
HINDRANCES = {
    "an image that is not this program's": (
        {"name": "step", "image": "nginx:1.29"},
        [],
        ("ErrImagePull", 'image "nginx:1.29" cannot run here: treadle up has no containers'),
    ),
    "a Secret for the environment": (
        python("", env=[{"name": "A", "valueFrom": {"secretKeyRef": {"name": "late", "key": "a"}}}]),
        [],
        ("CreateContainerConfigError", 'secret "late" not found'),
    ),
    "a Secret for a volume": (
        python("", volumeMounts=[mount("v", "/v")]),
        [LATE],
        ("CreateContainerConfigError", 'MountVolume.SetUp failed for volume "v" : secret "late" not found'),
    ),
    "a volume of another type": (
        python("", volumeMounts=[mount("v", "/v")]),
        [{"name": "v", "hostPath": {"path": "/"}}],
        ("CreateContainerConfigError", "volume 'v' is of type hostPath"),
    ),
}


@pytest.mark.parametrize(("wanted", "volumes", "told"), HINDRANCES.values(), ids=HINDRANCES.keys())
async def test_what_keeps_a_pod_from_its_start(
    node: Node, wanted: Object, volumes: list[Object], told: tuple[str, str]
) -> None:
    reason, message = told
    await node.api.create(pod("p", wanted, volumes=volumes))
    found = await node.until(POD, "p", waiting(reason))
    assert message in container(found)["state"]["waiting"]["message"]
    assert phase(found) == "Pending"


async def test_a_pod_starts_when_what_it_waited_for_comes(node: Node) -> None:
    env = [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "late", "key": "a"}}}]
    await node.api.create(pod("p", python("import os; print(os.environ['A'])", env=env)))
    await node.until(POD, "p", waiting("CreateContainerConfigError"))
    await node.api.create(config("Secret", "late", a="there"))
    await node.until(POD, "p", lambda raw: phase(raw) == "Succeeded")
    assert node.log("p") == "there\n"


async def test_a_port_that_another_program_has_is_told(node: Node) -> None:
    with socket.create_server(("", 0)) as taken:
        port = taken.getsockname()[1]
        await node.api.create(pod("p", python("", ports=[{"containerPort": port}])))
        found = await node.until(POD, "p", waiting("CreateContainerError"))
        assert f"a program on this machine listens on port {port}" in container(found)["state"]["waiting"]["message"]
    await node.until(POD, "p", lambda raw: phase(raw) == "Succeeded")


async def test_a_mount_shows_a_change_within_a_second(node: Node) -> None:
    await node.api.create(config("ConfigMap", "plan", plan="1"))
    code = """
        import os, time
        last = ""
        while last != "3":
            now = open(os.environ["PLAN"]).read()
            if now != last:
                print(now, time.time(), flush=True)
            last = now
            time.sleep(0.01)
    """
    env = [{"name": "PLAN", "value": "/treadle/plan/plan.json"}]
    program = python(code, env=env, volumeMounts=[mount("plan", "/treadle/plan")])
    volumes = [{"name": "plan", "configMap": {"name": "plan", "items": [{"key": "plan", "path": "plan.json"}]}}]
    await node.api.create(pod("p", program, volumes=volumes))
    written = {}
    for count, value in enumerate(("2", "3"), start=1):
        await node.until(POD, "p", lambda _, count=count: node.log("p").count("\n") == count)
        written[value] = time.time()
        node.api.put(config("ConfigMap", "plan", plan=value))
    await node.until(POD, "p", lambda raw: phase(raw) == "Succeeded")
    seen = dict(line.split() for line in node.log("p").splitlines())
    late = {value: float(seen[value]) - at for value, at in written.items()}
    assert max(late.values()) < 1, late


async def test_who_uses_more_memory_than_its_limit_is_killed(node: Node) -> None:
    code = """
        import subprocess, sys
        # The child has it, as a worker of a pool would.
        subprocess.run([sys.executable, "-c", "import time; a = b'x' * (200 << 20); time.sleep(60)"])
    """
    ended = await node.run(pod("p", python(code, resources={"limits": {"memory": "100Mi"}})))
    assert (terminated(ended)["exitCode"], terminated(ended)["reason"]) == (137, "OOMKilled")


async def test_memory_that_two_processes_share_counts_once(node: Node) -> None:
    code = """
        import os, time
        held = b"x" * (80 << 20)
        child = os.fork()
        time.sleep(1.5)
        if child:
            os.waitpid(child, 0)
    """
    ended = await node.run(pod("p", python(code, resources={"limits": {"memory": "128Mi"}})))
    assert phase(ended) == "Succeeded"


async def test_init_containers_run_first_and_one_after_another(node: Node) -> None:
    shared = {"volumeMounts": [mount("data", "/data")], "env": [{"name": "FILE", "value": "/data/lines"}]}
    first, second = (
        {**python(f"import os; open(os.environ['FILE'], 'a').write('{word} ')", **shared), "name": word}
        for word in ("first", "second")
    )
    main = python("import os; print(open(os.environ['FILE']).read())", **shared)
    await node.run(pod("p", main, initContainers=[first, second], volumes=[{"name": "data", "emptyDir": {}}]))
    assert node.log("p") == "first second \n"


async def test_an_init_container_that_fails_is_the_pods_end(node: Node) -> None:
    failing = {**python("raise SystemExit(4)"), "name": "first"}
    ended = await node.run(pod("p", python("print('never')"), initContainers=[failing]))
    assert phase(ended) == "Failed" and node.log("p") == ""
    assert ended["status"]["initContainerStatuses"][0]["state"]["terminated"]["exitCode"] == 4


async def test_a_container_is_restarted_at_once_and_then_waits(node: Node) -> None:
    await node.api.create(pod("p", python("print('again'); raise SystemExit(7)"), restartPolicy="Always"))
    found = await node.until(POD, "p", waiting("CrashLoopBackOff"))
    assert container(found)["restartCount"] == 1
    assert container(found)["lastState"]["terminated"]["exitCode"] == 7
    assert "back-off 10s restarting failed container=step" in container(found)["state"]["waiting"]["message"]
    assert phase(found) == "Running"
    assert node.log("p") == node.log("p", is_previous=True) == "again\n"


SERVER = """
    import http.server, os, pathlib
    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(503 if pathlib.Path("broken").exists() else 200)
            self.end_headers()
            if self.path == "/break":
                pathlib.Path("broken").touch()
        def log_message(self, *_): pass
    http.server.ThreadingHTTPServer((os.environ["TREADLE_HOST"], 8081), Answer).serve_forever()
"""


def server(**probes: Object) -> Object:
    """Return a container that answers on port 8081, and is broken for ever once /break was asked for."""
    return python(SERVER, ports=[{"name": "state", "containerPort": 8081}], **probes)


async def ask(asked: Object, path: str) -> None:
    """Send a request to a pod."""
    reader, writer = await asyncio.open_connection(asked["status"]["podIP"], 8081)
    writer.write(f"GET {path} HTTP/1.0\r\n\r\n".encode())
    await reader.read()
    writer.close()
    await writer.wait_closed()


HTTP = {"httpGet": {"path": "/", "port": "state"}, "periodSeconds": 0.1, "failureThreshold": 2}
SLOW_START = {**HTTP, "failureThreshold": 100}


async def test_a_pod_is_ready_while_it_answers(node: Node) -> None:
    await node.api.create(pod("p", server(readinessProbe=HTTP), restartPolicy="Always"))
    found = await node.until(POD, "p", is_ready)
    assert container(found)["ready"] and container(found)["started"]
    await ask(found, "/break")
    found = await node.until(POD, "p", lambda raw: not is_ready(raw))
    assert (phase(found), container(found)["restartCount"]) == ("Running", 0)


async def test_a_container_that_does_not_live_is_restarted(node: Node) -> None:
    lively = server(startupProbe=SLOW_START, livenessProbe=HTTP)
    await node.api.create(pod("p", lively, restartPolicy="Always"))
    found = await node.until(POD, "p", is_ready)
    assert container(found)["restartCount"] == 0
    await ask(found, "/break")
    found = await node.until(POD, "p", lambda raw: container(raw)["restartCount"] > 0)
    assert container(found)["lastState"]["terminated"]["exitCode"] == 143


async def test_a_container_that_does_not_start_is_ended(node: Node) -> None:
    never = {"tcpSocket": {"port": 8081}, "periodSeconds": 0.1, "failureThreshold": 3}
    ended = await node.run(pod("p", python(SLEEP, startupProbe=never)))
    assert terminated(ended)["exitCode"] == 143


async def test_a_command_is_a_probe_too(node: Node) -> None:
    command = ["python", "-c", "import os, sys; sys.exit(not os.path.exists(sys.argv[1]))", "/data/up"]
    asked = {"exec": {"command": command}, "periodSeconds": 0.1, "timeoutSeconds": 5}
    code = "import os, time; open(os.environ['UP'], 'w').close(); time.sleep(60)"
    env = [{"name": "UP", "value": "/data/up"}]
    program = python(code, env=env, volumeMounts=[mount("data", "/data")], readinessProbe=asked)
    await node.api.create(pod("p", program, volumes=[{"name": "data", "emptyDir": {}}]))
    await node.until(POD, "p", is_ready)


DEAF = """
    import signal, time
    signal.signal(signal.SIGTERM, lambda *_: None)
    print("up", flush=True)
    while True:
        time.sleep(1)
"""


async def test_a_deleted_pod_is_asked_and_then_killed(node: Node) -> None:
    found = await node.up(pod("p", python(DEAF), terminationGracePeriodSeconds=1))
    told: asyncio.Queue[Any] = asyncio.Queue()
    node.api.subscribe(told)
    await end_pod(node.api, found)
    last = None
    async with asyncio.timeout(SECONDS):
        while (change := await told.get()).type != "DELETED":
            last = change.object
    assert last is not None and terminated(last)["exitCode"] == 137
    assert not psutil.pid_exists(pid_of(found))
    await asyncio.to_thread(eventually, lambda: not (node.root / "pods/demo_p").exists())


async def test_a_pod_that_is_gone_at_once_is_ended_all_the_same(node: Node) -> None:
    found = await node.up(pod("p", python(SLEEP)))
    await node.api.delete(found)
    await node.run(pod("p", python("print('another')")))
    assert not psutil.pid_exists(pid_of(found))
    assert node.log("p") == "another\n"


async def test_a_pods_hook_runs_before_it_is_asked_to_end(node: Node) -> None:
    command = ["python", "-c", "import sys; open(sys.argv[1], 'w').write('hooked')", "/data/file"]
    code = """
        import os, signal, time
        signal.signal(signal.SIGTERM, lambda *_: exit(open(os.environ["FILE"]).read()))
        print("up", flush=True)
        time.sleep(60)
    """
    program = python(
        code,
        lifecycle={"preStop": {"exec": {"command": command}}},
        env=[{"name": "FILE", "value": "/data/file"}],
        volumeMounts=[mount("data", "/data")],
        terminationMessagePolicy="FallbackToLogsOnError",
    )
    ended = await node.run(pod("p", program, volumes=[{"name": "data", "emptyDir": {}}], activeDeadlineSeconds=2))
    assert "hooked" in terminated(ended)["message"]
    assert ended["status"]["reason"] == "DeadlineExceeded"


async def test_a_log_makes_room_for_itself(node: Node) -> None:
    await node.run(pod("p", python("import sys; [sys.stdout.write(f'{n:099}\\n') for n in range(250_000)]")))
    log = node.kubelet.log_of("demo", "p", "step")
    assert log is not None
    older = log.with_name("step.log.1")
    assert log.stat().st_size <= 10 << 20 and older.stat().st_size <= 10 << 20
    numbers = [int(line) for line in (older.read_bytes() + log.read_bytes()).splitlines()[1:]]
    assert numbers == list(range(numbers[0], 250_000)), "the last lines are all there"


async def test_ctrl_c_at_the_terminal_is_not_for_pods(node: Node) -> None:
    program = psutil.Process(pid_of(await node.up(pod("p", python(SLEEP)))))
    supervisor = program.parent()
    assert supervisor is not None
    groups = {os.getpgid(process.pid) for process in (program, supervisor)}
    assert len(groups) == 2 and os.getpgrp() not in groups


# What a Job makes of its pod's end: (program, fields of its spec, condition, reason, failed)
JOBS = {
    "a program that fails for good": ("raise SystemExit(10)", {}, ("Failed", "PodFailurePolicy", 1)),
    "a program that fails too often": (
        "raise SystemExit(1)",
        {"backoffLimit": 0},
        ("Failed", "BackoffLimitExceeded", 1),
    ),
    "a program that takes too long": (SLEEP, {"activeDeadlineSeconds": 2}, ("Failed", "DeadlineExceeded", 1)),
}


@pytest.mark.parametrize(("code", "spec", "end"), JOBS.values(), ids=JOBS.keys())
async def test_how_a_job_ends(node: Node, code: str, spec: Object, end: tuple[str, str, int]) -> None:
    condition, reason, failed = end
    await node.api.create(job("j", code, **spec))
    found = await node.until(JOB, "j", has(condition))
    reasons = {entry["type"]: entry["reason"] for entry in found["status"]["conditions"]}
    assert (reasons[condition], found["status"].get("failed")) == (reason, failed)
    assert "active" not in found["status"] and found["status"]["terminating"] == 0


def runs(raw: Object) -> bool:
    """Say whether a Job has a pod that is ready."""
    return bool((raw.get("status") or {}).get("ready"))


async def test_a_job_is_held_and_goes_on(node: Node) -> None:
    await node.api.create(job("j", SLEEP))
    found = await node.until(JOB, "j", runs)
    first = (await node.pod_of("j"))["metadata"]["name"]
    node.api.put({**found, "spec": {**found["spec"], "suspend": True}})
    await node.until(JOB, "j", has("Suspended"))
    held = await node.until(JOB, "j", lambda raw: not raw["status"]["terminating"])
    assert "active" not in held["status"]
    node.api.put({**held, "spec": {**held["spec"], "suspend": False}})
    again = await node.until(JOB, "j", runs)
    assert again["status"]["startTime"] >= held["status"]["startTime"] and "failed" not in again["status"]
    assert (await node.pod_of("j"))["metadata"]["name"] != first


async def test_what_ran_when_the_cluster_ended_is_begun_anew(tmp_path: Path) -> None:
    api = MemoryApi()
    async with running(api, tmp_path) as first:
        await api.create(job("j", SLEEP, backoffLimit=0))
        await first.until(JOB, "j", runs)
        former = (await first.pod_of("j"))["metadata"]["name"]
    stopped = await api.get(POD, "demo", former)
    assert stopped is not None and phase(stopped) == "Failed" and has("DisruptionTarget")(stopped)
    async with running(api, tmp_path) as second:
        found = await second.until(JOB, "j", lambda raw: len(pods_of(api, raw)) == 2 and runs(raw))
    assert "failed" not in found["status"], "the end was nobody's fault"


def pods_of(api: MemoryApi, raw: Object) -> list[Object]:
    """Return the pods of a Job."""
    return [pod for pod in api.all("Pod") if pod["metadata"]["labels"]["job-name"] == raw["metadata"]["name"]]


async def test_what_ran_when_the_cluster_was_killed_is_lost_and_begun_anew(tmp_path: Path) -> None:
    api = MemoryApi()
    made = await api.create(job("j", SLEEP, backoffLimit=0))
    assert made is not None
    left = await start_pod(api, made, labels(made), random.Random(1))
    long_ago = "2026-01-01T00:00:00Z"
    state = {"running": {"startedAt": long_ago}}
    status = {
        "phase": "Running",
        "startTime": long_ago,
        "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": long_ago}],
        "containerStatuses": [{"name": "step", "state": state, "ready": True, "restartCount": 0}],
    }
    api.put({**left, "status": status})
    (tmp_path / "pods/demo_left-over/step").mkdir(parents=True)
    async with running(api, tmp_path) as node:
        found = await node.until(JOB, "j", lambda raw: len(pods_of(api, raw)) == 2 and runs(raw))
        lost = await node.until(POD, left["metadata"]["name"], lambda _: True)
    assert "failed" not in found["status"], "the end was nobody's fault"
    assert (phase(lost), lost["status"]["reason"], has("DisruptionTarget")(lost)) == ("Failed", "Terminated", True)
    assert terminated(lost)["reason"] == "ContainerStatusUnknown"
    assert not (tmp_path / "pods/demo_left-over").exists()


CLUSTER = """
    import asyncio, sys
    from pathlib import Path
    from treadle.local.server.api import MemoryApi
    from treadle.local.kubelet.processes import Kubelet

    CODE = '''
    import subprocess, sys, time
    subprocess.Popen([sys.executable, "-c", "import os, time; os.setsid(); print('up', flush=True); time.sleep(60)"])
    time.sleep(60)
    '''
    command = [sys.executable, "-c", __import__("textwrap").dedent(CODE)]
    container = {"name": "step", "image": "local/treadle-worker:1", "command": command}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "demo"},
           "spec": {"containers": [container]}}

    async def main():
        api = MemoryApi()
        await api.create(pod)
        await Kubelet(api, Path(sys.argv[1])).run()

    asyncio.run(main())
"""


def test_nothing_survives_when_the_cluster_is_killed(tmp_path: Path) -> None:
    cluster = subprocess.Popen([sys.executable, "-c", textwrap.dedent(CLUSTER), str(tmp_path)])
    log = tmp_path / "demo_p/step.log"
    family: list[psutil.Process] = []
    try:
        eventually(lambda: log.exists() and log.read_text() == "up\n")
        family = psutil.Process(cluster.pid).children(recursive=True)
        assert len(family) == 3, "a supervisor, the program, and the child that left its group"
    finally:
        cluster.send_signal(signal.SIGKILL)
        cluster.wait()
    eventually(lambda: not any(process.is_running() for process in family))


async def test_nothing_survives_when_a_supervisor_is_killed(node: Node) -> None:
    found = await node.up(pod("p", python(SLEEP)))
    supervisor = psutil.Process(pid_of(found)).parent()
    assert supervisor is not None
    supervisor.kill()
    ended = await node.until(POD, "p", lambda raw: phase(raw) == "Failed")
    assert terminated(ended)["exitCode"] == 137
    await asyncio.to_thread(eventually, lambda: not psutil.pid_exists(pid_of(found)))


async def test_two_clusters_have_addresses_of_their_own(tmp_path: Path) -> None:
    one, other = MemoryApi(), MemoryApi()
    addresses = set()
    async with running(one, tmp_path / "one") as first, running(other, tmp_path / "other") as second:
        for node in (first, second):
            for name in ("a", "b"):
                await node.api.create(pod(name, server(readinessProbe=HTTP)))
            for name in ("a", "b"):
                addresses.add((await node.until(POD, name, is_ready))["status"]["podIP"])
    assert len(addresses) == 4 and all(address.startswith("127.") for address in addresses)


async def test_what_was_not_foreseen_is_told_and_hurts_nobody_else(
    node: Node, caplog: pytest.LogCaptureFixture
) -> None:
    # A real server refuses both.
    broken = await node.run({**pod("p", python("")), "spec": {"containers": None}})
    assert (broken["status"]["reason"], broken["status"]["message"]) == (
        "KubeletError",
        "TypeError: Value after * must be an iterable, not NoneType",
    )
    await node.api.create({**job("j", ""), "spec": {}})
    await node.until(JOB, "j", lambda _: node.api.all("Event"))
    [event] = node.api.all("Event")
    assert (event["regarding"]["name"], event["reason"], event["note"]) == ("j", "FailedSync", "KeyError: 'template'")
    assert phase(await node.run(pod("q", python("")))) == "Succeeded"
    assert [record.message for record in caplog.records] == ["Could not run a pod", "Could not look at an object"]
    caplog.clear()


async def test_the_end_of_a_cluster_hastens_the_end_of_its_pods(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("treadle.local.kubelet.processes.CLOSE_SECONDS", 0.5)
    found = await node.up(pod("p", python(DEAF), terminationGracePeriodSeconds=600))
    await end_pod(node.api, found)
    await node.until(POD, "p", lambda raw: "deletionTimestamp" in raw["metadata"])
    began = time.monotonic()
    await node.kubelet.close()
    assert time.monotonic() - began < 10
    assert not psutil.pid_exists(pid_of(found))


async def test_a_second_deletion_hastens_the_first(node: Node) -> None:
    found = await node.up(pod("p", python(DEAF), terminationGracePeriodSeconds=600))
    await end_pod(node.api, found)
    marked = await node.until(POD, "p", lambda raw: "deletionTimestamp" in raw["metadata"])
    node.api.put({**marked, "metadata": {**marked["metadata"], "deletionGracePeriodSeconds": 1}})
    await asyncio.to_thread(eventually, lambda: not psutil.pid_exists(pid_of(found)))
