"""The children of a ModelDeployment: golden, restricted, and as few as there is need for."""

from typing import Any

import pytest

import goldens
from builders import digest
from served import STORE, candidate, deployment, held, pod, run, seen
from toys import SETTINGS, START
from treadle.api.plan import ENV_SERVE, ServerSpec
from treadle.control.engine.ports import Object
from treadle.control.modeldeployment.desired import CHILDREN, desired, server
from treadle.control.modeldeployment.trouble import crashed_since, trouble

FULL = {
    "replicas": 3,
    "predictor": {
        "pod": {
            "resources": {"requests": {"cpu": "1"}, "limits": {"memory": "2Gi"}},
            "labels": {"team": "ops", "treadle.dev/name": "another"},
            "annotations": {"cost": "low"},
            "nodeSelector": {"disk": "fast"},
            "tolerations": [{"key": "gpu", "operator": "Exists"}],
            "serviceAccountName": "reader",
            "priorityClassName": "high",
            "imagePullSecrets": [{"name": "registry"}],
        }
    },
    "verification": {"secretRef": {"name": "treadle-other"}},
    "storeRef": {"name": "treadle-store"},
}


def test_the_children_of_a_champion_with_a_candidate() -> None:
    md = deployment({"candidate": candidate(weight=20), "plan": {"revision": 4, "digest": digest("0")}})
    following = pod(revision=4, champion=held("a", "Serving"))
    goldens.same("modeldeployment/canary", list(desired(md, seen(md, pods=[following], revision=4), START)))


def test_the_children_before_the_first_model() -> None:
    md = deployment(served=False)
    goldens.same("modeldeployment/first", list(desired(md, seen(), START)))


def test_the_server_with_every_part_of_a_pod() -> None:
    goldens.same("modeldeployment/server", server(deployment(**FULL), STORE, SETTINGS))


def test_pods_come_with_the_first_candidate() -> None:
    without = {child["kind"] for child in desired(deployment(served=False), seen(), START)}
    first = deployment({"candidate": candidate(state="Verifying")}, served=False)
    found = {child["kind"] for child in desired(first, seen(), START)}
    assert (without, found) == ({"Service", "TrainingJob"}, {"Service", "ConfigMap", "Deployment"})
    assert {gvk.kind for gvk in CHILDREN} >= without | found


def test_which_models_are_held_is_no_part_of_the_pods_template() -> None:
    one, other = deployment(), deployment({"candidate": candidate(weight=50)}, logger={"percent": 3})
    assert server(one, STORE, SETTINGS) == server(other, STORE, SETTINGS)


def test_a_pods_word_about_itself_is_read_back_as_it_was_told() -> None:
    environment = server(deployment(), STORE, SETTINGS)["spec"]["template"]["spec"]["containers"][0]["env"]
    told = ServerSpec.model_validate_json(next(each["value"] for each in environment if each["name"] == ENV_SERVE))
    assert (told.store, told.model_name, told.signing_secret) == (STORE, "flights-late", "treadle-signing")


@pytest.mark.parametrize("spec", [{}, FULL], ids=["by default", "with every part of a pod"])
def test_pods_satisfy_the_restricted_standard(spec: dict[str, Any]) -> None:
    template = server(deployment(**spec), STORE, SETTINGS)["spec"]["template"]["spec"]
    (container,) = template["containers"]
    assert template["automountServiceAccountToken"] is False and template["enableServiceLinks"] is False
    security = template["securityContext"]
    assert (security["runAsNonRoot"], security["runAsUser"]) == (True, 65532)
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert {"memory", "ephemeral-storage"} <= container["resources"]["limits"].keys()
    assert "cpu" not in container["resources"]["limits"]
    assert not {"hostNetwork", "hostPID", "hostIPC"} & template.keys()
    assert all({"secret", "configMap", "emptyDir"} & volume.keys() for volume in template["volumes"])
    (signing,) = [volume for volume in template["volumes"] if "signing" in str(volume) or "other" in str(volume)]
    assert signing["secret"]["items"] == [{"key": "public.pem", "path": "public.pem"}]


def test_labels_of_ours_are_not_replaced() -> None:
    labels = server(deployment(**FULL), STORE, SETTINGS)["spec"]["template"]["metadata"]["labels"]
    assert (labels["team"], labels["treadle.dev/name"]) == ("ops", "flights-late")


def test_a_run_that_is_there_is_left_alone() -> None:
    (kept,) = [child for child in desired(deployment(), seen(runs=[run()]), START) if child["kind"] == "TrainingJob"]
    assert "spec" not in kept


def container(state: Object, last: Object | None = None, *, ready: bool = False) -> Object:
    return {"name": "server", "image": "server:1", "ready": ready, "state": state, "lastState": last or {}}


def ended(code: int, reason: str = "Error", at: str = "2026-01-05T08:10:00Z") -> Object:
    return {"terminated": {"exitCode": code, "reason": reason, "finishedAt": at}}


def status(**found: Any) -> Object:
    return {"metadata": {"name": "server-0", "namespace": "demo"}, "status": found}


FULL_NODE = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes\nare free"}
NO_KEY = {"waiting": {"reason": "CreateContainerConfigError", "message": "no key"}}
TROUBLES: dict[str, tuple[Object, str | None, str]] = {
    "all is well": (status(containerStatuses=[container({"running": {}}, ready=True)]), None, ""),
    "it starts": (status(containerStatuses=[container({"waiting": {"reason": "ContainerCreating"}})]), None, ""),
    "it crashed once and is ready": (
        status(containerStatuses=[container({"running": {}}, ended(1), ready=True)]), None, "",
    ),
    "no node": (status(conditions=[FULL_NODE]), "Unschedulable", "pod server-0: 0/1 nodes are free; lower requests"),
    "no image": (
        status(containerStatuses=[container({"waiting": {"reason": "ErrImagePull"}})]), "ImagePullFailed",
        "pod server-0 cannot pull server:1 (ErrImagePull)",
    ),
    "no memory": (
        status(containerStatuses=[container({"waiting": {"reason": "CrashLoopBackOff"}}, ended(137, "OOMKilled"))]),
        "OutOfMemory", "pod server-0 was killed for memory",
    ),
    "it crashes": (
        status(containerStatuses=[container({"waiting": {"reason": "CrashLoopBackOff"}}, ended(2))]), "None",
        "pod server-0 ended with exit code 2; read its log: kubectl logs server-0 --previous",
    ),
    "it cannot be configured": (status(containerStatuses=[container(NO_KEY)]), "None", "cannot start: no key"),
}  # fmt: skip


@pytest.mark.parametrize(("found", "reason", "message"), TROUBLES.values(), ids=TROUBLES.keys())
def test_a_pods_trouble(found: Object, reason: str | None, message: str) -> None:
    told = trouble([found], None)
    assert (told and str(told.reason)) == reason
    assert told is None or message in told.message


CRASHES: dict[str, tuple[Object, bool, str]] = {
    "before the trial": (container({"running": {}}, ended(1, at="2026-01-05T07:00:00Z")), False, ""),
    "while it loaded": (container({"running": {}}, ended(1)), False, "exit code 1 while it loaded it"),
    "by a signal that ended it well": (container({"running": {}}, ended(0)), False, ""),
    "while it held the model, for any cause": (container({"running": {}}, ended(1)), True, ""),
    "while it held the model, for want of memory": (
        container({"running": {}}, ended(137, "OOMKilled")), True, "killed for memory",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("found", "is_holding", "message"), CRASHES.values(), ids=CRASHES.keys())
def test_a_crash_over_a_candidate(found: Object, is_holding: bool, message: str) -> None:
    told = crashed_since(status(containerStatuses=[found]), START, is_holding=is_holding)
    assert (message in told) if message else told == ""
