"""An HTTP answer, and a request's bounded body, over ASGI."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any, Self

import orjson

from treadle.serving.schema import Refusal

type Scope = MutableMapping[str, Any]
type Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
type Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

JSON = b"application/json"
BODY_SECONDS = 10.0
PASSED_OVER_BYTES = 16 << 20  # the largest maxBodyBytes


class Gone(Exception):
    """The caller left before its request was whole."""


@dataclass(frozen=True, slots=True)
class Reply:
    """Status, body and headers of an answer; JSON unless a header says otherwise."""

    status: int
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ()

    @classmethod
    def error(cls, status: int, text: str, *headers: tuple[bytes, bytes]) -> Self:
        """Return an error as the protocol has it."""
        return cls(status, orjson.dumps({"error": text}), headers)


async def answer(send: Send, reply: Reply) -> None:
    """Send an answer."""
    typed = any(name == b"content-type" for name, _ in reply.headers)
    headers = [
        *([] if typed else [(b"content-type", JSON)]),
        (b"content-length", str(len(reply.body)).encode()),
        *reply.headers,
    ]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})


def expect_json(headers: list[tuple[bytes, bytes]], max_bytes: int) -> None:
    """Raise Refusal for a body that is not plain JSON, or says that it is too long, before it is read."""
    for name, value in headers:
        if name == b"content-type" and value.split(b";")[0].strip().lower() != JSON:
            raise Refusal(415, "send the header Content-Type: application/json")
        if name == b"content-encoding" and value.strip().lower() not in (b"", b"identity"):
            raise Refusal(415, "send the body without Content-Encoding")
        if name == b"content-length" and value.isdigit() and int(value) > max_bytes:
            # A body of bounded length is passed over, so that its sender reads the answer and not a broken pipe.
            raise too_long(max_bytes, closes=int(value) > PASSED_OVER_BYTES)


async def read_body(receive: Receive, max_bytes: int) -> bytes:
    """Return a request's body; raise Refusal if it is too long or too slow, Gone if the caller left."""
    pieces: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while True:
                message = await receive()
                if message["type"] != "http.request":
                    raise Gone
                pieces.append(message.get("body", b""))
                size += len(pieces[-1])
                if size > max_bytes:
                    raise too_long(max_bytes, closes=True)
                if not message.get("more_body", False):
                    return b"".join(pieces)
    except TimeoutError:
        raise Refusal(408, f"the body was not whole after {BODY_SECONDS:g} s; send it faster", closes=True) from None


def too_long(max_bytes: int, *, closes: bool) -> Refusal:
    """Return the refusal of a body beyond the bound."""
    return Refusal(413, f"the body is over {max_bytes} bytes; send fewer rows a request", closes=closes)
