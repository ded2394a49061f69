"""`treadle diff`, `lineage`, `card` and `report`: versions and runs, from status and, with the right, the bucket."""

import json
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import click

from treadle.api.names import short
from treadle.cli.bucket import Bucket, Unread, bucket, told
from treadle.cli.cluster import CONNECTION, Object, connected
from treadle.cli.estate import name_of, read, status_of
from treadle.cli.rows import styled
from treadle.cli.trace import chain, compare
from treadle.cli.trace.book import Book, Data, Run, book
from treadle.cli.trace.named import HEX, Thing, Unknown, find
from treadle.cli.trace.named import told as called

if TYPE_CHECKING:
    from treadle.store.port import ObjectStore

UNWANTED = ("events", "jobs", "pods", "services", "workloads")
OUTPUT = click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", help="Default: text.")
FORMS = (
    "write v3 or flights-late:v3, a digest or at least eight digits of it, KIND/NAME, flights@DIGITS for a version of "
    "DataSource flights, or the id of an answer"
)


@dataclass
class Desk:
    """What a command works with: the objects of a namespace, the bucket if it may be read, and what is to be noted."""

    bucket: Bucket
    book: Book
    notes: list[str] = field(default_factory=list)

    def store(self) -> "ObjectStore | None":
        """Return the store, or None with a note that says why not."""
        try:
            return self.bucket.store(self._thing(), self._uri())
        except Unread as why:
            note = f"the bucket was not read: {why.message}; what status alone tells is shown"
            if note not in self.notes:
                self.notes.append(note)
            return None

    def thing(self, text: str) -> Thing:
        """Return what a person's word means, by the objects and then by the bucket; raise Unknown for nothing."""
        found = self.look(text)
        if found is None:
            raise self.nothing(text)
        return found

    def look(self, text: str) -> Thing | None:
        """Return the same, or None for what is no version, digest or object."""
        return find(self.book, text) or self._stored(text)

    def nothing(self, text: str) -> Unknown:
        """Return the error of a word that means nothing."""
        return Unknown(f'"{text}" is nothing that is known in {self.book.estate.namespace}; {FORMS}')

    def run(self, text: str) -> Run:
        """Return the run that a word means; of a model the newest that made it, of a deployment its champion's."""
        thing = self.thing(text)
        if thing.kind == "run":
            return self.book.run(thing.key)
        if thing.kind not in ("model", "deployment"):
            raise Unknown(f'"{text}" is {called(self.book, thing)}, which no run made')
        digest = thing.key if thing.kind == "model" else chain.served_by(self.book, thing)
        if not digest:
            raise Unknown(f"ModelDeployment {thing.key} has no model yet")
        self.know(digest)
        made = self.book.made(digest)
        if not made:
            raise Unknown(f"no run is known that made model {short(digest)}: its TrainingJob is gone")
        wanted = text.rpartition(":")[2]
        return next((run for run in made if run.version == wanted), made[0])

    def know(self, model: str) -> None:
        """Read the runs of a model from the bucket, where no object is left that made it."""
        if self.book.made(model):
            return
        families = [str(held.deployment["spec"]["modelName"]) for held in self.book.holders(model)]
        if (store := self.store()) is not None:
            from treadle.cli.trace.stored import runs_of

            with told():
                self.book = self.book.with_runs(runs_of(store, model, families[0] if families else ""))

    def side(self, digest: str) -> compare.Side:
        """Return a dataset version with its manifest, where that can be read."""
        data = self.book.of_digest(digest) or Data(digest, "")
        return compare.Side(data, self.manifest("datasets", digest))

    def manifest(self, kind: str, digest: str) -> Object:
        """Return a manifest; nothing, with a note, where it cannot be read."""
        store = self.store()
        if store is None or not digest:
            return {}
        from treadle.store.errors import StoreError
        from treadle.store.manifest import read_manifest

        try:
            return read_manifest(store, "datasets" if kind == "datasets" else "models", digest)
        except StoreError as error:
            self.notes.append(error.message)
            return {}

    def files(self, digests: Iterable[str]) -> chain.Files:
        """Return the files that dataset versions were read from, where the bucket tells."""
        store = self.store()
        if store is None:
            return {}
        from treadle.cli.trace.stored import sources

        with told():
            found = {digest: sources(store, digest, self._published(digest)) for digest in digests}
        self.notes += [
            f"no record names the files of version {short(digest)}: it is older than such records, or than the newest"
            for digest, rows in found.items()
            if not rows
        ]
        return found

    def _stored(self, text: str) -> Thing | None:
        match, store = HEX.fullmatch(text.strip().lower()), self.store()
        if match is None or store is None:
            return None
        from treadle.cli.trace.stored import find as find_stored

        with told():
            thing, runs = find_stored(store, match[1])
        self.book = self.book.with_runs(runs)
        return thing

    def _published(self, digest: str) -> str:
        data = self.book.of_digest(digest)
        return data.published if data is not None else ""

    def _thing(self) -> Object | None:
        estate = self.book.estate
        return next(iter((*estate.runs, *estate.sources, *estate.monitors)), None)

    def _uri(self) -> str:
        known = [*(run.uri for run in self.book.runs), *(data.uri for data in self.book.data)]
        return next(filter(None, known), "")


@contextmanager
def desk(context: str, namespace: str) -> Iterator[Desk]:
    """Give what the commands work with; what cannot be told is one line and exit code 1."""
    with connected(context, namespace) as cluster, bucket(cluster) as opened:
        estate = read(cluster, cluster.namespace, without=UNWANTED)
        found = Desk(opened, book(estate), list(estate.unread))
        try:
            yield found
        except Unknown as unknown:
            raise click.ClickException("; ".join([str(unknown), *found.notes])) from unknown


@click.command()
@click.argument("left", metavar="A")
@click.argument("right", metavar="B")
@OUTPUT
@CONNECTION
def diff(*, left: str, right: str, output: str, context: str, namespace: str) -> None:
    """Tell how two versions or runs differ, in plain words.

    Of models: data, recipe, metrics with intervals, the paired difference where the gate compared the two, verdicts,
    packages. Of dataset versions: rows, spans, columns. Columns and parts of older versions stand in the bucket, which
    is read with your right to its Secret.

    \b
    Examples:
      treadle diff v7 v8
      treadle diff flights@9f3c12ab flights@latest
      treadle diff tj/flights-late-first v8
    """
    with desk(context, namespace) as found:
        one, other = found.thing(left), found.thing(right)
        if one.kind == other.kind == "data":
            was, is_ = found.side(one.key), found.side(other.key)
            names, sections = (was.data.title, is_.data.title), compare.of_versions(was, is_)
        else:
            before, after = made_of(found, left), made_of(found, right)
            names, sections = (before.name, after.name), compare.of_runs(before, after)
        document = compare.document(*names, sections, found.notes)
        write(compare.lines(*names, sections), document, found.notes, output)


def made_of(found: Desk, text: str) -> compare.Made:
    """Return one side of a comparison of runs."""
    run = found.run(text)
    recipe = {} if "estimator" in run.spec else found.manifest("models", run.digest).get("recipe", {})
    return compare.Made(run, found.side(run.data), recipe)


@click.command()
@click.argument("word", metavar="DIGEST|vN|NAME|ANSWER")
@OUTPUT
@CONNECTION
def lineage(*, word: str, output: str, context: str, namespace: str) -> None:
    """Walk both ways from a version, a digest or an answer.

    From source files over data, run and model to where it serves and who judges it: each link with its digest, time and
    cause, and the command that tells more. Files, and what older objects knew, stand in the bucket, which is read with
    your right to its Secret.

    \b
    Examples:
      treadle lineage v8
      treadle lineage 9f3c12ab
      treadle lineage dsrc/flights
      treadle lineage 6b0f1c9e-7d1a-4f6e-9a52-0c9f0d3f7a11
    """
    with desk(context, namespace) as found:
        drawn = around(found, word)
        write(chain.lines(drawn), chain.document(drawn, found.notes), found.notes, output)


def around(found: Desk, word: str) -> chain.Lineage:
    """Return the lineage of what a word means; what no object and no manifest knows may be the id of an answer."""
    thing = found.look(word)
    if thing is None:
        answer = answered(found, word)
        if answer is None:
            raise found.nothing(word)
        found.know(answer.model)
        model = Thing("model", answer.model)
        return chain.of_prediction(found.book, answer, found.files(chain.involved(found.book, model)))
    if thing.kind == "model":
        found.know(thing.key)
    elif thing.kind in ("deployment", "monitor") and (model_digest := chain.served_by(found.book, thing)):
        found.know(model_digest)
    return chain.lineage(found.book, thing, found.files(chain.involved(found.book, thing)))


def answered(found: Desk, word: str) -> chain.Prediction | None:
    """Return the answer of an id, as the request log has it."""
    names, store = [name_of(deployment) for deployment in found.book.estate.deployments], found.store()
    if store is None or not names:
        return None
    from treadle.cli.trace.stored import PARTS, prediction

    with told():
        answer = prediction(store, names, word)
    if answer is None:
        found.notes.append(f"the newest {PARTS} parts of the request log hold no answer of that id either")
    return answer


@click.command()
@click.argument("word", metavar="MODEL|DIGEST")
@CONNECTION
def card(*, word: str, context: str, namespace: str) -> None:
    """Print the card of a model.

    What it is, its numbers with intervals, its limits, and how to load it.

    MODEL is a version such as v8, a run, or a ModelDeployment, which stands for its champion. The card is Markdown; it
    lies in the bucket, which is read with your right to its Secret.
    """
    with desk(context, namespace) as found:
        run = found.run(word)
        digest = str(run.model.get("cardDigest") or "")
        if not run.digest:
            raise Unknown(f"{run.title} made no model: {run.verdict}. {run.message}")
        if not digest:
            raise Unknown(f"{run.title} recorded no card: it was judged by an earlier version of Treadle")
        store = found.store()
        if store is None:
            for line in summary(run):
                click.echo(line)
            raise click.ClickException(found.notes[-1])
        from treadle.store.blobs import get_bytes

        with told():
            click.echo(get_bytes(store, digest).decode(), nl=False)


def summary(run: Run) -> Iterator[str]:
    """Yield what status alone tells of a model."""
    yield f"{run.family} {run.version}  {run.digest}"
    yield f"{run.title}, {run.verdict}: {run.message.partition(' docs: ')[0]}"
    yield from (
        f"{row['name']}{', ' + row['slice'] if row.get('slice') else ''}: {chain.bounded(row)}" for row in run.metrics
    )


@click.command()
@click.argument("word", metavar="NAME|RUN")
@click.option("--save", type=click.Path(dir_okay=False, path_type=Path), help="Where to write it; - for stdout.")
@click.option("--open", "opens", is_flag=True, help="Open it in a browser.")
@CONNECTION
def report(*, word: str, save: Path | None, opens: bool, context: str, namespace: str) -> None:
    """Fetch the report of a window or of a run.

    Of a Monitor's last window, or of a training run. It is one page without scripts, which can be read offline and
    sent on; its path is printed. NAME is a Monitor or a ModelDeployment, RUN a TrainingJob, a version, or digits of a
    run's key. The page lies in the bucket, which is read with your right to its Secret.
    """
    if opens and save is not None and str(save) == "-":
        raise click.UsageError("--open needs a file; leave out --save -")
    with desk(context, namespace) as found:
        step, key, name = reported(found, word)
        store = found.store()
        if store is None:
            raise click.ClickException(found.notes[-1])
        with told():
            page = page_of(store, step, key)
    if save is not None and str(save) == "-":
        sys.stdout.buffer.write(page)
        return
    path = save or Path(tempfile.mkdtemp(prefix="treadle-")) / f"{name}-{key[:10]}.html"
    try:
        path.write_bytes(page)
    except OSError as error:
        raise click.ClickException(f"{path} was not written: {error.strerror}; name another file") from error
    click.echo(path.absolute())
    if opens and not click.launch(path.absolute().as_uri()) == 0:
        raise click.ClickException(f"no browser opened; open {path.absolute()} yourself")


def reported(found: Desk, word: str) -> tuple[str, str, str]:
    """Return step, run key and name of what has a report; raise Unknown where there is none."""
    monitor = found.book.estate.find("Monitor", word.rpartition("/")[2])
    thing = Thing("monitor", word) if monitor is not None and "/" not in word else found.thing(word)
    if thing.kind == "monitor":
        last = status_of(found.book.estate.find("Monitor", thing.key) or {}).get("lastWindow") or {}
        uri, name = str(last.get("reportUri") or ""), thing.key
        if not uri:
            raise Unknown(f"Monitor {name} has judged no window yet; treadle refresh mon/{name} judges one now")
        return "monitor", Path(uri).stem, name
    run = found.run(word)
    if not run.status.get("reportUri"):
        raise Unknown(f"{run.title} has no report: {run.verdict or 'it has not ended'}. {run.message}".strip())
    return "train", run.run_key or Path(run.uri).stem, run.name or run.family


def page_of(store: "ObjectStore", step: str, key: str) -> bytes:
    """Return the page that a run's record lists, its digest checked."""
    from treadle.store.blobs import get_bytes, missing
    from treadle.store.manifest import REPORT, files_of, read_record

    record = read_record(store, "monitor" if step == "monitor" else "train", key)
    digest = next((file.sha256 for file in files_of(record or {}) if file.path == REPORT), None)
    if digest is None:
        raise missing(f"the report of run {key[:10]}", store)
    return get_bytes(store, digest)


def write(lines: Iterable[tuple[str, str]], document: Object, notes: Sequence[str], output: str) -> None:
    """Print an answer; notes beside it."""
    if output == "json":
        click.echo(json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False))
        return
    for line in lines:
        click.echo(styled([line]))
    for note in notes:
        click.echo(f"Note: {note}", err=True)
