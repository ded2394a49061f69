"""The card and the report of a run: what they tell is what the record holds, and nothing that is not public."""

import contextlib
import io
import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import yaml

from treadle.api.step import TrainResult, write_result
from treadle.store import keys
from treadle.store.manifest import digest_of, read_manifest, read_record
from treadle.store.pointer import read_pointer

type Rows = list[dict[str, Any]]

SLICES = [
    {"name": "red", "expression": "colour = 'red'"},
    {"name": "big", "expression": '"size" > 5'},
    {"name": "tiny", "expression": '"size" > 9.9'},
]
EVALUATION = {"metrics": ["brier", "average_precision"], "slices": SLICES, "bootstrap": {"samples": 200}}
FLOORS = [{"metric": "roc_auc", "min": "0.8"}, {"metric": "brier", "max": "0.3", "slice": "big"}]
GATE = {"minRows": 100, "margin": "0.002", "maxSliceRegression": "0.05", "floors": FLOORS}
BOOSTED = {"name": "HistGradientBoostingClassifier", "parameters": {"max_iter": "20", "learning_rate": "0.05"}}
REGRESSION = {
    "task": "Regression",
    "target": "delay",
    "features": {"include": ["size", "count"]},
    "estimator": {"name": "Ridge"},
    "objective": {"metric": "rmse"},
    "evaluation": {"metrics": ["r2", "mae"], "bootstrap": {"samples": 200}},
}
SEVERAL = {
    "task": "MulticlassClassification",
    "target": "colour",
    "features": {"include": ["size", "count"]},
    "objective": {"metric": "balanced_accuracy"},
}
WINDOW = {"name": "parcels", "window": {"since": "2013-03-01T00:00:00Z"}}

# name: (recipe, whether there is a champion to beat)
RUNS: dict[str, tuple[dict[str, Any], bool]] = {
    "against a champion": ({"estimator": BOOSTED, "evaluation": EVALUATION, "gate": GATE}, True),
    "the first": ({}, False),
    "what ONNX cannot hold": ({"estimator": {"name": "DummyClassifier"}}, False),
    "a regression": (REGRESSION, False),
    "several classes": (SEVERAL, False),
    "a window": ({"dataRef": WINDOW}, False),
}


def run(lab: Any, rows: Rows, name: str) -> tuple[TrainResult, dict[str, Any]]:
    """Train as a row of RUNS says; return the result and the record."""
    recipe, has_champion = RUNS[name]
    data = lab.parcels(rows)
    champion = lab.train(data, 1, evaluation=EVALUATION).model.digest if has_champion else None
    result = lab.train(data, 2, champion, **recipe)
    record = read_record(lab.store, "train", f"{2:064x}")
    assert record is not None, result.message
    return result, record


def paper(lab: Any, record: dict[str, Any], path: str) -> str:
    """Return a file of a record."""
    entry = next(entry for entry in record["files"] if entry["path"] == path)
    found = lab.store.get(keys.blob(entry["sha256"]))
    assert digest_of(found.data) == f"sha256:{entry['sha256']}"
    return str(found.data.decode())


def tables(card: str) -> Iterator[list[list[str]]]:
    """Yield the tables of a card, each a list of rows of cells, without the line below the head."""
    for block in re.findall(r"(?:^\|.*\n)+", card, re.MULTILINE):
        lines = [re.split(r"(?<!\\)\|", line)[1:-1] for line in block.splitlines()]
        yield [[cell.strip() for cell in line] for line in (lines[0], *lines[2:])]


def numbers(text: str) -> set[str]:
    """Return the decimal fractions that stand in a text by themselves."""
    return set(re.findall(r"(?<![\w.-])-?\d+\.\d+(?![\w.-])", text))


@pytest.mark.parametrize("name", RUNS)
def test_every_number_is_of_the_record(lab: Any, rows: Rows, name: str) -> None:
    result, record = run(lab, rows, name)
    card, report, facts = (paper(lab, record, path) for path in ("card.md", "report.html", "training.json"))
    head = yaml.safe_load(card.split("---\n")[1])
    model = result.model
    assert model is not None and result.gate is not None
    assert (head["model_name"], head["version"], head["digest"]) == ("parcels", model.version, model.digest)
    measured = head["model-index"][0]["results"][0]
    assert measured["dataset"]["revision"] == record["data"]
    told = [
        (row["type"], row.get("slice"), row["value"], row.get("lower"), row.get("upper")) for row in measured["metrics"]
    ]
    assert told == [
        (row["name"], row.get("slice"), float(row["value"]), as_number(row, "lower"), as_number(row, "upper"))
        for row in record["metrics"]
    ]
    found = {table[0][0]: table[1:] for table in tables(card)}
    assert [row[:2] + row[3:] for row in found["Metric"]] == [
        [row["name"], row.get("slice") or "all", row["value"], row["lower"], row["upper"]] for row in record["metrics"]
    ]
    assert list(found.get("Check", [])) == [
        [row["name"], row["threshold"], row["value"], row["lower"], row["upper"], row["result"]]
        for row in record["gate"]["checks"]
    ]
    assert {row[0]: int(row[1]) for row in found["Part"]} == {
        name: part["rows"] for name, part in read_manifest(lab.store, "datasets", record["data"])["splits"].items()
    }
    known = numbers(json.dumps(record)) | numbers(facts) | numbers(result.message)
    recipe = json.dumps(RUNS[name][0])
    assert numbers(card.split("```python")[0]) <= known | numbers(recipe) | {result.environment.source_revision}
    assert result.gate.verdict.value in report and all(row["value"] in report for row in record["metrics"])
    assert all(row[bound] in report for row in record["gate"]["checks"] for bound in ("threshold", "lower", "upper"))


def as_number(row: dict[str, str], key: str) -> float | None:
    return float(row[key]) if key in row else None


@pytest.mark.parametrize("name", RUNS)
def test_the_lines_that_load_the_model_do(
    lab: Any, rows: Rows, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result, record = run(lab, rows, name)
    lines = paper(lab, record, "card.md").split("```python\n")[1].split("```")[0]
    path = f"model.{result.model.format}"
    (tmp_path / path).write_bytes(lab.file(result.model.digest, path))
    monkeypatch.chdir(tmp_path)
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(compile(lines, "card", "exec"), {})  # what a reader of the card would type
    assert re.search(r"\d", said.getvalue())


def test_what_the_run_reports_of_its_papers(lab: Any, rows: Rows) -> None:
    result, record = run(lab, rows, "against a champion")
    assert [entry["path"] for entry in record["files"]] == ["card.md", "report.html", "training.json"]
    card = next(entry for entry in record["files"] if entry["path"] == "card.md")
    assert result.model.card_digest == f"sha256:{card['sha256']}"
    key = keys.report(f"{2:064x}")
    assert result.report_uri == f"s3://{lab.store.place}/{key}"
    assert lab.store.get(key).data.decode() == paper(lab, record, "report.html")
    message = write_result(result)
    assert len(message) <= 4096 and not json.loads(message).get("truncated")


def test_the_model_is_the_same_whatever_its_papers_say(lab: Any, rows: Rows) -> None:
    data = lab.parcels(rows)
    first, second = lab.train(data, 1), lab.train(data, 2, gate={"minRows": 100, "floors": FLOORS[:1]})
    assert first.model.digest == second.model.digest
    assert first.model.card_digest != second.model.card_digest
    listed = {entry["path"] for entry in read_manifest(lab.store, "models", first.model.digest)["files"]}
    assert listed == {"golden.json", "model.onnx", "reference.parquet", "schema.json"}


def test_a_run_that_died_after_its_record_shows_its_report_and_points(lab: Any, rows: Rows) -> None:
    data = lab.parcels(rows)
    first = lab.train(data, 1)
    shown, pointer = lab.path(keys.report(f"{1:064x}")), lab.path(keys.pointer("models", "parcels"))
    page = shown.read_bytes()
    shown.unlink()
    pointer.unlink()
    assert lab.train(data, 1) == first
    assert shown.read_bytes() == page
    assert read_pointer(lab.store, "models", "parcels").current == first.model.digest


def test_what_blocked_onnx_is_told_again_when_the_model_is_met_again(lab: Any, rows: Rows) -> None:
    _, record = run(lab, rows, "what ONNX cannot hold")
    lab.train(record["data"], 3, estimator={"name": "DummyClassifier"}, gate={"minRows": 50})
    again = read_record(lab.store, "train", f"{3:064x}")
    for one in (record, again):
        assert "ONNX cannot express it: " in paper(lab, one, "card.md")


def test_what_is_not_public_stands_in_no_paper(lab: Any, rows: Rows) -> None:
    lab.secret("treadle-privacy", hash_key="k" * 32)
    columns = [
        {**column, "classification": "personal"} if column["name"] == "colour" else column for column in lab.columns
    ]
    changed = [{**row, "colour": f"Ada-{row['id'] % 3}"} for row in rows]
    privacy = {"policies": [{"classification": "personal", "action": "Hash"}]}
    lab.train(lab.parcels(changed, columns, privacy=privacy), 1)
    record = read_record(lab.store, "train", f"{1:064x}")
    assert record is not None
    for path in ("card.md", "report.html", "training.json"):
        assert "Ada" not in paper(lab, record, path)
    card = paper(lab, record, "card.md")
    assert "| `colour` | string | feature | yes | personal | a keyed hash |  |" in card
    assert "- colour: not public, so that servers log no value of it and no Monitor sees drift there." in card


class Parsed(HTMLParser):
    """Tags that a page leaves open, and what it loads or runs."""

    VOID = frozenset({"meta", "br"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loads: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.VOID:
            self.open.append(tag)
        given = [(name, value) for name, value in attrs if name in ("src", "href") or name.startswith("on")]
        self.loads += [*given, *([("tag", tag)] if tag in ("script", "img", "link", "iframe") else [])]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes nothing"


@pytest.mark.parametrize("name", ["against a champion", "a regression", "several classes"])
def test_the_report_is_whole_and_stands_alone(lab: Any, rows: Rows, name: str) -> None:
    _, record = run(lab, rows, name)
    found = Parsed()
    found.feed(paper(lab, record, "report.html"))
    assert (found.open, found.loads) == ([], [])


def test_names_are_no_markup(lab: Any, rows: Rows) -> None:
    strange = "size|`<b>*"
    columns = [
        {"name": strange, "type": "double", "expression": "size * 1"},
        {"name": "size", "type": "double", "role": "none"},
        {"name": "late", "type": "boolean", "role": "target"},
    ]
    data = lab.parcels([{"size": row["size"], "late": row["late"]} for row in rows], columns)
    slices = [{"name": "s", "expression": "'<i>|</i>' <> '' AND size > 1"}]
    result = lab.train(data, 1, evaluation={"slices": slices, "bootstrap": {"samples": 200}})
    record = read_record(lab.store, "train", f"{1:064x}")
    assert record is not None, result.message
    card, report = paper(lab, record, "card.md"), paper(lab, record, "report.html")
    assert all(len({len(row) for row in table}) == 1 for table in tables(card))
    assert "| `` size\\|`<b>* `` | double |" in card
    found = Parsed()
    found.feed(report)
    assert found.open == [] and "<b>*" not in report and "<i>|" not in report
