"""What keeps a Job or a server from its end: what its pods say, and what refuses to make them."""

from collections.abc import Callable, Iterator

from treadle.cli.causes.link import BAD, GOOD, LOOK, Link, Scene, Target, bare, lasted, setting
from treadle.cli.causes.refusals import advice
from treadle.cli.cluster import Object
from treadle.cli.estate import name_of, status_of

NEEDS_IMAGE = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError"}
)
"""The reasons by which kubelet says that it has no image (k8s.io/kubernetes/pkg/kubelet/images/types.go)."""
NEEDS_CONFIG = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})
SETTING_UP = ("FailedMount", "FailedAttachVolume", "FailedCreatePodSandBox")
REFUSED = ("FailedCreate",)
HINDRANCES = ("FailedScheduling", *SETTING_UP, "Failed", "FailedToRetrieveImagePullSecret")
"""Events that say why a pod did not come to run."""
WAITS_SECONDS = 30.0
"""A controller makes its pod within seconds."""

MEMORY, CPU = "pod.resources.limits.memory", "pod.resources.requests"


# Jobs.


def of_job(scene: Scene, owner: Object, name: str | None) -> tuple[Link, ...]:
    """Return what keeps a Job from its end, as a link or two; nothing where it says no more than its owner."""
    if name is None:
        return ()
    if (job := scene.job(name)) is None:
        return _of_pods(scene, owner, name)
    ended = _late(scene, owner, job) or _held(scene, owner, job)
    return ended or _of_pods(scene, owner, name) or _refused(scene, owner, job)


def over(job: Object) -> Object:
    """Return the condition by which a Job is complete or failed; an empty one is none."""
    found: list[Object] = status_of(job).get("conditions") or []
    return next((each for each in found if each["type"] in ("Complete", "Failed") and each["status"] == "True"), {})


def _late(scene: Scene, owner: Object, job: Object) -> tuple[Link, ...]:
    """Return what it spent its time with: its pods are deleted when it is over, and events are what is left."""
    if over(job).get("reason") != "DeadlineExceeded":
        return ()
    name = name_of(job)
    events = [*scene.warnings("Pod", f"{name}-", is_prefix=True), *scene.warnings("Job", name)]
    event = next((each for each in events if each.get("reason") in (*HINDRANCES, *REFUSED)), None)
    if event is None:
        return ()
    link = _of_event(scene, owner, event)
    return (Link("Job", name, "DeadlineExceeded", "its time was over before a pod ran"), link)


def _held(scene: Scene, owner: Object, job: Object) -> tuple[Link, ...]:
    """Return that somebody else than the owner holds it."""
    if over(job) or not (job.get("spec") or {}).get("suspend") or owner["spec"].get("suspend"):
        return ()
    do = (
        f"see who suspends it: kubectl -n {scene.estate.namespace} get job {name_of(job)} -o yaml --show-managed-fields"
    )
    return (Link("Job", name_of(job), "Suspended", "spec.suspend is true", mark=LOOK, do=do, page="Suspended"),)


def _of_pods(scene: Scene, owner: Object, job: str) -> tuple[Link, ...]:
    pods = scene.pods_of(job)
    if not pods:
        return ()
    newest = of_pod(scene, owner, pods[0])
    if newest is not None and newest.mark != GOOD:
        return (newest,)
    ended = next((link for pod in pods[1:] if (link := of_pod(scene, owner, pod)) and link.mark != GOOD), None)
    if newest is None or ended is None:
        return (newest,) if newest is not None else ()
    before = f"{newest.message}; pod {ended.name} before it: {ended.says}"
    return (Link(newest.kind, newest.name, newest.reason, before),)


def _refused(scene: Scene, owner: Object, job: Object) -> tuple[Link, ...]:
    """Return by which words the server refuses its pod."""
    event = next((each for each in scene.warnings("Job", name_of(job)) if each.get("reason") in REFUSED), None)
    return (_of_event(scene, owner, event),) if event is not None and not over(job) else ()


# Servers.


def of_servers(scene: Scene, deployment: Object) -> tuple[Link, ...]:
    """Return what keeps the pods of a ModelDeployment from answering; nothing where they only take their time."""
    pods = [pod for pod in scene.servers_of(deployment) if not is_ready(pod)]
    links = [link for pod in pods if (link := of_pod(scene, deployment, pod)) is not None and link.mark != GOOD]
    if links:
        return (next((link for link in links if link.mark == BAD), links[0]),)
    workload = scene.workload_of(deployment)
    return tuple(_unmade(scene, deployment, workload)) if workload is not None else ()


def _unmade(scene: Scene, deployment: Object, workload: Object) -> Iterator[Link]:
    """Yield why a Deployment makes no pod: its condition, else the events of its ReplicaSets."""
    name = name_of(workload)
    for found in status_of(workload).get("conditions") or []:
        if found.get("type") == "ReplicaFailure" and found.get("status") == "True":
            yield _refusal(scene, deployment, ("Deployment", name), found)
            return
    events = scene.warnings("ReplicaSet", f"{name}-", is_prefix=True)
    if events and events[0].get("reason") in REFUSED and not scene.servers_of(deployment):
        yield _of_event(scene, deployment, events[0])


def is_ready(pod: Object) -> bool:
    """Say whether a pod may be sent requests."""
    found: list[Object] = status_of(pod).get("conditions") or []
    return any(each["type"] == "Ready" and each["status"] == "True" for each in found)


# Pods.


def of_pod(scene: Scene, owner: Object, pod: Object) -> Link | None:
    """Return what a pod says of itself; None where there is nothing to say."""
    return next((link for rule in RULES if (link := rule(scene, owner, pod)) is not None), None)


def _stuck(scene: Scene, owner: Object, pod: Object) -> Link | None:
    """Return that it goes and does not come to go: its node does not answer, or something holds it."""
    asked = pod["metadata"].get("deletionTimestamp")
    grace = float(pod["metadata"].get("deletionGracePeriodSeconds") or 0)
    if asked is None or scene.since(asked) < grace + WAITS_SECONDS:
        return None
    node = (pod.get("spec") or {}).get("nodeName", "")
    message = f"is to go since {asked} and is still there; node {node or 'unknown'}"
    return _link(pod, "Terminating", message, do=f"look at the node: kubectl get node {node}", mark=LOOK)


def _evicted(scene: Scene, owner: Object, pod: Object) -> Link | None:
    """Return why a node or the scheduler put it out."""
    status = status_of(pod)
    conditions: list[Object] = status.get("conditions") or []
    is_disrupted = [each for each in conditions if (each["type"], each["status"]) == ("DisruptionTarget", "True")]
    disrupted = is_disrupted[0] if is_disrupted else {}
    reason = status.get("reason") or disrupted.get("reason")
    if status.get("phase") != "Failed" or not reason:
        return None
    message = bare(status.get("message") or disrupted.get("message"))
    lack = f"raise {setting(scene.estate, owner, CPU)}, or give the node more room"
    do = lack if "low on resource" in message else "give the node more room; a new pod is made by itself"
    return _link(pod, reason, message, do=do)


def _unscheduled(scene: Scene, owner: Object, pod: Object) -> Link | None:
    for found in status_of(pod).get("conditions") or []:
        if found["type"] != "PodScheduled" or found["status"] != "False":
            continue
        if found.get("reason") == "SchedulingGated":
            message = found.get("message") or "a scheduling gate is set"
            return _link(pod, "SchedulingGated", message, do="see who set spec.schedulingGates", mark=LOOK)
        do = f"lower {setting(scene.estate, owner, CPU)}, or add capacity; or correct nodeSelector and tolerations"
        return _link(pod, found.get("reason", ""), found.get("message", ""), do=do, page="Unschedulable")
    return None


def _waiting(scene: Scene, owner: Object, pod: Object) -> Link | None:
    """Return what a container waits for."""
    for container, state in _states(pod):
        waiting = state.get("waiting") or {}
        reason, message = waiting.get("reason", ""), waiting.get("message", "")
        if reason in NEEDS_IMAGE:
            return _unpulled(scene, pod, reason, container.get("image", ""), message)
        if reason in NEEDS_CONFIG:
            return _link(pod, reason, message, do="create what the message names, or correct the reference to it")
    return None


def _unpulled(scene: Scene, pod: Object, reason: str, image: str, message: str) -> Link:
    events = scene.warnings("Pod", name_of(pod))
    secrets = [str(each.get("message")) for each in events if each["reason"] == "FailedToRetrieveImagePullSecret"]
    told = "; ".join(filter(None, (f"image {image}", message, *secrets[:1])))
    pull = ", and create the pull secret named" if secrets else ", or its pull secret"
    do = f"correct registry or tag of the image{pull}"
    return _link(pod, reason, told, do=do, page="ImagePullFailed")


def _ended(scene: Scene, owner: Object, pod: Object) -> Link | None:
    """Return how its container ended without doing its work, now or before it was started again."""
    for container, state in _states(pod):
        former = container.get("lastState") or {}
        end = state.get("terminated") or ({} if container.get("ready") else former.get("terminated")) or {}
        if not end or end.get("exitCode") == 0:
            continue
        return _end(scene, owner, pod, container, end)
    return None


def _end(scene: Scene, owner: Object, pod: Object, container: Object, end: Object) -> Link:
    code, name = end.get("exitCode"), name_of(pod)
    waiting = ((container.get("state") or {}).get("waiting") or {}).get("reason", "")
    times = f", started again {container['restartCount']} times" if container.get("restartCount") else ""
    if end.get("reason") == "OOMKilled":
        limit = _limit(pod, container)
        do = f"raise {setting(scene.estate, owner, MEMORY)} above {limit}"
        return _link(pod, "OOMKilled", f"exit {code}, memory limit {limit}{times}", do=do, page="OutOfMemory")
    flag = " --previous" if waiting else ""
    do = f"read its log: kubectl -n {scene.estate.namespace} logs {name}{flag}"
    page = "NoReadyPods" if owner["kind"] == "ModelDeployment" else "ResultMissing"
    return _link(pod, waiting or end.get("reason", "Error"), f"exit {code}{times}", do=do, page=page)


def _setting_up(scene: Scene, owner: Object, pod: Object) -> Link | None:
    """Return what keeps kubelet from starting its container: a volume, the network."""
    if status_of(pod).get("phase") != "Pending":
        return None
    events = scene.warnings("Pod", name_of(pod))
    found = next((each for each in events if each.get("reason") in (*SETTING_UP, "FailedScheduling")), None)
    return _of_event(scene, owner, found) if found is not None else None


def _under_way(scene: Scene, owner: Object, pod: Object) -> Link | None:
    """Return that it runs, and how far it is."""
    status = status_of(pod)
    if status.get("phase") != "Running" or owner["kind"] == "ModelDeployment":
        return None
    told = scene.estate.progress.get(name_of(pod)) or {}
    far = f", {told['percentage']} % ({told.get('stage', 'no stage')})" if "percentage" in told else ""
    started = status.get("startTime") or pod["metadata"].get("creationTimestamp")
    return _link(pod, "Running", f"for {lasted(scene.since(started))}{far}", do="", mark=GOOD)


RULES: tuple[Callable[[Scene, Object, Object], Link | None], ...] = (
    _stuck,
    _evicted,
    _unscheduled,
    _waiting,
    _ended,
    _setting_up,
    _under_way,
)


def _states(pod: Object) -> Iterator[tuple[Object, Object]]:
    """Yield each container's status with its state."""
    status = status_of(pod)
    for container in (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())):
        yield container, container.get("state") or {}


def _limit(pod: Object, status: Object) -> str:
    for container in (pod.get("spec") or {}).get("containers") or []:
        if container.get("name") == status.get("name"):
            return str(((container.get("resources") or {}).get("limits") or {}).get("memory", "the node's memory"))
    return "the node's memory"


# Events.


def _of_event(scene: Scene, owner: Object, event: Object) -> Link:
    about = event["involvedObject"]
    return _refusal(scene, owner, (about["kind"], about["name"]), event)


def _refusal(scene: Scene, owner: Object, about: Target, said: Object) -> Link:
    """Return what an event, or a Deployment's condition, says of a pod that cannot be made or started."""
    (kind, name), reason = about, said.get("reason", "")
    told = str(said.get("message", "")).removeprefix("Error creating: ")
    describe = f"kubectl -n {scene.estate.namespace} describe {kind.lower()} {name}"
    do, page = {
        "FailedScheduling": (f"lower {setting(scene.estate, owner, CPU)}, or add capacity", "Unschedulable"),
        "Failed": ("correct registry, tag or pull secret of the image", "ImagePullFailed"),
        "FailedMount": ("create what the message names, or correct the reference to it", ""),
        "FailedAttachVolume": ("look at the node and its storage", ""),
        "FailedCreatePodSandBox": ("look at the node's network", ""),
    }.get(reason, (advice(scene, owner, told) or f"mend what it names; see {describe}", "PodQuotaExceeded"))
    return Link(kind, name, reason, told, mark=BAD, do=do, page=page)


def _link(pod: Object, reason: str, message: str, *, do: str, page: str = "", mark: str = BAD) -> Link:
    return Link("Pod", name_of(pod), reason, " ".join(message.split()), mark=mark, do=do, page=page)
