"""Reading a namespace, and the commands that show it: rights that are missing are told, never shown as nothing."""

import json
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from answers import Answers, Asked, events, kubeconfig, listed, served, status
from situations import SITUATIONS, Situation
from treadle.cli.cluster import Answer, Cluster, connected, ours
from treadle.cli.estate import paths, read, watching
from treadle.cli.picture import pictures
from treadle.cli.show import status as command

KINDS = {"sources": "DataSource", "runs": "TrainingJob", "deployments": "ModelDeployment", "monitors": "Monitor",
         "jobs": "Job", "pods": "Pod", "workloads": "Deployment", "services": "Service", "events": "Event"}  # fmt: skip
RUNNING = SITUATIONS["a TrainingJob runs"]()
POD = next(iter(RUNNING.progress or {}))
PROGRESS = f"/api/v1/namespaces/demo/pods/{POD}:8081/proxy/progress"
OURS = ("sources", "runs", "deployments", "monitors")


def routes(situation: Situation) -> dict[str, Any]:
    """Return the namespace of a situation as an API server answers it."""
    estate = situation.estate
    found: dict[str, Any] = {
        f"GET {path}": partial(listed_or_watched, listed(KINDS[part], *getattr(estate, part)))
        for part, path in paths("demo").items()
    }
    told = {f"GET /api/v1/namespaces/demo/pods/{pod}:8081/proxy/progress": (200, answer)
            for pod, answer in (situation.progress or {}).items()}  # fmt: skip
    return found | told


def listed_or_watched(reply: Any, asked: Asked) -> Any:
    return events(pause=0.2)(asked) if "watch" in asked.query else reply


def forbidden(part: str) -> dict[str, Any]:
    return {f"GET {paths('demo')[part]}": status(403, "Forbidden", "no")}


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Answers]:
    answers = Answers(routes(RUNNING))
    with served(answers) as server:
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path / "config", server)))
        yield answers


@pytest.fixture
def cluster(script: Answers) -> Iterator[Cluster]:
    with connected("", "") as found:
        yield found


def test_all_parts_are_read_with_what_the_pods_tell(cluster: Cluster, script: Answers) -> None:
    estate = read(cluster, "demo")
    assert pictures(estate) == pictures(RUNNING.estate)
    assert (estate.progress, estate.unread) == (RUNNING.progress, ())
    selected = {request.path: request.query.get("labelSelector") for request in script.asked}
    children = {paths("demo")[part] for part in ("jobs", "pods", "workloads", "services")}
    assert {path for path, selector in selected.items() if selector} == children


def test_a_part_that_is_not_wanted_is_not_read(cluster: Cluster, script: Answers) -> None:
    read(cluster, "demo", without=("events", "pods"))
    assert {request.path for request in script.asked} == set(paths("demo").values()) - {
        paths("demo")["events"], paths("demo")["pods"],
    }  # fmt: skip


UNREAD: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "pods": (forbidden("pods"), ("no right to list pods in demo",)),
    "Monitors": (forbidden("monitors"), ("no right to list monitors.treadle.dev in demo",)),
    "pods and Deployments": (
        forbidden("pods") | forbidden("workloads"),
        ("no right to list pods in demo", "no right to list deployments.apps in demo"),
    ),
    "the pods' proxy": (
        {f"GET {PROGRESS}": status(403, "Forbidden", "no")},
        ("no right to get pods/proxy in demo, which tells how far a step is",),
    ),
}


@pytest.mark.parametrize(("changed", "expected"), UNREAD.values(), ids=UNREAD.keys())
def test_a_right_that_is_missing_is_told(
    cluster: Cluster, script: Answers, changed: dict[str, Any], expected: tuple[str, ...]
) -> None:
    script.routes |= changed
    assert read(cluster, "demo").unread == expected
    shown = CliRunner().invoke(command, [])
    assert shown.exit_code == 0
    assert all(f"! {line}" in shown.stdout for line in expected)


def test_without_any_right_there_is_no_answer(cluster: Cluster, script: Answers) -> None:
    for part in OURS:
        script.routes |= forbidden(part)
    with pytest.raises(Answer, match=r"no right to list datasources\.treadle\.dev in demo"):
        read(cluster, "demo")


def test_without_crds_the_line_says_how_to_install_them(cluster: Cluster, script: Answers) -> None:
    for part in OURS:
        del script.routes[f"GET {paths('demo')[part]}"]
    with pytest.raises(Answer, match="Treadle's CRDs are not installed; kubectl apply -f crds/"):
        read(cluster, "demo")


SILENT = {
    "it ended just now": status(503, "ServiceUnavailable", "no endpoints"),
    "it answers no JSON": (200, "soon"),
    "it answers no object": (200, "[1]"),
}


@pytest.mark.parametrize("reply", SILENT.values(), ids=SILENT.keys())
def test_a_pod_that_does_not_tell_leaves_what_status_says(cluster: Cluster, script: Answers, reply: Any) -> None:
    script.routes[f"GET {PROGRESS}"] = reply
    estate = read(cluster, "demo")
    assert (estate.progress, estate.unread) == ({}, ())
    [run] = pictures(estate)[0]["training"]["runs"]
    assert run["running"] == {"percentage": 62, "stage": None, "remainingSeconds": 40}


# The commands.


def test_status_shows_the_one_model(script: Answers) -> None:
    result = CliRunner().invoke(command, [])
    assert (result.exit_code, result.stdout.splitlines()[0].split()) == (
        0, ["flights-late", "in", "demo", "✓", "Answering"],
    )  # fmt: skip
    assert "62 % · fit" in result.stdout and "\x1b" not in result.stdout


def test_status_prints_json(script: Answers) -> None:
    result = CliRunner().invoke(command, ["tj/flights-late-7c20d91e4a", "-o", "json"])
    found = json.loads(result.stdout)
    assert (found["namespace"], found["unread"], found["models"]) == ("demo", [], pictures(RUNNING.estate))
    assert list(found) == sorted(found)


def test_a_name_that_is_not_there_is_told_with_those_that_are(script: Answers) -> None:
    result = CliRunner().invoke(command, ["flights-late-7c2"])
    assert (result.exit_code, result.stderr) == (
        1, 'Error: no model or object "flights-late-7c2" is in demo; there are: flights-late\n',
    )  # fmt: skip


def test_watching_prints_each_change_until_the_time_is_over(script: Answers) -> None:
    path, is_changed = f"GET {ours('TrainingJob', 'demo')}", threading.Event()

    def runs(asked: Asked) -> Any:
        if "watch" not in asked.query:
            return listed("TrainingJob", *RUNNING.estate.runs)
        is_changed.set()
        return events(("MODIFIED", RUNNING.estate.runs[0]), pause=0.5)(asked)

    told = (RUNNING.progress or {})[POD]
    script.routes[path] = runs
    script.routes[f"GET {PROGRESS}"] = lambda _: (200, told | ({"percentage": 90} if is_changed.is_set() else {}))
    # Before the first look no watch has begun; the first event tells of a change.
    result = CliRunner().invoke(command, ["-w", "--timeout", "2s", "-o", "json"])
    shown = [json.loads(line)["models"][0]["training"]["runs"][0]["running"]["percentage"]
             for line in result.stdout.splitlines()]  # fmt: skip
    assert (result.exit_code, shown[-1], len(shown) <= 2) == (0, 90, True)


def test_a_watch_tells_of_events_and_ends_for_what_may_not_be_watched(cluster: Cluster, script: Answers) -> None:
    told, denied = threading.Event(), threading.Event()

    def pods(asked: Asked) -> Any:
        denied.set()
        return status(403, "Forbidden", "no")

    script.routes[f"GET {paths('demo')['pods']}"] = pods
    script.routes[f"GET {paths('demo')['jobs']}"] = events(("ADDED", {}), pause=0.2)
    with watching(cluster, "demo", told.set, without=tuple(set(paths("demo")) - {"pods", "jobs"})):
        assert told.wait(10) and denied.wait(10)
