"""Acts that are asked of the operator: each shows what will change, then sets one annotation, or spec.suspend."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from treadle.api.names import ANNOTATION_REQUESTED_AT, GROUP, short
from treadle.cli.cluster import CONNECTION, Answer, Cluster, Object, connected, object_of, ours
from treadle.cli.durations import DURATION
from treadle.cli.rows import styled

if TYPE_CHECKING:
    from treadle.cli.asking.deployment import Scene
    from treadle.cli.asking.preview import Preview

ANSWERED = "Answered"
POLL_SECONDS = 0.5
TIMED_OUT = 4


@dataclass(frozen=True, slots=True)
class Manner:
    """How a request is made."""

    context: str
    namespace: str
    dry_run: bool
    printed: bool
    waits: bool
    timeout_seconds: float
    output: str


def MANNER[**P, R](command: Callable[P, R]) -> Callable[..., R]:  # noqa: N802
    """Give a command the options of a request, gathered in one argument `manner`."""

    @CONNECTION
    @click.option("--dry-run", is_flag=True, help="Show the change, let the server check it, and set nothing.")
    @click.option("--print", "printed", is_flag=True, help="Print the kubectl line, or the patch for Git; set nothing.")
    @click.option("--wait", "waits", is_flag=True, help="Wait until the operator has answered; exit code 4 if not.")
    @click.option("--timeout", type=DURATION, default="1m", show_default=True, help="How long --wait waits.")
    @click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", help="Form of the answer.")
    def run(
        *,
        context: str,
        namespace: str,
        dry_run: bool,
        printed: bool,
        waits: bool,
        timeout: float,
        output: str,
        **given: str,
    ) -> R:
        manner = Manner(context, namespace, dry_run, printed, waits, timeout, output)
        return command(**given, manner=manner)  # type: ignore[call-arg, arg-type]

    run.__name__ = command.__name__
    run.__doc__ = command.__doc__
    return run


@click.command()
@click.argument("deployment", metavar="MDEP")
@MANNER
def retrain(*, deployment: str, manner: Manner) -> None:
    """Start a run from a ModelDeployment's template.

    Told first: the run, the data, the champion to beat, and what keeps it from starting.
    """
    of_deployment("retrains", deployment, "", manner)


@click.command()
@click.argument("deployment", metavar="MDEP")
@click.argument("version", metavar="[vN|DIGEST]", default="")
@MANNER
def promote(*, deployment: str, version: str, manner: Manner) -> None:
    """Make the candidate champion.

    It ends a pause, or skips the steps that are left.

    Where spec.source pins the version, Git says what is served: --print gives the patch for it.

    \b
    Examples:
      treadle promote flights-late --dry-run
      treadle promote flights-late v8 --print
    """
    of_deployment("promotes", deployment, version, manner)


@click.command()
@click.argument("deployment", metavar="MDEP")
@click.argument("version", metavar="[vN|DIGEST]", default="")
@MANNER
def rollback(*, deployment: str, version: str, manner: Manner) -> None:
    """Return to the champion before this one.

    Where the candidate is named, its trial ends instead.
    """
    of_deployment("rolls_back", deployment, version, manner)


@click.command()
@click.argument("deployment", metavar="MDEP")
@click.argument("version", metavar="vN|DIGEST")
@MANNER
def unquarantine(*, deployment: str, version: str, manner: Manner) -> None:
    """Allow a version again that was refused."""
    of_deployment("unquarantines", deployment, version, manner)


@click.command()
@click.argument("object_", metavar="KIND/NAME")
@MANNER
def refresh(*, object_: str, manner: Manner) -> None:
    """Fetch, judge or retrain now, by the kind.

    A DataSource is fetched, a Monitor judges the window that ends now, a ModelDeployment is retrained.
    """
    kind, name = object_of(object_)
    if kind == "ModelDeployment":
        of_deployment("retrains", name, "", manner)
        return
    if kind == "TrainingJob":
        raise click.UsageError(
            "a TrainingJob is one run and never runs again; retrain its ModelDeployment, or create another"
        )
    from treadle.cli.asking.standing import fetches, judges

    now = datetime.now(UTC)
    with asked(kind, name, manner) as (cluster, raw):
        if kind == "DataSource":
            perform(cluster, raw, fetches(raw, now), manner)
        else:
            target = cluster.find(ours("ModelDeployment", cluster.namespace, raw["spec"]["targetRef"]["name"]))
            perform(cluster, raw, judges(raw, target, now), manner)


@click.command()
@click.argument("object_", metavar="KIND/NAME")
@MANNER
def suspend(*, object_: str, manner: Manner) -> None:
    """Hold an object until it is resumed.

    No fetch begins, no run, no trial, no window; what serves goes on.
    """
    held(object_, True, manner)


@click.command()
@click.argument("object_", metavar="KIND/NAME")
@MANNER
def resume(*, object_: str, manner: Manner) -> None:
    """Let an object go on that was suspended."""
    held(object_, False, manner)


def held(object_: str, is_suspended: bool, manner: Manner) -> None:
    """Set spec.suspend."""
    from treadle.cli.asking.standing import suspends

    with asked(*object_of(object_), manner) as (cluster, raw):
        perform(cluster, raw, suspends(raw, is_suspended), manner)


def of_deployment(verb: str, deployment: str, version: str, manner: Manner) -> None:
    """Make a request to a ModelDeployment by the function of this name."""
    from treadle.cli.asking import deployment as asking

    kind, name = object_of(deployment)
    if kind != asking.KIND:
        raise click.UsageError(f'"{deployment}" is a {kind}; name a ModelDeployment')
    with asked(kind, name, manner) as (cluster, raw):
        request: asking.Request = getattr(asking, verb)
        perform(cluster, raw, request(scene(cluster, raw), version, datetime.now(UTC)), manner)


def scene(cluster: Cluster, raw: Object) -> "Scene":
    """Read what a pass over the deployment would read, but for its pods."""
    from treadle.cli.asking.deployment import data_name
    from treadle.cli.asking.deployment import scene as read

    runs = cluster.items(ours("TrainingJob", cluster.namespace))
    monitors = cluster.items(ours("Monitor", cluster.namespace))
    name = data_name(raw)
    source = cluster.find(ours("DataSource", cluster.namespace, name)) if name else None
    return read(raw, runs, monitors, source)


@contextmanager
def asked(kind: str, name: str, manner: Manner) -> Iterator[tuple[Cluster, Object]]:
    """Give the cluster and an object of it; a Refusal becomes the one line that a person reads."""
    from treadle.cli.asking.preview import Refusal

    with connected(manner.context, manner.namespace) as cluster:
        try:
            yield cluster, cluster.get(ours(kind, cluster.namespace, name))
        except Refusal as refusal:
            raise click.ClickException(str(refusal)) from refusal


def perform(cluster: Cluster, raw: Object, preview: "Preview", manner: Manner) -> None:
    """Show a request, then set it: on this very object, and for the digests that were shown."""
    from treadle.cli.asking.preview import commands, document, lines

    if preview.git and not manner.printed:
        raise click.ClickException("Git says which version is served; add --print for the patch to put there")
    is_text = manner.output == "text"
    if is_text:
        tell(lines(preview), manner)
    if manner.printed:
        outcome, line = "Printed", ""
        if is_text:
            click.echo(commands(preview, cluster.namespace, manner.context), nl=False)
    elif preview.patch is None:
        outcome, line = "Unchanged", ""
    else:
        outcome, line = set_(cluster, raw, preview, manner)
    if not is_text:
        printed = {"commands": commands(preview, cluster.namespace, manner.context)} if manner.printed else {}
        click.echo(json.dumps(document(preview, outcome) | printed, indent=2, sort_keys=True, ensure_ascii=False))
    elif line:
        click.echo(line)


def set_(cluster: Cluster, raw: Object, preview: "Preview", manner: Manner) -> tuple[str, str]:
    """Set a request; return how that ended, in a word and in a line."""
    assert preview.patch is not None
    path = ours(preview.kind, cluster.namespace, preview.name)
    if manner.dry_run:
        patch(cluster, raw, path, preview.patch, dry_run=True)
        return "DryRun", "Dry run: the server takes it; nothing was set"
    if preview.clears:
        cleared(cluster, raw, path, preview.clears, manner.timeout_seconds)
    patch(cluster, raw, path, preview.patch)
    found = preview.annotation
    line = f"Set {found[0]}={found[1]}" if found is not None else f"Set {json.dumps(preview.patch)}"
    if not manner.waits or found is None:
        return "Set", line
    told = answered(cluster, path, raw, found, manner.timeout_seconds)
    return ANSWERED, f"{line}; {told}"


def patch(cluster: Cluster, raw: Object, path: str, body: Object, *, dry_run: bool = False) -> None:
    """Patch this very object: a namesake made meanwhile has another uid, which no patch may change."""
    metadata = {"uid": raw["metadata"]["uid"], **body.get("metadata", {})}
    try:
        cluster.patch(path, {**body, "metadata": metadata}, dry_run=dry_run)
    except Answer as answer:
        if answer.status in (409, 422) and "metadata.uid" in answer.text:
            what = f"{raw['kind']} {raw['metadata']['name']}"
            raise click.ClickException(f"{what} was replaced by a namesake since it was read; ask again") from answer
        raise


def cleared(cluster: Cluster, raw: Object, path: str, annotation: str, seconds: float) -> None:
    """Take an annotation away and wait until the operator has seen that, so that the same value acts again."""
    patch(cluster, raw, path, {"metadata": {"annotations": {annotation: None}}})
    field = annotation.removeprefix(f"{GROUP}/")
    looked = look(cluster, path, seconds, lambda raw: field not in handled(raw) or None)
    if looked is None:
        raise click.ClickException(
            f"{annotation} of an earlier request was taken away, and the operator did not see it in {seconds:g} s; "
            "is it running? Ask again"
        )


def answered(cluster: Cluster, path: str, before: Object, request: tuple[str, str], seconds: float) -> str:
    """Wait for the operator's answer; leave with exit code 1 where it refused, and 4 where it did not come."""
    told = look(cluster, path, seconds, lambda raw: answer(raw, before, *request))
    if told is None:
        click.echo(f"the operator did not answer within {seconds:g} s; the request stands", err=True)
        raise SystemExit(TIMED_OUT)
    if told.startswith("Refused"):
        raise click.ClickException(f"the operator refused it: {told}")
    return told


def answer(raw: Object, before: Object, annotation: str, value: str) -> str | None:
    """Return what the operator made of a request, or None where it has not looked at it yet."""
    status = raw.get("status") or {}
    act = annotation.removeprefix(f"{GROUP}/")
    if annotation == ANNOTATION_REQUESTED_AT and status.get("handledRequest") != value:
        return None
    known = (before.get("status") or {}).get("requests") or []
    ids = (value, f"{act}-{short(value)}")
    for row in status.get("requests") or []:
        if row["from"] == "person" and row["id"] in ids and row not in known:
            return " ".join(filter(None, (row["outcome"], row.get("reason"), row.get("ref"))))
    is_done = annotation == ANNOTATION_REQUESTED_AT or handled(raw).get(act) == value
    return "Done" if is_done else None


def handled(raw: Object) -> Object:
    """Return the digests that were acted on, by request."""
    found: Object = (raw.get("status") or {}).get("handledDigests") or {}
    return found


def look[T](cluster: Cluster, path: str, seconds: float, find: Callable[[Object], T | None]) -> T | None:
    """Look at an object until something is found in it, or the time is over."""
    until = time.monotonic() + seconds
    while True:
        if (found := find(cluster.get(path))) is not None:
            return found
        if time.monotonic() >= until:
            return None
        time.sleep(POLL_SECONDS)


def tell(texts: list[str], manner: Manner) -> None:
    """Show a preview; beside a line that is meant for a pipe, on the other stream."""
    for index, text in enumerate(texts):
        click.echo(styled([(text, "bold" if index == 0 else "")]), err=manner.printed)
