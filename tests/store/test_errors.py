"""Each misconfiguration gives its exact message: on a fault server, or on a real VersityGW."""

import errno
import hashlib
import re
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from certificates import issue
from faulty_s3 import Faults, serve
from treadle.api.reasons import Reason
from treadle.store import blobs
from treadle.store.client import Address
from treadle.store.errors import StoreError
from treadle.store.folder import FolderStore
from treadle.store.open import open_source, open_store
from treadle.store.retry import NEVER
from treadle.store.s3 import S3Store
from versity import QUICK, Gateway, address, free_port, gateway

PREFIX = "treadle/v1/0b6e/"
STORE_SAID = datetime(2013, 7, 1, 12, 0, 0, tzinfo=UTC)


def at(endpoint: str, **changed: object) -> S3Store:
    """Return a store at an endpoint, with keys that look right."""
    values: dict = {"access_key": "AK", "secret_key": "SK", "secret": "treadle-store", **changed}
    return S3Store(Address("sales", endpoint, **values), PREFIX, QUICK)


def message(act) -> str:
    """Return the message of the error that `act` raises."""
    with pytest.raises(StoreError) as caught:
        act()
    text = caught.value.message
    assert len(text) <= 300
    assert text.endswith(f" docs: reasons/{caught.value.reason.value}")
    return text.rpartition(" docs:")[0].removesuffix(".")


ANSWERS = {
    "CredentialsRejected": (
        Faults(403, "InvalidAccessKeyId"),
        "InvalidAccessKeyId for the key of Secret treadle-store; DNS and connection work. Replace both AWS keys",
    ),
    "AccessDenied": (
        Faults(403, "AccessDenied", only="PUT"),
        "403 to PutObject on sales/treadle/v1/0b6e with the key of Secret treadle-store; GetObject works."
        " Grant it (policy in docs)",
    ),
    "BucketNotFound": (
        Faults(404, "NoSuchBucket"),
        'no bucket "sales" at {server}; the key is valid. Create it, or correct "bucket"',
    ),
    "RegionMismatch by redirect": (
        Faults(301, "PermanentRedirect", headers={"x-amz-bucket-region": "eu-west-1"}),
        'bucket "sales" is in eu-west-1, not us-east-1. Set "region" in Secret treadle-store',
    ),
    "RegionMismatch by signature": (
        Faults(400, "AuthorizationHeaderMalformed", body="<Region>eu-west-1</Region>"),
        'bucket "sales" is in eu-west-1, not us-east-1. Set "region" in Secret treadle-store',
    ),
    "QuotaExceeded": (
        Faults(403, "QuotaExceeded", only="PUT"),
        "the store refused 3 MiB: quota. Free space, or raise the quota",
    ),
    "QuotaExceeded by status": (
        Faults(507, "XMinioStorageFull", only="PUT"),
        "the store refused 3 MiB: quota. Free space, or raise the quota",
    ),
    "ClockSkewed": (
        Faults(403, "RequestTimeTooSkewed", headers={"Date": "Mon, 01 Jul 2013 12:00:00 GMT"}),
        "this node is 1840 s behind the store, allowed are 900. Correct its clock",
    ),
    "Throttled": (
        Faults(503, "SlowDown", only="PUT"),
        "{server} answered 503 SlowDown to PutObject: too many requests. Wait",
    ),
    "StoreUnsupported": (
        Faults(501, "NotImplemented", only="PUT"),
        "{server} has no PutObject as asked: NotImplemented. Use another store",
    ),
    "ConnectionFailed by a broken store": (
        Faults(500, "InternalError", only="PUT"),
        "{server} answered 500 InternalError to PutObject; DNS and connection work."
        ' Check "endpoint" in Secret treadle-store and the store\'s log',
    ),
}


@pytest.mark.parametrize(("faults", "text"), ANSWERS.values(), ids=ANSWERS.keys())
def test_an_answer_of_the_store(faults: Faults, text: str, request: pytest.FixtureRequest) -> None:
    with serve(faults) as endpoint:
        behind = STORE_SAID - timedelta(seconds=1840)
        store = S3Store(
            Address("sales", endpoint, access_key="AK", secret_key="SK", secret="treadle-store"),
            PREFIX,
            QUICK,
            now=lambda: behind,
        )

        def act() -> None:
            store.get("probe/a")
            store.put_once("probe/a", bytes(3 << 20))

        assert message(act) == text.format(server=endpoint.removeprefix("http://"))
    assert request.node.callspec.id.split()[0] in Reason


def test_a_name_that_does_not_resolve() -> None:
    text = 'host "s3.exampel.invalid" does not resolve. Correct "endpoint" in Secret treadle-store'
    assert message(lambda: at("https://s3.exampel.invalid").get("probe/a")) == text


def test_a_port_that_refuses() -> None:
    port = free_port()
    text = f"127.0.0.1:{port} refused; the name resolves. Check the port and the NetworkPolicy"
    assert message(lambda: at(f"http://127.0.0.1:{port}").get("probe/a")) == text


def test_an_authority_that_is_unknown_and_then_given(tmp_path: Path) -> None:
    authority, certificate, key = issue(tmp_path)
    with serve(Faults(), certificate, key) as endpoint:
        host = endpoint.removeprefix("https://")
        text = f'{host}: unknown authority "Example CA". Put that CA into "ca.crt" of Secret treadle-store'
        assert message(lambda: at(endpoint).get("probe/a")) == text
        assert at(endpoint, ca_file=authority).get("probe/a") is None


CERTIFICATES = {
    "has expired": ({"days": -1}, "certificate has expired. Renew the certificate, or correct this node's clock"),
    "is another host's": (
        {"host": "other.example.org"},
        'the certificate names another host. Correct "endpoint" in Secret treadle-store, or the certificate',
    ),
}


@pytest.mark.parametrize(("changed", "text"), CERTIFICATES.values(), ids=CERTIFICATES.keys())
def test_a_certificate_that(changed: dict, text: str, tmp_path: Path) -> None:
    authority, certificate, key = issue(tmp_path, **changed)
    with serve(Faults(), certificate, key) as endpoint:
        expected = f"{endpoint.removeprefix('https://')}: {text}"
        assert message(lambda: at(endpoint, ca_file=authority).get("probe/a")) == expected


def test_https_to_a_port_without_it() -> None:
    with serve(Faults()) as endpoint:
        found = message(lambda: at(endpoint.replace("http:", "https:")).get("probe/a"))
        host = endpoint.removeprefix("http://")
        assert found.startswith(f"{host}: ")
        assert found.endswith('the port answers. Correct scheme and port of "endpoint" in Secret treadle-store')


VERSITY = {
    "InvalidAccessKeyId": ("sales", {"access_key": "nobody"}),
    "SignatureDoesNotMatch": ("sales", {"secret_key": "wrong"}),
}


@pytest.mark.parametrize(("code", "bucket", "changed"), [(code, *row) for code, row in VERSITY.items()])
def test_a_key_that_a_real_store_rejects(versity: Gateway, code: str, bucket: str, changed: dict) -> None:
    store = S3Store(address(versity, bucket, **changed), PREFIX, QUICK)
    text = f"{code} for the key of Secret treadle-store; DNS and connection work. Replace both AWS keys"
    for act in (
        lambda: store.get("a"),
        lambda: store.head("a"),
        lambda: list(store.list("")),
        lambda: store.delete("a"),
    ):
        assert message(act) == text


def test_a_bucket_that_a_real_store_does_not_have(versity: Gateway) -> None:
    store = S3Store(address(versity, "sails"), PREFIX, QUICK)
    server = versity.endpoint.removeprefix("http://")
    text = f'no bucket "sails" at {server}; the key is valid. Create it, or correct "bucket"'
    for act in (
        lambda: store.get("a"),
        lambda: store.head("a"),
        lambda: store.put_once("a", b""),
        lambda: list(store.list("")),
    ):
        assert message(act) == text


def test_a_region_that_a_real_store_corrects(versity: Gateway) -> None:
    # The client signs again with the region that the store names: a wrong one is an error only where none is named.
    store = S3Store(address(versity, region="eu-west-1"), PREFIX, QUICK)
    assert store.get("none") is None


def test_a_clock_that_a_real_store_refuses(versity: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    import botocore.auth

    ahead = datetime.now(UTC) + timedelta(seconds=1840)
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda remove_tzinfo=True: ahead.replace(tzinfo=None))
    store = S3Store(address(versity), PREFIX, QUICK, now=lambda: datetime.now(UTC) + timedelta(seconds=1840))
    found = message(lambda: store.get("a"))
    told = re.fullmatch(r"this node is (\d+) s ahead of the store, allowed are 900\. Correct its clock", found)
    # The store's clock was read when it answered, ours some moments later.
    assert told is not None and 1839 <= int(told[1]) <= 1870, found


def test_a_real_store_with_tls(tmp_path: Path) -> None:
    authority, certificate, key = issue(tmp_path)
    with gateway(tmp_path / "versity", certificate=certificate, key=key) as running:
        values = {"access_key": running.access_key, "secret_key": running.secret_key, "secret": "treadle-store"}
        trusted = S3Store(Address("sales", running.endpoint, ca_file=authority, **values), PREFIX, QUICK)
        assert trusted.create_bucket()
        assert not trusted.create_bucket()
        assert trusted.put_once("a", b"").created
        stranger = S3Store(Address("sales", running.endpoint, **values), PREFIX, QUICK)
        host = running.endpoint.removeprefix("https://")
        text = f'{host}: unknown authority "Example CA". Put that CA into "ca.crt" of Secret treadle-store'
        assert message(lambda: stranger.get("a")) == text


def test_bytes_changed_behind_a_real_store(versity: Gateway) -> None:
    store = S3Store(address(versity), "treadle/v1/tampered/", QUICK)
    digest = blobs.put_bytes(store, b"hello")
    (file,) = (versity.directory / "sales/treadle/v1/tampered").rglob(digest.removeprefix("sha256:"))
    file.write_bytes(b"hellO")
    found = hashlib.sha256(b"hellO").hexdigest()[:8]
    text = f"blob 2cf24dba has digest {found}. Restore an object version, or delete it and publish it again"
    assert message(lambda: blobs.get_bytes(store, digest)) == text


MOUNTS = {
    "a missing Secret": (None, 'no Secret "treadle-store" in namespace demo. Create it: kubectl treadle store init'),
    "an empty Secret": ({}, 'no Secret "treadle-store" in namespace demo. Create it: kubectl treadle store init'),
    "a bucket that is none": (
        {"bucket": "Sales!", "endpoint": "https://s3.example.org"},
        "\"bucket\" in Secret treadle-store is 'Sales!', expected 3 to 63 lower-case letters, digits, dots or hyphens."
        " Correct it",
    ),
    "an endpoint that is none": (
        {"bucket": "sales", "endpoint": "s3.example.org"},
        "\"endpoint\" in Secret treadle-store is 's3.example.org', expected https://HOST or file:///DIRECTORY, without"
        " a key. Correct it",
    ),
    "one key of two": (
        {"bucket": "sales", "AWS_ACCESS_KEY_ID": "a"},
        "Secret treadle-store holds one of the two AWS keys. Add the other",
    ),
    "a CA that is none": (
        {"bucket": "sales", "endpoint": "https://s3.example.org", "ca.crt": "hello"},
        '"ca.crt" of Secret treadle-store is no PEM certificate. Put the CA there',
    ),
    "a prefix that leaves the bucket": (
        {"bucket": "sales", "prefix": "../other"},
        "\"prefix\" in Secret treadle-store is '../other', expected names of letters, digits, dots and hyphens between"
        " slashes. Correct it",
    ),
    "a folder without the bucket": (
        {"bucket": "sales", "endpoint": "file:///nowhere"},
        'no bucket "sales" at /nowhere; the key is valid. Create it, or correct "bucket"',
    ),
}


@pytest.mark.parametrize(("values", "text"), MOUNTS.values(), ids=MOUNTS.keys())
def test_a_mounted_secret(values: dict | None, text: str, tmp_path: Path) -> None:
    directory = tmp_path / "treadle-store"
    mount(directory, values)
    assert message(lambda: open_store(directory, "treadle-store", PREFIX, "demo")) == text


def mount(directory: Path, values: dict | None) -> None:
    """Write a Secret as kubelet mounts it: links to a directory whose name begins with two dots."""
    if values is None:
        return
    data = directory / "..data"
    data.mkdir(parents=True)
    for name, value in values.items():
        (data / name).write_text(value)
        (directory / name).symlink_to(data / name)


def test_a_mounted_secret_opens_a_real_store(versity: Gateway, tmp_path: Path) -> None:
    keys = {"AWS_ACCESS_KEY_ID": versity.access_key, "AWS_SECRET_ACCESS_KEY": versity.secret_key + "\n"}
    mount(tmp_path / "s3", {"bucket": "sales", "endpoint": versity.endpoint, "prefix": "/mine/", **keys})
    store = open_store(tmp_path / "s3", "treadle-store", PREFIX)
    store.put_once("a", b"x")
    assert store.place == "sales/mine/treadle/v1/0b6e"
    assert (versity.directory / "sales/mine/treadle/v1/0b6e/a").read_bytes() == b"x"
    mount(tmp_path / "raw", keys)
    source = open_source("sales", endpoint=versity.endpoint, directory=tmp_path / "raw", secret_name="treadle-raw")
    assert [entry.key for entry in source.list("mine/")] == ["mine/treadle/v1/0b6e/a"]
    assert source.get("mine/treadle/v1/0b6e/a").data == b"x"
    assert source.get("mine/none") is None


def test_a_source_names_its_own_fields(tmp_path: Path, versity: Gateway) -> None:
    directory = tmp_path / "treadle-raw"
    text = 'no Secret "treadle-raw" in namespace demo. Create it, or correct secretRef.name'
    open_it = lambda: open_source("sales", directory=directory, secret_name="treadle-raw", namespace="demo")  # noqa: E731
    assert message(open_it) == text
    mount(directory, {"AWS_ACCESS_KEY_ID": versity.access_key, "AWS_SECRET_ACCESS_KEY": versity.secret_key})
    source = open_source("sails", endpoint=versity.endpoint, directory=directory, secret_name="treadle-raw")
    server = versity.endpoint.removeprefix("http://")
    text = f'no bucket "sails" at {server}; the key is valid. Create it, or correct spec.source.s3.storageUri'
    assert message(lambda: list(source.list(""))) == text


def test_a_secret_may_say_that_buckets_are_directories(tmp_path: Path) -> None:
    mount(tmp_path / "treadle-raw", {"endpoint": f"file://{tmp_path}/buckets"})
    opened = partial(
        open_source, endpoint="http://cluster.example", directory=tmp_path / "treadle-raw", secret_name="treadle-raw"
    )
    text = f'no bucket "raw" at {tmp_path}/buckets; the key is valid. Create it, or correct spec.source.s3.storageUri'
    assert message(lambda: opened("raw")) == text
    (tmp_path / "buckets/raw/flights").mkdir(parents=True)
    (tmp_path / "buckets/raw/flights/one.csv").write_bytes(b"a\n1\n")
    source = opened("raw")
    assert [(entry.key, entry.size_bytes) for entry in source.list("flights/")] == [("flights/one.csv", 4)]
    assert source.get("flights/one.csv").data == b"a\n1\n"


SYSTEM = {
    "no space": (errno.ENOSPC, "the store refused a write: quota. Free space, or raise the quota"),
    "no right": (
        errno.EACCES,
        "Permission denied on sales/treadle/v1/0b6e for this process's user. Grant it the directory",
    ),
    "a broken disk": (errno.EIO, "Input/output error on sales/treadle/v1/0b6e. Check the disk"),
}


@pytest.mark.parametrize(("number", "text"), SYSTEM.values(), ids=SYSTEM.keys())
def test_a_directory_with(number: int, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sales").mkdir()
    store = FolderStore(tmp_path / "sales", PREFIX)

    def broken(_: int) -> None:
        import os

        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("os.fsync", broken)
    assert message(lambda: store.put_once("probe/a", b"x")) == text
    monkeypatch.undo()
    assert store.get("probe/a") is None
    assert not list((tmp_path / "sales/.treadle/writing").iterdir())


def test_no_retry_means_one_request() -> None:
    faults = Faults(500, "InternalError")
    with serve(faults) as endpoint:
        values = {"access_key": "AK", "secret_key": "SK"}
        message(lambda: S3Store(Address("sales", endpoint, **values), PREFIX, NEVER).get("probe/a"))
    assert len(faults.requests) == 1
