"""What two samples of a column look like, in a few bars."""

from dataclasses import dataclass

import numpy as np

from treadle.api.base import decimal
from treadle.monitoring.samples import Categories, Floats, Numbers, Pair

BINS = 24
CODES = 32  # so many whole numbers, such as hours, are a bar each
BARS = 10
TAIL = 0.005  # beyond, outliers: they are counted in the first and last bar
TEXT_LENGTH = 28


@dataclass(frozen=True, slots=True)
class Shape:
    """Shares of rows by bar, of the reference and of the window; null is a category, and no bar among numbers."""

    labels: tuple[str, ...]
    reference: tuple[float, ...]
    window: tuple[float, ...]
    is_ordered: bool
    """Bars of numbers, side by side; else of categories."""
    hidden: int = 0
    """Categories that have no bar."""


def shape(pair: Pair) -> Shape:
    """Return the bars of a pair."""
    return numbers(pair) if isinstance(pair, Numbers) else categories(pair)


def numbers(pair: Numbers) -> Shape:
    """Return equal bins over both samples, or one for each of a few whole numbers."""
    sides = [side[np.isfinite(side)] for side in (pair.reference, pair.window)]
    both = np.concatenate(sides)
    if not len(both):
        return Shape((), (), (), is_ordered=True)
    low, high = float(both.min()), float(both.max())
    if high - low < CODES and np.array_equal(both, np.round(both)):
        edges = np.arange(low, high + 2) - 0.5
        labels = [decimal(value) for value in edges[:-1] + 0.5]
    else:
        low, high = (float(edge) for edge in np.quantile(both, (TAIL, 1 - TAIL)))
        edges = np.linspace(low, high if high > low else low + 1, BINS + 1)
        labels = [decimal(float(f"{edge:.3g}")) for edge in edges[:-1]]
    bars = [
        shares(np.clip(side, edges[0], edges[-1]), edges, len(whole))
        for side, whole in zip(sides, (pair.reference, pair.window), strict=True)
    ]
    return Shape(tuple(labels), bars[0], bars[1], is_ordered=True)


def shares(side: Floats, edges: Floats, rows: int) -> tuple[float, ...]:
    """Return each bin's share of a sample's rows, nulls among them."""
    return tuple(float(count) / rows for count in np.histogram(side, edges)[0])


def categories(pair: Categories) -> Shape:
    """Return a bar for each value or, of many, for those that moved most; the commonest first."""
    n, m = (sum(side.values()) for side in (pair.reference, pair.window))
    found = {
        value: (pair.reference.get(value, 0) / n, pair.window.get(value, 0) / m)
        for value in pair.reference.keys() | pair.window.keys()
    }
    by_move = sorted(found, key=lambda value: (-moved(*found[value]), value or ""))
    chosen = sorted(by_move[:BARS], key=lambda value: (-found[value][0], -found[value][1], value or ""))
    bars = [("null" if value is None else cut(value), *found[value]) for value in chosen]
    columns = list(zip(*bars, strict=True)) or [(), (), ()]
    return Shape(columns[0], columns[1], columns[2], is_ordered=False, hidden=len(found) - len(chosen))


def moved(before: float, after: float) -> float:
    """Return what a value adds to the effect."""
    return (before - after) ** 2 / (before + after)


def cut(text: str) -> str:
    """Return a value as one short line."""
    flat = " ".join(text.split()) or '""'
    return flat if len(flat) <= TEXT_LENGTH else f"{flat[: TEXT_LENGTH - 1]}…"
