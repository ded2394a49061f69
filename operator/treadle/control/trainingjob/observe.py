"""Reads what a pass over a TrainingJob needs: the version, the champion to beat, its Jobs, and how far it is."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from treadle.api.base import moment
from treadle.api.datasource import DatasetVersion, DataSourceStatus
from treadle.api.modeldeployment import ModelDeploymentStatus
from treadle.api.step import Progress
from treadle.api.trainingjob import TrainingJob
from treadle.control.engine.ports import DATA_SOURCE, MODEL_DEPLOYMENT, Object, Ports
from treadle.control.jobs import POLL_SECONDS, Phase, Runs, Standing, look, poll, stand
from treadle.control.settings import Settings
from treadle.control.trainingjob.keys import NOBODY, Target, is_resolved, opponent


@dataclass(frozen=True, slots=True)
class Seen:
    """All that a pass read."""

    settings: Settings
    runs: Runs
    has_data_source: bool = False
    version: DatasetVersion | None = None
    """The DataSource's current version."""
    target: Target = NOBODY
    progress: Progress | None = None

    def having(self, live: Sequence[Object]) -> Seen:
        """Return the same with the Jobs as they are after the apply."""
        return dataclasses.replace(self, runs=self.runs.having(live))

    def standing(self, run: TrainingJob, now: datetime) -> Standing:
        """Return how the recorded attempt stands."""
        if run.status.job_name is None or not is_resolved(run.status):
            return Standing(Phase.ABSENT)
        return stand(self.runs.job(run.status.job_name), self.runs.pods, "train", self.settings.image("worker"), now)


async def observe(run: TrainingJob, ports: Ports) -> Seen:
    """Return what this run's next step depends on; a finished run reads nothing more."""
    settings = ports.settings
    if run.status.completion_time is not None:
        return Seen(settings, await look(run, None, None, ports))
    if not is_resolved(run.status):
        data = await ports.api.get(DATA_SOURCE, run.metadata.namespace, run.spec.data_ref.name)
        status = DataSourceStatus.parse((data or {}).get("status") or {})
        return Seen(
            settings,
            await look(run, None, None, ports),
            has_data_source=data is not None,
            version=status.current_version,
            target=await _target(run, ports),
        )
    pod = run.spec.job_template.pod if run.spec.job_template else None
    account = pod.service_account_name if pod else None
    seen = Seen(settings, await look(run, run.status.job_name, account, ports))
    now = ports.now()
    if not is_poll_due(run, now):
        return seen
    return dataclasses.replace(seen, progress=await poll(seen.standing(run, now).pod, ports))


def is_poll_due(run: TrainingJob, now: datetime) -> bool:
    """Say whether the last progress is old enough to be replaced."""
    last = run.status.progress.last_updated_time if run.status.progress else None
    return last is None or (now - moment(last)).total_seconds() >= POLL_SECONDS


async def _target(run: TrainingJob, ports: Ports) -> Target:
    name = opponent(run.spec)
    if name is None:
        return NOBODY
    raw = await ports.api.get(MODEL_DEPLOYMENT, run.metadata.namespace, name)
    status = ModelDeploymentStatus.parse((raw or {}).get("status") or {})
    return Target(name, raw is not None, status.champion.digest if status.champion else None)
