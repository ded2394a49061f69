"""What is wrong with inputs whatever their distribution: nulls, unknown values, numbers out of range, refusals."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from treadle.api.artifacts import Input
from treadle.api.monitor import QualityLimits
from treadle.api.reasons import Reason
from treadle.monitoring.samples import Categories, Counts, Floats, Numbers, Pair

ROUNDING = 1e-5  # documents hold bounds with six significant digits


@dataclass(frozen=True, slots=True)
class Share:
    """A share of rows, in the window and in the reference."""

    window: float
    reference: float

    @property
    def beyond(self) -> float:
        """Return what the window has beyond the reference: a column that always had gaps is not at fault."""
        return max(0.0, self.window - self.reference)


@dataclass(frozen=True, slots=True)
class Quality:
    """What is wrong with a column's rows; None where training knew no bound."""

    column: str
    rows: int
    nulls: Share
    unseen: Share | None = None
    outside: Share | None = None


@dataclass(frozen=True, slots=True)
class Breach:
    """A limit and what is held against it; `column` is None for requests as a whole."""

    reason: Reason
    column: str | None
    fraction: float
    limit: float


def measure(inputs: Iterable[Input], samples: Mapping[str, Pair]) -> list[Quality]:
    """Return the shares of each column that the window holds."""
    return [measured(item, samples[item.name]) for item in inputs if item.name in samples]


def measured(item: Input, pair: Pair) -> Quality:
    """Return the shares of one column, against the values and bounds of the train part."""
    if isinstance(pair, Numbers):
        return of_numbers(item, pair)
    rows, nulls = sum(pair.window.values()), both(pair, lambda value: value is None)
    if item.values is None:
        return Quality(item.name, rows, nulls)
    known = {None, *item.values}
    return Quality(item.name, rows, nulls, unseen=both(pair, lambda value: value not in known))


def of_numbers(item: Input, pair: Numbers) -> Quality:
    """Return the shares of a column of numbers."""
    nulls = Share(float(np.isnan(pair.window).mean()), float(np.isnan(pair.reference).mean()))
    if item.min is None or item.max is None:
        return Quality(item.name, len(pair.window), nulls)
    low, high = float(item.min), float(item.max)
    beyond = Share(outside(pair.window, low, high), outside(pair.reference, low, high))
    return Quality(item.name, len(pair.window), nulls, outside=beyond)


def both(pair: Categories, counts: Callable[[str | None], bool]) -> Share:
    """Return the share of rows whose value counts, on both sides."""
    return Share(share(pair.window, counts), share(pair.reference, counts))


def share(side: Counts, counts: Callable[[str | None], bool]) -> float:
    """Return the share of rows whose value counts."""
    return sum(number for value, number in side.items() if counts(value)) / sum(side.values())


def outside(side: Floats, low: float, high: float) -> float:
    """Return the share of rows whose number is outside the bounds of training; null is none."""
    # NaN is neither below nor above.
    return float(((side < low - ROUNDING * abs(low)) | (side > high + ROUNDING * abs(high))).mean())


def breaches(
    columns: Iterable[Quality], refused: int, requests: int, limits: QualityLimits, *, judge_columns: bool = True
) -> list[Breach]:
    """Return the limits that are passed, the farthest first.

    refused, requests: counted in requests, not rows. judge_columns: False where too few rows were answered.
    """
    found = [Breach(Reason.REQUESTS_REJECTED, None, refused / max(requests, 1), float(limits.max_rejected))]
    for row in columns if judge_columns else ():
        for reason, shares, limit in (
            (Reason.TOO_MANY_NULLS, row.nulls, limits.max_null_fraction),
            (Reason.UNSEEN_VALUES, row.unseen, limits.max_unseen_fraction),
            (Reason.OUT_OF_RANGE, row.outside, limits.max_range_violations),
        ):
            found += [Breach(reason, row.column, shares.beyond, float(limit))] if shares is not None else []
    passed = [breach for breach in found if breach.fraction > breach.limit]
    return sorted(passed, key=lambda breach: breach.limit - breach.fraction)
