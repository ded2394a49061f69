"""A namespace with a past: many versions, a trial under way and windows that moved, each status by its own pass."""

import base64
import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from answers import listed, status
from builders import digest, ended_pod, ingest_result, job, monitor, monitor_result, over, train_result, version
from monitored import ALL, PREFIX, Row, Silent, World, answer, flights_schema, late
from served import arm, candidate, decision, held, pod
from situations import CANARY, Situation, fetched, served, server_pods, started, trained
from toys import SETTINGS
from treadle.api.base import decimal, stamp
from treadle.api.datasource import DatasetVersion
from treadle.api.modeldeployment import ModelDeploymentStatus
from treadle.api.monitor import Monitor
from treadle.api.names import sha256
from treadle.cli.estate import paths
from treadle.control.engine.ports import Object
from treadle.control.jobs import Runs
from treadle.control.monitor import seen as monitor_seen
from treadle.control.monitor import status as monitor_status
from treadle.control.monitor.due import begun, bounds, size
from treadle.monitoring.step import monitor as monitor_step
from treadle.serving.log import RequestLog
from treadle.serving.metrics import Counts, Exporter, Levels
from treadle.store.blobs import put_bytes

NOW = datetime(2026, 1, 5, 8, 10, tzinfo=UTC)
UNTIL = "2026-02-04T08:00:00Z"
MOVED = ("hour", "dest", "origin", "distance", "carrier", "out.score", "weekday", "flight_time", "temp", "wind_speed")
MONITOR_ASKED = {
    "kind": "Monitor", "ref": {"kind": "Monitor", "name": "flights-late", "uid": "m"}, "id": "one",
    "reason": "DriftDetected",
}  # fmt: skip


def model_digest(number: int) -> str:
    """Return the digest of model version `number`."""
    return f"sha256:{sha256(number)}"


def value(number: int, *, is_last: bool = False) -> float:
    """Return what version `number` scored: slowly better, and now and then worse; the last is good enough."""
    if is_last:
        return 0.49
    return 0.43 + 0.06 * (1 - math.exp(-number / 12)) + 0.008 * math.sin(2.1 * number)


def row(name: str, number: float, half: float, slice_: str | None = None) -> Object:
    """Return a metric with its interval."""
    found = {"name": name, "value": decimal(number), "lower": decimal(number - half), "upper": decimal(number + half)}
    return {**found, "split": "holdout", **({"slice": slice_} if slice_ else {})}


def result(number: int, champion: int | None, *, is_last: bool = False) -> Any:
    """Return how the run of a version ended against the champion at that time."""
    scored = value(number, is_last=is_last)
    metrics = [
        row("average_precision", scored, 0.009),
        row("roc_auc", 0.6 + scored / 5, 0.006),
        row("roc_auc", 0.57 + scored / 5, 0.014, "laguardia"),
        row("brier", 0.21 - scored / 10, 0.003),
    ]
    floors = [{**check, "name": f"floor:roc_auc{f':{check['slice']}' if 'slice' in check else ''}",
               "threshold": "0.58" if "slice" not in check else "0.52", "result": "Pass"}
              for check in metrics[1:3]]  # fmt: skip
    shown = [{key: text for key, text in check.items() if key not in ("split", "slice")} for check in floors]
    gate: Object = {"holdoutDigest": digest("9"), "holdoutUses": 1 + number % 9, "rows": 32605}
    model = {"version": f"v{number}", "digest": model_digest(number), "storageUri": "s3://ml/m.json", "format": "onnx"}
    told: Object = {"metrics": metrics, "model": model}
    if champion is None:
        gate |= {"verdict": "Promote", "checks": shown}
        return train_result("Promote", gate=gate, reason="NoChampion", message=first(metrics[0]), **told)
    gain = scored - value(champion)
    difference = {"value": decimal(gain), "lower": decimal(gain - 0.004), "upper": decimal(gain + 0.004)}
    ended = "Pass" if gain - 0.004 > 0.002 else "Fail" if gain + 0.004 <= 0.002 else "Open"
    outcome = {"Pass": "Promote", "Fail": "Reject", "Open": "Hold"}[ended]
    checks = [{"name": "better", "threshold": "0.002", **difference, "result": ended}, *shown]
    gate |= {"verdict": outcome, "champion": model_digest(champion), "difference": difference, "checks": checks}
    message = (
        f"average_precision {metrics[0]['value']} against champion v{champion} {decimal(value(champion))} on 32605 "
        f"holdout rows; difference {decimal(gain)} [{difference['lower']}, {difference['upper']}], needed above 0.002"
    )
    reason = {"Promote": "AllChecksPassed", "Hold": "NotBetter", "Reject": "NotBetter"}[outcome]
    return train_result(outcome, gate=gate, reason=reason, message=message, **told)


def first(metric: Object) -> str:
    """Return the sentence of a first run."""
    found = f"average_precision {metric['value']} [{metric['lower']}, {metric['upper']}]"
    return f"{found} on 32605 holdout rows; 2 floors held, there was no champion to beat"


def runs(count: int) -> tuple[tuple[Object, ...], int]:
    """Return the runs that made versions 1 to `count`, newest first, and the champion among them."""
    found, champion = [], None
    for number in range(1, count + 1):
        created = NOW - timedelta(hours=6 * (count - number), minutes=25)
        name, ended = f"flights-late-{sha256(['run', number])[:10]}", created + timedelta(minutes=7)
        trigger = {"trigger": MONITOR_ASKED} if number % 3 == 0 else {"trigger": {"kind": "Data"}}
        is_last = number == count
        judged = result(number, champion, is_last=is_last)
        found.append(trained(judged, started(name, created=stamp(created), **trigger), ended_at=stamp(ended)))
        if judged.outcome == "Promote" and not is_last:
            champion = number
    assert champion is not None
    return tuple(reversed(found)), champion


def column(index: int, name: str, strength: float) -> Object:
    """Return how far a column moved."""
    effect = strength / (1 + 0.8 * index)
    p = 10.0 ** (-14 * effect)
    return {
        "name": name, "test": "chi2" if index % 2 else "ks", "statistic": decimal(100 * effect), "pValue": decimal(p),
        "adjustedPValue": decimal(min(1.0, 2 * p)), "effect": decimal(effect),
    }  # fmt: skip


def watched(target: Object, strengths: Sequence[float], last: Any = None, **spec: Any) -> Object:
    """Return a Monitor that judged so many windows of an hour, the last until NOW.

    strengths: how far the inputs moved in each; below zero: there were too few. last: how the last one looked.
    """
    spec = {"drift": {"confirmWindows": 2}, **spec}
    raw = monitor(metadata={"creationTimestamp": "2026-01-01T00:00:00Z"}, **spec)
    record: Object = {}
    for index, strength in enumerate(strengths):
        due = NOW.replace(minute=0) - timedelta(hours=len(strengths) - 1 - index)
        champion = target["status"]["champion"]["digest"] if index > 2 else model_digest(1)
        attempt = begun(Monitor.read(raw), bounds(due, size(Monitor.read(raw))), champion).dump()
        raw = {**raw, "status": {**record, "lastScheduleTime": stamp(due), "attempt": attempt}}
        outcome = "Insufficient" if strength < 0 else "Suspected" if strength >= 0.1 else "Healthy"
        drift = {} if strength < 0 else {"drift": {"score": "0.3", "columns": [
            column(place, name, strength) for place, name in enumerate(MOVED)]}}  # fmt: skip
        bound = [attempt["start"], attempt["end"]]
        told = monitor_result(outcome, bound, message=f"hour moved most (effect {strength:g})", **drift)
        window = told.window.model_copy(update={"champion": champion})
        if last is not None and index == len(strengths) - 1:
            told, window = last, window.model_copy(update={"samples": last.window.samples})
        told = told.model_copy(update={"window": window})
        ended = job(raw, attempt["jobName"], status=over())
        seen = monitor_seen.Seen(
            SETTINGS, Runs((ended,), (ended_pod(ended, told),)),
            monitor_seen.Watched(
                ModelDeploymentStatus.parse({**target["status"], "champion": {
                    **target["status"]["champion"], "digest": champion}}), True, True, "flights"),
            DatasetVersion.parse(version("d", 163024)),
        )  # fmt: skip
        at = due + timedelta(minutes=2)
        record = monitor_status.status(Monitor.read(raw), seen, at).status
    return {**raw, "status": record}


def stage(count: int = 18, last: Any = None) -> Situation:
    """Return the namespace: version `count` is on trial beside the champion; last: how the last window looked."""
    made, number = runs(count)
    champion = {
        "version": f"v{number}", "digest": model_digest(number), "since": "2026-01-04T20:00:00Z",
        "dataDigest": digest("d"), "trainingJob": made[count - number]["metadata"]["name"],
    }  # fmt: skip
    tried = candidate(
        "b", step=1, weight=5, counts=[], baseline=[], version=f"v{count}", dataDigest=digest("d"), generation=1,
        since="2026-01-05T07:53:00Z", stepSince="2026-01-05T07:54:00Z", trainingJob=made[0]["metadata"]["name"],
    )  # fmt: skip
    tried["digest"] = model_digest(count)
    former = {"version": f"v{number - 1}", "digest": model_digest(number - 1), "loadedUntil": "2026-01-05T09:00:00Z"}
    decisions = [
        {**decision("SetWeight", "Canary", message=f"candidate v{count} answers 5 %"), "time": "2026-01-05T07:54:00Z"},
        {**decision("Try", "PassedGate", message=f"candidate v{count} passed against champion v{number}"),
         "time": "2026-01-05T07:53:00Z"},
        {**decision("Promote", "Promoted", message=f"candidate v{number} passed every step"),
         "time": "2026-01-04T20:00:00Z", "subject": champion["digest"]},
    ]  # fmt: skip
    for decided in decisions[:2]:
        decided["subject"] = tried["digest"]
    pods = [server(name, champion["digest"], tried["digest"]) for name in ("x2x7k", "p9q4z")]
    deployed = served(
        {"champion": champion, "candidate": tried, "lastKnownGood": former, "decisions": decisions,
         "settledGeneration": 1, "training": {"lastRun": made[0]["metadata"]["name"]},
         "quarantined": [{"digest": model_digest(number + 1), "reason": "HeldByGate", "until": UNTIL}]},
        pods=pods, runs=made, now=NOW, replicas=2, strategy=CANARY,
    )  # fmt: skip
    strengths = (0.04, 0.05, 0.05, 0.03, -1, 0.06, 0.05, 0.12, 0.18, 0.19)
    actions = [{"name": "relearn", "when": ["DriftDetected"], "do": "Retrain"}]
    watcher = watched(deployed, strengths, last, actions=actions, retrain={"cooldown": "24h", "maxPerDay": 1})
    source = fetched(ingest_result(rows=163024))
    return Situation("ModelDeployment", "Current", (source, *made, deployed, watcher), server_pods(*pods), now=NOW)


def server(name: str, champion: str, tried: str) -> Any:
    """Return a serving pod that holds both and has answered."""
    arms = [{**arm("a", 6012, 2), "digest": champion}, {**arm("b", 156, 1), "digest": tried}]
    both = [{**held(letter, "Serving"), "digest": told} for letter, told in (("a", champion), ("b", tried))]
    return pod(f"flights-late-server-7d9c4-{name}", champion=both[0], candidate=both[1], arms=arms, rows=18211,
               created="2026-01-05T08:08:00Z")  # fmt: skip


KINDS = {"sources": "DataSource", "runs": "TrainingJob", "deployments": "ModelDeployment", "monitors": "Monitor",
         "jobs": "Job", "pods": "Pod", "workloads": "Deployment", "services": "Service", "events": "Event"}  # fmt: skip
LEASES = "/apis/coordination.k8s.io/v1/leases"


def answered(situation: Situation, bucket: Path | None = None) -> dict[str, Any]:
    """Return what an API server answers of a situation.

    bucket: the directory that is the bucket of Secret treadle-store; None: there is no such Secret.
    """
    estate, api = situation.estate, "/api/v1/namespaces/demo"
    found = {f"GET {path}": listed(KINDS[part], *getattr(estate, part)) for part, path in paths("demo").items()}
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "demo", "uid": "ns"}}
    found |= {
        "GET /version": (200, {"gitVersion": "v1.35.4"}),
        f"GET {api}": (200, namespace),
        f"GET {LEASES}": listed("Lease"),
    }
    secret = f"GET {api}/secrets/treadle-store"
    found[secret] = status(404, "NotFound", 'secrets "treadle-store" not found')
    if bucket is not None:
        data = {"bucket": bucket.name, "endpoint": f"file://{bucket.parent}"}
        coded = {key: base64.b64encode(text.encode()).decode() for key, text in data.items()}
        found[secret] = (200, {"kind": "Secret", "metadata": {"name": "treadle-store"}, "data": coded})
    for deployment in estate.deployments:
        record = deployment.get("status") or {}
        arms = [record[arm]["digest"] for arm in ("champion", "candidate") if record.get(arm)]
        for pod_ in estate.pods:
            found[f"GET {api}/pods/{pod_['metadata']['name']}:8081/proxy/metrics"] = (200, metrics(arms))
    return found


def metrics(digests: Sequence[str]) -> str:
    """Return what a server tells that answered 200 requests by its first model, and 20 by its second, one failed."""
    counts = Counts()
    for digest_, answers in zip(digests, (200, 20), strict=False):
        for number in range(answers):
            counts.answered(digest_, 0.004 if number else 0.1, failed=number == 0)
    levels = Levels(plan=3, waiting=0, log_rows=220, log_dropped=0, ready=True)
    return Exporter(counts, lambda: levels).text().decode()


CARD = """---
model_name: "flights-late"
version: "v16"
---

# flights-late v16

**Promote**: average_precision 0.480726 <script>document.title = "taken"</script>

|  |  |
|--|--|
| Digest | `{digest}` |
| Task | BinaryClassification: `late` from 6 columns |

## Intended use

Predict `late`. [Pages](https://example.com/a) may be linked, [scripts](javascript:alert(1)) not, and
![images](https://example.com/pixel.png) are not asked for.

## Metrics

| Metric | Slice | Rows | Value | Lower | Upper |
|--|--|--|--|--|--|
| average_precision | all | 32605 | 0.480726 | 0.471726 | 0.489726 |
"""


def rows(hours: tuple[int, int], count: int) -> list[Row]:
    """Return so many flights, evenly over some hours of the day."""
    first_, span = hours[0], hours[1] - hours[0]
    return [
        {
            "hour": (first_ + 7 * number % span) % 24,
            "weekday": 1 + number % 7,
            "distance": 100 + 53 * number % 2400,
            "carrier": ("UA", "B6", "EV", "AA", "US")[number % 11 % 5],
            "origin": ("EWR", "JFK", "LGA")[number % 3],
            "dest": f"D{number % 17 * (number % 3)}",
        }
        for number in range(count)
    ]


def shown(directory: Path) -> tuple[Situation, Path]:
    """Return the stage with a bucket: its last window was judged by the real step, and its champion has a card."""
    world, schema = World(directory), flights_schema()
    known, sent = rows((5, 23), 3000), rows((9, 28), 900)
    champion = world.publish(schema, known, [late(found) for found in known])

    def add(log: RequestLog) -> None:
        for hour in range(24):
            world.now, batch = datetime(2013, 4, 3, hour, tzinfo=UTC), sent[hour::24]
            ids = [f"{hour}-{number}" for number in range(len(batch))]
            log.add(answer(schema, batch, champion, ids, [late(found) for found in batch]), schema, ALL)

    world.serve(add)
    step = world.step(champion, "2013-04-03T00:00:00Z", "2013-04-04T00:00:00Z", run=7)
    situation = stage(last=monitor_step(step, world.store, Silent()))
    served_ = next(each for each in situation.objects if each["kind"] == "ModelDeployment")["status"]["champion"]
    card = put_bytes(world.store, CARD.format(digest=served_["digest"]).encode())
    for run in situation.objects:
        made = run["status"].get("model") if run["kind"] == "TrainingJob" else None
        if made and made["digest"] == served_["digest"]:
            made |= {"cardDigest": card, "storageUri": f"s3://bucket/{PREFIX}models/m.json"}
    return situation, directory / "bucket"
