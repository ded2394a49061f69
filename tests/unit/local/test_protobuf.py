"""The few protobuf messages that kubectl sends, and those that are refused."""

import base64
from typing import Any

import pytest

from treadle.local.server.protobuf import MAGIC, Unreadable, read

# What `kubectl create namespace demo` of 1.35 sends.
NAMESPACE = bytes.fromhex(
    "6b3873000a0f0a02763112094e616d657370616365121c0a140a0464656d6f12001a0022002a0032003800420012001a020a001a002200"
)


def message(**fields: bytes | int) -> bytes:
    """Return a message with fields `_1`, `_2`, …: bytes, or a number below 128."""
    return b"".join(
        bytes((int(name[1:]) << 3, value))
        if isinstance(value, int)
        else bytes((int(name[1:]) << 3 | 2, len(value))) + value
        for name, value in fields.items()
    )


def sent(kind: bytes, raw: bytes) -> bytes:
    return MAGIC + message(_1=message(_1=b"v1", _2=kind), _2=raw)


META = message(_1=b"a", _3=b"demo")
READ: dict[str, tuple[bytes, Any]] = {
    "a Namespace, as kubectl sends it": (
        NAMESPACE,
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "demo"}},
    ),
    "a ConfigMap": (
        sent(b"ConfigMap", message(_1=META, _2=message(_1=b"k", _2=b"v")) + message(_2=message(_1=b"empty"), _4=1)),
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "demo"},
         "data": {"k": "v", "empty": ""}, "immutable": True},
    ),
    "a Secret": (
        sent(b"Secret", message(_1=META, _2=message(_1=b"k", _2=b"\x00\xff"), _3=b"Opaque")),
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a", "namespace": "demo"},
         "data": {"k": base64.b64encode(b"\x00\xff").decode()}, "type": "Opaque"},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("body", "found"), READ.values(), ids=READ.keys())
def test_read(body: bytes, found: Any) -> None:
    assert read(body) == found


REFUSED = {
    "another kind": (sent(b"Deployment", b""), "Deployment as protobuf"),
    "a field that is not read here": (
        sent(b"ConfigMap", message(_1=message(_1=b"a", _13=b"\x0a\x01x"))),
        "field 13 of ObjectMeta as protobuf",
    ),
    "a cut body": (NAMESPACE[:-12], "cut protobuf"),
    "nothing": (MAGIC, "cut protobuf"),
}


@pytest.mark.parametrize(("body", "text"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_not_read(body: bytes, text: str) -> None:
    with pytest.raises(Unreadable, match=text):
        read(body)
