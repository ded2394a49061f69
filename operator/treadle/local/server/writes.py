"""What a create, a replacement and an apply make of an object before it is stored: parts, managers, generation."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from treadle.api.base import stamp
from treadle.local.fields import merge, typed
from treadle.local.fields.fieldsets import EMPTY, Set, shown
from treadle.local.fields.merge import APPLY, UPDATE, Conflicts, Manager, Managers, Write
from treadle.local.schema.admit import Schemas
from treadle.local.schema.causes import Cause, Refused
from treadle.local.server import admission, builtin, defaults, refusals
from treadle.local.server.copies import copied
from treadle.local.server.types import Type

type Object = dict[str, Any]

WITHOUT_GENERATION = frozenset({"ConfigMap", "Service", "Event", "Lease", "Namespace", "ServiceAccount", "Secret"})
GIVEN = (
    "uid",
    "resourceVersion",
    "creationTimestamp",
    "generation",
    "selfLink",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "managedFields",
)
"""What the server gives a new object, whatever was sent."""
STATUS: Set = frozenset({("f:status",)})
REST: Set = frozenset({("f:spec",)})


@dataclass(frozen=True, slots=True)
class Author:
    """Who writes, when, to which part of an object; without schemas anything is admitted."""

    manager: str
    now: datetime
    part: str = ""
    is_forced: bool = False
    schemas: Schemas | None = None

    def write(self, type_: Type, operation: str) -> Write:
        """Return the same for the managers of an object."""
        version = type_.gvk.api_version if operation == UPDATE else ""
        ignored = (REST if self.part == "status" else STATUS) if type_.has_status else EMPTY
        me = Manager(self.manager, operation, version, self.part)
        # The server keeps no time of who scaled.
        now = None if self.part == "scale" else self.now
        return Write(me, builtin.schema_of(type_), now, ignored, self.is_forced)


def created(type_: Type, sent: Object, author: Author, uid: str) -> Object:
    """Return a new object."""
    new = _admitted(type_, _without_given(sent), None, author)
    if author.schemas is not None:
        empty = {} if type_.is_ours else builtin.zero(type_)
        _set_managers(new, merge.update(empty, new, {}, author.write(type_, UPDATE)))
    return _prepared(type_, new, author, uid)


def replaced(type_: Type, live: Object, sent: Object, author: Author) -> Object:
    """Return a live object as a write of all of it, or of all of its status, leaves it."""
    new = _admitted(type_, sent, live, author)
    managers = _sent_managers(live, sent, author)
    new["metadata"] = {**new["metadata"], "resourceVersion": live["metadata"]["resourceVersion"]}
    # Of a status the managers also get the metadata that were sent, though nobody writes them.
    seen = {**new, "metadata": sent["metadata"]} if author.part == "status" else new
    _set_managers(new, merge.update(_bare(live), _bare(seen), managers, author.write(type_, UPDATE)))
    return grown(live, new)


def applied(type_: Type, live: Object | None, wish: Object, author: Author, uid: str) -> Object:
    """Return a live object, or a new one, as an apply of these fields leaves it."""
    write = author.write(type_, APPLY)
    base = {key: wish[key] for key in ("apiVersion", "kind")} | {"metadata": {}} if live is None else _bare(live)
    guards = ("uid", "resourceVersion")
    plain = {**wish, "metadata": {key: value for key, value in wish["metadata"].items() if key not in guards}}
    try:
        after, managers = merge.apply(base, plain, _managers(live), write)
    except Conflicts as conflicts:
        causes = [Cause(field, "FieldManagerConflict", said) for said, field in conflicts.fields]
        raise refusals.apply_conflict(causes, str(conflicts)) from conflicts
    if live is None:
        new = _admitted(type_, _without_given(after), None, author)
        _set_managers(new, managers)
        return _prepared(type_, new, author, uid)
    new = _admitted(type_, after, live, author)
    _set_managers(new, managers)
    return grown(live, new)


def check_typed(type_: Type, wish: Object) -> None:
    """Refuse an apply of fields that the schema does not know, in the words of the managers' code."""
    found = [f"{shown(path)}: {fault}" for path, fault in typed.faults(wish, builtin.schema_of(type_))]
    if found:
        gvk, metadata = type_.gvk, wish.get("metadata")
        names = [metadata.get(key) for key in ("namespace", "name")] if isinstance(metadata, dict) else []
        about = "/".join(name if isinstance(name, str) else "" for name in names) or "/"
        said = found[0] if len(found) == 1 else "errors:\n" + "\n".join(f"  {each}" for each in found)
        text = f"failed to create typed patch object ({about}; {gvk.group}/{gvk.version}, Kind={gvk.kind}): {said}"
        raise Refused(500, "", text)


def is_same(live: Object, after: Object) -> bool:
    """Say whether a write changes nothing but the times at which managers wrote."""
    return _untimed(live) == _untimed(after)


def _prepared(type_: Type, new: Object, author: Author, uid: str) -> Object:
    if author.schemas is not None and not type_.is_ours:
        defaults.prepare(new, uid)
    return born(new, author.now, uid)


def _admitted(type_: Type, wished: Object, live: Object | None, author: Author) -> Object:
    if author.schemas is None:
        return wished
    if type_.is_ours:
        try:
            return author.schemas.admit(wished, live, subresource=author.part)
        except Refused as refused:
            raise refusals.named(refused, type_, wished["metadata"].get("name", "")) from refused
    return admission.admit(type_, wished, live, author.part)


def _without_given(sent: Object) -> Object:
    metadata = {key: value for key, value in sent["metadata"].items() if key not in GIVEN}
    return copied({**sent, "metadata": metadata})


def born(new: Object, now: datetime, uid: str) -> Object:
    """Return an object with what the server gives a new one."""
    given: Object = {"uid": uid, "creationTimestamp": stamp(now)}
    if new["kind"] not in WITHOUT_GENERATION:
        given["generation"] = 1
    new["metadata"] = {**(new.get("metadata") or {}), **given}
    return new


def grown(live: Object, new: Object) -> Object:
    """Return an object with the generation of its spec."""
    if new["kind"] not in WITHOUT_GENERATION and _spec(new) != _spec(live):
        new["metadata"] = {**new["metadata"], "generation": live["metadata"]["generation"] + 1}
    return new


def _spec(raw: Object) -> Object:
    return {key: value for key, value in raw.items() if key not in ("metadata", "status")}


def _sent_managers(live: Object, sent: Object, author: Author) -> Managers:
    """Return the managers that a write means: as it says, else as they are; one empty entry resets them."""
    entries = sent["metadata"].get("managedFields")
    if author.part or not entries:
        return _managers(live)
    if entries == [{}]:
        return {}
    try:
        return merge.managers_of(sent)
    except (AttributeError, TypeError, ValueError):
        # What cannot be read changes nothing, as on a real server.
        return _managers(live)


def _managers(live: Object | None) -> Managers:
    return merge.managers_of(live)


def _set_managers(new: Object, managers: Managers) -> None:
    metadata = {key: value for key, value in new["metadata"].items() if key != "managedFields"}
    entries = merge.entries_of(managers)
    new["metadata"] = {**metadata, **({"managedFields": entries} if entries else {})}


def _bare(raw: Object) -> Object:
    """Return an object without its managers."""
    metadata = {key: value for key, value in raw["metadata"].items() if key != "managedFields"}
    return {**raw, "metadata": metadata}


def _untimed(raw: Object) -> Object:
    entries = raw["metadata"].get("managedFields")
    if not entries:
        return raw
    untimed = [{key: value for key, value in entry.items() if key != "time"} for entry in entries]
    return {**raw, "metadata": {**raw["metadata"], "managedFields": untimed}}
