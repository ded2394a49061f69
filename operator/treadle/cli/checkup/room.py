"""Whether quotas and LimitRanges leave room for what pods ask for."""

import re
from decimal import Decimal

from treadle.cli.checkup.facts import Facts
from treadle.cli.checkup.finding import Told, bad, good, look
from treadle.cli.checkup.uses import Ask, asks
from treadle.cli.cluster import Object
from treadle.cli.estate import name_of, status_of

UNITS = {
    "m": Decimal("0.001"), "": Decimal(1), "k": Decimal(10**3), "M": Decimal(10**6), "G": Decimal(10**9),
    "T": Decimal(10**12), "P": Decimal(10**15), "Ki": Decimal(2**10), "Mi": Decimal(2**20), "Gi": Decimal(2**30),
    "Ti": Decimal(2**40), "Pi": Decimal(2**50),
}  # fmt: skip


def quantity(text: str) -> Decimal:
    """Return what a quantity such as 250m, 2Gi or 1e3 amounts to."""
    found = re.fullmatch(r"([+-]?[0-9.]+(?:[eE][+-]?[0-9]+)?)([a-zA-Z]*)", str(text))
    if found is None or found[2] not in UNITS:
        raise ValueError(f"{text!r} is no quantity")
    return Decimal(found[1]) * UNITS[found[2]]


def quota(facts: Facts) -> Told:
    """Judge whether quotas leave room for what pods ask for."""
    if refusal := facts.unread.get("quotas"):
        yield look(f"quotas cannot be seen: {refusal}")
        return
    found = [told for each in facts.quotas for told in exhausted(each, facts)]
    yield from found or [good(f"{len(facts.quotas)} leave room" if facts.quotas else f"none limits {facts.namespace}")]


def exhausted(each: Object, facts: Facts) -> Told:
    """Yield what a ResourceQuota keeps pods from, once for each of its resources."""
    spec, status = each["spec"], status_of(each)
    scopes = set(spec.get("scopes") or [])
    if spec.get("scopeSelector") or scopes - {"NotBestEffort", "NotTerminating"}:
        return
    change = f"kubectl -n {facts.namespace} edit resourcequota {name_of(each)}"
    for resource, hard in (status.get("hard") or spec.get("hard") or {}).items():
        left = quantity(hard) - quantity((status.get("used") or {}).get(resource, "0"))
        for ask in asks(facts.estate):
            wanted = needed(ask, resource, facts.limits)
            if wanted is None:
                continue
            if wanted == "":
                text = f"ResourceQuota {name_of(each)} demands {resource} of each pod, and {ask.what} sets none"
                yield bad(f"{text}; set it in {ask.field}, or a default by a LimitRange", change)
                break
            if quantity(wanted) > quantity(hard):
                yield bad(
                    f"ResourceQuota {name_of(each)} allows {hard} of {resource}, {ask.what} asks for {wanted}", change
                )
                break
            if quantity(wanted) > left:
                text = f"ResourceQuota {name_of(each)} has {amount(left)} of {hard} {resource} left"
                yield look(f"{text}, {ask.what} asks for {wanted}", change)
                break


def needed(ask: Ask, resource: str, limits: tuple[Object, ...]) -> str | None:
    """Return how much of a quota's resource a pod takes, "" where it must say and does not, None where none."""
    if resource in ("pods", "count/pods"):
        return "1"
    kind, _, name = resource.rpartition(".")
    if kind not in ("", "requests", "limits") or name not in ("cpu", "memory", "ephemeral-storage"):
        return None
    given = ask.limits if kind == "limits" else ask.requests
    return given.get(name) or defaulted(kind, name, limits)


def defaulted(kind: str, name: str, limits: tuple[Object, ...]) -> str:
    """Return what LimitRanges fill in for a container that does not say."""
    field = "default" if kind == "limits" else "defaultRequest"
    rows = [row for each in limits for row in each["spec"]["limits"] if row["type"] == "Container"]
    return next((row[key][name] for row in rows for key in (field, "max") if name in row.get(key, {})), "")


def limit(facts: Facts) -> Told:
    """Judge whether LimitRanges admit what pods ask for."""
    if refusal := facts.unread.get("limits"):
        yield look(f"LimitRanges cannot be seen: {refusal}")
        return
    found = [told for each in facts.limits for told in outside(each, facts)]
    yield from found or [
        good(f"{len(facts.limits)} admit what pods ask for" if facts.limits else f"none limits {facts.namespace}")
    ]


def outside(each: Object, facts: Facts) -> Told:
    """Yield what a LimitRange keeps pods from, once for each of its bounds."""
    change = f"kubectl -n {facts.namespace} edit limitrange {name_of(each)}"
    for row in each["spec"]["limits"]:
        if row["type"] not in ("Container", "Pod"):
            continue
        for bound, sign in (("max", 1), ("min", -1)):
            for resource, value in row.get(bound, {}).items():
                for ask in asks(facts.estate):
                    given = (ask.limits if bound == "max" else ask.requests).get(resource)
                    if given is not None and (quantity(given) - quantity(value)) * sign > 0:
                        word = "at most" if bound == "max" else "at least"
                        text = f"LimitRange {name_of(each)} allows {word} {value} of {resource} a {row['type'].lower()}"
                        yield bad(f"{text}, {ask.what} asks for {given}; set {ask.field}", change)
                        break


def amount(number: Decimal) -> str:
    """Return a quantity as people write it."""
    if number.copy_abs() < 1 and number != 0:
        return f"{number * 1000:.0f}m"
    unit = next((unit for unit in ("Ti", "Gi", "Mi", "Ki") if number >= UNITS[unit]), "")
    return f"{float(number / UNITS[unit]):.4g}{unit}"
