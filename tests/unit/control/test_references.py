"""From an event to the keys that it concerns."""

from typing import Any

import pytest

from treadle.control.engine.ports import Key
from treadle.control.references import References

SOURCE = Key("DataSource", "demo", "flights")
RUN = Key("TrainingJob", "demo", "run")
SERVING = Key("ModelDeployment", "demo", "late")
WATCHER = Key("Monitor", "demo", "watch")

RUN_BODY: dict[str, Any] = {
    "spec": {"modelName": "m", "dataRef": {"name": "flights"}, "gate": {"against": {"deploymentRef": {"name": "late"}}}}
}
SERVING_BODY: dict[str, Any] = {
    "spec": {"modelName": "m", "training": {"template": {"spec": {"dataRef": {"name": "flights"}}}}}
}
WATCHER_BODY: dict[str, Any] = {"spec": {"targetRef": {"name": "late"}}}


def known() -> References:
    """An index that has seen one of each kind."""
    references = References()
    references.keys_for("trainingjobs", "demo", "run", RUN_BODY)
    references.keys_for("modeldeployments", "demo", "late", SERVING_BODY)
    references.keys_for("monitors", "demo", "watch", WATCHER_BODY)
    return references


def labelled(kind: Any, name: Any) -> dict[str, Any]:
    return {"metadata": {"labels": {"treadle.dev/kind": kind, "treadle.dev/name": name}}}


EVENTS: dict[str, tuple[str, str, dict[str, Any], set[Key]]] = {
    "a DataSource wakes what takes its versions": ("datasources", "flights", {}, {SOURCE, RUN, SERVING}),
    "a TrainingJob wakes the deployment of its model": ("trainingjobs", "run", RUN_BODY, {RUN, SERVING}),
    "a new TrainingJob too": ("trainingjobs", "new", {"spec": {"modelName": "m"}}, {RUN._replace(name="new"), SERVING}),
    "of another model it wakes itself": ("trainingjobs", "x", {"spec": {"modelName": "n"}}, {RUN._replace(name="x")}),
    "a generated TrainingJob wakes its owner": (
        "trainingjobs", "x", labelled("ModelDeployment", "other"),
        {RUN._replace(name="x"), SERVING._replace(name="other")},
    ),
    "a deployment wakes its Monitors and the runs judged against it": (
        "modeldeployments", "late", SERVING_BODY, {SERVING, WATCHER, RUN},
    ),
    "a Monitor wakes its target": ("monitors", "watch", WATCHER_BODY, {WATCHER, SERVING}),
    "a Job wakes the owner in its labels": ("jobs", "run-0123456789", labelled("TrainingJob", "run"), {RUN}),
    "a Pod too": ("pods", "p", labelled("ModelDeployment", "late"), {SERVING}),
    "a Job of others wakes nobody": ("jobs", "theirs", {"metadata": {"labels": {"app": "x"}}}, set()),
    "a Job of an unknown kind wakes nobody": ("jobs", "theirs", labelled("Widget", "x"), set()),
}  # fmt: skip


@pytest.mark.parametrize(("plural", "name", "body", "expected"), EVENTS.values(), ids=EVENTS.keys())
def test_an_event_wakes(plural: str, name: str, body: dict[str, Any], expected: set[Key]) -> None:
    assert known().keys_for(plural, "demo", name, body) == expected


def test_nothing_crosses_namespaces() -> None:
    assert known().keys_for("datasources", "other", "flights", {}) == {SOURCE._replace(namespace="other")}


def test_a_changed_reference_wakes_the_new_target_only() -> None:
    references = known()
    references.keys_for("monitors", "demo", "watch", {"spec": {"targetRef": {"name": "other"}}})
    assert WATCHER not in references.keys_for("modeldeployments", "demo", "late", SERVING_BODY)
    assert WATCHER in references.keys_for("modeldeployments", "demo", "other", {})


def test_a_finished_run_waits_for_nothing() -> None:
    references = known()
    references.keys_for("trainingjobs", "demo", "run", {**RUN_BODY, "status": {"completionTime": "x"}})
    assert references.keys_for("datasources", "demo", "flights", {}) == {SOURCE, SERVING}


def test_a_deleted_monitor_wakes_its_target_a_last_time() -> None:
    references = known()
    assert references.keys_for("monitors", "demo", "watch", WATCHER_BODY, is_gone=True) == {WATCHER, SERVING}
    assert WATCHER not in references.keys_for("modeldeployments", "demo", "late", SERVING_BODY)


def test_an_emptied_index_holds_nothing() -> None:
    references = known()
    for plural, key in (("trainingjobs", RUN), ("modeldeployments", SERVING), ("monitors", WATCHER)):
        references.keys_for(plural, key.namespace, key.name, {}, is_gone=True)
    assert references == References()


ODD: dict[str, Any] = {
    "none": None,
    "a list": [],
    "a text": "spec",
    "a number": 7,
    "no metadata": {},
    "metadata of none": {"metadata": None},
    "labels of none": {"metadata": {"labels": None}},
    "labels as a list": {"metadata": {"labels": ["treadle.dev/kind"]}},
    "labels of numbers": labelled(1, 2),
    "a kind as a list": labelled(["Monitor"], "x"),
    "an empty name": labelled("Monitor", ""),
    "a spec of none": {"spec": None},
    "a spec as a text": {"spec": "modelName"},
    "a reference as a text": {"spec": {"dataRef": "flights", "targetRef": "late", "modelName": {}}},
    "a reference of none": {"spec": {"dataRef": None, "targetRef": {"name": None}, "gate": {"against": []}}},
    "a name that is a number": {"spec": {"dataRef": {"name": 7}, "targetRef": {"name": 7}, "modelName": 7}},
    "a status as a text": {"status": "completionTime"},
}


@pytest.mark.parametrize("body", ODD.values(), ids=ODD.keys())
@pytest.mark.parametrize("plural", ["datasources", "trainingjobs", "modeldeployments", "monitors", "jobs", "widgets"])
def test_a_malformed_body_gives_no_foreign_key(plural: str, body: Any) -> None:
    found = References().keys_for(plural, "demo", "x", body)
    assert {key.name for key in found} <= {"x"}


@pytest.mark.parametrize(("namespace", "name"), [(None, "x"), ("demo", None), (1, 2)])
def test_an_event_without_a_place_gives_no_key(namespace: Any, name: Any) -> None:
    assert known().keys_for("datasources", namespace, name, {}) == set()
