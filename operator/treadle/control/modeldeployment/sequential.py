"""Confidence sequences: intervals that stay valid however often one looks.

Sources: Robbins, Ann. Math. Statist. 41 (1970): the mixture of likelihood ratios, whose crossing Ville bounds.
Howard, Ramdas, McAuliffe and Sekhon, Ann. Statist. 49 (2021), section 3.2: its beta-binomial form.
Howard and Ramdas, Bernoulli 28 (2022): the same for quantiles. The standard library only.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

# Jeffreys' prior: tightest near 0 and 1, where error rates and tail ranks lie.
PRIOR = 0.5
BISECTIONS = 60


@dataclass(frozen=True, slots=True)
class Interval:
    """A range that holds the true value at every look at once, with probability 1 - alpha."""

    lower: float
    upper: float


def proportion(successes: int, trials: int, alpha: float) -> Interval:
    """Return the confidence sequence of a Bernoulli mean after `trials` draws; [0, 1] before the first.

    alpha: in (0, 1), the chance that any interval of the whole sequence misses.
    Raises ValueError for counts that cannot be.
    """
    _refuse(successes, trials, alpha)
    limit = -math.log(alpha)
    middle = successes / trials if trials else 0.5

    def is_inside(mean: float) -> bool:
        return _log_mixture(mean, successes, trials) < limit

    lower = 0.0 if successes == 0 else _edge(middle, 0.0, is_inside)
    upper = 1.0 if successes == trials else _edge(middle, 1.0, is_inside)
    return Interval(lower, upper)


def difference(candidate: tuple[int, int], champion: tuple[int, int], alpha: float) -> Interval:
    """Return the confidence sequence of candidate's proportion less champion's; each is (successes, trials)."""
    ours = proportion(*candidate, alpha / 2)
    theirs = proportion(*champion, alpha / 2)
    return Interval(ours.lower - theirs.upper, ours.upper - theirs.lower)


def quantile(buckets: Sequence[int], bounds: Sequence[float], level: float, alpha: float) -> Interval:
    """Return the confidence sequence of a quantile of positive values that are known by bucket.

    buckets: counts, not cumulative, one more than bounds. bounds: upper bounds of all buckets but the last, ascending.
    level: in (0, 1), 0.99 for the p99. The upper end is infinite while the counts do not bound it.
    Within a bucket values count as spread evenly, which is where the answer stops being distribution-free.
    """
    if len(buckets) != len(bounds) + 1 or not 0 < level < 1:
        raise ValueError("one bucket more than bounds, and a level between 0 and 1, are needed")
    trials = sum(buckets)
    _refuse(0, trials, alpha)
    lowest, highest = _ranks(trials, level, alpha)
    return Interval(_at(buckets, bounds, lowest, is_upper=False), _at(buckets, bounds, highest, is_upper=True))


def ratio(
    candidate: Sequence[int], champion: Sequence[int], bounds: Sequence[float], level: float, alpha: float
) -> Interval:
    """Return the confidence sequence of candidate's quantile over champion's, from bucket counts."""
    ours = quantile(candidate, bounds, level, alpha / 2)
    theirs = quantile(champion, bounds, level, alpha / 2)
    lower = ours.lower / theirs.upper if theirs.upper > 0 else 0.0
    return Interval(lower, ours.upper / theirs.lower if theirs.lower > 0 else math.inf)


def estimate(buckets: Sequence[int], bounds: Sequence[float], level: float) -> float:
    """Return the quantile itself, with the last bound for what lies beyond it; 0 without counts."""
    trials = sum(buckets)
    if trials == 0:
        return 0.0
    return min(_at(buckets, bounds, level * trials, is_upper=False), float(bounds[-1]))


def _log_mixture(mean: float, successes: int, trials: int) -> float:
    """Return the logarithm of the martingale whose value is 1 at the start, if `mean` is true."""
    failures = trials - successes
    return (
        _log_beta(successes + PRIOR, failures + PRIOR)
        - _log_beta(PRIOR, PRIOR)
        - (successes * math.log(mean) if successes else 0.0)
        - (failures * math.log1p(-mean) if failures else 0.0)
    )


def _ranks(trials: int, level: float, alpha: float) -> tuple[int, int]:
    """Return the fewest and most draws below the true quantile that the sequence does not exclude."""
    limit = -math.log(alpha)

    def is_inside(rank: int) -> bool:
        return _log_mixture(level, rank, trials) < limit

    middle = min(trials, round(trials * level))
    # The martingale is convex in the rank, so that each side has one edge.
    return _last(middle, 0, is_inside), _last(middle, trials, is_inside)


def _last(inside: int, outside: int, is_inside: Callable[[int], bool]) -> int:
    if is_inside(outside):
        return outside
    while abs(outside - inside) > 1:
        middle = (inside + outside) // 2
        if is_inside(middle):
            inside = middle
        else:
            outside = middle
    return inside


def _edge(inside: float, outside: float, is_inside: Callable[[float], bool]) -> float:
    for _ in range(BISECTIONS):
        middle = (inside + outside) / 2
        if is_inside(middle):
            inside = middle
        else:
            outside = middle
    return outside  # The outer end, so that rounding never shortens the interval.


def _at(buckets: Sequence[int], bounds: Sequence[float], rank: float, *, is_upper: bool) -> float:
    """Return the smallest value with `rank` draws at or below it, or (is_upper) the largest with no more."""
    below = 0
    for (low, high), count in zip(pairwise((0.0, *bounds, math.inf)), buckets, strict=True):
        is_here = below + count > rank if is_upper else below + count >= rank
        if is_here and count:
            if math.isinf(high):
                return math.inf if is_upper else low
            return low + (high - low) * (rank - below) / count
        below += count
    return math.inf if is_upper else 0.0


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


def _refuse(successes: int, trials: int, alpha: float) -> None:
    if not 0 <= successes <= trials:
        raise ValueError(f"{successes} of {trials} is no count")
    if not 0 < alpha < 1:
        raise ValueError(f"alpha {alpha} is not between 0 and 1")
