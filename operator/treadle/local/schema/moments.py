"""Points in time as the API server reads them: by a loose format first, then by Go's time.Parse."""

import calendar
import re
from datetime import datetime, timedelta

from treadle.local.schema.causes import quoted

DATE = re.compile(r"(\d{4})-(\d{2})-(\d{2})", re.ASCII)
TIME = re.compile(r"(\d{2}):(\d{2}):(\d{2})(.\d+)?(z|[+-]\d{2}:\d{2})", re.ASCII)
"""As in k8s.io/kube-openapi/pkg/validation/strfmt, whose point before a fraction is any character."""

CLOCK = re.compile(r"(\d{2}):(\d{2}):(\d{2})(?:[.,](\d+))?", re.ASCII)
ZONE = re.compile(r"Z|([+-])([01]\d|2[0-4]):([0-5]\d|60)", re.ASCII)
"""What Go's time.Parse takes behind the seconds."""


class Unreadable(ValueError):
    """A date-time that passes the format, and that time.Parse refuses with these words."""


def is_date_time(text: str) -> bool:
    """Tell whether a text passes `format: date-time`."""
    date, *rest = text.lower().split("t")
    time = TIME.fullmatch(rest[0]) if rest else None
    return _is_date(date) and time is not None and time[1] <= "23" and time[2] <= "59" and time[3] <= "59"


def canonical(text: str) -> str:
    """Return a date-time in UTC with nine digits of a second, so that texts compare as moments; raise Unreadable."""
    clock = CLOCK.match(text, 11)
    if not is_date_time(text) or text[10] != "T" or clock is None:
        wanted, rest = ("T", text[10:]) if is_date_time(text) else ("2006", text)
        said = f'parsing time {quoted(text)} as "2006-01-02T15:04:05": cannot parse {quoted(rest)} as "{wanted}"'
        raise Unreadable(said)
    zone = ZONE.fullmatch(text, clock.end())
    if zone is None:
        raise Unreadable(f"parsing time {quoted(text)}: extra text: {quoted(text[clock.end() :])}")
    # CEL, as Python, knows the years from 1 to 9999: for year 0 stands the first that has its days.
    year = "0004" if text.startswith("0000") else text[:4]
    local = datetime.fromisoformat(f"{year}{text[4:10]}T{clock[0][:8]}")
    east = timedelta(hours=int(zone[2]), minutes=int(zone[3])) if zone[1] else timedelta()
    try:
        utc = local + east if zone[1] == "-" else local - east
    except OverflowError:
        utc = local
    return f"{utc.isoformat()}.{clock[4] or '':0<9.9}Z"


def _is_date(text: str) -> bool:
    found = DATE.fullmatch(text)
    if found is None:
        return False
    year, month, day = (int(part) for part in found.groups())
    return 1 <= month <= 12 and 1 <= day <= calendar.monthrange(year, month)[1]
