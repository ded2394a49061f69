"""The one way to a cluster: HTTP to a local server, or through `kubectl proxy` with the user's own rights."""

import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

import click

from treadle import __version__
from treadle.api.names import API_VERSION, GROUP, PLURALS

if TYPE_CHECKING:
    from http.client import HTTPConnection, HTTPResponse

type Object = dict[str, Any]

ANSWERED_WITHIN_SECONDS = 30.0
PROXY_STARTS_WITHIN_SECONDS = 15.0
PAGE = "500"

START = "start one here with `treadle up DIR` and export the KUBECONFIG line that it prints"
INSTALL = "kubectl apply -f crds/, or helm install treadle charts/treadle"


class Answer(click.ClickException):
    """An answer other than what was asked for, as the one line that a person reads."""

    def __init__(self, message: str, *, status: int = 0, reason: str = "", text: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.text = text or message


@dataclass(frozen=True, slots=True)
class Context:
    """What a kubeconfig says of one context."""

    name: str
    server: str
    namespace: str


@dataclass(frozen=True, slots=True)
class Way:
    """Where requests go: a host and port, or the socket of a proxy."""

    context: str
    server: str
    """What a person knows it by."""
    host: str = "localhost"
    port: int = 80
    prefix: str = ""
    path: str = ""
    """The Unix socket, where there is one."""

    @property
    def is_local(self) -> bool:
        """Tell whether requests go straight to the server."""
        return not self.path

    @contextmanager
    def opened(self, seconds: float | None) -> "Iterator[HTTPConnection]":
        """Connect for one request, so that threads need not share."""
        from http.client import HTTPConnection

        connection = HTTPConnection(self.host, self.port, timeout=seconds)
        try:
            if self.path:
                connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                connection.sock.settimeout(seconds)
                connection.sock.connect(self.path)
            yield connection
        finally:
            connection.close()


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster under one context, with the namespace that a command works in."""

    way: Way
    namespace: str

    def get(self, path: str, **query: str) -> Object:
        """Return a document; raise Answer for anything else."""
        return _document("GET", path, *self._ask("GET", path, query))

    def find(self, path: str, **query: str) -> Object | None:
        """Return an object, or None where it does not exist; a kind that the server does not know is an Answer."""
        try:
            return self.get(path, **query)
        except Answer as answer:
            if answer.status == 404 and answer.reason == "NotFound":
                return None
            raise

    def items(self, path: str, **query: str) -> list[Object]:
        """Return every object of a list, each with its kind, page by page."""
        return self.listed(path, **query)[0]

    def listed(self, path: str, **query: str) -> tuple[list[Object], str]:
        """Return every object of a list, and the resource version from which a watch goes on."""
        found: list[Object] = []
        page = self.get(path, **(query | {"limit": PAGE}))
        while True:
            kind = {"apiVersion": page.get("apiVersion"), "kind": str(page.get("kind")).removesuffix("List")}
            found += [kind | item for item in page.get("items") or []]
            following = page["metadata"].get("continue")
            if not following:
                return found, page["metadata"].get("resourceVersion", "")
            page = self.get(path, **(query | {"limit": PAGE, "continue": following}))

    def patch(
        self, path: str, body: Object, *, kind: str = "application/merge-patch+json", dry_run: bool = False
    ) -> Object:
        """Change an object and return it; a dry run is checked by the server and kept by nobody."""
        query = {"fieldManager": "treadle-cli"} | ({"dryRun": "All"} if dry_run else {})
        return _document("PATCH", path, *self._ask("PATCH", path, query, json.dumps(body).encode(), kind))

    def send(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        headers: Mapping[str, str] = {},
        seconds: float = ANSWERED_WITHIN_SECONDS,
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Return status, headers and body of an answer as they came, with the names of headers in small letters."""
        with self._answer(method, path, body, headers, seconds) as response:
            return response.status, {key.lower(): value for key, value in response.getheaders()}, response.read()

    def lines(self, path: str, query: Mapping[str, str] = {}, seconds: float | None = None) -> Iterator[bytes]:
        """Give the lines of an answer as they come, until the server ends it; raise Answer for none in `seconds`."""
        target = f"{path}?{urlencode(query)}" if query else path
        with self._answer("GET", target, b"", {}, seconds) as response:
            if response.status != 200:
                text = response.read().decode(errors="replace")
                raise refusal("watch" if "watch" in query else "GET", path, response.status, text)
            yield from response

    def watch(self, path: str, **query: str) -> Iterator[tuple[str, Object]]:
        """Give what happens, as ADDED, MODIFIED, DELETED or BOOKMARK and the object, until the server ends it.

        Raises Answer with status 410 where the resource version is too old to go on from.
        """
        within = float(query["timeoutSeconds"]) + ANSWERED_WITHIN_SECONDS if "timeoutSeconds" in query else None
        for line in self.lines(path, {"watch": "true", **query}, within):
            try:
                event = json.loads(line)
                type_, thing = event["type"], event["object"]
            except (ValueError, KeyError) as error:
                raise Answer(f"a watch of {path} told {_short(line.decode(errors='replace'))}, no event") from error
            if type_ == "ERROR":
                raise refusal("watch", path, int(thing.get("code", 500)), json.dumps(thing))
            yield type_, thing

    def _ask(
        self, method: str, path: str, query: Mapping[str, str], body: bytes = b"", kind: str = ""
    ) -> tuple[int, bytes]:
        target = f"{path}?{urlencode(query)}" if query else path
        headers = {"Accept": "application/json"} | ({"Content-Type": kind} if kind else {})
        status, _, text = self.send(method, target, body, headers)
        return status, text

    @contextmanager
    def _answer(
        self, method: str, target: str, body: bytes, headers: Mapping[str, str], seconds: float | None
    ) -> "Iterator[HTTPResponse]":
        from http.client import HTTPException

        told = {"User-Agent": f"treadle/{__version__}"} | dict(headers)
        try:
            with self.way.opened(seconds) as connection:
                connection.request(method, self.way.prefix + target, body or None, told)
                yield connection.getresponse()
        except TimeoutError as error:
            raise Answer(f"{self.way.server} did not answer {method} {target} within {seconds:g} s") from error
        except (OSError, HTTPException) as error:
            raise Answer(unreachable(self.way, error)) from error


def ours(kind: str, namespace: str, name: str = "") -> str:
    """Return the path of one of the four kinds, or of one object of it."""
    path = f"/apis/{API_VERSION}/namespaces/{namespace}/{PLURALS[kind]}"
    return f"{path}/{name}" if name else path


def core(plural: str, namespace: str, name: str = "") -> str:
    """Return the path of a kind of the group without a name, or of one object of it."""
    path = f"/api/v1/namespaces/{namespace}/{plural}"
    return f"{path}/{name}" if name else path


NAMES = {
    spelling: kind
    for kind, short in {"DataSource": "dsrc", "TrainingJob": "tj", "ModelDeployment": "mdep", "Monitor": "mon"}.items()
    for spelling in (short, kind.lower(), PLURALS[kind], f"{PLURALS[kind]}.{GROUP}")
}
"""What people call the four kinds, as kubectl reads it."""


def object_of(text: str, default: str = "ModelDeployment") -> tuple[str, str]:
    """Return the kind and name that KIND/NAME means; a name alone is of the default kind. Raise UsageError."""
    word, slash, name = text.rpartition("/")
    kind = NAMES.get(word.lower()) if slash else default
    if kind is None:
        known = ", ".join(spelling for spelling in NAMES if len(spelling) <= 4)
        raise click.UsageError(f'"{word}" is none of the four kinds; write one of {known} before /{name}')
    if not name:
        raise click.UsageError(f'"{text}" names no object; write for example {word or "mdep"}/flights-late')
    return kind, name


@contextmanager
def connected(context: str, namespace: str) -> Iterator[Cluster]:
    """Give the cluster of a context, the current one if it is empty; a proxy that was needed ends with the block."""
    chosen = choose(kubeconfigs(os.environ.get("KUBECONFIG", "")), context)
    space = namespace or chosen.namespace
    if chosen.server.startswith("http://"):
        yield Cluster(direct(chosen), space)
        return
    with proxy(chosen) as path:
        yield Cluster(Way(chosen.name, chosen.server, path=path), space)


def direct(context: Context) -> Way:
    """Return the way to a server that is spoken to in plain HTTP."""
    url = urlsplit(context.server)
    try:
        return Way(context.name, context.server, url.hostname or "localhost", url.port or 80, url.path.rstrip("/"))
    except ValueError as error:
        raise Answer(f'context "{context.name}" has server {context.server}, which is no URL: {error}') from error


def CONNECTION[**P, R](command: Callable[P, R]) -> Callable[P, R]:  # noqa: N802
    """Give a command the options that say where it works."""
    command = click.option(
        "--context", default="", metavar="NAME", help="Context of the kubeconfig. Default: its own."
    )(command)
    return click.option(
        "-n", "--namespace", default="", metavar="NAME", help="Namespace. Default: that of the context."
    )(command)


# The kubeconfig.


def kubeconfigs(variable: str) -> list[Object]:
    """Read the files that KUBECONFIG lists, or ~/.kube/config; those that do not exist are left out, as kubectl does.

    variable: the value of KUBECONFIG.
    """
    named = [Path(part) for part in variable.split(os.pathsep) if part] or [Path.home() / ".kube" / "config"]
    found = [path for path in named if path.exists()]
    if not found:
        looked = " and ".join(str(path) for path in named)
        raise Answer(f"no cluster is named: {looked} does not exist; {START}")
    documents = []
    for path in found:
        try:
            document = _loaded(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            said = " ".join(str(error).split())
            raise Answer(
                f"kubeconfig {path} cannot be read: {said}; correct it or name another in KUBECONFIG"
            ) from error
        if document is not None and not isinstance(document, dict):
            raise Answer(f"kubeconfig {path} holds no mapping; correct it or name another in KUBECONFIG")
        documents.append(document or {})
    return documents


def _loaded(text: str) -> Any:
    """Return what a kubeconfig spells; raise ValueError for no YAML."""
    if text.startswith("{"):
        # `treadle up` writes JSON, which is YAML that needs no library.
        with suppress(ValueError):
            return json.loads(text)
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error


def choose(documents: list[Object], wanted: str) -> Context:
    """Return a context of merged kubeconfigs: of two that say the same thing, the first is right."""
    name = wanted or next((text for document in documents if (text := document.get("current-context"))), "")
    contexts = _by_name(documents, "contexts", "context")
    known = ", ".join(contexts) or "none"
    if not name:
        raise Answer(
            f"no cluster is named: the kubeconfig has no current-context; give --context (known: {known}) or {START}"
        )
    if name not in contexts:
        raise Answer(f'the kubeconfig has no context "{name}"; known: {known}')
    context = contexts[name]
    clusters = _by_name(documents, "clusters", "cluster")
    server = clusters.get(context.get("cluster", ""), {}).get("server", "")
    if not server:
        raise Answer(
            f'context "{name}" names cluster "{context.get("cluster", "")}", for which the kubeconfig has no server'
        )
    return Context(name, server, context.get("namespace") or "default")


def _by_name(documents: list[Object], plural: str, singular: str) -> dict[str, Object]:
    named: dict[str, Object] = {}
    for document in documents:
        for entry in document.get(plural) or []:
            if isinstance(entry, dict) and entry.get("name"):
                named.setdefault(str(entry["name"]), entry.get(singular) or {})
    return named


# The proxy.

# The pipe on its standard input ends with this process, however that ends, and the proxy with the pipe.
GUARDED = """
exec 3<&0
kubectl proxy --unix-socket="$0/s" "$@" 3<&- & proxy=$!
( read -r _ <&3; kill "$proxy" ) 2>/dev/null & guard=$!
wait "$proxy"; code=$?
kill "$guard" 2>/dev/null
rm -f "$0/s"; rmdir "$0"
exit "$code"
"""


@contextmanager
def proxy(context: Context) -> Iterator[str]:
    """Run `kubectl proxy` on a socket that only this user can open, and give its path."""
    if shutil.which("kubectl") is None:
        raise Answer(
            f'kubectl is not on the path, and context "{context.name}" ({context.server}) is reached through it'
        )
    directory = tempfile.mkdtemp(prefix="treadle-")
    with tempfile.TemporaryFile() as said:
        path = f"{directory}/s"
        arguments = [f"--context={context.name}", "--append-server-path"]
        # A session of its own: an interrupt from the terminal is for this process, which then closes the pipe.
        process = subprocess.Popen(
            ["sh", "-c", GUARDED, directory, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=said,
            start_new_session=True,
        )
        assert process.stdin is not None
        try:
            _await(path, process)
            if process.poll() is not None:
                said.seek(0)
                words = said.read().decode(errors="replace").strip().splitlines() or ["no message"]
                # It asks for a name and a password where the kubeconfig has neither these nor anything else.
                cause = "its user has no credentials" if words[-1] == "error: EOF" else words[-1]
                raise Answer(f'kubectl cannot open context "{context.name}": {cause}')
            yield path
        finally:
            process.stdin.close()
            process.wait()


def _await(path: str, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + PROXY_STARTS_WITHIN_SECONDS
    while process.poll() is None and time.monotonic() < until:
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.connect(path)
            return
        time.sleep(0.005)
    if process.poll() is None:
        raise Answer(f"kubectl proxy did not start within {PROXY_STARTS_WITHIN_SECONDS:g} s")


# What an answer means.


def unreachable(way: Way, error: Exception) -> str:
    """Return the line for a server that cannot be spoken to."""
    said = getattr(error, "strerror", None) or str(error) or type(error).__name__
    todo = "is `treadle up` still running?" if way.is_local else "run the command again"
    return f'nothing answers at {way.server}, the server of context "{way.context}" ({said}); {todo}'


def _document(method: str, path: str, status: int, body: bytes) -> Object:
    text = body.decode(errors="replace")
    if not 200 <= status < 300:
        raise refusal(method, path, status, text)
    try:
        document: Object = json.loads(text)
    except ValueError as error:
        raise Answer(
            f"{method} {path} was answered by {_short(text)}, which is no JSON; is this an API server?"
        ) from error
    return document


VERBS = {"watch": "watch", "PATCH": "patch", "POST": "create", "PUT": "update", "DELETE": "delete"}


def refusal(method: str, path: str, status: int, text: str) -> Answer:
    """Return an answer that is no success as the line that says what it means and what to do."""
    told = _status(text)
    reason, message = told.get("reason", ""), told.get("message", "") or _short(text)
    verb, resource, namespace, name = asked(method, path)
    where = f" in {namespace}" if namespace else ""
    if status == 401:
        line = "the cluster does not know you (401); log in again, as for kubectl"
    elif status == 403:
        line = f"no right to {verb} {resource}{where}; ask for a Role with that verb ({message})"
    elif status == 404 and not told and resource.endswith(f".{GROUP}"):
        line = f"the cluster does not know {resource}: Treadle's CRDs are not installed; {INSTALL}"
    elif status == 404:
        line = message if told else f"the cluster does not know {resource or path}"
    elif not told and status >= 500:
        # `kubectl proxy` says so what keeps it from the server: a name, a certificate, a plug-in.
        line = f"the cluster cannot be reached: {message}"
    else:
        line = f"{verb} {resource} {name}{where}: {message} ({status})".replace("  ", " ")
    return Answer(line, status=status, reason=reason, text=text)


def asked(method: str, path: str) -> tuple[str, str, str, str]:
    """Return the verb, the resource with subresource and group, the namespace and the name that a request is about."""
    parts = [part for part in urlsplit(path).path.split("/") if part]
    group, rest = (parts[1], parts[3:]) if parts[:1] == ["apis"] else ("", parts[2:])
    namespace = ""
    if rest[:1] == ["namespaces"] and len(rest) > 2:
        namespace, rest = rest[1], rest[2:]
    plural, name, sub = [*rest[:3], "", "", ""][:3]
    resource = plural + (f"/{sub}" if sub else "") + (f".{group}" if group else "")
    return VERBS.get(method, "get" if name else "list"), resource, namespace, name.partition(":")[0]


def _status(text: str) -> Object:
    try:
        told = json.loads(text)
    except ValueError:
        return {}
    return told if isinstance(told, dict) and told.get("kind") == "Status" else {}


def _short(text: str) -> str:
    line = " ".join(text.split())
    return (line[:200] + "…" if len(line) > 200 else line) or "nothing"
