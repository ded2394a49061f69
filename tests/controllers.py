"""Scenes that Jobs and Deployments go through, played alike on two servers; the player is the kubelet."""

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from asking import MERGE, Ask, Reached, create, delete, get, merge, send

type Json = Any

SECONDS = 40.0
STILL_SECONDS = 1.5
"""A view that stays the same for so long is what the controllers settled on."""
NOISE = frozenset({"uncountedTerminatedPods"})
SUFFIX = re.compile(r"-[bcdfghjklmnpqrstvwxz2456789]{5}\b")
POD_POLICY = {
    "rules": [
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
        {"action": "Ignore", "onExitCodes": {"containerName": "step", "operator": "In", "values": [11]}},
        {"action": "FailJob", "onExitCodes": {"containerName": "step", "operator": "In", "values": [10]}},
    ]
}


def stamp() -> str:
    """Return the time, as kubelet writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True, slots=True)
class Scene:
    """A namespace of a server; `bind` gives a pod its node."""

    server: Reached
    namespace: str
    bind: Callable[[str], None]

    def do(self, ask: Ask) -> Json:
        """Return a good answer."""
        path = ask.path.replace("{namespace}", self.namespace)
        status, _, answer = send(self.server, Ask(ask.method, path, ask.body, ask.content, ask.accept, ask.query))
        assert status in (200, 201, 202, 404), (ask.method, path, answer)
        return answer

    def pods(self) -> list[Json]:
        """Return the pods that were made by a controller, the oldest first."""
        items = self.do(get("pod"))["items"]
        return sorted(items, key=lambda raw: (raw["metadata"]["creationTimestamp"], raw["metadata"]["name"]))

    def open_pods(self) -> list[Json]:
        """Return the pods that are neither over nor on their way out."""
        return [
            raw
            for raw in self.pods()
            if phase(raw) not in ("Succeeded", "Failed") and "deletionTimestamp" not in raw["metadata"]
        ]

    def tell(self, pod: Json, told: str, *, code: int = 0, ready: bool = False, disrupted: bool = False) -> None:
        """Write a pod's status as kubelet would."""
        now, name = stamp(), pod["metadata"]["name"]
        started = {"startedAt": now}
        state = (
            {"running": started}
            if told == "Running"
            else {"terminated": {"exitCode": code, "reason": "Error", "finishedAt": now, **started}}
        )
        conditions = [{"type": "Ready", "status": str(ready), "lastTransitionTime": now}]
        if disrupted:
            conditions.append({"type": "DisruptionTarget", "status": "True", "lastTransitionTime": now})
        image = pod["spec"]["containers"][0]["image"]
        container = {"name": "step", "image": image, "imageID": "", "ready": ready, "restartCount": 0, "state": state}
        status = {"phase": told, "startTime": now, "conditions": conditions, "containerStatuses": [container]}
        self.do(merge(f"pod/{name}/status", {"status": status}, content=MERGE))

    def until(self, holds: Callable[[], bool]) -> None:
        """Wait until it holds."""
        deadline = time.monotonic() + SECONDS
        while not holds():
            assert time.monotonic() < deadline, f"{self.server.url} {self.namespace} does not come to it"
            time.sleep(0.05)

    def pods_come(self, number: int) -> list[Json]:
        """Return the open pods, as soon as there are so many; each gets its node."""
        self.until(lambda: len(self.open_pods()) == number)
        found = self.open_pods()
        for raw in found:
            if not raw["spec"].get("nodeName"):
                self.bind(raw["metadata"]["name"])
        return found

    def settled(self, view: Callable[[], Json]) -> Json:
        """Return a view when it moves no more."""
        last, since = view(), time.monotonic()
        deadline = since + SECONDS
        while time.monotonic() - since < STILL_SECONDS:
            assert time.monotonic() < deadline, f"{self.server.url} {self.namespace} does not settle"
            time.sleep(0.1)
            if (now := view()) != last:
                last, since = now, time.monotonic()
        return last

    def job(self) -> Json:
        """Return what there is to see of the Job and its pods."""
        return self.settled(lambda: {"status": plain(self.do(get("job/j")).get("status")), "pods": self.seen_pods()})

    def deployment(self) -> Json:
        """Return what there is to see of the Deployment, its ReplicaSets and its pods."""
        return self.settled(self._deployment)

    def _deployment(self) -> Json:
        found = self.do(get("deploy/d"))
        sets = sorted(self.do(get("rs"))["items"], key=revision)
        names = {raw["metadata"]["name"]: f"set {revision(raw)}" for raw in sets}
        hashes = {raw["metadata"]["labels"]["pod-template-hash"]: revision(raw) for raw in sets}
        return {
            "status": named(plain(found.get("status")), names),
            "revision": revision(found),
            "sets": [
                {
                    "annotations": raw["metadata"]["annotations"],
                    "labels": sorted(raw["metadata"]["labels"]),
                    "owner": owner(raw),
                    "selector": sorted(raw["spec"]["selector"]["matchLabels"]),
                    "replicas": raw["spec"]["replicas"],
                    "status": plain(raw.get("status")),
                }
                for raw in sets
            ],
            "pods": sorted(
                (hashes.get(raw["metadata"]["labels"]["pod-template-hash"], 0), phase(raw), named(owner(raw), names))
                for raw in self.pods()
            ),
        }

    def seen_pods(self) -> list[Json]:
        """Return what there is to see of the pods."""
        found = [
            (phase(raw), "deletionTimestamp" in raw["metadata"], sorted(raw["metadata"]["labels"]), owner(raw))
            for raw in self.pods()
        ]
        return sorted(found)


def phase(raw: Json) -> str:
    """Return a pod's phase."""
    return str((raw.get("status") or {}).get("phase", "Pending"))


def revision(raw: Json) -> int:
    """Return the number of a rollout."""
    return int((raw["metadata"].get("annotations") or {}).get("deployment.kubernetes.io/revision", 0))


def owner(raw: Json) -> Json:
    """Return an owner reference without its uid."""
    return [{key: each[key] for key in sorted(each) if key != "uid"} for each in raw["metadata"]["ownerReferences"]]


def plain(status: Json) -> Json:
    """Return a status without times and names that are made up."""
    if isinstance(status, dict):
        return {key: plain(value) for key, value in status.items() if key not in NOISE}
    if isinstance(status, list):
        found = [plain(each) for each in status]
        return (
            sorted(found, key=lambda each: str(each.get("type"))) if all(isinstance(e, dict) for e in found) else found
        )
    if isinstance(status, str):
        return SUFFIX.sub("-<suffix>", re.sub(r"\d{4}-\d\d-\d\dT\S+Z", "<time>", status))
    return status


def named(value: Json, names: dict[str, str]) -> Json:
    """Return a value with other names."""
    if isinstance(value, dict):
        return {key: named(each, names) for key, each in value.items()}
    if isinstance(value, list):
        return [named(each, names) for each in value]
    if isinstance(value, str):
        for name, new in names.items():
            value = value.replace(name, new)
    return value


def job(**spec: Any) -> Json:
    """Return a Job as this operator makes them."""
    container = {"name": "step", "image": "local/treadle-worker:1"}
    template = {"metadata": {"labels": {"app": "j"}}, "spec": {"restartPolicy": "Never", "containers": [container]}}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j"}, "spec": {"template": template, **spec}}


OURS = {"backoffLimit": 1, "podFailurePolicy": POD_POLICY, "podReplacementPolicy": "Failed"}


def a_job_succeeds(scene: Scene) -> list[Json]:
    scene.do(create("job", job(**OURS, ttlSecondsAfterFinished=4)))
    [pod] = scene.pods_come(1)
    seen = [scene.job()]
    scene.tell(pod, "Running", ready=True)
    seen.append(scene.job())
    scene.tell(pod, "Succeeded")
    seen.append(scene.job())
    scene.until(lambda: scene.do(get("job/j")).get("code") == 404)
    scene.until(lambda: not scene.pods())
    return seen


def a_job_fails_for_good(scene: Scene) -> list[Json]:
    scene.do(create("job", job(**OURS)))
    [pod] = scene.pods_come(1)
    scene.tell(pod, "Failed", code=10)
    return [scene.job()]


def a_job_fails_too_often(scene: Scene) -> list[Json]:
    scene.do(create("job", job(**OURS)))
    [pod] = scene.pods_come(1)
    scene.tell(pod, "Failed", code=1)
    began = time.monotonic()
    seen = [scene.job()]
    [pod] = scene.pods_come(1)
    waited = time.monotonic() - began
    seen.append("about ten seconds" if 8 < waited < 16 else waited)
    seen.append(scene.job())
    scene.tell(pod, "Failed", code=1)
    return [*seen, scene.job()]


def a_disrupted_pod_is_replaced(scene: Scene) -> list[Json]:
    scene.do(create("job", job(**{**OURS, "backoffLimit": 0})))
    [pod] = scene.pods_come(1)
    scene.tell(pod, "Failed", code=137, disrupted=True)
    scene.pods_come(1)
    return [scene.job()]


def a_checkpoint_is_no_failure(scene: Scene) -> list[Json]:
    scene.do(create("job", job(**{**OURS, "backoffLimit": 0})))
    [pod] = scene.pods_come(1)
    scene.tell(pod, "Failed", code=11)
    [pod] = scene.pods_come(1)
    scene.tell(pod, "Succeeded")
    return [scene.job()]


def a_job_takes_too_long(scene: Scene) -> list[Json]:
    scene.do(create("job", job(**OURS, activeDeadlineSeconds=3)))
    [pod] = scene.pods_come(1)
    scene.tell(pod, "Running", ready=True)
    scene.until(lambda: "deletionTimestamp" in scene.pods()[0]["metadata"])
    seen = [scene.job()]
    scene.tell(pod, "Failed", code=143)
    scene.do(delete(f"pod/{pod['metadata']['name']}", {"gracePeriodSeconds": 0}))
    return [*seen, scene.job()]


def a_job_is_held_and_goes_on(scene: Scene) -> list[Json]:
    scene.do(create("job", job(**OURS, suspend=True)))
    seen = [scene.job()]
    scene.do(merge("job/j", {"spec": {"suspend": False}}))
    [pod] = scene.pods_come(1)
    scene.tell(pod, "Running", ready=True)
    seen.append(scene.job())
    scene.do(merge("job/j", {"spec": {"suspend": True}}))
    scene.until(lambda: "deletionTimestamp" in scene.pods()[0]["metadata"])
    seen.append(scene.job())
    scene.do(merge("job/j", {"spec": {"suspend": False}}))
    seen.append(scene.job())
    scene.tell(pod, "Failed", code=143)
    scene.do(delete(f"pod/{pod['metadata']['name']}", {"gracePeriodSeconds": 0}))
    [pod] = scene.pods_come(1)
    seen.append(scene.job())
    scene.do(merge("job/j", {"spec": {"suspend": True}}))
    scene.until(lambda: "deletionTimestamp" in scene.pods()[0]["metadata"])
    scene.do(delete(f"pod/{pod['metadata']['name']}", {"gracePeriodSeconds": 0}))
    scene.until(lambda: not scene.pods())
    return [*seen, scene.job()]


def a_running_job_is_failed_by_another_pod(scene: Scene) -> list[Json]:
    scene.do(create("job", job(backoffLimit=0, completions=2, parallelism=2)))
    first, second = scene.pods_come(2)
    scene.tell(second, "Running", ready=True)
    scene.tell(first, "Failed", code=1)
    scene.until(lambda: any("deletionTimestamp" in raw["metadata"] for raw in scene.pods()))
    seen = [scene.job()]
    scene.tell(second, "Failed", code=143)
    scene.do(delete(f"pod/{second['metadata']['name']}", {"gracePeriodSeconds": 0}))
    return [*seen, scene.job()]


def a_pod_is_deleted_by_a_person(scene: Scene) -> list[Json]:
    scene.do(create("job", job(**OURS)))
    [pod] = scene.pods_come(1)
    scene.tell(pod, "Running", ready=True)
    scene.do(delete(f"pod/{pod['metadata']['name']}"))
    seen = [scene.job()]
    scene.tell(pod, "Failed", code=143)
    scene.do(delete(f"pod/{pod['metadata']['name']}", {"gracePeriodSeconds": 0}))
    scene.pods_come(1)
    return [*seen, scene.job()]


def a_job_waits_for_its_pods_only_once(scene: Scene) -> list[Json]:
    scene.do(create("job", job(backoffLimit=0)))
    [pod] = scene.pods_come(1)
    scene.tell(pod, "Running", ready=True)
    scene.do(delete("job/j", {"propagationPolicy": "Background"}))
    scene.until(lambda: "deletionTimestamp" in scene.pods()[0]["metadata"])
    scene.do(delete(f"pod/{pod['metadata']['name']}", {"gracePeriodSeconds": 0}))
    scene.until(lambda: not scene.pods())
    return [scene.do(get("job/j"))["code"]]


def a_job_of_many(scene: Scene) -> list[Json]:
    scene.do(create("job", job(completions=3, parallelism=2)))
    first, second = scene.pods_come(2)
    seen = [scene.job()]
    scene.tell(first, "Succeeded")
    scene.until(lambda: len(scene.pods()) == 3)
    seen.append(scene.job())
    scene.tell(second, "Succeeded")
    [third] = scene.pods_come(1)
    scene.tell(third, "Succeeded")
    return [*seen, scene.job()]


def a_paused_deployment(scene: Scene) -> list[Json]:
    scene.do(create("deploy", deployment("1")))
    all_ready(scene, 2)
    scene.do(merge("deploy/d", deployment("2", paused=True)))
    seen = [scene.deployment()]
    scene.do(merge("deploy/d", {"spec": {"replicas": 3}}))
    scene.until(lambda: len(scene.pods()) == 3)
    seen.append(scene.deployment())
    scene.do(merge("deploy/d", {"spec": {"paused": False}}))
    all_ready(scene, 3)
    return [*seen, scene.deployment()]


def a_pod_of_a_deployment_fails(scene: Scene) -> list[Json]:
    scene.do(create("deploy", deployment("1")))
    all_ready(scene, 2)
    first, _ = scene.pods()
    scene.do(delete(f"pod/{first['metadata']['name']}", {"gracePeriodSeconds": 0}))
    all_ready(scene, 2)
    return [scene.deployment()]


def deployment(version: str, replicas: int = 2, **spec: Any) -> Json:
    """Return a Deployment as this operator makes them."""
    container = {"name": "step", "image": f"local/treadle-server:{version}"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "d"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "d"}},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "template": {"metadata": {"labels": {"app": "d"}}, "spec": {"containers": [container]}},
            **spec,
        },
    }


def all_ready(scene: Scene, number: int) -> None:
    """Let pods start until there are so many, and all of them are ready."""
    scene.until(lambda: _step(scene, number))


def _step(scene: Scene, number: int) -> bool:
    for raw in scene.pods():
        name = raw["metadata"]["name"]
        if "deletionTimestamp" in raw["metadata"]:
            scene.do(delete(f"pod/{name}", {"gracePeriodSeconds": 0}))
        elif phase(raw) == "Pending":
            if not raw["spec"].get("nodeName"):
                scene.bind(name)
            scene.tell(raw, "Running", ready=True)
    pods = scene.pods()
    if len(pods) != number or any(phase(raw) != "Running" or "deletionTimestamp" in raw["metadata"] for raw in pods):
        return False
    status = scene.do(get("deploy/d")).get("status") or {}
    return bool(status.get("updatedReplicas", 0) == status.get("replicas", 0) == number)


def a_deployment_comes_up(scene: Scene) -> list[Json]:
    scene.do(create("deploy", deployment("1")))
    scene.pods_come(2)
    seen = [scene.deployment()]
    all_ready(scene, 2)
    return [*seen, scene.deployment()]


def a_rollout_goes_one_by_one(scene: Scene) -> list[Json]:
    scene.do(create("deploy", deployment("1")))
    all_ready(scene, 2)
    scene.do(merge("deploy/d", deployment("2")))
    scene.pods_come(3)
    seen = [scene.deployment()]
    all_ready(scene, 2)
    return [*seen, scene.deployment()]


def a_broken_version_is_late_and_taken_back(scene: Scene) -> list[Json]:
    scene.do(create("deploy", deployment("1", progressDeadlineSeconds=3)))
    all_ready(scene, 2)
    scene.do(merge("deploy/d", deployment("broken")))
    scene.pods_come(3)
    scene.until(lambda: "ProgressDeadlineExceeded" in str(scene.do(get("deploy/d"))))
    seen = [scene.deployment()]
    scene.do(merge("deploy/d", deployment("1")))
    all_ready(scene, 2)
    return [*seen, scene.deployment()]


def a_replacement_at_once(scene: Scene) -> list[Json]:
    recreate = {"strategy": {"type": "Recreate"}}
    scene.do(create("deploy", deployment("1", **recreate)))
    all_ready(scene, 2)
    scene.do(merge("deploy/d", deployment("2", **recreate)))
    scene.until(lambda: all("deletionTimestamp" in raw["metadata"] for raw in scene.pods()))
    seen = [scene.deployment()]
    all_ready(scene, 2)
    return [*seen, scene.deployment()]


def a_deployment_is_scaled(scene: Scene) -> list[Json]:
    scene.do(create("deploy", deployment("1")))
    all_ready(scene, 2)
    seen = []
    for replicas in (3, 1, 0):
        scene.do(merge("deploy/d", {"spec": {"replicas": replicas}}))
        all_ready(scene, replicas)
        seen.append(scene.deployment())
    return seen


def a_pod_is_available_after_a_while(scene: Scene) -> list[Json]:
    scene.do(create("deploy", deployment("1", 1, minReadySeconds=6)))
    [pod] = scene.pods_come(1)
    scene.tell(pod, "Running", ready=True)
    seen = [scene.deployment()]
    scene.until(lambda: "availableReplicas" in scene.do(get("deploy/d"))["status"])
    return [*seen, scene.deployment()]


def old_sets_are_forgotten(scene: Scene) -> list[Json]:
    for version in "123":
        ask = create("deploy", deployment(version, 1, revisionHistoryLimit=1))
        scene.do(ask if version == "1" else merge("deploy/d", deployment(version, 1)))
        all_ready(scene, 1)
    scene.until(lambda: len(scene.do(get("rs"))["items"]) == 2)
    return [scene.deployment()]


SCENES: Sequence[Callable[[Scene], list[Json]]] = (
    a_job_succeeds,
    a_job_fails_for_good,
    a_job_fails_too_often,
    a_disrupted_pod_is_replaced,
    a_checkpoint_is_no_failure,
    a_job_takes_too_long,
    a_job_is_held_and_goes_on,
    a_running_job_is_failed_by_another_pod,
    a_pod_is_deleted_by_a_person,
    a_job_waits_for_its_pods_only_once,
    a_job_of_many,
    a_deployment_comes_up,
    a_rollout_goes_one_by_one,
    a_broken_version_is_late_and_taken_back,
    a_replacement_at_once,
    a_deployment_is_scaled,
    a_pod_is_available_after_a_while,
    old_sets_are_forgotten,
    a_paused_deployment,
    a_pod_of_a_deployment_fails,
)
