"""One cluster and one installation of the chart for the whole tier."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tiers import missing

sys.path.insert(0, str(Path(__file__).parent))

from cluster import KINDS, Cluster, eventually, kubectl, proxied, run

ROOT = Path(__file__).parents[2]
SYSTEM = "treadle-system"
DEMO = "demo"
CONTEXTS = ("treadle-test", "kind-treadle", "k3d-treadle")
"""Clusters that these tests may change; another one is named in TREADLE_E2E_CONTEXT."""


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """Yield the cluster of the current context, if these tests may change it."""
    asked = run("kubectl", "config", "current-context", check=False)
    context = asked.stdout.strip()
    if asked.returncode or not os.environ.get("TREADLE_IMAGE_TAG"):
        missing("a cluster with images (make e2e starts one)")
    if context not in (*CONTEXTS, os.environ.get("TREADLE_E2E_CONTEXT")):
        missing(f"leave to change the cluster of context {context!r} (set TREADLE_E2E_CONTEXT={context})")
    with proxied() as reached:
        yield reached


@pytest.fixture(scope="session")
def installed(cluster: Cluster) -> Iterator[Cluster]:
    """Install the chart with its quickstart on a cluster that holds nothing of ours, and yield when it is ready."""
    clear(cluster)
    run(
        *("helm", "upgrade", "--install", "treadle", str(ROOT / "charts/treadle"), "--namespace", SYSTEM),
        *("--create-namespace", "--wait", "--timeout", "180s", "--set", "quickstart.enabled=true"),
        *("--set", f"image.registry={os.environ.get('TREADLE_IMAGE_REGISTRY', 'localhost')}"),
        *("--set", f"image.tag={os.environ['TREADLE_IMAGE_TAG']}"),
    )
    yield cluster


def clear(cluster: Cluster) -> None:
    """Remove a former installation and the namespaces of former tests."""
    run("helm", "uninstall", "treadle", "--namespace", SYSTEM, "--ignore-not-found", "--wait", check=False)
    kubectl("delete", "namespace", DEMO, "--ignore-not-found", "--wait=false")
    kubectl("delete", "namespace", "--selector", "treadle.dev/e2e", "--wait=false")
    for kind in KINDS:
        kubectl("delete", kind.lower() + "s.treadle.dev", "--all", "--all-namespaces", check=False)
    eventually(lambda: cluster.read(f"api/v1/namespaces/{DEMO}") is None, 120, f"namespace {DEMO} is gone")
