"""A model's versions, from the runs that made them: what each scored, what the gate said, and where it stands."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from treadle.api.causes import cause
from treadle.api.names import short
from treadle.api.trainingjob import SMALLER_IS_BETTER
from treadle.cli.cluster import Object
from treadle.cli.estate import Model, condition, family, is_true, name_of, status_of
from treadle.cli.ui.plots import Interval

SHOWN = 12
"""Versions on a model's page; the others are on a page of their own."""

TONES = {
    "PassedGate": "good",
    "HeldByGate": "warn",
    "GateInconclusive": "warn",
    "RejectedByGate": "bad",
    "Running": "busy",
}
STANDING_TONES = {"champion": "good", "candidate": "busy", "quarantined": "warn"}


@dataclass(frozen=True, slots=True)
class Measure:
    """A metric with its interval, on a part of the data."""

    name: str
    interval: Interval
    part: str = "holdout"

    @property
    def is_smaller_better(self) -> bool:
        """Say which way it is better, as known for the metric."""
        return self.name in SMALLER_IS_BETTER


@dataclass(frozen=True, slots=True)
class Check:
    """What the gate asked, what it found, and how that ended."""

    name: str
    interval: Interval
    threshold: str
    result: str
    is_above: bool
    """Whether the value must lie above the threshold."""

    @property
    def tone(self) -> str:
        """Return how it ended, as the style knows it."""
        return {"Pass": "good", "Fail": "bad"}.get(self.result, "warn")


@dataclass(frozen=True, slots=True)
class Version:
    """What a run has made, or is about to."""

    name: str
    """v7, or the run's name where no model came of it."""
    path: str
    """Where its page is, below the model's."""
    run: Object
    digest: str
    data: str
    """The digest of the dataset version."""
    source: str
    metric: Measure | None
    verdict: str
    """The reason of Complete, or of Failed."""
    message: str
    difference: Interval | None
    """Against the champion at that time."""
    standing: str = ""
    """Champion, candidate, former champion, quarantined; nothing of that is empty."""
    is_best: bool = False
    is_last: bool = False

    @property
    def tone(self) -> str:
        """Return how the gate's verdict is to be read."""
        if is_true(self.run, "Failed"):
            return "bad"
        return TONES.get(self.verdict, "idle")

    @property
    def standing_tone(self) -> str:
        """Return how its standing is to be read."""
        return STANDING_TONES.get(self.standing, "idle")

    @property
    def cause(self) -> str:
        """Return who asked for the run."""
        return cause(self.run["spec"].get("trigger") or {})

    @property
    def at(self) -> str:
        """Return when it ended, or was made."""
        return str(status_of(self.run).get("completionTime") or self.run["metadata"].get("creationTimestamp") or "")

    @property
    def made(self) -> Object:
        """Return what status says of the model; nothing where there is none."""
        found: Object = status_of(self.run).get("model") or {}
        return found

    @property
    def card(self) -> str:
        """Return the digest of its card, if the run recorded one."""
        return str(self.made.get("cardDigest") or "")

    @property
    def percentage(self) -> int | None:
        """Return how far the run is, while it runs."""
        found: int | None = (status_of(self.run).get("progress") or {}).get("percentage")
        return found if self.verdict == "Running" else None

    @property
    def gate(self) -> Object:
        """Return what status says of the gate."""
        found: Object = status_of(self.run).get("gate") or {}
        return found

    @property
    def measures(self) -> list[Measure]:
        """Return everything that was measured, the objective first."""
        rows = [measure(row) for row in status_of(self.run).get("metrics") or ()]
        first = [] if self.metric is None or self.metric in rows else [self.metric]
        return [*first, *rows]

    @property
    def checks(self) -> list[Check]:
        """Return the gate's checks, failed ones first."""
        floors = ((self.run["spec"].get("gate") or {}).get("floors")) or ()
        bounded = {f"floor:{row['metric']}" + (f":{row['slice']}" if row.get("slice") else "") for row in floors
                   if row.get("max") is not None}  # fmt: skip
        return [
            Check(row["name"], interval(row), row["threshold"], row["result"], row["name"] not in bounded)
            for row in self.gate.get("checks") or ()
        ]


def versions(model: Model) -> tuple[Version, ...]:
    """Return what came of every run, newest first."""
    standing = standings(model)
    found = [_version(run, standing) for run in model.runs]
    best, last = best_of(found), next((index for index, each in enumerate(found) if each.digest), None)
    return tuple(replace(each, is_best=index == best, is_last=index == last) for index, each in enumerate(found))


def chosen(found: Sequence[Version]) -> list[Version]:
    """Return the newest, and whatever else matters."""
    return [each for index, each in enumerate(found) if index < SHOWN or each.standing or each.is_best]


def called(found: Sequence[Version], name: str) -> Version | None:
    """Return the newest of a name: of a version, or of a run."""
    return next((each for each in found if name in (each.name, name_of(each.run))), None)


def of_digest(found: Sequence[Version], digest: str | None) -> Version | None:
    """Return the newest with a model's digest."""
    return next((each for each in found if digest and each.digest == digest), None)


def best_of(found: Sequence[Version]) -> int | None:
    """Return which has the best value of the metric that the newest one has; whether it passed is another matter."""
    newest = next((each.metric for each in found if each.metric is not None), None)
    if newest is None:
        return None
    rows = [(index, each) for index, each in enumerate(found) if each.metric and each.metric.name == newest.name]
    sign = -1 if is_minimized(rows[0][1]) else 1
    return max(rows, key=lambda row: sign * float(row[1].metric.interval.value) if row[1].metric else 0)[0]


def is_minimized(version: Version) -> bool:
    """Say whether a smaller value of the objective is better."""
    direction = version.run["spec"]["objective"].get("direction")
    if direction is not None:
        return bool(direction == "Minimize")
    return version.metric is not None and version.metric.is_smaller_better


def standings(model: Model) -> dict[str, str]:
    """Return where digests stand, as the ModelDeployment's status has it."""
    if model.deployment is None:
        return {}
    record = status_of(model.deployment)
    arms = {"lastKnownGood": "champion before", "candidate": "candidate", "champion": "champion"}
    refused = {row["digest"]: "quarantined" for row in record.get("quarantined") or ()}
    return refused | {record[arm]["digest"]: told for arm, told in arms.items() if record.get(arm)}


def interval(row: Object) -> Interval:
    """Return a row of status as an interval."""
    return Interval(row["value"], row.get("lower"), row.get("upper"))


def measure(row: Object) -> Measure:
    """Return a row of status.metrics."""
    part = row.get("split") or "holdout"
    return Measure(row["name"], interval(row), f"{part}, slice {row['slice']}" if row.get("slice") else part)


def title(model: Model) -> str:
    """Return the name of the family, where it is not the model's."""
    found = family(model)
    return "" if found == model.name else found


def _version(run: Object, standing: dict[str, str]) -> Version:
    record, spec = status_of(run), run["spec"]
    made, gate, primary = record.get("model") or {}, record.get("gate") or {}, record.get("primaryMetric")
    failed = condition(run, "Failed")
    told = failed if failed.get("status") == "True" else condition(run, "Complete")
    name = str(made.get("version") or name_of(run))
    digest = str(made.get("digest") or "")
    return Version(
        name=name,
        path=f"versions/{name}" if made else f"runs/{name}",
        run=run,
        digest=digest,
        data=str((record.get("data") or {}).get("digest") or ""),
        source=str(spec["dataRef"]["name"]),
        metric=measure(primary) if primary else None,
        verdict=str(told.get("reason") or "NotJudged"),
        message=str(told.get("message") or ""),
        difference=interval(gate["difference"]) if gate.get("difference") else None,
        standing=standing.get(digest, ""),
    )


def brief(digest: str) -> str:
    """Return the twelve digits by which people name a digest; a dash for none."""
    return short(digest) if digest else "–"
