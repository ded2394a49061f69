"""Counters per arm, latency and queue."""

from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from treadle.api.arms import LATENCY_BOUNDS_MILLISECONDS, ArmCounts


@dataclass(slots=True)
class Tally:
    """What one model did in this process; numbers only grow."""

    requests: int = 0
    errors: int = 0
    rejected: int = 0
    seconds: float = 0.0
    latency: list[int] = field(default_factory=lambda: [0] * (len(LATENCY_BOUNDS_MILLISECONDS) + 1))


class Counts:
    """Tallies by model digest, in the order in which models first answered."""

    def __init__(self) -> None:
        """Begin at zero."""
        self._tallies: dict[str, Tally] = {}

    def answered(self, digest: str, seconds: float, *, failed: bool) -> None:
        """Count a request that a model answered, or failed to."""
        tally = self._of(digest)
        tally.requests += 1
        tally.errors += failed
        tally.seconds += seconds
        tally.latency[bisect_left(LATENCY_BOUNDS_MILLISECONDS, seconds * 1000)] += 1

    def rejected(self, digest: str) -> None:
        """Count a request that was the caller's to correct."""
        self._of(digest).rejected += 1

    def arms(self) -> list[ArmCounts]:
        """Return the counts as /progress reports them."""
        return [
            ArmCounts(
                digest=digest,
                requests=tally.requests,
                errors=tally.errors,
                rejected=tally.rejected,
                latency=list(tally.latency),
            )
            for digest, tally in self._tallies.items()
        ]

    def tallies(self) -> list[tuple[str, Tally]]:
        """Return digest and tally of each model."""
        return list(self._tallies.items())

    def _of(self, digest: str) -> Tally:
        return self._tallies.setdefault(digest, Tally())


@dataclass(frozen=True, slots=True)
class Levels:
    """What /metrics tells besides the counts."""

    plan: int
    waiting: int
    log_rows: int
    log_dropped: int
    ready: bool


class Exporter(Collector):
    """The counts as Prometheus reads them, made when asked, so that a request pays nothing for them."""

    def __init__(self, counts: Counts, levels: Callable[[], Levels]) -> None:
        """Export `counts` and what `levels` returns at each scrape."""
        self._counts = counts
        self._levels = levels
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def text(self) -> bytes:
        """Return the text format."""
        return generate_latest(self._registry)

    def describe(self) -> list[Metric]:
        """Return nothing: names are known at the scrape, and no label is read before."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield every metric."""
        requests = CounterMetricFamily("treadle_serving_requests", "Requests by model", labels=["digest"])
        errors = CounterMetricFamily("treadle_serving_errors", "Requests that a model failed", labels=["digest"])
        rejected = CounterMetricFamily("treadle_serving_rejected", "Requests refused as wrong", labels=["digest"])
        latency = HistogramMetricFamily("treadle_serving_latency_seconds", "Time in the server", labels=["digest"])
        for digest, tally in self._counts.tallies():
            requests.add_metric([digest], tally.requests)
            errors.add_metric([digest], tally.errors)
            rejected.add_metric([digest], tally.rejected)
            latency.add_metric([digest], cumulative(tally.latency), tally.seconds)
        yield from (requests, errors, rejected, latency)
        levels = self._levels()
        yield GaugeMetricFamily("treadle_serving_plan_revision", "Revision of the plan in force", levels.plan)
        yield GaugeMetricFamily("treadle_serving_waiting_requests", "Requests that wait for a model", levels.waiting)
        yield GaugeMetricFamily("treadle_serving_ready", "Whether a champion answers here", int(levels.ready))
        yield CounterMetricFamily("treadle_serving_log_rows", "Rows of the request log, stored", levels.log_rows)
        yield CounterMetricFamily(
            "treadle_serving_log_dropped", "Rows that the log had no room for", levels.log_dropped
        )


def cumulative(latency: list[int]) -> list[tuple[str, float]]:
    """Return histogram buckets: upper bound in seconds, and the count up to it."""
    total = 0
    buckets: list[tuple[str, float]] = []
    for bound, count in zip((*LATENCY_BOUNDS_MILLISECONDS, None), latency, strict=True):
        total += count
        buckets.append(("+Inf" if bound is None else str(bound / 1000), float(total)))
    return buckets
