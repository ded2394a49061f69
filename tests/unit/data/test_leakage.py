"""How well one feature predicts the target, against known answers and a second library."""

import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import roc_auc_score

from treadle.data.leakage import LIMIT, auc, predictive

ROWS = 400
RNG = np.random.default_rng(20130101)
NOISE = RNG.normal(size=ROWS)
LATE = NOISE + RNG.normal(size=ROWS) > 0
KINDS = np.array(["ewr", "jfk", "lga", "phl"])[np.arange(ROWS) % 4]

# name: (feature, target, whether it gives the target away)
CASES = {
    "the delay gives lateness away": (NOISE, NOISE > 0, True),
    "the delay turned round does too": (-NOISE, NOISE > 0, True),
    "a noisy feature does not": (NOISE, LATE, False),
    "a text that stands for the target": (np.where(LATE, "y", "n"), LATE, True),
    "a number that is one value for each class": ((KINDS == "jfk").astype(int), KINDS == "jfk", True),
    "a text that is different in each row": (np.arange(ROWS).astype(str), LATE, False),
    "a text of few values that tell little": (KINDS, LATE, False),
    "a missing value that stands for the target": (np.where(LATE, NOISE, np.nan), LATE, True),
    "a number in another unit": (NOISE, NOISE * 1.609, True),
    "a number with much noise": (NOISE, NOISE + RNG.normal(size=ROWS), False),
    "a code of several classes": (np.char.upper(KINDS), KINDS, True),
    "a feature beside several classes": ((np.arange(ROWS) // 4 % 3).astype(str), KINDS, False),
    "a target of one value": (NOISE, np.zeros(ROWS, bool), False),
}


def column(values: np.ndarray) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(values, from_pandas=True)])


@pytest.mark.parametrize(("feature", "target", "leaks"), CASES.values(), ids=CASES.keys())
def test_predictive(feature, target, leaks):
    assert (predictive(column(feature), column(target)) > LIMIT) is leaks


def test_auc_is_that_of_scikit_learn():
    scores = np.round(NOISE, 1)
    assert auc(scores, LATE.astype(float)) == pytest.approx(roc_auc_score(LATE, scores), abs=1e-12)
