"""Open Inference Protocol v2 to and from columns."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from treadle import __version__
from treadle.api.artifacts import OUTPUT_LABEL, OUTPUT_SCORE, ModelSchema
from treadle.api.trainingjob import Task
from treadle.serving.schema import DATATYPE, FLOATS, ID_LENGTH, INTEGERS, Refusal, Tensor

OUTPUT_ID = "prediction_id"
DATATYPES = frozenset(INTEGERS) | FLOATS | {"BOOL", "BYTES"}
DEPTH = 32
SHAPE = '"inputs" is a list of tensors, each with "name", "shape", "datatype" and "data"'


@dataclass(frozen=True, slots=True)
class Inference:
    """A request for predictions, with tensors of equal length."""

    id: str | None
    tensors: list[Tensor]
    rows: int
    outputs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Answers:
    """What a model answered: a score per row, and a label per row unless it is a regression."""

    scores: list[float]
    labels: list[str]


def parse(body: bytes, max_rows: int) -> Inference:
    """Return the request that a body spells; raise Refusal naming the place of what is wrong."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Refusal(400, f"the body is no JSON: line {error.lineno}, column {error.colno}; {SHAPE}") from None
    if not isinstance(document, dict):
        raise Refusal(400, f"the body is no JSON object; {SHAPE}")
    for key, value in document.items():
        if key != "inputs" and depth(value) >= DEPTH:
            raise Refusal(400, f"a member of the body is nested deeper than {DEPTH}")
    inputs = document.get("inputs")
    if not isinstance(inputs, list) or not inputs:
        raise Refusal(400, f'"inputs" is missing or no list of tensors; {SHAPE}')
    tensors = [tensor(item, place) for place, item in enumerate(inputs)]
    rows = len(tensors[0].data)
    if len({item.name for item in tensors}) < len(tensors):
        raise Refusal(400, 'two of "inputs" have one name; send one tensor a column')
    for item in tensors:
        if len(item.data) != rows:
            raise Refusal(400, f'"inputs" differ in rows: {rows} and {len(item.data)}; send one value a row in each')
    if not 0 < rows <= max_rows:
        raise Refusal(400, f"the request has {rows} rows, allowed are 1 to {max_rows}; send several requests")
    return Inference(identity(document.get("id")), tensors, rows, wanted(document.get("outputs")))


def tensor(item: Any, place: int) -> Tensor:
    """Return one input; raise Refusal unless it is one column."""
    where = f"inputs[{place}]"
    if not isinstance(item, dict):
        raise Refusal(400, f"{where} is no object; {SHAPE}")
    name, shape, datatype, data = (item.get(key) for key in ("name", "shape", "datatype", "data"))
    if not isinstance(name, str) or not name:
        raise Refusal(400, f'{where}: "name" is no text; {SHAPE}')
    if not isinstance(datatype, str) or datatype not in DATATYPES:
        raise Refusal(400, f'{where}: "datatype" is none of {", ".join(sorted(DATATYPES))}')
    if not isinstance(data, list):
        raise Refusal(400, f'{where}: "data" is no list; send JSON values, one a row')
    if not isinstance(shape, list) or not is_column(shape):
        raise Refusal(400, f'{where}: "shape" is not [rows] or [rows, 1]; send one tensor a column')
    if len(shape) == 2 and data and all(type(row) is list and len(row) == 1 for row in data):
        data = [row[0] for row in data]
    if len(data) != shape[0]:
        raise Refusal(400, f'{where}: "shape" says {shape[0]} rows, "data" has {len(data)}')
    return Tensor(name, datatype, data)


def is_column(shape: list[Any]) -> bool:
    """Say whether a shape is [rows] or [rows, 1]."""
    return 1 <= len(shape) <= 2 and all(type(size) is int for size in shape) and shape[1:] in ([], [1])


def identity(value: Any) -> str | None:
    """Return the id of a request, or None for one without."""
    if value is None or value == "":
        return None
    if not isinstance(value, str) or len(value) > ID_LENGTH:
        raise Refusal(400, f'"id" is no text of at most {ID_LENGTH} characters')
    return value


def wanted(value: Any) -> tuple[str, ...]:
    """Return the outputs that were asked for; none is all."""
    if value is None or value == []:
        return ()
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise Refusal(400, '"outputs" is no list of objects with "name"')
    names = tuple(item.get("name") for item in value)
    for place, name in enumerate(names):
        if name not in (OUTPUT_SCORE, OUTPUT_LABEL, OUTPUT_ID):
            raise Refusal(400, f"outputs[{place}] is none of {OUTPUT_SCORE}, {OUTPUT_LABEL}, {OUTPUT_ID}")
    return names


def prediction_ids(ids: Sequence[str] | None, request_id: str, rows: int) -> list[str]:
    """Return the id of each row: its own, else the request's, with /n for row n above 0."""
    if ids is not None:
        return list(ids)
    return [request_id, *(f"{request_id}/{row}" for row in range(1, rows))]


def response(
    request: Inference, request_id: str, model: tuple[str, str], answers: Answers, ids: Sequence[str]
) -> bytes:
    """Return the body of an answer; `model` is name and version."""
    columns = {
        OUTPUT_SCORE: ("FP64", answers.scores),
        OUTPUT_LABEL: ("BYTES", answers.labels),
        OUTPUT_ID: ("BYTES", ids),
    }
    outputs = [
        {"name": name, "datatype": datatype, "shape": [len(ids)], "data": data}
        for name, (datatype, data) in columns.items()
        if data and (not request.outputs or name in request.outputs)
    ]
    return orjson.dumps({"model_name": model[0], "model_version": model[1], "id": request_id, "outputs": outputs})


def server_metadata() -> dict[str, Any]:
    """Return what GET /v2 answers."""
    return {"name": "treadle", "version": __version__, "extensions": []}


def model_metadata(
    model: str, versions: Sequence[str], platform: str, schema: ModelSchema, *, hidden: bool
) -> dict[str, Any]:
    """Return what GET /v2/models/<name> answers; `hidden` leaves the inputs out.

    A tensor's `parameters`, which the protocol leaves to servers, hold a value of the train part; none is personal.
    """
    inputs = [
        {
            "name": item.name,
            "datatype": DATATYPE[item.type],
            "shape": [-1],
            **({"parameters": {"example": item.example}} if item.example is not None else {}),
        }
        for item in schema.inputs
    ]
    outputs = [
        {"name": OUTPUT_SCORE, "datatype": "FP64", "shape": [-1]},
        *([] if schema.task == Task.REGRESSION else [{"name": OUTPUT_LABEL, "datatype": "BYTES", "shape": [-1]}]),
        {"name": OUTPUT_ID, "datatype": "BYTES", "shape": [-1]},
    ]
    return {
        "name": model,
        "versions": list(versions),
        "platform": platform,
        "inputs": [] if hidden else inputs,
        "outputs": outputs,
    }


def depth(value: Any) -> int:
    """Return how deep a JSON value is nested; 0 for a scalar. Without recursion: the caller chose the depth."""
    level, layer = 0, [value]
    while any(isinstance(item, dict | list) for item in layer):
        level += 1
        layer = [
            child
            for item in layer
            if isinstance(item, dict | list)
            for child in (item.values() if isinstance(item, dict) else item)
        ]
    return level
