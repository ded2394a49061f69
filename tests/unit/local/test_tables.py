"""What `kubectl get` prints of an object: ages, and what stands at a path."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from treadle.local.server.cells import found, lasting, since

NOW = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)
# k8s.io/apimachinery/pkg/util/duration, TestHumanDuration.
LASTING = {
    -2: "<invalid>", -1.5: "0s", 0: "0s", 1: "1s", 70: "70s", 119: "119s", 120: "2m", 190: "3m10s", 599: "9m59s",
    600: "10m", 70 * 60: "70m", 179 * 60: "179m", 3 * 3600: "3h", 3 * 3600 + 600: "3h10m", 8 * 3600: "8h",
    47 * 3600: "47h", 48 * 3600: "2d", 49 * 3600: "2d1h", 8 * 86400: "8d", 729 * 86400: "729d", 730 * 86400: "2y",
    731 * 86400: "2y1d", 8 * 365 * 86400: "8y", 9 * 365 * 86400: "9y",
}  # fmt: skip


@pytest.mark.parametrize(("seconds", "text"), LASTING.items())
def test_lasting(seconds: float, text: str) -> None:
    assert lasting(seconds) == text


SINCE = {
    "a while ago": ((NOW - timedelta(minutes=5)).isoformat(), "5m"),
    "in UTC, as Kubernetes writes it": ("2026-01-05T07:59:00Z", "60s"),
    "with parts of a second": ("2026-01-05T07:59:00.250000Z", "59s"),
    "never": (None, "<unknown>"),
    "no time": ("yesterday", "<invalid>"),
    "later": ("2026-01-05T09:00:00Z", "<invalid>"),
}


@pytest.mark.parametrize(("moment", "text"), SINCE.values(), ids=SINCE.keys())
def test_since(moment: Any, text: str) -> None:
    assert since(moment, NOW) == text


RAW = {"status": {"conditions": [{"type": "Ready", "status": "True"}, {"type": "Stalled", "status": "False"}], "n": 0}}
FOUND = {
    "a field": (".status.n", 0),
    "an item by its type": (".status.conditions[?(@.type=='Stalled')].status", "False"),
    "in other quotation marks": ('.status.conditions[?(@.type=="Ready")].status', "True"),
    "no such item": (".status.conditions[?(@.type=='None')].status", None),
    "no such field": (".spec.replicas", None),
    "a field of a number": (".status.n.x", None),
    "an item of a map": (".status[?(@.type=='Ready')].x", None),
}


@pytest.mark.parametrize(("path", "value"), FOUND.values(), ids=FOUND.keys())
def test_found(path: str, value: Any) -> None:
    assert found(RAW, path) == value
