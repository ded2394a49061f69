"""From a judged window to the record: history, verdict, drift, and each finding as a condition."""

from collections.abc import Sequence

from treadle.api.conditions import Condition, no, paged, unknown, yes
from treadle.api.monitor import (
    Drift,
    DriftStatus,
    LastWindow,
    Monitor,
    MonitorStatus,
    WindowRow,
    WindowVerdict,
)
from treadle.api.names import short
from treadle.api.reasons import Reason
from treadle.api.step import JudgedWindow, MonitorResult
from treadle.control.monitor.actions import streak, streak_rows

R = Reason

FINDINGS = ("DataFlowing", "DriftSuspected", "DriftDetected", "QualityBreached")
ROWS_KEPT = 10
COLUMNS_KEPT = 10
BREACHES = ("DriftSuspected", "QualityBreached")


def judged(
    monitor: Monitor, record: MonitorStatus, result: MonitorResult, window: JudgedWindow
) -> tuple[MonitorStatus, list[Condition]]:
    """Return the record with one more window, and the findings that it makes true of its champion."""
    flows, suspected, breached = (found(result, type_) for type_ in ("DataFlowing", *BREACHES))
    is_enough = flows.status != "False"
    true = [condition.type for condition in (suspected, breached) if condition.status == "True"]
    row = WindowRow(
        start=window.start,
        verdict=WindowVerdict.HEALTHY if is_enough else WindowVerdict.INSUFFICIENT,
        breached=true if is_enough else [],
        champion_digest=window.champion,
    )
    others = [other for other in record.windows or [] if other.start != row.start]
    detected = drift_detected(monitor, suspected, streak([row, *others], "DriftSuspected", window.champion))
    if detected.status == "True":
        row = row.model_copy(update={"breached": [*row.breached, detected.type]})
    row = row.model_copy(update={"verdict": verdict(row)})
    rows = kept([row, *others])
    last = LastWindow(
        start=window.start,
        end=window.end,
        revision=window.revision,
        samples=window.samples,
        verdict=row.verdict,
        worst_column=worst_column(result),
        champion_digest=window.champion,
        report_uri=result.report_uri,
        digest=result.record,
    )
    drift = drift_of(result, shift_at(record, rows, window.champion)) or record.drift
    after = record.model_copy(update={"last_window": last, "windows": rows, "drift": drift})
    return after, [flows, suspected, detected, breached]


def kept(rows: Sequence[WindowRow]) -> list[WindowRow]:
    """Return ten windows, newest first; an older one with too few samples goes first, since streaks go on over it."""
    if len(rows) <= ROWS_KEPT:
        return list(rows)
    quiet = [row for row in rows[1:] if row.verdict is WindowVerdict.INSUFFICIENT]
    gone = quiet[-1] if quiet else rows[-1]
    return [row for row in rows if row is not gone]


def found(result: MonitorResult, type_: str) -> Condition:
    """Return a finding of this window alone as a condition."""
    finding = result.findings.get(type_)
    if finding is None:
        return unknown(type_)
    message = finding.message or (result.message if finding.reason == result.reason else "")
    is_problem = finding.status != ("True" if type_ == "DataFlowing" else "False")
    text = paged(finding.reason, message) if is_problem and message else message
    return Condition(type=type_, status=finding.status, reason=finding.reason, message=text)


def drift_detected(monitor: Monitor, suspected: Condition, windows: int) -> Condition:
    """Return whether columns moved in as many windows in a row as are needed."""
    needed = (monitor.spec.drift or Drift()).confirm_windows
    if suspected.status == "Unknown":
        return unknown("DriftDetected", R(suspected.reason), suspected.message)
    if suspected.status == "False":
        return no("DriftDetected", R.NO_DRIFT)
    if windows < needed:
        return no("DriftDetected", R.NO_DRIFT, f"suspected in {windows} of {needed} windows in a row")
    return yes("DriftDetected", R(suspected.reason), suspected.message)


def verdict(row: WindowRow) -> WindowVerdict:
    """Return what a window says in one word."""
    if row.verdict is WindowVerdict.INSUFFICIENT:
        return row.verdict
    if any(finding != "DriftSuspected" for finding in row.breached):
        return WindowVerdict.DETECTED
    return WindowVerdict.SUSPECTED if row.breached else WindowVerdict.HEALTHY


def shift_at(record: MonitorStatus, rows: Sequence[WindowRow], champion: str) -> str | None:
    """Return the begin of the first window of this streak, which may be older than the history."""
    moved = streak_rows(rows, "DriftSuspected", champion)
    if not moved:
        return None
    is_going_on = len(moved) > 1 and record.drift is not None
    return (record.drift.shift_at if is_going_on and record.drift else None) or moved[-1].start


def drift_of(result: MonitorResult, shift: str | None) -> DriftStatus | None:
    """Return how far the inputs moved, and since when; None where the window does not tell."""
    if result.drift is None:
        return None
    return DriftStatus(
        score=result.drift.score,
        worst_column=result.drift.columns[0].name if result.drift.columns else None,
        shift_at=shift,
        columns=result.drift.columns[:COLUMNS_KEPT],
    )


def worst_column(result: MonitorResult) -> str | None:
    """Return the column to look at first: that which passed a limit, else moved, else came nearest to it."""
    true = [found for type_ in reversed(BREACHES) if (found := result.findings.get(type_)) and found.status == "True"]
    if true:
        return next((found.column for found in true if found.column is not None), None)
    return result.drift.columns[0].name if result.drift is not None and result.drift.columns else None


def unjudged(champion: str | None, *, is_logged: bool, target: str) -> list[Condition]:
    """Return the findings while no window of this champion was judged."""
    if champion is None:
        flows = no("DataFlowing", R.NO_MODEL, paged(R.NO_MODEL, f"ModelDeployment {target!r} has no champion yet"))
    elif not is_logged:
        message = f"logger.percent of ModelDeployment {target!r} is 0, so that nothing is kept; set it above 0"
        flows = no("DataFlowing", R.NO_LOG, paged(R.NO_LOG, message))
    else:
        flows = unknown("DataFlowing", R.NOT_JUDGED, f"no window of champion {short(champion)} was judged yet")
    return [flows, *(unknown(type_) for type_ in FINDINGS[1:])]
