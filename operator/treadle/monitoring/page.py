"""A judged window as one page: no script, no font and no image from elsewhere."""

from html import escape

from treadle.api.base import Json, moment
from treadle.api.names import short
from treadle.monitoring.draw import histogram, meter, percent, ranks

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
.healthy { color: var(--good); } .suspected, .moved { color: var(--moved); } .detected { color: var(--bad); }
.insufficient { color: var(--unsure); }
.lead { font-size: 17px; margin: 14px 0 4px; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px; margin: 20px 0 0; }
.tile, .card { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 12px 16px; }
.tile b { display: block; font-size: 22px; font-variant-numeric: tabular-nums; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(320px, 1fr)); gap: 14px; }
.card.has-moved { border-color: var(--moved); box-shadow: inset 4px 0 0 var(--moved); }
.card .head { justify-content: space-between; } .card .badge { font-size: 12px; padding: 0 9px; }
svg { display: block; width: 100%; height: auto; margin: 10px 0 6px; }
svg text { fill: var(--soft); font: 11px system-ui, "DejaVu Sans", sans-serif; }
.fill { fill: var(--window); opacity: .75; } .has-moved .fill { fill: var(--moved); }
.before { fill: var(--reference); opacity: .6; }
.step { fill: none; stroke: var(--ink); stroke-width: 1.4; opacity: .75; }
.axis { stroke: var(--line); } .track { fill: var(--line); } .limit { stroke: var(--ink); stroke-width: 1.5; }
.wide { overflow-x: auto; } .seen { min-width: 260px; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; background: var(--card); }
th, td { text-align: left; padding: 7px 10px; border-bottom: 1px solid var(--line); vertical-align: top; }
th { font-weight: 600; font-size: 13px; color: var(--soft); } td.number, th.number { text-align: right; }
td.over { color: var(--bad); font-weight: 700; }
.key { display: inline-flex; align-items: center; gap: 6px; margin-right: 16px; }
.key i { width: 18px; height: 10px; display: inline-block; background: var(--window); opacity: .75; }
.key i.one { background: var(--moved); } .key i.two { background: var(--reference); opacity: .6; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 2px 16px; margin: 0; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
@media print { body { background: #fff; } .card, .tile, tr { break-inside: avoid; } }
"""


def page(document: Json, judged_at: str) -> str:
    """Return the page of a window; document: as `report.document` makes it."""
    title = f"{document['monitor']}: {document['verdict']['outcome']}"
    body = [head(document), tiles(document), findings(document), drift(document), quality(document)]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join([*body, skipped(document), method(document), origin(document, judged_at)])
        + "\n</main>\n</body>\n</html>\n"
    )


def head(document: Json) -> str:
    """Return the title, the verdict and its one sentence."""
    outcome, window = document["verdict"]["outcome"], document["window"]
    return (
        f'<header><div class="head"><h1>{escape(document["monitor"])}</h1>'
        f'<span class="badge {outcome.lower()}">{outcome}</span></div>'
        f'<p class="soft">Predictions of {escape(document["deployment"])} from {when(window["start"])} to '
        f"{when(window['end'])} UTC, against the reference of champion "
        f"<code>{short(document['champion'])}</code></p>\n"
        f'<p class="lead">{sentence(document["verdict"]["message"])}</p></header>'
    )


def tiles(document: Json) -> str:
    """Return the counts at a glance."""
    log = document["log"]
    tested = [column for column in document["columns"] if column["drift"]]
    moved = sum(column["drift"]["moved"] for column in tested)
    facts = [
        (grouped(log["answered"]), "predictions"),
        (grouped(log["byChampion"]), "by the champion"),
        (grouped(log["refused"]), f"of {grouped(log['requests'])} requests refused"),
        (f"{moved} of {len(tested)}" if tested else "–", "columns moved"),
    ]
    shown = "".join(
        f'<div class="tile"><b>{number}</b><span class="soft">{what}</span></div>' for number, what in facts
    )
    return f'<div class="tiles">{shown}</div>'


def findings(document: Json) -> str:
    """Return the findings as a table."""
    rows = "".join(
        f"<tr><td>{escape(name)}</td><td>{found['status']}</td><td>{escape(found['reason'])}</td>"
        f'<td class="seen">{sentence(found.get("message", ""))}</td></tr>'
        for name, found in document["findings"].items()
    )
    header = "<tr><th>Finding</th><th>Status</th><th>Reason</th><th>What was seen</th></tr>"
    return f'<h2>Findings</h2><div class="wide"><table><thead>{header}</thead><tbody>{rows}</tbody></table></div>'


def drift(document: Json) -> str:
    """Return a card for each column, worst first."""
    if not document["columns"]:
        return ""
    limit = document["rules"]["drift"]["minEffect"]
    cards = "\n".join(card(column, limit) for column in document["columns"])
    legend = (
        '<p class="soft"><span class="key"><i></i>window</span>'
        '<span class="key"><i class="one"></i>window, moved</span>'
        '<span class="key"><i class="two"></i>reference (a line over numbers)</span></p>'
    )
    order = ", those that moved most first" if any(column["drift"] for column in document["columns"]) else ""
    return f'<h2>Columns{order}</h2>{legend}<div class="cards">{cards}</div>'


def card(column: Json, limit: str) -> str:
    """Return one column: its bars, its effect against the limit, and its p-value."""
    test, bars = column["drift"], column["shape"]
    moved = bool(test and test["moved"])
    state = "moved" if moved else "steady" if test else "not tested"
    drawing = histogram(bars, column["name"]) if bars["ordered"] else ranks(bars, column["name"])
    return (
        f'<section class="card{" has-moved" if moved else ""}"><div class="head"><h3>{escape(column["name"])}</h3>'
        f'<span class="badge {"moved" if moved else "soft"}">{state}</span></div>{drawing}'
        f"{nulls(column) if bars['ordered'] else ''}{meter(test, limit) if test else ''}</section>"
    )


def nulls(column: Json) -> str:
    """Return the share of nulls, which a histogram has no bar for; nothing where there are none."""
    share = column["quality"]["nulls"] if column["quality"] else {"window": "0", "reference": "0"}
    if not float(share["window"]) and not float(share["reference"]):
        return ""
    return f'<span class="soft">null: {percent(share["window"])}, in the reference {percent(share["reference"])}</span>'


def quality(document: Json) -> str:
    """Return the shares of each column against their limits."""
    limits, is_judged = document["rules"]["quality"], document["findings"]["DataFlowing"]["status"] == "True"
    rows = "".join(
        quality_row(column["name"], column["quality"], limits, is_judged=is_judged)
        for column in document["columns"]
        if column["quality"]
    )
    header = (
        '<tr><th>Column</th><th class="number">Rows</th><th class="number">Nulls</th>'
        '<th class="number">Unseen values</th><th class="number">Out of range</th></tr>'
        "<tr><th>at most, beyond the reference</th><th></th>"
        f'<th class="number">{percent(limits["maxNullFraction"])}</th>'
        f'<th class="number">{percent(limits["maxUnseenFraction"])}</th>'
        f'<th class="number">{percent(limits["maxRangeViolations"])}</th></tr>'
    )
    log = document["log"]
    share = log["refused"] / log["requests"] if log["requests"] else 0.0
    over = " over" if share > float(limits["maxRejected"]) else ""
    refused = (
        f"<p>Refused requests: {grouped(log['refused'])} of {grouped(log['requests'])} ({percent(share)}), "
        f"at most {percent(limits['maxRejected'])}{': over the limit' if over else ''}. "
        f"Failed by the server: {grouped(log['failed'])}.</p>"
    )
    table = f'<div class="wide"><table><thead>{header}</thead><tbody>{rows}</tbody></table></div>' if rows else ""
    note = "" if is_judged else '<p class="soft">Too few predictions: columns are shown and not judged.</p>'
    return f"<h2>Quality</h2>{note}{table}{refused}"


def quality_row(name: str, shares: Json, limits: Json, *, is_judged: bool) -> str:
    """Return one column's shares; what is over its limit stands out."""
    limit = ("maxNullFraction", "maxUnseenFraction", "maxRangeViolations")
    cells = [
        f'<td>{escape(name)}</td><td class="number">{grouped(shares["rows"])}</td>',
        *(
            limited(shares[kind], limits[field], is_judged=is_judged)
            for kind, field in zip(("nulls", "unseen", "outside"), limit, strict=True)
        ),
    ]
    return f"<tr>{''.join(cells)}</tr>"


def limited(share: Json | None, limit: str, *, is_judged: bool) -> str:
    """Return a share as a cell; a dash where there is nothing to hold it against."""
    if share is None:
        return '<td class="number soft">–</td>'
    before = f" ({percent(share['reference'])} in the reference)" if float(share["reference"]) else ""
    over = is_judged and float(share["beyond"]) > float(limit)
    return f'<td class="number{" over" if over else ""}">{percent(share["window"])}{before}{" ▲" if over else ""}</td>'


def skipped(document: Json) -> str:
    """Return what is not compared, and why."""
    if not document["skipped"]:
        return ""
    rows = "".join(
        f"<dt><code>{escape(item['name'])}</code></dt><dd>{escape(item['why'])}</dd>" for item in document["skipped"]
    )
    return f"<h2>Not compared</h2><dl>{rows}</dl>"


def method(document: Json) -> str:
    """Return how the verdict came about."""
    rules, log = document["rules"], document["log"]
    low, high = log["percent"]["lowest"], log["percent"]["highest"]
    logged = f"{low} %" if low == high else f"{low} to {high} % at different times, evened out to {low} %"
    lost = f", {grouped(log['dropped'])} were lost on their way to the store" if log["dropped"] else ""
    texts = [
        f"The reference is {grouped(document['reference']['rows'])} rows like those that the champion was trained on, "
        "with its scores for them. In the window, inputs are those of every answered prediction, whichever model "
        "answered; scores are the champion’s alone.",
        "A column moved if chance explains the difference with an adjusted p-value (Benjamini–Hochberg) below "
        f"{rules['drift']['alpha']} <em>and</em> the effect is at least {rules['drift']['minEffect']}: the "
        "Kolmogorov–Smirnov distance of numbers, Cramér’s V of text and booleans with both sides weighed alike. "
        f"Fewer than {grouped(rules['window']['minSamples'])} predictions are not judged.",
        f"The log holds {logged} of the predictions; {grouped(log['compared'])} rows were compared{lost}.",
    ]
    return "<h2>How this was judged</h2>" + "".join(f"<p>{text}</p>" for text in texts)


def origin(document: Json, judged_at: str) -> str:
    """Return where everything came from."""
    facts = [
        ("Run", document["run"]),
        ("Judged at", judged_at),
        ("Revision", document["window"]["revision"]),
        ("Champion", document["champion"]),
        ("Reference", document["reference"]["digest"]),
        ("Log parts", grouped(document["log"]["parts"])),
    ]
    rows = "".join(f"<dt>{name}</dt><dd><code>{escape(str(value))}</code></dd>" for name, value in facts)
    return f"<h2>Origin</h2><dl>{rows}</dl>"


def sentence(text: str) -> str:
    """Return a message as a sentence, without the name of its page, escaped."""
    bare = text.partition(" docs: ")[0].removesuffix(".")
    return escape(f"{bare[:1].upper()}{bare[1:]}.") if bare else ""


def when(text: str) -> str:
    """Return a moment as people write it."""
    parsed = moment(text)
    return f"{parsed.day} {parsed:%B %Y, %H:%M}"


def grouped(number: int) -> str:
    """Return a count with its thousands apart."""
    return f"{number:,}".replace(",", " ")
