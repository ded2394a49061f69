"""Lineage both ways: from source files to what answers, as the objects tell it, and the bucket where it was read."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from treadle.api.causes import cause
from treadle.api.names import short
from treadle.cli.cluster import Object
from treadle.cli.estate import name_of, status_of
from treadle.cli.trace.book import Book, Data, Held, Run
from treadle.cli.trace.named import Thing

FILES_SHOWN = 8
DECISIONS_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Node:
    """One link: what it is, its digest, when it came about and why, and the command that tells more."""

    what: str
    title: str
    digest: str = ""
    time: str = ""
    said: tuple[str, ...] = ()
    look: str = ""


@dataclass(frozen=True, slots=True)
class Branch:
    """A link with what came of it."""

    node: Node
    then: tuple["Branch", ...] = ()


@dataclass(frozen=True, slots=True)
class Prediction:
    """An answer, as a serving pod logged it."""

    id: str
    deployment: str
    model: str
    time: str
    arm: str
    status: int


@dataclass(frozen=True, slots=True)
class Lineage:
    """A link with those before it, oldest first, and those after it."""

    before: tuple[Node, ...]
    here: Node
    after: tuple[Branch, ...]


type Files = Mapping[str, Sequence[Object]]
"""By digest of a dataset version: the files that were read, as the record of the fetch names them."""


def lineage(book: Book, thing: Thing, files: Files) -> Lineage:
    """Return where a thing came from and what came of it."""
    part = (f"the digest given is that of {thing.part}",) if thing.part else ()
    before, here, after = BY_KIND[thing.kind](book, thing.key, files)
    marked = Node(here.what, here.title, here.digest, here.time, (*part, *here.said), here.look)
    return Lineage(tuple(before), marked, tuple(after))


def of_prediction(book: Book, found: Prediction, files: Files) -> Lineage:
    """Return where an answer came from."""
    here = Node(
        "answer",
        f"prediction {found.id}",
        time=found.time,
        said=(f"status {found.status}, by the {found.arm} of ModelDeployment {found.deployment}",),
        look=f"treadle logs {found.deployment}",
    )
    model = [*until_model(book, found.model, files), model_node(book, found.model)]
    return Lineage((*model, *(held_node(held) for held in book.holders(found.model))), here, ())


def involved(book: Book, thing: Thing) -> list[str]:
    """Return the dataset versions that a thing came from."""
    if thing.kind == "data":
        return [thing.key]
    if thing.kind == "run":
        return [data] if (data := book.run(thing.key).data) else []
    model = thing.key if thing.kind == "model" else served_by(book, thing)
    return list(dict.fromkeys(data for data in data_of_model(book, model) if data))[:1]


def served_by(book: Book, thing: Thing) -> str:
    """Return the model of a deployment, or that which a Monitor judged last."""
    if thing.kind == "deployment":
        return _champion(book, thing.key)
    monitor = book.estate.find("Monitor", thing.key) or {}
    judged = (status_of(monitor).get("lastWindow") or {}).get("championDigest")
    return str(judged or _champion(book, monitor["spec"]["targetRef"]["name"]))


def data_of_model(book: Book, digest: str) -> list[str]:
    """Return the dataset versions that runs and deployments say a model learnt from, oldest run first."""
    return [run.data for run in reversed(book.made(digest))] + [held.data for held in book.holders(digest)]


# Each kind: those before, itself, those after.

type Links = tuple[list[Node], Node, list[Branch]]


def around_data(book: Book, digest: str, files: Files) -> Links:
    """Return the links around a dataset version."""
    after = [Branch(run_node(run), tuple(after_run(book, run))) for run in book.learnt(digest)]
    return file_nodes(files.get(digest, ())), data_node(book, digest), after


def around_run(book: Book, key: str, files: Files) -> Links:
    """Return the links around a run."""
    run = book.run(key)
    return [*until_data(book, run.data, files), *rivals(book, run)], run_node(run), list(after_run(book, run))


def around_model(book: Book, digest: str, files: Files) -> Links:
    """Return the links around a model."""
    return until_model(book, digest, files), model_node(book, digest), list(after_model(book, digest))


def around_deployment(book: Book, name: str, files: Files) -> Links:
    """Return the links around a deployment: of its champion, or its candidate before there is one."""
    digest = _champion(book, name)
    before = [*until_model(book, digest, files), model_node(book, digest)] if digest else []
    here = [held for held in book.held if name_of(held.deployment) == name and held.digest == digest]
    node = held_node(here[0]) if here else Node("serving", f"ModelDeployment {name}, no model yet")
    return before, node, list(after_serving(book, name, digest))


def around_monitor(book: Book, name: str, files: Files) -> Links:
    """Return the links around a Monitor: of the model that it judged last."""
    monitor = book.estate.find("Monitor", name) or {}
    target, digest = monitor["spec"]["targetRef"]["name"], served_by(book, Thing("monitor", name))
    before = [*until_model(book, digest, files), model_node(book, digest)] if digest else []
    serving = [held for held in book.holders(digest) if name_of(held.deployment) == target]
    return (
        [*before, *(held_node(held) for held in serving[:1])],
        monitor_node(monitor, digest),
        list(after_monitor(book, name)),
    )


BY_KIND = {
    "data": around_data,
    "run": around_run,
    "model": around_model,
    "deployment": around_deployment,
    "monitor": around_monitor,
}


# What lies before.


def until_data(book: Book, digest: str, files: Files) -> list[Node]:
    """Return the files and the dataset version."""
    return [*file_nodes(files.get(digest, ())), data_node(book, digest)] if digest else []


def until_model(book: Book, digest: str, files: Files) -> list[Node]:
    """Return files, data, and the run that first made a model."""
    runs = book.made(digest)
    data = next((found for found in data_of_model(book, digest) if found), "")
    if runs:
        return [*until_data(book, data, files), *rivals(book, runs[-1]), run_node(runs[-1])]
    gone = next((held.run for held in book.holders(digest) if held.run), "")
    node = [Node("run", f"TrainingJob {gone}", said=("it is gone; its record is in the bucket",))] if gone else []
    return [*until_data(book, data, files), *node]


def rivals(book: Book, run: Run) -> list[Node]:
    """Return the champion that a run had to beat, if there was one."""
    digest = run.gate.get("champion")
    if not digest or digest == run.digest:
        return []
    return [
        Node("rival", f"{book.version(digest)}, the champion to beat", digest, look=f"treadle lineage {short(digest)}")
    ]


def file_nodes(files: Sequence[Object]) -> list[Node]:
    """Return the files that were read, the first few of many."""
    shown = [Node("file", row["place"], row["sha256"], said=(size(row["bytes"]),)) for row in files[:FILES_SHOWN]]
    rest = files[FILES_SHOWN:]
    more = f"{len(rest)} more files, {size(sum(row['bytes'] for row in rest))}"
    return [*shown, *([Node("file", more)] if rest else [])]


# What comes after.


def after_run(book: Book, run: Run) -> Iterator[Branch]:
    """Yield the model that a run made, with what came of that."""
    if run.digest:
        yield Branch(model_node(book, run.digest), tuple(after_model(book, run.digest)))


def after_model(book: Book, digest: str) -> Iterator[Branch]:
    """Yield where a model is, and the runs that were judged against it."""
    for held in book.holders(digest):
        name = name_of(held.deployment)
        yield Branch(held_node(held), tuple(after_serving(book, name, digest)) if held.role == "champion" else ())
    for run in book.made(digest)[:-1]:
        yield Branch(Node("run", f"{run.title} made it again", run.run_key, run.ended, (judged(run),), look_at(run)))
    for run in book.runs:
        if run.gate.get("champion") == digest and run.digest != digest:
            title = f"{run.title} was judged against it"
            yield Branch(Node("run", title, run.run_key, run.ended, (judged(run),), look_at(run)))


def after_serving(book: Book, name: str, digest: str) -> Iterator[Branch]:
    """Yield the Monitors that judge a deployment's answers."""
    for monitor in book.estate.monitors:
        if monitor["spec"]["targetRef"]["name"] == name:
            yield Branch(monitor_node(monitor, digest), tuple(after_monitor(book, name_of(monitor))))


def after_monitor(book: Book, name: str) -> Iterator[Branch]:
    """Yield the runs that a Monitor asked for."""
    for run in book.runs:
        asked = run.spec.get("trigger") or {}
        if asked.get("kind") == "Monitor" and (asked.get("ref") or {}).get("name") == name:
            yield Branch(run_node(run))


# One link each.


def data_node(book: Book, digest: str) -> Node:
    """Return a dataset version as a link."""
    data = book.of_digest(digest) or Data(digest, "")
    rows = f"{data.rows} rows" if data.rows is not None else "no object lists its rows"
    parts = ", ".join(f"{name} {part['rows']}" for name, part in data.splits.items())
    said = f"{rows}: {parts}" if parts else rows
    title = f"version of DataSource {data.source}" if data.source else "version of a source that no object names"
    return Node("data", title, digest, data.published, (said,), f"treadle lineage {short(digest)}")


def run_node(run: Run) -> Node:
    """Return a run as a link."""
    said = (cause(run.spec.get("trigger") or {}), judged(run))
    return Node("run", run.title, run.run_key, run.ended or run.created, said, look_at(run))


def model_node(book: Book, digest: str) -> Node:
    """Return a model as a link."""
    runs = book.made(digest)
    family = f" of {runs[0].family}" if runs else ""
    metric = runs[-1].metrics[0] if runs and runs[-1].metrics else None
    said = (f"{metric['name']} {bounded(metric)} on the holdout",) if metric else ()
    time = str(runs[-1].gate.get("decidedAt") or "") if runs else ""
    return Node("model", f"{book.version(digest)}{family}", digest, time, said, f"treadle card {short(digest)}")


def held_node(held: Held) -> Node:
    """Return a model's place in a deployment as a link, with the decisions about it."""
    name, decisions = name_of(held.deployment), status_of(held.deployment).get("decisions") or ()
    about = [row for row in decisions if row.get("subject") == held.digest and row["action"] != "Retrain"]
    told = tuple(
        f"{row['time']} {row['action']} by {row['actor']}: {row['message']}" for row in about[:DECISIONS_SHOWN]
    )
    said = ((held.said,) if held.said else ()) + told
    return Node(
        "serving",
        f"{held.role} {'by' if held.role == 'quarantined' else 'of'} ModelDeployment {name}",
        held.digest,
        held.since,
        said,
        f"treadle status {name}",
    )


def monitor_node(monitor: Object, digest: str) -> Node:
    """Return a Monitor as a link: what it found of a model."""
    name, status = name_of(monitor), status_of(monitor)
    last = status.get("lastWindow") or {}
    windows = [row for row in status.get("windows") or () if row.get("championDigest") == digest]
    counts = {verdict: sum(row["verdict"] == verdict for row in windows) for verdict in VERDICTS}
    counted = ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count)
    said = (f"of this model's newest windows: {counted}",) if counted else ("it judged no window of this model yet",)
    is_about_it = last.get("championDigest") == digest
    where = f", window until {last['end']}" if is_about_it else ""
    return Node(
        what="watching",
        title=f"Monitor {name}{where}",
        digest=str(last.get("digest") or "") if is_about_it else "",
        time=str(last.get("end") or "") if is_about_it else "",
        said=said,
        look=f"treadle {'report' if last.get('reportUri') else 'why'} mon/{name}",
    )


VERDICTS = ("Detected", "Suspected", "Healthy", "Insufficient")


def judged(run: Run) -> str:
    """Return how a run ended, in a line."""
    against = f" against {short(run.gate['champion'])}" if run.gate.get("champion") else ""
    return f"{run.verdict}{against}"


def look_at(run: Run) -> str:
    """Return the command that tells more of a run."""
    if not run.name:
        return f"treadle report {run.run_key[:12]}"
    return f"treadle report tj/{run.name}" if run.status.get("reportUri") else f"treadle why tj/{run.name}"


def bounded(found: Object) -> str:
    """Return an estimate as messages write it."""
    return (
        f"{found['value']} [{found['lower']}, {found['upper']}]" if "lower" in found else f"{found['value']} [unknown]"
    )


def size(count: int) -> str:
    """Return a number of bytes as people say it."""
    for unit, scale in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= scale:
            return f"{count / scale:.1f} {unit}"
    return f"{count} bytes"


def _champion(book: Book, name: str) -> str:
    """Return the digest of a deployment's champion, or of its candidate before there is one; empty for none."""
    roles = {held.role: held.digest for held in book.held if name_of(held.deployment) == name}
    return roles.get("champion") or roles.get("candidate") or ""


# As text and as JSON.


def lines(found: Lineage) -> Iterator[tuple[str, str]]:
    """Yield text and style of each line."""
    for node in found.before:
        yield from node_lines(node, 0)
    yield from node_lines(found.here, 0, mark="▶ ")
    for branch in found.after:
        yield from branch_lines(branch, 1)


def branch_lines(branch: Branch, depth: int) -> Iterator[tuple[str, str]]:
    """Yield the lines of a link and of what came of it, deeper."""
    yield from node_lines(branch.node, depth)
    for then in branch.then:
        yield from branch_lines(then, depth + 1)


def node_lines(node: Node, depth: int, mark: str = "") -> Iterator[tuple[str, str]]:
    """Yield the lines of one link."""
    pad = "  " * depth
    facts = [node.title, *([short(node.digest)] if node.digest else []), *([node.time] if node.time else [])]
    yield f"{pad}{mark or '  '}{node.what:<9}{'  '.join(facts)}", "bold" if mark else ""
    hang = pad + " " * 11
    yield from ((f"{hang}{text}", "") for text in node.said)
    if node.look:
        yield f"{hang}{node.look}", "dim"


def document(found: Lineage, notes: Sequence[str]) -> Object:
    """Return a lineage as a program reads it."""
    return {
        "before": [spelt(node) for node in found.before],
        "here": spelt(found.here),
        "after": [spelt_branch(branch) for branch in found.after],
        "notes": list(notes),
    }


def spelt(node: Node) -> Object:
    """Return a link as JSON."""
    return {
        "what": node.what,
        "title": node.title,
        "digest": node.digest or None,
        "time": node.time or None,
        "said": list(node.said),
        "command": node.look or None,
    }


def spelt_branch(branch: Branch) -> Object:
    """Return a link and what came of it as JSON."""
    return {**spelt(branch.node), "after": [spelt_branch(then) for then in branch.then]}
