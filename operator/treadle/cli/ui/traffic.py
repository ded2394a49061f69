"""What the serving pods count, read from the text of their /metrics."""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from treadle.api.arms import LATENCY_BOUNDS_MILLISECONDS

LINE = re.compile(r"treadle_serving_(\w+?)(?:_total|_bucket)?\{(.*?)\} (\S+)")
LABEL = re.compile(r'(\w+)="([^"]*)"')
BOUNDS = {str(bound / 1000): bound / 1000 for bound in LATENCY_BOUNDS_MILLISECONDS} | {"+Inf": math.inf}
Z = 1.959963984540054
"""Of a two-sided interval at 95 %."""


@dataclass(frozen=True, slots=True)
class Counted:
    """What one model did since its pods started; counts of several pods add up."""

    requests: int = 0
    errors: int = 0
    rejected: int = 0
    latency: Mapping[float, int] = field(default_factory=dict)
    """Requests that took at most so many seconds."""

    def plus(self, other: "Counted") -> "Counted":
        """Return the counts of both."""
        bounds = {*self.latency, *other.latency}
        return Counted(
            self.requests + other.requests,
            self.errors + other.errors,
            self.rejected + other.rejected,
            {bound: self.latency.get(bound, 0) + other.latency.get(bound, 0) for bound in sorted(bounds)},
        )

    def less(self, earlier: "Counted") -> "Counted":
        """Return what was counted since; a pod that started anew counts from zero."""
        if self.requests < earlier.requests:
            return self
        return Counted(
            self.requests - earlier.requests,
            max(0, self.errors - earlier.errors),
            max(0, self.rejected - earlier.rejected),
            {bound: max(0, found - earlier.latency.get(bound, 0)) for bound, found in self.latency.items()},
        )


type Scrape = Mapping[str, Counted]
"""By digest."""


@dataclass(frozen=True, slots=True)
class Look:
    """What the pods that answered had counted at a time."""

    at: datetime
    pods: Mapping[str, Scrape] = field(default_factory=dict)
    """By the pod's uid."""
    asked: int = 0
    refused: str = ""
    """Why none was asked."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """What one model did in a span of time."""

    counted: Counted
    seconds: float | None
    """None: since the pods started."""

    @property
    def per_second(self) -> float | None:
        """Return the rate, where the span is known."""
        return self.counted.requests / self.seconds if self.seconds else None

    @property
    def errors(self) -> tuple[float, float]:
        """Return the bounds of the share of requests that the model failed."""
        return wilson(self.counted.errors, self.counted.requests)

    @property
    def p99(self) -> float | None:
        """Return the time within which 99 of 100 requests were answered; None for none, infinite above all bounds."""
        needed = 0.99 * self.counted.requests
        return next((bound for bound, found in self.counted.latency.items() if 0 < needed <= found), None)


def parse(text: str) -> Scrape:
    """Return what a pod's /metrics says, by digest."""
    found: dict[str, dict[str, int]] = {}
    latency: dict[str, dict[float, int]] = {}
    for name, labels, value in LINE.findall(text):
        told = dict(LABEL.findall(labels))
        digest = told.get("digest", "")
        if "le" in told:
            latency.setdefault(digest, {})[BOUNDS.get(told["le"], math.inf)] = int(float(value))
        else:
            found.setdefault(digest, {})[name] = int(float(value))
    return {
        digest: Counted(
            counts.get("requests", 0), counts.get("errors", 0), counts.get("rejected", 0), latency.get(digest, {})
        )
        for digest, counts in found.items()
    }


def traffic(look: Look, earlier: Look | None, digest: str) -> Traffic | None:
    """Return what a model did since an earlier look, or since its pods started; None where no pod told."""
    if not look.pods:
        return None
    parts = [scrape.get(digest, Counted()) for scrape in look.pods.values()]
    if earlier is None:
        return Traffic(total(parts), None)
    before = [earlier.pods.get(pod, {}).get(digest, Counted()) for pod in look.pods]
    since = [now.less(then) for now, then in zip(parts, before, strict=True)]
    return Traffic(total(since), (look.at - earlier.at).total_seconds())


def total(parts: Iterable[Counted]) -> Counted:
    """Return the sum of counts."""
    found = Counted()
    for part in parts:
        found = found.plus(part)
    return found


def wilson(hits: int, rows: int) -> tuple[float, float]:
    """Return the score interval of a share at 95 %: Wilson 1927; of no rows, all shares."""
    if rows == 0:
        return 0.0, 1.0
    share, room = hits / rows, Z * Z / rows
    middle = (share + room / 2) / (1 + room)
    half = Z * math.sqrt(share * (1 - share) / rows + room / (4 * rows)) / (1 + room)
    return max(0.0, middle - half), min(1.0, middle + half)
