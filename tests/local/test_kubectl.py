"""kubectl on the API in memory: it prints what it prints on a real API server."""

import json
import shlex
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import yaml

from builders import data_source, model_deployment, monitor, training_job, version
from goldens import same_text
from kubectls import Kubectl, Ran, plain, told, transcript
from treadle.api.names import API_VERSION
from wired import Wired

STUCK_SECONDS = 60.0

type Step = str | tuple[str, Any]
"""A command, or one with what it reads: an object or several, or text."""


def ours(raw: Any, **changes: Any) -> Any:
    """Return an object of ours as a person writes it."""
    metadata = {"name": raw["metadata"]["name"], **changes.pop("metadata", {})}
    return {"apiVersion": API_VERSION, "kind": raw["kind"], "metadata": metadata, "spec": {**raw["spec"], **changes}}


def cm(name: str = "plan", **data: str) -> Any:
    """Return a ConfigMap."""
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data or {"x": "1"}}


def conditions(*told: tuple[str, str, str, str]) -> list[Any]:
    """Return conditions: type, status, reason and message."""
    names = ("type", "status", "reason", "message")
    rest = {"lastTransitionTime": "2026-01-05T08:00:00Z", "observedGeneration": 1}
    return [{**dict(zip(names, each, strict=True)), **rest} for each in told]


SOURCE = ours(data_source())
ALL = [SOURCE, ours(training_job("late-1")), ours(model_deployment()), ours(monitor())]
READY = {
    "status": {
        "observedGeneration": 1,
        "currentVersion": version(),
        "conditions": conditions(("Ready", "True", "Settled", "version dddddddddddd, 10000 rows")),
    }
}
EVENT = {
    "apiVersion": "v1",
    "kind": "Event",
    "metadata": {"name": "flights.1"},
    "involvedObject": {"apiVersion": API_VERSION, "kind": "DataSource", "name": "flights", "namespace": "{namespace}"},
    "reason": "Published",
    "message": "published version dddddddddddd",
    "type": "Normal",
    "source": {"component": "treadle"},
    "firstTimestamp": "2026-01-05T08:00:00Z",
    "lastTimestamp": "2026-01-05T08:00:00Z",
    "count": 1,
}
STATUS = f"patch dsrc flights --subresource=status --type=merge -p '{json.dumps(READY)}'"
DEPLOYMENT = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "server"},
    "spec": {
        "selector": {"matchLabels": {"a": "b"}},
        "template": {
            "metadata": {"labels": {"a": "b"}},
            "spec": {"containers": [{"name": "server", "image": "registry.example/x:1"}]},
        },
    },
}
POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "server-x"},
    "spec": {"containers": [{"name": "server", "image": "registry.example/x:1"}]},
}

ROWS: dict[str, Sequence[Step]] = {
    "nothing yet": ["get treadle", "get dsrc,cm -o name", "get dsrc flights", "get nothings", "delete dsrc flights"],
    "apply, client-side": [
        ("apply -f -", ALL),
        ("apply -f -", ALL),
        ("apply -f -", ours(data_source(), filter="a > 1")),
        ("apply -f - --dry-run=server", ours(data_source(), filter="a > 2")),
        "get dsrc flights -o jsonpath={.spec.filter}",
    ],
    "apply, server-side": [
        ("apply --server-side -f -", ALL),
        ("apply --server-side -f -", ALL),
        ("apply --server-side --field-manager=other -f -", ours(data_source(), filter="a > 1")),
        ("apply --server-side --field-manager=third -f -", ours(data_source(), filter="a > 2")),
        ("apply --server-side --field-manager=third --force-conflicts -f -", ours(data_source(), filter="a > 2")),
        "get dsrc flights -o jsonpath={.spec.filter}",
    ],
    "apply, first client-side then server-side": [
        ("apply -f -", [cm(x="1", y="1"), DEPLOYMENT]),
        ("apply --server-side -f -", [cm(x="1"), DEPLOYMENT]),
        "get cm plan -o jsonpath={.data}",
    ],
    "apply of what is refused": [
        ("apply -f -", ours(data_source(), nothing=1)),
        ("apply -f -", ours(data_source(name="x" * 41))),
        ("apply -f -", {**cm(), "kind": "Nothing"}),
        ("apply --server-side -f -", ours(data_source(), nothing=1)),
        ("create -f -", ours(data_source(), filter="")),
    ],
    "apply of a built-in object": [
        ("apply -f -", DEPLOYMENT),
        ("apply -f -", {**DEPLOYMENT, "spec": {**DEPLOYMENT["spec"], "replicas": 2}}),  # type: ignore[dict-item]
        "get deploy server -o jsonpath={.spec.replicas}",
        "set image deploy/server server=registry.example/x:2",
        "get deploy server -o jsonpath={.spec.template.spec.containers[*].image}",
        "scale deploy server --replicas=3",
        "get deploy server",
        "get deploy server -o wide",
    ],
    "get, as people look": [
        ("create -f -", ALL),
        STATUS,
        "get dsrc",
        "get dsrc -o wide",
        "get dsrc,tj,mdep,mon",
        "get tj,mdep,mon -o wide",
        "get dsrc flights --show-labels",
        "get dsrc -o name",
        "get dsrc flights -o yaml",
        "get dsrc -o jsonpath={.items[*].status.currentVersion.rows}",
        "get dsrc -o custom-columns=NAME:.metadata.name,ROWS:.status.currentVersion.rows",
        "get dsrc --sort-by=.metadata.name --no-headers",
        "get dsrc -o json --show-managed-fields=false",
    ],
    "get, by selectors": [
        ("create -f -", [cm("a"), cm("b")]),
        "label cm a part=one",
        "get cm -l part=one",
        "get cm -l part!=one -o name",
        "get cm --field-selector=metadata.name=b",
        "get cm --field-selector=data.x=1",
        "get cm -L part",
        "get cm a b",
        "get cm a c",
        "get cm --chunk-size=1 -o name",
    ],
    "describe": [
        ("create -f -", [SOURCE, EVENT]),
        STATUS,
        "describe dsrc flights",
        "events --for datasource.treadle.dev/flights",
        "get events",
        "get events -o wide",
    ],
    "describe a built-in object": [("create -f -", [cm(), POD]), "describe cm plan", "describe pod server-x"],
    "patch": [
        ("create -f -", ALL),
        'patch dsrc flights --type=merge -p \'{"spec":{"filter":"a > 1"}}\'',
        'patch dsrc flights --type=merge -p \'{"spec":{"filter":"a > 1"}}\'',
        'patch dsrc flights --type=json -p \'[{"op":"remove","path":"/spec/filter"}]\'',
        'patch dsrc flights -p \'{"spec":{"filter":"a > 1"}}\'',
        'patch dsrc flights --type=merge -p \'{"spec":{"filter":7}}\'',
        'patch mdep flights-late --type=merge -p \'{"spec":{"suspend":true}}\'',
    ],
    "annotate and label": [
        ("create -f -", ALL),
        "annotate mdep flights-late treadle.dev/requested-at=2026-01-05T08:00:00Z",
        "annotate mdep flights-late treadle.dev/requested-at=now",
        "annotate mdep flights-late treadle.dev/requested-at=now --overwrite",
        "annotate mdep flights-late treadle.dev/requested-at-",
        "label mdep --all team=delays",
        "label mdep flights-late team-",
    ],
    "edit": [
        ("create -f -", SOURCE),
        "edit dsrc flights",
        "edit dsrc flights",
        "get dsrc flights -o jsonpath={.spec.suspend}",
    ],
    "diff": [("apply -f -", SOURCE), ("diff -f -", SOURCE), ("diff -f -", ours(data_source(), filter="a > 1"))],
    "replace": [
        ("create -f -", cm()),
        ("replace -f -", cm(x="2")),
        "get cm plan -o jsonpath={.data.x}",
        ("replace -f -", ours(data_source())),
        ("replace --force -f -", cm(x="3")),
    ],
    "delete": [
        ("create -f -", [*ALL, cm("a"), cm("b")]),
        "delete dsrc flights",
        "delete tj --all",
        "delete cm a b --wait=false",
        "delete cm -l none=none",
        "delete mdep,mon --all",
        "get treadle",
    ],
    "wait": [
        ("create -f -", SOURCE),
        STATUS,
        "wait dsrc/flights --for=condition=Ready --timeout=10s",
        "wait dsrc/flights --for=jsonpath={.status.currentVersion.rows}=10000 --timeout=10s",
        "wait dsrc/flights --for=condition=Stalled --timeout=1s",
        "wait dsrc/none --for=condition=Ready --timeout=1s",
    ],
    "explain": [
        "explain tj",
        "explain tj.spec.gate",
        "explain dsrc.spec.schema.columns --recursive",
        "explain mdep.metadata.labels",
        "explain mon.spec.nothing",
    ],
    "create, by words": [
        "create configmap rows --from-literal=a=1 --from-literal=b=2",
        "create secret generic key --from-literal=token=abc",
        "create serviceaccount robot",
        "get cm rows -o jsonpath={.data}",
        "get secret key -o jsonpath={.data.token}",
        "get sa robot -o name",
        "create configmap rows --from-literal=a=1",
    ],
    "scale ours": [
        ("create -f -", ours(model_deployment())),
        "scale mdep flights-late --replicas=3",
        "get mdep flights-late -o jsonpath={.spec.replicas}",
    ],
    "may I": ["auth can-i create dsrc", "auth can-i delete pods"],
    "what there is": [
        "api-resources --categories=treadle",
        "api-resources --api-group=treadle.dev -o name",
        "get crd -o name",
    ],
}
EDITOR = "sed -i s/suspend:.false/suspend:\\ true/"


def given(step: Step, namespace: str) -> tuple[str, str]:
    """Return a command, and what it reads."""
    if isinstance(step, str):
        return step, ""
    command, read = step
    text = yaml.safe_dump_all(read if isinstance(read, list) else [read])
    return command, text.replace("{namespace}", namespace)


def played(row: Sequence[Step], kubectl: Kubectl) -> str:
    """Return the transcript of a row."""
    lines = []
    for step in row:
        command, text = given(step, kubectl.namespace)
        ran = kubectl(*shlex.split(command), given=text, EDITOR=EDITOR)
        lines.append(told(command, ran, kubectl.namespace))
    return transcript(lines)


@pytest.mark.parametrize("name", ROWS)
def test_kubectl_prints_what_it_prints_on_a_real_server(name: str, kubectl: Kubectl, real_kubectl: Kubectl) -> None:
    mine, real = (played(ROWS[name], each) for each in (kubectl, real_kubectl))
    # The API tier's operators on the same server shall find nothing to do.
    real_kubectl("delete", "dsrc,tj,mdep,mon", "--all", "--wait=false")
    assert mine == real
    same_text(f"kubectl/{name.replace(',', '').replace(' ', '-')}.txt", mine)


LOG = "one\ntwo\nthree\n"
LOGS: dict[str, tuple[str, str, int]] = {
    "all": ("logs server-x", LOG, 0),
    "its end": ("logs server-x --tail=2", "two\nthree\n", 0),
    "nothing of it": ("logs server-x --tail=0", "", 0),
    "so many bytes": ("logs server-x --limit-bytes=5", "one\nt", 0),
    "of a container": ("logs server-x -c server", LOG, 0),
    "by label": ("logs -l a=b", LOG, 0),
    "the run before": ("logs server-x -p", "zero\n", 0),
    "of another container": (
        "logs server-x -c other",
        "error: container other is not valid for pod server-x\n",
        1,
    ),
    "of the last minutes, which nobody noted": (
        "logs server-x --since=1m",
        "Error from server (BadRequest): sinceSeconds: logs of local pods hold no times; ask for tailLines\n",
        1,
    ),
    "of a pod that is not there": (
        "logs none",
        'error: error from server (NotFound): pods "none" not found in namespace "<namespace>"\n',
        1,
    ),
}


@pytest.fixture
def logged(kubectl: Kubectl, memory: Wired) -> Kubectl:
    """Return kubectl where a pod runs that has written three lines, and in its run before one."""
    assert memory.logs is not None
    directory = memory.logs / f"{kubectl.namespace}_server-x"
    directory.mkdir()
    (directory / "server.log").write_text(LOG)
    (directory / "server.previous.log").write_text("zero\n")
    labelled = {**POD, "metadata": {"name": "server-x", "labels": {"a": "b"}}}
    assert kubectl("create", "-f", "-", given=yaml.safe_dump(labelled)).code == 0
    set_state(kubectl, {"running": {"startedAt": "2026-01-05T08:00:00Z"}})
    return kubectl


def set_state(kubectl: Kubectl, state: Any) -> None:
    """Write what kubelet would say about the pod's container."""
    told = {"name": "server", "image": "x", "imageID": "", "ready": True, "restartCount": 1, "state": state}
    patch = json.dumps({"status": {"phase": "Running", "containerStatuses": [told]}})
    done = kubectl("patch", "pod", "server-x", "--subresource=status", "--type=merge", "-p", patch)
    assert done.code == 0, done


@pytest.mark.parametrize(("command", "printed", "code"), LOGS.values(), ids=LOGS.keys())
def test_logs(command: str, printed: str, code: int, logged: Kubectl) -> None:
    ran = logged(*shlex.split(command))
    assert (plain(ran.out + ran.err, logged.namespace) if code else ran.out) == printed
    assert ran.code == code


def test_logs_of_a_container_that_waits(kubectl: Kubectl) -> None:
    assert kubectl("create", "-f", "-", given=yaml.safe_dump(POD)).code == 0
    ran = kubectl("logs", "server-x")
    assert ran.err.endswith('container "server" in pod "server-x" is waiting to start: ContainerCreating\n')


def test_logs_follow_until_the_container_ends(logged: Kubectl, memory: Wired) -> None:
    assert memory.logs is not None
    file = memory.logs / f"{logged.namespace}_server-x" / "server.log"
    with started(logged, "logs", "-f", "server-x", "--tail=1") as following:
        assert following.line() == "three"
        with file.open("a") as log:
            log.write("four\n")
        assert following.line() == "four"
        set_state(logged, {"terminated": {"exitCode": 0, "startedAt": None, "finishedAt": None}})
        assert following.process.wait(20) == 0


def test_get_watches(kubectl: Kubectl) -> None:
    assert kubectl("create", "-f", "-", given=yaml.safe_dump(SOURCE)).code == 0
    with started(kubectl, "get", "dsrc", "-w", "--output-watch-events", "-o", "wide") as watching:
        assert watching.line().split()[:3] == ["EVENT", "NAME", "READY"]
        assert watching.line().split()[:2] == ["ADDED", "flights"]
        kubectl(*shlex.split(STATUS))
        assert watching.line().split()[:4] == ["MODIFIED", "flights", "True", "Settled"]
        kubectl("delete", "dsrc", "flights")
        assert watching.line().split()[:2] == ["DELETED", "flights"]


def test_wait_sees_a_condition_and_a_deletion_come(kubectl: Kubectl) -> None:
    assert kubectl("create", "-f", "-", given=yaml.safe_dump(SOURCE)).code == 0
    with started(kubectl, "wait", "dsrc/flights", "--for=condition=Ready", "--timeout=30s") as waiting:
        kubectl(*shlex.split(STATUS))
        assert waiting.process.wait(30) == 0
    with started(kubectl, "wait", "dsrc/flights", "--for=delete", "--timeout=30s") as waiting:
        kubectl("delete", "dsrc", "flights")
        assert waiting.process.wait(30) == 0


def test_a_foreground_deletion_takes_the_children(kubectl: Kubectl) -> None:
    assert kubectl("create", "-f", "-", given=yaml.safe_dump(SOURCE)).code == 0
    uid = kubectl("get", "dsrc", "flights", "-o", "jsonpath={.metadata.uid}").out
    owner = {"apiVersion": API_VERSION, "kind": "DataSource", "name": "flights", "uid": uid, "blockOwnerDeletion": True}
    child = {**cm(), "metadata": {"name": "plan", "ownerReferences": [owner]}}
    assert kubectl("create", "-f", "-", given=yaml.safe_dump(child)).code == 0
    assert kubectl("delete", "dsrc", "flights", "--cascade=foreground", "--timeout=20s").code == 0
    assert kubectl("get", "cm", "plan").code == 1


def test_a_namespace_goes_with_all_that_is_in_it(kubectl: Kubectl) -> None:
    assert kubectl("create", "-f", "-", given=yaml.safe_dump_all([SOURCE, POD, DEPLOYMENT])).code == 0
    assert kubectl("delete", "namespace", kubectl.namespace, "--timeout=20s").code == 0
    assert kubectl("get", "dsrc,pod,deploy", "-o", "name") == Ran(0, "", "")


@dataclass(frozen=True, slots=True)
class Started:
    """A command that runs."""

    process: subprocess.Popen[str]

    def line(self) -> str:
        """Return its next line."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().rstrip("\n")


@contextmanager
def started(kubectl: Kubectl, *arguments: str) -> Iterator[Started]:
    """Run a command while the block does something else; kill it if it is still there, or stands still."""
    process = subprocess.Popen(
        kubectl.command(*arguments), env=kubectl.environment(), stdout=subprocess.PIPE, text=True, bufsize=1
    )
    stuck = threading.Timer(STUCK_SECONDS, process.kill)
    stuck.start()
    try:
        with process:
            yield Started(process)
            process.kill()
    finally:
        stuck.cancel()
        process.kill()
