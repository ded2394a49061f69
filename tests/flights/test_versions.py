"""The quickstart's DataSource on the real flights: three months from a bucket into a version."""

import json
import os
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

os.environ["MOTO_S3_CUSTOM_ENDPOINTS"] = "http://treadle-storage.demo.svc:7070"

import boto3
import pytest
import yaml
from moto import mock_aws

from traffic import flights
from treadle.api.datasource import DataSourceSpec
from treadle.api.step import IngestStep, Owner, StoreAddress
from treadle.data.step import ingest
from treadle.store.folder import FolderStore
from treadle.store.manifest import read_manifest
from treadle.store.tables import Part, read_parts

ROOT = Path(__file__).parents[2]
ENDPOINT = os.environ["MOTO_S3_CUSTOM_ENDPOINTS"]


class Silent:
    def stage(self, name: str, fraction: float) -> None:
        assert 0 <= fraction <= 1, name


@pytest.fixture
def mounts(tmp_path, monkeypatch):
    secrets = tmp_path / "mounts" / "secrets"
    for name, keys in {
        "treadle-raw": {"AWS_ACCESS_KEY_ID": "reader", "AWS_SECRET_ACCESS_KEY": "reader-secret"},
        "treadle-privacy": {"hash.key": "0123456789abcdef0123456789abcdef"},
    }.items():
        (secrets / name).mkdir(parents=True)
        for key, value in keys.items():
            (secrets / name / key).write_text(value)
    monkeypatch.setenv("TREADLE_MOUNTS", str(tmp_path / "mounts"))
    (tmp_path / "bucket").mkdir()
    return tmp_path


def step(run: int, current: str | None = None) -> IngestStep:
    raw = yaml.safe_load((ROOT / "manifests" / "quickstart" / "datasource.yaml").read_text())
    return IngestStep(
        run=f"{run:010x}",
        run_key=f"{run:064x}",
        owner=Owner(kind="DataSource", name="flights", uid="u", namespace="demo"),
        store=StoreAddress(secret="treadle-store", prefix="treadle/v1/u/"),
        spec=DataSourceSpec.parse(raw["spec"]),
        current=current,
    )


def put_month(client, month: int, *, utc: bool = False) -> None:
    body = flights.as_csv(flights.flights({month}, utc=utc)[month])
    client.put_object(Bucket="raw", Key=f"nycflights13/{flights.object_name(month)}", Body=body)


@mock_aws
def test_three_months_become_a_version_and_a_fourth_the_next(mounts):
    client = boto3.client("s3", endpoint_url=ENDPOINT, region_name="us-east-1")
    client.create_bucket(Bucket="raw")
    for month in (1, 2, 3):
        put_month(client, month)
    store = FolderStore(mounts / "bucket", "treadle/v1/u/")

    first = ingest(step(1), store, Silent())
    assert (first.outcome, first.message) == ("Published", "77911 rows")  # the figure of the design's README
    assert first.protected == ["tailnum"]
    assert ingest(step(1), store, Silent()) == first
    again = ingest(step(2, first.version.digest), store, Silent())
    assert (again.outcome, again.version.digest) == ("Unchanged", first.version.digest)

    put_month(client, 4, utc=True)
    second = ingest(step(3, first.version.digest), store, Silent())
    assert (second.outcome, second.version.new_rows) == ("Published", second.version.rows - 77911)

    before, after = (holdout_ids(store, version.version.digest) for version in (first, second))
    assert before < after, "a holdout row stays one in the next version"
    manifest = read_manifest(store, "datasets", second.version.digest)
    assert "N14228" not in json.dumps(manifest)
    assert next(c for c in manifest["columns"] if c["name"] == "tailnum")["action"] == "Hash"


def holdout_ids(store, digest: str) -> set[str]:
    manifest = read_manifest(store, "datasets", digest)
    parts = [Part.parse(part) for part in manifest["parts"] if part["split"] == "holdout"]
    return set(read_parts(store, parts, ["flight_id"]).column("flight_id").to_pylist())


def test_the_shift_moves_the_hour_of_requests_and_nothing_else():
    plain, moved = (flights.flights({4}, utc=utc)[4][0] for utc in (False, True))
    assert {name for name in plain if plain[name] != moved[name]} == {"hour"}
    assert (int(moved["hour"]) - int(plain["hour"])) % 24 == 4
    sent = flights.request(moved)
    assert sent["id"] == f"{moved['carrier']}-{moved['flight']}-{moved['time_hour'][:13].replace('-', '')}"
    assert {item["name"]: item["data"][0] for item in sent["inputs"]}["hour"] == int(moved["hour"])


def test_a_replay_sends_flights_spread_over_the_month():
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            asked.append((self.path, json.loads(self.rfile.read(int(self.headers["Content-Length"])))))
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_):
            return

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        url = f"http://127.0.0.1:{server.server_address[1]}"
        given = flights.arguments().parse_args(["replay", "--month", "4", "--shift", "--count", "30", "--url", url])
        assert given.run(given) == 0
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert {path for path, _ in asked} == {"/v2/models/flights-late/infer"}
    days = {body["id"].split("-")[2][:8] for _, body in asked}
    assert (len(asked), min(days), len(days) > 25) == (30, "20130401", True)
