"""What a run is made of: its version and champion, resolved once, and the run key that names its record."""

from dataclasses import dataclass

from treadle.api.base import Json
from treadle.api.blocks import TriggerKind
from treadle.api.conditions import Condition, no, paged, yes
from treadle.api.datasource import DatasetVersion
from treadle.api.names import job_name, sha256, short
from treadle.api.reasons import Reason
from treadle.api.trainingjob import Recipe, ResolvedData, TrainingJob, TrainingJobStatus
from treadle.control.rows import most_rows

R = Reason

LATEST = "latest"
# How and when it runs, and what `latest` meant: the recipe is the rest.
NO_RECIPE = frozenset({"trigger", "suspend", "jobTemplate", "storeRef"})
# A person's wish and a due time are wishes to repeat; a Monitor's on equal data is the same run.
REPEATS = frozenset({TriggerKind.MANUAL, TriggerKind.SCHEDULE})


@dataclass(frozen=True, slots=True)
class Target:
    """The ModelDeployment whose champion is to beat; no name: there is none to ask."""

    name: str | None = None
    exists: bool = False
    champion: str | None = None


NOBODY = Target()


def run_key(spec: Recipe, data: str, champion: str | None) -> str:
    """Return the hash of recipe, data and request: equal inputs are the same run, found by its record."""
    recipe: Json = {key: value for key, value in spec.dump().items() if key not in NO_RECIPE}
    reference = {key: value for key, value in recipe["dataRef"].items() if key != "version"}
    trigger = spec.trigger
    repeat = f"{trigger.kind} {trigger.id}" if trigger is not None and trigger.kind in REPEATS else None
    return sha256(
        {
            "recipe": {**recipe, "dataRef": reference},
            "data": data,
            "request": {"champion": champion, "repeat": repeat},
        }
    )


def opponent(spec: Recipe) -> str | None:
    """Return the name of the ModelDeployment whose champion is to beat."""
    return spec.gate.against.deployment_ref.name if spec.gate and spec.gate.against else None


def is_resolved(record: TrainingJobStatus) -> bool:
    """Say whether version and champion are recorded, and the version was not found short of rows."""
    return record.run_key is not None and not is_short(record)


def is_short(record: TrainingJobStatus) -> bool:
    """Say whether the version that was tried holds too few labelled rows."""
    found = next((condition for condition in record.conditions if condition.type == "DataResolved"), None)
    return found is not None and (found.status, found.reason) == ("False", R.NOT_ENOUGH_LABELLED_ROWS)


def data_resolved(run: TrainingJob, version: DatasetVersion | None, *, has_data_source: bool) -> Condition:
    """Return whether there is a version to learn from, with enough rows as far as its splits tell."""
    reference, record = run.spec.data_ref, run.status
    if not has_data_source:
        return _waits(
            R.WAITING_FOR_DATA_SOURCE,
            f"DataSource {reference.name!r} does not exist; create it, or correct spec.dataRef.name",
        )
    if version is None and reference.version == LATEST:
        return _waits(R.WAITING_FOR_VERSION, f"DataSource {reference.name!r} has no version yet; see its conditions")
    wanted = wanted_digest(run, version)
    if is_short(record) and record.data is not None and record.data.digest == wanted:
        held = next(condition for condition in record.conditions if condition.type == "DataResolved")
        return _waits(R.NOT_ENOUGH_LABELLED_ROWS, held.message)
    window = reference.window
    least = window.min_labelled_rows if window is not None else None
    if version is not None and version.digest == wanted and window is not None and least is not None:
        found = most_rows(version, window.since)
        if found < least:
            since = f" since {window.since}" if window.since else ""
            then = (
                "this version never has more: create a TrainingJob on a newer one, or with a lower bound"
                if is_hopeless(run)
                else "looked at again after the next version"
            )
            return _waits(
                R.NOT_ENOUGH_LABELLED_ROWS,
                f"version {short(wanted)} of DataSource {reference.name!r} has at most {found} rows to learn "
                f"from{since}, spec.dataRef.window.minLabelledRows is {least}; {then}",
            )
    return yes("DataResolved", R.RESOLVED, f"version {short(wanted)}")


def is_hopeless(run: TrainingJob) -> bool:
    """Say whether the version is pinned by hand: it will never hold more rows, and nobody names a newer one."""
    return run.spec.data_ref.version != LATEST and run.spec.trigger is None


def wanted_digest(run: TrainingJob, version: DatasetVersion | None) -> str:
    """Return the version that the run is about."""
    pinned = run.spec.data_ref.version
    return version.digest if pinned == LATEST and version is not None else pinned


def resolved(run: TrainingJob, version: DatasetVersion | None, champion: str | None, now: str) -> TrainingJobStatus:
    """Return the record with version, champion and run key, from which the next pass makes the Job."""
    digest = wanted_digest(run, version)
    key = run_key(run.spec, digest, champion)
    return run.status.model_copy(
        update={
            "start_time": run.status.start_time or now,
            "data": ResolvedData(digest=digest, short=short(digest), window=run.spec.data_ref.window),
            "champion": champion,
            "run_key": key,
            "retries": 0,
            "job_name": job_name(run.kind, run.metadata.name, key, 0),
            "progress": None,
        }
    )


def attempted(run: TrainingJob, attempt: int) -> TrainingJobStatus:
    """Return the record with one more attempt of the same run."""
    key = run.status.run_key or ""
    name = job_name(run.kind, run.metadata.name, key, attempt)
    return run.status.model_copy(update={"retries": attempt, "job_name": name, "progress": None})


def _waits(reason: Reason, message: str) -> Condition:
    return no("DataResolved", reason, paged(reason, message))
