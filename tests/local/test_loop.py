"""The flights loop without a cluster: from four files to a retrained champion, in one process tree."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from cluster import Cluster, eventually
from embedded import left_behind, now, up
from traffic import Answers, asked, connected, flights

ROOT = Path(__file__).parents[2]
DEMO, MODEL = "demo", "flights-late"
ENOUGH = 300
"""Predictions in a window; the quickstart's Monitor needs 200."""


def cut(raw: Path, months: set[int], *, utc: bool = False) -> None:
    """Put a file for each month into the folder that is the bucket `raw`."""
    raw.mkdir(parents=True, exist_ok=True)
    for month, rows in flights.flights(months, utc=utc).items():
        (raw / flights.object_name(month)).write_bytes(flights.as_csv(rows))


@contextmanager
def shifted_requests(cluster: Cluster, rate: float) -> Iterator[Answers]:
    """Send flights of April with the hour in UTC until the block ends."""
    answers, stop = Answers(), threading.Event()
    rows = flights.mixed(flights.flights({4}, utc=True)[4])
    url = f"{cluster.proxy}/api/v1/namespaces/{DEMO}/services/{MODEL}:80/proxy"

    def send() -> None:
        connection = connected(url)
        for row in rows:
            if stop.wait(1 / rate):
                break
            status, version, _, body = asked(connection, MODEL, row, urlsplit(url).path)
            answers.note(status, version, str(body))
        connection.close()

    sender = threading.Thread(target=send)
    sender.start()
    try:
        yield answers
    finally:
        stop.set()
        sender.join(30)


def champion(cluster: Cluster) -> dict[str, str]:
    return dict((cluster.get("ModelDeployment", MODEL, DEMO) or {}).get("status", {}).get("champion") or {})


@pytest.mark.timeout(420)
def test_the_loop_closes_and_goes_on_after_a_restart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = tmp_path / "state"
    raw = state / "buckets/raw/nycflights13"
    began, told = time.monotonic(), []

    def tell(text: str) -> None:
        told.append(f"  {time.monotonic() - began:5.0f} s  {text}")

    cut(raw, {1, 2, 3})
    with up(ROOT / "manifests/quickstart", state) as cluster:
        cluster.reaches("DataSource", "flights", DEMO, "Ready", "True", 60, "VersionPublished")
        tell("a version of January to March is published")
        cluster.reaches("TrainingJob", "flights-late-first", DEMO, "Complete", "True", 90, "PassedGate")
        tell("the first model passed its gate")
        cluster.reaches("ModelDeployment", MODEL, DEMO, "Ready", "True", 60, "Answering")
        first = champion(cluster)
        tell(f"{first['version']} answers")
        cut(raw, {4, 5}, utc=True)
        cluster.request("DataSource", "flights", DEMO, "requested-at", now())
        with shifted_requests(cluster, 60) as answers:
            eventually(lambda: logged(state) >= ENOUGH, 60, f"{ENOUGH} predictions are logged")
            eventually(lambda: suspected_again(cluster), 120, "the shift is detected", lambda: cluster.story(DEMO))
            tell("the shift is detected")
            second = eventually(
                lambda: found if (found := champion(cluster)).get("version") != first["version"] else None,
                180,
                "a better model is champion",
                lambda: cluster.story(DEMO),
            )
        tell(f"{second['version']} is champion; answers {answers.by_status} by version {answers.by_version}")
        assert set(answers.by_status) == {200}, answers.refused
        assert set(answers.by_version) == {first["version"], second["version"]}
        runs = [run["metadata"]["uid"] for run in cluster.list("TrainingJob", DEMO)]
        assert len(runs) == 2
    assert left_behind(state) == []
    with up(ROOT / "manifests/quickstart", state) as cluster:
        cluster.reaches("ModelDeployment", MODEL, DEMO, "Ready", "True", 60, "Answering")
        assert champion(cluster) == second
        assert [run["metadata"]["uid"] for run in cluster.list("TrainingJob", DEMO)] == runs
        tell("started again, it serves the same champion, and no run was repeated")
    with capsys.disabled():
        print("\n== the loop in local mode", *told, sep="\n", flush=True)


def logged(state: Path) -> int:
    """Return how many predictions lie in the bucket."""
    parts = (state / "buckets/treadle").glob("treadle/v1/*/requests/**/*.json")
    return sum(int(json.loads(part.read_text())["rows"]) for part in parts)


def suspected_again(cluster: Cluster) -> bool:
    """Ask the Monitor for one more window, unless it has found the shift."""
    found = cluster.condition("Monitor", MODEL, DEMO, "DriftDetected")
    if found.get("status") == "True":
        return True
    monitor = cluster.get("Monitor", MODEL, DEMO) or {}
    asked_for = monitor["metadata"].get("annotations", {}).get("treadle.dev/requested-at")
    if asked_for is None or (monitor.get("status") or {}).get("handledRequest") == asked_for:
        cluster.request("Monitor", MODEL, DEMO, "requested-at", now())
    return False
