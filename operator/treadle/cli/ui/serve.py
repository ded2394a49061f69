"""Pages over HTTP, on loopback alone, for the user who started them."""

import base64
import hashlib
import hmac
import logging
import re
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from http.cookies import CookieError, SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from socketserver import BaseServer
from typing import Any, Protocol
from urllib.parse import parse_qs, urlsplit

log = logging.getLogger(__name__)

LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})


@cache
def asset(name: str) -> str:
    """Return a file that pages carry inside."""
    return (files(__package__) / "templates" / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


@cache
def headers() -> dict[str, str]:
    """Return what keeps a page to itself: its own style and script, nothing from elsewhere, no frame around it."""
    policy = {
        "default-src": "'none'",
        "style-src": f"'sha256-{_hash(asset('style.css'))}'",
        "script-src": f"'sha256-{_hash(asset('refresh.js'))}'",
        "img-src": "'self'",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    return {
        "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Cache-Control": "no-store",
    }


@dataclass(frozen=True, slots=True)
class Page:
    """An answer."""

    status: int
    text: str
    kind: str = "text/html; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)


class Pages(Protocol):
    """What is served."""

    def page(self, path: str) -> Page:
        """Return the answer to a path."""
        ...

    def close(self) -> None:
        """Forget what must not outlive the program."""
        ...


@contextmanager
def serving(open_: Callable[[], Pages], port: int) -> Iterator[str]:
    """Answer on 127.0.0.1 until the block ends; give the address that opens the pages.

    open_: makes them, which loads libraries: it happens while a person turns to the browser.
    """
    key, pages, lock = secrets.token_urlsafe(24), cache(open_), threading.Lock()

    def opened() -> Pages:
        with lock:
            return pages()

    server = ThreadingHTTPServer(("127.0.0.1", port), handler(opened, key))
    server.daemon_threads = True
    threads = [
        threading.Thread(target=server.serve_forever, args=(0.1,), name="ui", daemon=True),
        threading.Thread(target=opened, name="ui-opening", daemon=True),
    ]
    for thread in threads:
        thread.start()
    try:
        yield f"http://127.0.0.1:{port_of(server)}/?key={key}"
    finally:
        server.shutdown()
        server.server_close()
        opened().close()


def handler(opened: Callable[[], Pages], key: str) -> type[BaseHTTPRequestHandler]:
    """Return what answers the requests of those who know the key: another user of this machine reaches the port too."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        server_version, sys_version = "treadle", ""
        timeout = 30

        def do_GET(self) -> None:
            self._write(self._found())

        do_HEAD = do_GET  # noqa: N815 - http.server looks for it

        def _found(self) -> Page:
            url = urlsplit(self.path)
            host = self.headers.get("Host", "")
            # A name that somebody's DNS points here must not read what loopback may.
            if re.sub(r":\d+$", "", host) not in LOOPBACK:
                return Page(421, f"Host {host!r} is not this machine; open http://127.0.0.1\n", "text/plain")
            name = f"treadle-{port_of(self.server)}"
            given = parse_qs(url.query).get("key", [""])[0]
            if given and hmac.compare_digest(given.encode(), key.encode()):
                cookie = f"{name}={key}; Path=/; HttpOnly; SameSite=Strict"
                return Page(303, "", headers={"Location": url.path or "/", "Set-Cookie": cookie})
            if not hmac.compare_digest(_cookie(self.headers.get("Cookie", ""), name).encode(), key.encode()):
                told = "open the address that `treadle ui` printed; it holds the key\n"
                return Page(403, told, "text/plain")
            try:
                return opened().page(url.path)
            except Exception:
                log.exception("Failed to make a page", extra={"path": url.path})
                return Page(500, "this page could not be made, which is a bug; the terminal says more\n", "text/plain")

        def _write(self, page: Page) -> None:
            data = page.text.encode()
            self.send_response(page.status)
            for name, value in {**headers(), **page.headers, "Content-Type": page.kind}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            # Who has gone on to another page does not wait for this one.
            with suppress(BrokenPipeError, ConnectionResetError):
                self.wfile.write(data if self.command != "HEAD" else b"")

        def log_message(self, format: str, *args: Any) -> None:
            # The path of the first request holds the key.
            log.debug("Answered", extra={"status": args[1] if len(args) > 1 else ""})

    return Handler


def port_of(server: BaseServer) -> int:
    """Return the port that a server listens on."""
    assert isinstance(server, ThreadingHTTPServer)
    return int(server.server_address[1])


def _cookie(text: str, name: str) -> str:
    try:
        found = SimpleCookie(text).get(name)
    except CookieError:
        return ""
    return found.value if found is not None else ""
