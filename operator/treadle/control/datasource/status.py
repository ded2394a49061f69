"""What a pass concludes about a DataSource: version, last fetch, conditions."""

from collections.abc import Sequence
from datetime import datetime

from treadle.api.base import moment, stamp
from treadle.api.conditions import Condition, no, paged, unknown, yes
from treadle.api.datasource import (
    CheckRow,
    Classification,
    DatasetVersion,
    DataSource,
    DataSourceStatus,
    FetchAttempt,
    FetchResult,
    Severity,
    VersionRow,
)
from treadle.api.names import short
from treadle.api.reasons import WORLD, Reason
from treadle.api.step import IngestResult
from treadle.control.datasource.due import ALSO_THE_WORLDS, CONFIG_LOOK, due, next_scheduled, retry_time
from treadle.control.datasource.observe import Seen, under_way
from treadle.control.engine.conditions import reconciling_and_stalled
from treadle.control.engine.ports import Event, Outcome
from treadle.control.engine.reconcile import STALLED_SECONDS
from treadle.control.jobs import HINDRANCES, POLL_SECONDS, Standing, with_hindrance
from treadle.control.judged import carried, former, has_turned, told, written

STAGES = ("Fetched", "SchemaValid", "PrivacyApplied", "QualityPassed")
CONDITIONS = ("Ready", *STAGES, "Reconciling", "Stalled")
STANDING = (WORLD | ALSO_THE_WORLDS) - HINDRANCES
QUIET = frozenset({Reason.FETCHING, Reason.SUSPENDED, Reason.NOT_JUDGED})
VERSIONS_KEPT = 10
CHECKS_KEPT = 10
REFUSED = (FetchResult.REJECTED, FetchResult.FAILED)


def status(source: DataSource, seen: Seen, now: datetime) -> Outcome:
    """Return the whole status: the record of this pass, and every condition."""
    before, last = source.status, under_way(source)
    standing = with_hindrance(seen.standing(source, now), former(before.conditions, "Ready"))
    if last is not None and standing.has_ended and (source.spec.suspend or last.generation == generation(source)):
        record = taken(before, last, standing, now)
        stages = judged(source, standing)
    elif (started := due(source, seen.config, now)) is not None:
        record = started
        is_new = before.last_attempt is None or before.last_attempt.generation != generation(source)
        stages = [] if is_new else carried(before.conditions, STAGES)
    else:
        record = with_progress(before, seen.percentage, now)
        stages = carried(before.conditions, STAGES)
    summary = ready(source, record, stages, standing)
    settled = has_settled(source, record)
    trouble = summary if summary.status == "False" and summary.reason not in QUIET else None
    kstatus = reconciling_and_stalled(settled=settled, stalled=trouble, waiting=standing.message)
    following = next_scheduled(source, now)
    final = record.model_copy(
        update={
            "observed_generation": generation(source),
            "settled_generation": generation(source) if settled else before.settled_generation,
            "next_schedule_time": stamp(following) if following is not None else None,
        }
    ).dump()
    conditions = written(CONDITIONS, before.conditions, [summary, *stages, *kstatus], now, generation(source))
    return Outcome(
        status={**final, "conditions": conditions},
        events=events(before, record, summary, stages),
        again=next_look(source, record, following, now, is_stalled=trouble is not None),
    )


def generation(source: DataSource) -> int:
    """Return the generation of spec that this pass judges."""
    return source.metadata.generation


def taken(before: DataSourceStatus, last: FetchAttempt, standing: Standing, now: datetime) -> DataSourceStatus:
    """Return the record with what a fetch that ended brought."""
    result = standing.result if isinstance(standing.result, IngestResult) else None
    outcome = FetchResult(result.outcome) if result is not None else FetchResult.FAILED
    reason, message = told_by(standing)
    attempt = last.model_copy(
        update={
            "completion_time": stamp(standing.ended_at or now),
            "result": outcome,
            "reason": str(reason),
            "message": paged(reason, message) if outcome in REFUSED else message,
            "percentage": None,
        }
    )
    found = version_of(result, before.current_version)
    return before.model_copy(
        update={
            "last_attempt": attempt,
            "current_version": found,
            "versions": versions(before, found),
            "checks": worst_first(result.checks) if result is not None and result.checks else None,
        }
    )


def told_by(standing: Standing) -> tuple[Reason, str]:
    """Return why a fetch ended as it did."""
    if standing.result is not None:
        return standing.result.reason, standing.result.message
    return standing.reason or Reason.RESULT_MISSING, standing.message


def version_of(result: IngestResult | None, current: DatasetVersion | None) -> DatasetVersion | None:
    """Return the version in use after a fetch; one that was met again stays as it was recorded."""
    if result is None or result.version is None:
        return current
    if current is not None and current.digest == result.version.digest:
        return current.model_copy(update={"warnings": result.version.warnings})
    found = result.version.dump()
    return DatasetVersion.parse({**found, "short": short(found["digest"]), "publishedAt": result.completed_at})


def versions(before: DataSourceStatus, current: DatasetVersion | None) -> list[VersionRow] | None:
    """Return the history, newest first; a version that is published again moves to the front."""
    rows = list(before.versions or [])
    if current is None or (rows and rows[0].digest == current.digest):
        return before.versions
    row = VersionRow(digest=current.digest, rows=current.rows, published_at=current.published_at)
    return [row, *(other for other in rows if other.digest != current.digest)][:VERSIONS_KEPT]


def worst_first(checks: Sequence[CheckRow]) -> list[CheckRow]:
    """Return what checks found: those that block first, then by the share of rows."""
    ordered = sorted(checks, key=lambda row: (row.severity is not Severity.BLOCK, -float(row.fraction), row.name))
    return ordered[:CHECKS_KEPT]


def judged(source: DataSource, standing: Standing) -> list[Condition]:
    """Return the four stages of a fetch that ended: those before the failed one are True, those after it Unknown."""
    result = standing.result if isinstance(standing.result, IngestResult) else None
    good = {
        "Fetched": yes("Fetched", Reason.FETCHED),
        "SchemaValid": yes("SchemaValid", Reason.SCHEMA_VALID),
        "PrivacyApplied": yes("PrivacyApplied", privacy(source, result)),
        "QualityPassed": quality(result),
    }
    # A step that ends without a word has not said how far it came.
    failed = result.failed if result is not None else "Fetched"
    if failed not in STAGES:
        return list(good.values())
    reason, message = told_by(standing)
    place = STAGES.index(failed)
    refused = no(failed, reason, paged(reason, message))
    return [*(good[stage] for stage in STAGES[:place]), refused, *(unknown(stage) for stage in STAGES[place + 1 :])]


def privacy(source: DataSource, result: IngestResult | None) -> Reason:
    """Return whether a policy had anything to act upon."""
    declared = any(column.classification not in (None, Classification.PUBLIC) for column in source.spec.schema_.columns)
    return Reason.APPLIED if declared or (result is not None and result.protected) else Reason.NO_PERSONAL_COLUMNS


def quality(result: IngestResult | None) -> Condition:
    """Return that the checks passed, with or without warnings."""
    warned = [row.name for row in result.checks] if result is not None else []
    if not warned:
        return yes("QualityPassed", Reason.CHECKS_PASSED)
    return yes("QualityPassed", Reason.PASSED_WITH_WARNINGS, f"{', '.join(warned)} warned; see status.checks")


def ready(source: DataSource, record: DataSourceStatus, stages: Sequence[Condition], standing: Standing) -> Condition:
    """Return whether there is a version to use."""
    current, last = record.current_version, record.last_attempt
    if source.spec.suspend:
        message = "spec.suspend is true: nothing is fetched; set it to false"
        return yes("Ready", Reason.SUSPENDED, message) if current else no("Ready", Reason.SUSPENDED, message)
    failed = next((stage for stage in stages if stage.status == "False"), None)
    result = last.result if last is not None else None
    if current is not None:
        held = former(source.status.conditions, "Ready")
        is_refused = failed is not None or result in REFUSED
        is_tried_again = result is None and last is not None and last.attempt > 0 and held is not None
        if is_refused or (is_tried_again and held is not None and held.reason == Reason.SERVING_PREVIOUS_VERSION):
            return previous(current, failed, last)
        return yes("Ready", Reason.VERSION_PUBLISHED, f"version {current.short}, {current.rows} rows")
    if failed is not None:
        return no("Ready", Reason(failed.reason), failed.message)
    if result in REFUSED and last is not None:
        return no("Ready", Reason(last.reason or Reason.RESULT_MISSING), last.message or "")
    if standing.is_hindered and standing.reason is not None:
        return no("Ready", standing.reason, paged(standing.reason, standing.message))
    return tried_again(source, last) or no("Ready", Reason.FETCHING, "the first version is being fetched")


def previous(current: DatasetVersion, failed: Condition | None, last: FetchAttempt | None) -> Condition:
    """Return that an older version stays in use."""
    why = f"{failed.type} is False: {failed.reason}" if failed is not None else f"{last.reason if last else None}"
    message = f"version {current.short} stays in use; newer bytes were refused or not reached ({why})"
    return yes("Ready", Reason.SERVING_PREVIOUS_VERSION, paged(Reason.SERVING_PREVIOUS_VERSION, message))


def tried_again(source: DataSource, last: FetchAttempt | None) -> Condition | None:
    """Return the world's trouble with this fetch, which stands until its last pod has ended, or None."""
    held, before = former(source.status.conditions, "Ready"), source.status.last_attempt
    if held is None or last is None or held.status != "False" or held.reason not in STANDING:
        return None
    is_begun_now = before is None or before.job_name != last.job_name
    return None if is_begun_now and last.attempt == 0 else held


def has_settled(source: DataSource, record: DataSourceStatus) -> bool:
    """Say whether this generation's fetch has ended, either way, with a version in use."""
    if source.spec.suspend or (source.status.settled_generation or 0) >= generation(source):
        return True
    last = record.last_attempt
    return (
        record.current_version is not None
        and last is not None
        and last.generation == generation(source)
        and last.completion_time is not None
    )


def with_progress(before: DataSourceStatus, percentage: int | None, now: datetime) -> DataSourceStatus:
    """Return the record with the progress that the pod told, on average written every ten seconds at most."""
    last = before.last_attempt
    if last is None or last.completion_time is not None or last.start_time is None or percentage is None:
        return before
    told_before = last.percentage or 0
    # Each write is ten points or more, so that there were at most told_before / 10 of them.
    allowed_after = POLL_SECONDS * (1 + told_before // 10)
    if percentage < told_before + 10 or (now - moment(last.start_time)).total_seconds() < allowed_after:
        return before
    return before.model_copy(update={"last_attempt": last.model_copy(update={"percentage": percentage})})


def events(
    before: DataSourceStatus, record: DataSourceStatus, summary: Condition, stages: Sequence[Condition]
) -> list[Event]:
    """Return what changed: a new version, a refusal, the end of one."""
    current, last = record.current_version, before.current_version
    if current is not None and (last is None or last.digest != current.digest):
        return [Event(Reason.VERSION_PUBLISHED, summary.message)]
    refused = [stage for stage in stages if stage.status == "False" and has_turned(before.conditions, stage)]
    if refused:
        return [Event(refused[0].reason, refused[0].message, "Warning")]
    if summary.reason in QUIET or (summary.status == "True" and not before.conditions):
        return []
    return told(before.conditions, summary, is_warning=summary.status == "False")


def next_look(
    source: DataSource, record: DataSourceStatus, following: datetime | None, now: datetime, *, is_stalled: bool
) -> float | None:
    """Return in how many seconds something is due."""
    if source.spec.suspend:
        return None
    looks = [STALLED_SECONDS] if is_stalled else []
    if record.last_attempt is not None and record.last_attempt.completion_time is None:
        looks.append(POLL_SECONDS)
    if source.spec.source.inline is not None:
        looks.append(CONFIG_LOOK.total_seconds())
    looks += [(when - now).total_seconds() for when in (following, retry_time(record.last_attempt)) if when is not None]
    return max(0.0, min(looks)) if looks else None
