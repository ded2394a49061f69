"""Does an ONNX file stand alone?

The server has no onnx package, and onnxruntime follows a tensor's external_data to any file that it may read.
"""

from collections.abc import Iterator

# Messages that lead to tensors, by field number: https://github.com/onnx/onnx/blob/v1.19.0/onnx/onnx.proto
LEADS: dict[str, dict[int, str]] = {
    "Model": {7: "Graph", 25: "Function"},
    "Graph": {1: "Node", 5: "Tensor", 15: "Sparse"},
    "Function": {7: "Node", 11: "Attribute"},
    "Node": {5: "Attribute"},
    "Attribute": {5: "Tensor", 6: "Graph", 10: "Tensor", 11: "Graph", 22: "Sparse", 23: "Sparse"},
    "Sparse": {1: "Tensor", 2: "Tensor"},
    "Tensor": {},
}
IR_VERSION, GRAPH = 1, 7
EXTERNAL_DATA, DATA_LOCATION = 13, 14
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
DEPTH = 64


def problem(data: bytes) -> str:
    """Say why bytes are no ONNX model that stands alone; empty if they are one."""
    try:
        top = {number for number, _, _, _ in _fields(data, 0, len(data))}
        if not {IR_VERSION, GRAPH} <= top:
            return "it is no ONNX model"
        return _external(data, "Model", 0, len(data), 0)
    except (IndexError, ValueError):
        return "it is no ONNX model, or a part of one"


def _external(data: bytes, message: str, start: int, end: int, depth: int) -> str:
    if depth > DEPTH:
        return f"its graph is nested deeper than {DEPTH}"
    leads = LEADS[message]
    for number, wire, first, last in _fields(data, start, end):
        if message == "Tensor" and (number == EXTERNAL_DATA or (number == DATA_LOCATION and data[first:last] != b"\0")):
            return "it takes tensors from other files"
        if wire == BYTES and number in leads and (found := _external(data, leads[number], first, last, depth + 1)):
            return found
    return ""


def _fields(data: bytes, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield number, wire type and span of each field; raise ValueError or IndexError where the bytes are no message."""
    at = start
    while at < end:
        key, at = _varint(data, at)
        wire = key & 7
        first = at
        if wire == VARINT:
            _, at = _varint(data, at)
        elif wire == BYTES:
            size, first = _varint(data, at)
            at = first + size
        elif wire in (FIXED64, FIXED32):
            at += 8 if wire == FIXED64 else 4
        else:
            raise ValueError("no wire type of protobuf 3")
        if at > end or not key >> 3:
            raise ValueError("a field beyond its message")
        yield key >> 3, wire, first, at


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("an integer beyond 64 bits")
