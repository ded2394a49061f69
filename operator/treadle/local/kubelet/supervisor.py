"""Run one program, and end it with all that it started when the pipe on standard input closes.

It is started by its path with the bare interpreter, so it uses the standard library alone. Its parent is kubelet: when
that dies, in whichever way, the kernel closes the pipe. The first argument is JSON: argv, log and log_bytes. Each byte
on standard input is a signal for the program. Each line on standard output is a report: {"error": "…"} for what could
not be started; else {"pid": 7}, and then {"status": 0}, its exit code or the negative of its signal.
"""

import contextlib
import ctypes
import json
import os
import resource
import selectors
import signal
import sys
from pathlib import Path
from time import monotonic, sleep
from typing import Any

# linux/prctl.h
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
OPEN_FILES = 65536
DRAIN_SECONDS = 1.0
"""How long output is awaited after the program's end from whoever holds the pipe and could not be found."""
ROUND_SECONDS = 0.005
# As kubelet's for pods with limits below their node: the machine's own programs outlive these.
OOM_SCORE = "800"


class Log:
    """A file that makes room for itself: what is too much goes to one older file."""

    def __init__(self, path: str, limit: int) -> None:
        self._path, self._limit = Path(path), limit
        self._file = self._path.open("ab", buffering=0)
        self._size = self._file.tell()

    def write(self, data: bytes) -> None:
        """Append, after a rotation where it would grow too long."""
        if self._size and self._size + len(data) > self._limit:
            self._file.close()
            self._path.replace(f"{self._path}.1")
            self._file, self._size = self._path.open("ab", buffering=0), 0
        # A full disk costs the log, not the program.
        with contextlib.suppress(OSError):
            self._size += self._file.write(data)


def main(order: str) -> int:
    """Supervise one program to its end."""
    told = json.loads(order)
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    # Orphans of the program become children of this process, where they are found.
    _prctl(PR_SET_CHILD_SUBREAPER, 1)
    ended_in, ended_out = os.pipe()
    os.set_blocking(ended_out, False)
    signal.set_wakeup_fd(ended_out)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    log = Log(told["log"], told["log_bytes"])
    output, pid, problem = _start(told)
    if problem:
        _report(error=problem)
        return 0
    _report(pid=pid)
    status = _until_end(pid, output, ended_in, log)
    _end_descendants(pid)
    _drain(output, log)
    _report(status=os.waitstatus_to_exitcode(status))
    return 0


def _start(told: dict[str, Any]) -> tuple[int, int, str]:
    """Start the program; return its output, its pid, and what was wrong."""
    output, writing = os.pipe()
    failed, failing = os.pipe()
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        try:
            _become(told, writing, parent)
        except OSError as error:
            os.write(failing, f"{told['argv'][0]}: {error.strerror}".encode())
        os._exit(128)
    os.close(writing)
    os.close(failing)
    # The other end is closed by exec, or holds the reason why there was none.
    with os.fdopen(failed, "rb") as reading:
        return output, pid, reading.read().decode()


def _become(told: dict[str, Any], writing: int, parent: int) -> None:
    """Become the program, in a session of its own."""
    os.setsid()
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(128)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = OPEN_FILES if most == resource.RLIM_INFINITY else min(OPEN_FILES, most)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, most))
    if sys.platform == "linux":
        Path("/proc/self/oom_score_adj").write_text(OOM_SCORE)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (writing, 1), (writing, 2)):
        os.dup2(source, target)
    os.execvp(told["argv"][0], told["argv"])


def _until_end(pid: int, output: int, ended: int, log: Log) -> int:
    """Pass signals to the program and its output to the log until it ends; return its wait status."""
    with selectors.DefaultSelector() as ready:
        for source in (0, output, ended):
            ready.register(source, selectors.EVENT_READ)
        while True:
            for key, _ in ready.select():
                data = os.read(key.fd, 1 << 16)
                if key.fd == output:
                    log.write(data)
                elif key.fd == 0:
                    for number in data or bytes([signal.SIGKILL]):
                        _tell(pid, number)
                if not data:
                    ready.unregister(key.fd)
            while (found := os.waitpid(-1, os.WNOHANG))[0]:
                if found[0] == pid:
                    return found[1]


def _tell(pid: int, number: int) -> None:
    """Send a signal to the program, SIGKILL to its group; its pid is its own, since it was not waited for yet."""
    # macOS refuses to signal a group whose only process has ended.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        (os.killpg if number == signal.SIGKILL else os.kill)(pid, number)


def _end_descendants(pid: int) -> None:
    """Kill what the program left behind, as the end of a container's first process does."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
    listed = Path(f"/proc/self/task/{os.getpid()}/children")
    deadline = monotonic() + DRAIN_SECONDS
    while monotonic() < deadline:
        # Each that dies hands its own children to this process, which the next round finds.
        for child in listed.read_text().split() if listed.exists() else []:
            os.kill(int(child), signal.SIGKILL)
        try:
            if os.waitpid(-1, os.WNOHANG) == (0, 0):
                sleep(ROUND_SECONDS)
        except ChildProcessError:
            return


def _drain(output: int, log: Log) -> None:
    """Take what is still in the pipe."""
    with selectors.DefaultSelector() as ready:
        ready.register(output, selectors.EVENT_READ)
        deadline = monotonic() + DRAIN_SECONDS
        while ready.select(max(0.0, deadline - monotonic())):
            data = os.read(output, 1 << 16)
            if not data:
                return
            log.write(data)


def _report(**said: Any) -> None:
    with contextlib.suppress(BrokenPipeError):
        os.write(1, json.dumps(said).encode() + b"\n")


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
