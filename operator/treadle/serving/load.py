"""A verified model's files to a model in memory: by the declared format alone, with no fallback to another."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from treadle.api.artifacts import GOLDEN_FILE, OUTPUT_LABEL, OUTPUT_SCORE, SCHEMA_FILE, Golden, ModelSchema
from treadle.api.reasons import Reason
from treadle.api.trainingjob import Task
from treadle.serving.golden import Agreement, agreement
from treadle.serving.schema import Feeds, Refusal, feeds, golden_columns
from treadle.serving.v2 import Answers

TRUSTED = frozenset({"numpy.dtype"})
"""What skops makes besides the types on its own list: imputers and encoders hold the dtype of what they saw."""

type Outputs = tuple[npt.NDArray[Any], npt.NDArray[Any] | None]
"""Scores, (n,) or (n, classes), and labels, (n,), where the model gives some."""


class Rejected(Exception):
    """A model that must not serve, with one of the reasons of condition Verified."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


@dataclass(frozen=True, slots=True)
class Files:
    """A model's files in a private directory, as its manifest lists them."""

    directory: Path
    format: Literal["onnx", "skops"]
    primary: str
    sha256: Mapping[str, str]
    """64 hex digits by path."""

    def read(self, path: str) -> bytes:
        """Return the bytes of a file; raise Rejected unless they are those that the manifest names."""
        if path not in self.sha256:
            raise Rejected(Reason.FORMAT_REFUSED, f"the model has no {path}; train it again")
        data = (self.directory / path).read_bytes()
        if hashlib.sha256(data).hexdigest() != self.sha256[path]:
            raise Rejected(Reason.CHECKSUM_MISMATCH, f"{path} changed since it was fetched; restart the pod")
        return data


class Engine(Protocol):
    """Whatever computes the answers."""

    def __call__(self, inputs: Feeds) -> Outputs:
        """Return scores and labels of n rows."""
        ...


@dataclass(frozen=True, slots=True)
class Model:
    """A model in memory; `predict` may be called from one thread at a time."""

    schema: ModelSchema
    golden: Golden
    engine: Engine
    platform: str

    def predict(self, inputs: Feeds) -> Answers:
        """Return the answers to rows of the graph's inputs; raise ValueError for one that is no number."""
        scores, labels = self.engine(inputs)
        return answers(scores, labels, self.schema)

    def recite(self, tolerance: float) -> Agreement:
        """Return how its answers to the golden rows agree with training's."""
        try:
            columns = golden_columns(self.golden.columns, self.schema)
        except Refusal as error:
            raise Rejected(Reason.FORMAT_REFUSED, f"golden.json does not fit schema.json: {error.text}") from error
        found = self.predict(feeds(columns, self.schema))
        return agreement(found.scores, found.labels, self.golden.scores, self.golden.labels, tolerance)


def load(files: Files) -> Model:
    """Return a model from its verified files; raise Rejected for a format that this server does not open."""
    try:
        schema = ModelSchema.model_validate_json(files.read(SCHEMA_FILE))
        golden = Golden.model_validate_json(files.read(GOLDEN_FILE))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise Rejected(
            Reason.FORMAT_REFUSED, f"{error.title}: {place}: {first['msg']}; train with this version of Treadle"
        ) from error
    data = files.read(files.primary)
    if files.format == "onnx":
        return Model(schema, golden, onnx_engine(data, schema), "onnxruntime_onnx")
    return Model(schema, golden, skops_engine(data, schema), "sklearn_skops")


def answers(scores: npt.NDArray[Any], labels: npt.NDArray[Any] | None, schema: ModelSchema) -> Answers:
    """Return scores and labels as the API defines them.

    scores: (n,) or (n, 1) as they are; (n, classes), probabilities in the order of schema.classes.
    labels: (n,), or None; used for several classes without probabilities: two go by the threshold.
    """
    wide = scores.ndim == 2 and scores.shape[1] > 1
    if wide and schema.task == Task.BINARY:
        column = scores[:, -1]
    elif wide:
        column = scores.max(axis=1)
    else:
        column = scores.reshape(-1)
    column = column.astype(np.float64)
    if not np.isfinite(column).all():
        raise ValueError("the model answered a score that is no finite number")
    if schema.task == Task.REGRESSION:
        return Answers(column.tolist(), [])
    if schema.task == Task.BINARY:
        # The graph's own label is the likelier class, whatever threshold the recipe asked for.
        negative, positive = schema.classes
        return Answers(column.tolist(), np.where(column >= float(schema.threshold), positive, negative).tolist())
    if wide:
        return Answers(column.tolist(), [schema.classes[place] for place in scores.argmax(axis=1).tolist()])
    if labels is None:
        raise ValueError("the model answers no label and no probability of each class")
    return Answers(column.tolist(), [_text(label) for label in labels.reshape(-1).tolist()])


def onnx_engine(data: bytes, schema: ModelSchema) -> Engine:
    """Return a session of one thread, on the CPU, whose inputs are the schema's."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what fails here is reported by us
    try:
        session = ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors share no base but Exception
        text = " ".join(str(error).split())[:160]
        raise Rejected(Reason.FORMAT_REFUSED, f"onnxruntime does not open it: {text}. Train it again") from error
    inputs = {item.name for item in session.get_inputs()}
    expected = {item.name for item in schema.inputs}
    if inputs != expected:
        odd = sorted(inputs ^ expected)[0]
        side = "schema.json has no" if odd in inputs else "the graph has no"
        raise Rejected(Reason.FORMAT_REFUSED, f'{side} input "{odd}"; train it again')
    outputs = {item.name for item in session.get_outputs()}
    if OUTPUT_SCORE not in outputs:
        raise Rejected(
            Reason.FORMAT_REFUSED, f'the graph has no output "{OUTPUT_SCORE}", only {sorted(outputs)}; train it again'
        )
    names = [OUTPUT_SCORE, OUTPUT_LABEL] if OUTPUT_LABEL in outputs else [OUTPUT_SCORE]

    def run(inputs: Feeds) -> Outputs:
        found = session.run(names, inputs)
        return found[0], found[1] if len(found) > 1 else None

    return run


def skops_engine(data: bytes, schema: ModelSchema) -> Engine:
    """Return a scikit-learn pipeline that takes (n, columns) in the schema's order.

    Only types on skops' own list and on ours are made; a model's file never adds one.
    """
    try:
        import skops.io as sio
    except ImportError as error:
        raise Rejected(
            Reason.FORMAT_REFUSED, "this server image has no scikit-learn; train with an estimator that ONNX takes"
        ) from error
    try:
        unknown = sorted(set(sio.get_untrusted_types(data=data)) - TRUSTED)
        if unknown:
            raise Rejected(
                Reason.FORMAT_REFUSED, f"type {unknown[0]} is not on the list of skops; use another estimator"
            )
        pipeline = sio.loads(data, trusted=sorted(TRUSTED))
    except Rejected:
        raise
    except Exception as error:  # skops raises what its parts raise
        text = " ".join(str(error).split())[:160]
        raise Rejected(Reason.FORMAT_REFUSED, f"skops does not open it: {text}. Train it again") from error
    order = [item.name for item in schema.inputs]

    def run(inputs: Feeds) -> Outputs:
        kind = object if any(inputs[name].dtype == object for name in order) else np.float64
        rows = np.concatenate([inputs[name].astype(kind) for name in order], axis=1)
        if schema.task == Task.REGRESSION:
            return pipeline.predict(rows), None
        return pipeline.predict_proba(rows), None

    return run


def _text(label: Any) -> str:
    return str(label).lower() if isinstance(label, bool) else str(label)
