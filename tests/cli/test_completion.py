"""Completion as a shell and kubectl ask for it: what is offered, and that nothing is ever printed besides."""

import json
import os
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread

import click
import pytest

from treadle.__main__ import PROGRAMS
from treadle.cli.completion import OFFERS, SHELLS, Offered, offering
from treadle.cli.main import COMMANDS, Commands

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
NAMES = {
    "modeldeployments": ["flights-late", "rents"],
    "trainingjobs": ["flights-late-first"],
    "datasources": ["flights"],
}

# A shell that sources the script and is asked for the words after those that are given, the last one unfinished.
ASKED = """
source <(treadle completion bash)
COMP_WORDS=(treadle "$@"); COMP_CWORD=$#
_treadle_completion treadle
printf '%s\\n' "${COMPREPLY[@]}"
"""


class Api(BaseHTTPRequestHandler):
    """An API server that knows names alone; the namespace `slow` never answers, and `closed` refuses."""

    ended = Event()

    def do_GET(self) -> None:
        path = self.path.partition("?")[0].split("/")
        if "slow" in path:
            self.ended.wait(30)
            return
        is_space = path[-1] == "namespaces"
        names = ["demo", "sales"] if is_space else NAMES.get(path[-1], [])
        items = [{"metadata": {"name": f"{name}" if is_space else f"{name}{suffix(path)}"}} for name in names]
        body = json.dumps({"kind": "List", "apiVersion": "v1", "metadata": {}, "items": items}).encode()
        self.send_response(403 if "closed" in path else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


def suffix(path: list[str]) -> str:
    """Names tell their namespace, but for that of the kubeconfig."""
    return "" if "demo" in path else f"-{path[path.index('namespaces') + 1]}"


@pytest.fixture(scope="module")
def kubeconfig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Api)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    path = tmp_path_factory.mktemp("completion") / "kubeconfig"
    cluster = {"name": "c", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}
    context = {"name": "here", "context": {"cluster": "c", "namespace": "demo"}}
    path.write_text(json.dumps({"clusters": [cluster], "contexts": [context], "current-context": "here"}))
    yield path
    Api.ended.set()
    server.shutdown()
    server.server_close()
    thread.join()


def environment(kubeconfig: Path | str) -> dict[str, str]:
    return {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "KUBECONFIG": str(kubeconfig), "HOME": "/nonexistent"}


def bash(kubeconfig: Path | str, *words: str) -> tuple[list[str], str]:
    """Return what bash would offer after `treadle WORDS`, and what was printed beside it."""
    done = subprocess.run(
        ["bash", "--norc", "-c", ASKED, "bash", *words],
        check=False, capture_output=True, text=True, env=environment(kubeconfig), timeout=60,
    )  # fmt: skip
    return done.stdout.split(), done.stderr


def kubectl(kubeconfig: Path | str, *words: str) -> tuple[int, str, str]:
    """Return what kubectl_complete-treadle answers."""
    code = "import sys; from treadle.__main__ import complete; sys.exit(complete())"
    done = subprocess.run(
        [sys.executable, "-c", code, *words],
        check=False, capture_output=True, text=True, env=environment(kubeconfig), timeout=60,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


# name: (words, what bash offers)
OFFERED = {
    "commands": (("pro",), ["promote"]),
    "commands of a group": (("store", "in"), ["init"]),
    "options": (("init", "--ta"), ["--target"]),
    "choices": (("completion", ""), list(SHELLS)),
    "deployments": (("promote", ""), ["flights-late", "rents"]),
    "deployments that begin so": (("promote", "fl"), ["flights-late"]),
    "deployments of another namespace": (("promote", "-n", "sales", "r"), ["rents-sales"]),
    "objects": (("wait", ""), ["dsrc/flights", "mdep/flights-late", "mdep/rents", "tj/flights-late-first"]),
    "objects of a kind": (("wait", "tj/"), ["tj/flights-late-first"]),
    "models, or objects": (("status", "f"), ["flights-late"]),
    "namespaces": (("status", "-n", ""), ["demo", "sales"]),
    "contexts": (("status", "--context", ""), ["here"]),
    "nothing where there is no right": (("promote", "-n", "closed", ""), []),
    "nothing for an unknown context": (("promote", "--context", "there", ""), []),
}


@pytest.mark.parametrize(("words", "offered"), OFFERED.values(), ids=OFFERED.keys())
def test_what_bash_offers(words: tuple[str, ...], offered: list[str], kubeconfig: Path) -> None:
    assert bash(kubeconfig, *words) == (offered, "")


def test_without_a_cluster_nothing_is_offered_and_nothing_is_said(tmp_path: Path) -> None:
    assert bash(tmp_path / "none", "promote", "") == ([], "")
    broken = tmp_path / "broken"
    broken.write_text("{")
    assert bash(broken, "promote", "") == ([], "")


def test_a_cluster_that_does_not_answer_is_not_waited_for(kubeconfig: Path) -> None:
    began = time.monotonic()
    assert bash(kubeconfig, "promote", "-n", "slow", "") == ([], "")
    assert time.monotonic() - began < 10


KUBECTL = {
    "commands, with what they do": (("pro",), "promote\tMake the candidate champion.\n:4\n"),
    "objects": (("rollback", ""), "flights-late\nrents\n:4\n"),
    "files": (("init", ""), ":0\n"),
    "files among texts": (("validate", ""), ":0\n"),
    "directories": (("init", "x.csv", "--directory", ""), ":0\n"),
    "nothing known": (("promote", "x"), ":4\n"),
}


@pytest.mark.parametrize(("words", "answer"), KUBECTL.values(), ids=KUBECTL.keys())
def test_what_kubectl_is_told(words: tuple[str, ...], answer: str, kubeconfig: Path) -> None:
    assert kubectl(kubeconfig, *words) == (0, answer, "")


def test_kubectl_itself_offers_it(kubeconfig: Path, tmp_path: Path) -> None:
    program = Path(os.environ.get("TREADLE_CACHE", Path.home() / ".cache/treadle")) / "bin" / "kubectl"
    if not program.exists():
        pytest.skip(f"{program} is missing: hack/cluster/build.sh kubectl")
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    for name in ("kubectl-treadle", "kubectl_complete-treadle"):
        module, _, function = scripts[name].partition(":")
        path = tmp_path / name
        path.write_text(f"#!{sys.executable}\nimport sys\nfrom {module} import {function}\nsys.exit({function}())\n")
        path.chmod(0o755)
    found = environment(kubeconfig)
    found["PATH"] = f"{tmp_path}{os.pathsep}{found['PATH']}"
    done = subprocess.run(
        [program, "__complete", "treadle", "promote", "fl"],
        check=False, capture_output=True, text=True, env=found, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "flights-late\n:4\n")


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_of_a_shell(shell: str) -> None:
    done = subprocess.run(
        [BIN / "treadle", "completion", shell], check=True, capture_output=True, text=True, env=environment("")
    )
    assert done.stderr == ""
    assert f"_TREADLE_COMPLETE={shell}_complete" in done.stdout
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=done.stdout, check=True, text=True)


UNOFFERED = {"values", "version"}
"""Arguments for which nothing of a cluster can be offered, by their names."""


def test_every_argument_is_offered_something_or_known_to_be_free() -> None:
    group = Commands(PROGRAMS)
    with click.Context(group, resilient_parsing=True) as context:
        for name in COMMANDS:
            command = group.get_command(context, name)
            assert command is not None
            for parameter in command.params:
                if isinstance(parameter, click.Argument) and isinstance(parameter.type, click.types.StringParamType):
                    assert parameter.name in UNOFFERED, f"{name} {parameter.name}: add it to OFFERS"
                assert not isinstance(parameter.type, Offered) or parameter.name in OFFERS


def test_a_command_is_run_as_if_nothing_were_offered() -> None:
    @click.command()
    @click.argument("model")
    def command(model: str) -> None:
        click.echo(model)

    assert isinstance(offering(command).params[0].type, Offered)
    assert offering(command).params[0].type.convert("x", None, None) == "x"
