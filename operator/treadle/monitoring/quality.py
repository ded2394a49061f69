"""What is wrong with inputs whatever their distribution: nulls, unknown values, numbers out of range, refusals."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from treadle.api.artifacts import Input
from treadle.api.monitor import QualityLimits
from treadle.api.reasons import Reason
from treadle.monitoring.samples import Counts, Floats, Numbers, Pair

ROUNDING = 1e-5  # documents hold bounds with six significant digits


@dataclass(frozen=True, slots=True)
class Quality:
    """Shares of a column's rows in the window; None where training knew no such bound."""

    column: str
    rows: int
    nulls: float
    nulls_before: float
    """The same in the reference."""
    unseen: float | None = None
    outside: float | None = None

    @property
    def nulls_beyond(self) -> float:
        """Return the share of nulls beyond that of the reference: a column that always had gaps is not at fault."""
        return max(0.0, self.nulls - self.nulls_before)


@dataclass(frozen=True, slots=True)
class Breach:
    """A limit that is passed; `column` is None for requests as a whole."""

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
        return Quality(
            item.name,
            len(pair.window),
            float(np.isnan(pair.window).mean()),
            float(np.isnan(pair.reference).mean()),
            outside=outside(pair.window, item),
        )
    rows = sum(pair.window.values())
    return Quality(
        item.name,
        rows,
        pair.window.get(None, 0) / rows,
        pair.reference.get(None, 0) / sum(pair.reference.values()),
        unseen=None if item.values is None else unseen(pair.window, set(item.values)) / rows,
    )


def unseen(window: Counts, known: set[str]) -> int:
    """Return the rows with a value that training did not see; null is none."""
    return sum(count for value, count in window.items() if value is not None and value not in known)


def outside(window: Floats, item: Input) -> float | None:
    """Return the share of rows whose number is outside the bounds of training; null is none."""
    if item.min is None or item.max is None:
        return None
    low, high = float(item.min), float(item.max)
    # NaN is neither below nor above.
    is_outside = (window < low - ROUNDING * abs(low)) | (window > high + ROUNDING * abs(high))
    return float(is_outside.mean())


def breaches(
    columns: Iterable[Quality], refused: int, requests: int, limits: QualityLimits, *, judge_columns: bool = True
) -> list[Breach]:
    """Return the limits that are passed, the farthest first.

    refused, requests: counted in requests, not rows. judge_columns: False where too few rows were answered.
    """
    found = [Breach(Reason.REQUESTS_REJECTED, None, refused / max(requests, 1), float(limits.max_rejected))]
    for row in columns if judge_columns else ():
        found += [
            Breach(Reason.TOO_MANY_NULLS, row.column, row.nulls_beyond, float(limits.max_null_fraction)),
            Breach(Reason.UNSEEN_VALUES, row.column, row.unseen or 0.0, float(limits.max_unseen_fraction)),
            Breach(Reason.OUT_OF_RANGE, row.column, row.outside or 0.0, float(limits.max_range_violations)),
        ]
    passed = [breach for breach in found if breach.fraction > breach.limit]
    return sorted(passed, key=lambda breach: breach.limit - breach.fraction)
