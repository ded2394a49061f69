"""Logs as one JSON object a line: a constant message, and the facts as fields."""

import json
import logging
from datetime import UTC, datetime
from typing import TextIO

# Attributes that every LogRecord has; what else stands in one came by `extra`.
STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    """A formatter whose lines a machine reads, and a person too."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as JSON."""
        facts = {key: value for key, value in vars(record).items() if key not in STANDARD}
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **{key: value for key, value in facts.items() if isinstance(value, str | int | float | bool)},
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def configure(level: str, stream: TextIO | None = None) -> None:
    """Send all logs to a stream, or to standard error, as JSON lines."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for quiet in ("kopf.objects", "kopf.activities", "aiohttp.access", "asyncio"):
        logging.getLogger(quiet).setLevel(logging.WARNING)
