"""How objects go: finalizers, grace, namespaces, and the garbage collection by owner references."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial
from typing import Any

from treadle.api.base import stamp

type Object = dict[str, Any]
type Place = tuple[str, str, str]
type Objects = Mapping[Place, Object]

FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"
GRACE_SECONDS = 30
OVER = ("Succeeded", "Failed")


class Policy(StrEnum):
    """What becomes of the objects that a deleted one owns."""

    BACKGROUND = "Background"
    FOREGROUND = "Foreground"
    ORPHAN = "Orphan"


@dataclass(frozen=True, slots=True)
class Step:
    """Delete an object, or replace it by what `change` makes of it; of None nothing is left."""

    place: Place
    change: Callable[[Object], Object | None] | None = None
    policy: Policy = Policy.BACKGROUND


def marked(live: Object, policy: Policy, grace_seconds: int | None, now: datetime) -> Object | None:
    """Return an object that is to go but cannot yet, with the mark of it; None if nothing holds it."""
    metadata = live["metadata"]
    finalizers = _finalizers(metadata.get("finalizers") or [], policy)
    grace = _grace(live, grace_seconds)
    if live["kind"] == "Namespace":
        return _terminating(live, now)
    if not finalizers and not grace:
        return None
    marks: Object = {"finalizers": finalizers} if finalizers else {}
    if "deletionTimestamp" not in metadata:
        marks |= {"deletionTimestamp": stamp(now + timedelta(seconds=grace)), "deletionGracePeriodSeconds": grace}
        if "generation" in metadata:
            marks["generation"] = metadata["generation"] + 1
    return {**live, "metadata": {**metadata, **marks}}


def ended(live: Object, now: datetime) -> Object:
    """Return an object that is gone as the answer to its deletion tells it."""
    if live["kind"] != "Pod":
        return live
    marks = {"deletionTimestamp": stamp(now), "deletionGracePeriodSeconds": 0}
    return {**live, "metadata": {**live["metadata"], **marks}}


def is_free(raw: Object) -> bool:
    """Say whether nothing holds an object that is to go."""
    metadata = raw["metadata"]
    return not metadata.get("finalizers") and not metadata.get("deletionGracePeriodSeconds")


def concerned(gone: Object, objects: Objects) -> list[Place]:
    """Return what the end of an object concerns: what it owned, who waits for it, and its namespace."""
    uid, owners = gone["metadata"]["uid"], owner_uids(gone)
    namespace = gone["metadata"].get("namespace")
    found = [where for where, raw in objects.items() if uid in owner_uids(raw) or raw["metadata"]["uid"] in owners]
    return [*found, ("Namespace", "", namespace)] if namespace else found


def steps(live: Object, objects: Objects) -> Iterator[Step]:
    """Yield what is to be done next about an object, and about what it owns."""
    metadata = live["metadata"]
    here = (live["kind"], metadata.get("namespace", ""), metadata["name"])
    finalizers = metadata.get("finalizers") or []
    if "deletionTimestamp" not in metadata:
        yield from _unowned(live, here, objects)
    elif live["kind"] == "Namespace":
        yield from _emptied(here, objects)
    elif FOREGROUND in finalizers:
        yield from _foreground(live, here, objects)
    elif ORPHAN in finalizers:
        for where, _ in _dependents(live, objects):
            yield Step(where, partial(_disowned, uids={metadata["uid"]}))
        yield Step(here, partial(_released, finalizer=ORPHAN))
    elif is_free(live):
        yield Step(here, _nothing)


def owner_uids(raw: Object) -> set[str]:
    """Return the uids of an object's owners."""
    return {reference["uid"] for reference in raw["metadata"].get("ownerReferences") or []}


def _unowned(live: Object, here: Place, objects: Objects) -> Iterator[Step]:
    """Let an object go whose owners have all gone; of some of them only the references."""
    owners = owner_uids(live)
    if not owners:
        return
    there = {raw["metadata"]["uid"] for raw in objects.values()}
    if not owners & there:
        yield Step(here)
    elif owners - there:
        yield Step(here, partial(_disowned, uids=owners - there))


def _foreground(live: Object, here: Place, objects: Objects) -> Iterator[Step]:
    """Let what an object owns go first, then the object; it waits only for those that block it."""
    for where, raw in _dependents(live, objects):
        if "deletionTimestamp" not in raw["metadata"] and owner_uids(raw) == {live["metadata"]["uid"]}:
            has_own = next(_dependents(raw, objects), None) is not None
            yield Step(where, policy=Policy.FOREGROUND if has_own else Policy.BACKGROUND)
    if not any(_is_blocking(raw, live) for _, raw in _dependents(live, objects)):
        yield Step(here, partial(_released, finalizer=FOREGROUND))


def _emptied(here: Place, objects: Objects) -> Iterator[Step]:
    """Let all in a namespace go, then the namespace."""
    inside = [(where, raw) for where, raw in objects.items() if where[1] == here[2]]
    for where, raw in inside:
        if "deletionTimestamp" not in raw["metadata"]:
            yield Step(where)
    if not any(where[1] == here[2] for where in objects):
        yield Step(here, _nothing)


def _dependents(owner: Object, objects: Objects) -> Iterator[tuple[Place, Object]]:
    uid = owner["metadata"]["uid"]
    return iter([(where, raw) for where, raw in objects.items() if uid in owner_uids(raw)])


def _is_blocking(raw: Object, owner: Object) -> bool:
    uid = owner["metadata"]["uid"]
    references: Iterable[Object] = raw["metadata"].get("ownerReferences") or []
    return any(each["uid"] == uid and each.get("blockOwnerDeletion") for each in references)


def _finalizers(finalizers: list[str], policy: Policy) -> list[str]:
    kept = [each for each in finalizers if each not in (FOREGROUND, ORPHAN)]
    added = {Policy.FOREGROUND: [FOREGROUND], Policy.ORPHAN: [ORPHAN]}.get(policy, [])
    return [*kept, *added]


def _grace(live: Object, asked: int | None) -> int:
    """Return how long a pod's processes have: none where it has none, or has ended."""
    if live["kind"] != "Pod" or not live["spec"].get("nodeName") or (live.get("status") or {}).get("phase") in OVER:
        return 0
    if asked is not None:
        return asked
    seconds: int = live["spec"].get("terminationGracePeriodSeconds", GRACE_SECONDS)
    return seconds


def _terminating(live: Object, now: datetime) -> Object:
    metadata = {"deletionTimestamp": stamp(now), **live["metadata"]}
    return {**live, "metadata": metadata, "status": {**(live.get("status") or {}), "phase": "Terminating"}}


def _disowned(raw: Object, *, uids: set[str]) -> Object:
    references = [each for each in raw["metadata"].get("ownerReferences") or [] if each["uid"] not in uids]
    metadata = {key: value for key, value in raw["metadata"].items() if key != "ownerReferences"}
    return {**raw, "metadata": {**metadata, **({"ownerReferences": references} if references else {})}}


def _released(raw: Object, *, finalizer: str) -> Object | None:
    left = [each for each in raw["metadata"].get("finalizers") or [] if each != finalizer]
    metadata = {key: value for key, value in raw["metadata"].items() if key != "finalizers"}
    if not left and not metadata.get("deletionGracePeriodSeconds"):
        return None
    return {**raw, "metadata": {**metadata, **({"finalizers": left} if left else {})}}


def _nothing(raw: Object) -> None:
    return None
