"""Pure modules take every clock, seed and setting as an argument: what import contracts cannot see."""

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent.parent
CONTRACTS: list[dict[str, Any]] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"][
    "contracts"
]
PURE: list[str] = next(contract for contract in CONTRACTS if contract.get("id") == "pure")["source_modules"]

READERS = frozenset(
    {
        *("datetime.now", "datetime.utcnow", "datetime.today", "date.today"),
        *("os.environ", "os.environb", "os.getenv", "os.getpid", "os.urandom", "os.cpu_count"),
        *("uuid.uuid1", "uuid.uuid4", "socket.gethostname"),
    }
)
"""What gives another answer on another day or machine."""


def files(module: str) -> Iterator[Path]:
    """Yield the files of a module, or of all modules in a package."""
    path = ROOT / "operator" / Path(*module.split("."))
    if path.is_dir():
        yield from sorted(path.rglob("*.py"))
    else:
        yield path.with_suffix(".py")


def reads(source: str) -> list[str]:
    """Return each place of a source that reads the clock, the environment or the machine."""
    found = []
    tree = ast.parse(source)
    renamed = {
        name.asname or name.name: f"{node.module}.{name.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for name in node.names
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute | ast.Name):
            head, dot, rest = ast.unparse(node).partition(".")
            # datetime.datetime.now is datetime.now, whichever way it was imported.
            name = ".".join(f"{renamed.get(head, head)}{dot}{rest}".split(".")[-2:])
            if name in READERS:
                found.append(f"line {node.lineno}: {name}")
    return found


SOURCES = {
    "the clock": ("from datetime import UTC, datetime\nnow = datetime.now(UTC)", ["line 2: datetime.now"]),
    "the clock by its module": ("import datetime\nnow = datetime.datetime.now()", ["line 2: datetime.now"]),
    "the clock as a default": ("from datetime import datetime as d\ndef f(now=d.now): ...", ["line 2: datetime.now"]),
    "the environment": ("import os\nhome = os.environ['HOME']", ["line 2: os.environ"]),
    "the environment by name": ("from os import environ\nhome = environ['HOME']", ["line 2: os.environ"]),
    "nothing": ("from datetime import datetime\nthen = datetime.fromisoformat('2013-07-01')", []),
}


@pytest.mark.parametrize(("source", "found"), SOURCES.values(), ids=SOURCES.keys())
def test_what_counts_as_reading(source: str, found: list[str]) -> None:
    assert reads(source) == found


@pytest.mark.parametrize("module", PURE)
def test_a_pure_module_reads_no_clock_and_no_environment(module: str) -> None:
    paths = list(files(module))
    assert paths and all(path.exists() for path in paths), f"{module} does not exist"
    found = [f"{path.relative_to(ROOT)} {place}" for path in paths for place in reads(path.read_text())]
    assert found == [], "take it as an argument"
