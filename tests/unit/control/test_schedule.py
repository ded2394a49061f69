"""Cron and time zones, against a search minute by minute."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from treadle.control.schedule import latest_due, next_due, parse

BERLIN, NEW_YORK, UTC_NAME = "Europe/Berlin", "America/New_York", "Etc/UTC"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


NEXT = {
    "a quarter past each hour": ("15 * * * *", UTC_NAME, "2026-01-05T08:15:00Z", "2026-01-05T09:15:00Z"),
    "every fifteen minutes": ("*/15 * * * *", UTC_NAME, "2026-01-05T08:01:00Z", "2026-01-05T08:15:00Z"),
    "@hourly": ("@hourly", UTC_NAME, "2026-01-05T08:01:00Z", "2026-01-05T09:00:00Z"),
    "@daily": ("@daily", UTC_NAME, "2026-01-05T08:01:00Z", "2026-01-06T00:00:00Z"),
    "@weekly is Sunday": ("@weekly", UTC_NAME, "2026-01-05T08:01:00Z", "2026-01-11T00:00:00Z"),
    "Monday at four": ("0 4 * * 1", UTC_NAME, "2026-01-05T08:01:00Z", "2026-01-12T04:00:00Z"),
    "Monday by name": ("0 4 * * mon", UTC_NAME, "2026-01-05T08:01:00Z", "2026-01-12T04:00:00Z"),
    "Sunday as seven": ("0 4 * * 7", UTC_NAME, "2026-01-05T08:01:00Z", "2026-01-11T04:00:00Z"),
    "either day where both are given": ("0 0 13 * 5", UTC_NAME, "2026-01-05T08:01:00Z", "2026-01-09T00:00:00Z"),
    "a month by name": ("0 0 1 MAR *", UTC_NAME, "2026-01-05T08:01:00Z", "2026-03-01T00:00:00Z"),
    "the next leap day": ("0 0 29 2 *", UTC_NAME, "2026-01-05T08:01:00Z", "2028-02-29T00:00:00Z"),
    "local time in winter": ("0 9 * * *", NEW_YORK, "2026-01-05T00:00:00Z", "2026-01-05T14:00:00Z"),
    "local time in summer": ("0 9 * * *", NEW_YORK, "2026-07-05T00:00:00Z", "2026-07-05T13:00:00Z"),
    "a time that the clock skips waits for the next day": (
        "30 2 * * *", BERLIN, "2026-03-28T12:00:00Z", "2026-03-30T00:30:00Z",
    ),
    "a time that the clock repeats is due the first time": (
        "30 2 * * *", BERLIN, "2026-10-24T12:00:00Z", "2026-10-25T00:30:00Z",
    ),
    "and not the second time": ("30 2 * * *", BERLIN, "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"),
    "every hour is due in both": ("30 * * * *", BERLIN, "2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"),
}  # fmt: skip


@pytest.mark.parametrize(("cron", "tz", "now", "expected"), NEXT.values(), ids=NEXT.keys())
def test_next_due(cron: str, tz: str, now: str, expected: str) -> None:
    assert next_due(cron, tz, at(now)) == at(expected)


LATEST = {
    "the latest of several": ("0 * * * *", "2026-01-05T08:00:00Z", "2026-01-05T11:30:00Z", "2026-01-05T11:00:00Z"),
    "now itself is due": ("0 * * * *", "2026-01-05T10:30:00Z", "2026-01-05T11:00:00Z", "2026-01-05T11:00:00Z"),
    "since itself is not": ("0 * * * *", "2026-01-05T11:00:00Z", "2026-01-05T11:30:00Z", None),
    "weeks without a look": ("0 0 1 * *", "2025-11-15T00:00:00Z", "2026-01-20T00:00:00Z", "2026-01-01T00:00:00Z"),
}


@pytest.mark.parametrize(("cron", "since", "now", "expected"), LATEST.values(), ids=LATEST.keys())
def test_latest_due(cron: str, since: str, now: str, expected: str | None) -> None:
    assert latest_due(cron, UTC_NAME, at(since), at(now)) == (None if expected is None else at(expected))


REFUSED = {
    "four fields": ("* * * *", UTC_NAME, "'* * * *' has 4 fields, cron has 5; write for example '15 * * * *'"),
    "an unknown name": ("@monthly", UTC_NAME, "'@monthly' has 1 fields"),
    "a minute of 60": ("60 * * * *", UTC_NAME, "'60' is no minute; it goes from 0 to 59"),
    "a weekday of 8": ("0 0 * * 8", UTC_NAME, "'8' is no day of week; it goes from 0 to 7"),
    "a step of zero": ("*/0 * * * *", UTC_NAME, "'*/0' is no minute"),
    "a step that is no number": ("*/x * * * *", UTC_NAME, "'*/x' is no minute"),
    "a range backwards": ("0 9-5 * * *", UTC_NAME, "'9-5' is no hour"),
    "an empty part": ("0 1,, * * *", UTC_NAME, "'' is no hour"),
    "a word": ("0 noon * * *", UTC_NAME, "'noon' is no hour"),
    "other digits than ours": ("² * * * *", UTC_NAME, "'²' is no minute"),
    "30 February": ("0 0 30 2 *", UTC_NAME, "'0 0 30 2 *' is never due"),
    "an unknown time zone": ("@daily", "Berlin", "'Berlin' is no IANA time zone; write for example Europe/Berlin"),
    "a path for a time zone": ("@daily", "../../etc/passwd", "is no IANA time zone"),
    "a directory for a time zone": ("@daily", "America", "'America' is no IANA time zone"),
}


@pytest.mark.parametrize(("cron", "tz", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_a_schedule_that_cannot_be_meant_is_refused(cron: str, tz: str, message: str) -> None:
    with pytest.raises(ValueError) as refused:
        next_due(cron, tz, at("2026-01-05T08:00:00Z"))
    assert message in str(refused.value)


FIELD = {
    "minute": st.sampled_from(["*", "0", "59", "*/7", "5-50/9", "1,2,30"]),
    "hour": st.sampled_from(["*", "0", "2", "1-3", "23", "*/5", "2,14"]),
    "day": st.sampled_from(["*", "1", "25-31", "*/10", "29"]),
    "month": st.sampled_from(["*", "3", "10", "2-4", "*/2"]),
    "weekday": st.sampled_from(["*", "0", "7", "1-5", "sun,wed", "6"]),
}
CRON = st.tuples(*FIELD.values()).map(" ".join)
# Around both changes of the clock, where mistakes are.
NEAR = st.sampled_from(["2026-03-28T00:00:00+00:00", "2026-10-24T00:00:00+00:00", "2026-03-07T00:00:00+00:00",
                        "2026-10-31T00:00:00+00:00", "2026-06-30T00:00:00+00:00"])  # fmt: skip
ZONE = st.sampled_from([BERLIN, NEW_YORK, UTC_NAME, "Australia/Lord_Howe", "Asia/Kathmandu"])


def is_due(cron: str, zone: ZoneInfo, moment: datetime) -> bool:
    """Decide one minute on its own: its local time matches, and a repeated one counts once."""
    schedule, local = parse(cron), moment.astimezone(zone)
    if local.fold and not schedule.is_any_hour:
        return False
    return schedule.has_day(local.date()) and local.hour in schedule.hours and local.minute in schedule.minutes


@settings(max_examples=60, deadline=None)
@given(CRON, ZONE, NEAR, st.integers(0, 2880))
def test_due_times_are_those_of_a_search_minute_by_minute(cron: str, tz: str, near: str, minutes: int) -> None:
    zone = ZoneInfo(tz)
    since = datetime.fromisoformat(near)
    now = since + timedelta(minutes=minutes, seconds=30)
    found = [moment for number in range(1, 3 * 1440) if is_due(cron, zone, moment := since + timedelta(minutes=number))]
    past = [moment for moment in found if moment <= now]
    ahead = [moment for moment in found if moment > now]
    try:
        assert latest_due(cron, tz, since, now) == (past[-1] if past else None)
        if ahead:
            assert next_due(cron, tz, now) == ahead[0]
    except ValueError as refused:
        assert "never due" in str(refused) and not found
