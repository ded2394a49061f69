"""What the tests of the embedded cluster share: kubectl, and servers to point it at."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from control_plane import ControlPlane
from kubectls import Kubectl, program
from tiers import missing
from treadle.local.schema.admit import schemas
from treadle.local.state import kubeconfig
from wired import Wired, wired


@pytest.fixture(scope="session")
def memory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wired]:
    """Yield the API in memory on its wire; logs are files below `logs`."""
    with wired(schemas(), logs=tmp_path_factory.mktemp("logs")) as server:
        yield server


@pytest.fixture
def kubectl(memory: Wired, tmp_path_factory: pytest.TempPathFactory) -> Kubectl:
    """Return kubectl on the API in memory, in a namespace of its own."""
    if program() is None:
        missing("kubectl (hack/cluster/build.sh kubectl)")
    home = tmp_path_factory.mktemp("home")
    path = home / "kubeconfig"
    path.write_text(kubeconfig(memory.url, "default"))
    return _in_namespace(path, home)


@pytest.fixture
def real_kubectl(plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Kubectl:
    """Return kubectl on a real API server, in a namespace of its own."""
    if program() is None:
        missing("kubectl (hack/cluster/build.sh kubectl)")
    return _in_namespace(plane.kubeconfig, tmp_path_factory.mktemp("home"))


def _in_namespace(path: Path, home: Path) -> Kubectl:
    made = Kubectl(path, f"kubectl-{secrets.token_hex(4)}", home)
    created = made("create", "namespace", made.namespace)
    assert created.code == 0, created
    return made
