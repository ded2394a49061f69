"""How a request is meant: what its query and its delete options say, judged as kube-apiserver judges them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from treadle.local.schema.causes import REQUIRED, Cause, Refused, forbidden, not_supported
from treadle.local.server import refusals
from treadle.local.server.godecode import said

type Object = dict[str, Any]

VALIDATIONS = ("Ignore", "Strict", "Warn")
POLICIES = ("Foreground", "Background", "Orphan")
MATCHES = ("Exact", "NotOlderThan")
TRUE = ("1", "t", "T", "true", "True", "TRUE")
APPLY = "application/apply-patch+yaml"
MANAGER_LENGTH = 128
DELETE_FIELDS: Mapping[str, tuple[str, type]] = {
    "gracePeriodSeconds": ("int64", int),
    "preconditions": ("v1.Preconditions", dict),
    "propagationPolicy": ("v1.DeletionPropagation", str),
    "dryRun": ("[]string", list),
}


@dataclass(frozen=True, slots=True)
class Options:
    """How a write is asked for; what is to be warned of is gathered here."""

    manager: str
    force: bool = False
    dry_run: bool = False
    validation: str = "Warn"
    warnings: list[str] = field(default_factory=list)


def of_write(kind: str, query: Mapping[str, str], agent: str, content: str = "") -> Options:
    """Return the options of a write; `kind` is CreateOptions, UpdateOptions, PatchOptions or DeleteOptions."""
    named = query.get("fieldManager", "")
    force = query.get("force")
    causes = []
    if kind == "PatchOptions" and content == APPLY:
        if not named:
            causes.append(Cause("fieldManager", REQUIRED, "Required value: is required for apply patch"))
    elif force is not None and kind == "PatchOptions":
        causes.append(forbidden("force", "may not be specified for non-apply patch"))
    if len(named) > MANAGER_LENGTH:
        causes.append(
            Cause("fieldManager", "FieldValueTooLong", f"Too long: may not be more than {MANAGER_LENGTH} bytes")
        )
    if (dry_run := query.get("dryRun", "")) not in ("", "All"):
        causes.append(not_supported("dryRun", [dry_run], ["All"]))
    if (validation := query.get("fieldValidation", "")) not in ("", *VALIDATIONS):
        causes.append(not_supported("fieldValidation", validation, ["", *VALIDATIONS]))
    if causes:
        raise _refused(kind, causes)
    manager = named or agent.partition("/")[0][:MANAGER_LENGTH] or "unknown"
    return Options(manager, force in TRUE, dry_run == "All", validation or "Warn")


def number(query: Mapping[str, str], name: str) -> int:
    """Return a number of a query; 0 where it is absent or negative."""
    text = query.get(name) or "0"
    if not re.fullmatch(r"[+-]?\d+", text):
        raise refusals.bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax')
    return max(int(text), 0)


def of_delete(query: Mapping[str, str], sent: Object) -> Object:
    """Return the options of a delete: its body's, else its query's."""
    for name, (wanted, type_) in DELETE_FIELDS.items():
        if sent.get(name) is not None and type(sent[name]) is not type_:
            raise refusals.bad_request(said(sent[name], "DeleteOptions", name, wanted))
    asked = {**{name: query[name] for name in ("propagationPolicy", "dryRun") if name in query}, **sent}
    if "gracePeriodSeconds" in query and "gracePeriodSeconds" not in asked:
        asked["gracePeriodSeconds"] = number(query, "gracePeriodSeconds")
    policy = asked.get("propagationPolicy")
    if policy not in (None, *POLICIES):
        raise _refused("DeleteOptions", [not_supported("propagationPolicy", policy, [*POLICIES, "nil"])])
    return asked


def version(query: Mapping[str, str], *, is_watch: bool) -> int:
    """Return the resource version that a list or watch begins with; 0 for any."""
    text = query.get("resourceVersion", "")
    match, initial = query.get("resourceVersionMatch"), "sendInitialEvents" in query
    if match not in (None, "", *MATCHES):
        raise _refused("ListOptions", [not_supported("resourceVersionMatch", match, [*MATCHES, ""])])
    if match == "Exact" and text == "0":
        said = 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"'
        raise _refused("ListOptions", [forbidden("resourceVersionMatch", said)])
    if initial and not is_watch:
        raise _refused("ListOptions", [forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list")])
    if initial and match != "NotOlderThan":
        said = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
        raise _refused("ListOptions", [forbidden("resourceVersionMatch", said)])
    if match and is_watch and not initial:
        said = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
        raise _refused("ListOptions", [forbidden("resourceVersionMatch", said)])
    if match and not is_watch and not text:
        said = "resourceVersionMatch is forbidden unless resourceVersion is provided"
        raise _refused("ListOptions", [forbidden("resourceVersionMatch", said)])
    if text and not text.isdigit():
        said = f'resourceVersion: Invalid value: "{text}": strconv.ParseUint: parsing "{text}": invalid syntax'
        raise Refused(500, "", said) if is_watch else refusals.bad_request(f"invalid resource version: {said}")
    return int(text or 0)


def _refused(kind: str, causes: list[Cause]) -> refusals.Refusal:
    said = ", ".join(str(cause) for cause in causes)
    said = said if len(causes) == 1 else f"[{said}]"
    details = {"group": "meta.k8s.io", "kind": kind}
    return refusals.Refusal(422, "Invalid", f'{kind}.meta.k8s.io "" is invalid: {said}', details, causes)
