"""The port of the object store: what an adapter promises, and what its answers are made of."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Object:
    """Bytes of an object, or of the span asked for, with the tag and size of the whole."""

    data: bytes
    etag: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Head:
    """What is known of an object without its bytes; `sha256` (64 hex digits) is None where the store echoes none."""

    size_bytes: int
    sha256: str | None
    etag: str
    modified: datetime


@dataclass(frozen=True, slots=True)
class Entry:
    """One object of a listing; `key` is relative to the store's prefix."""

    key: str
    size_bytes: int
    modified: datetime


@dataclass(frozen=True, slots=True)
class Stored:
    """What lies under a create-once key: `created` says whether these bytes are the caller's write."""

    created: bool
    data: bytes


class Bucket(Protocol):
    """A bucket that is only read, as a source of data."""

    def get(self, key: str) -> Object | None:
        """Return an object; None if it does not exist."""
        ...

    def list(self, prefix: str) -> Iterator[Entry]:
        """Yield the objects whose keys begin with `prefix`, in the order of their keys; keys are whole."""
        ...


class ObjectStore(Protocol):
    """Objects below one prefix; each method raises StoreError, whose message says who must act.

    Adapters may be used from several threads. No method copies an object inside the store.
    """

    @property
    def place(self) -> str:
        """Say where the store is, for messages: `sales/treadle/v1/0b6e`."""
        ...

    def get(self, key: str, start: int = 0, length: int | None = None) -> Object | None:
        """Return an object, or `length` bytes of it from `start`; None if it does not exist."""
        ...

    def head(self, key: str) -> Head | None:
        """Return size, checksum, tag and time of an object; None if it does not exist."""
        ...

    def list(self, prefix: str) -> Iterator[Entry]:
        """Yield the objects whose keys begin with `prefix`, in the order of their keys."""
        ...

    def put_blob(self, key: str, sha256: str, data: bytes | Path) -> None:
        """Store bytes under a key that names their digest (64 hex digits), and confirm what is stored.

        Equal bytes that are there already are success. Raises ChecksumMismatch where other bytes are there.
        """
        ...

    def put_once(self, key: str, data: bytes) -> Stored:
        """Create an object unless it exists; return the bytes that lie there afterwards."""
        ...

    def put_large(self, key: str, data: bytes | Path) -> bool:
        """Create an object once in the way the adapter takes for large ones; return whether this call created it."""
        ...

    def swap(self, key: str, data: bytes, etag: str | None) -> str | None:
        """Replace an object that still has `etag` (None: that does not exist); return the new tag, None if refused."""
        ...

    def delete(self, key: str) -> None:
        """Delete an object; one that does not exist is success."""
        ...
