"""Compares the arms at the current weight, metric by metric."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from treadle.api.arms import LATENCY_BOUNDS_MILLISECONDS
from treadle.api.base import decimal
from treadle.api.modeldeployment import Analysis, AnalysisMetric, AnalysisName, AnalysisRow, Candidate, Samples
from treadle.api.reasons import Reason
from treadle.control.modeldeployment import counts, sequential

BETTER = "Better"
WORSE = "Worse"
UNDECIDED = "Undecided"

DEFAULT_METRICS = (
    AnalysisMetric(name=AnalysisName.ERROR_RATE, max_increase="0.01"),
    AnalysisMetric(name=AnalysisName.LATENCY_P99, max_ratio="1.5"),
)
REASONS = {AnalysisName.ERROR_RATE: Reason.ERROR_RATE_HIGHER, AnalysisName.LATENCY_P99: Reason.LATENCY_HIGHER}
LEVEL = 0.99


class Compared(NamedTuple):
    """A metric of both arms with the interval of its difference or ratio."""

    champion: float
    candidate: float
    lower: float
    upper: float


def metrics_of(analysis: Analysis) -> Sequence[AnalysisMetric]:
    """Return the comparisons that are asked for, or the default ones."""
    return DEFAULT_METRICS if analysis.metrics is None else analysis.metrics


def samples(candidate: Candidate) -> Samples:
    """Return the requests of each arm at the current weight."""
    rows, baseline = candidate.counts or (), candidate.baseline or ()
    return Samples(
        champion=counts.since(rows, baseline, "champion").requests,
        candidate=counts.since(rows, baseline, "candidate").requests,
    )


def judged(candidate: Candidate, analysis: Analysis, weights: int) -> list[AnalysisRow]:
    """Return a row for each comparison; none while the candidate answers nothing.

    weights: how many weights the steps have. The chance of a false alarm is shared by the metrics and weights, so that
    1 - confidence bounds it for the whole trial.
    """
    if candidate.weight == 0:
        return []
    rows, baseline = candidate.counts or (), candidate.baseline or ()
    ours, theirs = (counts.since(rows, baseline, arm) for arm in ("candidate", "champion"))
    wanted = metrics_of(analysis)
    alpha = max(1e-9, 1 - float(analysis.confidence)) / max(1, len(wanted)) / max(1, weights)
    return [_row(metric, ours, theirs, alpha) for metric in wanted]


def _row(metric: AnalysisMetric, ours: counts.Total, theirs: counts.Total, alpha: float) -> AnalysisRow:
    found = _compared(metric, ours, theirs, alpha)
    limit = float(metric.max_increase if metric.max_increase is not None else metric.max_ratio or "1")
    verdict = WORSE if found.lower > limit else BETTER if found.upper <= limit else UNDECIDED
    return AnalysisRow(
        name=metric.name,
        champion=_text(found.champion),
        candidate=_text(found.candidate),
        lower=_text(found.lower),
        upper=_text(found.upper),
        verdict=verdict,
    )


def _compared(metric: AnalysisMetric, ours: counts.Total, theirs: counts.Total, alpha: float) -> Compared:
    if metric.name is AnalysisName.ERROR_RATE:
        return _error_rate(metric, ours, theirs, alpha)
    return _latency(metric, ours, theirs, alpha)


def _error_rate(metric: AnalysisMetric, ours: counts.Total, theirs: counts.Total, alpha: float) -> Compared:
    candidate, champion = (ours.errors, ours.requests), (theirs.errors, theirs.requests)
    rates = (_rate(*champion), _rate(*candidate))
    if metric.max_increase is not None:
        found = sequential.difference(candidate, champion, alpha)
        return Compared(*rates, found.lower, found.upper)
    mine, other = (sequential.proportion(*arm, alpha / 2) for arm in (candidate, champion))
    upper = mine.upper / other.lower if other.lower > 0 else math.inf
    return Compared(*rates, mine.lower / other.upper, upper)


def _latency(metric: AnalysisMetric, ours: counts.Total, theirs: counts.Total, alpha: float) -> Compared:
    bounds = LATENCY_BOUNDS_MILLISECONDS
    values = (
        sequential.estimate(theirs.latency, bounds, LEVEL),
        sequential.estimate(ours.latency, bounds, LEVEL),
    )
    if metric.max_ratio is not None:
        found = sequential.ratio(ours.latency, theirs.latency, bounds, LEVEL, alpha)
        return Compared(*values, found.lower, found.upper)
    mine = sequential.quantile(ours.latency, bounds, LEVEL, alpha / 2)
    other = sequential.quantile(theirs.latency, bounds, LEVEL, alpha / 2)
    lower = mine.lower - other.upper if math.isfinite(other.upper) else -math.inf
    return Compared(*values, lower, mine.upper - other.lower)


def _rate(errors: int, requests: int) -> float:
    return errors / requests if requests else 0.0


def _text(number: float) -> str | None:
    return decimal(number) if math.isfinite(number) else None
