"""What is measured of a model, alone and against a champion."""

from typing import Any

import numpy as np
import pytest

from treadle.api.trainingjob import Recipe
from treadle.training.errors import Refused
from treadle.training.evaluate import Holdout, evaluate, metric_names
from treadle.training.metrics import Answers

RNG = np.random.default_rng(3)
TRUTH = RNG.integers(0, 2, 800)


def recipe(**changes: Any) -> Recipe:
    return Recipe.parse(
        {
            "modelName": "m",
            "dataRef": {"name": "d"},
            "task": "BinaryClassification",
            "estimator": {"name": "LogisticRegression"},
            "objective": {"metric": "accuracy"},
            "evaluation": {"bootstrap": {"samples": 1000, "confidence": "0.9"}},
            **changes,
        }
    )


def answering(noise: float) -> Answers:
    """Return answers that are the worse, the more noise."""
    score = np.clip(0.5 + 0.3 * (TRUTH - 0.5) + np.random.default_rng(8).normal(0, noise, len(TRUTH)), 0, 1)
    return Answers(score, (score >= 0.5).astype(np.int64), np.stack([1 - score, score], axis=1))


def test_the_interval_of_a_share_is_the_normal_one() -> None:
    found = evaluate(recipe(), Holdout(TRUTH), answering(0.2)).metrics["accuracy", None]
    # 1.645 standard errors of a share on each side: 90 % of a normal distribution.
    reach = 1.645 * np.sqrt(found.value * (1 - found.value) / len(TRUTH))
    assert (found.lower, found.upper) == pytest.approx((found.value - reach, found.value + reach), abs=0.004)


SIGNS: dict[str, tuple[dict[str, Any], bool]] = {
    "larger is better": ({"objective": {"metric": "roc_auc"}}, True),
    "smaller is better": ({"objective": {"metric": "brier"}}, True),
    "the gate's own metric": ({"gate": {"metric": "log_loss"}}, True),
    "the objective's own direction": ({"objective": {"metric": "roc_auc", "direction": "Minimize"}}, False),
}


@pytest.mark.parametrize(("changes", "is_positive"), SIGNS.values(), ids=SIGNS.keys())
def test_a_difference_is_positive_when_better(changes: dict[str, Any], is_positive: bool) -> None:
    better, worse = answering(0.1), answering(0.4)
    found = evaluate(recipe(**changes), Holdout(TRUTH), better, worse)
    back = evaluate(recipe(**changes), Holdout(TRUTH), worse, better)
    assert (found.differences[None].lower > 0, found.differences[None].upper > 0) == (is_positive, is_positive)
    assert back.differences[None].value == pytest.approx(-found.differences[None].value)


def test_a_model_against_itself_differs_by_nothing() -> None:
    rows = {"some": np.arange(0, 800, 3)}
    found = evaluate(recipe(), Holdout(TRUTH, rows), answering(0.2), answering(0.2))
    assert {part: (d.lower, d.value, d.upper) for part, d in found.differences.items()} == {
        None: (0, 0, 0), "some": (0, 0, 0),
    }  # fmt: skip


def test_a_pairs_interval_is_narrower_than_either_models() -> None:
    found = evaluate(recipe(objective={"metric": "roc_auc"}), Holdout(TRUTH), answering(0.2), answering(0.21))
    alone, paired = found.metrics["roc_auc", None], found.differences[None]
    assert paired.upper - paired.lower < 0.2 * (alone.upper - alone.lower)


def test_what_a_slice_leaves_undefined_is_left_out() -> None:
    ones, none = np.flatnonzero(TRUTH == 1), np.array([], np.int64)
    wanted = recipe(evaluation={"metrics": ["roc_auc"], "bootstrap": {"samples": 200}})
    found = evaluate(wanted, Holdout(TRUTH, {"ones": ones, "none": none}), answering(0.2))
    assert list(found.metrics) == [("accuracy", None), ("roc_auc", None), ("accuracy", "ones")]
    assert [metric.name for metric in found.shown()] == ["accuracy", "roc_auc", "accuracy"]


def test_metrics_are_named_once_and_the_objective_first() -> None:
    floors = [{"metric": "recall", "min": "0.1"}, {"metric": "brier", "max": "0.3"}]
    wanted = recipe(
        objective={"metric": "brier"}, evaluation={"metrics": ["roc_auc", "brier"]}, gate={"floors": floors}
    )
    assert metric_names(wanted) == ["brier", "roc_auc", "recall"]


def test_a_number_without_a_decimal_string_is_refused() -> None:
    wanted = recipe(task="Regression", estimator={"name": "Ridge"}, objective={"metric": "rmse"})
    found = Answers(np.array([1e17, 0.0]), np.empty(0, np.int64))
    with pytest.raises(Refused) as refused:
        evaluate(wanted, Holdout(np.array([0.0, 1.0])), found)
    assert (refused.value.reason, refused.value.failed) == ("MetricsInvalid", "Evaluated")
    assert "rmse is 7.07107e+16 on the holdout's 2 rows" in refused.value.message


def test_groups_widen_an_interval_of_rows_that_go_together() -> None:
    truth = np.repeat(RNG.integers(0, 2, 40), 20)
    score = np.repeat(np.clip(0.5 + 0.2 * (truth[::20] - 0.5) + RNG.normal(0, 0.2, 40), 0, 1), 20)
    answers = Answers(score, (score >= 0.5).astype(np.int64), np.stack([1 - score, score], axis=1))
    rows, whole = (
        evaluate(recipe(), Holdout(truth, {}, groups), answers).metrics["accuracy", None]
        for groups in (None, np.repeat(np.arange(40), 20))
    )
    assert whole.upper - whole.lower > 3 * (rows.upper - rows.lower)
