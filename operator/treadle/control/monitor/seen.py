"""What one pass over a Monitor saw, as values that the pure modules judge."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from treadle.api.datasource import DatasetVersion
from treadle.api.modeldeployment import ModelDeploymentStatus, RequestRow
from treadle.api.monitor import Monitor
from treadle.api.trainingjob import DataWindow, TrainingJobStatus
from treadle.control.engine.ports import Object
from treadle.control.jobs import Phase, Runs, Standing, stand
from treadle.control.settings import Settings


@dataclass(frozen=True, slots=True)
class Watched:
    """The ModelDeployment that is watched, as far as a Monitor looks at it."""

    status: ModelDeploymentStatus
    has_template: bool
    is_logged: bool
    """Whether any prediction is kept."""
    data_name: str | None = None
    """The DataSource of its template."""

    @property
    def champion(self) -> str | None:
        return self.status.champion.digest if self.status.champion else None


@dataclass(frozen=True, slots=True)
class Retrained:
    """The TrainingJob that came of a request."""

    name: str
    status: TrainingJobStatus
    window: DataWindow | None = None

    @property
    def is_finished(self) -> bool:
        return self.status.completion_time is not None


@dataclass(frozen=True, slots=True)
class Seen:
    """All that a pass read."""

    settings: Settings
    runs: Runs
    watched: Watched | None = None
    version: DatasetVersion | None = None
    """The current version of the template's DataSource; absent unless a retrain may be asked for."""
    answer: RequestRow | None = None
    """What the ModelDeployment says of this Monitor's request."""
    retrained: Retrained | None = None

    @property
    def champion(self) -> str | None:
        return self.watched.champion if self.watched is not None else None

    def having(self, live: Sequence[Object]) -> Seen:
        """Return the same with the Jobs as they are after the apply."""
        return dataclasses.replace(self, runs=self.runs.having(live))

    def standing(self, monitor: Monitor, now: datetime) -> Standing:
        """Return how the window under judgement stands."""
        attempt = monitor.status.attempt
        if attempt is None or attempt.finished:
            return Standing(Phase.ABSENT)
        return stand(self.runs.job(attempt.job_name), self.runs.pods, "monitor", self.settings.image("worker"), now)


def read_watched(raw: Object | None) -> Watched | None:
    """Return a ModelDeployment as a Monitor looks at it, or None where it does not exist."""
    if raw is None:
        return None
    spec: Object = raw.get("spec") or {}
    template = ((spec.get("training") or {}).get("template") or {}).get("spec")
    return Watched(
        status=ModelDeploymentStatus.parse(raw.get("status") or {}),
        has_template=template is not None,
        is_logged=(spec.get("logger") or {}).get("percent", 100) > 0,
        data_name=((template or {}).get("dataRef") or {}).get("name"),
    )
