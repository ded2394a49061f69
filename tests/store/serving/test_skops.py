"""Models that scikit-learn itself answers."""

import hashlib
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from treadle.api.artifacts import Golden, ModelSchema
from treadle.api.reasons import Reason
from treadle.serving.load import Files, Rejected, load
from treadle.serving.schema import feeds

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
