"""Objects that the operator has not looked at, and what that says of the operator."""

from collections.abc import Iterator

from treadle.cli.causes.link import BAD, LOOK, Link, Scene, Turn, lasted, moment
from treadle.cli.causes.pods import over
from treadle.cli.cluster import Object
from treadle.cli.estate import condition, name_of, status_of

LEASE = "treadle-operator"
SEEN_WITHIN_SECONDS = 30.0
"""A pass begins within a second; an operator that starts needs some more."""
DUE_WITHIN_SECONDS = 600.0
"""All objects are looked at again every ten minutes."""
RENEWED_WITHIN_SECONDS = 60.0
"""The operator renews its Lease every five seconds, and another may take it after fifteen."""


def terminating(scene: Scene, thing: Object) -> Turn | None:
    """Return that the namespace goes, in which nothing is made any more."""
    asked = (scene.around.namespace or {}).get("metadata", {}).get("deletionTimestamp")
    if asked is None:
        return None
    name = scene.estate.namespace
    do = f"wait until it is gone, and apply elsewhere or anew; what holds it: kubectl get namespace {name} -o yaml"
    message = f"the namespace is being deleted since {asked}; nothing is made in it any more"
    space = Link("Namespace", name, "Terminating", message, mark=BAD, do=do)
    return Turn((_of(thing, "is in a namespace that goes"), space))


def deleted(scene: Scene, thing: Object) -> Turn | None:
    """Return that an object goes, and what it waits for."""
    asked = thing["metadata"].get("deletionTimestamp")
    if asked is None:
        return None
    holders = ", ".join(thing["metadata"].get("finalizers") or []) or "its children"
    do = "wait; or see who should take the finalizers away"
    message = f"is being deleted since {asked}; waits for {holders}"
    return Turn((Link(thing["kind"], name_of(thing), "Deleted", message, mark=LOOK, do=do),))


def unseen(scene: Scene, thing: Object) -> Turn | None:
    """Return that the operator has not looked at an object since something happened, and why, if its Lease tells."""
    happened = next((found for found in _signs(scene, thing) if found is not None), None)
    if happened is None:
        return None
    message = f"the operator has not looked at this since {happened}"
    operator = _operator(scene)
    if operator is not None:
        return Turn((_of(thing, message), operator))
    return Turn((_of(thing, message, mark=BAD, do=_ask(scene)),))


def dead(scene: Scene) -> Link | None:
    """Return that nobody holds the Lease, though nothing shows it yet."""
    operator = _operator(scene)
    return operator if operator is not None and scene.around.leases else None


def _signs(scene: Scene, thing: Object) -> Iterator[str | None]:
    """Yield what happened that a pass would have met, with its time."""
    record, metadata = status_of(thing), thing["metadata"]
    created, generation = metadata.get("creationTimestamp"), metadata.get("generation", 1)
    if not record.get("conditions"):
        yield _past(scene, created, SEEN_WITHIN_SECONDS, "it was created")
        return
    if record.get("observedGeneration", 0) < generation:
        changed, what = _changed(thing), f"its spec became generation {generation}"
        is_old = scene.since(created) > SEEN_WITHIN_SECONDS
        yield _past(scene, changed, SEEN_WITHIN_SECONDS, what) if changed else what if is_old else None
    if not thing["spec"].get("suspend") and thing["kind"] != "ModelDeployment":
        # A deployment's due time stands until something lets the run start.
        yield _past(scene, record.get("nextScheduleTime"), DUE_WITHIN_SECONDS, "its schedule was due")
    name = _awaited(thing)
    if (job := scene.job(name)) is not None:
        yield _past(scene, over(job).get("lastTransitionTime"), DUE_WITHIN_SECONDS, f"its Job {name} ended")


def _awaited(thing: Object) -> str | None:
    """Return the Job whose end the status does not know of."""
    record = status_of(thing)
    attempt, last = record.get("attempt") or {}, record.get("lastAttempt") or {}
    is_open = {
        "DataSource": bool(last) and not last.get("completionTime"),
        # A run keeps the name of a Job that ended short of rows while it waits for the next version.
        "TrainingJob": condition(thing, "Complete").get("reason") == "Running",
        "Monitor": bool(attempt) and not attempt.get("finished") and not attempt.get("reason"),
    }
    found = (last or attempt or record).get("jobName")
    return str(found) if is_open.get(thing["kind"]) and found else None


def _past(scene: Scene, time: str | None, patience: float, what: str) -> str | None:
    if time is None or scene.since(time) <= patience:
        return None
    return f"{what} at {time}, {lasted(scene.since(time))} ago"


def _changed(thing: Object) -> str | None:
    """Return when a spec was last written, as its managers have it."""
    entries = thing["metadata"].get("managedFields") or []
    times = [each["time"] for each in entries if not each.get("subresource") and each.get("time")]
    return max(times, default=None)


def _operator(scene: Scene) -> Link | None:
    """Return how its Lease shows that no operator runs; None where one does, or nobody knows."""
    leases = scene.around.leases
    if leases is None:
        return None
    if not leases:
        do = "install the operator (helm install treadle charts/treadle), or start it (treadle up DIR)"
        return Link("Lease", LEASE, "Missing", "no operator has ever run here", mark=BAD, do=do)
    newest = max(leases, key=lambda lease: str((lease.get("spec") or {}).get("renewTime", "")))
    spec, where = newest.get("spec") or {}, newest["metadata"].get("namespace", "")
    renewed = spec.get("renewTime")
    age = scene.since(renewed)
    if spec.get("holderIdentity") and renewed and age <= RENEWED_WITHIN_SECONDS:
        return None
    held = f"by {spec['holderIdentity']} " if spec.get("holderIdentity") else ""
    when = (
        f"was last renewed {held}at {moment(renewed):%Y-%m-%dT%H:%M:%SZ}, {lasted(age)} ago" if renewed else "is free"
    )
    do = f"start the operator; how its pods stand: kubectl -n {where} get deployments,pods"
    return Link("Lease", name_of(newest), "Expired", f"in {where}: {when}", mark=BAD, do=do)


def _ask(scene: Scene) -> str:
    if scene.around.leases is None:
        return (
            "see whether the operator runs: kubectl get pods -A -l app.kubernetes.io/component=operator, or treadle up"
        )
    return "the operator runs, since its Lease is fresh: read its log"


def _of(thing: Object, message: str, mark: str = "good", do: str = "") -> Link:
    return Link(thing["kind"], name_of(thing), "", message, mark=mark, do=do)
