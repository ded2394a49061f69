"""The commands, each in a process of its own, against the API in memory on its wire; other programs are the pods."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from answers import Answers, kubeconfig, served
from builders import digest, job, over
from builders import pod as step_pod
from onwire import on_wire
from situations import BOTH as SERVER
from situations import HELD, PASSED_RUN, canary, server_pods, started, trained
from treadle.cli.estate import Estate
from treadle.cli.picture import pictures

ADDRESS = f"127.85.{os.getpid() >> 8 & 255}.{os.getpid() & 255 or 1}"
"""Of the pods; no other run of these tests answers there."""
RUN = started("flights-late-under-way", created="2026-01-05T08:09:00Z")
HELD_RUN = trained(HELD, started("flights-late-held", created="2026-01-05T07:00:00Z"), ended_at="2026-01-05T07:05:00Z")
STEP = {"step": "train", "stage": "fit", "percentage": 62, "estimatedRemainingSeconds": 40}
METADATA = {"name": "flights-late", "inputs": [
    {"name": "hour", "datatype": "INT64", "shape": [-1], "parameters": {"example": 17}},
]}  # fmt: skip
ANSWER = {"outputs": [{"name": "score", "datatype": "FP64", "shape": [1], "data": [0.25]}]}
TOLD = {"treadle-model-version": "v1", "treadle-model-digest": digest("a")}
ROUTES: dict[int, dict[str, Any]] = {
    8080: {"GET /v2/models/flights-late": (200, METADATA),
           "POST /v2/models/flights-late/infer": (200, ANSWER, TOLD | {"Content-Type": "application/json"})},
    8081: {"GET /progress": (200, STEP)},
}  # fmt: skip


def running(pod: Any, role: str) -> Any:
    """Return a pod that runs at the address where the test's own programs answer."""
    marks = {**pod["metadata"]["labels"], "treadle.dev/role": role}
    ready = [{"type": "Ready", "status": "True"}]
    return {
        **pod,
        "metadata": {**pod["metadata"], "labels": marks},
        "spec": {"containers": [{"name": role}]},
        "status": {"phase": "Running", "podIP": ADDRESS, "conditions": ready,
                   "containerStatuses": [{"name": role, "image": "i", "state": {"running": {}}}]},
    }  # fmt: skip


def service() -> Any:
    marks = {"treadle.dev/kind": "ModelDeployment", "treadle.dev/name": "flights-late", "treadle.dev/role": "server"}
    ports = [{"name": "http", "port": 80, "targetPort": 8080}]
    metadata = {"name": "flights-late", "labels": {"app.kubernetes.io/managed-by": "treadle", **marks}}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"selector": marks, "ports": ports}}


RUN_JOB = job(RUN, RUN["status"]["jobName"])
ENDED_JOB = job(PASSED_RUN, PASSED_RUN["status"]["jobName"], status=over())
OBJECTS = [
    *canary(), RUN, HELD_RUN, RUN_JOB, ENDED_JOB, service(),
    running(step_pod(RUN_JOB, {"running": {}}, "late-train-ttttt"), "train"),
    *(running(pod, "server") for pod in server_pods(SERVER)),
]  # fmt: skip


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    directory = tmp_path_factory.mktemp("cli")

    def log_of(_: str, pod: str, container: str, *, is_previous: bool) -> Path | None:
        if is_previous:
            return None
        path = directory / f"{pod}-{container}.log"
        path.write_text(f"{container} began\n{container} goes on\n")
        return path

    with ExitStack() as open_:
        for port, routes in ROUTES.items():
            open_.enter_context(served(Answers(routes), address=(ADDRESS, port)))
        url = open_.enter_context(on_wire(OBJECTS, log_of))
        yield {"PATH": os.environ["PATH"], "HOME": str(directory), "LANG": "C.UTF-8",
               "KUBECONFIG": str(kubeconfig(directory / "kubeconfig", url))}  # fmt: skip


def treadle(environment: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "treadle", *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)


# words, exit code, and what stands in the output
ROWS: dict[str, tuple[tuple[str, ...], int, tuple[str, ...]]] = {
    "status shows the canary": (("status",), 0, ("flights-late in demo", "312 of 500 answers")),
    "status shows what the pod of a run tells": (
        ("status",), 0, ("flights-late-under-way · ████████████░░░░░░░░  62 % · fit · about 40 s left",),
    ),
    "tree is the same, from any object": (("tree", "tj/flights-late-held"), 0, ("flights-late in demo",)),
    "a name that is not there": (("status", "none"), 1, ("there are: flights-late",)),
    "a wait that is over": (("wait", "flights-late"), 0, ("ModelDeployment/flights-late done: Answering",)),
    "a wait for a champion": (("wait", "flights-late", "--for=champion=v1"), 0, (f"Champion: v1 {digest('a')}",)),
    "a wait that the gate ended": (("wait", "tj/flights-late-held"), 3, ("held by the gate: HeldByGate",)),
    "a wait that times out": (("wait", "tj/flights-late-under-way", "--timeout=1s"), 4, ("timed out: Running",)),
    "a wait for nothing": (("wait", "tj/none"), 1, ("TrainingJob none does not exist in demo",)),
    "a wait that is misspelt": (("wait", "job/none"), 2, ("none of the four kinds",)),
    "logs of a model": (
        ("logs", "flights-late"), 0,
        ("train/ttttt    train began", "train/ttttt    train goes on", "server/x2x7k   server began",
         "the pods of Job flights-late-7c20d91e4a-"),
    ),
    "the last lines": (("logs", "tj/flights-late-under-way", "--tail=1"), 0, ("train/ttttt    train goes on",)),
    "a prediction": (("predict", "flights-late"), 0, ("version v1 aaaaaaaaaaaa", "hour   17", "→ score  0.25", "curl")),
    "a prediction with a value": (("predict", "flights-late", "hour=3"), 0, ("hour   3",)),
    "a prediction with a wrong name": (("predict", "flights-late", "huor=3"), 2, ('did you mean "hour"?',)),
}  # fmt: skip


@pytest.mark.parametrize(("words", "code", "said"), ROWS.values(), ids=ROWS.keys())
def test_a_command(environment: dict[str, str], words: tuple[str, ...], code: int, said: tuple[str, ...]) -> None:
    result = treadle(environment, *words)
    output = result.stdout + result.stderr
    assert result.returncode == code, output
    for text in said:
        assert text in output


def test_facts_are_those_of_the_objects(environment: dict[str, str]) -> None:
    found = json.loads(treadle(environment, "status", "-o", "json").stdout)
    source, run, first, deployment, monitor = canary()
    [expected] = pictures(Estate("demo", (source,), (run, first, RUN, HELD_RUN), (deployment,), (monitor,)))
    [facts] = found["models"]
    for part in ("data", "serving", "canary", "monitor", "quarantined"):
        assert facts[part] == expected[part]


def test_the_line_for_a_shell_works_when_it_is_pasted(environment: dict[str, str]) -> None:
    line = treadle(environment, "predict", "flights-late", "--curl").stdout
    answer = subprocess.run(["sh", "-c", line], env=environment, capture_output=True, text=True, check=True, timeout=60)
    assert json.loads(answer.stdout) == ANSWER
