"""What a window says: one finding for each condition, and the verdict that follows from them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from treadle.api.artifacts import SCORE_COLUMN
from treadle.api.conditions import line, paged
from treadle.api.monitor import Drift, Window, WindowVerdict
from treadle.api.reasons import Reason
from treadle.api.step import WindowFinding
from treadle.monitoring.drift import Compared
from treadle.monitoring.evidence import Log, Tally
from treadle.monitoring.quality import Breach

DATA_FLOWING = "DataFlowing"
DRIFT_SUSPECTED = "DriftSuspected"
QUALITY_BREACHED = "QualityBreached"

PHRASES = {
    Reason.TOO_MANY_NULLS: ("of rows are null beyond the reference's", "maxNullFraction"),
    Reason.UNSEEN_VALUES: ("of rows hold values that training did not see", "maxUnseenFraction"),
    Reason.OUT_OF_RANGE: ("of rows lie outside training's range", "maxRangeViolations"),
    Reason.REQUESTS_REJECTED: ("of requests were refused", "maxRejected"),
}

type Findings = Mapping[str, WindowFinding]


@dataclass(frozen=True, slots=True)
class Verdict:
    """The window in one word, one reason and one line."""

    outcome: WindowVerdict
    reason: Reason
    message: str


def data_flowing(log: Log, rules: Window, *, was_logged: bool) -> WindowFinding:
    """Return whether there is enough to judge; was_logged: whether the deployment has any log at all."""
    answered = log.tally.answered
    if log.kept >= rules.min_samples:
        return finding("True", Reason.ENOUGH, f"{answered} predictions, window.minSamples is {rules.min_samples}")
    if not was_logged:
        return finding(
            "False",
            Reason.NO_LOG,
            "the deployment has no prediction log. Send traffic; if there was some, set logger.percent above 0",
        )
    if answered >= rules.min_samples:
        low, high = log.percents
        return finding(
            "False",
            Reason.INSUFFICIENT,
            f"logger.percent went from {low} to {high} within the window: of {answered} predictions {log.kept} weigh "
            f"alike, window.minSamples is {rules.min_samples}. Wait for the next window",
        )
    refused = f", {log.tally.refused} requests were refused" if log.tally.refused else ""
    return finding(
        "False",
        Reason.INSUFFICIENT,
        f"{answered} predictions{refused}; window.minSamples is {rules.min_samples}. "
        "Send traffic, or widen window.size",
    )


def drift_suspected(flowing: WindowFinding, rules: Drift, compared: Sequence[Compared]) -> WindowFinding:
    """Return whether columns moved; compared: worst first."""
    if not rules.enabled:
        return finding("Unknown", Reason.DISABLED, "drift.enabled is false")
    if flowing.status == "False":
        return finding("Unknown", Reason.INSUFFICIENT, "too few predictions to tell a move from chance")
    if not compared:
        return finding("Unknown", Reason.INSUFFICIENT, "the log holds no column that can be compared; see the report")
    moved = [row for row in compared if row.moved]
    if not moved:
        farthest = compared[0]
        return finding(
            "False",
            Reason.NO_DRIFT,
            f"none of {counted(len(compared), 'column')} moved; {farthest.column} comes nearest "
            f"(effect {farthest.distance.effect:.3f}, drift.minEffect {rules.min_effect})",
        )
    inputs = [row for row in moved if row.column != SCORE_COLUMN]
    worst = (inputs or moved)[0]
    what = f"column {worst.column} moved most" if inputs else "the predictions moved and no input did"
    return finding(
        "True",
        Reason.COLUMNS_MOVED if inputs else Reason.PREDICTIONS_MOVED,
        f"{what} (effect {worst.distance.effect:.3f}, drift.minEffect {rules.min_effect}); "
        f"{len(moved)} of {counted(len(compared), 'column')}. Look at the source before you retrain",
        column=worst.column,
    )


def quality_breached(flowing: WindowFinding, tally: Tally, passed: Sequence[Breach]) -> WindowFinding:
    """Return whether limits are passed, the farthest first; refusals alone can be judged without answers."""
    if passed:
        named = next((breach.column for breach in passed if breach.column is not None), None)
        return finding("True", passed[0].reason, sentence(passed), column=named)
    if flowing.status == "False":
        return finding("Unknown", Reason.INSUFFICIENT, "too few predictions to judge the inputs by")
    return finding(
        "False", Reason.WITHIN_LIMITS, f"every column is within its limits; {tally.refused} of {tally.requests} refused"
    )


def judges_requests(rules: Window, tally: Tally) -> bool:
    """Say whether there were requests enough to judge how many were refused, answered or not."""
    return tally.requests >= rules.min_samples


def sentence(passed: Sequence[Breach]) -> str:
    """Say the worst of the limits that are passed."""
    worst = passed[0]
    phrase, field = PHRASES[worst.reason]
    what = f"{100 * worst.fraction:.1f} % {phrase}"
    where = "" if worst.column is None else f"column {worst.column}: "
    others = f", and {counted(len(passed) - 1, 'limit')} more passed" if len(passed) > 1 else ""
    return f"{where}{what}; quality.{field} is {worst.limit:g}{others}. Mend the caller or the feed"


def conclude(findings: Findings) -> Verdict:
    """Return the window's verdict: Insufficient if data does not flow, else Detected, Suspected or Healthy.

    Drift of a window alone is Suspected; who sees the windows in a row knows whether it is Detected.
    """
    flowing, drift = findings[DATA_FLOWING], findings[DRIFT_SUSPECTED]
    if flowing.status == "False":
        return verdict(WindowVerdict.INSUFFICIENT, flowing)
    breached = [
        found for name, found in findings.items() if name not in (DATA_FLOWING, DRIFT_SUSPECTED) and is_true(found)
    ]
    if breached:
        return verdict(WindowVerdict.DETECTED, breached[0])
    if is_true(drift):
        return verdict(WindowVerdict.SUSPECTED, drift)
    return verdict(WindowVerdict.HEALTHY, drift if drift.status == "False" else findings[QUALITY_BREACHED])


def is_true(found: WindowFinding) -> bool:
    """Say whether a finding holds."""
    return found.status == "True"


def verdict(outcome: WindowVerdict, found: WindowFinding) -> Verdict:
    """Return the verdict that a finding decides."""
    return Verdict(outcome, found.reason, found.message)


def finding(
    status: Literal["True", "False", "Unknown"], reason: Reason, text: str, *, column: str | None = None
) -> WindowFinding:
    """Return a finding; one that a person should act on names its page."""
    if reason in (Reason.ENOUGH, Reason.NO_DRIFT, Reason.WITHIN_LIMITS) or status == "Unknown":
        return WindowFinding(status=status, reason=reason, message=line(text))
    return WindowFinding(status=status, reason=reason, message=paged(reason, text), column=column)


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, such as 1 column or 7 columns."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
