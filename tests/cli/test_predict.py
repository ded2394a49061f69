"""`treadle predict`: the request that it makes, what it prints of the answer, and the lines for a shell."""

import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from answers import Answers, kubeconfig, served, status
from builders import champion, condition, digest, model_deployment
from monitored import flights_schema
from treadle.api.artifacts import ModelSchema
from treadle.api.plan import PlannedPolicy
from treadle.cli.cluster import Cluster, Way, ours
from treadle.cli.predict import Endpoint, columns, pair, parsed, predict, shell, table
from treadle.serving import v2
from treadle.serving.schema import check

PROXY = "/api/v1/namespaces/demo/services/flights-late:80/proxy"
BASE = f"{PROXY}/v2/models/late"
EXAMPLES = {"hour": 17, "weekday": 3, "distance": 502, "carrier": "UA", "origin": "LGA"}


def schema() -> ModelSchema:
    """Return a model's schema with examples for all but the last input, as of a personal column."""
    found = flights_schema()
    inputs = [each.model_copy(update={"example": EXAMPLES.get(each.name)}) for each in found.inputs]
    return found.model_copy(update={"inputs": inputs})


METADATA = v2.model_metadata("late", ["v1"], "onnx", schema(), hidden=False)
INPUTS = METADATA["inputs"]
ANSWER = {
    "model_name": "late", "model_version": "v1", "id": "r",
    "outputs": [
        {"name": "score", "datatype": "FP64", "shape": [1], "data": [0.73164921]},
        {"name": "label", "datatype": "BYTES", "shape": [1], "data": ["true"]},
    ],
}  # fmt: skip
TOLD = {"treadle-model-version": "v1", "treadle-model-digest": digest("a"), "Content-Type": "application/json"}
SERVING = model_deployment(
    champion=champion(), status={"conditions": [condition("Ready", "True", "Answering")]}, modelName="late"
)


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Answers]:
    answers = Answers({
        f"GET {ours('ModelDeployment', 'demo', 'flights-late')}": (200, SERVING),
        f"GET {BASE}": (200, METADATA),
        f"POST {BASE}/infer": (200, ANSWER, TOLD),
    })  # fmt: skip
    with served(answers) as server:
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path / "config", server)))
        yield answers


def run(*words: str, given: str = "") -> Result:
    return CliRunner().invoke(predict, ["flights-late", *words], input=given)


def sent(answers: Answers) -> dict[str, Any]:
    """Return the row that was sent, after the server's own check of it."""
    request = v2.parse(next(each.body for each in answers.asked if each.method == "POST"), 10)
    checked = check(request.tensors, schema(), PlannedPolicy())
    return {name: values[0] for name, values in checked.columns.items()}


ROWS: dict[str, tuple[tuple[str, ...], str, dict[str, Any]]] = {
    "a ready example": ((), "", {**EXAMPLES, "dest": "text"}),
    "the same by its name": (("--example",), "", {**EXAMPLES, "dest": "text"}),
    "an example with other values": (
        ("--example", "hour=23", "dest=SFO"), "", {**EXAMPLES, "hour": 23, "dest": "SFO"},
    ),
    "values alone": (
        tuple(f"{key}={value}" for key, value in {**EXAMPLES, "dest": "a=b"}.items()), "", {**EXAMPLES, "dest": "a=b"},
    ),
    "a row of JSON": (("--json", "-"), json.dumps({**EXAMPLES, "dest": "SFO"}), {**EXAMPLES, "dest": "SFO"}),
    "a list of rows": (("--json", "-"), json.dumps([{**EXAMPLES, "dest": "SFO"}]), {**EXAMPLES, "dest": "SFO"}),
    "a body of the protocol": (
        ("--json", "-"), columns([{**EXAMPLES, "dest": "SFO"}], INPUTS).decode(), {**EXAMPLES, "dest": "SFO"},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("words", "given", "row"), ROWS.values(), ids=ROWS.keys())
def test_the_server_takes_what_is_sent(
    script: Answers, words: tuple[str, ...], given: str, row: dict[str, Any]
) -> None:
    result = run(*words, given=given)
    assert (result.exit_code, sent(script)) == (0, row), result.output


def test_it_prints_answer_version_and_the_same_call(script: Answers) -> None:
    result = run()
    first, *lines = result.stdout.splitlines()
    status_, milliseconds, unit, word, version, short = first.split()
    assert (status_, milliseconds.isdigit(), unit, word, version, short) == (
        "200",
        True,
        "ms",
        "version",
        "v1",
        "a" * 12,
    )
    assert "  hour      17" in lines and "→ score     0.731649" in lines and "→ label     true" in lines
    assert lines[-1].startswith("curl -sS http://127.0.0.1:")


def test_curl_prints_the_call_and_sends_nothing(script: Answers) -> None:
    result = run("--curl", "--example")
    assert not [each for each in script.asked if each.method == "POST"]
    words = shlex.split(result.stdout)
    body = json.loads(words[words.index("-d") + 1])
    assert words[:2] == ["curl", "-sS"] and words[2].endswith(f"{BASE}/infer")
    assert {tensor["name"]: tensor["data"] for tensor in body["inputs"]} == {
        name: [value] for name, value in {**EXAMPLES, "dest": "text"}.items()
    }


def test_json_holds_request_and_response(script: Answers) -> None:
    found = json.loads(run("-o", "json").stdout)
    assert sorted(found) == ["curl", "digest", "milliseconds", "request", "response", "status", "version"]
    assert (found["status"], found["digest"], found["response"]) == (200, digest("a"), ANSWER)


def test_a_refusal_of_the_server_is_printed_as_it_came(script: Answers) -> None:
    text = 'column "hour": expected INT64, found datatype "BYTES"; for example: {"inputs": []}'
    script.routes[f"POST {BASE}/infer"] = 400, {"error": text}
    result = run()
    assert (result.exit_code, result.stdout.splitlines()[1], result.stderr) == (1, text, "")
    assert result.stdout.startswith("400  ")
    assert run("hour=3").stderr == "--example fills the inputs that no KEY=VALUE gives\n"


WRONG: dict[str, tuple[dict[str, Any], tuple[str, ...], int, str]] = {
    "no such model": (
        {f"GET {ours('ModelDeployment', 'demo', 'flights-late')}": status(404, "NotFound", "none"),
         f"GET {ours('ModelDeployment', 'demo')}":
             (200, {"kind": "ModelDeploymentList", "metadata": {}, "items": [SERVING]})},
        (), 1, "Error: no ModelDeployment flights-late is in demo; there are: flights-late\n",
    ),
    "nothing serves yet": (
        {f"GET {ours('ModelDeployment', 'demo', 'flights-late')}":
            (200, model_deployment(status={"conditions": [condition("Ready", "False", "WaitingForModel", "wait")]}))},
        (), 1, "Error: flights-late answers nothing yet: WaitingForModel: wait\n",
    ),
    "no pod is ready": (
        {f"GET {BASE}": status(503, "ServiceUnavailable", 'no endpoints available for service "flights-late"')},
        (), 1, "Error: no ready pod is behind Service flights-late: ",
    ),
    "the server is busy": ({f"GET {BASE}": (503, {"error": "no model is ready yet"})}, (), 1,
                           "Error: 503 from flights-late: no model is ready yet\n"),
    "a right is missing": (
        {f"GET {BASE}": status(403, "Forbidden", "no")}, (), 1,
        "Error: no right to get services/proxy in demo; ask for a Role with that verb (no)\n",
    ),
    "the schema is hidden": (
        {f"GET {BASE}": (200, METADATA | {"inputs": []})}, (), 1,
        "Error: flights-late hides its inputs (requestPolicy.errorDetail: Minimal); send rows by --json\n",
    ),
    "a misspelt input": ({}, ("huor=3",), 2, "Error: the model has no input \"huor\"; did you mean \"hour\"? It has: "),
    "a value of another type": ({}, ("hour=late",), 2, 'Error: hour is INT64, and "late" is none\n'),
    "no value": ({}, ("hour",), 2, 'Error: "hour" is no KEY=VALUE; write for example hour=1\n'),
    "two sources of rows": ({}, ("--json", "-", "hour=3"), 2, "Error: --json brings its own rows; "),
    "no JSON": ({}, ("--json", "-"), 1, "Error: <stdin> is no JSON: "),
}  # fmt: skip


@pytest.mark.parametrize(("changed", "words", "code", "line"), WRONG.values(), ids=WRONG.keys())
def test_what_goes_wrong_is_one_line(
    script: Answers, changed: dict[str, Any], words: tuple[str, ...], code: int, line: str
) -> None:
    script.routes |= changed
    result = run(*words)
    said = result.stderr[result.stderr.index("Error: ") :]
    assert (result.exit_code, said[: len(line)], said.count("\n")) == (code, line, 1)


# Pure parts.

CLUSTER = Cluster(Way("prod", "https://far.example", path="/s"), "demo")


def test_for_a_cluster_the_lines_forward_a_port_with_the_users_rights() -> None:
    lines = shell(Endpoint(CLUSTER, "flights-late", "late"), b'{"inputs": ["it\'s"]}').splitlines()
    assert lines == [
        "kubectl port-forward --context prod -n demo service/flights-late 18080:80 >/dev/null &",
        "curl -sS --retry 9 --retry-delay 1 --retry-connrefused http://127.0.0.1:18080/v2/models/late/infer "
        """-H 'Content-Type: application/json' -d '{"inputs": ["it'"'"'s"]}'""",
        "kill $!",
    ]


def test_several_rows_are_answered_by_a_table() -> None:
    outputs = [{"name": "score", "data": [0.5, 0.25]}, {"name": "label", "data": ["true", "false"]}]
    assert table({"inputs": []}, {"outputs": outputs}) == ["score  label", "0.5    true", "0.25   false"]


PAIRS: dict[str, Any] = {"hour=23": 23, "hour=null": None, "origin=LGA": "LGA", "origin=": "", "dest=1": "1"}


@pytest.mark.parametrize(("text", "value"), PAIRS.items())
def test_a_value_is_of_its_inputs_type(text: str, value: Any) -> None:
    assert pair(text, INPUTS) == (text.partition("=")[0], value)


NO_ROWS = ["[]", "1", '"a"', "[1]", "null"]


@pytest.mark.parametrize("text", NO_ROWS)
def test_json_that_holds_no_rows(text: str) -> None:
    with pytest.raises(click.ClickException, match="holds no rows; write"):
        parsed(text, "rows.json")


def test_an_input_without_an_example_tells_none() -> None:
    assert [each.get("parameters") for each in INPUTS] == [*({"example": each} for each in EXAMPLES.values()), None]
    assert v2.model_metadata("late", [], "onnx", schema(), hidden=True)["inputs"] == []
