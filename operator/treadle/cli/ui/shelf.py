"""What pages show of the bucket: never changed once written, so that it is read once and kept."""

import json
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from treadle.api.base import Json
from treadle.api.names import canonical
from treadle.cli.bucket import Bucket, Unread, told
from treadle.cli.cluster import Cluster, Object
from treadle.cli.estate import name_of, status_of
from treadle.cli.ui.story import LATE

if TYPE_CHECKING:
    from treadle.store.port import ObjectStore

RUN_KEY = re.compile(r"reports/([0-9a-f]{64})\.html$")
DETAILS = "window.json"
WAITS_SECONDS = 1.5
"""A page waits so long for all that it asks; a store that is out of reach answers no sooner."""
AGAIN_SECONDS = 30.0
"""A read that failed is tried again after so long."""
KEPT = 200


@dataclass(slots=True)
class Asked:
    """A read under way, or its outcome."""

    at: float
    over: threading.Event = field(default_factory=threading.Event)
    found: Any = None
    why: str = ""
    """Why there is nothing, in a sentence."""


class Shelf:
    """What was read of the stores that a namespace's Secrets name."""

    def __init__(self, cluster: Cluster, clock: Callable[[], float] = time.monotonic) -> None:
        self._cluster, self._clock = cluster, clock
        self._lock, self._asked = threading.Lock(), dict[tuple[str, ...], Asked]()
        self._opening, self._buckets = threading.Lock(), [Bucket(cluster)]

    def close(self) -> None:
        """Forget the Secrets."""
        for bucket in self._buckets:
            bucket.close()

    def windows(self, monitors: tuple[Object, ...]) -> Mapping[str, Json | str]:
        """Return each Monitor's last window as the store has it, or why there is none."""
        until = self._clock() + WAITS_SECONDS
        judged = [monitor for monitor in monitors if status_of(monitor).get("drift")]
        asked = {name_of(each): self._ask(_window_key(each), partial(self._window, each)) for each in judged}
        answers = {name: self._answer(each, until) for name, each in asked.items()}
        return {name: found if found is not None else why for name, (found, why) in answers.items()}

    def card(self, run: Object, digest: str) -> tuple[str | None, str]:
        """Return a card's Markdown, or None and why it cannot be shown."""
        return self._answer(
            self._ask(("card", digest), partial(self._card, run, digest)), self._clock() + WAITS_SECONDS
        )

    def _ask(self, key: tuple[str, ...], read: Callable[[], Any]) -> Asked:
        with self._lock:
            asked = self._asked.get(key)
            if asked is None or (asked.why and self._clock() >= asked.at + AGAIN_SECONDS):
                asked = self._asked[key] = Asked(self._clock())
                for old in list(self._asked)[:-KEPT]:
                    del self._asked[old]
                # A store that is out of reach keeps its reader for minutes; it must not keep the program.
                threading.Thread(target=_read, args=(asked, read), daemon=True).start()
            return asked

    def _answer(self, asked: Asked, until: float) -> tuple[Any, str]:
        is_over = asked.over.wait(max(0.0, until - self._clock()))
        return (asked.found, asked.why) if is_over else (None, LATE)

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
        details = next((file for file in files_of(record) if file.path == DETAILS), None)
        if details is None:
            raise Unread("the record of that window has no details")
        document: Json = json.loads(get_bytes(store, details.sha256))
        return document

    def _card(self, run: Object, digest: str) -> str:
        from treadle.store.blobs import get_bytes

        store = self._store(run, str((status_of(run).get("model") or {}).get("storageUri") or ""))
        return get_bytes(store, digest).decode()

    def _store(self, thing: Object, uri: str) -> "ObjectStore":
        with self._opening:
            try:
                return self._buckets[-1].store(thing, uri)
            except Unread:
                # A bucket answers always the same; the next read may find a Secret that was mended.
                self._buckets.append(Bucket(self._cluster))
                raise


def _window_key(monitor: Object) -> tuple[str, ...]:
    last = status_of(monitor).get("lastWindow") or {}
    return ("window", name_of(monitor), str(last.get("reportUri")), str(last.get("digest")))


def _read(asked: Asked, read: Callable[[], Any]) -> None:
    try:
        with told():
            asked.found = read()
    except Unread as why:
        asked.why = why.message
    except BaseException as error:
        asked.why = f"reading the bucket failed: {error!r}"
        raise
    finally:
        asked.over.set()
