"""`treadle wait`: end when an object is ready, with an exit code that says how it ended."""

import json
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass

import click

from treadle.cli.cluster import CONNECTION, Answer, Cluster, Object, connected, object_of, ours
from treadle.cli.durations import DURATION
from treadle.cli.estate import condition, is_true, name_of, status_of
from treadle.cli.picture import bare

DONE, FAILED, HELD, TIMED_OUT = 0, 1, 3, 4
"""2 is a usage error."""
WORDS = {DONE: "done", FAILED: "failed", HELD: "held by the gate", TIMED_OUT: "timed out"}
REFUSED_BY_GATE = frozenset({"HeldByGate", "RejectedByGate", "GateInconclusive"})
CHAMPION = "champion"

WATCHED_SECONDS = 300.0
AGAIN_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Wish:
    """What is waited for: the object's own end, a condition's status, or a champion."""

    type: str = ""
    """A condition, champion, or nothing for what is usual of the kind."""
    value: str = "True"
    digest: str = ""
    """Of the champion, where its version is known already."""


@dataclass(frozen=True, slots=True)
class End:
    """How the waiting ended."""

    code: int
    reason: str
    message: str


@click.command()
@click.argument("object_", metavar="KIND/NAME")
@click.option("--for", "wish", default="", metavar="WISH", help="Ready, Type=Status, or champion=v8. Default: by kind.")
@click.option("--timeout", type=DURATION, default="10m", show_default=True, help="Give up after so long.")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", help="Default: text.")
@CONNECTION
def wait(*, object_: str, wish: str, timeout: float, output: str, context: str, namespace: str) -> None:
    """Wait until an object is done.

    How it ended is told by the exit code.

    \b
    Without --for: a TrainingJob until it has ended; the others until they are Ready and their newest spec is settled.
    With --for:    Ready, Verified=False or any other condition; of a ModelDeployment also champion=v8, or its digest.

    \b
    Exit codes:  0  done
                 1  failed: Failed or Stalled is True, the model was refused, or there is no such object
                 2  wrong usage
                 3  held by the gate, which is no failure
                 4  timed out

    \b
    Example:
      kubectl apply -f first.yaml && treadle wait tj/flights-late-first --timeout 30m

    With -o json: {object, code, outcome, reason, message}. Needs the rights to list and watch the kind.
    """
    kind, name = object_of(object_)
    with connected(context, namespace) as cluster:
        end = waited(cluster, kind, name, parsed(wish, kind), time.monotonic() + timeout)
    told = {"object": f"{kind}/{name}", "code": end.code, "outcome": WORDS[end.code]}
    if output == "json":
        click.echo(json.dumps(told | {"reason": end.reason, "message": end.message}, sort_keys=True))
    else:
        said = f"{end.reason}: {end.message}" if end.message else end.reason
        click.echo(f"{told['object']} {told['outcome']}: {said}", err=end.code != DONE)
    click.get_current_context().exit(end.code)


def parsed(text: str, kind: str) -> Wish:
    """Return what --for asks; raise UsageError for what can never be."""
    type_, equals, value = text.partition("=")
    if type_ == CHAMPION and kind != "ModelDeployment":
        raise click.UsageError(f"--for=champion is of a ModelDeployment, and this is a {kind}")
    if type_ == CHAMPION and not value:
        raise click.UsageError("--for=champion needs a version or digest, for example --for=champion=v8")
    if type_ != CHAMPION and equals and value.title() not in ("True", "False", "Unknown"):
        raise click.UsageError(f'--for={text}: a condition is True, False or Unknown, not "{value}"')
    if not equals:
        return Wish(type_)
    is_digest = type_ == CHAMPION and value.startswith("sha256:")
    return Wish(type_, value if type_ == CHAMPION else value.title(), value if is_digest else "")


def waited(cluster: Cluster, kind: str, name: str, wish: Wish, until: float) -> End:
    """Return how the waiting ended; `until` is a time of time.monotonic."""
    wish = with_digest(cluster, kind, name, wish)
    last: Object = {}
    for thing in states(cluster, kind, name, until):
        if thing is None:
            return End(FAILED, "Deleted", f"{kind} {name} was deleted meanwhile")
        end, last = ended(thing, wish), thing
        if end is not None:
            return end
    told = condition(last, head(last, wish)) or {"reason": "NotJudged", "message": "the operator has not looked at it"}
    return End(TIMED_OUT, told["reason"], bare(told.get("message") or ""))


def with_digest(cluster: Cluster, kind: str, name: str, wish: Wish) -> Wish:
    """Return the wish with the digest of its version, if a run has made that already."""
    if wish.type != CHAMPION or wish.digest:
        return wish
    deployment = cluster.find(ours(kind, cluster.namespace, name)) or {"spec": {}}
    made = [
        status_of(run).get("model") or {}
        for run in cluster.items(ours("TrainingJob", cluster.namespace))
        if run["spec"]["modelName"] == deployment["spec"].get("modelName")
    ]
    digest = next((str(model["digest"]) for model in made if model.get("version") == wish.value), "")
    return Wish(wish.type, wish.value, digest)


def states(cluster: Cluster, kind: str, name: str, until: float) -> Iterator[Object | None]:
    """Give an object as it is and at each change, None once it is gone, until the time is over."""
    path, only = ours(kind, cluster.namespace), {"fieldSelector": f"metadata.name={name}"}
    is_first = True
    while is_first or time.monotonic() < until:
        found, version = cluster.listed(path, **only)
        if not found and is_first:
            raise click.ClickException(f"{kind} {name} does not exist in {cluster.namespace}")
        is_first = False
        yield found[0] if found else None
        try:
            yield from changes(cluster, path, only | {"resourceVersion": version}, until)
        except Answer as answer:
            # Too old to go on from, or the connection was cut: what it is now is read anew.
            if answer.status not in (0, 410):
                raise
            time.sleep(max(0.0, min(AGAIN_SECONDS, until - time.monotonic())))


def changes(cluster: Cluster, path: str, query: dict[str, str], until: float) -> Iterator[Object | None]:
    """Give what a watch tells, and watch again where the server ended it, until the time is over."""
    while (left := until - time.monotonic()) > 0:
        seconds = str(math.ceil(min(left, WATCHED_SECONDS)))
        for event, thing in cluster.watch(path, **query, timeoutSeconds=seconds, allowWatchBookmarks="true"):
            query["resourceVersion"] = thing["metadata"]["resourceVersion"]
            if event != "BOOKMARK":
                yield thing if event != "DELETED" else None


# What a state means; pure.


def head(thing: Object, wish: Wish) -> str:
    """Return the condition that tells how far the wish is."""
    if wish.type and wish.type != CHAMPION:
        return wish.type
    return "Complete" if thing.get("kind") == "TrainingJob" else "Ready"


def ended(thing: Object, wish: Wish) -> End | None:
    """Return how the waiting ends with this state of an object, or None where it goes on."""
    if status_of(thing).get("observedGeneration") != thing["metadata"].get("generation"):
        return None
    return met(thing, wish) or broken(thing) or over(thing) or refused(thing, wish)


def met(thing: Object, wish: Wish) -> End | None:
    """Return the end of a wish that is fulfilled."""
    if wish.type == CHAMPION:
        champion = status_of(thing).get("champion") or {}
        is_there = wish.value in (champion.get("version"), champion.get("digest"))
        return End(DONE, "Champion", f"{champion['version']} {champion['digest']}") if is_there else None
    told = condition(thing, head(thing, wish))
    if wish.type:
        return _end(DONE, told) if told.get("status") == wish.value else None
    if thing["kind"] == "TrainingJob" and told.get("reason") in REFUSED_BY_GATE:
        return None
    is_settled = not is_true(thing, "Reconciling") and not is_true(thing, "Stalled")
    return _end(DONE, told) if told.get("status") == "True" and is_settled else None


def broken(thing: Object) -> End | None:
    """Return the end where a person must act."""
    found = next((type_ for type_ in ("Failed", "Stalled") if is_true(thing, type_)), None)
    return _end(FAILED, condition(thing, found)) if found else None


def over(thing: Object) -> End | None:
    """Return the end of a run that can fulfil no wish any more."""
    complete = condition(thing, "Complete")
    if complete.get("status") != "True":
        return None
    return _end(HELD if complete["reason"] in REFUSED_BY_GATE else FAILED, complete)


def refused(thing: Object, wish: Wish) -> End | None:
    """Return the end of a wish for a champion that is not tried any more."""
    rows = status_of(thing).get("quarantined") or ()
    row = next((row for row in rows if wish.digest and row["digest"] == wish.digest), None)
    if row is None:
        return None
    code = HELD if row["reason"] in REFUSED_BY_GATE else FAILED
    return End(code, row["reason"], f"{wish.value} of {name_of(thing)} is quarantined until {row['until']}")


def _end(code: int, told: Object) -> End:
    return End(code, told["reason"], bare(told.get("message") or ""))
