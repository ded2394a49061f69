"""What the tests of training share: a namespace to learn in, and rows."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from workshop import Lab, parcels, workshop


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    """Yield a namespace with a signing key and an empty store."""
    monkeypatch.setitem(os.environ, "TREADLE_MOUNTS", str(tmp_path / "mounts"))
    yield workshop(tmp_path)


@pytest.fixture(scope="session")
def rows() -> list[dict[str, Any]]:
    """Return the parcels that most tests learn from."""
    return parcels()
