"""A picture as lines of text, part by part."""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from treadle.cli.cluster import Object
from treadle.cli.rows import SYMBOLS, Line, Row, Span, flow, table

NARROWEST, WIDEST = 80, 160
BAR = 20
CUT = ("gate", "data", "training", "monitor", "serving", "canary")
MOST_CHECKS = 8
MOST_COLUMNS = 3
MOST_REFUSED = 2
COMPARED = {"Better": "good", "Worse": "bad"}
TOLD = ("DailyLimit", "VerdictStale", "InvalidSpec", "WaitingForDataSource")
"""Why no run starts, where that is nothing that another part says."""
RESULTS = {"Pass": "good", "Fail": "bad", "Open": "look"}
WINDOWS = {"Healthy": "✓", "Suspected": "!", "Detected": "✗", "Insufficient": "·"}


def screen(facts: Object, now: datetime, width: int, height: int = 0) -> list[Line]:
    """Return one model's lines, none of them wider than `width`, which is 80 at least and 160 at most.

    height: if more lines than that are needed, parts are cut to their first rows, the least needed ones first.
    """
    room = min(max(width, NARROWEST), WIDEST)
    parts = {
        "data": [row for each in facts["data"] for row in _data(each, now)],
        "training": list(_training(facts["training"], now)) if facts["training"] else [],
        "gate": list(_gate(facts["gate"])) if facts["gate"] else [],
        "serving": list(_serving(facts["serving"], now)) if facts["serving"] else [],
        "canary": [*(_canary(facts["canary"], now) if facts["canary"] else ()), *_refusals(facts, now)],
        "monitor": [row for each in facts["monitor"] for row in _monitor(each, now)],
        "next": [_step(step, now) for step in facts["next"]],
    }
    for name in CUT:
        if height and len(_lines(facts, parts, room)) > height:
            parts[name] = parts[name][:1]
    return _lines(facts, parts, room)


def _lines(facts: Object, parts: Mapping[str, Sequence[Row]], width: int) -> list[Line]:
    rows = [
        line for name, rows in parts.items() for number, row in enumerate(rows)
        for line in row.lines(width, "" if number else name)
    ]  # fmt: skip
    return [*_title(facts, width), *rows]


def overview(pictures: Sequence[Object], now: datetime, width: int) -> list[Line]:
    """Return a line or two for each model: how it stands, what answers, and what comes next."""
    room = min(max(width, NARROWEST), WIDEST)
    longest = min(max(len(facts["model"]) for facts in pictures), 40)
    return [line for facts in pictures for line in _summary(facts, now, longest, room)]


def _title(facts: Object, width: int) -> list[Line]:
    """Return the model's name with how it stands, and what its summary says."""
    mark = facts["mark"]
    word = f"{SYMBOLS[mark]} {facts['reason'] or 'nothing is there yet'}"
    name = f"{facts['model']} in {facts['namespace']}"
    gap = max(2, width - len(name) - len(word))
    head: Line = [(facts["model"], "bold"), (f" in {facts['namespace']}", "dim"), (" " * gap, ""), (word, mark)]
    # What another object says stands in its part.
    told = facts["message"] if str(facts["object"]).startswith("ModelDeployment/") else ""
    said = textwrap.wrap(told, width - 2, break_on_hyphens=False)
    return [head, *([("  ", ""), (piece, "")] for piece in said)]


def _summary(facts: Object, now: datetime, longest: int, width: int) -> Iterator[Line]:
    mark, serving, canary = facts["mark"], facts["serving"] or {}, facts["canary"]
    champion = (serving.get("champion") or {}).get("version")
    run = next((each for each in (facts["training"] or {}).get("runs", ()) if each["running"]), None)
    row = Row(
        mark,
        (facts["reason"] or "nothing is there yet", mark),
        (f"{champion} answers in {serving['ready']} of {serving['wanted']}", "") if champion else None,
        (f"run at {run['running']['percentage']} %", "busy") if run else None,
        (f"{canary['version']} at {canary['weight']} %", "busy") if canary else None,
        *(
            (f"window {(each['window'] or {}).get('verdict') or each['reason']}", each["mark"])
            for each in facts["monitor"]
        ),
    )
    name = facts["model"]
    shown = name if len(name) <= longest else f"{name[: longest - 1]}…"
    head: Line = [(f"{SYMBOLS[mark]} ", mark), (f"{shown:<{longest}}  ", "bold")]
    hang: Line = [(" " * (longest + 4), "")]
    for number, line in enumerate(flow(row.segments, width - longest - 4)):
        yield [*(head if number == 0 else hang), *line]
    for step in facts["next"][:1]:
        for line in flow(_step(step, now).segments, width - longest - 6):
            yield [*hang, ("  ", ""), *line]


# The parts.


def _data(source: Object, now: datetime) -> Iterator[Row]:
    name, attempt = source["name"], source["attempt"]
    if source["version"]:
        warned = (f"{source['warnings']} warnings", "look") if source["warnings"] else None
        published = (f"published {ago(source['publishedAt'], now)}", "")
        yield Row(
            source["mark"], (name, "bold"), (f"version {source['version']}", ""), (f"{source['rows']:,} rows", ""),
            published, warned,
        )  # fmt: skip
    else:
        yield Row(source["mark"], (name, "bold"), (source["reason"], source["mark"]), ("no version yet", ""))
    if source["running"]:
        yield Row("", *_bar(source["running"], "fetching"))
    elif attempt and attempt["result"] and attempt["endedAt"]:
        is_refused = attempt["result"] in ("Rejected", "Failed")
        last = f"last fetch {ago(attempt['endedAt'], now)}: {attempt['result']}"
        yield Row("", (last, "look" if is_refused else ""), _until("next", source["nextAt"], now))
    elif source["nextAt"]:
        yield Row("", _until("next fetch", source["nextAt"], now))
    if source["mark"] in ("bad", "look") or source["reason"] in ("Missing", "Suspended"):
        yield Row("", (source["message"], ""))


def _training(training: Object, now: datetime) -> Iterator[Row]:
    last = training["last"]
    for run in training["runs"]:
        bar = _bar(run["running"], "training") if run["running"] else [(run["reason"], run["mark"])]
        yield Row(run["mark"], (run["name"], "bold"), *bar, *_cause(run))
        if not run["running"]:
            yield Row("", (run["message"], ""))
    if last:
        metric = last["metric"]
        yield Row(
            last["mark"], (last["name"], "bold"), (last["reason"], last["mark"]), (ago(last["endedAt"], now), ""),
            (_metric(metric), "") if metric else None,
            (f"model {last['model']['version']}", "") if last["model"] else None, *_cause(last),
        )  # fmt: skip
        if last["mark"] != "good":
            yield Row("", (last["message"], ""))
    if not last and not training["runs"]:
        yield Row("none", ("no run yet", ""), *([(training["message"], "")] if training["message"] else []))
    elif training["reason"] in TOLD and not training["runs"]:
        yield Row("", (f"{training['reason']}: {training['message']}", "look"))


def _cause(run: Object) -> list[Span | Line | None]:
    trigger = run["trigger"]
    if not trigger or trigger["kind"] == "Manual":
        return []
    asked = f"asked by {trigger['by']}" if trigger["by"] else f"by {trigger['kind'].lower()}"
    return [(f"{asked}, {trigger['reason']}" if trigger["reason"] else asked, "dim")]


def _gate(gate: Object) -> Iterator[Row]:
    against = f"against champion {gate['champion']}" if gate["champion"] else "no champion to beat"
    uses = gate["holdoutUses"]
    yield Row(
        gate["mark"], (f"{gate['verdict']}", gate["mark"]), (against, ""),
        (f"{gate['rows']:,} holdout rows", "") if gate["rows"] else None,
        (f"used {uses} time{'s' if uses != 1 else ''}", "dim") if uses else None,
    )  # fmt: skip
    checks = gate["checks"][:MOST_CHECKS]
    rows = [(check["name"], interval(check), f"needed {check['threshold']}", check["result"]) for check in checks]
    yield from table(rows, [RESULTS.get(check["result"], "none") for check in checks])


def _serving(serving: Object, now: datetime) -> Iterator[Row]:
    champion, previous = serving["champion"], serving["previous"]
    ready = f"{serving['ready']} of {serving['wanted']} pod{'s' if serving['wanted'] != 1 else ''} ready"
    if champion:
        yield Row(
            serving["mark"], [(champion["version"], "bold"), (f" {champion['digest'][7:19]}", "")],
            (f"for {age(champion['since'], now)}", ""),
            (ready, "" if serving["ready"] >= serving["wanted"] else "look"), (serving["endpoint"], ""),
        )  # fmt: skip
    else:
        yield Row(serving["mark"], ("nothing answers", serving["mark"]), (serving["reason"], serving["mark"]))
    logged, dropped = serving["logged"], serving["dropped"]
    row = Row(
        "", (f"{logged:,} predictions logged", "") if logged else None,
        (f"{dropped:,} lost to a full buffer", "look") if dropped else None,
        (f"{previous['version']} stays loaded for {until(previous['until'], now)}", "dim")
        if previous and previous["until"] > _stamp(now) else None,
    )  # fmt: skip
    if row.segments:
        yield row
    for trouble in serving["troubles"]:
        if trouble["reason"] != serving["reason"]:
            yield Row("", (f"{trouble['type']} is False: {trouble['reason']}: {trouble['message']}", "look"))


def _canary(canary: Object, now: datetime) -> Iterator[Row]:
    samples = canary["samples"]
    weight = f"{_blocks(canary['weight'])}  {canary['weight']} %"
    where = f"step {canary['step']} of {canary['steps']}" if canary["steps"] else "no steps"
    yield Row(
        canary["mark"], [(canary["version"], "bold"), (f" {canary['digest'][7:19]}", "")],
        (weight, canary["mark"]), (canary["state"], canary["mark"]), (where, ""), (ago(canary["since"], now), ""),
    )  # fmt: skip
    if canary["weight"]:
        needed = samples["needed"]
        yield Row(
            "", (f"{samples['candidate']:,} of {needed:,} answers", ""),
            (f"champion {samples['champion']:,} of {needed:,}", ""),
            (f"may go on {_due(canary['until'], now)}", "")
            if canary["until"] and canary["state"] == "Canary" else None,
        )  # fmt: skip
    rows = [
        (
            row["name"],
            f"{rounded(row['candidate'])} beside {rounded(row['champion'])}",
            f"{'ratio' if row['name'].startswith('Latency') else 'difference'} {bounds(row)}",
            row["verdict"],
        )
        for row in canary["analysis"]
    ]
    yield from table(rows, [COMPARED.get(row["verdict"], "look") for row in canary["analysis"]])


def _refusals(facts: Object, now: datetime) -> list[Row]:
    return [_left(row, now) for row in facts["quarantined"][:MOST_REFUSED] if row["until"] > _stamp(now)]


def _left(row: Object, now: datetime) -> Row:
    name: Line = [
        (row["version"], "bold"),
        ("" if row["digest"][7:19] == row["version"] else f" {row['digest'][7:19]}", ""),
    ]
    return Row(
        "look", name, (f"refused: {row['reason']}", "look"), (f"not tried again for {until(row['until'], now)}", "")
    )


def _monitor(monitor: Object, now: datetime) -> Iterator[Row]:
    window, drift, blocked = monitor["window"], monitor["drift"], monitor["blocked"]
    verdict = window["verdict"] if window else monitor["reason"]
    told = (verdict, monitor["mark"])
    if window:
        counted = f"{window['samples']:,} predictions"
        few = f" of {window['needed']:,} needed" if window["samples"] < window["needed"] else ""
        judged = (f"window ended {ago(window['end'], now)}", "")
        yield Row(monitor["mark"], (monitor["name"], "bold"), told, (counted + few, "look" if few else ""), judged,
                  _history(monitor["windows"]))  # fmt: skip
    else:
        yield Row(monitor["mark"], (monitor["name"], "bold"), told, ("no window judged yet", ""))
    if monitor["running"]:
        yield Row("", *_bar(monitor["running"], "judging"))
    if drift:
        worst = [f"{row['name']} {row['effect']}" for row in drift["columns"][:MOST_COLUMNS]]
        yield Row("", (f"{_percent(drift['score'])} of the columns moved", ""), (f"most: {', '.join(worst)}", ""))
    if monitor["mark"] != "good" and monitor["reason"] != "Watching" and monitor["message"]:
        yield Row("", (f"{monitor['reason']}: {monitor['message']}", ""))
    if blocked:
        yield Row("", (f"retrain blocked: {blocked['reason']}: {blocked['message']}", "look"))
    elif monitor["request"]:
        request = monitor["request"]
        asked = f"asked for {request['action']} {ago(request['requestedAt'], now)}: {request['cause']}"
        yield Row("", (asked, "busy"))


def _history(verdicts: Sequence[str]) -> Line | None:
    """Return the last verdicts, oldest first, as symbols; one alone says nothing new."""
    if len(verdicts) < 2:
        return None
    marks = {"Healthy": "good", "Suspected": "look", "Detected": "bad", "Insufficient": "waiting"}
    return [("last ", "dim"), *((WINDOWS.get(each, "?"), marks.get(each, "")) for each in reversed(verdicts))]


def _step(step: Object, now: datetime) -> Row:
    lead = "→ you: " if step["by"] == "you" else f"{_due(step['at'], now)}: " if step["at"] else ""
    told: Line = [*([(lead, "look" if step["by"] == "you" else "busy")] if lead else []), (step["what"], "")]
    return Row("", told, *((f"$ {command}", "bold") for command in step["commands"]))


# Words for numbers and times.


def _bar(running: Object, what: str) -> list[Span | Line | None]:
    left = running["remainingSeconds"]
    shown = f"{_blocks(running['percentage'])} {running['percentage']:>3} %"
    return [
        (shown, "busy"),
        (f"{running['stage'] or what}", ""),
        (f"about {seconds(left)} left", "") if left else None,
    ]


def _blocks(percentage: int) -> str:
    full = round(BAR * percentage / 100)
    return "█" * full + "░" * (BAR - full)


def _metric(metric: Object) -> str:
    return f"{metric['name']} {interval(metric)}"


def interval(found: Object) -> str:
    """Return a value with its interval, as far as there is one."""
    value = rounded(found["value"])
    return value if found["lower"] is None and found["upper"] is None else f"{value} {bounds(found)}"


def bounds(found: Object) -> str:
    """Return an interval; a side without a bound is infinite."""
    lower, upper = found["lower"], found["upper"]
    return f"[{rounded(lower) if lower else '-∞'}, {rounded(upper) if upper else '∞'}]"


def rounded(number: str | None) -> str:
    """Return a number of status with three significant digits, or as many as it has before its point."""
    if number is None:
        return "unknown"
    value = float(number)
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}" if "e" not in f"{value:.3g}" else f"{value:.1e}"


def _percent(share: str) -> str:
    return f"{float(share) * 100:.3g} %"


def _until(what: str, time: str | None, now: datetime) -> Span | None:
    return (f"{what} {_due(time, now)}", "") if time else None


def _due(time: str | None, now: datetime) -> str:
    left = (datetime.fromisoformat(time) - now).total_seconds() if time else 0
    return f"in {seconds(left)}" if left > 0 else "now"


def ago(time: str, now: datetime) -> str:
    """Return how long ago something was."""
    return f"{age(time, now)} ago"


def age(time: str, now: datetime) -> str:
    """Return how long something has lasted."""
    return seconds(max(0.0, (now - datetime.fromisoformat(time)).total_seconds()))


def until(time: str, now: datetime) -> str:
    """Return how long something still lasts."""
    return seconds(max(0.0, (datetime.fromisoformat(time) - now).total_seconds()))


def seconds(number: float) -> str:
    """Return a duration in its largest unit, as people say it."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if number >= 2 * size or (number >= size and unit == "min"):
            return f"{number // size:.0f} {unit}"
    return f"{number // 1:.0f} s"


def _stamp(now: datetime) -> str:
    return now.strftime("%Y-%m-%dT%H:%M:%SZ")
