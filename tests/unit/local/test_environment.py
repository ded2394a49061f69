"""What a container's process is told: its image's program, its words, and which objects it refers to."""

import sys
from pathlib import Path
from typing import Any

import pytest

from treadle.local.kubelet.environment import NoImage, Place, arguments, environment, expanded, references
from treadle.local.kubelet.mounts import Missing

type Object = dict[str, Any]

PLACE = Place(Path("/pods/demo_p/step"), "127.84.0.2", "127.84.0.1", Path("/pods/demo_p/.ended/step"))
PROGRAM = [sys.executable, "-m", "treadle"]

IMAGES = {
    "the worker": "localhost/treadle-worker:abc",
    "the server": "registry.example:5000/team/treadle-server:1.2.3",
    "without a registry": "treadle-worker",
    "by digest": "ghcr.io/x/treadle-server@sha256:0123",
}


@pytest.mark.parametrize("image", IMAGES.values(), ids=IMAGES.keys())
def test_images_of_this_program(image: str) -> None:
    assert arguments({"image": image, "args": ["serve"]}, {}, PLACE) == [*PROGRAM, "serve"]


OTHERS = ["nginx:1.29", "", "my-treadle-worker:1", "treadle-worker-extra:1", "treadle-operator:1"]


@pytest.mark.parametrize("image", OTHERS)
def test_other_images_are_refused(image: str) -> None:
    with pytest.raises(NoImage, match=r"cannot run here: treadle up has no containers.*run this pod on a cluster"):
        arguments({"image": image}, {}, PLACE)


# (command, args, what is executed)
WORDS: dict[str, tuple[list[str] | None, list[str] | None, list[str]]] = {
    "arguments": (None, ["train"], [*PROGRAM, "train"]),
    "a command replaces the program": (["python", "-c"], ["pass"], ["python", "-c", "pass"]),
    "variables": (None, ["--name=$(NAME)", "$(OTHER)", "$$(NAME)"], [*PROGRAM, "--name=me", "$(OTHER)", "$(NAME)"]),
    "paths of mounts": (["cat", "/data/x"], ["/dat"], ["cat", "/pods/demo_p/step/data/x", "/dat"]),
}


@pytest.mark.parametrize(("command", "args", "wanted"), WORDS.values(), ids=WORDS.keys())
def test_words(command: list[str] | None, args: list[str] | None, wanted: list[str]) -> None:
    container = {"image": IMAGES["the worker"], "volumeMounts": [{"name": "v", "mountPath": "/data"}]}
    more = {name: value for name, value in (("command", command), ("args", args)) if value is not None}
    assert arguments({**container, **more}, {"NAME": "me"}, PLACE) == wanted


def test_an_interpreter_below_a_mount_is_this_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/tmp/venv/bin/python")
    mounts = [{"name": "v", "mountPath": "/tmp"}]
    container = {"image": IMAGES["the worker"], "args": ["/tmp/x"], "volumeMounts": mounts}
    assert arguments(container, {}, PLACE) == ["/tmp/venv/bin/python", "-m", "treadle", "/pods/demo_p/step/tmp/x"]


EXPANSIONS = {
    "a name": ("$(A)", "1"),
    "two": ("$(A)$(A)", "11"),
    "an unknown one stays": ("$(B)", "$(B)"),
    "two dollars are one": ("$$(A)", "$(A)"),
    "a dollar alone": ("$A $", "$A $"),
    "what is no name": ("$(1 + 1)", "$(1 + 1)"),
}


@pytest.mark.parametrize(("text", "wanted"), EXPANSIONS.values(), ids=EXPANSIONS.keys())
def test_expansion(text: str, wanted: str) -> None:
    assert expanded(text, {"A": "1"}) == wanted


def pod(**container: Any) -> Object:
    """Return a pod with one container."""
    labels = {"app.kubernetes.io/name": "late"}
    metadata = {"name": "p", "namespace": "demo", "uid": "u", "labels": labels}
    return {"metadata": metadata, "spec": {"containers": [{"name": "step", "image": "treadle-worker", **container}]}}


def told(own: dict[str, str] | None = None, **container: Any) -> dict[str, str]:
    """Return the environment of a container."""
    raw = pod(**container)
    return environment(raw, raw["spec"]["containers"][0], PLACE, lambda *_: None, own or {})


def field(path: str) -> list[Object]:
    """Return a variable that is a field of the pod."""
    return [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": path}}}]


FIELDS = {
    "metadata.namespace": "demo",
    "metadata.labels['app.kubernetes.io/name']": "late",
    "metadata.annotations['none']": "",
    "spec.serviceAccountName": "default",
    "status.hostIP": "127.84.0.1",
    "status.podIPs": "127.84.0.2",
}


@pytest.mark.parametrize(("path", "wanted"), FIELDS.items())
def test_fields(path: str, wanted: str) -> None:
    assert told(env=field(path))["A"] == wanted


# What cannot be told: (variables, message)
UNKNOWN: dict[str, tuple[list[Object], str]] = {
    "a field": (field("spec.restartPolicy"), r"fieldPath 'spec\.restartPolicy' is not known to treadle up; use one of"),
    "a resource": (
        [{"name": "A", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}}],
        r"env 'A': valueFrom\.resourceFieldRef is not known to treadle up; write a value",
    ),
}


@pytest.mark.parametrize(("env", "message"), UNKNOWN.values(), ids=UNKNOWN.keys())
def test_what_cannot_be_told(env: list[Object], message: str) -> None:
    with pytest.raises(Missing, match=message):
        told(env=env)


def test_of_the_persons_own_only_what_the_interpreter_needs_goes_on(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    own = {"PYTHONPATH": "lib:/opt/lib", "HOME": "/home/me", "AWS_PROFILE": "mine", "HTTPS_PROXY": "http://proxy"}
    found = told(own)
    # Pods have another working directory.
    assert found["PYTHONPATH"] == f"{tmp_path}/lib:/opt/lib"
    assert found["HOME"] == "/pods/demo_p/step/tmp"
    assert not {"AWS_PROFILE", "HTTPS_PROXY"} & found.keys()


def test_a_container_has_the_last_word_but_on_where_it_listens() -> None:
    env = [{"name": name, "value": "mine"} for name in ("TZ", "TREADLE_DRAIN_SECONDS", "TREADLE_HOST")]
    found = told(env=env)
    assert (found["TZ"], found["TREADLE_DRAIN_SECONDS"], found["TREADLE_HOST"]) == ("mine", "mine", "127.84.0.2")


def test_references() -> None:
    raw = pod(
        env=[
            {"name": "A", "valueFrom": {"secretKeyRef": {"name": "one", "key": "a"}}},
            {"name": "B", "valueFrom": {"configMapKeyRef": {"name": "two", "key": "b"}}},
            {"name": "C", "value": "c"},
        ],
        envFrom=[{"secretRef": {"name": "three"}}, {"configMapRef": {"name": "four"}}],
    )
    raw["spec"]["volumes"] = [
        {"name": "five", "secret": {"secretName": "five"}},
        {"name": "six", "configMap": {"name": "six"}},
        {"name": "tmp", "emptyDir": {}},
        {"name": "odd", "hostPath": {"path": "/"}},
    ]
    assert references(raw) == {
        *(("Secret", name) for name in ("one", "three", "five")),
        *(("ConfigMap", name) for name in ("two", "four", "six")),
    }
