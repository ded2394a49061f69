"""The pass: read, wish, apply, judge, and write one status."""

import dataclasses
import logging
from datetime import datetime

from pydantic import ValidationError

from treadle.api.conditions import Condition, no
from treadle.api.reasons import Reason
from treadle.control.engine import conditions
from treadle.control.engine.apply import apply_all, differs
from treadle.control.engine.errors import Busy, Conflict, Gone, Invalid, TokenRefused, Wait
from treadle.control.engine.events import post
from treadle.control.engine.fields import applied_status
from treadle.control.engine.objects import is_deleting
from treadle.control.engine.ports import Event, Key, Kind, Object, Outcome, Ports, Seen
from treadle.control.engine.prune import children_of, prune
from treadle.control.engine.reads import OnceRead

log = logging.getLogger(__name__)

STALLED_SECONDS = 300.0
IDLE_SECONDS = 600.0
IDLE_SPREAD = 0.2


async def reconcile[R, S: Seen](kind: Kind[R, S], key: Key, ports: Ports) -> float | None:
    """Take one object one pass closer to its spec; return seconds until the next look, None for no more."""
    try:
        return await _pass(kind, key, dataclasses.replace(ports, api=OnceRead(ports.api)))
    except Gone:
        return None
    except (Busy, Conflict, TokenRefused):
        raise
    except Exception as bug:
        await _confess(kind, key, bug, ports)
        raise


async def _pass[R, S: Seen](kind: Kind[R, S], key: Key, ports: Ports) -> float | None:
    raw = await ports.api.get(kind.gvk, key.namespace, key.name)
    if raw is None or is_deleting(raw):
        return None  # Children go by owner reference.
    now = ports.now()
    try:
        resource = parse(kind, raw)
        children = kind.living(resource) if kind.living is not None else kind.children
        # Read before `observe`, which then finds most of what it asks for already read.
        await children_of(raw, children, ports.api)
        seen = await kind.observe(resource, ports)
        live = await apply_all(kind.desired(resource, seen, now), raw, ports.api)
        await prune(children, raw, live, ports.api)
        outcome = kind.status(resource, seen.having(live), now)
    except (Wait, Invalid) as stop:
        outcome = stopped(kind.conditions, raw, stop, now)
    if differs(outcome.status, raw):
        written = await ports.api.apply_status(raw, outcome.status)
        await post(outcome.events, written, now, ports.api)
    if outcome.again is not None:
        return outcome.again
    return IDLE_SECONDS * ports.rng.uniform(1 - IDLE_SPREAD, 1 + IDLE_SPREAD)


def parse[R, S: Seen](kind: Kind[R, S], raw: Object) -> R:
    """Return the parsed object; Invalid with the place where the spec cannot be read."""
    try:
        return kind.parse(raw)
    except ValidationError as refused:
        first = refused.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise Invalid(Reason.INVALID_SPEC, f"{place}: {first['msg']}; correct this field") from refused


def stopped(declared: tuple[str, ...], raw: Object, stop: Wait | Invalid, now: datetime) -> Outcome:
    """Return the former status with the summary False for the reason that stopped the pass.

    declared: the kind's condition types, the summary (Ready, or Complete) first.
    """
    former = applied_status(raw)
    generation = raw["metadata"].get("generation", 1)
    summary = no(declared[0], stop.reason, stop.message)
    settled = former.get("settledGeneration", 0) >= generation
    kstatus = conditions.reconciling_and_stalled(
        settled=settled,
        stalled=summary if isinstance(stop, Invalid) else None,
        waiting=stop.message,
    )
    status = {
        **former,
        "observedGeneration": generation,
        "conditions": restated(declared, former, (summary, *kstatus), now, generation),
    }
    before = conditions.find(former.get("conditions") or [], declared[0])
    is_new = before is None or (before["status"], before["reason"]) != (summary.status, summary.reason)
    return Outcome(
        status=status,
        events=(Event(reason=summary.reason, message=summary.message, type="Warning"),) if is_new else (),
        again=stop.after if isinstance(stop, Wait) else STALLED_SECONDS,
    )


def restated(
    declared: tuple[str, ...], former: Object, changed: tuple[Condition, ...], now: datetime, generation: int
) -> list[Object]:
    """Return every declared condition: the changed ones, then the former ones, then Unknown."""
    before = former.get("conditions") or []
    types = {condition.type for condition in changed}
    kept = [
        conditions.parsed(written) for written in before if written["type"] in declared and written["type"] not in types
    ]
    return conditions.merge(before, conditions.every(declared, (*changed, *kept)), now, generation)


async def _confess[R, S: Seen](kind: Kind[R, S], key: Key, bug: Exception, ports: Ports) -> None:
    """Say in the object's status that we failed, with our error's type and text; the traceback is in the log."""
    log.error("Failed in a pass", exc_info=bug, extra={"object": str(key)})
    raw = await ports.api.get(kind.gvk, key.namespace, key.name)
    if raw is None or is_deleting(raw):
        return
    message = f"{type(bug).__name__} in Treadle itself: {bug}; it is retried; report it with the operator's log"
    outcome = stopped(kind.conditions, raw, Wait(Reason.RECONCILE_ERROR, message), ports.now())
    if differs(outcome.status, raw):
        written = await ports.api.apply_status(raw, outcome.status)
        await post(outcome.events, written, ports.now(), ports.api)
