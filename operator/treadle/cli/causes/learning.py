"""DataSources and TrainingJobs: what one waits for, why it ended, and what became of its model."""

from dataclasses import replace

from treadle.cli.causes.link import BAD, LOOK, Link, Scene, Target, Turn, stage_or, told, turn
from treadle.cli.causes.pods import of_job
from treadle.cli.causes.refusals import advice
from treadle.cli.cluster import Object
from treadle.cli.estate import condition, is_true, name_of, status_of

DATA_STAGES = ("Fetched", "SchemaValid", "PrivacyApplied", "QualityPassed")
RUN_STAGES = ("DataResolved", "Trained", "Evaluated", "Registered", "GatePassed")
OF_PODS = frozenset(
    {"Unschedulable", "PodQuotaExceeded", "ImagePullFailed", "OutOfMemory", "DeadlineExceeded", "ResultMissing"}
)
"""Reasons of which a Job and its pods know more."""


# DataSources.


def source_held(scene: Scene, source: Object) -> Turn | None:
    """Return that a person holds it."""
    return turn(told(source, "Ready")) if condition(source, "Ready").get("reason") == "Suspended" else None


def source_refused(scene: Scene, source: Object) -> Turn | None:
    """Return why there is no version, or none of the newest bytes."""
    ready, last = condition(source, "Ready"), status_of(source).get("lastAttempt") or {}
    if ready.get("reason") == "Fetching" or ready.get("reason") == "VersionPublished":
        return None
    link = stage_or(source, "Ready", DATA_STAGES)
    if ready.get("status") == "True":
        failed = next((each for each in DATA_STAGES if condition(source, each).get("status") == "False"), "Ready")
        link = told(source, failed)
    is_of_job = link.reason in OF_PODS or last.get("reason") in OF_PODS or not last.get("completionTime")
    below = of_job(scene, source, last.get("jobName")) if is_of_job else ()
    return turn(_quota(scene, source, link), below)


def source_fetching(scene: Scene, source: Object) -> Turn | None:
    """Return how the fetch under way stands, which an older version in use does not show."""
    last = status_of(source).get("lastAttempt") or {}
    if not last or last.get("completionTime"):
        return None
    return turn(told(source, "Ready"), of_job(scene, source, last.get("jobName")))


def source_good(scene: Scene, source: Object) -> Turn:
    """Return that there is a version."""
    quality = condition(source, "QualityPassed")
    if quality.get("reason") == "PassedWithWarnings":
        return Turn((told(source, "Ready"), told(source, "QualityPassed").passed))
    return turn(told(source, "Ready"))


# TrainingJobs.


def run_failed(scene: Scene, run: Object) -> Turn | None:
    """Return why it ended without a verdict."""
    if not is_true(run, "Failed"):
        return None
    link = stage_or(run, "Failed", RUN_STAGES)
    below = of_job(scene, run, status_of(run).get("jobName")) if link.reason in OF_PODS else ()
    return turn(link, below)


def run_waits(scene: Scene, run: Object) -> Turn | None:
    """Return what it waits for before it begins."""
    reason = condition(run, "Complete").get("reason")
    if reason == "WaitingForDataSource":
        link = told(run, "DataResolved")
        is_short = link.reason == "NotEnoughLabelledRows"
        return turn(link, target=None if is_short else ("DataSource", run["spec"]["dataRef"]["name"]))
    if reason == "WaitingForModelDeployment":
        return turn(told(run, "Complete"), target=("ModelDeployment", opponent(run)))
    return None


def run_under_way(scene: Scene, run: Object) -> Turn | None:
    """Return what its Job does, or what hinders it."""
    complete = condition(run, "Complete")
    if complete.get("status") == "True":
        return None
    link = told(run, "Complete")
    is_of_job = complete.get("reason") == "Running" or complete.get("reason") in OF_PODS
    below = of_job(scene, run, status_of(run).get("jobName")) if is_of_job else ()
    return turn(_quota(scene, run, link), below)


def run_refused(scene: Scene, run: Object) -> Turn | None:
    """Return what the gate found: the check that its message names, and the others that did not pass."""
    if condition(run, "GatePassed").get("status") == "True":
        return None
    link = told(run, "GatePassed")
    # Without a verdict, what the checks say is no reason.
    checks = ((status_of(run).get("gate") or {}).get("checks") or []) if link.status == "False" else []
    others = [check for check in checks if check["result"] != "Pass" and not _is_named(check, link)]
    return turn(replace(link, message="; also ".join([link.message, *map(_check, others)])))


def run_passed(scene: Scene, run: Object) -> Turn:
    """Return what became of its model."""
    link = told(run, "Complete")
    digest = (status_of(run).get("model") or {}).get("digest")
    followers = [each for each in scene.estate.deployments if each["spec"]["modelName"] == run["spec"]["modelName"]]
    below = next((found for each in followers if (found := _fate(run, each, digest)) is not None), None)
    if isinstance(below, Link):
        return turn(link, (below,))
    return turn(link, target=below)


def opponent(run: Object) -> str:
    """Return the ModelDeployment whose champion is to beat."""
    against = (run["spec"].get("gate") or {}).get("against") or {}
    return str((against.get("deploymentRef") or {}).get("name", ""))


def _fate(run: Object, deployment: Object, digest: str | None) -> Link | Target | None:
    """Return what a ModelDeployment does with a model that passed, or itself where it says so; None: it has it."""
    record, name = status_of(deployment), name_of(deployment)
    if digest == (record.get("champion") or {}).get("digest"):
        message = (
            f"its model {record['champion'].get('version', '')} is champion since {record['champion'].get('since')}"
        )
        return Link("ModelDeployment", name, "", message)
    refused = next((row for row in record.get("quarantined") or [] if row["digest"] == digest), None)
    if refused is not None:
        message = f"its model is quarantined until {refused['until']}"
        said = next((row for row in record.get("decisions") or [] if row.get("subject") == digest), None)
        message += f": {said['message']}" if said and said["reason"] == refused["reason"] else ""
        do, reason = again(deployment, digest), refused["reason"]
        return Link("ModelDeployment", name, reason, message, mark=LOOK, do=do, page=reason)
    is_awaited = digest == (record.get("candidate") or {}).get("digest") or deployment["spec"].get("suspend")
    is_awaited = is_awaited or condition(deployment, "TrainingReady").get("reason") == "VerdictStale"
    return ("ModelDeployment", name) if is_awaited else None


def again(deployment: Object, digest: str | None) -> str:
    """Return how a model that is refused comes to be tried again."""
    allowed = f"; or allow it again: treadle unquarantine {name_of(deployment)} {digest[7:19]}" if digest else ""
    return f"train another{allowed}"


def _is_named(check: Object, link: Link) -> bool:
    return check["name"] in link.message or (check["name"] == "better" and "difference" in link.message)


def _check(check: Object) -> str:
    bounds = f" [{check['lower']}, {check['upper']}]" if check.get("lower") is not None else ""
    return f"{check['name']} is {check['value']}{bounds}, threshold {check['threshold']}: {check['result']}"


def _quota(scene: Scene, thing: Object, link: Link) -> Link:
    """Return a link whose do names the quota, where the API server's own words do."""
    do = advice(scene, thing, link.message) if link.mark == BAD else ""
    return replace(link, do=do) if do else link
