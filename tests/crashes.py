"""An API that counts calls and lets the process die at one, and a Job controller that ends each Job at once."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from builders import ended_pod, over
from toys import Clock, ports
from treadle.api.step import ENV_STEP, StepResult, StepSpec, read_step
from treadle.control.engine.conditions import is_true
from treadle.control.engine.errors import Conflict
from treadle.control.engine.ports import JOB, Gvk, Key, Kind, Object
from treadle.control.engine.reconcile import reconcile
from treadle.local.server.api import MemoryApi, namespace

READS = ("get", "list")
WRITES = ("apply", "apply_status", "create", "delete")

type Answer = Callable[[StepSpec], StepResult | None]
"""How a step ends: with a result, or None for a pod that leaves no word."""


class Death(BaseException):
    """The process ends here; nothing in it can catch that."""


class Recorded:
    """The API, with a note of each call, and a death of the process at the n-th, before or after it is sent."""

    def __init__(self, api: MemoryApi, dies_at: int = -1, is_sent: bool = False) -> None:
        self._api, self._dies_at, self._is_sent = api, dies_at, is_sent
        self.calls: list[tuple[str, str]] = []

    def reads(self) -> int:
        return sum(verb in READS for verb, _ in self.calls)

    def writes(self) -> list[tuple[str, str]]:
        return [call for call in self.calls if call[0] in WRITES]

    async def get(self, gvk: Gvk, namespace: str, name: str) -> Object | None:
        return await self._call("get", gvk.kind, gvk, namespace, name)

    async def list(self, gvk: Gvk, namespace: str | None = None, **options: Any) -> list[Object]:
        return await self._call("list", gvk.kind, gvk, namespace, **options)

    async def apply(self, child: Object, *, manager: str = "treadle") -> Object:
        return await self._call("apply", child["kind"], child, manager=manager)

    async def apply_status(self, raw: Object, status: Object) -> Object:
        return await self._call("apply_status", raw["kind"], raw, status)

    async def create(self, new: Object) -> Object | None:
        return await self._call("create", new["kind"], new)

    async def delete(self, child: Object) -> None:
        await self._call("delete", child["kind"], child)

    async def _call(self, verb: str, kind: str, *arguments: Any, **options: Any) -> Any:
        number = len(self.calls)
        self.calls.append((verb, kind))
        if number == self._dies_at and not self._is_sent:
            raise Death
        answer = await getattr(self._api, verb)(*arguments, **options)
        if number == self._dies_at:
            raise Death
        return answer


class World:
    """An API in memory, a clock, a Job controller, and passes over one object at a time."""

    def __init__(self, kinds: Sequence[Kind[Any, Any]], answer: Answer, dies_at: int = -1, is_sent: bool = False):
        numbers = itertools.count(1)
        self.clock = Clock()
        self.api = MemoryApi(now=self.clock, new_uid=lambda: f"uid-{next(numbers)}")
        self.api.put(namespace("demo"))
        self.recorded = Recorded(self.api, dies_at, is_sent)
        self.answer = answer
        self.made: list[str] = []
        """The Jobs whose step ran, by name, as often as it did."""
        self.again: float | None = None
        self._kinds = {kind.name: kind for kind in kinds}

    def put(self, raw: Object) -> Object:
        """Store an object as a person would write it; identity is the API's to give."""
        metadata = {key: value for key, value in raw["metadata"].items() if key in ("name", "namespace", "annotations")}
        return self.api.put({**raw, "metadata": metadata})

    async def read(self, kind: str, name: str) -> Object:
        """Return an object that is there."""
        found = await self.api.get(self._kinds[kind].gvk, "demo", name)
        assert found is not None
        return found

    async def change(self, kind: str, name: str, **parts: Any) -> None:
        """Change an object's spec, or its annotations, as a person would."""
        raw = await self.read(kind, name)
        annotations = parts.pop("annotations", None)
        metadata = {**raw["metadata"], **({"annotations": annotations} if annotations is not None else {})}
        self.api.put({**raw, "metadata": metadata, "spec": {**raw["spec"], **parts}})

    async def pass_(self, kind: str, name: str) -> None:
        """Take one pass; a process that dies is started again by the next call."""
        try:
            self.again = await reconcile(self._kinds[kind], Key(kind, "demo", name), ports(self.recorded, self.clock))
        except (Death, Conflict):
            self.again = 0.0

    async def settle(self, kind: str, name: str, most: int = 30) -> None:
        """Pass and end Jobs until a pass changes nothing."""
        for _ in range(most):
            before = self.changes()
            await self.pass_(kind, name)
            await self.end_jobs()
            if self.changes() == before and self.again != 0.0:
                return
        raise AssertionError(f"{kind} {name} does not settle in {most} passes")

    def changes(self) -> tuple[int, int]:
        """Return how much was written, and how many steps ran."""
        return len(self.recorded.writes()), len(self.made)

    async def end_jobs(self) -> None:
        """End each Job that is under way and not suspended, as its step answers."""
        for job in await self.api.list(JOB, "demo"):
            if job["spec"].get("suspend") or is_true(job, "Complete") or is_true(job, "Failed"):
                continue
            result = self.answer(step_of(job))
            code = 0 if result is not None and result.outcome != "Failed" else 10
            self.made.append(job["metadata"]["name"])
            # The labels and owner that the Job's template and controller would give it.
            self.api.put(ended_pod(job, result, code, reason="Completed" if code == 0 else "Error"))
            self.api.put({**job, "status": over("Complete" if code == 0 else "Failed", at=stamped(self.clock))})

    async def jobs(self) -> list[Object]:
        """Return the Jobs."""
        return await self.api.list(JOB, "demo")


def deaths(whole: Recorded) -> Iterator[tuple[int, bool]]:
    """Yield each call at which a process can die, and whether it was sent; of a read that makes no difference."""
    for number, (verb, _) in enumerate(whole.calls):
        yield number, False
        if verb in WRITES:
            yield number, True


def step_of(job: Object) -> StepSpec:
    """Return what a Job's step is told."""
    environment = job["spec"]["template"]["spec"]["containers"][0]["env"]
    return read_step(next(each["value"] for each in environment if each["name"] == ENV_STEP))


def stamped(clock: Clock) -> str:
    """Return the time of a clock as Kubernetes writes it."""
    return clock.time.strftime("%Y-%m-%dT%H:%M:%SZ")


def judgements(raw: Object) -> dict[str, tuple[str, str]]:
    """Return status and reason of each condition."""
    return {found["type"]: (found["status"], found["reason"]) for found in raw["status"]["conditions"]}
