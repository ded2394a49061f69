"""Brings children to what is wished, and status to what was judged; refuses what belongs to others."""

import logging
from collections.abc import Iterable, Mapping

from treadle.api.reasons import Reason
from treadle.control.engine.errors import Conflict, Invalid
from treadle.control.engine.fields import is_applied, is_status_applied
from treadle.control.engine.objects import controller_uid, identity, told
from treadle.control.engine.ports import CHILDREN, CREATE_ONCE, OURS, Api, Gvk, Object

log = logging.getLogger(__name__)

TYPES: Mapping[str, Gvk] = {gvk.kind: gvk for gvk in (*CHILDREN, *OURS)}
SUSPENDER = "treadle-suspend"


async def apply_all(wishes: Iterable[Object], owner: Object, api: Api) -> list[Object]:
    """Return the children as they now are, one for each wish; a touch of a pod that is gone is left out."""
    live = [await apply_one(wish, owner, api) for wish in wishes]
    return [child for child in live if child is not None]


async def apply_one(wish: Object, owner: Object, api: Api) -> Object | None:
    """Return the child as it now is; Invalid(NameTaken) where its name is another's."""
    gvk = TYPES[wish["kind"]]
    found = await api.get(gvk, owner["metadata"]["namespace"], wish["metadata"]["name"])
    if gvk.kind == "Pod":
        return await _touch(wish, found, api)
    if found is None:
        created = await api.apply(wish)
        log.info("Applied %s", gvk.kind, extra={"object": told(owner), "child": wish["metadata"]["name"]})
        return created
    refuse_foreign(found, owner)
    if gvk.kind in CREATE_ONCE:
        return await _suspend_or_leave(wish, found, api)
    if is_applied(wish, found):
        return found
    applied = await api.apply({**wish, "metadata": {**wish["metadata"], "uid": found["metadata"]["uid"]}})
    log.info("Changed %s", gvk.kind, extra={"object": told(owner), "child": wish["metadata"]["name"]})
    return applied


def refuse_foreign(found: Object, owner: Object) -> None:
    """Raise Invalid where an object that bears a child's name is not this owner's."""
    if controller_uid(found) == owner["metadata"]["uid"]:
        return
    kind, name = identity(found)
    raise Invalid(
        Reason.NAME_TAKEN,
        f"{kind} {name!r} exists and is not controlled by this {owner['kind']}; "
        f"rename this object, or delete that {kind}",
    )


def differs(status: Object, raw: Object) -> bool:
    """Say whether the status must be written; fields of other managers do not count."""
    return not is_status_applied(status, raw)


async def _touch(wish: Object, found: Object | None, api: Api) -> Object | None:
    if found is None or found["metadata"]["uid"] != wish["metadata"]["uid"]:
        return None
    if is_applied(wish, found):
        return found
    try:
        return await api.apply(wish)
    except Conflict:
        return None  # The pod went in between; its successor mounts the new content by itself.


async def _suspend_or_leave(wish: Object, found: Object, api: Api) -> Object:
    wanted = (wish.get("spec") or {}).get("suspend")
    if wanted is None or bool((found.get("spec") or {}).get("suspend", False)) == wanted:
        return found
    return await api.apply(
        {
            "apiVersion": found["apiVersion"],
            "kind": found["kind"],
            "metadata": {key: found["metadata"][key] for key in ("name", "namespace", "uid")},
            "spec": {"suspend": wanted},
        },
        # Another manager, since under ours the fields left out here would be removed.
        manager=SUSPENDER,
    )
