"""One model as facts, from what its objects say: data, training, gate, serving, canary, monitor, what comes next."""

import re
from collections.abc import Sequence

from treadle.api.names import short
from treadle.cli.ahead import ahead
from treadle.cli.cluster import Object
from treadle.cli.durations import later
from treadle.cli.estate import Estate, Model, condition, is_true, models, name_of, status_of

PAGE = re.compile(r"\.?\s*docs: reasons/\w+$")
ANALYSIS = {"minSamplesPerArm": 500, "maxDuration": "24h"}
"""What a ModelDeployment without an analysis means: the defaults of api.md, 2.3."""
MIN_SAMPLES = 500
"""The default of a Monitor's window.minSamples."""

HEADS = {"ModelDeployment": "Ready", "DataSource": "Ready", "Monitor": "Ready", "TrainingJob": "Complete"}
STAGES = {
    "DataSource": ("Fetched", "SchemaValid", "PrivacyApplied", "QualityPassed"),
    "TrainingJob": ("DataResolved", "Trained", "Evaluated", "Registered", "GatePassed"),
}
LOOK_AT = frozenset({"ServingPreviousVersion", "RolledBack", "HeldByGate", "RejectedByGate", "GateInconclusive"})
"""Reasons of a good summary that a person may still want to look at."""


def pictures(estate: Estate) -> list[Object]:
    """Return every model of a namespace as facts."""
    return [picture(estate, model) for model in models(estate)]


def picture(estate: Estate, model: Model) -> Object:
    """Return a model as facts, every number as its status has it, in the form that `treadle status -o json` prints.

    Each part has a `mark`: good, busy (under way), waiting (for something), look (a person may want to look), bad (a
    person must act) or none (there is nothing); and `reason` and `message` as the object's condition gives them.

    model, namespace: whose facts they are.
    mark, reason, message, object: how it stands in all, and which object says so.
    data[]: name, version, digest, rows, publishedAt, warnings, attempt{result, reason, startedAt, endedAt}, running,
        nextAt, isSuspended.
    training: runs[] (under way) and last, each name, trigger{kind, by, reason}, startedAt, endedAt, running, retries,
        verdict, metric{name, value, lower, upper}, model{version, digest}; today, limit, nextAt; or null.
    gate: run, verdict, champion, rows, holdoutUses, checks[]{name, value, lower, upper, threshold, result}; or null.
    serving: champion{version, digest, since}, previous{version, digest, until}, endpoint, ready, wanted, logged,
        dropped, isSuspended; or null.
    canary: version, digest, state, weight, step, steps, since, samples{candidate, champion, needed}, until,
        analysis[]{name, candidate, champion, lower, upper, verdict}; or null.
    quarantined[]: version, digest, reason, until: what is not tried again.
    monitor[]: name, window{start, end, samples, needed, verdict, column, champion}, windows[] (verdicts, newest
        first), drift{score, columns[]{name, effect, adjustedPValue}}, running, blocked{reason, message, until},
        request{action, cause, requestedAt}, report, nextAt, isSuspended.
    next[]: by (you, or itself), what, commands[], at.
    `running` is {percentage, stage, remainingSeconds}, or null where nothing runs.
    """
    deployment = model.deployment
    facts = {
        "model": model.name,
        "namespace": estate.namespace,
        **_head(model),
        "data": [*(_data(estate, each) for each in model.sources), *map(_missing, model.missing_sources)],
        "training": _training(estate, model) if model.runs or model.deployment else None,
        "gate": _gate(model),
        "serving": _serving(deployment) if deployment is not None else None,
        "canary": _canary(deployment) if deployment is not None else None,
        "quarantined": [_refused(model, row) for row in status_of(deployment or {}).get("quarantined") or ()],
        "monitor": [_monitor(estate, each) for each in model.monitors],
    }
    return {**facts, "next": ahead(facts)}


def bare(message: str) -> str:
    """Return a condition's message without its page."""
    return PAGE.sub("", message)


def _head(model: Model) -> Object:
    """Return how a model stands: its ModelDeployment's summary, else that of what is there."""
    told = model.deployment or next(iter((*model.runs, *model.sources, *model.monitors)), None)
    if told is None:
        return {"mark": "none", "reason": None, "message": None, "object": None}
    return {**_summary(told), "object": f"{told['kind']}/{name_of(told)}"}


def _summary(thing: Object) -> Object:
    """Return mark, reason and message of an object's summary condition, or of what overrules it."""
    head, stalled = condition(thing, HEADS[thing["kind"]]), condition(thing, "Stalled")
    if not head:
        return {"mark": "waiting", "reason": "NotJudged", "message": "the operator has not looked at it yet"}
    told = condition(thing, "Failed") if is_true(thing, "Failed") else head
    if is_true(thing, "Stalled") and head["status"] == "True":
        told = stalled
    return {"mark": mark(head, stalled), "reason": told["reason"], "message": bare(told.get("message") or "")}


def mark(head: Object, stalled: Object) -> str:
    """Return how a summary is to be read."""
    if stalled.get("status") == "True":
        return "bad"
    if head["status"] == "True":
        return "look" if head["reason"] in LOOK_AT else "waiting" if head["reason"] == "Suspended" else "good"
    if head["reason"] in ("Running", "Fetching", "Loading"):
        return "busy"
    return "bad" if head["reason"] == "NoReadyPods" else "waiting"


ENDED = frozenset({"Succeeded", "Failed"})
"""Phases of a pod whose result nobody has taken yet."""


def _running(estate: Estate, job_name: str | None, percentage: int | None, remaining: int | None = None) -> Object:
    """Return how far the step of a Job is: as its pod tells, else as status says."""
    pod = estate.pod_of(job_name) if job_name else None
    phase = status_of(pod).get("phase") if pod is not None else "Pending"
    told = estate.progress.get(name_of(pod), {}) if pod is not None else {}
    stage = "ending" if phase in ENDED else "starting" if phase == "Pending" else told.get("stage")
    return {
        "percentage": 100 if phase == "Succeeded" else told.get("percentage", percentage or 0),
        "stage": stage,
        "remainingSeconds": None if phase in ENDED else told.get("estimatedRemainingSeconds", remaining),
    }


# Data.


def _data(estate: Estate, source: Object) -> Object:
    record = status_of(source)
    current, last = record.get("currentVersion") or {}, record.get("lastAttempt") or {}
    is_running = bool(last) and last.get("completionTime") is None and not source["spec"].get("suspend")
    return {
        "name": name_of(source),
        **_summary(source),
        **_failed_stage(source),
        "version": current.get("short"),
        "digest": current.get("digest"),
        "rows": current.get("rows"),
        "publishedAt": current.get("publishedAt"),
        "warnings": current.get("warnings") or 0,
        "attempt": {
            "result": last.get("result"),
            "reason": last.get("reason"),
            "startedAt": last.get("startTime"),
            "endedAt": last.get("completionTime"),
        }
        if last
        else None,
        "running": _running(estate, last["jobName"], last.get("percentage")) if is_running else None,
        "nextAt": record.get("nextScheduleTime"),
        "isSuspended": bool(source["spec"].get("suspend")),
    }


def _failed_stage(thing: Object) -> Object:
    """Return message and reason of the stage that is False while the summary is not about it; else nothing."""
    if condition(thing, HEADS[thing["kind"]]).get("reason") != "ServingPreviousVersion":
        return {}
    stages = (condition(thing, type_) for type_ in STAGES[thing["kind"]])
    found = next((stage for stage in stages if stage.get("status") == "False"), {})
    return {"message": f"{found['reason']}: {bare(found['message'])}"} if found else {}


def _missing(name: str) -> Object:
    return {
        "name": name, "mark": "waiting", "reason": "Missing",
        "message": f'DataSource "{name}" does not exist; create it, or correct dataRef.name',
        "version": None, "digest": None, "rows": None, "publishedAt": None, "warnings": 0, "attempt": None,
        "running": None, "nextAt": None, "isSuspended": False,
    }  # fmt: skip


# Training and gate.


def _training(estate: Estate, model: Model) -> Object:
    record = status_of(model.deployment) if model.deployment is not None else {}
    spec = (model.deployment or {}).get("spec", {}).get("training") or {}
    generated, ready = record.get("training") or {}, condition(model.deployment or {}, "TrainingReady")
    under_way = [run for run in model.runs if not is_finished(run)]
    last = next((run for run in model.runs if is_finished(run)), None)
    return {
        "reason": ready.get("reason"),
        "message": bare(ready.get("message") or ""),
        "runs": [_run(estate, run) for run in under_way],
        "last": _run(estate, last) if last is not None else None,
        "today": generated.get("runsToday", 0),
        "limit": spec.get("maxPerDay", 4) if spec.get("template") else None,
        "nextAt": generated.get("nextScheduleTime"),
    }


def is_finished(run: Object) -> bool:
    """Say whether a run has ended, either way."""
    return status_of(run).get("completionTime") is not None


def _run(estate: Estate, run: Object) -> Object:
    record, spec = status_of(run), run["spec"]
    progress, cause, made = record.get("progress") or {}, spec.get("trigger"), record.get("model") or {}
    is_running = not is_finished(run) and condition(run, "Complete").get("reason") == "Running"
    return {
        "name": name_of(run),
        **_summary(run),
        "trigger": {
            "kind": cause["kind"],
            "by": f"{cause['ref']['kind']}/{cause['ref']['name']}" if cause.get("ref") else None,
            "reason": cause.get("reason"),
        }
        if cause
        else None,
        "startedAt": record.get("startTime"),
        "endedAt": record.get("completionTime"),
        "running": _running(
            estate, record.get("jobName"), progress.get("percentage"), progress.get("estimatedRemainingSeconds")
        )
        if is_running
        else None,
        "retries": record.get("retries") or 0,
        "verdict": (record.get("gate") or {}).get("verdict"),
        "metric": _interval(record["primaryMetric"]) if record.get("primaryMetric") else None,
        "model": {"version": made["version"], "digest": made["digest"]} if made else None,
    }


def _interval(found: Object) -> Object:
    return {key: found.get(key) for key in ("name", "value", "lower", "upper")}


def _gate(model: Model) -> Object | None:
    judged = next((run for run in model.runs if status_of(run).get("gate")), None)
    if judged is None:
        return None
    gate = status_of(judged)["gate"]
    return {
        "run": name_of(judged),
        **{key: value for key, value in _summary(judged).items() if key != "message"},
        "verdict": gate["verdict"],
        "champion": _version(model, gate.get("champion")),
        "rows": gate.get("rows"),
        "holdoutUses": gate.get("holdoutUses"),
        "checks": [
            {**_interval(row), "threshold": row["threshold"], "result": row["result"]}
            for row in gate.get("checks") or ()
        ],
    }


def _version(model: Model, digest: str | None) -> str | None:
    """Return what people call a model: its version where an object that is there names it, else its short digest."""
    made = [status_of(run).get("model") or {} for run in model.runs]
    record = status_of(model.deployment) if model.deployment is not None else {}
    known = [*made, *(record.get(arm) or {} for arm in ("champion", "candidate", "lastKnownGood"))]
    if digest is None:
        return None
    return next((str(found["version"]) for found in known if found.get("digest") == digest), short(digest))


# Serving and canary.


def _serving(deployment: Object) -> Object:
    record, log = status_of(deployment), status_of(deployment).get("logger") or {}
    champion, previous = record.get("champion"), record.get("lastKnownGood")
    return {
        **_summary(deployment),
        "troubles": [
            {"type": type_, "reason": found["reason"], "message": bare(found["message"])}
            for type_ in ("Verified", "Available")
            if (found := condition(deployment, type_)).get("status") == "False"
        ],
        "champion": {key: champion.get(key) for key in ("version", "digest", "since")} if champion else None,
        "previous": {"version": previous["version"], "digest": previous["digest"], "until": previous["loadedUntil"]}
        if previous
        else None,
        "endpoint": (record.get("endpoint") or {}).get("url"),
        "ready": record.get("readyReplicas", 0),
        "wanted": deployment["spec"].get("replicas", 1),
        "logged": log.get("rows"),
        "dropped": log.get("dropped"),
        "isSuspended": bool(deployment["spec"].get("suspend")),
    }


def _canary(deployment: Object) -> Object | None:
    found = status_of(deployment).get("candidate")
    if not found:
        return None
    strategy = (deployment["spec"].get("strategy") or {}).get("canary") or {}
    analysis, steps = ANALYSIS | (strategy.get("analysis") or {}), strategy.get("steps") or []
    step, healthy, going = found.get("step", 0), condition(deployment, "CanaryHealthy"), found["state"]
    pause = (steps[step].get("pause") or {}).get("duration") if step < len(steps) else None
    samples = found.get("samples") or {}
    marks = {"Canary": "busy", "Verifying": "busy", "Paused": "look", "Held": "look"}
    return {
        "mark": marks.get(going, "waiting"),
        "reason": condition(deployment, "Progressing").get("reason"),
        "message": bare(healthy.get("message") or ""),
        "version": found["version"],
        "digest": found["digest"],
        "state": going,
        "weight": found.get("weight", 0),
        "following": next((each["setWeight"] for each in steps[step + 1 :] if each.get("setWeight")), 100),
        "step": min(step + 1, len(steps)),
        "steps": len(steps),
        "since": found["since"],
        "samples": {
            "candidate": samples.get("candidate", 0),
            "champion": samples.get("champion", 0),
            "needed": analysis["minSamplesPerArm"],
        },
        "until": later(found["stepSince"], pause) if pause else None,
        "deadline": later(found["since"], analysis["maxDuration"]),
        "analysis": [
            {key: row.get(key) for key in ("name", "candidate", "champion", "lower", "upper", "verdict")}
            for row in found.get("analysis") or ()
        ],
    }


def _refused(model: Model, row: Object) -> Object:
    return {"version": _version(model, row["digest"]), **{key: row[key] for key in ("digest", "reason", "until")}}


# Monitor.


def _monitor(estate: Estate, monitor: Object) -> Object:
    record, spec = status_of(monitor), monitor["spec"]
    last, drift, attempt = record.get("lastWindow"), record.get("drift"), record.get("attempt") or {}
    blocked, request = condition(monitor, "RetrainBlocked"), record.get("request")
    is_running = bool(attempt) and not attempt.get("finished") and not attempt.get("reason")
    # Until the log of a window has arrived, its attempt has no Job.
    is_made = is_running and estate.pod_of(attempt["jobName"]) is not None
    needed = (spec.get("window") or {}).get("minSamples", MIN_SAMPLES)
    return {
        "name": name_of(monitor),
        **_summary(monitor),
        **_watched(monitor, last),
        "summary": record.get("summary"),
        "window": {
            **{key: last[key] for key in ("start", "end", "samples", "verdict")},
            "needed": needed,
            "column": last.get("worstColumn"),
            "champion": last.get("championDigest"),
        }
        if last
        else None,
        "windows": [row["verdict"] for row in record.get("windows") or ()],
        "drift": {
            "score": drift["score"],
            "columns": [{key: row[key] for key in ("name", "effect", "adjustedPValue")} for row in drift["columns"]],
        }
        if drift
        else None,
        "running": _running(estate, attempt["jobName"], None) if is_made else None,
        "blocked": {
            "reason": blocked["reason"],
            "message": bare(blocked["message"]),
            "until": (record.get("retrain") or {}).get("nextAllowedAt"),
        }
        if blocked.get("status") == "True"
        else None,
        "request": {key: request[key] for key in ("action", "cause", "requestedAt")} if request else None,
        "report": (last or {}).get("reportUri"),
        "nextAt": record.get("nextScheduleTime"),
        "isSuspended": bool(spec.get("suspend")),
    }


VERDICTS = {"Healthy": "good", "Suspected": "look", "Detected": "look", "Insufficient": "waiting"}
FINDINGS = ("QualityBreached", "DriftDetected", "DriftSuspected")


def _watched(monitor: Object, last: Object | None) -> Object:
    """Return mark, reason and message of what was found, where the watching itself works; else nothing."""
    if not is_true(monitor, "Ready") or monitor["spec"].get("suspend"):
        return {}
    found: Sequence[Object] = [condition(monitor, type_) for type_ in FINDINGS if is_true(monitor, type_)]
    flowing = condition(monitor, "DataFlowing")
    told = found[0] if found else flowing if flowing.get("status") == "False" else {}
    verdict = last["verdict"] if last else None
    seen = {"reason": told["reason"], "message": bare(told["message"])} if told else {}
    return {"mark": VERDICTS.get(str(verdict), "waiting"), **seen}
