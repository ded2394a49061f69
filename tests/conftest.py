"""What several tiers share: one control plane for a session."""

from collections.abc import Iterator

import pytest

from control_plane import ControlPlane, binaries, control_plane
from tiers import missing


@pytest.fixture(scope="session")
def plane() -> Iterator[ControlPlane]:
    """Yield a real API server with the CRDs of the four kinds."""
    if binaries() is None:
        missing("kube-apiserver and etcd (hack/cluster/build.sh etcd kube-apiserver)")
    with control_plane() as running:
        running.install_crds()
        yield running
