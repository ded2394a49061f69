"""Which pod a Service's proxy asks: a ready one that is not on its way out."""

from typing import Any

import pytest

from treadle.local.server.api import MemoryApi
from treadle.local.server.forward import address
from treadle.local.server.paths import target
from treadle.local.server.refusals import Refusal

type Object = dict[str, Any]

SERVICE: Object = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "late", "namespace": "demo"},
    "spec": {"selector": {"app": "late"}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]},
}


def pod(host: str, *, ready: bool = True, going: bool = False, app: str = "late") -> Object:
    """Return a pod with an address."""
    marks = {"deletionTimestamp": "2026-03-01T12:00:00Z", "deletionGracePeriodSeconds": 30} if going else {}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"p-{host}", "namespace": "demo", "labels": {"app": app}, **marks},
        "spec": {"containers": [{"name": "server", "ports": [{"name": "http", "containerPort": 8080}]}]},
        "status": {"podIP": f"127.84.0.{host}", "conditions": [{"type": "Ready", "status": str(ready)}]},
    }


# (pods, the URL that is asked)
ENDPOINTS: dict[str, tuple[list[Object], str | None]] = {
    "a ready pod": ([pod("1")], "http://127.84.0.1:8080"),
    "none that is not ready": ([pod("1", ready=False), pod("2")], "http://127.84.0.2:8080"),
    "none on its way out, though it is ready": ([pod("1", going=True), pod("2")], "http://127.84.0.2:8080"),
    "none of others": ([pod("1", app="other")], None),
    "nothing at all": ([], None),
}


@pytest.mark.parametrize(("pods", "url"), ENDPOINTS.values(), ids=ENDPOINTS.keys())
def test_endpoints(pods: list[Object], url: str | None) -> None:
    api = MemoryApi()
    for raw in (SERVICE, *pods):
        api.put(raw)
    about = target("/api/v1/namespaces/demo/services/late:80/proxy/v2/models")
    assert about is not None
    if url is not None:
        assert address(api, about) == url
        return
    with pytest.raises(Refusal, match='no endpoints available for service "late"'):
        address(api, about)
