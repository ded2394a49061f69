"""Probes: what counts as an answer, and what a row of answers means."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

import virtual
from treadle.local.kubelet.probes import Streak, ask, port, verdict, watch

type Object = dict[str, Any]

YES, NO = True, False

# (the probe, its answers, the verdict after each of them)
VERDICTS: dict[str, tuple[Object, list[bool], list[bool | None]]] = {
    "one success is enough": ({}, [YES], [True]),
    "three failures are needed": ({}, [NO, NO, NO, NO], [None, None, False, False]),
    "a success between begins anew": ({}, [NO, NO, YES, NO, NO, NO], [None, None, True, None, None, False]),
    "more successes, if asked for": ({"successThreshold": 2}, [YES, NO, YES, YES], [None, None, None, True]),
    "one failure, if asked for": ({"failureThreshold": 1}, [NO], [False]),
}


@pytest.mark.parametrize(("probe", "answers", "wanted"), VERDICTS.values(), ids=VERDICTS.keys())
def test_verdicts(probe: Object, answers: list[bool], wanted: list[bool | None]) -> None:
    streak, found = Streak(), []
    for answer in answers:
        streak = streak.after(succeeded=answer)
        found.append(verdict(probe, streak))
    assert found == wanted


def test_a_probe_is_asked_in_its_rhythm() -> None:
    async def scene() -> list[float]:
        clock = asyncio.get_running_loop().time
        began, times = clock(), []

        async def asked() -> str:
            times.append(clock() - began)
            return "" if len(times) < 4 else "no"

        probe = {"initialDelaySeconds": 5, "periodSeconds": 2, "failureThreshold": 2}
        assert await watch(probe, asked, lambda holds: not holds) is False
        return times

    assert virtual.run(scene()) == [5.0, 7.0, 9.0, 11.0, 13.0]


def test_a_probe_has_kubelets_rhythm_by_default() -> None:
    async def scene() -> float:
        clock = asyncio.get_running_loop().time
        began = clock()

        async def asked() -> str:
            return "no"

        await watch({}, asked, lambda _: True)
        return clock() - began

    assert virtual.run(scene()) == 20.0


type Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any]


@asynccontextmanager
async def listening(answer: bytes | None) -> AsyncIterator[int]:
    """Yield a port that gives this answer; for None it never answers."""
    ended = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if answer is None:
            await ended.wait()
        else:
            await reader.readline()
            writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    ended.set()
    server.close()
    await server.wait_closed()


async def never(command: list[str], seconds: float) -> str:
    """Run no command."""
    raise AssertionError(command)


# (what is answered, what is said to be wrong)
ANSWERS: dict[str, tuple[bytes | None, str]] = {
    "a good one": (b"HTTP/1.1 200 OK\r\n\r\n", ""),
    "a redirect": (b"HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n", ""),
    "none found": (b"HTTP/1.1 404 Not Found\r\n\r\n", "HTTP probe failed with statuscode: 404"),
    "not ready": (b"HTTP/1.1 503 Service Unavailable\r\n\r\n", "HTTP probe failed with statuscode: 503"),
    "something else": (b"hello\r\n", "GET /readyz: no HTTP answer"),
    "nothing": (b"", "GET /readyz: no HTTP answer"),
    "none in time": (None, "no answer within 0.2 s"),
}


@pytest.mark.parametrize(("answer", "wrong"), ANSWERS.values(), ids=ANSWERS.keys())
async def test_http(answer: bytes | None, wrong: str) -> None:
    async with listening(answer) as number:
        probe = {"httpGet": {"path": "/readyz", "port": number}, "timeoutSeconds": 0.2 if answer is None else 5}
        assert await ask(probe, {}, "127.0.0.1", never) == wrong


async def test_tcp() -> None:
    async with listening(b"") as number:
        probe = {"tcpSocket": {"port": number}, "timeoutSeconds": 5}
        assert await ask(probe, {}, "127.0.0.1", never) == ""
    wrong = await ask(probe, {}, "127.0.0.1", never)
    assert wrong.startswith(f"dial tcp 127.0.0.1:{number}: ")


async def test_a_port_nobody_listens_on_is_no_http_answer() -> None:
    async with listening(b"") as number:
        pass
    wrong = await ask({"httpGet": {"port": number}}, {}, "127.0.0.1", never)
    assert wrong.startswith(f"dial tcp 127.0.0.1:{number}: ")


async def test_a_command() -> None:
    async def run(command: list[str], seconds: float) -> str:
        return f"{' '.join(command)} took more than {seconds:g} s"

    found = await ask({"exec": {"command": ["test", "-e", "x"]}, "timeoutSeconds": 3}, {}, "127.0.0.1", run)
    assert found == "test -e x took more than 3 s"


async def test_another_type_says_what_to_use() -> None:
    assert "use httpGet, tcpSocket or exec" in await ask({"grpc": {"port": 1}}, {}, "127.0.0.1", never)


async def test_a_port_that_is_not_there_is_said() -> None:
    found = await ask({"tcpSocket": {"port": "state"}}, {"ports": [{"containerPort": 1}]}, "127.0.0.1", never)
    assert found == "couldn't find port: state"


PORTS = {"a number": (8081, 8081), "digits": ("8081", 8081), "a name": ("state", 9000)}


@pytest.mark.parametrize(("wanted", "number"), PORTS.values(), ids=PORTS.keys())
def test_ports(wanted: int | str, number: int) -> None:
    assert port(wanted, {"ports": [{"containerPort": 9000, "name": "state"}]}) == number
