"""Jobs and Deployments here and under a real kube-controller-manager: what both make of a scene must be equal."""

import asyncio
import random
import secrets
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from asking import Reached, create, send
from compared import Row, noted
from control_plane import ControlPlane, binaries, control_plane, process
from controllers import SCENES, Scene
from tiers import missing
from treadle.local.controllers.deployments import run_deployments
from treadle.local.controllers.jobs import run_jobs
from treadle.local.schema.admit import schemas
from wired import Wired, wired

CONTROLLERS = (
    "deployment-controller",
    "garbage-collector-controller",
    "job-controller",
    "namespace-controller",
    "replicaset-controller",
    "ttl-after-finished-controller",
)


type Plays = dict[str, tuple[Future[Any], Future[Any]]]
"""What memory and a real server make of each scene."""


@pytest.fixture(scope="module")
def plays() -> Iterator[Plays]:
    """Play all scenes on both servers, side by side, since most of them wait."""
    programs = binaries()
    if programs is None or not (programs / "kube-controller-manager").exists():
        missing("kube-controller-manager (hack/cluster/build.sh etcd kube-apiserver kube-controller-manager)")
    with ExitStack() as running:
        memory = running.enter_context(wired(schemas()))
        tasks = [asyncio.run_coroutine_threadsafe(part, memory.loop) for part in parts(memory)]
        plane = running.enter_context(control_plane())
        running.enter_context(process(plane.directory, "kube-controller-manager", manager(programs, plane)))
        pool = running.enter_context(ThreadPoolExecutor(2 * len(SCENES)))
        names = {scene: f"{scene.__name__.replace('_', '-')}-{secrets.token_hex(2)}" for scene in SCENES}
        yield {
            scene.__name__: (pool.submit(scene, in_memory(memory, name)), pool.submit(scene, real(plane, name)))
            for scene, name in names.items()
        }
        pool.shutdown(wait=True)
        for task in tasks:
            task.cancel()


def parts(memory: Wired) -> list[Any]:
    """Return the controllers of this package."""
    return [run_jobs(memory.api, random.Random(1)), run_deployments(memory.api, random.Random(2))]


def manager(programs: Path, plane: ControlPlane) -> list[str]:
    """Return the command of a real controller manager that runs the same controllers."""
    return [
        str(programs / "kube-controller-manager"),
        f"--kubeconfig={plane.kubeconfig}",
        f"--controllers={','.join(CONTROLLERS)}",
        "--leader-elect=false",
        "--secure-port=0",
        "--kube-api-qps=500",
        "--kube-api-burst=500",
    ]


def in_memory(memory: Wired, name: str) -> Scene:
    """Return a stage on the API in memory."""
    server = Reached(memory.url)
    assert send(server, create("/api/v1/namespaces", {"metadata": {"name": name}}))[0] == 201

    def bind(pod: str) -> None:
        def bound() -> None:
            live = memory.api.find("Pod", name, pod)
            if live is not None:
                memory.api.put({**live, "spec": {**live["spec"], "nodeName": "node"}})

        memory.do(bound)

    return Scene(server, name, bind)


def real(plane: ControlPlane, name: str) -> Scene:
    """Return a stage on a real server."""
    plane.namespace(name)
    server = Reached(plane.server, plane.context())

    def bind(pod: str) -> None:
        target = {"apiVersion": "v1", "kind": "Node", "name": "node"}
        body = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": pod}, "target": target}
        status, answer = plane.request("POST", f"/api/v1/namespaces/{name}/pods/{pod}/binding", body)
        assert status in (201, 404, 409), answer

    return Scene(server, name, bind)


@pytest.mark.parametrize("name", [scene.__name__ for scene in SCENES])
def test_controllers(name: str, plays: Plays, request: pytest.FixtureRequest) -> None:
    mine, truth = (future.result(120) for future in plays[name])
    noted(request.config, Row(name.replace("_", " "), f"{len(mine)} views", f"{len(truth)} views", mine == truth))
    assert mine == truth
