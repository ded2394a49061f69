"""A namespace to learn in: a store on a folder, mounts, and the steps as the operator would start them."""

import os

# Strictly before scikit-learn is imported: on a busy machine two threads of a small fit mostly wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import csv
import hashlib
import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from treadle.api.datasource import DataSourceSpec
from treadle.api.step import IngestResult, IngestStep, Owner, StoreAddress, TrainResult, TrainStep
from treadle.api.trainingjob import Recipe
from treadle.data.step import ingest
from treadle.store import keys, signing
from treadle.store.folder import FolderStore
from treadle.store.manifest import manifest_bytes, read_manifest
from treadle.training.step import train

PREFIX = "treadle/v1/0b6e/"
ADDRESS = StoreAddress(secret="treadle-store", prefix=PREFIX)
PRIVATE = signing.new_key()

COLUMNS: list[dict[str, Any]] = [
    {"name": "id", "type": "integer", "role": "id"},
    {"name": "day", "type": "timestamp", "role": "time"},
    {"name": "size", "type": "double"},
    {"name": "count", "type": "integer"},
    {"name": "colour", "type": "string"},
    {"name": "late", "type": "boolean", "role": "target"},
    {"name": "delay", "type": "double", "role": "outcome"},
]
RECIPE: dict[str, Any] = {
    "modelName": "parcels",
    "dataRef": {"name": "parcels"},
    "task": "BinaryClassification",
    "estimator": {"name": "LogisticRegression"},
    "objective": {"metric": "roc_auc"},
    "evaluation": {"bootstrap": {"samples": 200}},
    "gate": {"minRows": 100},
}


class Silent:
    """A report that nobody reads; stages only go forward."""

    def __init__(self) -> None:
        self.stages: list[tuple[float, str]] = []

    def stage(self, name: str, fraction: float) -> None:
        """Note a stage."""
        assert 0 <= fraction <= 1
        assert not self.stages or fraction > self.stages[-1][0]
        self.stages.append((fraction, name))


@dataclass
class Lab:
    """One namespace: its mounts and its part of a bucket."""

    root: Path
    store: FolderStore
    columns: tuple[dict[str, Any], ...] = tuple(COLUMNS)
    stages: tuple[str, ...] = ()
    """What the last training went through."""
    ingested: list[IngestResult] = field(default_factory=list)
    """How each fetch ended."""

    def secret(self, name: str, **values: str | None) -> None:
        """Write keys of a Secret as kubelet mounts them, `_` for a dot; None removes one."""
        directory = self.root / "mounts" / "secrets" / name
        directory.mkdir(parents=True, exist_ok=True)
        for key, value in values.items():
            path = directory / key.replace("_", ".")
            if value is None:
                path.unlink()
            else:
                path.write_text(value)

    def ingest(self, files: dict[str, bytes], spec: dict[str, Any], name: str = "parcels") -> str:
        """Publish files as a version of a DataSource; return its digest."""
        directory = self.root / "mounts" / "configs" / name
        directory.mkdir(parents=True, exist_ok=True)
        for old in directory.iterdir():
            old.unlink()
        for path, data in files.items():
            (directory / path).write_bytes(data)
        run_key = hashlib.sha256(b"".join(files.values()) + repr(spec).encode()).hexdigest()
        step = IngestStep(
            run=run_key[:10],
            run_key=run_key,
            owner=Owner(kind="DataSource", name=name, uid="u", namespace="demo"),
            store=ADDRESS,
            spec=DataSourceSpec.parse({**spec, "source": {"inline": {"configMapRef": {"name": name}}}}),
        )
        result = ingest(step, self.store, Silent())
        self.ingested.append(result)
        assert result.version is not None, result.message
        return result.version.digest

    def parcels(self, rows: list[dict[str, Any]], columns: list[dict[str, Any]] | None = None, **spec: Any) -> str:
        """Publish rows as a version; return its digest."""
        chosen = COLUMNS if columns is None else columns
        return self.ingest(
            {"parcels.csv": as_csv(rows)},
            {"format": {"name": "csv"}, "schema": {"columns": chosen}, "quality": {"leakage": "Ignore"}, **spec},
        )

    def step(self, data: str, run: int = 1, champion: str | None = None, **changes: Any) -> TrainStep:
        """Return a run as the operator describes it."""
        return TrainStep(
            run=f"{run:010x}",
            run_key=f"{run:064x}",
            owner=Owner(kind="TrainingJob", name="parcels", uid="u", namespace="demo"),
            store=ADDRESS,
            spec=Recipe.parse({**RECIPE, **changes}),
            data=data,
            champion=champion,
        )

    def train(self, data: str, run: int = 1, champion: str | None = None, **changes: Any) -> TrainResult:
        """Run one training."""
        report = Silent()
        result = train(self.step(data, run, champion, **changes), self.store, report)
        self.stages = tuple(name for _, name in report.stages)
        return result

    def file(self, model: str, path: str) -> bytes:
        """Return a file of a model."""
        entry = next(entry for entry in read_manifest(self.store, "models", model)["files"] if entry["path"] == path)
        found = self.store.get(keys.blob(entry["sha256"]))
        assert found is not None
        return found.data

    def verified(self, model: str) -> str:
        """Return the id of the key that signed a model, as a server finds it."""
        manifest = read_manifest(self.store, "models", model)
        bundle = self.store.get(keys.signature(model))
        listed = {entry["path"]: entry["sha256"] for entry in manifest["files"]}
        public = (self.root / "mounts/secrets/treadle-signing/public.pem").read_bytes()
        data = manifest_bytes(self.store, "models", model)
        return signing.verify(bundle.data if bundle else None, public, listed, data)

    def path(self, key: str) -> Path:
        """Return the file of a key, to damage it."""
        path = self.root / "bucket" / PREFIX / key
        path.chmod(0o600)
        return path


def as_csv(rows: list[dict[str, Any]]) -> bytes:
    """Return rows as a csv file; None is an empty field."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def parcels(rows: int = 1500, seed: int = 1, flip: float = 0.0) -> list[dict[str, Any]]:
    """Return parcels that are late where size and count are high; `flip` turns that share of the labels."""
    rng = np.random.default_rng(seed)
    size, count = rng.random(rows) * 10, rng.integers(0, 5, rows)
    colour = rng.choice(["red", "green", "blue"], rows)
    late = size + 2 * count + 2 * (colour == "red") + rng.normal(0, 2, rows) > 11
    late ^= rng.random(rows) < flip
    return [
        {
            "id": row,
            "day": f"2013-{1 + row * 6 // rows:02d}-{1 + row % 28:02d}T10:00:00Z",
            "size": None if row % 50 == 7 else round(float(size[row]), 3),
            "count": int(count[row]),
            "colour": None if row % 70 == 9 else str(colour[row]),
            "late": "true" if late[row] else "false",
            "delay": round(float(size[row] * 3 + late[row] * 10), 2),
        }
        for row in range(rows)
    ]


def workshop(root: Path) -> Lab:
    """Return a namespace with a signing key and an empty store; its mounts are below `root`."""
    (root / "bucket").mkdir()
    made = Lab(root, FolderStore(root / "bucket", PREFIX))
    made.secret("treadle-signing", private_pem=PRIVATE.decode(), public_pem=signing.public_of(PRIVATE).decode())
    return made
