"""What one pass over a ModelDeployment saw, as values that the pure modules judge."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from treadle.api.base import moment
from treadle.api.blocks import Trigger
from treadle.api.datasource import DataSourceStatus
from treadle.api.modeldeployment import ModelDeployment
from treadle.api.monitor import MonitorRequest, MonitorStatus
from treadle.api.plan import ReleasePlan, ServerState
from treadle.api.reasons import Reason
from treadle.api.step import StoreAddress
from treadle.api.trainingjob import TrainingJobStatus, Verdict
from treadle.control.engine.objects import controller_uid, is_deleting
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
    def model_digest(self) -> str | None:
        return self.status.model.digest if self.status.model else None

    @property
    def reason(self) -> str:
        """Why it stands as it does: of Failed where that is True, else of Complete."""
        found = {each.type: each for each in self.status.conditions}
        failed = found.get("Failed")
        told = failed if failed is not None and failed.status == "True" else found.get("Complete")
        return told.reason if told is not None else Reason.NOT_JUDGED

    @property
    def is_short_of_rows(self) -> bool:
        """Whether it lacks labelled rows, which its pinned version will never have."""
        resolved = next((found for found in self.status.conditions if found.type == "DataResolved"), None)
        is_waiting = resolved is not None and (resolved.status, resolved.reason) == (
            "False",
            Reason.NOT_ENOUGH_LABELLED_ROWS,
        )
        return self.verdict is None and (is_waiting or self.reason == Reason.NOT_ENOUGH_LABELLED_ROWS)


@dataclass(frozen=True, slots=True)
class Ask:
    """A Monitor's request, as its status spells it."""

    monitor: str
    uid: str
    request: MonitorRequest

    @property
    def who(self) -> str:
        return f"Monitor/{self.monitor}"


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

    @property
    def is_ready(self) -> bool:
        conditions = (self.raw.get("status") or {}).get("conditions") or []
        return any(found.get("type") == "Ready" and found.get("status") == "True" for found in conditions)


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

    @property
    def ready_count(self) -> int:
        return sum(pod.is_ready for pod in self.pods)

    @property
    def followers(self) -> tuple[tuple[ServingPod, ServerState], ...]:
        """Pods that follow the plan as it is live, with their word; what others say is about another plan."""
        revision = self.plan.revision if self.plan else None
        return tuple((pod, pod.state) for pod in self.pods if pod.state is not None and pod.state.plan == revision)

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


def read_runs(md: ModelDeployment, found: Iterable[Object]) -> tuple[Run, ...]:
    """Return the runs of a deployment's modelName among TrainingJobs, the newest first."""
    ours = [raw for raw in found if raw.get("spec", {}).get("modelName") == md.spec.model_name and not is_deleting(raw)]
    return newest_first([read_run(raw, md.metadata.uid) for raw in ours])


def read_asks(md: ModelDeployment, monitors: Iterable[Object]) -> tuple[Ask, ...]:
    """Return what the Monitors of a deployment ask for."""
    found = []
    for raw in monitors:
        if raw.get("spec", {}).get("targetRef", {}).get("name") != md.metadata.name or is_deleting(raw):
            continue
        request = MonitorStatus.parse(raw.get("status") or {}).request
        if request is not None:
            found.append(Ask(monitor=raw["metadata"]["name"], uid=raw["metadata"]["uid"], request=request))
    return tuple(found)


def read_version(source: Object | None) -> str | None:
    """Return the digest of a DataSource's current version, or None where there is none."""
    current = DataSourceStatus.parse((source or {}).get("status") or {}).current_version
    return current.digest if current else None


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
