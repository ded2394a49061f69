"""What is to be said about a line of a file."""

from dataclasses import dataclass
from enum import StrEnum


class Weight(StrEnum):
    """Whether something must be mended."""

    ERROR = "error"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing about one line."""

    file: str
    line: int
    """From 1."""
    weight: Weight
    text: str
    field: str = ""
    """Where in the object, as the API server writes it."""
    kind: str = ""
    name: str = ""
    """Of the object, where one could be read."""

    def __str__(self) -> str:
        said = f"note: {self.text}" if self.weight is Weight.NOTE else self.text
        return f"{self.file}:{self.line}: {said}"
