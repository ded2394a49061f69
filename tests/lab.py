"""A kind for tests alone, whose rules use what our own do not: reasons, paths, computed texts that fail, sets."""

from typing import Any

from treadle.api.names import GROUP, VERSION

type Json = dict[str, Any]

TEXT = {"type": "string", "maxLength": 40}
NUMBER = {"type": "integer"}


def rule(expression: str, message: str = "", **more: str) -> Json:
    return {"rule": expression, **({"message": message} if message else {}), **more}


def object_of(rules: list[Json], **properties: Json) -> Json:
    return {"type": "object", "x-kubernetes-validations": rules, "properties": properties}


def scalar(of: Json, *rules: Json) -> Json:
    return of | {"x-kubernetes-validations": list(rules)}


SIZED: Json = {
    "type": "object",
    "required": ["name"],
    "properties": {"name": TEXT, "size": {**NUMBER, "default": 1}},
    "x-kubernetes-validations": [rule("self.size < 100", "size is 100 or more")],
}
GROWING = SIZED | {
    "x-kubernetes-validations": [
        rule("self.size >= oldSelf.size", "size must not shrink"),
        *SIZED["x-kubernetes-validations"],
    ]
}
SPEC = {
    "text": scalar(
        TEXT, rule("self != 'bad'", "  bad text  "), rule("self.size() < 10"), rule("self != oldSelf + '!'")
    ),
    "whole": scalar(NUMBER, rule("self != 13", "thirteen"), rule("self >= oldSelf", "must not fall")),
    "flag": scalar({"type": "boolean"}, rule("self", "must be true")),
    "either": scalar({"x-kubernetes-int-or-string": True}, rule("self < 5", "must be less than 5")),
    "names": {
        "type": "array",
        "maxItems": 5,
        "x-kubernetes-list-type": "set",
        "items": scalar(TEXT, rule("self != 'bad'", "bad name")),
        "x-kubernetes-validations": [rule("self == oldSelf", "names are immutable, in any order")],
    },
    "words": {
        "type": "object",
        "maxProperties": 5,
        "additionalProperties": scalar(
            TEXT, rule("self != 'bad'", "bad word"), rule("self == oldSelf", "said is said")
        ),
    },
    "keyed": {
        "type": "array",
        "maxItems": 5,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["name"],
        "items": GROWING,
    },
    "twice": {
        "type": "array",
        "maxItems": 5,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["name", "size"],
        "items": GROWING,
    },
    "plain": {"type": "array", "maxItems": 5, "items": SIZED},
    "reasons": object_of(
        [
            rule("self.a != 1", "a is forbidden", reason="FieldValueForbidden", fieldPath=".a"),
            rule("self.a != 2", "a is required", reason="FieldValueRequired", fieldPath=".deep.b"),
            rule("self.a != 3", "a is there", reason="FieldValueDuplicate"),
            rule("self.a != 4", "a is wrong", reason="FieldValueInvalid", fieldPath=".a"),
        ],
        a=NUMBER,
        deep={"type": "object", "properties": {"b": NUMBER}},
    ),
    "said": object_of(
        [
            rule("self.mode != 'text'", "fixed", messageExpression="'  mode is ' + self.mode + ' '"),
            rule("self.mode != 'empty'", "fixed", messageExpression="'  '"),
            rule("self.mode != 'lines'", "fixed", messageExpression="'one\\ntwo'"),
            rule("self.mode != 'fails'", "fixed", messageExpression="self.words['none']"),
            rule("self.mode != 'fails alone'", messageExpression="self.words['none']"),
            rule("self.mode != oldSelf.mode + '!'", "fixed", messageExpression="'was ' + oldSelf.mode"),
        ],
        mode=TEXT,
        words={"type": "object", "maxProperties": 3, "additionalProperties": TEXT},
    ),
    "fails": object_of(
        [
            rule("self.how != 'key' || self.words['none'] == 'a'", "asks for a key"),
            rule("self.how != 'index' || self.list[3] == 1", "asks for an item"),
            rule("self.how != 'nothing' || 1 / self.number == 1"),
            rule("self.how != 'rest' || 1 % self.number == 1"),
            rule("self.how != 'sum' || self.number + 9223372036854775807 == 1"),
            rule("self.how != 'whole' || int(self.how) == 1"),
            rule("self.how != 'fraction' || double(self.how) == 1.0"),
            rule("self.how != 'time' || timestamp(self.how) < timestamp('2026-01-01T00:00:00Z')"),
            rule("self.how != 'absent' || self.gone == 'a'"),
            rule("self.how == 'either' ? self.either + 1 == 1 : true"),
            rule("self.how != 'saved' || self.words['none'] == 'a' || true"),
        ],
        how=TEXT,
        gone=TEXT,
        number=NUMBER,
        either={"x-kubernetes-int-or-string": True},
        list={"type": "array", "maxItems": 3, "items": NUMBER},
        words={"type": "object", "maxProperties": 3, "additionalProperties": TEXT},
    ),
}


def crd(*, strict: bool = True) -> Json:
    """Return the kind Sample; without bounds, enums and rules if it is not to be strict."""
    spec = {"type": "object", "properties": SPEC if strict else lax(SPEC)}
    root = {"type": "object", "required": ["spec"], "properties": {"spec": spec}}
    if strict:
        root["x-kubernetes-validations"] = [rule("self.metadata.name != 'bad'", "bad name")]
    names = {"kind": "Sample", "listKind": "SampleList", "plural": "samples", "singular": "sample"}
    version = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": root},
        "subresources": {},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"samples.{GROUP}"},
        "spec": {"group": GROUP, "scope": "Namespaced", "names": names, "versions": [version]},
    }


LAX = ("x-kubernetes-validations", "maxLength", "maxItems", "maxProperties", "required")


def lax(node: Any) -> Any:
    """Return a schema that takes more, with the same defaults and lists."""
    if isinstance(node, dict):
        kept = {name: lax(child) for name, child in node.items() if name not in LAX}
        # A key of a list with keys must be required, or have a default.
        return kept | ({"required": ["name"]} if "name" in kept.get("properties", {}) else {})
    return node
