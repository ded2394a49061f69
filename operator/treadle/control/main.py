"""`treadle operate`: composes client, Lease, queue and watch engine."""

import asyncio
import logging
import os
import random
from collections.abc import Sequence
from typing import Any

from treadle.control import kube, logs, watch
from treadle.control.engine.errors import Gone, TokenRefused, Wait
from treadle.control.engine.ports import Kind
from treadle.control.operate import Operator, operate, serve_metrics
from treadle.control.pods import HttpPods
from treadle.control.settings import Settings, SettingsError, from_environment

log = logging.getLogger(__name__)

STOPPED, LOST, MISCONFIGURED = 0, 1, 2


def main() -> int:
    """Run the operator; return 0 after a signal, 1 when watch, credentials or Lease were lost, 2 for bad settings."""
    try:
        settings = from_environment(os.environ, os.getpid())
    except SettingsError as problem:
        logs.configure("INFO")
        log.error("Cannot start", extra={"problem": str(problem)})
        return MISCONFIGURED
    logs.configure(settings.log_level)
    # Here, since `run` serves kinds of any kind, and tests bring their own.
    from treadle.control.kinds import KINDS

    return asyncio.run(run(KINDS, settings))


async def run(kinds: Sequence[Kind[Any, Any]], settings: Settings) -> int:
    """Run the operator on the cluster that the environment names."""
    pods = HttpPods(settings.pod_timeout_seconds)
    try:
        api = await kube.Kube.connect(random.SystemRandom())
    except kube.NoCluster as problem:
        log.error("Cannot start", extra={"problem": str(problem)})
        return LOST
    operator = Operator(kinds, api, pods, settings)
    serve_metrics(operator)
    try:
        return await operate(operator, watching)
    except (TokenRefused, Gone, Wait) as problem:
        # Only the Lease's first answer comes here: its namespace is gone, or the right to it is missing.
        log.error("Ending", extra={"problem": str(problem)})
        return LOST
    finally:
        await pods.close()
        await api.close()


async def watching(operator: Operator, stop: asyncio.Event, ready: asyncio.Event) -> None:
    """Run the watch engine for this operator."""
    handlers = watch.registry(operator.told, operator.health, kube.credentials)
    await watch.watch(handlers, operator.settings, stop, ready)
