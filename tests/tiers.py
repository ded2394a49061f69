"""Which tiers may be skipped: none, where TREADLE_REQUIRE_ALL=1."""

import os
from typing import NoReturn

import pytest


def missing(what: str) -> NoReturn:
    """Skip a test for want of `what`; fail it where every tier is required."""
    if os.environ.get("TREADLE_REQUIRE_ALL") == "1":
        pytest.fail(f"{what} is missing, and TREADLE_REQUIRE_ALL=1", pytrace=False)
    pytest.skip(f"{what} is missing")
