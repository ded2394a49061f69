"""`treadle why`: from an object that is not as it should be to what is to be mended."""

import json
import shutil
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from treadle.cli.cluster import CONNECTION, Answer, Cluster, Object, connected, object_of

if TYPE_CHECKING:
    from treadle.cli.causes.link import Around, Link
    from treadle.cli.estate import Estate
    from treadle.cli.rows import Line

LEASES = "/apis/coordination.k8s.io/v1/leases"
FOUND = 1
OTHERS_SHOWN = 5
NARROWEST = 40


@click.command()
@click.argument("object_", metavar="[OBJECT]", default="")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", help="Default: text.")
@CONNECTION
def why(*, object_: str, output: str, context: str, namespace: str) -> None:
    """Walk from an object to the cause of how it stands.

    OBJECT is KIND/NAME (dsrc, tj, mdep, mon), or a name alone. Without it, the worst of the namespace is told: runs
    that the gate refused are not among that, since refusing is a success of the gate.

    \b
    Each line is an object with what it says; the last is the cause, then what to do and the page about it:
      TrainingJob/first  Failed=True OutOfMemory: the train step was killed at a peak of 2Gi, its memory limit
      └ Pod/first-7c20d91e4a-x2x7k  OOMKilled: exit 137, memory limit 2Gi
      do: raise spec.jobTemplate.pod.resources.limits.memory … (docs/reasons/OutOfMemory.md)

    \b
    Exit code: 0 nothing is wrong: what is told passes by itself
               1 a cause was found, which stays until a person or the world acts
               2 wrong usage

    Needs the rights to list the four kinds; and jobs, pods, deployments and events for causes in them, leases for
    whether the operator runs. What could not be read is said.

    With -o json: {namespace, asked, mark, chain[], do, page, others[], next[], unread[]}, the keys sorted. mark is
    good, look or bad; each link has kind, name, condition, status, reason, message and mark; others[] are further
    causes, as chains.
    """
    from treadle.cli.estate import read

    with connected(context, namespace) as cluster:
        estate = read(cluster, cluster.namespace, without=("services",))
        reply = replied(estate, object_, datetime.now(UTC), around(cluster))
    if output == "json":
        click.echo(json.dumps(document(reply), indent=2, sort_keys=True, ensure_ascii=False))
    else:
        tell(reply)
    if not reply.is_good:
        raise SystemExit(FOUND)


@dataclass(frozen=True, slots=True)
class Reply:
    """What is told: the chain to the worst cause, those to others, and where all is well what comes next."""

    namespace: str
    links: "tuple[Link, ...]"
    others: "tuple[tuple[Link, ...], ...]" = ()
    following: tuple[Object, ...] = ()
    unread: tuple[str, ...] = ()

    @property
    def mark(self) -> str:
        """Return how it is to be read: good, look or bad."""
        from treadle.cli.causes.chain import mark

        return mark(self.links)

    @property
    def is_good(self) -> bool:
        """Say whether nothing is wrong."""
        return self.mark == "good"

    @property
    def cause(self) -> "Link":
        """Return the last link, with what to do."""
        from treadle.cli.causes.chain import cause

        return cause(self.links)

    @property
    def page(self) -> str:
        """Return the page about what to do, as a path in the repository."""
        return f"docs/reasons/{self.cause.page}.md" if self.cause.page else ""


def replied(estate: "Estate", wanted: str, now: datetime, known: "Around") -> Reply:
    """Return the reply about an object, or the namespace; raise ClickException for one that holds nothing."""
    from treadle.cli.causes.chain import current, mark, named, ranked

    targets = (named(estate, wanted) or [object_of(wanted)]) if wanted else current(estate)
    if not targets:
        raise click.ClickException(
            f"nothing of Treadle is in namespace {estate.namespace}; begin with treadle init FILE"
        )
    links, *others = ranked(estate, targets, now, known)
    return Reply(
        estate.namespace,
        links,
        tuple(each for each in others if mark(each) != "good"),
        tuple(following(estate, links[0])) if mark(links) == "good" else (),
        (*estate.unread, *known.unread),
    )


def following(estate: "Estate", link: "Link") -> list[Object]:
    """Return what happens next by itself to the model that an object belongs to."""
    from treadle.cli.estate import model_of
    from treadle.cli.picture import picture

    model = model_of(estate, link.kind, link.name)
    steps = picture(estate, model)["next"] if model is not None else []
    return [step for step in steps if step["by"] == "itself"]


# What lies around.


def around(cluster: Cluster) -> "Around":
    """Read the namespace and the operator's Lease; what may not be read is not known."""
    from treadle.cli.causes.link import Around

    space = _allowed(lambda: cluster.find(f"/api/v1/namespaces/{cluster.namespace}"))
    return Around(namespace=space, leases=_allowed(lambda: leases(cluster)))


def leases(cluster: Cluster) -> tuple[Object, ...]:
    """Return the Leases of operators: by the usual name, else by the name that a Helm release gives."""
    from treadle.cli.causes.unseen import LEASE

    usual = cluster.items(LEASES, fieldSelector=f"metadata.name={LEASE}")
    if usual:
        return tuple(usual)
    found = [lease for lease in cluster.items(LEASES) if lease["metadata"]["name"].endswith("-operator")]
    held = [(lease, (lease.get("spec") or {}).get("holderIdentity") or "") for lease in found]
    return tuple(lease for lease, holder in held if holder.startswith(lease["metadata"]["name"]))


def _allowed[T](ask: Callable[[], T]) -> T | None:
    try:
        return ask()
    except Answer as answer:
        if answer.status in (403, 404):
            return None
        raise


# How it is written.


def document(reply: Reply) -> Object:
    """Return a reply as `-o json` prints it."""
    return {
        "namespace": reply.namespace,
        "asked": reply.links[0].subject,
        "mark": reply.mark,
        "chain": [shown(link) for link in reply.links],
        "do": reply.cause.do or None,
        "page": reply.page or None,
        "others": [[shown(link) for link in links] for links in reply.others],
        "next": list(reply.following),
        "unread": list(reply.unread),
    }


def shown(link: "Link") -> Object:
    """Return a link as `-o json` prints it."""
    return {
        "kind": link.kind,
        "name": link.name,
        "condition": link.condition or None,
        "status": link.status or None,
        "reason": link.reason or None,
        "message": link.message,
        "mark": link.mark,
    }


def tell(reply: Reply) -> None:
    """Print a reply, in colour on a terminal."""
    from treadle.cli.rows import styled

    for line in lines(reply, shutil.get_terminal_size((100, 24)).columns):
        click.echo(styled(line))


def lines(reply: Reply, width: int) -> "list[Line]":
    """Return a reply as lines of at most `width` characters, where words allow it."""
    found = [line for depth, link in enumerate(reply.links) for line in _link(link, depth, width)]
    if reply.is_good:
        told = [f"{step['what']}{' at ' + step['at'] if step['at'] else ''}" for step in reply.following]
        found += _part("nothing is wrong", f"next: {'; '.join(told)}" if told else "nothing is due", "good", width)
    if reply.cause.do:
        found += _part("do", f"{reply.cause.do} ({reply.page})" if reply.page else reply.cause.do, "bold", width)
    for first, *_, last in (links if len(links) > 1 else (*links, *links) for links in reply.others[:OTHERS_SHOWN]):
        way = f"{first.subject} ← " if first.subject != last.subject else ""
        found += _part("also", f"{way}{last.subject}  {last.says}", last.mark, width)
    return [*found, *([(f"! {each}", "look")] for each in reply.unread)]


def _link(link: "Link", depth: int, width: int) -> "list[Line]":
    branch = f"{'  ' * (depth - 1)}└ " if depth else ""
    hang = " " * (len(branch) + 2)
    first, *rest = _broken(f"{link.subject}  {link.says}", width - len(hang))
    style, size = link.mark if link.mark != "good" else "", len(link.subject)
    return [
        [(branch, "dim"), (first[:size], "bold"), (first[size:], style)],
        *([(hang, ""), (piece, style)] for piece in rest),
    ]


def _part(word: str, text: str, style: str, width: int) -> "list[Line]":
    first, *rest = _broken(f"{word}: {text}", width - 2)
    size = len(word) + 1
    return [[(first[:size], style), (first[size:], "")], *([("  ", ""), (piece, "")] for piece in rest)]


def _broken(text: str, width: int) -> list[str]:
    # A name or a command is copied whole.
    return textwrap.wrap(text, max(NARROWEST, width), break_on_hyphens=False, break_long_words=False)
