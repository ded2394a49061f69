"""What the API server and the operator would say to the objects of files."""

import difflib
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from treadle.api.names import API_VERSION, GROUP, PLURALS
from treadle.api.reasons import Reason
from treadle.cli.manifests import between
from treadle.cli.manifests.document import Document
from treadle.cli.manifests.fields import advice
from treadle.cli.manifests.finding import Finding, Weight
from treadle.cli.manifests.ours import Ours, ours_of
from treadle.control.clock import following_due
from treadle.control.engine.errors import Invalid
from treadle.control.engine.reconcile import parse
from treadle.control.kinds import KINDS
from treadle.control.modeldeployment.retrain import wrong_schedule
from treadle.control.monitor.due import size
from treadle.local.schema import objectmeta
from treadle.local.schema.admit import UNCHECKED, Refused, schemas
from treadle.local.schema.causes import NOWHERE

type Object = dict[str, Any]

OF_KIND = {kind.gvk.kind: kind for kind in KINDS}


def judge(documents: Sequence[Document], now: datetime, *, strict: bool = False) -> list[Finding]:
    """Return what is to be said about the objects of ours among these.

    now: for schedules that are never due again.
    strict: whether a reference to what is not in the files must be mended.
    """
    ours = [ours_of(document) for document in documents if is_ours(document)]
    found = [problem for document in documents if (problem := misnamed(document)) is not None]
    for each in ours:
        found += _of_object(each, now)
    weight = Weight.ERROR if strict else Weight.NOTE
    found += [*between.twice(ours), *between.references(ours, weight), *between.columns(ours, weight)]
    return found


def is_ours(document: Document) -> bool:
    """Tell whether an object is of one of the four kinds, by what it says of itself."""
    raw = document.raw
    return isinstance(raw, dict) and raw.get("apiVersion") == API_VERSION and raw.get("kind") in PLURALS


def misnamed(document: Document) -> Finding | None:
    """Return what keeps an object from being sent to anybody, or that it was meant for us and says otherwise."""
    raw = document.raw

    def says(text: str, field: str = "", weight: Weight = Weight.ERROR) -> Finding:
        return Finding(document.file, document.line_of(field), weight, text, field)

    if not isinstance(raw, dict):
        return says("this is no object; an object has apiVersion, kind, metadata and spec")
    version, kind = raw.get("apiVersion"), raw.get("kind")
    if version is None and kind is None:
        return says("neither apiVersion nor kind: no object, not checked", weight=Weight.NOTE)
    if not isinstance(version, str) or not version:
        known = API_VERSION if kind in PLURALS else "v1"
        return says(f"apiVersion is missing or no text; write for example {known}", "apiVersion")
    if not isinstance(kind, str) or not kind:
        return says(f"kind is missing or no text; those of Treadle are {', '.join(PLURALS)}", "kind")
    if kind in PLURALS and version != API_VERSION and GROUP.partition(".")[0] in version:
        return says(f"apiVersion {version!r} has no {kind}; write {API_VERSION}", "apiVersion")
    if version.partition("/")[0] == GROUP and kind not in PLURALS:
        near = difflib.get_close_matches(kind, PLURALS, n=1, cutoff=0.4)
        meant = f"did you mean {near[0]}?" if near else f"there are {', '.join(PLURALS)}"
        return says(f"{kind!r} is no kind of {GROUP}; {meant}", "kind")
    return None


def _of_object(one: Ours, now: datetime) -> Iterator[Finding]:
    raw, kind = _sent(one), one.kind
    root = schemas().kinds[kind].root
    metadata: Object = {"properties": {field: {} for field in objectmeta.FIELDS}}
    schema = {"properties": {**root["properties"], "metadata": metadata}}
    for said in schemas().unknown(raw):
        field = said.partition('"')[2].rstrip('"')
        yield one.says(advice(kind, schema, field), field)
    try:
        admitted = schemas().admit(raw, None)
    except Refused as refused:
        for cause in dict.fromkeys(refused.causes):
            field = "" if cause.field == NOWHERE else cause.field
            weight = Weight.NOTE if cause == UNCHECKED else Weight.ERROR
            yield one.says(f"{field or one}: {cause.message}", field, weight)
        if not refused.causes:
            yield one.says(refused.message, _decoded_field(refused.message))
        return
    try:
        _of_operator(kind, admitted, now)
    except Invalid as problem:
        yield one.says(problem.message, problem.message.partition(": ")[0])


def _sent(one: Ours) -> Object:
    """Return an object as the server gets it: with a namespace, and a name where it is to make one."""
    raw: Object = one.document.raw
    metadata = raw.get("metadata")
    if not isinstance(metadata, dict):
        return raw
    prefix = metadata.get("generateName")
    made = {"name": f"{prefix}00000"} if isinstance(prefix, str) and prefix and not metadata.get("name") else {}
    return {**raw, "metadata": {"namespace": one.namespace, **metadata, **made}}


def _decoded_field(message: str) -> str:
    """Return the field that Go could not decode: `ObjectMeta.labels` in its words."""
    _, found, rest = message.partition("struct field ObjectMeta.")
    return f"metadata.{rest.partition(' ')[0]}" if found else "metadata"


def _of_operator(kind: str, admitted: Object, now: datetime) -> None:
    """Raise what the operator would say: Invalid, in its words."""
    uid = {"uid": "00000000-0000-0000-0000-000000000000"}
    resource = parse(OF_KIND[kind], admitted | {"metadata": admitted["metadata"] | uid})
    spec: Any = resource.spec
    if kind == "Monitor":
        size(resource)
    if kind in ("DataSource", "Monitor") and spec.schedule is not None:
        following_due(spec.schedule, spec.time_zone, now)
    if kind == "ModelDeployment" and (problem := wrong_schedule(resource, now)) is not None:
        raise Invalid(Reason.INVALID_SPEC, problem)
