"""The relist that repairs what a watch lost: metadata only, every ten minutes."""

import logging
from collections.abc import Callable, Iterable, Sequence

from treadle.api.names import LABEL_KIND, LABEL_MANAGED_BY, LABEL_NAME, MANAGER
from treadle.control.engine.delivery import Delivery
from treadle.control.engine.errors import TypeMissing, Wait
from treadle.control.engine.ports import OURS, Api, Gvk, Key, Object

log = logging.getLogger(__name__)

OUR_KINDS = frozenset(gvk.kind for gvk in OURS)


async def resync(
    types: Sequence[Gvk],
    namespaces: Sequence[str],
    api: Api,
    *,
    delivery: Delivery,
    add: Callable[[Key], None],
    now: Callable[[], float],
) -> int:
    """List every watched type, note what its watch did not tell, and add all keys; return how many."""
    keys: set[Key] = set()
    for gvk in types:
        labels = {} if gvk.kind in OUR_KINDS else {LABEL_MANAGED_BY: MANAGER}
        try:
            found = [
                raw
                for namespace in namespaces or (None,)
                for raw in await api.list(gvk, namespace, labels=labels, metadata_only=True)
            ]
        except (TypeMissing, Wait) as problem:
            log.warning("Left a type out of the resync", extra={"kind": gvk.kind, "problem": str(problem)})
            continue
        lost = delivery.listed(gvk.kind, found, now())
        if lost:
            log.warning("Missed deletions", extra={"kind": gvk.kind, "count": len(lost)})
        keys |= keys_of(gvk, found)
    for key in sorted(keys):
        add(key)
    return len(keys)


def keys_of(gvk: Gvk, found: Iterable[Object]) -> set[Key]:
    """Return the keys of our objects, and of the owners that children name."""
    keys = set()
    for raw in found:
        metadata = raw["metadata"]
        labels = metadata.get("labels") or {}
        if gvk.kind in OUR_KINDS:
            keys.add(Key(gvk.kind, metadata["namespace"], metadata["name"]))
        if labels.get(LABEL_KIND) in OUR_KINDS and labels.get(LABEL_NAME):
            keys.add(Key(labels[LABEL_KIND], metadata["namespace"], labels[LABEL_NAME]))
    return keys
