"""How numbers, times and messages are written on a page."""

from datetime import UTC, datetime

from treadle.api.base import moment
from treadle.api.conditions import PAGE
from treadle.cli import draw


def count(number: int) -> str:
    """Return a count with its thousands apart, on one line."""
    return f"{number:,}".replace(",", "\u202f")


def percent(share: float) -> str:
    """Return a share as a percentage, with as many digits as say something."""
    value = 100 * share
    digits = 0 if value >= 99.95 or value == 0 else 1 if value >= 1 else 2
    return "under 0.01\u00a0%" if 0 < value < 0.01 else f"{value:.{digits}f}\u00a0%"


def rate(number: float) -> str:
    """Return how often something happens in a second, with two digits that say something."""
    if 0 < number < 0.01:
        return "under 0.01/s"
    return (
        f"{number:.0f}/s" if number >= 9.95 or number == 0 else f"{number:.1f}/s" if number >= 1 else f"{number:.2g}/s"
    )


def seconds(number: float) -> str:
    """Return a duration in the unit that people would choose."""
    return f"{round(number * 1000)} ms" if number < 1 else draw.seconds(number)


def ago(time: str, now: datetime) -> str:
    """Return how long ago a moment was, or how far ahead it lies."""
    return draw.ago(time, now) if moment(time) <= now else f"in {draw.until(time, now)}"


def day(time: str) -> str:
    """Return a moment as people write it, in UTC and to the minute."""
    found = moment(time).astimezone(UTC)
    return f"{found.day}\u00a0{found:%b}\u00a0{found.year}, {found:%H:%M}"


def hour(time: str) -> str:
    """Return a moment of these days."""
    found = moment(time).astimezone(UTC)
    return f"{found.day}\u00a0{found:%b} {found:%H:%M}"


def sentence(message: str) -> str:
    """Return a message with its full stop and without the name of its page, else as it is: it may begin with a name."""
    bare = PAGE.sub("", message).strip()
    return f"{bare}." if bare and not bare.endswith((".", "?", "…")) else bare


def capital(text: str) -> str:
    """Return a text of ours as a sentence; a name such as v17 keeps its small letter."""
    found = sentence(text)
    is_name = any(letter.isdigit() or letter in "_-/" for letter in found.split(" ")[0])
    return found if is_name else found[:1].upper() + found[1:]
