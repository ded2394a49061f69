"""What pages show of the bucket, read with the user's own rights: never changed once written, so asked for once."""

import base64
import json
import re
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from treadle.api.base import Json
from treadle.api.names import canonical
from treadle.cli.cluster import Answer, Cluster, Object, core
from treadle.cli.estate import name_of, status_of
from treadle.cli.store import mounted
from treadle.cli.ui.story import LATE

if TYPE_CHECKING:
    from treadle.store.port import ObjectStore

PREFIX = re.compile(r"treadle/v1/[^/]+/")
RUN_KEY = re.compile(r"reports/([0-9a-f]{64})\.html$")
WAITS_SECONDS = 1.5
"""A page waits so long for all that it asks; a store that is out of reach answers no sooner."""
AGAIN_SECONDS = 30.0
"""A read that failed is tried again after so long."""
KEPT = 200


class Unread(Exception):
    """Why something cannot be read, in a sentence."""


@dataclass(slots=True)
class Asked:
    """A read under way, or its outcome."""

    at: float
    over: threading.Event = field(default_factory=threading.Event)
    found: Any = None
    why: str = ""


class Bucket:
    """The stores that a namespace's Secrets name."""

    def __init__(self, cluster: Cluster, clock: Callable[[], float] = time.monotonic) -> None:
        self._cluster, self._clock = cluster, clock
        self._lock, self._asked = threading.Lock(), dict[tuple[str, ...], Asked]()
        self._mounts = ExitStack()

    def close(self) -> None:
        """Forget the Secrets."""
        self._mounts.close()

    def windows(self, monitors: tuple[Object, ...]) -> Mapping[str, Json | str]:
        """Return each Monitor's last window as the store has it, or why there is none."""
        until = self._clock() + WAITS_SECONDS
        judged = [monitor for monitor in monitors if status_of(monitor).get("drift")]
        for monitor in judged:
            self._ask(*_window_key(monitor), read=partial(self._window, monitor))
        return {name_of(monitor): self._answer(_window_key(monitor), until) for monitor in judged}

    def card(self, run: Object, digest: str) -> tuple[str | None, str]:
        """Return a card's Markdown, or None and why it cannot be shown."""
        key = ("card", digest)
        self._ask(*key, read=partial(self._card, run, digest))
        found = self._answer(key, self._clock() + WAITS_SECONDS)
        return (found, "") if self._asked[key].found is not None else (None, str(found))

    def _ask(self, *key: str, read: Callable[[], Any]) -> None:
        with self._lock:
            asked = self._asked.get(key)
            is_fresh = asked is not None and (not asked.why or self._clock() < asked.at + AGAIN_SECONDS)
            if is_fresh:
                return
            self._asked[key] = Asked(self._clock())
            for old in list(self._asked)[:-KEPT]:
                del self._asked[old]
            # A store that is out of reach keeps its reader for minutes; it must not keep the program.
            threading.Thread(target=_read, args=(self._asked[key], read), daemon=True).start()

    def _answer(self, key: tuple[str, ...], until: float) -> Any:
        asked = self._asked[key]
        if not asked.over.wait(max(0.0, until - self._clock())):
            return LATE
        return asked.found if not asked.why else asked.why

    def _window(self, monitor: Object) -> Json:
        from treadle.store.blobs import get_bytes
        from treadle.store.manifest import digest_of, files_of, read_record

        last = status_of(monitor)["lastWindow"]
        uri = str(last.get("reportUri") or "")
        found = RUN_KEY.search(uri)
        if found is None:
            raise Unread("status names no report of its last window")
        store = self._store(monitor, uri)
        record = read_record(store, "monitor", found[1])
        if record is None:
            raise Unread(f"the record of that window is not at {store.place}")
        if last.get("digest") not in (None, digest_of(canonical(record))):
            raise Unread(f"the record at {store.place} is not the one that status names")
        details = next((file for file in files_of(record) if file.path == "window.json"), None)
        if details is None:
            raise Unread("the record of that window has no details")
        document: Json = json.loads(get_bytes(store, details.sha256))
        return document

    def _card(self, run: Object, digest: str) -> str:
        from treadle.store.blobs import get_bytes

        store = self._store(run, str((status_of(run).get("model") or {}).get("storageUri") or ""))
        return get_bytes(store, digest).decode()

    def _store(self, thing: Object, uri: str) -> "ObjectStore":
        """Open the store of an object; uri: of anything in it, which tells the prefix of the namespace."""
        from treadle.store.open import open_store

        name = str((thing["spec"].get("storeRef") or {}).get("name") or "treadle-store")
        prefix = PREFIX.search(uri)
        if prefix is None:
            raise Unread(f'"{uri}" names no place of a Treadle store')
        namespace = self._cluster.namespace
        secret = self._cluster.find(core("secrets", namespace, name))
        if secret is None:
            raise Unread(f'Secret "{name}" does not exist in {namespace}')
        values = {key: base64.b64decode(value).decode() for key, value in (secret.get("data") or {}).items()}
        with self._lock:
            directory = self._mounts.enter_context(mounted(values))
        return open_store(directory, name, prefix[0], namespace)


def _window_key(monitor: Object) -> tuple[str, ...]:
    last = status_of(monitor).get("lastWindow") or {}
    return ("window", name_of(monitor), str(last.get("reportUri")), str(last.get("digest")))


def _read(asked: Asked, read: Callable[[], Any]) -> None:
    """Fill in the outcome of a read; what a person or the world must mend is a sentence, all else is raised."""
    try:
        asked.found = read()
    except Exception as error:
        asked.why = _why(error)
        if not asked.why:
            asked.why = f"reading the bucket failed: {type(error).__name__}"
            raise
    finally:
        asked.over.set()


def _why(error: Exception) -> str:
    if isinstance(error, Unread | Answer):
        return str(error)
    if isinstance(error, ModuleNotFoundError):
        return f'that needs the Python module {error.name}; install it: pip install "treadle[cli,worker]"'
    from treadle.store.errors import StoreError

    return f"{error.reason.value}: {error.message}" if isinstance(error, StoreError) else ""
