"""Whether values are what a structural schema asks for, in the order and words of k8s.io/kube-openapi."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from treadle.local.schema import cel
from treadle.local.schema.causes import (
    Cause,
    duplicate,
    invalid,
    marshalled,
    not_supported,
    printed,
    quoted,
    required,
    too_long,
    too_many,
    type_invalid,
)
from treadle.local.schema.moments import is_date_time
from treadle.local.schema.past import Past
from treadle.local.schema.structural import NOTHING, Node, child_of, keys_of

EXACT_INTEGERS = 2**53 - 1
"""The largest float that kube-openapi takes for an integer."""


class Kind(NamedTuple):
    """What a value is, in the words of JSON Schema, and the format that Go holds it in."""

    type: str
    format: str


KINDS: dict[type, Kind] = {
    bool: Kind("boolean", ""),
    str: Kind("string", ""),
    int: Kind("integer", "int64"),
    float: Kind("number", "float64"),
    list: Kind("array", ""),
    dict: Kind("object", ""),
}


def judge(value: Any, schema: Node, at: str = "", past: Past | None = None) -> list[Cause]:
    """Return what is wrong with a value; nothing where an update leaves it as it was."""
    found = list(_found(value, schema, at, past))
    return [] if found and past is not None and past.is_unchanged() else found


def duplicates(value: Any, schema: Node, at: str = "") -> Iterator[Cause]:
    """Yield each item of a set, or of a list with keys, that is there already."""
    if isinstance(value, dict):
        for name, child in value.items():
            known = child_of(schema, name)
            if known is not None:
                in_map = name not in schema.get("properties", NOTHING)
                yield from duplicates(child, known, f"{at}[{name}]" if in_map else f"{at}.{name}".removeprefix("."))
    if isinstance(value, list):
        yield from _twice(value, schema, at)
        for position, item in enumerate(value):
            yield from duplicates(item, schema.get("items", NOTHING), f"{at}[{position}]")


def _twice(items: list[Any], schema: Node, at: str) -> Iterator[Cause]:
    keys = keys_of(schema)
    if not keys and schema.get("x-kubernetes-list-type") != "set":
        return
    for position, item in enumerate(items if keys else []):
        if item is not None and not isinstance(item, dict):
            yield invalid(f"{at}[{position}]", item, "must be an object for an array of list-type map")
            return
    told = [{key: item[key] for key in keys if key in (item or NOTHING)} for item in items] if keys else items
    texts = [marshalled(each) for each in told]
    for position, text in enumerate(texts):
        # Of three that are equal the second is named, and the third is not.
        if texts[:position].count(text) == 1:
            yield duplicate(f"{at}[{position}]", told[position])


def _found(value: Any, schema: Node, at: str, past: Past | None) -> Iterator[Cause]:
    yield from _of_type(value, schema, at)
    if isinstance(value, str):
        yield from _text(value, schema, at)
    if isinstance(value, int | float) and not isinstance(value, bool):
        yield from _number(value, schema, at)
    if isinstance(value, list):
        yield from _list(value, schema, at, past)
    if "enum" in schema and value not in schema["enum"]:
        yield not_supported(_field(at), value, schema["enum"])
    if isinstance(value, dict):
        yield from _object(value, schema, at, past)


def _of_type(value: Any, schema: Node, at: str) -> Iterator[Cause]:
    wanted = ["integer", "string"] if schema.get("x-kubernetes-int-or-string") else [schema.get("type", "")]
    if value is None:
        if not schema.get("nullable"):
            yield _not_of_type(at, ",".join(wanted), "null")
        return
    found = KINDS[type(value)]
    if schema.get("format") == "date-time":
        # A list passes, as it does in the server.
        if not isinstance(value, str | list):
            yield _not_of_type(at, "date-time", found.format)
        return
    is_whole = isinstance(value, float) and value.is_integer() and abs(value) <= EXACT_INTEGERS
    if found.type not in wanted and not (is_whole and "integer" in wanted):
        yield _not_of_type(at, ",".join(wanted), found.type)


def _not_of_type(at: str, wanted: str, found: str) -> Cause:
    return type_invalid(_field(at), found, f"{at} in body must be of type {wanted}: {quoted(found)}")


def _text(value: str, schema: Node, at: str) -> Iterator[Cause]:
    least, pattern = schema.get("minLength", 0), schema.get("pattern", "")
    if len(value) > schema.get("maxLength", len(value)):
        yield too_long(_field(at), schema["maxLength"])
    elif len(value) < least:
        yield invalid(_field(at), value, f"{at} in body should be at least {least} chars long")
    elif pattern and not cel.matches(value, pattern):
        yield invalid(_field(at), value, f"{at} in body should match '{pattern}'")
    if schema.get("format") == "date-time" and not is_date_time(value):
        yield _not_of_type(at, "date-time", value)


def _number(value: float, schema: Node, at: str) -> Iterator[Cause]:
    # Bounds are compared and written as what the value is: an integer, or a float.
    as_found: Callable[[Any], float] = int if isinstance(value, int) else float
    if "minimum" in schema and value < schema["minimum"]:
        least = printed(as_found(schema["minimum"]))
        yield invalid(_field(at), value, f"{at} in body should be greater than or equal to {least}")
    if "maximum" in schema and value > schema["maximum"]:
        most = printed(as_found(schema["maximum"]))
        yield invalid(_field(at), value, f"{at} in body should be less than or equal to {most}")


def _list(value: list[Any], schema: Node, at: str, past: Past | None) -> Iterator[Cause]:
    for position, item in enumerate(value if "items" in schema else []):
        yield from judge(item, schema["items"], f"{at}[{position}]", past and past.at(position))
    least = schema.get("minItems", 0)
    if len(value) < least:
        yield invalid(_field(at), len(value), f"{at} in body should have at least {least} items")
    if len(value) > schema.get("maxItems", len(value)):
        yield too_many(_field(at), len(value), schema["maxItems"])


def _object(value: Node, schema: Node, at: str, past: Past | None) -> Iterator[Cause]:
    if len(value) > schema.get("maxProperties", len(value)):
        yield too_many(_field(at), len(value), schema["maxProperties"])
    for name, child in value.items():
        known = child_of(schema, name)
        if known is not None:
            # The API server brings apiVersion and kind of old and new to the same, so that they have no past.
            before = past.at(name) if past is not None and (at or name not in ("apiVersion", "kind")) else None
            yield from judge(child, known, f"{at}.{name}" if at else name, before)
    yield from _missing(value, schema.get("required", ()), at)


def _missing(value: Node, names: Iterable[str], at: str) -> Iterator[Cause]:
    return (required(_field(f"{at}.{name}")) for name in names if name not in value)


def _field(at: str) -> str:
    return at.removeprefix(".")
