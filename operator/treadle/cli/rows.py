"""Lines of styled text that fit a width, with a symbol wherever there is a colour."""

import os
import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence

import click

from treadle.cli.cluster import Object

type Span = tuple[str, str]
"""Text, and its style: a key of STYLES."""
type Line = list[Span]

STYLES: dict[str, Object] = {
    "": {},
    "bold": {"bold": True},
    "dim": {"dim": True},
    "good": {"fg": "green"},
    "busy": {"fg": "cyan"},
    "waiting": {"dim": True},
    "look": {"fg": "yellow"},
    "bad": {"fg": "red", "bold": True},
    "none": {"dim": True},
}
SYMBOLS = {"good": "✓", "busy": "▸", "waiting": "·", "look": "!", "bad": "✗", "none": "–"}
PLAIN = str.maketrans({"✓": "+", "▸": ">", "·": ".", "✗": "x", "–": "-", "█": "#", "░": ".", "→": ">", "…": "~"})
"""For terminals that cannot show more than ASCII."""

PART = 10
INDENT = 2 + PART + 2


class Row:
    """A row of a part: a mark and segments, which are broken between, and kept together where they fit."""

    def __init__(self, mark: str, *segments: Span | Line | None) -> None:
        self.mark = mark
        self.segments = [[each] if isinstance(each, tuple) else each for each in segments if each]

    def lines(self, width: int, part: str) -> list[Line]:
        """Return the row as lines of at most `width` characters, the first of which names its part."""
        symbol = SYMBOLS.get(self.mark, " ")
        head: Line = [("  ", ""), (f"{part:<{PART}}", "dim"), (f"{symbol} ", self.mark if symbol != " " else "")]
        flowed = flow(self.segments, width - INDENT)
        hang: Line = [(" " * INDENT, "")]
        return [[*(head if number == 0 else hang), *line] for number, line in enumerate(flowed)]


def flow(segments: Iterable[Line], width: int) -> list[Line]:
    """Return segments joined by dots into lines of at most `width`; one that is longer is broken between words."""
    lines: list[Line] = []
    for segment in segments:
        if lines and length(lines[-1]) + 3 + length(segment) <= width:
            lines[-1] = [*lines[-1], (" · ", "dim"), *segment]
        elif length(segment) <= width:
            lines.append(segment)
        else:
            lines += broken(segment, width)
    return lines


def broken(segment: Line, width: int) -> Iterator[Line]:
    """Yield a segment that is too long as lines, each in the style of the segment's last span."""
    text, style = "".join(part for part, _ in segment), segment[-1][1]
    first = segment[0] if len(segment) > 1 else None
    for number, piece in enumerate(textwrap.wrap(text, width, break_on_hyphens=False)):
        if number == 0 and first and piece.startswith(first[0]):
            yield [first, (piece[len(first[0]) :], style)]
        else:
            yield [(piece, style)]


def length(line: Line) -> int:
    """Return how many characters a line has."""
    return sum(len(text) for text, _ in line)


def table(rows: Sequence[tuple[str, ...]], marks: Sequence[str]) -> Iterator[Row]:
    """Yield rows whose cells stand below each other, each after its mark; the last cell is in the mark's colour."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row, mark in zip(rows, marks, strict=True):
        cells = "  ".join(f"{cell:<{width}}" for cell, width in zip(row[:-1], widths[:-1], strict=True))
        yield Row("", [(f"{SYMBOLS[mark]} ", mark), (f"{cells}  ", ""), (row[-1], mark)])


def styled(line: Line) -> str:
    """Return a line with colours, which click takes away where none belong, in what the terminal can show."""
    encoding = (sys.stdout.encoding or "ascii").lower().replace("-", "")
    text = "".join(click.style(part, **STYLES[style]) if STYLES[style] else part for part, style in line)
    return text if encoding == "utf8" and os.environ.get("TERM") != "linux" else text.translate(PLAIN)
