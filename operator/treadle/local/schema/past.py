"""What stood at a place before an update: how the API server finds it, and when it counts as unchanged."""

from dataclasses import dataclass
from typing import Any

from treadle.local.schema.causes import marshalled
from treadle.local.schema.structural import Node, child_of, keys_of


@dataclass(frozen=True, slots=True)
class Past:
    """A value under a schema, and the value that it replaces."""

    new: Any
    old: Any
    schema: Node

    def at(self, step: str | int) -> "Past | None":
        """Return the past of a field or item; None where there was none, or the list's items have no keys."""
        if isinstance(step, int):
            old = _item(self.old, self.new[step], self.schema) if isinstance(self.new, list) else None
            return None if old is None else Past(self.new[step], old, self.schema["items"])
        schema = child_of(self.schema, step)
        if schema is None or not all(isinstance(each, dict) and step in each for each in (self.old, self.new)):
            return None
        return Past(self.new[step], self.old[step], schema)

    def is_unchanged(self) -> bool:
        """Tell whether an old error in the value is to be borne; a keyed list may have another order."""
        new, old = self.new, self.old
        if isinstance(new, list) and isinstance(old, list) and keys_of(self.schema):
            return len(new) == len(old) and self._all_unchanged(range(len(new)))
        if isinstance(new, dict) and isinstance(old, dict):
            return len(new) == len(old) and self._all_unchanged(new)
        return marshalled(new) == marshalled(old)

    def _all_unchanged(self, steps: Any) -> bool:
        return all((child := self.at(step)) is not None and child.is_unchanged() for step in steps)


def _item(old: Any, wanted: Any, schema: Node) -> Any:
    """Return the first old item that has the keys of a new one."""
    keys = keys_of(schema)
    if not keys or not isinstance(old, list) or not isinstance(wanted, dict):
        return None
    key = [wanted.get(name) for name in keys]
    if not all(isinstance(part, str | int | float) for part in key):
        return None
    return next((each for each in old if isinstance(each, dict) and [each.get(name) for name in keys] == key), None)
