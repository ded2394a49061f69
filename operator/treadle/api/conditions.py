"""A condition of an object, as the Kubernetes API conventions define it."""

import re
from typing import Annotated, Literal

from pydantic import StringConstraints

from treadle.api.base import Record
from treadle.api.reasons import Reason

MESSAGE_LIMIT = 300
PAGE = re.compile(r"\.?\s*docs: reasons/\w+$")


class Condition(Record):
    """One judgement about an object; `Unknown` until judged, and unknown is not false."""

    type: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    """What is judged, in CamelCase."""
    status: Literal["True", "False", "Unknown"]
    """True, False or Unknown."""
    reason: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    """Why, as one word; docs/reasons has a page for each."""
    message: Annotated[str, StringConstraints(max_length=MESSAGE_LIMIT)] = ""
    """What, where, found against expected, and what to do, in one line."""
    last_transition_time: Annotated[str, StringConstraints(max_length=32)] | None = None
    """When status last changed, RFC 3339."""
    observed_generation: int | None = None
    """The generation of spec that was judged."""


def yes(type_: str, reason: Reason, message: str = "") -> Condition:
    """Return a condition that is True."""
    return Condition(type=type_, status="True", reason=reason, message=line(message))


def no(type_: str, reason: Reason, message: str = "") -> Condition:
    """Return a condition that is False."""
    return Condition(type=type_, status="False", reason=reason, message=line(message))


def unknown(type_: str, reason: Reason = Reason.NOT_JUDGED, message: str = "") -> Condition:
    """Return a condition that is not judged yet, or cannot be."""
    return Condition(type=type_, status="Unknown", reason=reason, message=line(message))


def line(text: str, limit: int = MESSAGE_LIMIT) -> str:
    """Return text as one line of at most `limit` characters."""
    flat = " ".join(text.split())
    return flat if len(flat) <= limit else flat[: limit - 1] + "…"


def paged(reason: Reason | str, text: str) -> str:
    """Return one line of at most 300 characters that ends with the reason's page, and with no other."""
    page = f" docs: reasons/{reason}"
    said = line(PAGE.sub("", text), MESSAGE_LIMIT - len(page) - 1)
    return f"{said if said.endswith(('.', '?')) else f'{said}.'}{page}"
