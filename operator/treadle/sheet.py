"""A page that stands alone: no script, no font and no image from elsewhere; readable from mail, offline, on paper."""

from collections.abc import Iterable
from html import escape

from treadle.api.base import moment

STYLE = """
:root { color-scheme: light dark; --paper: #fbfaf8; --card: #fff; --ink: #1f2328; --soft: #667; --line: #e2dfd8;
  --window: #3b6ea8; --moved: #c2571a; --reference: #8a8f98; --good: #2e7d4f; --bad: #b3261e; --unsure: #7a6a00; }
@media (prefers-color-scheme: dark) { :root { --paper: #16181b; --card: #1f2226; --ink: #e6e6e6; --soft: #a2a6ad;
  --line: #34383e; --window: #6da2dd; --moved: #ef8a4c; --reference: #8a8f98; --good: #6cc493; --bad: #f2857d;
  --unsure: #d8c25a; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, "DejaVu Sans", sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 32px 24px 48px; }
h1 { font-size: 26px; line-height: 1.25; margin: 0; } h2 { font-size: 18px; margin: 36px 0 12px; }
h3 { font-size: 15px; margin: 0; overflow-wrap: anywhere; }
p { margin: 8px 0; max-width: 75ch; } code { font-size: 13px; overflow-wrap: anywhere; }
.soft { color: var(--soft); font-size: 13px; }
.head { display: flex; flex-wrap: wrap; align-items: center; gap: 6px 14px; }
.badge { border-radius: 99px; padding: 2px 12px; font-size: 14px; font-weight: 600; border: 1.5px solid currentColor; }
.lead { font-size: 17px; margin: 14px 0 4px; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px; margin: 20px 0 0; }
.tile, .card { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 12px 16px; }
.tile b { display: block; font-size: 22px; font-variant-numeric: tabular-nums; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(320px, 1fr)); gap: 14px; }
.card .head { justify-content: space-between; } .card .badge { font-size: 12px; padding: 0 9px; }
svg { display: block; width: 100%; height: auto; margin: 10px 0 6px; }
svg text { fill: var(--soft); font: 11px system-ui, "DejaVu Sans", sans-serif; }
.fill { fill: var(--window); opacity: .75; }
.axis { stroke: var(--line); } .track { fill: var(--line); } .limit { stroke: var(--ink); stroke-width: 1.5; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; background: var(--card); }
th, td { text-align: left; padding: 7px 10px; border-bottom: 1px solid var(--line); vertical-align: top; }
th { font-weight: 600; font-size: 13px; color: var(--soft); } td.number, th.number { text-align: right; }
.key { display: inline-flex; align-items: center; gap: 6px; margin-right: 16px; }
.key i { width: 18px; height: 10px; display: inline-block; background: var(--window); opacity: .75; }
.key i.two { background: var(--reference); opacity: .6; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 2px 16px; margin: 0; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
@media print { body { background: #fff; } .card, .tile, tr { break-inside: avoid; } }
"""


def sheet(title: str, style: str, body: Iterable[str]) -> str:
    """Return a page; style: rules beside the common ones. body: parts of HTML."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<title>{escape(title)}</title>\n<style>{STYLE}{style.lstrip()}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(body)
        + "\n</main>\n</body>\n</html>\n"
    )


def bare(text: str) -> str:
    """Return a message without the name of its page."""
    return text.partition(" docs: ")[0].removesuffix(".")


def sentence(text: str) -> str:
    """Return a message as a sentence, escaped."""
    said = bare(text)
    return escape(f"{said[:1].upper()}{said[1:]}.") if said else ""


def when(text: str) -> str:
    """Return a moment as people write it."""
    parsed = moment(text)
    return f"{parsed.day} {parsed:%B %Y, %H:%M}"


def grouped(number: int) -> str:
    """Return a count with its thousands apart."""
    return f"{number:,}".replace(",", " ")


def percent(share: str | float) -> str:
    """Return a share as a percentage, its sign kept on the line."""
    value = 100 * float(share)
    if 0 < value < 0.1:
        return "under 0.1\u00a0%"
    return f"{value:.1f}".removesuffix(".0") + "\u00a0%"
