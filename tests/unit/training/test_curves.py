"""What is drawn of a model's answers, against a second library and counts by hand."""

import json

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, precision_recall_curve, roc_auc_score, roc_curve

from treadle.api.artifacts import ModelSchema
from treadle.training.curves import BINS, GRID, POINTS, calibration, confusion, curves, precision_recall, roc, scatter
from treadle.training.metrics import Answers

RNG = np.random.default_rng(7)
TRUTH = RNG.random(4000) < 0.3
SCORE = np.clip(RNG.normal(0.3 + 0.25 * TRUTH, 0.2), 0, 1)
COARSE = np.round(SCORE, 1)
SCORES = {"fine": SCORE, "coarse, with ties": COARSE, "one for all": np.full(4000, 0.5)}


@pytest.mark.parametrize("score", SCORES.values(), ids=SCORES.keys())
def test_the_points_are_of_the_curves(score: np.ndarray) -> None:
    false, true, _ = roc_curve(TRUTH, score, drop_intermediate=False)
    found = np.array(roc(TRUTH, score), float)
    assert are_of(found, np.stack([false, true], axis=1)) and len(found) <= POINTS + 2
    assert found[0].tolist() == [0, 0] and found[-1].tolist() == [1, 1]
    precision, recall, _ = precision_recall_curve(TRUTH, score)
    drawn = np.array(precision_recall(TRUTH, score), float)
    assert are_of(drawn, np.stack([recall, precision], axis=1)) and len(drawn) <= POINTS + 2
    assert drawn[-1][0] == 1


def are_of(drawn: np.ndarray, points: np.ndarray) -> bool:
    """Say whether each drawn point is one of the curve's, up to its six digits."""
    return bool((np.abs(drawn[:, None, :] - points[None, :, :]).max(axis=2).min(axis=1) < 2e-6).all())


def test_thin_curves_hold_the_area() -> None:
    x, y = np.array(roc(TRUTH, SCORE), float).T
    assert np.trapezoid(y, x) == pytest.approx(roc_auc_score(TRUTH, SCORE), abs=2e-3)


def test_calibration_counts_every_row_in_one_bin() -> None:
    rows = calibration(TRUTH, SCORE)
    assert sum(row["rows"] for row in rows) == len(TRUTH) and len(rows) <= BINS
    for row in rows:
        assert float(row["lower"]) <= float(row["observed"]) <= float(row["upper"])
    # Wilson's interval of 1 in 10 by hand: (0.1 + 0.19207 ± 0.21200) / 1.38415.
    [one] = calibration(np.arange(10) == 0, np.full(10, 0.55))
    assert (float(one["lower"]), float(one["upper"])) == pytest.approx((0.0178762, 0.404150), abs=1e-5)


def test_confusion_is_that_of_the_other_library() -> None:
    codes, labels = RNG.integers(0, 3, 500), RNG.integers(0, 3, 500)
    found = confusion(codes, labels, ["a", "b", "c"])
    assert found["counts"] == confusion_matrix(codes, labels).tolist()
    many = confusion(RNG.integers(0, 20, 900), RNG.integers(0, 20, 900), [f"c{n}" for n in range(20)])
    assert (len(many["classes"]), many["classes"][-1]) == (13, "others")
    assert sum(map(sum, many["counts"])) == 900


CONSTANT = np.full(50, 3.0)
PAIRS = {
    "spread": (SCORE * 10, SCORE * 10 + RNG.normal(0, 1, 4000)),
    "a constant answer": (SCORE, np.full(4000, 0.4)),
    "a constant all around": (CONSTANT, CONSTANT),
}


@pytest.mark.parametrize(("truth", "score"), PAIRS.values(), ids=PAIRS.keys())
def test_the_grid_counts_what_it_spans(truth: np.ndarray, score: np.ndarray) -> None:
    found = scatter(truth, score)
    assert (len(found["counts"]), len(found["residuals"]["counts"])) == (GRID, GRID)
    assert sum(map(sum, found["counts"])) + found["outside"] == len(truth)
    assert sum(found["residuals"]["counts"]) >= 0.98 * len(truth)


def test_what_is_drawn_goes_with_the_task() -> None:
    both = np.stack([1 - SCORE, SCORE], axis=1)
    binary = Answers(SCORE, (SCORE > 0.5).astype(np.int64), both)
    schema = {"task": "BinaryClassification", "inputs": [{"name": "x", "type": "double"}], "classes": ["no", "yes"]}
    found = curves(ModelSchema.parse(schema), TRUTH.astype(np.int64), binary, binary)
    assert {*found["roc"]} == {*found["precisionRecall"]} == {*found["calibration"]} == {"challenger", "champion"}
    alone = curves(ModelSchema.parse(schema), TRUTH.astype(np.int64), binary, None)
    assert {*alone["roc"]} == {"challenger"}
    regression = curves(ModelSchema.parse({**schema, "task": "Regression"}), SCORE, binary, None)
    assert {*regression} == {"regression"}
    for one in (found, alone, regression):
        assert "." in json.dumps(one) and json.loads(json.dumps(one)) == one
