"""What the objects of a namespace ask of it: Secrets, and room for pods."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from treadle.cli.cluster import Object
from treadle.cli.estate import Estate, name_of
from treadle.control.podspec import EPHEMERAL_LIMIT, JOB_RESOURCES, SERVER_RESOURCES


class Use(StrEnum):
    """What a Secret is for."""

    STORE = "store"
    SIGNING = "signing"
    PRIVACY = "privacy"
    SOURCE = "source"
    HEADERS = "headers"


@dataclass(frozen=True, slots=True)
class Ask:
    """What one pod asks for, as the API server reads it: requests that are left out are the limits."""

    what: str
    field: str
    """Where it is set."""
    requests: Mapping[str, str]
    limits: Mapping[str, str]


def uses(estate: Estate) -> dict[str, Use]:
    """Return the Secrets that the objects name, with what for; the usual store and signing key always."""
    found = {"treadle-store": Use.STORE, "treadle-signing": Use.SIGNING}
    for each in (*estate.sources, *estate.runs, *estate.deployments, *estate.monitors):
        found.setdefault(_name(each["spec"], "storeRef", "name") or "treadle-store", Use.STORE)
    for run in estate.runs:
        found.setdefault(_name(run["spec"], "output", "signing", "secretRef", "name") or "treadle-signing", Use.SIGNING)
    for each in estate.deployments:
        found.setdefault(_name(each["spec"], "verification", "secretRef", "name") or "treadle-signing", Use.SIGNING)
    for source in estate.sources:
        spec = source["spec"]
        policies = (spec.get("privacy") or {}).get("policies") or []
        if any(policy["action"] == "Hash" for policy in policies):
            found.setdefault(_name(spec, "privacy", "secretRef", "name") or "treadle-privacy", Use.PRIVACY)
        for kind, use in (("s3", Use.SOURCE), ("http", Use.HEADERS)):
            if name := _name(spec, "source", kind, "secretRef", "name"):
                found.setdefault(name, use)
    return found


def asks(estate: Estate) -> list[Ask]:
    """Return what pods of these objects ask for, equal ones once; the usual where there is no object."""
    found = [ask("a Job of Treadle", "jobTemplate.pod.resources", JOB_RESOURCES)]
    found.append(ask("a serving pod", "predictor.pod.resources", SERVER_RESOURCES))
    for each, path in _pods(estate):
        if given := _at(each["spec"], *path, "pod", "resources"):
            kind, name = each["kind"], name_of(each)
            found.append(ask(f"{kind} {name}", f"{'.'.join(path)}.pod.resources", given))
    return found


def _pods(estate: Estate) -> Iterator[tuple[Object, tuple[str, ...]]]:
    for each in (*estate.sources, *estate.runs, *estate.monitors):
        yield each, ("jobTemplate",)
    for each in estate.deployments:
        yield each, ("predictor",)
        yield each, ("training", "template", "spec", "jobTemplate")


def ask(what: str, field: str, resources: Object) -> Ask:
    """Return what a pod with these resources asks for."""
    limits = {"ephemeral-storage": EPHEMERAL_LIMIT, **resources.get("limits", {})}
    return Ask(what, field, {**limits, **resources.get("requests", {})}, limits)


def _name(spec: Object, *path: str) -> str:
    return str(_at(spec, *path) or "")


def _at(spec: Object, *path: str) -> Any:
    found: Any = spec
    for step in path:
        found = (found or {}).get(step)
    return found
