"""The children of a DataSource: the ingest Job of the recorded fetch, and finished ones."""

from collections.abc import Sequence
from datetime import datetime

from treadle.api.blocks import PrivacyRef, StoreRef
from treadle.api.datasource import DataSource, FetchAttempt, PrivacyAction
from treadle.api.step import IngestStep
from treadle.control.datasource.observe import Seen, under_way
from treadle.control.engine.ports import Object
from treadle.control.jobs import address, kept, lasting, run_of, step_owner, wished
from treadle.control.podspec import Mounts, Run, step_job


def desired(source: DataSource, seen: Seen, now: datetime) -> Sequence[Object]:
    """Return the Jobs that should exist now; one that is lost is left out, so that it is made again."""
    last = under_way(source)
    if last is None:
        return kept(seen.runs.jobs, source.status.last_attempt.job_name if source.status.last_attempt else None)
    # Suspended: no fetch begins, and one that runs goes on. A fetch of a former spec is recorded anew first.
    may_begin = not source.spec.suspend and last.generation == source.metadata.generation
    made = ingest_job(source, last, seen) if may_begin else None
    return wished(seen.runs, last.job_name, seen.standing(source, now), made)


def ingest_job(source: DataSource, last: FetchAttempt, seen: Seen) -> Object:
    """Return the Job of a recorded fetch."""
    store = (source.spec.store_ref or StoreRef()).name
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
        secrets[(privacy.secret_ref or PrivacyRef()).name] = ("hash.key",)
    configs = [
        *([remote.ca_ref.name] if remote is not None and remote.ca_ref is not None else []),
        *([found.inline.config_map_ref.name] if found.inline is not None else []),
    ]
    return Mounts(secrets=secrets, configs=tuple(configs))
