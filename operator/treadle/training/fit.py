"""The fit: inputs and target to one Pipeline that holds its fitted transforms."""

import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from joblib import parallel_config  # type: ignore[import-untyped]
from numpy.typing import NDArray
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import ConvergenceWarning
from sklearn.pipeline import Pipeline
from sklearn.utils._param_validation import InvalidParameterError
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from treadle.api.artifacts import Input
from treadle.api.base import Json
from treadle.api.names import sha256
from treadle.api.reasons import Reason
from treadle.api.trainingjob import Recipe, Task
from treadle.training.errors import DATA_RESOLVED, TRAINED, Refused
from treadle.training.estimators import build, invalid
from treadle.training.prepare import preparer

CPU_LIMIT = Path("/sys/fs/cgroup/cpu.max")

type Floats = NDArray[np.float64]
type Codes = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Fitted:
    """A fitted Pipeline on a table of inputs, and what its fit had to say."""

    pipeline: Pipeline
    warnings: tuple[str, ...] = ()


def class_texts(target: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a target's classes as text: true and false for booleans, whole numbers without a fraction."""
    if pa.types.is_boolean(target.type):
        return pc.if_else(target, "true", "false").cast(pa.string())
    if pa.types.is_floating(target.type):
        return pa.chunked_array(
            [pa.array([None if v is None else f"{v:.15g}" for v in target.to_pylist()], pa.string())]
        )
    if pa.types.is_integer(target.type) or pa.types.is_string(target.type) or pa.types.is_large_string(target.type):
        return target.cast(pa.string())
    raise invalid(f"the target is of type {target.type}; classes are boolean, integer, double or string")


def classes_of(target: pa.ChunkedArray, task: Task) -> list[str]:
    """Return the classes of a train target in the order of their codes; raise Refused for one class, or too many."""
    if task is Task.REGRESSION:
        return []
    unique = pc.unique(target.drop_null())
    ordered = unique.take(pc.array_sort_indices(unique.cast(pa.int8()) if pa.types.is_boolean(unique.type) else unique))
    classes = [str(text) for text in class_texts(pa.chunked_array([ordered])).to_pylist()]
    if len(classes) < 2:
        found = f"only {classes[0]!r}" if classes else "no label"
        raise Refused(
            Reason.ONE_CLASS_TARGET,
            f"the target holds {found} in {len(target)} train rows, two classes are needed; widen spec.dataRef.window",
            TRAINED,
        )
    if task is Task.BINARY and len(classes) > 2:
        raise invalid(
            f"spec.task: the target has {len(classes)} classes, BinaryClassification takes 2; "
            "use MulticlassClassification"
        )
    return classes


def encode(target: pa.ChunkedArray, classes: list[str]) -> Codes:
    """Return class codes, shape (n,), -1 for a class that `classes` lacks."""
    codes = pc.index_in(class_texts(target), value_set=pa.array(classes, pa.string()))
    return np.asarray(pc.fill_null(codes, -1), dtype=np.int64)


def numbers(target: pa.ChunkedArray) -> Floats:
    """Return a regression target, shape (n,); raise Refused for one that is no finite number."""
    if not (pa.types.is_integer(target.type) or pa.types.is_floating(target.type)):
        raise invalid(f"spec.task: the target is of type {target.type}, Regression takes integer or double")
    values = np.asarray(target.cast(pa.float64(), safe=False), dtype=np.float64)
    if not np.isfinite(values).all():
        bad = int((~np.isfinite(values)).sum())
        raise Refused(
            Reason.METRICS_INVALID,
            f"the target is NaN or infinite in {bad} of {len(values)} rows; drop them with the DataSource's filter",
            TRAINED,
        )
    return values


def fit(
    recipe: Recipe, inputs: list[Input], x: pa.Table, y: Floats | Codes, *, classes: list[str], weights: Floats | None
) -> Fitted:
    """Return the fitted Pipeline of a recipe; raise Refused with the error's last line if it cannot be fitted.

    x: inputs as prepare.frame gives them, n rows. y: shape (n,), codes or numbers. weights: shape (n,), or None.
    """
    if len(y) == 0:
        raise Refused(
            Reason.NOT_ENOUGH_LABELLED_ROWS,
            "the train part holds no labelled row; widen spec.dataRef.window, or wait for the next version",
            DATA_RESOLVED,
        )
    model = build(recipe.estimator, recipe.task, recipe.seed, classes)
    prepare = preparer(recipe.preparation, inputs, recipe.estimator.name)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ConvergenceWarning)
            prepared = rounded(prepare.fit(x)).transform(x)
            # A forest's trees are seeded one by one. Its votes are not added here, whose order would be the threads'.
            with parallel_config(backend="threading", n_jobs=processors()):
                model.fit(prepared, y, **({} if weights is None else {"sample_weight": weights}))
    except InvalidParameterError as error:
        raise invalid(f"spec.estimator or spec.preparation: {last_line(error)}") from error
    except MemoryError:
        raise
    except (ValueError, TypeError, ArithmeticError, np.linalg.LinAlgError) as error:
        raise Refused(
            Reason.TRAINING_ERROR, f"{recipe.estimator.name.value}: {last_line(error)}. Correct the recipe", TRAINED
        ) from error
    said = tuple(dict.fromkeys(last_line(item.message) for item in caught if item.category is ConvergenceWarning))
    return Fitted(Pipeline([("prepare", prepare), ("model", model)]), said)


def rounded(prepare: ColumnTransformer) -> ColumnTransformer:
    """Return fitted transforms whose numbers are float32, as a graph's are; strictly before the estimator is fitted.

    The mean of a time, some 1.4e9 seconds, is else up to 64 seconds off in the graph, and the scores with it.
    """
    for _, chain, _ in prepare.transformers_:
        for _, step in getattr(chain, "steps", ()):
            for name in ("statistics_", "mean_", "scale_"):
                found = getattr(step, name, None)
                if found is not None and found.dtype == np.float64:
                    setattr(step, name, found.astype(np.float32).astype(np.float64))
    return prepare


def fit_key(recipe: Recipe, data: str) -> str:
    """Return the 64 hex digits that name the model which data and recipe give."""
    return sha256({"data": data, "recipe": fit_recipe(recipe)})


def fit_recipe(recipe: Recipe) -> Json:
    """Return what of a recipe decides about the model's bytes; what only judges it is left out."""
    whole = recipe.dump()
    kept = ("task", "target", "features", "preparation", "estimator", "seed", "decision")
    output = (
        recipe.output.format.name.value if recipe.output is not None and recipe.output.format is not None else "onnx"
    )
    return {
        **{name: whole[name] for name in kept if name in whole},
        "window": whole["dataRef"].get("window", {}),
        "format": output,
    }


def processors(limit: Path = CPU_LIMIT) -> int:
    """Return how many processors this process may use, its container's limit included.

    limit: cpu.max of cgroup version 2, such as "50000 100000": time in each period, or "max".
    """
    allowed = len(os.sched_getaffinity(0))
    try:
        quota, period = limit.read_text(encoding="ascii").split()
    except OSError:
        return allowed  # no cgroup of version 2: nothing is limited
    return allowed if quota == "max" else max(1, min(allowed, -(-int(quota) // int(period))))


def one_order() -> Any:
    """Return a context that computes in one order of summation, so that equal inputs give equal bytes everywhere.

    Linear algebra gets one thread, since its sums follow from their number (measured: coefficients differ in the last
    bits); trees get all, since theirs do not (measured: equal for 1 and 2 threads, on 60,000 rows).
    """
    count = processors()
    is_limited = count < len(os.sched_getaffinity(0))
    # OpenMP sees the node's processors; more threads than the container may run only wait for each other.
    return threadpool_limits(limits={"blas": 1, **({"openmp": count} if is_limited else {})})


def last_line(error: Any) -> str:
    """Return the first line of an error that says something, without its trailing stop."""
    lines = [text.strip() for text in str(error).splitlines() if text.strip()]
    return (lines[0] if lines else type(error).__name__).removesuffix(".")
