"""Reads what a pass over a DataSource needs: its Jobs, an inline source's ConfigMap, and how far a fetch is."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from treadle.api.datasource import DataSource, FetchAttempt
from treadle.control.engine.ports import CONFIG_MAP, Object, Ports
from treadle.control.jobs import Phase, Runs, Standing, look, poll, stand
from treadle.control.settings import Settings


@dataclass(frozen=True, slots=True)
class Seen:
    """All that a pass read."""

    settings: Settings
    runs: Runs
    config: str | None = None
    """The resourceVersion of an inline source's ConfigMap."""
    percentage: int | None = None
    """What the running pod answered."""

    def having(self, live: Sequence[Object]) -> Seen:
        """Return the same with the Jobs as they are after the apply."""
        return dataclasses.replace(self, runs=self.runs.having(live))

    def standing(self, source: DataSource, now: datetime) -> Standing:
        """Return how the fetch under way stands."""
        last = under_way(source)
        return (
            stand(self.runs.job(last.job_name), self.runs.pods, "ingest", self.settings.image("worker"), now)
            if last
            else Standing(Phase.ABSENT)
        )


async def observe(source: DataSource, ports: Ports) -> Seen:
    """Return what this source's next step depends on."""
    last = under_way(source)
    pod = source.spec.job_template.pod if source.spec.job_template else None
    account = pod.service_account_name if pod else None
    runs = await look(source, last.job_name if last else None, account, ports)
    seen = Seen(settings=ports.settings, runs=runs, config=await _config(source, ports))
    progress = await poll(seen.standing(source, ports.now()).pod, ports)
    return dataclasses.replace(seen, percentage=progress.percentage if progress else None)


def under_way(source: DataSource) -> FetchAttempt | None:
    """Return the recorded fetch that has not ended."""
    last = source.status.last_attempt
    return last if last is not None and last.completion_time is None else None


async def _config(source: DataSource, ports: Ports) -> str | None:
    inline = source.spec.source.inline
    if inline is None:
        return None
    found = await ports.api.get(CONFIG_MAP, source.metadata.namespace, inline.config_map_ref.name)
    return str(found["metadata"]["resourceVersion"]) if found is not None else None
