"""What a kind says beside what its status said before: carried conditions, and changes worth an event."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from treadle.api.conditions import Condition
from treadle.control.engine import conditions
from treadle.control.engine.ports import Event, Object


def written(
    declared: Sequence[str], former: Iterable[Condition], judged: Iterable[Condition], now: datetime, generation: int
) -> list[Object]:
    """Return every declared condition as status takes it."""
    before = [condition.dump() for condition in former]
    return conditions.merge(before, conditions.every(declared, judged), now, generation)


def former(standing: Iterable[Condition], type_: str) -> Condition | None:
    """Return the condition of a type as status has it, without its times, or None."""
    found = next((condition for condition in standing if condition.type == type_), None)
    return found and found.model_copy(update={"last_transition_time": None, "observed_generation": None})


def carried(standing: Iterable[Condition], types: Iterable[str]) -> list[Condition]:
    """Return the conditions of these types as they stand; what stands nowhere is left out."""
    held = list(standing)
    return [found for type_ in types if (found := former(held, type_)) is not None]


def has_turned(standing: Iterable[Condition], current: Condition) -> bool:
    """Say whether a condition has another status or reason than before."""
    before = former(standing, current.type)
    return before is None or (before.status, before.reason) != (current.status, current.reason)


def told(standing: Iterable[Condition], current: Condition, *, is_warning: bool) -> list[Event]:
    """Return the event about a condition that turned, or none."""
    if not has_turned(standing, current):
        return []
    return [Event(current.reason, current.message, "Warning" if is_warning else "Normal")]
