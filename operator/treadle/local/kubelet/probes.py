"""Probes: whether a container answers, and what a row of answers means."""

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from treadle.control.engine.ports import Object

PERIOD_SECONDS = 10
TIMEOUT_SECONDS = 1
FAILURES = 3

type Run = Callable[[list[str], float], Awaitable[str]]
"""Runs a command as the container would; returns what is wrong, or nothing. Raises TimeoutError."""


@dataclass(frozen=True, slots=True)
class Streak:
    """Equal answers in a row."""

    succeeded: bool = False
    count: int = 0

    def after(self, *, succeeded: bool) -> "Streak":
        """Return the streak with one more answer."""
        if succeeded == self.succeeded:
            return replace(self, count=self.count + 1)
        return Streak(succeeded, 1)


def verdict(probe: Object, streak: Streak) -> bool | None:
    """Return whether the probe now holds, or None while its answers are too few to tell."""
    needed = probe.get("successThreshold", 1) if streak.succeeded else probe.get("failureThreshold", FAILURES)
    return streak.succeeded if streak.count >= needed else None


async def watch(probe: Object, asked: Callable[[], Awaitable[str]], told: Callable[[bool], bool]) -> bool:
    """Ask again and again, and tell each verdict until `told` says that it is enough; return the last one."""
    streak = Streak()
    await asyncio.sleep(probe.get("initialDelaySeconds", 0))
    while True:
        streak = streak.after(succeeded=not await asked())
        holds = verdict(probe, streak)
        if holds is not None and told(holds):
            return holds
        await asyncio.sleep(probe.get("periodSeconds", PERIOD_SECONDS))


async def ask(probe: Object, container: Object, ip: str, run: Run) -> str:
    """Return what is wrong with a container, or nothing."""
    seconds = float(probe.get("timeoutSeconds", TIMEOUT_SECONDS))
    target = probe.get("httpGet") or probe.get("tcpSocket")
    number = port(target["port"], container) if target is not None else None
    if target is not None and number is None:
        return f"couldn't find port: {target['port']}"
    try:
        async with asyncio.timeout(seconds):
            if "exec" in probe:
                return await run(probe["exec"]["command"], seconds)
            if "httpGet" in probe:
                return await http_get(probe["httpGet"], ip, number)
            if "tcpSocket" in probe:
                return await tcp(probe["tcpSocket"], ip, number)
    except TimeoutError:
        return f"no answer within {seconds:g} s"
    return "a probe of this type is not known to treadle up; use httpGet, tcpSocket or exec"


async def tcp(target: Object, ip: str, number: int | None) -> str:
    """Return why a port cannot be connected to, or nothing."""
    host = target.get("host") or ip
    try:
        _, writer = await asyncio.open_connection(host, number)
    except OSError as error:
        return f"dial tcp {host}:{number}: {error.strerror or error}"
    await _close(writer)
    return ""


async def http_get(target: Object, ip: str, number: int | None) -> str:
    """Return why a path is not answered with 200 to 399, or nothing."""
    host, path = target.get("host") or ip, target.get("path") or "/"
    context = None
    if target.get("scheme") == "HTTPS":
        # As kubelet: a probe asks whether it answers, not who it is.
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    headers = {"Host": f"{host}:{number}", "User-Agent": "kube-probe/1.35", "Accept": "*/*", "Connection": "close"}
    headers |= {header["name"]: header["value"] for header in target.get("httpHeaders") or []}
    lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    try:
        reader, writer = await asyncio.open_connection(host, number, ssl=context)
    except OSError as error:
        return f"dial tcp {host}:{number}: {error.strerror or error}"
    try:
        writer.write("\r\n".join(lines).encode())
        await writer.drain()
        answer = (await reader.readline()).decode("latin-1").split(maxsplit=2)
    except OSError as error:
        return f"GET {path}: {error.strerror or error}"
    finally:
        await _close(writer)
    if len(answer) < 2 or not answer[1].isdigit():
        return f"GET {path}: no HTTP answer"
    return "" if 200 <= int(answer[1]) < 400 else f"HTTP probe failed with statuscode: {answer[1]}"


def port(wanted: int | str, container: Object) -> int | None:
    """Return a port's number, which may be told by its name; None for a name that no port has."""
    if isinstance(wanted, int) or wanted.isdigit():
        return int(wanted)
    named = (known["containerPort"] for known in container.get("ports") or [] if known.get("name") == wanted)
    return next(named, None)


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    # The other side may be gone; the answer, if there was one, is read.
    with contextlib.suppress(OSError):
        await writer.wait_closed()
