"""Bars of two samples."""

import numpy as np
import pytest

from treadle.monitoring.samples import Categories, Floats, Numbers, Pair
from treadle.monitoring.shape import BARS, BINS, shape


def numbers(reference: Floats, window: Floats) -> Numbers:
    return Numbers(np.asarray(reference, dtype=float), np.asarray(window, dtype=float))


SHAPES: dict[str, tuple[Pair, tuple[str, ...], tuple[float, ...], tuple[float, ...]]] = {
    "a bar for each hour": (
        numbers(np.array([5, 6, 6, 7]), np.array([6, 8])),
        ("5", "6", "7", "8"),
        (0.25, 0.5, 0.25, 0),
        (0, 0.5, 0, 0.5),
    ),
    "nulls are in no bar": (
        numbers(np.array([1, np.nan]), np.array([1, 1, 1, np.nan])),
        ("1",),
        (0.5,),
        (0.75,),
    ),
    "nothing but nulls": (numbers(np.array([np.nan]), np.array([np.nan])), (), (), ()),
    "categories, the commonest first": (
        Categories({"b": 1, "a": 3}, {"a": 1, "new": 1, None: 2}),
        ("a", "b", "null", "new"),
        (0.75, 0.25, 0, 0),
        (0.25, 0, 0.5, 0.25),
    ),
    "null alone": (Categories({None: 1}, {None: 1}), ("null",), (1,), (1,)),
    "a long value and an empty one are one line each": (
        Categories({"x\n" * 30: 2, "": 1}, {"": 1}),
        ("x " * 13 + "x…", '""'),
        (2 / 3, 1 / 3),
        (0, 1),
    ),
}


@pytest.mark.parametrize(("pair", "labels", "reference", "window"), SHAPES.values(), ids=SHAPES.keys())
def test_shape(pair: Pair, labels: tuple[str, ...], reference: tuple[float, ...], window: tuple[float, ...]) -> None:
    found = shape(pair)
    assert found.labels == labels
    assert found.reference == pytest.approx(reference)
    assert found.window == pytest.approx(window)


def test_outliers_are_in_the_outermost_bars() -> None:
    middle = np.linspace(0, 1, 1000)
    found = shape(numbers(middle, np.append(middle, [-1e9, 1e9])))
    assert len(found.labels) == BINS
    assert (sum(found.reference), sum(found.window)) == (pytest.approx(1), pytest.approx(1))


def test_one_value_has_a_bar() -> None:
    assert sum(shape(numbers(np.full(9, 0.5), np.full(9, 0.5))).window) == pytest.approx(1)


def test_of_many_categories_those_that_moved_most_are_shown() -> None:
    steady = {f"s{number}": 100 for number in range(40)}
    found = shape(Categories({**steady, "gone": 50}, {**steady, "new": 50}))
    assert (len(found.labels), found.hidden) == (BARS, 42 - BARS)
    assert {"gone", "new"} <= set(found.labels)
