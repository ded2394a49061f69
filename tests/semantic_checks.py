"""What a Kubernetes API means, as rows: a name, and the requests whose answers a real server and memory must share."""

from collections.abc import Sequence
from typing import Any

from asking import (
    JSON,
    METADATA,
    METADATA_LIST,
    PATCH,
    STRATEGIC,
    TABLE,
    Ask,
    apply,
    create,
    delete,
    get,
    merge,
    patch,
    put,
    watch,
)
from builders import data_source, model_deployment, monitor, training_job, version
from treadle.api.names import API_VERSION

type Json = Any
type Row = Sequence[Ask]

BATCH = "batch/v1"
APPS = "apps/v1"
ELSE = "00000000-0000-4000-8000-000000000009"


def cm(name: str = "plan", /, data: Json = None, **metadata: Json) -> Json:
    """Return a ConfigMap."""
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, **metadata}}
    return body if data == {} else {**body, "data": data or {"x": "1"}}


def ours(raw: Json, /, **metadata: Json) -> Json:
    """Return an object of ours as a person sends it."""
    kept = {"name": raw["metadata"]["name"], **metadata}
    return {"apiVersion": API_VERSION, "kind": raw["kind"], "metadata": kept, "spec": raw["spec"]}


def source(name: str = "flights", /, metadata: Json = None, **spec: Json) -> Json:
    """Return a DataSource."""
    return ours(data_source(name=name, **spec), **(metadata or {}))


def run(name: str = "late-1", /, **spec: Json) -> Json:
    """Return a TrainingJob."""
    return ours(training_job(name=name, **spec))


def pod(name: str = "server", /, **metadata: Json) -> Json:
    """Return a Pod."""
    spec = {"containers": [{"name": "server", "image": "registry.example/x:1"}]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, **metadata}, "spec": spec}


def deployment(name: str = "server", /, **spec: Json) -> Json:
    """Return a Deployment."""
    container = {"name": "server", "image": "registry.example/x:1", "ports": [{"containerPort": 8080}]}
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [container]}}
    body = {"selector": {"matchLabels": {"a": "b"}}, "template": template, **spec}
    return {"apiVersion": APPS, "kind": "Deployment", "metadata": {"name": name}, "spec": body}


def job(name: str = "fit", /, **metadata: Json) -> Json:
    """Return a Job."""
    spec = {"restartPolicy": "Never", "containers": [{"name": "step", "image": "registry.example/x:1"}]}
    body = {"backoffLimit": 3, "template": {"spec": spec}}
    return {"apiVersion": BATCH, "kind": "Job", "metadata": {"name": name, **metadata}, "spec": body}


def owned_by(answer: int, kind: str = "ConfigMap", /, version: str = "v1", **more: Json) -> Json:
    """Return the metadata of an object that the object of an earlier answer owns."""
    name, uid = f"{{{answer}.metadata.name}}", f"{{{answer}.metadata.uid}}"
    return {"ownerReferences": [{"apiVersion": version, "kind": kind, "name": name, "uid": uid, **more}]}


def condition(type_: str, status: str = "True") -> Json:
    """Return a condition."""
    return {
        "type": type_,
        "status": status,
        "reason": "Settled",
        "message": "told",
        "lastTransitionTime": "2026-01-05T08:00:00Z",
        "observedGeneration": 1,
    }


def status_of(*types: str, **fields: Json) -> Json:
    """Return a status with these conditions."""
    return {"observedGeneration": 1, "conditions": [condition(each) for each in types], **fields}


SPEC = ("metadata.generation", "metadata.resourceVersion", "spec", "status")
OWNERS = ("metadata.managedFields", "metadata.resourceVersion", "data", "metadata.labels", "metadata.annotations")
BODY = ("metadata.resourceVersion", "data", "metadata.labels", "metadata.annotations", "metadata.finalizers")
NAMES = ("items.*.metadata.name",)
ROWS = ("columnDefinitions.*.name", "columnDefinitions.*.type", "columnDefinitions.*.priority", "rows.*.cells")
END = "2.object.metadata.annotations"
EVENTS = ("*.type", "*.object.metadata.name", "*.object.metadata.resourceVersion", "*.object.kind")
EVENT_OBJECTS = ("*.type", "*.object")

READING = {
    "an object that is not there": [get("cm/none")],
    "an object of ours that is not there": [get("dsrc/none")],
    "an object in a namespace that is not there": [get("/api/v1/namespaces/no-such-namespace/configmaps/x")],
    "a list in a namespace that is not there": [
        get("/api/v1/namespaces/no-such-namespace/configmaps", only=("kind", "items"))
    ],
    "a type that is not there": [
        get("/apis/treadle.dev/v1alpha1/namespaces/{namespace}/nothings"),
        get("/api/v1/namespaces/{namespace}/nothings"),
        get("/apis/batch/v1/namespaces/{namespace}/nothings"),
    ],
    "a group that is not there": [get("/apis/nothing.dev/v1/namespaces/{namespace}/nothings")],
    "a version that is not there": [get("/apis/treadle.dev/v1/namespaces/{namespace}/datasources")],
    "a path that is not there": [get("/nothing")],
    "a ConfigMap": [create("cm", cm()), get("cm/plan")],
    "a DataSource": [create("dsrc", source()), get("dsrc/flights")],
    "a list": [create("cm", cm("b")), create("cm", cm("a")), get("cm", only=("kind", "apiVersion", *NAMES))],
    "an empty list": [get("dsrc")],
    "the metadata alone": [create("cm", cm()), get("cm/plan", METADATA)],
    "a list of metadata": [create("dsrc", source()), get("dsrc", METADATA_LIST)],
    "a page, and the next": [
        *(create("cm", cm(name)) for name in "abcde"),
        get("cm", limit="2", only=(*NAMES, "metadata.remainingItemCount")),
        get("cm", limit="2", **{"continue": "{5.metadata.continue}"}, only=(*NAMES, "metadata.remainingItemCount")),
        get("cm", **{"continue": "{6.metadata.continue}"}, only=(*NAMES, "metadata.remainingItemCount")),
    ],
    "pages are of one moment": [
        *(create("cm", cm(name)) for name in "abd"),
        get("cm", limit="2", only=NAMES),
        create("cm", cm("c")),
        delete("cm/d"),
        get("cm", **{"continue": "{3.metadata.continue}"}, only=NAMES),
    ],
    "a list of an earlier moment": [
        create("cm", cm("a")),
        create("cm", cm("b")),
        delete("cm/a"),
        get("cm", resourceVersion="{0.metadata.resourceVersion}", resourceVersionMatch="Exact", only=NAMES),
        get("cm", resourceVersion="{0.metadata.resourceVersion}", resourceVersionMatch="NotOlderThan", only=NAMES),
        get("cm", resourceVersion="{0.metadata.resourceVersion}", only=NAMES),
        get("cm", resourceVersion="0", only=NAMES),
        get("cm", resourceVersion="0", resourceVersionMatch="Exact"),
        get("cm", resourceVersion="1", resourceVersionMatch="Perhaps"),
    ],
    "a page of selected objects tells no rest": [
        *(create("cm", cm(name, labels={"a": "1"})) for name in "abc"),
        get("cm", limit="1", labelSelector="a=1", only=(*NAMES, "metadata.remainingItemCount")),
    ],
    "a continuation that is none": [get("cm", **{"continue": "nothing!"})],
    "what the group serves": [
        get(
            "/apis/treadle.dev/v1alpha1",
            only=(
                "kind",
                "groupVersion",
                "resources.*.name",
                "resources.*.shortNames",
                "resources.*.categories",
                "resources.*.kind",
                "resources.*.namespaced",
            ),
        ),
        get("/apis/treadle.dev", only=("kind", "name", "versions", "preferredVersion")),
    ],
    "our definitions": [
        get(
            "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/monitors.treadle.dev",
            only=("kind", "metadata.name", "spec.names", "spec.scope", "status.acceptedNames", "status.storedVersions"),
        ),
    ],
}

TABLES = {
    "a table of DataSources": [
        create("dsrc", source()),
        merge(
            "dsrc/flights/status",
            {
                "status": status_of(
                    "Ready",
                    currentVersion=version(),
                )
            },
        ),
        get("dsrc", TABLE, only=("kind", "apiVersion", *ROWS, "rows.*.object.kind")),
    ],
    "a table of TrainingJobs": [
        create("tj", run()),
        merge("tj/late-1/status", {"status": status_of("Complete", progress={"percentage": 40})}),
        get("tj", TABLE, only=ROWS),
    ],
    "a table of ModelDeployments": [create("mdep", ours(model_deployment())), get("mdep", TABLE, only=ROWS)],
    "a table of Monitors": [create("mon", ours(monitor())), get("mon", TABLE, only=ROWS)],
    "a table of one object": [create("dsrc", source()), get("dsrc/flights", TABLE, only=("kind", *ROWS))],
    "a table with whole objects": [
        create("cm", cm()),
        get("cm/plan", TABLE, includeObject="Object", only=("rows.*.object",)),
    ],
    "a table without objects": [
        create("cm", cm()),
        get("cm/plan", TABLE, includeObject="None", only=("rows.*.object",)),
    ],
    "a table of ConfigMaps": [create("cm", cm("p", {"a": "1", "b": "2"})), get("cm/p", TABLE, only=ROWS)],
    "a table of Secrets": [
        create("secret", {"metadata": {"name": "s"}, "stringData": {"a": "1"}}),
        get("secret", TABLE, only=ROWS),
    ],
    "a table of Pods": [
        create("pod", pod("waiting")),
        create("pod", pod("running")),
        merge(
            "pod/running/status",
            {
                "status": {
                    "phase": "Running",
                    "podIP": "127.84.0.1",
                    "containerStatuses": [
                        {
                            "name": "server",
                            "ready": True,
                            "restartCount": 0,
                            "image": "x",
                            "imageID": "",
                            "state": {"running": {"startedAt": "2026-01-05T08:00:00Z"}},
                        }
                    ],
                }
            },
        ),
        create("pod", pod("failed")),
        merge(
            "pod/failed/status",
            {
                "status": {
                    "phase": "Failed",
                    "containerStatuses": [
                        {
                            "name": "server",
                            "ready": False,
                            "restartCount": 2,
                            "image": "x",
                            "imageID": "",
                            "state": {
                                "terminated": {
                                    "exitCode": 3,
                                    "reason": "Error",
                                    "startedAt": "2026-01-05T08:00:00Z",
                                    "finishedAt": "2026-01-05T08:00:01Z",
                                }
                            },
                        }
                    ],
                }
            },
        ),
        create("pod", pod("backing-off")),
        merge(
            "pod/backing-off/status",
            {
                "status": {
                    "phase": "Running",
                    "containerStatuses": [
                        {
                            "name": "server",
                            "ready": False,
                            "restartCount": 4,
                            "image": "x",
                            "imageID": "",
                            "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                        }
                    ],
                }
            },
        ),
        get("pod", TABLE, only=ROWS),
    ],
    "a table of Jobs": [
        create("job", job("new")),
        create("job", job("done")),
        merge(
            "job/done/status",
            {
                "status": {
                    "startTime": "2026-01-05T08:00:00Z",
                    "completionTime": "2026-01-05T08:03:30Z",
                    "succeeded": 1,
                    "uncountedTerminatedPods": {},
                    "conditions": [
                        {
                            "type": each,
                            "status": "True",
                            "lastTransitionTime": "2026-01-05T08:01:30Z",
                            "lastProbeTime": "2026-01-05T08:01:30Z",
                        }
                        for each in ("SuccessCriteriaMet", "Complete")
                    ],
                }
            },
        ),
        get(
            "job",
            TABLE,
            only=(
                "columnDefinitions.*.name",
                "rows.0.cells.0",
                "rows.0.cells.1",
                "rows.0.cells.2",
                "rows.0.cells.3",
                "rows.0.cells.5",
                "rows.0.cells.6",
                "rows.1.cells.1",
                "rows.1.cells.2",
            ),
        ),
    ],
    "a table of Deployments": [
        create("deploy", deployment()),
        merge(
            "deploy/server/status",
            {"status": {"replicas": 1, "readyReplicas": 1, "updatedReplicas": 1, "availableReplicas": 1}},
        ),
        get("deploy", TABLE, only=ROWS),
    ],
    "a table of ReplicaSets": [
        create("rs", {**deployment(), "kind": "ReplicaSet"}),
        get("rs", TABLE, only=ROWS),
    ],
    "a table of Leases": [
        create("lease", {"metadata": {"name": "l"}, "spec": {"holderIdentity": "a"}}),
        get("lease", TABLE, only=ROWS),
    ],
    "a table of Events": [
        create(
            "ev",
            {
                "metadata": {"name": "e"},
                "involvedObject": {"kind": "DataSource", "name": "flights", "namespace": "{namespace}"},
                "reason": "Published",
                "message": "version 1",
                "type": "Normal",
                "source": {"component": "treadle"},
                "count": 3,
            },
        ),
        get("ev", TABLE, only=ROWS),
    ],
    "a table of Services": [
        create(
            "svc",
            {
                "metadata": {"name": "s"},
                "spec": {
                    "clusterIP": "None",
                    "selector": {"a": "b"},
                    "ports": [{"name": "http", "port": 80, "targetPort": 8080}],
                },
            },
        ),
        get("svc", TABLE, only=ROWS),
    ],
    "a table of a page": [
        create("cm", cm("a")),
        create("cm", cm("b")),
        get("cm", TABLE, limit="1", only=("rows.*.cells",)),
    ],
}

SELECTING = {
    "labels that are equal, or not": [
        create("cm", cm("a", labels={"a": "1", "b": "2"})),
        create("cm", cm("b", labels={"a": "2"})),
        create("cm", cm("c")),
        *(get("cm", labelSelector=each, only=NAMES) for each in ("a=1", "a==1", "a!=1", "a=1,b=2", "a=1,b!=2")),
    ],
    "labels of a set, or there at all": [
        create("cm", cm("a", labels={"a": "1"})),
        create("cm", cm("b", labels={"a": "2"})),
        create("cm", cm("c")),
        *(
            get("cm", labelSelector=each, only=NAMES)
            for each in ("a in (1,2)", "a notin (1)", "a", "!a", "a in (1, 3), a")
        ),
    ],
    "a name": [create("cm", cm("a")), create("cm", cm("b")), get("cm", fieldSelector="metadata.name=b", only=NAMES)],
    "all names but one": [
        create("cm", cm("a")),
        create("cm", cm("b")),
        get("cm", fieldSelector="metadata.name!=b", only=NAMES),
    ],
    "a namespace": [
        create("cm", cm("a")),
        get("/api/v1/configmaps", fieldSelector="metadata.namespace={namespace}", only=NAMES),
    ],
    "a field that is not offered": [get("cm", fieldSelector="data.x=1")],
    "a field of ours that is not offered": [get("dsrc", fieldSelector="spec.filter=1")],
    "a field selector that is none": [get("cm", fieldSelector="metadata.name")],
    "a selectable field of a TrainingJob": [
        create("tj", run("a", modelName="one")),
        create("tj", run("b", modelName="two")),
        get("tj", fieldSelector="spec.modelName=two", only=NAMES),
        get("tj", fieldSelector="spec.modelName!=two,spec.dataRef.name=flights", only=NAMES),
    ],
    "the phase of a Pod": [
        create("pod", pod("a")),
        create("pod", pod("b")),
        merge("pod/b/status", {"status": {"phase": "Running"}}),
        get("pod", fieldSelector="status.phase=Running", only=NAMES),
        get("pod", fieldSelector="status.phase!=Running,spec.restartPolicy=Always", only=NAMES),
    ],
    "the object of an Event, in both groups": [
        create(
            "event",
            {
                "metadata": {"name": "e"},
                "regarding": {"kind": "DataSource", "name": "flights", "namespace": "{namespace}"},
                "reason": "Published",
                "note": "version 1",
                "type": "Normal",
                "action": "Reconcile",
                "eventTime": "2026-01-05T08:00:00.000000Z",
                "reportingController": "treadle",
                "reportingInstance": "treadle-0",
            },
        ),
        get("ev", fieldSelector="involvedObject.name=flights,involvedObject.kind=DataSource", only=NAMES),
        get("event", fieldSelector="regarding.name=flights", only=NAMES),
        get("event", fieldSelector="regarding.name=other", only=NAMES),
        get(
            "ev/e",
            only=(
                "involvedObject",
                "message",
                "reason",
                "source",
                "count",
                "firstTimestamp",
                "eventTime",
                "reportingComponent",
                "apiVersion",
            ),
        ),
        get("event/e"),
    ],
    "the type of a Secret": [
        create("secret", {"metadata": {"name": "a"}}),
        get("secret", fieldSelector="type=Opaque", only=NAMES),
    ],
}

CREATING = {
    "a name twice": [create("cm", cm()), create("cm", cm())],
    "a name twice, of ours": [create("dsrc", source()), create("dsrc", source())],
    "a name that the server makes": [create("cm", {"metadata": {"generateName": "plan-"}})],
    "no name": [create("cm", {"metadata": {}}), create("dsrc", {**source(), "metadata": {}})],
    "a name that is none": [create("cm", cm("Not_A_Name"))],
    "a label that is none": [create("cm", cm("a", labels={"-": "x y"}))],
    "an annotation that is none": [create("cm", cm("a", annotations={"a b": ""}))],
    "a finalizer that is none": [create("cm", cm("a", finalizers=["x y"]))],
    "a namespace that is not there": [create("/api/v1/namespaces/no-such-namespace/configmaps", cm())],
    "another namespace": [create("cm", cm("a", namespace="other"))],
    "another kind": [create("dsrc", {**source(), "kind": "Monitor"}), create("cm", {**cm(), "kind": "ServiceAccount"})],
    "another version": [
        create("dsrc", {"apiVersion": "treadle.dev/v1", "kind": "DataSource", "metadata": {"name": "a"}})
    ],
    "no kind": [create("cm", {"metadata": {"name": "a"}}), create("dsrc", {"metadata": {"name": "a"}, "spec": {}})],
    "a body that is no JSON": [
        create("cm", "{no json"),
        create("cm", '{"kind":'),
        create("dsrc", "?"),
        create("cm", '{"a": 1} x'),
    ],
    "a body that is a list": [create("dsrc", [])],
    "what the server gives is not taken": [
        create(
            "dsrc",
            {
                **source(metadata={"uid": ELSE, "creationTimestamp": "2020-01-01T00:00:00Z", "generation": 7}),
                "status": status_of("Ready"),
            },
        ),
    ],
    "a resource version": [create("cm", cm("a", resourceVersion="1"))],
    "one object at a named path": [Ask("POST", "/api/v1/namespaces/{namespace}/configmaps/plan", cm())],
    "a namespace": [
        create("/api/v1/namespaces", {"metadata": {"name": "{namespace}-more"}}),
        delete("/api/v1/namespaces/{namespace}-more", only=("status.phase",)),
    ],
    "who created": [create("cm", cm("a", labels={"a": "1"})), create("dsrc", source())],
    "who created by another name": [create("cm", cm(), fieldManager="other")],
    "a manager's name that is too long": [create("cm", cm(), fieldManager="x" * 129)],
    "a Job has the labels of its pods": [create("job", job(), only=("metadata.labels", "spec", "status"))],
    "a Deployment's defaults": [create("deploy", deployment(), only=("spec", "status", "metadata.managedFields"))],
    "a Secret's text": [create("secret", {"metadata": {"name": "s"}, "stringData": {"a": "1"}, "data": {"b": "Mg=="}})],
    "the key of a ConfigMap that is none": [create("cm", cm("a", {"a b": "1"}))],
}

UPDATING = {
    "the version that was read": [
        create("cm", cm()),
        put("cm/plan", cm(data={"x": "2"}, resourceVersion="{0.metadata.resourceVersion}"), only=OWNERS),
    ],
    "an older version": [
        create("cm", cm()),
        put("cm/plan", cm(data={"x": "2"}), only=BODY),
        put("cm/plan", cm(data={"x": "3"}, resourceVersion="{0.metadata.resourceVersion}")),
    ],
    "an older version of ours": [
        create("dsrc", source()),
        put(
            "dsrc/flights",
            source(metadata={"resourceVersion": "{0.metadata.resourceVersion}"}, filter="a > 1"),
            only=SPEC,
        ),
        put("dsrc/flights", source(metadata={"resourceVersion": "{0.metadata.resourceVersion}"}, filter="a > 2")),
    ],
    "no version, which ours want": [
        create("dsrc", source()),
        put("dsrc/flights", source(filter="a > 1")),
        create("lease", {"metadata": {"name": "l"}, "spec": {"holderIdentity": "a"}}),
        put("lease/l", {"metadata": {"name": "l"}, "spec": {"holderIdentity": "b"}}),
    ],
    "nothing keeps the version": [
        create("dsrc", source()),
        put("dsrc/flights", source(metadata={"resourceVersion": "{0.metadata.resourceVersion}"}), only=SPEC),
    ],
    "the spec raises the generation": [
        create("dsrc", source()),
        put(
            "dsrc/flights",
            source(metadata={"resourceVersion": "{0.metadata.resourceVersion}"}, filter="a > 1"),
            only=SPEC,
        ),
    ],
    "a label leaves the generation": [
        create("dsrc", source()),
        merge("dsrc/flights", {"metadata": {"labels": {"a": "1"}}}, only=SPEC),
    ],
    "an object that is not there": [
        put("cm/none", cm("none")),
        put("dsrc/none", source("none", metadata={"resourceVersion": "1"})),
    ],
    "another name": [create("cm", cm()), put("cm/plan", cm("other"))],
    "another uid": [create("cm", cm()), put("cm/plan", cm(uid=ELSE))],
    "another creation time stays out": [
        create("cm", cm()),
        put("cm/plan", cm(creationTimestamp="2020-01-01T00:00:00Z"), only=("metadata.creationTimestamp",)),
    ],
    "who updated": [
        create("cm", cm(data={"x": "1", "y": "1"})),
        put("cm/plan", cm(data={"x": "2", "z": "1"}), fieldManager="other", only=OWNERS),
    ],
    "managers that a person resets": [
        create("cm", cm()),
        put("cm/plan", {**cm(), "metadata": {"name": "plan", "managedFields": [{}]}}, only=OWNERS),
    ],
    "a ConfigMap that may not change": [
        create("cm", {**cm(), "immutable": True}),
        put("cm/plan", {**cm(data={"x": "2"}), "immutable": True}),
        put("cm/plan", cm()),
        merge("cm/plan", {"metadata": {"labels": {"a": "1"}}}, only=BODY),
    ],
}

PATCHING = {
    "a merge patch": [
        create("cm", cm(data={"x": "1", "y": "1"}, labels={"a": "1"})),
        merge("cm/plan", {"data": {"x": "2", "y": None, "z": "3"}, "metadata": {"labels": None}}, only=OWNERS),
    ],
    "a merge patch of a list replaces it": [
        create("cm", cm(finalizers=["treadle.dev/a", "treadle.dev/b"])),
        merge("cm/plan", {"metadata": {"finalizers": ["treadle.dev/b"]}}, only=BODY),
        merge("cm/plan", {"metadata": {"finalizers": None}}, only=BODY),
    ],
    "a merge patch of nothing keeps the version": [
        create("cm", cm()),
        merge("cm/plan", {"data": {"x": "1"}}, only=BODY),
    ],
    "a merge patch of an older version": [
        create("cm", cm()),
        merge("cm/plan", {"data": {"x": "2"}}, only=BODY),
        merge("cm/plan", {"metadata": {"resourceVersion": "{0.metadata.resourceVersion}"}, "data": {"x": "3"}}),
    ],
    "a merge patch of another uid": [
        create("cm", cm()),
        merge("cm/plan", {"metadata": {"uid": ELSE}}),
        create("dsrc", source()),
        merge("dsrc/flights", {"metadata": {"uid": ELSE}}),
    ],
    "a merge patch of another name": [create("cm", cm()), merge("cm/plan", {"metadata": {"name": "other"}})],
    "a merge patch of ours": [
        create("dsrc", source()),
        merge("dsrc/flights", {"spec": {"filter": "a > 1"}}, only=(*SPEC, "metadata.managedFields")),
    ],
    "a merge patch that is a list": [create("dsrc", source()), merge("dsrc/flights", [])],
    "a merge patch of what is not there": [merge("cm/none", {"data": {}}), merge("dsrc/none", {"spec": {}})],
    "a JSON patch": [
        create("cm", cm(data={"x": "1", "y": "1"})),
        patch(
            "cm/plan",
            {"op": "test", "path": "/data/x", "value": "1"},
            {"op": "replace", "path": "/data/x", "value": "2"},
            {"op": "remove", "path": "/data/y"},
            {"op": "add", "path": "/metadata/labels", "value": {"a~b": "1"}},
        ),
        patch(
            "cm/plan",
            {"op": "copy", "from": "/data/x", "path": "/data/z"},
            {"op": "move", "from": "/data/x", "path": "/data/w"},
        ),
    ],
    "a JSON patch whose test fails": [
        create("cm", cm()),
        patch("cm/plan", {"op": "test", "path": "/data/x", "value": "2"}),
        create("dsrc", source()),
        patch("dsrc/flights", {"op": "test", "path": "/spec/filter", "value": "2"}),
    ],
    "a JSON patch to nowhere": [
        create("dsrc", source()),
        patch("dsrc/flights", {"op": "remove", "path": "/spec/nothing"}),
        patch("dsrc/flights", {"op": "add", "path": "/status/a/b", "value": 1}),
    ],
    "a JSON patch with an operation that is none": [
        create("cm", cm()),
        patch("cm/plan", {"op": "turn", "path": "/data/x"}),
    ],
    "a JSON patch that is an object": [create("cm", cm()), merge("cm/plan", {"op": "add"}, content=PATCH)],
    "a JSON patch of a list item": [
        create("cm", cm(finalizers=["treadle.dev/a"])),
        patch("cm/plan", {"op": "add", "path": "/metadata/finalizers/-", "value": "treadle.dev/b"}),
        patch("cm/plan", {"op": "remove", "path": "/metadata/finalizers/0"}),
        patch("cm/plan", {"op": "remove", "path": "/metadata/finalizers"}),
    ],
    "a strategic merge patch of a container": [
        create("deploy", deployment(), only=()),
        merge(
            "deploy/server",
            {"spec": {"template": {"spec": {"containers": [{"name": "server", "image": "registry.example/x:2"}]}}}},
            content=STRATEGIC,
            only=(
                "spec.template.spec.containers.*.name",
                "spec.template.spec.containers.*.image",
                "metadata.generation",
            ),
        ),
        merge(
            "deploy/server",
            {"spec": {"template": {"spec": {"containers": [{"name": "more", "image": "registry.example/y:1"}]}}}},
            content=STRATEGIC,
            only=("spec.template.spec.containers.*.name", "spec.template.spec.containers.*.image"),
        ),
        merge(
            "deploy/server",
            {"spec": {"template": {"spec": {"containers": [{"name": "more", "$patch": "delete"}]}}}},
            content=STRATEGIC,
            only=("spec.template.spec.containers.*.name",),
        ),
    ],
    "a strategic merge patch of a map": [
        create("cm", cm(data={"x": "1", "y": "1"})),
        merge("cm/plan", {"data": {"x": None, "z": "1"}}, content=STRATEGIC, only=BODY),
        merge("cm/plan", {"data": {"$patch": "replace", "only": "1"}}, content=STRATEGIC, only=BODY),
        merge("cm/plan", {"metadata": {"labels": {"a": "1"}}}, content=STRATEGIC, only=BODY),
    ],
    "a strategic merge patch of finalizers": [
        create("cm", cm(finalizers=["treadle.dev/a", "treadle.dev/b"])),
        merge("cm/plan", {"metadata": {"finalizers": ["treadle.dev/c"]}}, content=STRATEGIC, only=BODY),
        merge(
            "cm/plan",
            {"metadata": {"$deleteFromPrimitiveList/finalizers": ["treadle.dev/a"]}},
            content=STRATEGIC,
            only=BODY,
        ),
        merge("cm/plan", {"metadata": {"finalizers": None}}, content=STRATEGIC, only=BODY),
    ],
    "a strategic merge patch of ours": [
        create("dsrc", source()),
        merge("dsrc/flights", {"spec": {"filter": "a > 1"}}, content=STRATEGIC),
    ],
    "a patch of another kind": [create("cm", cm()), merge("cm/plan", {}, content=JSON)],
    "force on a merge patch": [create("cm", cm()), merge("cm/plan", {"data": {"x": "2"}}, force="true")],
}

APPLYING = {
    "an apply creates, with owners": [apply("cm/plan", cm(data={"x": "1", "y": "1"}, labels={"a": "1"}))],
    "an apply of ours": [apply("dsrc/flights", source(filter="a > 1"))],
    "an apply without change": [apply("cm/plan", cm()), apply("cm/plan", cm(), only=OWNERS)],
    "a field left out goes": [
        apply("cm/plan", cm(data={"x": "1", "y": "1"})),
        apply("cm/plan", cm(data={"y": "1"}), only=OWNERS),
    ],
    "all fields left out": [apply("cm/plan", cm(labels={"a": "1"})), apply("cm/plan", cm(data={}), only=OWNERS)],
    "a field of another manager stays": [
        apply("cm/plan", cm(data={"x": "1"})),
        apply("cm/plan", cm(data={"y": "1"}), manager="two"),
        apply("cm/plan", cm(data={"x": "2"}), only=OWNERS),
    ],
    "a shared field stays while one wants it": [
        apply("cm/plan", cm(data={"x": "1", "y": "1"})),
        apply("cm/plan", cm(data={"x": "1"}), manager="two"),
        apply("cm/plan", cm(data={"y": "1"}), only=OWNERS),
        apply("cm/plan", cm(data={}), manager="two", only=OWNERS),
    ],
    "one conflict": [apply("cm/plan", cm(data={"x": "1"})), apply("cm/plan", cm(data={"x": "2"}), manager="two")],
    "several conflicts": [
        apply("cm/plan", cm(data={"x": "1", "y": "1"}, labels={"a": "1"})),
        apply("cm/plan", cm(data={"x": "2", "y": "2"}, labels={"a": "2"}), manager="two"),
    ],
    "conflicts with several managers": [
        apply("cm/plan", cm(data={"x": "1"})),
        apply("cm/plan", cm(data={"y": "1"}), manager="two"),
        apply("cm/plan", cm(data={"x": "2", "y": "2"}), manager="three"),
    ],
    "a conflict with an update": [create("cm", cm()), apply("cm/plan", cm(data={"x": "2"}))],
    "a conflict of ours": [
        apply("dsrc/flights", source(filter="a > 1")),
        apply("dsrc/flights", source(filter="a > 2"), manager="two"),
    ],
    "an equal value is no conflict": [create("cm", cm()), apply("cm/plan", cm(), only=OWNERS)],
    "force takes a field": [
        apply("cm/plan", cm(data={"x": "1"})),
        apply("cm/plan", cm(data={"x": "2"}), manager="two", force="true", only=OWNERS),
    ],
    "a person takes a field from an applier": [
        apply("cm/plan", cm(data={"x": "1", "y": "1"})),
        merge("cm/plan", {"data": {"x": "2"}}, only=OWNERS),
        apply("cm/plan", cm(data={"x": "1", "y": "1"})),
        apply("cm/plan", cm(data={"x": "1", "y": "1"}), force="true", only=OWNERS),
    ],
    "a person removes an applied field": [
        apply("cm/plan", cm(data={"x": "1", "y": "1"})),
        merge("cm/plan", {"data": {"x": None}}, only=OWNERS),
        apply("cm/plan", cm(data={"y": "1"}), only=OWNERS),
    ],
    "items of a list by their keys": [
        apply("deploy/server", deployment(), only=("metadata.managedFields",)),
        apply(
            "deploy/server",
            {
                **deployment(),
                "spec": {"template": {"spec": {"containers": [{"name": "more", "image": "registry.example/y:1"}]}}},
            },
            manager="two",
            only=("spec.template.spec.containers.*.name", "metadata.managedFields.*.fieldsV1"),
        ),
        apply(
            "deploy/server",
            {**deployment(), "spec": {}},
            manager="two",
            only=("spec.template.spec.containers.*.name", "metadata.managedFields.*.manager"),
        ),
    ],
    "a conflict in an item of a list": [
        apply("deploy/server", deployment(), only=()),
        apply(
            "deploy/server",
            {
                **deployment(),
                "spec": {"template": {"spec": {"containers": [{"name": "server", "image": "registry.example/y:1"}]}}},
            },
            manager="two",
        ),
    ],
    "an item twice": [
        apply(
            "deploy/server",
            deployment(
                template={
                    "metadata": {"labels": {"a": "b"}},
                    "spec": {"containers": [{"name": "a", "image": "x"}, {"name": "a", "image": "y"}]},
                }
            ),
        ),
    ],
    "finalizers as a set": [
        apply("cm/plan", cm(finalizers=["treadle.dev/a"])),
        apply("cm/plan", cm(finalizers=["treadle.dev/b"]), manager="two", only=(*BODY, "metadata.managedFields")),
        apply("cm/plan", cm(), only=BODY),
        apply("cm/plan", cm(), manager="two", only=BODY),
    ],
    "a whole list that is atomic": [apply("dsrc/flights", source(), only=("metadata.managedFields",))],
    "no manager": [apply("cm/plan", cm(), manager="")],
    "an unknown field": [apply("dsrc/flights", source(nothing=1)), apply("cm/plan", {**cm(), "nothing": 1})],
    "a value of another type": [apply("dsrc/flights", source(filter=7)), apply("cm/plan", cm(data={"x": 1}))],
    "a null": [apply("cm/plan", cm(data={"x": None}))],
    "a uid of an object that is gone": [apply("cm/plan", cm(uid=ELSE))],
    "a version of an object that is gone": [apply("cm/plan", cm(resourceVersion="1"))],
    "another uid": [apply("cm/plan", cm()), apply("cm/plan", cm(data={"x": "2"}, uid=ELSE))],
    "an older version": [
        apply("cm/plan", cm()),
        apply("cm/plan", cm(data={"x": "2"}), only=BODY),
        apply("cm/plan", cm(data={"x": "3"}, resourceVersion="{0.metadata.resourceVersion}")),
    ],
    "an apply in YAML": [
        Ask(
            "PATCH",
            "/api/v1/namespaces/{namespace}/configmaps/plan",
            "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: plan\ndata:\n  x: '1'\n",
            "application/apply-patch+yaml",
            query={"fieldManager": "one"},
            only=OWNERS,
        )
    ],
    "an apply without name or kind": [
        apply("cm/plan", {"data": {"x": "1"}}),
        apply("cm/plan", {"apiVersion": "v1", "kind": "ConfigMap", "data": {"x": "1"}}, only=BODY),
    ],
    "an apply with managers": [
        apply("cm/plan", {**cm(), "metadata": {"name": "plan", "managedFields": [{"manager": "x"}]}})
    ],
    "an apply of owners": [
        create("cm", cm("owner")),
        apply(
            "cm/plan", cm(**owned_by(0)), only=("metadata.ownerReferences.*.name", "metadata.managedFields.*.manager")
        ),
    ],
    "an apply and an update by one manager": [
        apply("cm/plan", cm(data={"x": "1"}), manager="one"),
        merge("cm/plan", {"data": {"y": "1"}}, fieldManager="one", only=OWNERS),
    ],
}

STATUS = {
    "the status of a new object goes": [create("dsrc", {**source(), "status": status_of("Ready")}, only=SPEC)],
    "a status by merge patch": [
        create("dsrc", source()),
        merge("dsrc/flights/status", {"status": status_of("Ready")}, only=(*SPEC, "metadata.managedFields")),
    ],
    "a status by replacement leaves the spec": [
        create("dsrc", source()),
        put(
            "dsrc/flights/status",
            {
                **source(
                    metadata={"resourceVersion": "{0.metadata.resourceVersion}", "labels": {"a": "1"}}, filter="a > 1"
                ),
                "status": status_of("Ready"),
            },
            only=(*SPEC, "metadata.labels", "metadata.managedFields"),
        ),
    ],
    "an object by replacement leaves the status": [
        create("dsrc", source()),
        merge("dsrc/flights/status", {"status": status_of("Ready")}, only=SPEC),
        put(
            "dsrc/flights",
            {
                **source(metadata={"resourceVersion": "{1.metadata.resourceVersion}"}, filter="a > 1"),
                "status": status_of("Other"),
            },
            only=SPEC,
        ),
    ],
    "a status by apply": [
        create("dsrc", source()),
        apply(
            "dsrc/flights/status",
            {**source(), "status": status_of("Ready", "Fetched")},
            only=(*SPEC, "metadata.managedFields"),
        ),
        apply(
            "dsrc/flights/status",
            {
                "apiVersion": API_VERSION,
                "kind": "DataSource",
                "metadata": {"name": "flights"},
                "status": status_of("Ready"),
            },
            only=SPEC,
        ),
    ],
    "a status by apply with labels": [
        create("dsrc", source()),
        apply(
            "dsrc/flights/status",
            {
                "apiVersion": API_VERSION,
                "kind": "DataSource",
                "metadata": {"name": "flights", "labels": {"a": "1"}},
                "status": status_of("Ready"),
            },
            only=("metadata.labels", "metadata.managedFields"),
        ),
    ],
    "conditions by their type": [
        create("dsrc", source()),
        apply(
            "dsrc/flights/status",
            {
                "apiVersion": API_VERSION,
                "kind": "DataSource",
                "metadata": {"name": "flights"},
                "status": status_of("Ready"),
            },
            only=SPEC,
        ),
        apply(
            "dsrc/flights/status",
            {
                "apiVersion": API_VERSION,
                "kind": "DataSource",
                "metadata": {"name": "flights"},
                "status": {"conditions": [condition("Fetched")]},
            },
            manager="two",
            only=SPEC,
        ),
        apply(
            "dsrc/flights/status",
            {
                "apiVersion": API_VERSION,
                "kind": "DataSource",
                "metadata": {"name": "flights"},
                "status": {"conditions": [condition("Fetched", "False")]},
            },
            manager="three",
        ),
    ],
    "a status of an object that is not there": [
        apply("dsrc/none/status", {**source("none"), "status": status_of("Ready")}),
        merge("dsrc/none/status", {"status": {}}),
    ],
    "a status of a type without one": [merge("cm/plan/status", {"status": {}})],
    "reading a status": [create("dsrc", source()), get("dsrc/flights/status", only=SPEC)],
    "a status that breaks its schema": [
        create("dsrc", source()),
        merge("dsrc/flights/status", {"status": {"conditions": 7}}),
    ],
    "the status of a built-in object": [
        create("job", job()),
        merge(
            "job/fit/status",
            {"status": {"active": 1, "startTime": "2026-01-05T08:00:00Z", "uncountedTerminatedPods": {}}},
            only=("status", "metadata.generation"),
        ),
        merge("job/fit", {"status": {"active": 2}}, only=("status", "metadata.generation")),
    ],
}

VALIDATING = {
    "unknown fields go, with a warning": [create("dsrc", source(nothing=1, format={"name": "CSV", "more": 2}))],
    "unknown fields are refused": [
        create("dsrc", source(nothing=1), fieldValidation="Strict"),
        create("cm", {**cm(), "nothing": 1}, fieldValidation="Strict"),
    ],
    "unknown fields are ignored": [create("dsrc", source(nothing=1), fieldValidation="Ignore", only=SPEC)],
    "unknown fields of metadata": [
        create("cm", cm(nothing="1"), fieldValidation="Strict"),
        create("dsrc", source(metadata={"nothing": 1}), fieldValidation="Strict"),
    ],
    "unknown fields in a replacement": [
        create("dsrc", source()),
        put(
            "dsrc/flights",
            source(metadata={"resourceVersion": "{0.metadata.resourceVersion}"}, nothing=1),
            fieldValidation="Strict",
        ),
    ],
    "unknown fields in a merge patch": [
        create("dsrc", source()),
        merge("dsrc/flights", {"spec": {"nothing": 1}}, fieldValidation="Strict"),
        merge("dsrc/flights", {"spec": {"nothing": 1}}, only=SPEC),
    ],
    "unknown fields in a JSON patch": [
        create("dsrc", source()),
        patch("dsrc/flights", {"op": "add", "path": "/spec/nothing", "value": 1}, fieldValidation="Strict"),
    ],
    "unknown fields in a strategic merge patch": [
        create("cm", cm()),
        merge("cm/plan", {"nothing": 1}, content=STRATEGIC, fieldValidation="Strict"),
    ],
    "unknown fields in an apply": [apply("dsrc/flights", source(nothing=1), fieldValidation="Strict")],
    "a key twice": [
        create(
            "cm",
            '{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"a"},"data":{"x":"1","x":"2"}}',
            fieldValidation="Strict",
        ),
        create("cm", '{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"a"},"data":{"x":"1","x":"2"}}'),
    ],
    "a validation that is none": [create("cm", cm(), fieldValidation="Perhaps")],
    "a field that is missing": [
        create("dsrc", {"metadata": {"name": "a"}, "apiVersion": API_VERSION, "kind": "DataSource"})
    ],
    "a rule in CEL": [create("dsrc", source("x" * 41))],
    "a value of another type": [create("dsrc", source(filter=7))],
    "a metadata field of another type": [create("dsrc", source(metadata={"labels": {"a": 1}}))],
    "defaults": [create("dsrc", source(), only=("spec",)), create("mdep", ours(model_deployment()), only=("spec",))],
    "a spec that may not change": [create("tj", run()), merge("tj/late-1", {"spec": {"modelName": "other"}})],
}

MALFORMED = {
    "metadata": [
        create("cm", {"metadata": 7}),
        create("cm", {"metadata": []}),
        create("dsrc", {**source(), "metadata": 7}),
        put("cm/plan", {"metadata": []}),
    ],
    "a name": [create("cm", {"metadata": {"name": 7}}), create("dsrc", {**source(), "metadata": {"name": 7}})],
    "labels": [
        create("cm", {"metadata": {"name": "a", "labels": {"a": 1}}}),
        create("cm", {"metadata": {"name": "a", "labels": []}}),
        create("dsrc", {**source(), "metadata": {"name": "a", "labels": []}}),
    ],
    "data": [
        create("cm", {"metadata": {"name": "a"}, "data": [1]}),
        create("cm", {"metadata": {"name": "a"}, "data": {"x": 1}}),
        create("cm", {"metadata": {"name": "a"}, "data": {"x": None}}),
    ],
    "a spec of a built-in type": [
        create("pod", {"metadata": {"name": "a"}, "spec": 7}),
        create("pod", {"metadata": {"name": "a"}, "spec": {"containers": 7}}),
        create("pod", {"metadata": {"name": "a"}, "spec": {"containers": [{"name": 1}]}}),
        create("deploy", {"metadata": {"name": "a"}, "spec": {"replicas": "two"}}),
        create("deploy", {"metadata": {"name": "a"}, "spec": {"paused": "yes"}}),
    ],
    "kind and version": [
        create("cm", {"kind": 7, "metadata": {"name": "a"}}),
        create("cm", {"apiVersion": {}, "metadata": {"name": "a"}}),
        create("dsrc", {**source(), "kind": 7}),
    ],
    "what a merge patch makes": [
        create("dsrc", source()),
        merge("dsrc/flights", {"metadata": 7}),
        merge("dsrc/flights", {"metadata": {"labels": 7}}),
        create("cm", cm()),
        merge("cm/plan", {"metadata": 7}),
    ],
    "a JSON patch": [
        create("cm", cm()),
        patch("cm/plan", 7),
        patch("cm/plan", {"op": "add", "path": 7, "value": 1}),
        patch("cm/plan", {"op": 7, "path": "/data/x"}),
        patch("cm/plan", {"op": "remove"}),
        patch("cm/plan", {"op": "add", "path": "/data/y"}),
    ],
    "a strategic merge patch": [create("cm", cm()), merge("cm/plan", [], content=STRATEGIC)],
    "an apply": [
        apply("cm/plan", {"apiVersion": "v1", "kind": "ConfigMap", "metadata": 7}),
        apply("cm/plan", {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": 7}}),
        apply("cm/plan", {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "plan", "labels": 7}}),
        apply("cm/plan", 7),
        apply("dsrc/flights", {**source(), "metadata": {"name": "flights", "labels": 7}}),
    ],
    "options of a delete": [
        create("cm", cm()),
        delete("cm/plan", {"preconditions": 7}),
        delete("cm/plan", {"gracePeriodSeconds": "x"}),
        delete("cm/plan", {"propagationPolicy": 7}),
        delete("cm/plan", [1]),
        delete("cm/plan", gracePeriodSeconds="x"),
    ],
    "a query": [
        get("cm", limit="x"),
        get("cm", limit="-1", only=("items",)),
        get("cm", **{"continue": "e30"}),
        get("cm", labelSelector="a=b=c"),
    ],
}

LABELLED = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "a", "image": "x"}]}}
POD_OF = {"containers": [{"name": "a", "image": "x"}]}

BUILT_IN = {
    "a Pod": [
        create("pod", {"metadata": {"name": "a"}, "spec": {}}),
        create("pod", {"metadata": {"name": "a"}, "spec": {"containers": [{"name": "a"}]}}),
        create("pod", {"metadata": {"name": "a"}, "spec": {"containers": [{"image": "a"}]}}),
        create("pod", {"metadata": {"name": "a"}, "spec": {"containers": [{"name": "A_b", "image": "x"}]}}),
        create("pod", {"metadata": {"name": "a"}, "spec": {"restartPolicy": "Perhaps", **POD_OF}}),
        create(
            "pod",
            {
                "metadata": {"name": "a"},
                "spec": {"containers": [{"name": "a", "image": "x", "resources": {"limits": {"cpu": "many"}}}]},
            },
        ),
    ],
    "a Deployment": [
        create("deploy", {"metadata": {"name": "a"}, "spec": {}}),
        create(
            "deploy",
            {
                "metadata": {"name": "a"},
                "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": {"spec": POD_OF}},
            },
        ),
        create(
            "deploy",
            {
                "metadata": {"name": "a"},
                "spec": {"replicas": -1, "selector": {"matchLabels": {"a": "b"}}, "template": LABELLED},
            },
        ),
    ],
    "a Job": [
        create("job", {"metadata": {"name": "a"}, "spec": {}}),
        create("job", {"metadata": {"name": "a"}, "spec": {"template": {"spec": POD_OF}}}),
        create("job", job()),
        merge("job/fit", {"spec": {"backoffLimit": 5}}, only=("spec.backoffLimit",)),
    ],
    "a Service": [
        create("svc", {"metadata": {"name": "a"}, "spec": {}}),
        create("svc", {"metadata": {"name": "A"}, "spec": {"ports": [{"port": 80}]}}),
        create("svc", {"metadata": {"name": "1a"}, "spec": {"ports": [{"port": 80}]}}),
    ],
    "a Namespace": [
        create("/api/v1/namespaces", {"metadata": {"name": "A"}}),
        create("/api/v1/namespaces", {"metadata": {"name": "a.b"}}),
    ],
    "a Secret": [
        create("secret", {"metadata": {"name": "a"}, "data": {"a": "not base64"}}),
        create("secret", {"metadata": {"name": "a"}, "type": "kubernetes.io/tls"}),
        create("secret", {"metadata": {"name": "s"}}),
        merge("secret/s", {"type": "x"}),
    ],
    "a Lease": [create("lease", {"metadata": {"name": "a"}, "spec": {"leaseDurationSeconds": 0}})],
}

WATCHING = {
    "what there is": [create("cm", cm("a")), create("cm", cm("b")), watch("cm", only=EVENTS)],
    "a watch resumes": [
        create("cm", cm("a")),
        create("cm", cm("b")),
        put("cm/a", cm("a", {"x": "2"}), only=BODY),
        delete("cm/b"),
        watch("cm", resourceVersion="{0.metadata.resourceVersion}", only=EVENT_OBJECTS),
    ],
    "a watch from the latest": [create("cm", cm("a")), watch("cm", resourceVersion="{0.metadata.resourceVersion}")],
    "a watch of one object": [
        create("cm", cm("a")),
        create("cm", cm("b")),
        watch("cm", fieldSelector="metadata.name=b", only=EVENTS),
    ],
    "an object that comes into a selection, and leaves it": [
        create("cm", cm("a")),
        merge("cm/a", {"metadata": {"labels": {"a": "1"}}}, only=BODY),
        merge("cm/a", {"data": {"x": "2"}}, only=BODY),
        merge("cm/a", {"metadata": {"labels": {"a": "2"}}}, only=BODY),
        merge("cm/a", {"data": {"x": "3"}}, only=BODY),
        watch("cm", labelSelector="a=1", resourceVersion="{0.metadata.resourceVersion}", only=EVENT_OBJECTS),
    ],
    "a watch from before the history": [create("dsrc", source()), watch("dsrc", resourceVersion="1")],
    "a version that is none": [watch("cm", resourceVersion="abc"), get("cm", resourceVersion="abc")],
    "initial events and their end": [
        create("dsrc", source("a")),
        create("dsrc", source("b")),
        watch(
            "dsrc",
            sendInitialEvents="true",
            resourceVersionMatch="NotOlderThan",
            allowWatchBookmarks="true",
            only=("0.object.metadata.name", "1.object.metadata.name", "2.type", "2.object.kind", END),
        ),
    ],
    "initial events without a match": [
        watch("cm", sendInitialEvents="true"),
        watch("cm", resourceVersionMatch="NotOlderThan"),
        get("cm", sendInitialEvents="true"),
        get("cm", resourceVersionMatch="NotOlderThan"),
    ],
    "no initial events": [
        create("cm", cm("a")),
        watch("cm", sendInitialEvents="false", resourceVersionMatch="NotOlderThan", allowWatchBookmarks="true"),
    ],
    "a watch as a table": [
        create("dsrc", source()),
        merge("dsrc/flights", {"metadata": {"labels": {"a": "1"}}}, only=SPEC),
        watch(
            "dsrc",
            TABLE,
            only=(
                "*.type",
                "*.object.kind",
                "*.object.rows.*.cells",
                "1.object.columnDefinitions",
                "0.object.columnDefinitions.*.name",
            ),
        ),
    ],
    "a watch as metadata": [
        create("cm", cm("a")),
        watch("cm", METADATA, only=("*.type", "*.object.kind", "*.object.apiVersion", "*.object.data")),
    ],
    "a watch of a status": [
        create("dsrc", source()),
        merge("dsrc/flights/status", {"status": status_of("Ready")}, only=SPEC),
        watch("dsrc", resourceVersion="{0.metadata.resourceVersion}", only=("*.type", "*.object.status")),
    ],
    "a watch of Events in the other group": [
        create(
            "event",
            {
                "metadata": {"name": "e"},
                "regarding": {"kind": "DataSource", "name": "flights", "namespace": "{namespace}"},
                "reason": "Published",
                "note": "version 1",
                "type": "Normal",
                "action": "Reconcile",
                "eventTime": "2026-01-05T08:00:00.000000Z",
                "reportingController": "treadle",
                "reportingInstance": "treadle-0",
            },
            only=(),
        ),
        watch("ev", only=("*.type", "*.object.kind", "*.object.apiVersion", "*.object.message")),
    ],
}

DELETING = {
    "an object": [create("cm", cm()), delete("cm/plan"), get("cm/plan")],
    "an object of ours": [create("dsrc", source()), delete("dsrc/flights"), get("dsrc/flights")],
    "a Pod is told whole": [
        create("pod", pod(), only=()),
        delete("pod/server", only=("kind", "metadata.name", "metadata.deletionGracePeriodSeconds")),
        get("pod/server"),
    ],
    "what is not there": [delete("cm/none"), delete("dsrc/none")],
    "the right uid": [create("cm", cm()), delete("cm/plan", {"preconditions": {"uid": "{0.metadata.uid}"}})],
    "another uid": [
        create("cm", cm()),
        delete("cm/plan", {"preconditions": {"uid": ELSE}}),
        create("dsrc", source()),
        delete("dsrc/flights", {"preconditions": {"uid": ELSE}}),
    ],
    "another version": [create("cm", cm()), delete("cm/plan", {"preconditions": {"resourceVersion": "1"}})],
    "a finalizer holds it": [
        create("dsrc", source(metadata={"finalizers": ["treadle.dev/x"]})),
        delete("dsrc/flights"),
        delete("dsrc/flights"),
        get("dsrc/flights"),
    ],
    "the last finalizer lets it go": [
        create("cm", cm(finalizers=["treadle.dev/x"])),
        delete("cm/plan", only=("metadata.finalizers",)),
        merge("cm/plan", {"metadata": {"finalizers": None}}, only=BODY),
        get("cm/plan"),
        watch("cm", resourceVersion="{0.metadata.resourceVersion}", only=EVENTS),
    ],
    "no new finalizer on what goes": [
        create("cm", cm(finalizers=["treadle.dev/x"])),
        delete("cm/plan", only=("metadata.finalizers",)),
        merge("cm/plan", {"metadata": {"finalizers": ["treadle.dev/x", "treadle.dev/y"]}}),
        merge("cm/plan", {"data": {"x": "2"}}, only=BODY),
        merge("cm/plan", {"metadata": {"finalizers": None}}, only=BODY),
    ],
    "a policy that is none": [create("cm", cm()), delete("cm/plan", propagationPolicy="Perhaps")],
    "foreground marks first": [
        create("cm", cm("owner", finalizers=["treadle.dev/x"])),
        delete("cm/owner", {"propagationPolicy": "Foreground"}, only=("metadata.finalizers",)),
        merge("cm/owner", {"metadata": {"finalizers": None}}, only=("metadata.finalizers",)),
    ],
    "a dry run": [create("cm", cm()), delete("cm/plan", dryRun="All"), get("cm/plan", only=BODY)],
    "a collection": [
        create("cm", cm("a", labels={"a": "1"})),
        create("cm", cm("b", labels={"a": "1"})),
        create("cm", cm("c")),
        delete("cm", labelSelector="a=1", only=("kind", *NAMES)),
        get("cm", only=NAMES),
    ],
    "all namespaces at once": [Ask("DELETE", "/api/v1/namespaces")],
    "the last state is told": [
        create("cm", cm("a")),
        delete("cm/a"),
        watch("cm", resourceVersion="{0.metadata.resourceVersion}", only=EVENT_OBJECTS),
    ],
}

DRY = {
    "a create": [create("cm", cm(), dryRun="All", only=("data",)), get("cm/plan")],
    "a create that is refused": [create("dsrc", source("x" * 41), dryRun="All")],
    "a replacement": [
        create("cm", cm()),
        put("cm/plan", cm(data={"x": "2"}), dryRun="All", only=BODY),
        get("cm/plan", only=BODY),
    ],
    "a merge patch": [
        create("dsrc", source()),
        merge("dsrc/flights", {"spec": {"filter": "a > 1"}}, dryRun="All", only=SPEC),
        get("dsrc/flights", only=SPEC),
    ],
    "an apply": [
        apply("cm/plan", cm(), dryRun="All", only=("data",)),
        get("cm/plan"),
        apply("cm/plan", cm(), only=BODY),
        apply("cm/plan", cm(data={"x": "2"}), dryRun="All", only=BODY),
    ],
    "a dry run that is none": [create("cm", cm(), dryRun="Some")],
}

LIMITS = {
    "a ConfigMap of more than 1 MiB": [create("cm", cm("a", {"x": "x" * (1024 * 1024 + 1)}))],
    "annotations of more than 256 KiB": [create("cm", cm("a", annotations={"x": "x" * (256 * 1024 + 1)}))],
    "an object of more than 1.5 MiB": [
        create(
            "deploy",
            deployment(
                template={
                    "metadata": {"labels": {"a": "b"}},
                    "spec": {
                        "containers": [
                            {"name": "a", "image": "x", "env": [{"name": "A", "value": "x" * 1600 * 1024}]},
                        ]
                    },
                }
            ),
        )
    ],
    "a request of more than 3 MiB": [create("cm", cm("a", {"x": "x" * (3 * 1024 * 1024 + 1)}))],
}

SCALING = {
    "a scale": [
        create("mdep", ours(model_deployment()), only=SPEC),
        get(
            "mdep/{0.metadata.name}/scale",
            only=("kind", "apiVersion", "metadata.name", "metadata.resourceVersion", "spec", "status"),
        ),
        merge("mdep/{0.metadata.name}/scale", {"spec": {"replicas": 3}}, only=("spec", "status")),
        get(
            "mdep/{0.metadata.name}",
            only=("spec.replicas", "metadata.generation", "metadata.managedFields"),
        ),
    ],
    "a Deployment's scale": [
        create("deploy", deployment(), only=()),
        get("deploy/server/scale", only=("spec", "status")),
        merge("deploy/server/scale", {"spec": {"replicas": 0}}, only=("spec", "status")),
    ],
}

LEFT = ("metadata.name", "metadata.finalizers", "metadata.ownerReferences.*.name")

COLLECTING = {
    "what it owned goes": [
        create("cm", cm("owner")),
        create("cm", cm("owned", **owned_by(0))),
        delete("cm/owner", {"propagationPolicy": "Background"}),
        get("cm/owned", until=404),
    ],
    "what ours owned goes": [
        create("dsrc", source()),
        create("job", job("fit", **owned_by(0, "DataSource", API_VERSION, controller=True, blockOwnerDeletion=False))),
        delete("dsrc/flights"),
        get("job/fit", until=404),
    ],
    "what the owned one owned goes too": [
        create("cm", cm("a")),
        create("cm", cm("b", **owned_by(0))),
        create("cm", cm("c", **owned_by(1))),
        delete("cm/a", {"propagationPolicy": "Background"}),
        get("cm/c", until=404),
        get("cm/b"),
    ],
    "the owner waits for what blocks it": [
        create("cm", cm("owner")),
        create("cm", cm("owned", finalizers=["treadle.dev/x"], **owned_by(0, blockOwnerDeletion=True))),
        delete("cm/owner", {"propagationPolicy": "Foreground"}, only=LEFT),
        get("cm/owned", until="metadata.deletionTimestamp", only=LEFT),
        get("cm/owner", only=LEFT),
        merge("cm/owned", {"metadata": {"finalizers": None}}, only=LEFT),
        get("cm/owner", until=404),
    ],
    "the owner does not wait for others": [
        create("cm", cm("owner")),
        create("cm", cm("owned", finalizers=["treadle.dev/x"], **owned_by(0, blockOwnerDeletion=False))),
        delete("cm/owner", {"propagationPolicy": "Foreground"}, only=LEFT),
        get("cm/owner", until=404),
        merge("cm/owned", {"metadata": {"finalizers": None}}, only=LEFT),
        get("cm/owned", until=404),
    ],
    "an orphan stays": [
        create("cm", cm("owner")),
        create("cm", cm("owned", **owned_by(0))),
        delete("cm/owner", {"propagationPolicy": "Orphan"}, only=LEFT),
        get("cm/owned", until="!metadata.ownerReferences", only=LEFT),
        get("cm/owner", until=404),
    ],
    "a Job leaves its Pods, unless told otherwise": [
        create("job", job()),
        create("pod", pod("fit-x", **owned_by(0, "Job", BATCH)), only=LEFT),
        delete("job/fit", only=LEFT),
        get("pod/fit-x", until="!metadata.ownerReferences", only=LEFT),
    ],
    "one owner of two goes": [
        create("cm", cm("a")),
        create("cm", cm("b")),
        create(
            "cm",
            {
                **cm("owned"),
                "metadata": {
                    "name": "owned",
                    "ownerReferences": [*owned_by(0)["ownerReferences"], *owned_by(1)["ownerReferences"]],
                },
            },
        ),
        delete("cm/a"),
        get("cm/owned", until="!metadata.ownerReferences.1", only=LEFT),
        delete("cm/b"),
        get("cm/owned", until=404),
    ],
    "an owner that never was": [
        create(
            "cm", cm("owned", ownerReferences=[{"apiVersion": "v1", "kind": "ConfigMap", "name": "none", "uid": ELSE}])
        ),
        get("cm/owned", until=404),
    ],
    "a namespace, with what is in it": [
        create("/api/v1/namespaces", {"metadata": {"name": "{namespace}-a"}}),
        create("/api/v1/namespaces/{namespace}-a/configmaps", cm("held", finalizers=["treadle.dev/x"])),
        create("/api/v1/namespaces/{namespace}-a/configmaps", cm("free")),
        delete("/api/v1/namespaces/{namespace}-a", only=("kind", "metadata.name", "status.phase")),
        create("/api/v1/namespaces/{namespace}-a/configmaps", cm("new")),
        get("/api/v1/namespaces/{namespace}-a/configmaps/free", until=404),
        get("/api/v1/namespaces/{namespace}-a", only=("status.phase",)),
        merge("/api/v1/namespaces/{namespace}-a/configmaps/held", {"metadata": {"finalizers": None}}, only=LEFT),
        get("/api/v1/namespaces/{namespace}-a", until=404),
    ],
}

GROUPS: dict[str, dict[str, Row]] = {
    "read": READING,
    "table": TABLES,
    "select": SELECTING,
    "create": CREATING,
    "update": UPDATING,
    "patch": PATCHING,
    "apply": APPLYING,
    "status": STATUS,
    "validate": VALIDATING,
    "malformed": MALFORMED,
    "built in": BUILT_IN,
    "watch": WATCHING,
    "delete": DELETING,
    "dry run": DRY,
    "limit": LIMITS,
    "scale": SCALING,
}
CHECKS: dict[str, Row] = {f"{group}: {name}": row for group, rows in GROUPS.items() for name, row in rows.items()}
"""All, by a name that says what they are about."""

COLLECTED: dict[str, Row] = {f"collect: {name}": row for name, row in COLLECTING.items()}
"""Those that ask a real server for its controllers of garbage and namespaces."""
