"""Lists in pages, each as of the same moment: the token that continues one, and the objects as they were."""

import base64
import json
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from treadle.local.server import refusals
from treadle.local.server.api import MemoryApi, place

type Object = dict[str, Any]

API = "meta.k8s.io/v1"
INVALID = "invalid continue token: continue key is not valid"
LETTER = re.compile(r"[\w-]", re.ASCII)
LIST_TOO_OLD = "The resourceVersion for the provided list is too old."
PAGE_TOO_OLD = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list without "
    "the continue parameter, or use the continue token in this response to retrieve the remainder of the results. "
    "Continuing with the provided token results in an inconsistent list - objects that were created, modified, or "
    "deleted between the time the first chunk was returned and now may show up in the list."
)


class Token(NamedTuple):
    """Where a list goes on: at which resource version, and after which object."""

    version: int
    after: tuple[str, str]

    def __str__(self) -> str:
        told = {"v": API, "rv": self.version, "start": "/".join(self.after)}
        return base64.urlsafe_b64encode(json.dumps(told, separators=(",", ":")).encode()).decode().rstrip("=")


class Page(NamedTuple):
    """A part of a list: its objects, the version it is of, and how it goes on."""

    objects: Sequence[Object]
    version: int
    token: str = ""
    left: int = 0


def token_of(text: str) -> Token:
    """Return a token as it was given; refuse another text."""
    illegal = next((at for at, letter in enumerate(text) if not LETTER.fullmatch(letter)), None)
    if illegal is not None:
        raise refusals.bad_request(f"{INVALID}: illegal base64 data at input byte {illegal}")
    try:
        told = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        if told.get("v") != API:
            raise refusals.bad_request(f"{INVALID}: server does not recognize this encoded version {told.get('v', '')}")
        namespace, _, name = told["start"].partition("/")
        return Token(int(told["rv"]), (namespace, name))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise refusals.bad_request(f"{INVALID}: {error}") from error


def as_of(api: MemoryApi, kind: str, version: int, too_old: str) -> Sequence[Object]:
    """Return the objects of a kind as they were at a version, by namespace and name; refuse a forgotten one."""
    changes = api.since(version)
    if changes is None:
        raise refusals.expired(too_old)
    objects = {place(raw): raw for raw in api.all(kind)}
    for change in reversed(changes):
        if change.object["kind"] == kind:
            objects.pop(place(change.object), None)
            if change.before is not None:
                objects[place(change.object)] = change.before
    return [raw for _, raw in sorted(objects.items())]


def page(objects: Sequence[Object], version: int, limit: int, token: Token | None) -> Page:
    """Return the next page of a list; a limit of 0 is none."""
    if token is not None:
        objects = [raw for raw in objects if place(raw)[1:] > token.after]
    if not limit or len(objects) <= limit:
        return Page(objects, version)
    last = place(objects[limit - 1])[1:]
    return Page(objects[:limit], version, str(Token(version, last)), len(objects) - limit)
