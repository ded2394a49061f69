"""Resampling against the closed forms of a mean."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from treadle.training.bootstrap import estimate, resample
from treadle.training.metrics import mean


def test_the_spread_of_a_mean_is_its_standard_error() -> None:
    values = np.random.default_rng(1).normal(3, 2, 400)
    drawn = resample([mean(values)], 400, 4000, seed=7)[:, 0]
    # The bootstrap's standard error of a mean is the population's deviation over the root of n: Efron 1979.
    assert drawn.std() == pytest.approx(values.std() / np.sqrt(400), rel=0.05)
    assert drawn.mean() == pytest.approx(values.mean(), abs=0.01)
    found = estimate(float(values.mean()), drawn, 0.95)
    error = values.std() / np.sqrt(400)
    assert (found.lower, found.upper) == pytest.approx(
        (values.mean() - 1.96 * error, values.mean() + 1.96 * error), abs=0.02
    )


def test_both_models_are_weighed_by_the_same_rows() -> None:
    values = np.random.default_rng(2).normal(0, 5, 300)
    drawn = resample([mean(values + 0.25), mean(values)], 300, 500, seed=3)
    assert drawn[:, 0] - drawn[:, 1] == pytest.approx(np.full(500, 0.25))
    assert drawn[:, 0].std() > 0.1


def test_groups_are_drawn_whole() -> None:
    groups = np.repeat(np.arange(10), 30)
    values = np.repeat(np.random.default_rng(4).normal(0, 1, 10), 30)
    rows = resample([mean(values)], 300, 2000, seed=5)[:, 0].std()
    whole = resample([mean(values)], 300, 2000, seed=5, groups=groups)[:, 0].std()
    assert whole == pytest.approx(values.std() / np.sqrt(10), rel=0.1)
    assert whole > 4 * rows, "30 equal rows are one observation"


@given(seed=st.integers(0, 2**31 - 1), rows=st.integers(1, 60))
@settings(max_examples=25, deadline=None)
def test_equal_seeds_give_equal_draws_of_n_rows(seed: int, rows: int) -> None:
    count = [lambda weights: float(weights.sum()), mean(np.arange(rows, dtype=float))]
    first, second = (resample(count, rows, 20, seed) for _ in range(2))
    assert (first == second).all() and (first[:, 0] == rows).all()


INTERVALS = {
    "a few undefined resamples do not count": ([1.0] * 97 + [float("nan")] * 3, True),
    "many leave no interval": ([1.0] * 90 + [float("nan")] * 10, False),
}


@pytest.mark.parametrize(("drawn", "has_bounds"), INTERVALS.values(), ids=INTERVALS.keys())
def test_undefined_resamples(drawn: list[float], has_bounds: bool) -> None:
    assert estimate(1.0, np.array(drawn), 0.95).is_finite is has_bounds


def test_no_row_is_no_bootstrap() -> None:
    with pytest.raises(ValueError, match="at least one row"):
        resample([], 0, 200, 0)
