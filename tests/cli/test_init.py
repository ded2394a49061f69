"""`treadle init`: what it makes of tables of all kinds, and that what it writes applies, fetches, trains and passes."""

import os

# Strictly before scikit-learn is imported: on a busy machine two threads of a small fit mostly wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from datasets import NAMES, as_csv, people, random_table, table
from treadle.api.datasource import DataSourceSpec
from treadle.api.modeldeployment import ModelDeploymentSpec
from treadle.api.monitor import MonitorSpec
from treadle.api.step import IngestResult, IngestStep, Owner, StoreAddress, TrainStep
from treadle.api.trainingjob import Recipe, TrainingJobSpec
from treadle.cli.draft.form import csv_form
from treadle.cli.draft.write import FILES, flow, told
from treadle.cli.init import init, slug
from treadle.data.step import ingest
from treadle.local.schema.admit import schemas
from treadle.store import signing
from treadle.store.folder import FolderStore
from treadle.training.step import train

SPECS = {
    "DataSource": DataSourceSpec,
    "TrainingJob": TrainingJobSpec,
    "ModelDeployment": ModelDeploymentSpec,
    "Monitor": MonitorSpec,
}
PREFIX = "treadle/v1/u/"


def suffix(data: bytes) -> str:
    return "parquet" if data.startswith(b"PAR1") else "jsonl" if data.startswith(b"{") else "csv"


def run(directory: Path, data: bytes, *args: str, file: str = "") -> Result:
    path = directory / (file or f"rows.{suffix(data)}")
    path.write_bytes(data)
    return CliRunner().invoke(init, [str(path), "--directory", str(directory / "out"), *args])


def written(directory: Path) -> dict[str, Any]:
    found = [yaml.safe_load((directory / "out" / name).read_text()) for name in FILES]
    return {each["kind"]: each for each in found}


@cache
def proposed(name: str) -> dict[str, str]:
    """Return the texts that are written for a table of datasets.py, by file."""
    data, wanted = table(name)
    with TemporaryDirectory() as directory:
        result = run(Path(directory), data, *wanted.args)
        assert result.exit_code == 0, result.output
        return {file: (Path(directory) / "out" / file).read_text() for file in FILES}


def manifests(name: str) -> dict[str, Any]:
    return {each["kind"]: each for each in map(yaml.safe_load, proposed(name).values())}


@pytest.mark.parametrize("name", NAMES)
def test_what_it_makes_of_a_table(name: str) -> None:
    found, (_, wanted) = manifests(name), table(name)
    spec, recipe = found["DataSource"]["spec"], found["TrainingJob"]["spec"]
    columns = {column["name"]: column for column in spec["schema"]["columns"]}
    roles = {name: column["role"] for name, column in columns.items() if "role" in column}
    others = {key: role for key, role in roles.items() if role != "target"}
    assert ([key for key, role in roles.items() if role == "target"], recipe["task"]) == ([wanted.target], wanted.task)
    assert others == wanted.roles
    assert spec["split"]["strategy"] == wanted.split
    for column, facts in wanted.columns.items():
        assert {key: columns[column].get(key) for key in facts} == facts
    flat = {**spec, "schema.onExtraColumn": spec["schema"].get("onExtraColumn", "Reject")}
    assert {key: flat[key] for key in wanted.spec} == wanted.spec


@pytest.mark.parametrize("name", NAMES)
def test_what_it_writes_applies(name: str) -> None:
    found = manifests(name)
    assert list(found) == ["DataSource", "TrainingJob", "ModelDeployment", "Monitor"]
    for kind, manifest in found.items():
        SPECS[kind].parse(manifest["spec"])
        assert schemas().unknown(manifest) == ()
        live = schemas().admit(manifest, None)
        assert live["metadata"]["namespace"] == "demo"


@pytest.mark.parametrize("name", NAMES)
def test_what_it_writes_is_short_and_says_why(name: str) -> None:
    columns = len(manifests(name)["DataSource"]["spec"]["schema"]["columns"])
    for file, text in proposed(name).items():
        lines = text.splitlines()
        assert len(lines) < 60 + (columns if columns > 30 else 0)
        assert sum("# " in line for line in lines) >= 6, file
        assert lines[0].startswith("# ")


class Silent:
    def stage(self, name: str, fraction: float) -> None:
        assert 0 <= fraction <= 1, name


TRAINED = [
    *("iris", "wine", "breast_cancer", "diabetes", "late flights"),
    *("semicolons and decimal commas", "no header", "american days", "nulls by many names", "labels that are missing"),
    *("ids", "personal columns", "what is known afterwards", "outputs of a model as features", "words of yaml"),
    *("unicode", "json lines", "parquet"),
]


@dataclass(frozen=True)
class Lab:
    """A namespace with the Secrets of `treadle up`, and its store."""

    root: Path
    store: FolderStore

    def step(self, run: int) -> dict[str, Any]:
        """Return what every step is told."""
        owner = Owner(kind="DataSource", name="rows", uid="u", namespace="demo")
        address = StoreAddress(secret="treadle-store", prefix=PREFIX)
        return {"run": f"{run:010x}", "run_key": f"{run:064x}", "owner": owner, "store": address}

    def ingest(self, data: bytes, spec: dict[str, Any]) -> IngestResult:
        """Put a file where the last lines of the output say, and fetch it as the manifest says."""
        bucket = self.root / "buckets" / "raw" / "rows"
        bucket.mkdir(parents=True)
        (bucket / f"rows.{suffix(data)}").write_bytes(data)
        return ingest(IngestStep(**self.step(1), spec=DataSourceSpec.parse(spec)), self.store, Silent())


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    private = signing.new_key()
    for secret, values in {
        "treadle-raw": {"endpoint": (tmp_path / "buckets").as_uri()},
        "treadle-privacy": {"hash.key": "0123456789abcdef0123456789abcdef"},
        "treadle-signing": {"private.pem": private.decode(), "public.pem": signing.public_of(private).decode()},
    }.items():
        (tmp_path / "mounts" / "secrets" / secret).mkdir(parents=True)
        for key, value in values.items():
            (tmp_path / "mounts" / "secrets" / secret / key).write_text(value)
    monkeypatch.setenv("TREADLE_MOUNTS", str(tmp_path / "mounts"))
    (tmp_path / "store").mkdir()
    return Lab(tmp_path, FolderStore(tmp_path / "store", PREFIX))


@pytest.mark.parametrize("name", TRAINED)
def test_what_it_writes_makes_a_model(name: str, lab: Lab) -> None:
    found = manifests(name)
    fetched = lab.ingest(table(name)[0], found["DataSource"]["spec"])
    assert (fetched.outcome, fetched.checks) == ("Published", []), fetched.message
    assert fetched.version is not None
    recipe = {key: value for key, value in found["TrainingJob"]["spec"].items() if key != "jobTemplate"}
    step = TrainStep(**lab.step(2), spec=Recipe.parse(recipe), data=fetched.version.digest)
    trained = train(step, lab.store, Silent())
    assert trained.outcome == "Promote", trained.message


@pytest.mark.parametrize("key", ["k" * 32, "0" * 32, "treadle-privacy-of-tests"])
def test_the_gate_has_rows_enough_whatever_the_key_that_hashes(key: str, lab: Lab) -> None:
    found = manifests("personal columns")
    (lab.root / "mounts/secrets/treadle-privacy/hash.key").write_text(key)
    version = lab.ingest(table("personal columns")[0], found["DataSource"]["spec"]).version
    assert version is not None
    assert found["TrainingJob"]["spec"]["gate"]["minRows"] <= version.splits.holdout.rows


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of numbers that chance made too large
@pytest.mark.parametrize("seed", range(40))
def test_any_table_is_refused_in_a_line_or_fetched_as_written(seed: int, tmp_path: Path, lab: Lab) -> None:
    data = random_table(seed)
    result = run(tmp_path, data)
    if result.exit_code == 2:
        assert (result.stdout, result.stderr.count("\n")) == ("", 1)
        return
    assert result.exit_code == 0, result.output
    fetched = lab.ingest(data, written(tmp_path)["DataSource"]["spec"])
    assert fetched.outcome == "Published", fetched.message


ROWS = as_csv(people(60))

# name: (bytes of the file, or None for no file, its name, arguments, the whole message)
REFUSED: dict[str, tuple[bytes | None, str, tuple[str, ...], str]] = {
    "no file": (None, "rows.csv", (), "{path} does not exist; expected a table in csv, Parquet or JSON lines"),
    "a directory": (b"", "", (), "{path} cannot be read: Is a directory; expected a file"),
    "an empty file": (b" \n", "rows.csv", (), "rows.csv is empty; expected a table in csv, Parquet or JSON lines"),
    "a header alone": (
        b"a,b,target\n",
        "rows.csv",
        (),
        "rows.csv holds no row; expected a table with one line for each case to learn from",
    ),
    "a workbook": (
        b"PK\x03\x04rest",
        "rows.csv",
        (),
        "rows.csv is a zip archive or an Excel workbook; unpack it, or save the sheet as csv in UTF-8",
    ),
    "a compressed file": (
        b"\x1f\x8b\x08",
        "rows.csv.gz",
        (),
        "rows.csv.gz is compressed by gzip; unpack it: gunzip FILE",
    ),
    "another encoding": (
        "name,target\nMüller,1\n".encode("latin-1"),
        "rows.csv",
        (),
        "rows.csv line 2 holds byte 0xfc, which is no UTF-8. Save the file as UTF-8. docs: reasons/FormatError",
    ),
    "two bytes a character": (
        "a,target\n1,2\n".encode("utf-16"),
        "rows.csv",
        (),
        "rows.csv is text in UTF-16; convert it: iconv -f UTF-16 -t UTF-8",
    ),
    "a list in JSON": (
        b'[{"a": 1}]',
        "rows.json",
        (),
        "rows.json is one JSON list; write one object a line: jq -c '.[]' rows.json",
    ),
    "a page": (b"<html>", "rows.csv", (), "rows.csv is XML or HTML; expected a table in csv, Parquet or JSON lines"),
    "a damaged Parquet file": (
        b"PAR1 and no more",
        "rows.parquet",
        (),
        "rows.parquet cannot be read as parquet: Could not open Parquet input source '<Buffer>': Parquet magic bytes "
        "not found in footer. Either the . Replace the file, or correct format.name. docs: reasons/FormatError",
    ),
    "a ragged line": (
        b"a,b,target\n1,2,3\n1,2\n",
        "rows.csv",
        (),
        "rows.csv line 3 has 2 fields, expected 3. Correct the line, or format.delimiter. docs: reasons/FormatError",
    ),
    "prose": (
        b"Dear all\n" + b"".join(b"this is line %d\n" % n for n in range(20)),
        "rows.csv",
        (),
        'no column of rows.csv can be predicted: "Dear all" holds 20 different texts in 20 rows, which are no classes. '
        "Name one with --target COLUMN, or add it",
    ),
    "too many columns": (
        as_csv([{f"c{i}": i for i in range(257)}] * 2),
        "rows.csv",
        (),
        "rows.csv has 257 columns, a DataSource takes 256; leave out those that a prediction cannot have",
    ),
    "a name twice": (
        b"a,a,target\n1,2,3\n",
        "rows.csv",
        (),
        'rows.csv line 1 names column "a" 2 times. Rename one, or correct format. docs: reasons/FormatError',
    ),
    "names that differ in case": (
        b"a,A,target\n" + b"1,2,3\n" * 20,
        "rows.csv",
        (),
        'rows.csv has columns "a" and "A", which differ only in case; rename one',
    ),
    "an unknown target": (
        ROWS,
        "rows.csv",
        ("--target", "chrun"),
        '--target: rows.csv has no column "chrun"; did you mean "churn"?',
    ),
    "a target that is like no column": (
        ROWS,
        "rows.csv",
        ("--target", "outcome of all"),
        '--target: rows.csv has no column "outcome of all"; it has age, pays, plan, churn',
    ),
    "a target of one class": (
        as_csv({**row, "churn": "no"} for row in people(60)),
        "rows.csv",
        ("--target", "churn"),
        '--target: column "churn" holds one value (no) in all 60 rows, and a model needs two to tell '
        "apart; name another",
    ),
    "a target of times": (
        as_csv({"day": f"2013-01-{1 + i % 28:02d}", **row} for i, row in enumerate(people(60))),
        "rows.csv",
        ("--target", "day"),
        '--target: column "day" holds times, and a model predicts classes or a number; name another',
    ),
    "no feature that is honest": (
        as_csv({"a": i * i, "churn": int(i > 200)} for i in range(400)),
        "rows.csv",
        (),
        'no feature is left to predict "churn" from; left out as known afterwards: "a"',
    ),
    "no feature at all": (
        as_csv({"id": i, "churn": i % 2} for i in range(400)),
        "rows.csv",
        (),
        'no feature is left to predict "churn" from; left out as known afterwards: none could be one',
    ),
    "too few rows": (
        as_csv(people(19)),
        "rows.csv",
        (),
        "rows.csv has 19 rows; 20 are the least from which to learn and to judge",
    ),
    "too few labels": (
        as_csv({**row, "churn": i if i < 2 else ""} for i, row in enumerate(people(60))),
        "rows.csv",
        (),
        '"churn" is known in so few rows, or a class of it is so rare, that no split leaves it both '
        "to learn from and to judge by; gather rows, or merge classes",
    ),
    "a name that no object may have": (
        ROWS,
        "rows.csv",
        ("--name", "Rows_1"),
        "--name: 'Rows_1' is no name for an object: expected small letters, digits and hyphens, a letter "
        "first, at most 40",
    ),
}


@pytest.mark.parametrize(("data", "file", "args", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_a_bad_file_is_one_line_and_nothing_is_written(
    data: bytes | None, file: str, args: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    path = tmp_path / file
    if data is not None and file:
        path.write_bytes(data)
    name = () if "--name" in args else ("--name", "rows")
    result = CliRunner().invoke(init, [str(path), "--directory", str(tmp_path / "out"), *name, *args])
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == f"Error: {message.replace('{path}', str(path))}\n"
    assert not (tmp_path / "out").exists()


def test_what_is_there_is_replaced_only_on_demand(tmp_path: Path) -> None:
    assert run(tmp_path, ROWS).exit_code == 0
    kept = tmp_path / "out" / "monitor.yaml"
    kept.write_text("mine")
    again = run(tmp_path, ROWS)
    assert (again.exit_code, again.stdout) == (2, "")
    assert (
        again.stderr
        == f"Error: {tmp_path}/out/datasource.yaml is there; name another --directory, or replace it: --force\n"
    )
    assert kept.read_text() == "mine"
    assert run(tmp_path, ROWS, "--force").exit_code == 0
    assert written(tmp_path)["Monitor"]["metadata"]["name"] == "rows"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(FILES)


def test_all_or_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rename = Path.rename

    def fails(path: Path, target: Path) -> Path:
        if (path.parent.name, path.name) == ("fresh", "modeldeployment.yaml"):
            raise OSError(28, "No space left on device", str(target))
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", fails)
    first = run(tmp_path, ROWS)
    text = f"Error: nothing was written: {tmp_path}/out/modeldeployment.yaml: No space left on device\n"
    assert (first.exit_code, first.stdout, first.stderr) == (2, "", text)
    assert list((tmp_path / "out").iterdir()) == []
    monkeypatch.undo()
    assert run(tmp_path, ROWS).exit_code == 0
    before = {name: (tmp_path / "out" / name).read_text() for name in FILES}
    monkeypatch.setattr(Path, "rename", fails)
    assert run(tmp_path, as_csv(people(90, seed=3)), "--force").exit_code == 2
    assert {path.name: path.read_text() for path in (tmp_path / "out").iterdir()} == before


def test_a_directory_in_the_way_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "out" / "monitor.yaml").mkdir(parents=True)
    result = run(tmp_path, ROWS, "--force")
    assert (result.exit_code, [path.name for path in (tmp_path / "out").iterdir()]) == (2, ["monitor.yaml"])


@given(
    st.recursive(
        st.text() | st.booleans() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_any_value_reads_back_as_it_was_written(value: Any) -> None:
    assert yaml.safe_load(f"key: {flow(value)}  # {told(str(value))}\n") == {"key": value}


# name: (text, delimiter, whether its first line is a header)
FORMS = {
    "commas": ("a,b\n1,2\n", ",", True),
    "semicolons around commas": ("a;b\n1,5;2,5\n", ";", True),
    "commas around semicolons": ('a,b\n"x;y;z",2\n"u;v;w",3\n', ",", True),
    "bars": ("a|b|c\n1|2|3\n", "|", True),
    "one column": ("a\n1\n2\n", ",", True),
    "texts alone": ("colour,kind\nred,a\nblue,b\n", ",", True),
    "numbers from the first line on": ("5.1,3.5,setosa\n4.9,3.0,setosa\n", ",", False),
    "a number after a name": ("5.1,size,setosa\n4.9,3.0,setosa\n", ",", True),
    "one line": ("a,b\n", ",", True),
    "no line": ("", ",", True),
}


@pytest.mark.parametrize(("text", "delimiter", "header"), FORMS.values(), ids=FORMS.keys())
def test_how_a_text_is_written(text: str, delimiter: str, header: bool) -> None:
    form, names = csv_form(text)
    assert (form.delimiter, form.header) == (delimiter, header)
    assert names == ([] if header else ["column_1", "column_2", "column_3"])


SLUGS = {
    "Flights 2013 (NYC)": "flights-2013-nyc",
    "2013-flights": "data-2013-flights",
    "Größe_und Länge": "große-und-lange".replace("ß", ""),
    "___": "data",
    "a" * 60: "a" * 40,
}


@pytest.mark.parametrize(("stem", "name"), SLUGS.items())
def test_a_files_name_becomes_that_of_objects(stem: str, name: str) -> None:
    assert slug(stem) == name
