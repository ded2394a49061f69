"""Subgroups by expression, and expressions that are none."""

import pyarrow as pa
import pytest

from treadle.api.trainingjob import Slice
from treadle.training.errors import Refused
from treadle.training.slices import slice_rows

ROWS = pa.table(
    {
        "origin": ["LGA", "EWR", None, "LGA"],
        "hour": [7, 19, 20, None],
        "due": pa.array([0, 1, 2, 3]).cast(pa.timestamp("us", "UTC")),
    }
)

CASES = {
    "equal text": ("origin = 'LGA'", [0, 3]),
    "null is not true": ("hour >= 18", [1, 2]),
    "a function of the row": ("lower(origin) = 'ewr' OR hour IS NULL", [1, 3]),
    "a list": ("origin IN ('EWR', 'JFK')", [1]),
    "a time": ("hour(due) = 0 AND origin LIKE 'L%'", [0, 3]),
    "none": ("hour > 100", []),
    "a comment does not hide the end": ("hour > 10 -- late", [1, 2]),
}


@pytest.mark.parametrize(("expression", "rows"), CASES.values(), ids=CASES.keys())
def test_rows_of_a_slice(expression: str, rows: list[int]) -> None:
    found = slice_rows(ROWS, [Slice(name="some", expression=expression)])
    assert found["some"].tolist() == rows


REFUSED = {
    "no SQL": ("hour >=", "is no SQL expression"),
    "an unknown column": ("gate = 1", 'unknown column "gate"; known are origin, hour, due'),
    "a number": ("hour + 1", "gives int64, expected boolean"),
    "an aggregate": ("count(*) > 1", "is an aggregate"),
    "a subquery": ("hour IN (SELECT 1)", "holds a subquery"),
    "a window": ("row_number() OVER () = 1", "holds a window"),
    "chance": ("random() < 0.5", "function random() is not allowed"),
    "the time of day": ("now() > due", "function now() is not allowed"),
    "two statements": ("hour = 1; DROP TABLE rows", "is no SQL expression"),
    "a function off the list": ("getenv('HOME') = origin", "function getenv() is not allowed"),
    "another table": ("hour = 1 FROM rows", "more than one scalar expression"),
    "a file": ("length((SELECT content FROM read_text('/etc/hostname'))) > 0", "holds a subquery"),
    "types that do not compare": ("due = 'noon'", "fails on the holdout's rows"),
}


@pytest.mark.parametrize(("expression", "text"), REFUSED.values(), ids=REFUSED.keys())
def test_refused(expression: str, text: str) -> None:
    with pytest.raises(Refused) as found:
        slice_rows(ROWS, [Slice(name="some", expression=expression)])
    assert (found.value.reason, found.value.failed) == ("InvalidSpec", "DataResolved")
    assert found.value.message.startswith("spec.evaluation.slices some: ") and text in found.value.message
    assert found.value.message.endswith("docs: reasons/InvalidSpec")
