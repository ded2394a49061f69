"""Tests for chance and effects, against tables, closed forms and scipy.stats."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from treadle.monitoring.drift import adjust, chi2, compare, ks, novelty
from treadle.monitoring.samples import Categories, Counts, Floats, Numbers

# Benjamini and Hochberg 1995, section 4.1: 15 p-values of a study of myocardial infarction.
PUBLISHED = [
    *(0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459),
    *(0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0000),
]


def test_the_published_example_rejects_four_hypotheses_and_bonferroni_three() -> None:
    assert [value < 0.05 for value in adjust(PUBLISHED)] == [True] * 4 + [False] * 11
    assert sum(value < 0.05 / 15 for value in PUBLISHED) == 3
    assert adjust(PUBLISHED)[3] == pytest.approx(0.0095 * 15 / 4)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0, 1), max_size=30))
def test_adjusted_values_are_those_of_scipy_in_any_order(values: list[float]) -> None:
    from scipy.stats import false_discovery_control

    expected = false_discovery_control(values).tolist() if values else []
    assert adjust(values) == pytest.approx(expected)
    assert all(adjusted >= value - 1e-12 for adjusted, value in zip(adjust(values), values, strict=True))


def test_the_critical_distance_of_the_table_has_its_p_value() -> None:
    # Smirnov 1948: K(1.36) is .951. Of two samples of 400 that is a distance of 1.36 / sqrt(200) = .0962.
    side = np.arange(400.0)
    found = ks(side, side + 38.5)
    assert found.effect == found.statistic == pytest.approx(39 / 400)
    assert found.p_value == pytest.approx(0.0446, abs=2e-4)


@pytest.mark.parametrize("decimals", [0, 1, 6], ids=lambda number: f"{number} decimals")
def test_the_distance_is_that_of_scipy_with_and_without_ties(decimals: int) -> None:
    from scipy.stats import ks_2samp

    rng = np.random.default_rng(3)
    reference, window = np.round(rng.normal(0, 1, 900), decimals), np.round(rng.normal(0.2, 1, 500), decimals)
    expected = ks_2samp(reference, window, method="asymp")
    found = ks(reference, window)
    assert found.statistic == pytest.approx(expected.statistic)
    # scipy corrects for small samples; the limit errs on the safe side.
    assert expected.pvalue <= found.p_value <= expected.pvalue * 1.5 + 1e-12


def test_numbers_that_go_missing_are_a_move() -> None:
    reference = np.arange(1000.0)
    window = np.where(np.arange(1000) % 4 == 0, np.nan, reference)
    found = ks(reference, window)
    assert (found.effect, found.p_value < 1e-6) == (pytest.approx(0.25, abs=0.002), True)
    assert ks(window, window).effect == 0.0
    assert ks(np.full(40, np.nan), np.full(40, np.nan)).p_value == 1.0


def test_the_statistic_of_a_two_by_two_table_is_pearsons() -> None:
    found = chi2({"a": 30, "b": 70}, {"a": 50, "b": 50})
    # n (ad - bc)^2 over the product of the margins.
    assert found.statistic == pytest.approx(200 * (30 * 50 - 70 * 50) ** 2 / (100 * 100 * 80 * 120))
    # p(chi-squared 1 > 8.3333) = .003892; doubled, since new values are looked for too.
    assert found.p_value == pytest.approx(2 * 0.003892, rel=1e-3)
    # V = sqrt(8.3333 / 200) = .2041, less the bias of one degree of freedom: (1/100 + 1/100) / 4 = .005.
    assert found.effect == pytest.approx(((0.0416667 - 0.005) / 0.995) ** 0.5, rel=1e-4)


def test_the_statistic_of_many_cells_is_that_of_scipy() -> None:
    from scipy.stats import chi2_contingency

    before, after = [400, 300, 200, 100], [180, 170, 90, 60]
    found = chi2(dict(zip("abcd", before, strict=True)), dict(zip("abcd", after, strict=True)))
    expected = chi2_contingency([before, after])
    assert (found.statistic, found.p_value) == (pytest.approx(expected.statistic), pytest.approx(2 * expected.pvalue))


EFFECTS: dict[str, tuple[Counts, Counts, float, bool]] = {
    "equal shares do not move": ({"a": 500, "b": 500}, {"a": 250, "b": 250}, 0.0, False),
    "no common value is the greatest move": ({"a": 1000}, {"b": 1000}, 1.0, True),
    "a fifth of new values moves, however large the reference": (
        {"a": 40_000, "b": 40_000},
        {"a": 200, "b": 200, "new": 100},
        0.333,  # sqrt((2 * .1 ** 2 / .9 + .2) / 2)
        True,
    ),
    "one new value of many rows is no move": ({"a": 40_000, "b": 40_000}, {"a": 250, "b": 249, "n": 1}, 0.0, False),
    "a new value in each of twenty rows moves": (
        {"a": 40_000, "b": 40_000},
        {"a": 240, "b": 240, **{f"n{number}": 1 for number in range(20)}},
        0.138,
        True,
    ),
    "values that go missing move": ({"a": 1000, None: 10}, {"a": 800, None: 200}, 0.31, True),
    "one value alone never moves": ({"a": 1000}, {"a": 30}, 0.0, False),
}


@pytest.mark.parametrize(("reference", "window", "effect", "moved"), EFFECTS.values(), ids=EFFECTS.keys())
def test_effects_of_categories(reference: Counts, window: Counts, effect: float, moved: bool) -> None:
    [found] = compare({"column": Categories(reference, window)}, 0.01, 0.1)
    assert (found.distance.effect, found.moved) == (pytest.approx(effect, abs=0.03), moved)


def test_the_effect_of_a_move_does_not_depend_on_the_size_of_the_reference() -> None:
    window: Counts = {"a": 300, "b": 200}
    effects = [chi2({"a": 500 * n, "b": 500 * n}, window).effect for n in (1, 10, 100)]
    assert effects == pytest.approx([0.1] * 3, abs=0.012)


counts = st.dictionaries(st.sampled_from("abcdefgh") | st.none(), st.integers(1, 400), min_size=1)


@settings(max_examples=60, deadline=None)
@given(counts, counts)
def test_categories_stay_within_bounds_and_know_no_direction_of_order(before: Counts, after: Counts) -> None:
    found = chi2(before, after)
    assert 0 <= found.effect <= 1
    assert 0 <= found.p_value <= 1
    assert found == chi2(dict(reversed(before.items())), dict(reversed(after.items())))
    assert chi2(before, before).effect == 0


numbers = st.lists(st.floats(-1e6, 1e6) | st.just(float("nan")), min_size=1, max_size=60).map(np.array)


@settings(max_examples=60, deadline=None)
@given(numbers, numbers)
def test_the_distance_is_symmetric_and_does_not_depend_on_the_unit(reference: Floats, window: Floats) -> None:
    found = ks(reference, window)
    assert 0 <= found.effect <= 1
    assert found.effect == pytest.approx(ks(window, reference).effect)
    assert found.effect == pytest.approx(ks(reference * 4, window * 4).effect)
    assert ks(reference, reference).effect == 0


def test_what_moved_comes_first_and_then_what_moved_most() -> None:
    rng = np.random.default_rng(1)
    base = rng.normal(size=600)
    found = compare(
        {
            "steady": Numbers(base, rng.normal(size=600)),
            "near": Numbers(base, rng.normal(0.5, size=600)),
            "far": Numbers(base, rng.normal(2, size=600)),
            "few": Numbers(base[:2], np.array([9.0, 9.0])),
        },
        0.01,
        0.1,
    )
    assert [(row.column, row.moved) for row in found] == [
        ("far", True),
        ("near", True),
        ("few", False),
        ("steady", False),
    ]
    assert compare({}, 0.01, 0.1) == []


@pytest.mark.parametrize("seed", [1995])
def test_false_discoveries_stay_below_alpha(seed: int) -> None:
    """Of 20 columns 5 moved; the mean share of false among the found stays within alpha, and all five are found."""
    rng, rounds, alpha = np.random.default_rng(seed), 150, 0.1
    false_shares, missed = [], 0
    for _ in range(rounds):
        samples = {
            f"{'moved' if column < 5 else 'steady'}{column}": Numbers(
                rng.normal(size=400), rng.normal(0.5 if column < 5 else 0.0, size=300)
            )
            for column in range(20)
        }
        found = [row.column for row in compare(samples, alpha, 0.0) if row.moved]
        false_shares.append(sum(name.startswith("steady") for name in found) / max(len(found), 1))
        missed += 5 - sum(name.startswith("moved") for name in found)
    print(f"seed {seed}: false share {np.mean(false_shares):.3f}, missed {missed} of {5 * rounds}")
    assert np.mean(false_shares) <= alpha + 3 * np.std(false_shares) / np.sqrt(rounds)
    assert missed <= 0.02 * 5 * rounds


ZIPF = 1 / np.arange(1, 301)
NULLS = {
    "a large reference of many values": (10_000, 500, ZIPF),
    "equal sides of many values": (800, 800, ZIPF),
    "a small reference": (200, 5000, ZIPF),
    "values that hardly repeat": (1000, 1000, np.ones(2000)),
    "three values": (10_000, 500, np.array([5, 3, 1.0])),
}


@pytest.mark.parametrize(("n", "m", "weights"), NULLS.values(), ids=NULLS.keys())
def test_categories_that_did_not_move_are_found_no_more_often_than_by_chance(n: int, m: int, weights: Floats) -> None:
    rng, rounds, chances = np.random.default_rng(54), 200, weights / weights.sum()
    p_values = []
    for _ in range(rounds):
        before, after = rng.multinomial(n, chances), rng.multinomial(m, chances)
        sides = [{str(value): int(count) for value, count in enumerate(side) if count} for side in (before, after)]
        p_values.append(chi2(sides[0], sides[1]).p_value)
    found = float(np.mean(np.array(p_values) < 0.05))
    print(f"seed 54: {found:.3f} below .05")
    assert found <= 0.05 + 3 * (0.05 * 0.95 / rounds) ** 0.5


def test_a_single_new_value_has_the_chance_that_its_row_is_one_of_the_window() -> None:
    # One singleton among n + m rows: it lies in the window with chance m / (n + m).
    assert novelty(np.array([95.0, 0.0]), np.array([4.0, 1.0])) == pytest.approx(0.05, abs=0.002)
