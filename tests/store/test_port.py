"""What every adapter promises: one suite, run on a directory and on a real VersityGW."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from treadle.api.reasons import Reason
from treadle.store import blobs, keys, manifest, pointer, probe, tables
from treadle.store.errors import Missing, StoreError
from treadle.store.port import ObjectStore

WRITERS = 8


def race(opened, write) -> list:
    """Let eight writers, each with a store of its own, start together."""
    together = Barrier(WRITERS)

    def one(number: int):
        mine = opened()
        together.wait()
        return write(mine, number)

    with ThreadPoolExecutor(WRITERS) as pool:
        return list(pool.map(one, range(WRITERS)))


def test_returns_what_was_written(store: ObjectStore) -> None:
    assert store.put_once("probe/a", b"hello").created
    found = store.get("probe/a")
    assert found is not None
    assert (found.data, found.size_bytes) == (b"hello", 5)


SPANS = {
    "from the start": (0, 3, b"012"),
    "from the middle": (3, 4, b"3456"),
    "to the end": (7, None, b"789"),
    "beyond the end is cut": (8, 100, b"89"),
    "all beyond the end is empty": (10, 5, b""),
}


@pytest.mark.parametrize(("start", "length", "expected"), SPANS.values(), ids=SPANS.keys())
def test_reads_a_span(store: ObjectStore, start: int, length: int | None, expected: bytes) -> None:
    store.put_once("probe/a", b"0123456789")
    found = store.get("probe/a", start, length)
    assert found is not None
    assert (found.data, found.size_bytes) == (expected, 10)


def test_an_absent_object_is_none(store: ObjectStore) -> None:
    assert store.get("probe/none") is None
    assert store.head("probe/none") is None
    assert list(store.list("probe/")) == []
    store.delete("probe/none")


def test_an_empty_object_is_an_object(store: ObjectStore) -> None:
    store.put_once("probe/empty", b"")
    found = store.get("probe/empty", 0, 100)
    assert found is not None
    assert (found.data, found.size_bytes) == (b"", 0)


def test_the_second_creation_returns_the_first_bytes(store: ObjectStore) -> None:
    store.put_once("probe/a", b"first")
    second = store.put_once("probe/a", b"second")
    assert (second.created, second.data) == (False, b"first")


def test_of_eight_creators_one_wins(opened) -> None:
    for round_number in range(3):
        results = race(opened, lambda mine, number: mine.put_once(f"probe/{round_number}", b"writer %d" % number))  # noqa: B023
        assert sum(result.created for result in results) == 1
        assert len({result.data for result in results}) == 1


def test_of_eight_swappers_one_wins(opened) -> None:
    first = opened().swap("probe/a", b"first", None)
    results = race(opened, lambda mine, number: mine.swap("probe/a", b"writer %d" % number, first))
    winners = [number for number, tag in enumerate(results) if tag is not None]
    assert len(winners) == 1
    assert opened().get("probe/a").data == b"writer %d" % winners[0]


def test_of_eight_uploads_in_parts_one_wins(opened) -> None:
    results = race(opened, lambda mine, number: mine.put_large("probe/a", b"writer %d" % number))
    assert sum(results) == 1


def test_a_stale_tag_replaces_nothing(store: ObjectStore) -> None:
    first = store.swap("probe/a", b"one", None)
    second = store.swap("probe/a", b"two", first)
    assert second is not None
    assert store.swap("probe/a", b"three", first) is None
    assert store.swap("probe/a", b"three", None) is None
    assert store.get("probe/a").data == b"two"
    store.delete("probe/a")
    assert store.swap("probe/a", b"four", second) is None


def test_lists_in_the_order_of_keys(store: ObjectStore) -> None:
    for key in ("probe/b", "probe/a/2", "probe/a/1", "probex"):
        store.put_once(key, key.encode())
    assert [entry.key for entry in store.list("probe/")] == ["probe/a/1", "probe/a/2", "probe/b"]
    assert [entry.key for entry in store.list("probe/a")] == ["probe/a/1", "probe/a/2"]
    assert [entry.size_bytes for entry in store.list("probe/b")] == [7]
    store.delete("probe/b")
    assert [entry.key for entry in store.list("probe")] == ["probe/a/1", "probe/a/2", "probex"]


def test_lists_more_than_a_page(store: ObjectStore) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: store.put_once(f"probe/{number:04d}", b""), range(1010)))
    assert [entry.key for entry in store.list("probe/")] == [f"probe/{number:04d}" for number in range(1010)]


UNSAFE = {"leaves its directory": "../a", "is absolute": "/a", "hides": "a/.b", "is empty": "", "has a gap": "a//b"}


@pytest.mark.parametrize("key", UNSAFE.values(), ids=UNSAFE.keys())
def test_refuses_a_key_that(store: ObjectStore, key: str) -> None:
    with pytest.raises(ValueError, match="is no key"):
        store.put_once(key, b"")


def test_blobs_are_stored_once_and_fetched(store: ObjectStore, tmp_path: Path) -> None:
    data = bytes(range(256)) * 40_000
    (tmp_path / "source").write_bytes(data)
    digest = blobs.put_file(store, tmp_path / "source")
    assert digest == f"sha256:{hashlib.sha256(data).hexdigest()}"
    assert blobs.put_bytes(store, data) == digest
    assert blobs.get_bytes(store, digest) == data
    assert blobs.fetch_file(store, digest, tmp_path / "private" / "model").read_bytes() == data


def test_a_missing_blob_says_so(store: ObjectStore) -> None:
    with pytest.raises(Missing, match=r"blob 00000000 is not at sales/treadle/v1/") as caught:
        blobs.get_bytes(store, "0" * 64)
    assert caught.value.reason is Reason.ARTIFACT_MISSING


@pytest.mark.parametrize("torn", [b"", b"hel", b"hellO"], ids=["empty", "short", "changed"])
def test_a_tampered_blob_is_found_before_it_is_seen(store: ObjectStore, tmp_path: Path, torn: bytes) -> None:
    digest = blobs.put_bytes(store, b"hello")
    store.swap(keys.blob(digest), torn, store.head(keys.blob(digest)).etag)
    found = hashlib.sha256(torn).hexdigest()[:8]
    text = (
        f"blob 2cf24dba has digest {found}. Restore an object version, or delete it and publish it again."
        " docs: reasons/ChecksumMismatch"
    )
    for read in (
        lambda: blobs.get_bytes(store, digest),
        lambda: blobs.fetch_file(store, digest, tmp_path / "private" / "model"),
        lambda: blobs.put_bytes(store, b"hello"),
    ):
        with pytest.raises(StoreError) as caught:
            read()
        assert caught.value.message == text
    assert list((tmp_path / "private").iterdir()) == []


def test_manifests_are_named_by_content(store: ObjectStore) -> None:
    document = {"format": "treadle.dev/model/v1", "files": [{"path": "model.onnx", "bytes": 5, "sha256": "0" * 64}]}
    digest = manifest.publish_manifest(store, "models", document)
    assert manifest.publish_manifest(store, "models", document) == digest
    assert manifest.read_manifest(store, "models", digest) == document
    key = keys.manifest("models", digest)
    store.swap(key, b"{}", store.head(key).etag)
    with pytest.raises(StoreError, match=f"model {digest[7:15]} has digest 44136fa3"):
        manifest.read_manifest(store, "models", digest)
    with pytest.raises(StoreError, match="has digest 44136fa3"):
        manifest.publish_manifest(store, "models", document)


def test_of_eight_records_all_report_the_first(opened) -> None:
    results = race(opened, lambda mine, number: manifest.publish_record(mine, "train", "a" * 64, {"writer": number}))
    assert len({result["writer"] for result in results}) == 1
    assert manifest.read_record(opened(), "train", "a" * 64) == results[0]
    assert manifest.read_record(opened(), "train", "b" * 64) is None


def test_eight_claims_are_eight_numbers(opened) -> None:
    numbers = race(opened, lambda mine, number: manifest.claim_version(mine, "flights-late", {"run": str(number)}))
    assert sorted(numbers) == list(range(1, 9))
    assert manifest.claim_version(opened(), "flights-late", {"run": "3"}) == numbers[3]
    assert manifest.claim_version(opened(), "flights-late", {"run": "new"}) == 9


def test_a_fit_is_found_again(store: ObjectStore) -> None:
    assert manifest.read_fit(store, "c" * 64) is None
    assert manifest.publish_fit(store, "c" * 64, {"model": "x"}) == {"model": "x"}
    assert manifest.publish_fit(store, "c" * 64, {"model": "y"}) == {"model": "x"}


def digest_numbered(number: int) -> str:
    return f"sha256:{number:064x}"


def test_the_highest_revision_stays(opened) -> None:
    wanted = [pointer.Pointer(revision=number, current=digest_numbered(number)) for number in range(WRITERS)]
    race(opened, lambda mine, number: pointer.set_pointer(mine, "serving", "flights", wanted[number]))
    assert pointer.read_pointer(opened(), "serving", "flights") == wanted[-1]


def test_a_pointer_advances_and_rests(store: ObjectStore) -> None:
    assert pointer.read_pointer(store, "models", "flights") is None
    pointer.advance_pointer(store, "models", "flights", digest_numbered(1), 1)
    second = pointer.advance_pointer(store, "models", "flights", digest_numbered(2), 2)
    assert pointer.advance_pointer(store, "models", "flights", digest_numbered(2), 2) == second
    assert (second.revision, second.previous) == (2, digest_numbered(1))


def test_parts_return_as_the_table(store: ObjectStore) -> None:
    import pyarrow as pa

    table = pa.table({"hour": pa.array([5, None, 7], pa.int64()), "origin": ["JFK", "LGA", None]})
    parts = tables.write_parts(store, "train", table)
    assert [(part.path, part.rows) for part in parts] == [("train/00000.parquet", 3)]
    assert [tables.Part.parse(part.dump()) for part in parts] == parts
    assert tables.read_parts(store, parts).equals(table)
    assert tables.read_parts(store, parts, ["origin"]).column_names == ["origin"]


def test_keeps_all_promises_of_the_probe(store: ObjectStore) -> None:
    findings = probe.probe(store)
    assert [finding.name for finding in findings if not finding.ok and finding.needed] == []
    assert len(findings) == 8
    assert list(store.list("probe/")) == []


def test_is_prepared_and_probed_once_a_day(store: ObjectStore) -> None:
    from datetime import date

    probe.ensure(store, date(2013, 7, 1))
    probe.ensure(store, date(2013, 7, 1))
    assert [entry.key for entry in store.list("")] == ["probe/passed-2013-07-01.json", "store.json"]
    assert not probe.prepare(store)
