"""The Kubernetes API in memory: get, list, watch, apply, status, delete and garbage collection."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from treadle.api.base import stamp
from treadle.api.names import MANAGER
from treadle.api.reasons import Reason
from treadle.control.engine.errors import Conflict, Gone, Invalid
from treadle.control.engine.ports import EVENT, NAMESPACE, Gvk, Object
from treadle.local.schema.admit import Schemas
from treadle.local.schema.causes import Refused, invalid
from treadle.local.server import deletion, events, refusals, types, writes
from treadle.local.server.copies import copied
from treadle.local.server.deletion import Policy
from treadle.local.server.store import Change, Place, Store, place
from treadle.local.server.types import Type
from treadle.local.server.writes import Author

__all__ = ["Change", "MemoryApi", "check_guards", "namespace", "place", "wall_clock"]

OBJECT_BYTES = 1536 * 1024
"""What etcd takes."""
EVENT_SECONDS = 3600
"""How long an Event stays: --event-ttl of kube-apiserver."""


def wall_clock() -> datetime:
    """Return the time of the machine."""
    return datetime.now(UTC)


@dataclass(slots=True)
class MemoryApi(Store):
    """One API server; `now` gives creation times, `new_uid` the uids, `schemas` what is admitted: None admits all.

    The coroutines are the engine's port. The functions are the server's: they raise Refused, and hand out stored
    objects, which are never changed, only replaced; whoever gets one reads it.
    """

    now: Callable[[], datetime] = wall_clock
    new_uid: Callable[[], str] = lambda: str(uuid.uuid4())
    schemas: Schemas | None = None

    async def get(self, gvk: Gvk, namespace: str, name: str) -> Object | None:
        """Return the object, or None."""
        return copied(self.find(gvk.kind, namespace if gvk.namespaced else "", name))

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
            raw for raw in self.all(gvk.kind, namespace) if wanted <= (raw["metadata"].get("labels") or {}).items()
        ]
        parts = (
            {key: raw[key] for key in ("apiVersion", "kind", "metadata")} if metadata_only else raw for raw in found
        )
        return [copied(part) for part in parts]

    async def watch(self) -> AsyncIterator[Change]:
        """Tell every change from now on."""
        told: asyncio.Queue[Change] = asyncio.Queue()
        self.subscribe(told)
        try:
            while True:
                yield await told.get()
        finally:
            self.unsubscribe(told)

    async def apply(self, child: Object, *, manager: str = MANAGER) -> Object:
        """Apply exactly these fields by force, as a server does."""
        return copied(self._apply_by_force(child, Author(manager, self.now(), "", True, self.schemas)))

    async def apply_status(self, raw: Object, status: Object) -> Object:
        """Apply the whole status; Conflict unless `raw` is the latest."""
        metadata = {key: raw["metadata"][key] for key in ("name", "namespace", "resourceVersion")}
        body = {"apiVersion": raw["apiVersion"], "kind": raw["kind"], "metadata": metadata, "status": status}
        if place(body) not in self._objects:
            raise Gone(f"{body['kind']} {metadata['name']!r} is gone")
        return copied(self._apply_by_force(body, Author(MANAGER, self.now(), "status", True, self.schemas)))

    async def create(self, new: Object) -> Object | None:
        """Create the object; None where the name exists."""
        if place(new) in self._objects:
            return None
        try:
            return copied(self.make(types.of(new), new, Author(MANAGER, self.now(), schemas=self.schemas)))
        except Refused as refused:
            raise _told(refused) from refused

    async def delete(self, child: Object) -> None:
        """Delete this very object, at once, and all that it owns."""
        live = self._objects.get(place(child))
        if live is None:
            return
        if child["metadata"].get("uid") not in (None, live["metadata"]["uid"]):
            raise Conflict(f"{child['kind']} {child['metadata']['name']!r} is another object")
        self.erase(live, Policy.FOREGROUND, grace_seconds=0)

    def put(self, changed: Object) -> Object:
        """Store an object whole, unjudged, as a person or a controller other than ours would write it."""
        live = self._objects.get(place(changed))
        if live is None:
            new = writes.born(copied(changed), self.now(), self.new_uid())
            return copied(self._write("ADDED", new))
        after = copied(changed)
        after["metadata"] = {**live["metadata"], **after["metadata"]}
        return copied(self._replace(live, writes.grown(live, after)))

    def make(self, type_: Type, sent: Object, author: Author, *, is_dry: bool = False) -> Object:
        """Create an object whose name is free."""
        namespace, name = sent["metadata"].get("namespace", ""), sent["metadata"]["name"]
        if self.find(type_.gvk.kind, namespace, name) is not None:
            raise refusals.already_exists(type_, name)
        self._check_namespace(type_, namespace, name)
        new = self._bounded(events.stored(writes.created(type_, sent, author, self.new_uid())))
        return new if is_dry else self._add(new)

    def change(self, type_: Type, live: Object, sent: Object, author: Author, *, is_dry: bool = False) -> Object:
        """Replace an object, or its status."""
        after = self._bounded(events.stored(writes.replaced(type_, events.seen_as(live, type_.gvk), sent, author)))
        return after if is_dry else self._replace(live, after)

    def apply_as(self, type_: Type, wish: Object, author: Author, *, is_dry: bool = False) -> Object:
        """Apply fields to an object, or create it with them."""
        metadata = wish["metadata"]
        namespace, name = metadata.get("namespace", ""), metadata["name"]
        live = self.find(type_.gvk.kind, namespace, name)
        if live is None:
            self._check_absent(type_, metadata, author)
            self._check_namespace(type_, namespace, name)
        else:
            check_guards(type_, live, wish, is_patch=True)
        seen = live and events.seen_as(live, type_.gvk)
        uid = self.new_uid() if live is None else ""
        after = self._bounded(events.stored(writes.applied(type_, seen, wish, author, uid)))
        if is_dry:
            return after
        return self._add(after) if live is None else self._replace(live, after)

    def erase(
        self, live: Object, policy: Policy, *, grace_seconds: int | None = None, is_dry: bool = False
    ) -> tuple[Object, bool]:
        """Delete an object, or mark it where finalizers or processes hold it; return it, and whether it is gone."""
        after = deletion.marked(live, policy, grace_seconds, self.now())
        if is_dry:
            return after or live, after is None
        if after is None:
            self._drop(live)
            return deletion.ended(live, self.now()), True
        if after != live:
            self._write("MODIFIED", after)
        self._settle([place(live)])
        return after, False

    def _apply_by_force(self, child: Object, author: Author) -> Object:
        if _has_null(child):
            raise Invalid(Reason.INVALID_SPEC, "an apply holds a null, which is a value; leave the field out")
        body, type_ = copied(child), types.of(child)
        if type_.has_status and not author.part:
            body.pop("status", None)
        try:
            if self.schemas is not None:
                writes.check_typed(type_, body)
            return self.apply_as(type_, body, author)
        except Refused as refused:
            raise _told(refused) from refused

    def _check_absent(self, type_: Type, metadata: Object, author: Author) -> None:
        """Refuse an apply to one certain object, or to the status of any, where there is none."""
        name = metadata["name"]
        if author.part:
            raise refusals.not_found(type_, name)
        if uid := metadata.get("uid"):
            why = f"uid mismatch: the provided object specified uid {uid}, and no existing object was found"
            raise refusals.conflict(type_, name, why)

    def _check_namespace(self, type_: Type, namespace: str, name: str) -> None:
        if not type_.gvk.namespaced or self.schemas is None:
            return
        found = self.find(NAMESPACE.kind, "", namespace)
        if found is None:
            raise refusals.not_found(types.NAMESPACE_TYPE, namespace)
        if "deletionTimestamp" in found["metadata"]:
            raise refusals.terminating(type_, name, namespace)

    def _replace(self, live: Object, after: Object) -> Object:
        if writes.is_same(live, after):
            return live
        if "deletionTimestamp" in live["metadata"] and deletion.is_free(after):
            self._drop(live)
            return after
        return self._write("MODIFIED", after)

    def _add(self, new: Object) -> Object:
        stored = self._write("ADDED", new)
        if self.schemas is not None:
            # Its owner may have gone meanwhile.
            self._settle([place(new)])
            if new["kind"] == EVENT.kind:
                self._forget_events()
        return stored

    def _bounded(self, new: Object) -> Object:
        """Refuse an object that no server could store."""
        if self.schemas is not None and len(json.dumps(new, ensure_ascii=False).encode()) > OBJECT_BYTES:
            raise Refused(500, "", "etcdserver: request is too large")
        return new

    def _forget_events(self) -> None:
        """Drop the Events whose time is over."""
        oldest = stamp(self.now() - timedelta(seconds=EVENT_SECONDS))
        for event in self.all(EVENT.kind):
            if event["metadata"]["creationTimestamp"] < oldest:
                self._drop(event)

    def _drop(self, live: Object) -> None:
        """Take an object away, and with it what nobody else owns."""
        self._remove(live)
        self._settle(deletion.concerned(live, self._objects))

    def _settle(self, places: Iterable[Place]) -> None:
        """Take the next step of every deletion that these objects are part of, until none is left."""
        for where in places:
            live = self._objects.get(where)
            if live is None:
                continue
            for step in deletion.steps(live, self._objects):
                self._take(step)

    def _take(self, step: deletion.Step) -> None:
        live = self._objects.get(step.place)
        if live is None:
            return
        if step.change is None:
            self.erase(live, step.policy)
        elif (after := step.change(live)) is None:
            self._drop(live)
        elif after != live:
            self._write("MODIFIED", after)
            self._settle([step.place])


def namespace(name: str) -> Object:
    """Return a Namespace to put into an API."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def check_guards(type_: Type, live: Object, sent: Object, *, is_patch: bool) -> None:
    """Refuse a write that means another object, or an older state of this one."""
    metadata, found = sent["metadata"], live["metadata"]
    uid = metadata.get("uid") or found["uid"]
    if uid != found["uid"] and not is_patch:
        raise refusals.another_uid(type_, live, uid)
    if (metadata.get("resourceVersion") or found["resourceVersion"]) != found["resourceVersion"]:
        raise refusals.conflict(type_, found["name"])
    if uid != found["uid"]:
        cause = invalid("metadata.uid", uid, "field is immutable")
        raise refusals.invalid(type_, found["name"], [cause] * 2)


def _told(refused: Refused) -> Exception:
    """Return a refusal as the engine's client tells it."""
    if refused.code == 404 or any(cause.reason == "NamespaceTerminating" for cause in refused.causes):
        return Gone(refused.message)
    if refused.code == 409 or any(cause.field == "metadata.uid" for cause in refused.causes):
        return Conflict(refused.message)
    return Invalid(Reason.INVALID_SPEC, refused.message)


def _has_null(body: Any) -> bool:
    if isinstance(body, dict):
        return any(_has_null(child) for child in body.values())
    if isinstance(body, list):
        return any(_has_null(child) for child in body)
    return body is None
