"""Secrets, buckets, and the clocks that signatures of requests depend on."""

from treadle.cli.checkup.facts import Facts, Secret, Store
from treadle.cli.checkup.finding import Result, Told, bad, good, look
from treadle.cli.checkup.uses import Use
from treadle.store.errors import ALLOWED_SKEW_SECONDS

SKEW_SECONDS = 60.0
"""Beyond it, schedules and ages are off by what people notice."""

MAKE = {
    Use.SIGNING: "kubectl treadle keys create -n {space} --apply{named}",
    Use.PRIVACY: 'kubectl -n {space} create secret generic {name} --from-literal=hash.key="$(openssl rand -hex 32)"',
    Use.SOURCE: "kubectl -n {space} create secret generic {name} --from-literal=AWS_ACCESS_KEY_ID=… "
    "--from-literal=AWS_SECRET_ACCESS_KEY=…",
    Use.HEADERS: 'kubectl -n {space} create secret generic {name} --from-literal=header.Authorization="Bearer …"',
}
KEYS = {Use.SIGNING: ("private.pem", "public.pem"), Use.PRIVACY: ("hash.key",)}


def secrets(facts: Facts) -> Told:
    """Judge the Secrets that objects of the namespace name; a store's is for its probe."""
    for part, refusal in facts.unread.items():
        if part.startswith("secret "):
            yield look(f"{part.removeprefix('secret ')} cannot be seen: {refusal}")
    for each in facts.secrets:
        if each.use != Use.STORE:
            yield kept(each, facts.namespace)


def kept(each: Secret, space: str) -> tuple[Result, str, str]:
    """Judge one Secret."""
    use = Use(each.use)
    named = "" if each.name == "treadle-signing" else f" --name {each.name}"
    make = MAKE[use].format(space=space, name=each.name, named=named)
    if each.keys is None:
        return bad(f'no Secret "{each.name}" in namespace {space}', make)
    missing = [key for key in KEYS.get(use, ()) if key not in each.keys]
    if missing:
        return bad(f'Secret "{each.name}" has no {" and no ".join(missing)}', make)
    if each.problem:
        return bad(each.problem)
    return good(f"{each.name}: {', '.join(sorted(each.keys)) or 'no keys'}")


def stores(facts: Facts) -> Told:
    """Judge the buckets by what their probes found."""
    for each in facts.stores:
        yield probed(each, facts.namespace)
    if not facts.stores:
        yield look("none could be probed: its Secret cannot be seen")


def probed(each: Store, space: str) -> tuple[Result, str, str]:
    """Judge one bucket."""
    if each.problem:
        return bad(each.problem)
    if each.is_inside:
        return look(
            f"{each.host} of Secret {each.secret} is reached by pods alone", "helm test treadle -n treadle-system"
        )
    lacks = f"; {'; '.join(each.lacks)}" if each.lacks else ""
    at = f" at {each.host}" if each.host else ""
    return good(f"{each.place}{at} keeps its promises{lacks}")


def clock(facts: Facts) -> Told:
    """Judge this machine's clock, and the API server's, against each other and the store's."""
    yield skew(facts.ahead_seconds, "this machine", "the API server", SKEW_SECONDS)
    for each in facts.stores:
        if each.ahead_seconds is not None:
            yield skew(each.ahead_seconds - facts.ahead_seconds, "the API server", "the store", ALLOWED_SKEW_SECONDS)


def skew(seconds: float, who: str, whom: str, allowed: float) -> tuple[Result, str, str]:
    """Judge how far a clock is ahead of another."""
    side = "ahead of" if seconds > 0 else "behind"
    text = f"{who} is {abs(seconds):.0f} s {side} {whom}"
    if abs(seconds) > ALLOWED_SKEW_SECONDS:
        return bad(f"{text}, allowed are {ALLOWED_SKEW_SECONDS}", "timedatectl set-ntp true")
    if abs(seconds) > min(allowed, SKEW_SECONDS):
        return look(text, "timedatectl set-ntp true")
    return good(f"{who} and {whom} are less than {max(1, round(abs(seconds) + 0.5))} s apart")
