"""The same requests to memory over HTTP and to a real kube-apiserver: what both answer must be equal."""

import secrets
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from asking import Ask, Json, Reached, create, delete, fill, observed, send
from compared import Row, noted
from control_plane import ControlPlane, binaries, collectors
from semantic_checks import CHECKS, COLLECTED
from tiers import missing
from treadle.local.schema.admit import schemas
from wired import Wired, wired


@pytest.fixture(scope="module")
def memory() -> Iterator[Wired]:
    """Yield the API in memory as it is after a restart: without the history of its objects."""
    with wired(schemas(), version=1000) as server:
        yield server


@pytest.fixture(scope="module")
def collecting(plane: ControlPlane) -> Iterator[ControlPlane]:
    """Yield a real server whose garbage is collected, as memory's is."""
    programs = binaries()
    if programs is None or not (programs / "kube-controller-manager").exists():
        missing("kube-controller-manager (hack/cluster/build.sh kube-controller-manager)")
    with collectors(plane):
        yield plane


@pytest.mark.parametrize("name", CHECKS)
def test_a_request_is_answered_as_a_real_server_does(
    name: str, memory: Wired, plane: ControlPlane, request: pytest.FixtureRequest
) -> None:
    compare(name, CHECKS[name], memory, plane, request.config)


@pytest.mark.parametrize("name", COLLECTED)
def test_what_is_deleted_takes_with_it_what_a_real_cluster_takes(
    name: str, memory: Wired, collecting: ControlPlane, request: pytest.FixtureRequest
) -> None:
    compare(name, COLLECTED[name], memory, collecting, request.config)


def compare(name: str, row: Sequence[Ask], memory: Wired, plane: ControlPlane, config: pytest.Config) -> None:
    """Ask both servers, each in a namespace of the check's own, and note what they answered."""
    servers = (Reached(memory.url), Reached(plane.server, plane.context()))
    namespace = f"wire-{secrets.token_hex(4)}"
    for server in servers:
        assert send(server, create("/api/v1/namespaces", {"metadata": {"name": namespace}}))[0] == 201
    with ThreadPoolExecutor(2) as both:
        mine, real = both.map(lambda server: observed(server, row, namespace), servers)
    noted(config, Row(name, codes(mine), codes(real), mine == real))
    # The API tier's operators on the same server shall find nothing to do.
    for kind in ("dsrc", "tj", "mdep", "mon"):
        send(servers[1], fill(delete(kind), [], namespace))
    assert mine == real


def codes(notes: Sequence[Json]) -> str:
    """Return the codes of answers."""
    return " ".join(str(note["status"]) for note in notes)
