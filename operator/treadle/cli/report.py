"""GET /progress and /metrics of a running step."""

import json
import logging
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from time import monotonic
from typing import Self

from treadle.api.step import Progress

log = logging.getLogger(__name__)

# Before that much is done, what remains cannot be told from what is done.
ESTIMATED_FROM = 0.05


class ProgressServer:
    """A thread that answers how far a step is; the step tells it by `stage`."""

    def __init__(self, step: str, port: int, clock: Callable[[], float] = monotonic, host: str = "") -> None:
        self._clock = clock
        self._began = clock()
        self._lock = threading.Lock()
        self._step, self._stage, self._fraction = step, "start", 0.0
        self._server = ThreadingHTTPServer((host, port), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="progress", daemon=True)

    @property
    def port(self) -> int:
        """Return the port that it listens on; of use where 0 was asked for."""
        return int(self._server.server_address[1])

    def stage(self, name: str, fraction: float) -> None:
        """Say that a stage begins, with the fraction of the whole step that is done, 0 to 1."""
        with self._lock:
            # A second look at an earlier stage is no step back.
            self._stage, self._fraction = name, max(self._fraction, min(1.0, fraction))
        log.info("Began stage", extra={"step": self._step, "stage": name, "fraction": fraction})

    def progress(self) -> Progress:
        """Return how far the step is."""
        with self._lock:
            stage, fraction = self._stage, self._fraction
        elapsed = self._clock() - self._began
        remaining = round(elapsed * (1 - fraction) / fraction) if fraction >= ESTIMATED_FROM else None
        return Progress(
            step=self._step,
            stage=stage,
            percentage=int(fraction * 100),
            estimated_remaining_seconds=remaining,
        )

    def metrics(self) -> str:
        """Return the same in Prometheus' text format."""
        now = self.progress()
        seconds = self._clock() - self._began
        return (
            "# HELP treadle_step_progress_ratio Fraction of the step that is done.\n"
            "# TYPE treadle_step_progress_ratio gauge\n"
            f'treadle_step_progress_ratio{{step="{now.step}",stage="{now.stage}"}} {now.percentage / 100}\n'
            "# HELP treadle_step_elapsed_seconds Seconds since the step began.\n"
            "# TYPE treadle_step_elapsed_seconds gauge\n"
            f'treadle_step_elapsed_seconds{{step="{now.step}"}} {seconds:.3f}\n'
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _handler(server: ProgressServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 5

        def do_GET(self) -> None:
            if self.path == "/progress":
                self._answer(200, "application/json", json.dumps(server.progress().dump()))
            elif self.path == "/metrics":
                self._answer(200, "text/plain; version=0.0.4", server.metrics())
            else:
                self._answer(404, "text/plain", "GET /progress or /metrics\n")

        def _answer(self, status: int, kind: str, text: str) -> None:
            data = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:
            log.debug("Answered", extra={"request": format % args})

    return Handler
