"""Which fetch is due: from spec, request, ConfigMap and clock to the attempt that status records."""

from datetime import datetime, timedelta

from treadle.api.base import Json, moment, stamp
from treadle.api.datasource import DataSource, DataSourceStatus, FetchAttempt, FetchResult
from treadle.api.names import ANNOTATION_REQUESTED_AT, job_name, sha256
from treadle.api.reasons import Reason
from treadle.control.clock import following_due, newest_due
from treadle.control.jobs import retry

# What says when and where to fetch, and not what comes of it.
NO_INPUTS = frozenset({"schedule", "timeZone", "suspend", "jobTemplate", "storeRef"})
ALSO_THE_WORLDS = frozenset({Reason.SOURCE_CHANGED})
CONFIG_LOOK = timedelta(seconds=60)
"""An inline source's ConfigMap carries no label of ours, so that no event tells of it."""


def due(source: DataSource, config: str | None, now: datetime) -> DataSourceStatus | None:
    """Return the record with the fetch that is due now, or None.

    config: the resourceVersion of an inline source's ConfigMap; None for other sources, and where there is none.
    """
    last = source.status.last_attempt
    if source.spec.suspend:
        return None
    if last is None or last.generation != source.metadata.generation:
        created = source.metadata.creation_timestamp
        return begun(source, {"generation": source.metadata.generation, "created": created}, config, now)
    if last.completion_time is None:
        return None
    if (asked := requested(source)) is not None:
        return begun(source, {"request": asked}, config, now)
    if config is not None and config != last.config_map_version:
        return begun(source, {"configMap": config}, config, now)
    if (when := scheduled(source, now)) is not None:
        return begun(source, {"due": stamp(when)}, config, now)
    again = retry_time(last)
    return begun_again(source, last, now) if again is not None and again <= now else None


def begun(source: DataSource, cause: Json, config: str | None, now: datetime) -> DataSourceStatus:
    """Return the record with a new fetch; it meets every wish that stands at its start."""
    key = run_key(source, cause)
    attempt = FetchAttempt(
        job_name=job_name(source.kind, source.metadata.name, key, 0),
        run_key=key,
        generation=source.metadata.generation,
        config_map_version=config,
        start_time=stamp(now),
    )
    when = scheduled(source, now)
    return source.status.model_copy(
        update={
            "last_attempt": attempt,
            "handled_request": requested(source) or source.status.handled_request,
            "last_schedule_time": stamp(when) if when is not None else source.status.last_schedule_time,
        }
    )


def begun_again(source: DataSource, last: FetchAttempt, now: datetime) -> DataSourceStatus:
    """Return the record with one more attempt of the last fetch, under its run key."""
    number = last.attempt + 1
    attempt = FetchAttempt(
        job_name=job_name(source.kind, source.metadata.name, last.run_key, number),
        run_key=last.run_key,
        attempt=number,
        generation=last.generation,
        config_map_version=last.config_map_version,
        start_time=stamp(now),
    )
    return source.status.model_copy(update={"last_attempt": attempt})


def run_key(source: DataSource, cause: Json) -> str:
    """Return the hash of a fetch's inputs: the source's name, what the version is made of, and why now."""
    inputs = {key: value for key, value in source.spec.dump().items() if key not in NO_INPUTS}
    return sha256({"name": source.metadata.name, "inputs": inputs, "cause": cause})


def requested(source: DataSource) -> str | None:
    """Return a person's request that was not acted on yet."""
    value = source.metadata.annotations.get(ANNOTATION_REQUESTED_AT, "").strip()[:64]
    return value if value and value != source.status.handled_request else None


def scheduled(source: DataSource, now: datetime) -> datetime | None:
    """Return the newest due time that no fetch has met; older ones are skipped."""
    spec, last = source.spec, source.status.last_attempt
    if spec.schedule is None or last is None or last.start_time is None:
        return None
    return newest_due(spec.schedule, spec.time_zone, moment(last.start_time), now)


def next_scheduled(source: DataSource, now: datetime) -> datetime | None:
    """Return the next due time."""
    if source.spec.schedule is None or source.spec.suspend:
        return None
    return following_due(source.spec.schedule, source.spec.time_zone, now)


def retry_time(last: FetchAttempt | None) -> datetime | None:
    """Return when a fetch that the world hindered is tried again, or None."""
    if last is None or last.result is not FetchResult.FAILED or last.completion_time is None:
        return None
    ended = moment(last.completion_time)
    found = retry(last.attempt, last.reason, ended, ended, also=ALSO_THE_WORLDS)
    return found.at if found is not None else None
