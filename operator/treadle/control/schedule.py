"""Cron expressions and time zones to due times."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

NAMED = {"@hourly": "0 * * * *", "@daily": "0 0 * * *", "@weekly": "0 0 * * 0"}
FIELDS = ("minute", "hour", "day of month", "month", "day of week")
BOUNDS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
LONGEST_MONTHS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
# 29 February is at most eight years away (1896 to 1904, 2096 to 2104), a weekday of it up to forty.
HORIZON_DAYS = 366 * 41


@dataclass(frozen=True, slots=True)
class Schedule:
    """A parsed cron expression. Days are of the month and of the week; where both are given, either will do."""

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    is_any_hour: bool
    is_either_day: bool

    def has_day(self, day: date) -> bool:
        """Say whether the schedule has due times on this local day."""
        of_month, of_week = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return day.month in self.months and (of_month or of_week if self.is_either_day else of_month and of_week)


def latest_due(cron: str, tz: str, since: datetime, now: datetime) -> datetime | None:
    """Return the latest due time after `since` and not after `now`, in UTC; None if there is none.

    A local time that the clock skips is not due; one that it repeats is due once, unless every hour is.
    Raises ValueError with a message for the user.
    """
    schedule, zone = parse(cron), time_zone(tz)
    day, first = now.astimezone(zone).date(), since.astimezone(zone).date()
    while day >= first:
        due = [moment for moment in _moments(schedule, day, zone) if since < moment <= now]
        if due:
            return due[-1]
        day -= timedelta(days=1)
    return None


def next_due(cron: str, tz: str, now: datetime) -> datetime:
    """Return the first due time after `now`, in UTC; ValueError with a message for the user."""
    schedule, zone = parse(cron), time_zone(tz)
    today = now.astimezone(zone).date()
    for ahead in range(HORIZON_DAYS):
        for moment in _moments(schedule, today + timedelta(days=ahead), zone):
            if moment > now:
                return moment
    raise ValueError(f"{cron!r} is never due; correct its day or its month")


@lru_cache(maxsize=512)
def parse(cron: str) -> Schedule:
    """Return the parsed expression: five fields, or @hourly, @daily, @weekly; ValueError for the user."""
    text = NAMED.get(cron.strip(), cron)
    parts = text.split()
    if text.startswith("@") or len(parts) != 5:
        problem = f"{cron!r} has {len(parts)} fields, cron has 5"
        raise ValueError(f"{problem}; write for example '15 * * * *', or @hourly, @daily, @weekly")
    minutes, hours, days, months, weekdays = (_field(cron, part, index) for index, part in enumerate(parts))
    is_either_day = not parts[2].startswith("*") and not parts[4].startswith("*")
    if not is_either_day and not any(day <= LONGEST_MONTHS[month - 1] for month in months for day in days):
        raise ValueError(f"{cron!r} is never due: no such day in that month; correct its day or its month")
    return Schedule(
        minutes=tuple(sorted(minutes)),
        hours=tuple(sorted(hours)),
        days=days,
        months=months,
        weekdays=frozenset(day % 7 for day in weekdays),
        is_any_hour=parts[1].startswith("*"),
        is_either_day=is_either_day,
    )


def time_zone(name: str) -> ZoneInfo:
    """Return the IANA time zone; ValueError for the user."""
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError) as unknown:
        raise ValueError(f"{name!r} is no IANA time zone; write for example Europe/Berlin or Etc/UTC") from unknown


# Measured: 9 ms for a day of `* * * * *`, which each pass over a Monitor of such windows would pay twice.
@lru_cache(maxsize=64)
def _moments(schedule: Schedule, day: date, zone: ZoneInfo) -> tuple[datetime, ...]:
    """Return the due moments of one local day in order, in UTC."""
    if not schedule.has_day(day):
        return ()
    found = set()
    for hour in schedule.hours:
        for minute in schedule.minutes:
            for fold in (0, 1) if schedule.is_any_hour else (0,):
                local = datetime.combine(day, time(hour, minute, fold=fold), zone)
                moment = local.astimezone(UTC)
                if moment.astimezone(zone).replace(tzinfo=None) == local.replace(tzinfo=None):
                    found.add(moment)
    return tuple(sorted(found))


def _field(cron: str, text: str, index: int) -> frozenset[int]:
    found: set[int] = set()
    for part in text.lower().split(","):
        found |= _range(cron, part, index)
    return frozenset(found)


def _range(cron: str, part: str, index: int) -> set[int]:
    low, high = BOUNDS[index]
    span, slash, stride = part.partition("/")
    if span == "*":
        first, last = low, 6 if index == 4 else high
    else:
        start, dash, end = span.partition("-")
        first = _number(cron, start, index)
        last = _number(cron, end, index) if dash else high if slash else first
    step = int(stride) if stride.isdigit() else 1
    if first > last or (slash and (not stride.isdigit() or step == 0)):
        raise ValueError(f"{cron!r}: {part!r} is no {FIELDS[index]}; write for example {low}-{high} or */15")
    return set(range(first, last + 1, step))


def _number(cron: str, text: str, index: int) -> int:
    low, high = BOUNDS[index]
    if index == 3 and text in MONTHS:
        return MONTHS.index(text) + 1
    if index == 4 and text in DAYS:
        return DAYS.index(text)
    if not text.isascii() or not text.isdigit() or not low <= int(text) <= high:
        raise ValueError(f"{cron!r}: {text!r} is no {FIELDS[index]}; it goes from {low} to {high}")
    return int(text)
