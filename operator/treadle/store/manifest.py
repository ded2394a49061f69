"""What a version consists of, and what a run gave: documents that are created once and never changed."""

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from treadle.api.base import Json
from treadle.api.names import canonical
from treadle.api.reasons import Reason
from treadle.store import keys
from treadle.store.blobs import get_bytes, missing
from treadle.store.errors import RESTORE, StoreError, brief, wrong_digest
from treadle.store.keys import Kind, Step
from treadle.store.port import ObjectStore

REPORT = "report.html"
"""The readable page among a record's files."""
VERSIONS_LIMIT = 999_999
LOOK_BACK = 32


@dataclass(frozen=True, slots=True)
class File:
    """One file of a manifest or record: where it stands in the version, and which bytes it is."""

    path: str
    size_bytes: int
    sha256: str
    """64 hex digits."""

    def dump(self) -> Json:
        """Return the entry as manifests hold it."""
        return {"path": self.path, "bytes": self.size_bytes, "sha256": self.sha256}


def digest_of(data: bytes) -> str:
    """Return the digest of bytes as they are stored, with its prefix."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def files_of(document: Json, name: str = "files") -> list[File]:
    """Return the entries of a manifest; raise ValueError for a path that leaves the version's directory."""
    found = [File(str(entry["path"]), int(entry["bytes"]), str(entry["sha256"])) for entry in document.get(name, [])]
    for file in found:
        keys.checked(file.path)
        keys.hex_digits(file.sha256)
    return found


def publish_manifest(store: ObjectStore, kind: Kind, document: Json) -> str:
    """Publish a version named by its content; return its digest. Equal content that is there already is success.

    Everything that the document lists must have been stored before.
    """
    data = canonical(document)
    digest = digest_of(data)
    stored = store.put_once(keys.manifest(kind, digest), data)
    if stored.data != data:
        raise wrong_digest(kind.removesuffix("s"), digest, digest_of(stored.data))
    return digest


def manifest_bytes(store: ObjectStore, kind: Kind, digest: str) -> bytes:
    """Return a version's manifest as stored, its digest checked; raise Missing if there is none."""
    found = store.get(keys.manifest(kind, digest))
    what = kind.removesuffix("s")
    if found is None:
        raise missing(f"{what} {brief(digest)}", store)
    if digest_of(found.data) != f"sha256:{keys.hex_digits(digest)}":
        raise wrong_digest(what, digest, digest_of(found.data))
    return found.data


def read_manifest(store: ObjectStore, kind: Kind, digest: str) -> Json:
    """Return a version's manifest; nothing is parsed before its digest matched."""
    return _parse(manifest_bytes(store, kind, digest), keys.manifest(kind, digest))


def publish_record(store: ObjectStore, step: Step, run_key: str, document: Json) -> Json:
    """Publish what a run gave; the first writer wins, and what is stored is returned."""
    key = keys.run(step, run_key)
    return _parse(store.put_once(key, canonical(document)).data, key)


def read_record(store: ObjectStore, step: Step, run_key: str) -> Json | None:
    """Return what a run gave; None if it has not ended."""
    return read_document(store, keys.run(step, run_key))


def show_report(store: ObjectStore, run_key: str, document: Json) -> None:
    """Put a record's page where people find it; strictly after the record, so that both tell the same."""
    digest = next((file.sha256 for file in files_of(document) if file.path == REPORT), None)
    if digest is not None and store.head(keys.report(run_key)) is None:
        store.put_once(keys.report(run_key), get_bytes(store, digest))


def publish_fit(store: ObjectStore, fit_key: str, document: Json) -> Json:
    """Publish which model data and recipe gave; the first writer wins, and what is stored is returned."""
    key = keys.fit(fit_key)
    return _parse(store.put_once(key, canonical(document)).data, key)


def read_fit(store: ObjectStore, fit_key: str) -> Json | None:
    """Return which model data and recipe gave; None if they were never fitted."""
    return read_document(store, keys.fit(fit_key))


def claim_version(store: ObjectStore, model_name: str, document: Json) -> int:
    """Claim the next free version number of a model; a document that has claimed one keeps it."""
    data = canonical(document)
    number = max(_numbers(entry.key for entry in store.list(keys.versions(model_name))), default=0)
    # One of the latest claims may be our own, from before a crash; others may have followed it.
    for earlier in range(number, max(0, number - LOOK_BACK), -1):
        held = store.get(keys.version(model_name, earlier))
        if held is not None and held.data == data:
            return earlier
    while number < VERSIONS_LIMIT:
        number += 1
        if store.put_once(keys.version(model_name, number), data).data == data:
            return number
    raise StoreError(Reason.QUOTA_EXCEEDED, f"model {model_name} has {VERSIONS_LIMIT} versions. Use another modelName")


def read_document(store: ObjectStore, key: str) -> Json | None:
    """Return the document of a key that is named by something else than its content; None if there is none."""
    found = store.get(key)
    return None if found is None else _parse(found.data, key)


def _parse(data: bytes, key: str) -> Json:
    try:
        document: Any = json.loads(data)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise StoreError(Reason.CHECKSUM_MISMATCH, f"{key} is no JSON object. {RESTORE}")
    return document


def _numbers(names: Iterable[str]) -> list[int]:
    return [int(match[1]) for name in names if (match := re.search(r"/(\d{6})\.json$", name))]
