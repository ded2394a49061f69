"""The bucket of a namespace, opened with the user's own right to read its Secret."""

import base64
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import click

from treadle.cli.cluster import Answer, Cluster, Object, core
from treadle.cli.store import mounted

if TYPE_CHECKING:
    from treadle.store.port import ObjectStore

PLACE = re.compile(r"treadle/v1/[^/]+/")
DEFAULT = "treadle-store"


class Unread(click.ClickException):
    """Why nothing can be read from the bucket, in one line."""


class Bucket:
    """The stores that the Secrets of a namespace name; each is opened once, when it is first asked for."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._opened: dict[str, ObjectStore | Unread] = {}
        self._mounts = ExitStack()

    def close(self) -> None:
        """Forget the Secrets."""
        self._mounts.close()

    def store(self, thing: Object | None = None, uri: str = "") -> "ObjectStore":
        """Return the store of an object; raise Unread, always the same.

        thing: whose storeRef counts; None: the default. uri: of anything in the store, which tells the namespace's
        place there; without one the namespace's uid does.
        """
        name = str((((thing or {}).get("spec") or {}).get("storeRef") or {}).get("name") or DEFAULT)
        if name not in self._opened:
            try:
                self._opened[name] = self._open(name, uri)
            except Unread as why:
                self._opened[name] = why
        found = self._opened[name]
        if isinstance(found, Unread):
            raise found
        return found

    def _open(self, name: str, uri: str) -> "ObjectStore":
        with told():
            from treadle.store.open import open_store

            place = PLACE.search(uri)
            prefix = place[0] if place is not None else self._prefix()
            directory = self._mounts.enter_context(mounted(self._secret(name)))
            return open_store(directory, name, prefix, self._cluster.namespace)

    def _secret(self, name: str) -> Mapping[str, str]:
        namespace = self._cluster.namespace
        secret = self._cluster.find(core("secrets", namespace, name))
        if secret is None:
            raise Unread(f'Secret "{name}" does not exist in {namespace}')
        return {key: base64.b64decode(value).decode() for key, value in (secret.get("data") or {}).items()}

    def _prefix(self) -> str:
        from treadle.store.keys import namespace_prefix

        found = self._cluster.get(f"/api/v1/namespaces/{self._cluster.namespace}")
        return namespace_prefix(found["metadata"]["uid"])


@contextmanager
def bucket(cluster: Cluster) -> Iterator[Bucket]:
    """Give the bucket of a cluster's namespace."""
    opened = Bucket(cluster)
    try:
        yield opened
    finally:
        opened.close()


@contextmanager
def told() -> Iterator[None]:
    """Turn what a person or the world must mend into the line that says so."""
    try:
        yield
    except Unread:
        raise
    except Answer as answer:
        raise Unread(answer.message) from answer
    except ModuleNotFoundError as error:
        raise Unread(
            f'reading the bucket needs the Python module {error.name}; install it: pip install "treadle[cli,worker]"'
        ) from error
    except Exception as error:
        from treadle.store.errors import StoreError

        if not isinstance(error, StoreError):
            raise
        raise Unread(f"{error.reason.value}: {error.message}") from error
