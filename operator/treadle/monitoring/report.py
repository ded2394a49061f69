"""A judged window as a document: what the record keeps and the page shows."""

from collections.abc import Sequence
from dataclasses import dataclass

from treadle.api.base import Json, decimal
from treadle.api.monitor import Drift, DriftColumn, QualityLimits, Window
from treadle.api.step import DriftFound, MonitorStep
from treadle.monitoring.drift import Compared
from treadle.monitoring.evidence import Log, Reference
from treadle.monitoring.quality import Quality, Share
from treadle.monitoring.samples import Pair, Skipped
from treadle.monitoring.shape import Shape, shape
from treadle.monitoring.verdict import Findings, Verdict

FORMAT = "treadle.dev/window/v1"
COLUMNS_REPORTED = 10


@dataclass(frozen=True, slots=True)
class Rules:
    """What a Monitor asks for, after defaulting."""

    window: Window
    drift: Drift
    quality: QualityLimits


@dataclass(frozen=True, slots=True)
class Judged:
    """A window with all that was found in it."""

    log: Log
    samples: dict[str, Pair]
    """What is compared, for drift or quality, by column."""
    compared: Sequence[Compared]
    """Worst first."""
    quality: Sequence[Quality]
    skipped: Sequence[Skipped]
    findings: Findings
    verdict: Verdict


def document(step: MonitorStep, rules: Rules, judged: Judged, reference: Reference) -> Json:
    """Return a window as JSON, without a float."""
    log = judged.log
    low, high = log.percents
    return {
        "format": FORMAT,
        "run": step.run,
        "monitor": step.owner.name,
        "deployment": step.deployment,
        "champion": step.champion,
        "window": {**step.window.dump(), "samples": log.tally.answered},
        "verdict": {
            "outcome": judged.verdict.outcome.value,
            "reason": judged.verdict.reason.value,
            "message": judged.verdict.message,
        },
        "findings": {name: found.dump() for name, found in judged.findings.items()},
        "log": {
            "parts": len(log.parts),
            "percent": {"lowest": low, "highest": high},
            "dropped": log.dropped,
            "answered": log.tally.answered,
            "byChampion": log.tally.by_champion,
            "compared": log.kept,
            "requests": log.tally.requests,
            "refused": log.tally.refused,
            "failed": log.tally.failed,
        },
        "reference": {"digest": reference.digest, "rows": reference.rows},
        "rules": {name: getattr(rules, name).dump() for name in ("window", "drift", "quality")},
        "columns": columns(judged),
        "skipped": [{"name": column.name, "why": column.why} for column in judged.skipped],
    }


def columns(judged: Judged) -> list[Json]:
    """Return all columns that were looked at: the tested ones worst first, then the others."""
    compared = {row.column: row for row in judged.compared}
    quality = {row.column: row for row in judged.quality}
    names = [*compared, *(name for name in judged.samples if name not in compared)]
    return [
        {
            "name": name,
            "drift": tested(compared[name]) if name in compared else None,
            "quality": measured(quality[name]) if name in quality else None,
            "shape": drawn(shape(judged.samples[name])),
        }
        for name in names
    ]


def tested(row: Compared) -> Json:
    """Return a column's test as JSON."""
    return {**drift_column(row).dump(), "moved": row.moved}


def measured(row: Quality) -> Json:
    """Return a column's shares as JSON."""
    shares = {"nulls": row.nulls, "unseen": row.unseen, "outside": row.outside}
    return {"rows": row.rows, **{name: None if share is None else sides(share) for name, share in shares.items()}}


def sides(share: Share) -> Json:
    """Return both sides of a share as JSON."""
    return {"window": decimal(share.window), "reference": decimal(share.reference), "beyond": decimal(share.beyond)}


def drawn(bars: Shape) -> Json:
    """Return a column's bars as JSON."""
    return {
        "ordered": bars.is_ordered,
        "labels": list(bars.labels),
        "reference": [decimal(share) for share in bars.reference],
        "window": [decimal(share) for share in bars.window],
        "hidden": bars.hidden,
    }


def drift_found(compared: Sequence[Compared]) -> DriftFound | None:
    """Return what status says of drift: the share of columns that moved, and the worst; None if none was tested."""
    if not compared:
        return None
    score = sum(row.moved for row in compared) / len(compared)
    return DriftFound(score=decimal(score), columns=[drift_column(row) for row in compared[:COLUMNS_REPORTED]])


def drift_column(row: Compared) -> DriftColumn:
    """Return a column's test as status shows it."""
    return DriftColumn(
        name=row.column,
        test=row.distance.test,
        statistic=decimal(row.distance.statistic),
        p_value=decimal(row.distance.p_value),
        adjusted_p_value=decimal(row.adjusted),
        effect=decimal(row.distance.effect),
    )
