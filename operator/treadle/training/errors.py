"""What ends a training run for good: a reason, one line for the person who can mend it, and the stage that failed."""

from treadle.api.conditions import paged
from treadle.api.reasons import Reason

DATA_RESOLVED = "DataResolved"
TRAINED = "Trained"
EVALUATED = "Evaluated"
REGISTERED = "Registered"
GATE_PASSED = "GatePassed"


class Refused(Exception):
    """A run that no repetition can save: data, recipe or metrics must change first."""

    def __init__(self, reason: Reason, message: str, failed: str) -> None:
        self.reason = reason
        self.message = paged(reason, message)
        self.failed = failed
        super().__init__(self.message)


class Unscorable(Exception):
    """A champion that cannot answer for the holdout's rows; the text says why."""
