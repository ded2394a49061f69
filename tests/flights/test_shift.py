"""The quickstart's story on the real flights: a shift in production is found worth a new model, noise is not."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from traffic import flights
from treadle.api.step import TrainResult
from treadle.store.pointer import read_pointer
from workshop import Lab, workshop

ROOT = Path(__file__).parents[2]
# Every fourth flight, so that the whole test takes seconds; all of them give the same verdicts.
EVERY = 4
# Which of the two depends on how near the interval's upper bound is to the margin.
REFUSED = ("Hold", "Reject")
QUICKSTART = ROOT / "manifests" / "quickstart"


def recipe() -> dict[str, Any]:
    """Return the quickstart's recipe, with less of what only makes it finer."""
    spec: dict[str, Any] = yaml.safe_load((QUICKSTART / "trainingjob.yaml").read_text())["spec"]
    return {
        **spec,
        "estimator": {**spec["estimator"], "parameters": {"max_iter": "40"}},
        "evaluation": {**spec["evaluation"], "bootstrap": {"samples": 200}},
        "gate": {**spec["gate"], "margin": "0.002"},
    }


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    """Yield a namespace with a signing key and an empty store."""
    monkeypatch.setitem(os.environ, "TREADLE_MOUNTS", str(tmp_path / "mounts"))
    yield workshop(tmp_path)


@pytest.fixture(scope="module")
def months() -> dict[str, bytes]:
    """Return files by month, and those of April and May with `hour` in UTC under `…-utc`."""
    plain = {month: rows[::EVERY] for month, rows in flights.flights({1, 2, 3, 4, 5}).items()}
    # As flights(…, utc=True), without reading the year again.
    moved = {m: [{**row, "hour": str(int(row["time_hour"][11:13]))} for row in plain[m]] for m in (4, 5)}
    return {
        **{f"{month}": flights.as_csv(rows) for month, rows in plain.items()},
        **{f"{month}-utc": flights.as_csv(rows) for month, rows in moved.items()},
    }


def chosen(months: dict[str, bytes], *names: str) -> dict[str, bytes]:
    return {f"flights-2013-{name}.csv": months[name] for name in names}


def test_a_shift_makes_the_challenger_better_and_noise_does_not(lab: Any, months: dict[str, bytes]) -> None:
    lab.secret("treadle-privacy", hash_key="0123456789abcdef0123456789abcdef")
    source = yaml.safe_load((QUICKSTART / "datasource.yaml").read_text())["spec"]
    quickstart = recipe()
    winter = lab.ingest(chosen(months, "1", "2", "3"), source, "flights")

    first: TrainResult = lab.train(winter, 1, None, **quickstart)
    assert (first.outcome, first.reason, first.failed) == ("Promote", "NoChampion", None), first.message
    assert first.model is not None and first.gate is not None
    champion = first.model.digest
    assert (first.model.version, first.model.format, lab.verified(champion) != "") == ("v1", "onnx", True)
    names = [(metric.name, metric.slice) for metric in first.metrics]
    assert names[:2] == [("average_precision", None), ("roc_auc", None)]
    assert 0.62 < float(first.metrics[1].value) < 0.72, "as honest as the figures in the design"

    again: TrainResult = lab.train(winter, 2, champion, **{**quickstart, "seed": 7})
    assert (again.outcome in REFUSED, again.reason, again.failed) == (True, "NotBetter", "GatePassed"), again.message
    assert "against champion v1" in again.message and "v1 stays" in again.message

    shifted = lab.ingest(chosen(months, "1", "2", "3", "4-utc", "5-utc"), source, "flights")
    second: TrainResult = lab.train(shifted, 3, champion, **quickstart)
    assert (second.outcome, second.reason) == ("Promote", "AllChecksPassed"), second.message
    assert second.gate is not None and second.gate.difference is not None and second.gate.difference.lower is not None
    assert float(second.gate.difference.lower) > 0.015
    assert second.gate.rows == pytest.approx(26_522 / EVERY, rel=0.05)

    # The same months, with nothing moved: learning from winter alone shows no gain over winter's champion.
    unmoved = lab.ingest(chosen(months, "1", "2", "3", "4", "5"), source, "flights")
    window = {"name": "flights", "window": {"until": "2013-04-01T00:00:00Z"}}
    third: TrainResult = lab.train(unmoved, 4, champion, **{**quickstart, "dataRef": window})
    assert (third.outcome in REFUSED, third.reason) == (True, "NotBetter"), third.message

    pointer = read_pointer(lab.store, "models", "flights-late")
    assert pointer is not None and second.model is not None
    assert (pointer.current, pointer.version, pointer.previous) == (second.model.digest, 3, champion)
