"""The pages over HTTP, on loopback alone, for the user who started them."""

import base64
import hashlib
import hmac
import logging
import re
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.cookies import CookieError, SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import BaseServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from treadle.api.names import LABEL_ROLE
from treadle.cli.cluster import Answer, Cluster, Object, core
from treadle.cli.estate import Estate, Model, is_true, name_of, read, status_of
from treadle.cli.ui import render
from treadle.cli.ui.bucket import Bucket
from treadle.cli.ui.orders import Where
from treadle.cli.ui.render import Frame
from treadle.cli.ui.story import Extras
from treadle.cli.ui.traffic import Look, parse
from treadle.cli.ui.versions import called, of_digest, versions

log = logging.getLogger(__name__)

UNWANTED = ("events", "jobs", "services", "workloads")
"""Parts of an Estate that no page shows."""
FRESH_SECONDS = 1.0
"""Several pages asked for at once are of one reading."""
METRICS_PORT = 8081
METRICS_WITHIN_SECONDS = 1.0
PODS_ASKED = 16
LOOKS_KEPT_SECONDS = 60.0
LOOKS_APART_SECONDS = 4.0
LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def headers() -> dict[str, str]:
    """Return what keeps a page to itself: its own style and script, nothing from elsewhere, no frame around it."""
    policy = {
        "default-src": "'none'",
        "style-src": f"'sha256-{_hash(render.asset('style.css'))}'",
        "script-src": f"'sha256-{_hash(render.asset('refresh.js'))}'",
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


class Site:
    """What was read of a namespace, and the pages made of it."""

    def __init__(self, cluster: Cluster, context: str = "", clock: Callable[[], datetime] | None = None) -> None:
        """Read with `cluster`'s rights; context: the one that lines for a shell must name, if any."""
        self._cluster, self._where = cluster, Where(cluster.namespace, context)
        self._clock = clock or (lambda: datetime.now(UTC))
        self._bucket, self._lock = Bucket(cluster), threading.Lock()
        self._read: tuple[float, Estate] | None = None
        self._looks: dict[str, deque[Look]] = {}

    def check(self) -> None:
        """Read what pages are made of; raise Answer where that cannot be."""
        self._estate()

    def close(self) -> None:
        """Forget what must not outlive the program."""
        self._bucket.close()

    def page(self, path: str) -> Page:
        """Return the page of a path; whatever keeps it from being read is a page too."""
        frame = Frame(self._where, self._cluster.way.server, self._clock())
        if path == "/icon.svg":
            return Page(200, render.asset("icon.svg"), "image/svg+xml")
        try:
            return self._routed(path, frame)
        except Answer as answer:
            status = answer.status if answer.status in (401, 403) else 502
            return Page(status, render.trouble(frame, "The cluster did not answer", str(answer)))

    def _routed(self, path: str, frame: Frame) -> Page:
        for pattern, view in VIEWS:
            if (found := re.fullmatch(pattern, path)) is not None:
                text = view(self, frame, *(unquote(part) for part in found.groups()))
                if text is not None:
                    return Page(200, text)
        return self._nothing(path, frame)

    def _nothing(self, path: str, frame: Frame) -> Page:
        links = [(model.name, f"/models/{model.name}") for model in render.named(self._estate())]
        told = f"{unquote(path)} names no page of namespace {frame.where.namespace}"
        return Page(404, render.trouble(frame, "No such page", told, links))

    def _index(self, frame: Frame) -> str:
        return render.index(self._estate(), frame)

    def _model(self, frame: Frame, name: str) -> str | None:
        estate = self._estate()
        model = self._named(estate, name)
        if model is None:
            return None
        found = versions(model)
        served = status_of(model.deployment or {}).get("champion") or {}
        champion = of_digest(found, served.get("digest"))
        cards, no_card = self._card(champion.run, champion.card) if champion is not None else ({}, "")
        look, earlier = self._look(estate, model) if model.deployment is not None else (None, None)
        windows = self._bucket.windows(model.monitors)
        return render.page(estate, model, Extras(look, earlier, windows, cards, no_card), frame)

    def _versions(self, frame: Frame, name: str) -> str | None:
        estate = self._estate()
        model = self._named(estate, name)
        return render.listing(estate, model, frame) if model is not None else None

    def _version(self, frame: Frame, name: str, wanted: str) -> str | None:
        estate = self._estate()
        model = self._named(estate, name)
        found = called(versions(model), wanted) if model is not None else None
        if model is None or found is None:
            return None
        cards, no_card = self._card(found.run, found.card)
        return render.version(estate, model, found, Extras(cards=cards, no_card=no_card), frame)

    def _reason(self, frame: Frame, name: str) -> str | None:
        return render.reason(frame, name)

    def _card(self, run: Object, digest: str) -> tuple[dict[str, str], str]:
        if not digest:
            return {}, ""
        text, why = self._bucket.card(run, digest)
        return ({digest: text} if text is not None else {}), why

    @staticmethod
    def _named(estate: Estate, name: str) -> Model | None:
        return next((model for model in render.named(estate) if model.name == name), None)

    def _estate(self) -> Estate:
        with self._lock:
            if self._read is None or time.monotonic() > self._read[0] + FRESH_SECONDS:
                self._read = (time.monotonic(), read(self._cluster, self._cluster.namespace, without=UNWANTED))
            return self._read[1]

    def _look(self, estate: Estate, model: Model) -> tuple[Look, Look | None]:
        """Return what the serving pods count, and the oldest look of the last minute to compare it with."""
        assert model.deployment is not None
        pods = [pod for pod in estate.pods_of(model.deployment) if _serves(pod)]
        look = scrape(self._cluster, pods, self._clock(), _unlisted(estate))
        with self._lock:
            kept = self._looks.setdefault(model.name, deque())
            while kept and (look.at - kept[0].at).total_seconds() > LOOKS_KEPT_SECONDS:
                kept.popleft()
            earlier = kept[0] if kept and (look.at - kept[0].at).total_seconds() >= LOOKS_APART_SECONDS else None
            if look.pods and (not kept or (look.at - kept[-1].at).total_seconds() >= LOOKS_APART_SECONDS):
                kept.append(look)
        return look, earlier


type View = Callable[..., str | None]
NAME = "([^/]+)"
VIEWS: tuple[tuple[str, View], ...] = (
    ("/", Site._index),
    (f"/models/{NAME}", Site._model),
    (f"/models/{NAME}/versions", Site._versions),
    (f"/models/{NAME}/(?:versions|runs)/{NAME}", Site._version),
    (f"/reasons/{NAME}", Site._reason),
)


def scrape(cluster: Cluster, pods: list[Object], at: datetime, refused: str = "") -> Look:
    """Ask serving pods for their /metrics, through the API server; those that do not answer have told nothing."""
    if not pods:
        return Look(at, refused=refused or "there is no serving pod that is ready")
    asked = pods[:PODS_ASKED]
    with ThreadPoolExecutor(len(asked)) as pool:
        answers = list(pool.map(lambda pod: _metrics(cluster, pod), asked))
    told = {
        str(pod["metadata"]["uid"]): parse(answer[1])
        for pod, answer in zip(asked, answers, strict=True)
        if answer[0] == 200
    }
    lacks_right = not told and any(status == 403 for status, _ in answers)
    why = f"no right to get pods/proxy in {cluster.namespace}, by which pods tell what they count"
    return Look(at, told, len(pods), why if lacks_right else "")


def _metrics(cluster: Cluster, pod: Object) -> tuple[int, str]:
    path = f"{core('pods', pod['metadata']['namespace'], name_of(pod))}:{METRICS_PORT}/proxy/metrics"
    try:
        status, _, body = cluster.send("GET", path, seconds=METRICS_WITHIN_SECONDS)
    except Answer:
        return 0, ""
    return status, body.decode(errors="replace")


def _serves(pod: Object) -> bool:
    is_server = (pod["metadata"].get("labels") or {}).get(LABEL_ROLE) == "server"
    return is_server and is_true(pod, "Ready")


def _unlisted(estate: Estate) -> str:
    return next((text for text in estate.unread if " pods " in f"{text} "), "")


# HTTP.


@contextmanager
def serving(site: Site, port: int) -> Iterator[str]:
    """Answer on 127.0.0.1 until the block ends; give the address that opens the pages."""
    key = secrets.token_urlsafe(24)
    server = ThreadingHTTPServer(("127.0.0.1", port), handler(site, key))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.1,), name="ui", daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{port_of(server)}/?key={key}"
    finally:
        server.shutdown()
        server.server_close()
        site.close()


def handler(site: Site, key: str) -> type[BaseHTTPRequestHandler]:
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
                return site.page(url.path)
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
            if self.command != "HEAD":
                self.wfile.write(data)

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
