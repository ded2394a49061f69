"""A request against the input schema of a model."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from types import NoneType
from typing import Any

import numpy as np
import numpy.typing as npt

from treadle.api.artifacts import Input, ModelSchema
from treadle.api.datasource import ColumnType
from treadle.api.modeldeployment import ErrorDetail, RequestExtraColumn, SchemaEnforcement
from treadle.api.plan import PlannedPolicy

type Columns = dict[str, list[Any]]
type Feeds = dict[str, npt.NDArray[Any]]

FLOAT32_MAX = 3.4028234e38
ID_LENGTH = 256

INTEGERS = {
    "INT8": (-(1 << 7), (1 << 7) - 1),
    "INT16": (-(1 << 15), (1 << 15) - 1),
    "INT32": (-(1 << 31), (1 << 31) - 1),
    "INT64": (-(1 << 63), (1 << 63) - 1),
    "UINT8": (0, (1 << 8) - 1),
    "UINT16": (0, (1 << 16) - 1),
    "UINT32": (0, (1 << 32) - 1),
    "UINT64": (0, (1 << 63) - 1),  # the log keeps int64
}
FLOATS = frozenset({"FP16", "FP32", "FP64"})

DATATYPE = {
    ColumnType.BOOLEAN: "BOOL",
    ColumnType.INTEGER: "INT64",
    ColumnType.DOUBLE: "FP64",
    ColumnType.STRING: "BYTES",
    ColumnType.TIMESTAMP: "BYTES",
    ColumnType.DATE: "BYTES",
}
EXAMPLE: dict[ColumnType, Any] = {
    ColumnType.BOOLEAN: True,
    ColumnType.INTEGER: 1,
    ColumnType.DOUBLE: 0.5,
    ColumnType.STRING: "text",
    ColumnType.TIMESTAMP: "2013-07-01T04:15:02Z",
    ColumnType.DATE: "2013-07-01",
}
WORDS = {bool: "a boolean", int: "an integer", float: "a decimal", str: "text", NoneType: "null", list: "a list"}


class Refusal(Exception):
    """A request that is the caller's to correct: `text` may name the schema, `minimal` names nothing of it.

    closes: the connection is not to be read on.
    """

    def __init__(self, status: int, text: str, minimal: str | None = None, *, closes: bool = False) -> None:
        super().__init__(text)
        self.closes = closes
        self.status = status
        self.text = text
        self.minimal = text if minimal is None else minimal

    def shown(self, detail: ErrorDetail) -> str:
        """Return the text for the caller."""
        return self.text if detail == ErrorDetail.FULL else self.minimal


@dataclass(frozen=True, slots=True)
class Tensor:
    """One input as it was sent: values by row, JSON values."""

    name: str
    datatype: str
    data: list[Any]


@dataclass(frozen=True, slots=True)
class Checked:
    """Rows that a model can be asked: a value or None for each input, and the ids if a column of ids was sent."""

    columns: Columns
    rows: int
    ids: list[str] | None


def check(tensors: Sequence[Tensor], schema: ModelSchema, policy: PlannedPolicy) -> Checked:
    """Return the rows of a request, typed as the schema says; raise Refusal naming column, expected and found."""
    sent = {tensor.name: tensor for tensor in tensors}
    known = {item.name for item in schema.inputs}
    if policy.on_extra_column == RequestExtraColumn.REJECT:
        for name in sent:
            if name not in known and name != schema.id_column:
                wanted = ", ".join(json.dumps(item.name, ensure_ascii=False) for item in schema.inputs)
                raise misfit(f"column {_quoted(name)} is none of the model's: {wanted}; leave it out", schema)
    for item in schema.inputs:
        if item.name not in sent:
            raise misfit(f"column {_quoted(item.name)} is missing: expected {describe(item)}, found none", schema)
    coerce = policy.schema_enforcement == SchemaEnforcement.COERCE
    columns = {item.name: typed(sent[item.name], item, schema, coerce=coerce) for item in schema.inputs}
    tensor = sent.get(schema.id_column) if schema.id_column is not None else None
    ids = identifiers(tensor, schema) if tensor is not None else None
    return Checked(columns, len(next(iter(columns.values()))), ids)


def typed(tensor: Tensor, item: Input, schema: ModelSchema, *, coerce: bool) -> list[Any]:
    """Return a column's values as its type says: None, bool, int, float, str, datetime in UTC or date."""
    values = tensor.data
    if coerce and tensor.datatype == "BYTES" and item.type in (*NUMBERS, ColumnType.BOOLEAN):
        values = [_parsed(value, item, schema, row) for row, value in enumerate(values)]
        _expect_finite(values, item, schema)
    elif tensor.datatype in accepted(item.type):
        _expect_kinds(tensor, item, schema)
        if item.type == ColumnType.DOUBLE:
            _expect_finite(values, item, schema)
        elif item.type in (ColumnType.TIMESTAMP, ColumnType.DATE):
            values = [_when(value, item, schema, row) for row, value in enumerate(values)]
    else:
        raise misfit(
            f"column {_quoted(item.name)}: expected {describe(item)}, found datatype {_quoted(tensor.datatype)}", schema
        )
    if not item.nullable and None in values:
        raise misfit(
            f"column {_quoted(item.name)}: expected {describe(item)}, found null in row {values.index(None)}", schema
        )
    return values


NUMBERS = (ColumnType.INTEGER, ColumnType.DOUBLE)


def accepted(kind: ColumnType) -> frozenset[str]:
    """Return the datatypes that a column takes as they are; an integer widens to a double, nothing narrows."""
    if kind == ColumnType.INTEGER:
        return frozenset(INTEGERS)
    if kind == ColumnType.DOUBLE:
        return FLOATS | frozenset(INTEGERS)
    return frozenset({DATATYPE[kind]})


def describe(item: Input) -> str:
    """Say what a column takes, in the words of the protocol."""
    form = {ColumnType.TIMESTAMP: " with times as RFC 3339", ColumnType.DATE: " with dates as 2013-07-01"}
    return f"{DATATYPE[item.type]}{form.get(item.type, '')}{' or null' if item.nullable else ''}"


def example(schema: ModelSchema) -> str:
    """Return a request that the schema accepts, as one line of JSON."""
    inputs = [
        {"name": item.name, "shape": [1], "datatype": DATATYPE[item.type], "data": [_sample(item)]}
        for item in schema.inputs
    ]
    return json.dumps({"inputs": inputs}, ensure_ascii=False, default=str)


def misfit(text: str, schema: ModelSchema) -> Refusal:
    """Return the refusal of rows that do not fit: in full with an example that does, or nothing of the schema."""
    return Refusal(400, f"{text}; for example: {example(schema)}", "the inputs do not fit the model")


def feeds(columns: Mapping[str, list[Any]], schema: ModelSchema) -> Feeds:
    """Return the graph's inputs: float32 or text, each of shape (n, 1); NaN and "" for null."""
    return {item.name: _feed(columns[item.name], item.type) for item in schema.inputs}


def golden_columns(columns: Mapping[str, list[Any]], schema: ModelSchema) -> Columns:
    """Return golden rows, which are JSON values, typed as a request's; raise Refusal where they do not fit."""
    missing = [item.name for item in schema.inputs if item.name not in columns]
    if missing:
        raise Refusal(400, f"golden rows lack column {_quoted(missing[0])}")
    return {
        item.name: typed(Tensor(item.name, DATATYPE[item.type], columns[item.name]), item, schema, coerce=False)
        for item in schema.inputs
    }


def identifiers(tensor: Tensor, schema: ModelSchema) -> list[str]:
    """Return the prediction ids that a column of ids gives."""
    for row, value in enumerate(tensor.data):
        if type(value) not in (str, int) or not 0 < len(str(value)) <= ID_LENGTH:
            raise misfit(
                f"column {_quoted(tensor.name)}: expected an id, text of 1 to {ID_LENGTH} characters or an integer, "
                f"found {_word(value)} in row {row}",
                schema,
            )
    return [str(value) for value in tensor.data]


def _feed(values: list[Any], kind: ColumnType) -> npt.NDArray[Any]:
    if kind == ColumnType.STRING:
        return np.array(["" if value is None else value for value in values], dtype=object).reshape(-1, 1)
    if kind == ColumnType.TIMESTAMP:
        values = [None if value is None else value.timestamp() for value in values]
    elif kind == ColumnType.DATE:
        values = [None if value is None else (value - date(1970, 1, 1)).total_seconds() for value in values]
    if None in values:
        values = [math.nan if value is None else value for value in values]
    return np.array(values, dtype=np.float32).reshape(-1, 1)


def _expect_kinds(tensor: Tensor, item: Input, schema: ModelSchema) -> None:
    """Refuse a value that is not of the tensor's own datatype."""
    kinds: set[type] = {NoneType}
    if tensor.datatype in INTEGERS:
        kinds |= {int}
    elif tensor.datatype in FLOATS:
        kinds |= {int, float}
    else:
        kinds |= {bool} if tensor.datatype == "BOOL" else {str}
    if not set(map(type, tensor.data)) <= kinds:
        row = next(row for row, value in enumerate(tensor.data) if type(value) not in kinds)
        found = _word(tensor.data[row])
        raise misfit(
            f"column {_quoted(item.name)}: expected {describe(item)}, found {found} in row {row} "
            f"of a {tensor.datatype} tensor",
            schema,
        )
    if tensor.datatype in INTEGERS:
        low, high = INTEGERS[tensor.datatype]
        for row, value in enumerate(tensor.data):
            if value is not None and not low <= value <= high:
                raise misfit(
                    f"column {_quoted(item.name)}: expected {tensor.datatype} from {low} to {high}, "
                    f"found an integer out of range in row {row}",
                    schema,
                )


def _expect_finite(values: list[Any], item: Input, schema: ModelSchema) -> None:
    for row, value in enumerate(values):
        # Written so that NaN fails too.
        if value is not None and not abs(value) <= FLOAT32_MAX:
            raise misfit(
                f"column {_quoted(item.name)}: expected a finite number of at most 3.4e38, "
                f"found one out of range in row {row}",
                schema,
            )


def _parsed(value: Any, item: Input, schema: ModelSchema, row: int) -> Any:
    """Return the number or boolean that a text spells, for policy Coerce."""
    if value is None:
        return None
    text = value.strip() if isinstance(value, str) else ""
    if item.type == ColumnType.BOOLEAN and text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        if item.type == ColumnType.INTEGER and len(text) <= 20:
            number = int(text)
            if INTEGERS["INT64"][0] <= number <= INTEGERS["INT64"][1]:
                return number
        elif item.type == ColumnType.DOUBLE:
            return float(text)
    except ValueError:
        pass  # refused below, with the column's name
    raise misfit(
        f"column {_quoted(item.name)}: expected {DATATYPE[item.type]}, found text that spells none in row {row}", schema
    )


def _when(value: Any, item: Input, schema: ModelSchema, row: int) -> datetime | date | None:
    if value is None:
        return None
    try:
        if item.type == ColumnType.DATE:
            return date.fromisoformat(value)
        moment = datetime.fromisoformat(value)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise misfit(
            f"column {_quoted(item.name)}: expected {describe(item)}, found text that is none in row {row}", schema
        ) from None


def _sample(item: Input) -> Any:
    return EXAMPLE[item.type] if item.example is None else item.example


def _word(value: Any) -> str:
    return WORDS.get(type(value), "an object")


def _quoted(name: str) -> str:
    return json.dumps(name[:128], ensure_ascii=False)
