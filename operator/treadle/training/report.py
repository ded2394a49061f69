"""A judged run as a document: what its record keeps, its card tells and its page shows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version

from treadle.api.artifacts import Input, ModelSchema
from treadle.api.base import Json, decimal
from treadle.api.datasource import Classification
from treadle.api.names import short
from treadle.api.step import TrainStep
from treadle.api.trainingjob import Bootstrap, Environment, Floor, Gate, Metric, ModelVersion
from treadle.store.manifest import File
from treadle.training.dataset import Dataset
from treadle.training.gate import Evidence, Judgement

FORMAT = "treadle.dev/training/v1"
LIBRARIES = ("numpy", "onnx", "onnxruntime", "pyarrow", "scikit-learn", "skl2onnx", "skops")
"""What a model file depends on; every installed package is in the environment's digest."""
OTHERS = {"target": "other target"}
PARTS = ("train", "validation", "holdout")
VALUES_SHOWN = 8


@dataclass(frozen=True, slots=True)
class Run:
    """A judged run, and the model that it published."""

    step: TrainStep
    dataset: Dataset
    schema: ModelSchema
    metrics: Sequence[Metric]
    evidence: Evidence
    judgement: Judgement
    curves: Json
    model: ModelVersion
    files: Sequence[File]
    blocked: str
    """What ONNX cannot express of it; empty where it is ONNX, or where skops was asked for."""
    environment: Environment
    decided_at: str

    @property
    def gate(self) -> Gate:
        """The rules, or their defaults."""
        return self.step.spec.gate if self.step.spec.gate is not None else Gate()


def document(run: Run) -> Json:
    """Return a run as JSON; numbers are decimal strings, but for the inputs' examples, which are as in schema.json."""
    recipe, evidence, judgement = run.step.spec, run.evidence, run.judgement
    return {
        "format": FORMAT,
        "run": run.step.run,
        "object": {"kind": run.step.owner.kind, "name": run.step.owner.name, "namespace": run.step.owner.namespace},
        "cause": run.step.cause.dump() if run.step.cause is not None else {},
        "decidedAt": run.decided_at,
        "model": {**run.model.dump(), "files": [file.dump() for file in run.files]},
        "verdict": {"outcome": judgement.verdict.value, "reason": judgement.reason.value, "message": judgement.message},
        "task": recipe.task.value,
        "target": run.dataset.columns.target,
        "classes": list(run.schema.classes),
        "threshold": run.schema.threshold,
        "data": data(run),
        "columns": columns(run),
        "inputs": [column.dump() for column in run.schema.inputs],
        "estimator": recipe.estimator.dump(),
        "preparation": recipe.preparation.dump() if recipe.preparation is not None else {"mode": "Auto"},
        "objective": recipe.objective.dump(),
        "seed": recipe.seed,
        "bootstrap": bootstrap(run).dump(),
        "metrics": [metric.dump() for metric in run.metrics],
        "slices": slices(run),
        "gate": {
            "rules": run.gate.dump(),
            "metric": evidence.metric,
            "rows": evidence.rows,
            "holdoutDigest": evidence.holdout_digest,
            "holdoutUses": evidence.holdout_uses,
            **champion(evidence),
            **({"difference": judgement.difference.dump()} if judgement.difference is not None else {}),
            "checks": [check.dump() for check in judgement.checks],
        },
        "limits": list(limits(run)),
        "blocked": run.blocked,
        "environment": run.environment.dump(),
        "libraries": {name: version(name) for name in LIBRARIES},
        "curves": run.curves,
    }


def data(run: Run) -> Json:
    """Return what the run learnt from and was judged on."""
    window = run.step.spec.data_ref.window
    return {
        "name": run.step.spec.data_ref.name,
        "digest": run.step.data,
        "trainRows": run.dataset.train.num_rows,
        "holdoutRows": run.evidence.rows,
        "window": window.dump() if window is not None else {},
        "splits": {name: run.dataset.splits[name] for name in PARTS if name in run.dataset.splits},
    }


def columns(run: Run) -> list[Json]:
    """Return the columns of the version: their roles, what was done to them, and whether the model sees them."""
    inputs = {column.name: column for column in run.schema.inputs}
    target = run.dataset.columns.target
    return [
        {
            **entry,
            "role": "target" if entry["name"] == target else OTHERS.get(entry["role"], entry["role"]),
            "used": entry["name"] in inputs,
            "seen": seen(inputs[entry["name"]]) if entry["name"] in inputs else "",
        }
        for entry in run.dataset.described
    ]


def seen(column: Input) -> str:
    """Return what the train rows hold of an input, in a few words; nothing of what is not public."""
    if column.min is not None and column.max is not None:
        return f"{column.min} to {column.max}"
    if column.values is None:
        return ""
    shown, more = column.values[:VALUES_SHOWN], len(column.values) - VALUES_SHOWN
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")


def slices(run: Run) -> list[Json]:
    """Return the slices that were asked for, with their rows in the holdout."""
    asked = (run.step.spec.evaluation.slices if run.step.spec.evaluation is not None else None) or []
    return [
        {"name": one.name, "expression": one.expression, "rows": run.evidence.slice_rows[one.name]} for one in asked
    ]


def champion(evidence: Evidence) -> Json:
    """Return the model to beat, as far as it could be scored; nothing where there was none."""
    if evidence.champion is None:
        return {}
    value = {"championValue": decimal(evidence.champion_value)} if evidence.champion_value is not None else {}
    why = {"unscorable": evidence.unscorable} if evidence.unscorable is not None else {}
    return {"champion": evidence.champion, "championName": evidence.champion_name, **value, **why}


def bootstrap(run: Run) -> Bootstrap:
    """Return how intervals were made."""
    evaluation = run.step.spec.evaluation
    return (evaluation.bootstrap if evaluation is not None else None) or Bootstrap()


def limits(run: Run) -> Iterator[str]:
    """Yield what these numbers do not say: each is a sentence."""
    found = run.dataset.splits["holdout"]
    span = f" from {found['from']} until {found['until']}" if "from" in found else ""
    yield f"It was judged on {run.evidence.rows} labelled holdout rows{span}; how it does on others is not known."
    if (window := run.step.spec.data_ref.window) is not None and (window.since or window.until):
        yield f"It learnt from rows since {window.since or 'the first'} until {window.until or 'the last'} only."
    floors = run.gate.floors or []
    if floors:
        yield f"Floors were asked for {'; '.join(floor(one) for one in floors)}; of everything else no level is held."
    else:
        yield "No floor was asked for: no level of any metric is held, whatever the champion does."
    yield from of_slices(run)
    hidden = [column.name for column in run.schema.inputs if column.classification is not Classification.PUBLIC]
    if hidden:
        yield (
            f"{', '.join(hidden)}: not public, so that servers log no value of {'it' if len(hidden) == 1 else 'them'} "
            "and no Monitor sees drift there."
        )
    most = run.gate.max_holdout_uses
    yield (
        f"These holdout rows have now given {run.evidence.holdout_uses} of {most} verdicts that gate.maxHoldoutUses "
        "allows; each choice by the same rows makes intervals a little too good."
    )


def of_slices(run: Run) -> Iterator[str]:
    """Yield what is not known of subgroups."""
    parts = slices(run)
    if not parts:
        yield "No slice was asked for: how it does for subgroups, people's among them, was not measured."
        return
    yield "Subgroups that no slice names were not measured; a fair model for people needs a slice for each group."
    least = run.gate.min_slice_rows
    known = {(metric.name, metric.slice) for metric in run.metrics}
    names = list(dict.fromkeys(metric.name for metric in run.metrics))
    for part in parts:
        if part["rows"] < least:
            yield f"Slice {part['name']} has {part['rows']} rows, gate.minSliceRows is {least}: no check holds for it."
        absent = [name for name in names if (name, part["name"]) not in known]
        if absent:
            yield f"Slice {part['name']}: {', '.join(absent)} could not be computed on its {part['rows']} rows."


def floor(one: Floor) -> str:
    """Return a floor in words."""
    where = f" on slice {one.slice}" if one.slice is not None else ""
    return f"{one.metric}{where} {f'at most {one.max}' if one.max is not None else f'at least {one.min}'}"


def titled(found: Json) -> str:
    """Return how a document's model is called, with the start of its digest."""
    return f"{found['model']['name']} {found['model']['version']} ({short(found['model']['digest'])})"
