"""The Deployment controller: single decisions as rows, and rollouts on virtual time with a node of words."""

import asyncio
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import virtual
from treadle.api.base import moment, stamp
from treadle.control.engine.ports import DEPLOYMENT, POD
from treadle.local.controllers.deployments import run_deployments
from treadle.local.controllers.replicasets import decide, worth
from treadle.local.controllers.rollout import REVISION, bounds, template_hash
from treadle.local.server.api import Change, MemoryApi
from treadle.local.server.types import REPLICA_SET
from treadle.local.writing import take_away

type Object = dict[str, Any]

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
START_SECONDS = 3


def deployment(version: str = "1", replicas: int = 3, **spec: Any) -> Object:
    """Return a Deployment whose template has a version; `broken` never becomes ready."""
    template = {
        "metadata": {"labels": {"app": "d"}},
        "spec": {"containers": [{"name": "server", "image": f"local/treadle-server:{version}"}]},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "d", "namespace": "demo"},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "d"}}, "template": template, **spec},
    }


def rolling(surge: int | str, unavailable: int | str) -> Object:
    """Return the fields of a rolling update."""
    return {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}}


# (replicas, fields of the spec, how many more there may be, how many may be missing)
BOUNDS: dict[str, tuple[int, Object, tuple[int, int]]] = {
    "a quarter, rounded up and down": (5, {}, (2, 1)),
    "a quarter of few": (2, {}, (1, 0)),
    "numbers": (3, rolling(1, 0), (1, 0)),
    "percentages": (10, rolling("15%", "15%"), (2, 1)),
    "a percentage of large numbers is exact": (100, rolling("7%", "7%"), (7, 7)),
    "never none of both": (3, rolling("0%", "10%"), (0, 1)),
    "no more missing than there are": (2, rolling(1, 5), (1, 2)),
    "nothing of nothing": (0, {}, (0, 0)),
}


@pytest.mark.parametrize(("replicas", "spec", "wanted"), BOUNDS.values(), ids=BOUNDS.keys())
def test_bounds(replicas: int, spec: Object, wanted: tuple[int, int]) -> None:
    assert bounds(deployment(replicas=replicas, **spec)) == wanted


def test_a_template_has_one_hash() -> None:
    one, same, other = (deployment(version)["spec"]["template"] for version in ("1", "1", "2"))
    assert template_hash(one) == template_hash(same) != template_hash(other)
    assert len(template_hash(one)) == 10


@dataclass
class World:
    """An API with the controllers, and a node that needs three seconds to start a pod and one to end it."""

    api: MemoryApi
    told: asyncio.Queue[Change]
    most: int = 0
    least: int = 99
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def spawn(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def node(self) -> None:
        """Start and end pods; note how many there were."""
        while True:
            change = await self.told.get()
            pods = [pod for pod in self.api.all("Pod") if "deletionTimestamp" not in pod["metadata"]]
            self.most, self.least = max(self.most, len(pods)), min(self.least, sum(map(is_ready, pods)))
            if change.object["kind"] != "Pod" or change.type == "DELETED":
                continue
            if change.type == "ADDED":
                self.spawn(self.start(change.object))
            elif "deletionTimestamp" in change.object["metadata"] and change.object["spec"].get("nodeName"):
                self.spawn(self.end(change.object))

    async def start(self, pod: Object) -> None:
        image = pod["spec"]["containers"][0]["image"]
        self.put(pod, "Pending", ready=False)
        await asyncio.sleep(START_SECONDS)
        if "broken" not in image:
            self.put(pod, "Running", ready=True)

    async def end(self, pod: Object) -> None:
        await asyncio.sleep(1)
        take_away(self.api, pod)

    def put(self, pod: Object, phase: str, *, ready: bool) -> None:
        live = self.api.find("Pod", "demo", pod["metadata"]["name"])
        if live is None or "deletionTimestamp" in live["metadata"]:
            return
        conditions = [{"type": "Ready", "status": str(ready), "lastTransitionTime": stamp(self.api.now())}]
        spec = {**live["spec"], "nodeName": "words"}
        self.api.put({**live, "spec": spec, "status": {"phase": phase, "conditions": conditions}})

    async def put_deployment(self, wished: Object) -> None:
        """Create or change the Deployment as a person does."""
        live = await self.api.get(DEPLOYMENT, "demo", "d")
        if live is None:
            await self.api.create(wished)
        else:
            self.api.put({**live, "spec": wished["spec"]})

    async def after(self, seconds: float) -> Object:
        """Return the Deployment after some time."""
        await asyncio.sleep(seconds)
        found = await self.api.get(DEPLOYMENT, "demo", "d")
        assert found is not None
        return found

    async def settled(self) -> Object:
        """Return the Deployment when nothing moves any more."""
        return await self.after(120)

    def versions(self) -> list[str]:
        """Return the versions of the pods that are there."""
        images = [pod["spec"]["containers"][0]["image"] for pod in self.api.all("Pod")]
        return sorted(image.rpartition(":")[2] for image in images)


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """See that no controller met what was not foreseen."""
    yield
    assert [record.getMessage() for record in caplog.get_records("call")] == []


def is_ready(pod: Object) -> bool:
    """Say whether a pod is ready."""
    conditions = (pod.get("status") or {}).get("conditions") or []
    return any(entry["type"] == "Ready" and entry["status"] == "True" for entry in conditions)


def play(script: Callable[[World], Any]) -> None:
    """Run a script in a world of its own, on virtual time."""

    async def scene() -> None:
        clock = asyncio.get_running_loop().time
        began = clock()
        api = MemoryApi(now=lambda: NOW + timedelta(seconds=clock() - began))
        world = World(api, asyncio.Queue())
        api.subscribe(world.told)
        parts = [asyncio.create_task(run_deployments(api, random.Random(1))), asyncio.create_task(world.node())]
        await script(world)
        for part in parts:
            assert not part.done(), part.exception()
            part.cancel()
        await asyncio.gather(*parts, *world.tasks, return_exceptions=True)

    virtual.run(scene())


def said(raw: Object) -> dict[str, tuple[str, str]]:
    """Return status and reason by condition."""
    return {entry["type"]: (entry["status"], entry["reason"]) for entry in raw["status"]["conditions"]}


def counts(raw: Object) -> tuple[int, ...]:
    """Return replicas, updated, ready, available and unavailable."""
    names = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas", "unavailableReplicas")
    return tuple(raw["status"].get(name, 0) for name in names)


def test_a_new_deployment_comes_up() -> None:
    async def script(world: World) -> None:
        await world.put_deployment(deployment())
        early = await world.after(1)
        assert counts(early) == (3, 3, 0, 0, 3)
        assert said(early)["Available"] == ("False", "MinimumReplicasUnavailable")
        assert said(early)["Progressing"][0] == "True"
        late = await world.settled()
        assert counts(late) == (3, 3, 3, 3, 0)
        assert said(late) == {
            "Available": ("True", "MinimumReplicasAvailable"),
            "Progressing": ("True", "NewReplicaSetAvailable"),
        }
        assert late["metadata"]["annotations"][REVISION] == "1"
        assert late["status"]["observedGeneration"] == late["metadata"]["generation"]
        [replica_set] = await world.api.list(REPLICA_SET)
        pods = await world.api.list(POD)
        hashed = replica_set["metadata"]["labels"]["pod-template-hash"]
        assert replica_set["metadata"]["name"] == f"d-{hashed}"
        assert {pod["metadata"]["labels"]["pod-template-hash"] for pod in pods} == {hashed}
        assert {pod["metadata"]["ownerReferences"][0]["name"] for pod in pods} == {f"d-{hashed}"}

    play(script)


# (fields of the spec, the most pods at any time, the fewest ready ones)
ROLLOUTS: dict[str, tuple[Object, int, int]] = {
    "one more, none missing": (rolling(1, 0), 4, 3),
    "none more, one missing": (rolling(0, 1), 3, 2),
    "all at once beside the old": (rolling("100%", 0), 6, 3),
    "as by default": ({}, 4, 3),
    "the old first, all of them": ({"strategy": {"type": "Recreate"}}, 3, 0),
}


@pytest.mark.parametrize(("spec", "most", "least"), ROLLOUTS.values(), ids=ROLLOUTS.keys())
def test_a_rollout_keeps_its_bounds(spec: Object, most: int, least: int) -> None:
    async def script(world: World) -> None:
        await world.put_deployment(deployment("1", **spec))
        await world.settled()
        world.most, world.least = 0, 99
        await world.put_deployment(deployment("2", **spec))
        done = await world.settled()
        assert world.versions() == ["2", "2", "2"]
        assert (world.most, world.least) == (most, least)
        assert counts(done) == (3, 3, 3, 3, 0)
        assert said(done)["Progressing"] == ("True", "NewReplicaSetAvailable")
        assert done["metadata"]["annotations"][REVISION] == "2"

    play(script)


def test_a_new_pod_of_recreate_starts_when_the_last_old_one_has_ended() -> None:
    async def script(world: World) -> None:
        recreate = {"strategy": {"type": "Recreate"}}
        await world.put_deployment(deployment("1", **recreate))
        await world.settled()
        await world.put_deployment(deployment("2", **recreate))
        await world.after(0.5)
        assert world.versions() == ["1", "1", "1"]
        await world.after(1)
        assert world.versions() == ["2", "2", "2"]

    play(script)


def test_a_broken_version_replaces_nothing_and_is_late() -> None:
    async def script(world: World) -> None:
        careful = {**rolling(1, 0), "progressDeadlineSeconds": 30}
        await world.put_deployment(deployment("1", **careful))
        await world.settled()
        await world.put_deployment(deployment("broken", **careful))
        early = await world.after(20)
        assert said(early)["Progressing"] == ("True", "ReplicaSetUpdated")
        late = await world.settled()
        assert world.versions() == ["1", "1", "1", "broken"]
        assert said(late) == {
            "Available": ("True", "MinimumReplicasAvailable"),
            "Progressing": ("False", "ProgressDeadlineExceeded"),
        }
        await world.put_deployment(deployment("1", **careful))
        back = await world.settled()
        assert world.versions() == ["1", "1", "1"]
        assert said(back)["Progressing"] == ("True", "NewReplicaSetAvailable")
        assert back["metadata"]["annotations"][REVISION] == "3", "going back is a rollout as well"

    play(script)


def test_a_broken_version_is_replaced_before_what_works() -> None:
    async def script(world: World) -> None:
        await world.put_deployment(deployment("1", **rolling(1, 0)))
        await world.settled()
        await world.put_deployment(deployment("broken", **rolling(1, 0)))
        await world.settled()
        world.least = 99
        await world.put_deployment(deployment("2", **rolling(1, 0)))
        await world.settled()
        assert world.versions() == ["2", "2", "2"] and world.least == 3

    play(script)


SCALES = {"up": 5, "down": 1, "to nothing": 0}


@pytest.mark.parametrize("replicas", SCALES.values(), ids=SCALES.keys())
def test_scale(replicas: int) -> None:
    async def script(world: World) -> None:
        await world.put_deployment(deployment("1"))
        await world.settled()
        await world.put_deployment(deployment("1", replicas))
        done = await world.settled()
        assert len(world.versions()) == replicas and counts(done) == (replicas,) * 4 + (0,)
        assert len(await world.api.list(REPLICA_SET)) == 1

    play(script)


def test_a_pod_is_available_when_it_was_ready_for_a_while() -> None:
    async def script(world: World) -> None:
        await world.put_deployment(deployment("1", minReadySeconds=10))
        early = await world.after(START_SECONDS + 5)
        assert counts(early) == (3, 3, 3, 0, 3)
        late = await world.after(10)
        assert counts(late) == (3, 3, 3, 3, 0)

    play(script)


def test_a_pod_that_goes_or_fails_is_replaced() -> None:
    async def script(world: World) -> None:
        await world.put_deployment(deployment("1"))
        await world.settled()
        first, second, _ = await world.api.list(POD)
        await world.api.delete(first)
        world.api.put({**second, "status": {"phase": "Failed", "reason": "Terminated"}})
        await world.settled()
        pods = await world.api.list(POD)
        assert len(pods) == 3 and all(map(is_ready, pods))
        gone = {first["metadata"]["name"], second["metadata"]["name"]}
        assert not gone & {pod["metadata"]["name"] for pod in pods}

    play(script)


def test_old_replica_sets_are_kept_for_a_way_back() -> None:
    async def script(world: World) -> None:
        for version in "1234":
            await world.put_deployment(deployment(version, revisionHistoryLimit=2))
            await world.settled()
        found = await world.api.list(REPLICA_SET)
        assert sorted(raw["metadata"]["annotations"][REVISION] for raw in found) == ["2", "3", "4"]
        sizes = {raw["metadata"]["annotations"][REVISION]: raw["spec"]["replicas"] for raw in found}
        assert sizes == {"2": 0, "3": 0, "4": 3}

    play(script)


def test_a_paused_deployment_scales_and_does_not_roll() -> None:
    async def script(world: World) -> None:
        await world.put_deployment(deployment("1"))
        await world.settled()
        await world.put_deployment(deployment("2", 3, paused=True))
        await world.settled()
        assert world.versions() == ["1", "1", "1"]
        await world.put_deployment(deployment("1", 2, paused=True))
        await world.settled()
        assert world.versions() == ["1", "1"]
        await world.put_deployment(deployment("2", 2))
        await world.settled()
        assert world.versions() == ["2", "2"]

    play(script)


def test_a_deleted_deployment_takes_all_with_it() -> None:
    async def script(world: World) -> None:
        await world.put_deployment(deployment("1"))
        done = await world.settled()
        await world.api.delete(done)
        await asyncio.sleep(60)
        assert not world.api.all("Pod") and not world.api.all("ReplicaSet") and not world.api.all("Deployment")

    play(script)


def test_nothing_is_written_while_nothing_happens() -> None:
    async def script(world: World) -> None:
        await world.put_deployment(deployment("1", progressDeadlineSeconds=30))
        await world.settled()
        told: asyncio.Queue[Change] = asyncio.Queue()
        world.api.subscribe(told)
        await asyncio.sleep(3600)
        assert told.empty()

    play(script)


def pods() -> Iterator[tuple[str, Object]]:
    """Yield pods by what is ended first."""

    def pod(node: str, phase: str, ready: int | None, *, restarts: int = 0, age: int = 100, cost: str = "0") -> Object:
        since = [{"type": "Ready", "status": "True", "lastTransitionTime": stamp(NOW - timedelta(seconds=ready or 0))}]
        return {
            "metadata": {
                "name": "p",
                "creationTimestamp": stamp(NOW - timedelta(seconds=age)),
                "annotations": {"controller.kubernetes.io/pod-deletion-cost": cost},
            },
            "spec": {"nodeName": node},
            "status": {
                "phase": phase,
                "conditions": since if ready is not None else [],
                "containerStatuses": [{"restartCount": restarts}],
            },
        }

    yield "without a node", pod("", "Pending", None)
    yield "pending", pod("n", "Pending", None)
    yield "not ready", pod("n", "Running", None)
    yield "cheap", pod("n", "Running", 90, cost="-1")
    yield "ready for a short time", pod("n", "Running", 5)
    yield "restarted", pod("n", "Running", 50, restarts=3)
    yield "young", pod("n", "Running", 50, age=60)
    yield "old", pod("n", "Running", 50, age=100)


def test_what_is_worth_least_is_ended_first() -> None:
    ordered = list(pods())
    shuffled = random.Random(7).sample(ordered, len(ordered))
    assert [name for name, _ in sorted(shuffled, key=lambda pair: worth(pair[1]))] == [name for name, _ in ordered]


def test_a_replica_set_waits_only_for_what_is_ready() -> None:
    spec = {"replicas": 1, "minReadySeconds": 30}
    replica_set = {"metadata": {"generation": 1, "uid": "r"}, "spec": spec}
    [pod] = [raw for name, raw in pods() if name == "young"]
    early, late = (decide(replica_set, [pod], NOW + timedelta(seconds=seconds)) for seconds in (-30, 0))
    since = moment(pod["status"]["conditions"][0]["lastTransitionTime"])
    assert early.again == (since + timedelta(seconds=30) - NOW + timedelta(seconds=30)).total_seconds()
    assert early.status.get("availableReplicas") is None
    assert (late.again, late.status["availableReplicas"]) == (None, 1)
