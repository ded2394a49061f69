"""Who asked for a run, in words."""

from typing import Any

CAUSES = {
    "Manual": "a person asked",
    "Initial": "there was no model yet",
    "Schedule": "its schedule was due",
    "Data": "there was a new version of the data",
    "Monitor": "a Monitor asked",
    "Regate": "an earlier verdict was about a former champion",
}


def cause(trigger: dict[str, Any]) -> str:
    """Return who asked for a run, and why; without a trigger a person did."""
    told = CAUSES[trigger.get("kind", "Manual")]
    who = f" ({trigger['ref']['kind']} {trigger['ref']['name']})" if "ref" in trigger else ""
    return told + who + (f": {trigger['reason']}" if "reason" in trigger else "")
