"""The samples and the quickstart: what a person copies must be accepted, and must work as it is written."""

import io
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from charts import ROOT, Object, documents, only
from control_plane import ControlPlane
from treadle.api.datasource import DataSource, DataSourceSpec
from treadle.api.modeldeployment import ModelDeployment
from treadle.api.monitor import Monitor
from treadle.api.step import IngestStep, Owner, StoreAddress
from treadle.api.trainingjob import TrainingJob
from treadle.control.kube import TYPES, path_of
from treadle.data.step import ingest
from treadle.store.folder import FolderStore

SAMPLES = ROOT / "manifests/samples"
FILES = sorted([*SAMPLES.glob("*.yaml"), *(ROOT / "manifests/quickstart").glob("*.yaml")])
MODELS = {model.__name__: model for model in (DataSource, TrainingJob, ModelDeployment, Monitor)}
NAMES = [f"{file.parent.name}/{file.name}" for file in FILES]
LONGEST = 60
"""Lines of a manifest without its data: it is read before it is copied."""


@pytest.mark.parametrize("file", FILES, ids=NAMES)
def test_a_sample_is_read_by_the_models(file: Path) -> None:
    objects = documents(file.read_text())
    (ours,) = [each for each in objects if each["kind"] in MODELS]
    identity = {"uid": "u", "generation": 1, "resourceVersion": "1", "namespace": "demo"}
    read = MODELS[ours["kind"]].read({**ours, "metadata": {**identity, **ours["metadata"]}})
    assert read.metadata.name == ours["metadata"]["name"]


@pytest.mark.parametrize("file", FILES, ids=NAMES)
def test_a_sample_is_taken_by_the_server(plane: ControlPlane, namespace: str, file: Path) -> None:
    for each in documents(file.read_text()):
        each["metadata"]["namespace"] = namespace
        path = path_of(TYPES[each["apiVersion"], each["kind"]], namespace)
        status, answer = plane.request("POST", f"{path}?dryRun=All&fieldValidation=Strict", each)
        assert status == 201, answer


@pytest.mark.parametrize("file", FILES, ids=NAMES)
def test_a_sample_explains_itself(file: Path) -> None:
    text = file.read_text()
    assert text.startswith("# ")
    assert len(text.partition("\ndata:")[0].splitlines()) <= LONGEST
    assert max(len(line) for line in text.splitlines()) <= 140


def test_the_page_names_each_sample() -> None:
    page = (SAMPLES / "README.md").read_text()
    assert sorted(file.name for file in SAMPLES.glob("*.yaml")) == sorted(
        line.split("`")[1] for line in page.splitlines() if line.startswith("| `")
    )


def air_quality() -> dict[str, bytes]:
    """Return an hour's rows of three stations over some weeks, with a column that the sample does not list."""
    rng = random.Random(3)
    first = datetime(2026, 1, 1, tzinfo=UTC)
    rows = [
        {
            "measured_at": first + timedelta(hours=hour),
            "station": station,
            "temperature": rng.uniform(-5, 15),
            "wind": rng.uniform(0, 12),
            "inspector": f"inspector {rng.randrange(9)}",
            "no2_next_hour": rng.uniform(100, 260),
            "firmware": "1.2",
        }
        for hour in range(400)
        for station in ("harbour", "mill", "station")
    ]
    written = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), written)
    return {"hourly.parquet": written.getvalue()}


def of_config_map(objects: list[Object]) -> dict[str, bytes]:
    return {name: text.encode() for name, text in only(objects, "ConfigMap")["data"].items()}


SOURCES: dict[str, tuple[Callable[[list[Object]], dict[str, bytes]], int]] = {
    "datasource-inline.yaml": (of_config_map, 120),
    "datasource-http.yaml": (lambda _: air_quality(), 1200),
}


class Silent:
    """A report that tells nobody."""

    def stage(self, name: str, fraction: float) -> None: ...


@pytest.mark.parametrize(("name", "found"), SOURCES.items(), ids=SOURCES.keys())
def test_a_source_publishes_a_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, found: tuple[Any, int]
) -> None:
    files, rows = found
    objects = documents((SAMPLES / name).read_text())
    sample = only(objects, "DataSource")
    mounted = tmp_path / "mounts/configs/rows"
    mounted.mkdir(parents=True)
    for file, data in files(objects).items():
        (mounted / file).write_bytes(data)
    (tmp_path / "bucket").mkdir()
    monkeypatch.setenv("TREADLE_MOUNTS", str(tmp_path / "mounts"))
    # Where its rows come from is the one thing that a test cannot have.
    spec = {**sample["spec"], "source": {"inline": {"configMapRef": {"name": "rows"}}}}
    step = IngestStep(
        run="0" * 10,
        run_key="0" * 64,
        owner=Owner(kind="DataSource", name=sample["metadata"]["name"], uid="u", namespace="demo"),
        store=StoreAddress(secret="treadle-store", prefix="treadle/v1/u/"),
        spec=DataSourceSpec.parse(spec),
    )
    result = ingest(step, FolderStore(tmp_path / "bucket", "treadle/v1/u/"), Silent())
    assert (result.outcome, result.message if result.version is None else "") == ("Published", "")
    assert result.version is not None and result.version.rows == rows
    assert not [check for check in result.checks if check.violations]
