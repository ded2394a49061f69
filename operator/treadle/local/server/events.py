"""Events, which the API shows in two groups: one object, two spellings. Stored is that of events.k8s.io."""

from typing import Any

from treadle.control.engine.ports import EVENT, Gvk

type Object = dict[str, Any]

# core/v1 beside events.k8s.io/v1; what is not named is spelt alike.
SPELLINGS = {
    "involvedObject": "regarding",
    "message": "note",
    "source": "deprecatedSource",
    "firstTimestamp": "deprecatedFirstTimestamp",
    "lastTimestamp": "deprecatedLastTimestamp",
    "count": "deprecatedCount",
    "reportingComponent": "reportingController",
}
BACK = {new: old for old, new in SPELLINGS.items()}
# What either form always has, as its Go struct has no omitempty there.
ALWAYS: Object = {
    "eventTime": None,
    "firstTimestamp": None,
    "involvedObject": {},
    "lastTimestamp": None,
    "reportingComponent": "",
    "reportingInstance": "",
    "source": {},
}
ONLY_OLD = ("involvedObject", "reportingComponent", "reportingInstance")
NEW_ALWAYS = {SPELLINGS.get(name, name): value for name, value in ALWAYS.items() if name not in ONLY_OLD}


def stored(raw: Object) -> Object:
    """Return an object as it is stored."""
    if raw["kind"] != "Event" or raw["apiVersion"] == EVENT.api_version:
        return raw
    spelt = {SPELLINGS.get(name, name): value for name, value in raw.items()}
    return {**spelt, "apiVersion": EVENT.api_version}


def seen_as(raw: Object, gvk: Gvk) -> Object:
    """Return a stored object as a type of this group shows it."""
    if raw["kind"] != "Event":
        return raw
    if gvk.group == EVENT.group:
        return {**NEW_ALWAYS, **raw}
    spelt = {BACK.get(name, name): value for name, value in raw.items()}
    return {**ALWAYS, **spelt, "apiVersion": gvk.api_version}
