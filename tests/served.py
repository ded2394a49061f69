"""What a pass over a ModelDeployment sees, made so that a row shows only what matters to it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from builders import AT, champion, condition, digest, model_deployment, monitor, training_job
from toys import SETTINGS, START
from treadle.api.base import stamp
from treadle.api.modeldeployment import ModelDeployment
from treadle.api.monitor import MonitorRequest
from treadle.api.plan import ServerState
from treadle.api.step import StoreAddress
from treadle.control.engine.ports import Object
from treadle.control.modeldeployment import plan
from treadle.control.modeldeployment.seen import Ask, Run, Seen, ServingPod, newest_first, read_run

OWNER = "uid-ModelDeployment-flights-late"
STORE = StoreAddress(secret="treadle-store", prefix="treadle/v1/ns-uid/")
COMPLETE = {
    "Promote": "PassedGate",
    "Hold": "HeldByGate",
    "Reject": "RejectedByGate",
    "Inconclusive": "GateInconclusive",
}
CHAMPION = champion("a", "d")


def deployment(status: Object | None = None, *, served: bool = True, **spec: Any) -> ModelDeployment:
    """Return a ModelDeployment with champion a of data d, unless it serves nothing yet; metadata by keyword."""
    found = {**({"champion": CHAMPION} if served else {}), **(status or {})}
    return ModelDeployment.read(model_deployment(status=found, **spec))


def candidate(letter: str = "b", state: str = "Canary", **more: Any) -> Object:
    """Return a status.candidate that began at AT."""
    found = {"version": "v2", "digest": digest(letter), "dataDigest": digest("e"), "state": state}
    return {**found, "since": AT, "stepSince": AT, "generation": 1, **more}


def good(letter: str = "9", until: str = "2026-01-05T09:00:00Z") -> Object:
    """Return a status.lastKnownGood."""
    return {"version": "v0", "digest": digest(letter), "loadedUntil": until}


def decision(action: str, reason: str, letter: str = "b", message: str = "candidate v2: so it was") -> Object:
    """Return a row of status.decisions."""
    found = {"time": AT, "actor": "operator", "action": action, "subject": digest(letter)}
    return {**found, "reason": reason, "message": message}


def run(
    name: str = "r",
    verdict: str | None = "Promote",
    *,
    letter: str = "b",
    against: str | None = "a",
    data: str = "d",
    ours: bool = True,
    completed: str | None = AT,
    created: str = "2026-01-05T07:30:00Z",
    trigger: Object | None = None,
    short_of_rows: bool = False,
    failed: str = "",
) -> Run:
    """Return a run as read: by its verdict, by why it failed, or under way with verdict None."""
    status: Object = {"data": {"digest": digest(data), "short": data * 12}}
    if verdict is not None:
        gate = {"verdict": verdict, **({"champion": digest(against)} if against else {})}
        model = {"version": f"v-{letter}", "digest": digest(letter), "storageUri": "s3://ml/m.json", "format": "onnx"}
        told = [condition("Complete", "True", COMPLETE[verdict])]
        status |= {"completionTime": completed, "gate": gate, "model": model, "conditions": told}
    elif failed:
        status |= {"completionTime": completed, "conditions": [condition("Failed", "True", failed)]}
    elif short_of_rows:
        status |= {"conditions": [condition("DataResolved", "False", "NotEnoughLabelledRows")]}
    cause = trigger if trigger is not None else {"kind": "Data"} if ours else None
    raw = training_job(
        name,
        against="flights-late",
        status=status,
        dataRef={"name": "flights", "version": digest(data)},
        metadata={
            "creationTimestamp": created,
            **({"ownerReferences": [{"uid": OWNER, "controller": True}]} if ours else {}),
        },
        **({"trigger": cause} if cause is not None else {}),
    )
    return read_run(raw, OWNER)


def ask(id_: str = "one", subject: str = "a", action: str = "Retrain", **more: Any) -> Ask:
    """Return a Monitor's request."""
    raw = monitor()["metadata"]
    request = {"id": id_, "action": action, "cause": "DriftDetected", "window": AT, "subject": digest(subject)}
    return Ask(raw["name"], raw["uid"], MonitorRequest.parse({**request, "requestedAt": AT, **more}))


def held(letter: str, state: str = "Loaded", reason: str = "", message: str = "") -> Object:
    """Return a model as a pod holds it."""
    return {"digest": digest(letter), "state": state, "message": message, **({"reason": reason} if reason else {})}


def arm(letter: str, requests: int, errors: int = 0, bucket: int = 3) -> Object:
    """Return what a pod counted for a model, all answers in one latency bucket."""
    latency = [requests if index == bucket else 0 for index in range(16)]
    return {"digest": digest(letter), "requests": requests, "errors": errors, "latency": latency}


def pod(
    name: str = "server-0",
    *,
    ready: bool = True,
    revision: int | None = 1,
    champion: Object | None = None,
    candidate: Object | None = None,
    arms: Sequence[Object] = (),
    rows: int = 0,
    dropped: int = 0,
    created: str = AT,
    **status: Any,
) -> ServingPod:
    """Return a serving pod; revision None: it does not answer."""
    conditions = [{"type": "Ready", "status": "True" if ready else "False"}]
    raw = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "demo", "uid": f"uid-{name}", "creationTimestamp": created},
        "status": {"podIP": "10.0.0.1", "conditions": conditions, **status},
    }
    models: Object = {"champion": champion, "candidate": candidate}
    told = {
        "plan": revision,
        **{key: value for key, value in models.items() if value},
        "arms": list(arms),
        "log": {"rows": rows, "dropped": dropped},
    }
    return ServingPod(raw, ServerState.parse(told) if revision is not None else None)


def rolled_out(replicas: int = 1) -> Object:
    """Return the child Deployment with all its pods ready."""
    found = {"observedGeneration": 1, "replicas": 1, "updatedReplicas": replicas, "readyReplicas": replicas}
    return {"kind": "Deployment", "metadata": {"name": "flights-late-server", "generation": 1}, "status": found}


def seen(
    md: ModelDeployment | None = None,
    *,
    runs: Sequence[Run] = (),
    data: str | None = "d",
    asks: Sequence[Ask] = (),
    pods: Sequence[ServingPod] = (),
    revision: int = 1,
    deployment: Object | None = None,
    has_data_source: bool = True,
    now: datetime = START,
) -> Seen:
    """Return what a pass read; with `md`, its plan is live under a revision."""
    return Seen(
        settings=SETTINGS,
        store=STORE,
        runs=newest_first(runs),
        has_data_source=has_data_source,
        data_digest=digest(data) if data else None,
        asks=tuple(asks),
        pods=tuple(pods),
        plan=plan.content(md.spec, md.status, revision, now) if md is not None else None,
        deployment=deployment if deployment is not None else rolled_out(),
        owner_uid=OWNER,
    )


def terminated(reason: str, code: int, at: datetime) -> Mapping[str, Any]:
    """Return the status of a container that ended once and runs again."""
    ended = {"reason": reason, "exitCode": code, "finishedAt": stamp(at)}
    return {
        "name": "server",
        "image": "server:1",
        "ready": False,
        "state": {"running": {}},
        "lastState": {"terminated": ended},
    }
