"""The answers that are the same for everybody: discovery, OpenAPI, version and health, by their paths."""

import json
from typing import NamedTuple

from treadle.local.server import discovery, openapi

JSON = "application/json"


class Document(NamedTuple):
    """A body and its media type."""

    body: bytes
    content: str


def fixed(path: str, accept: str, host: str) -> Document | None:
    """Return the document that a path names, in the form that a client accepts; None where it names none."""
    match path.rstrip("/").split("/")[1:]:
        case ["api" | "apis" as root] if "as=APIGroupDiscoveryList" in accept and "v=v2;" in accept:
            return _as_json(discovery.aggregated(core=root == "api"), discovery.AGGREGATED)
        case ["api"]:
            return _as_json(discovery.core_versions(host))
        case ["apis"]:
            return _as_json(discovery.groups())
        case ["version"]:
            return _as_json(discovery.VERSION)
        case ["healthz" | "livez" | "readyz"]:
            return Document(b"ok", "text/plain")
        case ["openapi", "v2"] if accept.startswith("application/com.github.proto-openapi"):
            return Document(openapi.whole_as_protobuf(), openapi.PROTOBUF)
        case ["openapi", "v2"]:
            return _as_json(openapi.whole())
        case ["openapi", "v3"]:
            return _as_json(openapi.index())
        case ["openapi", "v3", *rest] if (document := openapi.document("/".join(rest))) is not None:
            return _as_json(document)
        case ["api", "v1"] if (core := discovery.resources("", "v1")) is not None:
            return _as_json(core)
        case ["apis", name] if (group := discovery.group(name)) is not None:
            return _as_json(group)
        case ["apis", name, version] if (resources := discovery.resources(name, version)) is not None:
            return _as_json(resources)
    return None


def _as_json(document: object, content: str = JSON) -> Document:
    return Document(json.dumps(document, separators=(",", ":")).encode() + b"\n", content)
