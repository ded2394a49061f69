"""The Api port over the official client's lowest layer; the only module importing kubernetes."""

# The client says that it is typed, and leaves out the types of half its functions.
# mypy: disable-error-code="no-untyped-call, attr-defined"

import asyncio
import json
import logging
import os
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from kubernetes.aio import config
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.client.rest import aiohttp as transport

from treadle.api.conditions import line
from treadle.api.names import MANAGER
from treadle.api.reasons import Reason
from treadle.control.engine.errors import Busy, Conflict, Gone, Invalid, TokenRefused, TypeMissing, Wait
from treadle.control.engine.ports import CHILDREN, EVENT, LEASE, NAMESPACE, OURS, SERVICE_ACCOUNT, Gvk, Object

log = logging.getLogger(__name__)

TRIES = 4
FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 10.0
REQUEST_SECONDS = 30
PAGE_SIZE = 500
CONNECTIONS = 32
JSON = "application/json"
APPLY = "application/apply-patch+yaml"
METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"

TYPES = {(gvk.api_version, gvk.kind): gvk for gvk in (*OURS, *CHILDREN, EVENT, LEASE, NAMESPACE, SERVICE_ACCOUNT)}

type Query = list[tuple[str, str]]


class NoCluster(Exception):
    """There is neither a service account nor a usable kubeconfig."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """How to reach the API server, for the watch engine's login."""

    server: str
    ca_path: str | None
    token: str | None
    certificate_path: str | None
    private_key_path: str | None


@dataclass(frozen=True, slots=True)
class Answer:
    """One response, read whole."""

    status: int
    body: bytes
    retry_after: str | None = None

    def json(self) -> Object:
        """Return the body as an object; an empty one where it is no JSON."""
        try:
            parsed = json.loads(self.body)
        except ValueError:
            return {}
        return parsed if isinstance(parsed, dict) else {}


async def configuration() -> Configuration:
    """Return where the API server is: of the pod's service account, else of KUBECONFIG."""
    # The defaults are 100 connections, and proxies from the environment, which must not see API traffic.
    found = Configuration(connection_pool_maxsize=CONNECTIONS, client_session_kwargs={"trust_env": False})
    try:
        if "KUBERNETES_SERVICE_HOST" in os.environ:
            config.load_incluster_config(client_configuration=found)
        else:
            # The client's own default was read when it was imported.
            file = os.environ.get("KUBECONFIG")
            await config.load_kube_config(file, client_configuration=found, persist_config=False)
    except (config.ConfigException, OSError) as problem:
        raise NoCluster(f"no API server: {line(str(problem))}; run in a pod, or set KUBECONFIG") from problem
    return found


async def credentials() -> Credentials:
    """Return fresh credentials; the token's file is read again."""
    found = await configuration()
    token = (found.api_key.get("BearerToken") or "").partition(" ")[2] or None
    return Credentials(found.host, found.ssl_ca_cert, token, found.cert_file, found.key_file)


class Kube:
    """The API server. Every write is repeatable, so that each may be tried again."""

    def __init__(self, client: ApiClient, rng: random.Random) -> None:
        self._client = client
        self._rng = rng

    @classmethod
    async def connect(cls, rng: random.Random) -> "Kube":
        """Return a client of the cluster that the environment names."""
        return cls(ApiClient(await configuration()), rng)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def get(self, gvk: Gvk, namespace: str, name: str) -> Object | None:
        """Return the object, or None."""
        answer = await self._ask("GET", path_of(gvk, namespace, name))
        if answer.status == 404 and is_known(answer):
            return None
        return checked(answer, f"get {gvk.plural}")

    async def list(
        self,
        gvk: Gvk,
        namespace: str | None = None,
        *,
        labels: Mapping[str, str] | None = None,
        metadata_only: bool = False,
    ) -> list[Object]:
        """Return all pages of a list; an expired continue token begins it again."""
        selector = ",".join(f"{key}={value}" for key, value in sorted((labels or {}).items()))
        query = [("limit", str(PAGE_SIZE)), *([("labelSelector", selector)] if selector else [])]
        found: list[Object] = []
        token = ""
        while True:
            page = await self._ask(
                "GET",
                path_of(gvk, namespace),
                [*query, *([("continue", token)] if token else [])],
                accept=METADATA_LIST if metadata_only else JSON,
            )
            if page.status == 410 and token:
                found, token = [], ""
                continue
            body = checked(page, f"list {gvk.plural}")
            found += [{**raw, "apiVersion": gvk.api_version, "kind": gvk.kind} for raw in body.get("items") or []]
            token = (body.get("metadata") or {}).get("continue") or ""
            if not token:
                return found

    async def apply(self, child: Object, *, manager: str = MANAGER) -> Object:
        """Apply exactly these fields by force."""
        return await self._apply(child, manager, "")

    async def apply_status(self, raw: Object, status: Object) -> Object:
        """Apply the whole status; on /status a wrong uid is ignored, so the resource version guards it."""
        metadata = {key: raw["metadata"][key] for key in ("name", "namespace", "resourceVersion")}
        body = {"apiVersion": raw["apiVersion"], "kind": raw["kind"], "metadata": metadata, "status": status}
        return await self._apply(body, MANAGER, "/status")

    async def create(self, new: Object) -> Object | None:
        """Create the object; None where the name exists."""
        gvk = TYPES[new["apiVersion"], new["kind"]]
        path = path_of(gvk, new["metadata"].get("namespace"))
        answer = await self._ask("POST", path, [("fieldManager", MANAGER)], new)
        if answer.status == 409 and answer.json().get("reason") == "AlreadyExists":
            return None
        return checked(answer, f"create {gvk.plural}")

    async def delete(self, child: Object) -> None:
        """Delete this very object in the foreground; being gone is success."""
        gvk = TYPES[child["apiVersion"], child["kind"]]
        metadata = child["metadata"]
        uid = {"preconditions": {"uid": metadata["uid"]}} if "uid" in metadata else {}
        options = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Foreground", **uid}
        answer = await self._ask("DELETE", path_of(gvk, metadata.get("namespace"), metadata["name"]), body=options)
        if answer.status != 404:
            checked(answer, f"delete {gvk.plural}")

    async def _apply(self, body: Object, manager: str, subresource: str) -> Object:
        gvk = TYPES[body["apiVersion"], body["kind"]]
        path = path_of(gvk, body["metadata"].get("namespace"), body["metadata"]["name"]) + subresource
        query = [("fieldManager", manager), ("force", "true"), ("fieldValidation", "Strict")]
        answer = await self._ask("PATCH", path, query, body, content=APPLY)
        return checked(answer, f"patch {gvk.plural}{subresource}")

    async def _ask(
        self,
        method: str,
        path: str,
        query: Query | None = None,
        body: Object | None = None,
        *,
        accept: str = JSON,
        content: str = JSON,
    ) -> Answer:
        """Send a request up to four times while the server is busy, and once more with a fresh token."""
        headers = {"Accept": accept, "Content-Type": content}
        refused = False
        problem = ""
        attempt = 0
        while attempt < TRIES:
            retry_after = None
            try:
                answer = await self._send(method, path, query, body, headers)
            except (transport.ClientError, TimeoutError, OSError) as error:
                problem = line(f"{type(error).__name__}: {error}")
            else:
                if answer.status == 401:
                    if refused:
                        raise TokenRefused("the API server refuses our token, also a fresh one")
                    refused = True
                    await self._renew()
                    continue
                if not is_busy(answer):
                    return answer
                problem, retry_after = f"status {answer.status}", answer.retry_after
            attempt += 1
            if attempt < TRIES:
                await asyncio.sleep(pause_seconds(attempt, retry_after, self._rng))
        raise Busy(f"{method} {path}: no answer in {TRIES} tries; the last: {problem}")

    async def _send(
        self, method: str, path: str, query: Query | None, body: Object | None, headers: dict[str, str]
    ) -> Answer:
        request = await self._client.param_serialize(
            method,
            path,
            query_params=list(query or []),
            body=body,
            header_params=dict(headers),
            auth_settings=["BearerToken"],
        )
        response = await self._client.call_api(*request, _request_timeout=REQUEST_SECONDS)
        return Answer(response.status, await response.read(), response.headers.get("Retry-After"))

    async def _renew(self) -> None:
        former, self._client = self._client, ApiClient(await configuration())
        await former.close()


def path_of(gvk: Gvk, namespace: str | None = None, name: str = "") -> str:
    """Return the path of an object, or of a list."""
    root = f"/apis/{gvk.group}/{gvk.version}" if gvk.group else f"/api/{gvk.version}"
    inside = f"/namespaces/{quote(namespace, safe='')}" if namespace and gvk.namespaced else ""
    return f"{root}{inside}/{gvk.plural}" + (f"/{quote(name, safe='')}" if name else "")


def pause_seconds(attempt: int, retry_after: str | None, rng: random.Random) -> float:
    """Return the pause before the next try: as the server says, else doubling, with jitter."""
    asked = float(retry_after) if retry_after is not None and retry_after.isdigit() else 0.0
    doubled = FIRST_PAUSE_SECONDS * float(2 ** (attempt - 1)) * rng.uniform(0.5, 1.5)
    return min(LONGEST_PAUSE_SECONDS, max(asked, doubled))


def is_busy(answer: Answer) -> bool:
    """Say whether the same request may succeed a little later."""
    return answer.status == 429 or (answer.status >= 500 and not is_our_bug(answer))


def is_our_bug(answer: Answer) -> bool:
    """Say whether a 500 is about our literal: an unknown field, a wrong type or a list key twice."""
    return answer.status == 500 and b"failed to create typed patch object" in answer.body


def is_known(answer: Answer) -> bool:
    """Say whether a 404 is about an object; that of an unknown API group is plain text."""
    return answer.json().get("kind") == "Status"


def checked(answer: Answer, act: str) -> Object:
    """Return the object of a good answer; raise the error that another answer means."""
    if answer.status < 300:
        return answer.json()
    body = answer.json()
    message = line(str(body.get("message") or answer.body[:200].decode(errors="replace")))
    causes: Sequence[Mapping[str, Any]] = (body.get("details") or {}).get("causes") or []
    match answer.status:
        case 404 if not is_known(answer):
            raise TypeMissing(f"{act}: the API server does not know this type")
        case 404:
            raise Gone(message)
        case 403 if any(cause.get("reason") == "NamespaceTerminating" for cause in causes):
            raise Gone(message)
        case 403 if "exceeded quota" in message:
            raise Wait(Reason.QUOTA_EXCEEDED, message)
        case 403:
            raise Wait(Reason.ACCESS_DENIED, f"the operator may not {act}: {message}; upgrade the chart's RBAC")
        case 409:
            raise Conflict(message)
        case 422 if any(cause.get("field") == "metadata.uid" for cause in causes):
            raise Conflict(message)
        case 422 | 400:
            raise Invalid(Reason.INVALID_SPEC, message)
    raise RuntimeError(f"{act}: status {answer.status}: {message}")
