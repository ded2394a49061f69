"""Objects in the form that a client asks for: whole, their metadata alone, or rows of a table."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from treadle.local.server import events, tables
from treadle.local.server.pages import Page
from treadle.local.server.types import Type

type Object = dict[str, Any]

TABLE, METADATA, METADATA_LIST = "Table", "PartialObjectMetadata", "PartialObjectMetadataList"


@dataclass(frozen=True, slots=True)
class Shape:
    """A form, of objects of a type, at a time that ages are counted to."""

    form: str
    include: str
    type: Type
    now: datetime

    def one(self, raw: Object, *, headings: bool = True) -> Object:
        """Return an object in this form."""
        seen = events.seen_as(raw, self.type.gvk)
        if self.form == TABLE:
            table = tables.table([seen], self.type, self.now, include=self.include, headings=headings)
            return {**table, "metadata": {"resourceVersion": raw["metadata"].get("resourceVersion", "")}}
        return tables.partial(seen) if self.form == METADATA else seen

    def bookmark(self, raw: Object) -> Object:
        """Return the object of a bookmark in this form: a table has no row of it."""
        if self.form == TABLE:
            return {**tables.table([], self.type, self.now, include="None"), "metadata": raw["metadata"]}
        return raw

    def page(self, page: Page, *, is_selected: bool) -> Object:
        """Return a page of a list in this form."""
        gvk = self.type.gvk
        found = [events.seen_as(raw, gvk) for raw in page.objects]
        # An empty token is told of custom resources in full only.
        token = {"continue": page.token} if page.token or (self.type.is_ours and not self.form) else {}
        left = {"remainingItemCount": page.left} if page.left and not is_selected else {}
        metadata = {"resourceVersion": str(page.version), **token, **left}
        if self.form == TABLE:
            return {**tables.table(found, self.type, self.now, include=self.include), "metadata": metadata}
        if self.form == METADATA_LIST:
            kind, version, found = METADATA_LIST, "meta.k8s.io/v1", [tables.partial(raw) for raw in found]
        else:
            kind, version = f"{gvk.kind}List", gvk.api_version
        return {"kind": kind, "apiVersion": version, "metadata": metadata, "items": found}


def shape_of(accept: str, query: Mapping[str, str], type_: Type, now: datetime) -> Shape:
    """Return the first form of an Accept header that is known here; whole objects for others."""
    for each in accept.split(","):
        parameters = dict(part.strip().partition("=")[::2] for part in each.split(";")[1:])
        if parameters.get("g") == "meta.k8s.io" and parameters.get("v") == "v1":
            return Shape(parameters.get("as", ""), query.get("includeObject", "Metadata"), type_, now)
    return Shape("", "", type_, now)
