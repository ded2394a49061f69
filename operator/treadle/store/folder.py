"""The port on a directory, for `treadle up` and tests: one machine, any number of processes."""

import fcntl
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from treadle.store import keys
from treadle.store.errors import from_system, no_bucket, wrong_digest
from treadle.store.port import Entry, Head, Object, Stored

PRIVATE = ".treadle"  # no key begins with a dot, so no listing shows it


class FolderStore:
    """Objects as files below `bucket/prefix`.

    A write goes to a private file, is flushed to disk, and appears under its name by one link or rename: a reader
    sees all of it or nothing.
    """

    def __init__(self, bucket: Path, prefix: str = "", *, field: str = '"bucket"') -> None:
        """Open an existing directory as a bucket; raise BucketNotFound, naming `field`, if there is none."""
        if not bucket.is_dir():
            raise no_bucket(bucket.name, str(bucket.parent), field)
        self._root = bucket / prefix
        self._private = bucket / PRIVATE
        self.place = f"{bucket.name}/{prefix}".rstrip("/")

    def get(self, key: str, start: int = 0, length: int | None = None) -> Object | None:
        """Return an object, or `length` bytes of it from `start`; None if it does not exist."""
        with self._errors():
            try:
                with self._path(key).open("rb") as file:
                    state = os.fstat(file.fileno())
                    file.seek(start)
                    return Object(file.read(length), tag(state), state.st_size)
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                return None

    def head(self, key: str) -> Head | None:
        """Return size, tag and time; a directory keeps no checksum, so `sha256` is None."""
        with self._errors():
            try:
                state = self._path(key).stat()
            except (FileNotFoundError, NotADirectoryError):
                return None
            return Head(state.st_size, None, tag(state), datetime.fromtimestamp(state.st_mtime, UTC))

    def list(self, prefix: str) -> Iterator[Entry]:
        """Yield the objects whose keys begin with `prefix`, in the order of their keys."""
        above = self._root / prefix.rpartition("/")[0]
        with self._errors():
            found = [Path(directory) / name for directory, _, names in os.walk(above) for name in names]
        for key, file in sorted((file.relative_to(self._root).as_posix(), file) for file in found):
            if not key.startswith(prefix) or key.startswith("."):
                continue
            try:
                state = file.stat()
            except FileNotFoundError:  # deleted since the walk
                continue
            yield Entry(key, state.st_size, datetime.fromtimestamp(state.st_mtime, UTC))

    def put_blob(self, key: str, sha256: str, data: bytes | Path) -> None:
        """Store bytes under a key that names their digest; equal bytes that are there already are success."""
        self.put_large(key, data)
        with self._errors(), self._path(key).open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != sha256:
            raise wrong_digest("blob", sha256, found)

    def put_once(self, key: str, data: bytes) -> Stored:
        """Create an object unless it exists; return the bytes that lie there afterwards."""
        while True:
            if self.put_large(key, data):
                return Stored(created=True, data=data)
            # Deleted between the two: then it is free again.
            if (found := self.get(key)) is not None:
                return Stored(created=False, data=found.data)

    def put_large(self, key: str, data: bytes | Path) -> bool:
        """Create an object once; return whether this call created it."""
        return self._create(key, data) is not None

    def swap(self, key: str, data: bytes, etag: str | None) -> str | None:
        """Replace an object that still has `etag`; return the new tag, None if refused."""
        target = self._path(key)
        if etag is None:
            return self._create(key, data)
        with self._errors(), self._lock(key):
            if (live := self.head(key)) is None or live.etag != etag:
                return None
            with self._written(data) as ready:
                state = ready.stat()
                ready.replace(target)
            sync(target.parent)
            return tag(state)

    def delete(self, key: str) -> None:
        """Delete an object; one that does not exist is success."""
        with self._errors(), self._lock(key):
            self._path(key).unlink(missing_ok=True)

    def _create(self, key: str, data: bytes | Path) -> str | None:
        """Link a finished file to its name; return its tag, None if the name is taken."""
        target = self._path(key)
        with self._errors(), self._written(data) as ready:
            target.parent.mkdir(parents=True, exist_ok=True)
            state = ready.stat()
            try:
                os.link(ready, target)
            except FileExistsError:
                return None
            sync(target.parent)
            return tag(state)

    def _path(self, key: str) -> Path:
        return self._root / keys.checked(key)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise from_system(error, self.place) from error

    @contextmanager
    def _written(self, data: bytes | Path) -> Iterator[Path]:
        """Give a private file with the bytes on disk; remove its name afterwards."""
        directory = self._private / "writing"
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / secrets.token_hex(16)
        try:
            with path.open("xb") as file:
                if isinstance(data, Path):
                    with data.open("rb") as source:
                        shutil.copyfileobj(source, file, 1 << 20)
                else:
                    file.write(data)
                file.flush()
                os.fsync(file.fileno())
            yield path
        finally:
            path.unlink(missing_ok=True)

    @contextmanager
    def _lock(self, key: str) -> Iterator[None]:
        """Hold one key against the swaps and deletions of other processes."""
        directory = self._private / "locks"
        directory.mkdir(parents=True, exist_ok=True)
        name = hashlib.sha256(str(self._path(key)).encode()).hexdigest()[:16]
        with (directory / name).open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def tag(state: os.stat_result) -> str:
    """Return what tells two writes of one name apart: each write is a new file."""
    return f"{state.st_ino:x}-{state.st_mtime_ns:x}-{state.st_size:x}"


def sync(directory: Path) -> None:
    """Flush a directory, so that a name in it survives a crash."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
