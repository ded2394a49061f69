"""What a window is judged by: the log's rows and counts, and the reference."""

from dataclasses import dataclass, field
from datetime import datetime

from treadle.api.artifacts import ModelSchema
from treadle.api.names import canonical
from treadle.monitoring.samples import Values


@dataclass(frozen=True, slots=True)
class Reference:
    """Rows like those that the champion was trained on, and how it answered them."""

    schema: ModelSchema
    columns: dict[str, Values]
    """Inputs by name."""
    scores: Values | None
    rows: int
    digest: str


@dataclass(frozen=True, slots=True)
class LogPart:
    """One part of the log, as its manifest says."""

    key: str
    sha256: str
    rows: int
    dropped: int
    percent: int
    start: datetime
    end: datetime
    """Exclusive."""


@dataclass(frozen=True, slots=True)
class Tally:
    """What lies in the window: rows of answers, and requests, of which one may hold many rows."""

    answered: int = 0
    by_champion: int = 0
    requests: int = 0
    refused: int = 0
    failed: int = 0

    def __add__(self, other: "Tally") -> "Tally":
        """Return the sum of two parts."""
        return Tally(
            self.answered + other.answered,
            self.by_champion + other.by_champion,
            self.requests + other.requests,
            self.refused + other.refused,
            self.failed + other.failed,
        )


@dataclass(frozen=True, slots=True)
class Log:
    """The log of one window. A column that a part leaves out is shorter than others, not null."""

    tally: Tally = Tally()
    kept: int = 0
    """Answered rows that are compared."""
    columns: dict[str, Values] = field(default_factory=dict)
    """Inputs by name, of the answers of every arm: callers do not choose the arm."""
    scores: Values | None = None
    """Of the champion's answers alone."""
    parts: tuple[LogPart, ...] = ()

    @property
    def dropped(self) -> int:
        """Return the rows that the pods could not store."""
        return sum(part.dropped for part in self.parts)

    @property
    def percents(self) -> tuple[int, int]:
        """Return the lowest and highest share of predictions that was logged."""
        found = [part.percent for part in self.parts] or [100]
        return min(found), max(found)

    @property
    def list(self) -> bytes:
        """Return the parts that were read, as canonical JSON."""
        return canonical([[part.key, part.sha256] for part in self.parts])
