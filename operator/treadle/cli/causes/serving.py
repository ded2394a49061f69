"""ModelDeployments: why nothing answers, and what keeps a candidate or a retrain."""

from dataclasses import replace

from treadle.cli.causes.learning import OF_PODS, again
from treadle.cli.causes.link import LOOK, Link, Scene, Turn, told, turn
from treadle.cli.causes.pods import of_servers
from treadle.cli.cluster import Object
from treadle.cli.estate import condition, is_true, name_of, status_of

OF_SERVERS = OF_PODS | {"NoReadyPods", "Loading", "ProgressDeadlineExceeded", "CandidateCrashed"}
PASSING = frozenset({"Canary", "VerdictStale"})
"""Reasons of TrainingReady=False that pass by themselves."""
BY_HAND = {"Paused": "", "Held": "send traffic, or "}
"""Reasons of Progressing=True that a person may end."""
AS_WISHED = frozenset({"NoTemplate"})


# Nothing answers.


def without_model(scene: Scene, deployment: Object) -> Turn | None:
    """Return what should bring the first model: a run, the data that a run waits for, or a person."""
    if condition(deployment, "Ready").get("reason") != "WaitingForModel":
        return None
    link, training = told(deployment, "Ready"), told(deployment, "TrainingReady")
    runs = runs_of(scene, deployment)
    running = next((run for run in runs if not status_of(run).get("completionTime")), None)
    if running is not None:
        return turn(link, target=("TrainingJob", name_of(running)))
    if (deployment["spec"].get("source") or {}).get("follow") == "Pinned":
        return turn(link)
    if training.status == "False" and training.reason in ("Suspended", "DailyLimit", "InvalidSpec"):
        # Its words stand in those of Ready.
        return turn(replace(link, mark=training.mark, do=training.do, page=training.page))
    if runs:
        return turn(link, target=("TrainingJob", name_of(runs[0])))
    if training.reason == "WaitingForDataSource":
        return turn(link, target=("DataSource", data_name(deployment)))
    return turn(link)


def not_answering(scene: Scene, deployment: Object) -> Turn | None:
    """Return what keeps pods from answering."""
    if is_true(deployment, "Ready"):
        return None
    link = told(deployment, "Ready")
    if deployment["spec"].get("replicas") == 0:
        scale = f"kubectl -n {scene.estate.namespace} scale mdep {name_of(deployment)} --replicas=1"
        return turn(replace(link, mark=LOOK, do=f"raise spec.replicas: {scale}", page="ScaledToZero"))
    return turn(link, of_servers(scene, deployment) if link.reason in OF_SERVERS else ())


# The champion answers.


def stalled(scene: Scene, deployment: Object) -> Turn | None:
    """Return why the newest spec is not reached while former pods answer."""
    if not is_true(deployment, "Stalled"):
        return None
    reason = condition(deployment, "Stalled").get("reason")
    if condition(deployment, "TrainingReady").get("reason") == reason:
        return turn(told(deployment, "TrainingReady"))
    return turn(told(deployment, "Stalled"), of_servers(scene, deployment))


def too_few(scene: Scene, deployment: Object) -> Turn | None:
    """Return why fewer pods are ready than are wished."""
    available = condition(deployment, "Available")
    if available.get("status") != "False":
        return None
    return turn(told(deployment, "Available"), of_servers(scene, deployment))


def on_trial(scene: Scene, deployment: Object) -> Turn | None:
    """Return what the candidate's trial waits for."""
    link = told(deployment, "Progressing")
    if link.status != "True" and link.reason != "Suspended":
        return None
    if link.reason == "Verifying":
        # A pod that cannot load it yet says why after the count.
        is_kept = "hold it; " in link.message
        kept = (
            told(deployment, "Progressing", mark=LOOK, do="mend what keeps the pods from loading it")
            if is_kept
            else link
        )
        return turn(kept, of_servers(scene, deployment))
    if link.reason in BY_HAND:
        name = name_of(deployment)
        return turn(replace(link, do=f"{BY_HAND[link.reason]}treadle promote {name}, or treadle rollback {name}"))
    if link.reason != "Canary":
        return turn(link)
    # Requests are still counted: that is no fault yet.
    healthy = told(deployment, "CanaryHealthy")
    return Turn((link, healthy.passed))


def gone_back(scene: Scene, deployment: Object) -> Turn | None:
    """Return why the last trial, or the last champion, was left, with the numbers."""
    if not is_true(deployment, "RolledBack"):
        return None
    closer = next((each for each in ("CanaryHealthy", "Verified") if _is_false(deployment, each)), None)
    if closer is not None:
        return turn(told(deployment, closer))
    link = told(deployment, "RolledBack", mark=LOOK)
    if link.reason == "MonitorAsked" and (askers := watchers_of(scene, deployment)):
        return turn(link, target=("Monitor", name_of(askers[0])))
    if link.reason == "PersonAsked":
        rows: list[Object] = status_of(deployment).get("decisions") or []
        subject = next((row.get("subject") for row in rows if row["action"] == "Rollback"), None)
        return turn(replace(link, do=again(deployment, subject)))
    return turn(link)


def unproven(scene: Scene, deployment: Object) -> Turn | None:
    """Return that what answers was not verified."""
    link = told(deployment, "Verified")
    return turn(link) if link.reason == "NotEnforced" or link.status == "False" else None


def retraining(scene: Scene, deployment: Object) -> Turn | None:
    """Return what keeps a retrain from starting or from ending."""
    link, record = told(deployment, "TrainingReady"), status_of(deployment)
    running = (record.get("training") or {}).get("running")
    if link.reason == "Running" and running:
        return turn(link, target=("TrainingJob", running))
    if link.status != "False" or link.reason in AS_WISHED | PASSING:
        return None
    if link.reason == "WaitingForDataSource":
        return turn(link, target=("DataSource", data_name(deployment)))
    return turn(link)


def answering(scene: Scene, deployment: Object) -> Turn:
    """Return that all is well, and how the last run ended."""
    training = told(deployment, "TrainingReady")
    last = (training.passed,) if training.message and training.reason not in AS_WISHED else ()
    return Turn((told(deployment, "Ready"), *last))


def runs_of(scene: Scene, deployment: Object) -> list[Object]:
    """Return the runs of a ModelDeployment's model, newest first."""
    model = deployment["spec"]["modelName"]
    found = [run for run in scene.estate.runs if run["spec"]["modelName"] == model]
    return sorted(found, key=lambda run: (str(run["metadata"].get("creationTimestamp")), name_of(run)), reverse=True)


def watchers_of(scene: Scene, deployment: Object) -> list[Object]:
    """Return the Monitors of a ModelDeployment."""
    return [each for each in scene.estate.monitors if each["spec"]["targetRef"]["name"] == name_of(deployment)]


def data_name(deployment: Object) -> str:
    """Return the DataSource of the recipe."""
    return str(deployment["spec"]["training"]["template"]["spec"]["dataRef"]["name"])


def _is_false(thing: Object, type_: str) -> bool:
    return condition(thing, type_).get("status") == "False"


def request(deployment: Object, monitor: Object) -> Object:
    """Return what a ModelDeployment answered to a Monitor's request; an empty one is none yet."""
    id_ = (status_of(monitor).get("request") or {}).get("id")
    rows: list[Object] = status_of(deployment).get("requests") or []
    who = f"Monitor/{name_of(monitor)}"
    return next((row for row in rows if (row["id"], row["from"]) == (id_, who)), {})


def answer(deployment: Object, row: Object) -> Link:
    """Return a refused request as the ModelDeployment's word."""
    message = f"refused what {row['from']} asked at {row['time']}"
    return Link("ModelDeployment", name_of(deployment), row.get("reason", ""), message, mark=LOOK, page=row["reason"])
