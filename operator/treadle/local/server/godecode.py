"""Whether a body has the types of the Go structs that a server decodes built-in objects into, in Go's words."""

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from typing import Any

type Node = dict[str, Any]

NAMES = {dict: "object", list: "array", str: "string", bool: "bool", int: "number", float: "number"}
SCALARS: Mapping[str, type | tuple[type, ...]] = {
    "string": str,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
}
QUANTITY = "^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$"


def faults(value: Any, schema: Node, struct: str, path: str = "") -> Iterator[str]:
    """Yield what keeps a value from being decoded; null is nothing."""
    if value is None:
        return
    if "oneOf" in schema:
        if schema.get("format") != "int-or-string" and not re.search(QUANTITY, str(value)):
            yield f"quantities must match the regular expression '{QUANTITY}'"
        return
    declared = str(schema.get("type"))
    if declared == "object":
        yield from _of_object(value, schema, struct, path)
    elif declared == "array":
        if not isinstance(value, list):
            yield said(value, struct, path, go_type(schema))
            return
        for item in value:
            yield from faults(item, schema["items"], struct, path)
    elif declared in SCALARS and not _is_a(value, SCALARS[declared]):
        yield said(value, struct, path, go_type(schema))
    elif schema.get("format") == "byte":
        yield from _of_bytes(value)


def said(value: Any, struct: str, path: str, wanted: str) -> str:
    """Return what Go says about a value of another type."""
    return f"json: cannot unmarshal {NAMES[type(value)]} into Go struct field {struct}.{path} of type {wanted}"


def go_type(schema: Node) -> str:
    """Return the Go type of a schema."""
    match schema.get("type"):
        case "array":
            return f"[]{go_type(schema['items'])}"
        case "object" if "additionalProperties" in schema:
            return f"map[string]{go_type(schema['additionalProperties'])}"
        case "object":
            return f"v1.{schema.get('x-go', 'RawExtension')}"
        case "boolean":
            return "bool"
        case "integer":
            return str(schema.get("format", "int64"))
    return "string"


def _of_object(value: Any, schema: Node, struct: str, path: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield said(value, struct, path, go_type(schema))
        return
    if "additionalProperties" in schema:
        for child in value.values():
            yield from faults(child, schema["additionalProperties"], struct, path)
        return
    inner = schema.get("x-go", struct)
    for name, known in schema.get("properties", {}).items():
        if name in value:
            yield from faults(value[name], known, inner, f"{path}.{name}".removeprefix("."))


def _of_bytes(text: str) -> Iterator[str]:
    illegal = next((at for at, letter in enumerate(text) if not re.match(r"[A-Za-z0-9+/=\r\n]", letter)), None)
    try:
        base64.b64decode(text)
    except binascii.Error:
        illegal = len(text) if illegal is None else illegal
    if illegal is not None:
        yield f"illegal base64 data at input byte {illegal}"


def _is_a(value: Any, wanted: type | tuple[type, ...]) -> bool:
    return isinstance(value, wanted) and (wanted is bool or not isinstance(value, bool))
