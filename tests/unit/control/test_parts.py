"""Settings, conditions, quantities, deliveries, answers, pods: the engine's small pure parts."""

import json
import logging
import random
from typing import Any

import kopf
import pytest

from toys import DECLARED, SETTINGS, START, Clock, data_source
from treadle.api.blocks import JobTemplate, Pod, Resource
from treadle.api.conditions import Condition, no, unknown, yes
from treadle.api.reasons import Reason
from treadle.control import watch
from treadle.control.engine import conditions
from treadle.control.engine.delivery import Delivery
from treadle.control.engine.errors import Conflict, Gone, Invalid, TypeMissing, Wait
from treadle.control.engine.fields import quantity
from treadle.control.engine.metrics import Metrics
from treadle.control.engine.ports import CHILDREN, OURS, Key, Object
from treadle.control.kube import Answer, checked, is_busy, pause_seconds
from treadle.control.logs import JsonLines
from treadle.control.podspec import Mounts, Run, step_job
from treadle.control.settings import Settings, SettingsError, from_environment


def test_settings_have_defaults() -> None:
    assert from_environment({"HOSTNAME": "pod-x"}, 1) == Settings(identity="pod-x-1")


def test_settings_come_from_the_environment() -> None:
    given = {
        "TREADLE_IMAGE_REGISTRY": "registry.example/",
        "TREADLE_IMAGE_TAG": "v1",
        "TREADLE_WATCH_NAMESPACES": "a, b,",
        "TREADLE_WORKER_COUNT": "4",
    }
    settings = from_environment(given, 1)
    assert settings.image("worker") == "registry.example/treadle-worker:v1"
    assert (settings.watch_namespaces, settings.worker_count) == (("a", "b"), 4)


BAD_SETTINGS = {
    "a word for a number": (
        {"TREADLE_PROBE_PORT": "http"},
        "TREADLE_PROBE_PORT: 'http' is not a number from 1 to 65535",
    ),
    "too many workers": ({"TREADLE_WORKER_COUNT": "1000"}, "TREADLE_WORKER_COUNT: '1000' is not a number from 1 to 64"),
    "an unknown policy": ({"TREADLE_IMAGE_PULL_POLICY": "Often"}, "'Often' is none of Always, IfNotPresent, Never"),
    "not a number at all": ({"TREADLE_RESYNC_SECONDS": "nan"}, "TREADLE_RESYNC_SECONDS: 'nan' is not a number"),
}


@pytest.mark.parametrize(("given", "message"), BAD_SETTINGS.values(), ids=BAD_SETTINGS.keys())
def test_settings_that_cannot_be_meant_are_refused(given: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError) as refused:
        from_environment(given, 1)
    assert message in str(refused.value)


def test_a_transition_time_moves_only_with_status() -> None:
    clock = Clock()
    first = conditions.merge([], [no("Ready", Reason.FETCHING), unknown("Fetched")], clock(), 1)
    clock.pass_(60)
    second = conditions.merge(first, [no("Ready", Reason.QUALITY_FAILED), yes("Fetched", Reason.FETCHED)], clock(), 2)
    assert [each["lastTransitionTime"] for each in second] == ["2026-01-05T08:00:00Z", "2026-01-05T08:01:00Z"]
    assert {each["observedGeneration"] for each in second} == {2}


def test_every_declared_condition_is_there_in_order() -> None:
    judged = conditions.every(DECLARED, [yes("Fetched", Reason.FETCHED)])
    assert [(each.type, each.status) for each in judged] == [
        ("Ready", "Unknown"), ("Fetched", "True"), ("Reconciling", "Unknown"), ("Stalled", "Unknown"),
    ]  # fmt: skip


def test_a_condition_that_is_not_declared_is_our_bug() -> None:
    with pytest.raises(ValueError, match="Other is not declared"):
        conditions.every(DECLARED, [unknown("Other")])


KSTATUS: dict[str, tuple[dict[str, Any], tuple[str, str, str, str]]] = {
    "settled": ({"settled": True}, ("False", "Settled", "False", "Settled")),
    "a new spec": ({"settled": False}, ("True", "SpecChanged", "False", "Settled")),
    "waiting": ({"settled": False, "waiting": "for data"}, ("True", "Waiting", "False", "Settled")),
    "stalled": (
        {"settled": False, "stalled": no("Ready", Reason.NAME_TAKEN, "x")}, ("False", "Settled", "True", "NameTaken"),
    ),
    "stalled after it was settled": (
        {"settled": True, "stalled": no("Ready", Reason.NAME_TAKEN)}, ("False", "Settled", "True", "NameTaken"),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("given", "expected"), KSTATUS.values(), ids=KSTATUS.keys())
def test_reconciling_and_stalled_are_never_both_true(given: dict[str, Any], expected: tuple[str, ...]) -> None:
    reconciling, stalled = conditions.reconciling_and_stalled(**given)
    assert (reconciling.status, reconciling.reason, stalled.status, stalled.reason) == expected


EQUAL = {
    "milli and whole": ("1000m", "1"),
    "binary": ("1024Mi", "1Gi"),
    "decimal": ("1000k", "1M"),
    "a fraction": ("0.5", "500m"),
    "a binary fraction": ("1.5Gi", "1536Mi"),
}


@pytest.mark.parametrize(("one", "other"), EQUAL.values(), ids=EQUAL.keys())
def test_equal_quantities_are_equal(one: str, other: str) -> None:
    assert quantity(one) == quantity(other)


@pytest.mark.parametrize(("one", "other"), [("1", "1Ki"), ("1Gi", "1G"), ("x", "y"), ("1m", "1M")])
def test_other_quantities_are_not(one: str, other: str) -> None:
    assert quantity(one) != quantity(other)


ONE = ("Job", "demo", "one")


def told(version: str) -> Object:
    return {"metadata": {"namespace": "demo", "name": "one", "resourceVersion": version}}


def test_a_write_that_comes_back_is_well() -> None:
    delivery = Delivery(60)
    delivery.expect(ONE, "7", now=0)
    delivery.delivered(ONE, "8", False)
    assert delivery.problem(now=1000) == ""


def test_a_write_that_does_not_come_back_is_a_blind_watch() -> None:
    delivery = Delivery(60)
    delivery.expect(ONE, "7", now=0)
    delivery.delivered(ONE, "6", False)
    assert delivery.problem(now=60) == ""
    assert delivery.problem(now=61) == "the watch of Job is blind: demo/one changed 61 s ago and no event told it"


def test_writes_again_and_again_do_not_hide_a_blind_watch() -> None:
    delivery = Delivery(60)
    for second in range(0, 100, 10):
        delivery.expect(ONE, str(second + 7), now=second)
    assert delivery.problem(now=100)


def test_an_event_before_the_answer_counts() -> None:
    delivery = Delivery(60)
    delivery.delivered(ONE, "7", False)
    delivery.expect(ONE, "7", now=0)
    assert delivery.problem(now=1000) == ""


ECHOES = {
    "our own write": (True, "7", "7", True),
    "a later version": (True, "7", "8", False),
    "an earlier version": (True, "7", "6", False),
    "what a list told": (False, "7", "7", False),
}


@pytest.mark.parametrize(("is_written", "expected", "version", "is_echo"), ECHOES.values(), ids=ECHOES.keys())
def test_an_echo_is(is_written: bool, expected: str, version: str, is_echo: bool) -> None:
    delivery = Delivery(60)
    delivery.expect(ONE, expected, now=0, is_written=is_written)
    assert delivery.delivered(ONE, version, False) is is_echo


def test_an_object_that_is_deleted_is_not_waited_for() -> None:
    delivery = Delivery(60)
    delivery.expect(ONE, "7", now=0)
    delivery.delivered(ONE, "9", True)
    assert delivery.problem(now=1000) == ""


def test_a_list_that_knows_more_than_the_watch_is_a_blind_watch() -> None:
    delivery = Delivery(60)
    delivery.delivered(ONE, "7", False)
    assert delivery.listed("Job", [told("8")], now=0) == []
    assert delivery.problem(now=61)


def test_a_list_finds_deletions_that_no_event_told() -> None:
    delivery = Delivery(60)
    delivery.delivered(ONE, "7", False)
    delivery.expect(ONE, "8", now=0)
    assert delivery.listed("Job", [], now=10) == [ONE]
    assert delivery.problem(now=1000) == ""


def status(reason: str, message: str = "m", causes: list[dict[str, str]] | None = None) -> bytes:
    return json.dumps(
        {"kind": "Status", "reason": reason, "message": message, "details": {"causes": causes or []}}
    ).encode()


UID = [{"field": "metadata.uid", "reason": "FieldValueInvalid"}]
TERMINATING = [{"reason": "NamespaceTerminating"}]
ANSWERS: dict[str, tuple[int, bytes, type[Exception], str]] = {
    "404 of an object": (404, status("NotFound"), Gone, ""),
    "404 of a type": (404, b"404 page not found\n", TypeMissing, ""),
    "403 in a terminating namespace": (403, status("Forbidden", "m", TERMINATING), Gone, ""),
    "403 of a quota": (403, status("Forbidden", "exceeded quota: q"), Wait, "QuotaExceeded"),
    "403 of RBAC": (403, status("Forbidden", "cannot get"), Wait, "AccessDenied"),
    "409": (409, status("Conflict"), Conflict, ""),
    "422 on the uid": (422, status("Invalid", "m", UID), Conflict, ""),
    "422 on a value": (422, status("Invalid", "spec.x: m"), Invalid, "InvalidSpec"),
    "400": (400, status("BadRequest"), Invalid, "InvalidSpec"),
    "500 about our literal": (500, status("", "failed to create typed patch object (x)"), RuntimeError, ""),
}


@pytest.mark.parametrize(("code", "body", "error", "reason"), ANSWERS.values(), ids=ANSWERS.keys())
def test_an_answer_means(code: int, body: bytes, error: type[Exception], reason: str) -> None:
    with pytest.raises(error) as raised:
        checked(Answer(code, body), "patch jobs")
    assert type(raised.value) is error
    assert str(getattr(raised.value, "reason", "")) == reason


@pytest.mark.parametrize(("code", "busy"), [(429, True), (503, True), (504, True), (500, True), (409, False)])
def test_a_busy_server_is_asked_again(code: int, busy: bool) -> None:
    assert is_busy(Answer(code, b"")) is busy


def test_a_bug_of_ours_is_never_asked_again() -> None:
    assert not is_busy(Answer(500, status("", "failed to create typed patch object")))


def test_the_server_may_ask_for_a_longer_pause() -> None:
    assert pause_seconds(1, "5", random.Random(1)) == 5.0
    assert pause_seconds(1, "3600", random.Random(1)) == 10.0
    assert 0.1 <= pause_seconds(1, None, random.Random(1)) <= 0.3


def job(pod: Pod | None = None, mounts: Mounts | None = None) -> Object:
    raw = data_source()
    raw["metadata"]["uid"] = "u"
    run = Run("flights-0123456789", "ingest", {"v": 1, "step": "ingest"}, "ab" * 32, attempt=2)
    return step_job(Resource.read(raw), run, JobTemplate(pod=pod), mounts or Mounts(), SETTINGS)


def test_a_step_s_job_is_hardened() -> None:
    pod = job()["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["automountServiceAccountToken"] is False and pod["enableServiceLinks"] is False
    assert pod["securityContext"]["runAsUser"] == 65532 and pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert "cpu" not in container["resources"]["limits"]
    assert {"memory", "ephemeral-storage"} <= container["resources"]["limits"].keys()
    assert container["terminationMessagePolicy"] == "File"


def test_a_step_s_job_says_how_pods_end() -> None:
    spec = job()["spec"]
    assert (spec["podReplacementPolicy"], spec["template"]["spec"]["restartPolicy"]) == ("Failed", "Never")
    rules = {
        str(rule.get("onExitCodes", {}).get("values")): rule["action"] for rule in spec["podFailurePolicy"]["rules"]
    }
    assert rules == {"None": "Ignore", "[11]": "Ignore", "[10]": "FailJob"}


def test_a_step_s_job_carries_its_spec_and_its_key() -> None:
    raw = job()
    (container,) = raw["spec"]["template"]["spec"]["containers"]
    assert container["args"] == ["ingest"]
    env = {each["name"]: each["value"] for each in container["env"]}
    assert env == {"TREADLE_STEP": '{"step":"ingest","v":1}', "TREADLE_MOUNTS": "/treadle"}
    assert raw["metadata"]["annotations"] == {"treadle.dev/run-key": "ab" * 32, "treadle.dev/attempt": "2"}


def test_secrets_and_config_maps_are_mounted_as_optional_directories() -> None:
    mounts = Mounts(secrets={"treadle-store": (), "treadle-signing": ("public.pem",)}, configs=("rows",))
    pod = job(mounts=mounts)["spec"]["template"]["spec"]
    paths = {each["name"]: each["mountPath"] for each in pod["containers"][0]["volumeMounts"]}
    assert sorted(paths.values()) == [
        "/tmp", "/treadle/configs/rows", "/treadle/secrets/treadle-signing", "/treadle/secrets/treadle-store",
    ]  # fmt: skip
    sources = {paths[each["name"]]: each for each in pod["volumes"]}
    assert sources["/treadle/secrets/treadle-signing"]["secret"] == {
        "secretName": "treadle-signing", "optional": True, "items": [{"key": "public.pem", "path": "public.pem"}],
    }  # fmt: skip
    assert sources["/treadle/configs/rows"]["configMap"] == {"name": "rows", "optional": True}
    assert sources["/tmp"]["emptyDir"] == {"sizeLimit": "2Gi"}


def test_the_user_s_pod_block_is_kept_but_not_for_our_labels() -> None:
    pod = Pod.parse(
        {
            "labels": {"team": "a", "treadle.dev/name": "mine"},
            "nodeSelector": {"gpu": "true"},
            "resources": {"limits": {"memory": "4Gi"}},
            "imagePullSecrets": [{"name": "pull"}],
        }
    )
    template = job(pod)["spec"]["template"]
    assert template["metadata"]["labels"]["team"] == "a"
    assert template["metadata"]["labels"]["treadle.dev/name"] == "flights"
    assert template["spec"]["nodeSelector"] == {"gpu": "true"}
    assert template["spec"]["imagePullSecrets"] == [{"name": "pull"}]
    assert template["spec"]["containers"][0]["resources"] == {"limits": {"ephemeral-storage": "4Gi", "memory": "4Gi"}}


def handlers() -> kopf.OperatorRegistry:
    async def login() -> Any:
        raise OSError("no token")

    return watch.registry(lambda *_, **__: None, lambda: ({}, ""), login)


def test_no_login_but_ours_is_registered() -> None:
    registered = handlers()
    assert [handler.id for handler in registered._activities.get_all_handlers()] == ["login", "engine"]


def test_only_event_handlers_are_registered() -> None:
    registered = handlers()
    assert len(registered._watching.get_all_handlers()) == len((*OURS, *CHILDREN))
    others = (registered._changing, registered._spawning, registered._indexing, registered._webhooks)
    assert [list(each.get_all_handlers()) for each in others] == [[], [], [], []]


async def test_a_login_that_fails_is_none_which_ends_kopf(caplog: pytest.LogCaptureFixture) -> None:
    async def login() -> Any:
        raise OSError("no token")

    assert await watch.connection(login) is None
    assert "Could not log in" in caplog.text


def test_children_are_filtered_on_the_server() -> None:
    chosen = watch.operator_settings(Settings())
    assert len(chosen.watching.label_selectors) == len(CHILDREN)
    assert not chosen.scanning.disabled and not chosen.posting.enabled and chosen.peering.standalone


def conditions_of(ready: str) -> list[Object]:
    return [{"type": "Ready", "status": ready}]


def test_the_condition_gauge_shows_one_status() -> None:
    metrics, key = Metrics(), Key("DataSource", "demo", "flights")
    metrics.show(key, conditions_of("False"))
    metrics.show(key, conditions_of("True"))
    samples = next(iter(metrics.condition.collect())).samples
    assert [(sample.labels["status"], sample.value) for sample in samples] == [("True", 1.0)]
    metrics.show(key, [])
    assert next(iter(metrics.condition.collect())).samples == []


def test_the_condition_gauge_is_capped() -> None:
    metrics = Metrics(condition_limit=2)
    for number in range(5):
        metrics.show(Key("DataSource", "demo", str(number)), conditions_of("True"))
    assert len(next(iter(metrics.condition.collect())).samples) == 2
    assert metrics.conditions_left_out._value.get() == 3


def test_a_log_line_is_json_with_its_facts() -> None:
    record = logging.LogRecord("treadle", logging.INFO, "", 0, "Applied %s", ("Job",), None)
    record.child = "flights-0123456789"
    line = json.loads(JsonLines().format(record))
    assert (line["message"], line["child"], line["level"]) == ("Applied Job", "flights-0123456789", "INFO")


def test_a_condition_of_a_status_is_read_back() -> None:
    (written,) = conditions.merge([], [yes("Ready", Reason.FETCHED, "m")], START, 1)
    assert conditions.parsed(written) == Condition(type="Ready", status="True", reason="Fetched", message="m")
