"""From what is asked about to its cause: each object's first rule that speaks says where to look next."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from treadle.cli.causes import learning, serving, unseen, watching
from treadle.cli.causes.link import BAD, GOOD, NOTHING_KNOWN, WORST_LAST, Around, Link, Scene, Target, Turn
from treadle.cli.cluster import Object
from treadle.cli.estate import Estate, name_of, status_of

type Rule = Callable[[Scene, Object], Turn | None]

FIRST: tuple[Rule, ...] = (unseen.terminating, unseen.deleted, unseen.unseen)
"""Where one of these holds, status is not the truth of now."""
RULES: Mapping[str, tuple[Rule, ...]] = {
    "DataSource": (
        *FIRST,
        learning.source_held,
        learning.source_refused,
        learning.source_fetching,
        learning.source_good,
    ),
    "TrainingJob": (
        *FIRST,
        learning.run_failed,
        learning.run_waits,
        learning.run_under_way,
        learning.run_refused,
        learning.run_passed,
    ),
    "ModelDeployment": (
        *FIRST,
        serving.without_model,
        serving.not_answering,
        serving.stalled,
        serving.too_few,
        serving.on_trial,
        serving.gone_back,
        serving.unproven,
        serving.retraining,
        serving.answering,
    ),
    "Monitor": (
        *FIRST,
        watching.not_watching,
        watching.no_traffic,
        watching.broken_limit,
        watching.drifted,
        watching.suspected,
        watching.blocked,
        watching.watching,
    ),
}


def chain(estate: Estate, target: Target, now: datetime, around: Around = NOTHING_KNOWN) -> tuple[Link, ...]:
    """Return the links from an object to the cause of how it stands; the last one says what to do, if anything.

    target: kind and name of one of the four kinds; an object that does not exist is a cause.
    """
    scene = Scene(estate, now, around)
    found = _walk(scene, target, frozenset())
    if mark(found) == GOOD and (operator := unseen.dead(scene)) is not None:
        return (*found, operator)
    return found


def mark(links: tuple[Link, ...]) -> str:
    """Return how a chain is to be read: as the worst of its links."""
    return max((link.mark for link in links), key=WORST_LAST.index)


def ranked(
    estate: Estate, targets: Sequence[Target], now: datetime, around: Around = NOTHING_KNOWN
) -> list[tuple[Link, ...]]:
    """Return a chain to each cause, the worst first; of several to one, the longest, which shows all that it keeps."""
    chains = [chain(estate, target, now, around) for target in targets]
    ordered = sorted(chains, key=lambda links: (WORST_LAST.index(mark(links)), len(links)), reverse=True)
    by_cause: dict[str, tuple[Link, ...]] = {}
    for links in ordered:
        by_cause.setdefault(links[-1].subject, links)
    return list(by_cause.values())


def current(estate: Estate) -> list[Target]:
    """Return what stands for a namespace: all but runs that ended, unless their failure is the newest of their model.

    A run that the gate refused is over, and a success of the gate: it is told of by itself only.
    """
    others = [*estate.deployments, *estate.monitors, *estate.sources]
    return [(each["kind"], name_of(each)) for each in (*others, *_open_runs(estate))]


def named(estate: Estate, name: str) -> list[Target]:
    """Return the objects of a name."""
    found = [*estate.deployments, *estate.monitors, *estate.runs, *estate.sources]
    return [(each["kind"], name) for each in found if name_of(each) == name]


def _open_runs(estate: Estate) -> Iterator[Object]:
    newest: dict[str, Object] = {}
    for run in sorted(estate.runs, key=lambda run: str(run["metadata"].get("creationTimestamp"))):
        newest[run["spec"]["modelName"]] = run
    for run in estate.runs:
        is_over = bool(status_of(run).get("completionTime"))
        has_verdict = bool((status_of(run).get("gate") or {}).get("verdict"))
        if not is_over or (newest[run["spec"]["modelName"]] is run and not has_verdict):
            yield run


def _walk(scene: Scene, target: Target, seen: frozenset[Target]) -> tuple[Link, ...]:
    if target in seen:
        return ()
    thing = scene.estate.find(*target)
    if thing is None:
        return (_missing(scene, target),)
    found = next(turn for rule in RULES[target[0]] if (turn := rule(scene, thing)) is not None)
    if found.target is None:
        return found.links
    return found.followed(_walk(scene, found.target, seen | {target}))


def _missing(scene: Scene, target: Target) -> Link:
    kind, name = target
    names = [name_of(each) for each in _of_kind(scene.estate, kind)]
    known = f"; there are: {', '.join(names[:5])}" if names else ""
    do = f"create {kind}/{name}, or correct the reference to it"
    return Link(kind, name, "Missing", f"does not exist in {scene.estate.namespace}{known}", mark=BAD, do=do)


def _of_kind(estate: Estate, kind: str) -> tuple[Object, ...]:
    parts = {"DataSource": estate.sources, "TrainingJob": estate.runs, "ModelDeployment": estate.deployments}
    return parts.get(kind, estate.monitors)


def cause(links: tuple[Link, ...]) -> Link:
    """Return the last link, with what to do about it, or about what it follows from, and the page about that."""
    advised = next((link for link in reversed(links) if link.do), links[-1])
    page = advised.page or next((link.page for link in reversed(links) if link.page), "")
    return replace(links[-1], do=advised.do, page=page)
