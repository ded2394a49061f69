"""What a case of the semantics suite runs on."""

from collections.abc import Callable
from dataclasses import dataclass

from treadle.control.engine.ports import Api, Object


@dataclass(frozen=True, slots=True)
class Bench:
    """An API with an empty namespace, and a way to write as others do."""

    name: str
    api: Api
    namespace: str
    put: Callable[[Object], Object]
    """Replace an object whole, as a person's PUT does."""
