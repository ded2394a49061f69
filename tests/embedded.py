"""`treadle up` as a process, and the cluster that it is."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from cluster import Cluster, eventually

STARTS_WITHIN_SECONDS = 30
ENDS_WITHIN_SECONDS = 60


@contextmanager
def up(directory: Path, state: Path, *arguments: str) -> Iterator[Cluster]:
    """Run `treadle up` until the block ends, then press Ctrl-C; what it said lies beside the state."""
    log = state.with_name(f"{state.name}.log")
    command = [sys.executable, "-m", "treadle", "up", str(directory), "--state", str(state), "--port", "0", *arguments]
    # A former start's address would be found before this one's.
    (state / "kubeconfig").unlink(missing_ok=True)
    with log.open("ab") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)
    try:
        yield eventually(lambda: reached(process, state), STARTS_WITHIN_SECONDS, "treadle up answers", log.read_text)
    except BaseException:
        print(log.read_text()[-20_000:], file=sys.stderr)
        raise
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
        code = process.wait(ENDS_WITHIN_SECONDS)
    if code:
        pytest.fail(f"treadle up ended with {code}:\n{log.read_text()[-20_000:]}", pytrace=False)


def reached(process: "subprocess.Popen[bytes]", state: Path) -> Cluster | None:
    """Return the cluster once its API answers; fail where the process has ended."""
    if process.poll() is not None:
        pytest.fail(f"treadle up ended with {process.returncode}", pytrace=False)
    file = state / "kubeconfig"
    if not file.is_file() or not (config := yaml.safe_load(file.read_text())):
        return None
    cluster = Cluster(config["clusters"][0]["cluster"]["server"])
    try:
        return cluster if cluster.read("version") else None
    except OSError:
        return None


def left_behind(state: Path) -> list[str]:
    """Return the command lines of the processes that still work for a state folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/environ"):
        try:
            if str(state).encode() in entry.read_bytes():
                found.append((entry.parent / "cmdline").read_text().replace("\0", " ")[:200])
        except (OSError, UnicodeDecodeError):
            continue
    return found


def now() -> str:
    """Return the time, as an annotation names it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
