"""The bars of a column as inline SVG."""

from html import escape

from treadle.api.base import Json
from treadle.sheet import percent

WIDTH, HEIGHT = 340, 118
LABELS, BAR = 118, 7
SMALLEST = 1e-6


def meter(test: Json, limit: str) -> str:
    """Return an effect on a track from 0 to 1 with its limit, and what the test says."""
    effect, edge = float(test["effect"]), float(limit)
    name = "Kolmogorov–Smirnov distance" if test["test"] == "ks" else "Cramér’s V"
    p = float(test["adjustedPValue"])
    chance = f"&lt; {SMALLEST:f}" if p < SMALLEST else f"{p:.3g}"
    return (
        f'<svg viewBox="0 0 {WIDTH} 14" role="img" aria-label="effect {effect:.3f}, limit {edge:g}">'
        f'<rect class="track" y="4" width="{WIDTH}" height="6" rx="3"/>'
        f'<rect class="fill" y="4" width="{WIDTH * min(effect, 1):.1f}" height="6" rx="3"/>'
        f'<line class="limit" x1="{WIDTH * edge:.1f}" x2="{WIDTH * edge:.1f}" y1="0" y2="14"/></svg>'
        f'<span class="soft">{name} {effect:.3f}, limit {edge:g} · adjusted p {chance}</span>'
    )


def histogram(bars: Json, name: str) -> str:
    """Return bars of numbers: the window filled, the reference as a line of steps."""
    window, reference = ([float(share) for share in bars[side]] for side in ("window", "reference"))
    if not window:
        return '<p class="soft">no number on either side</p>'
    top = max(*window, *reference, SMALLEST)
    width, ground = WIDTH / len(window), HEIGHT - 18
    filled = "".join(
        f'<rect class="fill" x="{index * width + 0.5:.1f}" y="{ground - share / top * (ground - 4):.1f}" '
        f'width="{width - 1:.1f}" height="{share / top * (ground - 4):.1f}"/>'
        for index, share in enumerate(window)
    )
    steps = " ".join(
        f"{x * width:.1f},{ground - share / top * (ground - 4):.1f}"
        for index, share in enumerate(reference)
        for x in (index, index + 1)
    )
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(spoken(bars, name))}">{filled}'
        f'<polyline class="step" points="0,{ground} {steps} {WIDTH},{ground}"/>'
        f'<line class="axis" x1="0" x2="{WIDTH}" y1="{ground}" y2="{ground}"/>{ticks(bars["labels"], width)}</svg>'
    )


def ticks(labels: list[str], width: float) -> str:
    """Return a few labels below the bars that they belong to."""
    count = len(labels) if len(labels) <= 8 else 5
    places = [index * (len(labels) - 1) // max(count - 1, 1) for index in range(count)]
    anchors = ["start", *["middle"] * max(count - 2, 0), "end"][-count:] if count > 1 else ["middle"]
    spots = {"start": 0.0, "middle": 0.5, "end": 1.0}
    return "".join(
        f'<text x="{(place + spots[anchor]) * width:.1f}" y="{HEIGHT - 4}" text-anchor="{anchor}">'
        f"{labels[place]}</text>"
        for place, anchor in zip(places, anchors, strict=True)
    )


def ranks(bars: Json, name: str) -> str:
    """Return two bars for each category, the window's above the reference's."""
    rows = list(zip(bars["labels"], bars["window"], bars["reference"], strict=True))
    room, height = WIDTH - LABELS - 48, 2 * BAR + 6
    top = max(SMALLEST, *(float(share) for _, window, reference in rows for share in (window, reference)))
    drawn = "".join(
        f'<text x="{LABELS - 6}" y="{index * height + 12}" text-anchor="end">{escape(label)}</text>'
        f'<rect class="fill" x="{LABELS}" y="{index * height + 2}" height="{BAR}" '
        f'width="{float(window) / top * room:.1f}"/>'
        f'<rect class="before" x="{LABELS}" y="{index * height + 2 + BAR}" height="{BAR}" '
        f'width="{float(reference) / top * room:.1f}"/>'
        f'<text x="{WIDTH}" y="{index * height + 12}" text-anchor="end">{percent(window)}</text>'
        for index, (label, window, reference) in enumerate(rows)
    )
    hidden = bars["hidden"]
    note = (
        f'<span class="soft">the {len(rows)} of {len(rows) + hidden} values that moved most</span><br>'
        if hidden
        else ""
    )
    return (
        f'<svg viewBox="0 0 {WIDTH} {len(rows) * height + 4}" role="img" '
        f'aria-label="{escape(spoken(bars, name))}">{drawn}</svg>{note}'
    )


def spoken(bars: Json, name: str) -> str:
    """Say the bar that changed most, for who does not see the drawing."""
    rows = list(zip(bars["labels"], bars["window"], bars["reference"], strict=True))
    label, window, reference = max(rows, key=lambda row: abs(float(row[1]) - float(row[2])))
    return f"{name}: {label} has {percent(window)} of the window, {percent(reference)} of the reference"
