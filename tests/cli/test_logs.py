"""`treadle logs`: whose pods it reads, how it tells them apart, and what it says of those that are gone."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from answers import Answers, Asked, events, kubeconfig, listed, served, status
from builders import job, over, pod
from situations import SITUATIONS
from treadle.cli.cluster import connected
from treadle.cli.estate import paths
from treadle.cli.logs import Followed, begun, logs

MODEL = SITUATIONS["a TrainingJob runs"]()
SOURCE, UNDER_WAY, FIRST, DEPLOYMENT, MONITOR = MODEL.objects
KINDS = {"sources": "DataSource", "runs": "TrainingJob", "deployments": "ModelDeployment", "monitors": "Monitor",
         "jobs": "Job", "pods": "Pod", "workloads": "Deployment", "services": "Service", "events": "Event"}  # fmt: skip


def step(owner: Any, role: str, name: str, created: str, state: Any = None) -> tuple[Any, Any]:
    """Return a Job of an object and its pod."""
    made = job(owner, name, created=created)
    made["metadata"]["labels"]["treadle.dev/role"] = role
    return made, pod(made, state or {"running": {}}, f"{name}-{role[0] * 5}")


INGEST_JOB, INGEST = step(SOURCE, "ingest", "flights-1", "2026-01-05T08:00:00Z", {"terminated": {"exitCode": 0}})
TRAIN_JOB, TRAIN = step(UNDER_WAY, "train", "late-2", "2026-01-05T08:02:00Z")
OTHER_JOB, OTHER = step(FIRST, "train", "late-1", "2026-01-05T08:01:00Z")
SERVER = {**MODEL.pods[0], "spec": {"containers": [{"name": "server"}]}}
WRITTEN = {INGEST["metadata"]["name"]: "fetched\nVersionPublished", TRAIN["metadata"]["name"]: "fit",
           OTHER["metadata"]["name"]: "judged", SERVER["metadata"]["name"]: "ready"}  # fmt: skip


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Answers]:
    estate = MODEL.estate
    children = {"jobs": (INGEST_JOB, TRAIN_JOB, OTHER_JOB), "pods": (INGEST, TRAIN, OTHER, SERVER)}
    answers = Answers({
        f"GET {path}": listed(KINDS[part], *children.get(part, getattr(estate, part)))
        for part, path in paths("demo").items()
    })  # fmt: skip
    for name, text in WRITTEN.items():
        answers.routes[f"GET /api/v1/namespaces/demo/pods/{name}/log"] = 200, text + "\n"
    with served(answers) as server:
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path / "config", server)))
        yield answers


def run(*words: str) -> Result:
    return CliRunner().invoke(logs, list(words))


def queries(answers: Answers) -> list[dict[str, str]]:
    return [dict(each.query) for each in answers.asked if each.path.endswith("/log")]


ALL = ["ingest/iiiii   fetched", "ingest/iiiii   VersionPublished", "train/ttttt    judged", "train/ttttt    fit",
       "server/x2x7k   ready"]  # fmt: skip
WHOSE = {
    "a model": (("flights-late",), ALL),
    "a source": (("dsrc/flights",), ALL[:2]),
    "a run": (("tj/flights-late-5be1c0a7d2",), ALL[2:3]),
    "a deployment alone": (("mdep/flights-late",), ALL[4:]),
}


@pytest.mark.parametrize(("words", "lines"), WHOSE.values(), ids=WHOSE.keys())
def test_each_line_begins_with_whose_it_is(script: Answers, words: tuple[str, ...], lines: list[str]) -> None:
    result = run(*words)
    assert (result.exit_code, result.stdout.splitlines()) == (0, lines), result.output


def test_the_last_lines_of_each(script: Answers) -> None:
    run("dsrc/flights", "--tail", "1")
    assert queries(script) == [{"container": "step", "tailLines": "1"}]


def test_containers_that_ran_before(script: Answers) -> None:
    script.routes[f"GET /api/v1/namespaces/demo/pods/{SERVER['metadata']['name']}/log"] = status(
        400, "BadRequest", 'previous terminated container "server" not found'
    )
    result = run("mdep/flights-late", "-p")
    assert queries(script) == [{"container": "server", "previous": "true"}]
    assert (result.exit_code, result.stdout) == (0, "")
    assert "server/x2x7k: get pods/log" in result.stderr and 'container "server" not found' in result.stderr


def test_jobs_whose_pods_are_gone_are_told(script: Answers) -> None:
    ended = {**INGEST_JOB, "status": over("Complete", "2026-01-05T08:05:00Z")}
    script.routes[f"GET {paths('demo')['jobs']}"] = listed("Job", ended)
    script.routes[f"GET {paths('demo')['pods']}"] = listed("Pod")
    result = run("flights-late")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr.splitlines() == [
        "ingest: the pods of Job flights-1 (Complete at 2026-01-05T08:05:00Z) are gone; what came of it stands in "
        "DataSource flights",
        "TrainingJob flights-late-7c20d91e4a: no Job of it is there (none yet, or removed after its time)",
        "TrainingJob flights-late-5be1c0a7d2: no Job of it is there (none yet, or removed after its time)",
        "Monitor flights-late: no Job of it is there (none yet, or removed after its time)",
    ]


WRONG = {
    "no such object": (("tj/none",), {}, 1, 'no model or object "tj/none" is in demo; see treadle status'),
    "no such model": (("none",), {}, 1, 'no model or object "none" is in demo; see treadle status'),
    "no right to list pods": (
        ("flights-late",), {f"GET {paths('demo')['pods']}": status(403, "Forbidden", "no")}, 1,
        "no right to list pods in demo",
    ),
    "no right to read logs": (
        ("dsrc/flights",),
        {f"GET /api/v1/namespaces/demo/pods/{INGEST['metadata']['name']}/log": status(403, "Forbidden", "no")}, 1,
        "no right to get pods/log in demo; ask for a Role with that verb (no)",
    ),
    "previous ones do not go on": (("dsrc/flights", "-p", "-f"), {}, 2, "--previous is of containers that have ended"),
}  # fmt: skip


@pytest.mark.parametrize(("words", "changed", "code", "line"), WRONG.values(), ids=WRONG.keys())
def test_what_goes_wrong(
    script: Answers, words: tuple[str, ...], changed: dict[str, Any], code: int, line: str
) -> None:
    script.routes |= changed
    result = run(*words)
    assert result.exit_code == code
    assert f"Error: {line}" in result.stderr


def test_following_reads_each_container_once_it_has_begun(script: Answers) -> None:
    name, log = TRAIN["metadata"]["name"], threading.Event()
    waiting = pod(TRAIN_JOB, {"waiting": {}}, name)
    begun_ = {**TRAIN, "status": {**TRAIN["status"], "phase": "Running"}}
    path = f"GET {paths('demo')['pods']}"

    def pods(asked: Asked) -> Any:
        if "watch" not in asked.query:
            return listed("Pod", waiting)
        if log.is_set():
            # What ends the following here: the right is taken away.
            return status(403, "Forbidden", "no")
        return events(("ADDED", waiting), ("MODIFIED", begun_), ("MODIFIED", begun_), pause=0.3)(asked)

    def written(asked: Asked) -> Any:
        log.set()
        return 200, iter([b"fit\n", b"evaluate\n"])

    script.routes |= {path: pods, f"GET /api/v1/namespaces/demo/pods/{name}/log": written}
    result = run("tj/flights-late-7c20d91e4a", "-f")
    assert result.stdout.splitlines() == ["train/ttttt    fit", "train/ttttt    evaluate"]
    assert "Error: no right to watch pods in demo" in result.stderr
    assert queries(script) == [{"container": "step", "follow": "true"}]


def test_a_model_is_followed_into_its_later_runs(script: Answers) -> None:
    later = {**UNDER_WAY, "metadata": {**UNDER_WAY["metadata"], "name": "flights-late-later"}}
    other = {**later, "spec": {**later["spec"], "modelName": "another"}}
    path = "GET /apis/treadle.dev/v1alpha1/namespaces/demo/trainingjobs"
    script.routes |= {f"{path}/later": (200, later), f"{path}/other": (200, other)}
    script.routes[f"{path}/gone"] = status(404, "NotFound", "no")
    with connected("", "") as cluster:
        followed = Followed(cluster, MODEL.objects)
        found = {
            name: followed.has({"metadata": {"labels": {"treadle.dev/kind": kind, "treadle.dev/name": name}}})
            for kind, name in (
                ("DataSource", "flights"), ("TrainingJob", "later"), ("TrainingJob", "other"), ("TrainingJob", "gone"),
                ("DataSource", "weather"),
            )
        }  # fmt: skip
    assert found == {"flights": True, "later": True, "other": False, "gone": False, "weather": False}


def test_a_restart_is_another_log() -> None:
    keys = []
    for restarts in (0, 1):
        found = pod(TRAIN_JOB, {"running": {}}, "x")
        found["status"]["containerStatuses"][0]["restartCount"] = restarts
        keys += [key for key, _ in begun(found)]
    assert len(set(keys)) == 2
    assert begun(pod(TRAIN_JOB, {"waiting": {}}, "x")) == []
