"""Jobs and statuses of DataSource, TrainingJob and Monitor against a real kube-apiserver, which checks every field."""

import os
import random
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from builders import (
    champion,
    data_source,
    digest,
    ended_pod,
    ingest_result,
    model_deployment,
    monitor,
    monitor_result,
    train_result,
    training_job,
)
from control_plane import ControlPlane
from crashes import judgements, step_of
from goldens import DIRECTORY
from toys import Clock, ports
from treadle.api.base import stamp
from treadle.api.step import IngestStep, MonitorStep, StepResult, StepSpec
from treadle.control.engine.ports import JOB, MODEL_DEPLOYMENT, OURS, POD, Key, Object
from treadle.control.engine.reconcile import reconcile
from treadle.control.kinds import KINDS
from treadle.control.kube import Kube, path_of

GOLDEN = sorted(path for folder in ("datasource", "trainingjob", "monitor") for path in (DIRECTORY / folder).iterdir())


@pytest.mark.parametrize("path", GOLDEN, ids=[f"{path.parent.name}-{path.stem}" for path in GOLDEN])
def test_the_server_takes_the_golden_jobs(plane: ControlPlane, path: Path) -> None:
    namespace = plane.namespace("golden")
    job = yaml.safe_load(path.read_text())
    job["metadata"]["namespace"] = namespace
    query = "fieldManager=treadle&force=true&fieldValidation=Strict&dryRun=All"
    place = f"{path_of(JOB, namespace, job['metadata']['name'])}?{query}"
    status, answer = plane.request("PATCH", place, job, "application/apply-patch+yaml")
    assert status == 201, answer


@dataclass(slots=True)
class Real:
    """A namespace of a real server, a clock that a test moves, and passes over one object at a time."""

    plane: ControlPlane
    api: Kube
    namespace: str
    clock: Clock

    def create(self, raw: Object) -> None:
        """Create an object, with the status that another pass would have written."""
        self.plane.create(self.namespace, raw)

    async def settle(self, kind: str, name: str) -> Object:
        """Pass and end Jobs until a pass changes nothing; return the object."""
        found = next(each for each in KINDS if each.name == kind)
        for _ in range(12):
            before = await self.api.get(found.gvk, self.namespace, name)
            await reconcile(found, Key(kind, self.namespace, name), ports(self.api, self.clock))
            ended = await self.end_jobs()
            after = await self.api.get(found.gvk, self.namespace, name)
            if after == before and not ended and after is not None:
                return after
        raise AssertionError(f"{kind} {name} does not settle")

    async def end_jobs(self) -> int:
        """End each Job that is under way, as controller and kubelet do; return how many."""
        count = 0
        for job in await self.api.list(JOB, self.namespace):
            if (job.get("status") or {}).get("completionTime"):
                continue
            count += 1
            pod = ended_pod(job, result_of(step_of(job)))
            reference = {**pod["metadata"]["ownerReferences"][0], "apiVersion": "batch/v1"}
            labels = job["spec"]["template"]["metadata"]["labels"]
            metadata = {"name": pod["metadata"]["name"], "labels": labels, "ownerReferences": [reference]}
            body = {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": metadata,
                "spec": job["spec"]["template"]["spec"],
            }
            status, answer = self.plane.request("POST", path_of(POD, self.namespace), body)
            assert status == 201, answer
            state = {**pod["status"]["containerStatuses"][0], "imageID": "", "ready": False, "restartCount": 0}
            path = path_of(POD, self.namespace, metadata["name"])
            self.plane.write_status(path, {"phase": "Succeeded", "containerStatuses": [state]})
            self.plane.write_status(path_of(JOB, self.namespace, job["metadata"]["name"]), complete(self.clock))
        return count


def complete(clock: Clock) -> Object:
    """Return the status of a Job that succeeded, as Kubernetes 1.35 demands it."""
    at = stamp(clock())
    conditions = [
        {"type": type_, "status": "True", "lastTransitionTime": at, "reason": "CompletionsReached"}
        for type_ in ("SuccessCriteriaMet", "Complete")
    ]
    return {
        "startTime": at,
        "completionTime": at,
        "succeeded": 1,
        "uncountedTerminatedPods": {},
        "conditions": conditions,
    }


def result_of(step: StepSpec) -> StepResult:
    """Return a result with many parts, so that each meets the schema."""
    if isinstance(step, IngestStep):
        check = {"name": "plausible", "severity": "Warn", "violations": 41, "fraction": "0.000251497"}
        return ingest_result(checks=[check], protected=["tailnum"])
    if isinstance(step, MonitorStep):
        return monitor_result("Suspected", (step.window.start, step.window.end))
    return train_result("Hold", environment={"packagesDigest": digest("c"), "sourceRevision": "0.1.0"})


@pytest.fixture
async def real(plane: ControlPlane, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Real]:
    """Yield a namespace that is empty afterwards."""
    monkeypatch.setitem(os.environ, "KUBECONFIG", str(plane.kubeconfig))
    api = await Kube.connect(random.Random(1))
    clock = Clock()
    clock.time = datetime.now(UTC).replace(microsecond=0)
    namespace = plane.namespace(f"kinds-{secrets.token_hex(4)}")
    yield Real(plane, api, namespace, clock)
    await api.close()
    for gvk in (*OURS, JOB, POD):
        plane.request("DELETE", path_of(gvk, namespace))


async def test_a_data_source_publishes_its_first_version(real: Real) -> None:
    real.create(data_source(schedule="15 * * * *"))
    raw = await real.settle("DataSource", "flights")
    assert judgements(raw)["Ready"] == ("True", "VersionPublished")
    assert judgements(raw)["QualityPassed"] == ("True", "PassedWithWarnings")
    assert raw["status"]["versions"][0]["digest"] == digest("d")


async def test_a_training_job_is_judged_against_the_champion(real: Real) -> None:
    real.create(data_source(current="d"))
    real.create(model_deployment(champion=champion("a")))
    window = {"since": "2013-06-24T00:00:00Z", "minLabelledRows": 100}
    real.plane.create(
        real.namespace, training_job(against="flights-late", dataRef={"name": "flights", "window": window})
    )
    raw = await real.settle("TrainingJob", "first")
    assert judgements(raw)["Complete"] == ("True", "HeldByGate")
    assert raw["status"]["gate"]["verdict"] == "Hold"
    assert raw["status"]["data"]["window"] == window
    (job,) = await real.api.list(JOB, real.namespace)
    assert getattr(step_of(job), "champion", None) == digest("a")


async def test_a_run_under_way_is_held_and_goes_on(real: Real) -> None:
    real.create(data_source(current="d"))
    real.create(training_job())
    kind, key = next(each for each in KINDS if each.name == "TrainingJob"), Key("TrainingJob", real.namespace, "first")
    path = path_of(kind.gvk, real.namespace, "first")

    async def held(is_held: bool) -> Any:
        real.plane.request("PATCH", path, {"spec": {"suspend": is_held}}, "application/merge-patch+json")
        await reconcile(kind, key, ports(real.api, real.clock))
        (job,) = await real.api.list(JOB, real.namespace)
        return job["spec"]["suspend"]

    for _ in range(2):
        await reconcile(kind, key, ports(real.api, real.clock))
    assert [await held(True), await held(False)] == [True, False]
    assert judgements(await real.settle("TrainingJob", "first"))["Complete"] == ("True", "HeldByGate")


async def test_a_monitor_finds_drift_and_asks(real: Real) -> None:
    real.create(data_source(current="e"))
    since = {**champion("a", "d"), "since": stamp(real.clock() - timedelta(hours=1))}
    real.create(model_deployment(champion=since))
    actions = [{"name": "relearn", "when": ["DriftDetected"], "do": "Retrain"}]
    window = {"size": "1m", "minSamples": 30}
    real.plane.create(
        real.namespace, monitor(schedule="* * * * *", window=window, drift={"confirmWindows": 1}, actions=actions)
    )
    await real.settle("Monitor", "flights-late")
    real.clock.pass_(150)
    raw = await real.settle("Monitor", "flights-late")
    assert judgements(raw)["DriftDetected"] == ("True", "ColumnsMoved")
    assert (raw["status"]["request"]["action"], raw["status"]["request"]["subject"]) == ("Retrain", digest("a"))
    assert await real.api.get(MODEL_DEPLOYMENT, real.namespace, "flights-late") is not None
