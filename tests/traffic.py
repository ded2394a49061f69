"""Flights as uploads and requests, through forwarded ports as any user would send them."""

import argparse
import http.client
import importlib.util
import itertools
import json
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from urllib.parse import urlsplit

ROOT = Path(__file__).parents[1]


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
    tunnels: list[str] = field(default_factory=list)
    """Forwarded ports that broke."""

    def note(self, status: int, version: str, text: str) -> None:
        self.by_status[status] = self.by_status.get(status, 0) + 1
        self.by_version[version] = self.by_version.get(version, 0) + 1
        if status != 200 and len(self.refused) < 5:
            self.refused.append(text[:300])


def ask(url: str, model: str, flight: dict[str, str]) -> tuple[int, str, str, dict[str, object]]:
    """Send one flight; return status, the answer's model version and digest, and its body."""
    connection = connected(url)
    try:
        return asked(connection, model, flight)
    finally:
        connection.close()


def connected(url: str) -> http.client.HTTPConnection:
    """Return a connection to a forwarded port."""
    parts = urlsplit(url)
    return http.client.HTTPConnection(parts.hostname or "localhost", parts.port or 80, timeout=10)


def asked(
    connection: http.client.HTTPConnection, model: str, flight: dict[str, str], base: str = ""
) -> tuple[int, str, str, dict[str, object]]:
    """Send one flight over an open connection; `base` is the server's place below its host."""
    body = json.dumps(flights.request(flight))
    connection.request("POST", f"{base}/v2/models/{model}/infer", body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    told = json.loads(answer.read())
    version, digest = (answer.getheader(f"treadle-model-{name}", "") for name in ("version", "digest"))
    return answer.status, version, digest, told


@contextmanager
def replaying(namespace: str, model: str, month: int, *, shift: bool, rate: float) -> Iterator[Answers]:
    """Send a month's flights over and over at a steady rate while the block runs."""
    flown = [row for row in flights.flights({month}, utc=shift)[month] if row["arr_delay"] != "NA"]
    sent, answers, stop = itertools.cycle(flights.mixed(flown)), Answers(), threading.Event()

    def send() -> None:
        while not stop.is_set():
            try:
                with flights.forwarded(model, 80, namespace) as url:
                    send_over(connected(url))
            except (OSError, http.client.HTTPException, SystemExit) as problem:
                # kubectl's tunnel stalls now and then; what the server says is never an exception.
                answers.tunnels.append(repr(problem))
                stop.wait(1)

    def send_over(connection: http.client.HTTPConnection) -> None:
        with closing(connection):
            while not stop.wait(1 / rate):
                status, version, _, body = asked(connection, model, next(sent))
                answers.note(status, version, json.dumps(body))

    sender = threading.Thread(target=send, daemon=True)
    sender.start()
    try:
        yield answers
    finally:
        stop.set()
        sender.join(60)
    assert not sender.is_alive(), "the sender did not end"
