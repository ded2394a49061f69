"""Pods as processes: real ones, of tiny programs, below the kubelet of the embedded cluster."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from treadle.api.blocks import JobTemplate
from treadle.api.datasource import DataSource
from treadle.api.step import IngestStep, Owner, StoreAddress, read_result
from treadle.control.engine.ports import JOB, POD, Gvk, Object
from treadle.control.podspec import Mounts, Run, step_job
from treadle.control.settings import Settings
from treadle.local import secrets
from treadle.local.api import MemoryApi
from treadle.local.jobs import run_jobs
from treadle.local.processes import Kubelet

SECONDS = 20
IMAGE = "local/treadle-worker:1"
RIDES = {
    "source": {"inline": {"configMapRef": {"name": "rides"}}},
    "format": {"name": "csv"},
    "schema": {"columns": [{"name": "a", "type": "integer"}]},
}


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

    async def pod_of(self, job: str) -> Object:
        """Return the pod of a Job that has one."""
        pods = await self.api.list(POD, "demo", labels={"job-name": job})
        assert len(pods) == 1, [pod["metadata"]["name"] for pod in pods]
        return pods[0]


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    """Yield a node in which Jobs run; at the end nothing of it is left."""
    api = MemoryApi()
    kubelet = Kubelet(api, tmp_path / "pods", own={"AWS_SECRET_ACCESS_KEY": "mine", "HOME": "/home/me"})
    parts = [asyncio.create_task(kubelet.run()), asyncio.create_task(run_jobs(api))]
    yield Node(api, kubelet, tmp_path, parts)
    for part in parts:
        part.cancel()
    await asyncio.gather(*parts, return_exceptions=True)
    await kubelet.close()


def has(kind: str) -> Callable[[Object], bool]:
    """Return whether an object has the condition."""
    return lambda raw: any(
        entry["type"] == kind and entry["status"] == "True" for entry in raw.get("status", {}).get("conditions", [])
    )


def terminated(pod: Object) -> Object:
    """Return how the first container of a pod ended."""
    found: Object = pod["status"]["containerStatuses"][0]["state"]["terminated"]
    return found


async def test_a_job_runs_a_real_step(node: Node) -> None:
    (node.root / "buckets" / "treadle").mkdir(parents=True)
    for made in secrets.for_namespace("demo", node.root / "buckets"):
        await node.api.create(made)
    rows = {"a.csv": "a\n" + "".join(f"{number}\n" for number in range(100))}
    await node.api.create(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "rides", "namespace": "demo"}, "data": rows}
    )
    owner = Owner(kind="DataSource", name="rides", uid="u", namespace="demo")
    step = IngestStep.parse(
        {
            "run": "0" * 10,
            "runKey": "0" * 64,
            "owner": owner.dump(),
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
    await node.api.create(
        step_job(source, Run("rides-0", "ingest", step.dump(), "0" * 64), JobTemplate(), mounts, settings)
    )

    job = await node.until(JOB, "rides-0", has("Complete"))
    assert job["status"]["succeeded"] == 1
    pod = await node.pod_of("rides-0")
    result = read_result(terminated(pod)["message"])
    assert (result.outcome, result.message) == ("Published", "100 rows")
    log = node.kubelet.log_of("demo", pod["metadata"]["name"], "step")
    assert log is not None and log.read_text() == "Published VersionPublished: 100 rows\n"
