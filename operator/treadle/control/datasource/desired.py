"""The children of a DataSource: the ingest Job of the recorded fetch, and finished ones."""

from collections.abc import Sequence
from datetime import datetime

from treadle.api.datasource import DataSource, FetchAttempt, PrivacyAction
from treadle.api.step import IngestStep
from treadle.control.datasource.observe import Seen, under_way
from treadle.control.engine.objects import keep
from treadle.control.engine.ports import Object
from treadle.control.jobs import Phase, address, kept, lasting, run_of, step_owner
from treadle.control.podspec import Mounts, Run, step_job

STORE = "treadle-store"
PRIVACY = "treadle-privacy"


def desired(source: DataSource, seen: Seen, now: datetime) -> Sequence[Object]:
    """Return the Jobs that should exist now; one that is lost is left out, so that it is made again."""
    last = under_way(source)
    ended = source.status.last_attempt.job_name if source.status.last_attempt and last is None else None
    others = [job for job in seen.runs.jobs if last is None or job["metadata"]["name"] != last.job_name]
    finished = kept(others, ended)
    if last is None:
        return finished
    live, phase = seen.runs.job(last.job_name), seen.standing(source, now).phase
    if live is not None:
        return finished if phase is Phase.LOST else [keep(live), *finished]
    # Suspended: no fetch begins, and one that runs goes on. A fetch of a former spec is recorded anew first.
    if source.spec.suspend or last.generation != source.metadata.generation:
        return finished
    return [ingest_job(source, last, seen), *finished]


def ingest_job(source: DataSource, last: FetchAttempt, seen: Seen) -> Object:
    """Return the Job of a recorded fetch."""
    store = source.spec.store_ref.name if source.spec.store_ref else STORE
    current = source.status.current_version
    step = IngestStep(
        run=run_of(last.job_name),
        run_key=last.run_key,
        attempt=last.attempt,
        owner=step_owner(source),
        store=address(store, seen.runs.prefix),
        spec=source.spec,
        current=current.digest if current else None,
    )
    run = Run(last.job_name, step.step, step.dump(), last.run_key, last.attempt)
    return step_job(source, run, lasting(source.spec.job_template), mounts(source, store), seen.settings)


def mounts(source: DataSource, store: str) -> Mounts:
    """Return the Secrets and ConfigMaps that a fetch reads."""
    found = source.spec.source
    remote = found.s3 or found.http
    secrets: dict[str, tuple[str, ...]] = {store: ()}
    if remote is not None and remote.secret_ref is not None:
        secrets[remote.secret_ref.name] = ()
    privacy = source.spec.privacy
    if privacy is not None and any(policy.action is PrivacyAction.HASH for policy in privacy.policies or ()):
        secrets[privacy.secret_ref.name if privacy.secret_ref else PRIVACY] = ("hash.key",)
    configs = [
        *([remote.ca_ref.name] if remote is not None and remote.ca_ref is not None else []),
        *([found.inline.config_map_ref.name] if found.inline is not None else []),
    ]
    return Mounts(secrets=secrets, configs=tuple(configs))
