"""The two bases of all documents, and the scalar types they are made of."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal as Exact
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

type Json = dict[str, Any]

DURATION = r"^([0-9]{1,4}d)?([0-9]{1,4}h)?([0-9]{1,4}m)?([0-9]{1,5}s)?([0-9]{1,5}ms)?$"

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", min_length=1, max_length=63)]
Digest = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$", max_length=71)]
Decimal = Annotated[str, StringConstraints(pattern=r"^-?[0-9]{1,15}(\.[0-9]{1,15})?$", max_length=32)]
Fraction = Annotated[str, StringConstraints(pattern=r"^(0(\.[0-9]{1,15})?|1(\.0{1,15})?)$", max_length=17)]
Duration = Annotated[str, StringConstraints(pattern=DURATION, min_length=2, max_length=24)]
Cron = Annotated[str, StringConstraints(min_length=6, max_length=64)]
TimeZone = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Uri = Annotated[str, StringConstraints(min_length=1, max_length=1024)]
# No control character and no double quote, so that a column can be quoted in SQL as it stands.
ColumnName = Annotated[str, StringConstraints(pattern=r'^[^"\x00-\x1f\x7f]+$', min_length=1, max_length=128)]
Sql = Annotated[str, StringConstraints(min_length=1, max_length=1024)]
Literal = Annotated[str, StringConstraints(max_length=512)]
Time = Annotated[
    str,
    StringConstraints(max_length=32, pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,9})?Z$"),
    Field(json_schema_extra={"format": "date-time"}),
]


class Model(BaseModel):
    """What a person writes: frozen, camelCase on the wire, and a key that it does not know is an error."""

    model_config = ConfigDict(
        frozen=True, alias_generator=to_camel, populate_by_name=True, extra="forbid", use_attribute_docstrings=True
    )

    @classmethod
    def parse(cls, raw: Any) -> Self:
        """Return the document that `raw` spells; raise pydantic.ValidationError with the place of each error."""
        return cls.model_validate(raw)

    def dump(self) -> Json:
        """Return the document as JSON values, without what is absent: in an apply, null is a value."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


class Record(Model):
    """What a program writes: like Model, but a key from a newer version is skipped."""

    model_config = ConfigDict(extra="ignore")


def duration(text: str) -> timedelta:
    """Return what a duration such as `1h30m` or `250ms` means; raise ValueError for any other text."""
    found = re.fullmatch(DURATION, text)
    if found is None or not text:
        raise ValueError(f"{text!r} is not a duration; write for example 90s, 10m or 1h30m")
    days, hours, minutes, seconds, milliseconds = (int(re.sub(r"\D", "", part or "0")) for part in found.groups())
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds, milliseconds=milliseconds)


def decimal(number: float) -> str:
    """Return a finite number as a decimal string with six significant digits and no exponent."""
    # Through Decimal, since the nearest float of 78.6495 has other digits behind its sixth.
    text = f"{Exact(f'{number:.6g}'):.15f}".rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def stamp(moment: datetime) -> str:
    """Return a moment as RFC 3339 in UTC, in whole seconds, as Kubernetes writes it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def moment(text: str) -> datetime:
    """Return the moment that RFC 3339 text names; raise ValueError for any other text."""
    parsed = datetime.fromisoformat(text)
    if parsed.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone; write for example 2013-07-01T04:15:02Z")
    return parsed.astimezone(UTC)
