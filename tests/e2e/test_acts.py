"""The loop while the operator is killed, its faults and several orders, all side by side on one cluster."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from faults import FAULTS
from loop import loop
from orders import any_order
from world import namespace

from cluster import Cluster

SIDE_BY_SIDE = 6

pytestmark = pytest.mark.timeout(900)


def fault(name: str) -> Callable[[Cluster], str]:
    """Return a fault as an act in a namespace of its own."""

    def act(cluster: Cluster) -> str:
        where = namespace(cluster, name)
        FAULTS[name](cluster, where)
        return cluster.story(where)

    return act


ACTS: dict[str, Callable[[Cluster], str]] = {
    "the loop": loop,
    "any order": any_order,
    **{name: fault(name) for name in FAULTS},
}


@pytest.fixture(scope="module")
def ends(installed: Cluster) -> Iterator[dict[str, Future[str]]]:
    """Let all acts begin; the result of each is its story."""
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        yield {name: pool.submit(act, installed) for name, act in ACTS.items()}


@pytest.mark.parametrize("name", ACTS)
def test_act_ends_well(name: str, ends: dict[str, Future[str]], capsys: pytest.CaptureFixture[str]) -> None:
    story = ends[name].result()
    with capsys.disabled():
        print(f"\n== {name}\n{story}", flush=True)
