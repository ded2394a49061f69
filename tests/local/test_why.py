"""`treadle why` against a local cluster: a fault of the data, told from what it keeps, and gone once it is mended."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cluster import eventually
from embedded import up
from traffic import flights

ROOT = Path(__file__).parents[2]
CAUSE = "└ DataSource/flights  Fetched=False SourceEmpty: "


def why(state: Path, *arguments: str) -> tuple[int, str]:
    """Run the command as a person does; return its exit code and what it says."""
    environment = {**os.environ, "KUBECONFIG": str(state / "kubeconfig"), "COLUMNS": "400"}
    command = [sys.executable, "-m", "treadle", "why", "-n", "demo", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr == ""
    return done.returncode, done.stdout


@pytest.mark.timeout(180)
def test_a_source_without_a_file_is_why_nothing_is_watched_until_there_is_one(tmp_path: Path) -> None:
    manifests, state = tmp_path / "manifests", tmp_path / "state"
    shutil.copytree(ROOT / "manifests/quickstart", manifests)
    raw = state / "buckets/raw/nycflights13"
    raw.mkdir(parents=True)
    with up(manifests, state) as cluster:
        cluster.reaches("DataSource", "flights", "demo", "Ready", "False", 60, "SourceEmpty")
        code, told = eventually(lambda: found(state, "mon"), 60, "why tells the cause", lambda: why(state)[1])
        lines = told.splitlines()
        assert (code, lines[0].split()[0]) == (1, "Monitor/flights-late"), told
        assert lines[-2].lstrip().startswith(CAUSE), told
        assert lines[-1] == "do: correct storageUri, include or filter (docs/reasons/SourceEmpty.md)"
        assert why(state)[1] == told
        (raw / flights.object_name(1)).write_bytes(flights.as_csv(flights.flights({1})[1]))
        cluster.request("DataSource", "flights", "demo", "requested-at", "2026-01-05T08:00:00Z")
        cluster.reaches("DataSource", "flights", "demo", "Ready", "True", 60, "VersionPublished")
        code, told = why(state, "dsrc/flights")
        assert (code, told.splitlines()[0].split(":")[0]) == (0, "DataSource/flights  Ready=True VersionPublished")


def found(state: Path, kind: str) -> tuple[int, str] | None:
    """Return what is said of the Monitor once that names the source."""
    code, told = why(state, f"{kind}/flights-late")
    return (code, told) if CAUSE in told else None
