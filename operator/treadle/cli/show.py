"""`treadle status` and `treadle tree`: one screen that says how a model stands and what comes next."""

import json
import shutil
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext, suppress
from datetime import UTC, datetime

import click

from treadle.cli.cluster import CONNECTION, Cluster, Object, connected, object_of
from treadle.cli.draw import overview, screen
from treadle.cli.durations import DURATION
from treadle.cli.estate import Estate, model_of, models, read, watching
from treadle.cli.picture import picture, pictures
from treadle.cli.rows import Line, styled

UNWANTED = ("events", "jobs", "services")
"""Parts of an Estate that no screen shows."""
REDRAWN_SECONDS = 1.0
"""While it watches: ages and what remains grow by themselves."""
REREAD_SECONDS = {True: 2.0, False: 30.0}
"""How often all is read though no event came: progress, which only pods tell, comes by none."""
SETTLE_SECONDS = 0.2
"""Events come in bursts."""


@click.command()
@click.argument("model", required=False)
@click.option("-w", "--watch", "is_watching", is_flag=True, help="Go on, and show each change, until Ctrl-C.")
@click.option("--timeout", type=DURATION, help="With -w: end after so long, for example 10m.")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", help="Default: text.")
@CONNECTION
def status(
    *, model: str | None, is_watching: bool, timeout: float | None, output: str, context: str, namespace: str
) -> None:
    """Show how a model stands and what comes next.

    Its data, training, gate, serving, canary and monitor. MODEL is the name of a ModelDeployment, or KIND/NAME of any
    object of it, for example tj/flights-late-first. Without it, a namespace with one model shows that, and one with
    several a line for each.

    \b
    Marks: ✓ good   ▸ under way   · waiting   ! look at it   ✗ a person must act   – nothing there
    Needs the rights to list the four kinds; and pods, their proxy and deployments for progress.

    With -o json: {namespace, models[], unread[]}, the keys sorted; each model has model, mark, reason, message,
    object, data[], training, gate, serving, canary, quarantined[], monitor[] and next[], every number as the object's
    status has it, times as RFC 3339, and null for what is not there. With -w it is a line for each change.
    """
    if timeout is not None and not is_watching:
        raise click.UsageError("--timeout goes with --watch")
    ends = suppress(KeyboardInterrupt) if is_watching else nullcontext()
    with connected(context, namespace) as cluster, ends:
        shown = follow(cluster, model, timeout) if is_watching else [look(cluster, model)]
        if output == "json":
            write_json(shown, is_watching=is_watching)
        elif is_watching and sys.stdout.isatty():
            live(shown)
        else:
            for facts in shown:
                write_text(facts)


def look(cluster: Cluster, wanted: str | None) -> Object:
    """Return what is to be shown, as `-o json` prints it."""
    return chosen(read(cluster, cluster.namespace, without=UNWANTED), wanted)


def chosen(estate: Estate, wanted: str | None) -> Object:
    """Return the models that are wanted as facts; raise ClickException where there is none of that name."""
    found = pictures(estate)
    if wanted is not None:
        kind, name = object_of(wanted)
        model = model_of(estate, kind, name)
        if model is None:
            names = ", ".join(sorted(each.name for each in models(estate))) or "none"
            raise click.ClickException(f'no model or object "{wanted}" is in {estate.namespace}; there are: {names}')
        found = [picture(estate, model)]
    return {"namespace": estate.namespace, "models": found, "unread": list(estate.unread)}


def follow(cluster: Cluster, wanted: str | None, timeout: float | None) -> Iterator[Object]:
    """Give what is to be shown, anew after each change and at least once a second, until the time is over."""
    woken, until = threading.Event(), time.monotonic() + timeout if timeout is not None else None
    with watching(cluster, cluster.namespace, woken.set, without=UNWANTED):
        shown, was_read = look(cluster, wanted), time.monotonic()
        while until is None or time.monotonic() < until:
            yield shown
            left = REDRAWN_SECONDS if until is None else min(REDRAWN_SECONDS, max(0.0, until - time.monotonic()))
            if woken.wait(left):
                time.sleep(SETTLE_SECONDS)
                woken.clear()
            elif time.monotonic() - was_read < REREAD_SECONDS[is_running(shown)]:
                continue
            shown, was_read = look(cluster, wanted), time.monotonic()
        yield shown


def is_running(shown: Object) -> bool:
    """Say whether any step of what is shown is under way."""
    return any(
        part["running"] is not None
        for facts in shown["models"]
        for part in (*facts["data"], *(facts["training"] or {}).get("runs", ()), *facts["monitor"])
    )


# How it is written.


def write_json(shown: Iterable[Object], *, is_watching: bool) -> None:
    """Print one document; or, while it watches, a line for each that differs from the one before."""
    last = ""
    for facts in shown:
        text = json.dumps(facts, sort_keys=True, ensure_ascii=False, indent=None if is_watching else 2)
        if text != last:
            click.echo(text)
        last = text


def write_text(facts: Object) -> None:
    """Print what is shown, in colour on a terminal."""
    width = shutil.get_terminal_size((100, 24)).columns
    for line in drawn(facts, datetime.now(UTC), width):
        click.echo(styled(line))


def live(shown: Iterable[Object]) -> None:
    """Show what changes in one place of the terminal, until Ctrl-C."""
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    console = Console(highlight=False)
    with Live(console=console, auto_refresh=False, vertical_overflow="crop") as place:
        for facts in shown:
            lines = drawn(facts, datetime.now(UTC), console.width, console.height - 1)
            place.update(Text("\n").join(Text.from_ansi(styled(line)) for line in lines), refresh=True)


def drawn(shown: Object, now: datetime, width: int, height: int = 0) -> list[Line]:
    """Return what is shown as lines: one model as a screen, several as an overview.

    height: lines to fit in, if the terminal is that low; 0: as many as there are.
    """
    found = shown["models"]
    if not found:
        lines: Sequence[Line] = [[(f"nothing of Treadle is in namespace {shown['namespace']}; begin with ", "")]]
        lines[0].extend([("treadle init FILE", "bold"), (", or kubectl apply -f DIRECTORY", "")])
    elif len(found) == 1:
        lines = screen(found[0], now, width, height - len(shown["unread"]) if height else 0)
    else:
        lines = overview(found, now, width)
        lines = [*lines, [], [(f"treadle status {found[0]['model']}", "bold"), (" shows one of them", "dim")]]
    return [*lines, *([(f"! {each}", "look")] for each in shown["unread"])]
