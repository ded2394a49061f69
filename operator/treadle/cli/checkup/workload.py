"""The namespace, its pods and its objects."""

from collections.abc import Mapping
from datetime import datetime

from treadle.cli.checkup.facts import Facts
from treadle.cli.checkup.finding import Told, bad, good, look
from treadle.cli.cluster import Object
from treadle.cli.estate import condition, is_true, name_of, status_of
from treadle.control.jobs import IMAGE_TROUBLE

PENDING_SECONDS = 60.0
LEVEL = "pod-security.kubernetes.io/enforce"


def security(facts: Facts) -> Told:
    """Judge the pod-security level that is enforced; pods of Treadle meet the strictest."""
    if refusal := facts.unread.get("space"):
        yield look(f"the namespace cannot be seen: {refusal}")
        return
    if facts.space is None:
        yield bad(f"there is no namespace {facts.namespace}", f"kubectl create namespace {facts.namespace}")
        return
    level = (facts.space["metadata"].get("labels") or {}).get(LEVEL)
    yield good(
        f"{level} is enforced; pods of Treadle meet restricted"
        if level
        else "pods of Treadle meet restricted; none is enforced"
    )


def pods(facts: Facts) -> Told:
    """Judge pods that do not come to run: no node takes them, or no image comes."""
    found = [told for pod in facts.estate.pods for told in stuck(pod, facts)]
    unread = [text for text in facts.estate.unread if " pods " in f"{text} "]
    yield from found or [
        look(f"they cannot be seen: {unread[0]}") if unread else good(f"none of {len(facts.estate.pods)} waits")
    ]


def stuck(pod: Object, facts: Facts) -> Told:
    """Yield what keeps a pod from running."""
    status, name = status_of(pod), name_of(pod)
    describe = f"kubectl -n {facts.namespace} describe pod {name}"
    for container in (*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])):
        waiting = (container.get("state") or {}).get("waiting") or {}
        if waiting.get("reason") in IMAGE_TROUBLE:
            yield bad(
                f"{name} gets no image {container.get('image', '')} ({waiting['reason']}): {one_line(waiting)}",
                describe,
            )
            return
        if waiting.get("reason") == "CrashLoopBackOff":
            yield bad(
                f"{name} crashed {container.get('restartCount', 0)} times",
                f"kubectl -n {facts.namespace} logs {name} --previous",
            )
            return
    since = datetime.fromisoformat(pod["metadata"]["creationTimestamp"])
    if status.get("phase") != "Pending" or (facts.now - since).total_seconds() < PENDING_SECONDS:
        return
    unplaced = condition(pod, "PodScheduled")
    why = f"no node takes it: {one_line(unplaced)}" if unplaced.get("status") == "False" else "and it does not say why"
    yield bad(f"{name} waits for {(facts.now - since).total_seconds():.0f} s, {why}", describe)


def one_line(told: Mapping[str, str]) -> str:
    """Return a message as one line of at most 160 characters."""
    text = " ".join((told.get("message") or "no message").split())
    return text if len(text) <= 160 else text[:159] + "…"


def objects(facts: Facts) -> Told:
    """Judge whether an object of the namespace needs a person."""
    if refusal := facts.unread.get("objects"):
        yield look(f"they cannot be read: {refusal}")
        return
    estate = facts.estate
    every = (*estate.sources, *estate.runs, *estate.deployments, *estate.monitors)
    stalled = [each for each in every if is_true(each, "Stalled")]
    for each in stalled:
        name = f"{each['kind']} {name_of(each)}"
        yield look(
            f"{name} is stalled: {condition(each, 'Stalled').get('reason')}",
            f"kubectl treadle why {each['kind']}/{name_of(each)} -n {facts.namespace}",
        )
    if not stalled:
        yield good(f"none of {len(every)} is stalled")
