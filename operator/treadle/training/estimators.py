"""The allow-list of estimators: a name and literal parameters to a scikit-learn object."""

import difflib
import json
from typing import Any

from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge

from treadle.api.reasons import Reason
from treadle.api.trainingjob import Estimator, EstimatorName, Task
from treadle.training.errors import DATA_RESOLVED, Refused

CLASSIFIERS: dict[EstimatorName, type[Any]] = {
    EstimatorName.LOGISTIC_REGRESSION: LogisticRegression,
    EstimatorName.RANDOM_FOREST_CLASSIFIER: RandomForestClassifier,
    EstimatorName.HIST_GRADIENT_BOOSTING_CLASSIFIER: HistGradientBoostingClassifier,
    EstimatorName.DUMMY_CLASSIFIER: DummyClassifier,
}
REGRESSORS: dict[EstimatorName, type[Any]] = {
    EstimatorName.LINEAR_REGRESSION: LinearRegression,
    EstimatorName.RIDGE: Ridge,
    EstimatorName.RANDOM_FOREST_REGRESSOR: RandomForestRegressor,
    EstimatorName.HIST_GRADIENT_BOOSTING_REGRESSOR: HistGradientBoostingRegressor,
    EstimatorName.DUMMY_REGRESSOR: DummyRegressor,
}
LINEAR = frozenset({EstimatorName.LOGISTIC_REGRESSION, EstimatorName.LINEAR_REGRESSION, EstimatorName.RIDGE})
OURS = frozenset({"n_jobs", "random_state", "verbose", "warm_start"})


def literal(text: str) -> Any:
    """Return what a literal means: JSON where it is JSON, else the text itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def build(estimator: Estimator, task: Task, seed: int, classes: list[str]) -> Any:
    """Return the unfitted estimator; raise Refused for a name or parameter that does not fit.

    seed: becomes random_state where the class has one.
    classes: the target's classes in the order of their codes; keys of a class_weight are among them.
    """
    allowed = REGRESSORS if task is Task.REGRESSION else CLASSIFIERS
    if estimator.name not in allowed:
        names = ", ".join(sorted(allowed))
        raise invalid(f"spec.estimator.name: {estimator.name.value} does not fit task {task.value}; use one of {names}")
    made = allowed[estimator.name]()
    known = made.get_params()
    values = parameters(estimator.parameters or {}, set(known) - OURS, "spec.estimator.parameters", estimator.name)
    if isinstance(values.get("class_weight"), dict):
        values["class_weight"] = coded(values["class_weight"], classes)
    if "random_state" in known:
        values["random_state"] = seed
    return made.set_params(**values)


def parameters(texts: dict[str, str], known: set[str], where: str, owner: str) -> dict[str, Any]:
    """Return literal parameters by name; raise Refused for one that is unknown, naming the nearest known."""
    for name in texts:
        if name in OURS:
            raise invalid(f"{where}: {name} is set by Treadle (spec.seed gives the randomness); remove it")
        if name not in known:
            near = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.0)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise invalid(f"{where}: {owner} has no parameter {name!r}{hint}")
    return {name: literal(text) for name, text in texts.items()}


def coded(weights: dict[str, Any], classes: list[str]) -> dict[int, Any]:
    """Return weights by class code; raise Refused for a class that the target does not have."""
    unknown = sorted(set(weights) - set(classes))
    if unknown:
        found = ", ".join(classes[:8])
        raise invalid(f"spec.estimator.parameters: class_weight names class {unknown[0]!r}; the target has {found}")
    return {classes.index(name): weight for name, weight in weights.items()}


def invalid(message: str) -> Refused:
    """Return the refusal of a recipe."""
    return Refused(Reason.INVALID_SPEC, message, DATA_RESOLVED)
