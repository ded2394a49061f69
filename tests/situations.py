"""The 22 situations of api.md, section 3: whole namespaces, each status by the function that writes it in a cluster."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from builders import (
    champion,
    data_source,
    digest,
    ended_pod,
    ingest_result,
    job,
    model_deployment,
    monitor,
    monitor_result,
    over,
    train_result,
    training_job,
    version,
)
from builders import pod as step_pod
from served import arm, candidate, decision, held, pod, rolled_out, seen, terminated
from toys import SETTINGS
from treadle.api.datasource import DatasetVersion, DataSource
from treadle.api.modeldeployment import ModelDeployment, ModelDeploymentStatus
from treadle.api.monitor import Monitor
from treadle.api.names import labels
from treadle.api.step import Progress
from treadle.api.trainingjob import TrainingJob
from treadle.cli.estate import Estate
from treadle.control.datasource import observe as data_source_seen
from treadle.control.datasource import status as data_source_status
from treadle.control.engine.ports import Object
from treadle.control.jobs import Runs
from treadle.control.modeldeployment import status as model_deployment_status
from treadle.control.modeldeployment.seen import Run, read_run
from treadle.control.monitor import seen as monitor_seen
from treadle.control.monitor import status as monitor_status
from treadle.control.monitor.due import begun, bounds, size
from treadle.control.trainingjob import observe as training_job_seen
from treadle.control.trainingjob import status as training_job_status
from treadle.control.trainingjob.keys import Target

NOW = datetime(2026, 1, 5, 8, 10, tzinfo=UTC)
OWNER = "uid-ModelDeployment-flights-late"


@dataclass(frozen=True, slots=True)
class Situation:
    """A row of the table: whose it is, what kstatus reads of that, and all that stands in the namespace."""

    kind: str
    kstatus: str
    objects: tuple[Object, ...]
    pods: tuple[Object, ...] = ()
    progress: dict[str, Object] | None = None
    """By pod, as it answers GET /progress."""
    now: datetime = NOW

    @property
    def estate(self) -> Estate:
        """Return the namespace as the command line reads it."""
        kinds = {
            "sources": "DataSource",
            "runs": "TrainingJob",
            "deployments": "ModelDeployment",
            "monitors": "Monitor",
        }
        parts = {part: tuple(each for each in self.objects if each["kind"] == kind) for part, kind in kinds.items()}
        return Estate("demo", **parts, pods=self.pods, progress=self.progress or {})


# DataSources.

FETCH = {"jobName": "flights-3f9a0c12de", "runKey": "5" * 64, "generation": 1, "startTime": "2026-01-05T08:00:00Z"}
SCHEDULED = {"schedule": "15 * * * *"}
BAD_ROW = (
    'column "distance" is double in flights-2013-06.csv line 3018 ("12.5"), spec.schema says integer. '
    "Fix the file, or set type: double"
)
UNDER_WAY = data_source(status={"lastAttempt": FETCH}, **SCHEDULED)


def source(raw: Object, ended: Object | None = None, *pods: Object, at: datetime = NOW) -> Object:
    """Return a DataSource with the status that a pass writes."""
    seen_ = data_source_seen.Seen(SETTINGS, Runs((ended,) if ended else (), pods))
    return {**raw, "status": data_source_status.status(DataSource.read(raw), seen_, at).status}


def fetched(result: Any, raw: Object = UNDER_WAY, how: str = "Complete") -> Object:
    """Return a DataSource whose fetch has just ended."""
    ended = job(raw, FETCH["jobName"], status=over(how))
    return source(raw, ended, ended_pod(ended, result, 0 if how == "Complete" else 10))


PUBLISHED = fetched(ingest_result(rows=163024))
REFUSED = ingest_result("Rejected", reason="SchemaMismatch", failed="SchemaValid", message=BAD_ROW)
DENIED = ingest_result(
    "Failed", reason="AccessDenied", failed="Fetched",
    message="s3://raw/flights/ refuses key …Q7RT of Secret treadle-raw: AccessDenied; allow it s3:ListBucket",
)  # fmt: skip
FETCH_JOB = job(UNDER_WAY, FETCH["jobName"])
FETCH_POD = step_pod(FETCH_JOB, {"running": {}})


# TrainingJobs.

CURRENT = DatasetVersion.parse(version("d", 163024))
TRAIN = "flights-late-7c20d91e4a"
CHECKS = [
    {"name": "better", "threshold": "0.002", "value": "0.003", "lower": "-0.002", "upper": "0.008", "result": "Open"},
    {"name": "floor:roc_auc:laguardia", "threshold": "0.52", "value": "0.58", "lower": "0.56", "upper": "0.6",
     "result": "Pass"},
]  # fmt: skip
GATE = {
    "champion": digest("a"), "holdoutDigest": digest("9"), "holdoutUses": 3, "rows": 32605,
    "difference": {"value": "0.003", "lower": "-0.002", "upper": "0.008"},
}  # fmt: skip
MONITOR_ASKED = {
    "kind": "Monitor", "ref": {"kind": "Monitor", "name": "flights-late", "uid": "m"}, "id": "one",
    "reason": "DriftDetected",
}  # fmt: skip


def passed(letter: str = "a", number: str = "v1", against: str | None = None, **changes: Any) -> Any:
    """Return the result of a run that the gate let pass."""
    better = {**CHECKS[0], "value": "0.006", "lower": "0.003", "upper": "0.009", "result": "Pass"}
    gate = {**GATE, "verdict": "Promote", "champion": digest(against) if against else None,
            "checks": [*([better] if against else []), CHECKS[1]]}  # fmt: skip
    if not against:
        del gate["difference"], gate["champion"]
    model = {"version": number, "digest": digest(letter), "storageUri": "s3://ml/m.json", "format": "onnx"}
    return train_result(
        "Promote", letter, gate=gate, model=model, reason="AllChecksPassed" if against else "NoChampion", **changes
    )


HELD = train_result(
    "Hold", "b", gate={**GATE, "verdict": "Hold", "checks": CHECKS},
    message="average_precision 0.861 against champion v1 0.858 on 32605 holdout rows; difference 0.003 "
    "[-0.002, 0.008], needed above 0.002. v1 stays. Wait for data, or lower gate.margin",
)  # fmt: skip
BROKEN = train_result(
    "Failed", reason="OneClassTarget", failed="Trained",
    message='the train part holds one class of "late" (false, 812 rows); widen dataRef.window, or look at the split',
)  # fmt: skip
NO_BUCKET = train_result(
    "Failed", reason="BucketNotFound", failed="Registered",
    message="bucket ml of Secret treadle-store does not exist; create it: treadle store init --bucket ml",
)  # fmt: skip


def training(raw: Object, ended: Object | None = None, *pods: Object, at: datetime = NOW, **seen_: Any) -> Object:
    """Return a TrainingJob with the status that a pass writes."""
    told = training_job_seen.Seen(SETTINGS, Runs((ended,) if ended else (), pods), **seen_)
    return {**raw, "status": training_job_status.status(TrainingJob.read(raw), told, at).status}


def started(
    name: str = TRAIN, *, ours: bool = True, created: str = "2026-01-05T08:00:00Z", suspended: bool = False, **spec: Any
) -> Object:
    """Return a TrainingJob that has resolved its version; ours: made by the ModelDeployment."""
    reference = [{"kind": "ModelDeployment", "name": "flights-late", "uid": OWNER, "controller": True}]
    raw = training_job(
        name,
        against="flights-late",
        suspended=suspended,
        dataRef={"name": "flights", "version": digest("d")},
        metadata={"creationTimestamp": created, **({"ownerReferences": reference} if ours else {})},
        **spec,
    )
    target = Target("flights-late", exists=True)
    return training(raw, at=datetime.fromisoformat(created), has_data_source=True, version=CURRENT, target=target)


def trained(
    result: Any, raw: Object | None = None, how: str = "Complete", ended_at: str = "2026-01-05T08:05:00Z"
) -> Object:
    """Return a TrainingJob whose run has ended."""
    raw = raw or started()
    ended = job(raw, raw["status"]["jobName"], status=over(how, ended_at), activeDeadlineSeconds=3600)
    at = max(NOW, datetime.fromisoformat(ended_at))
    return training(raw, ended, ended_pod(ended, result, 0 if how == "Complete" else 10), at=at)


# ModelDeployments.

HOUR_LATER = NOW + timedelta(hours=1)
DAY_LATER = NOW + timedelta(hours=25)
CHAMPION = {**champion("a", "d"), "since": "2026-01-05T08:06:00Z", "trainingJob": "flights-late-5be1c0a7d2"}
FIRST_RUN = trained(
    passed(), started("flights-late-5be1c0a7d2", created="2026-01-05T07:50:00Z"), ended_at="2026-01-05T07:58:00Z"
)
STEPS = [{"setWeight": 5}, {"pause": {"duration": "10m"}}, {"setWeight": 25}, {"pause": {"duration": "30m"}}]
CANARY = {"canary": {"steps": STEPS, "analysis": {"minSamplesPerArm": 500, "maxDuration": "24h"}}}
TRIAL = candidate(
    "b", step=1, weight=5, counts=[], baseline=[], dataDigest=digest("d"), trainingJob=TRAIN,
    since="2026-01-05T08:06:00Z", stepSince="2026-01-05T08:07:00Z",
)  # fmt: skip
PASSED_RUN = trained(passed("b", "v2", against="a"), started(trigger=MONITOR_ASKED))
LATE = "2026-01-05T08:08:00Z"
SERVER = pod("flights-late-server-7d9c4-x2x7k", champion=held("a", "Serving"), candidate=None, rows=18211, created=LATE)
BOTH = pod(
    "flights-late-server-7d9c4-x2x7k", champion=held("a", "Serving"), candidate=held("b", "Serving"),
    arms=[arm("a", 6012), arm("b", 312, 1)], rows=18211, created=LATE,
)  # fmt: skip
CRASHED = pod(
    "flights-late-server-7d9c4-x2x7k", ready=False, revision=None, created=LATE,
    containerStatuses=[terminated("OOMKilled", 137, NOW)],
)  # fmt: skip
CORRUPT = decision("Refuse", "SignatureInvalid", message="candidate v2: model.onnx is not signed by treadle-signing")
SLOWER = decision("Rollback", "ErrorRateHigher", message="candidate v2 failed 31 of 812 requests, champion v1 4 of "
                  "15406; limit +0.005")  # fmt: skip


def served(
    record: Object | None = None,
    *,
    pods: Any = (SERVER,),
    runs: tuple[Object, ...] = (FIRST_RUN,),
    generation: int = 1,
    settled: int | None = None,
    now: datetime = NOW,
    data: str | None = "d",
    asks: Any = (),
    **spec: Any,
) -> Object:
    """Return a ModelDeployment with the status that a pass writes; record None: nothing was ever served."""
    pods = pods if record is not None else ()
    before = {"champion": CHAMPION, "settledGeneration": settled, **record} if record is not None else {}
    raw = model_deployment(
        status={key: value for key, value in before.items() if value is not None},
        metadata={"generation": generation},
        **{"strategy": CANARY, "replicas": 1, **spec},
    )
    md = ModelDeployment.read(raw)
    told = seen(md, now=now, pods=pods, runs=[run_of(run) for run in runs], data=data, asks=asks,
                deployment=rolled_out(len(pods)))  # fmt: skip
    return {**raw, "status": model_deployment_status.status(md, told, now).status}


def run_of(raw: Object) -> Run:
    """Return a TrainingJob as a pass over its ModelDeployment reads it."""
    return read_run(raw, OWNER)


def server_pods(*found: Any) -> tuple[Object, ...]:
    """Return serving pods as they stand in the namespace."""
    marks = labels("ModelDeployment", "flights-late", "server")
    return tuple({**each.raw, "metadata": {**each.raw["metadata"], "labels": marks}} for each in found)


ANSWERING = served({})
NOTHING_YET = served(runs=(started(),))


# Monitors.

HOUR = bounds(datetime(2026, 1, 5, 8, 0, tzinfo=UTC), size(Monitor.read(monitor())))
RETRAIN = {
    "drift": {"confirmWindows": 1},
    "actions": [{"name": "relearn", "when": ["DriftDetected"], "do": "Retrain"}],
    "retrain": {"cooldown": "24h", "maxPerDay": 1},
}
ASKED_BEFORE = {
    "consecutiveRefusals": 0,
    "lastTriggeredAt": "2026-01-04T20:00:00Z",
    "nextAllowedAt": "2026-01-05T20:00:00Z",
    "requestsToday": ["2026-01-04T20:00:00Z"],
}


def watching(
    result: Any, target: Object = ANSWERING, before: Object | None = None, data: str = "d", **spec: Any
) -> Object:
    """Return a Monitor whose window from 7 to 8 was judged; data: the letter of the newest version."""
    raw = monitor(**spec)
    attempt = begun(Monitor.read(raw), HOUR, digest("a")).dump()
    raw = {**raw, "status": {"lastScheduleTime": "2026-01-05T08:00:00Z", **(before or {}), "attempt": attempt}}
    told = ModelDeploymentStatus.parse(target["status"])
    seen_ = monitor_seen.Seen(
        SETTINGS,
        Runs((ended := job(raw, attempt["jobName"], status=over()),), (ended_pod(ended, result),)),
        monitor_seen.Watched(told, True, True, "flights"),
        DatasetVersion.parse(version(data, 163024)),
    )
    return {**raw, "status": monitor_status.status(Monitor.read(raw), seen_, NOW).status}


HEALTHY = watching(monitor_result("Healthy"))


# The table.


def running() -> Situation:
    """Return a run under way, asked by a Monitor, with what its pod tells."""
    raw = started(trigger=MONITOR_ASKED)
    job_ = job(raw, raw["status"]["jobName"])
    told = {"step": "train", "stage": "fit", "percentage": 62, "estimatedRemainingSeconds": 40}
    found = step_pod(job_, {"running": {}})
    found["metadata"]["labels"]["treadle.dev/role"] = "train"
    under_way = training(raw, job_, found, progress=Progress.parse(told))
    target = served({}, runs=(under_way, FIRST_RUN))
    pods = (*server_pods(SERVER), found)
    return Situation(
        "TrainingJob", "Current", (PUBLISHED, under_way, FIRST_RUN, target, HEALTHY), pods,
        {found["metadata"]["name"]: told},
    )  # fmt: skip


def canary(**changes: Any) -> tuple[Object, ...]:
    """Return a namespace in which v2 is on trial."""
    record = {"candidate": {**TRIAL, "generation": 1}, "settledGeneration": 1}
    deployed = served(record, pods=(BOTH,), runs=(PASSED_RUN, FIRST_RUN), **changes)
    return (PUBLISHED, PASSED_RUN, FIRST_RUN, deployed, HEALTHY)


def left(row: Object, **more: Any) -> tuple[Object, ...]:
    """Return a namespace in which the last trial was left, while v1 answers."""
    quarantined = [{"digest": digest("b"), "reason": row["reason"], "until": "2026-02-04T08:00:00Z"}]
    record = {"decisions": [row], "quarantined": quarantined, "settledGeneration": 1}
    return (PUBLISHED, PASSED_RUN, FIRST_RUN, served(record, runs=(PASSED_RUN, FIRST_RUN), **more), HEALTHY)


SITUATIONS: dict[str, Callable[[], Situation]] = {
    "a DataSource fetches its first version": lambda: Situation(
        "DataSource", "InProgress", (source(UNDER_WAY, FETCH_JOB, FETCH_POD),), (FETCH_POD,),
        {"flights-3f9a0c12de-x": {"step": "ingest", "stage": "transform", "percentage": 40}},
    ),
    "a version is published": lambda: Situation("DataSource", "Current", (PUBLISHED,)),
    "new bytes are refused while an older version is in use": lambda: Situation(
        "DataSource", "Current", (fetched(REFUSED, data_source(current="d", status={"lastAttempt": FETCH}), "Failed"),),
    ),
    "the source is refused and there is no version": lambda: Situation(
        "DataSource", "Failed", (fetched(DENIED, how="Failed"),)
    ),
    "a TrainingJob waits for data": lambda: Situation(
        "TrainingJob", "InProgress", (training(training_job("flights-late-first")),)
    ),
    "a TrainingJob is suspended": lambda: Situation(
        "TrainingJob", "Current", (PUBLISHED, training(training_job("flights-late-first", suspended=True)))
    ),
    "a TrainingJob runs": running,
    "a run passed the gate": lambda: Situation("TrainingJob", "Current", (PUBLISHED, PASSED_RUN)),
    "a run is held by the gate": lambda: Situation(
        "TrainingJob", "Current",
        (PUBLISHED, held_run := trained(HELD, started(trigger=MONITOR_ASKED)), FIRST_RUN,
         served({}, runs=(held_run, FIRST_RUN)), HEALTHY),
    ),
    "a run that the world hinders is tried again": lambda: Situation(
        "TrainingJob", "Failed", (PUBLISHED, hindered := trained(NO_BUCKET, how="Failed"),
                                  served(runs=(hindered,))),
    ),
    "a run failed for good": lambda: Situation(
        "TrainingJob", "Failed", (PUBLISHED, broken := trained(BROKEN, how="Failed"), served(runs=(broken,))),
    ),
    "a ModelDeployment is without a model": lambda: Situation(
        "ModelDeployment", "InProgress", (PUBLISHED, started(), NOTHING_YET)
    ),
    "a canary comes of a retrain": lambda: Situation("ModelDeployment", "Current", canary(), server_pods(BOTH)),
    "a canary comes of a spec change": lambda: Situation(
        "ModelDeployment", "InProgress",
        (PUBLISHED, PASSED_RUN, FIRST_RUN,
         served({"candidate": {**TRIAL, "generation": 2}, "settledGeneration": 1}, pods=(BOTH,),
                runs=(PASSED_RUN, FIRST_RUN), generation=2),
         HEALTHY),
        server_pods(BOTH),
    ),
    "a canary is held for lack of traffic": lambda: Situation(
        "ModelDeployment", "Current", canary(now=DAY_LATER), server_pods(BOTH), now=DAY_LATER
    ),
    "rolled back, the old version serving": lambda: Situation(
        "ModelDeployment", "Current", left(SLOWER), server_pods(SERVER)
    ),
    "a candidate is corrupt or unsigned": lambda: Situation(
        "ModelDeployment", "Current", left(CORRUPT), server_pods(SERVER)
    ),
    "the candidate is unsigned and nothing serves": lambda: Situation(
        "ModelDeployment", "Failed",
        (PUBLISHED, PASSED_RUN, served({"champion": None, "decisions": [CORRUPT]}, pods=(), runs=(PASSED_RUN,))),
    ),
    "all pods are gone": lambda: Situation(
        "ModelDeployment", "InProgress",
        (PUBLISHED, FIRST_RUN, served({"settledGeneration": 1}, pods=(), now=HOUR_LATER), HEALTHY),
        now=HOUR_LATER,
    ),
    "a Monitor finds drift": lambda: Situation(
        "Monitor", "Current",
        (fetched(ingest_result(letter="e", rows=190099)), FIRST_RUN, ANSWERING,
         watching(monitor_result("Suspected"), data="e", **RETRAIN)),
        server_pods(SERVER),
    ),
    "a Monitor has too few samples": lambda: Situation(
        "Monitor", "Current", (PUBLISHED, FIRST_RUN, ANSWERING, watching(monitor_result("Insufficient"))),
        server_pods(SERVER),
    ),
    "a retrain is wanted and blocked": lambda: Situation(
        "Monitor", "Current",
        (PUBLISHED, FIRST_RUN, ANSWERING,
         watching(monitor_result("Suspected"), before={"retrain": ASKED_BEFORE}, **RETRAIN)),
        server_pods(SERVER),
    ),
}  # fmt: skip
"""Made when asked for, so that a test pays for the situations that it looks at."""
