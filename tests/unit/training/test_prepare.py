"""Transforms, estimators and targets: what a recipe makes, and recipes that cannot be meant."""

import warnings
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from treadle.api.artifacts import Input
from treadle.api.trainingjob import EstimatorName, Preparation, Recipe, Task
from treadle.training.errors import Refused
from treadle.training.estimators import build, literal
from treadle.training.fit import classes_of, encode, fit, fit_key, numbers, processors
from treadle.training.prepare import automatic, frame, preparer

INPUTS = [
    Input(name="size", type="double"),
    Input(name="colour", type="string"),
    Input(name="count", type="integer"),
    Input(name="day", type="date"),
    Input(name="at", type="timestamp"),
    Input(name="sealed", type="boolean"),
]
ROWS = pa.table(
    {
        "size": [1.5, None],
        "colour": ["red", None],
        "count": [3, None],
        "day": pa.array([1, None], pa.date32()),
        "at": pa.array([1_500_000, None], pa.timestamp("us", "UTC")),
        "sealed": [True, None],
    }
)
LATE = Recipe.parse(
    {
        "modelName": "m",
        "dataRef": {"name": "d"},
        "task": "BinaryClassification",
        "estimator": {"name": "LogisticRegression"},
        "objective": {"metric": "roc_auc"},
    }
)


def test_a_frame_is_what_the_graph_takes() -> None:
    found = frame(ROWS, INPUTS)
    assert found.column("colour").to_pylist() == ["red", ""]
    for name, value in {"size": 1.5, "count": 3, "day": 86400, "at": 1.5, "sealed": 1}.items():
        column = found.column(name).to_numpy()
        assert (column.dtype, column[0], np.isnan(column[1])) == (np.float32, value, True), name


AUTO = {
    "trees code text and fill numbers": (EstimatorName.HIST_GRADIENT_BOOSTING_CLASSIFIER, ["Impute", "Ordinal"]),
    "linear models also scale": (EstimatorName.RIDGE, ["Impute", "Scale", "OneHot"]),
}


@pytest.mark.parametrize(("name", "kinds"), AUTO.values(), ids=AUTO.keys())
def test_mode_auto(name: EstimatorName, kinds: list[str]) -> None:
    assert [transform.type.value for transform in automatic(INPUTS, name)] == kinds


def declared(*transforms: dict[str, Any]) -> Preparation:
    return Preparation.parse({"mode": "Declared", "transforms": list(transforms)})


CODES = {"name": "codes", "type": "Ordinal", "columns": ["colour"]}
PREPARATIONS = {
    "text that nothing encodes": (
        declared({"name": "fill", "type": "Impute", "columns": ["size"]}),
        "column 'colour' is text and no transform encodes it; add OneHot or Ordinal",
    ),
    "a column that is no feature": (
        declared(CODES, {"name": "fill", "type": "Impute", "columns": ["weight"]}),
        "spec.preparation.transforms[1].columns: 'weight' is not a feature of this run",
    ),
    "text that is scaled": (
        declared({"name": "scale", "type": "Scale", "columns": ["colour"]}),
        "Scale takes numbers, column 'colour' is text",
    ),
    "a parameter that is misspelt": (
        declared(CODES, {"name": "fill", "type": "Impute", "columns": ["size"], "parameters": {"stratgy": "median"}}),
        "SimpleImputer has no parameter 'stratgy'; did you mean strategy?",
    ),
}


@pytest.mark.parametrize(("preparation", "text"), PREPARATIONS.values(), ids=PREPARATIONS.keys())
def test_a_preparation_that_cannot_be(preparation: Preparation, text: str) -> None:
    with pytest.raises(Refused) as found:
        preparer(preparation, INPUTS, EstimatorName.RANDOM_FOREST_CLASSIFIER)
    assert (found.value.reason, text in found.value.message) == ("InvalidSpec", True), found.value.message


def test_columns_pass_through_chains_in_the_order_given() -> None:
    steps = preparer(
        declared(
            {"name": "fill", "type": "Impute", "columns": ["size", "count"]},
            {"name": "scale", "type": "Scale", "columns": ["count"]},
            CODES,
        ),
        INPUTS,
        EstimatorName.RIDGE,
    ).transformers
    # In the order of their chains; columns without a transform pass.
    assert [(name, positions) for name, _, positions in steps] == [
        ("as-is", [3, 4, 5]),
        ("fill", [0]),
        ("fill-scale", [2]),
        ("codes", [1]),
    ]


ESTIMATORS: dict[str, tuple[dict[str, Any], str]] = {
    "of another task": ({"estimator": {"name": "Ridge"}}, "spec.estimator.name: Ridge does not fit task Binary"),
    "with an unknown parameter": (
        {"estimator": {"name": "LogisticRegression", "parameters": {"max_iters": "5"}}},
        "LogisticRegression has no parameter 'max_iters'; did you mean max_iter?",
    ),
    "with a parameter that is ours": (
        {"estimator": {"name": "RandomForestClassifier", "parameters": {"n_jobs": "4"}}},
        "n_jobs is set by Treadle",
    ),
    "with a value out of range": (
        {"estimator": {"name": "LogisticRegression", "parameters": {"C": "-1"}}},
        "The 'C' parameter of LogisticRegression must be a float in the range (0.0, inf",
    ),
    "with weights of an unknown class": (
        {"estimator": {"name": "LogisticRegression", "parameters": {"class_weight": '{"yes": 2}'}}},
        "class_weight names class 'yes'; the target has false, true",
    ),
}


@pytest.mark.parametrize(("changes", "text"), ESTIMATORS.values(), ids=ESTIMATORS.keys())
def test_an_estimator_that_cannot_be(changes: dict[str, Any], text: str) -> None:
    recipe = Recipe.parse({**LATE.dump(), **changes})
    with pytest.raises(Refused) as found:
        fit(recipe, INPUTS[:1], frame(ROWS, INPUTS[:1]), np.array([0, 1]), classes=["false", "true"], weights=None)
    assert found.value.reason == "InvalidSpec" and text in found.value.message, found.value.message


LITERALS = {
    "300": 300,
    "0.5": 0.5,
    "balanced": "balanced",
    "null": None,
    "true": True,
    '{"a": 1}': {"a": 1},
    "NAN": "NAN",
}


@pytest.mark.parametrize(("text", "value"), LITERALS.items(), ids=LITERALS.keys())
def test_a_literal_is_json_or_itself(text: str, value: Any) -> None:
    assert literal(text) == value


def test_the_seed_is_the_randomness_and_weights_of_classes_go_by_code() -> None:
    weighted = {"name": "RandomForestClassifier", "parameters": {"class_weight": '{"true": 3}'}}
    made = build(Recipe.parse({**LATE.dump(), "estimator": weighted}).estimator, Task.BINARY, 11, ["false", "true"])
    assert (made.random_state, made.class_weight) == (11, {1: 3})


TARGETS: dict[str, tuple[pa.Array, list[str], list[int]]] = {
    "booleans": (pa.array([True, False, None, True]), ["false", "true"], [1, 0, -1, 1]),
    "integers by value": (pa.array([10, 9, 10]), ["9", "10"], [1, 0, 1]),
    "text by letter": (pa.array(["yes", "no"]), ["no", "yes"], [1, 0]),
    "doubles without a fraction": (pa.array([1.0, 0.0]), ["0", "1"], [1, 0]),
}


@pytest.mark.parametrize(("target", "classes", "codes"), TARGETS.values(), ids=TARGETS.keys())
def test_classes_in_the_order_of_their_codes(target: pa.Array, classes: list[str], codes: list[int]) -> None:
    column = pa.chunked_array([target])
    assert classes_of(column, Task.BINARY) == classes
    assert encode(column, classes).tolist() == codes


@given(st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=30))
@settings(max_examples=25, deadline=None)
def test_codes_and_classes_are_inverse(values: list[str]) -> None:
    column = pa.chunked_array([pa.array(values)])
    if len(set(values)) == 1:
        with pytest.raises(Refused) as found:
            classes_of(column, Task.MULTICLASS)
        assert found.value.reason == "OneClassTarget"
    else:
        classes = classes_of(column, Task.MULTICLASS)
        assert [classes[code] for code in encode(column, classes)] == values


NO_TARGETS: dict[str, tuple[pa.Array, Task, str, str]] = {
    "one class": (pa.array([True, True]), Task.BINARY, "OneClassTarget", "holds only 'true' in 2 train rows"),
    "no label": (pa.array([None], pa.bool_()), Task.BINARY, "OneClassTarget", "the target holds no label"),
    "three classes for two": (pa.array([1, 2, 3]), Task.BINARY, "InvalidSpec", "use MulticlassClassification"),
    "times as classes": (pa.array([1, 2], pa.timestamp("us")), Task.BINARY, "InvalidSpec", "the target is of type"),
    "text as a number": (pa.array(["1", "2"]), Task.REGRESSION, "InvalidSpec", "Regression takes integer or double"),
    "an infinite number": (
        pa.array([1.0, float("inf")]), Task.REGRESSION, "MetricsInvalid", "NaN or infinite in 1 of 2 rows",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("target", "task", "reason", "text"), NO_TARGETS.values(), ids=NO_TARGETS.keys())
def test_a_target_that_cannot_be(target: pa.Array, task: Task, reason: str, text: str) -> None:
    column = pa.chunked_array([target])
    with pytest.raises(Refused) as found:
        numbers(column) if task is Task.REGRESSION else classes_of(column, task)
    assert (found.value.reason, text in found.value.message) == (reason, True), found.value.message


def test_a_fit_that_does_not_converge_says_so() -> None:
    recipe = Recipe.parse(
        {**LATE.dump(), "estimator": {"name": "LogisticRegression", "parameters": {"max_iter": "1", "C": "1000000"}}}
    )
    rng = np.random.default_rng(0)
    x = frame(pa.table({"size": rng.normal(0, 1, 200), "count": rng.normal(0, 1, 200)}), [INPUTS[0], INPUTS[2]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = fit(recipe, [INPUTS[0], INPUTS[2]], x, rng.integers(0, 2, 200), classes=["false", "true"], weights=None)
    assert "failed to converge" in found.warnings[0]


KEYS: dict[str, tuple[dict[str, Any], bool]] = {
    "a gate only judges": ({"gate": {"margin": "0.5"}}, True),
    "a metric only judges": ({"objective": {"metric": "f1"}}, True),
    "the same format": ({"output": {"format": {"name": "onnx"}}}, True),
    "another name": ({"modelName": "other"}, True),
    "another seed": ({"seed": 1}, False),
    "another format": ({"output": {"format": {"name": "skops"}}}, False),
    "another window": ({"dataRef": {"name": "d", "window": {"since": "2013-04-01T00:00:00Z"}}}, False),
    "another threshold": ({"decision": {"threshold": "0.3"}}, False),
}


@pytest.mark.parametrize(("changes", "is_same"), KEYS.values(), ids=KEYS.keys())
def test_the_fit_key_names_what_decides_about_the_model(changes: dict[str, Any], is_same: bool) -> None:
    data = "sha256:" + "9" * 64
    assert (fit_key(LATE, data) == fit_key(Recipe.parse({**LATE.dump(), **changes}), data)) is is_same


QUOTAS = {
    "no limit": ("max 100000", None),
    "half a processor": ("50000 100000", 1),
    "one and a half": ("150000 100000", 2),
}


@pytest.mark.parametrize(("text", "least"), QUOTAS.values(), ids=QUOTAS.keys())
def test_no_more_threads_than_the_container_has_processors(tmp_path: Any, text: str, least: int | None) -> None:
    (tmp_path / "cpu.max").write_text(text + "\n")
    everything = processors(tmp_path / "absent")
    assert processors(tmp_path / "cpu.max") == min(everything, least or everything)
