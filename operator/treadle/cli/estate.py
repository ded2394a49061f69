"""A namespace as it was read at one time, and what in it belongs to one model."""

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from treadle.api.names import LABEL_KIND, LABEL_MANAGED_BY, LABEL_NAME, LABEL_ROLE, MANAGER
from treadle.cli.cluster import Answer, Cluster, Object, asked, core, ours

PROGRESS_PORT = 8081
PROGRESS_WITHIN_SECONDS = 2.0
PROGRESS_ASKED = 16
WATCHED_SECONDS = 300
WATCH_AGAIN_SECONDS = 1.0
STEPS = ("ingest", "train", "monitor")
"""Roles of pods that say how far they are."""
CHILDREN = {"labelSelector": f"{LABEL_MANAGED_BY}={MANAGER}"}
CHILDREN_PARTS = ("jobs", "pods", "workloads", "services")


@dataclass(frozen=True, slots=True)
class Estate:
    """The objects of a namespace: the four kinds and their children, each in the order of its name."""

    namespace: str
    sources: tuple[Object, ...] = ()
    runs: tuple[Object, ...] = ()
    deployments: tuple[Object, ...] = ()
    monitors: tuple[Object, ...] = ()
    jobs: tuple[Object, ...] = ()
    pods: tuple[Object, ...] = ()
    workloads: tuple[Object, ...] = ()
    """The Deployments of the serving pods."""
    services: tuple[Object, ...] = ()
    events: tuple[Object, ...] = ()
    progress: Mapping[str, Object] = field(default_factory=dict)
    """By name of a pod: how far its step is, as the pod told."""
    unread: tuple[str, ...] = ()
    """What could not be read for want of rights, for example "no right to list pods in demo"."""

    def find(self, kind: str, name: str) -> Object | None:
        """Return one of the four kinds by its name."""
        found = {
            "DataSource": self.sources,
            "TrainingJob": self.runs,
            "ModelDeployment": self.deployments,
            "Monitor": self.monitors,
        }[kind]
        return next((each for each in found if name_of(each) == name), None)

    def pods_of(self, owner: Object) -> tuple[Object, ...]:
        """Return the pods of an object of ours, its Jobs' and its servers', oldest first."""
        found = [pod for pod in self.pods if is_of(pod, owner)]
        return tuple(sorted(found, key=lambda pod: str(pod["metadata"].get("creationTimestamp"))))

    def pod_of(self, job_name: str) -> Object | None:
        """Return the newest pod of a Job."""
        made = [pod for pod in self.pods if any(each.get("name") == job_name for each in owners_of(pod))]
        return max(made, key=lambda pod: str(pod["metadata"].get("creationTimestamp")), default=None)


@dataclass(frozen=True, slots=True)
class Model:
    """What belongs together: a ModelDeployment with its runs, sources and Monitors, or what waits for one."""

    name: str
    deployment: Object | None = None
    runs: tuple[Object, ...] = ()
    """Newest first."""
    sources: tuple[Object, ...] = ()
    missing_sources: tuple[str, ...] = ()
    """Names that are referred to and do not exist."""
    monitors: tuple[Object, ...] = ()

    @property
    def objects(self) -> tuple[Object, ...]:
        """Return everything that it has, in the order of the loop."""
        served = (self.deployment,) if self.deployment is not None else ()
        return (*self.sources, *self.runs, *served, *self.monitors)


def read(cluster: Cluster, namespace: str, *, without: Collection[str] = ()) -> Estate:
    """Read a namespace; what the user has no right to is named in `unread`, and an Answer where that is everything.

    without: parts that are not wanted, by their field.
    """
    from concurrent.futures import ThreadPoolExecutor

    wanted = {part: path for part, path in paths(namespace).items() if part not in without}
    with ThreadPoolExecutor(len(wanted)) as pool:
        found = dict(zip(wanted, pool.map(lambda part: _list(cluster, part, wanted[part]), wanted), strict=True))
        refused = {part: answer for part, answer in found.items() if isinstance(answer, Answer)}
        if all(part in refused for part in ("sources", "runs", "deployments", "monitors")):
            raise refused["sources"]
        parts = {part: answer for part, answer in found.items() if not isinstance(answer, Answer)}
        running = [pod for pod in parts.get("pods", ()) if tells_progress(pod)]
        newest = sorted(running, key=lambda pod: str(pod["metadata"].get("creationTimestamp")))[-PROGRESS_ASKED:]
        told = dict(zip(map(name_of, newest), pool.map(lambda pod: _progress(cluster, pod), newest), strict=True))
    unread = [lacking(wanted[part]) for part in refused]
    if any(isinstance(answer, Answer) for answer in told.values()):
        unread.append(f"no right to get pods/proxy in {namespace}, which tells how far a step is")
    progress = {name: answer for name, answer in told.items() if answer is not None and not isinstance(answer, Answer)}
    return Estate(namespace, progress=progress, unread=tuple(unread), **parts)


@contextmanager
def watching(
    cluster: Cluster, namespace: str, told: Callable[[], None], *, without: Collection[str] = ()
) -> Iterator[None]:
    """Call `told` from other threads whenever something may have changed, until the block ends."""
    import threading

    over = threading.Event()

    def heard(part: str, path: str) -> None:
        query = (CHILDREN if part in CHILDREN_PARTS else {}) | {"timeoutSeconds": str(WATCHED_SECONDS)}
        while not over.is_set():
            try:
                for _ in cluster.watch(path, **query):
                    told()
            except Answer as answer:
                if answer.status == 403:
                    return
                # Whoever reads next is told what is wrong, if it still is.
                told()
                over.wait(WATCH_AGAIN_SECONDS)

    for part, path in paths(namespace).items():
        if part not in without:
            threading.Thread(target=heard, args=(part, path), daemon=True).start()
    try:
        yield
    finally:
        over.set()


def paths(namespace: str) -> dict[str, str]:
    """Return what is listed for each part of an Estate."""
    return {
        "sources": ours("DataSource", namespace),
        "runs": ours("TrainingJob", namespace),
        "deployments": ours("ModelDeployment", namespace),
        "monitors": ours("Monitor", namespace),
        "jobs": f"/apis/batch/v1/namespaces/{namespace}/jobs",
        "pods": core("pods", namespace),
        "workloads": f"/apis/apps/v1/namespaces/{namespace}/deployments",
        "services": core("services", namespace),
        "events": core("events", namespace),
    }


def lacking(path: str) -> str:
    """Return the right that listing a path needs, as something that is missing."""
    verb, resource, namespace, _ = asked("GET", path)
    return f"no right to {verb} {resource} in {namespace}"


def tells_progress(pod: Object) -> bool:
    """Say whether a pod can be asked how far it is."""
    is_step = (pod["metadata"].get("labels") or {}).get(LABEL_ROLE) in STEPS
    return is_step and status_of(pod).get("phase") == "Running"


def _list(cluster: Cluster, part: str, path: str) -> tuple[Object, ...] | Answer:
    try:
        found = cluster.items(path, **(CHILDREN if part in CHILDREN_PARTS else {}))
    except Answer as answer:
        if answer.status == 403:
            return answer
        raise
    return tuple(sorted(found, key=name_of))


def _progress(cluster: Cluster, pod: Object) -> Object | Answer | None:
    """Ask a pod how far its step is; one that does not answer, such as one that has just ended, has told nothing."""
    path = f"{core('pods', pod['metadata']['namespace'], name_of(pod))}:{PROGRESS_PORT}/proxy/progress"
    try:
        status, _, body = cluster.send("GET", path, seconds=PROGRESS_WITHIN_SECONDS)
        told = json.loads(body) if status == 200 else None
    except (Answer, ValueError):
        return None
    if status == 403:
        return Answer("no right to get pods/proxy", status=403)
    return told if isinstance(told, dict) else None


# What belongs together.


def models(estate: Estate) -> list[Model]:
    """Return every model, by name: the ModelDeployments, then what waits for one, then sources that nothing uses."""
    found = [_deployed(estate, deployment) for deployment in estate.deployments]
    served = {each["spec"]["modelName"] for each in estate.deployments}
    watched = {name_of(each) for each in estate.deployments}
    waiting = {run["spec"]["modelName"] for run in estate.runs} - served
    waiting |= {each["spec"]["targetRef"]["name"] for each in estate.monitors} - watched
    found += [_undeployed(estate, name) for name in sorted(waiting)]
    used = {name_of(source) for model in found for source in model.sources}
    found += [Model(name_of(source), sources=(source,)) for source in estate.sources if name_of(source) not in used]
    return found


def model_of(estate: Estate, kind: str, name: str) -> Model | None:
    """Return the model that an object belongs to; a name without an object may still be a family's."""
    found = models(estate)
    for model in found:
        if any(each["kind"] == kind and name_of(each) == name for each in model.objects):
            return model
    families = [model for model in found if model.name == name or family(model) == name]
    return families[0] if kind == "ModelDeployment" and families else None


def family(model: Model) -> str:
    """Return the name of the model's versions."""
    return str(model.deployment["spec"]["modelName"]) if model.deployment is not None else model.name


def _deployed(estate: Estate, deployment: Object) -> Model:
    spec = deployment["spec"]
    runs = _runs(estate, spec["modelName"])
    template = ((spec.get("training") or {}).get("template") or {}).get("spec") or {}
    referring = [*([template] if template else []), *(run["spec"] for run in runs)]
    return _model(estate, name_of(deployment), deployment, runs, referring)


def _undeployed(estate: Estate, name: str) -> Model:
    runs = _runs(estate, name)
    return _model(estate, name, None, runs, [run["spec"] for run in runs])


def _model(
    estate: Estate, name: str, deployment: Object | None, runs: Sequence[Object], referring: Sequence[Object]
) -> Model:
    names = list(dict.fromkeys(spec["dataRef"]["name"] for spec in referring))
    sources = {each: estate.find("DataSource", each) for each in names}
    return Model(
        name,
        deployment,
        tuple(runs),
        tuple(found for found in sources.values() if found is not None),
        tuple(each for each, found in sources.items() if found is None),
        tuple(each for each in estate.monitors if each["spec"]["targetRef"]["name"] == name),
    )


def _runs(estate: Estate, model_name: str) -> tuple[Object, ...]:
    found = [run for run in estate.runs if run["spec"]["modelName"] == model_name]
    return tuple(sorted(found, key=_age, reverse=True))


def _age(run: Object) -> tuple[str, str]:
    return str(run["metadata"].get("creationTimestamp", "")), name_of(run)


# How an object is read.


def name_of(thing: Object) -> str:
    """Return an object's name."""
    return str(thing["metadata"]["name"])


def status_of(thing: Object) -> Object:
    """Return an object's status, empty before the first was written."""
    found: Object = thing.get("status") or {}
    return found


def condition(thing: Object, type_: str) -> Object:
    """Return a condition of an object; an empty one is none."""
    return next((found for found in conditions(thing) if found.get("type") == type_), {})


def conditions(thing: Object) -> Iterator[Object]:
    """Yield the conditions of an object."""
    yield from status_of(thing).get("conditions") or ()


def is_true(thing: Object, type_: str) -> bool:
    """Say whether a condition is True."""
    return condition(thing, type_).get("status") == "True"


def owners_of(thing: Object) -> list[Object]:
    """Return an object's owner references."""
    found: list[Object] = thing["metadata"].get("ownerReferences") or []
    return found


def is_of(child: Object, owner: Object) -> bool:
    """Say whether a child carries the labels of an object of ours."""
    labels = child["metadata"].get("labels") or {}
    return labels.get(LABEL_KIND) == owner["kind"] and labels.get(LABEL_NAME) == name_of(owner)
