"""What stands in a cell: values by a simple JSONPath, ages in few letters, labels."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

type Object = dict[str, Any]
type Cell = Callable[[Object, datetime], Any]

STEP = re.compile(r"\.(?P<name>[A-Za-z][\w-]*)|\[\?\(@\.(?P<key>\w+)==['\"](?P<value>[^'\"]*)['\"]\)\]")
NONE = "<none>"
UNKNOWN = "<unknown>"


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its heading, and what stands there for an object."""

    name: str
    cell: Cell
    type: str = "string"
    wide: bool = False
    format: str = ""
    description: str = ""


def found(raw: Any, path: str) -> Any:
    """Return what a simple JSONPath finds first, or None: .status.conditions[?(@.type=='Ready')].status."""
    for step in STEP.finditer(path):
        if step["name"] is not None:
            raw = raw.get(step["name"]) if isinstance(raw, dict) else None
        else:
            items = raw if isinstance(raw, list) else []
            raw = next((each for each in items if str(each.get(step["key"])) == step["value"]), None)
    return raw


def since(moment: Any, now: datetime) -> str:
    """Return how long ago a time was, in few letters."""
    if not moment:
        return UNKNOWN
    try:
        then = datetime.fromisoformat(moment)
    except ValueError:
        return "<invalid>"
    return lasting((now - (then if then.tzinfo else then.replace(tzinfo=UTC))).total_seconds())


def lasting(seconds: float) -> str:
    """Return a duration as kubectl writes it: 90s, 5m30s, 3h, 2d4h."""
    if seconds < 0:
        return "0s" if seconds > -2 else "<invalid>"
    whole = int(seconds)
    minutes, hours, days = whole // 60, whole // 3600, whole // 86400
    # As duration.HumanDuration of k8s.io/apimachinery: the limit in seconds, and the units that are told below it.
    if whole < 120:
        return f"{whole}s"
    if minutes < 10:
        return _two(minutes, "m", whole % 60, "s")
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return _two(hours, "h", minutes % 60, "m")
    if hours < 48:
        return f"{hours}h"
    if days < 8:
        return _two(days, "d", hours % 24, "h")
    if days < 730:
        return f"{days}d"
    return _two(days // 365, "y", days % 365, "d") if days < 2920 else f"{days // 365}y"


def _two(large: int, unit: str, small: int, part: str) -> str:
    return f"{large}{unit}{small}{part}" if small else f"{large}{unit}"


def pairs(labels: dict[str, str]) -> str:
    """Return labels as a selector."""
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items())) or NONE
