"""A real VersityGW on a loopback port, with its objects in a directory."""

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tiers import missing
from treadle.store.client import Address
from treadle.store.retry import Retry

READY_SECONDS = 15
QUICK = Retry(tries=4, limit_seconds=10, base_seconds=0.02)


@dataclass(frozen=True, slots=True)
class Gateway:
    """Where it listens, its keys, and the directory in which its buckets lie."""

    endpoint: str
    access_key: str
    secret_key: str
    directory: Path
    pid: int


def binary() -> Path:
    """Return the gateway that hack/cluster/build.sh made."""
    cache = Path(os.environ.get("TREADLE_CACHE", Path.home() / ".cache" / "treadle"))
    path = cache / "bin" / "versitygw"
    if not path.exists():
        missing(f"{path} (hack/cluster/build.sh versitygw)")
    return path


@contextmanager
def gateway(directory: Path, *, certificate: Path | None = None, key: Path | None = None) -> Iterator[Gateway]:
    """Run VersityGW until the block ends; with a certificate it speaks TLS.

    Its metadata lies in files beside the objects, so that any file system will do.
    """
    program = binary()
    data, sidecar, log = directory / "data", directory / "sidecar", directory / "versitygw.log"
    data.mkdir(parents=True)
    sidecar.mkdir()
    port = free_port()
    tls = ["--cert", str(certificate), "--key", str(key)] if certificate and key else []
    access, secret = "treadle-test", "treadle-test-secret"
    environment = {"ROOT_ACCESS_KEY_ID": access, "ROOT_SECRET_ACCESS_KEY": secret, "PATH": os.environ["PATH"]}
    command = [program, "--port", f"127.0.0.1:{port}", "--quiet", *tls, "posix", "--sidecar", str(sidecar), str(data)]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=environment)
    try:
        wait_ready(process, port, log)
        yield Gateway(f"{'https' if tls else 'http'}://127.0.0.1:{port}", access, secret, data, process.pid)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def address(running: Gateway, bucket: str = "sales", **changed: str) -> Address:
    """Return what a Secret says of a bucket of the gateway."""
    values = {"access_key": running.access_key, "secret_key": running.secret_key, **changed}
    return Address(bucket, running.endpoint, secret="treadle-store", **values)


def wait_ready(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Return when the port answers; raise with the log if the process ends or takes too long."""
    end = time.monotonic() + READY_SECONDS
    while time.monotonic() < end:
        if process.poll() is not None:
            break
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.02)
            continue
        return
    raise RuntimeError(f"VersityGW did not start: {log.read_text()}")


def free_port() -> int:
    """Return a loopback port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
