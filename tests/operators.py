"""Starts operators as processes, and waits for what they do."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from control_plane import ControlPlane, free_ports
from toys import data_source

PROGRAM = Path(__file__).parent / "toy_operator.py"
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


def operator(
    plane: ControlPlane, namespace: str, directory: Path, **environment: str
) -> contextlib.AbstractContextManager[Running]:
    """Start an operator of the toy kind on a real server."""
    return started([str(PROGRAM)], plane.kubeconfig, namespace, directory, **environment)


@contextlib.contextmanager
def started(
    program: Sequence[str], kubeconfig: Path, namespace: str, directory: Path, **environment: str
) -> Iterator[Running]:
    """Start an operator with a Lease in the namespace; kill it at the end if it still runs."""
    probe, metrics = free_ports(2)
    log_file = directory / f"operator-{probe}.log"
    variables = {
        **{key: value for key, value in os.environ.items() if not key.startswith(("TREADLE_", "KUBERNETES_"))},
        "KUBECONFIG": str(kubeconfig),
        "TREADLE_LEASE_NAMESPACE": namespace,
        "TREADLE_PROBE_PORT": str(probe),
        "TREADLE_METRICS_PORT": str(metrics),
        **environment,
    }
    with log_file.open("wb") as log:
        process = subprocess.Popen([sys.executable, *program], env=variables, stderr=log, stdout=log)
    try:
        yield Running(process, probe, metrics, log_file)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGCONT)
            process.kill()
        process.wait()


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
