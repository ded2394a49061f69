"""A finding of a check-up: how good it is, what it is, and what mends it."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

INSTALL = "helm upgrade --install treadle charts/treadle -n treadle-system --create-namespace --wait"
"""What mends most of what is wrong with an operator."""


class Result(StrEnum):
    """How good a finding is; the words at the beginning of its line."""

    OK = "ok"
    WARN = "warn"
    FAIL = "FAIL"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of a check-up."""

    check: str
    result: Result
    text: str
    mend: str = ""
    """The command that mends it."""


type Told = Iterator[tuple[Result, str, str]]


def good(text: str) -> tuple[Result, str, str]:
    """Return what is as it should be."""
    return Result.OK, text, ""


def look(text: str, mend: str = "") -> tuple[Result, str, str]:
    """Return what is worth a look, or could not be seen."""
    return Result.WARN, text, mend


def bad(text: str, mend: str = "") -> tuple[Result, str, str]:
    """Return what keeps something from working."""
    return Result.FAIL, text, mend
