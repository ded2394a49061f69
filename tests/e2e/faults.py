"""What people and clusters do wrong: each fault becomes a condition that says what to do; mending it suffices."""

import base64
import json
from collections.abc import Callable

import boto3
from botocore.config import Config
from world import DEPLOYMENT, SOURCE, TRAINING, changed, give, lend, rows

from cluster import Cluster, apply, eventually, kubectl
from traffic import flights

SOON, LATER = 180, 300
"""Seconds until a fault is told, and until its correction is taken up: a world's fault is tried every few minutes."""


def told(cluster: Cluster, kind: str, name: str, where: str, type_: str, status: str, reason: str, *words: str) -> None:
    """Wait for the condition, and assert that its message names what a person needs."""
    message = cluster.reaches(kind, name, where, type_, status, SOON, reason)["message"]
    assert len(message) <= 300 and "\n" not in message, message
    for word in words:
        assert word in message, (word, message)


def mends_source(cluster: Cluster, where: str) -> None:
    cluster.reaches("DataSource", "tiny", where, "Ready", "True", LATER, "VersionPublished")


def another_version(cluster: Cluster, where: str) -> None:
    """Wait for a version of the corrected rows."""
    former = (cluster.get("TrainingJob", "first", where) or {})["status"]["data"]["digest"]
    eventually(
        lambda: (cluster.get("DataSource", "tiny", where) or {})["status"]["currentVersion"]["digest"] != former,
        LATER,
        "a version of the corrected rows",
        lambda: cluster.story(where),
    )


def wrong_credentials(cluster: Cluster, where: str) -> None:
    lend(cluster, "treadle-store", where, AWS_SECRET_ACCESS_KEY="wrong-and-never-shown")
    give(where, rows())
    apply(SOURCE, where)
    told(
        cluster, "DataSource", "tiny", where, "Ready", "False", "CredentialsRejected", "treadle-store", "docs: reasons/"
    )
    assert "wrong-and-never-shown" not in cluster.story(where)
    lend(cluster, "treadle-store", where)
    mends_source(cluster, where)


def missing_bucket(cluster: Cluster, where: str) -> None:
    lend(cluster, "treadle-store", where, bucket="nowhere")
    give(where, rows())
    apply(SOURCE, where)
    told(cluster, "DataSource", "tiny", where, "Ready", "False", "BucketNotFound", "nowhere", "treadle-storage")
    lend(cluster, "treadle-store", where)
    mends_source(cluster, where)


def missing_secret(cluster: Cluster, where: str) -> None:
    kubectl("delete", "secret", "treadle-store", "--namespace", where)
    give(where, rows())
    apply(SOURCE, where)
    told(cluster, "DataSource", "tiny", where, "Ready", "False", "SecretNotFound", "treadle-store", where)
    lend(cluster, "treadle-store", where)
    mends_source(cluster, where)


def empty_file(cluster: Cluster, where: str) -> None:
    give(where, "")
    apply(SOURCE, where)
    told(cluster, "DataSource", "tiny", where, "Ready", "False", "SourceEmpty", "rows.csv", "0 bytes")
    give(where, rows())
    mends_source(cluster, where)


def wrong_column_type(cluster: Cluster, where: str) -> None:
    lines = rows().splitlines()
    lines[17] = "16,tall,b,true"
    give(where, "\n".join(lines))
    apply(SOURCE, where)
    told(cluster, "DataSource", "tiny", where, "SchemaValid", "False", "SchemaMismatch", '"x"', "rows.csv", "line 18")
    told(cluster, "DataSource", "tiny", where, "Ready", "False", "SchemaMismatch")
    give(where, rows())
    mends_source(cluster, where)


def missing_label_column(cluster: Cluster, where: str) -> None:
    give(where, rows())
    apply(changed(SOURCE, {", role: target}": "}"}), where)
    apply(TRAINING, where)
    told(cluster, "TrainingJob", "first", where, "Failed", "True", "InvalidSpec", "target")
    corrected = {"name: first": "name: second", "task: Bin": "target: big\n  task: Bin"}
    apply(changed(TRAINING, corrected), where)
    cluster.reaches("TrainingJob", "second", where, "Complete", "True", LATER, "PassedGate")


def missing_source_column(cluster: Cluster, where: str) -> None:
    give(where, "\n".join(line.rpartition(",")[0] for line in rows().splitlines()))
    apply(SOURCE, where)
    told(cluster, "DataSource", "tiny", where, "Ready", "False", "MissingColumn", '"big"', "rows.csv")
    give(where, rows())
    mends_source(cluster, where)


def one_class_label(cluster: Cluster, where: str) -> None:
    give(where, rows().replace("false", "true"))
    apply(SOURCE, where)
    apply(TRAINING, where)
    told(cluster, "TrainingJob", "first", where, "Failed", "True", "OneClassTarget", "true")
    give(where, rows())
    another_version(cluster, where)
    apply(changed(TRAINING, {"name: first": "name: second"}), where)
    cluster.reaches("TrainingJob", "second", where, "Complete", "True", LATER, "PassedGate")


def unknown_estimator(cluster: Cluster, where: str) -> None:
    give(where, rows())
    apply(SOURCE, where)
    refused = apply(changed(TRAINING, {"LogisticRegression": "LogisticRegresion"}), where, check=False)
    assert refused.returncode and "spec.estimator.name" in refused.stderr and "LogisticRegression" in refused.stderr
    parameter = "{name: LogisticRegression, parameters: {max_itre: '50'}}"
    apply(changed(TRAINING, {"{name: LogisticRegression}": parameter}), where)
    told(cluster, "TrainingJob", "first", where, "Failed", "True", "InvalidSpec", "max_itre", "max_iter")
    apply(changed(TRAINING, {"name: first": "name: second"}), where)
    cluster.reaches("TrainingJob", "second", where, "Complete", "True", LATER, "PassedGate")


def nan_metrics(cluster: Cluster, where: str) -> None:
    lines = rows().splitlines()
    lines[17] = "16,1e300,b,true"  # a number, but its square is none
    give(where, "\n".join(lines))
    apply(
        changed(SOURCE, {"type: double}": "type: double, role: target}", ", role: target}\n  job": "}\n  job"}), where
    )
    regression = {
        "BinaryClassification": "Regression",
        "LogisticRegression": "DummyRegressor",
        "metric: roc_auc}\n": "metric: rmse}\n",
        '{metric: roc_auc, min: "0.6"}': '{metric: rmse, max: "2"}',
    }
    apply(changed(TRAINING, regression), where)
    told(cluster, "TrainingJob", "first", where, "Failed", "True", "MetricsInvalid", "rmse")
    give(where, rows())
    another_version(cluster, where)
    apply(changed(TRAINING, {**regression, "name: first": "name: second"}), where)
    cluster.reaches("TrainingJob", "second", where, "Complete", "True", LATER, "PassedGate")


def killed_for_memory(cluster: Cluster, where: str) -> None:
    give(where, rows())
    apply(SOURCE, where)
    small = {"limits: {memory: 1Gi}": "limits: {memory: 40Mi}", "memory: 128Mi": "memory: 40Mi"}
    apply(changed(TRAINING, small), where)
    told(cluster, "TrainingJob", "first", where, "Failed", "True", "OutOfMemory", "40Mi", "limits.memory")
    apply(changed(TRAINING, {"name: first": "name: second"}), where)
    cluster.reaches("TrainingJob", "second", where, "Complete", "True", LATER, "PassedGate")


def tampered_model(cluster: Cluster, where: str) -> None:
    give(where, rows())
    apply(SOURCE, where)
    apply(TRAINING, where)
    cluster.reaches("TrainingJob", "first", where, "Complete", "True", LATER, "PassedGate")
    model = (cluster.get("TrainingJob", "first", where) or {})["status"]["model"]
    flip_a_byte(cluster, where, model["digest"])
    apply(DEPLOYMENT, where)
    told(cluster, "ModelDeployment", "tiny", where, "Verified", "False", "ChecksumMismatch")
    told(cluster, "ModelDeployment", "tiny", where, "Ready", "False", "ChecksumMismatch")
    apply(
        changed(
            TRAINING,
            {
                "name: first": "name: second",
                "  dataRef": "  seed: 1\n  dataRef",
                "LogisticRegression": "RandomForestClassifier",
            },
        ),
        where,
    )
    cluster.reaches("ModelDeployment", "tiny", where, "Ready", "True", LATER, "Answering")
    champion = (cluster.get("ModelDeployment", "tiny", where) or {})["status"]["champion"]
    assert champion["digest"] != model["digest"]


def flip_a_byte(cluster: Cluster, where: str, digest: str) -> None:
    """Change one byte of the model file of a manifest, as somebody with the bucket's keys could."""
    held = {
        key: base64.b64decode(value).decode()
        for key, value in (cluster.get("Secret", "treadle-store", where) or {})["data"].items()
    }
    uid = (cluster.read(f"api/v1/namespaces/{where}") or {})["metadata"]["uid"]
    prefix = f"{held.get('prefix', '')}treadle/v1/{uid}/"
    with flights.forwarded("treadle-storage", 7070, "demo") as endpoint:
        client = boto3.client(
            "s3",
            endpoint_url=endpoint,
            region_name="us-east-1",
            aws_access_key_id=held["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=held["AWS_SECRET_ACCESS_KEY"],
            config=Config(request_checksum_calculation="when_required", s3={"addressing_style": "path"}),
        )
        key = f"{prefix}models/{digest.removeprefix('sha256:')}.json"
        manifest = json.loads(client.get_object(Bucket=held["bucket"], Key=key)["Body"].read())
        file = next(each for each in manifest["files"] if each["path"] == manifest["primary"]["path"])
        hexed = file["sha256"].removeprefix("sha256:")
        blob = f"{prefix}blobs/sha256/{hexed[:2]}/{hexed}"
        content = bytearray(client.get_object(Bucket=held["bucket"], Key=blob)["Body"].read())
        content[len(content) // 2] ^= 1
        client.put_object(Bucket=held["bucket"], Key=blob, Body=bytes(content))
        client.close()


FAULTS: dict[str, Callable[[Cluster, str], None]] = {
    "wrong-credentials": wrong_credentials,
    "missing-bucket": missing_bucket,
    "missing-secret": missing_secret,
    "empty-file": empty_file,
    "wrong-column-type": wrong_column_type,
    "missing-label-column": missing_label_column,
    "missing-source-column": missing_source_column,
    "one-class-label": one_class_label,
    "unknown-estimator": unknown_estimator,
    "nan-metrics": nan_metrics,
    "killed-for-memory": killed_for_memory,
    "tampered-model": tampered_model,
}
