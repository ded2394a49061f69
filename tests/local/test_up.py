"""What `treadle up` refuses: one clear line, exit code 2, nothing half-written."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cluster import eventually
from embedded import up

MANIFEST = """
apiVersion: treadle.dev/v1alpha1
kind: Monitor
metadata: {name: flights-late, namespace: demo}
spec:
  targetRef: {name: flights-late}
  schedule: "* * * * *"
  window: {size: 1m}
"""


def refused(*arguments: str, **environment: str) -> str:
    """Return what `treadle up` says on standard error when it does not start."""
    done = subprocess.run(
        [sys.executable, "-m", "treadle", "up", *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **environment},
    )
    assert (done.returncode, done.stdout) == (2, ""), (done.returncode, done.stdout, done.stderr)
    return done.stderr


def manifests(directory: Path, text: str = MANIFEST) -> Path:
    directory.mkdir()
    (directory / "monitor.yaml").write_text(text)
    return directory


def test_a_port_in_use(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = refused(str(manifests(tmp_path / "files")), "--state", str(tmp_path / "state"), "--port", str(port))
    text = f"port {port} of 127.0.0.1 cannot be had: "
    assert said.startswith(f"Error: {text}") and said.endswith("; take another: --port N\n") and said.count("\n") == 1
    assert not (tmp_path / "state/kubeconfig").exists()


WRONG: dict[str, tuple[Callable[[str], str], str]] = {
    "a field that is misspelt": (
        lambda text: text.replace("targetRef", "targetref"),
        "monitor.yaml:6: spec.targetref is no field of Monitor; did you mean spec.targetRef?",
    ),
    "a rule of the kind": (
        lambda text: text.replace("size: 1m", "size: one"),
        "monitor.yaml:8: spec.window.size: Invalid value",
    ),
    "no YAML": (lambda text: text + "  - [", "monitor.yaml:9: "),
}


@pytest.mark.parametrize(("change", "text"), WRONG.values(), ids=WRONG.keys())
def test_manifests_that_would_be_refused(tmp_path: Path, change: Callable[[str], str], text: str) -> None:
    files = manifests(tmp_path / "files", change(MANIFEST))
    said = refused(str(files), "--state", str(tmp_path / "state"))
    assert text in said and said.startswith(str(files))
    assert not (tmp_path / "state").exists()


def test_a_folder_of_another_version(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    (state / "format.json").write_text(json.dumps({"format": 99, "treadle": "9.9"}))
    said = refused(str(manifests(tmp_path / "files")), "--state", str(state))
    assert said.startswith(f"Error: {state} holds the state of treadle 9.9 (format 99), this is treadle ")
    assert said.count("\n") == 1
    assert [path.name for path in state.iterdir()] == ["format.json"]


def test_a_folder_in_use(tmp_path: Path) -> None:
    files = manifests(tmp_path / "files")
    with up(files, tmp_path / "state"):
        said = refused(str(files), "--state", str(tmp_path / "state"), "--port", "0")
    assert "is in use by process" in said and said.count("\n") == 1


def test_a_missing_extra(tmp_path: Path) -> None:
    # A module of that name that cannot be imported stands for one that is not installed.
    (tmp_path / "psutil.py").write_text("raise ModuleNotFoundError('no', name='psutil')\n")
    said = refused(str(manifests(tmp_path / "files")), "--state", str(tmp_path / "state"), PYTHONPATH=str(tmp_path))
    needs = 'needs the Python module psutil, which is not installed. Install it: pip install "treadle[local]"\n'
    assert said == f"treadle up {needs}"
    assert not (tmp_path / "state").exists()


def test_files_that_change_are_applied_again(tmp_path: Path) -> None:
    files = manifests(tmp_path / "files")
    with up(files, tmp_path / "state") as cluster:
        cluster.reaches("Monitor", "flights-late", "demo", "Ready", "False", 30, "WaitingForModelDeployment")
        (files / "monitor.yaml").write_text(MANIFEST.replace("schedule:", "suspend: true\n  schedule:"))
        cluster.reaches("Monitor", "flights-late", "demo", "Ready", "True", 30, "Suspended")
        (files / "monitor.yaml").write_text(MANIFEST.replace("size: 1m", "size: one"))
        log = tmp_path / "state.log"
        eventually(lambda: "they were not applied: " in log.read_text(), 30, "the mistake is told", log.read_text)
        assert "monitor.yaml:8: spec.window.size: Invalid value" in log.read_text()
        assert cluster.get("Monitor", "flights-late", "demo")["spec"]["window"]["size"] == "1m"
