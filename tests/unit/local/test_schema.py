"""What is said in memory to each object that a real API server was asked about; the golden files hold its answers."""

import copy
from typing import Any

import pytest
import yaml

import goldens
from manifests import Json, cases_of, changed, free, manifest, structural_rows
from treadle.api.crds import DEFINITIONS, crd
from treadle.api.names import PLURALS
from treadle.local.schema.admit import Refused, schemas
from treadle.local.schema.causes import marshalled, printed, quoted


def live(kind: str) -> Json:
    """Return the manifest of a kind as a server holds it."""
    raw = schemas().admit(manifest(kind, {}), None)
    raw["metadata"] |= {"uid": "u", "namespace": "cel", "creationTimestamp": "2026-01-05T08:00:00Z", "generation": 1}
    return raw


def judged(section: str, kind: str, changes: Any) -> Json:
    match section:
        case "create":
            return schemas().admit(free(kind, changes), None)
        case "status":
            held = live(kind)
            return schemas().admit({**held, "status": changes}, held, subresource="status")
        case _:
            held = live(kind)
            return schemas().admit(changed({**held, "status": {}}, changes), held)


def said(section: str, kind: str, changes: Any) -> list[str]:
    try:
        judged(section, kind, changes)
    except Refused as refused:
        return [str(cause) for cause in refused.causes] or [refused.message]
    return ["taken"]


def golden(name: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = yaml.safe_load((goldens.DIRECTORY / f"api/{name}.yaml").read_text())
    return found


SECTIONS = {"refused": "create", "refused_here": "create", "forbidden": "update", "status": "status"}
RULES = {
    f"{kind}: {name}": (ask, kind, changes, golden(kind.lower())[name])
    for kind in PLURALS
    for section, ask in SECTIONS.items()
    for name, changes in cases_of(kind).get(section, {}).items()
}


@pytest.mark.parametrize(("section", "kind", "changes", "words"), RULES.values(), ids=RULES.keys())
def test_the_words_of_a_rule(section: str, kind: str, changes: Any, words: list[str]) -> None:
    assert said(section, kind, changes) == words


STRUCTURAL = {
    f"{section} {name}": (section, kind, changes, golden("structural")[f"{section} {name}"])
    for section in ("create", "update", "status")
    for name, (kind, changes) in structural_rows(section).items()
}


@pytest.mark.parametrize(("section", "kind", "changes", "words"), STRUCTURAL.values(), ids=STRUCTURAL.keys())
def test_the_words_of_the_schema(section: str, kind: str, changes: Any, words: list[str]) -> None:
    # Fields side by side have no order in the server, and the golden file has that of their texts.
    assert sorted(said(section, kind, changes)) == words


def rows(section: str) -> Any:
    cases = {
        f"{kind}: {name}": (kind, changes)
        for kind in PLURALS
        for name, changes in cases_of(kind).get(section, {}).items()
    }
    return pytest.mark.parametrize(("kind", "changes"), cases.values(), ids=cases.keys())


@rows("accepted")
def test_what_the_server_takes(kind: str, changes: Json) -> None:
    wished = free(kind, changes)
    before = copy.deepcopy(wished)
    taken = schemas().admit(wished, None)
    assert wished == before
    assert schemas().unknown(wished) == ()
    # What is stored is taken again, and nothing is added to it.
    assert schemas().admit(taken, None) == taken


@rows("allowed")
def test_what_may_change(kind: str, changes: Json) -> None:
    held = live(kind)
    wished = changed(held, changes)
    assert schemas().admit(wished, held)["spec"] == wished["spec"]


@rows("malformed")
def test_what_the_schema_refuses(kind: str, changes: Json) -> None:
    wished = free(kind, changes)
    if not schemas().unknown(wished):
        with pytest.raises(Refused) as refused:
            schemas().admit(wished, None)
        assert refused.value.code == 422


def test_a_status_keeps_all_else() -> None:
    held = live("Monitor") | {"status": {"observedGeneration": 1}}
    wished = changed(held, {"spec.suspend": True, "metadata.labels": {"a": "b"}, "status": {"observedGeneration": 2}})
    assert schemas().admit(wished, held, subresource="status") == held | {"status": {"observedGeneration": 2}}


def test_all_else_keeps_the_status() -> None:
    held = live("Monitor") | {"status": {"observedGeneration": 1}}
    wished = changed(held, {"spec.suspend": True, "status": {"observedGeneration": 2}})
    assert schemas().admit(wished, held) == changed(held, {"spec.suspend": True})


JUDGED = {
    "type", "format", "enum", "pattern", "minLength", "maxLength", "minimum", "maximum", "minItems", "maxItems",
    "maxProperties", "properties", "additionalProperties", "items", "required", "default", "nullable", "description",
    "x-kubernetes-int-or-string", "x-kubernetes-list-type", "x-kubernetes-list-map-keys", "x-kubernetes-validations",
}  # fmt: skip
OF_RULES = {"rule", "message", "messageExpression", "reason", "fieldPath"}
TYPES = {"string ", "string date-time", "integer int64", "boolean ", "array ", "object ", " "}
"""What local/ knows of schemas: a CRD that uses more needs more of it, and a row in semantics/schema.yaml."""


@pytest.mark.parametrize("definition", DEFINITIONS, ids=lambda each: each.kind)
def test_no_schema_asks_for_more_than_is_judged(definition: Any) -> None:
    (version,) = crd(definition)["spec"]["versions"]
    nodes = [version["schema"]["openAPIV3Schema"]]
    while nodes:
        node = nodes.pop()
        rules = node.get("x-kubernetes-validations", [])
        assert set(node) <= JUDGED
        assert f"{node.get('type', '')} {node.get('format', '')}" in TYPES
        assert {key for rule in rules for key in rule} <= OF_RULES
        # A name that CEL keeps for itself is escaped in rules; none of ours is.
        assert not {"namespace", "package", "in", "as", "for", "function"} & set(node.get("properties", {}))
        below = [node[key] for key in ("additionalProperties", "items") if key in node]
        nodes += [*node.get("properties", {}).values(), *below]


# What Go prints with %v, and what its encoding/json writes
NUMBERS = {
    1000000.0: ("1e+06", "1000000"),
    123456.5: ("123456.5", "123456.5"),
    2.1e21: ("2.1e+21", "2.1e+21"),
    1e20: ("1e+20", "100000000000000000000"),
    1.234e-05: ("1.234e-05", "0.00001234"),
    0.0001: ("0.0001", "0.0001"),
    1e-07: ("1e-07", "1e-7"),
    -2.5e30: ("-2.5e+30", "-2.5e+30"),
    5e-324: ("5e-324", "5e-324"),
    0.0: ("0", "0"),
    100.0: ("100", "100"),
}


@pytest.mark.parametrize(("number", "texts"), NUMBERS.items())
def test_numbers_as_go_writes_them(number: float, texts: tuple[str, str]) -> None:
    assert (printed(number), marshalled(number)) == texts


def test_texts_as_go_writes_them() -> None:
    text = '<&>\u2028é\x01\t\x7f\b\f"\\\u00ad\ufeff\ue000\U0001f642'
    assert quoted(text) == r'"<&>\u2028é\x01\t\x7f\b\f\"\\\u00ad\ufeff\ue000' + '\U0001f642"'
    assert marshalled(text[:9]) == r'"\u003c\u0026\u003e\u2028é\u0001\t' + '\x7f\\b"'


def test_values_as_go_writes_them() -> None:
    assert printed({"b": 1, "a": [1, "x", None, True]}) == "map[a:[1 x <nil> true] b:1]"
    assert marshalled({"b": 1, "a": [1, "x", None, True]}) == '{"a":[1,"x",null,true],"b":1}'
