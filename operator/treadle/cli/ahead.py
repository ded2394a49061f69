"""What comes next for a model: what a person must do, and what happens by itself and when."""

from collections.abc import Iterator

from treadle.cli.cluster import Object

YOU, ITSELF = "you", "itself"
SHOWN = 5
NO_TRAINING: Object = {"runs": [], "last": None, "reason": None, "nextAt": None}
SHORT = {"DataSource": "dsrc", "TrainingJob": "tj", "ModelDeployment": "mdep", "Monitor": "mon"}


def ahead(facts: Object) -> list[Object]:
    """Return the steps ahead: a person's first, then the others by their time, those without a time first.

    facts: a picture without its `next`.
    """
    yours = [
        *_of_data(facts),
        *_of_runs(facts),
        *_of_serving(facts),
        *_of_canary(facts),
        *_of_monitors(facts),
        *_unused(facts),
    ]
    others = [*_fetches(facts), *_runs(facts), *_trials(facts), *_windows(facts)]
    due = sorted(others, key=lambda step: step["at"] or "")
    nothing = _step(ITSELF, "nothing is due; new data, a new spec or a person's request begins something")
    return ([*yours, *due] or [nothing])[:SHOWN]


def _step(by: str, what: str, *commands: str, at: str | None = None) -> Object:
    return {"by": by, "what": what, "commands": list(commands), "at": at}


def _why(kind: str, name: str, reason: str) -> Object:
    return _step(YOU, f"see to {reason} of {kind} {name}", f"treadle why {SHORT[kind]}/{name}")


def _resumed(kind: str, name: str) -> Object:
    return _step(YOU, f"{kind} {name} is suspended; let it go on", f"treadle resume {SHORT[kind]}/{name}")


# What a person must do.


def _of_data(facts: Object) -> Iterator[Object]:
    for source in facts["data"]:
        name = source["name"]
        if source["reason"] == "Missing":
            yield _step(YOU, f"create DataSource {name}, or correct the dataRef that names it")
        elif source["isSuspended"]:
            yield _resumed("DataSource", name)
        elif source["mark"] == "bad" or source["reason"] == "ServingPreviousVersion":
            yield _why("DataSource", name, source["reason"])


def _unused(facts: Object) -> Iterator[Object]:
    if facts["training"] is None and facts["serving"] is None and facts["data"]:
        yield _step(YOU, "apply a ModelDeployment or a TrainingJob that learns from it: nothing uses it yet")


def _of_runs(facts: Object) -> Iterator[Object]:
    training = facts["training"] or NO_TRAINING
    for run in training["runs"]:
        if run["mark"] == "bad":
            yield _why("TrainingJob", run["name"], run["reason"])
        elif run["reason"] == "Suspended":
            yield _resumed("TrainingJob", run["name"])
        elif run["reason"] == "WaitingForModelDeployment":
            yield _step(YOU, "create the ModelDeployment whose champion is to beat")
    last = training["last"]
    if last is not None and last["mark"] == "bad" and not training["runs"]:
        yield _why("TrainingJob", last["name"], last["reason"])


def _of_serving(facts: Object) -> Iterator[Object]:
    serving, model = facts["serving"], facts["model"]
    if serving is None:
        last = (facts["training"] or NO_TRAINING)["last"]
        if facts["monitor"] or (last and last["verdict"] == "Promote"):
            yield _step(YOU, f"create a ModelDeployment of model {model}, which serves it")
        return
    if serving["isSuspended"]:
        yield _resumed("ModelDeployment", model)
    elif serving["mark"] == "bad":
        yield _why("ModelDeployment", model, serving["reason"])


def _of_canary(facts: Object) -> Iterator[Object]:
    canary, model = facts["canary"], facts["model"]
    back = f"treadle rollback {model}"
    if canary is None:
        return
    if canary["state"] == "Paused":
        yield _step(
            YOU, f"`treadle promote {model}` lets {canary['version']} go on, `treadle rollback {model}` ends it"
        )
    if canary["state"] == "Held":
        lack = canary["samples"]["needed"] - canary["samples"]["candidate"]
        more = f"send traffic ({lack} more answers of {canary['version']} are needed), or decide" if lack > 0 else ""
        yield _step(YOU, more or f"decide about {canary['version']}", f"treadle promote {model}", back)


def _of_monitors(facts: Object) -> Iterator[Object]:
    for monitor in facts["monitor"]:
        name, blocked = monitor["name"], monitor["blocked"]
        if monitor["isSuspended"]:
            yield _resumed("Monitor", name)
        elif monitor["mark"] == "bad":
            yield _why("Monitor", name, monitor["reason"])
        elif monitor["reason"] == "NoLog":
            yield _step(YOU, f"send traffic to {facts['model']}; if there was some, set its logger.percent above 0")
        elif monitor["reason"] == "Insufficient":
            needed = f"{monitor['window']['needed']} predictions a window" if monitor["window"] else "some predictions"
            yield _step(YOU, f"send traffic ({needed}), or widen window.size of Monitor {name}")
        elif blocked and blocked["reason"] == "BreakerOpen":
            yield _step(YOU, "look at the refused runs, then ask for another", f"treadle retrain {facts['model']}")
        elif blocked and blocked["reason"] == "NoTemplate":
            yield _step(YOU, f"give ModelDeployment {facts['model']} a training.template, so that it can retrain")


# What happens by itself.


def _fetches(facts: Object) -> Iterator[Object]:
    for source in facts["data"]:
        if source["running"] is not None:
            yield _step(ITSELF, f"DataSource {source['name']} is checked, split and published at the end of its fetch")
        elif source["nextAt"] and not source["isSuspended"]:
            yield _step(ITSELF, f"DataSource {source['name']} is fetched", at=source["nextAt"])


def _runs(facts: Object) -> Iterator[Object]:
    training, serving = facts["training"] or NO_TRAINING, facts["serving"]
    for run in training["runs"]:
        if run["running"] is not None:
            served = "is tried beside the champion" if serving and serving["champion"] else "is verified, then serves"
            then = f"; a model that passes {served}" if serving else ""
            yield _step(ITSELF, f"the gate judges {run['name']} at its end{then}")
        elif run["reason"] == "WaitingForDataSource":
            yield _step(ITSELF, f"{run['name']} starts with the version that it waits for")
        elif run["mark"] == "bad":
            yield _step(ITSELF, f"{run['name']} is tried again every few minutes")
    if not training["runs"] and training["reason"] == "WaitingForDataSource":
        yield _step(ITSELF, "the first run starts with the first version of its data")
    if training["nextAt"] and not (serving and serving["isSuspended"]):
        yield _step(ITSELF, "a run starts by its schedule", at=training["nextAt"])


def _trials(facts: Object) -> Iterator[Object]:
    canary = facts["canary"]
    if canary is None:
        return
    name, to = canary["version"], canary["following"]
    if canary["state"] == "Verifying":
        yield _step(ITSELF, f"the pods verify {name}; then it answers")
    if canary["state"] == "Canary":
        needed, found = canary["samples"]["needed"], canary["samples"]["candidate"]
        goal = "becomes champion" if to >= 100 else f"goes from {canary['weight']} to {to} %"
        lack = f", once it has answered {needed - found} more requests" if found < needed else ""
        yield _step(ITSELF, f"{name} {goal}{lack}, if it does no worse", at=canary["until"])


def _windows(facts: Object) -> Iterator[Object]:
    for monitor in facts["monitor"]:
        name, blocked, request = monitor["name"], monitor["blocked"], monitor["request"]
        runs = (facts["training"] or NO_TRAINING)["runs"]
        is_started = any((run["trigger"] or {}).get("by") == f"Monitor/{name}" for run in runs)
        if request and not is_started and facts["canary"] is None:
            act = "starts a run" if request["action"] == "Retrain" else "goes back to the version before"
            yield _step(ITSELF, f"ModelDeployment {facts['model']} {act}: Monitor {name} asked")
        if blocked and blocked["until"]:
            yield _step(ITSELF, f"Monitor {name} may ask for a run again", at=blocked["until"])
        elif blocked and blocked["reason"] in ("SameData", "NotEnoughLabelledRows"):
            yield _step(ITSELF, f"Monitor {name} asks for a run when new data is there")
        if monitor["nextAt"] and not monitor["isSuspended"]:
            yield _step(ITSELF, f"Monitor {name} judges its next window", at=monitor["nextAt"])
