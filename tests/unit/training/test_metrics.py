"""Metrics against scikit-learn, which is another implementation, and against closed forms."""

from typing import Any

import numpy as np
import pytest
import sklearn.metrics as reference
from hypothesis import given, settings
from hypothesis import strategies as st

from treadle.api.trainingjob import CLASSIFICATION_METRICS, REGRESSION_METRICS
from treadle.training.metrics import CLASSIFICATION, RANKED, REGRESSION, Answers, restricted, statistic


def binary(seed: int, rows: int, *, digits: int) -> tuple[Any, Answers, Any]:
    """Return truth, answers and weights; few digits make ties."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 2, rows)
    truth[:2] = (0, 1)
    score = np.clip(np.round(0.35 * truth + 0.6 * rng.random(rows), digits), 0.01, 0.99)
    answers = Answers(score, (score >= 0.5).astype(np.int64), np.stack([1 - score, score], axis=1))
    return truth, answers, rng.integers(0, 4, rows).astype(float) + (np.arange(rows) < 2)


def several(seed: int, rows: int, classes: int) -> tuple[Any, Answers, Any]:
    rng = np.random.default_rng(seed)
    truth = np.r_[np.arange(classes), rng.integers(0, classes, rows)]
    probability = rng.dirichlet(np.ones(classes), len(truth))
    answers = Answers(probability.max(axis=1), probability.argmax(axis=1), probability)
    return truth, answers, np.r_[np.ones(classes), rng.integers(0, 4, rows).astype(float)]


BINARY: dict[str, Any] = {
    "roc_auc": lambda y, a, w: reference.roc_auc_score(y, a.score, sample_weight=w),
    "average_precision": lambda y, a, w: reference.average_precision_score(y, a.score, sample_weight=w),
    "f1": lambda y, a, w: reference.f1_score(y, a.label, sample_weight=w, zero_division=0),
    "precision": lambda y, a, w: reference.precision_score(y, a.label, sample_weight=w, zero_division=0),
    "recall": lambda y, a, w: reference.recall_score(y, a.label, sample_weight=w, zero_division=0),
    "accuracy": lambda y, a, w: reference.accuracy_score(y, a.label, sample_weight=w),
    "balanced_accuracy": lambda y, a, w: reference.balanced_accuracy_score(y, a.label, sample_weight=w),
    "log_loss": lambda y, a, w: reference.log_loss(y, a.probability, sample_weight=w),
    "brier": lambda y, a, w: reference.brier_score_loss(y, a.score, sample_weight=w),
}
SEVERAL: dict[str, Any] = {
    "roc_auc": lambda y, a, w: np.mean(
        [reference.roc_auc_score(y == k, a.probability[:, k], sample_weight=w) for k in range(a.probability.shape[1])]
    ),
    "average_precision": lambda y, a, w: np.mean(
        [
            reference.average_precision_score(y == k, a.probability[:, k], sample_weight=w)
            for k in range(a.probability.shape[1])
        ]
    ),
    "f1": lambda y, a, w: reference.f1_score(y, a.label, sample_weight=w, average="macro", zero_division=0),
    "precision": lambda y, a, w: reference.precision_score(
        y, a.label, sample_weight=w, average="macro", zero_division=0
    ),
    "recall": lambda y, a, w: reference.recall_score(y, a.label, sample_weight=w, average="macro", zero_division=0),
    "accuracy": BINARY["accuracy"],
    "balanced_accuracy": BINARY["balanced_accuracy"],
    "log_loss": BINARY["log_loss"],
    "brier": lambda y, a, w: np.average(
        ((a.probability - np.eye(a.probability.shape[1])[y]) ** 2).sum(axis=1), weights=w
    ),
}
NUMBERS: dict[str, Any] = {
    "rmse": lambda y, s, w: reference.root_mean_squared_error(y, s, sample_weight=w),
    "mae": lambda y, s, w: reference.mean_absolute_error(y, s, sample_weight=w),
    "mape": lambda y, s, w: reference.mean_absolute_percentage_error(y, s, sample_weight=w),
    "median_ae": lambda y, s, w: np.median(np.repeat(np.abs(y - s), w.astype(int))),
    "r2": lambda y, s, w: reference.r2_score(y, s, sample_weight=w),
}


def test_every_metric_that_a_recipe_may_name_is_built_in() -> None:
    assert {*RANKED, *CLASSIFICATION} == set(CLASSIFICATION_METRICS)
    assert set(REGRESSION) == set(REGRESSION_METRICS)
    assert set(BINARY) | {"ece"} == set(SEVERAL) | {"ece"} == set(CLASSIFICATION_METRICS)
    assert set(NUMBERS) == set(REGRESSION_METRICS)


@pytest.mark.parametrize("name", BINARY)
@given(seed=st.integers(0, 10_000), rows=st.integers(8, 80), digits=st.sampled_from([1, 8]))
@settings(max_examples=12, deadline=None)
def test_binary_metrics_equal_scikit_learns(name: str, seed: int, rows: int, digits: int) -> None:
    truth, answers, weights = binary(seed, rows, digits=digits)
    assert statistic(name, truth, answers)(weights) == pytest.approx(BINARY[name](truth, answers, weights), abs=1e-9)


@pytest.mark.parametrize("name", SEVERAL)
@given(seed=st.integers(0, 10_000), rows=st.integers(12, 80), classes=st.integers(3, 5))
@settings(max_examples=8, deadline=None)
def test_metrics_of_several_classes_equal_scikit_learns(name: str, seed: int, rows: int, classes: int) -> None:
    truth, answers, weights = several(seed, rows, classes)
    assert statistic(name, truth, answers)(weights) == pytest.approx(SEVERAL[name](truth, answers, weights), abs=1e-9)


@pytest.mark.parametrize("name", NUMBERS)
@given(seed=st.integers(0, 10_000), rows=st.integers(3, 60))
@settings(max_examples=12, deadline=None)
def test_regression_metrics_equal_scikit_learns(name: str, seed: int, rows: int) -> None:
    rng = np.random.default_rng(seed)
    truth, weights = rng.normal(5, 3, rows), np.r_[1.0, 1.0, rng.integers(0, 4, rows - 2)]
    answers = Answers(truth + rng.normal(0, 1, rows), np.empty(0, np.int64))
    expected = NUMBERS[name](truth, answers.score, weights)
    assert statistic(name, truth, answers)(weights) == pytest.approx(expected, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("name", [*BINARY, "ece"])
@given(seed=st.integers(0, 10_000), rows=st.integers(6, 40))
@settings(max_examples=6, deadline=None)
def test_a_weight_of_k_is_k_copies_of_a_row(name: str, seed: int, rows: int) -> None:
    truth, answers, weights = binary(seed, rows, digits=2)
    copies = np.repeat(np.arange(rows), weights.astype(int))
    copied = statistic(name, truth[copies], answers.take(copies))
    assert statistic(name, truth, answers)(weights) == pytest.approx(copied(np.ones(len(copies))), abs=1e-9)


def test_a_slice_weighs_its_own_rows_only() -> None:
    truth, answers, weights = binary(3, 50, digits=3)
    rows = np.arange(0, 50, 3)
    alone = statistic("roc_auc", truth[rows], answers.take(rows))
    assert restricted(rows, alone)(weights) == alone(weights[rows])


def test_calibration_error_of_a_known_table() -> None:
    # Bin 0.2: 10 rows, 4 positive, gap .2. Bin 0.8: 30 rows, 27 positive, gap .1. (10 * .2 + 30 * .1) / 40 = .125
    score = np.r_[np.full(10, 0.2), np.full(30, 0.8)]
    truth = np.r_[np.arange(10) < 4, np.arange(30) < 27].astype(np.int64)
    answers = Answers(score, (score >= 0.5).astype(np.int64), np.stack([1 - score, score], axis=1))
    assert statistic("ece", truth, answers)(np.ones(40)) == pytest.approx(0.125)


UNDEFINED: dict[str, tuple[str, Any, Any]] = {
    "one class has no ROC": ("roc_auc", [1, 1, 1], [0.1, 0.5, 0.9]),
    "no positive has no average precision": ("average_precision", [0, 0, 0], [0.1, 0.5, 0.9]),
}


@pytest.mark.parametrize(("name", "truth", "score"), UNDEFINED.values(), ids=UNDEFINED.keys())
def test_what_is_undefined_is_nan(name: str, truth: Any, score: Any) -> None:
    given_score = np.array(score)
    answers = Answers(given_score, np.zeros(3, np.int64), np.stack([1 - given_score, given_score], axis=1))
    assert np.isnan(statistic(name, np.array(truth), answers)(np.ones(3)))


def test_the_share_explained_of_a_constant_is_undefined() -> None:
    answers = Answers(np.array([1.0, 2.0]), np.empty(0, np.int64))
    assert np.isnan(statistic("r2", np.array([3.0, 3.0]), answers)(np.ones(2)))
