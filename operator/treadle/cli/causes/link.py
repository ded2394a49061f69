"""The links of a chain of causes, and what of a cluster they are found in."""

import re
from dataclasses import dataclass, replace
from datetime import datetime

from treadle.api.names import LABEL_ROLE
from treadle.cli.causes.advice import ADVICE
from treadle.cli.cluster import Object
from treadle.cli.estate import Estate, condition, is_of, name_of

GOOD, LOOK, BAD = "good", "look", "bad"
"""Marks: it goes on by itself; nothing is broken, but it stays so until a person acts; something is broken."""
WORST_LAST = (GOOD, LOOK, BAD)

SUMMARIES = {"DataSource": "Ready", "TrainingJob": "Complete", "ModelDeployment": "Ready", "Monitor": "Ready"}
PAGE = re.compile(r"\.?\s*docs: reasons/\w+$")

type Target = tuple[str, str]
"""Kind and name."""


@dataclass(frozen=True, slots=True)
class Link:
    """What one object says, in its own words."""

    kind: str
    name: str
    reason: str = ""
    """Of the condition, or Kubernetes' own word, such as ImagePullBackOff; empty where the message says it all."""
    message: str = ""
    condition: str = ""
    """The condition's type, where one says it."""
    status: str = ""
    mark: str = GOOD
    do: str = ""
    """What to do; empty where the next link knows better, or nothing is to be done."""
    page: str = ""
    """The reason that has a page about it."""

    @property
    def subject(self) -> str:
        """Return the object as kubectl names it."""
        return f"{self.kind}/{self.name}"

    @property
    def says(self) -> str:
        """Return what it says as a line."""
        told = f"{self.condition}={self.status} {self.reason}" if self.condition else self.reason
        return ": ".join(part for part in (told, self.message) if part)

    @property
    def passed(self) -> "Link":
        """Return the same as a link on the way, whose cause is the next one's to tell."""
        return replace(self, mark=GOOD, do="", page="")


@dataclass(frozen=True, slots=True)
class Around:
    """What lies around a namespace's objects; None is not known."""

    namespace: Object | None = None
    leases: tuple[Object, ...] | None = None
    """The operator's."""
    unread: tuple[str, ...] = ()
    """What could not be read for want of rights."""


NOTHING_KNOWN = Around()


@dataclass(frozen=True, slots=True)
class Scene:
    """All that causes are looked for in."""

    estate: Estate
    now: datetime
    around: Around = NOTHING_KNOWN

    def job(self, name: str | None) -> Object | None:
        """Return a Job by its name."""
        return next((job for job in self.estate.jobs if name_of(job) == name), None)

    def pods_of(self, job: str) -> list[Object]:
        """Return the pods of a Job, newest first; they are known to who may not see the Job."""
        found = [pod for pod in self.estate.pods if any(each.get("name") == job for each in references(pod))]
        return sorted(found, key=lambda pod: str(pod["metadata"].get("creationTimestamp")), reverse=True)

    def servers_of(self, deployment: Object) -> list[Object]:
        """Return the serving pods of a ModelDeployment, oldest first."""
        return [
            pod
            for pod in self.estate.pods_of(deployment)
            if (pod["metadata"].get("labels") or {}).get(LABEL_ROLE) == "server"
        ]

    def workload_of(self, deployment: Object) -> Object | None:
        """Return the Deployment that serves a ModelDeployment."""
        return next((each for each in self.estate.workloads if is_of(each, deployment)), None)

    def warnings(self, kind: str, name: str, *, is_prefix: bool = False) -> list[Object]:
        """Return the Warning events about an object, newest first.

        is_prefix: about objects whose name begins so: the pods of a Job, the ReplicaSets of a Deployment.
        """
        found = []
        for event in self.estate.events:
            about = event.get("involvedObject") or {}
            named = str(about.get("name"))
            is_about = named.startswith(name) if is_prefix else named == name
            if event.get("type") == "Warning" and about.get("kind") == kind and is_about:
                found.append(event)
        return sorted(found, key=when, reverse=True)

    def since(self, time: str | None) -> float:
        """Return how many seconds ago a time was; 0 for none."""
        return (self.now - moment(time)).total_seconds() if time else 0.0


def references(thing: Object) -> list[Object]:
    """Return the owners of an object."""
    found: list[Object] = thing["metadata"].get("ownerReferences") or []
    return found


def when(event: Object) -> str:
    """Return when an event was last seen."""
    last = (event.get("series") or {}).get("lastObservedTime")
    return str(last or event.get("lastTimestamp") or event.get("eventTime") or event.get("firstTimestamp") or "")


def moment(time: str) -> datetime:
    """Return an RFC 3339 time."""
    return datetime.fromisoformat(time)


def lasted(seconds: float) -> str:
    """Return a length of time as people say it."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{int(seconds // size)} {unit}"
    return f"{int(max(0.0, seconds))} s"


def bare(message: str | None) -> str:
    """Return a condition's message without its page."""
    return PAGE.sub("", message or "")


def told(thing: Object, type_: str, **changes: str) -> Link:
    """Return what a condition of one of the four kinds says."""
    found = condition(thing, type_)
    kind, reason, status = thing["kind"], found.get("reason", ""), found.get("status", "")
    do = ADVICE.get((kind, type_, reason), "")
    if reason == "Suspended":
        do = f"set spec.suspend to false: treadle resume {kind}/{name_of(thing)}"
    link = Link(
        kind,
        name_of(thing),
        reason,
        bare(found.get("message")),
        type_,
        status,
        mark=mark(thing, type_, reason, status) if do else GOOD,
        do=do,
        page=reason if do else "",
    )
    return replace(link, **changes)


def mark(thing: Object, type_: str, reason: str, status: str) -> str:
    """Return how a condition that advises something is to be read."""
    stalled = condition(thing, "Stalled")
    is_stalled = stalled.get("status") == "True" and stalled.get("reason") == reason
    is_summary = SUMMARIES[thing["kind"]] == type_ and status == "False" and reason != "Suspended"
    return BAD if is_stalled or is_summary or (type_ == "Failed" and status == "True") else LOOK


def stage_or(thing: Object, summary: str, stages: tuple[str, ...]) -> Link:
    """Return the stage that is False for the reason of the summary, which says it closer; else the summary."""
    link = told(thing, summary)
    stage = next((each for each in stages if condition(thing, each).get("status") == "False"), None)
    if stage is None or condition(thing, stage).get("reason") != link.reason:
        return link
    return told(thing, stage, mark=link.mark)


def setting(estate: Estate, owner: Object, path: str) -> str:
    """Return where a field of a Job's or pod's settings is set: an immutable run's in what made it.

    path: below jobTemplate, for example pod.resources.limits.memory.
    """
    kind, name = owner["kind"], name_of(owner)
    if kind == "ModelDeployment":
        return f"spec.predictor.{path} of {kind}/{name}"
    if kind != "TrainingJob":
        return f"spec.jobTemplate.{path} of {kind}/{name}"
    maker = next((each["name"] for each in references(owner) if each.get("kind") == "ModelDeployment"), None)
    if maker is None:
        return f"spec.jobTemplate.{path} in a new TrainingJob, since this one is immutable"
    return f"spec.training.template.spec.jobTemplate.{path} of ModelDeployment/{maker}"


@dataclass(frozen=True, slots=True)
class Turn:
    """What an object says of itself, and where to look next; nothing next ends the chain."""

    links: tuple[Link, ...]
    target: Target | None = None
    is_finding: bool = False
    """Whether the last link stands for itself, whatever comes next: drift, for example."""

    def followed(self, below: tuple[Link, ...]) -> tuple[Link, ...]:
        """Return the links with those of what was looked at next."""
        if not below:
            return self.links
        *before, last = self.links
        return (*before, last if self.is_finding else last.passed, *below)


def turn(link: Link, below: tuple[Link, ...] = (), target: Target | None = None) -> Turn:
    """Return a link with what its Job or pods say, or with the object to look at next."""
    return Turn(Turn((link,)).followed(below), target)
