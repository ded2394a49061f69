"""The running operator: its parts, their order at the start and at the end, and what ends it."""

import asyncio
import logging
import random
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from prometheus_client import start_http_server

from treadle.control.engine.counted import CountedApi
from treadle.control.engine.delivery import Delivery
from treadle.control.engine.errors import Busy, Conflict, Gone, TokenRefused, Wait
from treadle.control.engine.metrics import Metrics
from treadle.control.engine.ports import CHILDREN, OURS, Api, Gvk, Key, Kind, Pods, Ports
from treadle.control.engine.queue import WorkQueue
from treadle.control.engine.reconcile import reconcile
from treadle.control.engine.resync import resync
from treadle.control.lease import LeaseGate
from treadle.control.references import References
from treadle.control.settings import Settings

log = logging.getLogger(__name__)

CHECK_SECONDS = 5.0
LAG_SECONDS = 0.5

type Watch = Callable[["Operator", asyncio.Event, asyncio.Event], Awaitable[None]]
"""Runs the watch engine until the first event is set; sets the second once it watches."""


class Operator:
    """All parts but the watch engine, and the facts that its probe tells."""

    def __init__(self, kinds: Sequence[Kind[Any, Any]], api: Api, pods: Pods, settings: Settings) -> None:
        self.settings = settings
        self.references = References()
        self.delivery = Delivery(settings.blind_seconds)
        self.metrics = Metrics(settings.metrics_condition_limit)
        self.ended = asyncio.Event()
        self.failure = ""
        self._kinds: Mapping[str, Kind[Any, Any]] = {kind.name: kind for kind in kinds}
        self._api = CountedApi(api, self.metrics, self.delivery)
        self.lease = LeaseGate(self._api, settings.lease_namespace, settings.lease_name, settings.identity, utc_now)
        rng = random.SystemRandom()
        self._ports = Ports(self._api, pods, utc_now, rng, settings)
        self.queue = WorkQueue(self.take_pass, rng, settings.worker_count)

    def add(self, key: Key) -> None:
        """Put a key of a kind that is reconciled here into the queue."""
        if key.kind in self._kinds:
            self.queue.add(key)

    def told(self, gvk: Gvk, namespace: Any, name: Any, body: Any, *, is_gone: bool) -> None:
        """Put the keys that an event concerns into the queue."""
        version = str(body.get("metadata", {}).get("resourceVersion", ""))
        is_echo = self.delivery.delivered((gvk.kind, namespace or "", name or ""), version, is_gone)
        if is_echo and gvk not in OURS:
            return  # The pass that wrote this child has seen what it wrote.
        for key in self.references.keys_for(gvk.plural, namespace, name, body, is_gone=is_gone):
            self.add(key)

    def fail(self, problem: str) -> None:
        """End the process with code 1, for this reason."""
        if not self.failure:
            self.failure = problem
            log.error("Ending", extra={"problem": problem})
        self.ended.set()

    def health(self) -> tuple[Mapping[str, float], str]:
        """Return the probe's facts, and what is wrong."""
        now = asyncio.get_running_loop().time()
        oldest = self.queue.oldest_seconds()
        facts = {"queue_depth": float(self.queue.depth), "oldest_seconds": round(oldest, 3)}
        if self._api.last_write:
            facts["last_write_seconds_ago"] = round(now - self._api.last_write, 3)
        if oldest >= self.settings.stuck_seconds:
            return facts, f"the oldest key waits for {oldest:.0f} s, more than {self.settings.stuck_seconds:.0f} s"
        if self.lease.lost.is_set():
            return facts, "the Lease is lost"
        return facts, self.failure or self.delivery.problem(now)

    async def take_pass(self, key: Key) -> float | None:
        """Run one pass and count it; an error goes to the queue, which backs off."""
        started = asyncio.get_running_loop().time()
        result = "error"
        try:
            again = await reconcile(self._kinds[key.kind], key, self._ports)
            result = "done" if again is not None else "gone"
            return again
        except Conflict:
            result = "conflict"
            raise
        except Busy as problem:
            result = "busy"
            log.warning("Backed off", extra={"object": str(key), "problem": str(problem)})
            raise
        except TokenRefused as problem:
            self.fail(str(problem))
            raise
        finally:
            self.metrics.passes.labels(key.kind, result).inc()
            self.metrics.pass_seconds.labels(key.kind).observe(asyncio.get_running_loop().time() - started)

    async def keep_looking(self) -> None:
        """Look for a blind watch and a lost Lease every few seconds, and relist every ten minutes."""
        loop = asyncio.get_running_loop()
        relist_at = loop.time() + self.settings.resync_seconds
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            if problem := self.delivery.problem(loop.time()):
                self.fail(problem)
            if loop.time() >= relist_at:
                relist_at = loop.time() + self.settings.resync_seconds
                await self._relist()

    async def keep_measuring(self) -> None:
        """Measure the queue and the lag of the event loop twice a second."""
        loop = asyncio.get_running_loop()
        while True:
            before = loop.time()
            await asyncio.sleep(LAG_SECONDS)
            self.metrics.loop_lag_seconds.set(max(0.0, loop.time() - before - LAG_SECONDS))
            self.metrics.queue_depth.set(self.queue.depth)
            self.metrics.oldest_seconds.set(self.queue.oldest_seconds())

    async def end_without_lease(self) -> None:
        """End the process when the Lease is lost."""
        await self.lease.lost.wait()
        self.fail("the Lease is lost")

    async def check_types(self) -> None:
        """Say in one clear line for each kind what the server lacks, and the command that mends it."""
        for gvk in (*OURS, *CHILDREN):
            for namespace in self.settings.watch_namespaces or ("",):
                try:
                    await self._api.list(
                        gvk, namespace or None, labels={"treadle.dev/none": "none"}, metadata_only=True
                    )
                except Gone:
                    log.error(
                        "Missing a CRD; it is watched once it is there",
                        extra={"type": f"{gvk.plural}.{gvk.group}", "mend": f"kubectl apply -f crds/{gvk.plural}.yaml"},
                    )
                except Wait as problem:
                    log.error(
                        "Missing a right",
                        extra={
                            "type": gvk.plural,
                            "problem": problem.message,
                            "mend": "helm upgrade treadle charts/treadle --reuse-values",
                        },
                    )

    async def _relist(self) -> None:
        try:
            count = await resync(
                [*OURS, *CHILDREN],
                self.settings.watch_namespaces,
                self._api,
                delivery=self.delivery,
                add=self.add,
                now=asyncio.get_running_loop().time,
            )
        except Busy as problem:
            log.warning("Could not relist", extra={"problem": str(problem)})
        except TokenRefused as problem:
            self.fail(str(problem))
        else:
            log.info("Relisted", extra={"keys": count})


async def operate(operator: Operator, watch: Watch) -> int:
    """Run until a signal (0), or until watch, credentials or Lease are lost (1)."""
    stop, ready = asyncio.Event(), asyncio.Event()
    _on_signals(operator.ended.set)
    acquiring = asyncio.create_task(operator.lease.acquire())
    await _first(acquiring, operator.ended)
    if not acquiring.done():
        acquiring.cancel()
        return 0
    acquiring.result()
    await operator.check_types()
    # Before kopf, which at its end cancels every task that began after it.
    operator.queue.start()
    tasks = [
        asyncio.create_task(work)
        for work in (operator.keep_looking(), operator.keep_measuring(), operator.end_without_lease())
    ]
    watching = asyncio.ensure_future(watch(operator, stop, ready))
    watching.add_done_callback(lambda _: operator.ended.set())
    for task in tasks:
        task.add_done_callback(lambda done: _follow(done, operator))
    await _first(asyncio.ensure_future(ready.wait()), operator.ended)
    # kopf has installed its own by now.
    _on_signals(operator.ended.set)
    await operator.ended.wait()
    if watching.done():
        operator.fail(f"the watch ended: {_reason(watching)}")
    if not operator.lease.lost.is_set():
        await operator.queue.close()
    stop.set()
    for task in tasks:
        task.cancel()
    await asyncio.gather(watching, *tasks, return_exceptions=True)
    await operator.lease.release()
    return 1 if operator.failure else 0


def serve_metrics(operator: Operator) -> None:
    """Serve the metrics on their port; port 0 serves none."""
    if operator.settings.metrics_port:
        start_http_server(operator.settings.metrics_port, registry=operator.metrics.registry)


def utc_now() -> datetime:
    """Return the time, in UTC."""
    return datetime.now(UTC)


def _on_signals(act: Callable[[], None]) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, act)


async def _first(task: asyncio.Future[Any], ended: asyncio.Event) -> None:
    waiting = asyncio.ensure_future(ended.wait())
    await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()


def _follow(done: asyncio.Task[None], operator: Operator) -> None:
    if not done.cancelled() and (bug := done.exception()) is not None:
        log.error("A part of the operator ended", exc_info=bug)
        operator.fail(f"a part of the operator ended: {bug}")


def _reason(watching: asyncio.Future[None]) -> str:
    bug = None if watching.cancelled() else watching.exception()
    return str(bug) if bug is not None else "see the lines before"
