"""What several tiers share: one control plane for a session."""

import signal
from collections.abc import Iterator

import pytest

from control_plane import ControlPlane, binaries, control_plane
from tiers import missing

# A shell starts what runs in the background deaf to Ctrl-C, and so would be what the tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def plane() -> Iterator[ControlPlane]:
    """Yield a real API server with the CRDs of the four kinds."""
    if binaries() is None:
        missing("kube-apiserver and etcd (hack/cluster/build.sh etcd kube-apiserver)")
    with control_plane() as running:
        running.install_crds()
        yield running
