"""One training run, from a dataset version to a judged, signed model version: the stages in their order."""

import json
import logging
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from treadle.api.base import Json, stamp
from treadle.api.names import canonical, short
from treadle.api.reasons import Reason
from treadle.api.step import DEFAULT_MOUNTS, ENV_MOUNTS, Report, TrainResult, TrainStep
from treadle.api.trainingjob import Gate, ModelVersion, ResolvedData, Task, Verdict
from treadle.store import keys
from treadle.store.errors import StoreError
from treadle.store.manifest import REPORT, read_document, read_fit, read_record
from treadle.store.pointer import read_pointer
from treadle.store.port import ObjectStore
from treadle.training.card import card
from treadle.training.curves import curves
from treadle.training.dataset import Dataset, groups, read_dataset, weights, within
from treadle.training.errors import EVALUATED, GATE_PASSED, REGISTERED, Refused, Unscorable
from treadle.training.evaluate import Holdout, Measured, evaluate, gate_metric, metric_names
from treadle.training.fit import Codes, Floats, classes_of, encode, fit, fit_key, numbers, one_order
from treadle.training.gate import Evidence, Judgement, judge
from treadle.training.metrics import Answers
from treadle.training.opened import Opened, Unopened
from treadle.training.package import Package, package
from treadle.training.page import page
from treadle.training.prepare import frame
from treadle.training.publish import (
    Keys,
    claim,
    environment,
    finished,
    publish_model,
    record,
    signing_keys,
    stored,
)
from treadle.training.registered import Registered, comparable, read_model
from treadle.training.report import Run, document
from treadle.training.slices import slice_rows

log = logging.getLogger(__name__)

METRICS_REPORTED = 8
CARD, FACTS = "card.md", "training.json"
VERSIONS_SEARCHED = 32
REFERENCE_MINIMUM = 500
"""Fewer holdout rows of the window: train rows stand for what is normal."""


@dataclass(frozen=True, slots=True)
class Challenger:
    """The model of a run: just packaged, or met again in the store under the same fit key."""

    fit_key: str
    made: Package | Registered
    blocked: str = ""
    """What ONNX cannot express of it."""

    @property
    def opened(self) -> Opened:
        """Return the model in memory."""
        return self.made.opened


@dataclass(frozen=True, slots=True)
class Judged:
    """A model with its numbers and the gate's verdict; it only waits to be published."""

    dataset: Dataset
    challenger: Challenger
    measured: Measured
    evidence: Evidence
    judgement: Judgement
    curves: Json


def train(spec: TrainStep, store: ObjectStore, report: Report) -> TrainResult:
    """Train, judge and register one model; refusals of data, recipe and gate are results, not errors."""
    earlier = read_record(store, "train", spec.run_key)
    if earlier is not None:
        return finished(store, spec, earlier)
    started = stamp(datetime.now(UTC))
    try:
        # Before the work, since without its key it would be for nothing.
        signer = signing_keys(spec, Path(os.environ.get(ENV_MOUNTS, DEFAULT_MOUNTS)))
        with one_order():
            judged = judge_run(spec, store, signer, report)
    except Refused as refused:
        return ended(spec, started, refused, refused.failed)
    except StoreError as error:
        return ended(spec, started, error, None)
    try:
        report.stage("publish", 0.9)
        return publish(spec, store, signer, judged, started)
    except StoreError as error:
        return ended(spec, started, error, REGISTERED)


def judge_run(spec: TrainStep, store: ObjectStore, signer: Keys, report: Report) -> Judged:
    """Return the model of a run with the gate's verdict; raise Refused or StoreError."""
    recipe = spec.spec
    metric_names(recipe)
    report.stage("read", 0.0)
    dataset = read_dataset(store, recipe, spec.data)
    parts = slice_rows(dataset.holdout, (recipe.evaluation.slices if recipe.evaluation is not None else None) or [])
    report.stage("fit", 0.1)
    challenger = obtain(spec, store, signer, dataset, report)
    report.stage("evaluate", 0.6)
    schema = challenger.opened.schema
    truth = truth_of(dataset, schema.task, schema.classes)
    holdout = Holdout(truth, parts, groups(dataset.holdout, dataset.columns.group))
    try:
        ours = challenger.opened.answers(dataset.holdout)
    except Unopened as error:
        raise Refused(
            Reason.METRICS_INVALID, f"the model gives no answers to the holdout: {error}", EVALUATED
        ) from error
    theirs, unscorable = champion_answers(spec, store, signer, dataset, challenger)
    measured = evaluate(recipe, holdout, ours, theirs)
    report.stage("gate", 0.85)
    evidence = Evidence(
        rows=holdout.rows,
        holdout_uses=use_holdout(store, dataset.holdout_digest, spec),
        holdout_digest=dataset.holdout_digest,
        metric=gate_metric(recipe),
        metrics=measured.metrics,
        slice_rows={name: len(rows) for name, rows in parts.items()},
        champion=spec.champion,
        champion_name=champion_name(store, spec),
        champion_value=measured.champion_value,
        unscorable=unscorable,
        differences=measured.differences,
    )
    verdict = judge(recipe.gate if recipe.gate is not None else Gate(), evidence)
    return Judged(dataset, challenger, measured, evidence, verdict, curves(schema, truth, ours, theirs))


def obtain(spec: TrainStep, store: ObjectStore, signer: Keys, dataset: Dataset, report: Report) -> Challenger:
    """Return the model that this data and recipe gave before, if it is whole; else fit and package it."""
    key = fit_key(spec.spec, spec.data)
    known = read_fit(store, key)
    if known is not None:
        try:
            made = read_model(store, str(known["model"]), signer.public, signer.secret)
            return Challenger(key, made, str(known.get("blocked", "")))
        except Unscorable as error:
            log.warning("Fitted again", extra={"model": known["model"], "cause": str(error)})
    recipe, columns = spec.spec, dataset.columns
    target = dataset.train.column(columns.target)
    classes = classes_of(target, recipe.task)
    fitted = fit(
        recipe,
        list(columns.inputs),
        frame(dataset.train, columns.inputs),
        encode(target, classes) if classes else numbers(target),
        classes=classes,
        weights=weights(dataset.train, columns.weight),
    )
    for text in fitted.warnings:
        log.warning("Fitted with a warning", extra={"text": text})
    report.stage("package", 0.5)
    reference = reference_rows(spec, dataset)
    built = package(recipe, fitted.pipeline, columns, classes, train=dataset.train, reference=reference)
    return Challenger(key, built, built.blocked)


def truth_of(dataset: Dataset, task: Task, classes: list[str]) -> Floats | Codes:
    """Return what happened in the holdout; raise Refused (MetricsInvalid) for a class that the model does not know."""
    target = dataset.holdout.column(dataset.columns.target)
    if task is Task.REGRESSION:
        return numbers(target)
    codes = encode(target, classes)
    if strange := int((codes < 0).sum()):
        raise Refused(
            Reason.METRICS_INVALID,
            f"{strange} of {len(codes)} holdout rows are of a class that the train rows lack; those hold "
            f"{', '.join(classes)[:80]}. Widen spec.dataRef.window, or filter that class in the DataSource",
            EVALUATED,
        )
    return codes


def reference_rows(spec: TrainStep, dataset: Dataset) -> pa.Table:
    """Return rows like those learnt from, but unseen by the fit, so that their scores are as in service."""
    window = spec.spec.data_ref.window
    unseen = within(dataset.holdout, dataset.columns.time, window)
    is_limited = unseen.num_rows < dataset.holdout.num_rows
    return dataset.train if is_limited and unseen.num_rows < REFERENCE_MINIMUM else unseen


def champion_answers(
    spec: TrainStep, store: ObjectStore, signer: Keys, dataset: Dataset, challenger: Challenger
) -> tuple[Answers | None, str | None]:
    """Return the champion's answers to the same rows, or why there are none; two None without a champion."""
    if spec.champion is None:
        return None, None
    try:
        champion = read_model(store, spec.champion, signer.public, signer.secret).opened
        comparable(champion.schema, challenger.opened.schema, dataset.columns.types)
        found = champion.answers(dataset.holdout)
        if not found.is_finite:
            raise Unscorable("it answers NaN or an infinite number")
    except (Unscorable, Unopened) as error:
        return None, str(error)
    return found, None


def use_holdout(store: ObjectStore, digest: str, spec: TrainStep) -> int:
    """Note that a run is judged on a holdout; return how many runs were, this one among them."""
    prefix = f"holdouts/{keys.hex_digits(digest)}/"
    # Create-once by run key: a run that is repeated after a crash is one use.
    store.put_once(
        f"{prefix}{spec.run_key}.json", canonical({"format": "treadle.dev/holdout-use/v1", "run": spec.run_key})
    )
    return sum(1 for _ in store.list(prefix))


def champion_name(store: ObjectStore, spec: TrainStep) -> str:
    """Return how a message calls the champion: its version where that is near at hand, else its digest's start."""
    if spec.champion is None:
        return ""
    pointer = read_pointer(store, "models", spec.spec.model_name)
    if pointer is not None and pointer.current == spec.champion and pointer.version is not None:
        return f"v{pointer.version}"
    claims = sorted((entry.key for entry in store.list(keys.versions(spec.spec.model_name))), reverse=True)
    for key in claims[:VERSIONS_SEARCHED]:
        found = read_document(store, key)
        if found is not None and found.get("model") == spec.champion:
            return f"v{int(Path(key).stem)}"
    return short(spec.champion)


def publish(spec: TrainStep, store: ObjectStore, signer: Keys, judged: Judged, started: str) -> TrainResult:
    """Publish a judged model and the record of its run; return the result that stands there."""
    made = judged.challenger.made
    if isinstance(made, Package):
        digest, files = publish_model(store, spec, made, judged.challenger.fit_key, signer)
    else:
        digest, files = made.digest, made.files
    digests = {file.path: f"sha256:{file.sha256}" for file in files}
    model = ModelVersion(
        name=spec.spec.model_name,
        version=f"v{claim(store, spec, digest)}",
        digest=digest,
        storage_uri=f"s3://{store.place}/{keys.manifest('models', digest)}",
        format=made.format,
        schema_digest=digests["schema.json"],
        golden_digest=digests["golden.json"],
    )
    metrics, judgement = judged.measured.shown(), judged.judgement
    now = stamp(datetime.now(UTC))
    run = Run(
        step=spec,
        dataset=judged.dataset,
        schema=judged.challenger.opened.schema,
        metrics=metrics,
        evidence=judged.evidence,
        judgement=judgement,
        curves=judged.curves,
        model=model,
        files=files,
        blocked=judged.challenger.blocked,
        environment=environment(),
        decided_at=now,
    )
    papers = stored(store, written(run))
    result = TrainResult(
        run=spec.run,
        outcome=judgement.verdict.value,
        reason=judgement.reason,
        message=judgement.message,
        failed=None if judgement.verdict is Verdict.PROMOTE else GATE_PASSED,
        started_at=started,
        completed_at=now,
        data=resolved(spec),
        metrics=metrics[:METRICS_REPORTED],
        gate=judgement.status(judged.evidence, now),
        model=model.model_copy(
            update={"card_digest": next(f"sha256:{file.sha256}" for file in papers if file.path == CARD)}
        ),
        environment=run.environment,
        report_uri=f"s3://{store.place}/{keys.report(spec.run_key)}",
    )
    fit = judged.challenger.fit_key
    stands = record(store, spec, result, signer, fit_key=fit, metrics=metrics, judgement=judgement, files=papers)
    return finished(store, spec, stands)


def written(run: Run) -> dict[str, bytes]:
    """Return what a run's record keeps for people: its card, its report, and the facts of both."""
    facts = document(run)
    # Not canonical: an input's example may be a float, as in schema.json.
    text = json.dumps(facts, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return {CARD: card(facts).encode(), REPORT: page(facts).encode(), FACTS: text.encode()}


def resolved(spec: TrainStep) -> ResolvedData:
    """Return what the run learnt from, as status keeps it."""
    return ResolvedData(digest=spec.data, short=short(spec.data), window=spec.spec.data_ref.window)


def ended(spec: TrainStep, started: str, cause: Refused | StoreError, failed: str | None) -> TrainResult:
    """Return the result of a run without a model."""
    return TrainResult(
        run=spec.run,
        outcome="Failed",
        reason=cause.reason,
        message=cause.message,
        failed=failed,
        started_at=started,
        completed_at=stamp(datetime.now(UTC)),
        data=resolved(spec),
    )
