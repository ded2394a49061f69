"""What a client asks first: which groups, versions and types there are, in the old form and in one document."""

from typing import Any

from treadle.local.server import types
from treadle.local.server.types import Part, Type

type Node = dict[str, Any]

# The release whose behaviour the semantics suite compares with.
VERSION = {
    "major": "1",
    "minor": "35",
    "gitVersion": "v1.35.4+treadle",
    "gitCommit": "",
    "gitTreeState": "",
    "buildDate": "1970-01-01T00:00:00Z",
    "goVersion": "",
    "compiler": "",
    "platform": "",
}
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


def core_versions(address: str) -> Node:
    """Return the answer to /api."""
    return {
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}],
    }


def groups() -> Node:
    """Return the answer to /apis."""
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_group(name) for name in types.GROUPS]}


def group(name: str) -> Node | None:
    """Return the answer to /apis/GROUP."""
    return {"kind": "APIGroup", "apiVersion": "v1", **_group(name)} if name in types.GROUPS else None


def resources(name: str, version: str) -> Node | None:
    """Return the answer to /apis/GROUP/VERSION, or to /api/v1."""
    found = types.in_group(name, version)
    if not found:
        return None
    group_version = f"{name}/{version}" if name else version
    listed = [entry for each in found for entry in (_resource(each), *(_part(each, part) for part in each.parts))]
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": listed}


def aggregated(*, core: bool) -> Node:
    """Return all groups, or the one without a name, as one document."""
    named = {"": ("v1",)} if core else types.GROUPS
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {},
        "items": [
            {
                "metadata": {"name": name} if name else {},
                "versions": [
                    {
                        "version": version,
                        "resources": [_found(each) for each in types.in_group(name, version)],
                        "freshness": "Current",
                    }
                    for version in versions
                ],
            }
            for name, versions in named.items()
        ],
    }


def _group(name: str) -> Node:
    versions = [{"groupVersion": f"{name}/{version}", "version": version} for version in types.GROUPS[name]]
    return {"name": name, "versions": versions, "preferredVersion": versions[0]}


def _resource(type_: Type) -> Node:
    return {
        "name": type_.gvk.plural,
        "singularName": type_.singular,
        "namespaced": type_.gvk.namespaced,
        "kind": type_.gvk.kind,
        "verbs": list(type_.verbs),
        **({"shortNames": list(type_.short_names)} if type_.short_names else {}),
        **({"categories": list(type_.categories)} if type_.categories else {}),
    }


def _part(type_: Type, part: Part) -> Node:
    return {
        "name": f"{type_.gvk.plural}/{part.name}",
        "singularName": "",
        "namespaced": type_.gvk.namespaced,
        **({"group": part.group, "version": part.version} if part.version else {}),
        "kind": part.kind,
        "verbs": list(part.verbs),
    }


def _found(type_: Type) -> Node:
    return {
        "resource": type_.gvk.plural,
        "responseKind": {"group": "", "version": "", "kind": type_.gvk.kind},
        "scope": "Namespaced" if type_.gvk.namespaced else "Cluster",
        "singularResource": type_.singular,
        "verbs": list(type_.verbs),
        **({"shortNames": list(type_.short_names)} if type_.short_names else {}),
        **({"categories": list(type_.categories)} if type_.categories else {}),
        **({"subresources": [_found_part(part) for part in type_.parts]} if type_.parts else {}),
    }


def _found_part(part: Part) -> Node:
    return {
        "subresource": part.name,
        "responseKind": {"group": part.group, "version": part.version, "kind": part.kind},
        "verbs": list(part.verbs),
    }
