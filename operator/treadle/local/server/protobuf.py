"""The few objects that kubectl sends as protobuf, since `kubectl create` does so whatever a server offers.

Envelope and field numbers are of k8s.io/apimachinery/pkg/runtime/generated.proto and k8s.io/api at Kubernetes 1.35.
"""

import base64
from collections.abc import Iterator
from typing import Any

type Object = dict[str, Any]

MAGIC = b"k8s\0"
TEXT, BYTES, FLAG = "text", "bytes", "flag"
VARINT, LENGTH = 0, 2

# Of each message: number, name, and what it is; a list is repeated, a tuple is a map, another name is a message.
MESSAGES: dict[str, dict[int, tuple[str, Any]]] = {
    "Unknown": {1: ("type", "TypeMeta"), 2: ("raw", BYTES), 3: ("encoding", TEXT), 4: ("content", TEXT)},
    "TypeMeta": {1: ("apiVersion", TEXT), 2: ("kind", TEXT)},
    "ObjectMeta": {
        1: ("name", TEXT),
        2: ("generateName", TEXT),
        3: ("namespace", TEXT),
        5: ("uid", TEXT),
        6: ("resourceVersion", TEXT),
        11: ("labels", (TEXT,)),
        12: ("annotations", (TEXT,)),
        14: ("finalizers", [TEXT]),
    },
    "Namespace": {1: ("metadata", "ObjectMeta")},
    "ConfigMap": {
        1: ("metadata", "ObjectMeta"),
        2: ("data", (TEXT,)),
        3: ("binaryData", (BYTES,)),
        4: ("immutable", FLAG),
    },
    "Secret": {
        1: ("metadata", "ObjectMeta"),
        2: ("data", (BYTES,)),
        3: ("type", TEXT),
        4: ("stringData", (TEXT,)),
        5: ("immutable", FLAG),
    },
    "ServiceAccount": {1: ("metadata", "ObjectMeta")},
    "SelfSubjectReview": {1: ("metadata", "ObjectMeta")},
    "SelfSubjectAccessReview": {1: ("metadata", "ObjectMeta"), 2: ("spec", "SelfSubjectAccessReviewSpec")},
    "SelfSubjectAccessReviewSpec": {
        1: ("resourceAttributes", "ResourceAttributes"),
        2: ("nonResourceAttributes", "NonResourceAttributes"),
    },
    "ResourceAttributes": {
        1: ("namespace", TEXT),
        2: ("verb", TEXT),
        3: ("group", TEXT),
        4: ("version", TEXT),
        5: ("resource", TEXT),
        6: ("subresource", TEXT),
        7: ("name", TEXT),
    },
    "NonResourceAttributes": {1: ("path", TEXT), 2: ("verb", TEXT)},
    "SelfSubjectRulesReview": {1: ("metadata", "ObjectMeta"), 2: ("spec", "SelfSubjectRulesReviewSpec")},
    "SelfSubjectRulesReviewSpec": {1: ("namespace", TEXT)},
}
KINDS = ("ConfigMap", "Namespace", "Secret", "SelfSubjectAccessReview", "SelfSubjectReview", "SelfSubjectRulesReview",
         "ServiceAccount")  # fmt: skip


class Unreadable(Exception):
    """The message is of a kind that is not read here, or it is cut."""


def read(body: bytes) -> Object:
    """Return the object of a request's body as JSON has it; Unreadable for other kinds."""
    try:
        envelope = _message(body[len(MAGIC) :], "Unknown")
        kind = envelope["type"]["kind"]
        if kind not in KINDS:
            raise Unreadable(f"{kind} as protobuf")
        return {**envelope["type"], **_message(base64.b64decode(envelope.get("raw", "")), kind)}
    except (IndexError, KeyError, UnicodeDecodeError) as error:
        raise Unreadable("cut protobuf") from error


def _message(body: bytes, name: str) -> Object:
    """Return a message's fields that are known here, as they stand in JSON; what is empty is left out."""
    fields: Object = {}
    for number, value in _fields(body):
        if number not in MESSAGES[name]:
            if not _is_empty(value):
                raise Unreadable(f"field {number} of {name} as protobuf")
            continue
        key, what = MESSAGES[name][number]
        if isinstance(what, tuple):
            entry = dict(_fields(value))
            fields.setdefault(key, {})[_value(entry.get(1, b""), TEXT)] = _value(entry.get(2, b""), what[0])
        elif isinstance(what, list):
            fields.setdefault(key, []).append(_value(value, what[0]))
        elif found := _value(value, what):
            fields[key] = found
    return fields


def _is_empty(value: Any) -> bool:
    """Say whether a field holds nothing, or a message that does."""
    try:
        return not value or (isinstance(value, bytes) and all(_is_empty(inner) for _, inner in _fields(value)))
    except IndexError:
        return False  # A text.


def _value(value: Any, what: str) -> Any:
    match what:
        case "text":
            return value.decode()
        case "bytes":
            return base64.b64encode(value).decode()
        case "flag":
            return bool(value)
    return _message(value, what)


def _fields(body: bytes) -> Iterator[tuple[int, Any]]:
    """Yield number and raw value of each field."""
    at = 0
    while at < len(body):
        tag, at = _varint(body, at)
        value, at = _varint(body, at)
        if tag & 7 == LENGTH:
            if at + value > len(body):
                raise IndexError(at)
            yield tag >> 3, body[at : at + value]
            at += value
        elif tag & 7 == VARINT:
            yield tag >> 3, value
        else:
            raise IndexError(at)


def _varint(body: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = body[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
