"""The table that a test run prints at its end: what was compared, and whether it was equal."""

from typing import NamedTuple

import pytest


class Row(NamedTuple):
    """One check: what memory and a real server answered, and whether all of it was equal."""

    check: str
    memory: str
    real: str
    is_equal: bool


ROWS = pytest.StashKey[list[Row]]()


def noted(config: pytest.Config, row: Row) -> None:
    """Note a check for the table."""
    config.stash.setdefault(ROWS, []).append(row)


def lines(rows: list[Row]) -> list[str]:
    """Return the table's lines."""
    told = [("check", "in memory", "real", "equal"), *((*row[:3], "yes" if row.is_equal else "NO") for row in rows)]
    widths = [max(len(row[column]) for row in told) for column in range(3)]
    return [
        " | ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]]) for row in told
    ]
