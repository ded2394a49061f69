"""What can ail a namespace, each brought about in a living one, with the cause that a person should be led to."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import yaml

from builders import data_source, digest, ingest_result, model_deployment, monitor, monitor_result, recipe, train_result
from builders import pod as step_pod
from builders import training_job as run
from crashes import stamped, step_of
from living import (
    Act,
    Living,
    Model,
    dies,
    ends,
    has_none,
    has_none_by_event,
    has_pod,
    late,
    refused,
    server_pod,
    waits,
)
from situations import CHECKS, GATE
from treadle.api.conditions import PAGE
from treadle.api.step import MonitorStep
from treadle.cli.causes.link import BAD, GOOD, LOOK, NOTHING_KNOWN, Around
from treadle.control.engine.ports import JOB, Object

CONDITIONS = yaml.safe_load((Path(__file__).parents[1] / "docs" / "conditions.yaml").read_text())
WORLD_OF_STORE = [reason for reason in CONDITIONS["groups"]["store"] if reason != "SecretNotFound"]
SOURCE, TARGET, WATCH = data_source(), model_deployment(), monitor()
LOOP = (SOURCE, TARGET, WATCH)
LOWER_LIMIT = {"jobTemplate": {"activeDeadlineSeconds": 60}}
NO_NODE = "0/3 nodes are available: 3 Insufficient memory"
UNSCHEDULED = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": NO_NODE}
GATED = {"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}
NO_IMAGE = {"waiting": {"reason": "ImagePullBackOff", "message": 'Back-off pulling image "worker:1"'}}
QUOTA = "exceeded quota: compute, requested: limits.memory=2Gi, used: limits.memory=3Gi, limited: limits.memory=4Gi"
LOW = "The node was low on resource: memory. Threshold quantity: 100Mi, available: 40Mi"
STEPS = [{"setWeight": 20}, {"pause": {"duration": "10m"}}, {"setWeight": 50}]
CANARY = {"canary": {"steps": STEPS, "analysis": {"minSamplesPerArm": 50, "maxDuration": "24h"}}}
RELEARN = {"actions": [{"name": "relearn", "when": ["DriftDetected"], "do": "Retrain"}], "drift": {"confirmWindows": 1}}
ASKED = {"requested_at": "2026-01-05T09:30:00Z"}


def told(reason: str) -> str:
    """Return the message of a reason as the documentation has it, without its page."""
    return PAGE.sub("", CONDITIONS["messages"][reason])


# What steps do.


def fetch(reason: str, failed: str = "Fetched", outcome: str = "Failed") -> Act:
    """Fail a fetch."""
    return ends(ingest_result(outcome, reason=reason, failed=failed, message=told(reason)))


def fit(reason: str, failed: str = "Trained") -> Act:
    """Fail a run."""
    return ends(train_result("Failed", reason=reason, failed=failed, message=told(reason)))


def judge(reason: str) -> Act:
    """Fail to judge a window."""
    return ends(monitor_result("Failed", reason=reason, message=told(reason)))


def sees(outcome: str, **changes: Any) -> Act:
    """Judge each window alike."""

    async def act(found: Living, job: Object) -> None:
        step = step_of(job)
        assert isinstance(step, MonitorStep)
        window, letter = (step.window.start, step.window.end), step.champion.removeprefix("sha256:")[0]
        await ends(monitor_result(outcome, window, letter, **changes))(found, job)

    return act


def verdict(outcome: str, reason: str, message: str, **gate: Any) -> Any:
    """Return the result of a run that the gate does not let pass."""
    about = {**GATE, "verdict": outcome, "checks": [*CHECKS], **gate}
    return train_result(outcome, "b", gate=about, reason=reason, message=message, failed="GatePassed")


# How a namespace comes to stand as it does.

type Arrange = Callable[[Living], Awaitable[Any]]


def begins(*objects: Object, turns: int = 8, seconds: float = 10.0, **changes: Any) -> Arrange:
    """Apply objects, and let some time pass; changes: of the living namespace before."""

    async def arrange(found: Living) -> None:
        for name, value in changes.items():
            setattr(found, name, value)
        await found.put(*(objects or LOOP)).turns(turns, seconds)

    return arrange


def answers(then: Arrange, *objects: Object, turns: int = 8) -> Arrange:
    """Let a first model answer, then something happen, and some time pass."""

    async def arrange(found: Living) -> None:
        await found.put(*(objects or LOOP)).turns(8)
        await then(found)
        await found.turns(turns)

    return arrange


def edited(kind: str, name: str = "flights-late", **spec: Any) -> Arrange:
    """Change an object's spec."""
    return lambda found: found.change(kind, name, **spec)


def window(outcome: str, *objects: Object, hours: int = 1, then: Arrange | None = None, **changes: Any) -> Arrange:
    """Let a first model answer, and windows of an hour be judged alike."""

    async def arrange(found: Living) -> None:
        await found.put(*(objects or LOOP)).turns(8)
        found.steps["monitor"] = sees(outcome, **changes)
        for _ in range(hours):
            await found.turns(1, 3600)
            await found.turns(3, 30)
        if then is not None:
            await then(found)
            await found.turns(4)

    return arrange


def tried(letter: str = "b", traffic: int = 400, turns: int = 4, then: Arrange | None = None, **model: Any) -> Arrange:
    """Let a first model answer, and a second one be tried that fares as told."""

    async def arrange(found: Living) -> None:
        await found.put(SOURCE, model_deployment(strategy=CANARY), WATCH).turns(8)
        await again(found, letter, traffic, **model)
        await found.turns(turns)
        if then is not None:
            await then(found)
            await found.turns(4)

    return arrange


async def again(found: Living, letter: str = "b", traffic: int = 400, **model: Any) -> None:
    """Publish a version, ask for a run, and have its model fare as told."""
    found.data, found.traffic, found.models[letter] = "e", traffic, Model(**model)
    found.trained["e"] = letter
    await found.annotate("DataSource", "flights", requested_at=stamped(found.clock))
    await found.turns(3)
    await found.annotate("ModelDeployment", "flights-late", requested_at=stamped(found.clock))
    await found.turns(4)


def retrained(outcome: str, reason: str, message: str, **gate: Any) -> Arrange:
    """Let a first model answer, and a second run end with a verdict."""

    async def arrange(found: Living) -> None:
        await found.put(*LOOP).turns(8)
        found.verdicts["e"] = verdict(outcome, reason, message, **gate)
        await again(found)

    return arrange


def asleep(*objects: Object) -> Arrange:
    """Apply objects that no operator looks at."""

    async def arrange(found: Living) -> None:
        found.is_dead = True
        await found.put(*objects).turns(2, 600)

    return arrange


async def died(found: Living) -> None:
    """Let all be well, and the operator die; then somebody changes a spec."""
    await found.put(*LOOP).turns(8)
    found.is_dead = True
    await found.change("ModelDeployment", "flights-late", replicas=2)
    await found.turns(2, 600)


async def missed(found: Living) -> None:
    """Let a fetch be under way as the operator dies; its Job ends, and nobody takes the result."""
    found.steps["ingest"] = waits({"running": {}})
    await found.put(SOURCE).turns(3)
    found.is_dead = True
    del found.steps["ingest"]
    await found.turns(4, 600)


async def evicted(found: Living) -> None:
    """Have a run's pod evicted time after time."""
    found.steps["train"] = waits({"terminated": {"exitCode": 137}}, phase="Failed", reason="Evicted", message=LOW)
    await found.put(*LOOP).turns(6)


async def replaced(found: Living) -> None:
    """Have a run's pod evicted once, and another one run."""
    await evicted(found)

    async def act(found: Living, job: Object) -> None:
        second = step_pod(job, {"running": {}}, name=f"{job['metadata']['name']}-second")
        mine = {key: value for key, value in second["metadata"].items() if key not in ("uid", "creationTimestamp")}
        found.api.put({**second, "metadata": mine})

    found.steps["train"] = act
    await found.turns(2)


async def held_job(found: Living) -> None:
    """Have somebody else suspend a Job."""
    found.steps["ingest"] = waits({"running": {}})
    await found.put(*LOOP).turns(1)
    (job,) = await found.api.list(JOB, "demo")
    found.api.put({**job, "spec": {**job["spec"], "suspend": True}})
    await found.turns(4)


async def deleted(found: Living) -> None:
    """Have a source go that a finalizer holds."""
    await found.put(SOURCE).turns(4)
    raw = await found.get("DataSource", "flights")
    marks = {"deletionTimestamp": stamped(found.clock), "finalizers": ["example.com/backup"]}
    found.api.put({**raw, "metadata": {**raw["metadata"], **marks}})


async def lost_node(found: Living) -> None:
    """Have a serving pod that its node does not let go."""
    await found.put(*LOOP).turns(8)
    (pod,) = await found.servers()
    gone = {"deletionTimestamp": stamped(found.clock), "deletionGracePeriodSeconds": 30}
    never = {"type": "Ready", "status": "False"}
    found.server = has_none("this and that")

    async def nothing(found: Living, live: Object) -> None:
        raw = {**pod["metadata"], **gone}
        placed = {**pod["spec"], "nodeName": "node-2"}
        found.api.put({**pod, "metadata": raw, "spec": placed, "status": {**pod["status"], "conditions": [never]}})
        await found.counted(live)

    found.server = nothing
    await found.turns(40, 30)


async def pinned(found: Living) -> None:
    """Have a version pinned that pods refuse."""
    found.models["c"] = Model(refused="ChecksumMismatch", message=told("ChecksumMismatch"))
    source = {"follow": "Pinned", "digest": digest("c")}
    await found.put(model_deployment(template=False, source=source)).turns(8)


async def short_of_rows(found: Living) -> None:
    """Have a run that needs more rows than the version has that it names."""
    await found.put(SOURCE).turns(4)
    window = {"minLabelledRows": 10**7}
    await found.put(run(dataRef={"name": "flights", "version": digest("d"), "window": window})).turns(2)


async def starved(found: Living) -> None:
    """Have a run whose step finds too few labelled rows in the version of now."""
    found.steps["train"] = fit("NotEnoughLabelledRows", "DataResolved")
    await found.put(SOURCE, run()).turns(4)
    await found.turns(8, 900)


async def taken(found: Living) -> None:
    """Have a Service of the deployment's name that is another's."""
    found.api.put({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "flights-late", "namespace": "demo"}})
    await found.put(TARGET).turns(4)


async def second_server(found: Living, reason: str) -> None:
    """Change the servers' template, of which the new pods have no image."""

    async def act(found: Living, live: Object) -> None:
        image = {"name": "server", "image": "server:2", "ready": False, "state": {"waiting": {"reason": reason}}}
        pod = server_pod(live, 1)
        found.api.put({**pod, "status": {"phase": "Pending", "conditions": [], "containerStatuses": [image]}})
        await found.counted(live, updatedReplicas=1)

    found.server = act
    limits = {"limits": {"memory": "3Gi"}}
    await found.change("ModelDeployment", "flights-late", predictor={"runtime": "native", "pod": {"resources": limits}})


async def paused(found: Living) -> None:
    """Let a candidate stand at a pause without an end."""
    steps = [{"setWeight": 20}, {"pause": {}}]
    analysis = {"minSamplesPerArm": 50}
    await found.put(SOURCE, model_deployment(strategy={"canary": {"steps": steps, "analysis": analysis}})).turns(8)
    await again(found)
    await found.turns(4)


async def without_recipe(found: Living) -> None:
    """Let the model of a run made by hand answer, and its inputs move."""
    await window("Suspected", SOURCE, model_deployment(template=False), run(), monitor(**RELEARN))(found)


async def relearning(found: Living, act: Act, **rules: Any) -> None:
    """Let inputs move, and the run that the Monitor asks for fare as told."""
    await found.put(SOURCE, TARGET, monitor(**{**RELEARN, **rules})).turns(8)
    found.data, found.steps["train"], found.steps["monitor"] = "e", act, sees("Suspected")
    await found.annotate("DataSource", "flights", requested_at=stamped(found.clock))
    await found.turns(3)
    await found.turns(1, 3600)
    await found.turns(6, 30)


async def windows_without(found: Living, act: Act) -> None:
    """Let the window's Jobs fare as told."""
    await found.put(*LOOP).turns(8)
    found.steps["monitor"] = act
    await found.turns(1, 3600)
    await found.turns(3, 30)


async def daily(found: Living) -> None:
    """Let a person ask for one run more than a day may have."""
    training = {"template": {"spec": recipe()}, "maxPerDay": 1}
    await found.put(SOURCE, model_deployment(training=training)).turns(8)
    await found.annotate("ModelDeployment", "flights-late", **ASKED)
    await found.turns(2)


async def newer(found: Living, act: Act) -> None:
    """Ask for newer bytes, whose fetch fares as told."""
    found.steps["ingest"] = act
    await found.annotate("DataSource", "flights", requested_at=stamped(found.clock))
    await found.turns(3, 30)


def going(found: Living) -> Around:
    """Return a namespace that goes."""
    return Around(namespace={"metadata": {"name": "demo", "deletionTimestamp": "2026-01-05T08:00:00Z"}})


def expired(found: Living) -> Around:
    """Return a Lease that nobody renews."""
    renewed = f"{found.clock() - timedelta(hours=3):%Y-%m-%dT%H:%M:%S.%fZ}"
    spec = {"holderIdentity": "treadle-operator-7f-1", "renewTime": renewed}
    return Around(leases=({"metadata": {"name": "treadle-operator", "namespace": "treadle-system"}, "spec": spec},))


def renewed(found: Living) -> Around:
    """Return a Lease that is held."""
    spec = {"holderIdentity": "treadle-operator-7f-1", "renewTime": f"{found.clock():%Y-%m-%dT%H:%M:%S.%fZ}"}
    return Around(leases=({"metadata": {"name": "treadle-operator", "namespace": "treadle-system"}, "spec": spec},))


@dataclass(frozen=True, slots=True)
class Ailment:
    """What ails a namespace, what is asked about, and where the answer has to end."""

    arrange: Arrange
    asked: tuple[str, str]
    cause: str
    """Kind and name, as a pattern of file names."""
    reason: str
    names: str
    """What the answer has to name: the thing to mend, or to wait for."""
    mark: str = BAD
    around: Callable[[Living], Around] = lambda _: NOTHING_KNOWN


MONITOR, DEPLOYMENT, DATA = ("Monitor", "flights-late"), ("ModelDeployment", "flights-late"), ("DataSource", "flights")
FIRST = ("TrainingJob", "first")
GENERATED = "TrainingJob/flights-late-*"


def of_steps(step: str, act: Act, cause: str, reason: str, names: str, asked: Any = MONITOR) -> Ailment:
    """Return an ailment that a step's Jobs have from the beginning."""
    return Ailment(begins(steps={step: act}), asked, cause, reason, names)


STORE = {
    f"the store, of a fetch: {reason}": of_steps(
        "ingest", fetch(reason), "DataSource/flights", reason, told(reason)[:40]
    )
    for reason in ("SecretNotFound", *WORLD_OF_STORE)
}
"""Each is met by a fetch, and told by the Monitor, which has nothing to watch for want of a model for want of data."""

DATA_REFUSED = {
    f"the data: {reason}": of_steps("ingest", fetch(reason, stage, outcome), "DataSource/flights", reason, named)
    for reason, stage, outcome, named in (
        ("ConfigMapNotFound", "Fetched", "Failed", "flights-files"),
        ("SourceEmpty", "Fetched", "Failed", "s3://raw/nycflights13/"),
        ("SourceChanged", "Fetched", "Failed", "flights-2013-06.csv"),
        ("FormatError", "Fetched", "Rejected", "line 3018"),
        ("SchemaMismatch", "SchemaValid", "Rejected", 'column "distance"'),
        ("ConstraintViolated", "SchemaValid", "Rejected", 'column "hour"'),
        ("ExtraColumn", "SchemaValid", "Rejected", 'column "year"'),
        ("MissingColumn", "SchemaValid", "Rejected", 'column "carrier"'),
        ("PrivacyKeyMissing", "PrivacyApplied", "Failed", "treadle-privacy"),
        ("QualityFailed", "QualityPassed", "Rejected", 'check "enough"'),
        ("LeakageFound", "QualityPassed", "Rejected", 'column "arr_delay"'),
        ("TooFewRows", "QualityPassed", "Rejected", "holdout"),
    )
}

RUN_REFUSED = {
    f"the recipe: {reason}": of_steps("train", fit(reason, stage), GENERATED, reason, named)
    for reason, stage, named in (
        ("OneClassTarget", "Trained", "dataRef.window"),
        ("TrainingError", "Trained", "HistGradientBoostingClassifier"),
        ("MetricsInvalid", "Trained", "the DataSource's filter"),
        ("FormatRefused", "Trained", "RandomForestClassifier"),
        ("ConversionMismatch", "Trained", "skops"),
        ("DataGone", "DataResolved", "9f3c0a12be45"),
    )
}

RUN_HINDERED = {
    "the store, of a run: SignatureInvalid": of_steps(
        "train", fit("SignatureInvalid", "Registered"), GENERATED, "SignatureInvalid", "treadle-signing"
    ),
    "the store, of a run that publishes: QuotaExceeded": of_steps(
        "train", fit("QuotaExceeded", "Registered"), GENERATED, "QuotaExceeded", "the store refused 412 MiB"
    ),
    "a run has a pod that no node takes": of_steps(
        "train", waits({"waiting": {"reason": "ContainerCreating"}}, conditions=[UNSCHEDULED]),
        "Pod/flights-late-*", "Unschedulable", "Insufficient memory",
    ),
    "a run has a pod without an image": of_steps(
        "train", waits(NO_IMAGE), "Pod/flights-late-*", "ImagePullBackOff", "worker:1"
    ),
    "a run has a pod whose pull secret is missing": of_steps(
        "train",
        waits(NO_IMAGE, ("FailedToRetrieveImagePullSecret", "Unable to retrieve some image pull secrets (regcred)")),
        "Pod/flights-late-*", "ImagePullBackOff", "regcred",
    ),
    "a run is out of memory": of_steps(
        "train", dies(137, "OOMKilled"), "Pod/flights-late-*", "OOMKilled",
        "spec.training.template.spec.jobTemplate.pod.resources.limits.memory of ModelDeployment/flights-late above 2Gi",
    ),
    "a run ends without a word": of_steps(
        "train", dies(139), "Pod/flights-late-*", "Error", "kubectl -n demo logs flights-late-"
    ),
    "a run's pod is evicted again and again": Ailment(
        evicted, MONITOR, "Pod/flights-late-*", "Evicted", "low on resource: memory"
    ),
    "a run goes on after its pod was evicted": Ailment(
        replaced, MONITOR, "Pod/flights-late-*-second", "Running", "before it: Evicted", GOOD,
    ),
    "a run's pod waits for a scheduling gate": Ailment(
        begins(steps={"train": waits({"waiting": {}}, conditions=[GATED])}), MONITOR,
        "Pod/flights-late-*", "SchedulingGated", "spec.schedulingGates", LOOK,
    ),
    "a run's Job is suspended by somebody else": Ailment(
        held_job, DATA, "Job/flights-*", "Suspended", "--show-managed-fields", LOOK
    ),
}  # fmt: skip

ADMISSION = {
    f"no pod is made for a run: {what}": of_steps(
        "train", refused(message), "Job/flights-late-*", "FailedCreate", named
    )
    for what, message, named in (
        ("the quota is used up", QUOTA, "ResourceQuota/compute"),
        ("the quota wants limits", "failed quota: compute: must specify limits.cpu for: step", "set limits.cpu in"),
        ("the LimitRange", "maximum memory usage per Container is 1Gi, but limit is 2Gi", "describe limitrange"),
        ("pod security", 'violates PodSecurity "restricted:latest": hostPath volumes', "Namespace/demo enforces"),
        ("its ServiceAccount", 'error looking up service account demo/runs: serviceaccount "runs" not found',
         "create ServiceAccount/runs"),
        ("its PriorityClass", "no PriorityClass with name high was found", "create PriorityClass/high"),
        ("a webhook", 'admission webhook "policy.example.com" denied the request: no limits.cpu', "policy.example.com"),
        ("a text that nobody knows", "the moon is full", "describe job flights-late-"),
    )
}  # fmt: skip

OTHER_STEPS = {
    "a fetch is out of memory": of_steps(
        "ingest", dies(137, "OOMKilled"), "Pod/flights-*", "OOMKilled",
        "spec.jobTemplate.pod.resources.limits.memory of DataSource/flights above 2Gi",
    ),
    "a fetch takes too long": Ailment(
        begins(data_source(**LOWER_LIMIT), steps={"ingest": late(waits({"running": {}}))}, turns=10),
        DATA, "DataSource/flights", "DeadlineExceeded", "jobTemplate.activeDeadlineSeconds",
    ),
    "a fetch finds no node until its time is over": Ailment(
        begins(
            data_source(**LOWER_LIMIT), turns=10,
            steps={"ingest": late(waits({"waiting": {}}, ("FailedScheduling", NO_NODE), conditions=[UNSCHEDULED]))},
        ),
        DATA, "Pod/flights-*", "FailedScheduling", "Insufficient memory",
    ),
    "a fetch cannot mount a volume": of_steps(
        "ingest",
        waits({"waiting": {"reason": "ContainerCreating"}}, ("FailedMount", 'configmap "rows" not found')),
        "Pod/flights-*", "FailedMount", 'configmap "rows" not found',
    ),
    "a fetch of newer bytes has no image, while an older version is in use": Ailment(
        answers(lambda found: newer(found, waits(NO_IMAGE))), DATA, "Pod/flights-*", "ImagePullBackOff", "worker:1"
    ),
    "newer bytes are refused, while an older version is in use": Ailment(
        answers(lambda found: newer(found, fetch("SchemaMismatch", "SchemaValid", "Rejected"))),
        DATA, "DataSource/flights", "SchemaMismatch", 'column "distance"', LOOK,
    ),
}  # fmt: skip


REFERENCES = {
    "there is no DataSource": Ailment(
        begins(TARGET, WATCH), MONITOR, "DataSource/flights", "Missing", "create DataSource/flights"
    ),
    "a run names a DataSource that is not there": Ailment(
        begins(run(), data_source("flight")), FIRST, "DataSource/flights", "Missing", "there are: flight"
    ),
    "a Monitor names a ModelDeployment that is not there": Ailment(
        begins(SOURCE, WATCH), MONITOR, "ModelDeployment/flights-late", "Missing", "create ModelDeployment/flights-late"
    ),
    "a run is to beat the champion of a ModelDeployment that is not there": Ailment(
        begins(SOURCE, run(against="flights-late")), FIRST, "ModelDeployment/flights-late", "Missing",
        "create ModelDeployment/flights-late",
    ),
    "what is asked about is not there": Ailment(
        begins(SOURCE), FIRST, "TrainingJob/first", "Missing", "create TrainingJob/first"
    ),
    "a ServiceAccount is not lent to runs": Ailment(
        begins(data_source(jobTemplate={"pod": {"serviceAccountName": "runs"}}), TARGET, WATCH), MONITOR,
        "DataSource/flights", "InvalidSpec", "ServiceAccount 'runs'",
    ),
    "a schedule has six fields": Ailment(
        begins(data_source(schedule="* * * * * *"), TARGET, WATCH), MONITOR,
        "DataSource/flights", "InvalidSpec", "spec.schedule",
    ),
    "a Monitor's schedule has six fields": Ailment(
        begins(SOURCE, TARGET, monitor(schedule="* * * * * *")), MONITOR,
        "Monitor/flights-late", "InvalidSpec", "spec.schedule",
    ),
    "the schedule of retrains cannot be read": Ailment(
        begins(SOURCE, model_deployment(training={"template": {"spec": recipe()}, "triggers": {"schedule": "daily"}})),
        DEPLOYMENT, "ModelDeployment/flights-late", "InvalidSpec", "spec.training.triggers.schedule",
    ),
    "a child's name is another's": Ailment(
        taken, DEPLOYMENT, "ModelDeployment/flights-late", "NameTaken", "Service 'flights-late'"
    ),
    "a version without enough rows is pinned": Ailment(
        short_of_rows, FIRST, "TrainingJob/first", "NotEnoughLabelledRows", "minLabelledRows is 10000000",
    ),
    "a run waits for hours, until a version has enough rows": Ailment(
        starved, FIRST, "TrainingJob/first", "NotEnoughLabelledRows", "812 of 114117 train rows", LOOK,
    ),
    "there is no recipe, and no run": Ailment(
        begins(SOURCE, model_deployment(template=False), WATCH), MONITOR,
        "ModelDeployment/flights-late", "WaitingForModel", "training.template",
    ),
    "a pinned version is refused": Ailment(
        pinned, DEPLOYMENT, "ModelDeployment/flights-late", "ChecksumMismatch", "blob e7d04a51",
    ),
}  # fmt: skip

SERVERS = {
    "a server has no node": Ailment(
        begins(server=has_pod(conditions=[UNSCHEDULED]), turns=10), MONITOR,
        "Pod/flights-late-server-0", "Unschedulable", "spec.predictor.pod.resources.requests",
    ),
    "a server has no image": Ailment(
        begins(server=has_pod(containerStatuses=[{"name": "server", "image": "server:9", "state": NO_IMAGE}])), MONITOR,
        "Pod/flights-late-server-0", "ImagePullBackOff", "image server:9",
    ),
    "a server is out of memory": Ailment(
        begins(server=has_pod(containerStatuses=[
            {"name": "server", "image": "server:1", "ready": False, "restartCount": 4,
             "state": {"waiting": {"reason": "CrashLoopBackOff"}},
             "lastState": {"terminated": {"reason": "OOMKilled", "exitCode": 137}}},
        ])), MONITOR,
        "Pod/flights-late-server-0", "OOMKilled",
        "spec.predictor.pod.resources.limits.memory of ModelDeployment/flights-late above 1Gi",
    ),
    "a server crashes again and again": Ailment(
        begins(server=has_pod(containerStatuses=[
            {"name": "server", "image": "server:1", "ready": False, "restartCount": 4,
             "state": {"waiting": {"reason": "CrashLoopBackOff"}},
             "lastState": {"terminated": {"reason": "Error", "exitCode": 3}}},
        ])), MONITOR,
        "Pod/flights-late-server-0", "CrashLoopBackOff", "logs flights-late-server-0 --previous",
    ),
    "a server cannot mount a volume": Ailment(
        begins(server=has_pod(("FailedMount", 'configmap "flights-late-plan" not found'))), MONITOR,
        "Pod/flights-late-server-0", "FailedMount", "flights-late-plan",
    ),
    "a server's container cannot be made": Ailment(
        begins(server=has_pod(containerStatuses=[
            {"name": "server", "image": "server:1", "ready": False,
             "state": {"waiting": {"reason": "CreateContainerConfigError", "message": 'secret "keys" not found'}}},
        ])), MONITOR,
        "Pod/flights-late-server-0", "CreateContainerConfigError", 'secret "keys" not found',
    ),
    "no server is made, since the quota is used up": Ailment(
        begins(server=has_none(QUOTA)), MONITOR,
        "Deployment/flights-late-server", "FailedCreate", "ResourceQuota/compute",
    ),
    "no server is made, of which only an event tells": Ailment(
        begins(server=has_none_by_event("maximum memory usage per Pod is 512Mi, but limit is 1Gi")), MONITOR,
        "ReplicaSet/flights-late-server-7d9c4", "FailedCreate", "within the LimitRange",
    ),
    "a server stays on a node that is lost": Ailment(
        lost_node, DEPLOYMENT, "Pod/flights-late-server-0", "Terminating", "node-2", LOOK,
    ),
    "servers of a new spec have no image, while the former ones answer": Ailment(
        answers(lambda found: second_server(found, "ImagePullBackOff")), DEPLOYMENT,
        "Pod/flights-late-server-1", "ImagePullBackOff", "image server:2",
    ),
    "the store does not let servers load the model": Ailment(
        begins(models={"a": Model(away="AccessDenied", message=told("AccessDenied"))}), MONITOR,
        "ModelDeployment/flights-late", "AccessDenied", "403 to PutObject",
    ),
    "the first model is not signed": Ailment(
        begins(models={"a": Model(refused="SignatureInvalid", message=told("SignatureInvalid"))}), MONITOR,
        "ModelDeployment/flights-late", "SignatureInvalid", "treadle-signing",
    ),
    "the first model answers otherwise than in training": Ailment(
        begins(models={"a": Model(refused="GoldenMismatch", message=told("GoldenMismatch"))}), DEPLOYMENT,
        "ModelDeployment/flights-late", "GoldenMismatch", "17/20 golden rows",
    ),
    "nobody signed what answers": Ailment(
        begins(models={"a": Model(warned=True, message=told("NotEnforced"))}), DEPLOYMENT,
        "ModelDeployment/flights-late", "NotEnforced", "no signature", LOOK,
    ),
    "spec.replicas is 0": Ailment(
        answers(edited("ModelDeployment", replicas=0)), DEPLOYMENT,
        "ModelDeployment/flights-late", "NoReadyPods", "scale mdep flights-late --replicas=1", LOOK,
    ),
    "a candidate cannot be loaded, since the store does not answer": Ailment(
        tried(away="ConnectionFailed", message=told("ConnectionFailed")), DEPLOYMENT,
        "ModelDeployment/flights-late", "Verifying", "s3.example.org:443 refused", LOOK,
    ),
}  # fmt: skip

TRIALS = {
    "a candidate fails more requests": Ailment(
        tried(error_rate=0.6, turns=8), DEPLOYMENT, "ModelDeployment/flights-late", "ErrorRateHigher", "limit +", LOOK,
    ),
    "a candidate is corrupt": Ailment(
        tried(refused="ChecksumMismatch", message=told("ChecksumMismatch")), DEPLOYMENT,
        "ModelDeployment/flights-late", "ChecksumMismatch", "blob e7d04a51", LOOK,
    ),
    "what became of the run whose model was rolled back": Ailment(
        tried(error_rate=0.6, turns=8), ("TrainingJob", "newest"), "ModelDeployment/flights-late", "ErrorRateHigher",
        "treadle unquarantine flights-late bbbbbbbbbbbb", LOOK,
    ),
    "a person went back": Ailment(
        tried(then=lambda found: found.annotate("ModelDeployment", "flights-late", rollback=digest("b"))), DEPLOYMENT,
        "ModelDeployment/flights-late", "PersonAsked", "a person", LOOK,
    ),
    "a canary is counted": Ailment(tried(), DEPLOYMENT, "ModelDeployment/flights-late", "Undecided", "weight 20", GOOD),
    "a canary lacks requests": Ailment(
        tried(traffic=10), DEPLOYMENT, "ModelDeployment/flights-late", "TooFewSamples", "50 of each", GOOD,
    ),
    "a canary lacked requests for a day": Ailment(
        tried(traffic=10, then=lambda found: found.turns(1, 90_000)), DEPLOYMENT,
        "ModelDeployment/flights-late", "Held", "undecided after 24h", LOOK,
    ),
    "a canary waits for a person": Ailment(
        paused, DEPLOYMENT, "ModelDeployment/flights-late", "Paused", "treadle.dev/promote=", LOOK,
    ),
}  # fmt: skip

NOT_BETTER = told("NotBetter")
FLOORS = [
    {"name": "floor:roc_auc:laguardia", "threshold": "0.52", "value": "0.505", "lower": "0.492", "upper": "0.51",
     "result": "Fail"},
    {"name": "floor:roc_auc:evening", "threshold": "0.6", "value": "0.5", "lower": "0.48", "upper": "0.52",
     "result": "Fail"},
]  # fmt: skip
VERDICTS = {
    "a run is held by the gate": Ailment(
        retrained("Hold", "NotBetter", NOT_BETTER), ("TrainingJob", "newest"), GENERATED, "NotBetter",
        "difference 0.002 [-0.002, 0.006], needed above 0.002", LOOK,
    ),
    "a run misses two floors": Ailment(
        retrained("Reject", "FloorMissed", told("FloorMissed"), checks=FLOORS), ("TrainingJob", "newest"), GENERATED,
        "FloorMissed", "floor:roc_auc:evening is 0.5 [0.48, 0.52], threshold 0.6", LOOK,
    ),
    "a slice became worse": Ailment(
        retrained("Reject", "SliceRegressed", told("SliceRegressed")), ("TrainingJob", "newest"), GENERATED,
        "SliceRegressed", "slice:laguardia changed by -0.031 [-0.052, -0.011]", LOOK,
    ),
    "a holdout is used up": Ailment(
        retrained("Inconclusive", "HoldoutUsedUp", told("HoldoutUsedUp")), ("TrainingJob", "newest"), GENERATED,
        "HoldoutUsedUp", "publish a version with new holdout rows", LOOK,
    ),
    "the champion cannot be scored": Ailment(
        retrained("Inconclusive", "ChampionUnscorable", told("ChampionUnscorable")), ("TrainingJob", "newest"),
        GENERATED, "ChampionUnscorable", "column 'dest'", LOOK,
    ),
    "the first run is held, and nothing answers": Ailment(
        begins(verdicts={"d": verdict("Reject", "FloorMissed", told("FloorMissed"), checks=FLOORS)}), MONITOR,
        GENERATED, "FloorMissed", "0.518 [0.504, 0.531]", LOOK,
    ),
    "the model answers, and the last run was held": Ailment(
        retrained("Hold", "NotBetter", NOT_BETTER), DEPLOYMENT, "ModelDeployment/flights-late", "Idle", "HeldByGate",
        GOOD,
    ),
    "a run's model is champion": Ailment(
        begins(), ("TrainingJob", "newest"), "ModelDeployment/flights-late", "", "v-a is champion since", GOOD,
    ),
}  # fmt: skip

WINDOWS = {
    "too few requests are sent": Ailment(
        window("Insufficient"), MONITOR, "Monitor/flights-late", "Insufficient", "send traffic", LOOK
    ),
    "nothing is logged": Ailment(
        begins(SOURCE, model_deployment(logger={"percent": 0}), WATCH), MONITOR,
        "Monitor/flights-late", "NoLog", "logger.percent", LOOK,
    ),
    "no window was judged yet": Ailment(
        begins(), MONITOR, "Monitor/flights-late", "", "no window of champion aaaaaaaaaaaa", GOOD
    ),
    "drift is suspected, and not confirmed": Ailment(
        window("Suspected"), MONITOR, "Monitor/flights-late", "NoDrift", "suspected in 1 of 2 windows", GOOD
    ),
    "inputs moved, and nobody is to act": Ailment(
        window("Suspected", hours=2), MONITOR, "Monitor/flights-late", "ColumnsMoved", "look at the source", LOOK
    ),
    "inputs broke a limit": Ailment(
        window("Detected"), MONITOR, "Monitor/flights-late", "TooManyNulls", "mend the caller or the feed", LOOK
    ),
    "the data has not changed since the champion learnt": Ailment(
        window("Suspected", SOURCE, TARGET, monitor(**RELEARN)), MONITOR,
        "Monitor/flights-late", "SameData", "bring new data", LOOK,
    ),
    "there is no recipe to retrain by": Ailment(
        without_recipe, MONITOR,
        "Monitor/flights-late", "NoTemplate", "training.template", LOOK,
    ),
    "a retrain runs that a Monitor asked for": Ailment(
        lambda found: relearning(found, waits({"running": {}})), MONITOR, "Pod/flights-late-*", "Running",
        "look at the source", LOOK,
    ),
    "a retrain that a Monitor asked for has no image": Ailment(
        lambda found: relearning(found, waits(NO_IMAGE)), MONITOR, "Pod/flights-late-*", "ImagePullBackOff", "worker:1",
    ),
    "a retrain that a Monitor asked for is held": Ailment(
        lambda found: relearning(found, ends(verdict("Hold", "NotBetter", NOT_BETTER, champion=digest("a")))), MONITOR,
        "Monitor/flights-late", "Cooldown", "retrain.cooldown lasts until", LOOK,
    ),
    "a Monitor asked too often": Ailment(
        lambda found: relearning(
            found, ends(verdict("Hold", "NotBetter", NOT_BETTER, champion=digest("a"))),
            retrain={"cooldown": "1m", "maxPerDay": 1},
        ), MONITOR,
        "Monitor/flights-late", "DailyLimit", "retrain.maxPerDay is 1", LOOK,
    ),
    "a Monitor's breaker is open": Ailment(
        lambda found: relearning(
            found, ends(verdict("Hold", "NotBetter", NOT_BETTER, champion=digest("a"))),
            retrain={"cooldown": "1m", "maxPerDay": 9, "breaker": {"maxConsecutiveRefusals": 1}},
        ), MONITOR,
        "Monitor/flights-late", "BreakerOpen", "treadle.dev/requested-at on this Monitor", LOOK,
    ),
    "too few rows are labelled since the shift": Ailment(
        lambda found: relearning(
            found, ends(train_result()), retrain={"window": {"minLabelledRows": 10**7}},
        ), MONITOR,
        "Monitor/flights-late", "NotEnoughLabelledRows", "minLabelledRows is 10000000", LOOK,
    ),
    "a window's pod has no image": Ailment(
        lambda found: windows_without(found, waits(NO_IMAGE)), MONITOR,
        "Pod/flights-late-*", "ImagePullBackOff", "worker:1",
    ),
    "a window cannot be judged for want of the store": Ailment(
        lambda found: windows_without(found, judge("ConnectionFailed")), MONITOR,
        "Monitor/flights-late", "ConnectionFailed", "s3.example.org:443 refused",
    ),
    "the champion's reference is gone": Ailment(
        lambda found: windows_without(found, judge("ReferenceGone")), MONITOR,
        "Monitor/flights-late", "ReferenceGone", "51aa0c12be45",
    ),
    "so many runs a day are allowed": Ailment(
        daily, DEPLOYMENT, "ModelDeployment/flights-late", "DailyLimit", "training.maxPerDay", LOOK,
    ),
}  # fmt: skip

HELD = {
    "a source is suspended": Ailment(
        begins(data_source(suspended=True), TARGET, WATCH), MONITOR,
        "DataSource/flights", "Suspended", "set it to false", LOOK,
    ),
    "a run is suspended": Ailment(
        begins(SOURCE, run(suspended=True)), FIRST, "TrainingJob/first", "Suspended", "set it to false", LOOK
    ),
    "a deployment is suspended": Ailment(
        answers(edited("ModelDeployment", suspend=True)), DEPLOYMENT,
        "ModelDeployment/flights-late", "Suspended", "treadle resume ModelDeployment/flights-late", LOOK,
    ),
    "a deployment is suspended, and has no model": Ailment(
        begins(SOURCE, model_deployment(suspend=True), WATCH), MONITOR,
        "ModelDeployment/flights-late", "WaitingForModel", "treadle resume ModelDeployment/flights-late", LOOK,
    ),
    "a Monitor is suspended": Ailment(
        answers(edited("Monitor", suspend=True)), MONITOR,
        "Monitor/flights-late", "Suspended", "treadle resume Monitor/flights-late", LOOK,
    ),
    "a run goes on": Ailment(
        begins(steps={"train": waits({"running": {}})}), MONITOR, "Pod/flights-late-*", "Running", "for ", GOOD
    ),
    "a first fetch goes on": Ailment(
        begins(steps={"ingest": waits({"running": {}})}), MONITOR, "Pod/flights-*", "Running", "for ", GOOD
    ),
    "all is well": Ailment(
        window("Healthy"), MONITOR, "Monitor/flights-late", "", "961 predictions", GOOD
    ),
    "a source warned": Ailment(
        begins(steps={"ingest": ends(ingest_result(checks=[
            {"name": "plausible", "severity": "Warn", "violations": 41, "fraction": "0.0003"},
        ]))}), DATA, "DataSource/flights", "PassedWithWarnings", "plausible warned", GOOD,
    ),
}  # fmt: skip

OPERATOR = {
    "no operator has ever run": Ailment(
        asleep(SOURCE, TARGET, WATCH), MONITOR, "Lease/treadle-operator", "Missing", "helm install treadle",
        around=lambda _: Around(leases=()),
    ),
    "nobody may read whether an operator runs": Ailment(
        asleep(SOURCE), DATA, "DataSource/flights", "", "since it was created at 2026-01-05T08:00:00Z",
    ),
    "the operator died before a spec changed": Ailment(
        died, DEPLOYMENT, "Lease/treadle-operator", "Expired", "by treadle-operator-7f-1", around=expired,
    ),
    "the operator died, and all is as it left it": Ailment(
        died, DATA, "Lease/treadle-operator", "Expired", "in treadle-system", around=expired,
    ),
    "the operator lives, and does not look": Ailment(
        died, DEPLOYMENT, "ModelDeployment/flights-late", "", "read its log", around=renewed,
    ),
    "the operator died while a fetch ran": Ailment(
        missed, DATA, "Lease/treadle-operator", "Expired", "by treadle-operator-7f-1", around=expired,
    ),
    "the namespace goes": Ailment(
        asleep(SOURCE), DATA, "Namespace/demo", "Terminating", "kubectl get namespace demo", around=going,
    ),
    "a source goes, which a finalizer holds": Ailment(
        deleted, DATA, "DataSource/flights", "Deleted", "example.com/backup", LOOK
    ),
}  # fmt: skip

AILMENTS: dict[str, Ailment] = {
    **STORE, **DATA_REFUSED, **RUN_REFUSED, **RUN_HINDERED, **ADMISSION, **OTHER_STEPS, **REFERENCES, **SERVERS,
    **TRIALS, **VERDICTS, **WINDOWS, **HELD, **OPERATOR,
}  # fmt: skip
