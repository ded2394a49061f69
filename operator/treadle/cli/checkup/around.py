"""What stands around the namespace: Kubernetes, kubectl, the definitions, the operator and its Lease, neighbours."""

import re
from datetime import datetime

from treadle.cli.checkup.facts import Facts, Operator, environment
from treadle.cli.checkup.finding import INSTALL, Result, Told, bad, good, look
from treadle.cli.estate import status_of

LEAST = (1, 33)
"""kubeVersion of the chart."""
RENEWED_WITHIN_SECONDS = 60.0
"""A Lease is renewed every five."""


def cluster(facts: Facts) -> Told:
    """Judge the version of Kubernetes."""
    if facts.is_local:
        yield good(f"treadle up answers at {facts.server}")
        return
    number = numbers(facts.version)
    least = ".".join(map(str, LEAST))
    if not number:
        yield look(f"{facts.server} does not tell its version; Kubernetes {least} is the least")
    elif number < LEAST:
        yield bad(f"Kubernetes {facts.version} at {facts.server} is older than {least}; upgrade the cluster")
    else:
        yield good(f"Kubernetes {facts.version} at {facts.server}")


def kubectl(facts: Facts) -> Told:
    """Judge the version of kubectl, which may be one minor apart from the server's."""
    if not facts.kubectl:
        yield good("kubectl is not on the path, and nothing here needs it")
        return
    ours, theirs = numbers(facts.kubectl), numbers(facts.version)
    if ours and theirs and not facts.is_local and (ours[0] != theirs[0] or abs(ours[1] - theirs[1]) > 1):
        yield look(
            f"kubectl {facts.kubectl} is more than one minor apart from the cluster's {facts.version}; exchange it"
        )
    else:
        yield good(f"kubectl {facts.kubectl}")


def numbers(version: str) -> tuple[int, int] | None:
    """Return major and minor of a version such as v1.35.0-rc.1."""
    found = re.match(r"v?(\d+)\.(\d+)", version)
    return (int(found[1]), int(found[2])) if found else None


def crds(facts: Facts) -> Told:
    """Judge whether the four definitions are installed, and of this version."""
    if refusal := facts.unread.get("crds"):
        known = "objects" not in facts.unread
        seen = (
            "the four kinds are served; whether as of this version cannot be seen" if known else "they cannot be seen"
        )
        yield look(f"{seen}: {refusal}")
        return
    missing = [name for name, place in facts.crds.items() if place is None]
    if missing:
        yield bad(f"not installed: {', '.join(missing)}", "kubectl apply --server-side -f crds/")
    other = [f"{name} at {place}" for name, place in facts.crds.items() if place]
    if other:
        yield look(
            f"not as treadle {facts.program} has it: {'; '.join(other)}; install one version of both",
            "kubectl apply --server-side -f crds/",
        )
    if not missing and not other:
        yield good(f"all four are as of treadle {facts.program}")


def operator(facts: Facts) -> Told:
    """Judge whether an operator runs that looks at the namespace."""
    if refusal := facts.unread.get("operators"):
        yield look(f"whether one runs cannot be seen: {refusal}")
        return
    if not facts.operators:
        yield bad("none is installed, so nothing is reconciled", INSTALL)
    for each in facts.operators:
        yield running(each, facts)
    if len(facts.operators) > 1:
        named = ", ".join(f"{each.namespace}/{each.name}" for each in facts.operators)
        yield look(f"{len(facts.operators)} are installed: {named}; each writes the same children. Keep one")


def running(each: Operator, facts: Facts) -> tuple[Result, str, str]:
    """Judge one operator."""
    where, deployment = f"{each.namespace}/{each.name}", each.deployment
    watched = environment(deployment).get("TREADLE_WATCH_NAMESPACES", "")
    logs = f"kubectl -n {each.namespace} logs deployment/{each.name} --tail=20"
    if not status_of(deployment).get("readyReplicas"):
        wished = deployment["spec"].get("replicas", 1)
        return bad(f"{where} has no ready pod of {wished}", logs)
    if watched and facts.namespace not in watched.split(","):
        spaces = f"{watched},{facts.namespace}"
        upgrade = f"helm upgrade treadle charts/treadle -n {each.namespace} --reuse-values"
        mend = f"{upgrade} --set watchNamespaces='{{{spaces}}}'"
        return bad(f"{where} watches {watched.replace(',', ', ')} and not {facts.namespace}", mend)
    version = (deployment["metadata"].get("labels") or {}).get("app.kubernetes.io/version", "")
    if version and version != facts.program:
        return look(f"{where} is of version {version}, this command line of {facts.program}; make them one")
    return good(f"{where} is ready")


def lease(facts: Facts) -> Told:
    """Judge whether the operator holds its Lease, and renewed it lately."""
    if refusal := facts.unread.get("lease"):
        yield look(f"whether it is renewed cannot be seen: {refusal}")
        return
    for each in facts.operators:
        yield held(each, facts.now)


def held(each: Operator, now: datetime) -> tuple[Result, str, str]:
    """Judge one Lease."""
    where = f"{each.namespace}/{each.name}"
    logs = f"kubectl -n {each.namespace} logs deployment/{each.name} --tail=20"
    spec = (each.lease or {}).get("spec") or {}
    if not spec.get("holderIdentity") or not spec.get("renewTime"):
        return bad(f"nobody holds that of {where}, so nothing is reconciled", logs)
    seconds = (now - datetime.fromisoformat(spec["renewTime"])).total_seconds()
    if seconds > RENEWED_WITHIN_SECONDS:
        return bad(f"that of {where} was renewed {seconds:.0f} s ago by {spec['holderIdentity']}, due are 5 s", logs)
    return good(f"{spec['holderIdentity']} renewed that of {where} {max(0, seconds):.0f} s ago")


NEIGHBOURS = (
    ("kueue.x-k8s.io", "Kueue", "Jobs are not queued by it yet"),
    ("monitoring.coreos.com", "the Prometheus operator", "scrape port 9090 of the operator, 8081 of servers"),
    ("metrics.k8s.io", "metrics-server", "kubectl top shows what pods use"),
)


def neighbours(facts: Facts) -> Told:
    """Tell which of the usual neighbours are there; none is needed."""
    for group, name, use in NEIGHBOURS:
        yield good(f"{name} is there: {use}" if group in facts.groups else f"{name} is not there, and not needed")
