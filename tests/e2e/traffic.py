"""Flights as uploads and requests, through forwarded ports as any user would send them."""

import argparse
import http.client
import importlib.util
import itertools
import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from urllib.parse import urlsplit

ROOT = Path(__file__).parents[2]


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("flights", ROOT / "hack" / "flights.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["flights"] = module
    spec.loader.exec_module(module)
    return module


flights = _load()


def upload(months: set[int], prefix: str = "nycflights13", *, utc: bool = False) -> None:
    """Put a file for each month below a prefix of the quickstart's raw bucket."""
    cut = flights.flights(months, utc=utc)
    files = {f"{prefix}/{flights.object_name(month)}": flights.as_csv(rows) for month, rows in cut.items()}
    flights.upload(files, argparse.Namespace(endpoint=None, namespace="demo", bucket="raw"))


@dataclass
class Answers:
    """What came back."""

    by_status: dict[int, int] = field(default_factory=dict)
    by_version: dict[str, int] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)

    def note(self, status: int, version: str, text: str) -> None:
        self.by_status[status] = self.by_status.get(status, 0) + 1
        self.by_version[version] = self.by_version.get(version, 0) + 1
        if status != 200 and len(self.refused) < 5:
            self.refused.append(text[:300])


def ask(url: str, model: str, flight: dict[str, str]) -> tuple[int, str, str, dict[str, object]]:
    """Send one flight; return status, the answer's model version and digest, and its body."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "localhost", parts.port or 80, timeout=30)
    connection.request(
        "POST",
        f"/v2/models/{model}/infer",
        json.dumps(flights.request(flight)),
        {"Content-Type": "application/json"},
    )
    answer = connection.getresponse()
    body = json.loads(answer.read())
    connection.close()
    version = str(answer.getheader("treadle-model-version") or body.get("model_version") or "")
    return answer.status, version, str(answer.getheader("treadle-model-digest") or ""), body


@contextmanager
def replaying(namespace: str, model: str, month: int, *, shift: bool, rate: float) -> Iterator[Answers]:
    """Send a month's flights over and over at a steady rate while the block runs."""
    sent = flights.mixed([row for row in flights.flights({month}, utc=shift)[month] if row["arr_delay"] != "NA"])
    answers, stop = Answers(), threading.Event()

    def send(url: str) -> None:
        began = time.monotonic()
        for number, flight in enumerate(itertools.cycle(sent)):
            if stop.wait(max(0.0, began + number / rate - time.monotonic())):
                return
            status, version, _, body = ask(url, model, flight)
            answers.note(status, version, json.dumps(body))

    with flights.forwarded(model, 80, namespace) as url:
        sender = threading.Thread(target=send, args=(url,), daemon=True)
        sender.start()
        try:
            yield answers
        finally:
            stop.set()
            sender.join(30)
    assert not sender.is_alive(), "the sender did not end"
