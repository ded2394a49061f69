"""Monitors: what keeps one from judging, what it found, and what became of the retrain that it wants."""

from treadle.cli.causes import serving
from treadle.cli.causes.learning import OF_PODS
from treadle.cli.causes.link import Link, Scene, Target, Turn, told, turn
from treadle.cli.causes.pods import of_job
from treadle.cli.cluster import Object
from treadle.cli.estate import condition, is_true, name_of, status_of


def target(monitor: Object) -> Target:
    """Return what is watched."""
    return "ModelDeployment", str(monitor["spec"]["targetRef"]["name"])


def not_watching(scene: Scene, monitor: Object) -> Turn | None:
    """Return what keeps windows from being judged."""
    link = told(monitor, "Ready")
    if link.reason == "WaitingForModelDeployment":
        return turn(link, target=target(monitor))
    if link.reason == "Suspended":
        return turn(link)
    if link.status == "True":
        return None
    attempt = status_of(monitor).get("attempt") or {}
    return turn(link, of_job(scene, monitor, attempt.get("jobName")) if link.reason in OF_PODS else ())


def no_traffic(scene: Scene, monitor: Object) -> Turn | None:
    """Return why there is nothing to judge; where the model does not answer, that is why."""
    link = told(monitor, "DataFlowing")
    if link.status != "False":
        return None
    watched = scene.estate.find(*target(monitor))
    is_answering = watched is not None and is_true(watched, "Ready")
    return turn(link, target=None if is_answering or link.reason == "NoLog" else target(monitor))


def broken_limit(scene: Scene, monitor: Object) -> Turn | None:
    """Return which limit the inputs broke."""
    return turn(told(monitor, "QualityBreached")) if is_true(monitor, "QualityBreached") else None


def drifted(scene: Scene, monitor: Object) -> Turn | None:
    """Return what moved, and what became of the retrain that it calls for."""
    if not is_true(monitor, "DriftDetected"):
        return None
    link = told(monitor, "DriftDetected")
    if is_true(monitor, "RetrainBlocked"):
        block = told(monitor, "RetrainBlocked")
        return Turn((link, block), _under_way(scene, monitor) if block.reason == "RunInProgress" else None)
    if not status_of(monitor).get("request"):
        return turn(link)
    return _asked(scene, monitor, link)


def suspected(scene: Scene, monitor: Object) -> Turn | None:
    """Return that one window is no proof, and how many are needed."""
    if not is_true(monitor, "DriftSuspected"):
        return None
    return Turn((told(monitor, "DriftSuspected").passed, told(monitor, "DriftDetected")))


def blocked(scene: Scene, monitor: Object) -> Turn | None:
    """Return why no retrain may be asked for."""
    return turn(told(monitor, "RetrainBlocked")) if is_true(monitor, "RetrainBlocked") else None


def watching(scene: Scene, monitor: Object) -> Turn:
    """Return that windows are judged, and what the last one said."""
    record = status_of(monitor)
    summary = Link("Monitor", name_of(monitor), "", record["summary"]) if record.get("summary") else None
    flowing = condition(monitor, "DataFlowing")
    last = summary or (told(monitor, "DataFlowing") if flowing.get("message") else None)
    return Turn((told(monitor, "Ready"), *((last,) if last is not None else ())))


def _under_way(scene: Scene, monitor: Object) -> Target:
    """Return the run whose verdict comes first; the deployment where it is a trial."""
    watched, record = scene.estate.find(*target(monitor)), status_of(monitor)
    training = (status_of(watched).get("training") if watched is not None else None) or {}
    name = str(training.get("running") or (record.get("retrain") or {}).get("trainingJob"))
    run = scene.estate.find("TrainingJob", name)
    return ("TrainingJob", name) if run is not None and not status_of(run).get("completionTime") else target(monitor)


def _asked(scene: Scene, monitor: Object, link: Link) -> Turn:
    """Return how the request stands: not answered yet, refused, or the run that came of it."""
    watched = scene.estate.find(*target(monitor))
    row = serving.request(watched, monitor) if watched is not None else {}
    if watched is not None and row.get("outcome") == "Refused":
        return Turn((link, serving.answer(watched, row)))
    blocked = told(monitor, "RetrainBlocked")
    links = (link, blocked) if blocked.message else (link,)
    if row.get("ref") and scene.estate.find("TrainingJob", row["ref"]) is not None:
        return Turn(links, ("TrainingJob", row["ref"]), is_finding=True)
    return Turn(links, target(monitor), is_finding=True)
