"""Writes Kubernetes events: strictly after the status write, and never a reason to fail a pass."""

import logging
from collections.abc import Iterable
from datetime import datetime

from treadle.api.base import stamp
from treadle.api.conditions import line
from treadle.api.names import MANAGER, short_hash
from treadle.control.engine.errors import Busy, Gone, Invalid, Wait
from treadle.control.engine.ports import Api, Event, Object

log = logging.getLogger(__name__)

NOTE_LIMIT = 1000


async def post(events: Iterable[Event], about: Object, now: datetime, api: Api) -> None:
    """Write the events about an object whose status was just written."""
    for event in events:
        try:
            await api.create(event_object(event, about, now))
        except (Busy, Gone, Invalid, Wait) as problem:
            log.warning("Lost an event", extra={"reason": event.reason, "problem": str(problem)})


def event_object(event: Event, about: Object, now: datetime) -> Object:
    """Return the Event; its name hashes what it tells, so that a repeated pass writes it once."""
    found = about["metadata"]
    told = short_hash(found["uid"], found["resourceVersion"], event.type, event.reason, event.message)
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": f"{found['name']}.{told}", "namespace": found["namespace"]},
        "eventTime": stamp(now).replace("Z", ".000000Z"),
        "reportingController": MANAGER,
        "reportingInstance": MANAGER,
        "action": event.action,
        "reason": event.reason,
        "type": event.type,
        "note": line(event.message, NOTE_LIMIT),
        "regarding": {
            "apiVersion": about["apiVersion"],
            "kind": about["kind"],
            "name": found["name"],
            "namespace": found["namespace"],
            "uid": found["uid"],
        },
    }
