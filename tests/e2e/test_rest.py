"""At the end of the tier: an unreachable image, an idle operator, the rights it used, and what uninstalling leaves."""

import json
import os
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from world import SOURCE, give, namespace, rows

from cluster import KINDS, PATHS, Cluster, apply, eventually, kubectl, run

DEMO, SYSTEM = "demo", "treadle-system"
IDLE_SECONDS = 60
AUDIT = Path("/var/lib/treadle-cluster/log/audit.log")
RARE = {
    ("delete", "treadle.dev", "trainingjobs"): "beyond the limits of history",
    ("delete", "apps", "deployments"): "when neither champion nor candidate is left",
    ("delete", "", "configmaps"): "the same",
    ("delete", "batch", "jobs"): "an old one beyond those kept, or one whose pod is lost",
    ("get", "", "serviceaccounts"): "where a pod block names one",
}
"""Rights for what these acts need not reach; tests/api/test_chart.py derives all of them from the code."""
WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})

pytestmark = pytest.mark.timeout(600)


def operator_env(name: str, value: str) -> None:
    """Change a setting of the operator, and wait for the new one."""
    kubectl("set", "env", "deployment/treadle-operator", f"{name}={value}", "--namespace", SYSTEM)
    kubectl("rollout", "status", "deployment/treadle-operator", "--namespace", SYSTEM, "--timeout=120s")


def test_an_unreachable_image_is_told_and_harms_no_champion(installed: Cluster) -> None:
    registry = os.environ.get("TREADLE_IMAGE_REGISTRY", "localhost")
    where = namespace(installed, "unreachable-image")
    give(where, rows())
    operator_env("TREADLE_IMAGE_REGISTRY", "registry.invalid")
    try:
        apply(SOURCE, where)
        told = installed.reaches("DataSource", "tiny", where, "Ready", "False", 120, "ImagePullFailed")
        assert "registry.invalid" in told["message"], told
        if installed.get("ModelDeployment", "flights-late", DEMO):
            installed.reaches("ModelDeployment", "flights-late", DEMO, "Ready", "True", 30)
    finally:
        operator_env("TREADLE_IMAGE_REGISTRY", registry)
    installed.reaches("DataSource", "tiny", where, "Ready", "True", 300, "VersionPublished")


def written(cluster: Cluster) -> dict[str, str]:
    """Return the resource version of everything that the operator writes, Events included."""
    found: dict[str, str] = {}
    for kind, path in PATHS.items():
        if kind in ("Secret", "Lease"):
            continue
        listed = cluster.read(path.replace("namespaces/{}/", "")) or {"items": []}
        for each in listed["items"]:
            meta = each["metadata"]
            marks = meta.get("labels") or {}
            about = (each.get("regarding") or {}).get("kind")
            if kind in KINDS or about in KINDS or marks.get("app.kubernetes.io/managed-by") == "treadle":
                found[f"{kind} {meta['namespace']}/{meta['name']}"] = meta["resourceVersion"]
    return found


def audited() -> Iterator[dict[str, object]]:
    """Yield what the API server noted of the operator's requests."""
    for file in sorted(AUDIT.parent.glob("audit*.log")):
        for line in file.read_text().splitlines():
            yield json.loads(line)


def test_an_idle_operator_writes_nothing(installed: Cluster) -> None:
    quiet(installed)
    before, since = written(installed), time.time()
    lease = lease_of(installed)
    time.sleep(IDLE_SECONDS)
    assert lease_of(installed) != lease, "the Lease is not renewed: no operator is alive"
    after = written(installed)
    assert not (made := {name: at for name, at in after.items() if before.get(name) != at}), made
    # Events go by themselves after an hour.
    assert not (gone := {name for name in before if name not in after and not name.startswith("Event ")}), gone
    if AUDIT.exists():
        late = [
            (entry["verb"], entry["objectRef"])
            for entry in audited()
            if entry["verb"] in WRITES
            and "serviceaccount" in str(entry["user"])
            and stamp_of(entry) >= since
            and dict(entry["objectRef"]).get("resource") != "leases"  # type: ignore[call-overload]
        ]
        assert not late, late


def verbs_of(entry: dict[str, object]) -> tuple[str, ...]:
    """Return the rights that a request needed: an apply that makes an object needs two."""
    verb, response = str(entry["verb"]), dict(entry.get("responseStatus") or {})  # type: ignore[call-overload]
    return (verb, "create") if verb == "patch" and response.get("code") == 201 else (verb,)


def stamp_of(entry: dict[str, object]) -> float:
    return datetime.fromisoformat(str(entry["requestReceivedTimestamp"])).timestamp()


def lease_of(cluster: Cluster) -> str:
    return "".join(each["metadata"]["resourceVersion"] for each in cluster.list("Lease", SYSTEM))


def quiet(cluster: Cluster) -> None:
    """Leave the flights, hold what a schedule makes due, and wait until the last of it is over."""
    kubectl("delete", "namespace", "--selector", "treadle.dev/e2e", "--timeout=180s")
    if cluster.get("DataSource", "flights", DEMO):
        for kind in ("datasource/flights", "monitor/flights-late"):
            kubectl("patch", kind, "--namespace", DEMO, "--type=merge", "--patch", '{"spec": {"suspend": true}}')

    def is_still() -> bool:
        first = written(cluster)
        time.sleep(15)
        return written(cluster) == first

    eventually(is_still, 240, "nothing is written for 15 s", lambda: cluster.story(DEMO))


def test_the_operator_used_each_right_that_it_has_but_the_rare_ones(installed: Cluster) -> None:
    if not AUDIT.exists():
        pytest.skip("this cluster keeps no audit log that can be read; one that hack/cluster starts does")
    used = {
        (
            verb,
            str(reference.get("apiGroup", "")),
            "/".join(filter(None, map(reference.get, ("resource", "subresource")))),
        )
        for entry in audited()
        if "treadle-operator" in str(entry["user"])
        for reference in [dict(entry.get("objectRef") or {})]  # type: ignore[call-overload]
        for verb in verbs_of(entry)
    }
    granted = set()
    for kind in ("clusterroles", "roles"):
        listed = installed.read(f"apis/rbac.authorization.k8s.io/v1/{kind}") or {"items": []}
        for role in listed["items"]:
            marks = role["metadata"].get("labels") or {}
            if (marks.get("app.kubernetes.io/name"), marks.get("app.kubernetes.io/component")) != (
                "treadle",
                "operator",
            ):
                continue
            for rule in role.get("rules") or []:
                granted |= {
                    (verb, group, resource)
                    for verb in rule["verbs"]
                    for group in rule.get("apiGroups", [])
                    for resource in rule.get("resources", [])
                }
    assert granted, "no role of the chart was found"
    assert not (unused := granted - used - set(RARE)), sorted(unused)


def test_uninstalling_keeps_the_types_and_their_objects(installed: Cluster) -> None:
    run("helm", "uninstall", "treadle", "--namespace", SYSTEM, "--wait")
    assert not installed.list("Deployment", SYSTEM)
    for kind in KINDS:
        name = f"{kind.lower()}s.treadle.dev"
        assert installed.read(f"apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}"), name
