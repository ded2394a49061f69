"""Renders and installs the chart with the helm that hack/cluster/build.sh made."""

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tiers import missing

ROOT = Path(__file__).parents[1]
CHART = ROOT / "charts/treadle"
RELEASE, SYSTEM = "treadle", "treadle-system"

type Object = dict[str, Any]
type Right = tuple[str, str, str]
"""A verb, an API group and a resource."""


def program(name: str) -> str:
    """Return helm or kubectl, as built beside the API server."""
    path = Path(os.environ.get("TREADLE_CACHE", Path.home() / ".cache/treadle")) / "bin" / name
    if not path.exists():
        missing(f"{path} (hack/cluster/build.sh {name})")
    return str(path)


def run(name: str, *arguments: str, kubeconfig: Path | None = None, check: bool = True) -> str:
    """Run helm or kubectl and return what it says; with check=False also what it says of an error."""
    environment = {key: value for key, value in os.environ.items() if key != "KUBECONFIG"}
    # Never the cluster that happens to be the current one.
    environment["KUBECONFIG"] = str(kubeconfig or os.devnull)
    done = subprocess.run([program(name), *arguments], capture_output=True, text=True, env=environment, check=False)
    if check and done.returncode:
        raise AssertionError(f"{name} {' '.join(arguments)}: {done.stderr}")
    return done.stdout if check else done.stdout + done.stderr


def settings(values: Mapping[str, Any]) -> list[str]:
    """Return values as arguments, by JSON, so that a number stays one."""
    return [part for key, value in values.items() for part in ("--set-json", f"{key}={json.dumps(value)}")]


def render(chart: Path = CHART, **values: Any) -> list[Object]:
    """Return what the chart renders without a cluster; `__` in a name stands for a dot."""
    given = settings({key.replace("__", "."): value for key, value in values.items()})
    return documents(run("helm", "template", RELEASE, str(chart), "--namespace", SYSTEM, *given))


def documents(text: str) -> list[Object]:
    """Return the objects of a YAML stream."""
    return [found for found in yaml.safe_load_all(text) if found]


def only(objects: list[Object], kind: str, name: str = "") -> Object:
    """Return the one object of a kind, and of a name if one is given."""
    (found,) = [each for each in objects if each["kind"] == kind and name in ("", each["metadata"]["name"])]
    return found


def rights(rules: list[Object]) -> set[Right]:
    """Return the rules of roles one by one."""
    return {
        (verb, group, resource)
        for rule in rules
        for verb in rule["verbs"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }


@dataclass(frozen=True, slots=True)
class Helm:
    """Helm on one API server."""

    kubeconfig: Path

    def __call__(self, *arguments: str, check: bool = True) -> str:
        return run("helm", *arguments, "--namespace", SYSTEM, kubeconfig=self.kubeconfig, check=check)

    def upgrade(self, *, chart: Path = CHART, check: bool = True, **values: Any) -> str:
        """Install the chart, or upgrade it; `__` in a name stands for a dot."""
        given = settings({key.replace("__", "."): value for key, value in values.items()})
        return self("upgrade", "--install", RELEASE, str(chart), "--create-namespace", *given, check=check)
