"""The life of a ModelDeployment on the API in memory: pods follow the plan, runs end, people and Monitors ask."""

import copy
import dataclasses
import functools
import itertools
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from builders import (
    data_source,
    digest,
    ended_pod,
    model_deployment,
    monitor,
    monitor_result,
    over,
    recipe,
    train_result,
    version,
)
from crashes import WRITES, Death, Recorded, stamped, step_of
from toys import Clock, ports
from treadle.api.base import stamp
from treadle.api.names import ANNOTATION_PLAN, API_VERSION
from treadle.api.plan import ReleasePlan
from treadle.api.step import MonitorStep, StepResult, StepSpec, TrainStep
from treadle.control.engine.conditions import find, is_true
from treadle.control.engine.ports import (
    CONFIG_MAP,
    DATA_SOURCE,
    DEPLOYMENT,
    EVENT,
    JOB,
    MODEL_DEPLOYMENT,
    MONITOR,
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

KIND = next(kind for kind in KINDS if kind.name == "ModelDeployment")
KEY = Key("ModelDeployment", "demo", "flights-late")
SERVERS = {"treadle.dev/role": "server"}
STEPS = [{"setWeight": 20}, {"pause": {"duration": "10s"}}, {"setWeight": 50}, {"pause": {"duration": "10s"}}]
ANALYSIS = {"metrics": [{"name": "ErrorRate", "maxIncrease": "0.15"}], "minSamplesPerArm": 50}
CANARY = {"canary": {"steps": STEPS, "analysis": ANALYSIS}}


@dataclass
class Behaviour:
    """How a model fares in pods."""

    refused: str = ""
    message: str = ""
    error_rate: float = 0.0
    warned: bool = False


@dataclass
class World:
    """A namespace with a Deployment controller, kubelet and pods, and a trainer, each by one step of `turn`."""

    clock: Clock = field(default_factory=Clock)
    models: dict[str, Behaviour] = field(default_factory=dict)
    verdicts: dict[str, tuple[str, str]] = field(default_factory=dict)
    """By version of the data: how a run on it ends, and the letter of its model."""
    traffic: int = 0
    """Requests a turn and pod."""
    image_fails: bool = False
    is_silent: bool = False
    """Whether polls of pods fail."""
    followed: dict[str, ReleasePlan] = field(default_factory=dict)
    arms: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    """Requests and errors by pod and digest."""
    count: int = 0

    def __post_init__(self) -> None:
        self.api = MemoryApi(now=self.clock, new_uid=self.new_uid)
        self.through: Any = self.api
        self.api.put(namespace("demo"))

    def new_uid(self) -> str:
        self.count += 1
        return f"uid-{self.count}"

    async def create(self, raw: Object) -> None:
        metadata = {key: raw["metadata"][key] for key in ("name", "namespace")}
        self.api.put({**raw, "metadata": metadata})

    async def change(self, gvk: Gvk, name: str, edit: Callable[[Object], Object]) -> None:
        found = await self.api.get(gvk, "demo", name)
        assert found is not None
        self.api.put({**found, **edit(found)})

    async def annotate(self, **annotations: str) -> None:
        marks = {f"treadle.dev/{name.replace('_', '-')}": value for name, value in annotations.items()}
        await self.change(
            MODEL_DEPLOYMENT, "flights-late", lambda raw: {"metadata": {**raw["metadata"], "annotations": marks}}
        )

    async def publish(self, letter: str) -> None:
        await self.change(DATA_SOURCE, "flights", lambda raw: {"status": {"currentVersion": version(letter)}})

    async def ask(self, id_: str, subject: str, action: str = "Retrain", **more: Any) -> None:
        request = {
            "id": id_, "action": action, "cause": "DriftDetected", "window": stamp(self.clock()),
            "subject": digest(subject), "requestedAt": stamp(self.clock()), **more,
        }  # fmt: skip
        await self.change(MONITOR, "flights-late", lambda raw: {"status": {"request": request}})

    async def look(self, seconds: float = 0.0) -> float | None:
        self.clock.pass_(seconds)
        held = dataclasses.replace(ports(self.through, self.clock), pods=self)
        try:
            return await reconcile(KIND, KEY, held)
        except Death:
            return await reconcile(KIND, KEY, held)

    async def turn(self, seconds: float = 5.0) -> None:
        """Let the world act, then the operator look until it writes nothing more."""
        await self.act()
        self.clock.pass_(seconds)
        for _ in range(8):
            before = self.api._version
            await self.look()
            if self.api._version == before:
                return
        raise AssertionError("eight passes in a row wrote something")

    async def turns(self, count: int, seconds: float = 5.0) -> None:
        for _ in range(count):
            await self.turn(seconds)

    async def act(self) -> None:
        await self.run_deployment()
        await self.follow()
        await self.train()

    async def run_deployment(self) -> None:
        live = await self.api.get(DEPLOYMENT, "demo", "flights-late-server")
        pods = await self.api.list(POD, "demo", labels=SERVERS)
        wanted = live["spec"]["replicas"] if live is not None else 0
        for index in range(len(pods), wanted):
            assert live is not None
            metadata = {**live["spec"]["template"]["metadata"], "name": f"server-{index}", "namespace": "demo"}
            status = {"podIP": f"10.0.0.{index}"}
            self.api.put({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {}, "status": status})
        for pod in pods[wanted:]:
            await self.api.delete(pod)
        if live is not None:
            ready = sum(is_ready(pod) for pod in await self.api.list(POD, "demo", labels=SERVERS))
            found = {"observedGeneration": live["metadata"]["generation"], "updatedReplicas": wanted}
            self.api.put({**live, "status": {**found, "replicas": wanted, "readyReplicas": ready}})

    async def follow(self) -> None:
        config = await self.api.get(CONFIG_MAP, "demo", "flights-late-plan")
        for pod in await self.api.list(POD, "demo", labels=SERVERS):
            uid = pod["metadata"]["uid"]
            if config is not None and not self.image_fails:
                plan = read_plan(config) or self.followed[uid]
                if uid not in self.followed or plan.revision > self.followed[uid].revision:
                    self.followed[uid] = plan
                self.serve(uid, self.followed[uid])
            self.api.put({**pod, "status": {**pod["status"], **self.pod_status(uid)}})

    def serve(self, uid: str, plan: ReleasePlan) -> None:
        weight = plan.candidate.weight if plan.candidate is not None else 0
        shares = [(plan.champion, 100 - weight), (plan.candidate, weight)]
        for model, share in shares:
            if model is None or self.behaviour(model.digest).refused:
                continue
            count = self.traffic * share // 100
            arm = self.arms.setdefault((uid, model.digest), [0, 0])
            arm[0] += count
            arm[1] += round(count * self.behaviour(model.digest).error_rate)

    def pod_status(self, uid: str) -> Object:
        if self.image_fails:
            waiting = {"reason": "ImagePullBackOff", "message": "no such image"}
            return {
                "conditions": [{"type": "Ready", "status": "False"}],
                "containerStatuses": [
                    {"name": "server", "image": "server:1", "ready": False, "state": {"waiting": waiting}}
                ],
            }
        plan = self.followed.get(uid)
        serves = plan is not None and plan.champion is not None and not self.behaviour(plan.champion.digest).refused
        return {"conditions": [{"type": "Ready", "status": "True" if serves else "False"}], "containerStatuses": []}

    async def train(self) -> None:
        for run in await self.api.list(TRAINING_JOB, "demo"):
            data = run["spec"]["dataRef"]["version"]
            ending = self.verdicts.get(data.removeprefix("sha256:")[:1])
            if (run.get("status") or {}).get("completionTime") or ending is None:
                continue
            against = await self.api.get(MODEL_DEPLOYMENT, "demo", "flights-late")
            served = ((against or {}).get("status") or {}).get("champion")
            self.api.put({**run, "status": ended(*ending, data, served and served["digest"], stamp(self.clock()))})

    def behaviour(self, model: str) -> Behaviour:
        return self.models.get(model.removeprefix("sha256:")[:1], Behaviour())

    async def progress(self, pod: Object) -> Object | None:
        uid = pod["metadata"]["uid"]
        plan = self.followed.get(uid)
        if self.image_fails or self.is_silent:
            return None
        if plan is None:
            return {"plan": 0}

        def held(model: Any, serves: bool) -> Object:
            found = self.behaviour(model.digest)
            if found.refused:
                return {"digest": model.digest, "state": "Refused", "reason": found.refused, "message": found.message}
            warning = {"reason": "NotEnforced", "message": "no signature"} if found.warned else {}
            return {"digest": model.digest, "state": "Serving" if serves else "Loaded", "golden": "20/20", **warning}

        arms = [
            {"digest": model, "requests": count, "errors": errors, "latency": [count] + [0] * 15}
            for (owner, model), (count, errors) in self.arms.items()
            if owner == uid
        ]
        return {
            "plan": plan.revision,
            **({"champion": held(plan.champion, True)} if plan.champion else {}),
            **({"candidate": held(plan.candidate, plan.candidate.weight > 0)} if plan.candidate else {}),
            "arms": arms,
            "log": {"rows": sum(arm["requests"] for arm in arms)},
        }

    async def metrics(self, pod: Object) -> str | None:
        return None

    async def stored(self) -> Object:
        found = await self.api.get(MODEL_DEPLOYMENT, "demo", "flights-late")
        assert found is not None
        return found

    async def status(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = (await self.stored())["status"]
        return found

    async def condition(self, type_: str) -> tuple[str, str]:
        found = find((await self.status())["conditions"], type_)
        assert found is not None
        return found["status"], found["reason"]

    async def message(self, type_: str) -> str:
        found = find((await self.status())["conditions"], type_)
        assert found is not None
        return str(found["message"])

    async def plan(self) -> ReleasePlan:
        found = await self.api.get(CONFIG_MAP, "demo", "flights-late-plan")
        assert found is not None
        return ReleasePlan.model_validate_json(found["data"]["plan.json"])

    async def runs(self) -> list[Object]:
        return await self.api.list(TRAINING_JOB, "demo")


def is_ready(pod: Object) -> bool:
    found = (pod.get("status") or {}).get("conditions") or []
    return any(each["type"] == "Ready" and each["status"] == "True" for each in found)


def ended(verdict: str, letter: str, data: str, champion: str | None, at: str) -> Object:
    """Return the status of a TrainingJob that ended with a verdict."""
    reasons = {"Promote": "PassedGate", "Hold": "HeldByGate", "Reject": "RejectedByGate"}
    against = {"champion": champion} if champion else {}
    return {
        "completionTime": at,
        "data": {"digest": data, "short": data[7:19]},
        "gate": {"verdict": verdict, **against},
        "model": {"version": f"v-{letter}", "digest": digest(letter), "storageUri": "s3://ml/m.json", "format": "onnx"},
        "conditions": [{"type": "Complete", "status": "True", "reason": reasons[verdict]}],
    }


async def world(**spec: Any) -> World:
    """Return a world in which all objects were applied, and data version d exists, whose run passes with model a."""
    found = World(verdicts={"d": ("Promote", "a")})
    await found.create(data_source(current="d"))
    await found.create(monitor())
    await found.create(model_deployment(**{"strategy": CANARY, **spec}))
    return found


async def served(**spec: Any) -> World:
    """Return a world in which model a is champion and answers."""
    found = await world(**spec)
    await found.turns(5)
    assert (await found.status())["champion"]["digest"] == digest("a")
    return found


async def trying(letter: str, behaviour: Behaviour | None = None, traffic: int = 400, **spec: Any) -> World:
    """Return a world in which model a is champion and a run on version e passed with a model that is tried now."""
    found = await served(**spec)
    found.models[letter] = behaviour or Behaviour()
    found.verdicts["e"] = ("Promote", letter)
    found.traffic = traffic
    await found.publish("e")
    await found.annotate(requested_at="2026-01-05T09:00:00Z")
    await found.turn()
    await found.turn()
    return found


async def test_the_first_model_becomes_champion_once_pods_verified_it() -> None:
    found = await world()
    await found.turn()
    assert await found.condition("Ready") == ("False", "WaitingForModel")
    assert await found.condition("Reconciling") == ("True", "Waiting")
    (run,) = await found.runs()
    assert run["spec"]["trigger"] == {"kind": "Initial"}
    assert run["spec"]["dataRef"]["version"] == digest("d")
    assert run["spec"]["gate"]["against"] == {"deploymentRef": {"name": "flights-late"}}
    await found.turn()
    assert (await found.status())["candidate"]["state"] == "Verifying"
    assert await found.condition("Ready") == ("False", "Loading")
    await found.turns(4)
    now = await found.status()
    assert now["champion"]["trainingJob"] == run["metadata"]["name"]
    assert now["champion"]["dataDigest"] == digest("d")
    assert "candidate" not in now
    assert await found.condition("Ready") == ("True", "Answering")
    assert await found.condition("Verified") == ("True", "SignatureAndDigest")
    assert await found.condition("Progressing") == ("False", "Promoted")
    assert (now["settledGeneration"], now["readyReplicas"], now["replicas"]) == (1, 1, 1)
    assert now["plan"]["podsInSync"] == 1
    assert now["endpoint"] == {"url": "http://flights-late.demo.svc", "protocols": ["v2"]}
    assert [row["action"] for row in now["decisions"]] == ["Promote", "Try", "Retrain"]


async def refused() -> World:
    """Return a world in which the first model was refused, so that nothing serves."""
    found = await world()
    found.models["a"] = Behaviour("SignatureInvalid", "no key of Secret treadle-signing signed it")
    await found.turns(5)
    return found


async def by_hand(second: bool = False) -> World:
    """Return a world without a template, which serves the model of a run made by hand, or that of a second one."""
    found = World(verdicts={"d": ("Promote", "a"), "e": ("Promote", "b")}, traffic=400)
    await found.create(hand_made())
    await found.create(model_deployment(template=False, strategy=CANARY))
    await found.turns(5)
    if second:
        await found.create(hand_made("second", "e"))
        await found.turns(12)
    assert (await found.status())["champion"]["digest"] == digest("b" if second else "a")
    return found


RESTING: dict[str, tuple[Callable[[], Awaitable[World]], int]] = {
    "with a template: Monitors and DataSource beside its own": (served, 8),
    "without one": (by_hand, 6),
    "without one, and a Monitor may ask to go back": (functools.partial(by_hand, second=True), 7),
    "without a model that is served": (refused, 6),
}


@pytest.mark.parametrize(("rest", "reads"), RESTING.values(), ids=RESTING.keys())
async def test_at_rest_nothing_is_written_and_little_is_read(rest: Callable[[], Awaitable[World]], reads: int) -> None:
    found = await rest()
    found.traffic = 0
    await found.turns(2, seconds=3600)
    found.through = called = Recorded(found.api)
    assert await found.look(5) == pytest.approx(600, rel=0.2)
    assert called.writes() == []
    assert called.reads() == reads, called.calls


async def test_a_pass_that_finds_nothing_made_yet_stays_within_its_budget() -> None:
    found = await world()
    for _ in range(6):
        found.through = called = Recorded(found.api)
        await found.look(1)
        assert called.reads() <= 12
        assert len(called.writes()) <= 4, called.calls
        await found.act()


async def test_a_better_candidate_walks_the_steps_and_is_promoted() -> None:
    found = await trying("b")
    weights, times = [], [found.clock()]
    for _ in range(20):
        candidate = (await found.status()).get("candidate")
        if candidate is None:
            break
        if candidate["weight"] not in weights:
            weights.append(candidate["weight"])
            times.append(found.clock())
        await found.turn()
    now = await found.status()
    assert weights == [0, 20, 50]
    assert all((later - earlier).total_seconds() >= 10 for earlier, later in itertools.pairwise(times[2:]))
    assert (now["champion"]["digest"], now["lastKnownGood"]["digest"]) == (digest("b"), digest("a"))
    previous = (await found.plan()).previous
    assert previous is not None and previous.digest == digest("a")
    assert await found.condition("RolledBack") == ("False", "NotRolledBack")
    assert await found.condition("CanaryHealthy") == ("Unknown", "NoCandidate")
    assert [row["action"] for row in now["decisions"]][:4] == ["Promote", "SetWeight", "SetWeight", "Try"]


async def test_pods_follow_every_revision_and_revisions_only_grow() -> None:
    found = await trying("b")
    revisions = []
    for _ in range(14):
        revisions.append((await found.plan()).revision)
        await found.turn()
    assert revisions == sorted(revisions)
    pods = await found.api.list(POD, "demo")
    recorded = (await found.status())["plan"]
    assert {pod["metadata"]["annotations"][ANNOTATION_PLAN] for pod in pods} == {recorded["digest"]}
    assert recorded["revision"] == (await found.plan()).revision == revisions[-1]


async def test_a_worse_candidate_is_rolled_back_quarantined_and_not_tried_again() -> None:
    found = await trying("c", Behaviour(error_rate=0.6))
    await found.turns(8)
    now = await found.status()
    assert (now["champion"]["digest"], "candidate" in now) == (digest("a"), False)
    assert [(row["digest"], row["reason"]) for row in now["quarantined"]] == [(digest("c"), "ErrorRateHigher")]
    assert await found.condition("Ready") == ("True", "RolledBack")
    assert await found.condition("RolledBack") == ("True", "CanaryFailed")
    assert await found.condition("CanaryHealthy") == ("False", "ErrorRateHigher")
    message = await found.message("CanaryHealthy")
    assert "limit +0.15" in message and "weight 20" in message and message.endswith("docs: reasons/ErrorRateHigher")
    assert (await found.plan()).candidate is None
    await found.turns(3, seconds=3600)
    assert "candidate" not in await found.status()
    assert "ErrorRateHigher" in {event["reason"] for event in await found.api.list(EVENT, "demo")}


async def test_a_released_digest_is_tried_again() -> None:
    found = await trying("c", Behaviour(error_rate=0.6))
    await found.turns(8)
    found.models["c"] = Behaviour()
    await found.annotate(unquarantine=digest("c"))
    await found.turns(2)
    now = await found.status()
    assert (now["candidate"]["digest"], now.get("quarantined")) == (digest("c"), None)
    await found.turns(8)
    assert (await found.status())["champion"]["digest"] == digest("c")


async def test_a_tampered_candidate_is_refused_and_the_champion_goes_on() -> None:
    found = await trying("7", Behaviour("ChecksumMismatch", "model.onnx has another sha256 than its manifest says"))
    await found.turns(2)
    now = await found.status()
    assert (now["champion"]["digest"], "candidate" in now) == (digest("a"), False)
    assert await found.condition("Ready") == ("True", "RolledBack")
    assert await found.condition("Verified") == ("False", "ChecksumMismatch")
    assert await found.condition("RolledBack") == ("True", "VerificationFailed")
    assert await found.condition("Stalled") == ("False", "Settled")
    assert now["quarantined"][0]["digest"] == digest("7")


async def test_a_tampered_first_model_stalls_and_the_next_one_recovers() -> None:
    found = await refused()
    assert await found.condition("Ready") == ("False", "SignatureInvalid")
    assert await found.condition("Stalled") == ("True", "SignatureInvalid")
    assert await found.condition("Reconciling") == ("False", "Settled")
    assert await found.condition("Verified") == ("False", "SignatureInvalid")
    assert await found.api.get(DEPLOYMENT, "demo", "flights-late-server") is None
    assert len(await found.runs()) == 1
    revision = (await found.status())["plan"]["revision"]
    found.verdicts["e"] = ("Promote", "b")
    await found.publish("e")
    await found.turns(6)
    assert (await found.status())["champion"]["digest"] == digest("b")
    assert await found.condition("Ready") == ("True", "Answering")
    assert (await found.plan()).revision > revision


async def test_an_image_that_cannot_be_pulled_is_named_and_recovered_from() -> None:
    found = await world()
    found.image_fails = True
    await found.turns(4)
    assert await found.condition("Ready") == ("False", "ImagePullFailed")
    assert "pod server-0 cannot pull server:1" in await found.message("Ready")
    assert await found.condition("Stalled") == ("True", "ImagePullFailed")
    found.image_fails = False
    await found.turns(3)
    assert await found.condition("Ready") == ("True", "Answering")


async def test_a_monitors_request_starts_one_run_and_the_same_data_is_a_duplicate() -> None:
    found = await served()
    found.verdicts["d"] = ("Hold", "8")
    await found.ask("one", "a", since="2025-06-01T00:00:00Z", minLabelledRows=100)
    await found.turns(4)
    await found.ask("two", "a", since="2025-06-01T00:00:00Z", minLabelledRows=100)
    await found.turns(3)
    run = next(run for run in await found.runs() if run["spec"]["trigger"]["kind"] == "Monitor")
    asker = await found.api.get(MONITOR, "demo", "flights-late")
    assert asker is not None
    reference = {"kind": "Monitor", "name": "flights-late", "uid": asker["metadata"]["uid"]}
    assert run["spec"]["trigger"] == {
        "kind": "Monitor",
        "ref": reference,
        "id": "one",
        "reason": "DriftDetected",
    }
    assert run["spec"]["dataRef"] == {
        "name": "flights",
        "version": digest("d"),
        "window": {"since": "2025-06-01T00:00:00Z", "minLabelledRows": 100},
    }
    now = await found.status()
    name = run["metadata"]["name"]
    assert [(row["id"], row["outcome"], row["ref"]) for row in now["requests"]] == [
        ("two", "Duplicate", name),
        ("one", "Started", name),
    ]
    assert [(row["digest"], row["reason"]) for row in now["quarantined"]] == [(digest("8"), "HeldByGate")]
    assert len(await found.runs()) == 2
    await found.turns(3, seconds=3600)
    assert len(await found.runs()) == 2


async def test_a_monitors_rollback_goes_back_to_the_former_champion_once() -> None:
    found = await trying("b")
    await found.turns(9)
    await found.ask("back", "b", action="Rollback")
    await found.turns(2)
    now = await found.status()
    assert (now["champion"]["digest"], now.get("lastKnownGood")) == (digest("a"), None)
    assert await found.condition("RolledBack") == ("True", "MonitorAsked")
    assert now["decisions"][0]["actor"] == "Monitor/flights-late"
    assert (now["requests"][0]["id"], now["requests"][0]["outcome"]) == ("back", "Done")
    assert (now["quarantined"][0]["digest"], now["quarantined"][0]["reason"]) == (digest("b"), "MonitorAsked")
    champion = (await found.plan()).champion
    assert champion is not None and champion.digest == digest("a")
    await found.turns(3)
    assert (await found.status())["champion"]["digest"] == digest("a")


async def test_a_person_promotes_and_rolls_back_by_annotation() -> None:
    paused = {"canary": {"steps": [{"setWeight": 10}, {"pause": {}}], "analysis": ANALYSIS}}
    found = await trying("b", strategy=paused)
    await found.turns(6)
    assert await found.condition("Progressing") == ("True", "Paused")
    await found.turns(4, seconds=3600)
    await found.annotate(promote=digest("b"))
    await found.turns(2)
    assert (await found.status())["champion"]["digest"] == digest("b")
    await found.annotate(rollback=digest("b"))
    await found.turns(2)
    now = await found.status()
    assert now["champion"]["digest"] == digest("a")
    assert await found.condition("RolledBack") == ("True", "PersonAsked")
    outcomes = [(row["from"], row["action"], row["outcome"]) for row in now["requests"]]
    assert outcomes[:2] == [("person", "Rollback", "Done"), ("person", "Promote", "Done")]


async def test_a_value_of_unquarantine_that_is_left_behind_acts_once() -> None:
    found = await trying("c", Behaviour(error_rate=0.6))
    await found.turns(8)
    await found.annotate(unquarantine=digest("c"))
    await found.turns(12)
    now = await found.status()
    assert ("candidate" in now, now["handledDigests"]) == (False, {"unquarantine": digest("c")})
    assert [row["digest"] for row in now["quarantined"]] == [digest("c")]
    tries = [row for row in now["decisions"] if (row["action"], row["subject"]) == ("Try", digest("c"))]
    assert len(tries) == 2
    await found.annotate()
    await found.turn()
    assert "handledDigests" not in await found.status()
    await found.annotate(unquarantine=digest("c"))
    await found.turn()
    assert (await found.status())["candidate"]["digest"] == digest("c")


async def test_digests_that_are_left_behind_act_on_no_later_trial() -> None:
    found = await trying("b", strategy={"canary": {"steps": [{"setWeight": 10}, {"pause": {}}], "analysis": ANALYSIS}})
    await found.turns(6)
    await found.annotate(promote=digest("b"))
    await found.turns(2)
    await found.annotate(promote=digest("b"), rollback=digest("b"))
    await found.turns(2)
    assert (await found.status())["champion"]["digest"] == digest("a")
    left = {"promote": digest("b"), "rollback": digest("b"), "unquarantine": digest("b")}
    await found.annotate(**left)
    await found.turns(10)
    now = await found.status()
    assert (now["champion"]["digest"], now["candidate"]["digest"]) == (digest("a"), digest("b"))
    assert await found.condition("Progressing") == ("True", "Paused")
    assert "remove it, then set it again" in await found.message("Progressing")
    assert now["handledDigests"] == left
    await found.annotate(rollback=digest("b"))
    await found.turn()
    await found.annotate(promote=digest("b"), rollback=digest("b"))
    await found.turns(4)
    assert (await found.status())["champion"]["digest"] == digest("b")


async def test_a_request_by_time_acts_once() -> None:
    found = await served()
    await found.annotate(requested_at="2026-01-05T09:00:00Z")
    await found.turns(6)
    assert len(await found.runs()) == 2
    assert (await found.status())["handledRequest"] == "2026-01-05T09:00:00Z"
    await found.annotate(requested_at="2026-01-05T10:00:00Z")
    await found.turns(6)
    assert len(await found.runs()) == 3


async def test_a_hand_made_run_spares_the_initial_one() -> None:
    found = World(verdicts={})
    await found.create(data_source(current="d"))
    await found.create(hand_made())
    await found.create(model_deployment())
    await found.turns(2)
    assert [run["metadata"]["name"] for run in await found.runs()] == ["flights-late-first"]
    assert await found.condition("Ready") == ("False", "WaitingForModel")
    assert "TrainingJob flights-late-first" in await found.message("Ready")
    found.verdicts["d"] = ("Promote", "a")
    await found.turns(5)
    now = await found.status()
    assert (now["champion"]["digest"], now["champion"]["trainingJob"]) == (digest("a"), "flights-late-first")
    assert len(await found.runs()) == 1


async def test_a_hand_made_run_that_comes_late_makes_the_same_model_and_changes_nothing() -> None:
    found = await served()
    await found.create(hand_made())
    await found.turns(4)
    assert len(await found.runs()) == 2
    assert (await found.status())["champion"]["digest"] == digest("a")
    assert await found.condition("TrainingReady") == ("True", "Idle")


async def test_a_verdict_about_a_former_champion_is_judged_again() -> None:
    found = await served()
    late = {
        **ended("Promote", "b", digest("d"), digest("0"), stamp(found.clock())),
        "completionTime": "2026-01-05T12:00:00Z",
    }
    await found.create({**hand_made("late"), "status": late})
    found.verdicts.clear()
    await found.turn()
    assert await found.condition("TrainingReady") == ("False", "VerdictStale")
    (run,) = [run for run in await found.runs() if run["spec"].get("trigger", {}).get("kind") == "Regate"]
    assert run["spec"]["trigger"]["ref"]["name"] == "late"
    assert "candidate" not in await found.status()


async def test_suspend_begins_nothing_and_serves_on() -> None:
    found = await served()
    await found.change(MODEL_DEPLOYMENT, "flights-late", lambda raw: {"spec": {**raw["spec"], "suspend": True}})
    await found.create(
        {**hand_made("next"), "status": ended("Promote", "b", digest("d"), digest("a"), "2026-01-05T12:00:00Z")}
    )
    await found.annotate(requested_at="2026-01-05T09:00:00Z")
    await found.turns(3)
    now = await found.status()
    assert "candidate" not in now and len(await found.runs()) == 2
    assert await found.condition("Ready") == ("True", "Answering")
    assert await found.condition("Progressing") == ("False", "Suspended")
    assert (now["requests"][0]["outcome"], now["requests"][0]["reason"]) == ("Refused", "Suspended")


async def test_a_pinned_digest_is_served_and_its_canary_is_work_of_the_spec() -> None:
    found = await served()
    pin = {"source": {"follow": "Pinned", "digest": digest("b")}}
    await found.change(MODEL_DEPLOYMENT, "flights-late", lambda raw: {"spec": {**raw["spec"], **pin}})
    await found.turn()
    assert (await found.status())["candidate"]["digest"] == digest("b")
    assert await found.condition("Reconciling") == ("True", "SpecChanged")
    assert await found.condition("Ready") == ("True", "Answering")
    found.traffic = 400
    await found.turns(9)
    now = await found.status()
    assert (now["champion"]["digest"], now["settledGeneration"]) == (digest("b"), now["observedGeneration"])
    assert await found.condition("Reconciling") == ("False", "Settled")


async def test_a_schedule_that_cannot_be_read_holds_runs_and_no_trial() -> None:
    found = await trying("b")
    await found.turn()
    training = {"template": {"spec": recipe()}, "triggers": {"schedule": "0 4 * *"}}
    await found.change(MODEL_DEPLOYMENT, "flights-late", lambda raw: {"spec": {**raw["spec"], "training": training}})
    await found.turns(10)
    await found.ask("one", "b")
    await found.turns(2)
    now = await found.status()
    assert now["champion"]["digest"] == digest("b")
    assert await found.condition("Ready") == ("True", "Answering")
    assert await found.condition("TrainingReady") == ("False", "InvalidSpec")
    assert await found.condition("Stalled") == ("True", "InvalidSpec")
    assert (len(await found.runs()), "nextScheduleTime" in now["training"]) == (2, False)
    training["triggers"] = {"schedule": "0 4 * * 1"}
    await found.change(MODEL_DEPLOYMENT, "flights-late", lambda raw: {"spec": {**raw["spec"], "training": training}})
    await found.turns(2)
    now = await found.status()
    assert (now["requests"][0]["id"], now["requests"][0]["outcome"]) == ("one", "Started")
    assert now["training"]["nextScheduleTime"] == "2026-01-12T04:00:00Z"
    assert await found.condition("Stalled") == ("False", "Settled")


async def test_a_retrains_canary_is_no_work_of_the_spec() -> None:
    found = await trying("b")
    await found.turn()
    assert await found.condition("Progressing") == ("True", "Canary")
    assert await found.condition("Reconciling") == ("False", "Settled")


def rewritten(*pairs: tuple[str, str]) -> Callable[[Object], Object]:
    """Return an edit that replaces parts of plan.json."""

    def edit(raw: Object) -> Object:
        text = raw["data"]["plan.json"]
        for old, new in pairs:
            text = text.replace(old, new)
        return {"data": {"plan.json": text}}

    return edit


MEDDLING: dict[str, Callable[[Object], Object | None]] = {
    "deleted": lambda raw: None,
    "emptied": lambda raw: {"data": {}},
    "scribbled upon": lambda raw: {"data": {"plan.json": "scribble"}},
    "changed by hand": rewritten(('"percent":100', '"percent":1')),
    "changed and raised by hand": rewritten(('"percent":100', '"percent":1'), ('"revision":2', '"revision":70')),
}


@pytest.mark.parametrize("edit", MEDDLING.values(), ids=MEDDLING.keys())
async def test_a_plan_that_somebody_meddled_with_is_mended_under_a_higher_revision(
    edit: Callable[[Object], Object | None],
) -> None:
    found = await served()
    before = await found.plan()
    raw = await found.api.get(CONFIG_MAP, "demo", "flights-late-plan")
    assert raw is not None
    changed = edit(raw)
    if changed is None:
        await found.api.delete(raw)
    else:
        assert changed != {"data": raw["data"]}
        found.api.put({**raw, **changed})
        await found.follow()
    seen = max(plan.revision for plan in found.followed.values())
    await found.turns(2)
    after = await found.plan()
    assert after.revision > max(before.revision, seen)
    assert after.model_copy(update={"revision": 0}) == before.model_copy(update={"revision": 0})
    assert {plan.revision for plan in found.followed.values()} == {after.revision}


async def test_a_plan_that_grew_beyond_the_record_and_was_deleted_is_outgrown() -> None:
    found = await served()
    pod = next(iter(found.followed))
    found.followed[pod] = found.followed[pod].model_copy(update={"revision": 500})
    await found.turns(2)
    assert (await found.plan()).revision == 501


async def test_children_edited_or_deleted_by_hand_come_back() -> None:
    found = await served()
    for gvk, name in ((SERVICE, "flights-late"), (DEPLOYMENT, "flights-late-server")):
        raw = await found.api.get(gvk, "demo", name)
        assert raw is not None
        await found.api.delete(raw)
    await found.turns(3)
    live = await found.api.get(DEPLOYMENT, "demo", "flights-late-server")
    assert live is not None and await found.api.get(SERVICE, "demo", "flights-late") is not None
    told = live["spec"]["template"]["spec"]["containers"][0]["env"][0]
    meddled = {**told, "value": told["value"].replace("uid-1/", "uid-of-another-tenant/")}
    container = {"name": "server", "image": "evil:1", "env": [meddled]}
    edit = {**live, "spec": {"template": {"spec": {"containers": [container]}}}}
    metadata = {key: live["metadata"][key] for key in ("name", "namespace")}
    await found.api.apply({**edit, "metadata": metadata}, manager="kubectl")
    await found.turns(2)
    mended = await found.api.get(DEPLOYMENT, "demo", "flights-late-server")
    assert mended is not None
    container = mended["spec"]["template"]["spec"]["containers"][0]
    assert container["image"] == "registry.example/treadle-server:1"
    assert '"prefix":"treadle/v1/uid-1/"' in container["env"][0]["value"]


async def test_a_held_canary_without_traffic_writes_nothing() -> None:
    found = await trying("b", traffic=0)
    await found.turns(3)
    found.clock.pass_(25 * 3600)
    await found.turns(2)
    assert await found.condition("Progressing") == ("True", "Held")
    found.through = called = Recorded(found.api)
    for _ in range(5):
        await found.look(30)
    assert len(called.writes()) == 0


async def test_a_canary_under_traffic_writes_its_counts_every_ten_seconds_at_most() -> None:
    found = await trying("b", traffic=5)
    await found.turns(3)
    found.through = called = Recorded(found.api)
    for _ in range(30):
        await found.follow()
        await found.look(1)
    assert 2 <= len(called.writes()) <= 4


QUIET: dict[str, Callable[[World], Any]] = {
    "a champion that answers": lambda found: None,
    "a champion without a signature, which policy Warn lets pass": lambda found: Behaviour(warned=True),
    "a champion that the pods refuse since": lambda found: Behaviour("GoldenMismatch", "17/20 golden rows"),
}


@pytest.mark.parametrize("change", QUIET.values(), ids=QUIET.keys())
async def test_a_failed_poll_changes_nothing(change: Callable[[World], Any]) -> None:
    found = await served(replicas=2)
    found.models["a"] = change(found) or Behaviour()
    await found.turns(2)
    found.is_silent = True
    found.through = called = Recorded(found.api)
    await found.look(5)
    await found.look(3600)
    assert called.writes() == []


async def test_traffic_alone_writes_nothing() -> None:
    found = await served()
    found.traffic = 1000
    await found.turns(2)
    found.through = called = Recorded(found.api)
    for _ in range(30):
        await found.follow()
        await found.look(1)
    assert len(called.writes()) <= 6  # as often as the number of rows doubles


def hand_made(name: str = "flights-late-first", data: str = "d") -> Object:
    against = {"gate": {"against": {"deploymentRef": {"name": "flights-late"}}}}
    spec = {**recipe(), **against, "dataRef": {"name": "flights", "version": digest(data)}}
    return {
        "apiVersion": API_VERSION,
        "kind": "TrainingJob",
        "metadata": {"name": name, "namespace": "demo"},
        "spec": spec,
    }


def judged(step: StepSpec, letters: Mapping[str, str], outcome: str) -> StepResult:
    """Return the result of a step: a model that passed, by the letter of its data; or a window that looks so."""
    if isinstance(step, MonitorStep):
        return monitor_result(outcome, (step.window.start, step.window.end), letter=step.champion[7])
    assert isinstance(step, TrainStep)
    model = {"version": f"v-{letters[step.data[7]]}", "digest": digest(letters[step.data[7]])}
    against = {"champion": step.champion} if step.champion else {}
    return train_result(
        gate={"verdict": "Promote", **against},
        data={"digest": step.data, "short": step.data[7:19]},
        model={**model, "storageUri": "s3://ml/m.json", "format": "onnx"},
    )


async def test_the_loop_closes_over_all_kinds() -> None:
    """Drift becomes a Monitor's request, a run, a canary and a champion, with the real reconcilers of all of them."""
    found, outcome = World(traffic=400), "Healthy"
    actions = {"actions": [{"name": "relearn", "when": ["DriftDetected"], "do": "Retrain"}]}
    window = {"schedule": "* * * * *", "window": {"size": "1m", "minSamples": 30}}
    retrain = {"retrain": {"cooldown": "10s", "window": {"since": "All", "minLabelledRows": 0}}}
    for raw in (data_source(current="d"), monitor(**window, **actions, **retrain), model_deployment(strategy=CANARY)):
        await found.create(raw)

    async def turn() -> None:
        await found.run_deployment()
        await found.follow()
        found.clock.pass_(10)
        for kind in [kind for kind in KINDS if kind.name != "DataSource"] * 3:
            for raw in await found.api.list(kind.gvk, "demo"):
                held = dataclasses.replace(ports(found.api, found.clock), pods=found)
                await reconcile(kind, Key(kind.name, "demo", raw["metadata"]["name"]), held)
        for job in await found.api.list(JOB, "demo"):
            if not is_true(job, "Complete"):
                found.api.put(ended_pod(job, judged(step_of(job), {"d": "a", "e": "b"}, outcome)))
                found.api.put({**job, "status": over(at=stamped(found.clock))})

    for _ in range(15):
        await turn()
    assert (await found.status())["champion"]["digest"] == digest("a")
    outcome = "Suspected"
    await found.publish("e")
    for _ in range(25):
        await turn()
    now = await found.status()
    assert (now["champion"]["digest"], now["lastKnownGood"]["digest"]) == (digest("b"), digest("a"))
    by_monitor = [run for run in await found.runs() if run["spec"]["trigger"]["kind"] == "Monitor"]
    assert [row["ref"] for row in now["requests"]] == [run["metadata"]["name"] for run in by_monitor]
    watching = await found.api.get(MONITOR, "demo", "flights-late")
    assert watching is not None and watching["status"]["retrain"]["lastVerdict"] == "Promote"


async def first_model(found: World) -> None:
    await found.turns(5)


async def a_better_one_for_a_monitor(found: World) -> None:
    found.traffic = 800
    found.verdicts["e"] = ("Promote", "b")
    await found.publish("e")
    await found.ask("one", "a")
    await found.turns(6, seconds=10)


async def a_worse_one_for_a_person(found: World) -> None:
    found.models["c"] = Behaviour(error_rate=0.6)
    found.verdicts["f"] = ("Promote", "c")
    await found.publish("f")
    await found.annotate(requested_at="2026-01-05T09:00:00Z")
    await found.turns(4, seconds=10)


async def back_to_the_first(found: World) -> None:
    await found.annotate(rollback=digest("b"))
    await found.turns(2)


ACTS = {first_model: "a", a_better_one_for_a_monitor: "b", a_worse_one_for_a_person: "b", back_to_the_first: "a"}
"""What happens, and the letter of the champion after it."""


COMPARED = ("champion", "candidate", "lastKnownGood", "quarantined", "requests", "handledRequest", "handledDigests")


async def played(found: World, act: Any, dies_at: int = -1, is_sent: bool = False) -> tuple[list[tuple[str, str]], Any]:
    """Play an act in a copy of the world; where the process dies it is started again at once. Return how it ends."""
    found = copy.deepcopy(found)
    found.through = called = Recorded(found.api, dies_at, is_sent)
    await act(found)
    now, plan = await found.status(), await found.plan()
    return called.calls, {
        "status": {key: now.get(key) for key in COMPARED},
        "decisions": [(row["action"], row["subject"]) for row in now["decisions"]],
        "conditions": [(each["type"], each["status"], each["reason"]) for each in now["conditions"]],
        "runs": [run["metadata"]["name"] for run in await found.runs()],
        "plan": plan.dump(),
        "settled": now["settledGeneration"],
    }


@pytest.mark.parametrize(("act", "champion"), ACTS.items(), ids=[act.__name__ for act in ACTS])
async def test_a_death_at_any_write_ends_in_the_same_state(act: Any, champion: str) -> None:
    found = await world()
    for former in itertools.takewhile(lambda each: each is not act, ACTS):
        await former(found)
    calls, expected = await played(found, act)
    assert (expected["status"]["champion"]["digest"], expected["status"]["candidate"]) == (digest(champion), None)
    # A death between two reads is one after the write before them.
    written = [number for number, (verb, _) in enumerate(calls) if verb in WRITES]
    places = list(itertools.product(written, (False, True)))
    assert len(places) >= 10
    for number, is_sent in places:
        _, ended = await played(found, act, number, is_sent)
        assert ended == expected, f"died at call {number} ({calls[number]}), sent: {is_sent}"
