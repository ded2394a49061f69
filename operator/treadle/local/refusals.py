"""What the embedded API answers when it refuses a request, in the words of kube-apiserver 1.35."""

from collections.abc import Mapping, Sequence
from typing import Any

from treadle.local.causes import NOWHERE, Cause, Refused, quoted
from treadle.local.types import Type

type Node = dict[str, Any]

UNMODIFIED = "the object has been modified; please apply your changes to the latest version and try again"
PATCH_TYPES = (
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/apply-patch+yaml",
    "application/apply-patch+cbor",
)
STRATEGIC = "application/strategic-merge-patch+json"


class Refusal(Refused):
    """A refusal that names what it is about."""

    def __init__(
        self, code: int, reason: str, message: str, details: Mapping[str, Any], causes: Sequence[Cause] = ()
    ) -> None:
        super().__init__(code, reason, message, causes)
        self.details = dict(details)


def status(refused: Refused, type_: Type | None = None, name: str = "") -> Node:
    """Return the Status object that a client reads."""
    if isinstance(refused, Refusal):
        details = refused.details
    else:
        details = {} if type_ is None else _named(name, type_, type_.gvk.kind)
    causes = [_cause(cause) for cause in refused.causes]
    details = {**details, **({"causes": causes} if causes else {})}
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": refused.message,
        **({"reason": refused.reason} if refused.reason else {}),
        **({"details": details} if details else {}),
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


def apply_conflict(causes: Sequence[Cause], message: str) -> Refusal:
    """Return the refusal of an apply to fields of other managers."""
    return Refusal(409, "Conflict", message, {}, causes)


def forbidden(type_: Type, name: str, why: str, causes: Sequence[Cause] = ()) -> Refusal:
    """Return the refusal of what nobody may do now."""
    about = f"{type_.resource} {quoted(name)}" if name else type_.resource
    return Refusal(403, "Forbidden", f"{about} is forbidden: {why}", _named(name, type_), causes)


def terminating(type_: Type, name: str, namespace: str) -> Refusal:
    """Return the refusal to create anything in a namespace that is going."""
    why = f"unable to create new content in namespace {namespace} because it is being terminated"
    cause = Cause("metadata.namespace", "NamespaceTerminating", f"namespace {namespace} is being terminated")
    return forbidden(type_, name, why, [cause])


def invalid(type_: Type, name: str, causes: Sequence[Cause]) -> Refusal:
    """Return the refusal of an object for its causes."""
    texts = list(dict.fromkeys(str(cause) for cause in causes))
    said = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
    kind = f"{type_.gvk.kind}.{type_.gvk.group}" if type_.gvk.group else type_.gvk.kind
    message = f"{kind} {quoted(name)} is invalid: {said}"
    return Refusal(422, "Invalid", message, _named(name, type_, type_.gvk.kind), causes)


def bad_request(message: str) -> Refusal:
    """Return the refusal of a request that makes no sense."""
    return Refusal(400, "BadRequest", message, {})


def method_not_allowed() -> Refusal:
    """Return the refusal of a verb that a resource does not have."""
    return Refusal(405, "MethodNotAllowed", "the server does not allow this method on the requested resource", {})


def unsupported(accepted: Sequence[str], problem: str = "the body of the request was in an unknown format") -> Refusal:
    """Return the refusal of a body's format."""
    message = f"{problem} - accepted media types include: {', '.join(accepted)}"
    return Refusal(415, "UnsupportedMediaType", message, {})


def patch_types(type_: Type) -> tuple[str, ...]:
    """Return the patches that a type takes."""
    return PATCH_TYPES if type_.is_ours else (*PATCH_TYPES[:3], STRATEGIC, *PATCH_TYPES[3:])


def unavailable(message: str) -> Refusal:
    """Return the refusal of what cannot be reached now."""
    return Refusal(503, "ServiceUnavailable", message, {})


def expired(message: str) -> Refusal:
    """Return the refusal to go on from a version that is forgotten."""
    return Refusal(410, "Expired", message, {})


def too_large(message: str) -> Refusal:
    """Return the refusal of a body beyond the limit."""
    return Refusal(413, "RequestEntityTooLarge", message, {})


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
        **({"field": cause.field} if cause.field not in ("", NOWHERE) else {}),
    }
