"""Asks an API server a row of requests and notes what it answers, without what no two servers share."""

import copy
import http.client
import json
import re
import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

type Json = Any

JSON = "application/json"
MERGE = "application/merge-patch+json"
PATCH = "application/json-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"
TABLE = "application/json;as=Table;g=meta.k8s.io;v=v1"
METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"

TYPES = {
    "cm": ("api/v1", "configmaps"),
    "secret": ("api/v1", "secrets"),
    "pod": ("api/v1", "pods"),
    "svc": ("api/v1", "services"),
    "sa": ("api/v1", "serviceaccounts"),
    "ev": ("api/v1", "events"),
    "event": ("apis/events.k8s.io/v1", "events"),
    "deploy": ("apis/apps/v1", "deployments"),
    "rs": ("apis/apps/v1", "replicasets"),
    "job": ("apis/batch/v1", "jobs"),
    "lease": ("apis/coordination.k8s.io/v1", "leases"),
    "dsrc": ("apis/treadle.dev/v1alpha1", "datasources"),
    "tj": ("apis/treadle.dev/v1alpha1", "trainingjobs"),
    "mdep": ("apis/treadle.dev/v1alpha1", "modeldeployments"),
    "mon": ("apis/treadle.dev/v1alpha1", "monitors"),
}
PLACE = re.compile(r"\{(\d+)((?:\.[\w-]+)+)\}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
GENERATED = re.compile(r"[bcdfghjklmnpqrstvwxz2456789]{5}")
VERSION = re.compile(r'(\\?"resourceVersion\\?":\\?"|ResourceVersion in record \()\d+')
SOME_AGE = re.compile(r"\d{1,2}s")
TOO_OLD = re.compile(r"too old resource version: \d+ \(\d+\)")
ASKED_AGAIN_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Ask:
    """One request; `{0.metadata.uid}` in it is taken from the answer to the first of the row.

    only: the parts of a good answer that count, by their paths; all for none.
    until: ask again, for some seconds, until the answer has this code, or something at this path; `!`: nothing.
    """

    method: str
    path: str
    body: Json = None
    content: str = JSON
    accept: str = JSON
    query: Mapping[str, str] = field(default_factory=dict)
    only: tuple[str, ...] = ()
    until: int | str = 0


@dataclass(frozen=True, slots=True)
class Reached:
    """A server, and how to reach it."""

    url: str
    context: ssl.SSLContext | None = None

    def connect(self) -> http.client.HTTPConnection:
        """Return a connection."""
        parts = urlsplit(self.url)
        assert parts.hostname is not None
        if self.context is not None:
            return http.client.HTTPSConnection(parts.hostname, parts.port, timeout=20, context=self.context)
        return http.client.HTTPConnection(parts.hostname, parts.port, timeout=20)


def place(what: str) -> str:
    """Return a path: `cm` the ConfigMaps of the row's namespace, `cm/x` one, `cm/x/status` a part; else as it is."""
    if what.startswith("/"):
        return what
    short, _, rest = what.partition("/")
    group, plural = TYPES[short]
    return f"/{group}/namespaces/{{namespace}}/{plural}" + (f"/{rest}" if rest else "")


def get(what: str, accept: str = JSON, only: tuple[str, ...] = (), until: int | str = 0, **query: str) -> Ask:
    """Return a get or a list."""
    return Ask("GET", place(what), accept=accept, query=query, only=only, until=until)


def create(what: str, body: Json, only: tuple[str, ...] = (), **query: str) -> Ask:
    """Return a create."""
    return Ask("POST", place(what), body, query=query, only=only)


def put(what: str, body: Json, only: tuple[str, ...] = (), **query: str) -> Ask:
    """Return a replacement."""
    return Ask("PUT", place(what), body, query=query, only=only)


def merge(what: str, body: Json, only: tuple[str, ...] = (), content: str = MERGE, **query: str) -> Ask:
    """Return a merge patch, or one of another kind."""
    return Ask("PATCH", place(what), body, content, query=query, only=only)


def patch(what: str, *operations: Json, **query: str) -> Ask:
    """Return a JSON patch."""
    return Ask("PATCH", place(what), list(operations), PATCH, query=query)


def apply(what: str, body: Json, manager: str = "one", only: tuple[str, ...] = (), **query: str) -> Ask:
    """Return a server-side apply."""
    named = {"fieldManager": manager} if manager else {}
    return Ask("PATCH", place(what), body, APPLY, query={**named, **query}, only=only)


def delete(what: str, body: Json = None, only: tuple[str, ...] = (), **query: str) -> Ask:
    """Return a delete."""
    return Ask("DELETE", place(what), body, query=query, only=only)


def watch(what: str, accept: str = JSON, only: tuple[str, ...] = (), **query: str) -> Ask:
    """Return a watch that ends after a second."""
    whole = {"watch": "1", "timeoutSeconds": "1", **query}
    return Ask("GET", place(what), accept=accept, query=whole, only=only)


def observed(server: Reached, row: Sequence[Ask], namespace: str) -> list[Json]:
    """Return what a server answers to the requests of a row."""
    answers: list[Json] = []
    notes = []
    plain = Plain(namespace)
    for ask in row:
        filled = fill(ask, answers, namespace)
        status, headers, answer = send(server, filled)
        answers.append(answer)
        note: dict[str, Json] = {"status": status}
        if warnings := headers.get_all("Warning"):
            note["warnings"] = sorted(warnings)
        seen = plain.of(answer)
        note["body"] = {path: at(seen, path) for path in ask.only} if ask.only and status < 300 else seen
        notes.append(note)
    return notes


def send(server: Reached, ask: Ask) -> tuple[int, http.client.HTTPMessage, Json]:
    """Return status, headers and body of an answer; of a watch the events as a list."""
    until = time.monotonic() + ASKED_AGAIN_SECONDS
    while True:
        status, headers, answer = _send(server, ask)
        is_done = holds(answer, ask.until) if isinstance(ask.until, str) else ask.until in (0, status)
        if is_done or time.monotonic() > until:
            return status, headers, answer
        time.sleep(0.1)


def _send(server: Reached, ask: Ask) -> tuple[int, http.client.HTTPMessage, Json]:
    connection = server.connect()
    try:
        path = quote(ask.path) + (f"?{urlencode(ask.query)}" if ask.query else "")
        body = None if ask.body is None else ask.body.encode() if isinstance(ask.body, str) else dumped(ask.body)
        headers = {"Accept": ask.accept, "User-Agent": "person/1.0"}
        if body is not None:
            headers["Content-Type"] = ask.content
        connection.request(ask.method, path, body, headers)
        response = connection.getresponse()
        text = response.read()
        if "watch" in ask.query and response.status == 200:
            return response.status, response.headers, [json.loads(line) for line in text.splitlines()]
        return response.status, response.headers, parsed(text)
    finally:
        connection.close()


def holds(answer: Json, until: str) -> bool:
    """Say whether something stands at a path, or nothing where the path begins with `!`."""
    return (at(answer, until.removeprefix("!")) is None) is until.startswith("!")


def fill(ask: Ask, answers: Sequence[Json], namespace: str) -> Ask:
    """Return a request with its placeholders filled in."""

    def filled(value: Json) -> Json:
        if isinstance(value, str):
            text = value.replace("{namespace}", namespace)
            return PLACE.sub(lambda found: str(at(answers[int(found[1])], found[2].removeprefix("."))), text)
        if isinstance(value, dict):
            return {filled(key): filled(child) for key, child in value.items()}
        return [filled(child) for child in value] if isinstance(value, list) else value

    values = {name: filled(getattr(ask, name)) for name in ("path", "body")}
    return Ask(ask.method, **values, content=ask.content, accept=ask.accept, query=filled(dict(ask.query)),
               only=ask.only, until=ask.until)  # fmt: skip


def at(found: Json, path: str) -> Json:
    """Return what stands at a path of names and positions, or None; `*` is each item."""
    names = path.split(".")
    for number, name in enumerate(names):
        if name == "*":
            items = found if isinstance(found, list) else []
            return [at(each, ".".join(names[number + 1 :])) for each in items]
        if isinstance(found, list):
            found = found[int(name)] if name.isdigit() and int(name) < len(found) else None
        else:
            found = found.get(name) if isinstance(found, dict) else None
    return found


class Plain:
    """Answers of one row without what no two servers share: equal uids and versions get equal names."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace
        self._names: dict[tuple[str, str], str] = {}

    def of(self, answer: Json) -> Json:
        """Return an answer in plain."""
        return self._plain(copy.deepcopy(answer), "")

    def _plain(self, value: Json, name: str) -> Json:
        if isinstance(value, dict):
            return self._object(value)
        if isinstance(value, list):
            return [self._plain(child, name) for child in value]
        return self._text(value) if isinstance(value, str) else value

    def _object(self, value: dict[str, Json]) -> Json:
        metadata = value.get("metadata")
        if isinstance(metadata, dict) and "resourceVersion" in metadata:
            is_list = "items" in value or "rows" in value or value.get("kind", "").endswith("List")
            metadata["resourceVersion"] = (
                "<some version>" if is_list else self._named("version", metadata["resourceVersion"])
            )
            if metadata.get("continue"):
                metadata["continue"] = "<token>"
        if isinstance(metadata, dict) and "generateName" in metadata and "name" in metadata:
            suffix = metadata["name"].removeprefix(metadata["generateName"])
            if GENERATED.fullmatch(suffix):
                metadata["name"] = metadata["generateName"] + "<suffix>"
        if "managedFields" in value:
            # Their order is by the second in which they wrote.
            value["managedFields"] = sorted(value["managedFields"], key=manager)
        if "causes" in value:
            # Nor those of several managers.
            value["causes"] = sorted(value["causes"], key=dumped)
        if "cells" in value:
            value["cells"] = ["<age>" if SOME_AGE.fullmatch(str(cell)) else cell for cell in value["cells"]]
        if value.get("kind") == "APIResourceList":
            # A server has them in no order.
            value["resources"] = sorted(value["resources"], key=lambda each: str(each["name"]))
        return {self._text(key): self._plain(child, key) for key, child in sorted(value.items())}

    def _text(self, text: str) -> str:
        text = text.replace(self._namespace, "<namespace>")
        text = UUID.sub(lambda found: self._named("uid", found[0]), text)
        text = VERSION.sub(r"\1<some version>", text)
        text = TOO_OLD.sub("too old resource version: <old> (<new>)", text)
        return TIME.sub("<time>", text)

    def _named(self, kind: str, value: str) -> str:
        return self._names.setdefault((kind, value), f"<{kind} {sum(known == kind for known, _ in self._names) + 1}>")


def manager(entry: Json) -> tuple[str, ...]:
    """Return who an entry of managedFields is about."""
    return tuple(str(entry.get(name, "")) for name in ("manager", "operation", "subresource"))


def parsed(body: bytes) -> Json:
    """Return a body as JSON, or as text."""
    try:
        return json.loads(body)
    except ValueError:
        return body.decode(errors="replace")


def dumped(body: Json) -> bytes:
    """Return a body as JSON."""
    return json.dumps(body).encode()
