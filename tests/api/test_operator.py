"""The operator as a process against a real kube-apiserver: starting, watching, stopping, giving way."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from control_plane import TOKEN, ControlPlane, control_plane
from operators import create, eventually, has_run, jobs, operator, read


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
    with operator(plane, namespace, tmp_path, TOY_PASS_SECONDS="7", TREADLE_WATCH_NAMESPACES=namespace) as running:
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
