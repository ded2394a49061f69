"""The lines for everything that one may want to do with a model, for `treadle` and for kubectl."""

import json
import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from treadle.api.base import stamp
from treadle.api.names import (
    ANNOTATION_PROMOTE,
    ANNOTATION_REQUESTED_AT,
    ANNOTATION_ROLLBACK,
    ANNOTATION_UNQUARANTINE,
    GROUP,
    LABEL_NAME,
    LABEL_ROLE,
    PLURALS,
)
from treadle.cli.cluster import Object
from treadle.cli.estate import Model, name_of, status_of
from treadle.cli.ui.versions import Version, brief, chosen

SHORT = {"DataSource": "dsrc", "TrainingJob": "tj", "ModelDeployment": "mdep", "Monitor": "mon"}


@dataclass(frozen=True, slots=True)
class Where:
    """The words that say on which cluster and in which namespace a line acts."""

    namespace: str
    """Empty: a path says it."""
    context: str = ""
    """Empty: the kubeconfig's own."""

    @property
    def words(self) -> tuple[str, ...]:
        """Return the options."""
        return (
            *(("-n", self.namespace) if self.namespace else ()),
            *(("--context", self.context) if self.context else ()),
        )


@dataclass(frozen=True, slots=True)
class Order:
    """Something one may want, with the line for each tool; where one has none, it is empty."""

    wish: str
    cli: str
    kubectl: str


@dataclass(frozen=True, slots=True)
class Group:
    """Orders of one purpose."""

    title: str
    orders: tuple[Order, ...]


def groups(model: Model, found: Sequence[Version], where: Where, now: datetime) -> list[Group]:
    """Return every line that would do something as the model stands."""
    parts: list[tuple[str, Callable[[], Iterator[Order]]]] = [
        ("Ask and look", lambda: _looks(model, where)),
        ("Versions", lambda: _compares(model, found, where)),
        ("Change what is served", lambda: _serves(model, found, where)),
        ("Make a new version", lambda: _makes(model, where, now)),
        ("Hold and go on", lambda: _holds(model, where)),
    ]
    told = [Group(title, tuple(orders())) for title, orders in parts]
    return [group for group in told if group.orders]


def of_version(model: Model, version: Version, where: Where) -> list[Group]:
    """Return the lines about one version."""
    run = version.run
    orders = [
        Order("Read the run", _treadle("why", f"tj/{name_of(run)}", where=where), _get(run, where)),
        Order(
            "Read its log",
            _treadle("logs", f"tj/{name_of(run)}", where=where),
            _kubectl("logs", "-l", f"{LABEL_NAME}={name_of(run)}", "--tail", "-1", where=where),
        ),
    ]
    if version.digest:
        orders += [
            Order("Read its card", _treadle("card", f"tj/{name_of(run)}", where=where), ""),
            Order("Follow its lineage", _treadle("lineage", version.digest, where=where), ""),
        ]
    served = [*_pins(model, version, where), *_releases(model, version, where)]
    return [group for group in (Group("Look", tuple(orders)), Group("Serve", tuple(served))) if group.orders]


def _looks(model: Model, where: Where) -> Iterator[Order]:
    deployment, name = model.deployment, model.name
    if deployment is None:
        yield Order("See all that belongs to it", _treadle("status", name, where=where), "")
        return
    resource, service = f"mdep/{name}", f"/api/v1/namespaces/{where.namespace}/services/{name}:80/proxy"
    family = deployment["spec"]["modelName"]
    if status_of(deployment).get("champion"):
        yield Order(
            "Ask it for a prediction",
            _treadle("predict", name, "--example", where=where),
            _kubectl("get", "--raw", f"{service}/v2/models/{family}", where=Where("", where.context)),
        )
    yield Order("Watch it", _treadle("status", name, "-w", where=where),
                _kubectl("get", _plural(deployment), name, "-w", where=where))  # fmt: skip
    yield Order("Find the cause of what is wrong", _treadle("why", resource, where=where),
                _kubectl("describe", _plural(deployment), name, where=where))  # fmt: skip
    yield Order("Read the servers’ log", _treadle("logs", resource, where=where),
                _kubectl("logs", "-l", f"{LABEL_NAME}={name},{LABEL_ROLE}=server", where=where))  # fmt: skip
    yield Order("Wait until it answers", _treadle("wait", resource, where=where),
                _kubectl("wait", f"{_plural(deployment)}/{name}", "--for=condition=Ready", where=where))  # fmt: skip
    for monitor in model.monitors:
        yield Order(f"Read the report of Monitor {name_of(monitor)}",
                    _treadle("report", f"mon/{name_of(monitor)}", where=where), _get(monitor, where))  # fmt: skip


def _compares(model: Model, found: Sequence[Version], where: Where) -> Iterator[Order]:
    made = [each for each in chosen(found) if each.digest]
    served = next((each for each in made if each.standing == "champion"), None)
    other = next((each for each in made if each.standing == "candidate"), None) or next(
        (each for each in made if each is not served), None
    )
    if served is not None and other is not None:
        words = (f"tj/{name_of(served.run)}", f"tj/{name_of(other.run)}")
        yield Order(f"Compare {served.name} and {other.name}", _treadle("diff", *words, where=where), "")
    if served is not None:
        yield Order(f"Follow {served.name} to its data", _treadle("lineage", served.digest, where=where), "")
        yield Order(f"Read the card of {served.name}", _treadle("card", f"tj/{name_of(served.run)}", where=where), "")


def _serves(model: Model, found: Sequence[Version], where: Where) -> Iterator[Order]:
    if model.deployment is None:
        return
    record, name = status_of(model.deployment), model.name
    candidate, champion, former = (record.get(arm) for arm in ("candidate", "champion", "lastKnownGood"))
    if candidate:
        version, digest = candidate["version"], candidate["digest"]
        yield Order(f"Make {version} champion now", _treadle("promote", name, version, where=where),
                    _annotate(model.deployment, ANNOTATION_PROMOTE, digest, where))  # fmt: skip
        yield Order(f"End the trial of {version}", _treadle("rollback", name, version, where=where),
                    _annotate(model.deployment, ANNOTATION_ROLLBACK, digest, where))  # fmt: skip
    if champion and former:
        yield Order(
            f"Go back from {champion['version']} to {former['version']}",
            _treadle("rollback", name, where=where),
            _annotate(model.deployment, ANNOTATION_ROLLBACK, champion["digest"], where),
        )
    for row in record.get("quarantined") or ():
        told = next((each.name for each in found if each.digest == row["digest"]), brief(row["digest"]))
        yield Order(f"Allow {told} again", _treadle("unquarantine", name, row["digest"], where=where),
                    _annotate(model.deployment, ANNOTATION_UNQUARANTINE, row["digest"], where))  # fmt: skip
    replicas = model.deployment["spec"].get("replicas", 1)
    yield Order("Serve from more pods", "", _kubectl(
        "scale", f"{_plural(model.deployment)}/{name}", f"--replicas={replicas + 1}", where=where))  # fmt: skip


def _makes(model: Model, where: Where, now: datetime) -> Iterator[Order]:
    at = stamp(now)
    has_template = model.deployment is not None and ((model.deployment["spec"].get("training") or {}).get("template"))
    if model.deployment is not None and has_template:
        yield Order("Retrain from the template", _treadle("retrain", model.name, where=where),
                    _annotate(model.deployment, ANNOTATION_REQUESTED_AT, at, where))  # fmt: skip
    for source in model.sources:
        yield Order(f"Fetch DataSource {name_of(source)} now", _treadle("refresh", _named(source), where=where),
                    _annotate(source, ANNOTATION_REQUESTED_AT, at, where))  # fmt: skip
    for monitor in model.monitors:
        yield Order(f"Judge the window of Monitor {name_of(monitor)} that ends now",
                    _treadle("refresh", _named(monitor), where=where),
                    _annotate(monitor, ANNOTATION_REQUESTED_AT, at, where))  # fmt: skip


def _holds(model: Model, where: Where) -> Iterator[Order]:
    served = (model.deployment,) if model.deployment is not None else ()
    for thing in (*served, *model.sources, *model.monitors):
        is_held = bool(thing["spec"].get("suspend"))
        verb, wish = ("resume", "Resume") if is_held else ("suspend", "Suspend")
        patch = json.dumps({"spec": {"suspend": not is_held}}, separators=(",", ":"))
        yield Order(
            f"{wish} {thing['kind']} {name_of(thing)}",
            _treadle(verb, _named(thing), where=where),
            _kubectl("patch", _plural(thing), name_of(thing), "--type=merge", "-p", patch, where=where),
        )


def _pins(model: Model, version: Version, where: Where) -> Iterator[Order]:
    if model.deployment is None or not version.digest or version.standing == "champion":
        return
    patch = json.dumps({"spec": {"source": {"follow": "Pinned", "digest": version.digest}}}, separators=(",", ":"))
    yield Order(
        f"Pin {version.name}: serve it and nothing else",
        _treadle("promote", model.name, version.name, "--print", where=where) if _is_pinned(model.deployment) else "",
        _kubectl("patch", _plural(model.deployment), model.name, "--type=merge", "-p", patch, where=where),
    )


def _releases(model: Model, version: Version, where: Where) -> Iterator[Order]:
    if model.deployment is not None and version.standing == "quarantined":
        yield Order(
            f"Allow {version.name} again",
            _treadle("unquarantine", model.name, version.digest, where=where),
            _annotate(model.deployment, ANNOTATION_UNQUARANTINE, version.digest, where),
        )


def _is_pinned(deployment: Object) -> bool:
    return bool((deployment["spec"].get("source") or {}).get("follow") == "Pinned")


def _named(thing: Object) -> str:
    return f"{SHORT[thing['kind']]}/{name_of(thing)}"


def _plural(thing: Object) -> str:
    return f"{PLURALS[thing['kind']]}.{GROUP}"


def _get(thing: Object, where: Where) -> str:
    return _kubectl("get", _plural(thing), name_of(thing), "-o", "yaml", where=where)


def _annotate(thing: Object, annotation: str, value: str, where: Where) -> str:
    return _kubectl("annotate", _plural(thing), name_of(thing), "--overwrite", f"{annotation}={value}", where=where)


def _treadle(*words: str, where: Where) -> str:
    return shlex.join(["treadle", *words, *where.words])


def _kubectl(*words: str, where: Where) -> str:
    return shlex.join(["kubectl", *words, *where.words])
