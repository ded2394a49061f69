"""The two adapters, each with a fresh prefix: one suite runs on both."""

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from treadle.store.folder import FolderStore
from treadle.store.port import ObjectStore
from treadle.store.s3 import S3Store
from versity import QUICK, Gateway, address, gateway

type Opener = Callable[[], ObjectStore]


@pytest.fixture(scope="session")
def versity(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """One gateway with the bucket `sales`."""
    with gateway(tmp_path_factory.mktemp("versity")) as running:
        S3Store(address(running), retry=QUICK).create_bucket()
        yield running


@pytest.fixture(params=["folder", "versity"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Opener:
    """Return what opens the same fresh store again and again, as several processes would."""
    prefix = f"treadle/v1/{secrets.token_hex(4)}/"
    if request.param == "folder":
        bucket = tmp_path / "sales"
        bucket.mkdir()
        return lambda: FolderStore(bucket, prefix)
    running: Gateway = request.getfixturevalue("versity")
    return lambda: S3Store(address(running), prefix, QUICK)


@pytest.fixture
def store(opened: Opener) -> ObjectStore:
    """Return a fresh store."""
    return opened()
