"""Runs kubectl against a server, and what it prints without what no two runs share."""

import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from control_plane import binaries

SECONDS = 60.0
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
FILES = re.compile(r"/\S*/(LIVE|MERGED)-\d+/")
TIMES = (
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"), "<time>"),
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+ [+-]\d{4}"), "<time>"),
    (re.compile(r"\b(Sun|Mon|Tue|Wed|Thu|Fri|Sat), \d\d \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4}"), "<time>"),
    (re.compile(r"\b\d+(m?s|m|h|d|y)(\d+[smhd])?\b(?=( |$|\)))", re.MULTILINE), "<age>"),
)
VERSION = re.compile(r'(resourceVersion"?: "|Resource Version: +)\d+')


@dataclass(frozen=True, slots=True)
class Ran:
    """One command, and how it ended."""

    code: int
    out: str
    err: str


@dataclass(frozen=True, slots=True)
class Kubectl:
    """kubectl with a kubeconfig, a namespace and a home of its own."""

    kubeconfig: Path
    namespace: str
    home: Path

    def command(self, *arguments: str) -> list[str]:
        """Return the words of a command."""
        return [str(program()), f"--kubeconfig={self.kubeconfig}", f"--namespace={self.namespace}", *arguments]

    def environment(self) -> dict[str, str]:
        """Return the environment of a command: an editor is what `EDITOR` says, a diff is plain."""
        return {**os.environ, "HOME": str(self.home), "KUBECTL_EXTERNAL_DIFF": "diff -u", "TZ": "UTC"}

    def __call__(self, *arguments: str, given: str = "", **environment: str) -> Ran:
        """Run a command with this on its standard input."""
        done = subprocess.run(
            self.command(*arguments),
            input=given,
            env={**self.environment(), **environment},
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        return Ran(done.returncode, done.stdout, done.stderr)


def program() -> Path | None:
    """Return kubectl, or None where it is not built."""
    found = binaries()
    return found / "kubectl" if found is not None and (found / "kubectl").exists() else None


def plain(text: str, namespace: str) -> str:
    """Return what was printed, with other words for names, uids, versions and times; spaces do not count."""
    text = text.replace(namespace, "<namespace>")
    text = FILES.sub(r"\1/", text)
    text = UUID.sub("<uid>", text)
    text = VERSION.sub(r"\1<version>", text)
    for pattern, word in TIMES:
        text = pattern.sub(word, text)
    return "\n".join(re.sub(r"(?<=\S) {2,}", "  ", line).rstrip() for line in text.splitlines()) + "\n"


def told(command: str, ran: Ran, namespace: str) -> str:
    """Return a command and what it printed, as a transcript."""
    out, err = plain(ran.out, namespace), plain(ran.err, namespace)
    ended = "" if ran.code == 0 else f"(exit code {ran.code})\n"
    return f"$ kubectl {command}\n" + (out if ran.out else "") + (err if ran.err else "") + ended


def transcript(lines: Sequence[str]) -> str:
    """Return several as one text."""
    return "\n".join(lines)
