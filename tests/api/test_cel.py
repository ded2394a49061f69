"""Every rule of the CRDs, and their schemas, on a real API server: what is taken, what is refused, in which words.

The cases are the files of cel/; TREADLE_UPDATE_GOLDEN=1 writes the refusals to golden/api/ anew.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

import goldens
from control_plane import CRDS, ControlPlane
from manifests import cases_of, changed, manifest
from treadle.api.blocks import Resource
from treadle.api.datasource import DataSource
from treadle.api.modeldeployment import ModelDeployment
from treadle.api.monitor import Monitor
from treadle.api.names import API_VERSION, PLURALS
from treadle.api.trainingjob import TrainingJob

type Json = dict[str, Any]
type Rule = tuple[str, str]
"""The path of a rule, and its text."""

MODELS: dict[str, type[Resource]] = {
    "DataSource": DataSource,
    "TrainingJob": TrainingJob,
    "ModelDeployment": ModelDeployment,
    "Monitor": Monitor,
}

ONLY_THE_SERVER = {
    "a column twice",
    "a policy twice",
    "a check twice",
    "a slice twice",
    "a transform twice",
    "a comparison twice",
    "an action twice",
    "a text as boolean",
    "a text as number",
    "a day that does not exist",
}
"""What the models take and the server does not. Nothing reaches a model but by the server."""


def rows(section: str) -> list[Any]:
    """Return kind, name and changes of each case of a section, as parameters of a test."""
    return [
        pytest.param(kind, changes, id=f"{kind}: {name}")
        for kind in PLURALS
        for name, changes in cases_of(kind).get(section, {}).items()
    ]


@pytest.fixture(scope="module")
def server(plane: ControlPlane) -> Iterator[ControlPlane]:
    """Yield an API server that holds the manifest of each kind in namespace cel; everything else is dry-run."""
    plane.namespace("cel")
    for kind in PLURALS:
        status, answer = plane.request("POST", path(kind, dry=False), manifest(kind, {}))
        assert status == 201, answer
    yield plane
    for kind in PLURALS:
        # The tests after these start operators, which shall have nothing to do.
        plane.request("DELETE", path(kind, dry=False))


def path(kind: str, name: str = "", *, dry: bool = True) -> str:
    query = "fieldValidation=Strict" + ("&dryRun=All" if dry else "")
    return f"/apis/{API_VERSION}/namespaces/cel/{PLURALS[kind]}{name and '/'}{name}?{query}"


def create(server: ControlPlane, kind: str, changes: Json) -> tuple[int, Json]:
    body = manifest(kind, changes)
    if body["metadata"]["name"] == cases_of(kind)["manifest"]["metadata"]["name"]:
        # In dry-run too, a name that is taken is refused.
        body["metadata"]["name"] = "another"
    return server.request("POST", path(kind), body)


def update(server: ControlPlane, kind: str, changes: Json) -> tuple[int, Json]:
    name = cases_of(kind)["manifest"]["metadata"]["name"]
    _, held = server.request("GET", path(kind, name))
    return server.request("PUT", path(kind, name), changed(held, changes))


def update_status(server: ControlPlane, kind: str, status: Json) -> tuple[int, Json]:
    name = cases_of(kind)["manifest"]["metadata"]["name"]
    _, held = server.request("GET", path(kind, name))
    return server.request("PUT", path(kind, f"{name}/status"), held | {"status": status})


@pytest.mark.parametrize(("kind", "changes"), rows("accepted"))
def test_what_the_server_takes_the_model_reads(server: ControlPlane, kind: str, changes: Json) -> None:
    code, answer = create(server, kind, changes)
    assert code == 201, answer
    # The model fills the same defaults, so that a dump of what the server holds is what was read.
    read = MODELS[kind].read({**answer, "metadata": {**answer["metadata"], "uid": "u"}})
    assert read.dump()["spec"] == answer["spec"]


@pytest.mark.parametrize(("kind", "changes"), rows("allowed"))
def test_what_may_change(server: ControlPlane, kind: str, changes: Json) -> None:
    code, answer = update(server, kind, changes)
    assert code == 200, answer


@pytest.mark.parametrize(("kind", "changes"), rows("malformed"))
def test_what_the_schema_refuses_the_model_refuses(
    server: ControlPlane, kind: str, changes: Json, request: pytest.FixtureRequest
) -> None:
    code, answer = create(server, kind, changes)
    assert code in (400, 422), answer
    (changed_path,) = (re.sub(r"\.(\d+)", r"[\1]", path) for path in changes)
    assert any(is_about(changed_path, line) for line in said(answer)), answer
    raw = manifest(kind, changes)
    raw["metadata"] |= {"namespace": "cel", "uid": "u"}
    if request.node.callspec.id.partition(": ")[2] in ONLY_THE_SERVER:
        MODELS[kind].read(raw)
    else:
        with pytest.raises(ValidationError):
            MODELS[kind].read(raw)


def is_about(path: str, line: str) -> bool:
    """Tell whether a line of a refusal is about a field, something in it, or the item that it is in."""
    field = line.partition(": ")[0]
    return (
        f'unknown field "{path}' in line or field.startswith(path) or (path.startswith(field) and field.endswith("]"))
    )


@pytest.mark.parametrize("kind", PLURALS)
def test_the_words_of_each_refusal(server: ControlPlane, kind: str) -> None:
    asked = {"refused": create, "refused_here": create, "forbidden": update, "status": update_status}
    found = {}
    for section, ask in asked.items():
        for name, changes in cases_of(kind).get(section, {}).items():
            code, answer = ask(server, kind, changes)
            assert code == 422, f"{name}: {answer}"
            found[name] = said(answer)
    goldens.same(f"api/{kind.lower()}", found)


def said(answer: Json) -> list[str]:
    """Return the causes of a refusal, each with its field, as kubectl prints them."""
    causes = answer.get("details", {}).get("causes")
    if causes is None:
        return [answer["message"]]
    return [f"{cause['field']}: {cause['message']}" for cause in causes]


def schema_of(kind: str) -> Json:
    crd = yaml.safe_load((CRDS / f"{PLURALS[kind]}.yaml").read_text())
    schema: Json = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema


def rules_of(schema: Json, at: str = "") -> Iterator[Rule]:
    """Yield the path and text of each rule below a node of a schema; items have the path of their list and []."""
    for rule in schema.get("x-kubernetes-validations", []):
        yield at, rule["message"]
    for name, child in schema.get("properties", {}).items():
        yield from rules_of(child, f"{at}.{name}".lstrip("."))
    if "items" in schema:
        yield from rules_of(schema["items"], f"{at}[]")
    if isinstance(schema.get("additionalProperties"), dict):
        yield from rules_of(schema["additionalProperties"], f"{at}[]")


def refusals_of(kind: str) -> dict[str, list[str]]:
    """Return what the golden file of a kind says, which the API server has confirmed."""
    golden: dict[str, list[str]] = yaml.safe_load((goldens.DIRECTORY / f"api/{kind.lower()}.yaml").read_text())
    return golden


@pytest.mark.parametrize("kind", PLURALS)
def test_every_rule_has_refused_something(kind: str) -> None:
    """Two rules with one path and one text need two cases, since a refusal does not say which of them spoke."""
    needed = Counter(rules_of(schema_of(kind)))
    lines = [line for lines in refusals_of(kind).values() for line in lines]
    spoken = Counter(rule for rule in needed for line in lines if is_from(rule, line))
    assert {rule: count for rule, count in needed.items() if spoken[rule] < count} == {}


@pytest.mark.parametrize("kind", PLURALS)
def test_nothing_but_rules_speaks_in_their_cases(kind: str) -> None:
    rules = set(rules_of(schema_of(kind)))
    spoken = [line for lines in refusals_of(kind).values() for line in lines]
    assert [line for line in spoken if not any(is_from(rule, line) for rule in rules)] == []


def is_from(rule: Rule, line: str) -> bool:
    """Tell whether a refusal is that of a rule; a computed text begins with the fixed one."""
    at, text = rule
    field, _, message = line.partition(": ")
    place = re.sub(r"\[[^]]*\]", "[]", field).removeprefix("<nil>")
    return place == at and re.search(rf": {re.escape(text)}($|;)", f": {message}") is not None


@pytest.mark.parametrize("kind", PLURALS)
def test_every_rule_has_looked_at_something_that_it_took(kind: str) -> None:
    taken = [manifest(kind, changes) for changes in cases_of(kind)["accepted"].values()]
    places = {at for at, _ in rules_of(schema_of(kind)) if not at.startswith("status")}
    assert {at for at in places if not any(has_place(each, at) for each in taken)} == set()


def has_place(node: Any, at: str) -> bool:
    """Tell whether a document has something at the path of a rule."""
    if not at:
        return True
    step, _, rest = at.partition(".")
    name, is_list = step.removesuffix("[]"), step.endswith("[]")
    if not isinstance(node, dict) or name not in node:
        return False
    return any(has_place(item, rest) for item in (node[name] if is_list else [node[name]]))


def test_a_secret_is_not_repeated() -> None:
    """What the refusal of a literal key or of credentials says goes to logs, so that it must not hold them."""
    words = json.dumps([refusals_of(kind) for kind in PLURALS])
    for secret in ("AKIAABCDEFGHIJKLMNOP", "PRIVATE KEY", "ghp_", "xoxb-1234", "key:word", "user:word", "token@"):
        assert secret not in words
