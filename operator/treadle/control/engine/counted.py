"""An Api that counts its calls, expects its writes to come back as events, and shows conditions."""

import asyncio
from collections.abc import Mapping

from treadle.control.engine.delivery import Delivery
from treadle.control.engine.metrics import Metrics
from treadle.control.engine.ports import CHILDREN, OURS, Api, Gvk, Key, Object

OUR_KINDS = frozenset(gvk.kind for gvk in OURS)
WATCHED_KINDS = OUR_KINDS | {gvk.kind for gvk in CHILDREN}


class CountedApi:
    """The API as the operator's metrics see it."""

    def __init__(self, api: Api, metrics: Metrics, delivery: Delivery) -> None:
        self._api, self._metrics, self._delivery = api, metrics, delivery
        self.last_write = 0.0

    async def get(self, gvk: Gvk, namespace: str, name: str) -> Object | None:
        """Return the object, or None."""
        self._count("get", gvk.kind)
        found = await self._api.get(gvk, namespace, name)
        if gvk.kind in OUR_KINDS:
            self._show(Key(gvk.kind, namespace, name), found)
        return found

    async def list(
        self,
        gvk: Gvk,
        namespace: str | None = None,
        *,
        labels: Mapping[str, str] | None = None,
        metadata_only: bool = False,
    ) -> list[Object]:
        """Return the list."""
        self._count("list", gvk.kind)
        return await self._api.list(gvk, namespace, labels=labels, metadata_only=metadata_only)

    async def apply(self, child: Object, *, manager: str = "treadle") -> Object:
        """Apply, and expect the event."""
        self._count("apply", child["kind"])
        return self._wrote(await self._api.apply(child, manager=manager))

    async def apply_status(self, raw: Object, status: Object) -> Object:
        """Apply the status, and expect the event."""
        self._count("apply_status", raw["kind"])
        written = self._wrote(await self._api.apply_status(raw, status))
        self._show(Key(raw["kind"], raw["metadata"]["namespace"], raw["metadata"]["name"]), written)
        return written

    async def create(self, new: Object) -> Object | None:
        """Create the object."""
        self._count("create", new["kind"])
        return await self._api.create(new)

    async def delete(self, child: Object) -> None:
        """Delete the object."""
        self._count("delete", child["kind"])
        await self._api.delete(child)

    def _count(self, verb: str, kind: str) -> None:
        self._metrics.api_calls.labels(verb, kind).inc()

    def _wrote(self, live: Object) -> Object:
        now = asyncio.get_running_loop().time()
        if live["kind"] in WATCHED_KINDS:
            metadata = live["metadata"]
            identity = (live["kind"], metadata.get("namespace", ""), metadata["name"])
            self._delivery.expect(identity, metadata["resourceVersion"], now)
            self.last_write = now
        return live

    def _show(self, key: Key, found: Object | None) -> None:
        status = (found or {}).get("status") or {}
        self._metrics.show(key, status.get("conditions") or [])
