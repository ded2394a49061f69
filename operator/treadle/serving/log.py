"""The request log: sampled, redacted, in parts; it never makes a request wait."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from treadle.api.artifacts import ModelSchema
from treadle.api.datasource import Classification, ColumnType
from treadle.api.plan import LogState, PlannedLogger
from treadle.serving.split import is_sampled

PART_ROWS = 5_000
PART_SECONDS = 10.0
ROWS_LIMIT = 50_000
FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 1.0, 30.0

type Kept = tuple[tuple[str, ColumnType], ...]
"""The inputs that are logged, name and type."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Answered:
    """One request as it was answered or refused."""

    ids: list[str]
    digest: str
    arm: str
    seconds: float
    status: int
    columns: dict[str, list[Any]] | None = None
    """Values by row; None for what was refused or failed."""
    scores: list[float] | None = None
    labels: list[str] | None = None


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of one request that go to the log."""

    answered: Answered
    time: datetime
    picked: list[int]
    """Places of the sampled rows."""


@dataclass(slots=True)
class Part:
    """Rows with equal columns, within one hour."""

    kept: Kept
    percent: int
    hour: datetime
    opened: float
    rows: int = 0
    requests: list[Rows] = field(default_factory=list)


class Uploader(Protocol):
    """Whatever stores a part."""

    def __call__(self, part: Part, dropped: int) -> None:
        """Store a part; raise for a store that does not answer, and it is tried again."""
        ...


class RequestLog:
    """Rows between the requests and the store: a bounded buffer, emptied by one thread."""

    def __init__(
        self,
        upload: Uploader,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        part_seconds: float = PART_SECONDS,
    ) -> None:
        """Begin empty, with the thread started; a part closes `part_seconds` after its first row at the latest."""
        self._part_seconds = part_seconds
        self._upload = upload
        self._now = now
        self._open: dict[tuple[Kept, int], Part] = {}
        self._closed: deque[Part] = deque()
        self._waiting = 0
        self._stored = 0
        self._dropped = 0
        self._dropped_told = 0
        self._ending: float | None = None
        self._change = threading.Condition()
        self._kept: dict[tuple[int, tuple[str, ...]], tuple[ModelSchema, Kept]] = {}
        self._thread = threading.Thread(target=self._run, name="request-log", daemon=True)
        self._thread.start()

    @property
    def state(self) -> LogState:
        """Return how many rows were stored and how many dropped."""
        return LogState(rows=self._stored, dropped=self._dropped)

    def add(self, answered: Answered, schema: ModelSchema, terms: PlannedLogger) -> None:
        """Take a request's sampled rows; with no room they are dropped and counted."""
        picked = [row for row, id_ in enumerate(answered.ids) if is_sampled(id_, terms.percent)]
        if not picked:
            return
        kept = self._kept_of(schema, tuple(terms.omit_columns))
        with self._change:
            if self._waiting + len(picked) > ROWS_LIMIT:
                self._dropped += len(picked)
                return
            now = self._now()
            part = self._part(kept, terms.percent, now, len(picked))
            part.requests.append(Rows(answered, now, picked))
            part.rows += len(picked)
            self._waiting += len(picked)
            if part.rows >= PART_ROWS:
                self._close(part)

    def finish(self, timeout_seconds: float) -> None:
        """Store what is buffered; give up, and count what is left as dropped, after `timeout_seconds`."""
        with self._change:
            self._ending = time.monotonic() + timeout_seconds
            for part in list(self._open.values()):
                self._close(part)
            self._change.notify()
        self._thread.join(timeout_seconds + 1)
        with self._change:
            if self._waiting:
                self._dropped += self._waiting
                log.warning("Dropped log rows at the end", extra={"rows": self._waiting})

    def _kept_of(self, schema: ModelSchema, omitted: tuple[str, ...]) -> Kept:
        # The schema is kept beside its id, so that no other object can take that id.
        known = self._kept.get((id(schema), omitted))
        if known is None:
            known = self._kept[(id(schema), omitted)] = (schema, kept_columns(schema, omitted))
        return known[1]

    def _part(self, kept: Kept, percent: int, now: datetime, rows: int) -> Part:
        hour = now.replace(minute=0, second=0, microsecond=0)
        part = self._open.get((kept, percent))
        if part is not None and (part.hour != hour or part.rows + rows > PART_ROWS):
            self._close(part)
            part = None
        if part is None:
            part = self._open[(kept, percent)] = Part(kept, percent, hour, time.monotonic())
            self._change.notify()  # the thread may wait without an end
        return part

    def _close(self, part: Part) -> None:
        del self._open[(part.kept, part.percent)]
        self._closed.append(part)
        self._change.notify()

    def _next(self) -> tuple[Part, int] | None:
        """Wait for a part that is closed or old enough; None at the end."""
        with self._change:
            while True:
                oldest = min(self._open.values(), key=lambda part: part.opened, default=None)
                age = time.monotonic() - oldest.opened if oldest is not None else 0.0
                if oldest is not None and age >= self._part_seconds:
                    self._close(oldest)
                if self._closed:
                    return self._closed.popleft(), self._dropped - self._dropped_told
                if self._ending is not None:
                    return None
                self._change.wait(self._part_seconds - age if oldest is not None else None)

    def _run(self) -> None:
        while (found := self._next()) is not None:
            part, dropped = found
            if not self._store(part, dropped):
                return
            with self._change:
                self._waiting -= part.rows
                self._stored += part.rows
                self._dropped_told += dropped

    def _store(self, part: Part, dropped: int) -> bool:
        """Store a part, however often it takes; say False if the end came first."""
        wait = FIRST_WAIT_SECONDS
        while True:
            try:
                self._upload(part, dropped)
            except Exception as error:  # the world's or ours: rows wait in a bounded buffer, and requests go on
                log.warning("Failed to store log part", extra={"rows": part.rows, "error": str(error)[:300]})
            else:
                return True
            with self._change:
                if self._ending is not None and time.monotonic() + wait >= self._ending:
                    return False
                self._change.wait(wait)
            wait = min(wait * 2, LONGEST_WAIT_SECONDS)


def kept_columns(schema: ModelSchema, omitted: Sequence[str]) -> Kept:
    """Return the inputs that may be logged: public ones, since the server holds no key to mask others with."""
    return tuple(
        (item.name, item.type)
        for item in schema.inputs
        if item.classification == Classification.PUBLIC and item.name not in omitted
    )
