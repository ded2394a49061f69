"""What a model's answers look like: curves, calibration, confusion and residuals, thin enough to be drawn."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from treadle.api.artifacts import ModelSchema
from treadle.api.base import Json, decimal
from treadle.api.trainingjob import Task
from treadle.training.bootstrap import Floats
from treadle.training.metrics import Answers, Bools, Ints

POINTS = 80
BINS = 10
GRID = 24
CLASSES_SHOWN = 12
Z = 1.959964
"""Of a two-sided interval at 95 %."""


def curves(schema: ModelSchema, truth: Ints | Floats, ours: Answers, theirs: Answers | None) -> Json:
    """Return what is to be drawn of the holdout, as decimal strings; of a champion what can lie beside it."""
    if schema.task is Task.REGRESSION:
        return {"regression": scatter(truth.astype(np.float64), ours.score)}
    codes = truth.astype(np.int64)
    if schema.task is not Task.BINARY:
        return {"confusion": confusion(codes, ours.label, schema.classes)}
    positive = codes == 1
    sides = {"challenger": ours, **({"champion": theirs} if theirs is not None else {})}
    return {
        "positives": int(positive.sum()),
        "roc": {side: roc(positive, found.score) for side, found in sides.items()},
        "precisionRecall": {side: precision_recall(positive, found.score) for side, found in sides.items()},
        "calibration": {side: calibration(positive, found.score) for side, found in sides.items()},
        "confusion": confusion(codes, ours.label, schema.classes),
    }


def roc(positive: Bools, score: Floats) -> list[list[str]]:
    """Return points [false positive rate, true positive rate] from (0, 0) to (1, 1), at distinct scores."""
    hits, misses = _counted(positive, score)
    x, y = misses / max(misses[-1], 1), hits / max(hits[-1], 1)
    return _pairs(x, y, _spaced(x + y))


def precision_recall(positive: Bools, score: Floats) -> list[list[str]]:
    """Return points [recall, precision] from the highest score down, at distinct scores."""
    hits, misses = (counts[1:] for counts in _counted(positive, score))
    recall = hits / max(hits[-1], 1)
    return _pairs(recall, hits / np.maximum(hits + misses, 1), _spaced(recall))


def calibration(positive: Bools, score: Floats) -> list[Json]:
    """Return for each of ten equal-width bins what was predicted and what happened, with its Wilson interval.

    Source: Wilson, Journal of the American Statistical Association 22, 1927.
    """
    codes = np.minimum((score * BINS).astype(np.int64), BINS - 1)
    found = []
    for code in np.unique(codes):
        inside = codes == code
        n, share = int(inside.sum()), float(positive[inside].mean())
        centre, spread = share + Z**2 / (2 * n), Z * np.sqrt(share * (1 - share) / n + Z**2 / (4 * n**2))
        lower, upper = (centre - spread) / (1 + Z**2 / n), (centre + spread) / (1 + Z**2 / n)
        found.append(
            {
                "predicted": decimal(float(score[inside].mean())),
                "observed": decimal(share),
                "lower": decimal(max(0.0, float(lower))),
                "upper": decimal(min(1.0, float(upper))),
                "rows": n,
            }
        )
    return found


def confusion(codes: Ints, labels: Ints, classes: list[str]) -> Json:
    """Return how often which class was called which; beyond twelve classes the rarest are one."""
    kept = np.sort(np.argsort(-np.bincount(codes, minlength=len(classes)), kind="stable")[:CLASSES_SHOWN])
    place = np.full(len(classes), len(kept))
    place[kept] = np.arange(len(kept))
    size = len(kept) + (len(kept) < len(classes))
    counts = np.bincount(place[codes] * size + place[labels], minlength=size**2).reshape(size, size)
    names = [classes[code] for code in kept] + ["others"] * (size - len(kept))
    return {"classes": names, "counts": counts.tolist()}


def scatter(truth: Floats, score: Floats) -> Json:
    """Return how many rows lie in each cell of what happened (across) by what was predicted (up), and the residuals.

    The grid spans the middle 99 % of both; rows outside are counted, not drawn.
    """
    low, high = np.quantile(np.concatenate([truth, score]), [0.005, 0.995])
    high = high if high > low else low + 1
    counts, _, _ = np.histogram2d(truth, score, bins=GRID, range=[[low, high], [low, high]])
    residual = score - truth
    far = float(np.quantile(np.abs(residual), 0.99)) or 1.0
    shares, edges = np.histogram(residual, bins=GRID, range=(-far, far))
    return {
        "low": decimal(float(low)),
        "high": decimal(float(high)),
        "counts": counts.astype(np.int64).tolist(),
        "outside": int(len(truth) - counts.sum()),
        "residuals": {
            "low": decimal(float(edges[0])),
            "high": decimal(float(edges[-1])),
            "counts": shares.tolist(),
        },
    }


def _counted(positive: Bools, score: Floats) -> tuple[Floats, Floats]:
    """Return the positive and the other rows at or above each distinct score, highest first, with 0 before them."""
    order = np.argsort(-score, kind="stable")
    ordered = score[order]
    ends = np.r_[np.flatnonzero(ordered[1:] != ordered[:-1]), len(ordered) - 1]
    hits, seen = np.cumsum(positive[order])[ends], ends + 1
    return np.r_[0.0, hits], np.r_[0.0, seen - hits]


def _spaced(along: Floats) -> Ints:
    """Return at most `POINTS` positions at even steps along a curve, its ends among them."""
    wanted = np.linspace(along[0], along[-1], POINTS)
    return np.unique(np.r_[0, np.searchsorted(along, wanted).clip(0, len(along) - 1), len(along) - 1])


def _pairs(x: NDArray[Any], y: NDArray[Any], chosen: Ints) -> list[list[str]]:
    return [[decimal(float(x[i])), decimal(float(y[i]))] for i in chosen]
