"""Serve one ModelDeployment: the composition of a pod, which drains on SIGTERM."""

import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from pydantic import ValidationError

from treadle.api.plan import ENV_SERVE, PREDICT_PORT, STATE_PORT, ServerSpec
from treadle.api.step import DEFAULT_MOUNTS, ENV_MOUNTS
from treadle.serving.app import Predict
from treadle.serving.follow import Follower, Place
from treadle.serving.health import Health
from treadle.serving.log import RequestLog
from treadle.serving.metrics import Counts
from treadle.serving.upload import PartUploader

EXIT_MISCONFIGURED = 2
IN_FLIGHT_SECONDS = 45
FLUSH_SECONDS = 20.0

PLAIN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message"}
"""What every log record has; all else is a fact of its event. uvicorn repeats its message in colour."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Settings:
    """What a pod is told by its environment."""

    spec: ServerSpec
    pod_name: str
    pod_uid: str
    mounts: Path
    host: str
    predict_port: int
    state_port: int
    drain_seconds: float
    """How long a pod that was told to end still answers, while endpoints forget it."""


class Listener(uvicorn.Server):
    """A uvicorn server whose signals are the program's to handle, since two run beside each other."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone."""
        yield


class Facts(logging.Formatter):
    """A line of JSON an event: its message, and the facts that came with it."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of one event."""
        facts = {name: value for name, value in vars(record).items() if name not in PLAIN}
        event = {
            "time": self.formatTime(record),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **facts,
            **({"exception": self.formatException(record.exc_info)} if record.exc_info else {}),
        }
        return json.dumps(event, default=str, ensure_ascii=False)


def settings(environment: Mapping[str, str]) -> Settings:
    """Return the settings; raise ValueError for what is missing or wrong."""
    if ENV_SERVE not in environment:
        raise ValueError(f"{ENV_SERVE} is not set; the operator sets it to a ServerSpec")
    return Settings(
        spec=ServerSpec.model_validate_json(environment[ENV_SERVE]),
        pod_name=environment.get("POD_NAME", "pod"),
        pod_uid=environment.get("POD_UID", "00000000-0000-0000-0000-000000000000"),
        mounts=Path(environment.get(ENV_MOUNTS, DEFAULT_MOUNTS)),
        host=environment.get("TREADLE_HOST", "0.0.0.0"),
        predict_port=int(environment.get("TREADLE_PREDICT_PORT", PREDICT_PORT)),
        state_port=int(environment.get("TREADLE_STATE_PORT", STATE_PORT)),
        drain_seconds=float(environment.get("TREADLE_DRAIN_SECONDS", "10")),
    )


async def serve(chosen: Settings, work: Path, stop: asyncio.Event) -> None:
    """Serve until `stop` is set, then drain: readiness off, requests in flight finished, the log stored."""
    spec = chosen.spec
    follower = Follower(Place(spec, chosen.mounts, work))
    request_log = RequestLog(PartUploader(spec, chosen.mounts / "secrets" / spec.store.secret, chosen.pod_uid))
    health = Health(follower, Counts(), request_log)
    predict = listener(Predict(health, spec.model_name), chosen.host, chosen.predict_port)
    state = listener(health, chosen.host, chosen.state_port)
    follow = asyncio.create_task(follower.run())
    predicting, stating = (asyncio.create_task(server.serve()) for server in (predict, state))
    stopped = asyncio.create_task(stop.wait())
    try:
        # Any of them ending by itself is a fault: the others are ended too, and its error leaves by `result`.
        done, _ = await asyncio.wait((stopped, follow, predicting, stating), return_when=asyncio.FIRST_COMPLETED)
        if stopped in done:
            health.is_draining = True
            log.info("Began to drain", extra={"seconds": chosen.drain_seconds})
            await asyncio.sleep(chosen.drain_seconds)
        else:
            for task in done:
                task.result()
            raise RuntimeError(f"a part of the server ended by itself; port {chosen.predict_port} may be taken")
    finally:
        predict.should_exit = True
        await asyncio.gather(predicting, return_exceptions=True)
        await asyncio.to_thread(request_log.finish, FLUSH_SECONDS)
        state.should_exit = True
        follow.cancel()
        stopped.cancel()
        await asyncio.gather(stating, follow, stopped, return_exceptions=True)


def listener(app: Predict | Health, host: str, port: int) -> Listener:
    """Return a server of one application."""
    return Listener(
        uvicorn.Config(
            app,
            host=host,
            port=port,
            http="httptools",
            ws="none",
            lifespan="off",
            interface="asgi3",
            access_log=False,
            log_config=None,
            server_header=False,
            timeout_graceful_shutdown=IN_FLIGHT_SECONDS,
        )
    )


async def until_told(chosen: Settings, work: Path) -> None:
    """Serve until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for told in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(told, stop.set)
    await serve(chosen, work, stop)


def main() -> int:
    """Serve what TREADLE_SERVE names; return the exit code."""
    import uvloop

    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Facts())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    try:
        chosen = settings(os.environ)
    except (ValidationError, ValueError) as error:
        log.error("Refused the settings", extra={"error": " ".join(str(error).split())[:300]})
        return EXIT_MISCONFIGURED
    log.info("Began to serve", extra={"pod": chosen.pod_name, "model": chosen.spec.model_name})
    with tempfile.TemporaryDirectory(prefix="treadle-") as work:
        uvloop.run(until_told(chosen, Path(work)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
