"""The Kubernetes API in memory: get, list, watch, apply, status, delete and garbage collection."""

import asyncio
import copy
import uuid
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from treadle.api.base import stamp
from treadle.api.names import GROUP
from treadle.api.reasons import Reason
from treadle.control.engine.errors import Conflict, Gone, Invalid
from treadle.control.engine.ports import Gvk, Object
from treadle.local import merge
from treadle.local.schema import Schemas

STATUS_SUBRESOURCE = frozenset({"Job", "Pod", "Deployment"})
WITHOUT_GENERATION = frozenset({"ConfigMap", "Service", "Event", "Lease", "Namespace", "ServiceAccount", "Secret"})
FOREGROUND = "foregroundDeletion"
HISTORY = 4096
"""How many changes a watch can be resumed over, for all types together."""

type Place = tuple[str, str, str]
"""Kind, namespace and name."""


def wall_clock() -> datetime:
    """Return the time of the machine."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Change:
    """What a watch tells: ADDED, MODIFIED or DELETED, and the object after it."""

    type: str
    object: Object
    before: Object | None = None

    @property
    def version(self) -> int:
        """Return the resource version that the change made."""
        return int(self.object["metadata"]["resourceVersion"])


@dataclass(slots=True)
class MemoryApi:
    """One API server; `now` gives creation times, `new_uid` the uids, `schemas` what is admitted: None admits all.

    A stored object is never changed, only replaced: what is handed out inside this package is read, not written.
    """

    now: Callable[[], datetime] = wall_clock
    new_uid: Callable[[], str] = lambda: str(uuid.uuid4())
    schemas: Schemas | None = None
    _objects: dict[Place, Object] = field(default_factory=dict)
    _version: int = 0
    _oldest: int = 0
    _history: deque[Change] = field(default_factory=lambda: deque(maxlen=HISTORY))
    _watchers: list[asyncio.Queue[Change]] = field(default_factory=list)

    @property
    def version(self) -> int:
        """Return the resource version of the latest change."""
        return self._version

    def restore(self, objects: Iterable[Object], version: int) -> None:
        """Take over the objects of a former server, and its last resource version; nobody can resume a watch of it."""
        self._objects = {place(raw): raw for raw in objects}
        self._version = self._oldest = version
        self._history.clear()

    def find(self, kind: str, namespace: str, name: str) -> Object | None:
        """Return the stored object, to be read only."""
        return self._objects.get((kind, namespace, name))

    def all(self, kind: str, namespace: str | None = None) -> list[Object]:
        """Return the stored objects of a kind, by namespace and name, to be read only."""
        return [
            raw for (its, where, _), raw in sorted(self._objects.items()) if its == kind and namespace in (None, where)
        ]

    def since(self, version: int) -> list[Change] | None:
        """Return the changes after a version; None where they are forgotten."""
        if version < self._oldest:
            return None
        return [change for change in self._history if change.version > version]

    def unsubscribe(self, tell: asyncio.Queue[Change]) -> None:
        """Tell a queue nothing more."""
        self._watchers.remove(tell)

    async def get(self, gvk: Gvk, namespace: str, name: str) -> Object | None:
        """Return the object, or None."""
        return copy.deepcopy(self._objects.get((gvk.kind, namespace if gvk.namespaced else "", name)))

    async def list(
        self,
        gvk: Gvk,
        namespace: str | None = None,
        *,
        labels: Mapping[str, str] | None = None,
        metadata_only: bool = False,
    ) -> list[Object]:
        """Return what carries the labels, by namespace and name."""
        wanted = (labels or {}).items()
        found = [
            raw
            for (kind, where, _), raw in sorted(self._objects.items())
            if kind == gvk.kind
            and namespace in (None, where)
            and wanted <= (raw["metadata"].get("labels") or {}).items()
        ]
        parts = (
            {key: raw[key] for key in ("apiVersion", "kind", "metadata")} if metadata_only else raw for raw in found
        )
        return [copy.deepcopy(part) for part in parts]

    async def watch(self) -> AsyncIterator[Change]:
        """Tell every change from now on."""
        told: asyncio.Queue[Change] = asyncio.Queue()
        self._watchers.append(told)
        try:
            while True:
                yield await told.get()
        finally:
            self._watchers.remove(told)

    def subscribe(self, tell: asyncio.Queue[Change]) -> None:
        """Put every change from now on into a queue."""
        self._watchers.append(tell)

    async def apply(self, child: Object, *, manager: str = "treadle") -> Object:
        """Apply exactly these fields by force, as a server does."""
        body = _without_nulls(child)
        if has_status(body["apiVersion"], body["kind"]):
            body.pop("status", None)
        return self._apply(body, manager, "")

    async def apply_status(self, raw: Object, status: Object) -> Object:
        """Apply the whole status; Conflict unless `raw` is the latest."""
        metadata = {key: raw["metadata"][key] for key in ("name", "namespace", "resourceVersion")}
        body = {"apiVersion": raw["apiVersion"], "kind": raw["kind"], "metadata": metadata, "status": status}
        if place(body) not in self._objects:
            raise Gone(f"{body['kind']} {metadata['name']!r} is gone")
        return self._apply(_without_nulls(body), "treadle", "status")

    async def create(self, new: Object) -> Object | None:
        """Create the object; None where the name exists."""
        if place(new) in self._objects:
            return None
        return self._insert(copy.deepcopy(new))

    async def delete(self, child: Object) -> None:
        """Delete this very object and all that it owns."""
        live = self._objects.get(place(child))
        if live is None:
            return
        if child["metadata"].get("uid") not in (None, live["metadata"]["uid"]):
            raise Conflict(f"{child['kind']} {child['metadata']['name']!r} is another object")
        self._collect(live)

    def put(self, changed: Object) -> Object:
        """Store an object whole, as a person or a controller other than ours would write it."""
        live = self._objects.get(place(changed))
        if live is None:
            return self._insert(copy.deepcopy(changed))
        after = copy.deepcopy(changed)
        after["metadata"] = {**live["metadata"], **after["metadata"]}
        return self._store(live, after)

    def apply_as(self, body: Object, manager: str, subresource: str) -> Object:
        """Apply fields by force, as a manager."""
        return self._apply(_without_nulls(body), manager, subresource)

    def remove(self, live: Object) -> None:
        """Delete an object and what it owns."""
        self._collect(live)

    def _insert(self, new: Object) -> Object:
        metadata = new.setdefault("metadata", {})
        metadata["uid"] = self.new_uid()
        metadata["creationTimestamp"] = stamp(self.now())
        if new["kind"] not in WITHOUT_GENERATION:
            metadata["generation"] = 1
        return self._write("ADDED", new)

    def _apply(self, body: Object, manager: str, subresource: str) -> Object:
        live = self._objects.get(place(body))
        wished = body["metadata"]
        if live is None and ("uid" in wished or "resourceVersion" in wished):
            raise Conflict(f"{body['kind']} {wished['name']!r} is gone")
        if live is not None:
            for guard in ("uid", "resourceVersion"):
                if wished.get(guard, live["metadata"][guard]) != live["metadata"][guard]:
                    raise Conflict(f"{body['kind']} {wished['name']!r} is not as it was read")
        owned = merge.field_set(body)
        entries = _entries(live)
        mine = (manager, "Apply", subresource)
        others = {author: theirs for author, theirs in entries.items() if author != mine}
        dropped = [
            path
            for path in entries.get(mine, frozenset()) - owned
            if not any(merge.overlaps(path, theirs) for theirs in others.values())
        ]
        base = live or {"apiVersion": body["apiVersion"], "kind": body["kind"], "metadata": {}}
        guards = ("uid", "resourceVersion")
        plain = {**body, "metadata": {key: value for key, value in wished.items() if key not in guards}}
        after = merge.apply(base, plain, dropped)
        lost = frozenset(path for path in owned if merge.value(base, path) != merge.value(after, path))
        managers = {author: theirs - lost for author, theirs in others.items()} | {mine: owned}
        after["metadata"]["managedFields"] = [
            _entry(author, theirs, after["apiVersion"]) for author, theirs in sorted(managers.items()) if theirs
        ]
        return self._insert(after) if live is None else self._store(live, after)

    def _store(self, live: Object, after: Object) -> Object:
        if after == live:
            return copy.deepcopy(live)
        if after["kind"] not in WITHOUT_GENERATION and after.get("spec") != live.get("spec"):
            after["metadata"]["generation"] = live["metadata"]["generation"] + 1
        return self._write("MODIFIED", after)

    def _write(self, change: str, after: Object) -> Object:
        self._version += 1
        after["metadata"]["resourceVersion"] = str(self._version)
        before = self._objects.get(place(after))
        self._objects[place(after)] = after
        self._tell(Change(change, after, before))
        return copy.deepcopy(after)

    def _collect(self, live: Object) -> None:
        uid = live["metadata"]["uid"]
        for dependent in [raw for raw in self._objects.values() if uid in _owner_uids(raw)]:
            if place(dependent) in self._objects:
                self._collect(dependent)
        del self._objects[place(live)]
        self._version += 1
        last = {**live, "metadata": {**live["metadata"], "resourceVersion": str(self._version)}}
        self._tell(Change("DELETED", last, live))

    def _tell(self, change: Change) -> None:
        if len(self._history) == HISTORY:
            self._oldest = self._history[0].version
        self._history.append(change)
        for told in self._watchers:
            told.put_nowait(Change(change.type, copy.deepcopy(change.object), change.before))


def place(raw: Object) -> Place:
    """Return where an object lies."""
    return raw["kind"], raw["metadata"].get("namespace", ""), raw["metadata"]["name"]


def has_status(api_version: str, kind: str) -> bool:
    """Say whether the type has a /status, which an apply of the object leaves alone."""
    return kind in STATUS_SUBRESOURCE or api_version.startswith(f"{GROUP}/")


def namespace(name: str) -> Object:
    """Return a Namespace to put into an API."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def _without_nulls(body: Object) -> Object:
    if _has_null(body):
        raise Invalid(Reason.INVALID_SPEC, "an apply holds a null, which is a value; leave the field out")
    return copy.deepcopy(body)


def _has_null(body: Any) -> bool:
    if isinstance(body, dict):
        return any(_has_null(child) for child in body.values())
    if isinstance(body, list):
        return any(_has_null(child) for child in body)
    return body is None


def _owner_uids(raw: Object) -> set[str]:
    return {reference["uid"] for reference in raw["metadata"].get("ownerReferences") or []}


def _entries(live: Object | None) -> dict[tuple[str, str, str], merge.Set]:
    entries: Iterable[Any] = (live or {}).get("metadata", {}).get("managedFields") or ()
    return {
        (entry["manager"], entry["operation"], entry.get("subresource", "")): merge.leaves_of(entry["fieldsV1"])
        for entry in entries
    }


def _entry(author: tuple[str, str, str], owned: merge.Set, api_version: str) -> Object:
    manager, operation, subresource = author
    return {
        "manager": manager,
        "operation": operation,
        "apiVersion": api_version,
        "fieldsType": "FieldsV1",
        "fieldsV1": merge.fields_v1(owned),
        **({"subresource": subresource} if subresource else {}),
    }
