"""What the controllers of the embedded cluster share: a loop that looks at what changed, and what they write."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

from treadle.api.conditions import line
from treadle.control.engine.objects import controller_uid, is_deleting
from treadle.control.engine.ports import POD, Gvk, Key, Object
from treadle.local.recorder import record
from treadle.local.server.api import Change, MemoryApi
from treadle.local.server.deletion import Policy
from treadle.local.told import Told

log = logging.getLogger(__name__)

RETRY_SECONDS = 30.0
LETTERS = "bcdfghjklmnpqrstvwxz2456789"
"""k8s.io/apimachinery/pkg/util/rand: no vowels, so that no name is a word."""

type Look = Callable[[Key], Awaitable[float | None]]
"""Looks at one object; returns in how many seconds to look again."""


async def control(api: MemoryApi, types: Sequence[Gvk], keys: Callable[[Object], Iterable[Key]], look: Look) -> None:
    """Look at every object that is there, then at each when something of it changes or its time has come.

    keys: which objects an object of `types` concerns. An error about one object is told in the log and by an Event,
    and keeps nobody from looking at the others.
    """
    told: asyncio.Queue[Change] = asyncio.Queue()
    api.subscribe(told)
    kinds = {(gvk.api_version, gvk.kind) for gvk in types}
    clock = asyncio.get_running_loop().time
    due = {key: clock() for gvk in types for raw in await api.list(gvk) for key in keys(raw)}
    while True:
        for key in sorted(key for key, at in due.items() if at <= clock()):
            del due[key]
            try:
                seconds = await look(key)
            except Exception as problem:
                log.exception("Could not look at an object", extra={"object": str(key)})
                _tell(api, key, problem)
                seconds = RETRY_SECONDS
            if seconds is not None:
                due[key] = clock() + seconds
        pause = min(due.values()) - clock() if due else None
        try:
            async with asyncio.timeout(pause):
                changes = [await told.get()]
        except TimeoutError:
            continue
        changes += [told.get_nowait() for _ in range(told.qsize())]
        concerned = [raw for change in changes if ((raw := change.object)["apiVersion"], raw["kind"]) in kinds]
        due |= {key: clock() for raw in concerned for key in keys(raw)}


def _tell(api: MemoryApi, key: Key, problem: Exception) -> None:
    if (raw := api.find(*key)) is not None:
        told = Told("FailedSync", line(f"{type(problem).__name__}: {problem}"))
        record(api, raw, told, f"{key.kind.lower()}-controller", is_warning=True)


def keys_of(kind: str) -> Callable[[Object], Iterable[Key]]:
    """Return the function that tells which objects of a kind an object is, or belongs to."""

    def keys(raw: Object) -> Iterable[Key]:
        metadata = raw["metadata"]
        if raw["kind"] == kind:
            yield Key(kind, metadata["namespace"], metadata["name"])
        for owner in metadata.get("ownerReferences") or []:
            if owner.get("controller") and owner["kind"] == kind:
                yield Key(kind, metadata["namespace"], owner["name"])

    return keys


async def children(api: MemoryApi, gvk: Gvk, owner: Object) -> list[Object]:
    """Return the objects of a type that an object controls."""
    found = await api.list(gvk, owner["metadata"]["namespace"])
    return [raw for raw in found if controller_uid(raw) == owner["metadata"]["uid"]]


async def start_pod(api: MemoryApi, owner: Object, labels: Mapping[str, str], rng: random.Random) -> Object:
    """Create a pod from an object's template."""
    while True:
        suffix = "".join(rng.choices(LETTERS, k=5))
        made = await api.create(pod_of(owner, f"{owner['metadata']['name'][:57]}-{suffix}", labels))
        if made is not None:
            return made


def pod_of(owner: Object, name: str, labels: Mapping[str, str]) -> Object:
    """Return a pod from an object's template."""
    template, metadata = owner["spec"]["template"], owner["metadata"]
    given = template.get("metadata") or {}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "generateName": f"{metadata['name']}-",
            "namespace": metadata["namespace"],
            "labels": {**(given.get("labels") or {}), **labels},
            **({"annotations": given["annotations"]} if given.get("annotations") else {}),
            "ownerReferences": [reference(owner)],
        },
        "spec": template["spec"],
    }


def reference(owner: Object) -> Object:
    """Return the reference of what an object controls."""
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


async def end_pod(api: MemoryApi, pod: Object, annotations: Mapping[str, str] | None = None) -> None:
    """Delete a pod, which goes when kubelet has ended its processes; until then it carries the annotations."""
    live = await api.get(POD, pod["metadata"]["namespace"], pod["metadata"]["name"])
    if live is None or live["metadata"]["uid"] != pod["metadata"]["uid"] or is_deleting(live):
        return
    if annotations:
        marks = {**(live["metadata"].get("annotations") or {}), **annotations}
        live = api.put({**live, "metadata": {**live["metadata"], "annotations": marks}})
    api.erase(live, Policy.BACKGROUND)


def condition(raw: Object, kind: str) -> Object | None:
    """Return the condition of this type if it is True."""
    found: Sequence[Object] = (raw.get("status") or {}).get("conditions") or []
    return next((entry for entry in found if entry["type"] == kind and entry["status"] == "True"), None)
