"""The rules of a schema (x-kubernetes-validations), evaluated by Google's CEL, told as kube-apiserver tells them."""

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from treadle.local.schema import moments
from treadle.local.schema.causes import NOWHERE, OMITTED, Cause, duplicate, forbidden, invalid, marshalled, required
from treadle.local.schema.past import Past
from treadle.local.schema.structural import NOTHING, Node, child_of, keys_of

MESSAGE_BYTES = 5 * 1024
"""MaxEvaluatedMessageExpressionSizeBytes of k8s.io/apiserver/pkg/apis/cel."""

NUMBER = re.compile(r"[+-]?(0x[0-9a-f.]+p[+-]?\d+|[\d._]+(e[+-]?\d+)?|inf|infinity)|nan", re.ASCII | re.IGNORECASE)
"""What Go's strconv.ParseFloat takes, among what Python and C++ take: no space around it, no hexadecimal integer."""

NO_TIME = "String to Timestamp conversion failed"
NO_OVERLOAD = "no such overload"
SAID_BY_GO = (
    (r'Key not found in map : "(.*)"', r"no such key: \1"),
    (r"No matching overloads found .*", NO_OVERLOAD),
    (r"Index error: index=(-?\d+) size=\d+", r"index out of bounds: \1"),
    (r"divide by zero", "division by zero"),
    (r"cannot convert string to (\w+)", r"type conversion error from 'string' to '\1'"),
    (NO_TIME, "type conversion error from 'string' to 'google.protobuf.Timestamp'"),
)
"""What the C++ evaluator says, and what the server's Go evaluator says instead."""


class Failed(Exception):
    """An expression has no value, for the reason that the server would give."""


@dataclass(frozen=True, slots=True)
class View:
    """What a rule sees: self, and oldSelf if it has one; beside them the words for date-times that Go cannot parse."""

    variables: Mapping[str, Any]
    unreadable: list[str]


def judge(
    value: Any, schema: Node, at: str = "", past: Past | None = None, above: Past | None = None
) -> Iterator[Cause]:
    """Yield what the rules of a schema refuse in a value, from the top down.

    past: what stood here before, or None; without it no rule of transition applies.
    above: the past of the nearest place above that has one, for items of lists without keys.
    """
    yield from _refused(value, schema, at, past, past or above)
    if isinstance(value, list):
        for position, item in enumerate(value):
            before = past and past.at(position)
            yield from judge(item, schema.get("items", NOTHING), f"{at}[{position}]", before, past or above)
    if isinstance(value, dict):
        for name, child in value.items():
            known = child_of(schema, name)
            if known is not None:
                place = f"{at}[{name}]" if "additionalProperties" in schema else f"{at}.{name}".removeprefix(".")
                yield from judge(child, known, place, past and past.at(name), past or above)


def matches(text: str, pattern: str) -> bool:
    """Tell whether RE2 finds a pattern in a text; Python's `re` reads $, \\d and \\w differently."""
    expression = f"self.matches({json.dumps(pattern, ensure_ascii=False)})"
    found: bool = _evaluated(expression, View({"self": text}, []))
    return found


def _refused(value: Any, schema: Node, at: str, past: Past | None, nearest: Past | None) -> Iterator[Cause]:
    rules = schema.get("x-kubernetes-validations")
    if not rules or value is None:
        return
    view = _view(value, schema, past if any(_compares(rule) for rule in rules) else None)
    for rule in rules:
        is_transition = _compares(rule)
        if is_transition and past is None:
            continue
        try:
            holds = _evaluated(rule["rule"], view)
        except Failed as failed:
            yield invalid(at or NOWHERE, schema.get("type", ""), _told(str(failed), rule))
            continue
        if holds or (not is_transition and nearest is not None and nearest.is_unchanged()):
            continue
        field = f"{at}{rule.get('fieldPath', '')}".removeprefix(".") or NOWHERE
        shown = OMITTED if schema.get("type") in ("object", "array") else value
        yield _cause(rule.get("reason"), field, shown, _message(rule, view))


def _compares(rule: Node) -> bool:
    """Tell whether a rule is one of transition."""
    return "oldSelf" in rule["rule"]


def _cause(reason: str | None, field: str, value: Any, detail: str) -> Cause:
    match reason:
        case "FieldValueDuplicate":
            return duplicate(field, value)
        case "FieldValueRequired":
            return required(field, detail)
        case "FieldValueForbidden":
            return forbidden(field, detail)
        case _:
            return invalid(field, value, detail)


def _message(rule: Node, view: View) -> str:
    """Return the text of a refusal: the computed one, unless it fails, is empty, too long, or of two lines."""
    if "messageExpression" in rule:
        try:
            text = _evaluated(rule["messageExpression"], view)
        except Failed:
            text = ""
        said = text.strip() if isinstance(text, str) else ""
        if said and "\n" not in said and len(said.encode()) <= MESSAGE_BYTES:
            return said
    return rule["message"].strip() if rule.get("message") else f"failed rule: {rule['rule'].strip()}"


def _told(failure: str, rule: Node) -> str:
    name = (rule.get("message") or rule["rule"]).strip()
    if failure.startswith(NO_OVERLOAD):
        advice = "call arguments did not match a supported operator, function or macro signature for rule"
        return f"'{failure}': {advice}: {name}"
    return f"{failure} evaluating rule: {name}"


def _evaluated(expression: str, view: View) -> Any:
    from cel_expr_python import cel

    result = _program(expression).eval(data=view.variables)
    if result.type() != cel.Type.ERROR:
        return result.value()
    # Behind the code of the C++ status: `INVALID_ARGUMENT: divide by zero`.
    text = str(result.value()).partition(": ")[2]
    if text == NO_TIME and view.unreadable:
        raise Failed(view.unreadable[0])
    for pattern, said in SAID_BY_GO:
        if found := re.fullmatch(pattern, text):
            raise Failed(found.expand(said))
    raise Failed(text)


@cache
def _program(expression: str) -> Any:
    return _environment().compile(expression)


@cache
def _environment() -> Any:
    """Return where expressions are compiled: with self, oldSelf, and `double` as Go converts a text.

    A name is looked up in the container first, so that `double` means go.double.
    """
    from cel_expr_python.cel import FunctionDecl, NewEnv, Overload, Type

    double = [
        Overload(f"go_double_{taken.name()}", return_type=Type.DOUBLE, parameters=[taken], impl=convert)
        for taken, convert in ((Type.STRING, _double), (Type.INT, float), (Type.UINT, float), (Type.DOUBLE, float))
    ]
    variables = {"self": Type.DYN, "oldSelf": Type.DYN}
    return NewEnv(variables=variables, container="go", functions=[FunctionDecl("go.double", double)])


def _double(text: str) -> float:
    try:
        number = float.fromhex(text) if "x" in text.lower() else float(text)
    except (ValueError, OverflowError):
        number = None
    is_overflow = number is not None and math.isinf(number) and "i" not in text.lower()
    if number is None or is_overflow or NUMBER.fullmatch(text) is None:
        raise ValueError("type conversion error from 'string' to 'double'")
    if math.isnan(number):
        # Go's evaluator says so when it is compared, which is what rules do with numbers; C++ compares it.
        raise ValueError("NaN values cannot be ordered")
    return number


def _view(value: Any, schema: Node, past: Past | None) -> View:
    unreadable: list[str] = []
    variables = {"self": _seen(value, schema, None, unreadable)}
    if past is not None:
        variables["oldSelf"] = _seen(past.old, schema, value, unreadable)
    return View(variables, unreadable)


def _seen(value: Any, schema: Node, like: Any, unreadable: list[str]) -> Any:
    """Return a value as rules see it: without nulls, and with date-times as canonical texts, to be read by timestamp().

    like: what the value will be compared with; a list with keys takes its order, since its own means nothing.
    """
    if isinstance(value, dict):
        return {
            name: _seen(child, known, like.get(name) if isinstance(like, dict) else None, unreadable)
            for name, child in value.items()
            if child is not None and (known := child_of(schema, name)) is not None
        }
    if isinstance(value, list):
        pairs = _paired(value, schema, like)
        return [_seen(item, schema.get("items", NOTHING), place, unreadable) for item, place in pairs]
    if isinstance(value, str) and schema.get("format") == "date-time":
        return _moment(value, unreadable)
    return value


def _paired(items: list[Any], schema: Node, like: Any) -> list[tuple[Any, Any]]:
    """Return each item with that of another list that has its key, in the order of the other list."""
    keys = keys_of(schema)
    if not isinstance(like, list) or not (keys or schema.get("x-kubernetes-list-type") == "set"):
        return [(item, None) for item in items]

    def key(item: Any) -> str:
        return marshalled([item.get(name) for name in keys] if isinstance(item, dict) else item)

    places = {key(item): (place, item) for place, item in enumerate(like)}
    found = [(*places.get(key(item), (len(like), None)), item) for item in items]
    return [(item, other) for _, other, item in sorted(found, key=lambda each: each[0])]


def _moment(text: str, unreadable: list[str]) -> str:
    try:
        return moments.canonical(text)
    except moments.Unreadable as error:
        unreadable.append(f"Invalid date-time formatted string {text}: {error}")
        # No evaluator takes it for a time.
        return f"unreadable {text}"
