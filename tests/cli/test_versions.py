"""`treadle diff`, `lineage`, `card` and `report` over objects and a bucket that the real steps wrote."""

import base64
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from answers import Answers, kubeconfig, listed, served, status
from builders import condition, resource
from monitored import ALL, Silent, answer
from treadle.api.artifacts import SCHEMA_FILE, ModelSchema
from treadle.api.names import PLURALS
from treadle.api.plan import ServerSpec
from treadle.api.step import IngestResult, MonitorStep, TrainResult
from treadle.cli import versions
from treadle.monitoring.step import monitor as judge
from treadle.serving.log import RequestLog
from treadle.serving.upload import PartUploader
from treadle.store import keys
from treadle.store.manifest import read_record
from workshop import COLUMNS, PREFIX, Lab, parcels, workshop

type Json = dict[str, Any]

EVALUATION = {"slices": [{"name": "red", "expression": "colour = 'red'"}], "bootstrap": {"samples": 200}}
FIRST: Json = {"evaluation": EVALUATION}
SECOND: Json = {
    "evaluation": EVALUATION,
    "estimator": {"name": "HistGradientBoostingClassifier", "parameters": {"max_iter": "20"}},
    "gate": {"minRows": 100, "require": "NotWorse", "margin": "0.1"},
}
MORE = [
    *COLUMNS[:4],
    {**COLUMNS[4], "classification": "sensitive"},
    *COLUMNS[5:],
    {"name": "twice", "type": "double", "expression": "size * 2"},
]
KEPT = {"policies": [{"classification": "sensitive", "action": "Keep"}]}
START, END = "2013-04-01T00:00:00Z", "2013-04-02T00:00:00Z"
ANSWER_ID = "6b0f1c9e-7d1a-4f6e-9a52-0c9f0d3f7a11/2"


@dataclass
class World:
    """A namespace with two dataset versions, two models and a judged window, and how it is served to the client."""

    lab: Lab
    fetches: list[IngestResult]
    runs: list[TrainResult]
    objects: dict[str, list[Json]]
    path: Path
    answers: Answers = field(default_factory=Answers)

    def call(self, *words: str) -> Result:
        """Run a command."""
        command = {"diff": versions.diff, "lineage": versions.lineage, "card": versions.card, "report": versions.report}
        return CliRunner().invoke(command[words[0]], words[1:], env={"KUBECONFIG": str(self.path)})

    def json(self, *words: str) -> Json:
        """Run a command with -o json and return what it says."""
        result = self.call(*words, "-o", "json")
        assert result.exit_code == 0, result.output
        document: Json = json.loads(result.stdout)
        return document


def data_source(fetches: Sequence[IngestResult]) -> Json:
    """Return a DataSource with a version of each fetch, newest first."""
    rows = [(found.version, found.completed_at) for found in reversed(fetches) if found.version is not None]
    current = {**rows[0][0].dump(), "short": rows[0][0].digest[7:19], "publishedAt": rows[0][1]}
    listed_rows = [{"digest": row.digest, "rows": row.rows, "publishedAt": at} for row, at in rows]
    return resource("DataSource", "parcels", {}, {"currentVersion": current, "versions": listed_rows})


def training_job(number: int, result: TrainResult, recipe: Json, trigger: Json | None = None) -> Json:
    """Return a TrainingJob as its run left it."""
    spec = {
        "modelName": "parcels",
        "dataRef": {"name": "parcels", "version": "latest"},
        "task": "BinaryClassification",
        "estimator": {"name": "LogisticRegression"},
        "objective": {"metric": "roc_auc"},
        **recipe,
        **({"trigger": trigger} if trigger else {}),
    }
    found = {key: value for key, value in result.dump().items() if key in KEPT_OF_RESULT}
    told = condition("Complete", "True", "PassedGate", result.message)
    state = {"runKey": f"{number:064x}", "jobName": f"j-{number:010x}", "completionTime": result.completed_at}
    created = f"2026-01-0{number}T07:00:00Z"
    return resource(
        "TrainingJob", f"run-{number}", spec, {**found, **state, "conditions": [told]}, creationTimestamp=created
    )


KEPT_OF_RESULT = frozenset({"data", "metrics", "gate", "model", "environment", "reportUri"})


def deployment(runs: Sequence[TrainResult]) -> Json:
    """Return a ModelDeployment that serves the second model and keeps the first."""
    first, second = (found.model for found in runs)
    assert first is not None and second is not None
    decisions = [
        {"time": END, "actor": "operator", "action": "Promote", "subject": second.digest, "reason": "Promoted",
         "message": "candidate v2 passed every step"},
        {"time": START, "actor": "person", "action": "Retrain", "subject": runs[1].data.digest, "reason": "Manual",
         "message": "TrainingJob run-2"},
    ]  # fmt: skip
    state = {
        "champion": {"version": "v2", "digest": second.digest, "since": END, "dataDigest": runs[1].data.digest,
                     "trainingJob": "run-2"},
        "lastKnownGood": {"version": "v1", "digest": first.digest, "loadedUntil": END,
                          "dataDigest": runs[0].data.digest, "trainingJob": "run-1"},
        "plan": {"revision": 3, "digest": f"sha256:{'3' * 64}"},
        "decisions": decisions,
    }  # fmt: skip
    return resource("ModelDeployment", "parcels", {"modelName": "parcels"}, state)


def log_answers(lab: Lab, model: str, rows: list[Json]) -> None:
    """Let one pod log answers of a model, one of them under ANSWER_ID."""
    schema = ModelSchema.model_validate_json(lab.file(model, SCHEMA_FILE))
    spec = ServerSpec.model_validate(
        {
            "owner": {"kind": "ModelDeployment", "name": "parcels", "uid": "u", "namespace": "demo"},
            "modelName": "parcels",
            "store": {"secret": "treadle-store", "prefix": PREFIX},
            "signingSecret": "treadle-signing",
        }
    )
    # A pod's Secret holds the keys as files.
    lab.secret("treadle-store", bucket="bucket", endpoint=f"file://{lab.root}")
    uploader = PartUploader(spec, lab.root / "mounts/secrets/treadle-store", "pod0")
    log = RequestLog(uploader, lambda: datetime(2013, 4, 1, 12, tzinfo=UTC))
    ids = [f"r-{number}" for number in range(len(rows) - 1)] + [ANSWER_ID]
    given = [{name: row[name] for name in ("size", "count", "colour", "twice")} for row in rows]
    log.add(answer(schema, given, model, ids, [0.5] * len(rows)), schema, ALL)
    log.finish(30)
    assert log.state.dropped == 0


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Yield the world; tests change only what is answered."""
    root = tmp_path_factory.mktemp("world")
    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(os.environ, "TREADLE_MOUNTS", str(root / "mounts"))
        lab = workshop(root)
        old, new = lab.parcels(parcels(800)), lab.parcels(parcels(1200), MORE, privacy=KEPT)
        first = lab.train(old, 1, **FIRST)
        second = lab.train(new, 2, first.model.digest, **SECOND)
        assert second.outcome == "Promote", second.message
        rows = [
            {**row, "twice": None if row["size"] is None else 2 * row["size"]} for row in parcels(60) if row["colour"]
        ]
        log_answers(lab, second.model.digest, rows)
        step = MonitorStep(
            run=f"{3:010x}", run_key=f"{3:064x}",
            owner={"kind": "Monitor", "name": "watch", "uid": "m", "namespace": "demo"},
            store={"secret": "treadle-store", "prefix": PREFIX},
            spec={"targetRef": {"name": "parcels"}, "window": {"size": "24h", "minSamples": 30}},
            deployment="parcels", champion=second.model.digest, window={"start": START, "end": END},
        )  # fmt: skip
        window = judge(step, lab.store, Silent())
    asked = {"kind": "Monitor", "ref": {"kind": "Monitor", "name": "watch", "uid": "m"}, "reason": "DriftDetected"}
    last = {
        "start": START, "end": END, "samples": 60, "verdict": window.outcome, "championDigest": second.model.digest,
        "reportUri": window.report_uri, "digest": window.record,
    }  # fmt: skip
    seen = {"start": START, "verdict": window.outcome, "breached": [], "championDigest": second.model.digest}
    objects = {
        "DataSource": [data_source(lab.ingested)],
        "TrainingJob": [training_job(1, first, FIRST), training_job(2, second, SECOND, asked)],
        "ModelDeployment": [deployment([first, second])],
        "Monitor": [
            resource("Monitor", "watch", {"targetRef": {"name": "parcels"}}, {"lastWindow": last, "windows": [seen]})
        ],
    }
    found = World(lab, lab.ingested, [first, second], objects, root / "kubeconfig")
    with served(found.answers) as server:
        kubeconfig(found.path, server)
        yield found


@pytest.fixture
def world(made: World) -> World:
    """Return the world with everything answered anew."""
    space = "/apis/treadle.dev/v1alpha1/namespaces/demo"
    values = {"bucket": "bucket", "endpoint": f"file://{made.lab.root}"}
    secret = {
        "kind": "Secret",
        "metadata": {"name": "treadle-store"},
        "data": {key: base64.b64encode(value.encode()).decode() for key, value in values.items()},
    }
    made.answers.routes = {
        **{f"GET {space}/{PLURALS[kind]}": listed(kind, *objects) for kind, objects in made.objects.items()},
        "GET /api/v1/namespaces/demo/secrets/treadle-store": (200, secret),
    }
    return made


def without_jobs(world: World) -> None:
    world.answers.routes["GET /apis/treadle.dev/v1alpha1/namespaces/demo/trainingjobs"] = listed("TrainingJob")


def without_right(world: World) -> None:
    refusal = status(403, "Forbidden", 'secrets "treadle-store" is forbidden')
    world.answers.routes["GET /api/v1/namespaces/demo/secrets/treadle-store"] = refusal


def short(digest: str) -> str:
    return digest.removeprefix("sha256:")[:12]


# Lineage.


def titles(found: Json) -> tuple[list[str], str, list[str]]:
    """Return the links before, the link itself, and those after, each by what it is and how it is called."""

    def below(branches: list[Json], depth: int = 0) -> Iterator[str]:
        for branch in branches:
            yield f"{'  ' * depth}{branch['what']} {branch['title']}"
            yield from below(branch["after"], depth + 1)

    before = [f"{node['what']} {node['title']}" for node in found["before"]]
    return before, f"{found['here']['what']} {found['here']['title']}", list(below(found["after"]))


RIVAL = "rival v1, the champion to beat"
FILE, DATA = "file ConfigMap parcels, key parcels.csv", "data version of DataSource parcels"
SERVED = [
    "serving champion of ModelDeployment parcels",
    f"  watching Monitor watch, window until {END}",
    "    run TrainingJob run-2",
]
MODELS = {
    "v2": (
        [FILE, DATA, RIVAL, "run TrainingJob run-2"], "model v2 of parcels", SERVED,
    ),
    "parcels:v1": (
        [FILE, DATA, "run TrainingJob run-1"], "model v1 of parcels",
        ["serving champion before of ModelDeployment parcels", "run TrainingJob run-2 was judged against it"],
    ),
    "tj/run-2": (
        [FILE, DATA, RIVAL], "run TrainingJob run-2", ["model v2 of parcels", *(f"  {line}" for line in SERVED)],
    ),
    "dsrc/parcels": (
        [FILE], DATA,
        ["run TrainingJob run-2", "  model v2 of parcels", *(f"    {line}" for line in SERVED)],
    ),
    "parcels": (
        [FILE, DATA, RIVAL, "run TrainingJob run-2", "model v2 of parcels"], SERVED[0],
        [line[2:] for line in SERVED[1:]],
    ),
    "mon/watch": (
        [FILE, DATA, RIVAL, "run TrainingJob run-2", "model v2 of parcels", SERVED[0]],
        f"watching Monitor watch, window until {END}", ["run TrainingJob run-2"],
    ),
    ANSWER_ID: (
        [FILE, DATA, RIVAL, "run TrainingJob run-2", "model v2 of parcels", SERVED[0]],
        f"answer prediction {ANSWER_ID}", [],
    ),
}  # fmt: skip


@pytest.mark.parametrize("word", MODELS)
def test_lineage_walks_both_ways(world: World, word: str) -> None:
    before, here, after = MODELS[word]
    assert titles(world.json("lineage", word)) == (before, here, after)


def digests(found: Json) -> set[str]:
    """Return every digest that a lineage shows."""

    def nodes(branches: list[Json]) -> Iterator[Json]:
        for branch in branches:
            yield branch
            yield from nodes(branch["after"])

    shown = [*found["before"], found["here"], *nodes(found["after"])]
    return {node["digest"].removeprefix("sha256:") for node in shown if node["digest"]}


def test_from_any_digest_to_any_other_in_three_commands(world: World) -> None:
    seen: dict[str, set[str]] = {}
    ends = {
        *(found.version.digest for found in world.fetches if found.version),
        *(found.model.digest for found in world.runs if found.model),
        *(f"{number:064x}" for number in (1, 2)),
        *(row["sha256"] for row in files_of_first(world)),
        world.objects["Monitor"][0]["status"]["lastWindow"]["digest"],
    }
    ends = {digest.removeprefix("sha256:") for digest in ends}
    todo = set(ends)
    while todo:
        digest = todo.pop()
        seen[digest] = digests(world.json("lineage", digest))
        todo |= seen[digest] - set(seen)
    for begin in ends:
        reached = {begin}
        for _ in range(3):
            reached |= {digest for one in reached for digest in seen[one]}
        assert ends <= reached, f"from {begin}"


def files_of_first(world: World) -> list[Json]:
    [key] = [
        entry.key
        for entry in world.lab.store.list("runs/ingest/")
        if (found := json.loads(world.lab.store.get(entry.key).data))["result"]["version"]["digest"]
        == world.fetches[0].version.digest
    ]
    found: list[Json] = json.loads(world.lab.store.get(key).data)["sources"]
    return found


def test_each_digest_of_status_and_store_is_about_something(world: World) -> None:
    second = world.runs[1]
    about = {
        second.model.card_digest: ("model", "its card"),
        second.model.schema_digest: ("model", "its input schema"),
        second.model.golden_digest: ("model", "its golden requests"),
        second.environment.packages_digest: ("run", "the packages that it was made with, and of 1 more"),
        second.gate.holdout_digest: ("data", "the content of its holdout rows"),
        world.fetches[1].version.content_digest: ("data", "its content"),
        f"sha256:{'3' * 64}": ("serving", "its release plan"),
        f"sha256:{files_of_first(world)[0]['sha256']}": ("data", "its file ConfigMap parcels, key parcels.csv"),
    }
    record = read_record(world.lab.store, "train", f"{2:064x}")
    about |= {f"sha256:{row['sha256']}": ("run", f"its file {row['path']}") for row in record["files"][1:]}
    for digest, (what, part) in about.items():
        here = world.json("lineage", digest)["here"]
        assert (here["what"], here["said"][0]) == (what, f"the digest given is that of {part}"), digest
    assert world.json("lineage", f"{2:010x}")["here"]["title"] == "TrainingJob run-2", "as results name a run"


def test_a_run_whose_object_is_gone_is_told_by_its_record(world: World) -> None:
    without_jobs(world)
    before, here, _ = titles(world.json("lineage", "v1"))
    assert (before, here) == (
        [FILE, DATA, "run run 0000000000, whose TrainingJob is gone"], "model v1 of parcels",
    )  # fmt: skip
    assert titles(world.json("lineage", f"{1:064x}"))[1] == "run run 0000000000, whose TrainingJob is gone"
    assert world.call("card", "v1").stdout.startswith('---\nmodel_name: "parcels"\nversion: "v1"\n')


def test_without_the_right_to_the_secret_status_alone_is_told(world: World) -> None:
    without_right(world)
    found = world.json("lineage", "v2")
    assert titles(found)[0] == [DATA, RIVAL, "run TrainingJob run-2"]
    [note] = found["notes"]
    assert note.startswith("the bucket was not read: no right to get secrets in demo; ask for a Role with that verb")
    shown = world.call("lineage", "v2")
    assert shown.exit_code == 0 and shown.stderr == f"Note: {note}\n"


# name: (word, whether the bucket may be read, what the error says)
WRONG = {
    "a version that no run made": ("v9", True, "no run made a v9; known: parcels:v1, parcels:v2"),
    "a digest that is nowhere": ("abcdef0123", True, '"abcdef0123" is nothing that is known in demo; write v3 or '),
    "an answer that is not in the log": (
        "r-99",
        True,
        "the newest 100 parts of the request log hold no answer of that",
    ),
    "an object that does not exist": ("tj/run-3", True, "TrainingJob run-3 does not exist in demo"),
    "a version of no source": ("grains@latest", True, "DataSource grains has no version, or does not exist in demo"),
    "digits of no version": ("parcels@00000000", True, "parcels@00000000 is no version of DataSource parcels: "),
    "what only the bucket knows": ("abcdef0123", False, "the bucket was not read: no right to get secrets in demo"),
    "what begins several": ("00000000", True, "begins several digests: TrainingJob run-"),
}


@pytest.mark.parametrize(("word", "may", "text"), WRONG.values(), ids=WRONG.keys())
def test_what_nothing_is_known_of(world: World, word: str, may: bool, text: str) -> None:
    if not may:
        without_right(world)
    result = world.call("lineage", word)
    assert (result.exit_code, result.stdout) == (1, "")
    assert text in result.stderr and result.stderr.count("\n") == 1


# Differences.


def section(found: Json, title: str) -> tuple[dict[str, tuple[str, str]], list[str]]:
    part = found["sections"][title]
    return {row["what"]: (row["left"], row["right"]) for row in part["rows"]}, part["said"]


def test_two_models_differ_in_plain_words(world: World) -> None:
    first, second = world.runs
    found = world.json("diff", "v1", "v2")
    data, told = section(found, "data")
    assert data["rows"] == ("800", "1200 (+400)")
    assert told == [
        "column twice is new (double, feature)",
        "column colour: classification public → sensitive",
        "column colour: action null → Keep",
        "made by other rules: schema, filter, privacy, checks or split",
    ]
    recipe, _ = section(found, "recipe")
    assert recipe == {
        "estimator.name": ("LogisticRegression", "HistGradientBoostingClassifier"),
        "estimator.parameters.max_iter": ("absent", "20"),
        "gate.margin": ("absent", "0.1"),
        "gate.minRows": ("absent", "100"),
        "gate.require": ("absent", "NotWorse"),
    }
    metrics, concluded = section(found, "metrics")
    assert metrics["roc_auc"] == tuple(
        f"{run.metrics[0].value} [{run.metrics[0].lower}, {run.metrics[0].upper}]" for run in (first, second)
    )
    gap = second.gate.difference
    assert concluded == [
        "on different holdout rows: the values do not compare as they stand, but for a paired difference below",
        f"paired difference of roc_auc, v2 ({short(second.model.digest)}) less v1 ({short(first.model.digest)}) on the "
        f"same {second.gate.rows} rows, positive when better: {gap.value} [{gap.lower}, {gap.upper}]",
    ]
    assert section(found, "gate")[0]["better"][0] == "not checked"
    assert section(found, "environment") == ({}, ["the same packages and format"])


def test_a_difference_turns_round(world: World) -> None:
    there, back = world.json("diff", "tj/run-1", "parcels"), world.json("diff", "v2", "v1")
    for title in ("recipe", "metrics"):
        rows, turned = section(there, title)[0], section(back, title)[0]
        assert rows == {name: (right, left) for name, (left, right) in turned.items()}
    assert section(back, "data")[0]["rows"] == ("1200", "800 (-400)")


def test_a_version_and_itself(world: World) -> None:
    found = world.json("diff", "v2", "run-2")
    assert section(found, "data")[1] == [f"the same: parcels, version {short(world.fetches[1].version.digest)}"]
    assert section(found, "recipe") == ({}, ["the same"])
    assert f"the same model, byte for byte: {short(world.runs[1].model.digest)}" in section(found, "what")[1]


def test_two_dataset_versions(world: World) -> None:
    old, new = (found.version for found in world.fetches)
    found = world.json("diff", f"parcels@{short(old.digest)}", "parcels@latest")
    assert {*found["sections"]} == {"what", "data"}
    rows, told = section(found, "data")
    assert rows["train rows"] == (
        str(old.splits.train.rows),
        f"{new.splits.train.rows} (+{new.splits.train.rows - old.splits.train.rows})",
    )
    assert "column twice is new (double, feature)" in told
    without_right(world)
    blind = world.json("diff", f"parcels@{short(old.digest)}", "parcels@latest")
    assert section(blind, "data")[1] == ["parts and columns stand in the bucket, which was not read"]
    assert section(blind, "data")[0]["rows"] == ("800", "1200 (+400)")


def test_a_recipe_of_a_run_that_is_gone_is_its_models(world: World) -> None:
    without_jobs(world)
    rows, told = section(world.json("diff", "v1", "v2"), "recipe")
    assert rows["estimator.name"] == ("LogisticRegression", "HistGradientBoostingClassifier")
    assert told == ["only what decides about the model's bytes is kept of a run whose TrainingJob is gone"]


def test_a_difference_as_text(world: World) -> None:
    shown = world.call("diff", "v1", "v2").stdout
    first, second = world.runs
    assert shown.startswith(f"v1 ({short(first.model.digest)}) → v2 ({short(second.model.digest)})\nWhat\n")
    assert "\nRecipe\n  estimator.name                 LogisticRegression → HistGradientBoostingClassifier\n" in shown
    assert world.call("diff", "v1", "parcels@latest").exit_code == 1


# Papers.


@pytest.mark.parametrize("word", ["v2", "parcels", "tj/run-2", "parcels:v2"])
def test_a_card_is_printed_as_it_lies_there(world: World, word: str) -> None:
    record = read_record(world.lab.store, "train", f"{2:064x}")
    entry = next(row for row in record["files"] if row["path"] == "card.md")
    result = world.call("card", word)
    assert (result.exit_code, result.stdout) == (0, world.lab.store.get(keys.blob(entry["sha256"])).data.decode())


def test_a_card_that_may_not_be_read_leaves_what_status_tells(world: World) -> None:
    without_right(world)
    result = world.call("card", "v2")
    metric = world.runs[1].metrics[0]
    assert result.exit_code == 1 and "no right to get secrets in demo" in result.stderr
    assert f"roc_auc: {metric.value} [{metric.lower}, {metric.upper}]\n" in result.stdout


@pytest.mark.parametrize(("word", "number"), [("watch", 3), ("mon/watch", 3), ("run-2", 2), ("v1", 1), ("parcels", 2)])
def test_a_report_is_saved(world: World, word: str, number: int, tmp_path: Path) -> None:
    page = world.lab.store.get(keys.report(f"{number:064x}")).data
    target = tmp_path / "page.html"
    saved = world.call("report", word, "--save", str(target))
    assert (saved.exit_code, saved.stdout, target.read_bytes()) == (0, f"{target}\n", page)
    found = Path(world.call("report", word).stdout.strip())
    assert found.read_bytes() == page
    found.unlink()
    found.parent.rmdir()
    assert world.call("report", word, "--save", "-").stdout_bytes == page


def test_a_report_that_cannot_be_written(world: World, tmp_path: Path) -> None:
    result = world.call("report", "watch", "--save", str(tmp_path / "missing" / "page.html"))
    assert (result.exit_code, result.stderr) == (
        1, f"Error: {tmp_path}/missing/page.html was not written: No such file or directory; name another file\n",
    )  # fmt: skip
    assert world.call("report", "watch", "--save", "-", "--open").exit_code == 2


def test_what_has_no_report(world: World) -> None:
    bare = resource("Monitor", "watch", {"targetRef": {"name": "parcels"}}, {})
    space = "GET /apis/treadle.dev/v1alpha1/namespaces/demo"
    world.answers.routes[f"{space}/monitors"] = listed("Monitor", bare)
    assert "has judged no window yet; treadle refresh mon/watch judges one now" in world.call("report", "watch").stderr
    failed = resource(
        "TrainingJob", "bad", {"modelName": "parcels", "dataRef": {"name": "parcels"}},
        {"conditions": [condition("Failed", "True", "TrainingError", "max_iter is negative")]},
    )  # fmt: skip
    world.answers.routes[f"{space}/trainingjobs"] = listed("TrainingJob", failed)
    assert "TrainingJob bad has no report: TrainingError. max_iter is negative" in world.call("report", "tj/bad").stderr
    assert "TrainingJob bad made no model: TrainingError." in world.call("card", "tj/bad").stderr
