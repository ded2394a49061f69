"""What is said about files of manifests: the line, the words, and how the command ends."""

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from goldens import same
from manifests import cases_of, changed, free
from treadle.api.names import PLURALS
from treadle.cli.manifests.checks import judge
from treadle.cli.manifests.document import Document, Unreadable, read
from treadle.cli.manifests.finding import Finding, Weight
from treadle.cli.validate import validate
from treadle.local.schema.admit import Refused, schemas

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)

SOURCE = """\
apiVersion: treadle.dev/v1alpha1
kind: DataSource
metadata: {name: flights, namespace: demo}
spec:
  source: {inline: {configMapRef: {name: flights}}}
  format: {name: csv}
  schema:
    columns:
      - {name: hour, type: integer}
      - {name: late, type: boolean, role: target}
"""
RUN = """\
apiVersion: treadle.dev/v1alpha1
kind: TrainingJob
metadata: {name: first, namespace: demo}
spec:
  modelName: flights-late
  dataRef: {name: flights}
  task: BinaryClassification
  estimator: {name: LogisticRegression}
  objective: {metric: roc_auc}
"""
MONITOR = """\
apiVersion: treadle.dev/v1alpha1
kind: Monitor
metadata: {name: flights-late, namespace: demo}
spec:
  targetRef: {name: flights-late}
  schedule: "*/15 * * * *"
  actions: [{name: tell, when: [DriftDetected], do: Notify}]
"""
DEPLOYMENT = """\
apiVersion: treadle.dev/v1alpha1
kind: ModelDeployment
metadata: {name: flights-late, namespace: demo}
spec:
  modelName: flights-late
"""


TRAINING = """\
  training:
    template:
      spec:
        modelName: flights-late
        dataRef: {name: flights}
        task: BinaryClassification
        estimator: {name: LogisticRegression}
        objective: {metric: roc_auc}
"""
GATE = "        gate: {against: {deploymentRef: {name: flight-late}}}\n"
COLUMNS = """\
  target: lat
  features: {include: [hour], exclude: [month]}
  preparation:
    mode: Declared
    transforms:
      - {name: a, type: Scale, columns: [huor]}
"""


def with_lines(text: str, **lines: str) -> str:
    """Return a manifest with lines in the place of those that begin with a word; with an empty one, without it."""
    out = []
    for line in text.splitlines():
        word = line.strip().partition(":")[0]
        out += [lines.pop(word)] if lines.get(word) else [line] if word not in lines else []
    assert not {word for word, line in lines.items() if line}, "no line begins so"
    return "\n".join(out) + "\n"


TEXTS = {
    "nothing is wrong": SOURCE + "---\n" + RUN + "---\n" + DEPLOYMENT + "---\n" + MONITOR,
    "a field with a typo": with_lines(SOURCE, format="  formt: {name: csv}"),
    "a field at the wrong place": SOURCE + "  timeColumn: hour\n",
    "a field of an item": SOURCE + "      - {name: a, type: date, kind: text}\n",
    "a field that is like no other": with_lines(DEPLOYMENT, modelName="  modelName: flights-late\n  zebra: {a: b}"),
    "a field of the metadata": with_lines(SOURCE, metadata="metadata:\n  name: flights\n  lables: {a: b}"),
    "no spec": with_lines(DEPLOYMENT, spec="sepc:"),
    "a number for a text": with_lines(SOURCE, format="  format:\n    name: csv\n    delimiter: 7"),
    "a rule": with_lines(SOURCE, source="  source: {}"),
    "a rule of the whole object": with_lines(SOURCE, metadata=f"metadata: {{name: {'a' * 41}}}"),
    "a label that is a number": with_lines(SOURCE, metadata="metadata:\n  name: flights\n  labels: {a: 1}"),
    "metadata that are a text": with_lines(SOURCE, metadata="metadata: flights"),
    "no name": with_lines(DEPLOYMENT, metadata="metadata: {}"),
    "a name that the server makes": with_lines(DEPLOYMENT, metadata="metadata: {generateName: flights-}"),
    "a schedule with three fields": SOURCE + '  schedule: "1 2 3 "\n',
    "a schedule that is never due": SOURCE + '  schedule: "0 0 30 2 *"\n',
    "a time zone that does not exist": SOURCE + '  schedule: "@daily"\n  timeZone: Europe/Berln\n',
    "a schedule of runs": DEPLOYMENT + TRAINING + '    triggers:\n      schedule: "99 * * * *"\n---\n' + SOURCE,
    "a window that is too long": with_lines(MONITOR, schedule='  schedule: "@daily"\n  window:\n    size: 32d')
    + "---\n" + DEPLOYMENT,
    "a reference to nothing": RUN,
    "a reference with a typo": with_lines(RUN, dataRef="  dataRef: {name: flihgts}") + "---\n" + SOURCE,
    "a reference to another namespace": with_lines(MONITOR, metadata="metadata: {name: flights-late}")
    + "---\n" + DEPLOYMENT,
    "references of a template": DEPLOYMENT + TRAINING + GATE,
    "columns that the source does not have": RUN + COLUMNS + "---\n" + SOURCE,
    "columns of a source that keeps others": RUN + COLUMNS
    + "---\n" + with_lines(SOURCE, schema="  schema:\n    onExtraColumn: Keep"),
    "a name twice": DEPLOYMENT + "---\n" + DEPLOYMENT,
    "a name twice in two namespaces": DEPLOYMENT + "---\n" + DEPLOYMENT.replace("demo", "prod"),
    "another version": with_lines(DEPLOYMENT, apiVersion="apiVersion: treadle.dev/v1"),
    "a kind with a typo": with_lines(DEPLOYMENT, kind="kind: ModelDeploymnet"),
    "a kind that is like no other": with_lines(DEPLOYMENT, kind="kind: Zebra"),
    "no version": with_lines(DEPLOYMENT, apiVersion=""),
    "no kind": with_lines(DEPLOYMENT, kind=""),
    "neither": "a: b\n",
    "a text": "--- flights\n",
    "an object of another kind": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, lables: {}}\n",
    "a kind of the same name of somebody else": "apiVersion: example.com/v1\nkind: Monitor\nmetadata: {name: a}\n",
    "no document at all": "# later\n---\n",
    "a bracket that is open": "a: [1, 2\n",
    "a tab": "a:\n\tb: 1\n",
    "a template of Helm": "a:\n{{- if .b }}\n  c: 1\n",
    "a character that is none": "a: \x01\n",
    "a key twice": with_lines(DEPLOYMENT, modelName="  modelName: a\n  modelName: b"),
    "a key that is a list": "a:\n  ? [b]\n  : c\n",
    "a tag": "a: !secret b\n",
    "an alias that holds itself": "a: &a\n  b: *a\n",
    "what comes behind a broken document is not read": "a: [1\n---\n" + with_lines(DEPLOYMENT, kind="kind: Zebra"),
    "what comes behind a wrong document is read": "a: 1\na: 2\n---\n" + with_lines(DEPLOYMENT, kind="kind: Zebra"),
}  # fmt: skip


def said(text: str, *, strict: bool = False) -> list[Finding]:
    parts = list(read("a.yaml", text))
    documents = [part for part in parts if isinstance(part, Document)]
    broken = [Finding("a.yaml", p.line, Weight.ERROR, str(p)) for p in parts if isinstance(p, Unreadable)]
    return sorted([*broken, *judge(documents, NOW, strict=strict)], key=lambda each: each.line)


def test_the_words_of_each_finding() -> None:
    same("cli/validate", {name: [str(each) for each in said(text)] for name, text in TEXTS.items()})


def test_strict_refuses_what_is_not_there() -> None:
    assert [str(each).partition(": ")[2] for each in said(RUN, strict=True)] == [
        "spec.dataRef.name: DataSource 'flights' is not in these files; the cluster must have it"
    ]


def test_the_items_of_a_list_are_objects() -> None:
    text = "apiVersion: v1\nkind: List\nitems:\n- apiVersion: treadle.dev/v1alpha1\n  kind: Zebra\n- a: b\n"
    assert [each.line for each in said(text)] == [5, 6]


# What go-yaml, which kubectl reads with, makes of a plain value
PLAIN = {
    "~": None, "": None, "null": None, "yes": True, "Off": False, "y": True, "1": 1, "010": 8, "0o10": 8, "0x1F": 31,
    "-0b11": -3, "1_000": 1000, "089": 89, "1e3": 1000, "1.50": 1.5, ".5": 0.5, "1.": 1, "1e400": "1e400",
    "2013-01-01": "2013-01-01", "2013-01-01T00:00:00Z": "2013-01-01T00:00:00Z", "1:30": "1:30", "'5'": "5",
    "=": "=", "!!str 5": "5", "!!int '5'": 5, "9223372036854775808": 9223372036854775808,
}  # fmt: skip


@pytest.mark.parametrize(("text", "value"), PLAIN.items())
def test_plain_values_are_those_of_kubectl(text: str, value: object) -> None:
    (document,) = read("a.yaml", f"a: {text}\n")
    assert isinstance(document, Document)
    assert (document.raw["a"], type(document.raw["a"])) == (value, type(value))


def test_a_merge_is_below_what_stands_beside_it() -> None:
    (document,) = read("a.yaml", "a: &a {x: 1, y: 2}\nb: &b {y: 3, z: 4}\nc: {<<: [*a, *b], x: 5}\n")
    assert isinstance(document, Document)
    assert document.raw["c"] == {"x": 5, "y": 2, "z": 4}


LINES = {
    "spec.schema.columns[1].role": 10,
    "spec.schema.columns[1].gone": 10,
    "spec.schema.columns[7].name": 8,
    "spec.gone.deep": 4,
    "gone": 1,
    "": 1,
}


@pytest.mark.parametrize(("field", "line"), LINES.items())
def test_the_line_of_a_field_is_that_of_the_nearest_one(field: str, line: int) -> None:
    (document,) = read("a.yaml", SOURCE)
    assert isinstance(document, Document)
    assert document.line_of(field) == line


RULES = [
    pytest.param(kind, changes, id=f"{kind}: {name}")
    for kind in PLURALS
    for name, changes in cases_of(kind)["refused"].items()
]


@pytest.mark.parametrize(("kind", "changes"), RULES)
def test_the_words_are_those_of_the_server(kind: str, changes: dict[str, object]) -> None:
    raw = free(kind, changes)
    with pytest.raises(Refused) as refused:
        schemas().admit(raw, None)
    wanted = {str(cause).removeprefix("<nil>: ") for cause in refused.value.causes}
    texts = {each.text for each in judge([Document("a.yaml", 1, raw, {})], NOW)}
    assert {text for text in wanted if not any(each.endswith(text) for each in texts)} == set()


@pytest.mark.parametrize("place", ["manifests", "manifests/quickstart", "manifests/samples"])
def test_our_own_manifests_pass(place: str) -> None:
    answer = CliRunner().invoke(validate, ["--strict", str(ROOT / place)] if "quick" in place else [str(ROOT / place)])
    assert (answer.exit_code, " valid" in answer.output) == (0, True), answer.output


@pytest.mark.parametrize("kind", PLURALS)
def test_what_the_server_takes_is_valid(kind: str) -> None:
    for name, changes in cases_of(kind)["accepted"].items():
        raw = changed(cases_of(kind)["manifest"], changes)
        found = judge([Document("a.yaml", 1, raw, {})], NOW)
        assert [each for each in found if each.weight == "error"] == [], name


def test_a_directory_is_searched_and_the_findings_come_by_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / ".git").mkdir()
    (tmp_path / "b" / "run.yml").write_text(RUN + "  seed: -1\n  steps: 1\n")
    (tmp_path / "a.yaml").write_text("a: [\n")
    (tmp_path / ".git" / "c.yaml").write_text("a: [\n")
    (tmp_path / "notes.txt").write_text("a: [\n")
    answer = CliRunner().invoke(validate, [str(tmp_path)])
    places = [line.removeprefix(f"{tmp_path}/").partition(": ")[0] for line in answer.output.splitlines()]
    assert places == ["a.yaml:2", "b/run.yml:6", "b/run.yml:10", "b/run.yml:11", "1 object checked"]
    assert answer.output.splitlines()[-1] == "1 object checked: 3 errors, 1 note"
    assert answer.exit_code == 1


def test_two_files_may_not_hold_one_object(tmp_path: Path) -> None:
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text(DEPLOYMENT)
    answer = CliRunner().invoke(validate, [str(tmp_path / "a.yaml"), str(tmp_path / "b.yaml")])
    where = f"ModelDeployment 'flights-late' is in {tmp_path}/a.yaml:1 too"
    assert f"{tmp_path}/b.yaml:3: {where}, and the later one would win; remove one\n" in answer.output


def test_standard_input_is_read() -> None:
    answer = CliRunner().invoke(validate, ["-"], input=with_lines(DEPLOYMENT, kind="kind: Zebra"))
    assert answer.output.startswith("standard input:2: 'Zebra' is no kind of treadle.dev")
    assert answer.exit_code == 1


def test_json_is_the_same_for_programs(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(RUN + "---\napiVersion: v1\nkind: ConfigMap\n")
    answer = CliRunner().invoke(validate, ["-o", "json", str(path)])
    text = "spec.dataRef.name: DataSource 'flights' is not in these files; the cluster must have it"
    assert json.loads(answer.output) == {
        "objects": 1,
        "others": 1,
        "valid": True,
        "findings": [
            {
                "file": str(path),
                "line": 6,
                "weight": "note",
                "kind": "TrainingJob",
                "name": "first",
                "field": "spec.dataRef.name",
                "text": text,
            }
        ],
    }
    assert answer.exit_code == 0


# words: how the usage error begins
USAGE = {
    (): "Missing argument 'PATH...'",
    ("nowhere.yaml",): "nowhere.yaml cannot be read: No such file or directory",
    ("empty",): "empty has no file that ends with .yaml, .yml, .json",
    ("latin.yaml",): "latin.yaml is no text in UTF-8: byte 3; convert it",
}


@pytest.mark.parametrize(("words", "begin"), USAGE.items())
def test_what_cannot_be_read_ends_with_2(
    words: tuple[str, ...], begin: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    Path("latin.yaml").write_bytes(b"a: \xe9\n")
    answer = CliRunner().invoke(validate, list(words))
    assert (answer.exit_code, f"Error: {begin}" in answer.output) == (2, True), answer.output


def test_help_loads_nothing_heavy() -> None:
    """Help is there at once: what takes time is loaded when files are read."""
    code = "import sys, treadle.cli.validate; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    answer = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert not {"yaml", "pydantic", "cel_expr_python", "google"} & set(answer.stdout.split())


def test_the_manifests_of_the_docs_are_yaml_that_is_read() -> None:
    """The readers agree: what PyYAML makes of our manifests is what this makes of them."""
    for path in sorted((ROOT / "manifests").rglob("*.yaml")):
        ours = [part.raw for part in read(str(path), path.read_text()) if isinstance(part, Document)]
        assert ours == [each for each in yaml.safe_load_all(path.read_text()) if each is not None], path
