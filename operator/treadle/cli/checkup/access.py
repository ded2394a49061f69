"""What this user and the operator may do."""

from treadle.api.names import GROUP
from treadle.cli.checkup.facts import Facts
from treadle.cli.checkup.finding import INSTALL, Told, bad, good, look
from treadle.cli.rights import NEEDS, Right, listed


def rights(facts: Facts) -> Told:
    """Judge what this user may do: a line for each role that would grant what is missing."""
    lacking = facts.lacking
    parts = {
        role: frozenset(right for right in lacking if role_of(right) == role) for role in ("view", "edit", "admin")
    }
    for role, missing in parts.items():
        if missing:
            commands = [name for name, needs in NEEDS.items() if missing.intersection(needs)]
            text = f"you may not {listed(missing)} in {facts.namespace}; needed by {', '.join(commands)}"
            account = f"treadle-{role} --clusterrole={role} --user=NAME"
            is_blind = role == "view" and any(right.group == GROUP for right in missing)
            yield (bad if is_blind else look)(text, f"kubectl -n {facts.namespace} create rolebinding {account}")
    if not lacking:
        yield good(f"you may do in {facts.namespace} all that the commands need")


def role_of(right: Right) -> str:
    """Return the least of the cluster's roles that has a right, the chart's additions to them included."""
    if right.verb in ("promote", "rollback") or right.resource in ("resourcequotas", "limitranges"):
        return "admin" if right.group == GROUP else "view"
    reads = right.verb in ("get", "list", "watch") and right.resource not in ("secrets", "pods/proxy", "services/proxy")
    return "view" if reads else "edit"


def operators_rights(facts: Facts) -> Told:
    """Judge what the operator's ServiceAccount may do in the namespace."""
    for each in facts.operators:
        where = f"{each.namespace}/{each.name}"
        if each.missing is None:
            yield look(f"what {where} may do cannot be seen: no right to create subjectaccessreviews")
        elif each.missing:
            yield bad(f"{where} may not {listed(each.missing)} in {facts.namespace}", INSTALL)
        else:
            yield good(f"{where} may do in {facts.namespace} all that it needs")
