"""Bodies of requests: JSON, YAML or protobuf to objects, and what of a body cannot be read."""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import yaml

from treadle.local.schema.causes import quoted
from treadle.local.server import protobuf, refusals
from treadle.local.server.godecode import NAMES
from treadle.local.server.types import Type

type Object = dict[str, Any]

YAML = ("application/yaml", "application/apply-patch+yaml")
SHOWN = 30
GO_HEAD = 'struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }'
# What Go's encoding/json says where Python's says the first.
PROBLEMS = {
    "Expecting property name enclosed in double quotes": "looking for beginning of object key string",
    "Expecting value": "looking for beginning of value",
    "Expecting ':' delimiter": "after object key",
    "Expecting ',' delimiter": "after array element",
    "Extra data": "after top-level value",
}


class Doubled(dict[str, Any]):
    """An object of whose keys some came twice."""

    twice: tuple[str, ...] = ()


def read(text: bytes, content: str, type_: Type) -> tuple[Object, tuple[str, ...]]:
    """Return the object of a create or a replacement, and the warnings that its keys deserve; refuse another body."""
    kind = type_.gvk.kind
    if text.startswith(protobuf.MAGIC):
        return _of_protobuf(text), ()
    try:
        found = _parsed(text, content)
    except (ValueError, yaml.YAMLError) as error:
        said = f"couldn't get version/kind; json parse error: {_in_go(error)}"
        raise unrecognized(kind, said, text) from error
    if not isinstance(found, dict):
        raise unrecognized(kind, _no_object(found), text)
    for key in ("kind", "apiVersion"):
        if not isinstance(found.get(key), str | None):
            said = f"json: cannot unmarshal {NAMES[type(found[key])]} into Go struct field .{key} of type string"
            raise unrecognized(kind, f"couldn't get version/kind; json parse error: {said}", text)
    if type_.is_ours:
        for key, told in (("kind", "Kind"), ("apiVersion", "apiVersion")):
            if not found.get(key):
                raise unrecognized(kind, f"Object '{told}' is missing in '{text.decode(errors='replace')}'", text)
    twice = tuple(f"duplicate field {quoted(path)}" for path in sorted(_twice(found, "")))
    return (json.loads(text) if twice else found), twice


def read_patch(text: bytes, content: str) -> Any:
    """Return a patch."""
    try:
        return _parsed(text, content)
    except (ValueError, yaml.YAMLError) as error:
        raise refusals.bad_request(f"error decoding patch: {_in_go(error)}") from error


def read_any(text: bytes, content: str) -> Object:
    """Return options, a review, or nothing where nothing was sent."""
    if text.startswith(protobuf.MAGIC):
        return _of_protobuf(text)
    try:
        found = _parsed(text, content) if text else {}
    except (ValueError, yaml.YAMLError) as error:
        raise refusals.bad_request(f"couldn't get version/kind; json parse error: {_in_go(error)}") from error
    if not isinstance(found, dict):
        raise refusals.bad_request(_no_object(found))
    return found


def unrecognized(kind: str, problem: str, text: bytes) -> refusals.Refusal:
    """Return the refusal of a body that is no object."""
    whole = text.decode(errors="replace") if text.startswith(b"{") else text.hex()
    shown = f"{whole[:SHOWN]} ..." if len(whole) > SHOWN else whole
    return refusals.bad_request(
        f"the object provided is unrecognized (must be of type {kind}): {problem} ({shown or '<empty>'})"
    )


def _no_object(found: Any) -> str:
    said = f"json: cannot unmarshal {NAMES.get(type(found), 'null')} into Go value of type {GO_HEAD}"
    return f"couldn't get version/kind; json parse error: {said}"


def _of_protobuf(text: bytes) -> Object:
    try:
        return protobuf.read(text)
    except protobuf.Unreadable as error:
        raise refusals.unsupported(["application/json", "application/yaml"], f"{error} is not read here") from error


def _parsed(text: bytes, content: str) -> Any:
    if content in YAML and text.lstrip()[:1] not in (b"{", b"["):
        return yaml.safe_load(text)
    return json.loads(text, object_pairs_hook=_object)


def _object(pairs: list[tuple[str, Any]]) -> Object:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    doubled = Doubled(found)
    doubled.twice = tuple(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
    return doubled


def _twice(value: Any, at: str) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value, Doubled):
            yield from (f"{at}.{key}".removeprefix(".") for key in value.twice)
        for key, child in value.items():
            yield from _twice(child, f"{at}.{key}".removeprefix("."))
    if isinstance(value, list):
        for position, item in enumerate(value):
            yield from _twice(item, f"{at}[{position}]")


def _in_go(error: Exception) -> str:
    """Return what Go says about the same text."""
    if not isinstance(error, json.JSONDecodeError):
        return str(error)
    if error.pos >= len(error.doc.rstrip()):
        return "unexpected end of JSON input"
    return f"invalid character {error.doc[error.pos]!r} {PROBLEMS.get(error.msg, error.msg)}"
