"""A container's log as `kubectl logs` asks for it: its end, and what is written meanwhile."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from treadle.local.server import refusals
from treadle.local.server.options import TRUE

type Object = dict[str, Any]

CHUNK_BYTES = 64 * 1024
LOOK_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class LogQuery:
    """Which part of a log is asked for."""

    lines: int | None
    """At most so many of the last."""
    size_bytes: int | None
    follow: bool
    is_previous: bool


def query_of(query: Mapping[str, str]) -> LogQuery:
    """Return what a query asks for; refuse what a log without times cannot tell."""
    for name in ("sinceSeconds", "sinceTime"):
        if name in query:
            raise refusals.bad_request(f"{name}: logs of local pods hold no times; ask for tailLines")
    if query.get("timestamps") in TRUE:
        raise refusals.bad_request("timestamps: logs of local pods hold no times")
    return LogQuery(
        _number(query, "tailLines"),
        _number(query, "limitBytes"),
        query.get("follow") in TRUE,
        query.get("previous") in TRUE,
    )


def container_of(pod: Object, name: str) -> str:
    """Return the container whose log is asked for: the only one, where none is named."""
    told = pod["metadata"]["name"]
    containers = [each["name"] for each in pod["spec"].get("containers") or ()]
    initial = [each["name"] for each in pod["spec"].get("initContainers") or ()]
    if name and name not in (*containers, *initial):
        raise refusals.bad_request(f"container {name} is not valid for pod {told}")
    if not name and len(containers) > 1:
        choice = f"a container name must be specified for pod {told}, choose one of: [{' '.join(containers)}]"
        raise refusals.bad_request(
            choice + (f" or one of the init containers: [{' '.join(initial)}]" if initial else "")
        )
    return name or containers[0]


def nothing(pod: Object, container: str, *, is_previous: bool) -> refusals.Refusal:
    """Return the refusal of a log that is not there."""
    told = pod["metadata"]["name"]
    if is_previous:
        return refusals.bad_request(f'previous terminated container "{container}" in pod "{told}" not found')
    waiting = (_status(pod, container).get("state") or {}).get("waiting") or {}
    reason = waiting.get("reason", "ContainerCreating")
    return refusals.bad_request(f'container "{container}" in pod "{told}" is waiting to start: {reason}')


def runs(pod: Object, container: str) -> bool:
    """Say whether a container still writes."""
    return "running" in (_status(pod, container).get("state") or {})


async def read(path: Path, asked: LogQuery, is_running: Callable[[], bool]) -> AsyncIterator[bytes]:
    """Yield a log in pieces; of one that is followed also what comes, until its container has ended."""
    left = asked.size_bytes
    file = path.open("rb")
    try:
        file.seek(start(file, asked.lines))
        while True:
            was_running = asked.follow and is_running()
            while piece := file.read(CHUNK_BYTES if left is None else min(left, CHUNK_BYTES)):
                yield piece
                left = None if left is None else left - len(piece)
            if left == 0 or not was_running:
                return
            await asyncio.sleep(LOOK_SECONDS)
            if is_replaced(file, path):
                # Grown beyond its limit, and begun again: what is left of the old one was read before.
                yield file.read()
                file.close()
                file = path.open("rb")
    finally:
        file.close()


def start(file: BinaryIO, lines: int | None) -> int:
    """Return where the last lines of a file begin; all of it for None."""
    if lines is None:
        return 0
    begin, tail = file.seek(0, os.SEEK_END), b""
    if lines == 0:
        return begin
    while True:
        # The newline at the very end begins no line.
        found = len(tail) - tail.endswith(b"\n")
        for _ in range(lines):
            found = tail.rfind(b"\n", 0, max(found, 0))
            if found < 0:
                break
        if found >= 0 or begin == 0:
            return begin + found + 1
        step = min(CHUNK_BYTES, begin)
        begin = file.seek(begin - step)
        tail = file.read(step) + tail


def is_replaced(file: BinaryIO, path: Path) -> bool:
    """Say whether another file lies at the path now."""
    try:
        return os.fstat(file.fileno()).st_ino != path.stat().st_ino
    except FileNotFoundError:
        return False


def _status(pod: Object, container: str) -> Object:
    status = pod.get("status") or {}
    told = [*(status.get("containerStatuses") or ()), *(status.get("initContainerStatuses") or ())]
    return next((each for each in told if each["name"] == container), {})


def _number(query: Mapping[str, str], name: str) -> int | None:
    if name not in query:
        return None
    if not query[name].isdigit():
        raise refusals.bad_request(f"{name}: {query[name]!r} is no number")
    return int(query[name])
