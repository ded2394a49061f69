"""Confidence sequences: known values, and how often they miss when one looks after every request."""

import math
import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from treadle.control.modeldeployment import sequential
from treadle.control.modeldeployment.sequential import Interval

BOUNDS = (1, 2, 3, 5, 8)


def mixture(mean: float, successes: int, trials: int, steps: int = 200_000) -> float:
    """Return the mixture of likelihood ratios by summing it up, Beta(1/2, 1/2) over the alternatives."""
    total = 0.0
    for index in range(steps):
        # With p = sin^2(t) the prior's density is constant in t.
        other = math.sin((index + 0.5) / steps * math.pi / 2) ** 2
        failures = trials - successes
        total += math.exp(
            successes * (math.log(other) - math.log(mean)) + failures * (math.log1p(-other) - math.log1p(-mean))
        )
    return total / steps


@pytest.mark.parametrize(("successes", "trials"), [(0, 20), (3, 40), (20, 40), (40, 40)])
def test_the_edges_are_where_the_mixture_reaches_one_over_alpha(successes: int, trials: int) -> None:
    found = sequential.proportion(successes, trials, 0.05)
    for edge in (found.lower, found.upper):
        if 0 < edge < 1:
            assert mixture(edge, successes, trials) == pytest.approx(20, rel=1e-3)


def test_before_the_first_draw_everything_is_possible() -> None:
    assert sequential.proportion(0, 0, 0.05) == Interval(0.0, 1.0)
    assert sequential.difference((0, 0), (0, 0), 0.05) == Interval(-1.0, 1.0)
    assert sequential.quantile([0] * 6, BOUNDS, 0.99, 0.05) == Interval(0.0, math.inf)


@pytest.mark.parametrize(("successes", "trials", "alpha"), [(2, 1, 0.05), (-1, 4, 0.05), (1, 2, 0.0), (1, 2, 1.0)])
def test_counts_that_cannot_be_are_refused(successes: int, trials: int, alpha: float) -> None:
    with pytest.raises(ValueError, match=r"is no count|is not between"):
        sequential.proportion(successes, trials, alpha)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 300), st.integers(0, 300), st.floats(0.001, 0.2))
def test_an_interval_holds_what_was_seen_and_narrows_with_alpha(failures: int, successes: int, alpha: float) -> None:
    trials = failures + successes
    found, wider = (sequential.proportion(successes, trials, level) for level in (alpha, alpha / 4))
    seen = successes / trials if trials else 0.5
    assert 0 <= wider.lower <= found.lower <= seen <= found.upper <= wider.upper <= 1


def test_looking_after_every_request_misses_no_more_often_than_alpha() -> None:
    rng, missed, runs = random.Random(5), 0, 200
    for _ in range(runs):
        errors = 0
        for count in range(1, 301):
            errors += rng.random() < 0.05
            found = sequential.proportion(errors, count, 0.1) if count % 5 == 0 else Interval(0.0, 1.0)
            if not found.lower <= 0.05 <= found.upper:
                missed += 1
                break
    assert missed <= 0.1 * runs, f"{missed} of {runs}, seed 5"


def test_a_canary_twenty_points_worse_is_seen_within_200_requests() -> None:
    rng, seen = random.Random(6), 0
    for _ in range(50):
        ours = sum(rng.random() < 0.25 for _ in range(200))
        theirs = sum(rng.random() < 0.02 for _ in range(800))
        seen += sequential.difference((ours, 200), (theirs, 800), 0.025).lower > 0.01
    assert seen >= 49, f"{seen} of 50, seed 6"


QUANTILES = {
    "all in the first bucket": ([1000, 0, 0, 0, 0, 0], 0.5, (0.4, 0.6)),
    "two halves meet at their bound": ([500, 0, 0, 500, 0, 0], 0.5, (0.8, 3.3)),
    "the tail is beyond the last bound": ([900, 0, 0, 0, 0, 100], 0.99, (8.0, math.inf)),
}


@pytest.mark.parametrize(("buckets", "level", "within"), QUANTILES.values(), ids=QUANTILES.keys())
def test_a_quantile_is_bounded(buckets: list[int], level: float, within: tuple[float, float]) -> None:
    found = sequential.quantile(buckets, BOUNDS, level, 0.05)
    assert within[0] <= found.lower <= found.upper <= within[1]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 400), min_size=6, max_size=6), st.floats(0.05, 0.99))
def test_a_quantiles_interval_holds_its_estimate(buckets: list[int], level: float) -> None:
    found = sequential.quantile(buckets, BOUNDS, level, 0.05)
    assert found.lower <= sequential.estimate(buckets, BOUNDS, level) <= found.upper or not sum(buckets)


def test_a_slower_candidate_shows_once_there_are_enough_answers() -> None:
    fast, slow = [990, 5, 5, 0, 0, 0], [0, 0, 0, 0, 990, 10]
    widths = []
    for times in (1, 4, 16):
        found = sequential.ratio([n * times for n in slow], [n * times for n in fast], BOUNDS, 0.99, 0.05)
        assert found.lower > 1.5
        widths.append(found.upper - found.lower)
    assert all(later <= earlier for earlier, later in pairwise(widths))


def test_buckets_and_bounds_must_fit() -> None:
    with pytest.raises(ValueError, match="one bucket more"):
        sequential.quantile([1, 2], BOUNDS, 0.99, 0.05)
