"""What one pass over a ModelDeployment saw, as values that the pure modules judge."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from treadle.api.base import moment
from treadle.api.blocks import Trigger
from treadle.api.monitor import MonitorRequest
from treadle.api.plan import ReleasePlan, ServerState
from treadle.api.reasons import Reason
from treadle.api.step import StoreAddress
from treadle.api.trainingjob import TrainingJobStatus, Verdict
from treadle.control.engine.objects import controller_uid
from treadle.control.engine.ports import Object
from treadle.control.settings import Settings


@dataclass(frozen=True, slots=True)
class Run:
    """A TrainingJob of this deployment's modelName, whoever made it."""

    raw: Object
    status: TrainingJobStatus
    trigger: Trigger | None
    is_ours: bool
    """Whether this deployment's template made it."""

    @property
    def name(self) -> str:
        return str(self.raw["metadata"]["name"])

    @property
    def created(self) -> datetime | None:
        stamped = self.raw["metadata"].get("creationTimestamp")
        return moment(stamped) if stamped else None

    @property
    def completed(self) -> datetime | None:
        return moment(self.status.completion_time) if self.status.completion_time else None

    @property
    def is_finished(self) -> bool:
        return self.status.completion_time is not None

    @property
    def verdict(self) -> Verdict | None:
        return self.status.gate.verdict if self.is_finished and self.status.gate else None

    @property
    def has_passed(self) -> bool:
        return self.verdict is Verdict.PROMOTE and self.status.model is not None

    @property
    def judged_against(self) -> str | None:
        return self.status.gate.champion if self.status.gate else None

    @property
    def data_digest(self) -> str | None:
        return self.status.data.digest if self.status.data else None

    @property
    def is_short_of_rows(self) -> bool:
        """Whether it waits for labelled rows, which its pinned version will never have."""
        resolved = next((found for found in self.status.conditions if found.type == "DataResolved"), None)
        return (
            not self.is_finished
            and resolved is not None
            and resolved.status == "False"
            and resolved.reason == Reason.NOT_ENOUGH_LABELLED_ROWS
        )


@dataclass(frozen=True, slots=True)
class Ask:
    """A Monitor's request, as its status spells it."""

    monitor: str
    uid: str
    request: MonitorRequest


@dataclass(frozen=True, slots=True)
class ServingPod:
    """A pod of the child Deployment, and what it answered to /progress; None for a failed poll."""

    raw: Object
    state: ServerState | None

    @property
    def uid(self) -> str:
        return str(self.raw["metadata"]["uid"])

    @property
    def name(self) -> str:
        return str(self.raw["metadata"]["name"])

    @property
    def created(self) -> datetime | None:
        stamped = self.raw["metadata"].get("creationTimestamp")
        return moment(stamped) if stamped else None


@dataclass(frozen=True, slots=True)
class Seen:
    """All that a pass read."""

    settings: Settings
    store: StoreAddress | None = None
    """Absent while no pod is wished."""
    runs: tuple[Run, ...] = ()
    """Newest first."""
    has_data_source: bool = False
    data_digest: str | None = None
    """The current version of the template's DataSource."""
    asks: tuple[Ask, ...] = ()
    pods: tuple[ServingPod, ...] = ()
    plan: ReleasePlan | None = None
    """As the ConfigMap holds it."""
    deployment: Object | None = None
    owner_uid: str = ""

    def having(self, live: Sequence[Object]) -> Seen:
        """Return the same with the children as they are after the apply."""
        made = [child for child in live if child["kind"] == "TrainingJob"]
        known = {run.name for run in self.runs}
        wished = {child["metadata"]["name"] for child in made}
        fresh = [read_run(child, self.owner_uid) for child in made if child["metadata"]["name"] not in known]
        kept = [run for run in self.runs if not run.is_ours or run.name in wished]
        plans = [read_plan(child) for child in live if child["kind"] == "ConfigMap"]
        return dataclasses.replace(
            self,
            runs=newest_first([*fresh, *kept]),
            plan=plans[0] if plans else self.plan,
            deployment=next((child for child in live if child["kind"] == "Deployment"), self.deployment),
        )


def read_run(raw: Object, owner_uid: str) -> Run:
    """Return a TrainingJob as this kind looks at it."""
    trigger = raw.get("spec", {}).get("trigger")
    return Run(
        raw=raw,
        status=TrainingJobStatus.parse(raw.get("status") or {}),
        trigger=Trigger.parse(trigger) if trigger else None,
        is_ours=controller_uid(raw) == owner_uid,
    )


def newest_first(runs: Sequence[Run]) -> tuple[Run, ...]:
    """Return runs by creation, the newest first; those of one second by name."""
    return tuple(sorted(runs, key=lambda run: (run.raw["metadata"].get("creationTimestamp") or "9", run.name))[::-1])


def read_plan(raw: Object | None) -> ReleasePlan | None:
    """Return the plan that a ConfigMap holds, or None where it holds none that can be read."""
    text = ((raw or {}).get("data") or {}).get("plan.json")
    if text is None:
        return None
    try:
        return ReleasePlan.model_validate_json(text)
    except ValueError:
        return None  # Somebody edited it; the wish replaces it under a higher revision.
