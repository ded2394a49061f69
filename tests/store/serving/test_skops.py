"""Models that scikit-learn itself answers."""

import hashlib
import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serving_pod import Pod, flights_model, inference, planned, publish
from treadle.api.artifacts import Golden, ModelSchema
from treadle.api.reasons import Reason
from treadle.serving.load import Files, Rejected, load
from treadle.serving.schema import feeds
from treadle.training.formats import skops_bytes

NUMBERS = ModelSchema.model_validate(
    {"task": "BinaryClassification", "inputs": [{"name": n, "type": "double"} for n in "xy"], "classes": ["0", "1"]}
)


def files(root: Path, model: bytes, name: str = "model.onnx", **changes: bytes) -> Files:
    contents = {
        name: model,
        "schema.json": NUMBERS.model_dump_json(by_alias=True).encode(),
        "golden.json": Golden(columns={"x": [1.0], "y": [None]}, scores=[0.5], labels=["1"]).model_dump_json().encode(),
        **{key.replace("_", "."): value for key, value in changes.items()},
    }
    for path, data in contents.items():
        (root / path).write_bytes(data)
    sha256 = {path: hashlib.sha256(data).hexdigest() for path, data in contents.items()}
    return Files(root, "onnx" if name.endswith("onnx") else "skops", name, sha256)


def skops_model(estimator: Any) -> bytes:
    import skops.io as sio

    rng = np.random.default_rng(1)
    rows = rng.random((50, 2))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return bytes(sio.dumps(estimator.fit(rows, (rows[:, 0] > 0.5).astype(int))))


def test_a_pipeline_of_skops_answers_as_it_did(tmp_path: Path) -> None:
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    pipeline = make_pipeline(SimpleImputer(), LogisticRegression())
    model = load(files(tmp_path, skops_model(pipeline), "model.skops"))
    found = model.predict(feeds({"x": [0.9, 0.1], "y": [0.2, None]}, NUMBERS))
    expected = pipeline.predict_proba(np.array([[0.9, 0.2], [0.1, np.nan]]))[:, 1]
    assert found.scores == pytest.approx(expected, abs=1e-6)
    assert found.labels == ["1", "0"]


def test_a_type_that_is_not_on_the_list_of_skops_is_refused(tmp_path: Path) -> None:

    from sklearn.preprocessing import FunctionTransformer

    with pytest.raises(Rejected) as found:
        load(files(tmp_path, skops_model(FunctionTransformer(os.path.join, validate=False)), "model.skops"))
    assert found.value.reason == Reason.FORMAT_REFUSED


def test_a_pod_serves_a_model_of_skops(prepared: Pod) -> None:
    from sklearn.compose import ColumnTransformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    golden = flights_model(1)[1]
    columns = golden.columns
    rows = np.array([columns[name] for name in ("distance", "hour", "origin")], object).T
    encode = ColumnTransformer([("number", StandardScaler(), [0, 1]), ("text", OneHotEncoder(), [2])])
    pipeline = make_pipeline(encode, LogisticRegression()).fit(rows, [0, 1] * 10)
    scores = pipeline.predict_proba(rows)[:, 1]
    told = Golden(columns=columns, scores=scores.tolist(), labels=[str(int(score >= 0.5)) for score in scores])
    digest = publish(prepared.store, onnx=skops_bytes(pipeline), golden=told, primary=("skops", "model.skops"))
    prepared.apply(champion=planned(digest), candidate=None)
    prepared.start()
    assert prepared.until_state("champion", "Serving")["golden"] == "20/20"
    body = inference(
        distance=("INT64", columns["distance"]), hour=("FP64", columns["hour"]), origin=("BYTES", columns["origin"])
    )
    answer = prepared.infer(body)
    assert answer.output("score") == pytest.approx(scores.tolist(), abs=1e-6)
    assert answer.output("label") == told.labels


def test_a_server_without_such_a_model_imports_no_scikit_learn() -> None:
    code = (
        "import sys, treadle.serving.main, treadle.serving.load; print({'sklearn', 'skops', 'scipy'} & {*sys.modules})"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout.strip() == b"set()"
