"""The whole loop on the flights, from four files to a retrained champion, while the operator is killed twenty times."""

import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from world import ROOT

from cluster import Cluster, eventually, kubectl
from traffic import ask, flights, replaying, upload

DEMO, SYSTEM = "demo", "treadle-system"
KILLS = 20
PROCESS = b"treadle\0operate"


def kill_operator(cluster: Cluster) -> str:
    """Kill the operator as a crash would, and return how: the process where it runs on this machine, else its pod."""
    for line in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if PROCESS in line.read_bytes():
                os.kill(int(line.parent.name), signal.SIGKILL)
                return f"process {line.parent.name}"
        except (FileNotFoundError, ProcessLookupError):
            continue
    pods = [pod["metadata"]["name"] for pod in cluster.list("Pod", SYSTEM)]
    for pod in pods:
        kubectl("delete", "pod", pod, "--namespace", SYSTEM, "--grace-period=0", "--force")
    return f"pods {pods}"


def is_operating(cluster: Cluster) -> bool:
    """Say whether an operator is ready."""
    return any(
        condition["type"] == "Ready" and condition["status"] == "True"
        for pod in cluster.list("Pod", SYSTEM)
        for condition in (pod.get("status") or {}).get("conditions") or []
    )


@contextmanager
def killing(cluster: Cluster, rng: random.Random) -> Iterator[list[str]]:
    """Kill the operator at random moments while the block runs, each time after it was back; yield what was killed."""
    killed: list[str] = []
    stop = threading.Event()

    def kill() -> None:
        while len(killed) < KILLS and not stop.wait(rng.uniform(0.5, 12)):
            if is_operating(cluster):
                killed.append(f"{time.strftime('%H:%M:%S')} {kill_operator(cluster)}")

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    try:
        yield killed
    finally:
        stop.set()
        killer.join(60)


def champion(cluster: Cluster) -> dict[str, str]:
    return dict(
        (((cluster.get("ModelDeployment", "flights-late", DEMO) or {}).get("status")) or {}).get("champion") or {}
    )


def retrained(cluster: Cluster) -> str | None:
    """Return the name of a run that a Monitor asked for."""
    for run in cluster.list("TrainingJob", DEMO):
        if (run["spec"].get("trigger") or {}).get("kind") == "Monitor":
            return str(run["metadata"]["name"])
    return None


def loop(cluster: Cluster) -> str:
    """Go once round, from an empty namespace to a retrained champion; return what happened, and the objects' story."""
    seed = int(os.environ.get("TREADLE_SEED", random.randrange(10**6)))
    began, told = time.monotonic(), []

    def tell(text: str) -> None:
        told.append(f"  {time.monotonic() - began:5.0f} s  {text}")

    tell(f"seed {seed} (TREADLE_SEED repeats it)")
    upload({1, 2, 3})
    with killing(cluster, random.Random(seed)) as killed:
        for name in ("datasource", "trainingjob", "modeldeployment", "monitor"):
            kubectl("apply", "--filename", str(ROOT / f"manifests/quickstart/{name}.yaml"))
        cluster.reaches("DataSource", "flights", DEMO, "Ready", "True", 240, "VersionPublished")
        tell("a version of January to March is published")
        cluster.reaches("TrainingJob", "flights-late-first", DEMO, "Complete", "True", 240, "PassedGate")
        tell("the first model passed its gate")
        cluster.reaches("ModelDeployment", "flights-late", DEMO, "Ready", "True", 180, "Answering")
        first = champion(cluster)
        tell(f"{first['version']} answers")
        flight = flights.flights({2})[2][100]
        with flights.forwarded("flights-late", 80, DEMO) as url:
            status, _, digest, body = ask(url, "flights-late", flight)
        assert (status, digest) == (200, first["digest"]), body
        tell(f"asked about {flight['carrier']} {flight['flight']} to {flight['dest']}: {body['outputs']}")

        with replaying(DEMO, "flights-late", 2, shift=False, rate=8) as calm:
            cluster.reaches("Monitor", "flights-late", DEMO, "DriftDetected", "False", 240, "NoDrift")
        tell(f"a window without a shift is quiet; answers {calm.by_status}")
        upload({4, 5}, utc=True)
        with replaying(DEMO, "flights-late", 4, shift=True, rate=10) as shifted:
            cluster.reaches("Monitor", "flights-late", DEMO, "DriftDetected", "True", 360)
            tell("the shift is detected")
            run = eventually(
                lambda: retrained(cluster), 240, "a run that the Monitor asked for", lambda: cluster.story(DEMO)
            )
            cluster.reaches("TrainingJob", run, DEMO, "Complete", "True", 300, "PassedGate")
            tell(f"{run} passed its gate against {first['version']}")
            second = eventually(
                lambda: found if (found := champion(cluster)).get("trainingJob") == run else None,
                300,
                f"{run}'s model is champion",
                lambda: cluster.story(DEMO),
            )
            tell(f"{second['version']} is champion; answers {shifted.by_status} by version {shifted.by_version}")
            tell(f"forwarded ports that broke: {calm.tunnels + shifted.tunnels}")
        assert set(calm.by_status) | set(shifted.by_status) == {200}, calm.refused + shifted.refused
        assert set(shifted.by_version) == {first["version"], second["version"]}
        eventually(lambda: len(killed) >= KILLS, 300, f"{KILLS} kills")
    eventually(lambda: is_operating(cluster), 120, "the operator is back")
    with flights.forwarded("flights-late", 80, DEMO) as url:
        assert ask(url, "flights-late", flight)[2] == second["digest"]
    cluster.reaches("Monitor", "flights-late", DEMO, "Ready", "True", 60, "Watching")
    nothing_doubled(cluster)
    tell(f"killed {len(killed)} times, nothing doubled")
    return "\n".join([*told, cluster.story(DEMO)])


def nothing_doubled(cluster: Cluster) -> None:
    """Assert one run per wish, one model version per run, and one Job per attempt of an input."""
    runs = cluster.list("TrainingJob", DEMO)
    passed = [run for run in runs if (run.get("status") or {}).get("model")]
    versions = [run["status"]["model"]["version"] for run in passed]
    assert len(versions) == len(set(versions)), versions
    wishes = [str(run["spec"]["trigger"].get("id")) for run in runs if run["spec"].get("trigger", {}).get("id")]
    assert len(wishes) == len(set(wishes)), wishes
    marks = [
        (job["metadata"]["annotations"]["treadle.dev/run-key"], job["metadata"]["annotations"]["treadle.dev/attempt"])
        for job in cluster.list("Job", DEMO)
    ]
    assert len(marks) == len(set(marks)), marks
