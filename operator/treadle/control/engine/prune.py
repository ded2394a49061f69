"""Deletes children that are no longer wished."""

import logging
from collections.abc import Iterable, Sequence

from treadle.api.names import LABEL_KIND, LABEL_MANAGED_BY, LABEL_NAME, MANAGER
from treadle.control.engine.errors import Conflict
from treadle.control.engine.objects import controller_uid, identity, is_deleting, told
from treadle.control.engine.ports import Api, Gvk, Object

log = logging.getLogger(__name__)


async def children_of(owner: Object, types: Sequence[Gvk], api: Api) -> list[Object]:
    """Return the children that the owner's labels name and its uid controls."""
    found: list[Object] = []
    for gvk in types:
        labels = {LABEL_MANAGED_BY: MANAGER, LABEL_KIND: owner["kind"], LABEL_NAME: owner["metadata"]["name"]}
        found += await api.list(gvk, owner["metadata"]["namespace"], labels=labels)
    return [child for child in found if controller_uid(child) == owner["metadata"]["uid"]]


async def prune(types: Sequence[Gvk], owner: Object, wished: Iterable[Object], api: Api) -> None:
    """Delete each child of these types that is not among the wished."""
    keep = {identity(child) for child in wished}
    for child in await children_of(owner, types, api):
        if identity(child) in keep or is_deleting(child):
            continue
        try:
            await api.delete(child)
        except Conflict:
            continue  # Another object took the name in between; the next pass judges it.
        log.info("Deleted %s", child["kind"], extra={"object": told(owner), "child": identity(child)[1]})
