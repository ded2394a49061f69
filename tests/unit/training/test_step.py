"""Whole runs on a store: what they leave behind, and how they end when they cannot."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from treadle.api.artifacts import REFERENCE_FILE, SCHEMA_FILE
from treadle.api.reasons import Reason
from treadle.api.step import TrainResult, write_result
from treadle.store import keys, signing
from treadle.store.errors import StoreError
from treadle.store.folder import FolderStore
from treadle.store.manifest import digest_of, manifest_bytes, read_fit, read_manifest, read_record
from treadle.store.pointer import read_pointer
from treadle.training.fit import fit_key

type Rows = list[dict[str, Any]]

SLICES = [{"name": "red", "expression": "colour = 'red'"}, {"name": "big", "expression": '"size" > 5'}]


def test_a_first_run_leaves_a_signed_model_a_record_and_a_pointer(lab: Any, rows: Rows) -> None:
    data = lab.parcels(rows)
    evaluation = {"metrics": ["brier"], "slices": SLICES, "bootstrap": {"samples": 200}}
    cause = {"kind": "Manual", "id": "again"}
    result: TrainResult = lab.train(data, 1, None, evaluation=evaluation, trigger=cause)
    assert (result.outcome, result.reason, result.failed) == ("Promote", "NoChampion", None), result.message
    assert result.model is not None and result.gate is not None and result.data is not None
    model = result.model
    assert (model.name, model.version, model.format) == ("parcels", "v1", "onnx")
    assert model.storage_uri == f"s3://{lab.store.place}/models/{model.digest.removeprefix('sha256:')}.json"
    assert (result.data.digest, result.gate.holdout_uses, result.gate.champion) == (data, 1, None)
    assert [(m.name, m.slice) for m in result.metrics] == [
        ("roc_auc", None), ("brier", None), ("roc_auc", "red"), ("brier", "red"), ("roc_auc", "big"), ("brier", "big"),
    ]  # fmt: skip

    manifest = read_manifest(lab.store, "models", model.digest)
    assert [entry["path"] for entry in manifest["files"]] == [
        "golden.json", "model.onnx", "reference.parquet", "schema.json",
    ]  # fmt: skip
    assert (manifest["format"], manifest["data"]) == ("treadle.dev/model/v1", data)
    assert manifest["primary"] == {"format": "onnx", "path": "model.onnx"}
    assert lab.verified(model.digest) == signing.key_id(public(lab))
    assert model.schema_digest == digest_of(lab.file(model.digest, SCHEMA_FILE))

    record = read_record(lab.store, "train", f"{1:064x}")
    assert record is not None
    assert (record["outcome"], record["version"], record["model"]) == ("Promote", 1, model.digest)
    assert record["gate"] == {"checks": []}
    stored = lab.store.get(keys.run("train", f"{1:064x}"))
    assert result.record == digest_of(stored.data)
    bundle = lab.store.get(keys.signature(result.record))
    assert signing.verify(bundle.data, public(lab), {}, stored.data) == signing.key_id(public(lab))
    pointer = read_pointer(lab.store, "models", "parcels")
    assert pointer is not None and (pointer.current, pointer.version) == (model.digest, 1)
    assert len(write_result(result)) <= 4096


def test_a_run_that_is_started_again_reports_its_record(lab: Any, rows: Rows) -> None:
    data = lab.parcels(rows)
    first = lab.train(data)
    before = [(entry.key, entry.modified) for entry in lab.store.list("")]
    lab.secret("treadle-signing", private_pem=None)
    assert lab.train(data) == first
    assert [(entry.key, entry.modified) for entry in lab.store.list("")] == before


def test_equal_data_and_recipe_are_one_model_that_is_fitted_once(lab: Any, rows: Rows) -> None:
    data = lab.parcels(rows)
    first = lab.train(data, 1)
    assert lab.stages == ("read", "fit", "package", "evaluate", "gate", "publish")
    second = lab.train(data, 2, first.model.digest, gate={"minRows": 100, "margin": "0.01"})
    assert lab.stages == ("read", "fit", "evaluate", "gate", "publish"), "met again in the store"
    assert (second.model.digest, second.model.version) == (first.model.digest, "v2")
    assert (second.outcome, second.gate.difference.value) == ("Reject", "0"), "a model is no better than itself"

    # Without the note of the fit the same bytes are made again.
    lab.path(keys.fit(fit_key(lab.step(data).spec, data))).unlink()
    third = lab.train(data, 3)
    assert ("package" in lab.stages, third.model.digest) == (True, first.model.digest)


def test_a_fit_whose_model_is_damaged_is_made_again(lab: Any, rows: Rows) -> None:
    data = lab.parcels(rows)
    first = lab.train(data, 1)
    entry = next(e for e in read_manifest(lab.store, "models", first.model.digest)["files"] if "onnx" in e["path"])
    lab.path(keys.blob(entry["sha256"])).unlink()
    again = lab.train(data, 2)
    assert (again.outcome, again.model.digest) == ("Promote", first.model.digest)
    assert digest_of(lab.file(first.model.digest, "model.onnx")) == f"sha256:{entry['sha256']}"


def test_a_retired_keys_signature_is_replaced_when_the_same_model_is_made_again(lab: Any, rows: Rows) -> None:
    data = lab.parcels(rows)
    first = lab.train(data, 1)
    other = signing.new_key()
    lab.secret("treadle-signing", private_pem=other.decode(), public_pem=signing.public_of(other).decode())
    again = lab.train(data, 2)
    assert again.model.digest == first.model.digest
    assert lab.verified(first.model.digest) == signing.key_id(signing.public_of(other))


def test_a_champion_of_before_a_rotation_is_scored_while_its_key_is_listed(lab: Any, rows: Rows) -> None:
    data = lab.parcels(rows)
    champion = lab.train(data, 1).model.digest
    other = signing.new_key()
    both = signing.public_of(other) + public(lab)
    lab.secret("treadle-signing", private_pem=other.decode(), public_pem=both.decode())
    result = lab.train(data, 2, champion, seed=5, estimator={"name": "DummyClassifier"})
    assert (result.outcome, result.reason) == ("Reject", "NotBetter"), result.message
    assert result.model.format == "skops" and result.failed == "GatePassed"
    assert read_pointer(lab.store, "models", "parcels").current == champion, "what is refused is never pointed to"


def test_each_run_uses_the_holdout_once_until_it_is_used_up(lab: Any, rows: Rows) -> None:
    data = lab.parcels(rows)
    gate = {"minRows": 100, "maxHoldoutUses": 2}
    uses = [lab.train(data, run, seed=run, gate=gate) for run in (1, 2, 2, 3)]
    assert [result.gate.holdout_uses for result in uses] == [1, 2, 2, 3]
    assert [result.outcome for result in uses] == ["Promote", "Promote", "Promote", "Inconclusive"]
    assert (uses[-1].reason, uses[-1].failed) == ("HoldoutUsedUp", "GatePassed")
    assert uses[-1].model.version == "v3", "what gets no verdict is registered all the same"


def test_a_reference_of_a_windowed_run_is_of_its_window(lab: Any, rows: Rows) -> None:
    data = lab.parcels(rows)
    window = {"name": "parcels", "window": {"since": "2013-04-01T00:00:00Z"}}
    whole, late = lab.train(data, 1), lab.train(data, 2, dataRef=window)
    holdout = read_manifest(lab.store, "datasets", data)["splits"]["holdout"]["rows"]
    found = [reference_rows(lab, result) for result in (whole, late)]
    # Half a year, of which the window is the later half: its train rows, since the holdout has too few of it.
    assert found[0] == holdout and 0.45 * 0.7 * len(rows) < found[1] < 0.55 * 0.7 * len(rows)


def test_regression_and_several_classes(lab: Any, rows: Rows) -> None:
    columns = [
        {"name": "size", "type": "double"},
        {"name": "count", "type": "integer"},
        {"name": "colour", "type": "string", "role": "none"},
        {"name": "delay", "type": "double", "role": "target"},
    ]
    data = lab.parcels([{c["name"]: row[c["name"]] for c in columns} for row in rows], columns)
    evaluation = {"metrics": ["r2", "mae", "median_ae"], "bootstrap": {"samples": 200}}
    regression = lab.train(
        data, 1, task="Regression", estimator={"name": "Ridge"}, objective={"metric": "rmse"}, evaluation=evaluation
    )
    assert regression.outcome == "Promote", regression.message
    assert json.loads(lab.file(regression.model.digest, "golden.json"))["labels"] == []
    better = lab.train(
        data,
        2,
        regression.model.digest,
        task="Regression",
        estimator={"name": "DummyRegressor"},
        objective={"metric": "rmse"},
    )
    # rmse is better when smaller: a mean is far worse than a line.
    assert (better.outcome, float(better.gate.difference.value) < 0) == ("Reject", True)
    several = lab.train(
        data,
        3,
        task="MulticlassClassification",
        target="colour",
        features={"include": ["size", "count"]},
        objective={"metric": "balanced_accuracy"},
    )
    assert several.outcome == "Promote", several.message
    assert json.loads(lab.file(several.model.digest, SCHEMA_FILE))["classes"] == ["blue", "green", "red"]


# What a person may get wrong: rows and recipe to reason, condition, and a part of the text.
CONSTANT = {"late": "true"}
WRONG: dict[str, tuple[Callable[[dict[str, Any]], dict[str, Any]], dict[str, Any], tuple[str, str, str]]] = {
    "a target that is no column": (
        dict, {"target": "tardy"},
        ("InvalidSpec", "DataResolved", "spec.target: 'tardy' is no column of dataset"),
    ),
    "a feature that is no column": (
        dict, {"features": {"exclude": ["colr"]}},
        ("InvalidSpec", "DataResolved", "spec.features.exclude: 'colr' is no column; columns are id, day, size"),
    ),
    "a feature known afterwards": (
        dict, {"features": {"include": ["size", "delay"]}},
        ("InvalidSpec", "DataResolved", "spec.features.include: 'delay' is the target or known after the event only"),
    ),
    "no feature left": (
        dict, {"features": {"include": ["size"], "exclude": ["size"]}},
        ("InvalidSpec", "DataResolved", "no feature is left"),
    ),
    "a label of one class": (
        lambda row: {**row, **CONSTANT}, {},
        ("OneClassTarget", "Trained", "the target holds only 'true' in"),
    ),
    "no label in the train part": (
        lambda row: row if row["id"] % 97 == 5 else {**row, "late": None},
        {"dataRef": {"name": "p", "window": {"minLabelledRows": 500}}},
        ("NotEnoughLabelledRows", "DataResolved", "have a value in 'late', needed are 500"),
    ),
    "a window without rows": (
        dict, {"dataRef": {"name": "p", "window": {"since": "2014-01-01T00:00:00Z"}}},
        ("NotEnoughLabelledRows", "DataResolved", "train rows from 2014-01-01T00:00:00Z until the last have a value"),
    ),
    "a metric of another task": (
        dict, {"objective": {"metric": "rmse"}},
        ("InvalidSpec", "DataResolved", "spec.objective.metric: 'rmse' is no metric of BinaryClassification"),
    ),
    "a metric of one's own": (
        dict, {"objective": {"metric": "profit", "direction": "Maximize"}},
        ("InvalidSpec", "DataResolved", "'profit' is no metric of BinaryClassification; use one of roc_auc"),
    ),
    "an estimator of another task": (
        dict, {"estimator": {"name": "Ridge"}},
        ("InvalidSpec", "DataResolved", "spec.estimator.name: Ridge does not fit task BinaryClassification"),
    ),
    "a misspelt parameter": (
        dict, {"estimator": {"name": "LogisticRegression", "parameters": {"penality": "l2"}}},
        ("InvalidSpec", "DataResolved", "LogisticRegression has no parameter 'penality'; did you mean penalty?"),
    ),
    "parameters that do not go together": (
        dict, {"estimator": {"name": "LogisticRegression", "parameters": {"solver": "lbfgs", "l1_ratio": "1"}}},
        ("TrainingError", "Trained", "LogisticRegression: "),
    ),
    "a slice of an unknown column": (
        dict, {"evaluation": {"slices": [{"name": "s", "expression": "origin = 'LGA'"}]}},
        ("InvalidSpec", "DataResolved", 'spec.evaluation.slices s: unknown column "origin"; known are '),
    ),
    "a column of text that nothing encodes": (
        dict,
        {"preparation": {"mode": "Declared", "transforms": [{"name": "f", "type": "Impute", "columns": ["size"]}]}},
        ("InvalidSpec", "DataResolved", "column 'colour' is text and no transform encodes it"),
    ),
    "a format that cannot hold the estimator": (
        dict,
        {
            "estimator": {"name": "RandomForestClassifier", "parameters": {"n_estimators": "3"}},
            "output": {"format": {"name": "skops"}},
        },
        ("FormatRefused", "Trained", "is not on the list of skops. Use onnx"),
    ),
    "numbers that no estimator takes": (
        lambda row: {**row, "size": "1e39" if row["id"] % 9 == 0 else row["size"]}, {},
        ("TrainingError", "Trained", "Input X contains infinity"),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("change", "recipe", "expected"), WRONG.values(), ids=WRONG.keys())
def test_what_a_person_got_wrong(
    lab: Any, rows: Rows, change: Any, recipe: Any, expected: tuple[str, str, str]
) -> None:
    data = lab.parcels([change(row) for row in rows[:600]])
    result = lab.train(data, 1, **recipe)
    reason, failed, text = expected
    assert (result.outcome, result.reason, result.failed) == ("Failed", reason, failed), result.message
    assert text in result.message
    assert result.message.endswith(f" docs: reasons/{reason}") and len(result.message) <= 300
    assert read_record(lab.store, "train", f"{1:064x}") is None, "a failure may succeed when repeated"
    assert not list(lab.store.list("models/")) and not list(lab.store.list("holdouts/"))


def test_no_column_with_the_role_of_a_target(lab: Any, rows: Rows) -> None:
    columns = [{"name": "size", "type": "double"}, {"name": "late", "type": "boolean"}]
    data = lab.parcels([{"size": row["size"], "late": row["late"]} for row in rows[:300]], columns)
    result = lab.train(data)
    assert (result.reason, result.failed) == ("InvalidSpec", "DataResolved")
    assert "no column of dataset" in result.message and "has role target; columns are size, late" in result.message
    assert lab.train(data, 2, target="late").outcome != "Failed"


def test_a_window_without_a_column_of_time(lab: Any, rows: Rows) -> None:
    columns = [{"name": "size", "type": "double"}, {"name": "late", "type": "boolean", "role": "target"}]
    data = lab.parcels([{"size": row["size"], "late": row["late"]} for row in rows[:300]], columns)
    result = lab.train(data, dataRef={"name": "p", "window": {"since": "2013-02-01T00:00:00Z"}})
    assert (result.reason, result.failed) == ("InvalidSpec", "DataResolved")
    assert "the dataset has no column with role time" in result.message


def test_a_holdout_of_one_class_has_no_metric(lab: Any, rows: Rows) -> None:
    ordered = sorted(rows[:900], key=lambda row: row["day"])
    split = {
        "strategy": "Time",
        "timeColumn": "day",
        "fractions": {"train": "0.7", "validation": "0.1", "holdout": "0.2"},
    }
    data = lab.parcels([{**row, "late": "false"} if n > 500 else row for n, row in enumerate(ordered)], split=split)
    result = lab.train(data)
    assert (result.outcome, result.reason, result.failed) == ("Failed", "MetricsInvalid", "Evaluated")
    assert "roc_auc is nan on the holdout's" in result.message and "whose target is 0 throughout" in result.message


def test_a_class_that_only_the_holdout_has(lab: Any, rows: Rows) -> None:
    split = {
        "strategy": "Time",
        "timeColumn": "day",
        "fractions": {"train": "0.7", "validation": "0.1", "holdout": "0.2"},
    }
    ordered = sorted(rows[:900], key=lambda row: row["day"])
    changed = [{**row, "colour": "pink" if n > 880 else row["colour"]} for n, row in enumerate(ordered)]
    columns = [*(c for c in lab.columns if c["name"] != "late"), {"name": "late", "type": "boolean", "role": "none"}]
    data = lab.parcels(changed, columns, split=split)
    result = lab.train(data, 1, task="MulticlassClassification", target="colour", objective={"metric": "accuracy"})
    assert (result.outcome, result.reason, result.failed) == ("Failed", "MetricsInvalid", "Evaluated")
    assert "holdout rows are of a class that the train rows lack" in result.message


def test_a_version_that_is_gone(lab: Any, rows: Rows) -> None:
    gone = "sha256:" + "ab" * 32
    result = lab.train(gone)
    assert (result.outcome, result.reason, result.failed) == ("Failed", "DataGone", "DataResolved")
    assert (
        result.message.startswith("version abababababab is not whole: dataset abababab is not at")
        and "spec.dataRef.version" in result.message
    )
    data = lab.parcels(rows[:300])
    part = next(p for p in read_manifest(lab.store, "datasets", data)["parts"] if p["split"] == "train")
    lab.path(keys.blob(part["sha256"])).unlink()
    assert lab.train(data).reason == "DataGone"


def test_a_damaged_version_is_the_worlds_to_mend(lab: Any, rows: Rows) -> None:
    data = lab.parcels(rows[:300])
    part = next(p for p in read_manifest(lab.store, "datasets", data)["parts"] if p["split"] == "holdout")
    lab.path(keys.blob(part["sha256"])).write_bytes(b"PAR1 and no more")
    result = lab.train(data)
    assert (result.outcome, result.reason, result.failed) == ("Failed", "ChecksumMismatch", None)


KEYS: dict[str, tuple[Callable[[Any], None], str, str]] = {
    "no private key": (
        lambda lab: lab.secret("treadle-signing", private_pem=None),
        "SecretNotFound",
        'Secret "treadle-signing" has no private.pem in namespace demo',
    ),
    "no Secret": (
        lambda lab: lab.secret("treadle-signing", private_pem=None, public_pem=None),
        "SecretNotFound",
        'no Secret "treadle-signing" in namespace demo',
    ),
    "no key at all": (
        lambda lab: lab.secret("treadle-signing", private_pem="hello"),
        "SignatureInvalid",
        '"private.pem" is no PEM key',
    ),
}


@pytest.mark.parametrize(("damage", "reason", "text"), KEYS.values(), ids=KEYS.keys())
def test_without_a_key_nothing_is_trained(lab: Any, rows: Rows, damage: Any, reason: str, text: str) -> None:
    data = lab.parcels(rows[:300])
    damage(lab)
    result = lab.train(data)
    assert (result.outcome, result.reason, result.failed) == ("Failed", reason, None)
    assert text in result.message and "Create it: kubectl treadle keys create" in result.message
    assert read_fit(lab.store, fit_key(lab.step(data).spec, data)) is None


def test_another_signing_secret_may_be_named(lab: Any, rows: Rows) -> None:
    data, key = lab.parcels(rows[:600]), signing.new_key()
    lab.secret("treadle-team", private_pem=key.decode())
    result = lab.train(data, output={"signing": {"secretRef": {"name": "treadle-team"}}})
    bundle = lab.store.get(keys.signature(result.model.digest))
    listed = {e["path"]: e["sha256"] for e in read_manifest(lab.store, "models", result.model.digest)["files"]}
    manifest = manifest_bytes(lab.store, "models", result.model.digest)
    assert signing.verify(bundle.data, signing.public_of(key), listed, manifest) == signing.key_id(
        signing.public_of(key)
    )


def model_gone(lab: Any, digest: str) -> None:
    lab.path(keys.manifest("models", digest)).unlink()


def model_damaged(lab: Any, digest: str) -> None:
    entry = next(e for e in read_manifest(lab.store, "models", digest)["files"] if e["path"] == "model.onnx")
    path = lab.path(keys.blob(entry["sha256"]))
    path.write_bytes(path.read_bytes()[:-1] + b"!")


def model_unsigned(lab: Any, digest: str) -> None:
    lab.path(keys.signature(digest)).unlink()


def key_forgotten(lab: Any, digest: str) -> None:
    key = signing.new_key()
    lab.secret("treadle-signing", private_pem=key.decode(), public_pem=signing.public_of(key).decode())


CHAMPIONS: dict[str, tuple[Callable[[Any, str], None], str]] = {
    "it is gone": (model_gone, "is not at bucket/treadle/v1/0b6e"),
    "it is damaged": (model_damaged, "has digest"),
    "it is not signed": (model_unsigned, "has no signature"),
    "its key is not listed": (key_forgotten, "is signed by unknown key"),
}


@pytest.mark.parametrize(("damage", "text"), CHAMPIONS.values(), ids=CHAMPIONS.keys())
def test_a_champion_that_cannot_be_scored(lab: Any, rows: Rows, damage: Any, text: str) -> None:
    data = lab.parcels(rows[:600])
    champion = lab.train(data, 1).model.digest
    damage(lab, champion)
    stronger = {"name": "LogisticRegression", "parameters": {"C": "0.1"}}
    result = lab.train(data, 2, champion, estimator=stronger)
    assert (result.outcome, result.reason, result.failed) == ("Inconclusive", "ChampionUnscorable", "GatePassed")
    assert "champion v1 cannot be scored on this holdout: " in result.message and text in result.message
    assert result.model is not None and result.gate.difference is None


def test_a_champion_of_other_columns_or_classes_cannot_be_scored(lab: Any, rows: Rows) -> None:
    champion = lab.train(lab.parcels(rows[:600]), 1).model.digest
    columns = [column for column in lab.columns if column["name"] != "size"]
    less = lab.parcels([{k: v for k, v in row.items() if k != "size"} for row in rows[:600]], columns)
    result = lab.train(less, 2, champion)
    assert (result.outcome, result.reason) == ("Inconclusive", "ChampionUnscorable")
    assert "it takes column 'size', which this dataset lacks" in result.message
    retyped = [{**column, "type": "integer"} if column["name"] == "late" else column for column in lab.columns]
    whole = lab.parcels([{**row, "late": int(row["late"] == "true")} for row in rows[:600]], retyped)
    other = lab.train(whole, 3, champion)
    assert "its classes are false, true, this run's 0, 1" in other.message


def test_weights_and_groups(lab: Any, rows: Rows) -> None:
    columns = [
        *lab.columns,
        {"name": "worth", "type": "double", "role": "weight"},
        {"name": "van", "type": "string", "role": "group"},
    ]
    worth = [{**row, "worth": 1 + row["id"] % 3, "van": f"v{row['id'] % 12}"} for row in rows]
    data = lab.parcels(worth, columns)
    grouped = lab.train(data, 1)
    assert grouped.outcome == "Promote", grouped.message
    schema = json.loads(lab.file(grouped.model.digest, SCHEMA_FILE))
    assert [item["name"] for item in schema["inputs"]] == ["size", "count", "colour"]
    negative = lab.parcels([{**row, "worth": -1} if row["id"] % 5 == 0 else row for row in worth], columns)
    refused = lab.train(negative, 2)
    assert (refused.reason, "column 'worth' with role weight is null, negative" in refused.message) == (
        "InvalidSpec", True,
    )  # fmt: skip


class Full(FolderStore):
    """A folder whose disk is full for blobs."""

    def put_blob(self, key: str, sha256: str, data: bytes | Path) -> None:
        """Refuse."""
        raise StoreError(Reason.QUOTA_EXCEEDED, "the store refused a write: quota. Free space")


def test_a_store_that_fails_while_publishing_is_named_as_such(lab: Any, rows: Rows) -> None:
    data, good = lab.parcels(rows[:600]), lab.store
    lab.store = Full(lab.root / "bucket", good.place.partition("/")[2] + "/")
    result = lab.train(data)
    assert (result.outcome, result.reason, result.failed) == ("Failed", "QuotaExceeded", "Registered")
    lab.store = good
    again = lab.train(data)
    assert (again.outcome, again.gate.holdout_uses) == ("Promote", 1), "the same run, tried again, is one use"


def test_a_number_that_no_request_can_hold_in_the_holdout_only(lab: Any, rows: Rows) -> None:
    split = {
        "strategy": "Time",
        "timeColumn": "day",
        "fractions": {"train": "0.7", "validation": "0.1", "holdout": "0.2"},
    }
    ordered = sorted(rows[:900], key=lambda row: row["day"])
    data = lab.parcels([{**row, "size": "1e39"} if n > 890 else row for n, row in enumerate(ordered)], split=split)
    result = lab.train(data)
    assert result.outcome == "Promote", result.message
    holdout = read_manifest(lab.store, "datasets", data)["splits"]["holdout"]["rows"]
    assert reference_rows(lab, result) == holdout - 9, "no golden row, and nothing that is normal"


def test_a_time_as_a_feature_survives_the_graph(lab: Any, rows: Rows) -> None:
    data = lab.parcels(rows)
    result = lab.train(data, 1, features={"include": ["size", "day"]})
    assert (result.outcome, result.model.format) == ("Promote", "onnx"), result.message


def public(lab: Any) -> bytes:
    return bytes((lab.root / "mounts/secrets/treadle-signing/public.pem").read_bytes())


def reference_rows(lab: Any, result: TrainResult) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    assert result.model is not None
    found = pq.read_table(pa.BufferReader(lab.file(result.model.digest, REFERENCE_FILE)))
    assert np.isfinite(found.column("out.score").to_numpy()).all()
    return int(found.num_rows)
