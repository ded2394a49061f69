"""What a package imports is declared by the extra of the image that runs it, and never comes by way of another."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
SOURCES = ROOT / "operator" / "treadle"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
DISTRIBUTIONS = packages_distributions()

# Of the command line, what a Job runs and what `helm test` asks.
WORKER_CLI = ("cli/main.py", "cli/step.py", "cli/report.py", "cli/store.py")

# extra: (what its image runs, the extras that its image holds)
IMAGES = {
    "operator": (("api", "control"), ("operator",)),
    "worker": ((*WORKER_CLI, "api", "data", "training", "monitoring", "store"), ("worker",)),
    "server": (("api", "serving", "store"), ("server",)),
}
# api/crds.py writes YAML for make crds alone.
TOOLS = {"worker": {"pyyaml"}, "server": {"pyyaml"}}


def imported(source: str) -> set[str]:
    """Return the top names that a module imports, wherever in it, but for types alone."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = []
    names = [
        name
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    ]
    return {name.partition(".")[0] for name in names}


READ = {
    "a module of a package": ("import pyarrow.compute as pc", {"pyarrow"}),
    "a name of a module": ("from scipy import special", {"scipy"}),
    "in a function": ("def f():\n    import skops.io as sio", {"skops"}),
    "for types alone": ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import boto3", {"typing"}),
}


@pytest.mark.parametrize(("source", "names"), READ.values(), ids=READ.keys())
def test_what_counts_as_imported(source: str, names: set[str]) -> None:
    assert imported(source) == names


def modules(path: Path) -> list[Path]:
    """Return the modules of a package, or the one module."""
    return [path] if path.suffix else list(path.rglob("*.py"))


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_declares_what_its_packages_import(image: str) -> None:
    packages, extras = IMAGES[image]
    listed = [*PROJECT["dependencies"], *(text for extra in extras for text in PROJECT["optional-dependencies"][extra])]
    declared = {re.split(r"[^\w-]", text)[0] for text in listed}
    paths = [path for package in packages for path in modules(SOURCES / package)]
    foreign = {name for path in paths for name in imported(path.read_text())} - sys.stdlib_module_names - {"treadle"}
    needed = {distribution.lower().replace("_", "-") for name in foreign for distribution in DISTRIBUTIONS[name]}
    assert needed - declared - TOOLS.get(image, set()) == set()
