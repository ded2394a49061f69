"""Each case runs on the API in memory and on a real kube-apiserver."""

import os
import random
import secrets
from collections.abc import AsyncIterator

import pytest

from benches import Bench
from compared import ROWS, lines
from control_plane import ControlPlane
from treadle.control.engine.ports import DATA_SOURCE, Object
from treadle.control.kube import TYPES, Kube, path_of
from treadle.local.server.api import MemoryApi, namespace


@pytest.fixture(params=["memory", "real"])
async def bench(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    """Yield the API under test."""
    name = f"semantics-{secrets.token_hex(4)}"
    if request.param == "memory":
        memory = MemoryApi()
        await memory.create(namespace(name))
        yield Bench("memory", memory, name, memory.put)
        return
    plane: ControlPlane = request.getfixturevalue("plane")
    plane.namespace(name)
    monkeypatch.setitem(os.environ, "KUBECONFIG", str(plane.kubeconfig))
    kube = await Kube.connect(random.Random(1))

    def put(changed: Object) -> Object:
        gvk = TYPES[changed["apiVersion"], changed["kind"]]
        path = path_of(gvk, changed["metadata"]["namespace"], changed["metadata"]["name"])
        status, answer = plane.request("PUT", f"{path}?fieldManager=person", changed)
        assert status == 200, answer
        return dict(answer)

    yield Bench("real", kube, name, put)
    await kube.close()
    # The API tier's operators on the same server shall find nothing to do.
    plane.request("DELETE", path_of(DATA_SOURCE, name))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print what was compared over HTTP."""
    rows = config.stash.get(ROWS, [])
    if rows:
        equal = sum(row.is_equal for row in rows)
        terminalreporter.section(f"semantics: {equal} of {len(rows)} checks are equal in memory and on a real server")
        for line in lines(rows):
            terminalreporter.write_line(line)
