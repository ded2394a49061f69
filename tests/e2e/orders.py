"""The four quickstart files in several orders end alike."""

import itertools
import os
import random
from concurrent.futures import ThreadPoolExecutor

from traffic import upload
from world import QUICKSTART, namespace, quickstart

from cluster import Cluster, apply, kubectl

ORDERS = 3
PREFIX = "orders"
SECONDS = 420


def orders(seed: int) -> list[tuple[str, ...]]:
    """Return the reverse order and some others."""
    others = list(itertools.permutations(QUICKSTART))[1:-1]
    return [QUICKSTART[::-1], *random.Random(seed).sample(others, ORDERS - 1)]


def end_of(cluster: Cluster, order: tuple[str, ...]) -> dict[str, str]:
    """Apply the files in an order, wait for the end, and return the digests that it ended with."""
    made = namespace(cluster, f"order-{'-'.join(name[0] for name in order)}")
    for name in order:
        apply(quickstart(name, made, PREFIX), made)
    cluster.reaches("TrainingJob", "flights-late-first", made, "Complete", "True", SECONDS, "PassedGate")
    cluster.reaches("ModelDeployment", "flights-late", made, "Ready", "True", SECONDS, "Answering")
    cluster.reaches("Monitor", "flights-late", made, "Ready", "True", SECONDS, "Watching")
    source = cluster.get("DataSource", "flights", made) or {}
    served = (cluster.get("ModelDeployment", "flights-late", made) or {})["status"]["champion"]
    runs = cluster.list("TrainingJob", made)
    assert len(runs) == 1, [run["metadata"]["name"] for run in runs]
    kubectl("delete", "namespace", made, "--wait=false")
    return {
        "data": source["status"]["currentVersion"]["digest"],
        "model": served["digest"],
        "version": served["version"],
    }


def any_order(cluster: Cluster) -> str:
    """Let several orders happen side by side, and assert that they end with the same digests."""
    seed = int(os.environ.get("TREADLE_SEED", random.randrange(10**6)))
    upload({1}, PREFIX)
    chosen = orders(seed)
    with ThreadPoolExecutor(len(chosen)) as pool:
        found = list(pool.map(lambda order: end_of(cluster, order), chosen))
    assert all(end == found[0] for end in found), (seed, chosen, found)
    return "\n".join(f"  {' > '.join(order)}: {end}" for order, end in zip(chosen, found, strict=True))
