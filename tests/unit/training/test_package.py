"""A fitted pipeline as files, opened by the server's own code."""

import hashlib
import io
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import RandomForestClassifier, VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline

from treadle.api.artifacts import Golden, Input, ModelSchema
from treadle.api.trainingjob import EstimatorName, Recipe, Task
from treadle.serving.load import Files, load
from treadle.serving.onnxfile import problem
from treadle.training.dataset import Columns
from treadle.training.errors import Refused
from treadle.training.fit import encode, fit, numbers
from treadle.training.formats import rename, settled, skops_bytes
from treadle.training.metrics import Answers
from treadle.training.opened import Format, open_model
from treadle.training.package import Package, evenly, json_value, mismatch, package, remedy
from treadle.training.prepare import frame

INPUTS = (
    Input(name="size (m²)", type="double"),
    # The names of tensors that conversion makes inside the graph.
    Input(name="variable", type="integer"),
    Input(name="probabilities", type="string"),
    Input(name="sealed", type="boolean", nullable=False),
    Input(name="due", type="timestamp"),
    Input(name="owner", type="string", classification="personal"),
)
COLUMNS = Columns(inputs=INPUTS, target="late", id="parcel")
REGRESSIONS = {name for name in EstimatorName if name.value.endswith("Regressor")} | {
    EstimatorName.RIDGE, EstimatorName.LINEAR_REGRESSION,
}  # fmt: skip


def table(rows: int = 300, seed: int = 1) -> pa.Table:
    rng = np.random.default_rng(seed)
    size, count = rng.random(rows) * 9, rng.integers(0, 6, rows)
    colour = rng.choice(["rot", "grün", ""], rows)
    score = size + count + 3 * (colour == "rot") + rng.normal(0, 1, rows)
    every = np.arange(rows)
    return pa.table(
        {
            "size (m²)": pa.array(size, mask=every % 17 == 3),
            "variable": pa.array(count, mask=every % 19 == 4),
            "probabilities": pa.array(colour.tolist(), mask=every % 23 == 5),
            "sealed": pa.array(rng.random(rows) < 0.5),
            "due": pa.array(1_370_000_000_000_000 + every * 3_600_000_000).cast(pa.timestamp("us", "UTC")),
            "owner": rng.choice(["a1", "b2"], rows),
            "late": pa.array(score > 9),
            "delay": pa.array(score * 100),
            "kind": np.select([score > 11, score > 8], ["c", "b"], "a"),
        }
    )


ROWS = table()


def recipe(name: EstimatorName, task: Task | None = None, **changes: Any) -> Recipe:
    sizes = {"n_estimators": "15"} if "Forest" in name.value else {"max_iter": "15"} if "Hist" in name.value else {}
    return Recipe.parse(
        {
            "modelName": "m",
            "dataRef": {"name": "d"},
            "task": task or ("Regression" if name in REGRESSIONS else "BinaryClassification"),
            "estimator": {"name": name, "parameters": sizes},
            "objective": {"metric": "rmse" if name in REGRESSIONS else "roc_auc"},
            **changes,
        }
    )


def packed(wanted: Recipe, reference: pa.Table = ROWS) -> Package:
    """Fit and package as a run does."""
    rows = ROWS
    target = {Task.REGRESSION: "delay", Task.BINARY: "late", Task.MULTICLASS: "kind"}[wanted.task]
    classes = {Task.REGRESSION: [], Task.BINARY: ["false", "true"], Task.MULTICLASS: ["a", "b", "c"]}[wanted.task]
    y = encode(rows.column(target), classes) if classes else numbers(rows.column(target))
    fitted = fit(wanted, list(INPUTS), frame(rows, INPUTS), y, classes=classes, weights=None)
    return package(wanted, fitted.pipeline, COLUMNS, classes, train=rows, reference=reference)


def served(made: Package, directory: Path) -> Any:
    """Open the files as a server does."""
    for path, data in made.files.items():
        (directory / path).write_bytes(data)
    sha256 = {path: hashlib.sha256(data).hexdigest() for path, data in made.files.items()}
    return load(Files(directory, made.format, made.path, sha256))


TASKS = [(name, None) for name in EstimatorName] + [
    (EstimatorName.LOGISTIC_REGRESSION, Task.MULTICLASS),
    (EstimatorName.HIST_GRADIENT_BOOSTING_CLASSIFIER, Task.MULTICLASS),
    (EstimatorName.RANDOM_FOREST_CLASSIFIER, Task.MULTICLASS),
]


@pytest.mark.parametrize(("name", "task"), TASKS, ids=[f"{name}-{task or 'own task'}" for name, task in TASKS])
def test_a_server_recites_every_estimators_golden_rows(name: EstimatorName, task: Task | None, tmp_path: Path) -> None:
    made = packed(recipe(name, task))
    # skl2onnx has no converter for the two of sklearn.dummy.
    assert made.format == ("skops" if "Dummy" in name.value else "onnx")
    if made.format == "onnx":
        assert problem(made.files["model.onnx"]) == "", "the graph stands alone"
    agreement = served(made, tmp_path).recite(1e-5)
    assert (agreement.rows, agreement.is_whole) == (20, True), agreement.difference


def test_equal_fits_give_equal_bytes() -> None:
    for name in (EstimatorName.HIST_GRADIENT_BOOSTING_CLASSIFIER, EstimatorName.DUMMY_CLASSIFIER):
        assert packed(recipe(name)).files == packed(recipe(name)).files


def test_a_schema_describes_train_rows_and_quotes_nothing_personal() -> None:
    made = packed(recipe(EstimatorName.LOGISTIC_REGRESSION, decision={"threshold": "0.3"}))
    schema = ModelSchema.model_validate_json(made.files["schema.json"])
    assert (schema.classes, schema.threshold, schema.id_column) == (["false", "true"], "0.3", "parcel")
    found = {item.name: item for item in schema.inputs}
    assert list(found) == [item.name for item in INPUTS]
    assert found["probabilities"].values == ["", "grün", "rot"]
    assert (found["variable"].min, found["variable"].max) == ("0", "5")
    assert found["due"].min == "2013-05-31T11:33:20Z" and found["sealed"].nullable is False
    assert found["due"].example == found["due"].min and isinstance(found["size (m²)"].example, float)
    owner = found["owner"]
    assert (owner.classification, owner.values, owner.example, owner.min) == ("personal", None, None, None)


def test_a_reference_has_the_logs_names_and_types() -> None:
    made = packed(recipe(EstimatorName.LOGISTIC_REGRESSION))
    found = pq.read_table(pa.BufferReader(made.files["reference.parquet"]))
    assert [(field.name, str(field.type)) for field in found.schema] == [
        ("in.size (m²)", "double"),
        ("in.variable", "int64"),
        ("in.probabilities", "string"),
        ("in.sealed", "bool"),
        ("in.due", "timestamp[us, tz=UTC]"),
        ("in.owner", "string"),
        ("out.score", "double"),
        ("out.label", "string"),
    ]
    assert found.num_rows == ROWS.num_rows
    score, label = found.column("out.score").to_numpy(), found.column("out.label").to_pylist()
    assert label == ["true" if value >= 0.5 else "false" for value in score]


def test_golden_rows_are_rows_that_a_request_can_hold() -> None:
    sizes = [1e39, *ROWS.column("size (m²)").to_pylist()[1:]]  # beyond float32, which a server refuses
    reference = ROWS.set_column(0, "size (m²)", pa.array(sizes, pa.float64()))
    made = packed(recipe(EstimatorName.HIST_GRADIENT_BOOSTING_CLASSIFIER), reference=reference)
    golden = Golden.model_validate_json(made.files["golden.json"])
    assert max(size for size in golden.columns["size (m²)"] if size is not None) < 10
    # Twenty rows at even distances meet nulls, and no score stands where rounding would change its label.
    assert None in [value for values in golden.columns.values() for value in values]
    assert min(abs(score - 0.5) for score in golden.scores) > 1e-3
    assert pq.read_table(pa.BufferReader(made.files["reference.parquet"])).num_rows == ROWS.num_rows - 1


def test_what_neither_format_holds_is_refused_with_both_causes() -> None:
    wanted = recipe(EstimatorName.RANDOM_FOREST_CLASSIFIER, output={"format": {"name": "skops"}})
    with pytest.raises(Refused) as found:
        packed(wanted)
    assert (found.value.reason, found.value.failed) == ("FormatRefused", "Trained")
    assert "skops: type sklearn.tree._tree.Tree is not on the list of skops. Use onnx" in found.value.message


def test_a_logistic_regression_is_written_as_skops_when_asked(tmp_path: Path) -> None:
    made = packed(recipe(EstimatorName.LOGISTIC_REGRESSION, output={"format": {"name": "skops"}}))
    assert (made.format, made.path) == ("skops", "model.skops")
    assert served(made, tmp_path).recite(1e-5).is_whole


def test_no_pickle_is_in_a_skops_file() -> None:
    from sklearn.dummy import DummyClassifier
    from sklearn.tree import DecisionTreeClassifier

    x = np.arange(20.0).reshape(-1, 1)
    with pytest.raises(Refused) as found:
        package(
            recipe(EstimatorName.DUMMY_CLASSIFIER),
            # A pipeline that neither format takes as servers want it.
            VotingClassifier([("a", DecisionTreeClassifier()), ("b", DummyClassifier())]).fit(x, np.arange(20) % 2),
            Columns(inputs=(INPUTS[0],), target="late"),
            ["false", "true"],
            train=ROWS,
            reference=ROWS,
        )
    assert found.value.reason == "FormatRefused" and "ONNX: " in found.value.message


MISMATCHES: dict[str, tuple[float, bool]] = {
    "equal": (0.0, False),
    "within float32": (3e-7, False),
    "beyond the server's tolerance": (2e-5, True),
    "NaN instead of a number": (float("nan"), True),
}


@pytest.mark.parametrize(("apart", "is_refused"), MISMATCHES.values(), ids=MISMATCHES.keys())
def test_a_conversion_that_answers_otherwise(apart: float, is_refused: bool) -> None:
    score = np.array([0.2, 0.7])
    expected = Answers(score, np.array([0, 1]), np.stack([1 - score, score], axis=1))
    moved = score + np.array([0.0, apart])
    found = Answers(moved, np.array([0, 1]), np.stack([1 - moved, moved], axis=1))
    text = mismatch(expected, found, "onnx")
    assert (text is not None) == is_refused
    assert text is None or text.endswith("in 1 of 2 rows beyond 1e-05")


def test_a_model_that_answers_otherwise_once_it_is_written_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("treadle.training.package.TOLERANCE", 0.0)  # float32 alone is further apart
    with pytest.raises(Refused) as refusal:
        packed(recipe(EstimatorName.RANDOM_FOREST_CLASSIFIER))
    assert (refusal.value.reason, refusal.value.failed) == ("ConversionMismatch", "Trained")
    assert "rows beyond 0; scale large columns down" in refusal.value.message


def test_a_large_number_is_compared_relatively() -> None:
    expected = Answers(np.array([1e6]), np.empty(0, np.int64))
    assert mismatch(expected, Answers(np.array([1e6 + 5]), np.empty(0, np.int64)), "onnx") is None
    assert mismatch(expected, Answers(np.array([1e6 + 15]), np.empty(0, np.int64)), "onnx") is not None


# name: (estimator, format, what mends it)
REMEDIES = {
    "a linear model": (LogisticRegression(), "onnx", "set spec.output.format.name: skops"),
    "trees, which skops does not make": (
        RandomForestClassifier(2),
        "onnx",
        "scale large columns down by an expression of the DataSource, or use another estimator",
    ),
    "skops itself": (LogisticRegression(), "skops", "use another estimator"),
}


@pytest.mark.parametrize(("estimator", "form", "text"), REMEDIES.values(), ids=REMEDIES.keys())
def test_what_mends_a_conversion(estimator: Any, form: Format, text: str) -> None:
    fitted = Pipeline([("estimator", estimator.fit([[0.0], [1.0]], [0, 1]))])
    schema = ModelSchema.parse(
        {"task": "BinaryClassification", "inputs": [{"name": "x", "type": "double"}], "classes": ["0", "1"]}
    )
    assert remedy(fitted, form, schema) == text


def test_renaming_keeps_tensors_apart() -> None:
    node = onnx.helper.make_node
    graph = onnx.helper.make_graph(
        [node("Neg", ["in0"], ["a"]), node("Add", ["a", "in1"], ["score"])],
        "model",
        [onnx.helper.make_tensor_value_info(name, 1, [None, 1]) for name in ("in0", "in1")],
        [onnx.helper.make_tensor_value_info("score", 1, [None, 1])],
    )
    rename(graph, {"in0": "b", "in1": "a"})
    assert [(list(item.input), list(item.output)) for item in graph.node] == [(["b"], ['a"']), (['a"', "a"], ["score"])]


def test_settling_a_skops_file_changes_no_answer() -> None:
    from sklearn.dummy import DummyRegressor
    from sklearn.pipeline import Pipeline

    fitted = Pipeline([("model", DummyRegressor())]).fit(np.zeros((4, 1)), np.array([1.0, 2.0, 3.0, 6.0]))
    data = skops_bytes(fitted)
    assert settled(data) == data
    schema = ModelSchema(task="Regression", inputs=[Input(name="x", type="double")])
    assert open_model(data, "skops", schema).answers(pa.table({"x": [1.0]})).score.tolist() == [3.0]
    assert b"pickle" not in data and io.BytesIO(data).read(2) == b"PK"


@given(rows=st.integers(0, 500), limit=st.integers(1, 60))
@settings(max_examples=40)
def test_even_positions_are_spread_and_distinct(rows: int, limit: int) -> None:
    found = evenly(np.arange(rows), limit)
    assert len(found) == min(rows, limit) == len(set(found.tolist()))
    gaps = np.diff(found)
    assert not len(gaps) or gaps.max() - gaps.min() <= 1
    assert not len(found) or found[0] == 0


VALUES: dict[str, tuple[Any, Any]] = {
    "text": ("x", "x"),
    "no number": (float("nan"), None),
    "a number": (1.5, 1.5),
    "a time": (datetime(2013, 7, 1, 4, 15, 2, tzinfo=UTC), "2013-07-01T04:15:02Z"),
    "a date": (date(2013, 7, 1), "2013-07-01"),
}


@pytest.mark.parametrize(("value", "spelt"), VALUES.values(), ids=VALUES.keys())
def test_values_as_a_request_spells_them(value: Any, spelt: Any) -> None:
    assert json_value(value) == spelt
