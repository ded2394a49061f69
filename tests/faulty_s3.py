"""A small S3 on loopback that breaks one promise, or answers each request with one error."""

import base64
import hashlib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape


@dataclass
class Faults:
    """What the server does wrong; the default keeps every promise but that of uploads in parts."""

    status: int = 0
    code: str = ""
    only: str = ""
    """The method that is answered so; empty: all."""
    times: int = 1_000_000
    skips: int = 0
    """How many requests are answered rightly before the first fault."""
    headers: dict[str, str] = field(default_factory=dict)
    body: str = ""
    ignores_create_once: bool = False
    ignores_tags: bool = False
    echoes_checksum: bool = True
    forgets_to_list: bool = False
    ignores_range: bool = False
    stores_before_error: bool = False
    objects: dict[str, tuple[bytes, str]] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    lock: Any = field(default_factory=Lock)
    writes: int = 0
    uploads: dict[str, list[bytes]] = field(default_factory=dict)


class Handler(BaseHTTPRequestHandler):
    """One request, answered from the server's faults and objects."""

    protocol_version = "HTTP/1.1"
    server: Any

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response_only(status)
        given = {name.replace("_", "-"): value for name, value in headers.items()} | (
            self.server.faults.headers if status >= 300 else {}
        )
        if "date" not in {name.lower() for name in given}:
            given["Date"] = self.date_time_string()
        for name, value in {**given, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def error(self, status: int, code: str, extra: str = "") -> None:
        self.answer(status, f"<Error><Code>{code}</Code><Message>m</Message>{extra}</Error>".encode())

    def faulty(self, stored: bytes | None = None) -> bool:
        faults = self.server.faults
        with faults.lock:
            faults.requests.append(self.command)
            if not faults.status or faults.only not in ("", self.command) or faults.times <= 0:
                return False
            if faults.skips > 0:
                faults.skips -= 1
                return False
            faults.times -= 1
        if stored is not None:
            self.store(stored)
        self.error(faults.status, faults.code, faults.body)
        return True

    @property
    def key(self) -> str:
        return unquote(urlsplit(self.path).path).removeprefix("/sales/")

    @property
    def query(self) -> dict[str, list[str]]:
        return parse_qs(urlsplit(self.path).query, keep_blank_values=True)

    def do_PUT(self) -> None:
        data = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        faults = self.server.faults
        is_part = "uploadId" in self.query
        if self.faulty(data if faults.stores_before_error and not is_part else None):
            return
        if is_part:
            faults.uploads[self.query["uploadId"][0]].append(data)
            self.answer(200, ETag='"part"')
            return
        self.store(data, reply=True)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.faulty():
            return
        faults = self.server.faults
        if "uploads" in self.query:
            upload = f"u{len(faults.uploads)}"
            faults.uploads[upload] = []
            text = f"<InitiateMultipartUploadResult><UploadId>{upload}</UploadId></InitiateMultipartUploadResult>"
            self.answer(200, text.encode())
            return
        self.store(b"".join(faults.uploads[self.query["uploadId"][0]]), reply=True, parts=True)

    def store(self, data: bytes, *, reply: bool = False, parts: bool = False) -> None:
        faults = self.server.faults
        with faults.lock:
            held = faults.objects.get(self.key)
            create, tag = self.headers.get("If-None-Match"), self.headers.get("If-Match")
            refused = (create and held and not faults.ignores_create_once) or (
                tag and not faults.ignores_tags and (held is None or held[1] != tag)
            )
            if not refused:
                faults.writes += 1
                faults.objects[self.key] = (data, f'"{faults.writes}"')
        if reply and refused:
            self.error(412, "PreconditionFailed")
        elif reply:
            body = b"<CompleteMultipartUploadResult><ETag>x</ETag></CompleteMultipartUploadResult>" if parts else b""
            self.answer(200, body, ETag=faults.objects[self.key][1])

    def do_GET(self) -> None:
        if self.faulty():
            return
        faults = self.server.faults
        if "list-type" in self.query:
            prefix = self.query.get("prefix", [""])[0]
            shown = [] if faults.forgets_to_list else sorted(key for key in faults.objects if key.startswith(prefix))
            items = "".join(
                f"<Contents><Key>{escape(key)}</Key><Size>{len(faults.objects[key][0])}</Size>"
                "<LastModified>2013-07-01T00:00:00Z</LastModified></Contents>"
                for key in shown
            )
            self.answer(200, f"<ListBucketResult><IsTruncated>false</IsTruncated>{items}</ListBucketResult>".encode())
            return
        self.show()

    def do_HEAD(self) -> None:
        if not self.faulty():
            self.show()

    def show(self) -> None:
        faults = self.server.faults
        if self.key not in faults.objects:
            self.error(404, "NoSuchKey")
            return
        data, tag = faults.objects[self.key]
        given = {"ETag": tag, "Last_Modified": self.date_time_string()}
        if faults.echoes_checksum and self.command == "HEAD":
            given["x_amz_checksum_sha256"] = base64.b64encode(hashlib.sha256(data).digest()).decode()
        span = self.headers.get("Range")
        if span and not faults.ignores_range:
            first, _, last = span.removeprefix("bytes=").partition("-")
            stop = min(len(data), int(last or len(data)) + 1)
            given["Content_Range"] = f"bytes {first}-{stop - 1}/{len(data)}"
            self.answer(206, data[int(first) : stop], **given)
            return
        self.answer(200, data, **given)

    def do_DELETE(self) -> None:
        if not self.faulty():
            if "uploadId" in self.query:
                self.server.faults.uploads[self.query["uploadId"][0]].clear()
            else:
                self.server.faults.objects.pop(self.key, None)
            self.answer(204)


@contextmanager
def serve(faults: Faults, certificate: Path | None = None, key: Path | None = None) -> Iterator[str]:
    """Run the server until the block ends; yield its endpoint."""
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.faults, server.daemon_threads = faults, True
    server.handle_error = lambda *_: None  # a client that refuses our certificate hangs up: that is the test
    if certificate and key:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"{'https' if certificate else 'http'}://localhost:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
