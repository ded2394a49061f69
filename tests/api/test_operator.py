"""The operator as a process against a real kube-apiserver: starting, watching, stopping, giving way."""

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from control_plane import ControlPlane, control_plane, free_ports
from toys import data_source

PROGRAM = Path(__file__).parent.parent / "toy_operator.py"
SOURCES = "/apis/treadle.dev/v1alpha1"


@dataclass(frozen=True, slots=True)
class Running:
    """An operator's process, its probe, its metrics and its log."""

    process: subprocess.Popen[bytes]
    probe_port: int
    metrics_port: int
    log_file: Path

    def log(self) -> list[dict[str, Any]]:
        lines = self.log_file.read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def probe(self) -> int:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.probe_port}/healthz", timeout=5) as response:
                return int(response.status)
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code
        except OSError:
            return 0

    def metric(self, line: str) -> float:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=5) as response:
            text = response.read().decode()
        return sum(float(each.rpartition(" ")[2]) for each in text.splitlines() if each.startswith(line))


def eventually[T](what: Callable[[], T], seconds: float = 20.0) -> T:
    """Return the first true answer within the time; fail with the last one."""
    until = time.monotonic() + seconds
    while not (answer := what()):
        if time.monotonic() > until:
            pytest.fail(f"not within {seconds:g} s; the last answer: {answer!r}")
        time.sleep(0.05)
    return answer


@contextlib.contextmanager
def operator(plane: ControlPlane, namespace: str, directory: Path, **environment: str) -> Iterator[Running]:
    """Start an operator with a Lease in the namespace; kill it at the end if it still runs."""
    probe, metrics = free_ports(2)
    log_file = directory / f"operator-{probe}.log"
    variables = {
        **{key: value for key, value in os.environ.items() if not key.startswith(("TREADLE_", "KUBERNETES_"))},
        "KUBECONFIG": str(plane.kubeconfig),
        "TREADLE_LEASE_NAMESPACE": namespace,
        "TREADLE_PROBE_PORT": str(probe),
        "TREADLE_METRICS_PORT": str(metrics),
        **environment,
    }
    with log_file.open("wb") as log:
        process = subprocess.Popen([sys.executable, str(PROGRAM)], env=variables, stderr=log, stdout=log)
    try:
        yield Running(process, probe, metrics, log_file)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGCONT)
            process.kill()
        process.wait()


@pytest.fixture
def namespace(plane: ControlPlane) -> Iterator[str]:
    """Yield a namespace, empty again afterwards, so that the next operator has nothing to do."""
    name = plane.namespace(f"api-{secrets.token_hex(4)}")
    yield name
    plane.request("DELETE", f"{SOURCES}/namespaces/{name}/datasources")


def create(plane: ControlPlane, namespace: str, **spec: Any) -> None:
    status, answer = plane.request("POST", f"{SOURCES}/namespaces/{namespace}/datasources",
                                   data_source(namespace=namespace, **spec))  # fmt: skip
    assert status == 201, answer


def read(plane: ControlPlane, namespace: str) -> dict[str, Any]:
    status, answer = plane.request("GET", f"{SOURCES}/namespaces/{namespace}/datasources/flights")
    assert status == 200, answer
    return dict(answer)


def has_run(plane: ControlPlane, namespace: str) -> bool:
    return bool(jobs(plane, namespace)) and bool(read(plane, namespace).get("status"))


def jobs(plane: ControlPlane, namespace: str) -> list[dict[str, Any]]:
    return list(plane.request("GET", f"/apis/batch/v1/namespaces/{namespace}/jobs")[1]["items"])


def test_an_object_gets_its_children_and_its_status(plane: ControlPlane, namespace: str, tmp_path: Path) -> None:
    with operator(plane, namespace, tmp_path) as running:
        create(plane, namespace)
        eventually(lambda: has_run(plane, namespace))
        eventually(lambda: running.probe() == 200)
        assert running.metric('treadle_passes_total{kind="DataSource",result="done"}') >= 2
        assert running.metric("treadle_resource_condition{") >= 4
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(20) == 0
        assert "ERROR" not in {line["level"] for line in running.log()}
    status, lease = plane.request("GET", f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/treadle-operator")
    assert status == 200
    assert not lease["spec"].get("holderIdentity")


def test_an_idle_operator_writes_and_logs_nothing(plane: ControlPlane, namespace: str, tmp_path: Path) -> None:
    with operator(plane, namespace, tmp_path) as running:
        create(plane, namespace)
        eventually(lambda: has_run(plane, namespace))

        def writes() -> float:
            verbs = ("apply", "apply_status", "create", "delete")
            kinds = ("DataSource", "Job", "ConfigMap", "Event")
            return sum(
                running.metric(f'treadle_api_calls_total{{kind="{k}",verb="{v}"}}') for k in kinds for v in verbs
            )

        time.sleep(1)
        before, lines = writes(), len(running.log())
        # The toy looks again every ten seconds while its Job runs.
        time.sleep(12)
        assert (writes(), len(running.log())) == (before, lines)


def test_a_label_removed_by_hand_comes_back(plane: ControlPlane, namespace: str, tmp_path: Path) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps/flights-plan"
    with operator(plane, namespace, tmp_path):
        create(plane, namespace)
        eventually(lambda: has_run(plane, namespace))
        patch = {"metadata": {"labels": {"app.kubernetes.io/managed-by": None}}}
        plane.request("PATCH", path, patch, "application/merge-patch+json")
        key = "app.kubernetes.io/managed-by"
        eventually(lambda: plane.request("GET", path)[1]["metadata"]["labels"].get(key) == "treadle", 9)


def test_a_pass_of_seven_seconds_survives_sigterm(plane: ControlPlane, namespace: str, tmp_path: Path) -> None:
    with operator(plane, namespace, tmp_path, TOY_PASS_SECONDS="7") as running:
        eventually(lambda: running.probe() == 200)
        create(plane, namespace)
        eventually(lambda: running.metric("treadle_queue_oldest_seconds") > 1)
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(20) == 0
        assert read(plane, namespace)["status"]["conditions"]


def test_a_stuck_queue_fails_the_probe_at_once(plane: ControlPlane, namespace: str, tmp_path: Path) -> None:
    with operator(plane, namespace, tmp_path, TOY_PASS_SECONDS="60", TREADLE_STUCK_SECONDS="1") as running:
        create(plane, namespace)
        eventually(lambda: running.probe() != 0)
        began = time.monotonic()
        eventually(lambda: running.probe() == 500, 15)
        before = time.monotonic()
        assert running.probe() == 500
        assert time.monotonic() - before < 1 < time.monotonic() - began + 15


def test_a_refused_token_ends_the_process_with_1(plane: ControlPlane, namespace: str, tmp_path: Path) -> None:
    refused = plane.kubeconfig_of("refused", {"token": "no-such-token"})
    with operator(plane, namespace, tmp_path, KUBECONFIG=str(refused)) as running:
        assert running.process.wait(20) == 1
        assert any("refuses our token" in str(line.get("problem")) for line in running.log())


def test_no_cluster_at_all_ends_the_process_with_1(plane: ControlPlane, namespace: str, tmp_path: Path) -> None:
    with operator(plane, namespace, tmp_path, KUBECONFIG=str(tmp_path / "none")) as running:
        assert running.process.wait(20) == 1
        assert any("set KUBECONFIG" in str(line.get("problem")) for line in running.log())


def test_a_missing_right_is_one_clear_line(plane: ControlPlane, namespace: str, tmp_path: Path) -> None:
    from control_plane import TOKEN

    poor = plane.kubeconfig_of("poor", {"token": TOKEN})
    with operator(plane, namespace, tmp_path, KUBECONFIG=str(poor)) as running:
        assert running.process.wait(20) == 1
        assert any("the operator may not get leases" in str(line.get("problem")) for line in running.log())


def test_bad_settings_end_the_process_with_2() -> None:
    variables = {**os.environ, "TREADLE_WORKER_COUNT": "many"}
    program = "import sys; from treadle.control.main import main; sys.exit(main())"
    ended = subprocess.run([sys.executable, "-c", program], env=variables, capture_output=True, timeout=30, check=False)
    assert ended.returncode == 2
    assert b"TREADLE_WORKER_COUNT: 'many' is not a number from 1 to 64" in ended.stderr


def test_crds_installed_later_are_watched(tmp_path: Path) -> None:
    with control_plane() as plane:
        namespace = plane.namespace("late")
        with operator(plane, namespace, tmp_path) as running:
            eventually(lambda: any(line["message"].startswith("Missing a CRD") for line in running.log()))
            eventually(lambda: running.probe() == 200)
            plane.install_crds()
            create(plane, namespace)
            eventually(lambda: has_run(plane, namespace), 40)


def test_a_paused_operator_gives_way(plane: ControlPlane, namespace: str, tmp_path: Path) -> None:
    with operator(plane, namespace, tmp_path) as first:
        create(plane, namespace)
        eventually(lambda: has_run(plane, namespace))
        (before,) = jobs(plane, namespace)
        first.process.send_signal(signal.SIGSTOP)
        with operator(plane, namespace, tmp_path) as second:
            eventually(lambda: any(line["message"] == "Took the Lease" for line in second.log()), 30)
            first.process.send_signal(signal.SIGCONT)
            assert first.process.wait(20) == 1
            (after,) = jobs(plane, namespace)
            assert after["metadata"]["uid"] == before["metadata"]["uid"]
            assert second.process.poll() is None
