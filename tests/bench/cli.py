"""`make bench-cli`: how long people wait for the first byte of each command, beside kubectl and Python itself.

Every command runs once in each round, so that what the machine does meanwhile is shared by all.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

# The tests' own modules import each other by their plain names.
sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.bench.table import Row, machine, write

from answers import kubeconfig
from onwire import on_wire
from situations import SITUATIONS

ROOT = Path(__file__).parent.parent.parent
ROUNDS = 21
BAR_MILLISECONDS = 300.0
MODEL = "flights-late"
SITUATION = "a canary comes of a retrain"
PYTHON, KUBECTL = "python -c pass", "kubectl get modeldeployments"

# What people type; each is answered by the local server or needs none.
COMMANDS: Mapping[str, Sequence[str]] = {
    "treadle --version": ("--version",),
    "treadle --help": ("--help",),
    "treadle status --help": ("status", "--help"),
    "treadle status": ("status",),
    "treadle status -o json": ("status", "-o", "json"),
    "treadle wait": ("wait", MODEL, "--for=champion=v1"),
    "treadle logs": ("logs", MODEL),
}


def first_byte(command: Sequence[str], environment: Mapping[str, str]) -> float:
    """Return the milliseconds until a program writes, or ends where it writes nothing."""
    began = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.read(1)
        took = (time.perf_counter() - began) * 1000
        process.stdout.read()
        said = process.stderr.read()
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}: {said.decode()}")
    return took


def measured(rounds: int, kubectl: str) -> dict[str, list[float]]:
    """Return the milliseconds of each command in each round, after one that counts for nothing."""
    with on_wire(SITUATIONS[SITUATION]().objects) as url, tempfile.TemporaryDirectory() as directory:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": directory,
            "KUBECONFIG": str(kubeconfig(Path(directory) / "kubeconfig", url)),
            "LANG": "C.UTF-8",
        }
        treadle = str(Path(sys.executable).with_name("treadle"))
        programs = {
            PYTHON: (sys.executable, "-c", "print()"),
            KUBECTL: (kubectl, "get", "modeldeployments"),
            **{name: (treadle, *words) for name, words in COMMANDS.items()},
        }
        found: dict[str, list[float]] = {name: [] for name in programs}
        for number in range(rounds + 1):
            for name, command in programs.items():
                took = first_byte(command, environment)
                if number:
                    found[name].append(took)
    return found


def rows(found: Mapping[str, Sequence[float]]) -> list[Row]:
    """Return the medians with their bar, and beside kubectl and Python."""
    medians = {name: statistics.median(times) for name, times in found.items()}
    worst = {name: max(times) for name, times in found.items()}
    return [
        *(Row(f"{name}, ms", medians[name], bar=BAR_MILLISECONDS) for name in COMMANDS),
        Row("treadle status, slowest round, ms", worst["treadle status"]),
        Row(f"treadle status beside {KUBECTL}, ms", medians["treadle status"], medians[KUBECTL]),
        Row(f"treadle --help beside {PYTHON}, ms", medians["treadle --help"], medians[PYTHON]),
    ]


def main() -> int:
    """Measure, and write the table; return 1 where a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--kubectl", default=shutil.which("kubectl") or "kubectl")
    chosen = parser.parse_args()
    table = rows(measured(chosen.rounds, chosen.kubectl))
    note = (
        f"Milliseconds to the first byte, medians of {chosen.rounds} rounds in which each command ran once; "
        "status, wait, logs and kubectl ask the same local server"
    )
    print(write(ROOT / "bench", "cli", machine(), table, note))
    return 0 if all(row.met is not False for row in table) else 1


if __name__ == "__main__":
    sys.exit(main())
