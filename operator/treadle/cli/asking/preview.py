"""A request with what it will change, and its three forms: for a person, for a program, and for kubectl."""

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from treadle.api.base import stamp
from treadle.api.names import ANNOTATION_REQUESTED_AT, GROUP, PLURALS, short

type Object = dict[str, Any]


class Refusal(Exception):
    """Why a request would do nothing, and what to do instead."""


@dataclass(frozen=True, slots=True)
class Change:
    """A value as it is, and as it will be."""

    what: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Preview:
    """What a request will change, told before it is set."""

    act: str
    kind: str
    name: str
    patch: Object | None = None
    """A merge patch without identity; None where nothing is left to set."""
    clears: str = ""
    """The annotation that acted on the same value before: it must be gone, and seen to be gone, first."""
    git: str = ""
    """What to write into the Git repository instead."""
    changes: tuple[Change, ...] = ()
    waits: str = ""
    """Why it does not come about at once."""
    following: tuple[str, ...] = ()
    """What the operator does next."""
    notes: tuple[str, ...] = ()
    """What a person should know before."""

    @property
    def target(self) -> str:
        return f"{self.kind} {self.name}"

    @property
    def annotation(self) -> tuple[str, str] | None:
        """The annotation that is set, and its value."""
        found: dict[str, str] = ((self.patch or {}).get("metadata") or {}).get("annotations") or {}
        return next(iter(found.items()), None)


def lines(preview: Preview) -> list[str]:
    """Return a preview as a person reads it."""
    width = max((len(change.what) for change in preview.changes), default=0)
    rows = [f"  {change.what:<{width}}  {change.before} → {change.after}" for change in preview.changes]
    waits = [f"Not at once: {preview.waits}"] if preview.waits else []
    following = [f"Next: {text}" for text in preview.following]
    return [preview.act, *rows, *waits, *following, *(f"Note: {text}" for text in preview.notes)]


def document(preview: Preview, outcome: str) -> Object:
    """Return a preview as a program reads it; outcome: Set, DryRun, Printed or Unchanged."""
    return {
        "act": preview.act,
        "object": {"kind": preview.kind, "name": preview.name},
        "changes": [{"what": row.what, "from": row.before, "to": row.after} for row in preview.changes],
        "waits": preview.waits or None,
        "next": list(preview.following),
        "notes": list(preview.notes),
        "patch": preview.patch,
        "outcome": outcome,
    }


def commands(preview: Preview, namespace: str, context: str) -> str:
    """Return the request as a person may run it without us: lines for kubectl, or the patch for Git."""
    if preview.git:
        return preview.git
    where = ["-n", namespace, *(["--context", context] if context else [])]
    resource = f"{PLURALS[preview.kind]}.{GROUP}"
    if (found := preview.annotation) is not None:
        annotate = ["kubectl", "annotate", resource, preview.name, *where]
        words = [[*annotate, f"{preview.clears}-"]] if preview.clears else []
        words.append([*annotate, "--overwrite", f"{found[0]}={found[1]}"])
    elif preview.patch is not None:
        body = json.dumps(preview.patch, separators=(",", ":"))
        words = [["kubectl", "patch", resource, preview.name, *where, "--type", "merge", "-p", body]]
    else:
        words = []
    return "".join(f"{shlex.join(line)}\n" for line in words)


def annotated(annotation: str, value: str) -> Object:
    """Return the merge patch of a request."""
    return {"metadata": {"annotations": {annotation: value}}}


def time_of(annotations: Mapping[str, str], now: datetime) -> str:
    """Return the time by which a request is told from the one before: each value acts once."""
    text = stamp(now)
    return text if annotations.get(ANNOTATION_REQUESTED_AT) != text else stamp(now + timedelta(seconds=1))


def told(version: str, digest: str) -> str:
    """Return how a person is told of a version."""
    return version if version == short(digest) else f"{version} ({short(digest)})"
