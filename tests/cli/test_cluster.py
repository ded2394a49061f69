"""The command line's way to a cluster: which one a kubeconfig names, what its answers mean, and how a proxy ends."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from answers import Answers, Asked, events, kubeconfig, listed, served, status
from treadle.cli.cluster import Answer, Cluster, Way, asked, choose, connected, kubeconfigs, object_of, ours, refusal

WITHIN_SECONDS = 10.0


def config(current: str = "", contexts: Any = (), clusters: Any = ()) -> dict[str, Any]:
    return {
        "current-context": current,
        "contexts": [{"name": name, "context": context} for name, context in contexts],
        "clusters": [{"name": name, "cluster": {"server": server}} for name, server in clusters],
    }


ONE = config("a", [("a", {"cluster": "a", "namespace": "demo"}), ("b", {"cluster": "b"})],
             [("a", "https://a.example"), ("b", "https://b.example")])  # fmt: skip
OTHER = config("b", [("a", {"cluster": "c"}), ("d", {"cluster": "c", "namespace": "d"})],
               [("a", "https://other.example"), ("c", "https://c.example")])  # fmt: skip

# documents, --context -> context, server, namespace
CHOSEN: dict[str, tuple[list[dict[str, Any]], str, tuple[str, str, str]]] = {
    "the current context": ([ONE], "", ("a", "https://a.example", "demo")),
    "the context asked for": ([ONE], "b", ("b", "https://b.example", "default")),
    "of two files the first current context": ([ONE, OTHER], "", ("a", "https://a.example", "demo")),
    "of two contexts of one name the first": ([OTHER, ONE], "a", ("a", "https://c.example", "default")),
    "of two clusters of one name the first": ([ONE, OTHER], "a", ("a", "https://a.example", "demo")),
    "a context of the second file": ([ONE, OTHER], "d", ("d", "https://c.example", "d")),
    "a first file without a current context": ([config(), ONE], "", ("a", "https://a.example", "demo")),
    "an empty file": ([{}, ONE], "", ("a", "https://a.example", "demo")),
    "entries that are none": (
        [{"contexts": [None, {"context": {}}], "clusters": None}, ONE],
        "",
        ("a", "https://a.example", "demo"),
    ),
}


@pytest.mark.parametrize(("documents", "wanted", "expected"), CHOSEN.values(), ids=CHOSEN.keys())
def test_a_context_is_chosen_as_kubectl_does(
    documents: list[dict[str, Any]], wanted: str, expected: tuple[str, str, str]
) -> None:
    found = choose(documents, wanted)
    assert (found.name, found.server, found.namespace) == expected


UNCHOSEN: dict[str, tuple[list[dict[str, Any]], str, str]] = {
    "no current context": (
        [config("", [("a", {"cluster": "a"})])], "",
        "no cluster is named: the kubeconfig has no current-context; give --context (known: a) or start one here with "
        "`treadle up DIR` and export the KUBECONFIG line that it prints",
    ),
    "an unknown context": ([ONE], "z", 'the kubeconfig has no context "z"; known: a, b'),
    "no context at all": ([{}], "z", 'the kubeconfig has no context "z"; known: none'),
    "a context without its cluster": (
        [config("a", [("a", {"cluster": "gone"})])], "",
        'context "a" names cluster "gone", for which the kubeconfig has no server',
    ),
}  # fmt: skip


@pytest.mark.parametrize(("documents", "wanted", "line"), UNCHOSEN.values(), ids=UNCHOSEN.keys())
def test_a_context_that_cannot_be_chosen(documents: list[dict[str, Any]], wanted: str, line: str) -> None:
    with pytest.raises(Answer) as found:
        choose(documents, wanted)
    assert found.value.message == line


def test_files_that_do_not_exist_are_left_out(tmp_path: Path) -> None:
    path = kubeconfig(tmp_path / "one", "http://x")
    found = kubeconfigs(os.pathsep.join([str(tmp_path / "none"), "", str(path)]))
    assert [document["current-context"] for document in found] == ["local"]


def test_without_kubeconfig_the_file_in_the_home_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".kube").mkdir()
    kubeconfig(tmp_path / ".kube" / "config", "http://x", name="home")
    assert kubeconfigs("")[0]["current-context"] == "home"


UNREADABLE = {
    "none exists": (None, "no cluster is named: "),
    "no YAML": ("a: [", "kubeconfig "),
    "no mapping": ("- a\n", "kubeconfig "),
    "no text": (b"\xff\xfe\x00", "kubeconfig "),
}


@pytest.mark.parametrize(("text", "begin"), UNREADABLE.values(), ids=UNREADABLE.keys())
def test_a_kubeconfig_that_cannot_be_read(text: str | bytes | None, begin: str, tmp_path: Path) -> None:
    path = tmp_path / "config"
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(Answer) as found:
        kubeconfigs(str(path))
    assert found.value.message.startswith(begin) and str(path) in found.value.message
    assert "\n" not in found.value.message


# What an answer means.

ROUTES = {
    "a list": ("GET", ours("DataSource", "demo"), ("list", "datasources.treadle.dev", "demo", "")),
    "an object": ("GET", ours("Monitor", "demo", "m"), ("get", "monitors.treadle.dev", "demo", "m")),
    "a change": ("PATCH", ours("Monitor", "demo", "m"), ("patch", "monitors.treadle.dev", "demo", "m")),
    "a core kind": ("GET", "/api/v1/namespaces/demo/pods", ("list", "pods", "demo", "")),
    "a subresource": ("GET", "/api/v1/namespaces/demo/pods/p/log", ("get", "pods/log", "demo", "p")),
    "a proxy": ("POST", "/api/v1/namespaces/demo/services/s:80/proxy/v2", ("create", "services/proxy", "demo", "s")),
    "a namespace": ("GET", "/api/v1/namespaces/demo", ("get", "namespaces", "", "demo")),
    "a watch": ("watch", "/apis/batch/v1/namespaces/demo/jobs", ("watch", "jobs.batch", "demo", "")),
    "a kind of no namespace": ("GET", "/apis/apps/v1/things", ("list", "things.apps", "", "")),
}  # fmt: skip


@pytest.mark.parametrize(("method", "path", "expected"), ROUTES.values(), ids=ROUTES.keys())
def test_what_a_request_asks_for(method: str, path: str, expected: tuple[str, str, str, str]) -> None:
    assert asked(method, path) == expected


FORBIDDEN = 'pods is forbidden: User "jane" cannot list resource "pods" in API group "" in the namespace "demo"'
PODS = "/api/v1/namespaces/demo/pods"
REFUSALS = {
    "nobody is known": ("GET", PODS, status(401, "Unauthorized", "Unauthorized"),
                        "the cluster does not know you (401); log in again, as for kubectl"),
    "a right is missing": ("GET", PODS, status(403, "Forbidden", FORBIDDEN),
                           f"no right to list pods in demo; ask for a Role with that verb ({FORBIDDEN})"),
    "a right to watch is missing": ("watch", PODS, status(403, "Forbidden", "no"),
                                    "no right to watch pods in demo; ask for a Role with that verb (no)"),
    "the CRDs are missing": (
        "GET", ours("DataSource", "demo"), (404, "404 page not found\n"),
        "the cluster does not know datasources.treadle.dev: Treadle's CRDs are not installed; "
        "kubectl apply -f crds/, or helm install treadle charts/treadle",
    ),
    "an object is missing": ("GET", ours("Monitor", "demo", "m"), status(404, "NotFound", 'monitors "m" not found'),
                             'monitors "m" not found'),
    "a path is unknown": ("GET", "/apis/x/v1/namespaces/demo/ys", (404, "404 page not found\n"),
                          "the cluster does not know ys.x"),
    "the proxy does not reach the server": (
        "GET", PODS, (500, "dial tcp: lookup nowhere.example: no such host\n"),
        "the cluster cannot be reached: dial tcp: lookup nowhere.example: no such host",
    ),
    "the server refuses a change": (
        "PATCH", ours("Monitor", "demo", "m"), status(422, "Invalid", "spec.schedule: bad"),
        "patch monitors.treadle.dev m in demo: spec.schedule: bad (422)",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("method", "path", "reply", "line"), REFUSALS.values(), ids=REFUSALS.keys())
def test_a_refusal_is_one_line(method: str, path: str, reply: Any, line: str) -> None:
    text = json.dumps(reply[1]) if isinstance(reply[1], dict) else reply[1]
    found = refusal(method, path, reply[0], text)
    assert (found.message, found.status, found.exit_code) == (line, reply[0], 1)


# Over TCP and over a Unix socket.


@pytest.fixture(params=["tcp", "unix"])
def script(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Answers, Cluster]]:
    answers = Answers()
    with served(answers, tmp_path / "s" if request.param == "unix" else None) as where:
        if request.param == "unix":
            yield answers, Cluster(Way("c", "https://c", path=where), "demo")
        else:
            yield answers, Cluster(Way("c", where, "127.0.0.1", int(where.rpartition(":")[2]), "/prefix"), "demo")


def under(cluster: Cluster, path: str) -> str:
    return cluster.way.prefix + path


def test_a_list_is_read_page_by_page_with_the_kind_of_its_items(script: tuple[Answers, Cluster]) -> None:
    answers, cluster = script
    path = ours("DataSource", "demo")

    def pages(asked: Asked) -> Any:
        first = {"metadata": {"name": "a"}}, {"metadata": {"name": "b"}}
        is_first = "continue" not in asked.query
        return (
            listed("DataSource", *first, following="more")
            if is_first
            else listed("DataSource", {"metadata": {"name": "c"}})
        )

    answers.routes[f"GET {under(cluster, path)}"] = pages
    found = cluster.items(path, labelSelector="a=b")
    assert [(each["kind"], each["metadata"]["name"]) for each in found] == [("DataSource", name) for name in "abc"]
    assert [request.query for request in answers.asked] == [
        {"labelSelector": "a=b", "limit": "500"}, {"labelSelector": "a=b", "limit": "500", "continue": "more"},
    ]  # fmt: skip
    assert {request.headers["user-agent"].partition("/")[0] for request in answers.asked} == {"treadle"}


def test_an_object_is_found_or_none(script: tuple[Answers, Cluster]) -> None:
    answers, cluster = script
    answers.routes[under(cluster, ours("Monitor", "demo", "m"))] = 200, {"kind": "Monitor"}
    answers.routes[under(cluster, ours("Monitor", "demo", "n"))] = status(404, "NotFound", "none")
    assert cluster.find(ours("Monitor", "demo", "m")) == {"kind": "Monitor"}
    assert cluster.find(ours("Monitor", "demo", "n")) is None
    with pytest.raises(Answer, match="CRDs are not installed"):
        cluster.find(ours("DataSource", "demo", "n"))


def test_a_change_is_sent_as_a_patch_and_may_be_tried(script: tuple[Answers, Cluster]) -> None:
    answers, cluster = script
    answers.routes[f"PATCH {under(cluster, ours('Monitor', 'demo', 'm'))}"] = 200, {"kind": "Monitor"}
    for dry_run in (False, True):
        cluster.patch(ours("Monitor", "demo", "m"), {"spec": {"suspend": True}}, dry_run=dry_run)
    first, second = answers.asked
    assert (first.headers["content-type"], json.loads(first.body)) == (
        "application/merge-patch+json", {"spec": {"suspend": True}},
    )  # fmt: skip
    assert first.query == {"fieldManager": "treadle-cli"}
    assert second.query == {"fieldManager": "treadle-cli", "dryRun": "All"}


def test_a_watch_tells_events_until_it_ends(script: tuple[Answers, Cluster]) -> None:
    answers, cluster = script
    answers.routes[under(cluster, PODS)] = events(("ADDED", {"n": 1}), ("BOOKMARK", {"n": 2}))
    assert list(cluster.watch(PODS, resourceVersion="7")) == [("ADDED", {"n": 1}), ("BOOKMARK", {"n": 2})]
    assert answers.asked[0].query == {"watch": "true", "resourceVersion": "7"}


WATCHES = {
    "too old": (events(("ERROR", {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"})), 410),
    "refused": (status(403, "Forbidden", "no"), 403),
}


@pytest.mark.parametrize(("reply", "code"), WATCHES.values(), ids=WATCHES.keys())
def test_a_watch_that_cannot_go_on_says_why(script: tuple[Answers, Cluster], reply: Any, code: int) -> None:
    answers, cluster = script
    answers.routes[under(cluster, PODS)] = reply
    with pytest.raises(Answer) as found:
        list(cluster.watch(PODS))
    assert found.value.status == code


def test_what_is_no_json_is_no_api_server(script: tuple[Answers, Cluster]) -> None:
    answers, cluster = script
    answers.routes[under(cluster, PODS)] = 200, "<html>hello</html>"
    with pytest.raises(Answer, match=r"which is no JSON; is this an API server\?"):
        cluster.get(PODS)


def test_a_server_that_is_gone_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with served(Answers()) as server:
        pass
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path / "c", server)))
    with pytest.raises(Answer) as found, connected("", "") as cluster:
        cluster.get(PODS)
    assert found.value.message == (
        f'nothing answers at {server}, the server of context "local" (Connection refused); '
        "is `treadle up` still running?"
    )


def test_a_local_server_is_spoken_to_directly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with served(Answers({PODS: listed("Pod")})) as server:
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path / "c", server, namespace="demo")))
        monkeypatch.setenv("PATH", "")
        with connected("", "") as cluster:
            assert (cluster.items(PODS), cluster.namespace, cluster.way.is_local) == ([], "demo", True)
        with connected("", "other") as cluster:
            assert cluster.namespace == "other"


def test_a_server_that_is_no_url_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path / "c", "http://127.0.0.1:port")))
    with (
        pytest.raises(Answer, match=r"127[.]0[.]0[.]1:port, which is no URL"),
        connected("", ""),
    ):
        pass


# Through kubectl proxy.

PROXY = """
import os, socketserver, sys
from http.server import BaseHTTPRequestHandler
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        body = b'{"kind": "PodList", "metadata": {}, "items": []}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def address_string(self): return ""
    def log_message(self, *_): pass
path = next(word for word in sys.argv if word.startswith("--unix-socket=")).partition("=")[2]
open(os.environ["SAID"], "w").write(f"{os.getpid()} {' '.join(sys.argv[1:])}")
socketserver.ThreadingUnixStreamServer(path, Handler).serve_forever()
"""


@pytest.fixture
def proxied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in for kubectl on the path; return the file that tells its process id and arguments."""
    (tmp_path / "proxy.py").write_text(PROXY)
    program = tmp_path / "bin" / "kubectl"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{tmp_path}/proxy.py" "$@"\n')
    program.chmod(0o755)
    said = tmp_path / "said"
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("SAID", str(said))
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path / "config", "https://far.example", name="far")))
    return said


def eventually(holds: Any) -> None:
    until = time.monotonic() + WITHIN_SECONDS
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.01)


def is_alive(pid: int) -> bool:
    """Say whether a process runs; one that nobody has waited for yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_another_cluster_is_reached_through_kubectl_with_the_users_own_rights(proxied: Path) -> None:
    with connected("", "") as cluster:
        assert cluster.items(PODS) == []
        assert not cluster.way.is_local
        pid, arguments = proxied.read_text().split(" ", 1)
        directory = Path(cluster.way.path).parent
        assert (directory.stat().st_mode & 0o777, is_alive(int(pid))) == (0o700, True)
    assert arguments == f"proxy --unix-socket={directory}/s --context=far --append-server-path"
    assert not is_alive(int(pid)) and not directory.exists()


def test_the_proxy_ends_with_a_command_that_fails(proxied: Path) -> None:
    with pytest.raises(KeyboardInterrupt), connected("", ""):
        raise KeyboardInterrupt
    assert not is_alive(int(proxied.read_text().split()[0]))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_the_proxy_ends_with_a_command_that_is_killed(proxied: Path, number: signal.Signals) -> None:
    program = textwrap.dedent(
        """
        import sys, time
        from treadle.cli.cluster import connected
        with connected("", ""):
            print("open", flush=True)
            time.sleep(60)
        """
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    with process:
        assert process.stdout is not None and process.stdout.readline() == b"open\n"
        pid = int(proxied.read_text().split()[0])
        assert is_alive(pid)
        directory = Path(proxied.read_text().partition("--unix-socket=")[2].partition("/s ")[0])
        assert directory.is_dir()
        process.send_signal(number)
    eventually(lambda: not is_alive(pid) and not directory.exists())


def test_without_kubectl_the_line_says_what_it_is_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path / "config", "https://far.example", name="far")))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Answer) as found, connected("", ""):
        pass
    assert found.value.message == (
        'kubectl is not on the path, and context "far" (https://far.example) is reached through it'
    )


ENDINGS = {
    "it says why": ("echo 'error: no plug-in' >&2; exit 1", 'kubectl cannot open context "far": error: no plug-in'),
    "it says nothing": ("exit 1", 'kubectl cannot open context "far": no message'),
    "it asks for a password": (
        "echo 'error: EOF' >&2; exit 1", 'kubectl cannot open context "far": its user has no credentials',
    ),
}  # fmt: skip


@pytest.mark.parametrize(("body", "line"), ENDINGS.values(), ids=ENDINGS.keys())
def test_a_proxy_that_does_not_start(body: str, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "kubectl"
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(0o755)
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path / "config", "https://far.example", name="far")))
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(Answer) as found, connected("", ""):
        pass
    assert found.value.message == line


# KIND/NAME.

NAMED = {
    "x": ("ModelDeployment", "x"),
    "mdep/x": ("ModelDeployment", "x"),
    "dsrc/x": ("DataSource", "x"),
    "TJ/x": ("TrainingJob", "x"),
    "monitors/x": ("Monitor", "x"),
    "trainingjobs.treadle.dev/x": ("TrainingJob", "x"),
    "DataSource/x": ("DataSource", "x"),
}


@pytest.mark.parametrize(("text", "expected"), NAMED.items())
def test_an_object_is_named_as_for_kubectl(text: str, expected: tuple[str, str]) -> None:
    assert object_of(text) == expected


UNNAMED = {
    "pod/x": '"pod" is none of the four kinds; write one of dsrc, tj, mdep, mon before /x',
    "tj/": '"tj/" names no object; write for example tj/flights-late',
}


@pytest.mark.parametrize(("text", "line"), UNNAMED.items())
def test_what_names_no_object_is_wrong_usage(text: str, line: str) -> None:
    with pytest.raises(click.UsageError) as found:
        object_of(text)
    assert (found.value.message, found.value.exit_code) == (line, 2)
