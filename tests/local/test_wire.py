"""What the wire does that no real server is asked for: it keeps strangers out, forgets, forwards, and ends."""

import asyncio
import copy
import http.client
import http.server
import json
import os
import random
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl

import pytest

import semantic_checks
from asking import (
    STRATEGIC,
    TABLE,
    Ask,
    Reached,
    apply,
    create,
    delete,
    fill,
    get,
    merge,
    observed,
    patch,
    put,
    send,
    watch,
)
from mutations import LISTS, ODD
from treadle.local.schema.admit import schemas
from treadle.local.server.api import MemoryApi, wall_clock
from treadle.local.server.store import HISTORY
from treadle.local.server.wire import serve
from wired import Wired, wired

NAMESPACE = "demo"
ADDRESS = f"127.86.{os.getpid() >> 8 & 255}.{os.getpid() & 255 or 1}"
"""Of the pod; no other run of these tests answers there."""


@pytest.fixture
def server() -> Iterator[Wired]:
    """Yield an API with one namespace."""
    with wired(schemas()) as running:
        send(Reached(running.url), create("/api/v1/namespaces", {"metadata": {"name": NAMESPACE}}))
        yield running


def asked(server: Wired, *row: Ask) -> list[Any]:
    """Return the answers to requests."""
    return observed(Reached(server.url), row, NAMESPACE)


def cm(name: str, **data: str) -> Any:
    return {"metadata": {"name": name}, "data": data}


STRANGERS = {
    "a page of another site": {"Origin": "https://evil.example"},
    "a page of this machine": {"Origin": "http://localhost:8000"},
    "a page that only looks": {"Sec-Fetch-Site": "cross-site"},
    "another host's name": {"Host": "evil.example"},
    "another host's name, with our port": {"Host": "evil.example:80"},
    "an address that is not loopback": {"Host": "10.0.0.1"},
    "a name that begins like loopback": {"Host": "127.0.0.1.evil.example"},
    "no host at all": {"Host": ""},
}


@pytest.mark.parametrize("headers", STRANGERS.values(), ids=STRANGERS.keys())
@pytest.mark.parametrize("path", ["/api/v1/namespaces", "/version", "/openapi/v3", "/nothing"])
def test_strangers_are_refused(server: Wired, headers: dict[str, str], path: str) -> None:
    connection = Reached(server.url).connect()
    connection.putrequest("GET", path, skip_host="Host" in headers)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    body = json.loads(answer.read())
    connection.close()
    assert (answer.status, body["reason"]) == (403, "Forbidden")


NEIGHBOURS = ("127.0.0.1", "localhost", "[::1]", "localhost:80", "[::1]:80")


@pytest.mark.parametrize("host", NEIGHBOURS)
def test_programs_of_this_machine_are_answered(server: Wired, host: str) -> None:
    connection = Reached(server.url).connect()
    connection.putrequest("GET", "/version", skip_host=True)
    connection.putheader("Host", host)
    connection.endheaders()
    assert connection.getresponse().status == 200
    connection.close()


def test_a_port_that_is_taken_is_an_error(server: Wired) -> None:
    async def second() -> None:
        await serve(MemoryApi(), "127.0.0.1", int(server.url.rpartition(":")[2]), log_of=lambda *_, **__: None)

    with pytest.raises(OSError, match="address already in use"):
        asyncio.run(second())


def test_a_server_ends_at_once_though_somebody_watches(server: Wired) -> None:
    connection = Reached(server.url).connect()
    connection.request("GET", "/api/v1/configmaps?watch=1")
    response = connection.getresponse()
    assert response.status == 200
    began = time.monotonic()
    server.stop()
    with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
        response.read()
    assert time.monotonic() - began < 5
    connection.close()


def test_a_watcher_that_went_away_is_forgotten(server: Wired) -> None:
    connection = Reached(server.url).connect()
    connection.request("GET", "/api/v1/configmaps?watch=1")
    connection.getresponse()
    assert server.do(lambda: len(server.api._watchers)) == 1
    connection.close()
    until = time.monotonic() + 10
    while server.do(lambda: len(server.api._watchers)) and time.monotonic() < until:
        time.sleep(0.01)
    assert server.do(lambda: len(server.api._watchers)) == 0


def test_a_history_has_an_end(server: Wired) -> None:
    (first,) = asked(server, create("cm", cm("a")))
    version = server.api.version

    def write() -> None:
        for number in range(HISTORY + 1):
            server.api.put({"apiVersion": "v1", "kind": "ConfigMap", **cm("b", x=str(number)),
                            "metadata": {"name": "b", "namespace": NAMESPACE}})  # fmt: skip

    server.do(write)
    old, new = asked(
        server,
        watch("cm", resourceVersion=str(version)),
        watch("cm", resourceVersion=str(version + 1), only=("0.type",)),
    )
    assert old["body"][0]["object"]["code"] == 410
    assert new["body"] == {"0.type": "MODIFIED"}
    assert first["status"] == 201


def test_an_event_stays_for_an_hour(server: Wired) -> None:
    def event(name: str) -> Ask:
        return create("ev", {"metadata": {"name": name}, "involvedObject": {"namespace": NAMESPACE}, "reason": "R"})

    def later(minutes: int) -> None:
        server.api.now = lambda: wall_clock() + timedelta(minutes=minutes)

    def names() -> list[str]:
        (found,) = asked(server, get("ev", only=("items.*.metadata.name",)))
        return list(found["body"]["items.*.metadata.name"])

    asked(server, event("a"))
    later(30)
    asked(server, event("b"))
    later(70)
    asked(server, event("c"))
    assert names() == ["b", "c"]


def test_a_page_of_a_forgotten_moment_is_gone(server: Wired) -> None:
    asked(server, create("cm", cm("a")), create("cm", cm("b")))
    _, _, page = send(Reached(server.url), Ask("GET", "/api/v1/configmaps", query={"limit": "1"}))
    server.do(lambda: server.api.restore(server.api.everything(), server.api.version + 1))
    (gone,) = asked(server, get("cm", **{"continue": page["metadata"]["continue"]}))
    assert (gone["status"], gone["body"]["reason"]) == (410, "Expired")


def test_an_error_of_ours_is_a_status_and_in_the_log(
    server: Wired, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(server.api), "all", None)
    (answer,) = asked(server, get("cm"))
    assert (answer["status"], answer["body"]["reason"]) == (500, "InternalError")
    assert "Could not answer a request" in caplog.text


def test_a_mark_lets_the_processes_of_a_pod_end(server: Wired) -> None:
    spec = {"containers": [{"name": "c", "image": "x"}], "terminationGracePeriodSeconds": 7}
    _, marked, gone, there = asked(
        server,
        create("pod", {"metadata": {"name": "a"}, "spec": {**spec, "nodeName": "local"}}),
        delete("pod/a"),
        delete("pod/a", {"gracePeriodSeconds": 0}),
        get("pod/a"),
    )
    assert marked["body"]["metadata"]["deletionGracePeriodSeconds"] == 7
    assert (gone["status"], there["status"]) == (200, 404)


def test_who_may_do_what_is_answered_with_yes(server: Wired) -> None:
    review, rules, me = asked(
        server,
        create("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
               {"spec": {"resourceAttributes": {"verb": "create", "resource": "pods"}}}),
        create("/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", {"spec": {"namespace": NAMESPACE}}),
        create("/apis/authentication.k8s.io/v1/selfsubjectreviews", {}),
    )  # fmt: skip
    assert review["body"]["status"]["allowed"] is True
    assert rules["body"]["status"]["resourceRules"][0]["verbs"] == ["*"]
    assert me["body"]["status"]["userInfo"]["username"] == "local-user"


class Echo(http.server.BaseHTTPRequestHandler):
    """Answers with what was asked."""

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        told = json.dumps({"method": self.command, "path": self.path, "body": body,
                           "accept": self.headers["Accept"]}).encode()  # fmt: skip
        self.send_response(201 if self.command == "POST" else 404 if self.path == "/none" else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(told)))
        self.send_header("Treadle-Model-Version", "v1")
        self.end_headers()
        self.wfile.write(told)

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def echo(server: Wired) -> Iterator[int]:
    """Yield the port of a program at the address of pod `a`, which Service `s` selects."""
    program = http.server.ThreadingHTTPServer((ADDRESS, 0), Echo)
    port = program.server_address[1]
    thread = threading.Thread(target=program.serve_forever)
    thread.start()
    ports = [{"name": "http", "port": 80, "targetPort": "web"}]
    container = {"name": "c", "image": "x", "ports": [{"name": "web", "containerPort": port}]}
    asked(
        server,
        create("pod", {"metadata": {"name": "a", "labels": {"a": "b"}}, "spec": {"containers": [container]}}),
        create("svc", {"metadata": {"name": "s"}, "spec": {"selector": {"a": "b"}, "ports": ports}}),
        create("svc", {"metadata": {"name": "other"}, "spec": {"selector": {"a": "c"}, "ports": ports}}),
        set_ready("True"),
    )
    yield port
    program.shutdown()
    thread.join()
    program.server_close()


def set_ready(status: str, address: str = ADDRESS) -> Ask:
    ready = {"type": "Ready", "status": status, "lastTransitionTime": None}
    return merge("pod/a/status", {"status": {"podIP": address, "conditions": [ready]}})


PROXIED = {
    "a pod's named port": ("pod/a:web/proxy/v2/x?y=1", "GET", 200, "/v2/x?y=1"),
    "a pod's number": ("pod/a:{port}/proxy/x/", "GET", 200, "/x/"),
    "a pod's first port": ("pod/a/proxy/x", "GET", 200, "/x"),
    "a pod, with a scheme": ("pod/http:a:web/proxy/x", "POST", 201, "/x"),
    "a Service's named port": ("svc/s:http/proxy/x", "POST", 201, "/x"),
    "a Service's number": ("svc/s:80/proxy/x", "GET", 200, "/x"),
    "a Service's first port": ("svc/s/proxy/", "GET", 200, "/"),
    "what the program does not have": ("svc/s:80/proxy/none", "GET", 404, "/none"),
}


@pytest.mark.parametrize(("path", "method", "status", "seen"), PROXIED.values(), ids=PROXIED.keys())
def test_a_request_is_passed_on(path: str, method: str, status: int, seen: str, server: Wired, echo: int) -> None:
    what = get(path).path.replace("{port}", str(echo))
    query = dict(parse_qsl(what.partition("?")[2]))
    ask = Ask(method, what.partition("?")[0], {"a": 1} if method == "POST" else None, query=query)
    (answer,) = asked(server, ask)
    assert answer["status"] == status
    assert (answer["body"]["path"], answer["body"]["method"]) == (seen, method)
    assert answer["body"]["body"] == ('{"a": 1}' if method == "POST" else "")


UNREACHED = {
    "another pod": ("pod/none:web/proxy/", 404, 'pods "none" not found'),
    "another Service": ("svc/none:80/proxy/", 404, 'services "none" not found'),
    "another port of a pod": ("pod/a:nothing/proxy/", 503, "pod a has no port 'nothing'"),
    "another port of a Service": ("svc/s:81/proxy/", 503, 'no service port "81" found for service "s"'),
    "another scheme": ("svc/https:s:80/proxy/", 400, "invalid scheme 'https': local pods speak http"),
    "a Service that selects nothing": ("svc/other:80/proxy/", 503, 'no endpoints available for service "other"'),
    "a port on which nobody listens": ("pod/a:1/proxy/", 503, "error trying to reach service: "),
}


@pytest.mark.parametrize(("path", "status", "text"), UNREACHED.values(), ids=UNREACHED.keys())
def test_a_request_that_reaches_nobody(path: str, status: int, text: str, server: Wired, echo: int) -> None:
    (answer,) = asked(server, get(path))
    assert (answer["status"], answer["body"]["message"].startswith(text)) == (status, True), answer


def test_a_service_passes_on_to_ready_pods_only(server: Wired, echo: int) -> None:
    _, answer = asked(server, set_ready("False"), get("svc/s:80/proxy/"))
    assert answer["body"]["message"] == 'no endpoints available for service "s"'


def test_nothing_is_passed_on_beyond_this_machine(server: Wired, echo: int) -> None:
    _, answer = asked(server, set_ready("True", "192.0.2.1"), get("pod/a:80/proxy/"))
    assert (answer["status"], answer["body"]["reason"]) == (403, "Forbidden")


BODIES: dict[str, Any] = {
    "cm": {**semantic_checks.cm(labels={"a": "b"}, finalizers=["x.y/z"], managedFields=[{"manager": "m"}])},
    "dsrc": semantic_checks.source(metadata={"labels": {"a": "b"}, "finalizers": ["x.y/z"]}),
    "pod": semantic_checks.pod(),
    "deploy": semantic_checks.deployment(),
    "job": semantic_checks.job(),
    "secret": {"metadata": {"name": "s"}, "data": {"a": "Yg=="}, "stringData": {"b": "c"}},
    "svc": {"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}], "selector": {"a": "b"}}},
    "ev": {"metadata": {"name": "e"}, "involvedObject": {"kind": "X"}, "reason": "r", "message": "m"},
}
STATUS = {"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}], "replicas": 1}}
OPTIONS = {"propagationPolicy": "Background", "preconditions": {"uid": "x"}, "gracePeriodSeconds": 1}
OPERATION = {"op": "add", "path": "/metadata/labels", "from": "/metadata/name", "value": {"a": "b"}}


@pytest.mark.parametrize("seed", range(4))
def test_no_body_makes_an_error_of_ours(seed: int, server: Wired) -> None:
    rng = random.Random(seed)
    reached = Reached(server.url)
    named = {kind: {**body, "metadata": {**body["metadata"], "name": "live"}} for kind, body in BODIES.items()}
    for kind, body in named.items():
        send(reached, fill(create(kind, body), [], NAMESPACE))
    for number in range(150):
        kind = rng.choice(list(BODIES))
        body, live = wild(rng, named[kind]), f"{kind}/live"
        ask = rng.choice(
            [
                create(kind, wild(rng, {**named[kind], "metadata": {"name": f"new-{number}"}})),
                put(live, body),
                merge(live, body),
                merge(live, body, content=STRATEGIC),
                apply(live, body, force="true"),
                merge(f"{live}/status", wild(rng, STATUS)),
                patch(live, wild(rng, {**OPERATION, "op": rng.choice(["add", "remove", "replace", "move", "test"])})),
                delete(live, wild(rng, OPTIONS), dryRun="All"),
            ]
        )
        status, _, answer = send(reached, fill(ask, [], NAMESPACE))
        assert status != 500 or answer.get("reason") != "InternalError", (seed, ask)
    for kind in BODIES:
        assert send(reached, fill(get(kind, TABLE), [], NAMESPACE))[0] == 200


def wild(rng: random.Random, body: Any) -> Any:
    """Return a body with one or two places taken away or made something else."""
    body = copy.deepcopy(body)
    for _ in range(rng.randint(1, 2)):
        *above, last = rng.choice(list(places(body)) or [()])
        around = body
        for step in above:
            around = around[step]
        if rng.random() < 0.2:
            del around[last]
        else:
            around[last] = copy.deepcopy(rng.choice((*ODD, *LISTS)))
        if not body:
            return body
    return body


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of everything in a body."""
    steps = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, child in steps:
        yield (*at, step)
        yield from places(child, (*at, step))
