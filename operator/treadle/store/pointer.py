"""Small named values, changed by compare-and-swap."""

import json
from collections.abc import Callable
from typing import Literal

from pydantic import ValidationError

from treadle.api.base import Digest, Record
from treadle.api.names import canonical
from treadle.api.reasons import Reason
from treadle.store import keys
from treadle.store.errors import RESTORE, StoreError
from treadle.store.port import ObjectStore

TRIES = 10


class Pointer(Record):
    """What a name stands for now. Revisions only grow; of two writers, the higher revision stays."""

    format: Literal["treadle.dev/pointer/v1"] = "treadle.dev/pointer/v1"
    revision: int
    current: Digest | None = None
    version: int | None = None
    previous: Digest | None = None
    quarantined: list[Digest] = []
    fingerprint: str | None = None


def read_pointer(store: ObjectStore, kind: keys.Pointed, name: str) -> Pointer | None:
    """Return what a name stands for; None if it was never set."""
    return _read(store, keys.pointer(kind, name))[0]


def set_pointer(store: ObjectStore, kind: keys.Pointed, name: str, pointer: Pointer) -> Pointer:
    """Set a pointer of a given revision; return what stands there, which is ours unless its revision is as high."""
    return move_pointer(
        store, kind, name, lambda now: None if now is not None and now.revision >= pointer.revision else pointer
    )


def advance_pointer(store: ObjectStore, kind: keys.Pointed, name: str, current: str, version: int | None) -> Pointer:
    """Let a name stand for a digest, with the next revision; nothing is written if it does already."""

    def change(now: Pointer | None) -> Pointer | None:
        if now is not None and now.current == current:
            return None
        revision = now.revision + 1 if now else 1
        return Pointer(revision=revision, current=current, version=version, previous=now.current if now else None)

    return move_pointer(store, kind, name, change)


def move_pointer(
    store: ObjectStore, kind: keys.Pointed, name: str, change: Callable[[Pointer | None], Pointer | None]
) -> Pointer:
    """Replace a pointer by what `change` makes of it (None: leave it); return what stands there afterwards.

    `change` may be called ten times, since others may write in between; it must not leave a pointer unset.
    """
    key = keys.pointer(kind, name)
    for _ in range(TRIES):
        now, etag = _read(store, key)
        wanted = change(now)
        if wanted is None:
            if now is None:
                raise ValueError(f"{key}: nothing stands there, and nothing was to be written")
            return now
        if wanted == now or store.swap(key, canonical(wanted.dump()), etag) is not None:
            return wanted
    raise StoreError(
        Reason.THROTTLED, f"{key} at {store.place} was changed by others {TRIES} times in between. Wait; tried again"
    )


def _read(store: ObjectStore, key: str) -> tuple[Pointer | None, str | None]:
    found = store.get(key)
    if found is None:
        return None, None
    try:
        return Pointer.parse(json.loads(found.data)), found.etag
    except (ValueError, ValidationError) as error:
        raise StoreError(Reason.CHECKSUM_MISMATCH, f"{key} is no pointer. {RESTORE}") from error
