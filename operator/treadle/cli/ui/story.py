"""What a model's page tells beside its facts: how it stands, why, where it came from, and what is watched."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from treadle.api.base import Json, moment
from treadle.api.names import short
from treadle.cli.causes import chain
from treadle.cli.causes.link import GOOD, NOTHING_KNOWN, Around, Link
from treadle.cli.cluster import Object
from treadle.cli.estate import Estate, Model, condition, conditions, name_of, status_of
from treadle.cli.ui.plots import Interval
from treadle.cli.ui.traffic import Look
from treadle.cli.ui.versions import Version, called, of_digest

TONES = {"good": "good", "busy": "busy", "waiting": "idle", "look": "warn", "bad": "bad", "none": "idle"}
"""Of the marks that facts carry."""
VERDICT_TONES = {"Healthy": "good", "Suspected": "warn", "Detected": "bad", "Insufficient": "idle"}
ACTION_TONES = {"Promote": "good", "Rollback": "bad", "Refuse": "bad", "Withdraw": "warn", "Quarantine": "warn"}
FINDINGS = {"DriftSuspected": "drift", "DriftDetected": "drift", "QualityBreached": "quality"}
LATE = "the bucket has not answered yet; load the page again"
MIN_EFFECT, ALPHA = "0.1", "0.01"
"""The defaults of a Monitor's drift block."""


@dataclass(frozen=True, slots=True)
class Extras:
    """What a page may show beside the objects: read with the user's own rights, or a sentence that says why not."""

    look: Look | None = None
    earlier: Look | None = None
    windows: Mapping[str, Json | str] = field(default_factory=dict)
    """By Monitor: its last window as the store has it."""
    cards: Mapping[str, str] = field(default_factory=dict)
    """By digest of a card: its Markdown."""
    no_card: str = ""
    """Why a card cannot be shown."""
    around: Around = NOTHING_KNOWN
    """What lies around the objects, for causes."""


@dataclass(frozen=True, slots=True)
class Badge:
    """How one side of a model stands, in a word."""

    side: str
    word: str
    tone: str


@dataclass(frozen=True, slots=True)
class Act:
    """A decision, or the end of a run that decided something."""

    time: str
    actor: str
    action: str
    reason: str
    message: str
    subject: str = ""
    """The digest that it is about."""
    version: Version | None = None
    """The version that it is about, where its run is known."""

    @property
    def tone(self) -> str:
        """Return how it is to be read."""
        if self.version is not None and self.action == "Judge":
            return self.version.tone
        return ACTION_TONES.get(self.action, "busy")


@dataclass(frozen=True, slots=True)
class Condition:
    """What an object says of itself."""

    kind: str
    name: str
    type: str
    status: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Cause:
    """The way from an object that is not as it should be to what is to be mended."""

    links: tuple[Link, ...]
    mark: str

    @property
    def tone(self) -> str:
        """Return how it is to be read."""
        return TONES[self.mark]

    @property
    def last(self) -> Link:
        """Return the link that says what to do, where one does."""
        return chain.cause(self.links)


@dataclass(frozen=True, slots=True)
class Box:
    """One link of the chain from data to answers."""

    what: str
    title: str
    href: str = ""
    digest: str = ""
    said: str = ""
    """When, in words, before the time."""
    time: str = ""
    cause: str = ""
    rows: int | None = None
    metric: tuple[str, Interval] | None = None


@dataclass(frozen=True, slots=True)
class Chain:
    """How a served model came about."""

    version: str
    arm: str
    boxes: tuple[Box, ...]


@dataclass(frozen=True, slots=True)
class Window:
    """A judged stretch of the log."""

    start: str
    verdict: str
    breached: tuple[str, ...]
    champion: str
    """Its version, or the digits of its digest."""
    is_new_champion: bool

    @property
    def tone(self) -> str:
        """Return how it is to be read."""
        return VERDICT_TONES.get(self.verdict, "idle")

    @property
    def findings(self) -> list[str]:
        """Return what was found, in short."""
        return list(dict.fromkeys(FINDINGS.get(found, found) for found in self.breached))


@dataclass(frozen=True, slots=True)
class Column:
    """How far a column moved, with its bars where the store could be read."""

    test: Object
    shape: Json | None
    is_moved: bool


@dataclass(frozen=True, slots=True)
class Watch:
    """A Monitor with what it saw."""

    facts: Object
    windows: tuple[Window, ...]
    """Oldest first, as one reads a line."""
    columns: tuple[Column, ...]
    min_effect: str
    alpha: str
    rows: int | None
    """Of the reference."""
    note: str
    """Why there are no bars."""

    @property
    def moved(self) -> int:
        """Return how many of the shown columns moved."""
        return sum(column.is_moved for column in self.columns)


def badges(facts: Object) -> list[Badge]:
    """Return how serving, the trial and the watching stand."""
    serving, canary = facts["serving"], facts["canary"]
    if serving is None:
        found = [Badge("serving", "No deployment", "idle")]
    else:
        found = [Badge("serving", serving["reason"], TONES[serving["mark"]])]
    if canary is not None:
        word = canary["state"] if canary["state"] == "Verifying" else f"{canary['state']} {canary['weight']}\u00a0%"
        found.append(Badge("trial", word, TONES[canary["mark"]]))
    for monitor in facts["monitor"]:
        verdict = monitor["window"]["verdict"] if monitor["window"] else monitor["reason"]
        found.append(Badge("inputs", verdict, VERDICT_TONES.get(verdict, TONES[monitor["mark"]])))
    return found


def lead(model: Model, facts: Object) -> list[str]:
    """Return the answer, as the conditions give it."""
    if model.deployment is None:
        first = f"no ModelDeployment serves {model.name}; {facts['message'] or 'nothing was judged yet'}"
        return [first]
    progressing = condition(model.deployment, "Progressing")
    trial = [str(progressing["message"])] if progressing.get("status") == "True" else []
    return [facts["message"] or "the operator has not looked at it yet", *trial]


def acts(model: Model, found: Sequence[Version]) -> list[Act]:
    """Return what was decided, and what the gate refused, newest first."""
    record = status_of(model.deployment) if model.deployment is not None else {}
    decided = [_decision(row, found) for row in record.get("decisions") or ()]
    judged = [
        Act(each.at, "gate", "Judge", each.verdict, each.message, each.digest, each)
        for each in found
        if status_of(each.run).get("completionTime")
    ]
    # Of two at one time the decision follows the verdict that it rests on.
    return sorted([*decided, *judged], key=lambda act: act.time, reverse=True)


def latest(found: Sequence[Act]) -> Act | None:
    """Return the last decision or verdict about a model; the start of a run is none."""
    return next((act for act in found if act.action != "Retrain"), next(iter(found), None))


def causes(estate: Estate, model: Model, now: datetime, around: Around) -> list[Cause]:
    """Return what is not as it should be, each followed to its cause, the worst first."""
    mine = {(thing["kind"], name_of(thing)) for thing in model.objects}
    targets = [target for target in chain.current(estate) if target in mine]
    found = [Cause(links, chain.mark(links)) for links in chain.ranked(estate, targets, now, around)]
    return [cause for cause in found if cause.mark != GOOD]


def told(thing: Object) -> list[Condition]:
    """Return all conditions of an object."""
    return [_told(thing, each) for each in conditions(thing)]


def chains(model: Model, found: Sequence[Version]) -> list[Chain]:
    """Return how the champion and the candidate came about."""
    record = status_of(model.deployment) if model.deployment is not None else {}
    decided = record.get("decisions") or ()
    arms = [(arm, record[arm]) for arm in ("champion", "candidate") if record.get(arm)]
    return [Chain(held["version"], arm, tuple(_boxes(model, found, arm, held, decided))) for arm, held in arms]


def origin(model: Model, version: Version) -> Chain:
    """Return how a version came about, up to the model."""
    held = {"version": version.name, "digest": version.digest, "dataDigest": version.data, "trainingJob": ""}
    boxes = [_data_box(model, version.data, version), _run_box(version, {}), _model_box(version, held)]
    return Chain(version.name, "version", tuple(boxes if version.digest else boxes[:2]))


def watches(model: Model, facts: Object, found: Sequence[Version], extras: Extras) -> list[Watch]:
    """Return every Monitor of a model with what it saw."""
    by_name = {each["name"]: each for each in facts["monitor"]}
    return [_watch(each, by_name[name_of(each)], found, extras.windows) for each in model.monitors]


def _decision(row: Object, found: Sequence[Version]) -> Act:
    subject = str(row.get("subject") or "")
    # A retrain is about data, all else about a model.
    version = None if row["action"] == "Retrain" else of_digest(found, subject)
    return Act(row["time"], row["actor"], row["action"], row["reason"], row.get("message") or "", subject, version)


def _told(thing: Object, each: Object) -> Condition:
    message = str(each.get("message") or "")
    return Condition(thing["kind"], name_of(thing), each["type"], each["status"], each["reason"], message)


def _boxes(model: Model, found: Sequence[Version], arm: str, held: Object, decided: Sequence[Object]) -> Iterator[Box]:
    version = of_digest(found, held["digest"]) or called(found, held.get("trainingJob") or "")
    yield _data_box(model, held.get("dataDigest") or "", version)
    yield _run_box(version, held)
    yield _model_box(version, held)
    wanted = "Promote" if arm == "champion" else "Try"
    row = next((row for row in decided if row["action"] == wanted and row.get("subject") == held["digest"]), None)
    cause = row["message"] if row is not None else ""
    if arm == "champion":
        yield Box("Serving", "answers requests", "#now", said="since", time=held["since"], cause=cause)
    else:
        share = f"answers {held.get('weight', 0)} %" if held.get("weight") else "answers nothing yet"
        yield Box("On trial", share, "#now", said="since", time=held["since"], cause=cause)


def _data_box(model: Model, digest: str, version: Version | None) -> Box:
    sources = [source for source in model.sources if version is None or name_of(source) == version.source]
    for source in sources:
        record = status_of(source)
        known = [*([record["currentVersion"]] if record.get("currentVersion") else []), *(record.get("versions") or ())]
        row = next((row for row in known if row["digest"] == digest), None)
        if row is not None:
            said, time, rows = "published", row["publishedAt"], int(row["rows"])
            return Box("Data", name_of(source), "#data", digest, said, time, _where(source), rows)
    name = version.source if version is not None else next(iter(map(name_of, sources)), "unknown")
    gone = "" if digest else "no digest is recorded"
    cause = gone or f"DataSource {name} no longer lists this version"
    return Box("Data", name, "#data" if digest else "", digest, cause=cause)


def _where(source: Object) -> str:
    given = source["spec"].get("source") or {}
    if "s3" in given:
        return f"from {given['s3']['storageUri']}"
    if "http" in given:
        return f"from {given['http']['url']}"
    return f"from ConfigMap {((given.get('inline') or {}).get('configMapRef') or {}).get('name', '')}"


def _run_box(version: Version | None, held: Object) -> Box:
    if version is None:
        name = held.get("trainingJob") or "unknown"
        return Box("Run", name, cause="its TrainingJob is gone; the record stays in the bucket")
    record = status_of(version.run)
    said, time = ("ended", record.get("completionTime")) if record.get("completionTime") else ("began", version.at)
    key = str(record.get("runKey") or "")
    return Box("Run", name_of(version.run), f"{version.path}#run", key, said, str(time or ""), version.cause)


def _model_box(version: Version | None, held: Object) -> Box:
    if version is None:
        return Box("Model", held["version"], digest=held["digest"])
    judged = version.gate.get("decidedAt") or version.at
    metric = (version.metric.name, version.metric.interval) if version.metric else None
    cause = f"gate: {version.verdict}"
    return Box("Model", held["version"], version.path, held["digest"], "judged", judged, cause, metric=metric)


def _watch(monitor: Object, facts: Object, found: Sequence[Version], windows: Mapping[str, Json | str]) -> Watch:
    record, rules = status_of(monitor), monitor["spec"].get("drift") or {}
    stored = windows.get(name_of(monitor), "")
    document = stored if isinstance(stored, dict) else {}
    shapes = {column["name"]: column["shape"] for column in document.get("columns") or ()}
    min_effect, alpha = rules.get("minEffect", MIN_EFFECT), rules.get("alpha", ALPHA)
    columns = [
        Column(row, shapes.get(row["name"]), _is_moved(row, min_effect, alpha))
        for row in (record.get("drift") or {}).get("columns") or ()
    ]
    return Watch(
        facts=facts,
        windows=tuple(_windows(record.get("windows") or (), found)),
        columns=tuple(columns),
        min_effect=min_effect,
        alpha=alpha,
        rows=(document.get("reference") or {}).get("rows"),
        note=stored if isinstance(stored, str) else "",
    )


def _is_moved(row: Object, min_effect: str, alpha: str) -> bool:
    return float(row["effect"]) >= float(min_effect) and float(row["adjustedPValue"]) < float(alpha)


def _windows(rows: Sequence[Object], found: Sequence[Version]) -> Iterator[Window]:
    former = None
    for row in reversed(rows):
        digest = row.get("championDigest") or ""
        version = of_digest(found, digest)
        name = version.name if version is not None else short(digest)
        is_new = former is not None and digest != former
        yield Window(row["start"], row["verdict"], tuple(row.get("breached") or ()), name, is_new)
        former = digest


def due(facts: Object, now: datetime) -> list[Object]:
    """Return the steps ahead; a person's, and those whose time has come, are marked."""
    return [
        {**step, "isYours": step["by"] == "you", "isDue": step["at"] is not None and moment(step["at"]) <= now}
        for step in facts["next"]
    ]
