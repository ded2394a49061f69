"""The chart: what it refuses, what it renders, what it grants, and what installing it on a real API server does."""

import base64
import copy
import secrets
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from charts import CHART, RELEASE, ROOT, SYSTEM, Helm, Object, documents, only, program, render, rights, run
from control_plane import TOKEN, ControlPlane, binaries, control_plane
from operators import create, eventually, has_run, operator
from tiers import missing
from treadle.api.names import GROUP
from treadle.control.engine.ports import (
    CHILDREN,
    EVENT,
    LEASE,
    NAMESPACE,
    OURS,
    POD,
    SERVICE,
    SERVICE_ACCOUNT,
)
from treadle.control.kinds import KINDS
from treadle.control.settings import Settings, from_environment
from treadle.store.open import address_of, read_secret
from treadle.store.signing import key_id, public_keys, public_of

VALUES = yaml.safe_load((CHART / "values.yaml").read_text())
CLUSTER_WIDE = frozenset({"ClusterRole", "ClusterRoleBinding"})
TESTER = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "tester"}


@pytest.fixture(scope="module")
def bare() -> Iterator[ControlPlane]:
    """Yield an API server without our CRDs: here the chart brings them."""
    if binaries() is None:
        missing("kube-apiserver and etcd (hack/cluster/build.sh etcd kube-apiserver)")
    program("helm")
    with control_plane() as running:
        yield running


@pytest.fixture
def helm(bare: ControlPlane) -> Iterator[Helm]:
    """Yield helm, and uninstall at the end; the CRDs stay, as they do for users."""
    on_it = Helm(bare.kubeconfig)
    yield on_it
    on_it("uninstall", RELEASE, "--ignore-not-found")


@pytest.fixture
def demo() -> str:
    """Return a name for the quickstart's namespace; without controllers none is ever gone."""
    return f"demo-{secrets.token_hex(3)}"


# What is refused


def paths(values: Object, above: str = "") -> Iterator[str]:
    for key, value in values.items():
        yield f"{above}{key}"
        if isinstance(value, dict):
            yield from paths(value, f"{above}{key}.")


@pytest.mark.parametrize("path", sorted(paths(VALUES)))
def test_a_misspelt_value_is_refused(path: str) -> None:
    with pytest.raises(AssertionError, match="additional properties"):
        render(**{path[:-1].replace(".", "__"): {}})


REFUSED = {
    "a tag that is a number": ({"image__tag": 1}, "image/tag.*want string"),
    "a registry that ends in a slash": ({"image__registry": "localhost/"}, "image/registry"),
    "a pull policy of another spelling": ({"image__pullPolicy": "ifnotpresent"}, "image/pullPolicy"),
    "a namespace with a capital": ({"watchNamespaces": ["Demo"]}, "watchNamespaces/0"),
    "a namespace twice": ({"watchNamespaces": ["demo", "demo"]}, "watchNamespaces"),
    "a text for a switch": ({"crds__enabled": "false"}, "crds/enabled.*want boolean"),
    "a level that is none": ({"operator__logLevel": "TRACE"}, "operator/logLevel"),
    "a resource that is unknown": ({"operator__resources__limits": {"gpu": "1"}}, "additional properties 'gpu'"),
    "a memory without unit letters known": ({"operator__resources__limits__memory": "512MB"}, "limits/memory"),
    "a number as an annotation": ({"operator__podAnnotations": {"a": 1}}, "operator/podAnnotations"),
    "the quickstart without a cluster": ({"quickstart__enabled": True}, "needs a cluster to read its keys back from"),
}


@pytest.mark.parametrize(("values", "told"), REFUSED.values(), ids=REFUSED.keys())
def test_values_are_refused(values: dict[str, Any], told: str) -> None:
    with pytest.raises(AssertionError, match=told):
        render(**values)


def test_lint_is_content() -> None:
    assert "0 chart(s) failed" in run("helm", "lint", "--strict", str(CHART))


# What is rendered

RENDERED = {
    "as it is": (
        {},
        {
            "ClusterRole": 4,
            "ClusterRoleBinding": 1,
            "CustomResourceDefinition": 4,
            "Deployment": 1,
            "Role": 1,
            "RoleBinding": 1,
            "ServiceAccount": 1,
            "ValidatingAdmissionPolicy": 1,
            "ValidatingAdmissionPolicyBinding": 1,
        },
    ),
    "two namespaces and nothing optional": (
        {
            "watchNamespaces": ["a", "b"],
            "crds__enabled": False,
            "policies__enabled": False,
            "rbac__aggregateClusterRoles": False,
        },
        {"Deployment": 1, "Role": 3, "RoleBinding": 3, "ServiceAccount": 1},
    ),
    "with a Service for the metrics": (
        {
            "metrics__service__enabled": True,
            "crds__enabled": False,
            "policies__enabled": False,
            "rbac__aggregateClusterRoles": False,
        },
        {
            "ClusterRole": 1,
            "ClusterRoleBinding": 1,
            "Deployment": 1,
            "Role": 1,
            "RoleBinding": 1,
            "Service": 1,
            "ServiceAccount": 1,
        },
    ),
}


@pytest.mark.parametrize(("values", "wanted"), RENDERED.values(), ids=RENDERED.keys())
def test_nothing_is_rendered_that_was_not_asked_for(values: dict[str, Any], wanted: dict[str, int]) -> None:
    found: dict[str, int] = {}
    for each in render(**values):
        found[each["kind"]] = found.get(each["kind"], 0) + 1
    assert found == wanted


@pytest.mark.parametrize("keep", [True, False])
def test_the_crds_are_the_generated_ones(keep: bool) -> None:
    wanted = {}
    for file in sorted((ROOT / "crds").glob("*.yaml")):
        crd = yaml.safe_load(file.read_text())
        if keep:
            crd["metadata"]["annotations"] = {"helm.sh/resource-policy": "keep"}
        wanted[crd["metadata"]["name"]] = crd
    found = [each for each in render(crds__keep=keep) if each["kind"] == "CustomResourceDefinition"]
    assert {each["metadata"]["name"]: each for each in found} == wanted


def test_a_packaged_chart_renders_the_same(tmp_path: Path) -> None:
    run("helm", "package", str(CHART), "--destination", str(tmp_path))
    (archive,) = tmp_path.glob("treadle-*.tgz")
    with tarfile.open(archive) as packed:
        assert not [name for name in packed.getnames() if "kustomization" in name]
    assert render(archive) == render()


def test_kustomize_has_what_the_chart_renders() -> None:
    base = ROOT / "manifests/kustomize/base/operator.yaml"
    assert documents(base.read_text()) == render(crds__enabled=False), f"{base} is stale: run make kustomize"


SETTINGS = {
    "as it is": (
        {},
        Settings(image_registry="localhost", image_tag="0.1.0", lease_namespace=SYSTEM, identity="pod-1"),
    ),
    "all that can be chosen": (
        {
            "image__registry": "registry.example/ml",
            "image__tag": "1.2.3",
            "image__pullPolicy": "Always",
            "watchNamespaces": ["a", "b"],
            "operator__logLevel": "DEBUG",
        },
        Settings(
            image_registry="registry.example/ml",
            image_tag="1.2.3",
            image_pull_policy="Always",
            watch_namespaces=("a", "b"),
            lease_namespace=SYSTEM,
            identity="pod-1",
            log_level="DEBUG",
        ),
    ),
}
FIELDS = {"metadata.name": "pod-1", "metadata.namespace": SYSTEM}


@pytest.mark.parametrize(("values", "wanted"), SETTINGS.values(), ids=SETTINGS.keys())
def test_the_operator_is_told_its_settings(values: dict[str, Any], wanted: Settings) -> None:
    (container,) = template(only(render(**values), "Deployment"))["spec"]["containers"]
    environment = {
        each["name"]: each["value"] if "value" in each else FIELDS[each["valueFrom"]["fieldRef"]["fieldPath"]]
        for each in container["env"]
    }
    assert from_environment(environment, 1) == wanted
    assert container["image"] == wanted.image("operator")
    ports = {each["name"]: each["containerPort"] for each in container["ports"]}
    assert ports == {"health": wanted.probe_port, "metrics": wanted.metrics_port}


def template(deployment: Object) -> Object:
    found: Object = deployment["spec"]["template"]
    return found


def as_pod(deployment: Object, namespace: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": deployment["metadata"]["name"], "namespace": namespace},
        "spec": template(deployment)["spec"],
    }


def is_bounded(pod: Object) -> None:
    """Check what admission does not: tokens, limits, temporary files."""
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False
    assert pod["securityContext"]["runAsUser"] == 65532
    for container in [*pod["containers"], *pod.get("initContainers", [])]:
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert set(container["resources"]["requests"]) == {"cpu", "memory", "ephemeral-storage"}
        assert set(container["resources"]["limits"]) == {"memory", "ephemeral-storage"}
    for volume in pod["volumes"]:
        assert "hostPath" not in volume
        assert "emptyDir" not in volume or volume["emptyDir"]["sizeLimit"]


def test_the_operator_pod_is_restricted(bare: ControlPlane) -> None:
    deployment = only(render(image__pullSecrets=["pull"], operator__priorityClassName=""), "Deployment")
    is_admitted(bare, deployment)
    is_bounded(template(deployment)["spec"])
    assert deployment["spec"]["strategy"] == {"type": "Recreate"}
    assert template(deployment)["spec"]["terminationGracePeriodSeconds"] == 60


def is_admitted(plane: ControlPlane, deployment: Object) -> None:
    """Ask the API server's own admission whether the pod is restricted, and whether a pod that is not is refused."""
    name = f"restricted-{secrets.token_hex(3)}"
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    plane.request("POST", "/api/v1/namespaces", {"metadata": {"name": name, "labels": labels}})
    path = f"/api/v1/namespaces/{name}/pods?dryRun=All&fieldValidation=Strict"
    pod = as_pod(deployment, name)
    status, answer = plane.request("POST", path, pod)
    assert status == 201, answer
    loose = copy.deepcopy(pod)
    del loose["spec"]["securityContext"]["seccompProfile"]
    assert plane.request("POST", path, loose)[0] == 403


# What is granted


def used() -> set[tuple[str, str, str]]:
    """Return the rights that the code in control uses where it watches, from its own tables of types and kinds."""
    children = {child for kind in KINDS for child in kind.children}
    return {
        # The watch engine lists and watches; the resync lists.
        *((verb, gvk.group, gvk.plural) for gvk in (*OURS, *CHILDREN) for verb in ("list", "watch")),
        # A pass gets its object and its children.
        *(("get", gvk.group, gvk.plural) for gvk in {*OURS, *children}),
        # apply_status is a patch.
        *(("patch", gvk.group, f"{gvk.plural}/status") for gvk in OURS),
        # An apply is a patch, and of what does not exist also a create; prune deletes.
        *(
            (verb, gvk.group, gvk.plural)
            for gvk in children
            for verb in ("create", "patch", "delete")
            # A Service is always wished, so that prune never meets it.
            if (verb, gvk) != ("delete", SERVICE)
        ),
        # A touch, of a pod that the pass has listed.
        ("patch", POD.group, POD.plural),
        ("get", NAMESPACE.group, NAMESPACE.plural),
        ("get", SERVICE_ACCOUNT.group, SERVICE_ACCOUNT.plural),
        ("create", EVENT.group, EVENT.plural),
    }


CRDS = {(verb, "apiextensions.k8s.io", "customresourcedefinitions") for verb in ("list", "watch")}


def test_rights_are_those_that_the_code_uses() -> None:
    objects = render()
    assert rights(only(objects, "ClusterRole", "treadle-operator")["rules"]) == used() | CRDS
    lease = only(objects, "Role")["rules"]
    assert rights(lease) == {(verb, LEASE.group, LEASE.plural) for verb in ("get", "create", "patch")}
    assert [rule.get("resourceNames") for rule in lease] == [["treadle-operator"], None]
    (subject,) = only(objects, "ClusterRoleBinding")["subjects"]
    account = only(objects, "ServiceAccount")["metadata"]
    assert (subject["name"], subject["namespace"]) == (account["name"], account["namespace"])


def test_watched_namespaces_turn_the_cluster_role_into_roles() -> None:
    objects = render(watchNamespaces=["a", "b"], rbac__aggregateClusterRoles=False)
    assert not [each for each in objects if each["kind"] in CLUSTER_WIDE]
    for namespace in ("a", "b"):
        (role,) = [each for each in objects if each["kind"] == "Role" and each["metadata"]["namespace"] == namespace]
        assert rights(role["rules"]) == used()
        (binding,) = [
            each for each in objects if each["kind"] == "RoleBinding" and each["metadata"]["namespace"] == namespace
        ]
        assert binding["roleRef"]["name"] == role["metadata"]["name"]
        assert binding["subjects"][0]["namespace"] == SYSTEM


def grant(plane: ControlPlane, objects: list[Object], release_namespace: str) -> Path:
    """Give the operator's rendered rights to the user tester; return the kubeconfig of that user."""
    for each in objects:
        if each["kind"] not in ("ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"):
            continue
        given = copy.deepcopy(each)
        if "subjects" in given:
            given["subjects"] = [TESTER]
        if given["metadata"].get("namespace") == SYSTEM:
            given["metadata"]["namespace"] = release_namespace
        inside = f"namespaces/{given['metadata']['namespace']}/" if "namespace" in given["metadata"] else ""
        plural = f"{each['kind'].lower()}s"
        path = f"/apis/rbac.authorization.k8s.io/v1/{inside}{plural}/{given['metadata']['name']}"
        status, answer = plane.request("PATCH", f"{path}?fieldManager=tests", given, "application/apply-patch+yaml")
        assert status < 300, answer
    return plane.kubeconfig_of("tester", {"token": TOKEN})


def revoke(plane: ControlPlane, names: list[str]) -> None:
    for name in names:
        plane.request("DELETE", f"/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/{name}")


@pytest.mark.parametrize("is_cluster_wide", [True, False], ids=["all namespaces", "one namespace"])
def test_an_operator_lives_with_the_rights(
    plane: ControlPlane, namespace: str, tmp_path: Path, is_cluster_wide: bool
) -> None:
    watched = "" if is_cluster_wide else namespace
    objects = render(watchNamespaces=[watched] if watched else [], rbac__aggregateClusterRoles=False)
    kubeconfig = grant(plane, objects, namespace)
    try:
        with operator(
            plane, namespace, tmp_path, KUBECONFIG=str(kubeconfig), TREADLE_WATCH_NAMESPACES=watched
        ) as running:
            create(plane, namespace)
            eventually(lambda: has_run(plane, namespace))
            eventually(lambda: running.probe() == 200)
            assert {line["level"] for line in running.log()} == {"INFO"}
    finally:
        revoke(plane, ["treadle-operator"])


def test_a_missing_right_is_told(plane: ControlPlane, namespace: str, tmp_path: Path) -> None:
    objects = render(rbac__aggregateClusterRoles=False)
    role = only(objects, "ClusterRole")
    role["rules"] = [rule for rule in role["rules"] if "jobs" not in rule["resources"]]
    kubeconfig = grant(plane, objects, namespace)
    try:
        with operator(plane, namespace, tmp_path, KUBECONFIG=str(kubeconfig)) as running:
            told = eventually(lambda: [line for line in running.log() if line.get("message") == "Missing a right"])
        assert [line["type"] for line in told] == ["jobs"]
    finally:
        revoke(plane, ["treadle-operator"])


# What installing it does


def secret_data(plane: ControlPlane, namespace: str) -> dict[str, dict[str, str]]:
    status, listed = plane.request("GET", f"/api/v1/namespaces/{namespace}/secrets")
    assert status == 200, listed
    return {each["metadata"]["name"]: each["data"] for each in listed["items"]}


def deployment_of(plane: ControlPlane, namespace: str, name: str) -> Object:
    status, found = plane.request("GET", f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}")
    assert status == 200, found
    return dict(found)


def test_an_installed_chart_serves_the_four_kinds(bare: ControlPlane, helm: Helm) -> None:
    told = helm.upgrade()
    for kind in OURS:
        path = f"/apis/{GROUP}/{kind.version}/{kind.plural}"
        eventually(lambda path=path: bare.request("GET", path)[0] == 200)
    assert "Off: the quickstart" in told
    assert "Try:" in told and "Check:" in told
    assert not [name for name in secret_data(bare, SYSTEM) if name.startswith("treadle-")]


def test_an_upgrade_brings_a_new_field_and_uninstalling_keeps_objects(
    bare: ControlPlane, helm: Helm, tmp_path: Path
) -> None:
    former = tmp_path / "treadle"
    shutil.copytree(CHART, former)
    file = former / "files/crds/datasources.yaml"
    crd = yaml.safe_load(file.read_text())
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    del schema["spec"]["properties"]["filter"]
    file.write_text(yaml.safe_dump(crd, sort_keys=False))
    name = f"kept-{secrets.token_hex(3)}"
    bare.namespace(name)
    helm.upgrade(chart=former)
    path = f"/apis/{GROUP}/v1alpha1/namespaces/{name}/datasources"
    source = yaml.safe_load((ROOT / "manifests/quickstart/datasource.yaml").read_text())
    source["metadata"]["namespace"] = name

    def accepts() -> bool:
        return bool(bare.request("POST", f"{path}?dryRun=All&fieldValidation=Strict", source)[0] == 201)

    eventually(lambda: not accepts())
    helm.upgrade()
    eventually(accepts)
    assert bare.request("POST", path, source)[0] == 201
    helm("uninstall", RELEASE)
    assert bare.request("GET", f"{path}/flights")[0] == 200


def test_the_quickstart_brings_store_keys_and_secrets(
    bare: ControlPlane, helm: Helm, demo: str, tmp_path: Path
) -> None:
    told = helm.upgrade(quickstart__enabled=True, quickstart__namespace=demo)
    assert f"namespace {demo}" in told
    data = secret_data(bare, demo)
    assert sorted(data) == ["treadle-privacy", "treadle-raw", "treadle-signing", "treadle-store"]
    for name, values in data.items():
        (tmp_path / name).mkdir()
        for key, value in values.items():
            (tmp_path / name / key).write_bytes(base64.b64decode(value))
    store = address_of(read_secret(tmp_path / "treadle-store"), "treadle-store")
    assert (store.bucket, store.endpoint) == ("treadle", f"http://treadle-storage.{demo}.svc:7070")
    assert read_secret(tmp_path / "treadle-raw") == {
        "AWS_ACCESS_KEY_ID": store.access_key,
        "AWS_SECRET_ACCESS_KEY": store.secret_key,
    }
    signing = read_secret(tmp_path / "treadle-signing")
    (known,) = public_keys(signing["public.pem"].encode(), "treadle-signing")
    assert known == key_id(public_of(signing["private.pem"].encode()))
    assert len(read_secret(tmp_path / "treadle-privacy")["hash.key"]) >= 16
    (probe,) = documents(helm("get", "hooks", RELEASE))
    is_bounded(probe["spec"])
    is_admitted(bare, {"metadata": probe["metadata"], "spec": {"template": probe}})
    storage = deployment_of(bare, demo, "treadle-storage")
    is_admitted(bare, storage)
    is_bounded(template(storage)["spec"])
    service = bare.request("GET", f"/api/v1/namespaces/{demo}/services/treadle-storage")[1]
    assert [port["port"] for port in service["spec"]["ports"]] == [7070]
    assert service["spec"]["selector"].items() <= template(storage)["metadata"]["labels"].items()


def test_keys_outlive_upgrades_uninstalling_and_switching_off(bare: ControlPlane, helm: Helm, demo: str) -> None:
    on = {"quickstart__enabled": True, "quickstart__namespace": demo}
    helm.upgrade(**on)
    first = secret_data(bare, demo)
    marks = template(deployment_of(bare, demo, "treadle-storage"))["metadata"]["annotations"]
    helm.upgrade(**on)
    assert secret_data(bare, demo) == first
    assert template(deployment_of(bare, demo, "treadle-storage"))["metadata"]["annotations"] == marks
    helm.upgrade(**(on | {"quickstart__enabled": False}))
    assert bare.request("GET", f"/apis/apps/v1/namespaces/{demo}/deployments/treadle-storage")[0] == 404
    assert secret_data(bare, demo) == first
    helm("uninstall", RELEASE)
    assert bare.request("GET", f"/api/v1/namespaces/{demo}")[1]["status"]["phase"] == "Active"
    helm.upgrade(**on)
    assert secret_data(bare, demo) == first


def test_a_namespace_of_somebody_else_is_used_as_it_is(bare: ControlPlane, helm: Helm, demo: str) -> None:
    bare.namespace(demo)
    helm.upgrade(quickstart__enabled=True, quickstart__namespace=demo)
    assert len(secret_data(bare, demo)) == 4
    helm("uninstall", RELEASE)
    found = bare.request("GET", f"/api/v1/namespaces/{demo}")[1]
    assert found["status"]["phase"] == "Active"
    assert "annotations" not in found["metadata"]


def test_the_quickstart_must_be_watched(helm: Helm) -> None:
    told = helm.upgrade(quickstart__enabled=True, watchNamespaces=["other"], check=False)
    assert '"demo" is not among watchNamespaces (other)' in told


IMAGES = {
    "a store that works keeps its image, since its data would go": ("", 1, "localhost/treadle-storage:one"),
    "a store that never came up gets the new one": ("", 0, "localhost/treadle-storage:two"),
    "a store with a volume gets the new one": ("standard", 1, "localhost/treadle-storage:two"),
}


@pytest.mark.parametrize(("storage_class", "ready", "wanted"), IMAGES.values(), ids=IMAGES.keys())
def test_an_upgrade_of_the_image(
    bare: ControlPlane, helm: Helm, demo: str, storage_class: str, ready: int, wanted: str
) -> None:
    values = {
        "quickstart__enabled": True,
        "quickstart__namespace": demo,
        "quickstart__storageClassName": storage_class,
    }
    helm.upgrade(image__tag="one", **values)
    path = f"/apis/apps/v1/namespaces/{demo}/deployments/treadle-storage"
    status = {"status": {"replicas": ready, "readyReplicas": ready}}
    assert bare.request("PATCH", f"{path}/status", status, "application/merge-patch+json")[0] == 200
    helm.upgrade(image__tag="two", **values)
    pod = template(deployment_of(bare, demo, "treadle-storage"))["spec"]
    assert pod["containers"][0]["image"] == wanted
    claims = bare.request("GET", f"/api/v1/namespaces/{demo}/persistentvolumeclaims")[1]["items"]
    assert [each["spec"]["storageClassName"] for each in claims] == ([storage_class] if storage_class else [])


# Whom it lets do what

REQUESTS = {
    "an editor may not promote": ("edit", "promote", 403),
    "an editor may not roll back": ("edit", "rollback", 403),
    "an editor may not lift a quarantine": ("edit", "unquarantine", 403),
    "an editor may ask for a retrain": ("edit", "requested-at", 200),
    "an administrator of the namespace may promote": ("admin", "promote", 200),
    "an administrator of the namespace may roll back": ("admin", "rollback", 200),
    "who lacks even edit may nothing": ("view", "requested-at", 403),
}
DEPLOYMENT = {
    "apiVersion": "treadle.dev/v1alpha1",
    "kind": "ModelDeployment",
    "metadata": {"name": "flights-late"},
    "spec": {"modelName": "flights-late"},
}


@pytest.fixture(scope="module")
def people(bare: ControlPlane) -> Iterator[ControlPlane]:
    """Yield the server with the chart on it, once its policy acts."""
    on_it = Helm(bare.kubeconfig)
    on_it.upgrade()
    where = bare.namespace(f"people-{secrets.token_hex(3)}")
    bind(bare, where, "edit")
    path = f"/apis/{GROUP}/v1alpha1/namespaces/{where}/modeldeployments"
    eventually(lambda: bare.request("POST", path, DEPLOYMENT)[0] == 201)
    # A new value each time: one that stands is not asked about again.
    eventually(lambda: annotate(bare, where, "promote", f"sha256:{secrets.token_hex(32)}")[0] == 403)
    yield bare
    on_it("uninstall", RELEASE)


def bind(plane: ControlPlane, namespace: str, role: str) -> None:
    """Give one of the chart's roles for people to the user tester; no controller aggregates them here."""
    names = {"view": ["view"], "edit": ["view", "edit"], "admin": ["view", "edit", "admin"]}[role]
    for name in names:
        binding = {
            "metadata": {"name": name},
            "roleRef": {"apiGroup": TESTER["apiGroup"], "kind": "ClusterRole", "name": f"{RELEASE}-{name}"},
            "subjects": [TESTER],
        }
        path = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/rolebindings"
        assert plane.request("POST", path, binding)[0] == 201


def annotate(plane: ControlPlane, namespace: str, annotation: str, value: str) -> tuple[int, str]:
    """Set an annotation as the user tester; return the status, and what was said."""
    kubeconfig = plane.kubeconfig_of("tester", {"token": TOKEN})
    told = run(
        "kubectl",
        *("annotate", "--namespace", namespace, "modeldeployments.treadle.dev/flights-late", "--overwrite"),
        f"treadle.dev/{annotation}={value}",
        kubeconfig=kubeconfig,
        check=False,
    )
    return (200 if "annotated" in told else 403 if "orbidden" in told or "lacks the verb" in told else 500), told


@pytest.mark.parametrize(("role", "annotation", "wanted"), REQUESTS.values(), ids=REQUESTS.keys())
def test_requests_need_their_verb(people: ControlPlane, role: str, annotation: str, wanted: int) -> None:
    where = people.namespace(f"people-{secrets.token_hex(3)}")
    people.request("POST", f"/apis/{GROUP}/v1alpha1/namespaces/{where}/modeldeployments", DEPLOYMENT)
    bind(people, where, role)
    status, told = annotate(people, where, annotation, f"sha256:{'0' * 64}")
    assert status == wanted, told
    if wanted == 403 and role == "edit":
        assert f"annotation treadle.dev/{annotation}: tester lacks the verb" in told


def test_an_annotation_that_is_there_may_stay(people: ControlPlane) -> None:
    where = people.namespace(f"people-{secrets.token_hex(3)}")
    asked = copy.deepcopy(DEPLOYMENT)
    asked["metadata"] = {**asked["metadata"], "annotations": {"treadle.dev/promote": "sha256:1"}}
    people.request("POST", f"/apis/{GROUP}/v1alpha1/namespaces/{where}/modeldeployments", asked)
    bind(people, where, "edit")
    assert annotate(people, where, "requested-at", "2026-01-05T08:00:00Z")[0] == 200
    assert annotate(people, where, "promote", "sha256:2")[0] == 403
