"""`treadle logs`: what the pods of a model, or of one object, wrote."""

import queue
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

import click

from treadle.api.names import LABEL_KIND, LABEL_MANAGED_BY, LABEL_NAME, LABEL_ROLE, MANAGER
from treadle.cli.cluster import CONNECTION, Answer, Cluster, Object, connected, core, object_of, ours
from treadle.cli.estate import Estate, is_of, model_of, name_of, read, status_of

STYLES = {"ingest": "cyan", "train": "magenta", "monitor": "yellow", "server": "green"}
UNWANTED = ("events", "workloads", "services")
type Said = queue.Queue[tuple[Source, str] | Answer]
"""Whose line it is, and the line; or why there are no more."""


@dataclass(frozen=True, slots=True)
class Source:
    """A container of a pod, and how its lines begin."""

    pod: str
    container: str
    role: str
    head: str


@click.command()
@click.argument("what", metavar="MODEL|KIND/NAME")
@click.option("-f", "--follow", is_flag=True, help="Go on with what is written, and with pods that come, until Ctrl-C.")
@click.option("--tail", type=click.IntRange(0), help="So many lines of each pod. Default: all.")
@click.option("-p", "--previous", is_flag=True, help="Of the containers that ran before the current ones.")
@CONNECTION
def logs(*, what: str, follow: bool, tail: int | None, previous: bool, context: str, namespace: str) -> None:
    """Print what the pods of a model wrote.

    MODEL is the name of a ModelDeployment: all pods of its sources, runs, Monitors and servers. KIND/NAME is one
    object, for example dsrc/flights. Each line begins with the pod's role and the end of its name; a word to standard
    error tells of Jobs whose pods are gone. Needs the rights to list pods and to get pods/log.

    \b
    Example:
      treadle logs tj/flights-late-first --tail 20
    """
    if follow and previous:
        raise click.UsageError("--previous is of containers that have ended; leave out --follow")
    with connected(context, namespace) as cluster:
        estate = read(cluster, cluster.namespace, without=UNWANTED)
        owners = owners_of(estate, what)
        require_pods(estate)
        for line in gone(estate, owners):
            click.echo(line, err=True)
        query = {"tailLines": str(tail)} if tail is not None else {}
        if previous:
            query["previous"] = "true"
        if follow:
            follow_all(cluster, owners, query)
            return
        sources = [source for pod in pods_of(estate, owners) for source in containers(pod)]
        if not sources and not estate.jobs:
            click.echo(f"no pod of {what} is there yet", err=True)
        for source in sources:
            for said in lines(cluster, source, query):
                tell(source, said)


def owners_of(estate: Estate, what: str) -> tuple[Object, ...]:
    """Return the objects whose pods are meant; raise ClickException where there are none."""
    kind, name = object_of(what)
    model = model_of(estate, kind, name)
    found = estate.find(kind, name)
    if "/" in what and found is not None:
        return (found,)
    if model is None or "/" in what:
        raise click.ClickException(f'no model or object "{what}" is in {estate.namespace}; see treadle status')
    return model.objects


def require_pods(estate: Estate) -> None:
    """Raise ClickException where the user may not list pods: an empty answer would say that there are none."""
    missing = next((each for each in estate.unread if each.startswith("no right to list pods")), None)
    if missing is not None:
        raise click.ClickException(missing)


def pods_of(estate: Estate, owners: Sequence[Object]) -> list[Object]:
    """Return the pods of some objects, in the order in which they began."""
    found = [pod for owner in owners for pod in estate.pods_of(owner)]
    return sorted(found, key=lambda pod: (str(pod["metadata"].get("creationTimestamp")), name_of(pod)))


def gone(estate: Estate, owners: Sequence[Object]) -> Iterator[str]:
    """Yield a line for each Job whose pods are there no more, and for each object without any Job."""
    for owner in owners:
        jobs = [job for job in estate.jobs if is_of(job, owner)]
        for job in jobs:
            ends = [each for each in status_of(job).get("conditions") or () if each["status"] == "True"]
            if ends and not any(is_made_by(pod, job) for pod in estate.pods):
                end = ends[-1]
                yield (
                    f"{role_of(job)}: the pods of Job {name_of(job)} ({end['type']} at {end['lastTransitionTime']}) "
                    f"are gone; what came of it stands in {owner['kind']} {name_of(owner)}"
                )
        if not jobs and not estate.pods_of(owner) and owner["kind"] != "ModelDeployment":
            yield f"{owner['kind']} {name_of(owner)}: no Job of it is there (none yet, or removed after its time)"


def is_made_by(pod: Object, job: Object) -> bool:
    """Say whether a pod belongs to a Job."""
    owners = pod["metadata"].get("ownerReferences") or ()
    return any(each.get("uid") == job["metadata"].get("uid") for each in owners)


def role_of(thing: Object) -> str:
    """Return what a pod or Job is for."""
    return str((thing["metadata"].get("labels") or {}).get(LABEL_ROLE, "pod"))


def containers(pod: Object) -> list[Source]:
    """Return the containers of a pod that have written, or may have."""
    named = [str(each["name"]) for each in (pod.get("spec") or {}).get("containers") or ()]
    role, end = role_of(pod), name_of(pod)[-5:]
    only = len(named) == 1
    return [
        Source(name_of(pod), container, role, f"{role}/{end}" if only else f"{role}/{end}/{container}")
        for container in named
    ]


def lines(cluster: Cluster, source: Source, query: dict[str, str]) -> Iterator[str]:
    """Give what a container wrote; one that waits to start, or wrote nothing before, is told in a word."""
    path = f"{core('pods', cluster.namespace, source.pod)}/log"
    try:
        for line in cluster.lines(path, {"container": source.container, **query}):
            yield line.decode(errors="replace").rstrip("\n")
    except Answer as answer:
        if answer.status not in (400, 404):
            raise
        click.echo(f"{source.head}: {answer.message}", err=True)


def tell(source: Source, line: str) -> None:
    """Print a line after whose it is."""
    click.echo(f"{click.style(f'{source.head:<14}', fg=STYLES.get(source.role))} {line}")


def follow_all(cluster: Cluster, owners: Sequence[Object], query: dict[str, str]) -> None:
    """Print what all pods write, those that come later included, until Ctrl-C or an Answer."""
    said: Said = queue.Queue()
    followed = Followed(cluster, owners)
    threading.Thread(target=_find, args=(cluster, followed, query, said), daemon=True).start()
    with suppress(KeyboardInterrupt):
        while True:
            found = said.get()
            if isinstance(found, Answer):
                raise found
            tell(*found)


class Followed:
    """Whose pods are followed; runs that a model gets later are too."""

    def __init__(self, cluster: Cluster, owners: Sequence[Object]) -> None:
        self._cluster = cluster
        self._known = {(str(owner["kind"]), name_of(owner)): True for owner in owners}
        self._families = {owner["spec"]["modelName"] for owner in owners if owner["kind"] == "ModelDeployment"}

    def has(self, pod: Object) -> bool:
        """Say whether a pod is one of them."""
        labels = pod["metadata"].get("labels") or {}
        owner = str(labels.get(LABEL_KIND)), str(labels.get(LABEL_NAME))
        if owner not in self._known:
            self._known[owner] = owner[0] == "TrainingJob" and self._is_of_family(owner[1])
        return self._known[owner]

    def _is_of_family(self, name: str) -> bool:
        if not self._families:
            return False
        run = self._cluster.find(ours("TrainingJob", self._cluster.namespace, name))
        return run is not None and run["spec"]["modelName"] in self._families


def begun(pod: Object) -> list[tuple[tuple[str, ...], Source]]:
    """Return the containers of a pod that have written, or may have, each under a key that a restart changes."""
    uid = str(pod["metadata"].get("uid"))
    restarts = {
        str(each["name"]): str(each.get("restartCount", 0))
        for each in status_of(pod).get("containerStatuses") or ()
        if {"running", "terminated"} & (each.get("state") or {}).keys()
    }
    return [
        ((uid, source.container, restarts[source.container]), source)
        for source in containers(pod)
        if source.container in restarts
    ]


def _find(cluster: Cluster, followed: Followed, query: dict[str, str], said: Said) -> None:
    """Follow each container from when it has begun."""
    path, only = core("pods", cluster.namespace), {"labelSelector": f"{LABEL_MANAGED_BY}={MANAGER}"}
    keys: set[tuple[str, ...]] = set()
    try:
        while True:
            for event, pod in cluster.watch(path, **only):
                if event not in ("ADDED", "MODIFIED") or not followed.has(pod):
                    continue
                fresh = [(key, source) for key, source in begun(pod) if key not in keys]
                keys |= {key for key, _ in fresh}
                for _, source in fresh:
                    threading.Thread(target=_pump, args=(cluster, source, query, said), daemon=True).start()
    except Answer as answer:
        said.put(answer)


def _pump(cluster: Cluster, source: Source, query: dict[str, str], said: Said) -> None:
    try:
        for line in lines(cluster, source, query | {"follow": "true"}):
            said.put((source, line))
    except Answer as answer:
        said.put(answer)
