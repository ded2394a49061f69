"""Content-addressed bytes, checked on every read."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from treadle.api.reasons import Reason
from treadle.store import keys
from treadle.store.errors import Missing, brief, wrong_digest
from treadle.store.port import ObjectStore

SPAN_BYTES = 8 << 20


def put_bytes(store: ObjectStore, data: bytes) -> str:
    """Store bytes under their digest; return it, with its prefix."""
    digits = hashlib.sha256(data).hexdigest()
    store.put_blob(keys.blob(digits), digits, data)
    return f"sha256:{digits}"


def put_file(store: ObjectStore, path: Path) -> str:
    """Store a file under its digest; return it, with its prefix."""
    with path.open("rb") as file:
        digits = hashlib.file_digest(file, "sha256").hexdigest()
    store.put_blob(keys.blob(digits), digits, path)
    return f"sha256:{digits}"


def get_bytes(store: ObjectStore, digest: str) -> bytes:
    """Return the bytes of a digest; raise Missing or ChecksumMismatch before anything is interpreted."""
    return b"".join(_checked(store, digest))


def fetch_file(store: ObjectStore, digest: str, target: Path) -> Path:
    """Write the bytes of a digest to `target`, which appears only when its digest matched; return it.

    The directory of `target` must be private to the caller.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    unchecked = target.with_name(f".{target.name}.unchecked")
    try:
        with os.fdopen(os.open(unchecked, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            for piece in _checked(store, digest):
                file.write(piece)
        return unchecked.replace(target)
    finally:
        unchecked.unlink(missing_ok=True)


def _checked(store: ObjectStore, digest: str) -> Iterator[bytes]:
    """Yield the bytes of a digest in spans; raise ChecksumMismatch at the end if they are others."""
    expected, key = keys.hex_digits(digest), keys.blob(digest)
    found, start = hashlib.sha256(), 0
    while True:
        piece = store.get(key, start, SPAN_BYTES)
        if piece is None:
            raise missing(f"blob {brief(digest)}", store)
        found.update(piece.data)
        start += len(piece.data)
        yield piece.data
        if start >= piece.size_bytes or not piece.data:
            break
    if found.hexdigest() != expected:
        raise wrong_digest("blob", expected, found.hexdigest())


def missing(what: str, store: ObjectStore) -> Missing:
    """Return the error of an object that is promised and not there."""
    return Missing(
        Reason.ARTIFACT_MISSING, f"{what} is not at {store.place}. Restore it from a backup, or publish it again"
    )
