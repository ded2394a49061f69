"""The four quickstart files in several orders end alike, and as they do without a cluster."""

import itertools
import os
import random
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from world import QUICKSTART, namespace, quickstart

from cluster import Cluster, apply, kubectl, secret
from embedded import up
from traffic import flights, upload

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
    found = digests(cluster, made)
    kubectl("delete", "namespace", made, "--wait=false")
    return found


def digests(cluster: Cluster, made: str) -> dict[str, str]:
    """Wait for the end, and return what is served and what it learnt from."""
    cluster.reaches("TrainingJob", "flights-late-first", made, "Complete", "True", SECONDS, "PassedGate")
    cluster.reaches("ModelDeployment", "flights-late", made, "Ready", "True", SECONDS, "Answering")
    cluster.reaches("Monitor", "flights-late", made, "Ready", "True", SECONDS, "Watching")
    source = cluster.get("DataSource", "flights", made) or {}
    served = (cluster.get("ModelDeployment", "flights-late", made) or {})["status"]["champion"]
    runs = cluster.list("TrainingJob", made)
    assert len(runs) == 1, [run["metadata"]["name"] for run in runs]
    return {
        "data": source["status"]["currentVersion"]["digest"],
        "model": served["digest"],
        "version": served["version"],
    }


def end_without_a_cluster(cluster: Cluster) -> dict[str, str]:
    """Run the same files by `treadle up`, on the same flights and with the same privacy key."""
    key = cluster.get("Secret", "treadle-privacy", "demo")
    assert key is not None
    with tempfile.TemporaryDirectory() as directory:
        files, state = Path(directory) / "files", Path(directory) / "state"
        raw = state / "buckets/raw" / PREFIX
        for made in (files, raw):
            made.mkdir(parents=True)
        (files / "a-key.yaml").write_text(secret("treadle-privacy", key["data"]))
        for name in QUICKSTART:
            (files / f"{name}.yaml").write_text(quickstart(name, "demo", PREFIX))
        for month, rows in flights.flights({1}).items():
            (raw / flights.object_name(month)).write_bytes(flights.as_csv(rows))
        with up(files, state, "--namespace", "demo") as embedded:
            return digests(embedded, "demo")


def any_order(cluster: Cluster) -> str:
    """Let several orders happen side by side, and assert that they end with the same digests."""
    seed = int(os.environ.get("TREADLE_SEED", random.randrange(10**6)))
    upload({1}, PREFIX)
    chosen = orders(seed)
    with ThreadPoolExecutor(len(chosen)) as pool:
        found = list(pool.map(lambda order: end_of(cluster, order), chosen))
    assert all(end == found[0] for end in found), (seed, chosen, found)
    here = end_without_a_cluster(cluster)
    assert here == found[0], (here, found[0])
    ends = {" > ".join(order): end for order, end in zip(chosen, found, strict=True)} | {"without a cluster": here}
    return "\n".join(f"  {name}: {end}" for name, end in ends.items())
