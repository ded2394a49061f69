"""A ModelDeployment's children and whole status against a real kube-apiserver, which checks, defaults and prunes."""

import dataclasses
import os
import random
import secrets
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import yaml

from builders import data_source, digest, model_deployment, monitor
from control_plane import ControlPlane
from crashes import Recorded, judgements
from goldens import DIRECTORY
from served import arm, held
from toys import Clock, ports
from treadle.api.base import stamp
from treadle.control.engine.ports import (
    CONFIG_MAP,
    DEPLOYMENT,
    MODEL_DEPLOYMENT,
    OURS,
    POD,
    SERVICE,
    TRAINING_JOB,
    Key,
    Object,
)
from treadle.control.engine.reconcile import reconcile
from treadle.control.kinds import KINDS
from treadle.control.kube import TYPES, Kube, path_of

NAME, SERVER = "flights-late", "flights-late-server"
KIND = next(kind for kind in KINDS if kind.name == "ModelDeployment")
GOLDEN = ["canary", "first", "server"]


@pytest.mark.parametrize("name", GOLDEN)
def test_the_server_takes_the_golden_children(plane: ControlPlane, name: str) -> None:
    namespace = plane.namespace("golden")
    found = yaml.safe_load((DIRECTORY / "modeldeployment" / f"{name}.yaml").read_text())
    for child in found if isinstance(found, list) else [found]:
        if child["kind"] == "Pod":
            continue  # A touch of a pod that is there.
        child["metadata"]["namespace"] = namespace
        place = path_of(TYPES[child["apiVersion"], child["kind"]], namespace, child["metadata"]["name"])
        query = "fieldManager=treadle&force=true&fieldValidation=Strict&dryRun=All"
        status, answer = plane.request("PATCH", f"{place}?{query}", child, "application/apply-patch+yaml")
        assert status == 201, answer


class Real:
    """A namespace of a real server with one serving pod, which answers as a test says."""

    def __init__(self, plane: ControlPlane, api: Kube, namespace: str) -> None:
        self.plane, self.api, self.namespace, self.clock = plane, api, namespace, Clock()
        self.clock.time = datetime.now(UTC).replace(microsecond=0)
        self.answer: Object = {}
        self.writes = self.reads = 0

    def create(self, raw: Object) -> None:
        """Create an object, with the status that another pass would have written."""
        self.plane.create(self.namespace, raw)

    def start_pod(self, template: Object) -> None:
        """Make the pod that the Deployment's controller would make."""
        body = {**template, "apiVersion": "v1", "kind": "Pod", "metadata": {**template["metadata"], "name": "server-0"}}
        status, answer = self.plane.request("POST", path_of(POD, self.namespace), body)
        assert status == 201, answer

    def pod_is(self, ready: str) -> None:
        """Tell as kubelet does whether the pod is ready."""
        found = {
            "conditions": [{"type": "Ready", "status": ready}],
            "podIP": "10.0.0.9",
            "podIPs": [{"ip": "10.0.0.9"}],
        }
        self.plane.write_status(path_of(POD, self.namespace, "server-0"), found)
        count = int(ready == "True")
        counts = {"replicas": 1, "updatedReplicas": 1, "readyReplicas": count, "availableReplicas": count}
        observed = {"observedGeneration": 1, **counts}
        self.plane.write_status(path_of(DEPLOYMENT, self.namespace, SERVER), observed)

    def pod_says(self, plan: int, **models: Object) -> None:
        self.answer = {"plan": plan, **models}

    async def progress(self, pod: Object) -> Object | None:
        return self.answer or None

    async def metrics(self, pod: Object) -> str | None:
        return None

    async def end_run(self, letter: str, against: str | None) -> None:
        """End the run under way with a model that passed."""
        for run in await self.api.list(TRAINING_JOB, self.namespace):
            if (run.get("status") or {}).get("completionTime"):
                continue
            gate = {"verdict": "Promote", **({"champion": digest(against)} if against else {})}
            model = {"version": f"v-{letter}", "digest": digest(letter), "storageUri": "s3://ml/m", "format": "onnx"}
            path = path_of(TRAINING_JOB, self.namespace, run["metadata"]["name"])
            self.plane.write_status(path, {"completionTime": stamp(self.clock()), "gate": gate, "model": model})

    async def settle(self, seconds: float = 1.0) -> Object:
        """Pass until nothing is written; return the object."""
        self.clock.time += timedelta(seconds=seconds)
        for _ in range(6):
            recorded: Any = Recorded(self.api)  # type: ignore[arg-type]
            held_ports = dataclasses.replace(ports(recorded, self.clock), pods=self)
            await reconcile(KIND, Key("ModelDeployment", self.namespace, NAME), held_ports)
            self.reads, self.writes = recorded.reads(), len(recorded.writes())
            if self.writes == 0:
                found = await self.api.get(MODEL_DEPLOYMENT, self.namespace, NAME)
                assert found is not None
                return found
        raise AssertionError(f"it does not settle: {recorded.writes()}")


@pytest.fixture
async def real(plane: ControlPlane, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Real]:
    """Yield a namespace that is empty afterwards."""
    monkeypatch.setitem(os.environ, "KUBECONFIG", str(plane.kubeconfig))
    api = await Kube.connect(random.Random(1))
    namespace = plane.namespace(f"mdep-{secrets.token_hex(4)}")
    yield Real(plane, api, namespace)
    await api.close()
    for gvk in (*OURS, DEPLOYMENT, CONFIG_MAP, POD):
        plane.request("DELETE", path_of(gvk, namespace))
    plane.request("DELETE", path_of(SERVICE, namespace, NAME))


async def test_a_life_is_written_as_the_schema_wants_and_rests(real: Real) -> None:
    steps = {"steps": [{"setWeight": 20}, {"pause": {"duration": "10s"}}], "analysis": {"minSamplesPerArm": 10}}
    real.create(data_source(current="d"))
    real.create(monitor())
    real.create(model_deployment(strategy={"canary": steps}))
    await real.settle()
    await real.end_run("a", None)
    await real.settle()
    live = await real.api.get(DEPLOYMENT, real.namespace, SERVER)
    assert live is not None
    real.start_pod(live["spec"]["template"])
    real.pod_is("False")
    real.pod_says(1, candidate=held("a", "Loaded"))
    found = await real.settle()
    assert found["status"]["champion"]["digest"] == digest("a")
    real.pod_says(2, champion=held("a", "Serving"))
    real.pod_is("True")
    found = await real.settle()
    assert judgements(found)["Ready"] == ("True", "Answering")
    assert judgements(found)["Reconciling"] == ("False", "Settled")
    assert real.reads <= 8

    marks = {"metadata": {"annotations": {"treadle.dev/requested-at": "2026-01-05T09:00:00Z"}}}
    path = path_of(MODEL_DEPLOYMENT, real.namespace, NAME)
    assert real.plane.request("PATCH", path, marks, "application/merge-patch+json")[0] == 200
    await real.settle()
    await real.end_run("b", "a")
    await real.settle()
    models = {"champion": held("a", "Serving"), "candidate": held("b", "Serving")}
    real.pod_says(3, **models)
    await real.settle(5)
    real.pod_says(4, **models, arms=[arm("a", 400, bucket=2), arm("b", 100, 1, bucket=4)], log={"rows": 500})
    found = await real.settle(11)
    candidate = found["status"]["candidate"]
    assert (candidate["state"], candidate["weight"], candidate["samples"]["candidate"]) == ("Canary", 20, 100)
    assert {row["name"] for row in candidate["analysis"]} == {"ErrorRate", "LatencyP99"}
    real.pod_says(4, champion=held("a", "Serving"), candidate=held("b", "Refused", "CandidateCrashed", "signal 9"))
    await real.settle(11)
    real.pod_says(5, champion=held("a", "Serving"))
    found = await real.settle()
    assert judgements(found)["RolledBack"] == ("True", "CanaryFailed")
    assert found["status"]["quarantined"][0]["digest"] == digest("b")
    assert [row["outcome"] for row in found["status"]["requests"]] == ["Started"]

    status, scale = real.plane.request("GET", f"{path}/scale")
    assert (status, scale["spec"]["replicas"], scale["status"]["replicas"]) == (200, 1, 1)
    assert "treadle.dev/name=flights-late" in scale["status"]["selector"]
