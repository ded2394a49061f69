"""The children of a TrainingJob: the Job of the recorded attempt, and finished ones."""

from collections.abc import Sequence
from datetime import datetime

from treadle.api.blocks import SigningRef, StoreRef
from treadle.api.step import TrainStep
from treadle.api.trainingjob import ResolvedData, TrainingJob
from treadle.control.engine.ports import Object
from treadle.control.jobs import address, kept, lasting, run_of, step_owner, wished
from treadle.control.podspec import Mounts, Run, step_job
from treadle.control.trainingjob.keys import is_resolved
from treadle.control.trainingjob.observe import Seen


def desired(run: TrainingJob, seen: Seen, now: datetime) -> Sequence[Object]:
    """Return the Jobs that should exist now; one that is lost is left out, so that it is made again."""
    record, name = run.status, run.status.job_name
    if record.completion_time is not None or name is None or record.data is None or not is_resolved(record):
        return kept(seen.runs.jobs, name)
    made = None if run.spec.suspend else train_job(run, name, record.data, seen)
    return wished(seen.runs, name, seen.standing(run, now), made, is_suspended=run.spec.suspend)


def train_job(run: TrainingJob, name: str, data: ResolvedData, seen: Seen) -> Object:
    """Return the Job of the recorded attempt."""
    record = run.status
    store = (run.spec.store_ref or StoreRef()).name
    key, attempt = record.run_key or "", record.retries or 0
    step = TrainStep(
        run=run_of(name),
        run_key=key,
        attempt=attempt,
        owner=step_owner(run),
        store=address(store, seen.runs.prefix),
        spec=run.spec,
        data=data.digest,
        champion=record.champion,
        cause=run.spec.trigger,
    )
    signing = run.spec.output.signing if run.spec.output else None
    signer = ((signing and signing.secret_ref) or SigningRef()).name
    # The public key verifies the champion before it is scored.
    mounts = Mounts(secrets={store: (), signer: ("private.pem", "public.pem")})
    return step_job(
        run, Run(name, step.step, step.dump(), key, attempt), lasting(run.spec.job_template), mounts, seen.settings
    )
