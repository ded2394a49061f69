"""What the API tier shares."""

import secrets
from collections.abc import Iterator

import pytest

from control_plane import ControlPlane
from operators import SOURCES


@pytest.fixture
def namespace(plane: ControlPlane) -> Iterator[str]:
    """Yield a namespace, empty again afterwards, so that the next operator has nothing to do."""
    name = plane.namespace(f"api-{secrets.token_hex(4)}")
    yield name
    plane.request("DELETE", f"{SOURCES}/namespaces/{name}/datasources")
