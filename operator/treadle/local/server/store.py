"""What the API keeps: every object, each change of late, and who is told of the next."""

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from treadle.local.server.copies import copied

type Object = dict[str, Any]
type Place = tuple[str, str, str]
"""Kind, namespace and name."""

HISTORY = 4096
"""How many changes a watch can be resumed over, for all types together."""


@dataclass(frozen=True, slots=True)
class Change:
    """What a watch tells: ADDED, MODIFIED or DELETED, the object after it, and before it."""

    type: str
    object: Object
    before: Object | None = None

    @property
    def version(self) -> int:
        """Return the resource version that the change made."""
        return int(self.object["metadata"]["resourceVersion"])


@dataclass(slots=True)
class Store:
    """Objects by their places, and one resource version for all.

    A stored object is never changed, only replaced: whoever gets one reads it.
    """

    _objects: dict[Place, Object] = field(default_factory=dict)
    _version: int = 0
    _oldest: int = 0
    _history: deque[Change] = field(default_factory=deque)
    _watchers: list[asyncio.Queue[Change]] = field(default_factory=list)

    @property
    def version(self) -> int:
        """Return the resource version of the latest change."""
        return self._version

    def find(self, kind: str, namespace: str, name: str) -> Object | None:
        """Return the stored object."""
        return self._objects.get((kind, namespace, name))

    def all(self, kind: str, namespace: str | None = None) -> Sequence[Object]:
        """Return the stored objects of a kind, by namespace and name."""
        return [
            raw for (its, where, _), raw in sorted(self._objects.items()) if its == kind and namespace in (None, where)
        ]

    def everything(self) -> Sequence[Object]:
        """Return all stored objects."""
        return list(self._objects.values())

    def since(self, version: int) -> Sequence[Change] | None:
        """Return the changes after a version; None where they are forgotten."""
        if version < self._oldest:
            return None
        return [change for change in self._history if change.version > version]

    def subscribe(self, tell: asyncio.Queue[Change]) -> None:
        """Put every change from now on into a queue."""
        self._watchers.append(tell)

    def unsubscribe(self, tell: asyncio.Queue[Change]) -> None:
        """Tell a queue nothing more."""
        self._watchers.remove(tell)

    def restore(self, objects: Iterable[Object], version: int) -> None:
        """Take over the objects of a former server, and its last resource version; nobody can resume a watch of it."""
        self._objects = {place(raw): raw for raw in objects}
        self._version = self._oldest = version
        self._history.clear()

    def hold(self, raw: Object) -> None:
        """Have an object from the beginning, which no watch tells and nobody keeps."""
        metadata = {**raw["metadata"], "resourceVersion": str(max(self._version, 1))}
        self._objects[place(raw)] = {**raw, "metadata": metadata}

    def _write(self, change: str, after: Object) -> Object:
        """Store an object under the next version, and tell of it."""
        before = self._objects.get(place(after))
        after["metadata"] = {**after["metadata"], "resourceVersion": self._next()}
        self._objects[place(after)] = after
        self._tell(Change(change, after, before))
        return after

    def _remove(self, live: Object) -> None:
        """Take an object away, and tell of it."""
        del self._objects[place(live)]
        last = {**live, "metadata": {**live["metadata"], "resourceVersion": self._next()}}
        self._tell(Change("DELETED", last, live))

    def _next(self) -> str:
        self._version += 1
        return str(self._version)

    def _tell(self, change: Change) -> None:
        self._history.append(change)
        if len(self._history) > HISTORY:
            self._oldest = self._history.popleft().version
        if self._watchers:
            # One copy for all: they read it, and cannot reach what is stored.
            told = replace(change, object=copied(change.object))
            for queue in self._watchers:
                queue.put_nowait(told)


def place(raw: Object) -> Place:
    """Return where an object lies."""
    return raw["kind"], raw["metadata"].get("namespace", ""), raw["metadata"]["name"]
