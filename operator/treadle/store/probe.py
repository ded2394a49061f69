"""Does this store keep its promises? Eight checks, each a small experiment below `probe/`."""

import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, timedelta
from hashlib import sha256
from threading import Barrier

from treadle.api.names import canonical
from treadle.api.reasons import Reason
from treadle.store import keys
from treadle.store.errors import StoreError
from treadle.store.port import ObjectStore

WRITERS = 8
MARKER = {"format": "treadle.dev/store/v1"}
NEEDED = "Use another store"
KEPT = timedelta(days=1)
"""What another Job's probe wrote around midnight is not taken from under it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found; `needed` says whether the store is refused without it."""

    name: str
    ok: bool
    detail: str
    needed: bool = True


def probe(store: ObjectStore) -> list[Finding]:
    """Run the eight checks, and remove what they wrote."""
    run = secrets.token_hex(8)
    findings = []
    for check in CHECKS:
        base = keys.probe(f"{run}-{check.__name__.strip('_')}")
        findings.append(check(store, base))
    for entry in list(store.list(keys.probe(run))):
        store.delete(entry.key)
    return findings


def require(findings: list[Finding]) -> None:
    """Raise StoreUnsupported for the first promise that a store must keep and does not."""
    broken = [finding for finding in findings if finding.needed and not finding.ok]
    # A store that ignores create-once fails both checks of it; the race says more.
    for finding in sorted(broken, key=lambda finding: finding.name != RACE):
        raise StoreError(Reason.STORE_UNSUPPORTED, f"{finding.detail}. {NEEDED}")


def prepare(store: ObjectStore) -> bool:
    """Write the format marker unless it is there; return whether this call wrote it; refuse another format."""
    stored = store.put_once(keys.FORMAT, canonical(MARKER))
    if stored.data != canonical(MARKER):
        raise StoreError(
            Reason.STORE_UNSUPPORTED,
            f'{keys.FORMAT} at {store.place} is of another format, expected {MARKER["format"]}. Use another "prefix"',
        )
    return stored.created


def ensure(store: ObjectStore, today: date) -> None:
    """Prepare and probe a store once a day; raise StoreUnsupported for one that cannot be used.

    Several may do so at once: each probes below keys of its own.
    """
    done = keys.probe(f"passed-{today.isoformat()}.json")
    if store.head(done) is not None:
        return
    prepare(store)
    require(probe(store))
    tidy(store, today)
    store.put_once(done, canonical({"format": "treadle.dev/probe/v1"}))


def tidy(store: ObjectStore, today: date) -> None:
    """Remove the marks of former days, and what a probe that was killed has left."""
    for entry in list(store.list(keys.probe(""))):
        if entry.modified.date() < today - KEPT:
            store.delete(entry.key)


RACE = "racing creators"


def equal_bytes(store: ObjectStore, key: str) -> Finding:
    """Check that what is written comes back."""
    data = secrets.token_bytes(1000)
    store.put_once(key, data)
    found = store.get(key)
    ok = found is not None and found.data == data
    return Finding("bytes return equal", ok, "1000 bytes returned equal" if ok else "1000 bytes returned as others")


def create_once(store: ObjectStore, key: str) -> Finding:
    """Check that a second creation is refused."""
    first, second = store.put_once(key, b"first").created, store.put_once(key, b"second").created
    made = int(first) + int(second)
    # None at all: the answer to the first was lost, and sent again it met itself.
    detail = "the second of 2 was refused" if made < 2 else "If-None-Match ignored: 2 of 2 writers created one key"
    return Finding("create once", made < 2, detail)


def racing_creators(store: ObjectStore, key: str) -> Finding:
    """Check that of eight creators at once one wins."""
    together = Barrier(WRITERS)

    def create(number: int) -> bool:
        together.wait()
        return store.put_once(key, f"writer {number}".encode()).created

    with ThreadPoolExecutor(WRITERS) as pool:
        winners = sum(pool.map(create, range(WRITERS)))
    detail = f"{winners} of {WRITERS} writers created one key"
    return Finding(RACE, winners < 2, detail if winners < 2 else f"If-None-Match ignored: {detail}")


def stale_tag(store: ObjectStore, key: str) -> Finding:
    """Check that a replacement of what has changed is refused."""
    first = store.swap(key, b"one", None)
    if first is None and (head := store.head(key)) is not None:
        first = head.etag  # its answer was lost
    store.swap(key, b"two", first)
    third = store.swap(key, b"three", first)
    found = store.get(key)
    ok = third is None and found is not None and found.data == b"two"
    return Finding(
        "stale tag refused",
        ok,
        "a stale ETag was refused" if ok else "If-Match ignored: a stale ETag replaced an object",
    )


def parts_create_once(store: ObjectStore, key: str) -> Finding:
    """Check that an upload in parts does not replace what is there."""
    made = int(store.put_large(key, b"first")) + int(store.put_large(key, b"second"))
    detail = "the second of 2 uploads in parts was refused"
    wrong = "If-None-Match ignored by CompleteMultipartUpload: 2 of 2 uploads created one key"
    return Finding("parts create once", made < 2, detail if made < 2 else wrong)


def checksum_echoed(store: ObjectStore, key: str) -> Finding:
    """Check whether the store tells the checksum of what it holds; where not, each blob is read back."""
    data = secrets.token_bytes(1000)
    digits = sha256(data).hexdigest()
    store.put_blob(key, digits, data)
    head = store.head(key)
    ok = head is not None and head.sha256 == digits
    return Finding(
        "checksum echoed", ok, "SHA-256 echoed" if ok else "no SHA-256 echoed: each blob is read back", needed=False
    )


def listed(store: ObjectStore, key: str) -> Finding:
    """Check that a listing shows a write, and after it a deletion, at once."""
    store.put_once(key, b"listed")
    shown = [entry.key for entry in store.list(key)]
    store.delete(key)
    left = [entry.key for entry in store.list(key)]
    ok = shown == [key] and not left
    return Finding("list follows", ok, "listed at once" if ok else "a listing misses a write or shows a deleted object")


def ranged(store: ObjectStore, key: str) -> Finding:
    """Check that a part of an object can be read."""
    store.put_once(key, b"0123456789")
    found = store.get(key, 3, 4)
    ok = found is not None and found.data == b"3456" and found.size_bytes == 10
    return Finding(
        "ranged read", ok, "bytes 3 to 6 returned" if ok else "Range ignored: GetObject returned other bytes"
    )


CHECKS: tuple[Callable[[ObjectStore, str], Finding], ...] = (
    equal_bytes,
    create_once,
    racing_creators,
    stale_tag,
    parts_create_once,
    checksum_echoed,
    listed,
    ranged,
)
