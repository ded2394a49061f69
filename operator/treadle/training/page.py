"""A judged run as one page: what it made, what the gate saw, and what its numbers do not say."""

from html import escape

from treadle.api.base import Json
from treadle.api.causes import cause
from treadle.api.names import short
from treadle.sheet import bare, grouped, sheet, when
from treadle.training.card import opened
from treadle.training.draw import bars, curve, density, interval, matrix, reliability, span, told

STYLE = """
.promote, .pass { color: var(--good); } .reject, .fail { color: var(--bad); }
.hold, .inconclusive, .open { color: var(--unsure); }
.tile .soft { display: block; }
.line { min-width: 180px; margin: 2px 0; } td.drawn { width: 40%; }
.reach { stroke: var(--window); stroke-width: 3; opacity: .45; } .dot { fill: var(--window); }
.frame { fill: none; stroke: var(--line); } .chance { stroke: var(--reference); stroke-dasharray: 3 4; }
polyline { fill: none; stroke-width: 2; } polyline.challenger { stroke: var(--window); }
polyline.champion { stroke: var(--reference); } .dot.champion { fill: var(--reference); }
.reach.champion { stroke: var(--reference); } .reach.challenger, .reach.champion { stroke-width: 1.5; }
.matrix td { position: relative; } .shade { position: absolute; inset: 0; background: var(--window); }
.matrix b, .matrix .soft { position: relative; }
.cards.few { grid-template-columns: repeat(auto-fill, minmax(280px, 1fr)); }
"""


def page(document: Json) -> str:
    """Return the page of a run; document: as `report.document` makes it."""
    model = document["model"]
    title = f"{model['name']} {model['version']}: {document['verdict']['outcome']}"
    parts = (head, tiles, gate, metrics, drawings, limits, data, making, origin)
    return sheet(title, STYLE, [part(document) for part in parts])


def head(document: Json) -> str:
    """Return the title, the verdict and its one sentence."""
    model, verdict = document["model"], document["verdict"]
    return (
        f'<header><div class="head"><h1>{escape(model["name"])} {escape(model["version"])}</h1>'
        f'<span class="badge {verdict["outcome"].lower()}">{verdict["outcome"]}</span></div>'
        f'<p class="soft">{escape(document["estimator"]["name"])} predicts <code>{escape(document["target"])}</code>, '
        f"judged on {when(document['decidedAt'])} UTC; {escape(cause(document['cause']))}</p>\n"
        f'<p class="lead">{escape(bare(verdict["message"]))}</p></header>'
    )


def tiles(document: Json) -> str:
    """Return the numbers at a glance."""
    found, judged = document["data"], document["gate"]
    objective = next(
        row for row in document["metrics"] if row["name"] == document["objective"]["metric"] and not row.get("slice")
    )
    bounds = f" [{objective['lower']}, {objective['upper']}]" if "lower" in objective else " [unknown]"
    facts = [
        (objective["value"], f"{objective['name']}{bounds}"),
        (judged.get("championValue", "–"), _champion(judged)),
        (grouped(found["trainRows"]), "train rows learnt from"),
        (grouped(judged["rows"]), f"holdout rows, verdict {judged['holdoutUses']} of {_most(judged)}"),
    ]
    shown = "".join(
        f'<div class="tile"><b>{number}</b><span class="soft">{escape(what)}</span></div>' for number, what in facts
    )
    return f'<div class="tiles">{shown}</div>'


def gate(document: Json) -> str:
    """Return each check, drawn against what was needed."""
    found = document["gate"]
    if not found["checks"]:
        return "<h2>Gate</h2><p>There was no champion to beat, and no floor was asked for.</p>"
    rows = "".join(checked(check) for check in found["checks"])
    header = '<tr><th>Check</th><th>Result</th><th class="number">Needed</th><th>Found</th><th></th></tr>'
    note = (
        '<p class="soft">A check passes if the whole interval is on the right side of the line, fails if the whole is '
        "on the wrong side, and is open otherwise.</p>"
    )
    return f'<h2>Gate</h2>{note}<div class="wide"><table><thead>{header}</thead><tbody>{rows}</tbody></table></div>'


def checked(check: Json) -> str:
    """Return a check as a row."""
    limit, name = check["threshold"], check["name"]
    drawn = interval(check, *span([check], limit), limit=limit, name=name)
    badge = f'<span class="badge {check["result"].lower()}">{check["result"]}</span>'
    return (
        f'<tr><td>{escape(name)}</td><td>{badge}</td><td class="number">{limit}</td><td>{told(check)}</td>'
        f'<td class="drawn">{drawn}</td></tr>'
    )


def metrics(document: Json) -> str:
    """Return every metric over all rows and for each slice, on one line a metric."""
    how = document["bootstrap"]
    counts = {None: document["gate"]["rows"], **{part["name"]: part["rows"] for part in document["slices"]}}
    names = list(dict.fromkeys(row["name"] for row in document["metrics"]))
    rows = ""
    for name in names:
        ours = [row for row in document["metrics"] if row["name"] == name]
        rows += "".join(measured(row, counts[row.get("slice")], span(ours)) for row in ours)
    header = '<tr><th>Metric</th><th>Slice</th><th class="number">Rows</th><th>Value</th><th></th></tr>'
    note = f'<p class="soft">Intervals hold {how["confidence"]} of {grouped(how["samples"])} bootstrap resamples.</p>'
    slices = "".join(
        f"<dt>{escape(part['name'])}</dt><dd><code>{escape(part['expression'])}</code></dd>"
        for part in document["slices"]
    )
    listed = f"<dl>{slices}</dl>" if slices else ""
    table = f'<div class="wide"><table><thead>{header}</thead><tbody>{rows}</tbody></table></div>'
    return f"<h2>Metrics on the holdout</h2>{note}{table}{listed}"


def measured(row: Json, count: int, ends: tuple[float, float]) -> str:
    """Return a metric as a row; ends: of the line that it shares with those of the other slices."""
    where = row.get("slice") or "all rows"
    drawn = interval(row, *ends, name=f"{row['name']}, {where}")
    return (
        f'<tr><td>{row["name"]}</td><td>{escape(where)}</td><td class="number">{grouped(count)}</td>'
        f'<td>{told(row)}</td><td class="drawn">{drawn}</td></tr>'
    )


def drawings(document: Json) -> str:
    """Return the curves that this task has."""
    found = document["curves"]
    cards = []
    if "roc" in found:
        base = f"{found['positives']} of {document['gate']['rows']} rows are positive"
        cards += [
            ("ROC", curve(found["roc"], "false positives", "true positives", diagonal=True, name="ROC curve"), base),
            (
                "Precision and recall",
                curve(found["precisionRecall"], "recall", "precision", diagonal=False, name="precision by recall"),
                base,
            ),
            ("Calibration", reliability(found["calibration"], "calibration"), "a bin of ten each, with its interval"),
        ]
    if "regression" in found:
        grid = found["regression"]
        cards += [
            ("Predicted and happened", density(grid, "predicted by happened"), f"{grid['outside']} rows lie outside"),
            ("Residuals", bars(grid["residuals"], "residuals"), "predicted less happened, the middle 99 %"),
        ]
    keys = (("", "this model"), (' class="two"', "champion"))
    legend = "".join(f'<span class="key"><i{kind}></i>{name}</span>' for kind, name in keys)
    sides = f'<p class="soft">{legend}</p>' if "champion" in found.get("roc", {}) else ""
    shown = "".join(
        f'<section class="card"><h3>{name}</h3>{drawing}<span class="soft">{note}</span></section>'
        for name, drawing, note in cards
    )
    confused = f"<h2>Which was called which</h2>{matrix(found['confusion'])}" if "confusion" in found else ""
    return (f'<h2>Answers</h2>{sides}<div class="cards few">{shown}</div>' if cards else "") + confused


def limits(document: Json) -> str:
    """Return what these numbers do not say."""
    listed = "".join(f"<li>{escape(text)}</li>" for text in document["limits"])
    return f"<h2>What these numbers do not say</h2><ul>{listed}</ul>"


def data(document: Json) -> str:
    """Return the parts and columns of the version."""
    parts = "".join(
        f'<tr><td>{name}</td><td class="number">{grouped(part["rows"])}</td><td>{part.get("from", "")}</td>'
        f"<td>{part.get('until', '')}</td></tr>"
        for name, part in document["data"]["splits"].items()
    )
    columns = "".join(
        f"<tr><td>{escape(column['name'])}</td><td>{column['type']}</td><td>{column['role']}</td>"
        f"<td>{'yes' if column['used'] else ''}</td><td>{column['classification']}"
        f"{', ' + column['action'].lower() if 'action' in column else ''}</td><td>{escape(column['seen'])}</td></tr>"
        for column in document["columns"]
    )
    return (
        f"<h2>Data</h2><p>Version <code>{document['data']['digest']}</code> of DataSource "
        f"{escape(document['data']['name'])}.</p>"
        '<div class="wide"><table><thead><tr><th>Part</th><th class="number">Rows</th><th>From</th><th>Until</th></tr>'
        f"</thead><tbody>{parts}</tbody></table></div><br>"
        '<div class="wide"><table><thead><tr><th>Column</th><th>Type</th><th>Role</th><th>Input</th><th>Class</th>'
        f"<th>In the train rows</th></tr></thead><tbody>{columns}</tbody></table></div>"
    )


def making(document: Json) -> str:
    """Return how it was made."""
    parameters = document["estimator"].get("parameters") or {}
    steps = document["preparation"].get("transforms") or []
    prepared = "; ".join(
        [document["preparation"]["mode"], *(f"{one['type']} {', '.join(one['columns'])}" for one in steps)]
    )
    facts = [
        ("Estimator", document["estimator"]["name"]),
        *sorted(parameters.items()),
        ("Preparation", prepared),
        ("Seed", document["seed"]),
        ("Format", f"{document['model']['format']}, {opened(document)}"),
    ]
    return "<h2>How it was made</h2>" + _listed(facts)


def origin(document: Json) -> str:
    """Return where everything came from."""
    owner, model = document["object"], document["model"]
    facts = [
        ("Model", model["digest"]),
        ("Data", document["data"]["digest"]),
        ("Holdout", document["gate"]["holdoutDigest"]),
        *([("Champion", document["gate"]["champion"])] if "champion" in document["gate"] else []),
        ("Run", f"{owner['kind']} {owner['name']}, {document['run']}"),
        ("Treadle", document["environment"].get("sourceRevision", "")),
        ("Packages", document["environment"].get("packagesDigest", "")),
    ]
    return "<h2>Origin</h2>" + _listed(facts)


def _listed(facts: list[tuple[str, object]]) -> str:
    rows = "".join(f"<dt>{escape(name)}</dt><dd><code>{escape(str(value))}</code></dd>" for name, value in facts)
    return f"<dl>{rows}</dl>"


def _champion(judged: Json) -> str:
    if "champion" not in judged:
        return "no champion to beat"
    name = judged["championName"] or short(judged["champion"])
    return f"{judged['metric']} of champion {name}" if "championValue" in judged else f"champion {name}, not scored"


def _most(judged: Json) -> int:
    return int(judged["rules"].get("maxHoldoutUses", 50))
