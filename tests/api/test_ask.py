"""Requests by the command line, as a real API server takes them."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click import ClickException

from builders import AT, champion, data_source, digest, model_deployment, monitor, resource
from charts import program
from control_plane import ControlPlane
from served import candidate, good
from treadle.cli.ask import Manner, set_
from treadle.cli.asking.preview import Preview, annotated
from treadle.cli.cluster import connected

PROMOTE, REQUESTED, ROLLBACK = "treadle.dev/promote", "treadle.dev/requested-at", "treadle.dev/rollback"
TRIED = {"champion": champion(), "candidate": candidate(state="Paused", weight=25), "lastKnownGood": good()}
DONE = {"jobName": "flights-1", "runKey": "k", "generation": 1, "startTime": AT, "completionTime": AT}


@pytest.fixture
def estate(plane: ControlPlane, namespace: str) -> Iterator[str]:
    """Yield a namespace with a candidate on trial."""
    pinned = {"source": {"follow": "Pinned", "digest": digest("a")}}
    for raw in (
        data_source(current="e", status={"lastAttempt": DONE}),
        model_deployment(status=TRIED),
        model_deployment("pinned", status={"champion": champion(), "lastKnownGood": good()}, **pinned),
        monitor(),
    ):
        plane.create(namespace, raw)
    yield namespace
    for plural in ("modeldeployments", "monitors"):
        plane.request("DELETE", f"/apis/treadle.dev/v1alpha1/namespaces/{namespace}/{plural}")


def treadle(kubeconfig: Path, namespace: str, *words: str) -> subprocess.CompletedProcess[str]:
    path = f"{Path(program('kubectl')).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        [sys.executable, "-m", "treadle", *words, "-n", namespace],
        check=False, capture_output=True, text=True, timeout=60,
        env={"HOME": "/nonexistent", "PATH": path, "KUBECONFIG": str(kubeconfig)},
    )  # fmt: skip


def read(plane: ControlPlane, namespace: str, plural: str, name: str) -> Any:
    return plane.request("GET", f"/apis/treadle.dev/v1alpha1/namespaces/{namespace}/{plural}/{name}")[1]


# what: (words, exit code, what the last line says, object, annotations and suspend as they are afterwards)
ASKS: dict[str, tuple[tuple[str, ...], int, str, tuple[str, str], dict[str, str] | bool]] = {
    "promote": (
        ("promote", "flights-late"), 0, f"Set {PROMOTE}={digest('b')}",
        ("modeldeployments", "flights-late"), {PROMOTE: digest("b")},
    ),
    "a dry run sets nothing": (
        ("promote", "mdep/flights-late", "v2", "--dry-run"), 0, "Dry run: the server takes it; nothing was set",
        ("modeldeployments", "flights-late"), {},
    ),
    "a printed one sets nothing": (
        ("rollback", "flights-late", "--print"), 0, f"{ROLLBACK}={digest('a')}",
        ("modeldeployments", "flights-late"), {},
    ),
    "nothing to promote": (
        ("promote", "pinned", "v0"), 1, "add --print for the patch to put there",
        ("modeldeployments", "pinned"), {},
    ),
    "the patch for Git": (
        ("promote", "pinned", "v0", "--print"), 0,
        f'  source: {{follow: Pinned, digest: "{digest("9")}"}}  # v0, the champion before',
        ("modeldeployments", "pinned"), {},
    ),
    "no operator answers": (
        ("rollback", "flights-late", "--wait", "--timeout", "0s"), 4,
        "the operator did not answer within 0 s; the request stands",
        ("modeldeployments", "flights-late"), {ROLLBACK: digest("a")},
    ),
    "an object that does not exist": (
        ("retrain", "flight"), 1, 'Error: modeldeployments.treadle.dev "flight" not found',
        ("modeldeployments", "flights-late"), {},
    ),
    "a run again": (
        ("refresh", "tj/first"), 2,
        "Error: a TrainingJob is one run and never runs again; retrain its ModelDeployment, or create another",
        ("modeldeployments", "flights-late"), {},
    ),
    "suspend": (
        ("suspend", "mon/flights-late"), 0, 'Set {"spec": {"suspend": true}}', ("monitors", "flights-late"), True,
    ),
    "resume what goes on": (
        ("resume", "datasource/flights"), 0, "Note: spec.suspend is false already: nothing to do",
        ("datasources", "flights"), False,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("words", "code", "said", "where", "stands"), ASKS.values(), ids=ASKS.keys())
def test_an_act(
    plane: ControlPlane, estate: str, words: tuple[str, ...], code: int, said: str, where: tuple[str, str],
    stands: dict[str, str] | bool,
) -> None:  # fmt: skip
    answer = treadle(plane.kubeconfig, estate, *words)
    last = (answer.stdout if code == 0 else answer.stderr).rstrip().splitlines()[-1]
    assert (answer.returncode, last[-len(said) :]) == (code, said), answer.stderr
    found = read(plane, estate, *where)
    if isinstance(stands, bool):
        assert found["spec"]["suspend"] is stands
    else:
        assert found["metadata"].get("annotations", {}) == stands


@pytest.mark.parametrize("object_", ["dsrc/flights", "mon/flights-late", "mdep/flights-late"])
def test_what_stands_is_asked_by_a_time(plane: ControlPlane, estate: str, object_: str) -> None:
    answer = treadle(plane.kubeconfig, estate, "refresh", object_, "-o", "json")
    assert answer.returncode == 0, answer.stderr
    told = json.loads(answer.stdout)
    patch = told["patch"]["metadata"]["annotations"]
    found = read(plane, estate, f"{told['object']['kind'].lower()}s", told["object"]["name"])
    assert (told["outcome"], found["metadata"]["annotations"]) == ("Set", patch)


def test_a_namesake_made_meanwhile_is_not_what_was_shown(plane: ControlPlane, estate: str) -> None:
    raw = resource("ModelDeployment", "flights-late", {}, uid="00000000-0000-0000-0000-000000000000")
    preview = Preview("Promote", "ModelDeployment", "flights-late", patch=annotated(PROMOTE, digest("b")))
    manner = Manner("", estate, False, False, False, 1.0, "text")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("KUBECONFIG", str(plane.kubeconfig))
        patched.setenv("PATH", f"{Path(program('kubectl')).parent}{os.pathsep}{os.environ['PATH']}")
        with connected("", estate) as cluster, pytest.raises(ClickException, match="replaced by a namesake"):
            set_(cluster, raw, preview, manner)
    assert read(plane, estate, "modeldeployments", "flights-late")["metadata"].get("annotations", {}) == {}
