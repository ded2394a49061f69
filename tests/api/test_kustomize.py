"""The kustomizations: what they build, and that references of the four kinds follow a changed name."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from charts import ROOT, SYSTEM, Object, documents, only, render, run

KUSTOMIZE = ROOT / "manifests/kustomize"
REFERENCES = KUSTOMIZE / "kustomizeconfig.yaml"


def build(directory: Path) -> list[Object]:
    return documents(run("kubectl", "kustomize", str(directory), "--load-restrictor=LoadRestrictionsNone"))


def plain(objects: list[Object]) -> dict[tuple[str, str], Object]:
    """Return objects by kind and name, without the mark of who made them, and what keeps CRDs from Helm."""
    for each in objects:
        (each["metadata"].get("labels") or {}).pop("app.kubernetes.io/managed-by", None)
        each["metadata"].pop("annotations", None)
        if not each["metadata"].get("labels"):
            each["metadata"].pop("labels", None)
    return {(each["kind"], each["metadata"]["name"]): each for each in objects}


def test_the_base_is_the_chart_and_its_namespace() -> None:
    base = plain(build(KUSTOMIZE / "base"))
    del base["Namespace", SYSTEM]
    assert base == plain(render())


def test_the_example_changes_image_and_limit_alone() -> None:
    base, example = (plain(build(KUSTOMIZE / path)) for path in ("base", "overlays/example"))
    changed = [key for key in base if base[key] != example[key]]
    assert changed == [("Deployment", "treadle-operator")]
    (container,) = example[changed[0]]["spec"]["template"]["spec"]["containers"]
    environment = {each["name"]: each.get("value") for each in container["env"]}
    registry, tag = environment["TREADLE_IMAGE_REGISTRY"], environment["TREADLE_IMAGE_TAG"]
    assert (
        container["image"] == f"{registry}/treadle-operator:{tag}" == "registry.example.com/ml/treadle-operator:0.1.0"
    )
    assert container["resources"]["limits"] == {"memory": "1Gi", "ephemeral-storage": "128Mi"}


def references(node: Object, path: str = "spec") -> Iterator[str]:
    """Yield the path of each reference by name in a schema; that of a trigger is a record, and names any kind."""
    for name, child in node.get("properties", {}).items():
        here = f"{path}/{name}"
        if name.endswith("Ref") and "name" in child.get("properties", {}):
            yield f"{here}/name"
        yield from references(child, here)


def test_each_reference_of_the_four_kinds_is_followed() -> None:
    wanted = set()
    for file in (ROOT / "crds").glob("*.yaml"):
        crd = yaml.safe_load(file.read_text())
        spec = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
        wanted |= {(crd["spec"]["names"]["kind"], path) for path in references(spec)}
    # What Secrets are called by default needs no following: a Secret of another name is named.
    found = {
        (field["kind"], field["path"])
        for reference in yaml.safe_load(REFERENCES.read_text())["nameReference"]
        for field in reference["fieldSpecs"]
    }
    assert found == wanted


PREFIXED = """
namePrefix: eu-
resources: [objects.yaml]
configurations: [kustomizeconfig.yaml]
configMapGenerator: [{name: rents, literals: ["rents.csv=id,rent"]}]
"""
FOLLOWED = {
    "a DataSource, by a TrainingJob": (("TrainingJob", "spec/dataRef/name"), "eu-rents"),
    "a ModelDeployment, by a Monitor": (("Monitor", "spec/targetRef/name"), "eu-rents"),
    "a generated ConfigMap, with its hash": (("DataSource", "spec/source/inline/configMapRef/name"), "eu-rents-"),
    "a family of models, which is no object": (("ModelDeployment", "spec/modelName"), "rents"),
}


@pytest.mark.parametrize(("where", "wanted"), FOLLOWED.values(), ids=FOLLOWED.keys())
def test_a_changed_name_is_followed(tmp_path: Path, where: tuple[str, str], wanted: str) -> None:
    samples = ROOT / "manifests/samples"
    names = ("datasource-inline", "trainingjob-regression", "modeldeployment-pinned", "monitor-notify")
    objects = [each for name in names for each in documents((samples / f"{name}.yaml").read_text())]
    kept = [each for each in objects if each["kind"] != "ConfigMap"]
    (tmp_path / "objects.yaml").write_text(yaml.safe_dump_all(kept))
    (tmp_path / "kustomizeconfig.yaml").write_text(REFERENCES.read_text())
    (tmp_path / "kustomization.yaml").write_text(PREFIXED)
    kind, path = where
    found = only(build(tmp_path), kind)
    for part in path.split("/"):
        found = found[part]
    generated = only(build(tmp_path), "ConfigMap")["metadata"]["name"]
    assert found == (generated if wanted.endswith("-") else wanted)
    assert str(found).startswith(wanted)
