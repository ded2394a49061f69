"""The checks of `treadle doctor`, in their order."""

from collections.abc import Callable

from treadle.cli.checkup import access, around, room, storage, workload
from treadle.cli.checkup.facts import Facts
from treadle.cli.checkup.finding import Finding, Result, Told

CHECKS: tuple[tuple[str, Callable[[Facts], Told], bool], ...] = (
    ("cluster", around.cluster, False),
    ("kubectl", around.kubectl, False),
    ("crds", around.crds, True),
    ("operator", around.operator, True),
    ("lease", around.lease, True),
    ("rights", access.rights, True),
    ("operator-rights", access.operators_rights, True),
    ("secret", storage.secrets, False),
    ("store", storage.stores, False),
    ("clock", storage.clock, True),
    ("quota", room.quota, True),
    ("limit-range", room.limit, True),
    ("pod-security", workload.security, True),
    ("pods", workload.pods, False),
    ("objects", workload.objects, False),
    ("neighbours", around.neighbours, True),
)
"""The checks by their names, and whether they are about clusters alone."""


def findings(facts: Facts) -> list[Finding]:
    """Return every finding, in the order of CHECKS."""
    found: list[Finding] = []
    for name, check, is_of_clusters in CHECKS:
        if is_of_clusters and facts.is_local:
            found.append(Finding(name, Result.OK, "local: not needed"))
            continue
        found += [Finding(name, result, text, mend) for result, text, mend in check(facts)]
    return found
