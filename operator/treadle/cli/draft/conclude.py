"""What a trial of a draft leads to: split, recipe, metrics and gate."""

import math
from dataclasses import dataclass, field, replace

from treadle.api.base import decimal
from treadle.api.datasource import Fractions, Role, Split, SplitStrategy
from treadle.api.trainingjob import EstimatorName, Task
from treadle.cli.draft.form import NoTable
from treadle.cli.draft.propose import Draft, Proposed, Target

SMALL_ROWS = 1_000
"""Below it a linear model, and a larger holdout: trees of 20 rows a leaf have little to split there."""
RARE = 0.2
"""A positive class below this share is looked for, and average precision says how well it is found."""
SEEDS = 10
LARGE = Fractions(train="0.7", validation="0.1", holdout="0.2")
# Nothing is chosen on validation rows yet, and a tenth of few rows may be none.
SMALL = Fractions(train="0.7", validation="0", holdout="0.3")


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of reading the file as drafted.

    counts: by part of `split`, the rows of each class; of a regression, of the one class "". strengths: how well each
    feature alone tells the target in the train rows, 0 to 1.
    """

    rows: int
    split: Split
    counts: dict[str, dict[str, int]]
    strengths: dict[str, float]


@dataclass(frozen=True, slots=True)
class Proposal:
    """All that the four manifests say of a file."""

    draft: Draft
    split: Split
    split_why: str
    rows: int
    train_rows: int
    """Of those with a label."""
    estimator: EstimatorName
    parameters: dict[str, str]
    objective: str
    metrics: list[str]
    floor: tuple[str, str]
    """Metric and its chance level."""
    min_rows: int
    suspects: dict[str, float] = field(default_factory=dict)
    """Columns that alone tell the target."""


def candidates(found: Draft, rows: int) -> list[Split]:
    """Return the splits to try, the best first: by time where rows have one, else by some seeds."""
    fractions = SMALL if rows < SMALL_ROWS else LARGE
    random = [Split(strategy=SplitStrategy.RANDOM, fractions=fractions, seed=seed) for seed in range(SEEDS)]
    if found.time is None:
        return random
    return [Split(strategy=SplitStrategy.TIME, time_column=found.time, fractions=fractions), *random]


def conclude(found: Draft, tried: Tried, limit: float) -> Proposal:
    """Return the proposal that a trial leads to; limit: the strength above which a feature gives the target away.

    Raises NoTable where no feature is left.
    """
    suspects = {name: strength for name, strength in tried.strengths.items() if strength > limit}
    columns = tuple(_as_outcome(each, suspects, found.target.name) for each in found.columns)
    settled = replace(found, columns=columns)
    if not settled.features:
        told = ", ".join(f'"{name}"' for name in list(suspects)[:5]) or "none could be one"
        raise NoTable(f'no feature is left to predict "{found.target.name}" from; left out as known afterwards: {told}')
    estimator, parameters = recipe(found.target.task, tried.rows)
    objective, metrics, floor = measures(found.target)
    return Proposal(
        draft=settled,
        split=tried.split,
        split_why=split_why(found, tried),
        rows=tried.rows,
        train_rows=sum(tried.counts["train"].values()),
        estimator=estimator,
        parameters=parameters,
        objective=objective,
        metrics=metrics,
        floor=floor,
        min_rows=least_rows(tried),
        suspects=suspects,
    )


def least_rows(tried: Tried) -> int:
    """Return how many holdout rows the gate should demand: 500, or what a table so small surely has in its holdout.

    Which rows those are depends on the values, and of hashed ones on the key: three standard deviations are left.
    """
    labelled = sum(sum(classes.values()) for classes in tried.counts.values())
    share = float(tried.split.fractions.holdout) if tried.split.fractions is not None else 0.0
    surely = labelled * share - 3 * math.sqrt(labelled * share * (1 - share))
    return max(1, min(500, math.floor(surely)))


def _as_outcome(each: Proposed, suspects: dict[str, float], target: str) -> Proposed:
    strength = suspects.get(each.column.name)
    if strength is None:
        return each
    why = f'alone tells "{target}" ({decimal(strength)}): known only afterwards? If not: remove role, leakage: Warn'
    return Proposed(each.column.model_copy(update={"role": Role.OUTCOME}), why)


def suits(counts: dict[str, dict[str, int]]) -> bool:
    """Say whether train and holdout hold the same classes, so that each is learnt and judged."""
    train, holdout = set(counts.get("train", {})), set(counts.get("holdout", {}))
    return train == holdout and holdout != set()


def learnable(counts: dict[str, dict[str, int]]) -> bool:
    """Say whether the holdout asks for something, and for nothing that the train rows lack."""
    train, holdout = set(counts.get("train", {})), set(counts.get("holdout", {}))
    return len(train) > 1 and bool(holdout) and holdout <= train


def split_why(found: Draft, tried: Tried) -> str:
    """Return why rows are split so."""
    if tried.split.strategy is SplitStrategy.TIME:
        return "the oldest rows train, the newest are the holdout"
    rare = "" if suits(tried.counts) else "; some class is so rare that the holdout lacks it"
    if found.time is not None:
        return f"by time, train and holdout would not both hold every class{rare}"
    seed = "" if tried.split.seed == 0 else "; the first seed with every class in train and holdout"
    return f"by a hash, so that a holdout row stays one{rare or seed}"


def recipe(task: Task, rows: int) -> tuple[EstimatorName, dict[str, str]]:
    """Return estimator and parameters for a first model."""
    if rows < SMALL_ROWS:
        if task is Task.REGRESSION:
            return EstimatorName.RIDGE, {}
        return EstimatorName.LOGISTIC_REGRESSION, {"max_iter": "1000"}
    if task is Task.REGRESSION:
        return EstimatorName.HIST_GRADIENT_BOOSTING_REGRESSOR, {}
    return EstimatorName.HIST_GRADIENT_BOOSTING_CLASSIFIER, {}


def measures(target: Target) -> tuple[str, list[str], tuple[str, str]]:
    """Return objective, further metrics, and the floor: a metric and what guessing reaches in it."""
    if target.task is Task.REGRESSION:
        return "rmse", ["mae", "r2"], ("r2", "0")
    if target.task is Task.MULTICLASS:
        return "balanced_accuracy", ["log_loss"], ("balanced_accuracy", decimal(1 / target.facts.distinct))
    share = dict(target.facts.values)[target.positive or ""] / (target.facts.rows - target.facts.nulls)
    if share < RARE:
        return "average_precision", ["roc_auc"], ("roc_auc", "0.5")
    return "roc_auc", ["average_precision", "brier"], ("roc_auc", "0.5")
