"""What one fetch makes of its source: versions, refusals, and the message of each."""

import copy
import hashlib
import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from treadle.api.datasource import DataSourceSpec
from treadle.api.reasons import Reason
from treadle.api.step import IngestStep, Owner, StoreAddress, write_result
from treadle.data.step import ingest
from treadle.store.blobs import get_bytes
from treadle.store.folder import FolderStore
from treadle.store.manifest import read_manifest, read_record
from treadle.store.tables import Part, read_parts

R = Reason
SPEC = {
    "source": {"inline": {"configMapRef": {"name": "rides"}}},
    "format": {"name": "csv"},
    "schema": {
        "columns": [
            {"name": "id", "type": "string", "role": "id"},
            {"name": "at", "type": "timestamp", "role": "time"},
            {"name": "distance", "type": "integer"},
            {"name": "far", "type": "boolean", "role": "none", "expression": "distance > 50"},
            {"name": "late", "type": "boolean", "role": "target"},
        ]
    },
}
HEADER = "id,at,distance,late\n"


def ride(number: int, **changes: str) -> str:
    values = {
        "id": f"r{number}",
        "at": f"2013-01-{number % 28 + 1:02d}T10:00:00Z",
        "distance": str(number * 7 % 100),
        "late": str(number % 3 == 0).lower(),
        **changes,
    }
    return ",".join(values.values()) + "\n"


def rides(count: int = 60, first: int = 0) -> str:
    return HEADER + "".join(ride(number) for number in range(first, first + count))


def spec(**changes) -> dict:
    return {**copy.deepcopy(SPEC), **changes}


def with_column(name: str, **changes) -> dict:
    changed = spec()
    for column in changed["schema"]["columns"]:
        if column["name"] == name:
            column.update(changes)
    return changed


def personal(action: str, **more) -> dict:
    changed = with_column("distance", classification="personal", **more)
    return {**changed, "privacy": {"policies": [{"classification": "personal", "action": action}]}}


def checked(**check) -> dict:
    return spec(quality={"checks": [{"name": "sound", "severity": "Block", **check}]})


def bad_lines(**changes: str) -> str:
    return HEADER + ride(0) + ride(1, **changes) + ride(2)


PAGE = ". docs: reasons/"
# name: (spec, files, outcome, failed, reason, what the message holds)
REFUSALS = {
    "no ConfigMap": (SPEC, {}, "Failed", "Fetched", R.CONFIG_MAP_NOT_FOUND, 'no ConfigMap "rides"'),
    "an empty file": (SPEC, {"a.csv": ""}, "Failed", "Fetched", R.SOURCE_EMPTY, "a.csv is empty (0 bytes)"),
    "only a header": (SPEC, {"a.csv": HEADER}, "Failed", "Fetched", R.SOURCE_EMPTY, "a.csv holds no row"),
    "a filter that keeps nothing": (
        spec(filter="distance > 1000"),
        {"a.csv": rides()},
        "Failed",
        "Fetched",
        R.SOURCE_EMPTY,
        "keeps none of 60 rows",
    ),
    "a line with too many fields": (
        SPEC,
        {"a.csv": rides(2) + "x,y,z,1,2\n"},
        "Rejected",
        "Fetched",
        R.FORMAT_ERROR,
        "a.csv line 4 has 5 fields, expected 4",
    ),
    "bytes that are no text": (
        SPEC,
        {"a.csv": b"id,at,distance,late\nr\xff1,2013-01-01,1,true\n"},
        "Rejected",
        "Fetched",
        R.FORMAT_ERROR,
        "a.csv line 2 holds byte 0xff",
    ),
    "a file that is no parquet": (
        spec(format={"name": "parquet"}),
        {"a.parquet": rides()},
        "Rejected",
        "Fetched",
        R.FORMAT_ERROR,
        "a.parquet cannot be read as parquet",
    ),
    "a line that is no JSON": (
        spec(format={"name": "jsonl"}),
        {"a.jsonl": '{"id": "a"}\n{"id": \n'},
        "Rejected",
        "Fetched",
        R.FORMAT_ERROR,
        "a.jsonl line 2 is no JSON",
    ),
    "a double where an integer should be": (
        SPEC,
        {"a.csv": rides(4), "b.csv": bad_lines(distance="12.5")},
        "Rejected",
        "SchemaValid",
        R.SCHEMA_MISMATCH,
        'column "distance" is double in b.csv line 3 ("12.5"), spec.schema says integer. '
        "Fix the file, or set type: double" + PAGE,
    ),
    "a personal value is not quoted": (
        personal("Drop"),
        {"a.csv": bad_lines(distance="12.5")},
        "Rejected",
        "SchemaValid",
        R.SCHEMA_MISMATCH,
        "is double in a.csv line 3, spec.schema says integer",
    ),
    "a time that is none": (
        SPEC,
        {"a.csv": bad_lines(at="yesterday")},
        "Rejected",
        "SchemaValid",
        R.SCHEMA_MISMATCH,
        'column "at" is string in a.csv line 3 ("yesterday"), spec.schema says timestamp',
    ),
    "the label column is missing": (
        SPEC,
        {"a.csv": "id,at,distance\nr1,2013-01-01,1\n"},
        "Rejected",
        "SchemaValid",
        R.MISSING_COLUMN,
        'column "late" is not in a.csv, which has id, at, distance',
    ),
    "a column too many": (
        SPEC,
        {"a.csv": "id,at,distance,late,more\nr1,2013-01-01,1,true,x\n"},
        "Rejected",
        "SchemaValid",
        R.EXTRA_COLUMN,
        'column "more" of a.csv is not in spec.schema.columns',
    ),
    "a null where none may be": (
        with_column("distance", nullable=False),
        {"a.csv": bad_lines(distance="")},
        "Rejected",
        "SchemaValid",
        R.CONSTRAINT_VIOLATED,
        'column "distance" is null in a.csv line 3, expected a value (nullable: false); 1 of 3 rows',
    ),
    "a value beyond its bound": (
        with_column("distance", constraints={"max": "99"}),
        {"a.csv": bad_lines(distance="100")},
        "Rejected",
        "SchemaValid",
        R.CONSTRAINT_VIOLATED,
        'column "distance" is "100" in a.csv line 3, expected at most 99',
    ),
    "an id twice, though unique": (
        with_column("id", constraints={"unique": True}),
        {"a.csv": bad_lines(id="r0")},
        "Rejected",
        "SchemaValid",
        R.CONSTRAINT_VIOLATED,
        "no value twice",
    ),
    "a pattern not matched": (
        with_column("id", constraints={"pattern": "r[0-9]+"}),
        {"a.csv": bad_lines(id="x1")},
        "Rejected",
        "SchemaValid",
        R.CONSTRAINT_VIOLATED,
        'column "id" is "x1" in a.csv line 3, expected a match of r[0-9]+',
    ),
    "a subquery": (
        spec(filter="distance > (SELECT 1)"),
        {"a.csv": rides()},
        "Failed",
        "SchemaValid",
        R.INVALID_SPEC,
        "spec.filter: 'distance > (SELECT 1)' holds a subquery",
    ),
    "two statements": (
        spec(filter="true; DROP TABLE rows"),
        {"a.csv": rides()},
        "Failed",
        "SchemaValid",
        R.INVALID_SPEC,
        "is no SQL expression",
    ),
    "a function that reads files": (
        with_column("far", expression="read_text('/etc/passwd') = ''"),
        {"a.csv": rides()},
        "Failed",
        "SchemaValid",
        R.INVALID_SPEC,
        "function read_text() is not allowed",
    ),
    "an unknown column in an expression": (
        with_column("far", expression="speed > 3"),
        {"a.csv": rides()},
        "Failed",
        "SchemaValid",
        R.INVALID_SPEC,
        'unknown column "speed"',
    ),
    "an expression of another type": (
        with_column("far", expression="distance + 1"),
        {"a.csv": rides()},
        "Failed",
        "SchemaValid",
        R.INVALID_SPEC,
        "gives BIGINT, type says boolean",
    ),
    "no key for pseudonyms": (
        personal("Hash"),
        {"a.csv": rides()},
        "Failed",
        "PrivacyApplied",
        R.PRIVACY_KEY_MISSING,
        "hash.key is missing in Secret treadle-privacy",
    ),
    "a table check that blocks": (
        checked(table="count(*) >= 5000"),
        {"a.csv": rides()},
        "Rejected",
        "QualityPassed",
        R.QUALITY_FAILED,
        'check "sound" does not hold on 60 rows, expected count(*) >= 5000',
    ),
    "a rows check that blocks": (
        checked(rows="distance < 90", maxViolations="0.01"),
        {"a.csv": rides()},
        "Rejected",
        "QualityPassed",
        R.QUALITY_FAILED,
        "(distance < 90) is not true for 6 of 60 rows, allowed share 0.01; first in a.csv line 15",
    ),
    "a feature that is the target": (
        with_column("far", role="feature", expression="late"),
        {"a.csv": rides(200)},
        "Rejected",
        "QualityPassed",
        R.LEAKAGE_FOUND,
        'column "far" alone predicts target "late" almost perfectly (1.0000, limit 0.99)',
    ),
    "an id in train and holdout": (
        spec(
            split={
                "strategy": "Time",
                "timeColumn": "at",
                "fractions": {"train": "0.5", "validation": "0", "holdout": "0.5"},
            }
        ),
        {"a.csv": rides(28) + ride(27, id="r0")},
        "Rejected",
        "QualityPassed",
        R.LEAKAGE_FOUND,
        'have an id of column "id" that train holds too',
    ),
    "too few rows to split": (
        SPEC,
        {"a.csv": rides(1)},
        "Rejected",
        "QualityPassed",
        R.TOO_FEW_ROWS,
        "1 rows leave the",
    ),
}


class Silent:
    def stage(self, name: str, fraction: float) -> None:
        assert 0 <= fraction <= 1, name


@pytest.fixture
def estate(tmp_path, monkeypatch):
    monkeypatch.setenv("TREADLE_MOUNTS", str(tmp_path / "mounts"))
    (tmp_path / "bucket").mkdir()
    return tmp_path


def run(estate, raw: dict, files: dict, number: int = 1, current: str | None = None):
    directory = estate / "mounts" / "configs" / "rides"
    directory.mkdir(parents=True, exist_ok=True)
    for path in directory.iterdir():
        path.unlink()
    for name, data in files.items():
        (directory / name).write_bytes(data if isinstance(data, bytes) else data.encode())
    step = IngestStep(
        run=f"{number:010x}",
        run_key=f"{number:064x}",
        owner=Owner(kind="DataSource", name="rides", uid="u", namespace="demo"),
        store=StoreAddress(secret="treadle-store", prefix="treadle/v1/u/"),
        spec=DataSourceSpec.parse(raw),
        current=current,
    )
    return ingest(step, store_of(estate), Silent())


def store_of(estate):
    return FolderStore(estate / "bucket", "treadle/v1/u/")


def rows_of(estate, result, split: str | None = None) -> pa.Table:
    manifest = read_manifest(store_of(estate), "datasets", result.version.digest)
    parts = [Part.parse(part) for part in manifest["parts"] if split in (None, part["split"])]
    return read_parts(store_of(estate), parts)


@pytest.mark.parametrize(
    ("raw", "files", "end", "text"),
    [(raw, files, (outcome, failed, reason), text) for raw, files, outcome, failed, reason, text in REFUSALS.values()],
    ids=REFUSALS.keys(),
)
def test_refuses(estate, raw, files, end, text):
    result = run(estate, raw, files)
    assert text in result.message
    assert (result.outcome, result.failed, result.reason) == end
    assert result.message.endswith(f"docs: reasons/{result.reason.value}")
    assert len(result.message) <= 300
    assert len(write_result(result)) <= 4096
    assert result.version is None


def as_parquet(text: str) -> bytes:
    header, *lines = text.splitlines()
    columns = dict(zip(header.split(","), zip(*(line.split(",") for line in lines), strict=True), strict=True))
    table = pa.table(
        {
            "id": pa.array(columns["id"]),
            "at": pa.array(columns["at"]).cast(pa.timestamp("ns", "UTC")),
            "distance": pa.array([float(value) for value in columns["distance"]]),
            "late": pa.array([value == "true" for value in columns["late"]]),
        }
    )
    file = io.BytesIO()
    pq.write_table(table, file)
    return file.getvalue()


def as_jsonl(text: str) -> str:
    _, *lines = text.splitlines()
    rows = (line.split(",") for line in lines)
    return "".join(
        f'{{"id": "{id_}", "at": "{at}", "distance": {distance}, "late": {late}}}\n' for id_, at, distance, late in rows
    )


def test_the_three_formats_give_one_version(estate):
    csv, parquet, jsonl = (
        run(estate, spec(format={"name": name}), {f"a.{name}": write(rides())}, number)
        for number, (name, write) in enumerate({"csv": str, "parquet": as_parquet, "jsonl": as_jsonl}.items())
    )
    assert csv.outcome == "Published"
    assert (parquet.outcome, parquet.version.digest) == ("Unchanged", csv.version.digest)
    assert (jsonl.outcome, jsonl.version.digest) == ("Unchanged", csv.version.digest)


def test_equal_bytes_are_unchanged_and_another_rule_is_a_version(estate):
    first = run(estate, SPEC, {"a.csv": rides()}, 1)
    assert run(estate, SPEC, {"a.csv": rides()}, 2, first.version.digest).outcome == "Unchanged"
    other = run(estate, with_column("far", constraints={"unique": False}), {"a.csv": rides()}, 3, first.version.digest)
    assert (other.outcome, other.version.content_digest) == ("Published", first.version.content_digest)


def test_a_run_that_finds_its_record_reports_it_again(estate):
    first = run(estate, SPEC, {"a.csv": rides()})
    assert run(estate, SPEC, {}) == first
    assert first.record is not None


def test_the_record_names_the_files_that_were_read(estate):
    files = {"a.csv": rides(100), "b.csv": rides(100, 100)}
    result = run(estate, SPEC, files)
    store = store_of(estate)
    record = read_record(store, "ingest", f"{1:064x}")
    assert record["sources"] == [
        {
            "place": f"ConfigMap rides, key {name}",
            "bytes": len(text),
            "sha256": hashlib.sha256(text.encode()).hexdigest(),
        }
        for name, text in files.items()
    ]
    assert "sources" not in read_manifest(store, "datasets", result.version.digest)


def test_a_holdout_row_stays_one_in_every_version(estate):
    first = run(estate, SPEC, {"a.csv": rides(100)}, 1)
    second = run(estate, SPEC, {"a.csv": rides(100), "b.csv": rides(100, 100)}, 2, first.version.digest)
    before, after = (set(rows_of(estate, result, "holdout")["id"].to_pylist()) for result in (first, second))
    assert before < after
    assert second.version.new_rows == 100


def test_a_split_by_time_puts_the_newest_last(estate):
    rule = {
        "strategy": "Time",
        "timeColumn": "at",
        "fractions": {"train": "0.5", "validation": "0.25", "holdout": "0.25"},
    }
    version = run(estate, spec(split=rule), {"a.csv": rides(28)}).version
    assert version.splits.train.until < version.splits.validation.from_
    assert version.splits.validation.until < version.splits.holdout.from_
    assert version.splits.holdout.until == "2013-01-28T10:00:00Z"


def test_personal_values_are_hashed_also_where_they_were_derived_from(estate):
    secret = estate / "mounts" / "secrets" / "treadle-privacy"
    secret.mkdir(parents=True)
    (secret / "hash.key").write_text("a key of thirty-two characters!!")
    result = run(estate, personal("Hash"), {"a.csv": rides()})
    assert result.protected == ["distance", "far"]
    table = rows_of(estate, result)
    assert {len(value) for value in table["distance"].to_pylist()} == {64}
    manifest = read_manifest(store_of(estate), "datasets", result.version.digest)
    assert [c["type"] for c in manifest["columns"] if c["name"] == "distance"] == ["string"]
    profile = get_bytes(store_of(estate), manifest["files"][0]["sha256"])
    assert b'"name":"distance"' in profile
    assert b'"top":[{"rows":' not in profile.split(b'"name":"distance"')[1].split(b"}")[0]


def test_dropped_columns_are_not_stored(estate):
    result = run(estate, personal("Drop"), {"a.csv": rides()})
    assert rows_of(estate, result).column_names == ["id", "at", "late"]


def test_a_warning_publishes_and_says_so(estate):
    quality = {"checks": [{"name": "near", "severity": "Warn", "rows": "distance < 90"}]}
    result = run(estate, spec(quality=quality), {"a.csv": rides()})
    assert (result.outcome, result.version.warnings) == ("Published", 1)
    assert (result.checks[0].violations, result.checks[0].fraction) == (6, "0.1")


def test_extra_columns_are_dropped_or_kept(estate):
    text = rides(50).replace("late\n", "late,more\n", 1).replace("true\n", "true,x\n").replace("false\n", "false,y\n")
    for number, (rule, expected) in enumerate({"Drop": False, "Keep": True}.items()):
        changed = spec()
        changed["schema"]["onExtraColumn"] = rule
        result = run(estate, changed, {"a.csv": text}, number)
        assert ("more" in rows_of(estate, result).column_names) is expected
