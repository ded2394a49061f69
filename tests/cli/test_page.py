"""`treadle ui` over HTTP: who is answered, what keeps a page to itself, what is said where something cannot be read."""

import base64
import hashlib
import http.client
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from answers import Answers, kubeconfig, served, status
from pages import Node, faults, parse
from situations import SITUATIONS, Situation
from staged import answered, shown, stage
from treadle.cli.cluster import connected
from treadle.cli.estate import paths
from treadle.cli.ui.serve import serving
from treadle.cli.ui.site import Site

STAGE = stage()
MODEL = "/models/flights-late"


@dataclass
class Client:
    """A browser that keeps its cookie."""

    address: str
    headers: dict[str, str] = field(default_factory=dict)

    def get(self, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], str]:
        url = urlsplit(self.address)
        connection = http.client.HTTPConnection("127.0.0.1", url.port, timeout=20)
        given = {"Host": f"127.0.0.1:{url.port}", **self.headers, **headers}
        connection.request(method, path, headers=given)
        response = connection.getresponse()
        found = {name.lower(): value for name, value in response.getheaders()}
        body = response.read().decode()
        connection.close()
        return response.status, found, body

    def page(self, path: str) -> Node:
        code, _, body = self.get(path)
        assert code == 200, body
        return parse(body)


@dataclass
class World:
    """What an API server answers, and a browser at the pages that are made of it."""

    answers: Answers
    client: Client


def opened(stack: ExitStack, tmp_path: Path, routes: dict[str, Any]) -> World:
    answers = Answers(routes)
    config = kubeconfig(tmp_path / "config", stack.enter_context(served(answers)))
    stack.enter_context(pytest.MonkeyPatch.context()).setenv("KUBECONFIG", str(config))
    return World(answers, entered(stack))


def entered(stack: ExitStack) -> Client:
    """Serve the pages of the cluster that KUBECONFIG names, and open the address."""
    cluster = stack.enter_context(connected("", ""))
    client = Client(stack.enter_context(serving(lambda: Site(cluster), 0)))
    code, headers, _ = client.get(f"/?{urlsplit(client.address).query}")
    assert (code, headers["location"]) == (303, "/")
    client.headers = {"Cookie": headers["set-cookie"].partition(";")[0]}
    return client


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with ExitStack() as stack:
        yield opened(stack, tmp_path, answered(STAGE))


@pytest.fixture(scope="module")
def exhibit(tmp_path_factory: pytest.TempPathFactory) -> tuple[Situation, Path]:
    return shown(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def whole(exhibit: tuple[Situation, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A namespace whose bucket can be read."""
    with ExitStack() as stack:
        yield opened(stack, tmp_path_factory.mktemp("config"), answered(*exhibit))


# Who is answered.

ANSWERED: dict[str, tuple[str, str, dict[str, str], int]] = {
    "who has the key": ("GET", "/", {}, 200),
    "by this name too": ("GET", "/", {"Host": "localhost:1"}, 200),
    "by the address of IPv6": ("GET", "/", {"Host": "[::1]:1"}, 200),
    "without a body": ("HEAD", MODEL, {}, 200),
    "who has no key": ("GET", "/", {"Cookie": ""}, 403),
    "who has another key": ("GET", "/", {"Cookie": "treadle-1=x; treadle=y"}, 403),
    "who guesses it": ("GET", "/?key=guess", {"Cookie": ""}, 403),
    "who sends a broken cookie": ("GET", "/", {"Cookie": "=;;\x01"}, 403),
    "a name that points here": ("GET", "/", {"Host": "evil.example"}, 421),
    "a name that begins like this machine": ("GET", "/", {"Host": "127.0.0.1.evil.example"}, 421),
    "no name": ("GET", "/", {"Host": ""}, 421),
    "who would write": ("POST", "/", {}, 501),
    "who would delete": ("DELETE", MODEL, {}, 501),
    "a page that is not there": ("GET", "/models/none", {}, 404),
    "a version that is not there": ("GET", f"{MODEL}/versions/v99", {}, 404),
    "a reason that is not there": ("GET", "/reasons/None", {}, 404),
    "a file of this machine": ("GET", "/../../etc/passwd", {}, 404),
    "an escaped file of this machine": ("GET", "/models/..%2f..%2fetc%2fpasswd", {}, 404),
}


@pytest.mark.parametrize(("method", "path", "headers", "code"), ANSWERED.values(), ids=ANSWERED.keys())
def test_who_is_answered(world: World, method: str, path: str, headers: dict[str, str], code: int) -> None:
    found, _, body = world.client.get(path, method, **headers)
    assert found == code
    assert (method == "HEAD") == (body == "")


def test_the_key_is_a_cookie_of_this_port_that_no_script_and_no_other_page_sends(world: World) -> None:
    address = urlsplit(world.client.address)
    code, headers, _ = world.client.get(f"{MODEL}?{address.query}", Cookie="")
    assert (code, headers["location"]) == (303, MODEL)
    assert headers["set-cookie"] == f"treadle-{address.port}={address.query[4:]}; Path=/; HttpOnly; SameSite=Strict"


def test_a_page_may_use_its_own_style_and_script_and_nothing_else(world: World) -> None:
    code, headers, body = world.client.get(MODEL)
    policy = dict(rule.split(" ", 1) for rule in headers["content-security-policy"].split("; "))
    page = parse(body)
    assert code == 200 and policy["default-src"] == "'none'" and policy["frame-ancestors"] == "'none'"
    for tag in ("style", "script"):
        [node] = page.all(tag)
        digest = base64.b64encode(hashlib.sha256(str(node.children[0]).encode()).digest()).decode()
        assert policy[f"{tag}-src"] == f"'sha256-{digest}'"
    assert not re.findall(r"(?:src|srcset|data|action)=", body)
    assert {headers[name] for name in ("cache-control", "x-content-type-options", "referrer-policy")} == {
        "no-store", "nosniff", "no-referrer",
    }  # fmt: skip


# What is shown.

PATHS = ("/", MODEL, f"{MODEL}/versions", f"{MODEL}/versions/v16", f"{MODEL}/versions/v17", "/reasons/HeldByGate")


@pytest.mark.parametrize("path", PATHS)
def test_each_page_keeps_the_rules_with_all_that_can_be_read(whole: World, path: str) -> None:
    assert faults(whole.client.page(path)) == []


def test_each_link_leads_somewhere(whole: World) -> None:
    waiting, seen = ["/"], set[str]()
    while waiting:
        path = waiting.pop()
        page = whole.client.page(path) if path != "/icon.svg" else Node("svg")
        found = {node.attributes["href"] for node in page.all("a", "link") if node.attributes["href"].startswith("/")}
        for href in found:
            target, _, anchor = href.partition("#")
            if anchor:
                assert anchor in {node.attributes.get("id") for node in whole.client.page(target).walk()}, href
            if target not in seen:
                seen.add(target)
                waiting.append(target)
    assert {f"{MODEL}/versions/v{number}" for number in range(1, 19)} <= seen


def test_the_pods_counts_are_shown(whole: World) -> None:
    now = whole.client.page(MODEL).find("now").text
    # Two pods, each with 200 and 20 requests, of which the first failed and took 100 ms.
    assert "Requests 400 since the pods started Errors 2 of 400 [0.14 %, 1.8 %] p99 at most 5 ms over 400" in now
    assert "Requests 40 since the pods started Errors 2 of 40 [1.4 %, 16.5 %] p99 at most 120 ms over 40" in now
    assert "2 of 2 pods" in now


def test_the_bars_of_drift_are_those_of_the_window(whole: World) -> None:
    drift = whole.client.page(MODEL).find("drift")
    cards = {
        card.all("h4")[0].text: card
        for card in drift.walk()
        if card.tag == "div" and card.all("h4") and "card" in card.classes
    }
    assert set(cards) == {"weekday", "hour", "out.score", "distance", "origin", "carrier", "dest"}
    assert len(cards["hour"].all("svg")[0].all("rect")) == 24
    # 900 rows, evenly over the 19 hours from 9 on, where the reference has 18 from 5 on.
    assert cards["hour"].all("svg")[0].attributes["aria-label"] == (
        "hour: 5 has 0\u00a0% of the window, 5.6\u00a0% of the reference"
    )
    assert "900 predictions, 30 needed, compared with 3 000 rows of the reference" in drift.text
    assert {name for name, card in cards.items() if "has-moved" in card.classes} == {"hour", "out.score"}


def test_the_card_is_shown_as_it_is_signed(whole: World) -> None:
    for path in (MODEL, f"{MODEL}/versions/v16"):
        card = whole.client.page(path).find("card")
        assert '<script>document.title = "taken"</script>' in card.text
        assert [link.attributes["href"] for link in card.all("a")] == [
            "https://example.com/a",
            "https://example.com/pixel.png",
        ]
        assert "average_precision all 32605 0.480726" in card.text


# What cannot be read is said.


def forbidden(path: str) -> dict[str, Any]:
    return {f"GET {path}": status(403, "Forbidden", "no")}


LISTS, API = paths("demo"), "/api/v1/namespaces/demo"
POD = "flights-late-server-7d9c4-x2x7k"
NO_PROXY = {
    f"GET {API}/pods/{name}:8081/proxy/metrics": status(403, "Forbidden", "no")
    for name in (POD, POD.replace("x2x7k", "p9q4z"))
}
SILENT = dict.fromkeys(NO_PROXY, (502, "no"))
UNREAD: dict[str, tuple[dict[str, Any], str, int, str]] = {
    "no Secret": ({}, "drift", 200, 'No bars: Secret "treadle-store" does not exist in demo.'),
    "no right to the Secret": (
        forbidden(f"{API}/secrets/treadle-store"), "drift", 200, "No bars: no right to get secrets in demo; ask for",
    ),
    "no right to pods": (
        forbidden(LISTS["pods"]), "now", 200,
        "No requests, errors or times are shown: no right to list pods in demo.",
    ),
    "no right to their proxy": (
        NO_PROXY, "now", 200, "No requests, errors or times are shown: no right to get pods/proxy in demo",
    ),
    "pods that do not answer": (
        SILENT, "now", 200, "No requests, errors or times are shown: no serving pod told what it counts.",
    ),
    "no right to events": (forbidden(LISTS["events"]), "main", 200, "No right to list events in demo."),
    "no right to anything": (
        {key: value for part in LISTS for key, value in forbidden(LISTS[part]).items()}, "main", 403,
        "The cluster did not answer No right to list datasources.treadle.dev in demo; ask for a Role",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("routes", "part", "code", "line"), UNREAD.values(), ids=UNREAD.keys())
def test_what_cannot_be_read_is_said(
    exhibit: tuple[Situation, Path], tmp_path: Path, routes: dict[str, Any], part: str, code: int, line: str
) -> None:
    with ExitStack() as stack:
        client = opened(stack, tmp_path, answered(exhibit[0]) | routes).client
        found, _, body = client.get(MODEL)
        assert found == code
        assert line in parse(body).find(part).text
        assert faults(parse(body)) == []


def test_a_server_that_is_gone_is_said(tmp_path: Path) -> None:
    answers = Answers(answered(STAGE))
    with ExitStack() as stack:
        with served(answers) as server:
            stack.enter_context(pytest.MonkeyPatch.context()).setenv(
                "KUBECONFIG", str(kubeconfig(tmp_path / "config", server))
            )
            client = entered(stack)
        code, _, body = client.get(MODEL)
        assert code == 502
        assert "Nothing answers at http://127.0.0.1" in parse(body).find("main").text


def test_a_store_that_is_out_of_reach_keeps_no_page_waiting(exhibit: tuple[Situation, Path], tmp_path: Path) -> None:
    """A port of loopback on which nobody answers at all: the page comes without the bars, and says so."""
    import socket

    with ExitStack() as stack, socket.create_server(("127.0.0.1", 0)) as deaf:
        data = {"bucket": "treadle", "endpoint": f"http://127.0.0.1:{deaf.getsockname()[1]}",
                "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}  # fmt: skip
        coded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
        secret = {f"GET {API}/secrets/treadle-store": (200, {"metadata": {"name": "treadle-store"}, "data": coded})}
        client = opened(stack, tmp_path, answered(exhibit[0]) | secret).client
        began = time.monotonic()
        page = client.page(MODEL)
        assert time.monotonic() - began < 8, "1.5 s for the window, 1.5 s for the card, and the rest for a slow machine"
        assert "No bars: the bucket has not answered yet; load the page again." in page.find("drift").text
        assert "lies in the bucket: the bucket has not answered yet" in page.find("card").text


def test_a_namespace_without_a_model(tmp_path: Path) -> None:
    with ExitStack() as stack:
        empty = Situation("ModelDeployment", "", ())
        page = opened(stack, tmp_path, answered(empty)).client.page("/")
        assert page.all("h1")[0].text == "0 models" and "treadle init FILE" in page.find("main").text


def test_data_that_no_model_uses_is_listed(tmp_path: Path) -> None:
    with ExitStack() as stack:
        page = opened(stack, tmp_path, answered(SITUATIONS["a version is published"]())).client.page("/")
        assert "flights VersionPublished" in page.find("main").text


# The program.


def started(tmp_path: Path, server: str, *words: str) -> "subprocess.Popen[str]":
    config = kubeconfig(tmp_path / "config", server)
    return subprocess.Popen(
        [sys.executable, "-m", "treadle", "ui", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={"KUBECONFIG": str(config), "PATH": "/nonexistent", "PYTHONUNBUFFERED": "1"},
    )


def test_it_prints_an_address_that_opens_and_ends_quietly(tmp_path: Path) -> None:
    with served(Answers(answered(STAGE))) as server:
        process = started(tmp_path, server)
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/\?key=[\w-]{32}", address)
        client = Client(address)
        assert client.get(f"/?{urlsplit(address).query}")[0] == 303
        process.send_signal(2)
        out, said = process.communicate(timeout=20)
        assert (process.returncode, out) == (0, "")
        assert said == f"Models of namespace demo at {server}; Ctrl-C ends it\n"


def test_a_port_in_use_is_one_line(tmp_path: Path) -> None:
    with served(Answers(answered(STAGE))) as server:
        port = str(urlsplit(server).port)
        process = started(tmp_path, server, "--port", port)
        out, said = process.communicate(timeout=20)
        assert (process.returncode, out) == (2, "")
        assert said == f"port {port} of 127.0.0.1: Address already in use; choose another by --port\n"


def test_no_cluster_is_one_line(tmp_path: Path) -> None:
    process = started(tmp_path, "http://127.0.0.1:9")
    out, said = process.communicate(timeout=20)
    assert (process.returncode, out, said.count("\n")) == (1, "", 1)
    assert said.startswith("Error: nothing answers at http://127.0.0.1:9")
    assert json.dumps(said)
