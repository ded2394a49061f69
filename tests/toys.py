"""A toy kind that walks the whole pass: it records a run, makes a Job and a ConfigMap, and waits for the Job."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from treadle.api.blocks import JobTemplate, Resource
from treadle.api.conditions import no, yes
from treadle.api.names import job_name, sha256
from treadle.api.reasons import Reason
from treadle.control.engine import conditions
from treadle.control.engine.errors import Invalid, Wait
from treadle.control.engine.objects import keep, owned
from treadle.control.engine.ports import CONFIG_MAP, DATA_SOURCE, JOB, Event, Kind, Object, Outcome, Ports
from treadle.control.podspec import Mounts, Run, step_job
from treadle.control.settings import Settings

START = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)
DECLARED = ("Ready", "Fetched", "Reconciling", "Stalled")
SETTINGS = Settings(image_registry="registry.example", image_tag="1")


class Toy(Resource):
    """A DataSource of which the toy reads little."""

    raw: dict[str, Any]

    @property
    def filter(self) -> str:
        return str(self.raw["spec"].get("filter", ""))

    @property
    def run_key(self) -> str | None:
        key = (self.raw.get("status") or {}).get("handledRequest")
        return str(key) if key else None


@dataclass(frozen=True, slots=True)
class ToySeen:
    """The Jobs of the toy, and its live children."""

    jobs: tuple[Object, ...] = ()
    live: tuple[Object, ...] = ()

    def having(self, live: Sequence[Object]) -> Self:
        return replace(self, live=tuple(live))


def parse(raw: Object) -> Toy:
    return Toy.parse({"kind": raw["kind"], "metadata": raw["metadata"], "raw": raw})


async def observe(toy: Toy, ports: Ports) -> ToySeen:
    if toy.filter == "wait":
        raise Wait(Reason.ACCESS_DENIED, "the bucket refuses the key", after=30)
    if toy.filter == "invalid":
        raise Invalid(Reason.INVALID_SPEC, "spec.filter: 'invalid' is no expression; correct it")
    if toy.filter == "bug":
        raise RuntimeError("a bug in observe")
    labels = {"treadle.dev/name": toy.metadata.name}
    return ToySeen(jobs=tuple(await ports.api.list(JOB, toy.metadata.namespace, labels=labels)))


def wanted_key(toy: Toy) -> str:
    return sha256({"filter": toy.filter})


def desired(toy: Toy, seen: ToySeen, now: datetime) -> list[Object]:
    plan = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": owned(toy, name=f"{toy.metadata.name}-plan", role="plan"),
        "data": {"filter": toy.filter},
    }
    if toy.run_key is None:
        return [plan]
    name = job_name("DataSource", toy.metadata.name, toy.run_key, 0)
    existing = [keep(job) for job in seen.jobs if job["metadata"]["name"] == name]
    run = Run(name, "ingest", {"v": 1, "step": "ingest"}, toy.run_key)
    return [plan, *(existing or [step_job(toy, run, JobTemplate(), Mounts(), SETTINGS)])]


def status(toy: Toy, seen: ToySeen, now: datetime) -> Outcome:
    key = wanted_key(toy)
    job = next((child for child in seen.live if child["kind"] == "Job"), None)
    is_done = job is not None and toy.run_key == key and conditions.is_true(job, "Complete")
    ready = yes("Ready", Reason.VERSION_PUBLISHED) if is_done else no("Ready", Reason.FETCHING)
    fetched = (yes("Fetched", Reason.FETCHED),) if is_done else ()
    generation = toy.metadata.generation
    former = toy.raw.get("status") or {}
    settled = generation if is_done else former.get("settledGeneration", 0)
    judged = [ready, *fetched, *conditions.reconciling_and_stalled(settled=settled >= generation)]
    record = {
        "observedGeneration": generation,
        "settledGeneration": settled,
        "handledRequest": key,
        "conditions": conditions.merge(
            former.get("conditions") or [], conditions.every(DECLARED, judged), now, generation
        ),
    }
    was_done = conditions.is_true(toy.raw, "Ready")
    events = (Event("VersionPublished", "a version was published"),) if is_done and not was_done else ()
    return Outcome(record, events, None if is_done else 10.0)


TOY = Kind(
    gvk=DATA_SOURCE,
    conditions=DECLARED,
    children=(JOB, CONFIG_MAP),
    parse=parse,
    observe=observe,
    desired=desired,
    status=status,
)


class NoPods:
    """No pod answers."""

    async def progress(self, pod: Object) -> Object | None:
        return None

    async def metrics(self, pod: Object) -> str | None:
        return None


class Clock:
    """A wall clock that a test moves."""

    def __init__(self) -> None:
        self.time = START

    def __call__(self) -> datetime:
        return self.time

    def pass_(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


def ports(api: Any, now: Any = None, seed: int = 1) -> Ports:
    """Return ports around an API, with a fixed seed."""
    return Ports(api, NoPods(), now or Clock(), random.Random(seed), SETTINGS)


def data_source(name: str = "flights", namespace: str = "demo", **spec: Any) -> Object:
    """Return a small valid DataSource."""
    return {
        "apiVersion": "treadle.dev/v1alpha1",
        "kind": "DataSource",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "source": {"inline": {"configMapRef": {"name": "rows"}}},
            "format": {"name": "csv"},
            "schema": {"columns": [{"name": "a", "type": "integer"}]},
            **spec,
        },
    }


def finished(job: Object) -> Object:
    """Return a Job as the Job controller leaves it after success."""
    done = {"type": "Complete", "status": "True"}
    return {**job, "status": {"succeeded": 1, "conditions": [done]}}
