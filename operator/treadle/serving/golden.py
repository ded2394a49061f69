"""Do two answers to the golden rows agree?"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite


@dataclass(frozen=True, slots=True)
class Agreement:
    """How many golden rows were answered as in training, and what differs most."""

    agreed: int
    rows: int
    difference: str = ""

    @property
    def is_whole(self) -> bool:
        """Say whether there was something to compare, and every row agrees."""
        return 0 < self.rows == self.agreed

    def __str__(self) -> str:
        return f"{self.agreed}/{self.rows}"


def agreement(
    scores: Sequence[float],
    labels: Sequence[str],
    expected_scores: Sequence[float],
    expected_labels: Sequence[str],
    tolerance: float,
) -> Agreement:
    """Return how far answers agree with training's.

    scores, expected_scores: one per row; equal within `tolerance`, relative above 1, since a regression's score has
    the target's scale. labels: one per row, or none on both sides.
    """
    rows = len(expected_scores)
    if len(scores) != rows or len(labels) != len(expected_labels):
        return Agreement(0, rows, f"{len(scores)} scores and {len(labels)} labels for {rows} rows")
    agreed, worst, difference = 0, -1.0, ""
    for row, (score, expected) in enumerate(zip(scores, expected_scores, strict=True)):
        apart = abs(score - expected) if isfinite(score) else float("inf")
        if expected_labels and labels[row] != expected_labels[row]:
            apart, text = float("inf"), f"row {row}: another label than in training"
        else:
            text = f"row {row}: score {score:.9g}, in training {expected:.9g}"
        if apart <= tolerance * max(1.0, abs(expected)):
            agreed += 1
        elif apart > worst:
            worst, difference = apart, text
    return Agreement(agreed, rows, difference)
