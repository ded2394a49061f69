"""Intervals, shares and verdicts as inline SVG, drawn with classes so that the page's style colours them."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape

WIDTH, ROW, AXIS = 260, 26, 18
PAD = 8
"""Room for a dot at either end."""


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate as status writes it; bounds that are absent are unbounded or unknown."""

    value: str
    lower: str | None = None
    upper: str | None = None

    @property
    def numbers(self) -> list[float]:
        """Return what is known of it."""
        return [float(text) for text in (self.lower, self.value, self.upper) if text is not None]

    @property
    def spoken(self) -> str:
        """Return it as messages write it."""
        if self.lower is None and self.upper is None:
            return f"{self.value} [unknown]"
        return f"{self.value} [{self.lower or 'unbounded'}, {self.upper or 'unbounded'}]"


@dataclass(frozen=True, slots=True)
class Scale:
    """A stretch of numbers that several rows share."""

    low: float
    high: float

    def x(self, number: float) -> float:
        """Return where a number lies in a row, kept inside it."""
        share = (number - self.low) / (self.high - self.low)
        return PAD + min(max(share, 0.0), 1.0) * (WIDTH - 2 * PAD)


def scale(numbers: Iterable[float]) -> Scale:
    """Return a scale that holds all numbers with a little room; of one number, or none, it is a small stretch."""
    found = list(numbers) or [0.0]
    low, high = min(found), max(found)
    room = (high - low) * 0.04 or abs(high) * 0.05 or 0.5
    return Scale(low - room, high + room)


def ticks(shown: Scale, most: int = 5) -> list[float]:
    """Return at most so many round numbers inside a scale."""
    span = shown.high - shown.low
    step = next(
        step
        for power in range(math.floor(math.log10(span)) - 1, 400)
        for step in (10.0**power, 2 * 10.0**power, 5 * 10.0**power)
        if span / step <= most
    )
    first = math.ceil(shown.low / step)
    return [index * step for index in range(first, math.floor(shown.high / step) + 1)]


def axis(shown: Scale) -> str:
    """Return the numbers of a scale; the rows below say them in words."""
    marks = ticks(shown)
    digits = max(0, -math.floor(math.log10(marks[1] - marks[0]) + 1e-9)) if len(marks) > 1 else 3
    labels = "".join(
        f'<text x="{shown.x(mark):.1f}" y="11" text-anchor="middle">{mark:.{digits}f}</text>'
        f'<line class="grid" x1="{shown.x(mark):.1f}" x2="{shown.x(mark):.1f}" y1="14" y2="{AXIS}"/>'
        for mark in marks
    )
    return f'<svg class="axis-row" viewBox="0 0 {WIDTH} {AXIS}" aria-hidden="true">{labels}</svg>'


def whisker(shown: Scale, found: Interval, *, tone: str = "", reference: str | None = None, height: int = ROW) -> str:
    """Return an interval as a line with a dot on a shared scale; the numbers stand beside it.

    reference: a value that a dashed line marks, such as the champion's.
    """
    middle, x = height / 2, shown.x(float(found.value))
    low = shown.x(float(found.lower)) if found.lower is not None else x
    high = shown.x(float(found.upper)) if found.upper is not None else x
    grid = "".join(_line("grid", shown.x(mark), 0, height) for mark in ticks(shown))
    dashed = _line("reference", shown.x(float(reference)), 0, height) if reference is not None else ""
    drawn = (
        f'<line class="whisker" x1="{low:.1f}" x2="{high:.1f}" y1="{middle:g}" y2="{middle:g}"/>'
        f"{_line('whisker', low, middle - 4, middle + 4)}{_line('whisker', high, middle - 4, middle + 4)}"
        f'<circle class="dot" cx="{x:.1f}" cy="{middle:g}" r="4.5"/>'
    )
    return f'<svg class="plot {tone}" viewBox="0 0 {WIDTH} {height}" aria-hidden="true">{grid}{dashed}{drawn}</svg>'


def against(found: Interval, limit: str, *, is_above: bool, tone: str) -> str:
    """Return an interval against what was needed: where it must lie is tinted; the numbers stand beside it.

    is_above: whether it must lie above the limit.
    """
    edge = float(limit)
    shown = scale([*found.numbers, edge])
    at, middle = shown.x(edge), ROW / 2
    low = shown.x(float(found.lower)) if found.lower is not None else 0.0
    high = shown.x(float(found.upper)) if found.upper is not None else float(WIDTH)
    start, width = (at, WIDTH - at) if is_above else (0, at)
    return (
        f'<svg class="plot {tone}" viewBox="0 0 {WIDTH} {ROW}" aria-hidden="true">'
        f'<rect class="needed" x="{start:.1f}" y="0" width="{width:.1f}" height="{ROW}"/>'
        f"{_line('limit', at, 0, ROW)}"
        f'<line class="whisker" x1="{low:.1f}" x2="{high:.1f}" y1="{middle:g}" y2="{middle:g}"/>'
        f'<circle class="dot" cx="{shown.x(float(found.value)):.1f}" cy="{middle:g}" r="4.5"/></svg>'
    )


def shares(weight: int, champion: str, candidate: str) -> str:
    """Return which share of the requests each model answers."""
    split = 1000 * (100 - weight) / 100
    label = f"{champion} answers {100 - weight} % of the requests, {candidate} {weight} %"
    return (
        f'<svg class="shares" viewBox="0 0 1000 14" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(label)}">'
        f'<rect class="of-champion" width="{split:g}" height="14"/>'
        f'<rect class="of-candidate" x="{split:g}" width="{1000 - split:g}" height="14"/></svg>'
    )


def progress(done: int, needed: int, label: str) -> str:
    """Return how much of what is needed is there."""
    share = min(1.0, done / needed) if needed else 1.0
    return (
        f'<svg class="progress" viewBox="0 0 1000 8" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(label)}">'
        f'<rect class="track" width="1000" height="8"/><rect class="fill" width="{1000 * share:g}" height="8"/></svg>'
    )


def _line(name: str, x: float, top: float, bottom: float) -> str:
    return f'<line class="{name}" x1="{x:.1f}" x2="{x:.1f}" y1="{top:g}" y2="{bottom:g}"/>'
