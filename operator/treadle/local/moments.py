"""Points in time as the API server reads them: by a loose format first, then by Go's time.Parse."""

import calendar
import re
from datetime import UTC, datetime, timedelta

from treadle.local.causes import quoted

DATE = re.compile(r"(\d{4})-(\d{2})-(\d{2})", re.ASCII)
TIME = re.compile(r"(\d{2}):(\d{2}):(\d{2})(.\d+)?(z|[+-]\d{2}:\d{2})", re.ASCII)
"""As in k8s.io/kube-openapi/pkg/validation/strfmt, whose point before a fraction is any character."""

CLOCK = re.compile(r"(\d{2}):(\d{2}):(\d{2})(?:[.,](\d+))?", re.ASCII)
ZONE = re.compile(r"Z|([+-])([01]\d|2[0-4]):([0-5]\d|60)", re.ASCII)
"""What Go's time.Parse takes behind the seconds."""

FIRST, LAST = -62_135_596_800, 253_402_300_799
"""The seconds of 0001-01-01 and 9999-12-31, between which CEL knows time."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Unreadable(ValueError):
    """A date-time that passes the format, and that time.Parse refuses with these words."""


def is_date_time(text: str) -> bool:
    """Tell whether a text passes `format: date-time`."""
    date, *rest = text.lower().split("t")
    time = TIME.fullmatch(rest[0]) if rest else None
    return _is_date(date) and time is not None and time[1] <= "23" and time[2] <= "59" and time[3] <= "59"


def read(text: str) -> tuple[int, int]:
    """Return a date-time as seconds since 1970, and nanoseconds; raise Unreadable."""
    clock = CLOCK.match(text, 11)
    if not is_date_time(text) or text[10] != "T" or clock is None:
        wanted, rest = ("T", text[10:]) if is_date_time(text) else ("2006", text)
        said = f'parsing time {quoted(text)} as "2006-01-02T15:04:05": cannot parse {quoted(rest)} as "{wanted}"'
        raise Unreadable(said)
    zone = ZONE.fullmatch(text, clock.end())
    if zone is None:
        raise Unreadable(f"parsing time {quoted(text)}: extra text: {quoted(text[clock.end() :])}")
    if text.startswith("0000"):  # the year before the first of CEL and of Python
        return FIRST, 0
    local = datetime.fromisoformat(f"{text[:10]}T{clock[1]}:{clock[2]}:{clock[3]}+00:00")
    east = timedelta(hours=int(zone[2]), minutes=int(zone[3])) if zone[1] else timedelta()
    seconds = (local - EPOCH) // timedelta(seconds=1) - (-1 if zone[1] == "-" else 1) * (east // timedelta(seconds=1))
    return min(max(seconds, FIRST), LAST), int(f"{clock[4] or '':0<9}"[:9])


def _is_date(text: str) -> bool:
    found = DATE.fullmatch(text)
    if found is None:
        return False
    year, month, day = (int(part) for part in found.groups())
    return 1 <= month <= 12 and 1 <= day <= calendar.monthrange(year, month)[1]
