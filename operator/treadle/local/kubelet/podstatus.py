"""What a pod's status says, from how its containers stand, in kubelet's own words."""

from datetime import datetime
from typing import Any

from treadle.api.base import stamp
from treadle.control.engine.ports import Object
from treadle.local.kubelet.lifecycle import Container, Containers, End, backoff_seconds, names, will_run
from treadle.local.told import Told, dated

EXIT_KILLED = 137
TERMINATED = Told("Terminated", "Pod was terminated in response to imminent node shutdown.")
"""What a real node says that shuts down in good order (k8s.io/kubernetes/pkg/kubelet/nodeshutdown)."""


def status(
    pod: Object,
    containers: Containers,
    addresses: tuple[str, str],
    now: datetime,
    *,
    verdict: Told | None = None,
    is_ending: bool = False,
) -> Object:
    """Return a pod's status, whose times move only where something did.

    addresses: of the pod, and of the node. verdict: why the pod was ended as a whole. is_ending: it is on its way out.
    """
    spec, before = pod["spec"], pod.get("status") or {}
    ip, host = addresses
    phase = _phase(spec, containers, is_ending=is_ending or verdict is not None)
    inits, mains = names(spec, "initContainers"), names(spec, "containers")
    is_initialised = all((end := containers[name].end) is not None and end.exit_code == 0 for name in inits)
    is_terminal = phase in ("Succeeded", "Failed")
    unready = [name for name in mains if not containers[name].is_ready]
    done = Told("PodCompleted" if phase == "Succeeded" else "PodFailed")
    waits = (
        done if is_terminal else Told("ContainersNotReady", f"containers with unready status: [{' '.join(unready)}]")
    )
    ready = None if not unready and not is_terminal else waits
    uninitialised = Told("ContainersNotInitialized", f"containers with incomplete status: [{' '.join(inits)}]")
    conditions = [
        _condition("PodReadyToStartContainers", Told("") if is_terminal else None),
        _condition("Initialized", None if is_initialised else uninitialised),
        _condition("Ready", ready),
        _condition("ContainersReady", ready),
        _condition("PodScheduled", None),
        *([{"type": "DisruptionTarget", "status": "True", **_said(verdict)}] if verdict == TERMINATED else []),
    ]
    return {
        "phase": phase,
        "conditions": dated(conditions, before.get("conditions") or [], now),
        **(_said(verdict) if verdict is not None else {}),
        "hostIP": host,
        "hostIPs": [{"ip": host}],
        "podIP": ip,
        "podIPs": [{"ip": ip}],
        "startTime": before.get("startTime") or stamp(now),
        "qosClass": qos_class(spec),
        **({"initContainerStatuses": _statuses(pod, "initContainers", containers, now, is_ending)} if inits else {}),
        "containerStatuses": _statuses(pod, "containers", containers, now, is_ending),
    }


def lost(pod: Object, now: datetime) -> Object:
    """Return the status of a pod whose processes went with the node, so that no failure policy counts it."""
    before = pod["status"]
    conditions = [
        {**_condition(found["type"], Told("PodFailed")), "status": "False"}
        if found["type"] in ("Ready", "ContainersReady")
        else {key: value for key, value in found.items() if key != "lastTransitionTime"}
        for found in before.get("conditions") or []
    ]
    conditions.append({"type": "DisruptionTarget", "status": "True", **_said(TERMINATED)})
    fields = {
        field: [_lost_container(found) for found in before[field]]
        for field in ("initContainerStatuses", "containerStatuses")
        if field in before
    }
    return {
        **before,
        **fields,
        **_said(TERMINATED),
        "phase": "Failed",
        "conditions": dated(conditions, before.get("conditions") or [], now),
    }


def _lost_container(found: Object) -> Object:
    if "running" not in (found.get("state") or {}):
        return found
    # No time of its end, since nobody saw it; kubelet says the same of a container that it does not find.
    ended = {
        "exitCode": EXIT_KILLED,
        "reason": "ContainerStatusUnknown",
        "message": "The container could not be located when the pod was terminated",
        "startedAt": found["state"]["running"]["startedAt"],
    }
    return {**found, "state": {"terminated": ended}, "ready": False, "started": False}


def _phase(spec: Object, containers: Containers, *, is_ending: bool) -> str:
    policy = spec.get("restartPolicy", "Always")
    inits = [containers[name] for name in names(spec, "initContainers")]
    mains = [containers[name] for name in names(spec, "containers")]
    everything = [*inits, *mains]
    if is_ending and not any(container.is_running for container in everything):
        succeeded = all(main.end is not None and main.end.exit_code == 0 for main in mains)
        return "Succeeded" if succeeded else "Failed"
    for init in inits:
        if init.end is None or init.is_running or init.end.exit_code != 0:
            is_final = init.end is not None and not init.is_running and policy == "Never"
            return "Failed" if is_final else "Pending"
    if any(main.end is None and not main.is_running for main in mains):
        return "Pending"
    if policy == "Always" or any(main.is_running or will_run(main, policy) for main in mains):
        return "Running"
    return "Succeeded" if all(main.end and main.end.exit_code == 0 for main in mains) else "Failed"


def _statuses(pod: Object, field: str, containers: Containers, now: datetime, is_ending: bool) -> list[Object]:
    policy = pod["spec"].get("restartPolicy", "Always")
    if field == "initContainers" and policy == "Always":
        policy = "OnFailure"
    return [_status(pod, found, containers[found["name"]], policy, is_ending) for found in pod["spec"][field]]


def _status(pod: Object, spec: Object, container: Container, policy: str, is_ending: bool) -> Object:
    state, last = _state(pod, spec["name"], container, policy, is_ending)
    return {
        "name": spec["name"],
        "image": spec.get("image", ""),
        "imageID": "",
        "state": state,
        "lastState": {"terminated": _terminated(last)} if last is not None else {},
        "ready": container.is_ready,
        "started": container.is_started,
        "restartCount": container.restarts,
        **({"containerID": f"process://{container.pid}"} if container.pid else {}),
    }


def _state(pod: Object, name: str, container: Container, policy: str, is_ending: bool) -> tuple[Object, End | None]:
    """Return the state, and the last end that it does not tell itself."""
    if container.running_since is not None:
        return {"running": {"startedAt": stamp(container.running_since)}}, container.end
    if container.hindrance is not None:
        return {"waiting": _said(container.hindrance)}, container.end
    if container.end is None:
        initialising = pod["spec"].get("initContainers") and name in names(pod["spec"], "containers")
        return {"waiting": {"reason": "PodInitializing" if initialising else "ContainerCreating"}}, None
    pause = backoff_seconds(container)
    if pause and not is_ending and will_run(container, policy):
        where = f"{pod['metadata']['name']}_{pod['metadata']['namespace']}({pod['metadata']['uid']})"
        message = f"back-off {_spelled(pause)} restarting failed container={name} pod={where}"
        return {"waiting": {"reason": "CrashLoopBackOff", "message": message}}, container.end
    return {"terminated": _terminated(container.end)}, container.former


def _spelled(seconds: int) -> str:
    """Return seconds as Go prints a duration."""
    return f"{seconds}s" if seconds < 60 else f"{seconds // 60}m{seconds % 60}s"


def _terminated(end: End) -> Object:
    return {
        "exitCode": end.exit_code,
        "reason": end.reason,
        **({"message": end.message} if end.message else {}),
        "startedAt": stamp(end.started_at),
        "finishedAt": stamp(end.finished_at),
    }


def _condition(kind: str, problem: Told | None) -> Object:
    return {"type": kind, "status": "True" if problem is None else "False", **(_said(problem) if problem else {})}


def _said(told: Told) -> Object:
    said = {"reason": told.reason, "message": told.message}
    return {key: value for key, value in said.items() if value}


def qos_class(spec: Object) -> str:
    """Return Guaranteed, Burstable or BestEffort, by what the containers request."""
    every = [
        container.get("resources") or {} for container in [*spec["containers"], *(spec.get("initContainers") or [])]
    ]
    kinds = ("cpu", "memory")
    requests: list[dict[str, Any]] = [{**(r.get("limits") or {}), **(r.get("requests") or {})} for r in every]
    if not any(kind in request for request in requests for kind in kinds):
        return "BestEffort"
    limits = [r.get("limits") or {} for r in every]
    full = all(
        kind in limit and limit[kind] == request.get(kind)
        for limit, request in zip(limits, requests, strict=True)
        for kind in kinds
    )
    return "Guaranteed" if full else "Burstable"
