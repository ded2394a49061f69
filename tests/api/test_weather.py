"""Scripted answers between the operator and the API server: it recovers, or it ends with 1; it is never blind."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from aiohttp import web

from control_plane import ControlPlane
from operators import create, eventually, has_run, operator, read
from proxy import Answer, Proxy, Script, error


@pytest.fixture
def proxy(plane: ControlPlane) -> Iterator[Proxy]:
    """Yield a proxy before the API server."""
    with Proxy(plane).running() as running:
        yield running


def through(proxy: Proxy, directory: Path) -> str:
    """Write the kubeconfig that leads through the proxy."""
    path = directory / "proxy.kubeconfig"
    path.write_text(
        f"{{apiVersion: v1, kind: Config, clusters: [{{name: c, cluster: {{server: '{proxy.server}'}}}}], "
        "users: [{name: u, user: {token: any}}], contexts: [{name: x, context: {cluster: c, user: u}}], "
        "current-context: x}"
    )
    return str(path)


def on(plural: str, answer: Answer, *, watch: bool, times: int = 1_000_000) -> Script:
    """Answer so to the next requests for a kind's cluster-wide list or watch."""
    left = [times]

    def script(request: web.Request) -> Answer | None:
        is_asked = request.path.endswith(f"/{plural}") and "/namespaces/" not in request.path
        if not is_asked or ("watch" in request.query) != watch or left[0] <= 0:
            return None
        left[0] -= 1
        return answer

    return script


def edit(plane: ControlPlane, namespace: str) -> None:
    path = f"/apis/treadle.dev/v1alpha1/namespaces/{namespace}/datasources/flights"
    status, answer = plane.request("PATCH", path, {"spec": {"filter": "a > 2"}}, "application/merge-patch+json")
    assert status == 200, answer


ENDS: dict[str, tuple[Callable[[], Script], float]] = {
    "a stream that says 500": (lambda: on("jobs", Answer(line=error(500, "InternalError")), watch=True), 20),
    "a stream that says 504": (lambda: on("jobs", Answer(line=error(504, "Timeout")), watch=True), 20),
    "a list that answers 403": (lambda: on("jobs", Answer(403), watch=False), 90),
    "a token that is refused later": (lambda: lambda request: Answer(401), 30),
}


@pytest.mark.parametrize(("script", "seconds"), ENDS.values(), ids=ENDS.keys())
def test_the_process_ends_with_1_on(
    script: Callable[[], Script], seconds: float, plane: ControlPlane, namespace: str, tmp_path: Path, proxy: Proxy
) -> None:
    with operator(plane, namespace, tmp_path, KUBECONFIG=through(proxy, tmp_path)) as running:
        create(plane, namespace)
        eventually(lambda: has_run(plane, namespace))
        proxy.script = script()
        if seconds == 90:
            # A stream that ends is opened again; only an expired version makes kopf list again.
            expired = on("jobs", Answer(line=error(410, "Expired")), watch=True, times=1)
            refused = proxy.script
            proxy.script = lambda request: expired(request) or refused(request)
        proxy.end_stream("jobs")
        assert running.process.wait(seconds) == 1
        assert any(line["message"] == "Ending" for line in running.log())


def test_an_expired_version_is_listed_again(plane: ControlPlane, namespace: str, tmp_path: Path, proxy: Proxy) -> None:
    with operator(plane, namespace, tmp_path, KUBECONFIG=through(proxy, tmp_path)) as running:
        create(plane, namespace)
        eventually(lambda: has_run(plane, namespace))
        proxy.script = on("datasources", Answer(line=error(410, "Expired")), watch=True, times=1)
        proxy.end_stream("datasources")
        edit(plane, namespace)
        eventually(lambda: read(plane, namespace)["status"]["observedGeneration"] == 2, 8)
        assert running.process.poll() is None


def test_a_server_that_is_away_for_seconds_is_waited_for(
    plane: ControlPlane, namespace: str, tmp_path: Path, proxy: Proxy
) -> None:
    # After ten seconds without a renewal the Lease would end it: that rule has its own test.
    with operator(plane, namespace, tmp_path, KUBECONFIG=through(proxy, tmp_path)) as running:
        create(plane, namespace)
        eventually(lambda: has_run(plane, namespace))
        proxy.cut()
        edit(plane, namespace)
        eventually(lambda: any("Could not renew" in line["message"] for line in running.log()), 12)
        proxy.mend()
        eventually(lambda: read(plane, namespace)["status"]["observedGeneration"] == 2, 60)
        assert running.process.poll() is None


def test_dropped_events_of_one_kind_end_the_process_soon_after_our_next_write(
    plane: ControlPlane, namespace: str, tmp_path: Path, proxy: Proxy
) -> None:
    kubeconfig = through(proxy, tmp_path)
    with operator(plane, namespace, tmp_path, KUBECONFIG=kubeconfig, TREADLE_BLIND_SECONDS="5") as running:
        create(plane, namespace)
        eventually(lambda: has_run(plane, namespace))
        proxy.script = on("configmaps", Answer(drops=True), watch=True)
        edit(plane, namespace)
        assert running.process.wait(30) == 1
        assert any("the watch of ConfigMap is blind" in str(line.get("problem")) for line in running.log())
