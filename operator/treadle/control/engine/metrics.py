"""What the operator counts: queue, passes, API calls, conditions."""

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from treadle.control.engine.ports import Key, Object


class Metrics:
    """The operator's metrics in a registry of their own; condition series are capped."""

    def __init__(self, condition_limit: int = 20_000) -> None:
        self.registry = CollectorRegistry()
        self.queue_depth = Gauge("treadle_queue_depth", "Keys waiting for a pass", registry=self.registry)
        self.oldest_seconds = Gauge("treadle_queue_oldest_seconds", "Age of the oldest key", registry=self.registry)
        self.loop_lag_seconds = Gauge("treadle_loop_lag_seconds", "Lag of the event loop", registry=self.registry)
        self.pass_seconds = Histogram(
            "treadle_pass_seconds",
            "Duration of a pass",
            ["kind"],
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
            registry=self.registry,
        )
        self.passes = Counter("treadle_passes", "Passes by result", ["kind", "result"], registry=self.registry)
        self.api_calls = Counter("treadle_api_calls", "API calls by verb", ["verb", "kind"], registry=self.registry)
        self.condition = Gauge(
            "treadle_resource_condition",
            "1 for the status that a condition has",
            ["kind", "namespace", "name", "type", "status"],
            registry=self.registry,
        )
        self.conditions_left_out = Gauge(
            "treadle_resource_conditions_left_out", "Conditions beyond the cap", registry=self.registry
        )
        self._limit = condition_limit
        self._shown: dict[Key, dict[str, str]] = {}
        self._count = 0

    def show(self, key: Key, conditions: Sequence[Object]) -> None:
        """Show the conditions of an object as they are now; none for an object that is gone."""
        now = {written["type"]: written["status"] for written in conditions}
        before = self._shown.get(key, {})
        if now == before:
            return
        for type_, status in before.items():
            self.condition.remove(*key, type_, status)
        self._count += len(now) - len(before)
        if self._count > self._limit:
            self._count -= len(now)
            self._shown.pop(key, None)
            self.conditions_left_out.inc(len(now))
            return
        for type_, status in now.items():
            self.condition.labels(*key, type_, status).set(1)
        if now:
            self._shown[key] = now
        else:
            self._shown.pop(key, None)
