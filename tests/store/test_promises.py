"""A store that breaks a promise is refused; an answer that is lost changes nothing."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from faulty_s3 import Faults, serve
from treadle.api.reasons import Reason
from treadle.store import blobs, probe
from treadle.store.client import Address
from treadle.store.errors import StoreError
from treadle.store.folder import FolderStore
from treadle.store.s3 import S3Store
from versity import QUICK

NEEDED = "Use another store. docs: reasons/StoreUnsupported"
BROKEN = {
    "ignores If-None-Match": (
        Faults(ignores_create_once=True),
        f"If-None-Match ignored: 8 of 8 writers created one key. {NEEDED}",
    ),
    "ignores If-Match": (Faults(ignores_tags=True), f"If-Match ignored: a stale ETag replaced an object. {NEEDED}"),
    "lists late": (Faults(forgets_to_list=True), f"a listing misses a write or shows a deleted object. {NEEDED}"),
    "ignores Range": (Faults(ignores_range=True), f"Range ignored: GetObject returned other bytes. {NEEDED}"),
}


def store_at(endpoint: str) -> S3Store:
    return S3Store(Address("sales", endpoint, access_key="AK", secret_key="SK", secret="treadle-store"), "p/", QUICK)


@pytest.mark.parametrize(("faults", "text"), BROKEN.values(), ids=BROKEN.keys())
def test_a_store_is_refused_that(faults: Faults, text: str) -> None:
    with serve(faults) as endpoint, pytest.raises(StoreError) as caught:
        probe.require(probe.probe(store_at(endpoint)))
    assert (caught.value.reason, caught.value.message) == (Reason.STORE_UNSUPPORTED, text)


def test_a_store_that_keeps_its_promises_passes() -> None:
    with serve(Faults()) as endpoint:
        findings = probe.probe(store_at(endpoint))
        assert [finding.detail for finding in findings if not finding.ok] == []


def test_a_store_without_checksums_is_read_back() -> None:
    faults = Faults(echoes_checksum=False)
    with serve(faults) as endpoint:
        store = store_at(endpoint)
        findings = probe.probe(store)
        probe.require(findings)
        assert [finding.detail for finding in findings if not finding.ok] == [
            "no SHA-256 echoed: each blob is read back"
        ]
        faults.requests.clear()
        blobs.put_bytes(store, b"hello")
        assert faults.requests == ["PUT", "HEAD", "GET"]


LOST = {"before it was stored": False, "after it was stored": True}


@pytest.mark.parametrize("stored", LOST.values(), ids=LOST.keys())
def test_a_write_is_sent_again_whose_answer_was_lost(stored: bool) -> None:
    faults = Faults(500, "InternalError", only="PUT", times=1, stores_before_error=stored)
    with serve(faults) as endpoint:
        result = store_at(endpoint).put_once("probe/a", b"mine")
        assert (result.data, faults.writes) == (b"mine", 1)


@pytest.mark.parametrize("place", range(19))
def test_a_lost_answer_condemns_no_store(place: int) -> None:
    """Lose the answer to one write of each check in turn: the write is sent again, and meets itself."""
    faults = Faults(500, "InternalError", only="PUT", times=1, skips=place, stores_before_error=True)
    with serve(faults) as endpoint:
        probe.require(probe.probe(store_at(endpoint)))
    assert faults.times == 0


def test_another_format_is_refused() -> None:
    with serve(Faults()) as endpoint:
        store = store_at(endpoint)
        store.put_once("store.json", b'{"format":"other"}')
        with pytest.raises(StoreError, match=r"store.json at sales/p is of another format"):
            probe.prepare(store)


WRITE_FOR_EVER = """
import hashlib, sys
from pathlib import Path
from treadle.store import blobs
from treadle.store.folder import FolderStore
store, number = FolderStore(Path(sys.argv[1])), 0
while True:
    seed = hashlib.sha256(f"{sys.argv[2]} {number}".encode()).digest()
    blobs.put_bytes(store, seed * (1 << 15))
    head = store.head("pointers/a.json")
    store.swap("pointers/a.json", seed[:1] * (1 << 20), head.etag if head else None)
    number += 1
"""


def test_a_writer_killed_at_any_moment_leaves_no_torn_object(tmp_path: Path) -> None:
    bucket = tmp_path / "sales"
    bucket.mkdir()
    store = FolderStore(bucket)
    for life in range(3):
        before = len(list(store.list("blobs/")))
        with subprocess.Popen([sys.executable, "-c", WRITE_FOR_EVER, str(bucket), str(life)]) as process:
            end = time.monotonic() + 30
            while len(list(store.list("blobs/"))) < before + 3 and time.monotonic() < end:
                assert_whole(store)
            process.kill()
        assert len(list(store.list("blobs/"))) >= before + 3
        assert_whole(store)


def assert_whole(store: FolderStore) -> None:
    for entry in store.list("blobs/"):
        assert len(blobs.get_bytes(store, entry.key.rpartition("/")[2])) == 1 << 20
    found = store.get("pointers/a.json")
    assert found is None or (len(found.data) == 1 << 20 and len(set(found.data)) == 1)
