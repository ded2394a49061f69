"""Which version is tried next, and whether a verdict is about a champion that is gone."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from treadle.api.base import moment
from treadle.api.modeldeployment import Follow, ModelDeployment, ModelDeploymentStatus, ModelSource
from treadle.api.names import short
from treadle.control.modeldeployment.seen import Run


class Choice(NamedTuple):
    """A version to try."""

    digest: str
    version: str
    data_digest: str | None = None
    training_job: str | None = None


def chosen(md: ModelDeployment, record: ModelDeploymentStatus, runs: Sequence[Run], now: datetime) -> Choice | None:
    """Return the version that should be tried now, or None; what is refused is not tried before its time."""
    source = md.spec.source or ModelSource()
    if source.follow is Follow.PINNED and source.digest is not None:
        pinned = source.digest
        is_served = record.champion is not None and record.champion.digest == pinned
        return None if is_served or is_quarantined(record, pinned, now) else known(pinned, record, runs)
    champion = record.champion.digest if record.champion else None
    passed = [run for run in runs if run.has_passed and run.judged_against == champion]
    newest = max(passed, key=_when, default=None)
    if newest is None or newest.status.model is None:
        return None
    good = record.last_known_good.digest if record.last_known_good else None
    digest = newest.status.model.digest
    if digest in (champion, good) or is_quarantined(record, digest, now):
        return None
    return Choice(digest, newest.status.model.version[:16], newest.data_digest, newest.name)


def known(digest: str, record: ModelDeploymentStatus, runs: Iterable[Run]) -> Choice:
    """Return what runs and record know of a digest; a version that nobody names is told by its digest."""
    for run in runs:
        if run.status.model is not None and run.status.model.digest == digest:
            return Choice(digest, run.status.model.version[:16], run.data_digest, run.name)
    good = record.last_known_good
    if good is not None and good.digest == digest:
        return Choice(digest, good.version, good.data_digest, good.training_job)
    return Choice(digest, short(digest))


def stale(md: ModelDeployment, record: ModelDeploymentStatus, runs: Sequence[Run], now: datetime) -> Run | None:
    """Return the newest run that passed against another champion than this one and was not judged again since."""
    champion = record.champion
    if champion is None or (md.spec.source or ModelSource()).follow is Follow.PINNED:
        return None
    own = next((run for run in runs if run.name == champion.training_job), None)
    since = own.completed if own is not None and own.completed is not None else moment(champion.since)
    judged = [run for run in runs if run.verdict is not None and run.completed is not None and run.completed > since]
    newest = max(judged, key=_when, default=None)
    if newest is None or newest.judged_against == champion.digest or newest.status.model is None:
        return None
    others = (record.candidate, record.last_known_good, champion)
    digest = newest.status.model.digest
    if not newest.has_passed or digest in {other.digest for other in others if other is not None}:
        return None
    return None if is_quarantined(record, digest, now) else newest


def is_quarantined(record: ModelDeploymentStatus, digest: str, now: datetime) -> bool:
    """Say whether a digest is refused for now."""
    return any(row.digest == digest and moment(row.until) > now for row in record.quarantined or ())


def _when(run: Run) -> tuple[str, str]:
    return run.status.completion_time or "", run.name
