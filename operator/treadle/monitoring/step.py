"""One window, from the log to a verdict: the stages in their order."""

from datetime import UTC, datetime

from treadle.api.base import Json, stamp
from treadle.api.monitor import Drift, QualityLimits, Window
from treadle.api.names import canonical
from treadle.api.step import JudgedWindow, MonitorResult, MonitorStep, Report
from treadle.monitoring import report as reports
from treadle.monitoring.drift import compare
from treadle.monitoring.evidence import Log, Reference
from treadle.monitoring.page import page
from treadle.monitoring.quality import breaches, measure
from treadle.monitoring.report import Judged, Rules
from treadle.monitoring.samples import pairs, to_test
from treadle.monitoring.verdict import (
    DATA_FLOWING,
    DRIFT_SUSPECTED,
    QUALITY_BREACHED,
    conclude,
    data_flowing,
    drift_suspected,
    judges_requests,
    quality_breached,
)
from treadle.monitoring.window import read_log, read_reference, was_ever_logged
from treadle.store import blobs, keys
from treadle.store.manifest import REPORT, File, digest_of, publish_record, read_record, show_report
from treadle.store.port import ObjectStore

RECORD = "treadle.dev/run/v1"
DETAILS, PARTS = "window.json", "parts.json"


def monitor(spec: MonitorStep, store: ObjectStore, report: Report) -> MonitorResult:
    """Judge one window of the prediction log against its champion's reference; raise StoreError."""
    found = read_record(store, "monitor", spec.run_key)
    if found is None:
        started = stamp(datetime.now(UTC))
        report.stage("reference", 0.0)
        reference = read_reference(spec.champion, store)
        report.stage("read", 0.1)
        log = read_log(spec, reference.schema.inputs, store, report)
        was_logged = bool(log.parts) or was_ever_logged(spec, store)
        report.stage("judge", 0.7)
        judged = judge(rules_of(spec), reference, log, was_logged=was_logged)
        report.stage("publish", 0.9)
        found = record(spec, store, judged, reference, started)
    show_report(store, spec.run_key, found)
    return recorded(found)


def rules_of(spec: MonitorStep) -> Rules:
    """Return what the Monitor asks for, after defaulting."""
    asked = spec.spec
    return Rules(asked.window or Window(), asked.drift or Drift(), asked.quality or QualityLimits())


def judge(rules: Rules, reference: Reference, log: Log, *, was_logged: bool) -> Judged:
    """Return a window with all that is found in it."""
    inputs, absent = pairs(reference.schema.inputs, reference.columns, log.columns)
    tested, excluded = to_test(inputs, rules.drift, reference.scores, log.scores)
    flowing = data_flowing(log, rules.window, was_logged=was_logged)
    is_enough = flowing.status == "True"
    compared = (
        compare(tested, float(rules.drift.alpha), float(rules.drift.min_effect))
        if is_enough and rules.drift.enabled
        else []
    )
    quality = measure(reference.schema.inputs, inputs)
    passed = (
        breaches(quality, log.tally.refused, log.tally.requests, rules.quality, judge_columns=is_enough)
        if is_enough or judges_requests(rules.window, log.tally)
        else []
    )
    findings = {
        DATA_FLOWING: flowing,
        DRIFT_SUSPECTED: drift_suspected(flowing, rules.drift, compared),
        QUALITY_BREACHED: quality_breached(flowing, log.tally, passed),
    }
    skipped = [*absent, *excluded]
    return Judged(log, {**inputs, **tested}, compared, quality, skipped, findings, conclude(findings))


def record(spec: MonitorStep, store: ObjectStore, judged: Judged, reference: Reference, started: str) -> Json:
    """Write down how a window was judged, and return what stands there: of two writers, the first's."""
    details = reports.document(spec, rules_of(spec), judged, reference)
    completed = stamp(datetime.now(UTC))
    files = {
        REPORT: page(details, completed).encode(),
        DETAILS: canonical(details),
        PARTS: judged.log.list,
    }
    entries = [
        File(path, len(data), blobs.put_bytes(store, data).removeprefix("sha256:")).dump()
        for path, data in files.items()
    ]
    drift = reports.drift_found(judged.compared)
    result = MonitorResult(
        run=spec.run,
        outcome=judged.verdict.outcome.value,
        reason=judged.verdict.reason,
        message=judged.verdict.message,
        started_at=started,
        completed_at=completed,
        window=JudgedWindow(**spec.window.model_dump(), samples=judged.log.tally.answered, champion=spec.champion),
        findings=dict(judged.findings),
        drift=drift,
        report_uri=f"s3://{store.place}/{keys.report(spec.run_key)}",
    )
    document = {
        "format": RECORD,
        "step": "monitor",
        "run": spec.run,
        "deployment": spec.deployment,
        "champion": spec.champion,
        "reference": reference.digest,
        "requests": {"parts": len(judged.log.parts), "list": digest_of(judged.log.list)},
        "result": result.dump(),
        "files": entries,
    }
    return publish_record(store, "monitor", spec.run_key, document)


def recorded(document: Json) -> MonitorResult:
    """Return the result that a run record holds, with the record's digest."""
    result = MonitorResult.parse(document["result"])
    return result.model_copy(update={"record": digest_of(canonical(document))})
