"""A fitted Pipeline to bytes: ONNX, or skops where that cannot express it; never a pickle."""

import io
import json
import logging
import re
import warnings
import zipfile
from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline

from treadle.api.artifacts import OUTPUT_LABEL, OUTPUT_SCORE, ModelSchema
from treadle.api.reasons import Reason
from treadle.api.trainingjob import OutputFormatName, Recipe, Task
from treadle.training.errors import TRAINED, Refused
from treadle.training.opened import Format, Opened, Unopened, open_model
from treadle.training.prepare import is_text

log = logging.getLogger(__name__)

OPSETS = {"": 17, "ai.onnx.ml": 3}
"""onnxruntime reads opset 17 since 1.12, which is older than any runtime that is offered."""


def written(pipeline: Pipeline, schema: ModelSchema, recipe: Recipe) -> tuple[Format, bytes, Opened, str]:
    """Return the model in the format asked for, or in skops and why ONNX cannot express it; never as a pickle."""
    asked = recipe.output.format.name if recipe.output is not None and recipe.output.format is not None else None
    blocked = ""
    if asked is not OutputFormatName.SKOPS:
        try:
            data = onnx_bytes(pipeline, schema)
            return "onnx", data, open_model(data, "onnx", schema), ""
        except Unopened as error:
            log.warning("Fell back to skops", extra={"cause": str(error)})
            blocked = str(error)
    try:
        data = skops_bytes(pipeline)
        return "skops", data, open_model(data, "skops", schema), blocked
    except Unopened as error:
        refusals = [*([f"ONNX: {blocked}"] if blocked else []), f"skops: {error}"]
    raise Refused(
        Reason.FORMAT_REFUSED,
        f"{recipe.estimator.name.value} or its preparation fits no safe format. {'; '.join(refusals)}. Use "
        f"{'onnx' if asked is OutputFormatName.SKOPS else 'another estimator or other parameters'}",
        TRAINED,
    )


def onnx_bytes(pipeline: Pipeline, schema: ModelSchema) -> bytes:
    """Return a pipeline as an ONNX graph with one input a column; raise Unopened for one that it cannot express."""
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import FloatTensorType, Int64TensorType, StringTensorType

    # Conversion turns names into identifiers; the columns' own names are put in afterwards.
    given = [f"in{position}" for position in range(len(schema.inputs))]
    kinds = [StringTensorType([None, 1]) if is_text(column) else FloatTensorType([None, 1]) for column in schema.inputs]
    regression = schema.task is Task.REGRESSION
    score = (OUTPUT_SCORE, FloatTensorType([None, max(1, len(schema.classes))]))
    try:
        with warnings.catch_warnings():
            # skl2onnx puts booleans into integer attributes, of which protobuf 6 warns and which protobuf 7 refuses.
            warnings.simplefilter("ignore")
            model = convert_sklearn(
                pipeline,
                name="model",
                initial_types=list(zip(given, kinds, strict=True)),
                final_types=[score] if regression else [(OUTPUT_LABEL, Int64TensorType([None])), score],
                options=None if regression else {id(pipeline): {"zipmap": False}},
                target_opset=OPSETS,
            )
    except Exception as error:  # skl2onnx's errors share no base but Exception
        raise Unopened(_first_sentence(error)) from error
    rename(model.graph, dict(zip(given, (column.name for column in schema.inputs), strict=True)))
    # skl2onnx lists them in the order of a set.
    opsets = sorted(model.opset_import, key=lambda opset: opset.domain)
    del model.opset_import[:]
    model.opset_import.extend(opsets)
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def rename(graph: Any, names: dict[str, str]) -> None:
    """Give a graph's inputs their names; a tensor inside that has one of those gets another."""
    taken = set(names.values())

    def renamed(name: str) -> str:
        # No column's name holds a double quote.
        return names.get(name) or (f'{name}"' if name in taken else name)

    for node in graph.node:
        node.input[:] = [renamed(name) for name in node.input]
        node.output[:] = [renamed(name) for name in node.output]
    for item in (*graph.input, *graph.initializer, *graph.value_info):
        item.name = renamed(item.name)


def skops_bytes(pipeline: Pipeline) -> bytes:
    """Return a pipeline that takes (n, columns) as a skops file; equal pipelines give equal bytes.

    Raises Unopened for one that skops cannot write.
    """
    from copy import deepcopy

    import skops.io as sio

    unnamed = deepcopy(pipeline)
    for estimator in _estimators(unnamed):
        # Servers ask by position.
        vars(estimator).pop("feature_names_in_", None)
    try:
        return settled(sio.dumps(unnamed))
    except Exception as error:  # skops raises what its parts raise
        raise Unopened(_first_sentence(error)) from error


def settled(data: bytes) -> bytes:
    """Return a skops file whose object ids count from 0 and whose entries have no time."""
    numbers: dict[str, int] = {}

    def settle(value: Any) -> Any:
        if isinstance(value, list):
            return [settle(item) for item in value]
        if not isinstance(value, dict):
            return value
        return {key: renumber(key, item) for key, item in value.items()}

    def renumber(key: str, value: Any) -> Any:
        if key == "__id__" and isinstance(value, int):
            return numbers.setdefault(str(value), len(numbers))
        if key == "file" and isinstance(value, str) and (match := re.fullmatch(r"(\d+)(\.\w+)", value)):
            return f"{numbers.setdefault(match[1], len(numbers))}{match[2]}"
        return settle(value)

    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(target, "w") as made:
        tree = settle(json.loads(source.read("schema.json")))
        files = {renumber("file", name): source.read(name) for name in source.namelist() if name != "schema.json"}
        for name, content in [*sorted(files.items()), ("schema.json", json.dumps(tree).encode())]:
            made.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), content, zipfile.ZIP_DEFLATED)
    return target.getvalue()


def _estimators(step: Any) -> Iterator[Any]:
    """Yield a fitted pipeline or step and all that it holds."""
    yield step
    inside = [part for _, part in getattr(step, "steps", [])]
    inside += [part for _, part, _ in getattr(step, "transformers_", [])]
    inside += [part for _, part, *_ in getattr(step, "transformers", [])]
    inside += [getattr(step, "estimator_", None), *np.ravel(getattr(step, "estimators_", []))]
    for part in inside:
        if hasattr(part, "get_params"):
            yield from _estimators(part)


def _first_sentence(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:120].removesuffix(".")
