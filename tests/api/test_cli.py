"""The command line against a real kube-apiserver, through the real `kubectl proxy`."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from control_plane import ControlPlane, binaries, config
from situations import SITUATIONS
from treadle.cli.cluster import Answer, Cluster, connected, ours
from treadle.cli.estate import read
from treadle.cli.picture import pictures
from treadle.cli.show import status
from treadle.cli.wait import wait

CANARY = SITUATIONS["a canary comes of a retrain"]()


@pytest.fixture
def cli(plane: ControlPlane, monkeypatch: pytest.MonkeyPatch) -> str:
    """Let kubectl and the command line reach the API server; return a namespace with a canary in it."""
    monkeypatch.setenv("KUBECONFIG", str(plane.kubeconfig))
    monkeypatch.setenv("PATH", f"{binaries()}{os.pathsep}{os.environ['PATH']}")
    namespace = "cli"
    _, found = plane.request("GET", f"/api/v1/namespaces/{namespace}")
    if found.get("kind") != "Namespace":
        plane.namespace(namespace)
        for each in CANARY.objects:
            plane.create(namespace, each)
    return namespace


@pytest.fixture
def cluster(cli: str) -> Iterator[Cluster]:
    with connected("", cli) as found:
        yield found


def named(found: Any) -> Any:
    """Return facts without what a namespace of another name and objects of another age change."""
    return {key: value for key, value in found.items() if key not in ("namespace", "next")}


def test_a_namespace_is_read_as_it_was_written(cluster: Cluster) -> None:
    estate = read(cluster, cluster.namespace)
    assert estate.unread == ()
    [found], [expected] = pictures(estate), pictures(CANARY.estate)
    runs = {run["name"] for run in (found["training"]["last"], expected["training"]["last"])}
    assert runs <= {"flights-late-7c20d91e4a", "flights-late-5be1c0a7d2"}
    # Both runs were made in the same second here, so that which is the newest is chance.
    assert {**named(found), "training": None, "gate": None} == {**named(expected), "training": None, "gate": None}


def test_status_and_wait_through_kubectl_proxy(cli: str) -> None:
    shown = CliRunner().invoke(status, ["flights-late", "-n", cli, "-o", "json"])
    assert shown.exit_code == 0, shown.output
    assert json.loads(shown.stdout)["models"][0]["canary"]["version"] == "v2"
    waited = CliRunner().invoke(wait, ["flights-late", "-n", cli, "--for=champion=v1", "--timeout=20s"])
    assert waited.exit_code == 0 and waited.stdout.startswith("ModelDeployment/flights-late done: Champion: v1")


def test_a_wait_ends_by_what_a_real_watch_tells(cli: str, plane: ControlPlane, cluster: Cluster) -> None:
    path = ours("ModelDeployment", cli, "flights-late")
    live = cluster.get(path)
    late = CliRunner().invoke(wait, ["flights-late", "-n", cli, "--for=champion=v9", "--timeout=1s"])
    assert late.exit_code == 4, late.output
    events = cluster.watch(ours("ModelDeployment", cli), resourceVersion=live["metadata"]["resourceVersion"],
                           timeoutSeconds="20")  # fmt: skip
    plane.write_status(path, {"champion": {**live["status"]["champion"], "version": "v3"}})
    assert next(event for event, thing in events if thing["status"]["champion"]["version"] == "v3") == "MODIFIED"
    plane.write_status(path, {"champion": live["status"]["champion"]})


def test_a_user_without_rights_is_told_which(
    cli: str, plane: ControlPlane, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    admin = json.loads(plane.kubeconfig.read_text())["users"][0]["user"]
    document = config(plane.server, plane.directory, {**admin, "as": "jane"})
    (tmp_path / "jane").write_text(json.dumps(document))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "jane"))
    with connected("", cli) as jane, pytest.raises(Answer) as found:
        read(jane, cli)
    assert found.value.message.startswith(f"no right to list datasources.treadle.dev in {cli}; ask for a Role")


def test_what_is_no_cluster_is_told_by_kubectl(
    cli: str, plane: ControlPlane, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    document = config("https://127.0.0.1:1", plane.directory, {"token": "t"})
    (tmp_path / "gone").write_text(json.dumps(document))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "gone"))
    with connected("", cli) as gone, pytest.raises(Answer) as found:
        gone.items(ours("Monitor", cli))
    assert found.value.message.startswith("the cluster cannot be reached: ")
    assert "connection refused" in found.value.message
