"""What each verb does with the objects: the rules of kube-apiserver between a request and the store."""

import copy
import secrets
from collections.abc import Callable
from typing import Any

from treadle.control.engine.ports import JOB
from treadle.local import admission, builtin, events, refusals
from treadle.local.api import MemoryApi, check_guards
from treadle.local.deletion import Policy
from treadle.local.options import Options
from treadle.local.paths import Target
from treadle.local.writes import Author

type Object = dict[str, Any]

# rand.String of k8s.io/apimachinery: no vowels, no digits that look like letters.
ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
GENERATED_LENGTH = 5
RETURNED = frozenset({"Pod", "Service", "ServiceAccount"})
"""What a delete answers with whole, gone or not."""


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
    """Create an object, under a name of the server's where only its beginning is given."""
    wished = identified(target, sent)
    metadata = wished["metadata"]
    if not metadata.get("name"):
        suffix = "".join(secrets.choice(ALPHABET) for _ in range(GENERATED_LENGTH))
        metadata["name"] = f"{metadata['generateName']}{suffix}" if metadata.get("generateName") else ""
    check_fields(api, target, wished, options)
    return api.make(target.type, wished, author(api, target, options), is_dry=options.dry_run)


def update(api: MemoryApi, target: Target, sent: Object, options: Options) -> Object:
    """Replace an object, or its status."""
    wished = identified(target, sent)
    check_fields(api, target, wished, options)
    live = get(api, target)
    check_guards(target.type, live, wished)
    return api.change(target.type, live, wished, author(api, target, options), is_dry=options.dry_run)


def patch(api: MemoryApi, target: Target, change: Callable[[Object], Object], options: Options) -> Object:
    """Change an object as it is."""
    live = events.seen_as(get(api, target), target.type.gvk)
    return update(api, target, change(copy.deepcopy(live)), options)


def apply(api: MemoryApi, target: Target, sent: Object, options: Options) -> tuple[Object, bool]:
    """Apply fields to an object; return it, and whether it was made for that."""
    wished = identified(target, sent)
    wished["metadata"].setdefault("name", target.name)
    is_new = api.find(target.type.gvk.kind, target.namespace, target.name) is None
    after = api.apply_as(target.type, wished, author(api, target, options), is_dry=options.dry_run)
    return after, is_new


def delete(api: MemoryApi, target: Target, sent: Object, options: Options) -> tuple[Object, bool]:
    """Delete an object, and what it owns; return it, and whether it is gone."""
    live = get(api, target)
    asked = sent.get("preconditions") or {}
    for name, found in (("uid", live["metadata"]["uid"]), ("resourceVersion", live["metadata"]["resourceVersion"])):
        if asked.get(name, found) != found:
            what = {"uid": "UID", "resourceVersion": "ResourceVersion"}[name]
            why = (
                f"the {what} in the precondition ({asked[name]}) does not match the {what} in record ({found}). "
                "The object might have been deleted and then recreated"
            )
            raise refusals.conflict(target.type, target.name, why)
    default = Policy.ORPHAN if target.type.gvk == JOB else Policy.BACKGROUND
    policy = Policy(sent.get("propagationPolicy") or default)
    return api.erase(live, policy, grace_seconds=sent.get("gracePeriodSeconds"), is_dry=options.dry_run)


def identified(target: Target, sent: Object) -> Object:
    """Return a copy of what was sent, with type and namespace as the path says; refuse what says otherwise."""
    gvk = target.type.gvk
    for key, wanted in (("apiVersion", gvk.api_version), ("kind", gvk.kind)):
        if sent.get(key, wanted) != wanted:
            what = {"apiVersion": "API version", "kind": "kind"}[key]
            said = f"the {what} in the data ({sent[key]}) does not match the expected {what} ({wanted})"
            raise refusals.bad_request(said)
    wished = {**copy.deepcopy(sent), "apiVersion": gvk.api_version, "kind": gvk.kind}
    metadata = wished["metadata"] = wished.get("metadata") or {}
    if gvk.namespaced and metadata.get("namespace") not in (None, "", target.namespace):
        raise refusals.bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )
    if target.name and metadata.get("name") not in (None, "", target.name):
        said = f"the name of the object ({metadata['name']}) does not match the name on the URL ({target.name})"
        raise refusals.bad_request(said)
    return {**wished, "metadata": {**metadata, **({"namespace": target.namespace} if gvk.namespaced else {})}}


def schema_of(target: Target) -> Object:
    """Return the schema of a target's type."""
    return builtin.schema_of(target.type)


def check_fields(api: MemoryApi, target: Target, wished: Object, options: Options) -> None:
    """Refuse unknown fields, or warn of them, as the request wants."""
    if api.schemas is None or options.validation == "Ignore":
        return
    found = api.schemas.unknown(wished) if target.type.is_ours else admission.unknown(target.type, wished)
    if found and options.validation == "Strict":
        kind, version = target.type.gvk.kind, target.type.gvk.version
        said = f"strict decoding error: {', '.join(found)}"
        raise refusals.bad_request(f'{kind} in version "{version}" cannot be handled as a {kind}: {said}')
    options.warnings.extend(found)


def author(api: MemoryApi, target: Target, options: Options) -> Author:
    """Return who writes."""
    return Author(options.manager, api.now(), target.part, options.force, api.schemas)
