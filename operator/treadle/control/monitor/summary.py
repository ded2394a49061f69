"""A Monitor in a few sentences for people: what moved, why it matters, what is next."""

from collections.abc import Sequence

from treadle.api.conditions import PAGE, Condition, line
from treadle.api.monitor import ActionKind, Drift, LastWindow, Monitor, MonitorStatus, Window, WindowVerdict
from treadle.control.monitor.actions import streak

LATER = {"Retrain": "to retrain", "Rollback": "to roll back"}


def summary(
    monitor: Monitor, record: MonitorStatus, findings: Sequence[Condition], blocked: Condition, champion: str | None
) -> str | None:
    """Return the text, or None before there is anything to say."""
    by_type = {condition.type: condition for condition in findings}
    last = record.last_window
    if last is None or last.champion_digest != champion or champion is None:
        return bare(by_type["DataFlowing"]) or None if "DataFlowing" in by_type else None
    parts = [f"{last.samples} predictions from {last.start} to {last.end}: {moved(monitor, last, by_type)}"]
    if last.verdict is WindowVerdict.SUSPECTED:
        needed = (monitor.spec.drift or Drift()).confirm_windows
        count = streak(record.windows or [], "DriftSuspected", champion)
        parts.append(f"Suspected in {count} of {needed} windows in a row; the next one decides")
    if last.verdict is WindowVerdict.DETECTED:
        parts.append("The model answers for inputs unlike those it learnt from")
        parts.append(following(monitor, record, blocked))
    return line(". ".join(part.removesuffix(".") for part in parts if part) + ".")


def moved(monitor: Monitor, last: LastWindow, by_type: dict[str, Condition]) -> str:
    """Return what the window found."""
    if last.verdict is WindowVerdict.INSUFFICIENT:
        least = (monitor.spec.window or Window()).min_samples
        return f"too few to judge, window.minSamples is {least}"
    true = [
        found
        for found in by_type.values()
        if found.status == "True" and found.type in ("DriftSuspected", "QualityBreached")
    ]
    return "; ".join(bare(found) or str(found.reason) for found in true) or "nothing moved"


def following(monitor: Monitor, record: MonitorStatus, blocked: Condition) -> str:
    """Return what happens next."""
    if blocked.status == "True":
        return f"A retrain is wanted but blocked ({blocked.reason})"
    if record.request is not None:
        return f"{monitor.spec.target_ref.name} was asked {LATER[record.request.action]}"
    if any(action.do is not ActionKind.NOTIFY for action in monitor.spec.actions or ()):
        return "No action is due yet"
    return "Look at the source before you retrain"


def bare(condition: Condition) -> str:
    """Return a condition's message without its page."""
    return PAGE.sub("", condition.message)
