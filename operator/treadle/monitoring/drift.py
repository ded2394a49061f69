"""Whether columns moved: a test for chance, an effect size for weight, and both must object.

The tails come from scipy.special; scipy.stats has the tests too, and costs a Job two seconds of CPU to import.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import special

from treadle.monitoring.samples import Counts, Floats, Numbers, Pair

EXPECTED_NEEDED = 5  # Cochran 1954: the chi-squared approximation holds for expected counts of 5 and more


@dataclass(frozen=True, slots=True)
class Distance:
    """How far two samples are apart: the p-value is for this column alone, the effect from 0 to 1."""

    test: Literal["ks", "chi2"]
    statistic: float
    p_value: float
    effect: float


@dataclass(frozen=True, slots=True)
class Compared:
    """A column's distance among those of all columns."""

    column: str
    distance: Distance
    adjusted: float
    """The p-value, adjusted for the number of columns."""
    moved: bool


def compare(samples: Mapping[str, Pair], alpha: float, min_effect: float) -> list[Compared]:
    """Return the columns, worst first: moved is what chance explains less than alpha and weighs at least min_effect.

    alpha: bound on the false discovery rate over all columns given.
    """
    distances = {column: distance(pair) for column, pair in samples.items()}
    adjusted = adjust([found.p_value for found in distances.values()])
    compared = [
        Compared(column, found, value, moved=value < alpha and found.effect >= min_effect)
        for (column, found), value in zip(distances.items(), adjusted, strict=True)
    ]
    return sorted(compared, key=lambda row: (not row.moved, -row.distance.effect, row.column))


def distance(pair: Pair) -> Distance:
    """Return the test that goes with a pair's kind."""
    if isinstance(pair, Numbers):
        return ks(pair.reference, pair.window)
    return chi2(pair.reference, pair.window)


def adjust(p_values: list[float]) -> list[float]:
    """Return p-values adjusted so that those below alpha hold false discoveries at a rate of alpha at most.

    Source: Benjamini and Hochberg, J. R. Statist. Soc. B 57, 1995.
    """
    order = np.argsort(p_values)
    ranked = np.array(p_values)[order] * len(order) / np.arange(1, len(order) + 1)
    adjusted = np.empty(len(order))
    adjusted[order] = np.minimum(np.minimum.accumulate(ranked[::-1])[::-1], 1.0)
    return [float(value) for value in adjusted]


def ks(reference: Floats, window: Floats) -> Distance:
    """Return the two-sample Kolmogorov-Smirnov test; its effect is the distance of the two distribution functions.

    reference: shape (n,), window: shape (m,), both at least 1; a null (NaN) counts as a value below all others, so
    that numbers that go missing are a move too. With ties, as of integers, the p-value errs on the safe side.
    """
    both = np.concatenate([reference, window])
    known = both[~np.isnan(both)]
    below = np.nextafter(known.min(), -np.inf) if len(known) else 0.0
    places = np.sort(np.where(np.isnan(both), below, both))
    sides = [np.sort(np.where(np.isnan(side), below, side)) for side in (reference, window)]
    before, after = (np.searchsorted(side, places, side="right") / len(side) for side in sides)
    apart = float(np.abs(before - after).max())
    n, m = len(reference), len(window)
    # The limit distribution (Smirnov 1948): it differs from the exact one only where nothing is decided.
    return Distance("ks", apart, float(special.kolmogorov(np.sqrt(n * m / (n + m)) * apart)), apart)


def chi2(reference: Counts, window: Counts) -> Distance:
    """Return the test of homogeneity of two samples of categories, with Cramer's V as the effect.

    A value is a cell if 5 of it are expected in the smaller sample; the others are one cell. Values that the window
    alone holds are too few for chi-squared, and so are counted: the p-value is the smaller of both, doubled.
    """
    n, m = sum(reference.values()), sum(window.values())
    values = sorted(reference.keys() | window.keys(), key=lambda value: (value is None, value or ""))
    before = np.array([reference.get(value, 0) for value in values], dtype=np.float64)
    after = np.array([window.get(value, 0) for value in values], dtype=np.float64)
    is_common = (before + after) * min(n, m) / (n + m) >= EXPECTED_NEEDED
    statistic, by_cells = homogeneity(before, after, is_common)
    by_values = novelty(before, after)
    return Distance("chi2", statistic, min(1.0, 2 * min(by_cells, by_values)), cramers_v(before, after, is_common))


def homogeneity(before: Floats, after: Floats, is_common: np.ndarray) -> tuple[float, float]:
    """Return Pearson's statistic and its p-value over the common values and one cell for the rest.

    before, after: shape (k,), counts by value. A rest too small for a cell joins the rarest common value.
    """
    cells = np.array([before[is_common], after[is_common]])
    rest = np.array([[before[~is_common].sum()], [after[~is_common].sum()]])
    totals = np.array([before.sum(), after.sum()])
    if rest.sum() * totals.min() / totals.sum() >= EXPECTED_NEEDED:
        cells = np.hstack([cells, rest])
    elif cells.shape[1]:
        cells[:, [cells.sum(axis=0).argmin()]] += rest
    if cells.shape[1] < 2:
        return 0.0, 1.0
    expected = np.outer(cells.sum(axis=1), cells.sum(axis=0)) / cells.sum()
    statistic = float(((cells - expected) ** 2 / expected).sum())
    return statistic, float(special.chdtrc(cells.shape[1] - 1, statistic))


def novelty(before: Floats, after: Floats) -> float:
    """Return the chance of so many values that the window alone holds, if both samples were one.

    Each value with c rows in all falls wholly into the window with chance (m / (n + m))^c; their number is Poisson at
    most (Hoeffding 1956). Without new values the chance is 1.
    """
    new = int(((before == 0) & (after > 0)).sum())
    expected = float(alone(before, after).sum())
    return float(special.pdtrc(new - 1, expected)) if new else 1.0


def alone(before: Floats, after: Floats) -> Floats:
    """Return for each value the chance that all its rows lie in the window, if both samples were one."""
    share: float = after.sum() / (before.sum() + after.sum())
    chances: Floats = np.power(share, before + after)
    return chances


def cramers_v(before: Floats, after: Floats, is_common: np.ndarray) -> float:
    """Return Cramer's V of two samples that weigh alike, less what chance gives, 0 to 1.

    The textbook's V weighs by rows: of the same move it makes a fifth where the reference has a hundred times the
    window's rows (measured on flights: .027 for .125), and no limit would mean anything. Cells are as in
    `homogeneity`, but new values are a cell of their own, as far as there are more than chance gives.
    Bias: of k cells (k - 1)(1/n + 1/m)/4, after Bergsma 2013, J. Korean Statist. Soc. 42.
    """
    n, m = before.sum(), after.sum()
    is_new = (before == 0) & (after > 0)
    by_chance = float((alone(before, after) * (before + after)).sum())
    rows_new = max(0.0, float(after[is_new].sum()) - by_chance)
    is_cell = is_common & ~is_new
    rest_before, rest_after = before[~is_cell].sum(), after[~is_cell].sum() - rows_new
    p = np.array([*before[is_cell], rest_before, 0.0]) / n
    q = np.array([*after[is_cell], rest_after, rows_new]) / m
    occurs = p + q > 0
    square = float(((p - q)[occurs] ** 2 / (p + q)[occurs]).sum()) / 2
    has_rest = (rest_before + rest_after) * min(n, m) / (n + m) >= EXPECTED_NEEDED
    bias = max(0, is_cell.sum() + has_rest - 1) * (1 / n + 1 / m) / 4
    return float(np.sqrt(np.clip((square - bias) / (1 - bias), 0.0, 1.0)))
