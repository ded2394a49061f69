"""Small worlds in namespaces of their own: Secrets as the quickstart has them, a few hundred rows, four objects."""

import base64
import json
import random
import secrets
from collections.abc import Mapping
from pathlib import Path

from cluster import Cluster, apply, config_map, kubectl, secret

ROOT = Path(__file__).parents[2]
QUICKSTART = ("datasource", "trainingjob", "modeldeployment", "monitor")
SECRETS = ("treadle-store", "treadle-raw", "treadle-signing", "treadle-privacy")

SOURCE = """
apiVersion: treadle.dev/v1alpha1
kind: DataSource
metadata: {name: tiny}
spec:
  source: {inline: {configMapRef: {name: rows}}}
  format: {name: csv}
  schema:
    columns:
      - {name: row, type: integer, role: id}
      - {name: x, type: double}
      - {name: c, type: string}
      - {name: big, type: boolean, role: target}
  jobTemplate: {pod: {resources: {requests: {cpu: 20m, memory: 128Mi}, limits: {memory: 1Gi}}}}
"""
TRAINING = """
apiVersion: treadle.dev/v1alpha1
kind: TrainingJob
metadata: {name: first}
spec:
  modelName: tiny
  dataRef: {name: tiny}
  task: BinaryClassification
  estimator: {name: LogisticRegression}
  objective: {metric: roc_auc}
  evaluation: {bootstrap: {samples: 200}}
  gate: {floors: [{metric: roc_auc, min: "0.6"}], minRows: 50}
  jobTemplate: {pod: {resources: {requests: {cpu: 20m, memory: 128Mi}, limits: {memory: 1Gi}}}}
"""
DEPLOYMENT = """
apiVersion: treadle.dev/v1alpha1
kind: ModelDeployment
metadata: {name: tiny}
spec:
  modelName: tiny
  predictor: {pod: {resources: {requests: {cpu: 20m, memory: 128Mi}, limits: {memory: 512Mi}}}}
"""


def rows(count: int = 1000, seed: int = 7) -> str:
    """Return a csv file in which x and c tell much of big."""
    rng = random.Random(seed)
    lines = ["row,x,c,big"]
    for number in range(count):
        x, c = rng.gauss(0, 1), rng.choice("abc")
        y = x + (c == "b") + rng.gauss(0, 1) > 0.3
        lines.append(f"{number},{x:.4f},{c},{str(y).lower()}")
    return "\n".join(lines) + "\n"


def namespace(cluster: Cluster, name: str, without: str = "") -> str:
    """Create a namespace with the quickstart's Secrets; its UID gives it a place of its own in the bucket."""
    made = f"e2e-{name}-{secrets.token_hex(3)}"
    manifest = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": made, "labels": {"treadle.dev/e2e": name[:63]}},
    }
    kubectl("create", "--filename", "-", stdin=json.dumps(manifest))
    for each in SECRETS:
        if each != without:
            lend(cluster, each, made)
    return made


def lend(cluster: Cluster, name: str, to: str, **changed: str) -> None:
    """Copy a Secret of the quickstart into a namespace, some of its values changed."""
    found = cluster.get("Secret", name, "demo")
    assert found is not None, f"the chart's quickstart has made no Secret {name}"
    values = {key: base64.b64encode(value.encode()).decode() for key, value in changed.items()}
    apply(secret(name, {**found["data"], **values}), to)


def give(namespace: str, text: str) -> None:
    """Put a csv file into the ConfigMap that SOURCE reads."""
    apply(config_map("rows", {"rows.csv": text}), namespace)


def changed(manifest: str, replacements: Mapping[str, str]) -> str:
    """Return a manifest with some of its text replaced; each text must be there."""
    for old, new in replacements.items():
        assert old in manifest, f"{old!r} is not in the manifest"
        manifest = manifest.replace(old, new)
    return manifest


def quickstart(name: str, namespace: str, prefix: str) -> str:
    """Return a quickstart file for another namespace and another place in the raw bucket."""
    text = (ROOT / f"manifests/quickstart/{name}.yaml").read_text()
    return text.replace("namespace: demo", f"namespace: {namespace}").replace(
        "s3://raw/nycflights13/", f"s3://raw/{prefix}/"
    )
