"""The gate: measured values and rules to Promote, Hold, Reject or Inconclusive."""

from collections.abc import Mapping
from dataclasses import dataclass

from treadle.api.base import decimal
from treadle.api.conditions import line
from treadle.api.reasons import Reason
from treadle.api.trainingjob import CheckResult, Floor, Gate, GateCheck, GateStatus, Interval, Requirement, Verdict
from treadle.training.bootstrap import Estimate

CHECKS_LIMIT = 8
NAME_LIMIT = 64
ORDER = {CheckResult.FAIL: 0, CheckResult.OPEN: 1, CheckResult.PASS: 2}


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was measured on the holdout.

    metrics: by metric and slice (None: all rows); one that a slice leaves undefined is absent. differences: by slice,
    challenger less champion, positive when better; empty without a champion. slice_rows: rows of each slice.
    champion: its digest; champion_name: how a message calls it, such as v7.
    """

    rows: int
    holdout_uses: int
    holdout_digest: str
    metric: str
    metrics: Mapping[tuple[str, str | None], Estimate]
    slice_rows: Mapping[str, int]
    champion: str | None = None
    champion_name: str = ""
    champion_value: float | None = None
    unscorable: str | None = None
    """Why the champion could not be scored."""
    differences: Mapping[str | None, Estimate] | None = None


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict with its reason, its sentence and all checks, failed ones first."""

    verdict: Verdict
    reason: Reason
    message: str
    checks: tuple[GateCheck, ...]
    difference: Interval | None = None

    def status(self, evidence: Evidence, decided_at: str) -> GateStatus:
        """Return the verdict as status keeps it, with the first eight checks."""
        return GateStatus(
            verdict=self.verdict,
            champion=evidence.champion,
            holdout_digest=evidence.holdout_digest,
            holdout_uses=evidence.holdout_uses,
            rows=evidence.rows,
            difference=self.difference,
            checks=list(self.checks[:CHECKS_LIMIT]),
            decided_at=decided_at,
        )


def judge(gate: Gate, evidence: Evidence) -> Judgement:
    """Return the verdict: Promote if every check passes, Reject if one's whole interval is wrong, else Hold.

    Too few rows, a used-up holdout and a champion that cannot be scored are Inconclusive.
    """
    checks = sorted(all_checks(gate, evidence), key=lambda check: ORDER[check.result])
    found = evidence.differences.get(None) if evidence.differences else None
    difference = None if found is None else shown(found)
    verdict, reason, message = conclude(gate, evidence, checks)
    return Judgement(verdict, reason, line(message), tuple(checks), difference)


def conclude(gate: Gate, evidence: Evidence, checks: list[GateCheck]) -> tuple[Verdict, Reason, str]:
    """Return verdict, reason and sentence; the first that speaks decides."""
    if blocked := inconclusive(gate, evidence):
        return Verdict.INCONCLUSIVE, *blocked
    worst = checks[0] if checks else None
    if worst is not None and worst.result is CheckResult.FAIL:
        return Verdict.REJECT, reason_of(worst), sentence(worst, evidence)
    if small := small_slice(gate, evidence):
        return Verdict.INCONCLUSIVE, Reason.TOO_FEW_ROWS, small
    if worst is not None and worst.result is CheckResult.OPEN:
        return Verdict.HOLD, reason_of(worst), sentence(worst, evidence)
    if evidence.champion is None:
        found = shown(evidence.metrics[evidence.metric, None])
        floors = f"{len(checks)} {'floor' if len(checks) == 1 else 'floors'} held, " if checks else ""
        return (
            Verdict.PROMOTE,
            Reason.NO_CHAMPION,
            f"{evidence.metric} {found.value} {bounds_of(found)} on {evidence.rows} holdout rows; {floors}"
            "there was no champion to beat",
        )
    better = next(check for check in checks if check.name == "better")
    return Verdict.PROMOTE, Reason.ALL_CHECKS_PASSED, sentence(better, evidence)


def inconclusive(gate: Gate, evidence: Evidence) -> tuple[Reason, str] | None:
    """Return why no verdict is possible, or None."""
    if evidence.rows < gate.min_rows:
        return (
            Reason.TOO_FEW_ROWS,
            f"the holdout has {evidence.rows} labelled rows, gate.minRows is {gate.min_rows}; enlarge the holdout",
        )
    if evidence.holdout_uses > gate.max_holdout_uses:
        return (
            Reason.HOLDOUT_USED_UP,
            f"this holdout gave {evidence.holdout_uses} verdicts, gate.maxHoldoutUses is {gate.max_holdout_uses}; "
            "publish a version with new holdout rows",
        )
    if evidence.unscorable is not None:
        return (
            Reason.CHAMPION_UNSCORABLE,
            f"champion {evidence.champion_name} cannot be scored on this holdout: {evidence.unscorable}",
        )
    return None


def small_slice(gate: Gate, evidence: Evidence) -> str | None:
    """Return the sentence about a slice that a floor names and that cannot be judged, or None."""
    for floor in gate.floors or []:
        if floor.slice is None:
            continue
        rows = evidence.slice_rows[floor.slice]
        if rows < gate.min_slice_rows:
            return (
                f"slice {floor.slice} has {rows} holdout rows, gate.minSliceRows is {gate.min_slice_rows}; "
                "enlarge the holdout, or remove its floor"
            )
        if (floor.metric, floor.slice) not in evidence.metrics:
            return (
                f"{floor.metric} is undefined on the {rows} holdout rows of slice {floor.slice}, which may hold one "
                "class only; enlarge the holdout, or remove its floor"
            )
    return None


def all_checks(gate: Gate, evidence: Evidence) -> list[GateCheck]:
    """Return every check that the rules ask for and the evidence allows."""
    checks = []
    differences = evidence.differences or {}
    if None in differences:
        margin = float(gate.margin)
        checks.append(better(differences[None], margin if gate.require is Requirement.BETTER else -margin))
    for floor in gate.floors or []:
        is_large = floor.slice is None or evidence.slice_rows[floor.slice] >= gate.min_slice_rows
        if is_large and (found := evidence.metrics.get((floor.metric, floor.slice))):
            checks.append(floor_check(floor, found))
    if gate.max_slice_regression is not None:
        limit = -float(gate.max_slice_regression)
        checks += [
            above(f"slice:{name}", found, limit)
            for name, found in differences.items()
            if name is not None and evidence.slice_rows[name] >= gate.min_slice_rows
        ]
    return checks


def better(difference: Estimate, threshold: float) -> GateCheck:
    """Return the check of the paired difference: its lower bound must be above the threshold."""
    lower, upper = rounded(difference.lower), rounded(difference.upper)
    return check("better", difference, threshold, lower > threshold, upper <= threshold)


def above(name: str, found: Estimate, threshold: float) -> GateCheck:
    """Return the check of a lower bound: the interval must not reach below the threshold."""
    return check(name, found, threshold, rounded(found.lower) >= threshold, rounded(found.upper) < threshold)


def below(name: str, found: Estimate, threshold: float) -> GateCheck:
    """Return the check of an upper bound: the interval must not reach above the threshold."""
    return check(name, found, threshold, rounded(found.upper) <= threshold, rounded(found.lower) > threshold)


def floor_check(floor: Floor, found: Estimate) -> GateCheck:
    """Return the check of a floor, named after its metric and slice."""
    name = f"floor:{floor.metric}" + (f":{floor.slice}" if floor.slice else "")
    if floor.max is not None:
        return below(name, found, float(floor.max))
    return above(name, found, float(floor.min or "0"))


def check(name: str, found: Estimate, threshold: float, passes: bool, fails: bool) -> GateCheck:
    """Return a check with its numbers as people read them; bounds that are no numbers leave it open."""
    result = CheckResult.PASS if passes else CheckResult.FAIL if fails else CheckResult.OPEN
    interval = shown(found)
    return GateCheck(
        name=name[:NAME_LIMIT],
        threshold=decimal(threshold),
        value=interval.value,
        lower=interval.lower,
        upper=interval.upper,
        result=result,
    )


def shown(found: Estimate) -> Interval:
    """Return an estimate as decimal strings, without bounds that are no numbers."""
    if not found.is_finite:
        return Interval(value=decimal(found.value))
    return Interval(value=decimal(found.value), lower=decimal(found.lower), upper=decimal(found.upper))


def rounded(number: float) -> float:
    """Return a number as it is shown, so that nobody reads 0.002 above 0.002."""
    return float(decimal(number)) if number == number else number  # noqa: PLR0124 - NaN compares false to all


def reason_of(check: GateCheck) -> Reason:
    """Return the reason that a check gives when it does not pass."""
    if check.name == "better":
        return Reason.NOT_BETTER
    return Reason.FLOOR_MISSED if check.name.startswith("floor:") else Reason.SLICE_REGRESSED


def sentence(check: GateCheck, evidence: Evidence) -> str:
    """Return what a check found, against what was needed, and what to do."""
    bounds = bounds_of(check)
    if check.name == "better":
        ours = decimal(evidence.metrics[evidence.metric, None].value)
        theirs = "?" if evidence.champion_value is None else decimal(evidence.champion_value)
        name, passed = evidence.champion_name, check.result is CheckResult.PASS
        advice = "" if passed else f". {name} stays. Wait for data, or lower gate.margin"
        return (
            f"{evidence.metric} {ours} against champion {name} {theirs} on {evidence.rows} holdout rows; "
            f"difference {check.value} {bounds}, needed above {check.threshold}{advice}"
        )
    if check.name.startswith("floor:"):
        return (
            f"{check.name} is {check.value} {bounds} on the holdout, needed is {check.threshold} on the bound; "
            "improve the recipe, or move that floor"
        )
    return (
        f"{check.name} changed by {check.value} {bounds} against champion {evidence.champion_name}, allowed is "
        f"{check.threshold} on the bound; look at that slice, or raise gate.maxSliceRegression"
    )


def bounds_of(found: Interval) -> str:
    """Return an interval as messages show it."""
    return f"[{found.lower}, {found.upper}]" if found.lower is not None else "[unknown]"
