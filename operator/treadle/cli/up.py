"""`treadle up`: a directory of manifests as a cluster in the foreground, until Ctrl-C."""

import asyncio
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from treadle.cli.validate import files_of, judged

if TYPE_CHECKING:
    from treadle.local.run import Running

type Object = dict[str, Any]

MANAGER = "treadle-up"
LOOK_SECONDS = 1.0
PORT = 8480

# What others refer to comes first, so that a reader of the log sees no waiting that is only an order.
ORDER = (
    "Namespace",
    "Secret",
    "ConfigMap",
    "ServiceAccount",
    "DataSource",
    "TrainingJob",
    "ModelDeployment",
    "Monitor",
)


@click.command()
@click.argument("directory", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--state",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".treadle"),
    show_default=True,
    help="Folder of objects, buckets and logs; a second `up` goes on where the first was.",
)
@click.option(
    "--port", type=click.IntRange(0, 65535), default=PORT, show_default=True, help="Of the API; 0: a free one."
)
@click.option("-n", "--namespace", default="default", show_default=True, help="For manifests that name none.")
def up(directory: Path, state: Path, port: int, namespace: str) -> None:
    """Run a directory of manifests here, without a cluster.

    The steps and digests are those of a cluster, and no container is needed.
    Jobs and servers run as processes, a folder is the bucket. Files that change are applied again. Ctrl-C ends all
    of it; the next `treadle up` goes on. kubectl and the other commands work with the KUBECONFIG that is printed.

    \b
    Example:
      treadle up manifests/quickstart
    """
    from treadle.local.run import up as run
    from treadle.local.state import Folder, Unusable

    files = Files(directory, namespace)
    wished = files.read()
    folder = Folder(state.absolute())
    try:
        code = asyncio.run(run(folder, port, namespaces(wished, namespace), Foreground(files, wished)))
    except Unusable as problem:
        click.echo(f"Error: {problem}", err=True)
        sys.exit(2)
    if code:
        click.echo(f"Error: a part of it ended by itself; see {folder.log}", err=True)
    else:
        click.echo(f"ended; the next treadle up goes on from {folder.root}")
    sys.exit(code)


class Wrong(click.ClickException):
    """Manifests that would be refused; each line says where and why."""

    exit_code = 2

    def show(self, file: Any = None) -> None:
        """Print the findings as they are."""
        click.echo(self.message, file=file, err=True)


@dataclass(slots=True)
class Files:
    """The manifests of a directory, read again when one of them changes."""

    directory: Path
    namespace: str
    _seen: tuple[tuple[Path, int], ...] = ()

    def has_changed(self) -> bool:
        """Say whether any file was written, added or removed since they were read."""
        return self._stamps() != self._seen

    def read(self) -> list[Object]:
        """Return the objects in the order in which they are applied; raise Wrong where any would be refused."""
        self._seen = self._stamps()
        documents, findings = judged([str(self.directory)])
        if wrong := [str(found) for found in findings if found.weight == "error"]:
            raise Wrong("\n".join(wrong))
        return in_order([placed(document.raw, self.namespace) for document in documents])

    def _stamps(self) -> tuple[tuple[Path, int], ...]:
        return tuple((path, path.stat().st_mtime_ns) for path in files_of(self.directory))


class Foreground:
    """What goes on in the foreground: the files are applied; a terminal shows a screen, anything else each change."""

    def __init__(self, files: Files, wished: list[Object]) -> None:
        self._files, self._wished = files, wished
        self._began = time.monotonic()
        self._told: dict[tuple[str, str], list[str]] = {}

    async def __call__(self, running: "Running") -> None:
        """Apply, and show, until cancelled."""
        click.echo(f"{len(self._wished)} manifests of {self._files.directory}; state in {running.folder.root}")
        click.echo(f"export KUBECONFIG={running.folder.kubeconfig}")
        show = self.draw(running) if sys.stdout.isatty() else self.tell(running)
        async with asyncio.TaskGroup() as group:
            group.create_task(self.apply(running))
            group.create_task(show)

    async def apply(self, running: "Running") -> None:
        """Apply the manifests, and again those of a directory that has changed."""
        while True:
            for wish in self._wished:
                await running.api.apply(wish, manager=MANAGER)
            # Files tell no event.
            while not self._files.has_changed():  # noqa: ASYNC110
                await asyncio.sleep(LOOK_SECONDS)
            try:
                self._wished = self._files.read()
                self.say("the files changed; applied again")
            except click.ClickException as problem:
                self.say(f"the files changed; they were not applied: {problem.format_message()}")
                self._wished = []

    async def draw(self, running: "Running") -> None:
        """Show what `treadle status --watch` shows, in a thread, since it asks over HTTP."""
        over = threading.Event()
        try:
            await asyncio.to_thread(screen, running.url, namespaces(self._wished, self._files.namespace)[0], over)
        finally:
            over.set()

    async def tell(self, running: "Running") -> None:
        """Say what is new about each of the four kinds."""
        told: asyncio.Queue[Any] = asyncio.Queue()
        running.api.subscribe(told)
        while True:
            change = await told.get()
            raw = change.object
            key = (raw["kind"], raw["metadata"]["name"])
            lines = [] if change.type == "DELETED" else headlines(raw)
            for line in lines:
                if line not in self._told.get(key, []):
                    self.say(f"{'/'.join(key)}  {line}")
            self._told[key] = lines

    def say(self, text: str) -> None:
        """Write a line with the seconds since the start."""
        click.echo(f"{time.monotonic() - self._began:6.1f} s  {text}")


def screen(url: str, namespace: str, over: threading.Event) -> None:
    """Keep the screen of a namespace on the terminal until it is over."""
    from treadle.cli.cluster import Cluster, Way
    from treadle.cli.show import follow, live

    address = urlsplit(url)
    way = Way("treadle", url, host=address.hostname or "", port=address.port or 0)
    live(takewhile(lambda _: not over.is_set(), follow(Cluster(way, namespace), None, None)))


def placed(raw: Object, namespace: str) -> Object:
    """Return an object with its namespace, or with this one."""
    if raw["kind"] == "Namespace":
        return raw
    return {**raw, "metadata": {"namespace": namespace, **raw["metadata"]}}


def in_order(found: Sequence[Object]) -> list[Object]:
    """Return objects in the order of their kinds, those of other kinds last."""
    return sorted(found, key=lambda raw: ORDER.index(raw["kind"]) if raw["kind"] in ORDER else len(ORDER))


def namespaces(wished: Sequence[Object], default: str) -> list[str]:
    """Return the namespaces of objects in the order of their names; the default where there is none."""
    return sorted({raw["metadata"]["namespace"] for raw in wished if raw["kind"] != "Namespace"}) or [default]


def headlines(raw: Object) -> list[str]:
    """Return what one would want to hear of an object of the four kinds: how it stands, and what was decided last."""
    if not raw["apiVersion"].startswith("treadle.dev/"):
        return []
    status = raw.get("status") or {}
    summaries = [c for c in status.get("conditions") or [] if c["type"] in ("Ready", "Complete", "Failed")]
    lines = [
        f"{condition['reason']}: {condition['message']}"
        for condition in summaries
        if condition["status"] != "Unknown" and (condition["type"] != "Failed" or condition["status"] == "True")
    ]
    progress = status.get("progress")
    if progress and not status.get("completionTime"):
        lines.append(f"{progress['percentage']} % {progress.get('stage', '')}".rstrip())
    decisions = status.get("decisions") or []
    return lines + [f"{entry['action']}: {entry['message']}" for entry in decisions[:1]]
