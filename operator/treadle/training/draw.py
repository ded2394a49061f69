"""Intervals, curves and grids as inline SVG."""

from collections.abc import Sequence
from html import escape

from treadle.api.base import Json
from treadle.sheet import grouped, percent

SIDE, EDGE = 300, 42
"""Of a square plot, and the room for its labels."""
LONG, ROW = 260, 18
TICKS = ("0", "0.25", "0.5", "0.75", "1")


def interval(found: Json, low: float, high: float, *, limit: str | None = None, name: str) -> str:
    """Return a value with its interval on a line from low to high; limit: what was needed."""

    def x(text: str) -> float:
        return 4 + (LONG - 8) * (float(text) - low) / ((high - low) or 1)

    middle = ROW / 2
    bounds = (
        f'<line class="reach" x1="{x(found["lower"]):.1f}" x2="{x(found["upper"]):.1f}" y1="{middle}" y2="{middle}"/>'
        if "lower" in found
        else ""
    )
    edge = (
        f'<line class="limit" x1="{x(limit):.1f}" x2="{x(limit):.1f}" y1="1" y2="{ROW - 1}"/>'
        if limit is not None
        else ""
    )
    return (
        f'<svg class="line" viewBox="0 0 {LONG} {ROW}" role="img" aria-label="{escape(name)}: {told(found)}'
        f'{f", needed {limit}" if limit is not None else ""}">'
        f'<line class="axis" x1="0" x2="{LONG}" y1="{middle}" y2="{middle}"/>{bounds}{edge}'
        f'<circle class="dot" cx="{x(found["value"]):.1f}" cy="{middle}" r="4"/></svg>'
    )


def span(rows: Sequence[Json], *others: str) -> tuple[float, float]:
    """Return the ends of a line on which some estimates lie, with a little room."""
    numbers = [float(text) for row in rows for key in ("lower", "value", "upper") if (text := row.get(key)) is not None]
    numbers += [float(text) for text in others]
    room = (max(numbers) - min(numbers)) * 0.06 or abs(numbers[0]) * 0.1 or 0.1
    return min(numbers) - room, max(numbers) + room


def told(found: Json) -> str:
    """Return an estimate as messages write it."""
    return (
        f"{found['value']} [{found['lower']}, {found['upper']}]" if "lower" in found else f"{found['value']} [unknown]"
    )


def curve(sides: Json, across: str, up: str, *, diagonal: bool, name: str) -> str:
    """Return curves over the unit square, the champion's below the challenger's."""
    lines = "".join(
        f'<polyline class="{side}" points="{" ".join(f"{_x(x):.1f},{_y(y):.1f}" for x, y in sides[side])}"/>'
        for side in ("champion", "challenger")
        if side in sides
    )
    return square(f"{_diagonal() if diagonal else ''}{lines}", across, up, name)


def reliability(sides: Json, name: str) -> str:
    """Return what happened against what was predicted, each bin with its interval."""
    marks = "".join(
        f'<line class="reach {side}" x1="{_x(row["predicted"]):.1f}" x2="{_x(row["predicted"]):.1f}" '
        f'y1="{_y(row["lower"]):.1f}" y2="{_y(row["upper"]):.1f}"/>'
        f'<circle class="dot {side}" cx="{_x(row["predicted"]):.1f}" cy="{_y(row["observed"]):.1f}" r="3.5">'
        f"<title>{grouped(row['rows'])} rows: predicted {row['predicted']}, happened {row['observed']}</title></circle>"
        for side in ("champion", "challenger")
        for row in sides.get(side, [])
    )
    lines = "".join(
        f'<polyline class="{side}" points="'
        f'{" ".join(f"{_x(row['predicted']):.1f},{_y(row['observed']):.1f}" for row in sides[side])}"/>'
        for side in ("champion", "challenger")
        if side in sides
    )
    return square(f"{_diagonal()}{lines}{marks}", "predicted", "happened", name)


def square(inside: str, across: str, up: str, name: str, ticks: Sequence[str] = TICKS) -> str:
    """Return a square plot with named axes."""
    last = len(ticks) - 1
    anchors = ["start", *["middle"] * (last - 1), "end"]
    marks = "".join(
        f'<text x="{_x(str(i / last)):.1f}" y="{SIDE - EDGE + 14}" text-anchor="{anchors[i]}">{text}</text>'
        f'<text x="{EDGE - 5}" y="{_y(str(i / last)) + 4:.1f}" text-anchor="end">{text}</text>'
        for i, text in enumerate(ticks)
    )
    far, ground = SIDE - 8, SIDE - EDGE
    return (
        f'<svg viewBox="0 0 {SIDE} {SIDE}" role="img" aria-label="{escape(name)}">'
        f'<rect class="frame" x="{EDGE}" y="8" width="{far - EDGE}" height="{ground - 8}"/>{inside}{marks}'
        f'<text x="{(EDGE + far) / 2}" y="{SIDE - 4}" text-anchor="middle">{across}</text>'
        f'<text x="10" y="{ground / 2}" text-anchor="middle" transform="rotate(-90 10 {ground / 2})">{up}</text></svg>'
    )


def density(found: Json, name: str) -> str:
    """Return how many rows lie where: what happened across, what was predicted up."""
    counts = found["counts"]
    size = len(counts)
    top = max(1, *(max(row) for row in counts))
    cell = (SIDE - 8 - EDGE) / size
    cells = "".join(
        f'<rect class="fill" x="{EDGE + i * cell:.1f}" y="{SIDE - EDGE - (j + 1) * cell:.1f}" width="{cell:.1f}" '
        f'height="{cell:.1f}" style="opacity:{0.12 + 0.88 * (count / top) ** 0.5:.2f}"/>'
        for i, row in enumerate(counts)
        for j, count in enumerate(row)
        if count
    )
    low, high = float(found["low"]), float(found["high"])
    ticks = [f"{low + (high - low) * i / 4:.3g}" for i in range(5)]
    return square(f"{cells}{_diagonal()}", "happened", "predicted", name, ticks)


def bars(found: Json, name: str) -> str:
    """Return counts over a span as bars."""
    counts = found["counts"]
    width, height, top = SIDE / len(counts), 120, max(1, *counts)
    drawn = "".join(
        f'<rect class="fill" x="{i * width + 0.5:.1f}" y="{height - count / top * (height - 6):.1f}" '
        f'width="{width - 1:.1f}" height="{count / top * (height - 6):.1f}"/>'
        for i, count in enumerate(counts)
    )
    middle = SIDE / 2
    return (
        f'<svg viewBox="0 0 {SIDE} {height + 18}" role="img" aria-label="{escape(name)}">{drawn}'
        f'<line class="limit" x1="{middle}" x2="{middle}" y1="0" y2="{height}"/>'
        f'<line class="axis" x1="0" x2="{SIDE}" y1="{height}" y2="{height}"/>'
        f'<text x="0" y="{height + 14}">{found["low"]}</text>'
        f'<text x="{middle}" y="{height + 14}" text-anchor="middle">0</text>'
        f'<text x="{SIDE}" y="{height + 14}" text-anchor="end">{found["high"]}</text></svg>'
    )


def matrix(found: Json) -> str:
    """Return which class was called which as a table, each row shaded by its shares."""
    names, counts = found["classes"], found["counts"]
    heads = "".join(f'<th class="number">{escape(name)}</th>' for name in names)
    rows = "".join(
        f"<tr><th>{escape(name)}</th>"
        + "".join(
            f'<td class="number"><span class="shade" style="opacity:{0.55 * count / (sum(row) or 1):.2f}"></span>'
            f'<b>{grouped(count)}</b> <span class="soft">{percent(count / (sum(row) or 1))}</span></td>'
            for count in row
        )
        + "</tr>"
        for name, row in zip(names, counts, strict=True)
    )
    return (
        f'<div class="wide"><table class="matrix"><thead><tr><th>happened ↓ called →</th>{heads}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _diagonal() -> str:
    return f'<line class="chance" x1="{_x("0")}" y1="{_y("0")}" x2="{_x("1")}" y2="{_y("1")}"/>'


def _x(text: str) -> float:
    return EDGE + float(text) * (SIDE - 8 - EDGE)


def _y(text: str) -> float:
    return SIDE - EDGE - float(text) * (SIDE - EDGE - 8)
