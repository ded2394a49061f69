"""Durations as people and specs write them: 90s, 10m, 1h30m."""

import re
from datetime import datetime, timedelta
from typing import Any

import click

UNITS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
FORM = re.compile(r"((\d+)(d|h|m(?!s)|s|ms))+")


def seconds(text: str) -> float:
    """Return how long a duration is; raise ValueError for any other text."""
    if not FORM.fullmatch(text):
        raise ValueError(f'"{text}" is not a duration; write for example 90s, 10m or 1h30m')
    return sum(int(number) * UNITS[unit] for number, unit in re.findall(r"(\d+)(ms|[dhms])", text))


def later(time: str, duration: str) -> str:
    """Return the RFC 3339 time that is a duration after another."""
    moment = datetime.fromisoformat(time) + timedelta(seconds=seconds(duration))
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


class Duration(click.ParamType[float]):
    """An option's duration, given as seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return seconds, or fail with what was expected."""
        if isinstance(value, float):
            return value
        try:
            return seconds(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


DURATION = Duration()
