"""Which arm answers a request, the same in every pod."""

import hashlib

BASIS_POINTS = 10_000


def bucket(digest: str, request_id: str) -> int:
    """Return the place of a request among the 10,000 of a candidate; it never depends on the weight."""
    head = hashlib.sha256((digest + request_id).encode()).digest()[:8]
    return int.from_bytes(head, "big") % BASIS_POINTS


def takes(digest: str, request_id: str, weight_percent: int) -> bool:
    """Say whether a candidate answers a request; whoever it answers at one weight, it answers at every higher one."""
    return bucket(digest, request_id) < weight_percent * 100


def is_sampled(prediction_id: str, percent: int) -> bool:
    """Say whether a prediction is logged: by its id, so that a repeated request is treated alike."""
    if percent >= 100:
        return True
    head = hashlib.sha256(prediction_id.encode()).digest()[:8]
    return int.from_bytes(head, "big") % 100 < percent
