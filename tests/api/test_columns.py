"""What a person sees of the four kinds on a real API server: tables, short names, selectors, subresources, defaults."""

import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

import goldens
from builders import champion, condition, data_source, digest, model_deployment, monitor, recipe, training_job, version
from charts import run
from control_plane import CRDS, ControlPlane
from treadle.api.base import stamp
from treadle.api.blocks import Resource
from treadle.api.datasource import DataSource
from treadle.api.modeldeployment import ModelDeployment
from treadle.api.monitor import Monitor
from treadle.api.names import API_VERSION, PLURALS
from treadle.api.reasons import Reason
from treadle.api.trainingjob import TrainingJob

type Json = dict[str, Any]

R = Reason

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
TERMINAL_COLUMNS = 110
MODELS: dict[str, type[Resource]] = {
    "DataSource": DataSource,
    "TrainingJob": TrainingJob,
    "ModelDeployment": ModelDeployment,
    "Monitor": Monitor,
}
THREE_DAYS_AGO = stamp(datetime.now(UTC) - timedelta(days=3, hours=1))

# kind: objects as a person may find them, the last one just made.
OBJECTS: dict[str, list[Json]] = {
    "DataSource": [
        data_source(
            "flights",
            schedule="15 * * * *",
            status={
                "currentVersion": {**version("9"), "rows": 77911, "publishedAt": THREE_DAYS_AGO},
                "nextScheduleTime": "2013-07-01T05:15:00Z",
                "conditions": [condition("Ready", "True", R.VERSION_PUBLISHED, "version 999999999999 has 77911 rows")],
            },
        ),
        data_source(
            "weather",
            status={
                "conditions": [
                    condition("Ready", "False", R.SCHEMA_MISMATCH, 'column "temp" is double, schema says integer'),
                    condition("SchemaValid", "False", R.SCHEMA_MISMATCH),
                ]
            },
        ),
        data_source("yesterday"),
    ],
    "TrainingJob": [
        training_job(
            "flights-late-4be17790c3",
            trigger={"kind": "Monitor"},
            status={
                "conditions": [
                    condition("Complete", "True", R.PASSED_GATE, "average_precision 0.861, above the champion")
                ],
                "progress": {"percentage": 100},
                "primaryMetric": {"name": "average_precision", "value": "0.861"},
                "gate": {"verdict": "Promote"},
                "model": {
                    "version": "v8",
                    "digest": digest("c"),
                    "storageUri": "s3://ml/models/c.json",
                    "format": "onnx",
                },
                "data": {"digest": digest("9"), "short": "9" * 12},
            },
        ),
        training_job(
            "flights-late-7c20d9aa51",
            status={
                "conditions": [condition("Complete", "False", R.RUNNING, "fit: 62 percent")],
                "progress": {"percentage": 62, "estimatedRemainingSeconds": 41},
                "data": {"digest": digest("9"), "short": "9" * 12},
            },
        ),
        training_job(
            "flights-other",
            modelName="flights-other",
            dataRef={"name": "weather"},
            status={"conditions": [condition("Complete", "False", R.WAITING_FOR_DATA_SOURCE)]},
        ),
        training_job("yesterday", modelName="yesterday"),
    ],
    "ModelDeployment": [
        model_deployment(
            "flights-late",
            champion=champion("a", version="v17"),
            replicas=3,
            status={
                "replicas": 4,
                "readyReplicas": 3,
                "selector": "treadle.dev/name=flights-late",
                "endpoint": {"url": "http://flights-late.demo.svc", "protocols": ["v2"]},
                "candidate": {
                    "version": "v18",
                    "digest": digest("c"),
                    "state": "Canary",
                    "weight": 5,
                    "since": THREE_DAYS_AGO,
                    "stepSince": THREE_DAYS_AGO,
                    "verdict": "Inconclusive",
                },
                "conditions": [condition("Ready", "True", R.ANSWERING, "v17 answers on 3 pods")],
            },
        ),
        model_deployment(
            "flights-other",
            template=False,
            modelName="flights-other",
            status={"conditions": [condition("Ready", "False", R.WAITING_FOR_MODEL, "no version passed the gate yet")]},
        ),
        model_deployment("yesterday"),
    ],
    "Monitor": [
        monitor(
            "flights-late",
            status={
                "lastWindow": {
                    "start": "2013-06-24T00:00:00Z",
                    "end": THREE_DAYS_AGO,
                    "samples": 961,
                    "verdict": "Suspected",
                    "worstColumn": "dest",
                },
                "retrain": {"nextAllowedAt": "2013-06-26T00:05:30Z"},
                "conditions": [condition("Ready", "True", R.WATCHING, "dest moved most (effect 0.21)")],
            },
        ),
        monitor(
            "flights-other",
            target="flights-other",
            status={"conditions": [condition("Ready", "False", R.WAITING_FOR_MODEL_DEPLOYMENT, "no ModelDeployment")]},
        ),
        monitor("yesterday", target="yesterday"),
    ],
}


def path(kind: str, name: str = "", query: str = "") -> str:
    return f"/apis/{API_VERSION}/namespaces/columns/{PLURALS[kind]}{name and '/'}{name}?fieldValidation=Strict{query}"


@pytest.fixture(scope="module")
def server(plane: ControlPlane) -> Iterator[ControlPlane]:
    """Yield an API server that holds the objects, in namespace columns."""
    plane.namespace("columns")
    for kind, objects in OBJECTS.items():
        for each in objects:
            metadata = {"name": each["metadata"]["name"]}
            status, answer = plane.request("POST", path(kind), {**each, "metadata": metadata})
            assert status == 201, answer
            if "status" in each:
                body = {**answer, "status": each["status"]}
                status, answer = plane.request("PUT", path(kind, f"{metadata['name']}/status"), body)
                assert status == 200, answer
    yield plane
    for kind in PLURALS:
        # The tests after these start operators, which shall have nothing to do.
        plane.request("DELETE", path(kind))


def shown(table: Json, *, wide: bool) -> str:
    """Return a table as kubectl prints it; an age below a minute is 0s."""
    kept = [place for place, each in enumerate(table["columnDefinitions"]) if wide or not each["priority"]]
    names = [each["name"].upper() for each in table["columnDefinitions"]]
    cells = [[text(cell) for cell in row["cells"]] for row in table["rows"]]
    lines = [names, *cells]
    widths = [max(len(line[place]) for line in lines) + 3 for place in range(len(names))]
    return "".join("".join(f"{line[at]:<{widths[at]}}" for at in kept).rstrip() + "\n" for line in lines)


def text(cell: Any) -> str:
    return "" if cell is None else re.sub(r"^\d+s$", "0s", str(cell))


@pytest.mark.parametrize("kind", PLURALS)
def test_the_columns(server: ControlPlane, kind: str) -> None:
    status, table = server.request("GET", path(kind), accept=TABLE)
    assert (status, table["kind"]) == (200, "Table")
    narrow, wide = shown(table, wide=False), shown(table, wide=True)
    assert max(len(line) for line in narrow.splitlines()) < TERMINAL_COLUMNS
    file = goldens.DIRECTORY / f"api/{kind.lower()}.txt"
    if os.environ.get("TREADLE_UPDATE_GOLDEN") == "1":
        file.write_text(f"{narrow}\n{wide}")
    assert f"{narrow}\n{wide}" == file.read_text()


@pytest.mark.parametrize("kind", PLURALS)
def test_every_column_shows_something(kind: str) -> None:
    """A path that does not exist shows an empty cell for every object, and nobody notices."""
    head, first, *_ = (goldens.DIRECTORY / f"api/{kind.lower()}.txt").read_text().partition("\n\n")[2].splitlines()
    starts = [found.start() for found in re.finditer(r"\S+", head)]
    assert [head[at:].split()[0] for at in starts if first[at : at + 1].strip() == ""] == []


def test_discovery(server: ControlPlane) -> None:
    _, answer = server.request("GET", f"/apis/{API_VERSION}")
    found = {
        each["name"]: [each["kind"], *each.get("shortNames", []), *each.get("categories", [])]
        for each in answer["resources"]
    }
    assert found == {
        "datasources": ["DataSource", "dsrc", "treadle"],
        "datasources/status": ["DataSource"],
        "trainingjobs": ["TrainingJob", "tj", "treadle"],
        "trainingjobs/status": ["TrainingJob"],
        "modeldeployments": ["ModelDeployment", "mdep", "treadle"],
        "modeldeployments/status": ["ModelDeployment"],
        "modeldeployments/scale": ["Scale"],
        "monitors": ["Monitor", "mon", "treadle"],
        "monitors/status": ["Monitor"],
    }


# name: (kind, selector, names found)
SELECTED = {
    "runs of a model": (
        "TrainingJob",
        "spec.modelName=flights-late",
        ["flights-late-4be17790c3", "flights-late-7c20d9aa51"],
    ),
    "runs on a DataSource": ("TrainingJob", "spec.dataRef.name=weather", ["flights-other"]),
    "runs of a model on another source": ("TrainingJob", "spec.modelName=flights-late,spec.dataRef.name=weather", []),
    "deployments of a model": ("ModelDeployment", "spec.modelName=flights-other", ["flights-other"]),
    "monitors of a deployment": ("Monitor", "spec.targetRef.name=flights-late", ["flights-late"]),
}


@pytest.mark.parametrize(("kind", "selector", "names"), SELECTED.values(), ids=SELECTED.keys())
def test_field_selectors(server: ControlPlane, kind: str, selector: str, names: list[str]) -> None:
    status, answer = server.request("GET", path(kind, query=f"&fieldSelector={selector.replace('=', '%3D')}"))
    assert status == 200, answer
    assert [each["metadata"]["name"] for each in answer["items"]] == names


def test_every_selectable_field_is_tried() -> None:
    selectable = {
        (crd["spec"]["names"]["kind"], field["jsonPath"].lstrip("."))
        for crd in (yaml.safe_load(file.read_text()) for file in CRDS.glob("*.yaml"))
        for field in crd["spec"]["versions"][0].get("selectableFields", [])
    }
    tried = {(kind, part.partition("=")[0]) for kind, selector, _ in SELECTED.values() for part in selector.split(",")}
    assert tried == selectable


@pytest.mark.parametrize("kind", PLURALS)
def test_status_is_a_subresource(server: ControlPlane, kind: str) -> None:
    """Who writes spec cannot write status, who writes status cannot write spec, and status is no new generation."""
    name = OBJECTS[kind][0]["metadata"]["name"]
    _, held = server.request("GET", path(kind, name))
    both = {
        **held,
        "spec": {**held["spec"], "storeRef": {"name": "treadle-other"}},
        "status": {**held["status"], "observedGeneration": 7},
    }
    _, answer = server.request("PUT", path(kind, f"{name}/status", "&dryRun=All"), both)
    assert answer["status"]["observedGeneration"] == 7
    assert (answer["spec"], answer["metadata"]["generation"]) == (held["spec"], held["metadata"]["generation"])
    if kind != "TrainingJob":
        _, answer = server.request("PUT", path(kind, name, "&dryRun=All"), both)
        assert answer["spec"]["storeRef"] == {"name": "treadle-other"}
        assert (answer["status"], answer["metadata"]["generation"]) == (
            held["status"],
            held["metadata"]["generation"] + 1,
        )


def test_scale(server: ControlPlane) -> None:
    """An autoscaler reads the pods and their labels, and writes how many are wanted."""
    name = "flights-late/scale"
    _, scale = server.request("GET", path("ModelDeployment", name))
    assert (scale["kind"], scale["spec"]) == ("Scale", {"replicas": 3})
    assert scale["status"] == {"replicas": 4, "selector": "treadle.dev/name=flights-late"}
    for wanted in (2, 3):
        body = {**scale, "metadata": {"name": "flights-late", "namespace": "columns"}, "spec": {"replicas": wanted}}
        status, answer = server.request("PUT", path("ModelDeployment", name), body)
        assert status == 200, answer
        _, held = server.request("GET", path("ModelDeployment", "flights-late"))
        assert held["spec"]["replicas"] == wanted


def test_scale_beyond_the_schema_is_refused(server: ControlPlane) -> None:
    """The schema holds for who writes through scale, too."""
    _, scale = server.request("GET", path("ModelDeployment", "flights-late/scale"))
    body = {**scale, "spec": {"replicas": 1001}}
    status, answer = server.request("PUT", path("ModelDeployment", "flights-late/scale", "&dryRun=All"), body)
    assert (status, "should be less than or equal to 1000" in answer["message"]) == (422, True), answer


# name: (what is typed after kubectl, what it prints)
TYPED = {
    "the category lists all four kinds": (
        "get treadle -o name",
        r"^datasource\.treadle\.dev/flights\n(.*\n)*modeldeployment\.(.*\n)*monitor\.(.*\n)*trainingjob\.(.*\n)*$",
    ),
    "a short name": ("get mdep flights-late -o name", r"^modeldeployment\.treadle\.dev/flights-late\n$"),
    "the table": (
        "get tj flights-late-7c20d9aa51",
        r"^NAME +STATUS +PROGRESS +METRIC +VALUE +GATE +AGE\n\S+ +Running ",
    ),
    "what a field means": (
        "explain tj.spec.gate.margin",
        r"FIELD: margin <string>\n\n\n?DESCRIPTION:\n +See require\.",
    ),
}


@pytest.mark.parametrize(("typed", "printed"), TYPED.values(), ids=TYPED.keys())
def test_kubectl(server: ControlPlane, typed: str, printed: str, tmp_path: Path) -> None:
    given = ("--namespace", "columns", "--cache-dir", str(tmp_path))
    said = run("kubectl", *typed.split(), *given, kubeconfig=server.kubeconfig)
    assert re.search(printed, said), said


LEAST = {
    "DataSource": {
        "source": {"s3": {"storageUri": "s3://raw/"}},
        "format": {"name": "csv"},
        "schema": {"columns": [{"name": "a", "type": "integer"}]},
        "quality": {},
        "split": {"strategy": "Random"},
        "jobTemplate": {},
        "storeRef": {},
        "privacy": {"secretRef": {}},
    },
    "TrainingJob": {
        **recipe(),
        "preparation": {},
        "decision": {},
        "evaluation": {"bootstrap": {}},
        "gate": {},
        "output": {"format": {}, "signing": {"secretRef": {}}},
        "trigger": {},
    },
    "ModelDeployment": {
        "modelName": "flights-late",
        "source": {},
        "training": {"template": {"spec": recipe()}, "triggers": {}},
        "predictor": {},
        "verification": {},
        "strategy": {"canary": {"analysis": {}}},
        "requestPolicy": {},
        "logger": {},
    },
    "Monitor": {
        "targetRef": {"name": "flights-late"},
        "window": {},
        "reference": {},
        "drift": {},
        "quality": {},
        "retrain": {"window": {}, "breaker": {}},
    },
}
"""Every block that has defaults, with nothing in it but what must be."""


@pytest.mark.parametrize("kind", PLURALS)
def test_the_defaults_of_the_server_are_those_of_the_model(server: ControlPlane, kind: str) -> None:
    body = {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": "least"}, "spec": LEAST[kind]}
    status, answer = server.request("POST", path(kind, query="&dryRun=All"), body)
    assert status == 201, answer
    goldens.same(f"api/{kind.lower()}-defaults", answer["spec"])
    here = MODELS[kind].read({**body, "metadata": {"name": "least", "namespace": "columns", "uid": "u"}})
    assert here.dump()["spec"] == answer["spec"]


@pytest.mark.parametrize("kind", PLURALS)
def test_a_default_is_on_a_scalar_outside_lists(kind: str) -> None:
    """A default in a list, or on an object, would be a field that nobody wrote and server-side apply cannot own."""
    schema = schema_of(kind)
    assert list(defaults(schema["spec"], "spec")) and not list(defaults(schema["status"], "status"))
    assert [at for at, value in defaults(schema["spec"], "spec") if "[]" in at or isinstance(value, dict | list)] == []


def defaults(node: Json, at: str) -> Iterator[tuple[str, Any]]:
    if "default" in node:
        yield at, node["default"]
    for name, child in node.get("properties", {}).items():
        yield from defaults(child, f"{at}.{name}")
    if "items" in node:
        yield from defaults(node["items"], f"{at}[]")


def schema_of(kind: str) -> Json:
    crd = yaml.safe_load((CRDS / f"{PLURALS[kind]}.yaml").read_text())
    properties: Json = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    return properties


# name: (fieldValidation, HTTP status, what is kept)
UNKNOWN = {
    "refused where the client asks for it, as kubectl does": ("Strict", 400, None),
    "dropped with a warning": ("Warn", 201, {}),
    "dropped": ("Ignore", 201, {}),
}


@pytest.mark.parametrize(("mode", "code", "kept"), UNKNOWN.values(), ids=UNKNOWN.keys())
def test_an_unknown_field_is(server: ControlPlane, mode: str, code: int, kept: Json | None) -> None:
    body = monitor("unknown", drift={"alfa": "0.01", "exclude": ["a"]})
    del body["spec"]["window"]
    body["metadata"] = {"name": "unknown"}
    asked = path("Monitor", query="&dryRun=All").replace("Strict", mode)
    status, answer = server.request("POST", asked, body)
    assert status == code, answer
    if kept is None:
        assert 'unknown field "spec.drift.alfa", unknown field "spec.drift.exclude"' in answer["message"]
    else:
        default = {"enabled": True, "alpha": "0.01", "minEffect": "0.1", "confirmWindows": 2, "prediction": True}
        assert answer["spec"]["drift"] == kept | default


def test_null_is_absent(server: ControlPlane) -> None:
    body = model_deployment("nulls", template=False, replicas=None, strategy=None)
    body["metadata"] = {"name": "nulls"}
    status, answer = server.request("POST", path("ModelDeployment", query="&dryRun=All"), body)
    assert status == 201, answer
    assert answer["spec"]["replicas"] == 1
    assert "strategy" not in answer["spec"]


SAMPLES = {
    r"^sha256:[0-9a-f]{64}$": digest("5"),
    r"^-?[0-9]{1,15}(\.[0-9]{1,15})?$": "-0.25",
    r"^(champion|candidate)$": "champion",
}


def sample(node: Json, name: str = "") -> Any:
    """Return a value with every field that a schema knows."""
    if "enum" in node:
        return node["enum"][-1]
    match node["type"]:
        case "object" if "properties" in node:
            return {key: sample(child, key) for key, child in node["properties"].items()}
        case "object":
            return {"key": sample(node["additionalProperties"])}
        case "array":
            return [sample(node["items"])]
        case "integer":
            return node.get("minimum", 0) + 1
        case "boolean":
            return True
    if node.get("format") == "date-time":
        return "2013-07-01T00:00:00.5Z" if name == "until" else "2013-06-01T00:00:00Z"
    return SAMPLES.get(node.get("pattern", ""), "a" * max(1, node.get("minLength", 1)))


@pytest.mark.parametrize("kind", PLURALS)
def test_a_status_with_every_field_goes_to_the_server_and_back(server: ControlPlane, kind: str) -> None:
    """What a model writes the schema keeps, and what the schema knows the model reads: nothing is pruned between."""
    name = OBJECTS[kind][0]["metadata"]["name"]
    status = sample(schema_of(kind)["status"])
    _, held = server.request("GET", path(kind, name))
    code, answer = server.request("PUT", path(kind, f"{name}/status", "&dryRun=All"), {**held, "status": status})
    assert code == 200, answer
    assert answer["status"] == status
    assert MODELS[kind].read(answer).dump()["status"] == status
