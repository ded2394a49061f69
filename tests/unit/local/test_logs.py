"""Which part of a log is read, and that one who follows misses nothing."""

import asyncio
import io
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from treadle.local.server.logs import CHUNK_BYTES, LogQuery, read, start

LINES = b"one\ntwo\nthree\n"
LONG = b"x" * CHUNK_BYTES
LAST: dict[str, tuple[bytes, int | None, bytes]] = {
    "all": (LINES, None, LINES),
    "none": (LINES, 0, b""),
    "one": (LINES, 1, b"three\n"),
    "two": (LINES, 2, b"two\nthree\n"),
    "as many as there are": (LINES, 3, LINES),
    "more than there are": (LINES, 9, LINES),
    "a last line that is not ended": (b"one\ntwo", 1, b"two"),
    "empty lines": (b"one\n\n\n", 2, b"\n\n"),
    "of an empty file": (b"", 2, b""),
    "longer than a piece": (b"one\n" + LONG + b"\ntwo\n", 2, LONG + b"\ntwo\n"),
    "one line that is longer than a piece": (LONG * 2, 1, LONG * 2),
}


@pytest.mark.parametrize(("text", "lines", "found"), LAST.values(), ids=LAST.keys())
def test_start(text: bytes, lines: int | None, found: bytes) -> None:
    assert text[start(io.BytesIO(text), lines) :] == found


async def gathered(pieces: AsyncIterator[bytes]) -> bytes:
    return b"".join([piece async for piece in pieces])


async def test_one_who_follows_misses_nothing_when_a_log_begins_anew(tmp_path: Path) -> None:
    log = tmp_path / "c.log"
    log.write_bytes(b"one\n")
    running = True
    reading = asyncio.create_task(gathered(read(log, LogQuery(None, None, True, False), lambda: running)))
    await asyncio.sleep(0)
    with log.open("ab") as old:
        old.write(b"two\n")
        log.rename(tmp_path / "c.log.1")
        log.write_bytes(b"three\n")
        old.write(b"")
    await asyncio.sleep(0.5)
    running = False
    assert await asyncio.wait_for(reading, 10) == b"one\ntwo\nthree\n"


async def test_a_limit_ends_one_who_follows(tmp_path: Path) -> None:
    log = tmp_path / "c.log"
    log.write_bytes(LINES)
    assert await gathered(read(log, LogQuery(None, 5, True, False), lambda: True)) == b"one\nt"
