"""One run of a program below a supervisor, which ends it and all that it started when this process is gone."""

import asyncio
import contextlib
import json
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from treadle.local.kubelet import supervisor

LOG_BYTES = 10 << 20


class NotStarted(Exception):
    """A program that could not be executed, and why."""


@dataclass(frozen=True, slots=True)
class Program:
    """What is run: words, environment, working directory and log."""

    argv: Sequence[str]
    environment: Mapping[str, str]
    directory: Path
    log: Path


class Process:
    """A program that was started."""

    def __init__(self, running: asyncio.subprocess.Process, pid: int) -> None:
        self._running = running
        self.pid = pid
        """Of the program; it is the supervisor's child, and all that it starts is below one of the two."""
        self.is_out_of_memory = False

    @property
    def supervisor_pid(self) -> int:
        """Return the root of the tree of processes; it is no part of what the program uses."""
        return self._running.pid

    def send(self, number: int) -> None:
        """Send a signal to the program; SIGKILL reaches all that it started."""
        if self._running.stdin is not None and not self._running.stdin.is_closing():
            self._running.stdin.write(bytes([number]))

    async def wait(self) -> int:
        """Return the exit code, 128 and the signal's number for what a signal ended."""
        status = (await _report(self._running)).get("status")
        await _end(self._running)
        # A supervisor that is gone took the program with it.
        code = -signal.SIGKILL if status is None else int(status)
        return 128 - code if code < 0 else code


async def start(program: Program) -> Process:
    """Start a program; raise NotStarted for what cannot be executed."""
    order = {"argv": list(program.argv), "log": str(program.log), "log_bytes": LOG_BYTES}
    try:
        running = await asyncio.create_subprocess_exec(
            sys.executable,
            "-I",
            "-S",
            supervisor.__file__,
            json.dumps(order),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=dict(program.environment),
            cwd=program.directory,
            # Ctrl-C at the terminal is for `treadle up` alone, which then ends its pods in good order.
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        # A variable of more than 128 KiB or with a NUL in it, or no process left to have.
        raise NotStarted(f"{program.argv[0]}: {getattr(error, 'strerror', None) or error}") from error
    try:
        report = await _report(running)
    except asyncio.CancelledError:
        running.kill()
        raise
    if "pid" in report:
        return Process(running, report["pid"])
    await _end(running)
    raise NotStarted(report.get("error", f"its supervisor ended with code {running.returncode}"))


async def _report(running: asyncio.subprocess.Process) -> dict[str, Any]:
    line = await running.stdout.readline() if running.stdout is not None else b""
    return json.loads(line) if line.endswith(b"\n") else {}


async def _end(running: asyncio.subprocess.Process) -> None:
    if running.stdin is not None:
        running.stdin.close()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            await running.stdin.wait_closed()
    await running.wait()
