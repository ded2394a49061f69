"""The columns of built-in types, as printers of Kubernetes have them."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from treadle.local.server import builtin
from treadle.local.server.cells import NONE, Cell, Column, found, pairs, since

type Object = dict[str, Any]


def _age(raw: Object, now: datetime) -> str:
    return since(raw["metadata"].get("creationTimestamp"), now)


def _at(path: str, default: Any = "") -> Cell:
    def cell(raw: Object, now: datetime) -> Any:
        value = found(raw, path)
        return default if value is None else value

    return cell


def _pod_ready(raw: Object, now: datetime) -> str:
    told = found(raw, ".status.containerStatuses") or []
    return f"{sum(bool(each.get('ready')) for each in told)}/{len(raw['spec'].get('containers') or [])}"


def _pod_status(raw: Object, now: datetime) -> str:
    status = raw.get("status") or {}
    reason = status.get("reason") or status.get("phase") or ""
    running = False
    for told in reversed(status.get("containerStatuses") or []):
        state = told.get("state") or {}
        waiting, ended = state.get("waiting") or {}, state.get("terminated") or {}
        if waiting.get("reason"):
            reason = waiting["reason"]
        elif ended:
            signal, code = ended.get("signal"), ended.get("exitCode", 0)
            reason = ended.get("reason") or (f"Signal:{signal}" if signal else f"ExitCode:{code}")
        elif told.get("ready") and "running" in state:
            running = True
    if reason == "Completed" and running:
        ready = found(raw, ".status.conditions[?(@.type=='Ready')].status") == "True"
        reason = "Running" if ready else "NotReady"
    if "deletionTimestamp" in raw["metadata"]:
        return "Terminating"
    return str(reason)


def _pod_restarts(raw: Object, now: datetime) -> str:
    told = found(raw, ".status.containerStatuses") or []
    count = sum(each.get("restartCount", 0) for each in told)
    ends = [end for each in told if (end := found(each, ".lastState.terminated.finishedAt"))]
    return f"{count} ({since(max(ends), now)} ago)" if count and ends else str(count)


def _gates(raw: Object, now: datetime) -> str:
    gates = raw["spec"].get("readinessGates") or []
    told = [found(raw, f".status.conditions[?(@.type=='{each['conditionType']}')].status") for each in gates]
    return f"{told.count('True')}/{len(gates)}" if gates else NONE


def _job_status(raw: Object, now: datetime) -> str:
    for type_ in ("Complete", "Failed"):
        if found(raw, f".status.conditions[?(@.type=='{type_}')].status") == "True":
            return type_
    if "deletionTimestamp" in raw["metadata"]:
        return "Terminating"
    for type_ in ("Suspended", "FailureTarget", "SuccessCriteriaMet"):
        if found(raw, f".status.conditions[?(@.type=='{type_}')].status") == "True":
            return type_
    return "Running"


def _job_completions(raw: Object, now: datetime) -> str:
    succeeded = found(raw, ".status.succeeded") or 0
    wanted = raw["spec"].get("completions")
    if wanted is not None:
        return f"{succeeded}/{wanted}"
    parallel = raw["spec"].get("parallelism") or 0
    return f"{succeeded}/1 of {parallel}" if parallel > 1 else f"{succeeded}/1"


def _job_duration(raw: Object, now: datetime) -> str:
    started, ended = found(raw, ".status.startTime"), found(raw, ".status.completionTime")
    if started is None:
        return ""
    return since(started, datetime.fromisoformat(ended) if ended else now)


def _template(name: str) -> Cell:
    def cell(raw: Object, now: datetime) -> str:
        containers = found(raw, ".spec.template.spec.containers") or []
        return ",".join(str(each.get(name, "")) for each in containers)

    return cell


def _selector(raw: Object, now: datetime) -> str:
    selector = raw["spec"].get("selector")
    if selector is None:
        return NONE
    return pairs(selector.get("matchLabels") or {})


def _deployment_ready(raw: Object, now: datetime) -> str:
    return f"{found(raw, '.status.readyReplicas') or 0}/{found(raw, '.spec.replicas') or 0}"


def _service_ports(raw: Object, now: datetime) -> str:
    ports = raw["spec"].get("ports") or []
    told = (
        f"{each['port']}:{each['nodePort']}/{each.get('protocol', 'TCP')}"
        if each.get("nodePort")
        else f"{each['port']}/{each.get('protocol', 'TCP')}"
        for each in ports
    )
    return ",".join(told) or NONE


def _about(raw: Object) -> Object:
    regarding: Object = raw.get("regarding") or raw.get("involvedObject") or {}
    return regarding


def _event_object(raw: Object, now: datetime) -> str:
    about = _about(raw)
    kind = about.get("kind", "").lower()
    return f"{kind}/{about['name']}" if about.get("name") else kind


def _either(*paths: str) -> Cell:
    def cell(raw: Object, now: datetime) -> Any:
        return next((value for path in paths if (value := found(raw, path))), "")

    return cell


LAST = (".series.lastObservedTime", ".deprecatedLastTimestamp", ".lastTimestamp", ".eventTime")
FIRST = (".deprecatedFirstTimestamp", ".firstTimestamp", ".eventTime")
COUNT = (".series.count", ".deprecatedCount", ".count")


def _seen(paths: Iterable[str]) -> Cell:
    moment = _either(*paths)
    return lambda raw, now: since(moment(raw, now), now)


def _event_count(raw: Object, now: datetime) -> int:
    count: int = _either(*COUNT)(raw, now) or 1
    return count


def _event_source(raw: Object, now: datetime) -> str:
    source = raw.get("deprecatedSource") or raw.get("source") or {}
    component = source.get("component") or _either(".reportingController", ".reportingComponent")(raw, now)
    host = source.get("host") or raw.get("reportingInstance") or ""
    return f"{component}, {host}" if host else str(component)


def _event_message(raw: Object, now: datetime) -> str:
    return str(_either(".note", ".message")(raw, now)).strip()


def _count(*names: str) -> Cell:
    return lambda raw, now: sum(len(raw.get(name) or {}) for name in names)


NAME = Column(
    "Name", _at(".metadata.name"), format="name",
    description=builtin.definitions()[builtin.META]["properties"]["name"]["description"],
)  # fmt: skip
AGE = Column("Age", _age)
TEMPLATE = (
    Column("Containers", _template("name"), wide=True),
    Column("Images", _template("image"), wide=True),
    Column("Selector", _selector, wide=True),
)
BUILT_IN: dict[str, tuple[Column, ...]] = {
    "Namespace": (NAME, Column("Status", _at(".status.phase")), AGE),
    "ConfigMap": (NAME, Column("Data", _count("data", "binaryData")), AGE),
    "Secret": (NAME, Column("Type", _at(".type")), Column("Data", _count("data")), AGE),
    "Lease": (NAME, Column("Holder", _at(".spec.holderIdentity")), AGE),
    "CustomResourceDefinition": (NAME, Column("Created At", _at(".metadata.creationTimestamp"), "date")),
    "Pod": (
        NAME,
        Column("Ready", _pod_ready),
        Column("Status", _pod_status),
        Column("Restarts", _pod_restarts),
        AGE,
        Column("IP", _at(".status.podIP", NONE), wide=True),
        Column("Node", _at(".spec.nodeName", NONE), wide=True),
        Column("Nominated Node", _at(".status.nominatedNodeName", NONE), wide=True),
        Column("Readiness Gates", _gates, wide=True),
    ),
    "Job": (
        NAME,
        Column("Status", _job_status),
        Column("Completions", _job_completions),
        Column("Duration", _job_duration),
        AGE,
        *TEMPLATE,
    ),
    "Deployment": (
        NAME,
        Column("Ready", _deployment_ready),
        Column("Up-to-date", _at(".status.updatedReplicas", 0)),
        Column("Available", _at(".status.availableReplicas", 0)),
        AGE,
        *TEMPLATE,
    ),
    "ReplicaSet": (
        NAME,
        Column("Desired", _at(".spec.replicas", 0), "integer"),
        Column("Current", _at(".status.replicas", 0), "integer"),
        Column("Ready", _at(".status.readyReplicas", 0), "integer"),
        AGE,
        *TEMPLATE,
    ),
    "Service": (
        NAME,
        Column("Type", _at(".spec.type", "ClusterIP")),
        Column("Cluster-IP", _at(".spec.clusterIP", NONE)),
        Column("External-IP", lambda raw, now: NONE),
        Column("Port(s)", _service_ports),
        AGE,
        Column("Selector", lambda raw, now: pairs(raw["spec"].get("selector") or {}), wide=True),
    ),
    "Event": (
        Column("Last Seen", _seen(LAST)),
        Column("Type", _at(".type")),
        Column("Reason", _at(".reason")),
        Column("Object", _event_object),
        Column("Subobject", lambda raw, now: _about(raw).get("fieldPath", ""), wide=True),
        Column("Source", _event_source, wide=True),
        Column("Message", _event_message),
        Column("First Seen", _seen(FIRST), wide=True),
        Column("Count", _event_count, wide=True),
        Column("Name", NAME.cell, format="name", wide=True),
    ),
}
