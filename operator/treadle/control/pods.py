"""Asks running pods for progress and metrics; the only module importing aiohttp."""

import json
import logging

import aiohttp

from treadle.api.step import PROGRESS_PORT
from treadle.control.engine.ports import Object

log = logging.getLogger(__name__)

LIMIT_BYTES = 1 << 20


class HttpPods:
    """Pods by their address. What they answer is not trusted: it is bounded, and parsed by whoever asked."""

    def __init__(self, timeout_seconds: float, port: int = PROGRESS_PORT) -> None:
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds)
        self._port = port
        self._session: aiohttp.ClientSession | None = None

    async def progress(self, pod: Object) -> Object | None:
        """Return the pod's answer to GET /progress, or None."""
        body = await self._get(pod, "/progress")
        try:
            answer = json.loads(body) if body is not None else None
        except ValueError:
            return None
        return answer if isinstance(answer, dict) else None

    async def metrics(self, pod: Object) -> str | None:
        """Return the pod's answer to GET /metrics, or None."""
        body = await self._get(pod, "/metrics")
        return None if body is None else body.decode(errors="replace")

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    async def _get(self, pod: Object, path: str) -> bytes | None:
        address = (pod.get("status") or {}).get("podIP")
        if not address:
            return None
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=self._timeout, trust_env=False)
        host = f"[{address}]" if ":" in address else address
        try:
            async with self._session.get(f"http://{host}:{self._port}{path}", allow_redirects=False) as response:
                if response.status != 200:
                    return None
                body = bytearray()
                async for chunk in response.content.iter_chunked(1 << 16):
                    body += chunk
                    if len(body) > LIMIT_BYTES:
                        return None
                return bytes(body)
        except (aiohttp.ClientError, TimeoutError, OSError) as problem:
            log.debug("A pod did not answer", extra={"pod": pod["metadata"]["name"], "problem": str(problem)})
            return None
