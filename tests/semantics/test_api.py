"""What an apply, a status write, a delete and a list mean: the same in memory and on a real API server."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from benches import Bench
from toys import SETTINGS, data_source
from treadle.api.blocks import JobTemplate, Resource
from treadle.control.engine.errors import Conflict, Gone
from treadle.control.engine.fields import applied_status, is_applied, is_status_applied, managed
from treadle.control.engine.objects import is_deleting, keep
from treadle.control.engine.ports import CONFIG_MAP, DATA_SOURCE, DEPLOYMENT, JOB, LEASE, POD, SERVICE, Object
from treadle.control.podspec import Mounts, Run, pod_metadata, pod_spec, step_container, step_job


def config_map(bench: Bench, name: str = "plan", **data: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": bench.namespace, "labels": {"a": "1"}},
        "data": data or {"x": "1"},
    }


def source(bench: Bench, **spec: Any) -> Object:
    return data_source(namespace=bench.namespace, **spec)


def condition(type_: str, status: str = "True") -> Object:
    return {
        "type": type_,
        "status": status,
        "reason": "Settled",
        "message": "",
        "lastTransitionTime": "2026-01-05T08:00:00Z",
        "observedGeneration": 1,
    }


def status_of(*types: str, **fields: Any) -> Object:
    return {"observedGeneration": 1, "conditions": [condition(type_) for type_ in types], **fields}


def owner(bench: Bench) -> Resource:
    raw = source(bench)
    raw["metadata"]["uid"] = "00000000-0000-4000-8000-000000000001"
    return Resource.read(raw)


def service(bench: Bench) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "flights", "namespace": bench.namespace},
        "spec": {"selector": {"a": "b"}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]},
    }


def deployment(bench: Bench) -> Object:
    run = Run("server", "serve", {"v": 1}, "00")
    mounts = Mounts(secrets={"treadle-signing": ("public.pem",), "treadle-store": ()}, configs=("plan",))
    template = pod_spec(step_container(run, None, mounts, SETTINGS), mounts, None)
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "server", "namespace": bench.namespace},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"treadle.dev/role": "serve"}},
            "template": {"metadata": pod_metadata(owner(bench), "serve", None), "spec": template},
        },
    }


def job(bench: Bench) -> Object:
    run = Run("flights-0123456789", "ingest", {"v": 1}, "00")
    return step_job(owner(bench), run, JobTemplate(), Mounts(configs=("rows",)), SETTINGS)


def pod(bench: Bench) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "server-x", "namespace": bench.namespace, "labels": {"a": "1"}},
        "spec": {"containers": [{"name": "server", "image": "registry.example/x:1"}]},
    }


def lease(bench: Bench) -> Object:
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": "gate", "namespace": bench.namespace},
        "spec": {"holderIdentity": "a"},
    }


KINDS: dict[str, Callable[[Bench], Object]] = {
    "a custom resource": source,
    "a ConfigMap": config_map,
    "a Service": service,
    "a Deployment": deployment,
    "a Job": job,
    "a Pod": pod,
    "a Lease": lease,
}
UNCHANGED = {name: literal for name, literal in KINDS.items() if name != "a Job"}
GVKS = {gvk.kind: gvk for gvk in (CONFIG_MAP, DATA_SOURCE, DEPLOYMENT, JOB, LEASE, POD, SERVICE)}


@pytest.mark.parametrize("literal", KINDS.values(), ids=KINDS.keys())
async def test_an_apply_creates(bench: Bench, literal: Callable[[Bench], Object]) -> None:
    wish = literal(bench)
    live = await bench.api.apply(wish)
    assert live["metadata"]["uid"] and live["metadata"]["resourceVersion"]
    found = await bench.api.get(GVKS[wish["kind"]], bench.namespace, wish["metadata"]["name"])
    assert found is not None and found["metadata"]["uid"] == live["metadata"]["uid"]


@pytest.mark.parametrize("literal", UNCHANGED.values(), ids=UNCHANGED.keys())
async def test_an_apply_without_change_keeps_the_version(bench: Bench, literal: Callable[[Bench], Object]) -> None:
    first = await bench.api.apply(literal(bench))
    second = await bench.api.apply(literal(bench))
    assert second["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]


@pytest.mark.parametrize("literal", KINDS.values(), ids=KINDS.keys())
async def test_what_was_applied_is_known_as_applied(bench: Bench, literal: Callable[[Bench], Object]) -> None:
    live = await bench.api.apply(literal(bench))
    assert is_applied(literal(bench), live)


@pytest.mark.parametrize("literal", KINDS.values(), ids=KINDS.keys())
async def test_one_label_more_or_less_is_not_applied(bench: Bench, literal: Callable[[Bench], Object]) -> None:
    wish = literal(bench)
    wish["metadata"]["labels"] = {**wish["metadata"].get("labels", {}), "more": "1"}
    assert not is_applied(wish, await bench.api.apply(literal(bench)))
    more = await bench.api.apply(wish)
    assert is_applied(wish, more) and not is_applied(literal(bench), more)


async def test_an_equal_quantity_in_other_words_is_applied(bench: Bench) -> None:
    wish = deployment(bench)
    wish["spec"]["template"]["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "1000m", "memory": "1024Mi"}}
    assert is_applied(wish, await bench.api.apply(wish))


async def test_a_field_left_out_next_time_is_removed(bench: Bench) -> None:
    await bench.api.apply(config_map(bench, x="1", y="2"))
    live = await bench.api.apply(config_map(bench, y="2"))
    assert live["data"] == {"y": "2"}


async def test_a_container_left_out_next_time_is_removed(bench: Bench) -> None:
    more = deployment(bench)
    more["spec"]["template"]["spec"]["containers"].append({"name": "second", "image": "registry.example/y:1"})
    await bench.api.apply(more)
    live = await bench.api.apply(deployment(bench))
    assert [each["name"] for each in live["spec"]["template"]["spec"]["containers"]] == ["step"]


async def test_an_env_variable_left_out_next_time_is_removed(bench: Bench) -> None:
    await bench.api.apply(deployment(bench))
    wish = deployment(bench)
    wish["spec"]["template"]["spec"]["containers"][0]["env"].pop()
    live = await bench.api.apply(wish)
    assert len(live["spec"]["template"]["spec"]["containers"][0]["env"]) == 1


async def test_a_field_of_another_manager_stays(bench: Bench) -> None:
    await bench.api.apply(config_map(bench, x="1"))
    await bench.api.apply(config_map(bench, y="2"), manager="other")
    live = await bench.api.apply(config_map(bench, x="3"))
    assert live["data"] == {"x": "3", "y": "2"}
    assert is_applied(config_map(bench, x="3"), live)


async def test_a_shared_field_stays_while_one_manager_wants_it(bench: Bench) -> None:
    await bench.api.apply(config_map(bench, x="1", y="2"))
    await bench.api.apply(config_map(bench, x="1"), manager="other")
    live = await bench.api.apply(config_map(bench, y="2"))
    assert live["data"] == {"x": "1", "y": "2"}


async def test_force_takes_a_field_from_another_manager(bench: Bench) -> None:
    await bench.api.apply(config_map(bench, x="1"))
    live = await bench.api.apply(config_map(bench, x="2"), manager="other")
    assert live["data"] == {"x": "2"}
    assert not is_applied(config_map(bench, x="1"), live)
    assert managed(live).get("f:data") is None or "f:x" not in managed(live)["f:data"]


async def test_a_person_who_edits_our_field_is_noticed_and_undone(bench: Bench) -> None:
    live = await bench.api.apply(config_map(bench, x="1"))
    edited = bench.put({**live, "data": {"x": "edited"}})
    assert not is_applied(config_map(bench, x="1"), edited)
    assert (await bench.api.apply(config_map(bench, x="1")))["data"] == {"x": "1"}


async def test_a_person_who_removes_our_label_is_noticed_and_undone(bench: Bench) -> None:
    live = await bench.api.apply(config_map(bench))
    edited = bench.put({**live, "metadata": {**live["metadata"], "labels": {"b": "2"}}})
    assert not is_applied(config_map(bench), edited)
    assert (await bench.api.apply(config_map(bench)))["metadata"]["labels"] == {"a": "1", "b": "2"}


async def test_an_apply_of_the_object_leaves_its_status(bench: Bench) -> None:
    live = await bench.api.apply(source(bench))
    await bench.api.apply_status(live, status_of("Ready"))
    again = await bench.api.apply({**source(bench), "status": status_of("Other")})
    assert [each["type"] for each in again["status"]["conditions"]] == ["Ready"]


async def test_a_status_write_leaves_the_generation(bench: Bench) -> None:
    live = await bench.api.apply(source(bench))
    written = await bench.api.apply_status(live, status_of("Ready"))
    assert written["metadata"]["generation"] == 1
    assert written["metadata"]["resourceVersion"] != live["metadata"]["resourceVersion"]


async def test_a_spec_change_raises_the_generation(bench: Bench) -> None:
    await bench.api.apply(source(bench))
    live = await bench.api.apply(source(bench, filter="a > 1"))
    assert live["metadata"]["generation"] == 2


async def test_a_label_change_leaves_the_generation(bench: Bench) -> None:
    await bench.api.apply(source(bench))
    wish = source(bench)
    wish["metadata"]["labels"] = {"a": "1"}
    assert (await bench.api.apply(wish))["metadata"]["generation"] == 1


async def test_a_status_that_says_nothing_new_keeps_the_version(bench: Bench) -> None:
    live = await bench.api.apply(source(bench))
    first = await bench.api.apply_status(live, status_of("Ready"))
    second = await bench.api.apply_status(first, status_of("Ready"))
    assert second["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
    assert is_status_applied(status_of("Ready"), second)


async def test_a_status_on_an_old_version_is_a_conflict(bench: Bench) -> None:
    live = await bench.api.apply(source(bench))
    await bench.api.apply(source(bench, filter="a > 1"))
    with pytest.raises(Conflict):
        await bench.api.apply_status(live, status_of("Ready"))


async def test_a_status_of_an_object_that_is_gone_is_gone(bench: Bench) -> None:
    live = await bench.api.apply(source(bench))
    await remove(bench, live)
    with pytest.raises(Gone):
        await bench.api.apply_status(live, status_of("Ready"))


async def test_a_status_of_an_object_that_was_made_again_is_a_conflict(bench: Bench) -> None:
    live = await bench.api.apply(source(bench))
    await remove(bench, live)
    await bench.api.apply(source(bench))
    with pytest.raises(Conflict):
        await bench.api.apply_status(live, status_of("Ready"))


async def test_conditions_merge_by_type(bench: Bench) -> None:
    live = await bench.api.apply(source(bench))
    first = await bench.api.apply_status(live, status_of("Ready", "Fetched"))
    second = await bench.api.apply_status(first, status_of("Ready"))
    assert [each["type"] for each in second["status"]["conditions"]] == ["Ready"]


async def test_a_status_field_left_out_is_removed(bench: Bench) -> None:
    live = await bench.api.apply(source(bench))
    first = await bench.api.apply_status(live, status_of("Ready", settledGeneration=1))
    assert not is_status_applied(status_of("Ready"), first)
    second = await bench.api.apply_status(first, status_of("Ready"))
    assert "settledGeneration" not in second["status"]


async def test_our_part_of_a_status_is_told_from_the_whole(bench: Bench) -> None:
    live = await bench.api.apply(source(bench))
    written = await bench.api.apply_status(live, status_of("Ready", settledGeneration=1))
    assert applied_status(written) == status_of("Ready", settledGeneration=1)


async def test_main_object_and_status_are_separate_field_sets(bench: Bench) -> None:
    live = await bench.api.apply(source(bench))
    await bench.api.apply_status(live, status_of("Ready"))
    again = await bench.api.apply(source(bench))
    assert is_applied(source(bench), again) and is_status_applied(status_of("Ready"), again)


async def test_a_uid_guards_an_apply_to_another_object(bench: Bench) -> None:
    await bench.api.apply(config_map(bench))
    wish = config_map(bench, x="2")
    wish["metadata"]["uid"] = "00000000-0000-4000-8000-000000000009"
    with pytest.raises(Conflict):
        await bench.api.apply(wish)


async def test_a_uid_guards_an_apply_to_an_object_that_is_gone(bench: Bench) -> None:
    wish = config_map(bench)
    wish["metadata"]["uid"] = "00000000-0000-4000-8000-000000000009"
    with pytest.raises(Conflict):
        await bench.api.apply(wish)


async def test_the_right_uid_lets_an_apply_through(bench: Bench) -> None:
    live = await bench.api.apply(config_map(bench))
    wish = config_map(bench, x="2")
    wish["metadata"]["uid"] = live["metadata"]["uid"]
    assert (await bench.api.apply(wish))["data"] == {"x": "2"}


async def test_an_old_version_on_an_apply_is_a_conflict(bench: Bench) -> None:
    live = await bench.api.apply(lease(bench))
    wish = {**lease(bench), "spec": {"holderIdentity": "b"}}
    wish["metadata"] = {**wish["metadata"], "resourceVersion": live["metadata"]["resourceVersion"]}
    await bench.api.apply(wish)
    with pytest.raises(Conflict):
        await bench.api.apply({**wish, "spec": {"holderIdentity": "c"}})


async def test_create_tells_that_a_name_exists(bench: Bench) -> None:
    assert await bench.api.create(config_map(bench)) is not None
    assert await bench.api.create(config_map(bench)) is None


async def test_a_touch_annotates_the_very_pod(bench: Bench) -> None:
    live = await bench.api.apply(pod(bench))
    touched = await bench.api.apply(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": "server-x",
                "namespace": bench.namespace,
                "uid": live["metadata"]["uid"],
                "annotations": {"treadle.dev/plan": "1"},
            },
        },
        manager="touch",
    )
    assert touched["metadata"]["annotations"]["treadle.dev/plan"] == "1"
    assert touched["spec"]["containers"][0]["image"] == "registry.example/x:1"


async def test_a_kept_job_that_is_gone_is_never_made(bench: Bench) -> None:
    live = await bench.api.apply(job(bench))
    await remove(bench, live)
    with pytest.raises(Conflict):
        await bench.api.apply(keep(live))


async def test_another_manager_suspends_a_job(bench: Bench) -> None:
    live = await bench.api.apply(job(bench))
    wish = {**keep(live), "spec": {"suspend": True}}
    suspended = await bench.api.apply(wish, manager="treadle-suspend")
    assert suspended["spec"]["suspend"] is True
    assert suspended["spec"]["backoffLimit"] == 3


async def test_a_delete_with_another_uid_is_a_conflict(bench: Bench) -> None:
    live = copy.deepcopy(await bench.api.apply(config_map(bench)))
    live["metadata"]["uid"] = "00000000-0000-4000-8000-000000000009"
    with pytest.raises(Conflict):
        await bench.api.delete(live)


async def test_a_delete_removes_or_marks(bench: Bench) -> None:
    live = await bench.api.apply(config_map(bench))
    await bench.api.delete(live)
    found = await bench.api.get(CONFIG_MAP, bench.namespace, "plan")
    # Without a controller manager nobody ends a foreground deletion.
    assert found is None or is_deleting(found)


async def test_a_delete_of_what_is_gone_is_a_success(bench: Bench) -> None:
    live = await bench.api.apply(config_map(bench))
    await remove(bench, live)
    await bench.api.delete(live)


async def test_get_of_nothing_is_none(bench: Bench) -> None:
    assert await bench.api.get(CONFIG_MAP, bench.namespace, "nothing") is None


async def test_get_in_a_namespace_that_is_not_there_is_none(bench: Bench) -> None:
    assert await bench.api.get(CONFIG_MAP, "no-such-namespace", "plan") is None


async def test_a_list_selects_by_labels_and_namespace(bench: Bench) -> None:
    await bench.api.apply(config_map(bench, "one"))
    other = config_map(bench, "two")
    other["metadata"]["labels"] = {"a": "2"}
    await bench.api.apply(other)
    found = await bench.api.list(CONFIG_MAP, bench.namespace, labels={"a": "1"})
    assert [raw["metadata"]["name"] for raw in found] == ["one"]
    assert {raw["kind"] for raw in found} == {"ConfigMap"}


async def test_a_list_of_all_namespaces_holds_ours(bench: Bench) -> None:
    await bench.api.apply(source(bench))
    found = await bench.api.list(DATA_SOURCE)
    assert bench.namespace in {raw["metadata"]["namespace"] for raw in found}


async def test_a_list_of_metadata_holds_nothing_else(bench: Bench) -> None:
    await bench.api.apply(source(bench))
    (found,) = await bench.api.list(DATA_SOURCE, bench.namespace, metadata_only=True)
    assert found.keys() == {"apiVersion", "kind", "metadata"}
    assert (found["kind"], found["metadata"]["name"]) == ("DataSource", "flights")


async def test_a_list_is_in_the_order_of_names(bench: Bench) -> None:
    for name in ("c", "a", "b"):
        await bench.api.apply(config_map(bench, name, x=name))
    found = await bench.api.list(CONFIG_MAP, bench.namespace, labels={"a": "1"})
    assert [raw["metadata"]["name"] for raw in found] == ["a", "b", "c"]


async def test_finalizers_merge_as_a_set(bench: Bench) -> None:
    wish = config_map(bench)
    wish["metadata"]["finalizers"] = ["treadle.dev/one"]
    await bench.api.apply(wish)
    theirs = config_map(bench)
    theirs["metadata"]["finalizers"] = ["treadle.dev/two"]
    await bench.api.apply(theirs, manager="other")
    live = await bench.api.apply(config_map(bench))
    assert live["metadata"]["finalizers"] == ["treadle.dev/two"]
    theirs["metadata"]["finalizers"] = []
    await bench.api.apply(theirs, manager="other")


async def test_owner_references_merge_by_uid(bench: Bench) -> None:
    def reference(name: str) -> Object:
        return {"apiVersion": "v1", "kind": "ConfigMap", "name": name, "uid": f"uid-{name}"}

    ours, theirs = config_map(bench), config_map(bench)
    ours["metadata"]["ownerReferences"] = [reference("a")]
    theirs["metadata"]["ownerReferences"] = [reference("b")]
    await bench.api.apply(ours)
    live = await bench.api.apply(theirs, manager="other")
    assert [each["name"] for each in live["metadata"]["ownerReferences"]] == ["a", "b"]
    assert is_applied(ours, live)


async def remove(bench: Bench, live: Object) -> None:
    """Remove an object for good: in the background, and without finalizers."""
    await bench.api.delete(live)
    found = await bench.api.get(GVKS[live["kind"]], bench.namespace, live["metadata"]["name"])
    if found is not None:
        bench.put({**found, "metadata": {**found["metadata"], "finalizers": []}})
