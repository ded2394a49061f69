"""`treadle doctor` on a real API server: definitions, rights of people, an operator that the chart made, quotas."""

import base64
import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from charts import RELEASE, Helm, program
from control_plane import TOKEN, ControlPlane, binaries, control_plane
from tiers import missing
from treadle.store import signing

OPERATOR = f"{RELEASE}-operator"
SYSTEM = "treadle-system"
RIGHTS = "/apis/rbac.authorization.k8s.io/v1"

type Found = list[tuple[str, str, str]]


def doctor(kubeconfig: Path, namespace: str) -> tuple[int, Found]:
    """Run it with the kubectl that was built; return its exit code and findings."""
    path = f"{Path(program('kubectl')).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [sys.executable, "-m", "treadle", "doctor", "-n", namespace, "-o", "json"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PATH": path, "KUBECONFIG": str(kubeconfig)},
    )
    assert done.stderr == ""
    told = json.loads(done.stdout)
    assert told["ok"] is (done.returncode == 0)
    return done.returncode, [(each["result"], each["check"], each["text"]) for each in told["findings"]]


def of(found: Found, check: str) -> list[tuple[str, str]]:
    return [(result, text) for result, name, text in found if name == check]


def make(plane: ControlPlane, path: str, body: Mapping[str, Any]) -> None:
    status, answer = plane.request("POST", path, body)
    assert status in (200, 201, 409), answer


@pytest.fixture(scope="module")
def plane() -> Iterator[ControlPlane]:
    """Yield a server of its own: what others leave cluster-wide would be in the way of the chart."""
    if binaries() is None:
        missing("kube-apiserver and etcd (hack/cluster/build.sh etcd kube-apiserver)")
    with control_plane() as running:
        running.install_crds()
        yield running


@pytest.fixture
def demo(plane: ControlPlane, tmp_path: Path) -> str:
    """Return a namespace with the two Secrets that are always needed, its bucket a directory."""
    name = plane.namespace(f"doctor-{secrets.token_hex(3)}")
    (tmp_path / "treadle").mkdir()
    key = signing.new_key()
    for secret, values in {
        "treadle-store": {"bucket": "treadle", "endpoint": tmp_path.as_uri()},
        "treadle-signing": {"private.pem": key.decode(), "public.pem": signing.public_of(key).decode()},
    }.items():
        data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
        make(plane, f"/api/v1/namespaces/{name}/secrets", {"metadata": {"name": secret}, "data": data})
    return name


def test_what_an_administrator_is_told_before_there_is_an_operator(plane: ControlPlane, demo: str) -> None:
    code, found = doctor(plane.kubeconfig, demo)
    assert code == 1
    assert [each for each in found if each[0] == "FAIL"] == [
        ("FAIL", "operator", "none is installed, so nothing is reconciled")
    ]
    assert of(found, "crds") == [("ok", "all four are as of treadle 0.1.0")]
    assert of(found, "rights") == [("ok", f"you may do in {demo} all that the commands need")]
    assert of(found, "clock") == [("ok", "this machine and the API server are less than 1 s apart")]


def test_what_an_administrator_is_told_once_the_chart_is_installed(plane: ControlPlane, demo: str) -> None:
    helm = Helm(plane.kubeconfig)
    helm.upgrade(crds__enabled=False)
    try:
        # No kubelet is here: the operator's pod and its Lease are played.
        path = f"/apis/apps/v1/namespaces/{SYSTEM}/deployments/{OPERATOR}/status"
        plane.request("PATCH", path, {"status": {"readyReplicas": 1, "replicas": 1}}, "application/merge-patch+json")
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        lease = {"metadata": {"name": OPERATOR}, "spec": {"holderIdentity": "played", "renewTime": now}}
        make(plane, f"/apis/coordination.k8s.io/v1/namespaces/{SYSTEM}/leases", lease)
        code, found = doctor(plane.kubeconfig, demo)
    finally:
        helm("uninstall", RELEASE, "--ignore-not-found")
        plane.request("DELETE", f"/apis/coordination.k8s.io/v1/namespaces/{SYSTEM}/leases/{OPERATOR}")
    where = f"{SYSTEM}/{OPERATOR}"
    assert (code, {result for result, _, _ in found}) == (0, {"ok"}), found
    assert of(found, "operator") == [("ok", f"{where} is ready")]
    assert of(found, "lease")[0][1].startswith(f"played renewed that of {where} ")
    assert of(found, "operator-rights") == [("ok", f"{where} may do in {demo} all that it needs")]


def test_what_somebody_is_told_who_may_only_read_the_four_kinds(plane: ControlPlane, demo: str) -> None:
    kinds = ["datasources", "trainingjobs", "modeldeployments", "monitors"]
    rules = [{"apiGroups": ["treadle.dev"], "resources": kinds, "verbs": ["get", "list", "watch"]}]
    make(plane, f"{RIGHTS}/namespaces/{demo}/roles", {"metadata": {"name": "reader"}, "rules": rules})
    subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "tester"}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"}
    binding = {"metadata": {"name": "reader"}, "roleRef": role, "subjects": [subject]}
    make(plane, f"{RIGHTS}/namespaces/{demo}/rolebindings", binding)
    code, found = doctor(plane.kubeconfig_of("doctor", {"token": TOKEN}), demo)
    results = {check: result for result, check, _ in found}
    assert (code, {check for check, result in results.items() if result == "warn"}) == (
        0, {"crds", "operator", "rights", "secret", "store", "quota", "limit-range", "pod-security", "pods"},
    )  # fmt: skip
    (missing, *_) = of(found, "rights")
    assert missing[1].startswith("you may not get pods/log; list deployments.apps, ")
    assert f" pods, resourcequotas in {demo}; needed by status, tree, " in missing[1]


def test_what_is_told_of_quotas_and_bounds(plane: ControlPlane, demo: str) -> None:
    quota = {"metadata": {"name": "team"}, "spec": {"hard": {"requests.memory": "256Mi", "limits.cpu": "2"}}}
    make(plane, f"/api/v1/namespaces/{demo}/resourcequotas", quota)
    bounds = {"metadata": {"name": "bounds"}, "spec": {"limits": [{"type": "Container", "max": {"memory": "1Gi"}}]}}
    make(plane, f"/api/v1/namespaces/{demo}/limitranges", bounds)
    _, found = doctor(plane.kubeconfig, demo)
    assert sorted(of(found, "quota")) == [
        ("FAIL", "ResourceQuota team allows 256Mi of requests.memory, a Job of Treadle asks for 512Mi"),
        (
            "FAIL",
            "ResourceQuota team demands limits.cpu of each pod, and a Job of Treadle sets none; set it in "
            "jobTemplate.pod.resources, or a default by a LimitRange",
        ),
    ]
    assert of(found, "limit-range") == [
        (
            "FAIL",
            "LimitRange bounds allows at most 1Gi of memory a container, a Job of Treadle asks for 2Gi; "
            "set jobTemplate.pod.resources",
        )
    ]


def test_a_definition_of_another_version_is_found(plane: ControlPlane, demo: str) -> None:
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/monitors.treadle.dev"
    place = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/suspend/default"
    for value in (True, False):
        patch = [{"op": "replace", "path": place, "value": value}]
        status, answer = plane.request("PATCH", path, patch, "application/json-patch+json")
        assert status == 200, answer
        if value:
            _, found = doctor(plane.kubeconfig, demo)
    assert of(found, "crds") == [
        ("warn", "not as treadle 0.1.0 has it: monitors.treadle.dev at spec.suspend; install one version of both")
    ]
