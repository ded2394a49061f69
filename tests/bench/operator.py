"""`make bench-operator`: 2,000 custom resources against a real kube-apiserver, beside plain kopf handlers.

Reads and writes are counted by the API server, so that nothing the operator does is left out.
"""

import argparse
import concurrent.futures
import contextlib
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.table import Row, machine, write
from tests.bench.world import finish_jobs
from tests.control_plane import ControlPlane, control_plane, free_ports

ROOT = Path(__file__).parent.parent.parent
API = "/apis/treadle.dev/v1alpha1"
PLURALS = ("datasources", "trainingjobs", "modeldeployments", "monitors")
COUNTED = {*PLURALS, "jobs", "pods", "deployments", "services", "configmaps", "events", "serviceaccounts", "namespaces"}
NAMESPACES = 10
EDITS = 200
EDIT_PAUSE_SECONDS = 0.05
QUIET_SECONDS = 60.0
QUIET_PASS_SECONDS = 3.0
LIMIT_SECONDS = 300.0
SCRAPE_SECONDS = 1.0
OUR_WRITES = 'verb="(apply|apply_status|create|delete)"'
WRITES = ("POST", "PUT", "PATCH", "DELETE")
OURS = ("-c", "import sys; from treadle.control.main import main; sys.exit(main())")
PEER = ("-m", "kopf", "run", "--standalone", "--all-namespaces", "--quiet", "tests/bench/plain_kopf.py")


@dataclass(frozen=True, slots=True)
class Phase:
    """What one phase took."""

    seconds: float
    writes: float
    reads: float
    peak_mb: float


@dataclass(frozen=True, slots=True)
class Program:
    """A running operator."""

    process: subprocess.Popen[bytes]
    metrics_port: int

    def memory_mb(self) -> float:
        """Return the largest resident memory so far."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(r"VmHWM:\s+(\d+) kB", text)
        return int(found[1]) / 1024 if found else 0.0


def manifests(number: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield one small object of each kind, joined as a user's would be."""
    name, namespace = f"n{number:04d}", f"bench-{number % NAMESPACES}"
    columns = [
        {"name": "a", "type": "double", "nullable": False},
        {"name": "b", "type": "string"},
        {"name": "y", "type": "boolean", "role": "target"},
    ]
    specs: dict[str, tuple[str, dict[str, Any]]] = {
        "datasources": (
            "DataSource",
            {
                "source": {"s3": {"storageUri": "s3://raw/x/", "include": "*.csv"}},
                "format": {"name": "csv"},
                "schema": {"columns": columns},
            },
        ),
        "trainingjobs": (
            "TrainingJob",
            {
                "modelName": name,
                "dataRef": {"name": name},
                "task": "BinaryClassification",
                "estimator": {"name": "LogisticRegression"},
                "objective": {"metric": "roc_auc"},
            },
        ),
        "modeldeployments": ("ModelDeployment", {"modelName": name}),
        "monitors": (
            "Monitor",
            {
                "targetRef": {"name": name},
                "window": {"size": "1d"},
            },
        ),
    }
    for plural, (kind, spec) in specs.items():
        yield (
            plural,
            {
                "apiVersion": "treadle.dev/v1alpha1",
                "kind": kind,
                "metadata": {"name": name, "namespace": namespace},
                "spec": spec,
            },
        )


def fill(plane: ControlPlane, a_kind: int) -> None:
    """Create so many objects of each kind, spread over the namespaces."""
    for number in range(NAMESPACES):
        plane.namespace(f"bench-{number}")

    def create(number: int) -> None:
        for plural, body in manifests(number):
            path = f"{API}/namespaces/{body['metadata']['namespace']}/{plural}"
            status, answer = plane.request("POST", path, body)
            if status != 201:
                raise RuntimeError(f"{path}: {answer}")

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(create, range(a_kind)))


def calls(plane: ControlPlane) -> tuple[float, float]:
    """Return the writes and reads that the API server has answered; what it does for itself is left out."""
    writes = reads = 0.0
    for line in str(plane.request("GET", "/metrics")[1]).splitlines():
        if not line.startswith("apiserver_request_total{"):
            continue
        labels = dict(re.findall(r'(\w+)="([^"]*)"', line))
        count = float(line.rpartition(" ")[2])
        if labels["resource"] not in COUNTED:
            continue
        if labels["verb"] in WRITES or labels["verb"] == "APPLY":
            writes += count
        elif labels["verb"] in ("GET", "LIST"):
            reads += count
    return writes, reads


@contextlib.contextmanager
def running(plane: ControlPlane, command: Sequence[str], directory: Path) -> Iterator[Program]:
    """Start an operator; end it by SIGTERM."""
    metrics, probe = free_ports(2)
    variables = {
        **os.environ,
        "KUBECONFIG": str(plane.kubeconfig),
        "PYTHONPATH": f"{ROOT}/operator:{ROOT}/tests:{ROOT}",
        "TREADLE_LEASE_NAMESPACE": "default",
        "TREADLE_METRICS_PORT": str(metrics),
        "TREADLE_PROBE_PORT": str(probe),
    }
    with (directory / f"operator-{metrics}.log").open("wb") as log:
        process = subprocess.Popen([sys.executable, *command], env=variables, cwd=ROOT, stdout=log, stderr=log)
    try:
        yield Program(process, metrics)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def scrape(program: Program) -> tuple[float, float]:
    """Return the passes and the writes, Leases left out, that the operator itself counts."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{program.metrics_port}/metrics", timeout=10) as response:
            lines = response.read().decode().splitlines()
    except OSError:
        return 0.0, 0.0
    passes = writes = 0.0
    for line in lines:
        if line.startswith("treadle_passes_total{"):
            passes += float(line.rpartition(" ")[2])
        if line.startswith("treadle_api_calls_total{") and re.search(OUR_WRITES, line) and '"Lease"' not in line:
            writes += float(line.rpartition(" ")[2])
    return passes, writes


def settle_ours(program: Program, count: int) -> float:
    """Wait until every object had a pass and nothing is written any more; return the moment of the last change."""
    until = time.monotonic() + LIMIT_SECONDS
    last, before = time.monotonic(), -1.0
    while time.monotonic() < until:
        if program.process.poll() is not None:
            raise RuntimeError("the operator ended")
        passes, writes = scrape(program)
        if passes < count or writes != before:
            last, before = time.monotonic(), writes
        elif time.monotonic() - last > QUIET_PASS_SECONDS:
            return last
        time.sleep(SCRAPE_SECONDS)
    raise RuntimeError(f"not settled within {LIMIT_SECONDS:g} s; passes and writes: {scrape(program)}")


def settle_peer(plane: ControlPlane, program: Program) -> float:
    """Wait until the API server has had no write for three seconds; return the moment of the last."""
    until = time.monotonic() + LIMIT_SECONDS
    before, last = calls(plane)[0], time.monotonic()
    began = before
    while time.monotonic() < until:
        if program.process.poll() is not None:
            raise RuntimeError("the peer ended")
        now = calls(plane)[0]
        if now > before:
            before, last = now, time.monotonic()
        elif time.monotonic() - last > 2 * QUIET_PASS_SECONDS and (now > began or time.monotonic() - last > 20):
            return last
        time.sleep(SCRAPE_SECONDS)
    raise RuntimeError("the peer did not settle")


def phase(plane: ControlPlane, program: Program, began: float, before: tuple[float, float], ended: float) -> Phase:
    """Return what a phase took that began and ended at these moments."""
    after = calls(plane)
    return Phase(ended - began, after[0] - before[0], after[1] - before[1], program.memory_mb())


def edit_latencies(plane: ControlPlane, count: int) -> list[float]:
    """Edit so many DataSources one after the other; return seconds from each edit to its new Job."""
    created: dict[tuple[str, str], list[float]] = {}
    stop = threading.Event()
    watching = threading.Thread(target=plane.watch, args=("/apis/batch/v1/jobs", note_jobs(created), stop), daemon=True)
    watching.start()
    time.sleep(2)
    edited: dict[tuple[str, str], float] = {}
    for number in range(count):
        name, namespace = f"n{number:04d}", f"bench-{number % NAMESPACES}"
        path = f"{API}/namespaces/{namespace}/datasources/{name}"
        edited[namespace, name] = time.monotonic()
        status, answer = plane.request("PATCH", path, {"spec": {"filter": "a > 1"}}, "application/merge-patch+json")
        if status != 200:
            raise RuntimeError(f"{path}: {answer}")
        time.sleep(EDIT_PAUSE_SECONDS)
    until = time.monotonic() + 30
    while len(created) < count and time.monotonic() < until:
        time.sleep(0.1)
    stop.set()
    late = [30.0] * (count - len(created.keys() & edited.keys()))
    return sorted([max(0.0, created[key][0] - edited[key]) for key in created.keys() & edited.keys()] + late)


def note_jobs(created: dict[tuple[str, str], list[float]]) -> Any:
    """Return a function that notes when a Job was told, by its owner; those that were there before do not count."""
    began = time.time()

    def note(event: Mapping[str, Any]) -> None:
        metadata = event["object"]["metadata"]
        made = time.mktime(time.strptime(metadata["creationTimestamp"], "%Y-%m-%dT%H:%M:%SZ")) - time.timezone
        name = metadata.get("labels", {}).get("treadle.dev/name")
        if event["type"] == "ADDED" and name and made >= began - 1:
            created.setdefault((metadata["namespace"], name), []).append(time.monotonic())

    return note


def ours(plane: ControlPlane, count: int, directory: Path) -> tuple[Phase, Phase, list[float], float]:
    """Return cold start, restart when settled, edits, and the writes of a quiet minute."""
    command = OURS
    before, began = calls(plane), time.monotonic()
    with running(plane, command, directory) as program:
        cold = phase(plane, program, began, before, settle_ours(program, count))
        say(f"cold start: {cold}")
        for _ in range(3):
            finish_jobs(plane)
            settle_ours(program, count)
    before, began = calls(plane), time.monotonic()
    with running(plane, command, directory) as program:
        again = phase(plane, program, began, before, settle_ours(program, count))
        say(f"restart: {again}")
        quiet = calls(plane)[0]
        time.sleep(QUIET_SECONDS)
        quiet = calls(plane)[0] - quiet
        say(f"quiet: {quiet} writes")
        latencies = edit_latencies(plane, min(EDITS, count // 4))
    return cold, again, latencies, quiet


def peer(plane: ControlPlane, directory: Path) -> tuple[Phase, Phase]:
    """Return cold start and restart of the no-op operator on plain handlers."""
    phases = []
    for _ in range(2):
        before, began = calls(plane), time.monotonic()
        with running(plane, PEER, directory) as program:
            phases.append(phase(plane, program, began, before, settle_peer(plane, program)))
        say(f"peer: {phases[-1]}")
    return phases[0], phases[1]


def say(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def percentile(values: Sequence[float], percent: int) -> float:
    """Return a percentile of sorted values."""
    return values[min(len(values) - 1, len(values) * percent // 100)]


def rows(count: int, mine: tuple[Phase, Phase, list[float], float], theirs: tuple[Phase, Phase]) -> list[Row]:
    """Return the table: each figure against its bar, then beside the peer."""
    cold, again, latencies, quiet = mine
    peer_cold, peer_again = theirs
    return [
        Row(f"cold start of {count}, s", cold.seconds, bar=120),
        Row("peak resident memory, cold start, MB", cold.peak_mb, bar=250),
        Row("peak resident memory, restart, MB", again.peak_mb, bar=250),
        Row("cold start, writes a resource", cold.writes / count, bar=4),
        Row("cold start, reads a resource", cold.reads / count, bar=12),
        Row("restart when settled, writes", again.writes, bar=0),
        Row("restart when settled, reads a resource", again.reads / count, bar=6),
        Row("edit to its child's change, p99 s", percentile(latencies, 99), bar=2),
        Row("edit to its child's change, median s", statistics.median(latencies)),
        Row("writes in a quiet minute", quiet, bar=0),
        Row("cold start, s", cold.seconds, peer_cold.seconds),
        Row("peak memory, cold start, MB", cold.peak_mb, peer_cold.peak_mb),
        Row("peak memory, restart, MB", again.peak_mb, peer_again.peak_mb),
        Row("cold start, writes a resource", cold.writes / count, peer_cold.writes / count),
        # Without a peer: a settled plain handler has nothing to look at.
        Row("restart when settled, s", again.seconds),
        Row("restart, writes a resource", again.writes / count, peer_again.writes / count),
    ]


def main() -> int:
    """Run the benchmark; return 1 where a bar is missed."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--a-kind", type=int, default=500, help="objects of each kind")
    arguments.add_argument("--output", type=Path, default=ROOT / "bench")
    chosen = arguments.parse_args()
    count = 4 * chosen.a_kind
    results = []
    for act in (lambda plane, directory: ours(plane, count, directory), peer):
        with tempfile.TemporaryDirectory() as directory, control_plane() as plane:
            plane.install_crds()
            fill(plane, chosen.a_kind)
            results.append(act(plane, Path(directory)))
    table = rows(count, results[0], results[1])
    note = f"{count} resources in {NAMESPACES} namespaces, one run; the peer: plain kopf handlers that do nothing"
    say(write(chosen.output, "operator", machine(), table, note))
    return 0 if all(row.met is not False for row in table) else 1


if __name__ == "__main__":
    sys.exit(main())
