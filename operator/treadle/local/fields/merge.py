"""Who owns which field: what an apply and an update make of an object's managers, as structured-merge-diff v6 does."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NamedTuple

from treadle.api.base import stamp
from treadle.local.fields import fieldsets, typed
from treadle.local.fields.fieldsets import EMPTY, Set

type Object = dict[str, Any]
type Node = dict[str, Any]
type Managers = Mapping["Manager", "Owned"]

APPLY, UPDATE = "Apply", "Update"
# What nobody owns, though everybody writes it: stripSet of k8s.io/apimachinery's managedfields.
UNOWNED: Set = frozenset(
    {
        ("f:apiVersion",),
        ("f:kind",),
        ("f:metadata",),
        *(("f:metadata", f"f:{name}") for name in (
            "name", "namespace", "creationTimestamp", "selfLink", "uid", "clusterName", "generation", "managedFields",
            "resourceVersion",
        )),
    }
)  # fmt: skip
BEFORE_APPLY = "before-first-apply"


class Manager(NamedTuple):
    """Who writes, and how; an applier is the same in every version."""

    name: str
    operation: str
    api_version: str
    subresource: str

    def __str__(self) -> str:
        part = f' with subresource "{self.subresource}"' if self.subresource else ""
        version = f" using {self.api_version}" if self.operation == UPDATE else ""
        return f'"{self.name}"{part}{version}'


@dataclass(frozen=True, slots=True)
class Owned:
    """The fields of a manager, in which version it wrote them, and when."""

    paths: Set
    api_version: str
    time: str | None = None


class Conflicts(Exception):
    """An apply without force would take fields from others."""

    def __init__(self, found: Mapping[Manager, Set]) -> None:
        super().__init__(_told(found))
        self.fields = [
            (f"conflict with {manager}", fieldsets.shown(path))
            for manager, paths in sorted(found.items())
            for path in sorted(paths)
        ]


def managers_of(live: Object | None) -> Managers:
    """Return who owns what of an object, by its managedFields."""
    entries: Iterable[Any] = ((live or {}).get("metadata") or {}).get("managedFields") or ()
    found: dict[Manager, Owned] = {}
    for entry in entries:
        operation, version = entry.get("operation", UPDATE), entry.get("apiVersion", "")
        manager = Manager(
            entry.get("manager", ""), operation, version if operation == UPDATE else "", entry.get("subresource", "")
        )
        found[manager] = Owned(fieldsets.parsed(entry.get("fieldsV1") or {}), version, entry.get("time"))
    return found


def entries_of(managers: Managers) -> list[Object]:
    """Return managers as managedFields: appliers first, then by time and name."""
    order = sorted(
        managers.items(), key=lambda item: (item[0].operation, item[1].time or "", item[0].name, *item[0][2:])
    )
    return [
        {
            "manager": manager.name,
            "operation": manager.operation,
            "apiVersion": owned.api_version,
            **({"time": owned.time} if owned.time else {}),
            "fieldsType": "FieldsV1",
            "fieldsV1": fieldsets.spelt(owned.paths),
            **({"subresource": manager.subresource} if manager.subresource else {}),
        }
        for manager, owned in order
    ]


@dataclass(frozen=True, slots=True)
class Write:
    """How an object is written: by whom, under which schema, when, and which fields this endpoint leaves alone."""

    me: Manager
    schema: Node
    now: datetime | None
    """None leaves out when."""
    ignored: Set = EMPTY
    is_forced: bool = False


def apply(live: Object, wish: Object, managers: Managers, write: Write) -> tuple[Object, Managers]:
    """Return the live object with the wish's fields, without those that no applier owns any more, and its managers.

    Raises Conflicts unless it is forced.
    """
    former = managers.get(write.me)
    wished = _outside(typed.field_set(wish, write.schema), write.ignored)
    mine = Owned(wished, wish["apiVersion"], former.time if former else None)
    after = typed.merged(live, wish, write.schema)
    if former is not None and former.paths:
        others = [
            owned.paths for manager, owned in managers.items() if manager.operation == APPLY and manager != write.me
        ]
        after = _pruned(after, former.paths, EMPTY.union(mine.paths, *others), write.schema)
    written, removed = _changed(live, after, write)
    left = _left({**managers, write.me: mine}, write, written, removed)
    if written or removed:
        left[write.me] = replace(mine, time=_time(write))
    return after, _stripped(left)


def update(live: Object, after: Object, managers: Managers, write: Write) -> Managers:
    """Return the managers of an object once this manager has written it whole."""
    written, removed = _changed(live, after, write)
    former = managers.get(write.me)
    left = _left(managers, replace(write, is_forced=True), written, removed)
    if written - UNOWNED:
        kept = former.paths - removed if former else EMPTY
        left[write.me] = Owned(written | kept, write.me.api_version, _time(write))
    return _stripped(left)


def _changed(live: Object, after: Object, write: Write) -> tuple[Set, Set]:
    """Return the fields that were added or changed, and those that went."""
    change = typed.compare(live, after, write.schema)
    written = frozenset(change.added | change.modified)
    return _outside(written, write.ignored), _outside(frozenset(change.removed), write.ignored)


def _left(managers: Managers, write: Write, written: Set, removed: Set) -> dict[Manager, Owned]:
    """Return what a write leaves to the managers; what goes belongs to nobody."""
    is_mine = write.me.operation == APPLY
    taken = {
        manager: owned.paths & written
        for manager, owned in managers.items()
        if owned.paths & written and not (is_mine and manager == write.me)
    }
    if taken and not write.is_forced:
        raise Conflicts(taken)
    return {
        manager: owned if is_mine and manager == write.me else replace(owned, paths=owned.paths - written - removed)
        for manager, owned in managers.items()
    }


def _pruned(after: Object, former: Set, owned: Set, schema: Node) -> Object:
    """Return an object without what its applier owned and no applier owns now; what others wrote inside stays."""

    def names(value: Object) -> Set:
        return typed.with_names(typed.field_set(value, schema), schema)

    last, here = typed.with_names(former, schema), names(after)
    pruned = typed.without(after, last, schema) or {}
    pruned = typed.without(after, here - names(pruned) - typed.with_names(owned, schema), schema) or {}
    kept: Object = typed.without(after, (here - names(pruned)) & last, schema)
    return kept


def _outside(paths: Set, ignored: Set) -> Set:
    """Return the paths that are not inside of one of the others."""
    if not ignored:
        return paths
    return frozenset(path for path in paths if not any(path[:length] in ignored for length in range(1, len(path) + 1)))


def _stripped(managers: Managers) -> Managers:
    """Return managers without what nobody owns, and without those that own nothing."""
    stripped = {manager: replace(owned, paths=owned.paths - UNOWNED) for manager, owned in managers.items()}
    return {manager: owned for manager, owned in stripped.items() if owned.paths}


def _time(write: Write) -> str | None:
    return None if write.now is None else stamp(write.now)


def _told(found: Mapping[Manager, Set]) -> str:
    count = sum(len(paths) for paths in found.values())
    if count == 1:
        ((manager, paths),) = found.items()
        return f"Apply failed with 1 conflict: conflict with {manager}: {fieldsets.shown(*paths)}"
    lines = [
        line
        for manager, paths in sorted(found.items(), key=lambda item: str(item[0]))
        for line in (f"conflicts with {manager}:", *(f"- {fieldsets.shown(path)}" for path in sorted(paths)))
    ]
    return f"Apply failed with {count} conflicts: " + "\n".join(lines)
