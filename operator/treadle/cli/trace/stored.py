"""What the bucket tells beyond status: the files of a fetch, runs whose object is gone, and logged answers."""

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING

from treadle.api.base import moment, stamp
from treadle.cli.cluster import Object
from treadle.cli.trace.book import Run, of_record
from treadle.cli.trace.chain import Prediction
from treadle.cli.trace.named import Thing, bare
from treadle.store import keys
from treadle.store.blobs import get_bytes
from treadle.store.manifest import files_of, read_document, read_manifest, read_record
from treadle.store.port import Entry, ObjectStore

if TYPE_CHECKING:
    from treadle.store.keys import Kind

LOOKED = 64
"""Records, claims or manifests that one search reads; what is older is not looked at."""
PARTS = 100
"""Parts of the request log that a search for one answer reads, the newest first."""


def sources(store: ObjectStore, digest: str, published: str) -> list[Object]:
    """Return the files that were read for a dataset version; none where its record is older, or not found.

    published: when, if known; records written about then are read first.
    """
    entries = list(store.list("runs/ingest/"))
    at = moment(published) if published else max((entry.modified for entry in entries), default=None)
    for entry in sorted(entries, key=lambda entry: _apart(entry, at))[:LOOKED]:
        record = read_document(store, entry.key) or {}
        result = record.get("result") or {}
        if result.get("outcome") == "Published" and (result.get("version") or {}).get("digest") == digest:
            return list(record.get("sources") or [])
    return []


def runs_of(store: ObjectStore, model: str, family: str) -> list[Run]:
    """Return the runs that claimed a version number for a model, newest first.

    family: the models' name; empty: every name is looked at.
    """
    prefix = keys.versions(family) if family else "versions/"
    found = []
    for entry in sorted(store.list(prefix), key=lambda entry: entry.modified, reverse=True)[:LOOKED]:
        claim = read_document(store, entry.key) or {}
        if claim.get("model") == model and (record := read_record(store, "train", str(claim["run"]))) is not None:
            found.append(of_record(record, str(claim["run"])))
    return found


def find(store: ObjectStore, digits: str) -> tuple[Thing | None, list[Run]]:
    """Return what a digest means that no object names, with the runs that this needs; None where nothing has it."""
    for kind, what in (("models", "model"), ("datasets", "data")):
        if (key := _first(store, f"{kind}/{digits}")) is not None:
            thing = Thing(what, f"sha256:{_stem(key)}")
            return thing, runs_of(store, thing.key, "") if what == "model" else []
    if (key := _first(store, f"runs/train/{digits}")) is not None:
        record = read_document(store, key) or {}
        return Thing("run", _stem(key)), [of_record(record, _stem(key))]
    if _first(store, f"blobs/sha256/{digits[:2]}/{digits}") is not None:
        return of_blob(store, digits)
    return of_source_file(store, digits), []


def of_source_file(store: ObjectStore, digits: str) -> Thing | None:
    """Return the dataset version that was made of a file."""
    for entry in _newest(store, "runs/ingest/"):
        record = read_document(store, entry.key) or {}
        version = (record.get("result") or {}).get("version") or {}
        place = next((row["place"] for row in record.get("sources") or () if row["sha256"].startswith(digits)), None)
        if place is not None and version:
            return Thing("data", version["digest"], f"its file {place}")
    return None


def of_blob(store: ObjectStore, digits: str) -> tuple[Thing | None, list[Run]]:
    """Return the version or run that lists a blob."""
    kinds: tuple[tuple[Kind, str], ...] = (("models", "model"), ("datasets", "data"))
    for kind, what in kinds:
        for entry in _newest(store, f"{kind}/"):
            digest = f"sha256:{_stem(entry.key)}"
            document = read_manifest(store, kind, digest)
            if (path := _lists(document, digits)) is not None:
                return Thing(what, digest, f"its file {path}"), runs_of(store, digest, "") if what == "model" else []
    for entry in _newest(store, "runs/train/"):
        record = read_document(store, entry.key) or {}
        if (path := _lists(record, digits)) is not None:
            key = _stem(entry.key)
            return Thing("run", key, f"its file {path}"), [of_record(record, key)]
    return None, []


def prediction(store: ObjectStore, deployments: list[str], wanted: str) -> Prediction | None:
    """Return the newest answer of an id in the request log, as far back as a search reads."""
    parts = [(entry, name) for name in deployments for entry in store.list(keys.requests_of(name))]
    for entry, name in sorted(parts, key=lambda part: part[0].modified, reverse=True)[:PARTS]:
        document = read_document(store, entry.key) or {}
        for row in _rows(store, document, wanted):
            return Prediction(
                id=wanted,
                deployment=name,
                model=str(row["model_digest"]),
                time=stamp(row["time"]),
                arm=str(row["arm"]),
                status=int(row["status"]),
            )
    return None


def _rows(store: ObjectStore, document: Object, wanted: str) -> Iterator[Object]:
    import pyarrow.compute as pc

    from treadle.store.tables import decode

    for file in files_of(document):
        table = decode(get_bytes(store, file.sha256))
        yield from table.filter(pc.equal(table.column("prediction_id"), wanted)).to_pylist()


def _first(store: ObjectStore, prefix: str) -> str | None:
    return next((entry.key for entry in store.list(prefix)), None)


def _newest(store: ObjectStore, prefix: str) -> list[Entry]:
    return sorted(store.list(prefix), key=lambda entry: entry.modified, reverse=True)[:LOOKED]


def _lists(document: Object, digits: str) -> str | None:
    rows = (*(document.get("files") or ()), *(document.get("parts") or ()))
    return next((str(row["path"]) for row in rows if bare(str(row["sha256"])).startswith(digits)), None)


def _stem(key: str) -> str:
    return key.rpartition("/")[2].removesuffix(".json")


def _apart(entry: Entry, at: datetime | None) -> float:
    return abs((entry.modified - at).total_seconds()) if at is not None else 0.0
