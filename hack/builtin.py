"""Write local/server/builtin.json: the schemas of the built-in types, as a real kube-apiserver tells them.

The tests' own API server is asked, so `hack/cluster/build.sh etcd kube-apiserver` comes first. With --check nothing is
written, and a file that is stale is an error.
"""

import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "operator")]

from control_plane import ControlPlane, control_plane  # noqa: E402
from treadle.local.server.types import BUILT_IN  # noqa: E402

type Node = dict[str, Any]

FILE = ROOT / "operator" / "treadle" / "local" / "server" / "builtin.json"
REFERENCE = "#/components/schemas/"
SCALE = "io.k8s.api.autoscaling.v1.Scale"
META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
# What `kubectl explain` of our own kinds prints too.
DESCRIBED = (META, "io.k8s.apimachinery.pkg.apis.meta.v1.OwnerReference")
# How it describes the fields that every object has.
TOP, CONFIG_MAP = "top", "io.k8s.api.core.v1.ConfigMap"
# The type whose schemas are recursive, and which is only read here.
LEFT_OUT = frozenset({"CustomResourceDefinition"})


def builtin(plane: ControlPlane) -> str:
    """Return the file's text: one definition a line, so that a new release reads as a diff."""
    found: dict[str, Node] = {}
    versions = sorted({("apis/" if each.gvk.group else "api/") + each.gvk.api_version for each in BUILT_IN})
    for version in versions:
        status, document = plane.request("GET", f"/openapi/v3/{version}")
        if status != 200:
            raise RuntimeError(f"/openapi/v3/{version}: {document}")
        found |= document["components"]["schemas"]
    kinds = {(each.gvk.group, each.gvk.version, each.gvk.kind) for each in BUILT_IN if each.gvk.kind not in LEFT_OUT}
    wanted = [name for name, schema in found.items() if kinds & kinds_of(schema)]
    chosen: dict[str, Node] = {}
    for name in (*wanted, SCALE, META):
        gather(name, found, chosen)
    chosen[TOP] = {"properties": {name: found[CONFIG_MAP]["properties"][name] for name in ("apiVersion", "kind")}}
    chosen[TOP]["properties"]["metadata"] = {"description": found[CONFIG_MAP]["properties"]["metadata"]["description"]}
    lines = (
        f"{json.dumps(name)}: {json.dumps(chosen[name], separators=(',', ':'), sort_keys=True)}"
        for name in sorted(chosen)
    )
    return "{\n" + ",\n".join(lines) + "\n}\n"


def kinds_of(schema: Node) -> set[tuple[str, str, str]]:
    """Return the kinds that a schema is of."""
    named = schema.get("x-kubernetes-group-version-kind") or []
    return {(each["group"], each["version"], each["kind"]) for each in named}


def gather(name: str, found: dict[str, Node], chosen: dict[str, Node]) -> None:
    """Add a definition with all that it refers to."""
    if name in chosen:
        return
    chosen[name] = plain(found[name], described=name in DESCRIBED)
    for reference in references(chosen[name]):
        gather(reference, found, chosen)


def plain(schema: Any, *, described: bool) -> Any:
    """Return a schema without descriptions and with its references unwrapped."""
    if isinstance(schema, list):
        return [plain(each, described=described) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if len(schema.get("allOf", ())) == 1:
        schema = {**{key: value for key, value in schema.items() if key != "allOf"}, **schema["allOf"][0]}
    return {
        key: {name: plain(child, described=described) for name, child in value.items()}
        if key == "properties"
        else plain(value, described=described)
        for key, value in schema.items()
        if described or key != "description"
    }


def references(schema: Any) -> list[str]:
    """Return the definitions that a schema names."""
    if isinstance(schema, list):
        return [name for each in schema for name in references(each)]
    if not isinstance(schema, dict):
        return []
    own = [schema["$ref"].removeprefix(REFERENCE)] if "$ref" in schema else []
    return own + [name for value in schema.values() for name in references(value)]


def main(arguments: list[str]) -> int:
    """Write the file, or say that it is stale."""
    with control_plane() as plane:
        text = builtin(plane)
    if "--check" not in arguments:
        FILE.write_text(text)
        return 0
    if FILE.exists() and FILE.read_text() == text:
        return 0
    print(f"{FILE.relative_to(ROOT)} is stale: run python hack/builtin.py", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
