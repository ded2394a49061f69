"""A namespace that lives: the four reconcilers on the API in memory; controllers, kubelets and steps as a test says.

A step, or a server, does well unless a test puts another act into its place. Time is the test's.
"""

import asyncio
import dataclasses
import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from builders import digest, ended_pod, ingest_result, monitor_result, over, train_result
from builders import pod as step_pod
from crashes import stamped, step_of
from toys import Clock, ports
from treadle.api.base import moment
from treadle.api.names import LABEL_MANAGED_BY, MANAGER
from treadle.api.plan import ReleasePlan
from treadle.api.step import IngestStep, MonitorStep, StepResult, StepSpec, TrainStep
from treadle.cli.estate import Estate
from treadle.cli.step import exit_code
from treadle.control.engine.ports import (
    CONFIG_MAP,
    DATA_SOURCE,
    DEPLOYMENT,
    EVENT,
    JOB,
    MODEL_DEPLOYMENT,
    MONITOR,
    OURS,
    POD,
    SERVICE,
    TRAINING_JOB,
    Gvk,
    Key,
    Object,
)
from treadle.control.engine.reconcile import reconcile
from treadle.control.kinds import KINDS
from treadle.control.modeldeployment.seen import read_plan
from treadle.local.server.api import MemoryApi, namespace

PASSES = 12
MANAGED = {LABEL_MANAGED_BY: MANAGER}


@dataclass
class Model:
    """How a model fares in pods; by default it is verified and answers without an error."""

    refused: str = ""
    """The reason for which pods refuse it."""
    away: str = ""
    """The reason for which pods cannot load it yet."""
    message: str = ""
    warned: bool = False
    error_rate: float = 0.0


@dataclass
class Living:
    """Everything that acts in namespace demo."""

    clock: Clock = field(default_factory=Clock)
    steps: dict[str, "Act"] = field(default_factory=dict)
    """By step: what its Jobs do."""
    server: "ServerAct | None" = None
    """What becomes of a server's pods, if they do not come to run."""
    models: dict[str, Model] = field(default_factory=dict)
    """By the letter of the digest."""
    data: str = "d"
    """The letter of what a fetch finds."""
    trained: dict[str, str] = field(default_factory=lambda: {"d": "a", "e": "b"})
    """By the letter of a version: that of the model that is learnt from it."""
    verdicts: dict[str, StepResult] = field(default_factory=dict)
    """By the letter of a version: how a run on it ends, if not with Promote."""
    traffic: int = 0
    """Requests a turn and pod."""
    arms: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    plans: dict[str, ReleasePlan | None] = field(default_factory=dict)
    """What each serving pod follows, by its uid."""
    is_dead: bool = False
    """Whether the operator does nothing."""

    def __post_init__(self) -> None:
        numbers = itertools.count(1)
        self.api = MemoryApi(now=self.clock, new_uid=lambda: f"uid-{next(numbers)}")
        self.api.put(namespace("demo"))
        self.changes: asyncio.Queue[Any] = asyncio.Queue()
        self.api.subscribe(self.changes)

    # What people do.

    def put(self, *objects: Object) -> "Living":
        """Store objects as a person would write them; identity is the API's to give."""
        for raw in objects:
            kept = {key: raw["metadata"][key] for key in ("name", "namespace", "annotations") if key in raw["metadata"]}
            self.api.put({**{key: value for key, value in raw.items() if key != "status"}, "metadata": kept})
        return self

    async def change(self, kind: str, name: str, **spec: Any) -> None:
        """Change an object's spec."""
        raw = await self.get(kind, name)
        self.api.put({**raw, "spec": {**raw["spec"], **spec}})

    async def annotate(self, kind: str, name: str, **annotations: str) -> None:
        """Ask by annotations."""
        raw = await self.get(kind, name)
        marks = {f"treadle.dev/{key.replace('_', '-')}": value for key, value in annotations.items()}
        self.api.put({**raw, "metadata": {**raw["metadata"], "annotations": marks}})

    async def get(self, kind: str, name: str) -> Object:
        """Return an object of ours."""
        found = await self.api.get(next(gvk for gvk in OURS if gvk.kind == kind), "demo", name)
        assert found is not None
        return found

    # Time.

    async def turns(self, count: int, seconds: float = 5.0) -> "Living":
        """Let the world act and the operator look, several times."""
        for _ in range(count):
            await self.act()
            self.clock.pass_(seconds)
            await self.look()
        return self

    async def look(self) -> None:
        """Pass over every object until nothing is written any more."""
        for _ in range(0 if self.is_dead else PASSES):
            before = self.changes.qsize()
            for kind in KINDS:
                for raw in await self.api.list(kind.gvk, "demo"):
                    told = dataclasses.replace(ports(self.api, self.clock), pods=self)
                    await reconcile(kind, Key(kind.name, "demo", raw["metadata"]["name"]), told)
            if self.changes.qsize() == before:
                return
        if not self.is_dead:
            raise AssertionError(f"{PASSES} passes in a row wrote something")

    async def act(self) -> None:
        """Let the controllers and pods do what is due."""
        for job in await self.api.list(JOB, "demo"):
            if not job["spec"].get("suspend") and not (job.get("status") or {}).get("conditions"):
                await self.run_job(job)
        await self.run_servers()

    # Jobs.

    async def run_job(self, job: Object) -> None:
        """Start a Job as its controller does, and let its step do what it does."""
        started = {**job, "status": job.get("status") or {"startTime": stamped(self.clock)}}
        self.api.put(started)
        await self.steps.get(step_of(job).step, well)(self, started)

    def result_of(self, step: StepSpec) -> StepResult:
        """Return how a step ends when all is well."""
        match step:
            case IngestStep():
                outcome = "Unchanged" if step.current == digest(self.data) else "Published"
                return ingest_result(outcome, self.data, rows=163024)
            case TrainStep():
                letter = step.data.removeprefix("sha256:")[0]
                return self.verdicts.get(letter) or self.passed(letter, step.champion)
            case MonitorStep():
                window = (step.window.start, step.window.end)
                return monitor_result("Healthy", window, step.champion.removeprefix("sha256:")[0])
        raise AssertionError(f"no such step: {step.step}")

    def passed(self, data: str, champion: str | None) -> StepResult:
        """Return the result of a run whose model passes the gate."""
        letter = self.trained[data]
        gate = {"verdict": "Promote", "holdoutDigest": digest("9"), "holdoutUses": 1, "rows": 32605}
        against = {"champion": champion} if champion else {}
        model = {"version": f"v-{letter}", "digest": digest(letter), "storageUri": "s3://ml/m.json", "format": "onnx"}
        reason = "AllChecksPassed" if champion else "NoChampion"
        return train_result("Promote", letter, gate={**gate, **against}, model=model, reason=reason)

    def end(self, job: Object, ended: Object, how: str, reason: str = "") -> None:
        """Store a Job's last pod, and that it is over."""
        self.api.put(ended)
        self.api.put({**job, "status": {**job["status"], **over(how, stamped(self.clock), reason)}})

    def warn(self, kind: str, name: str, reason: str, message: str) -> None:
        """Store an Event as Kubernetes' own components write it."""
        about = {"kind": kind, "name": name, "namespace": "demo"}
        self.api.put(
            {
                "apiVersion": "v1", "kind": "Event", "type": "Warning", "reason": reason, "message": message,
                "metadata": {"name": f"{name}.{reason.lower()}", "namespace": "demo"},
                "involvedObject": about, "lastTimestamp": stamped(self.clock), "count": 1,
            }
        )  # fmt: skip

    # Servers.

    async def run_servers(self) -> None:
        """Let the Deployment have its pods, and these follow the plan."""
        live = await self.api.get(DEPLOYMENT, "demo", "flights-late-server")
        if live is None:
            return
        if self.server is not None:
            await self.server(self, live)
            return
        pods = await self.servers()
        for index in range(len(pods), live["spec"]["replicas"]):
            self.api.put(server_pod(live, index))
        for surplus in pods[live["spec"]["replicas"] :]:
            await self.api.delete(surplus)
        plan = read_plan(await self.api.get(CONFIG_MAP, "demo", "flights-late-plan"))
        for pod in await self.servers():
            self.serve(pod, plan)
        await self.counted(live)

    async def servers(self) -> list[Object]:
        """Return the serving pods."""
        return await self.api.list(POD, "demo", labels={"treadle.dev/role": "server"})

    async def counted(self, live: Object, **status: Any) -> None:
        """Store what a Deployment's controller says of its pods."""
        pods = await self.servers()
        ready = sum(is_ready(pod) for pod in pods)
        found = {"observedGeneration": live["metadata"]["generation"], "updatedReplicas": len(pods)}
        self.api.put({**live, "status": {**found, "replicas": len(pods), "readyReplicas": ready, **status}})

    def serve(self, pod: Object, plan: ReleasePlan | None) -> None:
        """Let a pod take the plan over, answer requests, and be ready if its champion is."""
        weight = plan.candidate.weight if plan and plan.candidate else 0
        shares = ((plan.champion, 100 - weight), (plan.candidate, weight)) if plan else ()
        for model, share in shares:
            if model is not None and self.answers(model.digest):
                requests, errors = self.traffic * share // 100, self.model(model.digest).error_rate
                arm = self.arms.setdefault((pod["metadata"]["uid"], model.digest), [0, 0])
                arm[0], arm[1] = arm[0] + requests, arm[1] + round(requests * errors)
        serves = plan is not None and plan.champion is not None and self.answers(plan.champion.digest)
        ready = {"type": "Ready", "status": "True" if serves else "False"}
        status = {"phase": "Running", "podIP": "10.0.0.1", "conditions": [ready], "containerStatuses": []}
        self.api.put({**pod, "status": status})
        self.plans[pod["metadata"]["uid"]] = plan

    def model(self, found: str) -> Model:
        """Return how a model fares, by its digest."""
        return self.models.get(found.removeprefix("sha256:")[:1], Model())

    def answers(self, found: str) -> bool:
        """Say whether pods hold a model."""
        return not self.model(found).refused and not self.model(found).away

    async def progress(self, pod: Object) -> Object | None:
        """Answer GET /progress, as a server; a step says nothing."""
        plan = self.plans.get(pod["metadata"]["uid"])
        if plan is None:
            return {"plan": 0} if pod["metadata"]["uid"] in self.plans else None
        models = {"champion": plan.champion, "candidate": plan.candidate}
        held = {role: self.held(model) for role, model in models.items() if model is not None}
        arms = [
            {"digest": model, "requests": requests, "errors": errors, "latency": [requests] + [0] * 15}
            for (uid, model), (requests, errors) in self.arms.items()
            if uid == pod["metadata"]["uid"]
        ]
        return {"plan": plan.revision, **held, "arms": arms, "log": {"rows": sum(arm["requests"] for arm in arms)}}

    def held(self, model: Any) -> Object:
        """Return a model as a pod tells of it."""
        found = self.model(model.digest)
        state = "Refused" if found.refused else "Loading" if found.away else "Serving"
        reason = found.refused or found.away or ("NotEnforced" if found.warned else "")
        told = {"reason": reason, "message": found.message} if reason else {}
        return {"digest": model.digest, "state": state, "golden": "20/20", **told}

    async def metrics(self, pod: Object) -> str | None:
        """Answer nothing."""
        return None

    # What is read of it.

    async def estate(self) -> Estate:
        """Return the namespace as the command line reads it."""

        async def all_of(gvk: Gvk, labels: dict[str, str] | None = None) -> tuple[Object, ...]:
            return tuple(await self.api.list(gvk, "demo", labels=labels))

        return Estate(
            "demo",
            sources=await all_of(DATA_SOURCE),
            runs=await all_of(TRAINING_JOB),
            deployments=await all_of(MODEL_DEPLOYMENT),
            monitors=await all_of(MONITOR),
            jobs=await all_of(JOB, MANAGED),
            pods=await all_of(POD, MANAGED),
            workloads=await all_of(DEPLOYMENT, MANAGED),
            services=await all_of(SERVICE, MANAGED),
            events=tuple(as_core(event) for event in await all_of(EVENT)),
        )


type Act = Callable[[Living, Object], Awaitable[None]]
"""What a Job that has started does; it gets the Job."""


# What steps and servers do.


async def well(found: Living, job: Object) -> None:
    """End with the result of a step when all is well."""
    await ends(found.result_of(step_of(job)))(found, job)


def ends(result: StepResult) -> Act:
    """End with a result, and with the exit code that a step gives it."""

    async def act(found: Living, job: Object) -> None:
        code = exit_code(result)
        ended = ended_pod(job, result, code, reason="Completed" if code == 0 else "Error")
        found.end(job, ended, "Complete" if code == 0 else "Failed")

    return act


def dies(code: int, reason: str = "Error") -> Act:
    """End without a word, as often as the Job tries it."""

    async def act(found: Living, job: Object) -> None:
        ended = ended_pod(job, None, code, reason)
        found.end(job, {**ended, "status": {**ended["status"], "phase": "Failed"}}, "Failed", "BackoffLimitExceeded")

    return act


def waits(state: Object, *events: tuple[str, str], **status: Any) -> Act:
    """Have a pod whose container is in a state for as long as one looks, with events about the pod."""

    async def act(found: Living, job: Object) -> None:
        made = step_pod(job, state, **status)
        mine = {key: value for key, value in made["metadata"].items() if key not in ("uid", "creationTimestamp")}
        found.api.put({**made, "metadata": mine})
        for reason, message in events:
            found.warn("Pod", made["metadata"]["name"], reason, message)

    return act


def refused(message: str) -> Act:
    """Have no pod, since the API server refuses it."""

    async def act(found: Living, job: Object) -> None:
        name = job["metadata"]["name"]
        found.warn("Job", name, "FailedCreate", f'Error creating: pods "{name}-x2x7k" is forbidden: {message}')

    return act


def late(before: Act) -> Act:
    """Go on until the Job's time is over; its controller then deletes the pods."""

    async def act(found: Living, job: Object) -> None:
        started = job["status"]["startTime"]
        seconds = (found.clock() - moment(started)).total_seconds()
        if seconds < job["spec"]["activeDeadlineSeconds"]:
            await before(found, job)
            return
        for pod in await found.api.list(POD, "demo"):
            await found.api.delete(pod)
        ending = over("Failed", stamped(found.clock), "DeadlineExceeded")
        found.api.put({**job, "status": {**job["status"], **ending}})

    return act


type ServerAct = Callable[[Living, Object], Any]
"""What becomes of the pods of a Deployment; it gets the Deployment."""


def has_pod(*events: tuple[str, str], **status: Any) -> ServerAct:
    """Have a serving pod of a status, with events about it."""

    async def act(found: Living, live: Object) -> None:
        pod = server_pod(live, 0)
        found.api.put({**pod, "status": {"phase": "Pending", "conditions": [], **status}})
        for reason, message in events:
            found.warn("Pod", pod["metadata"]["name"], reason, message)
        await found.counted(live)

    return act


def has_none(message: str) -> ServerAct:
    """Have no serving pod, since the API server refuses it."""

    async def act(found: Living, live: Object) -> None:
        told = f'pods "flights-late-server-7d9c4-x2x7k" is forbidden: {message}'
        failure = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": told}
        await found.counted(live, conditions=[failure])

    return act


def has_none_by_event(message: str) -> ServerAct:
    """Have no serving pod, of which only an event of the ReplicaSet tells."""

    async def act(found: Living, live: Object) -> None:
        name = "flights-late-server-7d9c4"
        found.warn("ReplicaSet", name, "FailedCreate", f'Error creating: pods "{name}-x2x7k" is forbidden: {message}')
        await found.counted(live)

    return act


def server_pod(live: Object, index: int) -> Object:
    """Return a pod of the serving Deployment."""
    metadata = {**live["spec"]["template"]["metadata"], "name": f"flights-late-server-{index}", "namespace": "demo"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": live["spec"]["template"]["spec"]}


def is_ready(pod: Object) -> bool:
    """Say whether a pod says that it is ready."""
    found = (pod.get("status") or {}).get("conditions") or []
    return any((each["type"], each["status"]) == ("Ready", "True") for each in found)


def as_core(event: Object) -> Object:
    """Return an Event as the core API shows it."""
    if event["apiVersion"] == "v1":
        return event
    return {
        **{key: value for key, value in event.items() if key not in ("regarding", "note")},
        "apiVersion": "v1",
        "involvedObject": event["regarding"],
        "message": event["note"],
    }
