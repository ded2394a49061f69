"""An Api that reads each thing once: the view of one pass, thrown away with it."""

from collections.abc import Mapping

from treadle.control.engine.ports import OURS, Api, Gvk, Object


class OnceRead:
    """Reads of one pass. Nothing outlives the pass, and every write still carries uid or resourceVersion."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._objects: dict[tuple[str, str, str], Object | None] = {}
        self._lists: dict[tuple[str, str | None, tuple[tuple[str, str], ...], bool], list[Object]] = {}

    async def get(self, gvk: Gvk, namespace: str, name: str) -> Object | None:
        """Return the object as this pass first saw it."""
        key = (gvk.kind, namespace if gvk.namespaced else "", name)
        if key not in self._objects:
            self._objects[key] = await self._api.get(gvk, namespace, name)
        return self._objects[key]

    async def list(
        self,
        gvk: Gvk,
        namespace: str | None = None,
        *,
        labels: Mapping[str, str] | None = None,
        metadata_only: bool = False,
    ) -> list[Object]:
        """Return the list as this pass first saw it; its objects count as read."""
        if labels and gvk in OURS:
            # A ModelDeployment looks at its own runs, and at all of the namespace: one list serves both.
            found = await self.list(gvk, namespace, metadata_only=metadata_only)
            return [raw for raw in found if labels.items() <= (raw["metadata"].get("labels") or {}).items()]
        key = (gvk.kind, namespace, tuple(sorted((labels or {}).items())), metadata_only)
        if key not in self._lists:
            found = await self._api.list(gvk, namespace, labels=labels, metadata_only=metadata_only)
            self._lists[key] = found
            if not metadata_only:
                for raw in found:
                    self._objects.setdefault((gvk.kind, raw["metadata"]["namespace"], raw["metadata"]["name"]), raw)
        return self._lists[key]

    async def apply(self, child: Object, *, manager: str = "treadle") -> Object:
        """Apply, and remember the answer as read."""
        live = await self._api.apply(child, manager=manager)
        self._objects[live["kind"], live["metadata"].get("namespace", ""), live["metadata"]["name"]] = live
        return live

    async def apply_status(self, raw: Object, status: Object) -> Object:
        """Apply the status."""
        return await self._api.apply_status(raw, status)

    async def create(self, new: Object) -> Object | None:
        """Create the object."""
        return await self._api.create(new)

    async def delete(self, child: Object) -> None:
        """Delete the object."""
        await self._api.delete(child)
