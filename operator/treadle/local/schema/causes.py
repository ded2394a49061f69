"""What kube-apiserver says when it refuses an object: causes, each with its field, in the server's own words."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

OMITTED: Any = object()
"""The value of a cause that does not repeat it."""

NOWHERE = "<nil>"
"""The field of a cause that is about the object as a whole."""

# field.ErrorType of k8s.io/apimachinery, by the words that begin a message
REQUIRED = "FieldValueRequired"
DUPLICATE = "FieldValueDuplicate"
INVALID = "FieldValueInvalid"
TYPE_INVALID = "FieldValueTypeInvalid"
NOT_SUPPORTED = "FieldValueNotSupported"
FORBIDDEN = "FieldValueForbidden"
TOO_LONG = "FieldValueTooLong"
TOO_MANY = "FieldValueTooMany"

ESCAPES = {
    "\a": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
    '"': '\\"',
    "\\": "\\\\",
}

GO_TYPES: dict[type, str] = {
    str: "string",
    bool: "bool",
    int: "int64",
    float: "float64",
    list: "[]interface {}",
    dict: "map[string]interface {}",
}


class Spelled(str):
    """A value that is written already, as a Go struct is, whose fields have an order."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Cause:
    """One thing that is wrong: the field, the type of error, and the text that follows the field."""

    field: str
    reason: str
    message: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}"


class Refused(Exception):
    """The server does not take the object."""

    def __init__(self, code: int, reason: str, message: str, causes: Sequence[Cause] = ()) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.causes = tuple(causes)


def invalid_object(group: str, kind: str, name: str, causes: Sequence[Cause]) -> Refused:
    """Return the refusal of an object for its causes; a cause told twice is written once."""
    texts = list(dict.fromkeys(str(cause) for cause in causes))
    said = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
    return Refused(422, "Invalid", f"{kind}.{group} {quoted(name)} is invalid: {said}", causes)


def invalid(field: str, value: Any, detail: str) -> Cause:
    """Return the cause of a value that breaks a rule."""
    return Cause(field, INVALID, _body("Invalid value", value, detail))


def type_invalid(field: str, value: Any, detail: str) -> Cause:
    """Return the cause of a value of another type."""
    return Cause(field, TYPE_INVALID, _body("Invalid value", value, detail))


def required(field: str, detail: str = "") -> Cause:
    """Return the cause of a field that is missing."""
    return Cause(field, REQUIRED, _body("Required value", OMITTED, detail))


def duplicate(field: str, value: Any) -> Cause:
    """Return the cause of an item whose key another item has."""
    return Cause(field, DUPLICATE, _body("Duplicate value", value, ""))


def forbidden(field: str, detail: str) -> Cause:
    """Return the cause of what may not be done now."""
    return Cause(field, FORBIDDEN, _body("Forbidden", OMITTED, detail))


def not_supported(field: str, value: Any, supported: Sequence[Any]) -> Cause:
    """Return the cause of a value that is none of an enum's."""
    known = ", ".join(quoted(each) if isinstance(each, str) else quoted(marshalled(each)) for each in supported)
    return Cause(field, NOT_SUPPORTED, _body("Unsupported value", value, f"supported values: {known}"))


def too_long(field: str, limit: int) -> Cause:
    """Return the cause of a text that is too long; the server says bytes, also where it counts characters."""
    return Cause(field, TOO_LONG, _body("Too long", OMITTED, f"may not be more than {_counted(limit, 'byte')}"))


def too_many(field: str, found: int, limit: int) -> Cause:
    """Return the cause of a list or map that holds too much."""
    return Cause(field, TOO_MANY, _body("Too many", found, f"must have at most {_counted(limit, 'item')}"))


def quoted(text: str) -> str:
    r"""Return a text as Go's %q writes it: "a\tb"."""
    return '"' + "".join(_escaped(character) for character in text) + '"'


def marshalled(value: Any) -> str:
    """Return a value as Go's encoding/json writes it: keys sorted, no spaces, <, > and & escaped."""
    match value:
        case float():
            return _float(value, -6, 21, "e{:+03d}").replace("e-0", "e-")
        case list():
            return f"[{','.join(map(marshalled, value))}]"
        case dict():
            return f"{{{','.join(f'{marshalled(key)}:{marshalled(value[key])}' for key in sorted(value))}}}"
        case _:
            text = json.dumps(value, ensure_ascii=False)
            return re.sub("[<>&\u2028\u2029]", lambda found: f"\\u{ord(found[0]):04x}", text)


def printed(value: Any) -> str:
    """Return a value as Go's %v writes it: 1e+06, true, <nil>, [a b], map[a:1]."""
    match value:
        case None:
            return "<nil>"
        case bool():
            return str(value).lower()
        case float():
            return _float(value, -4, 6, "e{:+03d}")
        case list():
            return f"[{' '.join(map(printed, value))}]"
        case dict():
            return f"map[{' '.join(f'{key}:{printed(value[key])}' for key in sorted(value))}]"
        case _:
            return str(value)


def go_type(value: Any) -> str:
    """Return the type of a value as Go's %T writes it."""
    return GO_TYPES[type(value)]


def _float(value: float, smallest: int, largest: int, form: str) -> str:
    """Return the shortest text of a number, with an exponent outside [smallest, largest)."""
    exact = Decimal(repr(value)).normalize()
    exponent = exact.adjusted()
    if value == 0 or smallest <= exponent < largest:
        return f"{exact:f}"
    return f"{exact.scaleb(-exponent):f}{form.format(exponent)}"


def _body(words: str, value: Any, detail: str) -> str:
    said = words if value is OMITTED else f"{words}: {_shown(value)}"
    return f"{said}: {detail}" if detail else said


def _shown(value: Any) -> str:
    match value:
        case Spelled():
            return str(value)
        case str():
            return quoted(value)
        case bool() | int() | float():
            return printed(value)
        case _:
            return marshalled(value)


def _escaped(character: str) -> str:
    code = ord(character)
    if character in ESCAPES or character.isprintable():
        return ESCAPES.get(character, character)
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _counted(number: int, unit: str) -> str:
    return f"{number} {unit if number == 1 else unit + 's'}"
