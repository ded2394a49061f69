"""The Lease gate: one operator at a time, by the monotonic clock."""

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime

from treadle.control.engine.errors import Busy, Conflict, Gone, TokenRefused, Wait
from treadle.control.engine.ports import LEASE, Api, Object

log = logging.getLogger(__name__)

DURATION_SECONDS = 15.0
RENEWAL_SECONDS = 5.0
GIVE_UP_SECONDS = 10.0
RETRY_SECONDS = 1.0


class LeaseGate:
    """One Lease. A gate is not a lock: names, uids, versions and create-once Jobs make two operators harmless."""

    def __init__(self, api: Api, namespace: str, name: str, identity: str, now: Callable[[], datetime]) -> None:
        self._api = api
        self._namespace, self._name, self._identity = namespace, name, identity
        self._now = now
        self._renewal: asyncio.Task[None] | None = None
        self._version = ""
        self._acquired = ""
        self._transitions = 0
        self._good = 0.0
        self.lost = asyncio.Event()

    async def acquire(self) -> None:
        """Wait until the Lease is ours, then renew it in the background; `lost` is set when it no longer is."""
        unchanged: tuple[str, float] = ("", _monotonic())
        while True:
            try:
                found = await self._api.get(LEASE, self._namespace, self._name)
                version = found["metadata"]["resourceVersion"] if found else ""
                if version != unchanged[0]:
                    unchanged = (version, _monotonic())
                is_dead = _monotonic() - unchanged[1] >= DURATION_SECONDS
                if (found is None or self._is_free(found) or is_dead) and await self._take(found):
                    break
            except (Busy, Conflict) as problem:
                log.warning("Could not take the Lease", extra={"problem": str(problem)})
            await asyncio.sleep(RETRY_SECONDS)
        log.info("Took the Lease", extra={"lease": f"{self._namespace}/{self._name}", "holder": self._identity})
        self._renewal = asyncio.create_task(self._renew(), name="lease")

    async def release(self) -> None:
        """Stop renewing, and leave the Lease without a holder."""
        if self._renewal is None:
            return
        self._renewal.cancel()
        await asyncio.gather(self._renewal, return_exceptions=True)
        if self.lost.is_set():
            return
        try:
            await self._write("")
        except (Busy, Conflict, Gone, TokenRefused, Wait) as problem:
            log.warning("Could not release the Lease", extra={"problem": str(problem)})

    def _is_free(self, found: Object) -> bool:
        return (found.get("spec") or {}).get("holderIdentity", "") in ("", self._identity)

    async def _take(self, found: Object | None) -> bool:
        self._acquired = _micro(self._now())
        if found is None:
            created = await self._api.create(self._lease(self._identity))
            if created is None:
                return False
            self._version = created["metadata"]["resourceVersion"]
        else:
            self._version = found["metadata"]["resourceVersion"]
            self._transitions = (found.get("spec") or {}).get("leaseTransitions", 0) + 1
            await self._write(self._identity)
        self._good = _monotonic()
        return True

    async def _renew(self) -> None:
        pause = RENEWAL_SECONDS
        while True:
            await asyncio.sleep(pause)
            if _monotonic() - self._good > GIVE_UP_SECONDS:
                log.error("Lost the Lease", extra={"problem": f"not renewed for {GIVE_UP_SECONDS:g} s"})
                self.lost.set()
                return
            try:
                async with asyncio.timeout(GIVE_UP_SECONDS - (_monotonic() - self._good)):
                    await self._hold()
            except (Conflict, Gone, TokenRefused) as problem:
                log.error("Lost the Lease", extra={"problem": str(problem)})
                self.lost.set()
                return
            except (Busy, Wait, TimeoutError) as problem:
                log.warning("Could not renew the Lease", extra={"problem": str(problem)})
                pause = RETRY_SECONDS
            else:
                self._good, pause = _monotonic(), RENEWAL_SECONDS

    async def _hold(self) -> None:
        """Renew; Conflict where the Lease is another's."""
        try:
            await self._write(self._identity)
        except Conflict:
            found = await self._api.get(LEASE, self._namespace, self._name)
            if found is None or (found.get("spec") or {}).get("holderIdentity") != self._identity:
                raise
            # A write of ours whose answer was lost on its way: the version is newer, the holder is not.
            self._version = found["metadata"]["resourceVersion"]
            await self._write(self._identity)

    async def _write(self, holder: str) -> None:
        wish = self._lease(holder)
        wish["metadata"]["resourceVersion"] = self._version
        live = await self._api.apply(wish)
        self._version = live["metadata"]["resourceVersion"]

    def _lease(self, holder: str) -> Object:
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": self._name, "namespace": self._namespace},
            "spec": {
                "holderIdentity": holder,
                "leaseDurationSeconds": int(DURATION_SECONDS),
                "acquireTime": self._acquired,
                "renewTime": _micro(self._now()),
                "leaseTransitions": self._transitions,
            },
        }


def _micro(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _monotonic() -> float:
    return asyncio.get_running_loop().time()
