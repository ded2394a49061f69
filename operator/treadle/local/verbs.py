"""What each verb does with the objects: the rules of kube-apiserver between a request and the store."""

import copy
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from treadle.local import events, refusals, types
from treadle.local.api import MemoryApi
from treadle.local.paths import Target

type Object = dict[str, Any]

# rand.String of k8s.io/apimachinery: no vowels, no digits that look like letters.
ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
GENERATED_LENGTH = 5


@dataclass(frozen=True, slots=True)
class Options:
    """How a write is asked for."""

    manager: str = "unknown"
    force: bool = False
    dry_run: bool = False
    validation: str = "Warn"
    warnings: list[str] = field(default_factory=list)


def get(api: MemoryApi, target: Target) -> Object:
    """Return an object; refuse what is not there."""
    found = api.find(target.type.gvk.kind, target.namespace, target.name)
    if found is None:
        raise refusals.not_found(target.type, target.name)
    return found


def select(api: MemoryApi, target: Target, selects: Callable[[Object], bool]) -> list[Object]:
    """Return the objects of a collection that a selector selects."""
    return [raw for raw in api.all(target.type.gvk.kind, target.namespace or None) if selects(raw)]


def create(api: MemoryApi, target: Target, sent: Object, options: Options) -> Object:
    """Create an object."""
    wished = identified(target, sent)
    metadata = wished["metadata"]
    if not metadata.get("name") and metadata.get("generateName"):
        metadata["name"] = metadata["generateName"] + "".join(secrets.choice(ALPHABET) for _ in range(GENERATED_LENGTH))
    name = metadata["name"]
    if target.type.gvk.namespaced and api.find("Namespace", "", target.namespace) is None:
        raise refusals.not_found(NAMESPACE_TYPE, target.namespace)
    if api.find(target.type.gvk.kind, target.namespace, name) is not None:
        raise refusals.already_exists(target.type, name)
    return api.put(events.stored(wished))


def update(api: MemoryApi, target: Target, sent: Object, options: Options) -> Object:
    """Replace an object, or its status."""
    wished = identified(target, sent)
    live = get(api, target)
    version = wished["metadata"].get("resourceVersion")
    if version and version != live["metadata"]["resourceVersion"]:
        raise refusals.conflict(target.type, target.name)
    return api.put(merged(target, live, wished))


def patch(api: MemoryApi, target: Target, change: Callable[[Object], Object], options: Options) -> Object:
    """Change an object as it is."""
    return update(api, target, change(copy.deepcopy(get(api, target))), options)


def apply(api: MemoryApi, target: Target, sent: Object, options: Options) -> Object:
    """Apply fields to an object; it is made if it is not there."""
    wished = identified(target, sent)
    wished["metadata"]["name"] = target.name
    return api.apply_as(wished, options.manager, target.part)


def delete(api: MemoryApi, target: Target) -> Object:
    """Delete an object, and what it owns."""
    live = get(api, target)
    api.remove(live)
    return live


def identified(target: Target, sent: Object) -> Object:
    """Return a copy of what was sent, with type and namespace as the path says."""
    gvk = target.type.gvk
    wished = {**copy.deepcopy(sent), "apiVersion": gvk.api_version, "kind": gvk.kind}
    metadata = wished["metadata"] = wished.get("metadata") or {}
    if gvk.namespaced:
        metadata["namespace"] = target.namespace
    return wished


def merged(target: Target, live: Object, wished: Object) -> Object:
    """Return a wish with what it may not change: the status, or all but the status."""
    if not target.type.has_status:
        return wished
    if target.part == "status":
        return {**live, "metadata": live["metadata"], "status": wished.get("status", {})}
    return {**wished, "status": live["status"]} if "status" in live else wished


NAMESPACE_TYPE = types.BY_KIND["v1", "Namespace"]
