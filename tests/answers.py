"""An HTTP server that gives scripted answers, on TCP or a Unix socket, and remembers what it was asked."""

import contextlib
import json
import socketserver
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import yaml

type Body = bytes | str | Mapping[str, Any] | Iterator[bytes]
type Reply = tuple[int, Body] | tuple[int, Body, Mapping[str, str]]
type Answer = Reply | Callable[["Asked"], Reply]


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it came."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Answers:
    """What is answered to which method and path; a path that is not there is not served."""

    routes: dict[str, Answer] = field(default_factory=dict)
    """By "GET /path"; without a method, any."""
    asked: list[Asked] = field(default_factory=list)

    def answer(self, asked: Asked) -> Reply:
        """Return the answer to a request."""
        self.asked.append(asked)
        found = self.routes.get(f"{asked.method} {asked.path}", self.routes.get(asked.path))
        if found is None:
            return 404, "404 page not found\n"
        return found(asked) if callable(found) else found


def listed(kind: str, *items: Mapping[str, Any], version: str = "7", following: str = "") -> Reply:
    """Return a list as the API server answers it: its items carry no kind."""
    bare = [{key: value for key, value in item.items() if key not in ("kind", "apiVersion")} for item in items]
    metadata = {"resourceVersion": version, **({"continue": following} if following else {})}
    return 200, {"kind": f"{kind}List", "apiVersion": "v1", "metadata": metadata, "items": bare}


def status(code: int, reason: str, message: str) -> Reply:
    """Return a refusal as the API server answers it."""
    return code, {"kind": "Status", "apiVersion": "v1", "code": code, "reason": reason, "message": message}


def events(*happened: tuple[str, Mapping[str, Any]], pause: float = 0.0) -> Callable[[Asked], Reply]:
    """Return a watch that tells so much and ends after a pause."""

    def told() -> Iterator[bytes]:
        for type_, thing in happened:
            yield json.dumps({"type": type_, "object": thing}).encode() + b"\n"
        time.sleep(pause)

    return lambda _: (200, told())


class Handler(BaseHTTPRequestHandler):
    """Answers one connection's requests."""

    protocol_version = "HTTP/1.1"
    answers: Answers

    def handle_any(self) -> None:
        """Answer a request by the script."""
        url = urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        headers = {key.lower(): value for key, value in self.headers.items()}
        asked = Asked(self.command, url.path, dict(parse_qsl(url.query)), headers, self.rfile.read(length))
        code, body, *more = self.answers.answer(asked)
        given = dict(more[0]) if more else {}
        self.send_response(code)
        self.close_connection = True
        data = json.dumps(body).encode() if isinstance(body, Mapping) else body
        data = data.encode() if isinstance(data, str) else data
        kind = "application/json" if isinstance(body, Mapping) else "text/plain"
        for key, value in ({"Content-Type": kind, "Connection": "close"} | given).items():
            self.send_header(key, value)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            if isinstance(data, bytes):
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)
            else:
                self.end_headers()
                for piece in data:
                    self.wfile.write(piece)

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = handle_any  # noqa: N815

    def address_string(self) -> str:
        """Return nothing: a Unix socket has no address."""
        return ""

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def served(answers: Answers, socket: Path | None = None, address: tuple[str, int] = ("127.0.0.1", 0)) -> Iterator[str]:
    """Serve on a port of loopback, a free one unless it is named, or on a Unix socket; yield the URL or the path."""
    handler = type("Scripted", (Handler,), {"answers": answers})
    kind = socketserver.ThreadingUnixStreamServer if socket else socketserver.ThreadingTCPServer
    threads = {"daemon_threads": True, "block_on_close": False, "allow_reuse_address": True}
    server = type("Server", (kind,), threads)(str(socket) if socket else address, handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield str(socket) if socket else f"http://{address[0]}:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def kubeconfig(path: Path, server: str, *, namespace: str = "demo", name: str = "local") -> Path:
    """Write a kubeconfig of one context."""
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "contexts": [{"name": name, "context": {"cluster": name, "user": name, "namespace": namespace}}],
        "clusters": [{"name": name, "cluster": {"server": server}}],
        "users": [{"name": name, "user": {"token": "t"}}],
    }
    path.write_text(yaml.safe_dump(document))
    return path
