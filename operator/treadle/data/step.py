"""One fetch, from a source to a version: the stages in their order."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import pyarrow as pa

from treadle import sql
from treadle.api.base import Json, stamp
from treadle.api.datasource import CheckRow, Leakage
from treadle.api.names import canonical
from treadle.api.reasons import Reason
from treadle.api.step import DEFAULT_MOUNTS, ENV_MOUNTS, IngestResult, IngestStep, Report
from treadle.data.check import check
from treadle.data.collect import SourceFile, collect
from treadle.data.constrain import constrain
from treadle.data.leakage import leakage
from treadle.data.profile import profile
from treadle.data.protect import Protected, protect
from treadle.data.publish import Published, point, publish
from treadle.data.refused import Refused
from treadle.data.schema import read
from treadle.data.split import split
from treadle.data.transform import transform
from treadle.store.errors import StoreError
from treadle.store.manifest import digest_of, publish_record, read_record
from treadle.store.port import ObjectStore

RECORD = "treadle.dev/run/v1"
CHECKS_REPORTED = 10


@dataclass(frozen=True, slots=True)
class Prepared:
    """A version that only waits to be published."""

    parts: dict[str, pa.Table]
    protected: Protected
    profile: bytes
    warnings: list[CheckRow]
    sources: list[Json]
    """The files that were read: place, size and sha256."""


def ingest(spec: IngestStep, store: ObjectStore, report: Report) -> IngestResult:
    """Fetch a source once and publish what it holds as an immutable version; refusals are results, not errors."""
    earlier = read_record(store, "ingest", spec.run_key)
    if earlier is not None:
        return recorded(earlier)
    started = stamp(datetime.now(UTC))
    try:
        prepared = prepare(spec, Path(os.environ.get(ENV_MOUNTS, DEFAULT_MOUNTS)), report)
    except Refused as refused:
        return ended(spec, started, refused.outcome, refused, refused.condition)
    except StoreError as error:
        return ended(spec, started, "Failed", error, "Fetched")
    try:
        report.stage("publish", 0.85)
        published = publish(spec, store, prepared.parts, prepared.protected, prepared.profile)
        result = record(spec, store, finished(spec, started, published, prepared), prepared.sources)
        if result.version is not None:
            point(spec, store, result.version)
    except StoreError as error:
        return ended(spec, started, "Failed", error, None)
    return result


def prepare(step: IngestStep, mounts: Path, report: Report) -> Prepared:
    """Return the rows of a source, typed, shaped, protected, checked and split; raise Refused or StoreError."""
    spec, engine, sources = step.spec, sql.connect(), list[Json]()
    with engine:
        report.stage("collect", 0.0)
        typed = read(noted(collect(spec.source, mounts, step.owner.namespace), sources), spec)
        report.stage("transform", 0.4)
        shaped = transform(engine, typed, spec)
        constrain(engine, shaped, spec, typed.where)
        report.stage("protect", 0.5)
        protected = protect(shaped, spec, mounts)
        report.stage("check", 0.55)
        quality = spec.quality
        checks = (quality.checks if quality is not None else None) or []
        warnings = check(engine, protected.table, checks, typed.where)
    report.stage("split", 0.6)
    parts = split(protected.table, protected.fields, spec.split)
    report.stage("leakage", 0.7)
    rule = quality.leakage if quality is not None else Leakage.BLOCK
    warnings += leakage(parts, protected.fields, rule, spec.split)
    report.stage("profile", 0.8)
    return Prepared(parts, protected, profile(protected.table, protected.fields), warnings, sources)


def noted(files: Iterable[SourceFile], sources: list[Json]) -> Iterator[SourceFile]:
    """Yield files on, and note which bytes they are, so that lineage reaches what was read."""
    for file in files:
        sources.append({"place": file.place, "bytes": len(file.data), "sha256": sha256(file.data).hexdigest()})
        yield file


def finished(step: IngestStep, started: str, published: Published, prepared: Prepared) -> IngestResult:
    """Return the result of a version that is in the store."""
    version = published.version.model_copy(update={"warnings": len(prepared.warnings)})
    warned = f", {len(prepared.warnings)} warnings" if prepared.warnings else ""
    same = "" if published.outcome == "Published" else "; same content and rules as the current version"
    return IngestResult(
        run=step.run,
        outcome=published.outcome,
        reason=Reason.VERSION_PUBLISHED,
        message=f"{version.rows} rows{warned}{same}",
        started_at=started,
        completed_at=stamp(datetime.now(UTC)),
        version=version,
        checks=prepared.warnings[:CHECKS_REPORTED],
        protected=prepared.protected.protected,
    )


def record(step: IngestStep, store: ObjectStore, result: IngestResult, sources: list[Json]) -> IngestResult:
    """Write down how a run ended, and return what stands there: of two writers, the first's result."""
    document = {"format": RECORD, "step": "ingest", "run": step.run, "sources": sources, "result": result.dump()}
    return recorded(publish_record(store, "ingest", step.run_key, document))


def recorded(document: dict[str, object]) -> IngestResult:
    """Return the result that a run record holds, with the record's digest."""
    result = IngestResult.parse(document["result"])
    return result.model_copy(update={"record": digest_of(canonical(document))})


def ended(
    step: IngestStep, started: str, outcome: str, cause: Refused | StoreError, failed: str | None
) -> IngestResult:
    """Return the result of a run without a version."""
    return IngestResult.parse(
        {
            "run": step.run,
            "outcome": outcome,
            "reason": cause.reason,
            "message": cause.message,
            "failed": failed,
            "startedAt": started,
            "completedAt": stamp(datetime.now(UTC)),
        }
    )
