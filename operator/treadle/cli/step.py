"""Any step: StepSpec in, StepResult and exit code out."""

import importlib
import os
import sys
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from treadle.api.base import stamp
from treadle.api.conditions import line
from treadle.api.reasons import WORLD, Reason
from treadle.api.step import (
    DEFAULT_TERMINATION_LOG,
    ENV_STEP,
    ENV_TERMINATION_LOG,
    EXIT_FINAL,
    EXIT_NO_RETRY,
    PROGRESS_PORT,
    IngestResult,
    MonitorResult,
    Report,
    StepResult,
    StepSpec,
    TrainResult,
    read_step,
    write_result,
)
from treadle.cli.report import ProgressServer
from treadle.store.errors import StoreError
from treadle.store.open import open_store, secret_directory
from treadle.store.port import ObjectStore
from treadle.store.probe import ensure

ENV_PROGRESS_PORT = "TREADLE_PROGRESS_PORT"
ENV_HOST = "TREADLE_HOST"
EXIT_RETRY = 1

type Step = Callable[[StepSpec, ObjectStore, Report], StepResult]

# Imported when they run: each brings libraries that the others do without.
STEPS = {
    "ingest": ("treadle.data.step", "ingest"),
    "train": ("treadle.training.step", "train"),
    "monitor": ("treadle.monitoring.step", "monitor"),
}
RESULTS: dict[str, type[IngestResult] | type[TrainResult] | type[MonitorResult]] = {
    "ingest": IngestResult,
    "train": TrainResult,
    "monitor": MonitorResult,
}
# The condition that is False when a step ends before its first stage, and when it ends in an error of its own.
UNREACHED = {"ingest": "Fetched", "train": "DataResolved", "monitor": None}
BROKEN = {"ingest": (Reason.RECONCILE_ERROR, "Fetched"), "train": (Reason.TRAINING_ERROR, "Trained")}


def run_step(name: str) -> int:
    """Run the step that TREADLE_STEP describes, leave its result as the termination message, return the exit code."""
    try:
        spec = read_step(os.environ.get(ENV_STEP, ""))
    except ValidationError as error:
        print(f"{ENV_STEP} is no step: {line(str(error))}", file=sys.stderr)
        return EXIT_NO_RETRY
    if spec.step != name:
        print(f"{ENV_STEP} describes {spec.step}, not {name}; start treadle {spec.step}", file=sys.stderr)
        return EXIT_NO_RETRY
    began = datetime.now(UTC)
    port, host = int(os.environ.get(ENV_PROGRESS_PORT, PROGRESS_PORT)), os.environ.get(ENV_HOST, "")
    with ProgressServer(name, port, host=host) as report:
        result, code = attempt(spec, report, began)
    target = Path(os.environ.get(ENV_TERMINATION_LOG, DEFAULT_TERMINATION_LOG))
    target.write_bytes(write_result(result))
    print(f"{result.outcome} {result.reason}: {result.message}", file=sys.stderr)
    return code


def attempt(spec: StepSpec, report: Report, began: datetime) -> tuple[StepResult, int]:
    """Return the step's result and exit code; an error becomes a result of outcome Failed."""
    started = stamp(began)
    try:
        store = open_store(
            secret_directory(spec.store.secret), spec.store.secret, spec.store.prefix, spec.owner.namespace
        )
        ensure(store, began.date())
        result = load(spec.step)(spec, store, report)
    except StoreError as error:
        result = failure(spec, started, error.reason, error.message, UNREACHED[spec.step])
    except Exception as error:
        traceback.print_exc()
        reason, failed = BROKEN.get(spec.step, (Reason.RECONCILE_ERROR, None))
        text = f"{type(error).__name__}: {error}" if spec.step == "train" else f"{type(error).__name__}; see the log"
        return failure(spec, started, reason, line(text), failed), EXIT_RETRY
    return result, exit_code(result)


def load(name: str) -> Step:
    """Return the function of a step."""
    module, function = STEPS[name]
    step: Step = getattr(importlib.import_module(module), function)
    return step


def exit_code(result: StepResult) -> int:
    """Return 0 for what is final, 10 where no retry can help, 1 where the world, or the source, may change."""
    if result.outcome != "Failed":
        return EXIT_FINAL
    return EXIT_RETRY if result.reason in WORLD or result.reason is Reason.SOURCE_CHANGED else EXIT_NO_RETRY


def failure(spec: StepSpec, started: str, reason: Reason, message: str, failed: str | None) -> StepResult:
    """Return the result of a step that could not do its work."""
    return RESULTS[spec.step].parse(
        {
            "run": spec.run,
            "outcome": "Failed",
            "reason": reason,
            "message": message,
            "failed": failed,
            "startedAt": started,
            "completedAt": stamp(datetime.now(UTC)),
        }
    )
