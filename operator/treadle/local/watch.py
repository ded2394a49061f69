"""Watches the API in memory for an operator in the same process, as kopf watches a real one."""

import asyncio

from treadle.api.names import LABEL_MANAGED_BY, MANAGER
from treadle.control.engine.ports import CHILDREN, OURS, Object
from treadle.control.operate import Operator
from treadle.local.server.api import Change, MemoryApi

TYPES = {(gvk.api_version, gvk.kind): gvk for gvk in (*OURS, *CHILDREN)}


class Watching:
    """Tells an operator what there is, then what changes."""

    def __init__(self, api: MemoryApi) -> None:
        self._api = api

    async def __call__(self, operator: Operator, stop: asyncio.Event, ready: asyncio.Event) -> None:
        """Watch until `stop` is set; set `ready` once all that there is was told."""
        told: asyncio.Queue[Change] = asyncio.Queue()
        self._api.subscribe(told)
        for gvk in TYPES.values():
            for raw in await self._api.list(gvk):
                self.tell(operator, Change("ADDED", raw))
        ready.set()
        ending = asyncio.create_task(stop.wait())
        while not stop.is_set():
            change = asyncio.create_task(told.get())
            await asyncio.wait({change, ending}, return_when=asyncio.FIRST_COMPLETED)
            if change.done():
                self.tell(operator, change.result())
            else:
                change.cancel()

    def tell(self, operator: Operator, change: Change) -> None:
        """Tell one change of the types that are watched; of children, those that the operator made."""
        raw, metadata = change.object, change.object["metadata"]
        gvk = TYPES.get((raw["apiVersion"], raw["kind"]))
        if gvk is None or (gvk not in OURS and not is_ours(raw)):
            return
        operator.told(gvk, metadata.get("namespace"), metadata["name"], raw, is_gone=change.type == "DELETED")


def is_ours(raw: Object) -> bool:
    """Say whether an object carries the label by which the operator knows its children."""
    return (raw["metadata"].get("labels") or {}).get(LABEL_MANAGED_BY) == MANAGER
