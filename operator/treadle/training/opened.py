"""A model as it is served, from its bytes: challenger and champion answer through the same engine."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from treadle.api.artifacts import OUTPUT_SCORE, ModelSchema
from treadle.api.trainingjob import Task
from treadle.training.bootstrap import Floats
from treadle.training.metrics import Answers
from treadle.training.prepare import frame, is_text

type Format = Literal["onnx", "skops"]
type Feeds = dict[str, NDArray[Any]]

CHUNK_ROWS = 16_384
TRUSTED = frozenset({"numpy.dtype"})
"""What servers let skops make besides the types on its own list."""


class Unopened(Exception):
    """Bytes that no server would open as a model, or that fail when asked; the text says why."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A model in memory."""

    schema: ModelSchema
    run: Callable[[Feeds], Floats]
    """Feeds of n rows to probabilities, shape (n, k), or numbers, shape (n, 1)."""

    def answers(self, rows: pa.Table) -> Answers:
        """Return the answers to rows that have the inputs as columns, in float64; raise Unopened where it fails."""
        try:
            parts = [self.run(feeds) for feeds in feeds_of(rows, self.schema)]
        except Exception as error:  # whatever a model's graph makes its engine raise
            raise Unopened(f"it fails on these rows: {' '.join(str(error).split())[:120]}") from error
        found = np.concatenate(parts).astype(np.float64)
        return answers(found, self.schema)


def answers(found: Floats, schema: ModelSchema) -> Answers:
    """Return what a model's output means; found: shape (n, k) probabilities, or (n, 1) numbers.

    Raises Unopened for a shape that fits neither task nor classes.
    """
    if schema.task is Task.REGRESSION:
        if found.ndim == 2 and found.shape[1] != 1:
            raise Unopened(f"it answers {found.shape[1]} numbers a row, a regression has 1")
        return Answers(found.reshape(-1), np.empty(0, np.int64))
    if found.ndim != 2 or found.shape[1] != len(schema.classes):
        raise Unopened(f"it answers shape {found.shape} for {len(schema.classes)} classes")
    if schema.task is Task.BINARY:
        score = found[:, 1]
        return Answers(score, (score >= float(schema.threshold)).astype(np.int64), found)
    return Answers(found.max(axis=1), found.argmax(axis=1).astype(np.int64), found)


def feeds_of(rows: pa.Table, schema: ModelSchema) -> Iterator[Feeds]:
    """Yield the graph's inputs chunk by chunk: float32 or text, each of shape (n, 1)."""
    whole = frame(rows, schema.inputs)
    for start in range(0, max(1, whole.num_rows), CHUNK_ROWS):
        part = whole.slice(start, CHUNK_ROWS)
        yield {
            column.name: part[column.name].to_numpy(zero_copy_only=False).astype(kind(column)).reshape(-1, 1)
            for column in schema.inputs
        }


def kind(column: Any) -> Any:
    """Return the dtype of an input."""
    return object if is_text(column) else np.float32


def open_model(data: bytes, form: Format, schema: ModelSchema) -> Opened:
    """Return a model from its bytes, by the declared format alone; raise Unopened where a server would refuse it."""
    return Opened(schema, onnx_engine(data) if form == "onnx" else skops_engine(data, schema))


def onnx_engine(data: bytes) -> Callable[[Feeds], Floats]:
    """Return a session of one thread, as servers have it."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what fails here is reported by us
    try:
        session = ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors share no base but Exception
        raise Unopened(f"onnxruntime does not open it: {' '.join(str(error).split())[:120]}") from error

    def run(feeds: Feeds) -> Floats:
        found: Floats = session.run([OUTPUT_SCORE], feeds)[0]
        return found

    return run


def skops_engine(data: bytes, schema: ModelSchema) -> Callable[[Feeds], Floats]:
    """Return a scikit-learn pipeline that takes (n, columns) in the schema's order, as servers ask it."""
    import skops.io as sio

    try:
        unknown = sorted(set(sio.get_untrusted_types(data=data)) - TRUSTED)
        if unknown:
            raise Unopened(f"type {unknown[0]} is not on the list of skops")
        pipeline = sio.loads(data, trusted=sorted(TRUSTED))
    except Unopened:
        raise
    except Exception as error:  # skops raises what its parts raise
        raise Unopened(f"skops does not open it: {' '.join(str(error).split())[:120]}") from error

    def run(feeds: Feeds) -> Floats:
        dtype = object if any(is_text(column) for column in schema.inputs) else np.float64
        rows = np.concatenate([feeds[column.name].astype(dtype) for column in schema.inputs], axis=1)
        if schema.task is Task.REGRESSION:
            return np.asarray(pipeline.predict(rows), np.float64).reshape(-1, 1)
        return np.asarray(pipeline.predict_proba(rows), np.float64)

    return run
