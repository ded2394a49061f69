"""Files from a bucket and from a URL, and how each of them can fail."""

import os
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

os.environ["MOTO_S3_CUSTOM_ENDPOINTS"] = "http://treadle-storage.demo.svc:7070"

import boto3
import pytest
from moto import mock_aws

from treadle.api.datasource import Source
from treadle.api.reasons import Reason
from treadle.data.collect import collect
from treadle.data.refused import Refused
from treadle.store.errors import StoreError

R = Reason
ENDPOINT = os.environ["MOTO_S3_CUSTOM_ENDPOINTS"]


@pytest.fixture
def mounts(tmp_path):
    secret = tmp_path / "secrets" / "treadle-raw"
    secret.mkdir(parents=True)
    (secret / "AWS_ACCESS_KEY_ID").write_text("reader")
    (secret / "AWS_SECRET_ACCESS_KEY").write_text("reader-secret")
    headers = tmp_path / "secrets" / "treadle-web"
    headers.mkdir()
    (headers / "header.Authorization").write_text("Bearer of-tests\n")
    (headers / "header.X-Team").write_text("rides")
    for key in ("AWS_SECRET_ACCESS_KEY", "hash.key", "Authorization", "Header.Cookie"):
        (headers / key).write_text("stays-here")
    return tmp_path


@pytest.fixture
def bucket():
    with mock_aws():
        client = boto3.client("s3", endpoint_url=ENDPOINT, region_name="us-east-1")
        client.create_bucket(Bucket="raw")
        for key in ("rides/a.csv", "rides/b.csv", "rides/deep/c.csv", "rides/", "rides-old/d.csv", "notes.txt"):
            client.put_object(Bucket="raw", Key=key, Body=key.encode())
        yield client


def s3(uri: str, **fields: object) -> Source:
    return Source.parse(
        {"s3": {"storageUri": uri, "endpoint": ENDPOINT, "secretRef": {"name": "treadle-raw"}, **fields}}
    )


CHOSEN = {
    "all below a prefix": ("s3://raw/rides/", {}, ["a.csv", "b.csv", "c.csv"]),
    "a prefix without its slash is no beginning of a name": ("s3://raw/rides", {}, ["a.csv", "b.csv", "c.csv"]),
    "those that match": ("s3://raw/rides/", {"include": "[ab].csv"}, ["a.csv", "b.csv"]),
    "one object": ("s3://raw/rides/b.csv", {}, ["b.csv"]),
    "the whole bucket": ("s3://raw", {"include": "*.txt"}, ["notes.txt"]),
}


@pytest.mark.parametrize(("uri", "fields", "names"), CHOSEN.values(), ids=CHOSEN.keys())
def test_objects_chosen(bucket, mounts, uri, fields, names):
    found = list(collect(s3(uri, **fields), mounts, "demo"))
    assert [file.name for file in found] == names
    assert all(file.place.startswith("s3://raw/") and file.place.endswith(f"/{file.name}") for file in found)


FAILURES = {
    "nothing matches": (s3("s3://raw/rides/", include="*.parquet"), R.SOURCE_EMPTY, "no object below s3://raw/rides/"),
    "no bucket": (s3("s3://draw/rides/"), R.BUCKET_NOT_FOUND, 'no bucket "draw"'),
    "no Secret": (
        s3("s3://raw/rides/", secretRef={"name": "treadle-none"}),
        R.SECRET_NOT_FOUND,
        'no Secret "treadle-none" in namespace demo',
    ),
    "no ConfigMap with the authority": (
        s3("s3://raw/rides/", caRef={"name": "ca"}),
        R.CONFIG_MAP_NOT_FOUND,
        'no ConfigMap "ca"',
    ),
}


@pytest.mark.parametrize(("source", "reason", "text"), FAILURES.values(), ids=FAILURES.keys())
def test_bucket_failures(bucket, mounts, source, reason, text):
    with pytest.raises((Refused, StoreError)) as caught:
        list(collect(source, mounts, "demo"))
    assert (caught.value.reason, text in caught.value.message) == (reason, True), caught.value.message


CHANGES = {
    "a file that comes while others are read": ("rides/e.csv", b"new"),
    "a file that is replaced before it is read": ("rides/b.csv", b"of another size"),
    "a file that is replaced after it was read": ("rides/a.csv", b"of another size"),
}


@pytest.mark.parametrize(("key", "data"), CHANGES.values(), ids=CHANGES.keys())
def test_a_source_that_moves_is_noticed(bucket, mounts, key, data):
    files = collect(s3("s3://raw/rides/"), mounts, "demo")
    next(files)
    bucket.put_object(Bucket="raw", Key=key, Body=data)
    with pytest.raises(Refused) as caught:
        list(files)
    assert caught.value.reason is R.SOURCE_CHANGED


UNASKED = {"Host", "Connection", "Accept-Encoding", "Accept", "User-Agent"}


@contextmanager
def web(status: int, body: bytes):
    seen = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            seen.append({name: value for name, value in self.headers.items() if name not in UNASKED})
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            return

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/rides.csv", seen
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def http(url: str, **fields: object) -> Source:
    return Source.parse({"http": {"url": url, **fields}})


def test_of_a_secret_its_headers_alone_are_sent(mounts):
    with web(200, b"a\n1\n") as (url, seen):
        files = list(collect(http(f"{url}?token=stays-here", secretRef={"name": "treadle-web"}), mounts, "demo"))
    assert [(file.name, file.data, file.place) for file in files] == [("rides.csv", b"a\n1\n", url)]
    assert seen == [{"Authorization": "Bearer of-tests", "X-Team": "rides"}]


STORE_KEYS = {"bucket": "ml", "AWS_ACCESS_KEY_ID": "AK", "AWS_SECRET_ACCESS_KEY": "stays-here"}
OF_ITSELF = "which the request sets itself, expected for example header.Authorization. Rename or remove it"
UNSENT = {
    "no Secret": (
        {},
        R.SECRET_NOT_FOUND,
        'no Secret "treadle-x" in namespace demo. Create it, or correct spec.source.http.secretRef.name',
    ),
    "the store's own Secret": (
        STORE_KEYS,
        R.SECRET_NOT_FOUND,
        'Secret "treadle-x" in namespace demo has no key header.NAME, and no other is sent. Name the key of each header'
        " so, for example header.Authorization",
    ),
    "a header without a name": (
        {"header.": "stays-here"},
        R.INVALID_SPEC,
        '"header." in Secret treadle-x names no header, expected for example header.Authorization. Rename or remove it',
    ),
    "another host's name": (
        {"header.HOST": "stays-here"},
        R.INVALID_SPEC,
        f'"header.HOST" in Secret treadle-x names the header HOST, {OF_ITSELF}',
    ),
    "a length of a body": (
        {"header.Content-Length": "7"},
        R.INVALID_SPEC,
        f'"header.Content-Length" in Secret treadle-x names the header Content-Length, {OF_ITSELF}',
    ),
    "two lines": (
        {"header.X": "stays-here\r\nX-Other: 1"},
        R.INVALID_SPEC,
        '"header.X" in Secret treadle-x is empty or holds a line break or a character beyond ASCII, which no header'
        " can. Correct it",
    ),
    "nothing in it": (
        {"header.X": " "},
        R.INVALID_SPEC,
        '"header.X" in Secret treadle-x is empty or holds a line break or a character beyond ASCII, which no header'
        " can. Correct it",
    ),
}


@pytest.mark.parametrize(("values", "reason", "text"), UNSENT.values(), ids=UNSENT.keys())
def test_a_secret_that_is_not_sent(mounts, values, reason, text):
    (mounts / "secrets" / "treadle-x").mkdir()
    for key, value in values.items():
        (mounts / "secrets" / "treadle-x" / key).write_text(value)
    with web(200, b"a\n1\n") as (url, seen), pytest.raises(StoreError) as caught:
        list(collect(http(url, secretRef={"name": "treadle-x"}), mounts, "demo"))
    assert (caught.value.reason, caught.value.message) == (reason, f"{text}. docs: reasons/{reason.value}")
    assert seen == []


STATUSES = {
    "no file": (404, R.SOURCE_EMPTY),
    "unknown caller": (401, R.CREDENTIALS_REJECTED),
    "forbidden": (403, R.ACCESS_DENIED),
    "too many requests": (429, R.THROTTLED),
    "a broken server": (500, R.CONNECTION_FAILED),
    "an empty body": (200, R.SOURCE_EMPTY),
}


@pytest.mark.parametrize(("status", "reason"), STATUSES.values(), ids=STATUSES.keys())
def test_statuses(mounts, status, reason):
    with web(status, b"") as (url, _), pytest.raises((Refused, StoreError)) as caught:
        list(collect(http(url), mounts, "demo"))
    assert caught.value.reason is reason
    assert "of-tests" not in caught.value.message


UNREACHED = {
    "a name that does not resolve": ("http://nowhere.invalid/a.csv", R.NAME_NOT_RESOLVED),
    "a port that refuses": ("http://127.0.0.1:1/a.csv", R.CONNECTION_FAILED),
}


@pytest.mark.parametrize(("url", "reason"), UNREACHED.values(), ids=UNREACHED.keys())
def test_unreached(mounts, url, reason):
    with pytest.raises(StoreError) as caught:
        list(collect(http(url), mounts, "demo"))
    assert caught.value.reason is reason
