"""The operator as a process, kopf and client included, on the API in memory; the test is kubelet and Job controller."""

import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from builders import data_source, ended_pod, ingest_result, over
from kubectls import Kubectl
from operators import Running, eventually, started
from treadle.api.names import API_VERSION
from wired import Wired

SOURCE = {
    "apiVersion": API_VERSION,
    "kind": "DataSource",
    "metadata": {"name": "flights"},
    "spec": data_source()["spec"],
}
OPERATE = ["-m", "treadle", "operate"]


@pytest.fixture
def operator(kubectl: Kubectl, tmp_path: Path) -> Iterator[Running]:
    """Yield an operator that watches the test's namespace."""
    with started(
        OPERATE, kubectl.kubeconfig, kubectl.namespace, tmp_path, TREADLE_WATCH_NAMESPACES=kubectl.namespace
    ) as running:
        eventually(lambda: running.probe() == 200)
        yield running


def read(kubectl: Kubectl, *what: str) -> Any:
    """Return an object or a list, or None where there is none."""
    ran = kubectl("get", *what, "-o", "json", "--ignore-not-found")
    assert ran.code == 0, ran
    return json.loads(ran.out) if ran.out else None


def applied(kubectl: Kubectl, **spec: Any) -> None:
    """Apply the DataSource."""
    ran = kubectl("apply", "-f", "-", given=yaml.safe_dump({**SOURCE, "spec": {**SOURCE["spec"], **spec}}))
    assert ran.code == 0, ran


def condition(kubectl: Kubectl, type_: str) -> tuple[str, str] | None:
    """Return status and reason of a condition of the DataSource."""
    found = (read(kubectl, "dsrc", "flights") or {}).get("status", {}).get("conditions", [])
    return next(((each["status"], each["reason"]) for each in found if each["type"] == type_), None)


def jobs(kubectl: Kubectl) -> list[Any]:
    """Return the Jobs."""
    return list((read(kubectl, "jobs") or {"items": []})["items"])


def end(kubectl: Kubectl, job: Any, letter: str = "d") -> None:
    """End a Job with a version, as its pod, kubelet and the Job controller would."""
    pod = ended_pod(job, ingest_result("Published", letter))
    owner = {"apiVersion": "batch/v1", **pod["metadata"]["ownerReferences"][0]}
    pod["metadata"] = {"name": pod["metadata"]["name"], "labels": job["metadata"]["labels"], "ownerReferences": [owner]}
    pod["spec"]["containers"][0]["image"] = "registry.example/treadle-worker:1"
    assert kubectl("create", "-f", "-", given=yaml.safe_dump(pod)).code == 0
    for what, status in ((f"pod/{pod['metadata']['name']}", pod["status"]), (f"job/{job['metadata']['name']}", over())):
        patch = json.dumps({"status": status})
        assert kubectl("patch", what, "--subresource=status", "--type=merge", "-p", patch).code == 0


def settled(kubectl: Kubectl) -> Callable[[], bool]:
    """Return whether the DataSource is ready."""
    return lambda: (condition(kubectl, "Ready") or ("",))[0] == "True"


def test_a_source_gets_its_job_its_version_and_its_conditions(kubectl: Kubectl, operator: Running) -> None:
    applied(kubectl)
    (job,) = eventually(lambda: jobs(kubectl))
    assert condition(kubectl, "Ready") == ("False", "Fetching")
    assert job["metadata"]["ownerReferences"][0]["name"] == "flights"
    end(kubectl, job)
    eventually(settled(kubectl))
    assert kubectl("wait", "dsrc/flights", "--for=condition=Ready", "--timeout=10s").code == 0
    told = kubectl("describe", "dsrc", "flights").out
    assert "VersionPublished" in told.partition("Events:")[2]
    assert kubectl("get", "dsrc").out.splitlines()[1].split()[:5] == [
        "flights", "True", "VersionPublished", "d" * 12, "10000",
    ]  # fmt: skip


def test_the_operator_takes_its_lease_and_gives_it_back(kubectl: Kubectl, operator: Running) -> None:
    lease = read(kubectl, "lease", "treadle-operator")
    assert lease["spec"]["holderIdentity"].endswith(str(operator.process.pid))
    operator.process.send_signal(signal.SIGTERM)
    assert operator.process.wait(20) == 0
    assert not read(kubectl, "lease", "treadle-operator")["spec"].get("holderIdentity")
    assert "ERROR" not in {line["level"] for line in operator.log()}


def test_a_watch_that_is_cut_resumes(kubectl: Kubectl, operator: Running, memory: Wired) -> None:
    applied(kubectl)
    (job,) = eventually(lambda: jobs(kubectl))
    memory.stop()
    memory.start()
    end(kubectl, job)
    eventually(settled(kubectl), 40)
    assert operator.process.poll() is None


def test_a_watch_whose_history_is_forgotten_begins_anew(kubectl: Kubectl, operator: Running, memory: Wired) -> None:
    applied(kubectl)
    (before,) = eventually(lambda: jobs(kubectl))
    memory.stop()
    # As when `treadle up` is started again on the same folder.
    memory.do(lambda: memory.api.restore(memory.api.everything(), memory.api.version + 1))
    memory.start()
    applied(kubectl, filter="distance > 100")
    # Another recipe is another Job.
    eventually(lambda: [job["metadata"]["uid"] for job in jobs(kubectl)] not in ([], [before["metadata"]["uid"]]), 40)
    assert operator.process.poll() is None


def test_children_go_with_their_source(kubectl: Kubectl, operator: Running) -> None:
    applied(kubectl)
    eventually(lambda: jobs(kubectl))
    assert kubectl("delete", "dsrc", "flights", "--timeout=20s").code == 0
    assert jobs(kubectl) == []
