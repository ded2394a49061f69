"""Pages as HTML, from what was read."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from treadle.api.arms import LATENCY_BOUNDS_MILLISECONDS
from treadle.api.base import Json, decimal, moment, stamp
from treadle.cli.cluster import Object
from treadle.cli.estate import Estate, Model, models, status_of
from treadle.cli.picture import picture
from treadle.cli.ui import plots, story, words
from treadle.cli.ui.markdown import rendered
from treadle.cli.ui.orders import Where, groups, of_version
from treadle.cli.ui.plots import Interval
from treadle.cli.ui.serve import asset
from treadle.cli.ui.story import Extras
from treadle.cli.ui.traffic import traffic
from treadle.cli.ui.versions import Version, brief, chosen, of_digest, title, versions
from treadle.monitoring.draw import histogram, meter, ranks

PARTS = ("Now", "Why", "Lineage", "Drift", "Versions", "Card", "Commands")
DEFAULT_LIMITS = ({"name": "ErrorRate", "maxIncrease": "0.01"}, {"name": "LatencyP99", "maxRatio": "1.5"})
"""Of an analysis without metrics: api.md, 2.3."""
ANALYSIS_TONES = {"Better": "good", "Worse": "bad"}


@dataclass(frozen=True, slots=True)
class Frame:
    """What is on every page."""

    where: Where
    server: str
    at: datetime

    @property
    def given(self) -> Json:
        """Return it as templates take it."""
        return {"at": stamp(self.at), "now": self.at, "namespace": self.where.namespace, "server": self.server}


@cache
def environment() -> Environment:
    """Return the templates, which escape whatever they are given."""
    found = Environment(
        loader=PackageLoader("treadle.cli.ui"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    spans = (words.seconds, words.ago, words.day, words.hour)
    writers = (*spans, words.percent, words.rate, words.count, words.sentence, words.capital, brief)
    found.filters |= {write.__name__: write for write in writers}
    found.globals |= {
        "style": Markup(asset("style.css")), "script": Markup(asset("refresh.js")), "icon": Markup(asset("icon.svg")),
        "whisker": _drawn(plots.whisker), "against": _drawn(plots.against), "shares": _drawn(plots.shares),
        "progress": _drawn(plots.progress), "meter": _drawn(meter), "bars": _drawn(bars),
        "reasons": reasons(), "infinity": math.inf, "slowest": LATENCY_BOUNDS_MILLISECONDS[-1] / 1000,
    }  # fmt: skip
    return found


def named(estate: Estate) -> list[Model]:
    """Return the models that have a page: those with a ModelDeployment or a run."""
    return [model for model in models(estate) if model.deployment is not None or model.runs]


def index(estate: Estate, frame: Frame) -> str:
    """Return the page of a namespace."""
    shown = named(estate)
    spare = [picture(estate, model)["data"] for model in models(estate) if model not in shown]
    sources = [source for data in spare for source in data]
    return _page("index.html", frame, estate, models=[_row(estate, model) for model in shown], sources=sources)


def _row(estate: Estate, model: Model) -> Json:
    facts, found = picture(estate, model), versions(model)
    return {
        "facts": facts,
        "badges": story.badges(facts),
        "lead": story.lead(model, facts),
        "champion": _served(model, found, "champion"),
        "total": len(found),
    }


def page(estate: Estate, model: Model, extras: Extras, frame: Frame) -> str:
    """Return the page of a model."""
    facts, found = picture(estate, model), versions(model)
    champion, shown = _served(model, found, "champion"), chosen(found)
    metric, plotted = _plotted(shown, champion)
    record = status_of(model.deployment) if model.deployment is not None else {}
    decided = story.acts(model, found)
    return _page(
        "model.html",
        frame,
        estate,
        facts=_with_age(facts, frame.at),
        family=title(model),
        base=f"/models/{model.name}",
        parts=[(name.lower(), name) for name in PARTS],
        badges=story.badges(facts),
        lead=story.lead(model, facts),
        champion=champion,
        traffic=_traffic(record, extras),
        steps=_steps(model.deployment),
        analysis=_analysis(model.deployment),
        latest=story.latest(decided),
        causes=story.causes(estate, model, frame.at, extras.around),
        steps_ahead=story.due(facts, frame.at),
        acts=decided[:8],
        requests=[{"ref": "", "reason": "", **row} for row in record.get("requests") or ()],
        conditions=story.told(model.deployment) if model.deployment is not None else [],
        chains=story.chains(model, found),
        watches=story.watches(model, facts, found, extras),
        shown_versions=shown,
        total=len(found),
        hidden=len(found) - len(shown),
        metric=metric,
        plotted=plotted,
        card_found=_card(champion, extras),
        groups=groups(model, found, frame.where, frame.at),
    )


def listing(estate: Estate, model: Model, frame: Frame) -> str:
    """Return the page of all versions of a model."""
    found = versions(model)
    champion = _served(model, found, "champion")
    metric, plotted = _plotted(found, champion)
    return _page(
        "versions.html",
        frame,
        estate,
        model=model.name,
        base=f"/models/{model.name}",
        found=found,
        made=sum(bool(each.digest) for each in found),
        champion=champion,
        metric=metric,
        plotted=plotted,
    )


def version(estate: Estate, model: Model, chosen_: Version, extras: Extras, frame: Frame) -> str:
    """Return the page of a version, or of a run that made none."""
    scales = {
        name: plots.scale(number for each in chosen_.measures if each.name == name for number in each.interval.numbers)
        for name in {each.name for each in chosen_.measures}
    }
    return _page(
        "version.html",
        frame,
        estate,
        model=model.name,
        base=f"/models/{model.name}",
        version=chosen_,
        measures=[(each, scales[each.name]) for each in chosen_.measures],
        gate={"champion": "", **chosen_.gate} if chosen_.gate else {},
        judged_against=of_digest(versions(model), chosen_.gate.get("champion")),
        origin=story.origin(model, chosen_),
        conditions=story.told(chosen_.run),
        card_found=_card(chosen_, extras),
        groups=of_version(model, chosen_, frame.where),
    )


def reason(frame: Frame, name: str) -> str | None:
    """Return what a reason means and what to do about it; None where no condition gives it."""
    text = reasons().get(name)
    if text is None:
        return None
    return _page("reason.html", frame, None, name=name, text=rendered(text, below=0))


@cache
def reasons() -> Json:
    """Return the pages of docs/reasons as `make docs` hands them on, as Markdown by reason."""
    found: Json = json.loads((files(__package__) / "reasons.json").read_text(encoding="utf-8"))
    return found


def trouble(frame: Frame, heading: str, message: str, links: Sequence[tuple[str, str]] = ()) -> str:
    """Return a page that says what is wrong, and where one may go on."""
    return _page("trouble.html", frame, None, heading=heading, message=message, links=links)


def bars(shape: Json, name: str) -> str:
    """Return a column's bars: of numbers side by side, of categories below each other."""
    return histogram(shape, name) if shape["ordered"] else ranks(shape, name)


def _page(template: str, frame: Frame, estate: Estate | None, **given: Any) -> str:
    unread = estate.unread if estate is not None else ()
    return environment().get_template(template).render(**frame.given, unread=unread, **given)


def _drawn(draw: Any) -> Any:
    """Return a drawing function for templates: what it returns is markup, in which it has escaped names itself."""
    return lambda *given, **named_: Markup(draw(*given, **named_))


def _with_age(facts: Object, now: datetime) -> Object:
    """Return the facts with what only the time tells of them."""
    serving = facts["serving"]
    if not serving or not serving["previous"]:
        return facts
    previous = {**serving["previous"], "isLoaded": moment(serving["previous"]["until"]) > now}
    return {**facts, "serving": {**serving, "previous": previous}}


def _served(model: Model, found: Sequence[Version], arm: str) -> Version | None:
    record = status_of(model.deployment) if model.deployment is not None else {}
    return of_digest(found, (record.get(arm) or {}).get("digest"))


def _plotted(shown: Sequence[Version], champion: Version | None) -> tuple[str, Json | None]:
    """Return the metric whose intervals are drawn, and its scale with the axis."""
    first = next((each.metric for each in (champion, *shown) if each is not None and each.metric is not None), None)
    if first is None:
        return "", None
    rows = [each.metric.interval.numbers for each in shown if each.metric and each.metric.name == first.name]
    scale = plots.scale(number for numbers in rows for number in numbers)
    return first.name, {"scale": scale, "axis": Markup(plots.axis(scale))}


def _steps(deployment: Object | None) -> list[Json]:
    """Return the steps of the canary, each done, now or to come."""
    if deployment is None:
        return []
    candidate = status_of(deployment).get("candidate") or {}
    begun = -1 if candidate.get("state") == "Verifying" else candidate.get("step", 0)
    steps = ((deployment["spec"].get("strategy") or {}).get("canary") or {}).get("steps") or ()
    states = ["done" if index < begun else "now" if index == begun else "to-come" for index in range(len(steps))]
    return [{"text": _step(step), "state": state} for step, state in zip(steps, states, strict=True)]


def _step(step: Object) -> str:
    if "setWeight" in step:
        return f"{step['setWeight']}\u00a0%"
    pause = (step.get("pause") or {}).get("duration")
    return f"pause {pause}" if pause else "pause until promoted"


def _analysis(deployment: Object | None) -> list[Json]:
    """Return the canary's comparisons, each with its limit."""
    if deployment is None:
        return []
    canary = (deployment["spec"].get("strategy") or {}).get("canary") or {}
    limits = (canary.get("analysis") or {}).get("metrics") or DEFAULT_LIMITS
    by_name = {limit["name"]: limit for limit in limits}
    rows = (status_of(deployment).get("candidate") or {}).get("analysis") or ()
    return [_compared(row, by_name.get(row["name"], {})) for row in rows]


def _compared(row: Object, limit: Mapping[str, str]) -> Json:
    is_ratio = "maxRatio" in limit
    pair = [float(row[arm]) if row.get(arm) is not None else math.nan for arm in ("candidate", "champion")]
    point = (pair[0] / pair[1] if pair[1] else math.nan) if is_ratio else pair[0] - pair[1]
    found = Interval(decimal(point), row.get("lower"), row.get("upper")) if math.isfinite(point) else None
    return {
        **{key: row.get(key) for key in ("name", "candidate", "champion", "lower", "upper", "verdict")},
        "interval": found,
        "what": "ratio" if is_ratio else "difference",
        "limit": limit.get("maxRatio") or limit.get("maxIncrease") or "0",
        "tone": ANALYSIS_TONES.get(row["verdict"], "warn"),
    }


def _traffic(record: Object, extras: Extras) -> Json:
    """Return what the pods counted for each arm, and in what time."""
    look, earlier = extras.look, extras.earlier
    arms = {
        arm: traffic(look, earlier, record[arm]["digest"]) if look is not None and record.get(arm) else None
        for arm in ("champion", "candidate")
    }
    if look is None:
        return {**arms, "span": "", "note": ""}
    if not look.pods:
        told = look.refused or "no serving pod told what it counts"
        return {**arms, "span": "", "note": f"No requests, errors or times are shown: {told}."}
    span = f"in {words.seconds((look.at - earlier.at).total_seconds())}" if earlier else "since the pods started"
    note = f"Requests, errors and times are those of {len(look.pods)} of {look.asked} pods, from their /metrics."
    return {**arms, "span": span, "note": note}


def _card(chosen_: Version | None, extras: Extras) -> Json:
    """Return a version's card, or a sentence that says why there is none to show."""
    if chosen_ is None:
        return {"html": "", "digest": "", "note": "no version answers, so that there is no card to show"}
    digest = chosen_.card
    text = extras.cards.get(digest)
    note = f"the run of {chosen_.name} has recorded no card"
    if digest:
        note = f"the card {brief(digest)} of {chosen_.name} lies in the bucket: {extras.no_card or story.LATE}"
    if text is None:
        return {"html": "", "digest": digest, "note": note}
    return {"html": rendered(text, below=2), "digest": digest, "note": ""}
