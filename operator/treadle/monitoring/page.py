"""A judged window as one page: no script, no font and no image from elsewhere."""

from html import escape

from treadle.api.base import Json
from treadle.api.names import short
from treadle.monitoring.draw import histogram, meter, ranks
from treadle.sheet import grouped, percent, sentence, sheet, when

STYLE = """
.healthy { color: var(--good); } .suspected, .moved { color: var(--moved); } .detected { color: var(--bad); }
.insufficient { color: var(--unsure); }
.card.has-moved { border-color: var(--moved); box-shadow: inset 4px 0 0 var(--moved); }
.has-moved .fill { fill: var(--moved); } .before { fill: var(--reference); opacity: .6; }
.step { fill: none; stroke: var(--ink); stroke-width: 1.4; opacity: .75; }
.key i.one { background: var(--moved); } .seen { min-width: 260px; } td.over { color: var(--bad); font-weight: 700; }
"""


def page(document: Json, judged_at: str) -> str:
    """Return the page of a window; document: as `report.document` makes it."""
    title = f"{document['monitor']}: {document['verdict']['outcome']}"
    body = [head(document), tiles(document), findings(document), drift(document), quality(document)]
    body += [skipped(document), method(document), origin(document, judged_at)]
    return sheet(title, STYLE, body)


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
