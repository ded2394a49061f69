"""What is due to a pod's containers, and what its status says, as kubelet does and says it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from treadle.api.base import stamp
from treadle.local.kubelet.lifecycle import Container, Due, End, due
from treadle.local.kubelet.podstatus import TERMINATED, lost, qos_class, status
from treadle.local.told import Told

type Object = dict[str, Any]

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ADDRESSES = ("127.84.0.2", "127.84.0.1")


def at(seconds: float) -> datetime:
    """Return a moment so long from now."""
    return NOW + timedelta(seconds=seconds)


def pod(policy: str = "Always", *, inits: tuple[str, ...] = (), **spec: Any) -> Object:
    """Return a pod with one container, and init containers of these names, that started ten seconds ago."""
    every = {"initContainers": [{"name": name} for name in inits]} if inits else {}
    return {
        "metadata": {"name": "p", "namespace": "demo", "uid": "u"},
        "spec": {"restartPolicy": policy, "containers": [{"name": "main", "image": "i"}], **every, **spec},
        "status": {"startTime": stamp(at(-10))},
    }


FRESH = Container()
RUNS = Container(running_since=at(-5), is_started=True, is_ready=True)


def ended(code: int, *, ran: float = 5, crashes: int = 0) -> Container:
    """Return a container that ended now with this code."""
    end = End(code, "Completed" if code == 0 else "Error", "", at(-ran), NOW)
    return Container(end=end, crashes=crashes, restarts=crashes)


MAIN, FIRST, SECOND = "main", "first", "second"

# (the pod, its containers, what is due)
DUE: dict[str, tuple[Object, dict[str, Container], Due]] = {
    "a new pod starts": (pod(), {MAIN: FRESH}, Due(start=(MAIN,))),
    "a running one goes on": (pod(), {MAIN: RUNS}, Due()),
    "init containers go first, one at a time": (
        pod(inits=(FIRST, SECOND)),
        {FIRST: FRESH, SECOND: FRESH, MAIN: FRESH},
        Due(start=(FIRST,)),
    ),
    "the next when one succeeded": (
        pod(inits=(FIRST, SECOND)),
        {FIRST: ended(0), SECOND: FRESH, MAIN: FRESH},
        Due(start=(SECOND,)),
    ),
    "the container when all have": (pod(inits=(FIRST,)), {FIRST: ended(0), MAIN: FRESH}, Due(start=(MAIN,))),
    "an init container that failed is the end where nothing restarts": (
        pod("Never", inits=(FIRST,)),
        {FIRST: ended(1), MAIN: FRESH},
        Due(is_over=True),
    ),
    "and is tried again elsewhere": (pod(inits=(FIRST,)), {FIRST: ended(1), MAIN: FRESH}, Due(start=(FIRST,))),
    "what succeeded is over": (pod("Never"), {MAIN: ended(0)}, Due(is_over=True)),
    "what failed is over": (pod("Never"), {MAIN: ended(1)}, Due(is_over=True)),
    "what succeeded is over where only failures restart": (pod("OnFailure"), {MAIN: ended(0)}, Due(is_over=True)),
    "what failed restarts there": (pod("OnFailure"), {MAIN: ended(1)}, Due(start=(MAIN,))),
    "what succeeded restarts where everything does": (pod(), {MAIN: ended(0)}, Due(start=(MAIN,))),
    "the second restart waits for 10 s": (pod(), {MAIN: ended(1, crashes=1)}, Due(at=at(10))),
    "the third for 20 s": (pod(), {MAIN: ended(1, crashes=2)}, Due(at=at(20))),
    "none for more than 300 s": (pod(), {MAIN: ended(1, crashes=50)}, Due(at=at(300))),
    "what ran for ten minutes is no crash loop": (pod(), {MAIN: ended(1, ran=600, crashes=9)}, Due(start=(MAIN,))),
    "a deadline is looked for": (pod(activeDeadlineSeconds=30), {MAIN: RUNS}, Due(at=at(20))),
    "and is the end of the whole pod": (
        pod(activeDeadlineSeconds=10),
        {MAIN: RUNS},
        Due(verdict=Told("DeadlineExceeded", "Pod was active on the node longer than the specified deadline")),
    ),
}


@pytest.mark.parametrize(("raw", "containers", "wanted"), DUE.values(), ids=DUE.keys())
def test_what_is_due(raw: Object, containers: dict[str, Container], wanted: Due) -> None:
    assert due(raw, containers, NOW) == wanted


ENDING = {"runs": (RUNS, False), "has ended": (ended(143), True), "has never run": (FRESH, True)}


@pytest.mark.parametrize(("container", "is_over"), ENDING.values(), ids=ENDING.keys())
def test_a_pod_that_ends_starts_nothing(container: Container, is_over: bool) -> None:
    assert due(pod(), {MAIN: container}, NOW, is_ending=True) == Due(is_over=is_over)


CRASHES = {
    "the first restart": (ended(1), (1, 1)),
    "the next": (ended(1, crashes=3), (4, 4)),
    "after ten good minutes": (ended(1, ran=700, crashes=3), (4, 0)),
}


@pytest.mark.parametrize(("container", "counts"), CRASHES.values(), ids=CRASHES.keys())
def test_a_restart_counts(container: Container, counts: tuple[int, int]) -> None:
    again = container.began(NOW)
    assert (again.restarts, again.crashes) == counts and again.is_running


WAITS = replace(FRESH, hindrance=Told("ErrImagePull", "no image"))

# (the pod, its containers, whether it ends, phase, whether it is ready, state of the container)
STATUS: dict[str, tuple[Object, dict[str, Container], bool, tuple[str, bool, str]]] = {
    "a new pod": (pod(), {MAIN: FRESH}, False, ("Pending", False, "ContainerCreating")),
    "one that initialises": (
        pod(inits=(FIRST,)),
        {FIRST: RUNS, MAIN: FRESH},
        False,
        ("Pending", False, "PodInitializing"),
    ),
    "one that waits for an image": (pod(), {MAIN: WAITS}, False, ("Pending", False, "ErrImagePull")),
    "one that runs": (pod(), {MAIN: RUNS}, False, ("Running", True, "running")),
    "one that is not ready": (pod(), {MAIN: replace(RUNS, is_ready=False)}, False, ("Running", False, "running")),
    "one in a crash loop": (pod(), {MAIN: ended(1, crashes=1)}, False, ("Running", False, "CrashLoopBackOff")),
    "one that succeeded": (pod("Never"), {MAIN: ended(0)}, False, ("Succeeded", False, "Completed")),
    "one that failed": (pod("Never"), {MAIN: ended(1)}, False, ("Failed", False, "Error")),
    "one that failed and tries again": (pod("OnFailure"), {MAIN: ended(1)}, False, ("Running", False, "Error")),
    "one whose init container failed for good": (
        pod("Never", inits=(FIRST,)),
        {FIRST: ended(1), MAIN: FRESH},
        False,
        ("Failed", False, "PodInitializing"),
    ),
    "one that was ended": (pod(), {MAIN: ended(143, crashes=1)}, True, ("Failed", False, "Error")),
    "one that ended well when it was asked to": (pod(), {MAIN: ended(0)}, True, ("Succeeded", False, "Completed")),
    "one that ends and still runs": (pod(), {MAIN: RUNS}, True, ("Running", True, "running")),
}


@pytest.mark.parametrize(("raw", "containers", "is_ending", "wanted"), STATUS.values(), ids=STATUS.keys())
def test_status(raw: Object, containers: dict[str, Container], is_ending: bool, wanted: tuple[str, bool, str]) -> None:
    said = status(raw, containers, ADDRESSES, NOW, is_ending=is_ending)
    ready = {entry["type"]: entry["status"] for entry in said["conditions"]}
    [(kind, state)] = said["containerStatuses"][0]["state"].items()
    assert (said["phase"], ready["Ready"] == "True", state.get("reason", kind)) == wanted
    assert ready["Ready"] == ready["ContainersReady"]


def test_the_times_of_a_status_move_only_with_what_it_says() -> None:
    raw = pod()
    raw["status"] = first = status(raw, {MAIN: RUNS}, ADDRESSES, NOW)
    later = status(raw, {MAIN: RUNS}, ADDRESSES, at(60))
    assert later == first
    changed = status(raw, {MAIN: replace(RUNS, is_ready=False)}, ADDRESSES, at(60))
    times = {entry["type"]: entry["lastTransitionTime"] for entry in changed["conditions"]}
    assert times["Ready"] == stamp(at(60)) and times["Initialized"] == stamp(NOW)


def test_a_crash_loop_tells_how_the_last_run_ended() -> None:
    said = status(pod(), {MAIN: ended(7, crashes=3)}, ADDRESSES, NOW)["containerStatuses"][0]
    assert said["lastState"]["terminated"]["exitCode"] == 7
    message = "back-off 40s restarting failed container=main pod=p_demo(u)"
    assert said["state"]["waiting"]["message"] == message


def test_a_pod_that_goes_with_its_node_is_disrupted() -> None:
    said = status(pod(), {MAIN: ended(143)}, ADDRESSES, NOW, verdict=TERMINATED, is_ending=True)
    assert (said["phase"], said["reason"]) == ("Failed", "Terminated")
    assert [entry["type"] for entry in said["conditions"]][-1] == "DisruptionTarget"


def test_a_pod_of_a_former_node_is_lost() -> None:
    raw = pod(inits=(FIRST,))
    raw["status"] = status(raw, {FIRST: ended(0), MAIN: RUNS}, ADDRESSES, NOW)
    said = lost(raw, at(60))
    conditions = {entry["type"]: (entry["status"], entry["lastTransitionTime"]) for entry in said["conditions"]}
    assert (said["phase"], said["reason"]) == ("Failed", "Terminated")
    assert conditions["DisruptionTarget"] == ("True", stamp(at(60)))
    assert conditions["Ready"] == ("False", stamp(at(60)))
    assert conditions["Initialized"] == ("True", stamp(NOW))
    assert said["initContainerStatuses"] == raw["status"]["initContainerStatuses"]
    assert said["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 137
    assert not said["containerStatuses"][0]["ready"]


BOTH = {"cpu": "1", "memory": "1Gi"}
CLASSES: dict[str, tuple[Object, str]] = {
    "nothing": ({}, "BestEffort"),
    "a limit alone": ({"limits": {"memory": "1Gi"}}, "Burstable"),
    "less requested than allowed": ({"limits": BOTH, "requests": {**BOTH, "cpu": "500m"}}, "Burstable"),
    "limits alone, of both": ({"limits": BOTH}, "Guaranteed"),
    "as much requested as allowed": ({"limits": BOTH, "requests": BOTH}, "Guaranteed"),
}


@pytest.mark.parametrize(("resources", "wanted"), CLASSES.values(), ids=CLASSES.keys())
def test_quality_of_service(resources: Object, wanted: str) -> None:
    assert qos_class({"containers": [{"name": "main", "resources": resources}]}) == wanted
