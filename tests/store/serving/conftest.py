"""Pods to ask."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from serving_pod import Pod, planned, publish


@pytest.fixture
def prepared(tmp_path: Path) -> Iterator[Pod]:
    """A pod that is not started yet."""
    pod = Pod.prepare(tmp_path)
    yield pod
    pod.stop()


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pod]:
    """A pod that serves a champion."""
    pod = Pod.prepare(tmp_path_factory.mktemp("pod"))
    pod.apply(champion=planned(publish(pod.store)), candidate=None)
    pod.start()
    pod.until_state("champion", "Serving")
    yield pod
    pod.stop()
