"""What a person's word means: a version, a digest or its beginning, an object, a version of a source."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from treadle.api.names import short
from treadle.cli.cluster import NAMES
from treadle.cli.estate import name_of, status_of
from treadle.cli.trace.book import Book, key_of

HEX = re.compile(r"(?:sha256:)?([0-9a-f]{8,64})")
VERSION = re.compile(r"(?:(?P<family>[a-z0-9][a-z0-9-]*)[:@])?(?P<version>v[0-9]+)")
OF_SOURCE = re.compile(r"(?P<source>[a-z0-9][a-z0-9-]*)@(?:sha256:)?(?P<digits>[0-9a-f]{8,64}|latest)")


class Unknown(Exception):
    """What a name does not mean, and what could have been meant."""


@dataclass(frozen=True, slots=True)
class Thing:
    """What a word means: data, run, model, deployment or monitor, by its key; and what of it a digest is."""

    kind: str
    key: str
    part: str = ""
    """What a digest is of, where it is not the thing's own: its card, its holdout rows."""


def find(book: Book, text: str) -> Thing | None:
    """Return what a name, version or digest means; None where no object names it. Raise Unknown for what is unclear."""
    wanted = text.strip()
    if wanted.split("/", 1)[0].lower() in NAMES and "/" in wanted:
        return named(book, *wanted.split("/", 1))
    if match := OF_SOURCE.fullmatch(wanted):
        return of_source(book, match["source"], match["digits"])
    if match := VERSION.fullmatch(wanted):
        return of_version(book, match["version"], match["family"] or "")
    if (found := by_name(book, wanted)) is not None:
        return found
    if match := HEX.fullmatch(wanted.lower()):
        return of_digits(book, match[1], text)
    return None


def of_digits(book: Book, digits: str, text: str) -> Thing | None:
    """Return what some digits of a digest mean; of several things with one digest the newest."""
    found = [(digest, thing) for digest, thing in mentions(book) if digest.startswith(digits)]
    own = [(digest, thing) for digest, thing in found if not thing.part] or found
    if len({digest for digest, _ in own}) > 1:
        listed = ", ".join(dict.fromkeys(f"{told(book, thing)} {digest[:16]}" for digest, thing in own))
        raise Unknown(f"{text!r} begins several digests: {listed}; give more digits")
    if not own:
        return None
    thing, others = own[0][1], len({(other.kind, other.key) for _, other in own}) - 1
    return replace(thing, part=f"{thing.part}, and of {others} more") if others and thing.part else thing


def mentions(book: Book) -> Iterator[tuple[str, Thing]]:
    """Yield every digest that an object names, as hex digits, with what it is about."""
    for digest, thing in (*of_data(book), *of_runs(book), *of_serving(book)):
        if digest:
            yield bare(str(digest)), thing


def of_data(book: Book) -> Iterator[tuple[object, Thing]]:
    """Yield the digests of dataset versions."""
    for data in book.data:
        yield data.digest, Thing("data", data.digest)
        for name, part in data.splits.items():
            yield part["digest"], Thing("data", data.digest, f"the content of its {name} rows")
    for source in book.estate.sources:
        current = status_of(source).get("currentVersion") or {}
        for field, part in (("contentDigest", "its content"), ("schemaDigest", "its schema")):
            yield current.get(field), Thing("data", str(current.get("digest")), part)


def of_runs(book: Book) -> Iterator[tuple[object, Thing]]:
    """Yield the digests of runs and of what they made."""
    for run in book.runs:
        environment, here = run.status.get("environment") or {}, key_of(run)
        yield run.run_key, Thing("run", here)
        # The ten digits by which results and pages name a run.
        yield str(run.status.get("jobName") or "").rpartition("-")[2], Thing("run", here)
        yield environment.get("packagesDigest"), Thing("run", here, "the packages that it was made with")
        yield run.digest, Thing("model", run.digest)
        for field, part in PARTS.items():
            yield run.model.get(field), Thing("model", run.digest, part)
        if run.data:
            yield run.gate.get("holdoutDigest"), Thing("data", run.data, "the content of its holdout rows")


def of_serving(book: Book) -> Iterator[tuple[object, Thing]]:
    """Yield the digests that deployments and Monitors name."""
    for held in book.held:
        yield held.digest, Thing("model", held.digest)
    for deployment in book.estate.deployments:
        plan = status_of(deployment).get("plan") or {}
        yield plan.get("digest"), Thing("deployment", name_of(deployment), "its release plan")
    for monitor in book.estate.monitors:
        last = status_of(monitor).get("lastWindow") or {}
        yield last.get("digest"), Thing("monitor", name_of(monitor), "the record of its last window")


PARTS = {"schemaDigest": "its input schema", "goldenDigest": "its golden requests", "cardDigest": "its card"}
KINDS = {"DataSource": "source", "TrainingJob": "run", "ModelDeployment": "deployment", "Monitor": "monitor"}


def named(book: Book, word: str, name: str) -> Thing:
    """Return the object that KIND/NAME means; raise Unknown where it does not exist."""
    kind = NAMES[word.lower()]
    if book.estate.find(kind, name) is None:
        raise Unknown(f"{kind} {name} does not exist in {book.estate.namespace}")
    return of_object(book, kind, name)


def of_object(book: Book, kind: str, name: str) -> Thing:
    """Return what an object stands for; a DataSource for its current version."""
    if kind != "DataSource":
        return Thing(KINDS[kind], name)
    return of_source(book, name, "latest")


def by_name(book: Book, name: str) -> Thing | None:
    """Return the object of a name: a deployment goes before a run, that before a source and a Monitor."""
    for kind in ("ModelDeployment", "TrainingJob", "DataSource", "Monitor"):
        if book.estate.find(kind, name) is not None:
            return of_object(book, kind, name)
    return None


def of_source(book: Book, source: str, digits: str) -> Thing:
    """Return a version of a DataSource."""
    ours = [data for data in book.data if data.source == source]
    if not ours:
        raise Unknown(f"DataSource {source} has no version, or does not exist in {book.estate.namespace}")
    if digits == "latest":
        return Thing("data", next((data.digest for data in ours if data.is_current), ours[0].digest))
    found = [data for data in ours if bare(data.digest).startswith(digits)]
    if len(found) != 1:
        listed = ", ".join(short(data.digest) for data in found or ours)
        raise Unknown(f"{source}@{digits} is {'several' if found else 'no'} version of DataSource {source}: {listed}")
    return Thing("data", found[0].digest)


def of_version(book: Book, version: str, family: str) -> Thing:
    """Return the model of a version number; raise Unknown where several families have it, or none."""
    made = [run for run in book.runs if run.version == version and (not family or run.family == family)]
    models = {(run.family, run.digest) for run in made}
    models |= {
        (str(held.deployment["spec"]["modelName"]), held.digest)
        for held in book.held
        if held.version == version and (not family or held.deployment["spec"]["modelName"] == family)
    }
    if len(models) == 1:
        return Thing("model", models.pop()[1])
    if models:
        listed = ", ".join(f"{name}:{version}" for name, _ in sorted(models))
        raise Unknown(f"several models have a {version}: {listed}; write one of these")
    known = sorted({f"{run.family}:{run.version}" for run in book.runs if run.version})
    of = f" of {family}" if family else ""
    raise Unknown(f"no run made a {version}{of}; known: {', '.join(known) or 'none'}")


def told(book: Book, thing: Thing) -> str:
    """Return how a person is told of a thing."""
    if thing.kind == "data":
        data = book.of_digest(thing.key)
        return f"version {short(thing.key)}" + (f" of DataSource {data.source}" if data is not None else "")
    if thing.kind == "model":
        made = book.made(thing.key)
        return f"model {book.version(thing.key)}" + (f" of {made[0].family}" if made else "")
    if thing.kind == "run":
        return book.run(thing.key).title
    return f"{'ModelDeployment' if thing.kind == 'deployment' else 'Monitor'} {thing.key}"


def bare(digest: str) -> str:
    """Return a digest's hex digits."""
    return digest.removeprefix("sha256:")
