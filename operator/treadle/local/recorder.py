"""Events: what kubelet and the controllers did and met, for `kubectl describe`; each lasts for an hour."""

import hashlib
from datetime import datetime, timedelta

from treadle.api.base import moment, stamp
from treadle.control.engine.ports import EVENT, Object
from treadle.local.server.api import MemoryApi
from treadle.local.told import Told

LASTS = timedelta(hours=1)
"""--event-ttl of kube-apiserver."""
AGAIN = timedelta(seconds=10)
"""Before that, the same once more is not worth a write."""


def record(api: MemoryApi, regarding: Object, told: Told, component: str, *, is_warning: bool = False) -> None:
    """Write an Event, or that one came again."""
    metadata, now = regarding["metadata"], api.now()
    mark = hashlib.sha256(f"{metadata['uid']} {told.reason} {told.message}".encode()).hexdigest()[:16]
    name = f"{metadata['name']}.{mark}"
    before = api.find(EVENT.kind, metadata["namespace"], name)
    if before is None:
        api.put(event(regarding, told, component, name, now, is_warning=is_warning))
    elif now - moment(before["deprecatedLastTimestamp"]) >= AGAIN:
        count = before["deprecatedCount"] + 1
        api.put({**before, "deprecatedCount": count, "deprecatedLastTimestamp": stamp(now)})


def event(regarding: Object, told: Told, component: str, name: str, now: datetime, *, is_warning: bool) -> Object:
    """Return an Event about an object."""
    metadata = regarding["metadata"]
    return {
        "apiVersion": EVENT.api_version,
        "kind": EVENT.kind,
        "metadata": {"name": name, "namespace": metadata["namespace"]},
        "regarding": {
            "apiVersion": regarding["apiVersion"],
            "kind": regarding["kind"],
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "uid": metadata["uid"],
        },
        "reason": told.reason,
        "note": told.message,
        "type": "Warning" if is_warning else "Normal",
        "reportingController": component,
        "deprecatedSource": {"component": component},
        "deprecatedFirstTimestamp": stamp(now),
        "deprecatedLastTimestamp": stamp(now),
        "deprecatedCount": 1,
    }


async def forget(api: MemoryApi) -> None:
    """Delete the Events of kubelet and the controllers that are an hour old."""
    for raw in await api.list(EVENT):
        last = raw.get("deprecatedLastTimestamp")
        if last is not None and api.now() - moment(last) >= LASTS:
            await api.delete(raw)
