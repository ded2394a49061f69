"""Metrics of the holdout and its slices with paired intervals, for a model alone or against a champion."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from treadle.api.base import decimal
from treadle.api.reasons import Reason
from treadle.api.trainingjob import (
    CLASSIFICATION_METRICS,
    REGRESSION_METRICS,
    SMALLER_IS_BETTER,
    Bootstrap,
    Direction,
    Metric,
    Recipe,
    Task,
)
from treadle.training.bootstrap import Estimate, Floats, Statistic, estimate, resample
from treadle.training.errors import EVALUATED, Refused
from treadle.training.estimators import invalid
from treadle.training.metrics import Answers, Ints, restricted, statistic

LARGEST = 1e15
"""Decimal strings have at most fifteen digits before the point."""


@dataclass(frozen=True, slots=True)
class Holdout:
    """What happened, and to whom.

    truth: shape (n,), class codes or numbers. slices: positions of rows by the slice's name. groups: shape (n,), codes
    of what is drawn together, or None.
    """

    truth: Ints | Floats
    slices: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)
    groups: NDArray[np.int64] | None = None

    @property
    def rows(self) -> int:
        """Return how many rows there are."""
        return len(self.truth)


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured; a metric that a slice leaves undefined is in neither map.

    metrics: by name and slice (None: all rows), the objective first. differences: of the gate's metric by slice,
    challenger less champion, positive when better. champion_value: the champion's on all rows.
    """

    metrics: dict[tuple[str, str | None], Estimate]
    differences: dict[str | None, Estimate]
    champion_value: float | None = None

    def shown(self) -> list[Metric]:
        """Return the metrics as status keeps them."""
        return [_metric(name, part, found) for (name, part), found in self.metrics.items()]


def evaluate(recipe: Recipe, holdout: Holdout, ours: Answers, theirs: Answers | None = None) -> Measured:
    """Return every metric of a recipe on the holdout and each slice, with percentile intervals of one bootstrap.

    ours, theirs: answers of challenger and champion to the same n rows.
    Raises Refused (MetricsInvalid) for a metric that is no number on the whole holdout.
    """
    _refuse_bad_answers(ours)
    metrics, judged = metric_names(recipe), gate_metric(recipe)
    parts: list[str | None] = [None, *(name for name, rows in holdout.slices.items() if len(rows))]
    keys = [(metric, part) for part in parts for metric in metrics]
    statistics = [_statistic(metric, part, holdout, ours) for metric, part in keys]
    rivals = [] if theirs is None else [_statistic(judged, part, holdout, theirs) for part in parts]
    chosen = (recipe.evaluation.bootstrap if recipe.evaluation is not None else None) or Bootstrap()
    confidence = float(chosen.confidence)
    values = np.array([one(np.ones(holdout.rows)) for one in [*statistics, *rivals]])
    drawn = resample([*statistics, *rivals], holdout.rows, chosen.samples, recipe.seed, holdout.groups)
    estimates = {key: estimate(values[i], drawn[:, i], confidence) for i, key in enumerate(keys)}
    _refuse_undefined({metric: estimates[metric, None].value for metric in metrics}, holdout)
    sign = -1.0 if is_smaller_better(recipe, judged) else 1.0
    differences = {}
    for i, part in enumerate(parts if rivals else []):
        mine, rival = keys.index((judged, part)), len(keys) + i
        found = estimate(sign * (values[mine] - values[rival]), sign * (drawn[:, mine] - drawn[:, rival]), confidence)
        if np.isfinite(found.value):
            differences[part] = found
    return Measured(
        metrics={key: found for key, found in estimates.items() if np.isfinite(found.value)},
        differences=differences,
        champion_value=float(values[len(keys)]) if rivals else None,
    )


def metric_names(recipe: Recipe) -> list[str]:
    """Return the metrics of a recipe, the objective first; raise Refused (InvalidSpec) for one that does not fit."""
    floors = (recipe.gate.floors if recipe.gate is not None else None) or []
    named = [
        ("spec.objective.metric", recipe.objective.metric),
        ("spec.gate.metric", gate_metric(recipe)),
        *(("spec.evaluation.metrics", name) for name in _reported(recipe)),
        *(("spec.gate.floors", floor.metric) for floor in floors),
    ]
    allowed = REGRESSION_METRICS if recipe.task is Task.REGRESSION else CLASSIFICATION_METRICS
    for where, name in named:
        if name not in allowed:
            raise invalid(f"{where}: {name!r} is no metric of {recipe.task.value}; use one of {', '.join(allowed)}")
    return list(dict.fromkeys(name for _, name in named))


def gate_metric(recipe: Recipe) -> str:
    """Return the metric by which challenger and champion are compared."""
    return (recipe.gate.metric if recipe.gate is not None else None) or recipe.objective.metric


def is_smaller_better(recipe: Recipe, metric: str) -> bool:
    """Say which way a metric is better; the objective may say so itself."""
    if metric == recipe.objective.metric and recipe.objective.direction is not None:
        return recipe.objective.direction is Direction.MINIMIZE
    return metric in SMALLER_IS_BETTER


def _reported(recipe: Recipe) -> Sequence[str]:
    return (recipe.evaluation.metrics if recipe.evaluation is not None else None) or []


def _statistic(metric: str, part: str | None, holdout: Holdout, given: Answers) -> Statistic:
    if part is None:
        return statistic(metric, holdout.truth, given)
    rows = holdout.slices[part]
    return restricted(rows, statistic(metric, holdout.truth[rows], given.take(rows)))


def _refuse_bad_answers(given: Answers) -> None:
    numbers = given.score if given.probability is None else given.probability.sum(axis=1)
    bad = int((~np.isfinite(numbers)).sum())
    if bad:
        raise Refused(
            Reason.METRICS_INVALID,
            f"the model answers NaN or an infinite number for {bad} of {len(numbers)} holdout rows; impute or scale "
            "the features, or use another estimator",
            EVALUATED,
        )


def _refuse_undefined(values: dict[str, float], holdout: Holdout) -> None:
    for metric, value in values.items():
        if not np.isfinite(value) or abs(value) >= LARGEST:
            kinds = np.unique(holdout.truth)
            why = f", whose target is {kinds[0]:g} throughout" if len(kinds) == 1 else ""
            raise Refused(
                Reason.METRICS_INVALID,
                f"{metric} is {value:g} on the holdout's {holdout.rows} rows{why}, expected a number below 1e15; "
                "enlarge the holdout, or use another metric",
                EVALUATED,
            )


def _metric(name: str, part: str | None, found: Estimate) -> Metric:
    bounds = {"lower": decimal(found.lower), "upper": decimal(found.upper)} if found.is_finite else {}
    return Metric(name=name, slice=part, value=decimal(found.value), **bounds)
