"""What the embedded API answers when it refuses a request, in the words of kube-apiserver 1.35."""

from collections.abc import Mapping, Sequence
from typing import Any

from treadle.local.schema.causes import Cause, Refused, quoted
from treadle.local.schema.causes import invalid as invalid_value
from treadle.local.server.types import Type

type Node = dict[str, Any]

UNMODIFIED = "the object has been modified; please apply your changes to the latest version and try again"
PATCH_TYPES = (
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/apply-patch+yaml",
)
STRATEGIC = "application/strategic-merge-patch+json"


class Refusal(Refused):
    """A refusal that names what it is about."""

    def __init__(
        self, code: int, reason: str, message: str, details: Mapping[str, Any] | None, causes: Sequence[Cause] = ()
    ) -> None:
        super().__init__(code, reason, message, causes)
        self.details = details


def status(refused: Refused) -> Node:
    """Return the Status object that a client reads."""
    details = refused.details if isinstance(refused, Refusal) else None
    causes = [_cause(cause) for cause in refused.causes]
    if causes:
        details = {**(details or {}), "causes": causes}
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": refused.message,
        **({"reason": refused.reason} if refused.reason else {}),
        **({} if details is None else {"details": dict(details)}),
        "code": refused.code,
    }


def not_found(type_: Type, name: str) -> Refusal:
    """Return the refusal of what is not there."""
    return Refusal(404, "NotFound", f"{type_.resource} {quoted(name)} not found", _named(name, type_))


def already_exists(type_: Type, name: str) -> Refusal:
    """Return the refusal to create what is there."""
    return Refusal(409, "AlreadyExists", f"{type_.resource} {quoted(name)} already exists", _named(name, type_))


def conflict(type_: Type, name: str, why: str = UNMODIFIED) -> Refusal:
    """Return the refusal of a write that knows another state."""
    message = f"Operation cannot be fulfilled on {type_.resource} {quoted(name)}: {why}"
    return Refusal(409, "Conflict", message, _named(name, type_))


def named(refused: Refused, type_: Type, name: str) -> Refusal:
    """Return a refusal of a schema with what it is about."""
    details = _named(name, type_, type_.gvk.kind) if refused.code == 422 else None
    return Refusal(refused.code, refused.reason, refused.message, details, refused.causes)


def another(type_: Type, name: str, what: str, asked: str, found: str) -> Refusal:
    """Return the refusal of a delete that means another object, or another state of it."""
    kind = f"{type_.gvk.kind}.{type_.gvk.group}" if type_.gvk.group else type_.gvk.kind
    perhaps = "deleted and then recreated" if what == "UID" else "modified"
    message = (
        f"Operation cannot be fulfilled on {kind} {quoted(name)}: the {what} in the precondition ({asked}) "
        f"does not match the {what} in record ({found}). The object might have been {perhaps}"
    )
    return Refusal(409, "Conflict", message, _named(name, type_, type_.gvk.kind))


def another_uid(type_: Type, live: Node, asked: str) -> Refusal:
    """Return the refusal of a replacement that means another object, as the storage below the server says it."""
    metadata = live["metadata"]
    name, gvk = metadata["name"], type_.gvk
    plural = "services/specs" if gvk.plural == "services" else gvk.plural
    parts = (gvk.group if type_.is_ours else "", plural, metadata.get("namespace", ""), name)
    key = "/".join(("/registry", *(part for part in parts if part)))
    said = f"Precondition failed: UID in precondition: {asked}, UID in object meta: {metadata['uid']}"
    why = f"StorageError: invalid object, Code: 4, Key: {key}, ResourceVersion: 0, AdditionalErrorMsg: {said}"
    return conflict(type_, name, why)


def apply_conflict(causes: Sequence[Cause], message: str) -> Refusal:
    """Return the refusal of an apply to fields of other managers."""
    return Refusal(409, "Conflict", message, None, causes)


def forbidden(type_: Type, name: str, why: str, causes: Sequence[Cause] = ()) -> Refusal:
    """Return the refusal of what nobody may do now."""
    about = f"{type_.resource} {quoted(name)}" if name else type_.resource
    return Refusal(403, "Forbidden", f"{about} is forbidden: {why}", _named(name, type_), causes)


def terminating(type_: Type, name: str, namespace: str) -> Refusal:
    """Return the refusal to create anything in a namespace that is going."""
    why = f"unable to create new content in namespace {namespace} because it is being terminated"
    cause = Cause("metadata.namespace", "NamespaceTerminating", f"namespace {namespace} is being terminated")
    return forbidden(type_, name, why, [cause])


def another_kind(type_: Type, kind: str, name: str) -> Refusal:
    """Return the refusal of an object of another kind than its path's."""
    gvk = type_.gvk
    if type_.is_ours:
        cause = invalid_value("kind", kind, f"must be {gvk.kind}")
        details = {"name": name, "group": gvk.group, "kind": kind}
        return Refusal(422, "Invalid", f"{kind}.{gvk.group} {quoted(name)} is invalid: {cause}", details, [cause])
    package = gvk.group.partition(".")[0] or "core"
    said = f"converting ({gvk.version}.{kind}) to ({package}.{gvk.kind}): unknown conversion"
    return bad_request(f'{kind} in version "{gvk.version}" cannot be handled as a {gvk.kind}: {said}')


def unfit(causes: Sequence[Cause]) -> Refusal:
    """Return the refusal of a patch for what it would make of its object."""
    return Refusal(422, "Invalid", f' "" is invalid: {causes[0]}', {}, causes)


def invalid(type_: Type, name: str, causes: Sequence[Cause], *, plural: bool = False) -> Refusal:
    """Return the refusal of an object for its causes; the storage below the server names it by its plural."""
    texts = list(dict.fromkeys(str(cause) for cause in causes))
    said = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
    named_kind = type_.gvk.plural if plural else type_.gvk.kind
    kind = f"{named_kind}.{type_.gvk.group}" if type_.gvk.group else named_kind
    message = f"{kind} {quoted(name)} is invalid: {said}"
    return Refusal(422, "Invalid", message, _named(name, type_, named_kind), causes)


def unpatchable() -> Refusal:
    """Return the refusal of a patch that does not fit its object."""
    return Refusal(422, "Invalid", "the server rejected our request due to an error in our request", {})


def unknown_path() -> Refusal:
    """Return the refusal of a path in a group of built-in types."""
    return Refusal(404, "NotFound", "the server could not find the requested resource", {})


def bad_request(message: str) -> Refusal:
    """Return the refusal of a request that makes no sense."""
    return Refusal(400, "BadRequest", message, None)


def undecodable(kind: str, version: str, why: str) -> Refusal:
    """Return the refusal of a body that is no object of its kind."""
    return bad_request(f"{unhandled(kind, version)}{why}")


def unhandled(kind: str, version: str) -> str:
    """Return how such a refusal begins."""
    return f'{kind} in version "{version}" cannot be handled as a {kind}: '


def method_not_allowed() -> Refusal:
    """Return the refusal of a verb that a resource does not have."""
    return Refusal(405, "MethodNotAllowed", "the server does not allow this method on the requested resource", {})


def unsupported(accepted: Sequence[str], problem: str = "the body of the request was in an unknown format") -> Refusal:
    """Return the refusal of a body's format."""
    message = f"{problem} - accepted media types include: {', '.join(accepted)}"
    return Refusal(415, "UnsupportedMediaType", message, None)


def no_patch(type_: Type) -> Refusal:
    """Return the refusal of a patch of another kind; built-in types say less."""
    if type_.is_ours:
        return unsupported(PATCH_TYPES)
    return Refusal(415, "UnsupportedMediaType", "415: Unsupported Media Type", {})


def unavailable(message: str) -> Refusal:
    """Return the refusal of what cannot be reached now."""
    return Refusal(503, "ServiceUnavailable", message, None)


def expired(message: str) -> Refusal:
    """Return the refusal to go on from a version that is forgotten."""
    return Refusal(410, "Expired", message, None)


def too_large(message: str) -> Refusal:
    """Return the refusal of a body beyond the limit."""
    return Refusal(413, "RequestEntityTooLarge", message, None)


def _named(name: str, type_: Type, kind: str = "") -> Node:
    return {
        **({"name": name} if name else {}),
        **({"group": type_.gvk.group} if type_.gvk.group else {}),
        "kind": kind or type_.gvk.plural,
    }


def _cause(cause: Cause) -> Node:
    return {
        "reason": cause.reason,
        "message": cause.message,
        **({"field": cause.field} if cause.field else {}),
    }
