"""Paired bootstrap: one draw of rows weighs every statistic, so that differences are paired."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

type Floats = NDArray[np.float64]
type Statistic = Callable[[Floats], float]
"""Row weights, shape (n,), to a value; NaN where the weighed rows leave it undefined."""

UNDEFINED_LIMIT = 0.05
"""Share of undefined resamples up to which the others stand for all."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with the bounds of its interval."""

    value: float
    lower: float
    upper: float

    @property
    def is_finite(self) -> bool:
        """Say whether value and bounds are numbers."""
        return bool(np.isfinite([self.value, self.lower, self.upper]).all())


def resample(
    statistics: Sequence[Statistic], rows: int, samples: int, seed: int, groups: NDArray[np.int64] | None = None
) -> Floats:
    """Return each statistic on each of `samples` resamples, shape (samples, len(statistics)).

    rows: n, the rows that the statistics weigh. groups: shape (n,), codes 0..g-1; whole groups are drawn together.
    A resample draws n rows (g groups) with replacement; their counts are the weights, which costs one pass over the
    rows where a copy of the drawn rows would have to be sorted again.
    Raises ValueError for n = 0. Source: Efron, Annals of Statistics 7, 1979.
    """
    if rows == 0:
        raise ValueError("a bootstrap needs at least one row")
    rng = np.random.default_rng(seed)
    units = rows if groups is None else int(groups.max()) + 1
    values = np.empty((samples, len(statistics)))
    for sample in range(samples):
        # 32-bit draws: half the memory traffic of the default, for a range that always fits.
        counts = np.bincount(rng.integers(0, units, units, dtype=np.uint32), minlength=units).astype(np.float64)
        weights = counts if groups is None else counts[groups]
        values[sample] = [statistic(weights) for statistic in statistics]
    return values


def estimate(value: float, resampled: Floats, confidence: float) -> Estimate:
    """Return a value with its percentile interval; NaN bounds if too many resamples are undefined.

    resampled: shape (samples,). confidence: share of resamples between the bounds, in (0, 1).
    """
    defined = resampled[np.isfinite(resampled)]
    if len(defined) < (1 - UNDEFINED_LIMIT) * len(resampled):
        return Estimate(value, float("nan"), float("nan"))
    tail = (1 - confidence) / 2
    lower, upper = np.quantile(defined, [tail, 1 - tail])
    return Estimate(value, float(lower), float(upper))
