"""Reads what a pass over a Monitor needs: its target, its Jobs, and what became of its request."""

from treadle.api.datasource import DatasetVersion, DataSourceStatus
from treadle.api.modeldeployment import RequestRow
from treadle.api.monitor import ActionKind, Monitor
from treadle.api.trainingjob import DataWindow, TrainingJobStatus
from treadle.control.engine.ports import DATA_SOURCE, MODEL_DEPLOYMENT, TRAINING_JOB, Ports
from treadle.control.jobs import look
from treadle.control.monitor.seen import Retrained, Seen, Watched, read_watched


async def observe(monitor: Monitor, ports: Ports) -> Seen:
    """Return what this monitor's next step depends on."""
    attempt = monitor.status.attempt
    is_open = attempt is not None and not attempt.finished
    pod = monitor.spec.job_template.pod if monitor.spec.job_template else None
    account = pod.service_account_name if pod else None
    runs = await look(monitor, attempt.job_name if attempt is not None and is_open else None, account, ports)
    watched = await _watched(monitor, ports)
    answer = answer_of(monitor, watched)
    return Seen(
        settings=ports.settings,
        runs=runs,
        watched=watched,
        version=await _version(monitor, watched, ports),
        answer=answer,
        retrained=await _retrained(monitor, answer, ports),
    )


def answer_of(monitor: Monitor, watched: Watched | None) -> RequestRow | None:
    """Return the row in which the ModelDeployment answers this Monitor's request."""
    request = monitor.status.request
    if request is None or watched is None:
        return None
    who = (request.id, f"Monitor/{monitor.metadata.name}")
    return next((row for row in watched.status.requests or () if (row.id, row.from_) == who), None)


async def _watched(monitor: Monitor, ports: Ports) -> Watched | None:
    return read_watched(await ports.api.get(MODEL_DEPLOYMENT, monitor.metadata.namespace, monitor.spec.target_ref.name))


async def _version(monitor: Monitor, watched: Watched | None, ports: Ports) -> DatasetVersion | None:
    retrains = any(action.do is ActionKind.RETRAIN for action in monitor.spec.actions or ())
    if not retrains or watched is None or watched.data_name is None:
        return None
    raw = await ports.api.get(DATA_SOURCE, monitor.metadata.namespace, watched.data_name)
    return DataSourceStatus.parse((raw or {}).get("status") or {}).current_version


async def _retrained(monitor: Monitor, answer: RequestRow | None, ports: Ports) -> Retrained | None:
    known = monitor.status.retrain.training_job if monitor.status.retrain else None
    name = (answer.ref if answer is not None else None) or known
    if name is None:
        return None
    raw = await ports.api.get(TRAINING_JOB, monitor.metadata.namespace, name)
    if raw is None:
        return None
    window = ((raw.get("spec") or {}).get("dataRef") or {}).get("window")
    return Retrained(
        name=name,
        status=TrainingJobStatus.parse(raw.get("status") or {}),
        window=DataWindow.parse(window) if window else None,
    )
