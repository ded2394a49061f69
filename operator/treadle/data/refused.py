"""Why an ingest ends without a version: the condition that is False, its reason and its message."""

from typing import Literal

from treadle.api.conditions import paged
from treadle.api.reasons import Reason

type Condition = Literal["Fetched", "SchemaValid", "PrivacyApplied", "QualityPassed"]

# What the data is to blame for; everything else could not be judged at all.
_OF_THE_DATA = frozenset(
    {
        Reason.FORMAT_ERROR,
        Reason.SCHEMA_MISMATCH,
        Reason.CONSTRAINT_VIOLATED,
        Reason.EXTRA_COLUMN,
        Reason.MISSING_COLUMN,
        Reason.QUALITY_FAILED,
        Reason.LEAKAGE_FOUND,
        Reason.TOO_FEW_ROWS,
    }
)


class Refused(Exception):
    """No version comes of these bytes; the message says what, where, found against expected, and what to do."""

    def __init__(self, condition: Condition, reason: Reason, text: str) -> None:
        self.condition: Condition = condition
        self.reason = reason
        self.message = paged(reason, text)
        super().__init__(self.message)

    @property
    def outcome(self) -> Literal["Rejected", "Failed"]:
        """Say whether the data was judged and refused, or could not be judged."""
        return "Rejected" if self.reason in _OF_THE_DATA else "Failed"


def invalid(condition: Condition, field: str, text: str) -> Refused:
    """Return the refusal of a spec whose `field` cannot be meant as it stands."""
    return Refused(condition, Reason.INVALID_SPEC, f"{field}: {text}")
