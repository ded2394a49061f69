"""What a serving pod counts for each arm, since it started."""

from treadle.api.base import Digest, Record

LATENCY_BOUNDS_MILLISECONDS = (1, 2, 3, 5, 8, 12, 20, 30, 50, 80, 120, 200, 500, 1000, 5000)
"""Upper bounds of the first fifteen latency buckets; the sixteenth holds the rest."""


class ArmCounts(Record):
    """Counts of one model in one pod; they only grow while the pod lives."""

    digest: Digest
    requests: int = 0
    errors: int = 0
    """Requests that the model failed (5xx); refused input (4xx) is the caller's and is not counted here."""
    rejected: int = 0
    latency: list[int] = [0] * 16
    """Requests by latency bucket, not cumulative."""
