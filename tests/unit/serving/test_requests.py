"""A request against the schema: what is accepted, and what is refused with which words."""

import math
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving_pod import inference, schema
from treadle.api.plan import PlannedPolicy
from treadle.serving import v2
from treadle.serving.schema import Checked, Refusal, check, example, feeds

REJECT = PlannedPolicy()
COERCE = PlannedPolicy.model_validate({"schemaEnforcement": "Coerce"})
IGNORE = PlannedPolicy.model_validate({"onExtraColumn": "Ignore"})


def read(document: Any, policy: PlannedPolicy = REJECT) -> Checked:
    body = document if isinstance(document, bytes) else orjson.dumps(document)
    return check(v2.parse(body, policy.max_rows).tensors, schema(), policy)


ACCEPTED = {
    "typed columns": (inference(), REJECT),
    "a column vector": ({"inputs": [{**item, "shape": [1, 1]} for item in inference()["inputs"]]}, REJECT),
    "a nested column vector": (
        {"inputs": [{**item, "shape": [1, 1], "data": [item["data"]]} for item in inference()["inputs"]]},
        REJECT,
    ),
    "an integer for a double": (inference(hour=("INT64", [17])), REJECT),
    "an integral literal in a double": (inference(hour=("FP64", [17])), REJECT),
    "a null where the schema has them": (inference(hour=("FP64", [None])), REJECT),
    "an id column": (inference(flight=("BYTES", ["UA1545"])), REJECT),
    "an unseen category": (inference(origin=("BYTES", ["ZZZ"])), REJECT),
    "an extra column under Ignore": (inference(extra=("FP64", [1.0])), IGNORE),
    "text that spells numbers under Coerce": (
        inference(distance=("BYTES", ["529"]), hour=("BYTES", [" 17.5 "])),
        COERCE,
    ),
}


@pytest.mark.parametrize(("document", "policy"), ACCEPTED.values(), ids=ACCEPTED.keys())
def test_accepted(document: Any, policy: PlannedPolicy) -> None:
    found = read(document, policy)
    assert list(found.columns) == ["distance", "hour", "origin"]
    assert found.columns["distance"] == [529]


def one(**changes: Any) -> dict[str, Any]:
    """A body whose first tensor is changed."""
    first, *others = inference()["inputs"]
    return {"inputs": [{**first, **changes}, *others]}


REFUSED = {
    "no JSON": (b"{", "no JSON"),
    "no UTF-8": (b'{"id":"\xff"}', "no JSON"),
    "NaN": (orjson.dumps(inference()).replace(b"17.0", b"NaN"), "no JSON"),
    "Infinity": (orjson.dumps(inference()).replace(b"17.0", b"-Infinity"), "no JSON"),
    "a number beyond double": (orjson.dumps(inference()).replace(b"17.0", b"1e999"), ""),
    "a list": (b"[]", "no JSON object"),
    "null": (b"null", "no JSON object"),
    "no inputs": (b"{}", '"inputs" is missing'),
    "empty inputs": (b'{"inputs":[]}', '"inputs" is missing'),
    "inputs that are no list": (b'{"inputs":{}}', '"inputs" is missing'),
    "an input that is no object": (b'{"inputs":[1]}', "inputs[0] is no object"),
    "a deep member": (b'{"parameters":' + b"[" * 500 + b"]" * 500 + b',"inputs":[]}', "nested deeper"),
    "a name that is no text": (one(name=7), '"name" is no text'),
    "an unknown datatype": (one(datatype="DECIMAL"), '"datatype" is none of'),
    "data that is no list": (one(data={}), '"data" is no list'),
    "a negative shape": (one(shape=[-1]), '"shape" says -1 rows'),
    "a shape of text": (one(shape=["1"]), '"shape" is not'),
    "a shape of booleans": (one(shape=[True]), '"shape" is not'),
    "a wide shape": (one(shape=[1, 2], data=[1, 2]), '"shape" is not'),
    "a huge shape": (one(shape=[10**15]), "has 1"),
    "shape against data": (one(shape=[2]), '"shape" says 2 rows, "data" has 1'),
    "no rows": (inference(0), "has 0 rows"),
    "too many rows": (inference(1001), "has 1001 rows, allowed are 1 to 1000"),
    "columns of other lengths": (inference(hour=("FP64", [1.0, 2.0])), "differ in rows"),
    "two columns of one name": ({"inputs": inference()["inputs"] * 2}, "one name"),
    "a missing column": (inference(hour=None), 'column "hour" is missing: expected FP64 or null, found none'),
    "an extra column": (inference(hours=("FP64", [1.0])), 'column "hours" is none of the model\'s'),
    "a decimal for an integer": (inference(distance=("FP64", [529.0])), 'column "distance": expected INT64'),
    "a decimal in an integer tensor": (inference(distance=("INT64", [529.5])), "found a decimal in row 0"),
    "a boolean in an integer tensor": (inference(distance=("INT64", [True])), "found a boolean in row 0"),
    "text for a number": (inference(distance=("BYTES", ["529"])), 'found datatype "BYTES"'),
    "text in a number tensor": (inference(distance=("INT64", ["529"])), "found text in row 0"),
    "a number for text": (inference(origin=("INT64", [1])), 'column "origin": expected BYTES'),
    "a number in a text tensor": (inference(origin=("BYTES", [1])), "found an integer in row 0"),
    "a list in a text tensor": (inference(origin=("BYTES", [["LGA"]])), "found a list in row 0"),
    "a null where the schema has none": (inference(distance=("INT64", [None])), "found null in row 0"),
    "an integer beyond its datatype": (inference(distance=("INT8", [300])), "out of range in row 0"),
    "an integer beyond 64 bits": (inference(distance=("UINT64", [(1 << 64) - 1])), "out of range in row 0"),
    "a double beyond float32": (inference(hour=("FP64", [1e300])), "finite number"),
    "an id of 300 characters": ({**inference(), "id": "x" * 300}, '"id" is no text'),
    "an id that is a number": ({**inference(), "id": 7}, '"id" is no text'),
    "a null in the id column": (inference(flight=("BYTES", [None])), "expected an id"),
    "an unknown output": ({**inference(), "outputs": [{"name": "explain"}]}, "outputs[0] is none of"),
}


@pytest.mark.parametrize(("document", "text"), REFUSED.values(), ids=REFUSED.keys())
def test_refused(document: Any, text: str) -> None:
    with pytest.raises(Refusal) as found:
        read(document)
    assert found.value.status == 400
    assert text in found.value.text
    for name in ("distance", "hour", "origin"):
        assert name not in found.value.minimal


COERCED = {
    "a text that is no number": inference(distance=("BYTES", ["far"])),
    "nan": inference(hour=("BYTES", ["nan"])),
    "an endless number": inference(distance=("BYTES", ["9" * 5000])),
}


@pytest.mark.parametrize("document", COERCED.values(), ids=COERCED.keys())
def test_coerce_refuses(document: Any) -> None:
    with pytest.raises(Refusal):
        read(document, COERCE)


def test_the_example_is_accepted() -> None:
    assert read(example(schema()).encode()).rows == 1


def test_feeds_hold_nan_and_empty_text_for_null() -> None:
    columns = {"distance": [1, 2], "hour": [None, 2.5], "origin": ["LGA", None]}
    found = feeds(columns, schema())
    assert found["hour"].dtype == np.float32
    assert found["hour"].shape == (2, 1)
    assert math.isnan(found["hour"][0, 0])
    assert found["origin"].tolist() == [["LGA"], [""]]


IDS = {
    "of their column": (["a", "b"], ["a", "b"]),
    "of the request": (None, ["r", "r/1"]),
}


@pytest.mark.parametrize(("column", "expected"), IDS.values(), ids=IDS.keys())
def test_prediction_ids(column: list[str] | None, expected: list[str]) -> None:
    assert v2.prediction_ids(column, "r", 2) == expected


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(json_values, st.sampled_from(["name", "shape", "datatype", "data", "id", "inputs", "outputs"]))
def test_any_value_anywhere_is_accepted_or_refused(value: Any, key: str) -> None:
    document = {**inference(), key: value} if key in ("id", "inputs", "outputs") else one(**{key: value})
    try:
        body = orjson.dumps(document)
    except TypeError:
        return  # a lone surrogate has no UTF-8
    for policy in (REJECT, COERCE):
        try:
            read(body, policy)
        except Refusal as refusal:
            assert refusal.status == 400
