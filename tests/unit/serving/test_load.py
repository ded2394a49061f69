"""A verified model's files to a model in memory."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serving_pod import schema
from treadle.api.artifacts import Golden, ModelSchema
from treadle.api.reasons import Reason
from treadle.serving.load import Files, Rejected, answers, load
from treadle.serving.schema import check, feeds, golden_columns
from treadle.serving.v2 import Answers, parse

BINARY = schema(classes=["false", "true"], threshold="0.3")
THREE = schema(task="MulticlassClassification", classes=["a", "b", "c"])
REGRESSION = schema(task="Regression", classes=[])

FOUND = {
    "two classes go by the threshold": (
        BINARY,
        [[0.6, 0.4], [0.8, 0.2]],
        [0, 0],
        Answers([0.4, 0.2], ["true", "false"]),
    ),
    "a single score is the positive class's": (BINARY, [[0.4], [0.2]], None, Answers([0.4, 0.2], ["true", "false"])),
    "the most probable of three": (THREE, [[0.1, 0.7, 0.2], [0.5, 0.2, 0.3]], None, Answers([0.7, 0.5], ["b", "a"])),
    "three classes by the graph's label": (THREE, [0.7, 0.5], ["b", "a"], Answers([0.7, 0.5], ["b", "a"])),
    "a regression has no label": (REGRESSION, [[1.5], [2.5]], None, Answers([1.5, 2.5], [])),
}


@pytest.mark.parametrize(("given", "scores", "labels", "expected"), FOUND.values(), ids=FOUND.keys())
def test_answers(given: ModelSchema, scores: Any, labels: Any, expected: Answers) -> None:
    found = answers(np.array(scores), None if labels is None else np.array(labels), given)
    assert found == expected


def test_a_score_that_is_no_number_is_no_answer() -> None:
    with pytest.raises(ValueError, match="no finite number"):
        answers(np.array([[np.nan]]), None, REGRESSION)


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


BAD = {
    "a pickle": (b"\x80\x04\x95", {}, Reason.FORMAT_REFUSED, "onnxruntime does not open it"),
    "a schema of another version": (b"", {"schema_json": b'{"v":2}'}, Reason.FORMAT_REFUSED, "ModelSchema"),
    "golden rows that are none": (b"", {"golden_json": b"[]"}, Reason.FORMAT_REFUSED, "Golden"),
}


@pytest.mark.parametrize(("model", "changes", "reason", "text"), BAD.values(), ids=BAD.keys())
def test_refuses(tmp_path: Path, model: bytes, changes: dict[str, bytes], reason: Reason, text: str) -> None:
    with pytest.raises(Rejected) as found:
        load(files(tmp_path, model, **changes))
    assert found.value.reason == reason
    assert text in found.value.message


def test_bytes_that_changed_since_the_fetch_are_refused(tmp_path: Path) -> None:
    listed = files(tmp_path, b"model")
    (tmp_path / "schema.json").write_bytes(b"{}")
    with pytest.raises(Rejected) as found:
        load(listed)
    assert found.value.reason == Reason.CHECKSUM_MISMATCH


def test_times_are_read_alike_from_golden_rows_and_requests() -> None:
    inputs = [{"name": "at", "type": "timestamp"}, {"name": "day", "type": "date"}]
    times = ModelSchema.model_validate({"task": "Regression", "inputs": inputs})
    golden = golden_columns({"at": ["2013-07-01T04:15:02Z"], "day": ["1970-01-02"]}, times)
    body = (
        b'{"inputs":[{"name":"at","datatype":"BYTES","shape":[1],"data":["2013-07-01T06:15:02+02:00"]},'
        b'{"name":"day","datatype":"BYTES","shape":[1],"data":["1970-01-02"]}]}'
    )
    from treadle.api.plan import PlannedPolicy

    sent = check(parse(body, 10).tensors, times, PlannedPolicy()).columns
    assert sent == golden
    assert feeds(sent, times)["day"].tolist() == [[86400.0]]
