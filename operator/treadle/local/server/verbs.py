"""What each verb does with the objects: the rules of kube-apiserver between a request and the store."""

import secrets
from collections.abc import Callable, Sequence
from typing import Any

from treadle.api.names import PLURALS
from treadle.control.engine.ports import JOB
from treadle.local.schema import objectmeta
from treadle.local.schema.causes import INVALID, Cause, Refused, invalid, marshalled
from treadle.local.server import admission, builtin, events, patches, refusals, types
from treadle.local.server.api import MemoryApi, check_guards
from treadle.local.server.copies import copied
from treadle.local.server.deletion import Policy
from treadle.local.server.godecode import NAMES
from treadle.local.server.options import Options
from treadle.local.server.paths import Target
from treadle.local.server.writes import Author, check_typed

type Object = dict[str, Any]

# rand.String of k8s.io/apimachinery: no vowels, no digits that look like letters.
ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
GENERATED_LENGTH = 5
ORPHANED = (
    "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them "
    "or set propagationPolicy=Orphan to suppress this warning"
)
NEVER_BLIND = frozenset({*PLURALS, "Lease"})
"""The kinds of which a replacement must name the version that it replaces."""
RETURNED = frozenset({"Namespace", "Pod", "Service", "ServiceAccount"})
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
    check_fields(api, target, wished, options)
    if metadata.get("resourceVersion"):
        raise Refused(500, "", "resourceVersion should not be set on objects to be created")
    if not metadata.get("name"):
        suffix = "".join(secrets.choice(ALPHABET) for _ in range(GENERATED_LENGTH))
        metadata["name"] = f"{metadata['generateName']}{suffix}" if metadata.get("generateName") else ""
    return api.make(target.type, wished, author(api, target, options), is_dry=options.dry_run)


def update(api: MemoryApi, target: Target, sent: Object, options: Options, *, is_patch: bool = False) -> Object:
    """Replace an object, or its status."""
    wished = identified(target, sent)
    if not is_patch:
        check_fields(api, target, wished, options)
    live = get(api, target)
    check_guards(target.type, live, wished, is_patch=is_patch)
    if not is_patch and target.type.gvk.kind in NEVER_BLIND and not wished["metadata"].get("resourceVersion"):
        cause = Cause("metadata.resourceVersion", INVALID, "Invalid value: 0: must be specified for an update")
        raise refusals.invalid(target.type, target.name, [cause], plural=True)
    return api.change(target.type, live, wished, author(api, target, options), is_dry=options.dry_run)


def patch(
    api: MemoryApi, target: Target, change: Callable[[Object], Object], options: Options, told: str = ""
) -> Object:
    """Change an object as it is.

    told: how a refusal shows the patch; empty for what it makes of the object.
    """
    live = events.seen_as(get(api, target), target.type.gvk)
    try:
        changed = change(copied(live))
        if not isinstance(changed, dict):
            raise patches.Unpatchable("it makes no object")
    except patches.Undecodable as error:
        raise refusals.bad_request(str(error) if told else f"error decoding patch: {error}") from error
    except patches.Unpatchable as error:
        raise refusals.unpatchable() from error

    def unfit(why: str) -> refusals.Refusal:
        return refusals.unfit([invalid("patch", told or marshalled(changed), why)])

    beginning = refusals.unhandled(target.type.gvk.kind, target.type.gvk.version)
    try:
        wished = identified(target, changed)
        found = unknown_fields(api, target, wished, options)
        if found and options.validation == "Strict":
            raise unfit(f"strict decoding error: {', '.join(found)}")
        options.warnings.extend(found)
        return update(api, target, wished, options, is_patch=True)
    except Refused as refused:
        if refused.code == 400 and refused.message.startswith(beginning):
            raise unfit(refused.message.removeprefix(beginning)) from refused
        raise


def apply(api: MemoryApi, target: Target, sent: Object, options: Options) -> tuple[Object, bool]:
    """Apply fields to an object; return it, and whether it was made for that."""
    if not isinstance(sent, dict):
        said = f"json: cannot unmarshal {NAMES.get(type(sent), 'null')} into Go value of type map[string]interface {{}}"
        raise refusals.bad_request(f"error decoding YAML: error unmarshaling JSON: while decoding JSON: {said}")
    if (sent.get("apiVersion"), sent.get("kind")) != target.type.key:
        raise refusals.bad_request(f"invalid object type: {types.gvk_of(sent)}")
    check_typed(target.type, sent)
    if not (sent.get("metadata") or {}).get("name"):
        said = "was undeterminable: name must be provided"
        raise refusals.bad_request(f"the name of the object ({target.name} based on URL) {said}")
    if sent["metadata"].get("managedFields"):
        raise refusals.bad_request("metadata.managedFields must be nil")
    wished = identified(target, sent)
    is_new = api.find(target.type.gvk.kind, target.namespace, target.name) is None
    after = api.apply_as(target.type, wished, author(api, target, options), is_dry=options.dry_run)
    return after, is_new


def delete(api: MemoryApi, target: Target, sent: Object, options: Options) -> tuple[Object, bool]:
    """Delete an object, and what it owns; return it, and whether it is gone."""
    live = get(api, target)
    asked = sent.get("preconditions") or {}
    for name, what in (("uid", "UID"), ("resourceVersion", "ResourceVersion")):
        found = live["metadata"][name]
        if asked.get(name, found) != found:
            raise refusals.another(target.type, target.name, what, asked[name], found)
    default = Policy.ORPHAN if target.type.gvk == JOB else Policy.BACKGROUND
    policy = Policy(sent.get("propagationPolicy") or default)
    if target.type.gvk == JOB and not sent.get("propagationPolicy"):
        options.warnings.append(ORPHANED)
    return api.erase(live, policy, grace_seconds=sent.get("gracePeriodSeconds"), is_dry=options.dry_run)


def identified(target: Target, sent: Object) -> Object:
    """Return a copy of what was sent, with type and namespace as the path says; refuse what says otherwise."""
    gvk, kind = target.type.gvk, sent.get("kind")
    version = sent.get("apiVersion", gvk.api_version)
    if version != gvk.api_version:
        said = f"the API version in the data ({version}) does not match the expected API version ({gvk.api_version})"
        raise refusals.bad_request(said)
    if kind not in (None, gvk.kind):
        metadata = sent.get("metadata")
        name = metadata.get("name", "") if isinstance(metadata, dict) else ""
        raise refusals.another_kind(target.type, str(kind), name)
    check_metadata(target, sent.get("metadata"))
    wished = {**copied(sent), "apiVersion": gvk.api_version, "kind": gvk.kind}
    metadata = wished["metadata"] = wished.get("metadata") or {}
    if gvk.namespaced and metadata.get("namespace") not in (None, "", target.namespace):
        raise refusals.bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )
    if target.name and metadata.get("name") not in (None, "", target.name):
        said = f"the name of the object ({metadata['name']}) does not match the name on the URL ({target.name})"
        raise refusals.bad_request(said)
    metadata = admission.filled(metadata, builtin.meta_schema())
    return {**wished, "metadata": {**metadata, **({"namespace": target.namespace} if gvk.namespaced else {})}}


def check_metadata(target: Target, metadata: Any) -> None:
    """Refuse metadata that are not of their types."""
    gvk = target.type.gvk
    if target.type.is_ours:
        try:
            objectmeta.read(metadata)
        except objectmeta.Malformed as error:
            raise refusals.undecodable(gvk.kind, gvk.version, str(error)) from error
    else:
        admission.check_types(target.type, {"metadata": metadata})


def schema_of(target: Target) -> Object:
    """Return the schema of a target's type."""
    return builtin.schema_of(target.type)


def check_fields(api: MemoryApi, target: Target, wished: Object, options: Options) -> None:
    """Refuse unknown fields, or warn of them, as the request wants."""
    tell(target, unknown_fields(api, target, wished, options), options)


def tell(target: Target, found: Sequence[str], options: Options) -> None:
    """Refuse for what was found in a body, or warn of it, or say nothing, as the request wants."""
    if not found or options.validation == "Ignore":
        return
    if options.validation == "Strict":
        gvk, said = target.type.gvk, f"strict decoding error: {', '.join(found)}"
        raise refusals.undecodable(gvk.kind, gvk.version, said)
    options.warnings.extend(found)


def unknown_fields(api: MemoryApi, target: Target, wished: Object, options: Options) -> Sequence[str]:
    """Return what is to be told about fields that the type does not know."""
    if api.schemas is None or options.validation == "Ignore":
        return ()
    return api.schemas.unknown(wished) if target.type.is_ours else admission.unknown(target.type, wished)


def author(api: MemoryApi, target: Target, options: Options) -> Author:
    """Return who writes."""
    return Author(options.manager, api.now(), target.part, options.force, api.schemas)
