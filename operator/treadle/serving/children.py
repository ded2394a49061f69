"""Programs that run beside the server, so that their libraries and faults leave with them: how they are asked."""

import asyncio
import os
import sys
from typing import Literal

from pydantic import ValidationError

from treadle.api.base import Digest, Record
from treadle.api.modeldeployment import VerificationPolicy
from treadle.api.reasons import Reason

FETCH_TIMEOUT_SECONDS = 300.0
OUTPUT_LIMIT_BYTES = 1 << 16
FINAL = frozenset({Reason.ARTIFACT_MISSING, Reason.CHECKSUM_MISMATCH, Reason.SIGNATURE_INVALID})
"""Reasons of the store that are the model's; all others are the store's, and are tried again."""


class Order(Record):
    """Which model to fetch, from where, to where, and what must hold."""

    digest: Digest
    policy: VerificationPolicy
    secret_directory: str
    secret: str
    prefix: str
    namespace: str
    public_keys: str
    """Path of public.pem."""
    signing_secret: str
    target: str


class Fetched(Record):
    """How a fetch ended: Ready with the files, Refused for the model's fault, Away for the store's."""

    outcome: Literal["Ready", "Refused", "Away"]
    reason: Reason | None = None
    """Ready: NotEnforced where policy Warn let a signature pass."""
    message: str = ""
    format: Literal["onnx", "skops"] = "onnx"
    primary: str = ""
    sha256: dict[str, str] = {}


class ChildDied(Exception):
    """A child that ended, or had to be ended, without an answer."""


async def ask_child(module: str, order: Record, timeout_seconds: float, env: dict[str, str]) -> bytes:
    """Return what a child prints when told `order` on its standard input; raise ChildDied if it tells nothing."""
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",
        "-m",
        module,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=env,
    )
    try:
        async with asyncio.timeout(timeout_seconds):
            output, _ = await child.communicate(order.model_dump_json(by_alias=True).encode())
    except TimeoutError:
        raise ChildDied(f"gave no answer within {timeout_seconds:g} s") from None
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    if child.returncode != 0 or not output or len(output) > OUTPUT_LIMIT_BYTES:
        code = child.returncode or 0
        raise ChildDied(f"was ended by signal {-code}" if code < 0 else f"ended with code {code} and no answer")
    return output


async def fetch_in_child(order: Order) -> Fetched:
    """Return how a fetch in a child of its own ended; a child that dies is the pod's trouble, not the model's."""
    try:
        output = await ask_child("treadle.serving.fetch", order, FETCH_TIMEOUT_SECONDS, dict(os.environ))
        return Fetched.model_validate_json(output)
    except (ChildDied, ValidationError) as error:
        text = str(error) if isinstance(error, ChildDied) else "gave no answer that can be read"
        return Fetched(outcome="Away", reason=None, message=f"the process that fetches models {text}")
