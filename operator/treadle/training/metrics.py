"""The metrics as functions of row weights: what can be sorted or squared is so once, before the first resample."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from treadle.training.bootstrap import Floats, Statistic

type Ints = NDArray[np.int64]
type Bools = NDArray[np.bool_]

ECE_BINS = 15
EPSILON = float(np.finfo(np.float64).eps)


@dataclass(frozen=True, slots=True)
class Answers:
    """What a model answers for n rows.

    score: shape (n,). label: shape (n,), class codes; empty for Regression. probability: shape (n, k), or None.
    """

    score: Floats
    label: Ints
    probability: Floats | None = None

    @property
    def is_finite(self) -> bool:
        """Say whether every number is one."""
        numbers = self.score if self.probability is None else self.probability
        return bool(np.isfinite(numbers).all())

    def take(self, rows: Ints) -> "Answers":
        """Return the answers of some rows."""
        probability = None if self.probability is None else self.probability[rows]
        return Answers(self.score[rows], self.label[rows] if len(self.label) else self.label, probability)


def statistic(metric: str, truth: Ints | Floats, answers: Answers) -> Statistic:
    """Return a metric of n rows as a function of their weights.

    truth: shape (n,), class codes, or numbers for Regression. Raises KeyError for an unknown metric.
    """
    if metric in REGRESSION:
        return REGRESSION[metric](truth.astype(np.float64), answers.score)
    assert answers.probability is not None
    codes = truth.astype(np.int64)
    if metric in RANKED:
        ranked, probability = RANKED[metric], answers.probability
        if probability.shape[1] == 2:
            return ranked(codes == 1, probability[:, 1])
        return _mean([ranked(codes == k, probability[:, k]) for k in range(probability.shape[1])])
    return CLASSIFICATION[metric](codes, answers)


def restricted(rows: Ints, inner: Statistic) -> Statistic:
    """Return a statistic of some rows as one of all."""
    return lambda weights: inner(weights[rows])


def _mean(parts: list[Statistic]) -> Statistic:
    return lambda weights: float(np.mean([part(weights) for part in parts]))


def sums(columns: Floats, finish: Callable[[Floats], float]) -> Statistic:
    """Return a function of weighted column sums; columns: shape (k, n)."""
    ready = np.ascontiguousarray(columns, dtype=np.float64)
    return lambda weights: finish(ready @ weights)


def mean(values: Floats) -> Statistic:
    """Return the weighted mean of values, shape (n,)."""
    return sums(np.stack([values, np.ones(len(values))]), lambda s: ratio(s[0], s[1]))


def ratio(over: float, under: float, empty: float = float("nan")) -> float:
    """Return a quotient, or `empty` for a divisor of 0."""
    return float(over / under) if under else empty


def roc_auc(positive: Bools, score: Floats) -> Statistic:
    """Return the area under the ROC curve; ties count one half. Source: Hanley and McNeil, Radiology 143, 1982."""
    ranked = _rank(positive, score)

    def area(weights: Floats) -> float:
        hits, seen = ranked.cumulate(weights)
        misses = seen - hits
        gained = hits[ranked.ends] - hits[ranked.starts]
        beside = 0.5 * (misses[ranked.ends] + misses[ranked.starts])
        return ratio(float(beside @ gained), float(hits[-1] * misses[-1]))

    return area


def average_precision(positive: Bools, score: Floats) -> Statistic:
    """Return the average precision: precision at each threshold, weighed by the recall gained there."""
    ranked = _rank(positive, -score)

    def area(weights: Floats) -> float:
        hits, seen = ranked.cumulate(weights)
        found, drawn = hits[ranked.ends], seen[ranked.ends]
        precision = found / np.where(drawn > 0, drawn, 1.0)
        return ratio(float(precision @ (found - hits[ranked.starts])), float(hits[-1]))

    return area


@dataclass(frozen=True, slots=True)
class _Ranked:
    """Rows in the order of their scores, and the spans of equal scores that hold a positive row; others gain nothing.

    is_positive: shape (n,), 0 or 1, in that order. starts, ends: positions before and after each span.
    """

    order: Ints
    is_positive: Floats
    starts: Ints
    ends: Ints

    def cumulate(self, weights: Floats) -> tuple[Floats, Floats]:
        """Return the weight of positive rows and of all rows before each position, shape (n + 1,)."""
        drawn = weights[self.order]
        hits, seen = np.zeros(len(drawn) + 1), np.zeros(len(drawn) + 1)
        np.cumsum(drawn, out=seen[1:])
        np.cumsum(drawn * self.is_positive, out=hits[1:])
        return hits, seen


def _rank(positive: Bools, score: Floats) -> _Ranked:
    order = np.argsort(score, kind="stable")
    ordered, is_positive = score[order], positive[order].astype(np.float64)
    bounds = np.r_[0, 1 + np.flatnonzero(ordered[1:] != ordered[:-1]), len(ordered)]
    holds = np.add.reduceat(is_positive, bounds[:-1]) > 0
    return _Ranked(order, is_positive, bounds[:-1][holds], bounds[1:][holds])


def _classes(answers: Answers) -> int:
    assert answers.probability is not None
    return int(answers.probability.shape[1])


def _confusion(codes: Ints, answers: Answers, finish: Callable[[Floats], float]) -> Statistic:
    """Finish a weighted confusion matrix, rows by truth, as shape (k, k)."""
    k = _classes(answers)
    cell = codes * k + answers.label
    return lambda weights: finish(np.bincount(cell, weights=weights, minlength=k * k).reshape(k, k))


def _per_class(matrix: Floats, one: Callable[[float, float, float], float]) -> float:
    """Return the value of the positive class of two, or the mean over all classes of more."""
    hits, predicted, actual = np.diag(matrix), matrix.sum(axis=0), matrix.sum(axis=1)
    values = [one(float(h), float(p), float(a)) for h, p, a in zip(hits, predicted, actual, strict=True)]
    return values[1] if len(values) == 2 else float(np.mean(values))


def precision(codes: Ints, answers: Answers) -> Statistic:
    """Return hits among the predicted; 0 where none is predicted."""
    return _confusion(codes, answers, lambda m: _per_class(m, lambda hit, predicted, _: ratio(hit, predicted, 0.0)))


def recall(codes: Ints, answers: Answers) -> Statistic:
    """Return hits among the actual; 0 where there is none."""
    return _confusion(codes, answers, lambda m: _per_class(m, lambda hit, _, actual: ratio(hit, actual, 0.0)))


def f1(codes: Ints, answers: Answers) -> Statistic:
    """Return the harmonic mean of precision and recall; 0 where both are."""
    return _confusion(codes, answers, lambda m: _per_class(m, lambda hit, p, a: ratio(2 * hit, p + a, 0.0)))


def balanced_accuracy(codes: Ints, answers: Answers) -> Statistic:
    """Return the mean recall over the classes that occur."""

    def finish(matrix: Floats) -> float:
        actual = matrix.sum(axis=1)
        occurs = actual > 0
        return float(np.mean(np.diag(matrix)[occurs] / actual[occurs])) if occurs.any() else float("nan")

    return _confusion(codes, answers, finish)


def accuracy(codes: Ints, answers: Answers) -> Statistic:
    """Return the share of right labels."""
    return mean((codes == answers.label).astype(np.float64))


def log_loss(codes: Ints, answers: Answers) -> Statistic:
    """Return the mean negative logarithm of the probability of what happened, clipped as scikit-learn does."""
    assert answers.probability is not None
    clipped = np.clip(answers.probability, EPSILON, 1 - EPSILON)
    clipped = clipped / clipped.sum(axis=1, keepdims=True)
    return mean(-np.log(clipped[np.arange(len(codes)), codes]))


def brier(codes: Ints, answers: Answers) -> Statistic:
    """Return the mean squared error of probabilities: of the positive class, or summed over more than two."""
    assert answers.probability is not None
    if _classes(answers) == 2:
        return mean((answers.probability[:, 1] - (codes == 1)) ** 2)
    happened = np.eye(_classes(answers))[codes]
    return mean(((answers.probability - happened) ** 2).sum(axis=1))


def ece(codes: Ints, answers: Answers) -> Statistic:
    """Return the expected calibration error over 15 equal-width bins; of the top label for more than two classes.

    Source: Naeini, Cooper and Hauskrecht, AAAI 2015.
    """
    assert answers.probability is not None
    binary = _classes(answers) == 2
    confidence = answers.probability[:, 1] if binary else answers.probability.max(axis=1)
    outcome = (codes == 1) if binary else codes == answers.label
    bins = np.minimum((confidence * ECE_BINS).astype(np.int64), ECE_BINS - 1)
    gap = outcome - confidence

    def error(weights: Floats) -> float:
        gaps = np.bincount(bins, weights=weights * gap, minlength=ECE_BINS)
        return ratio(float(np.abs(gaps).sum()), float(weights.sum()))

    return error


def rmse(truth: Floats, score: Floats) -> Statistic:
    """Return the root of the mean squared error, in units of the target."""
    inner = mean((truth - score) ** 2)
    return lambda weights: float(np.sqrt(inner(weights)))


def mae(truth: Floats, score: Floats) -> Statistic:
    """Return the mean absolute error, in units of the target."""
    return mean(np.abs(truth - score))


def mape(truth: Floats, score: Floats) -> Statistic:
    """Return the mean absolute error as a share of the truth, which is taken as at least 2.2e-16."""
    return mean(np.abs(truth - score) / np.maximum(np.abs(truth), EPSILON))


def median_ae(truth: Floats, score: Floats) -> Statistic:
    """Return the median absolute error, in units of the target; the mean of the middle two where there are two."""
    error = np.abs(truth - score)
    order = np.argsort(error, kind="stable")
    ordered = error[order]

    def median(weights: Floats) -> float:
        seen = np.cumsum(weights[order])
        half = seen[-1] / 2
        low, high = np.searchsorted(seen, half, side="left"), np.searchsorted(seen, half, side="right")
        return float((ordered[low] + ordered[min(high, len(ordered) - 1)]) / 2) if half else float("nan")

    return median


def r2(truth: Floats, score: Floats) -> Statistic:
    """Return the share of the target's variance that is explained; undefined for a constant target."""
    centred = truth - truth.mean()
    columns = np.stack([(truth - score) ** 2, centred**2, centred, np.ones(len(truth))])

    def finish(s: Floats) -> float:
        spread = s[1] - ratio(float(s[2] ** 2), float(s[3]))
        return 1 - ratio(float(s[0]), float(spread)) if spread > 0 else float("nan")

    return sums(columns, finish)


RANKED: dict[str, Callable[[Bools, Floats], Statistic]] = {"roc_auc": roc_auc, "average_precision": average_precision}
CLASSIFICATION: dict[str, Callable[[Ints, Answers], Statistic]] = {
    "f1": f1,
    "precision": precision,
    "recall": recall,
    "accuracy": accuracy,
    "balanced_accuracy": balanced_accuracy,
    "log_loss": log_loss,
    "brier": brier,
    "ece": ece,
}
REGRESSION: dict[str, Callable[[Floats, Floats], Statistic]] = {
    "rmse": rmse,
    "mae": mae,
    "median_ae": median_ae,
    "mape": mape,
    "r2": r2,
}
