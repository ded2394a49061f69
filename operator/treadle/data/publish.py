"""Parts, manifest, record and pointer of a version; equal content under equal rules is Unchanged."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from treadle.api.base import Json, stamp
from treadle.api.datasource import DataSourceSpec, Quality, Role, Split, Splits, SplitStrategy
from treadle.api.names import sha256
from treadle.api.step import IngestStep, PublishedVersion
from treadle.data.protect import Protected
from treadle.data.schema import ROW
from treadle.data.split import DEFAULT, PARTS
from treadle.data.transform import Field
from treadle.store import keys
from treadle.store.blobs import put_bytes
from treadle.store.errors import Missing
from treadle.store.manifest import File, publish_manifest, read_manifest
from treadle.store.pointer import advance_pointer, read_pointer
from treadle.store.port import ObjectStore
from treadle.store.tables import content_digest, write_parts

FORMAT = "treadle.dev/dataset/v1"
PROFILE = "profile.json"


@dataclass(frozen=True, slots=True)
class Published:
    """A version that is in the store."""

    outcome: Literal["Published", "Unchanged"]
    version: PublishedVersion


def publish(
    step: IngestStep, store: ObjectStore, parts: dict[str, pa.Table], protected: Protected, profile: bytes
) -> Published:
    """Publish the parts as a version, unless the current one has equal content and rules.

    parts: by name, with the column ROW, which is not stored. Raises StoreError.
    """
    tables = {name: parts[name].drop_columns([ROW]) for name in PARTS if name in parts}
    content = content_digest(pa.concat_tables(tables.values()))
    rules = rules_digest(step.spec, protected.key_id)
    current, now = current_version(step, store)
    if current is not None and now is not None and (now["content"], now["rulesDigest"]) == (content, rules):
        return Published("Unchanged", described(store, current, now, new_rows=0))
    document: Json = {
        "format": FORMAT,
        "content": content,
        "rows": sum(table.num_rows for table in tables.values()),
        "columns": columns_of(protected),
        "schemaDigest": f"sha256:{sha256(schema_of(step.spec))}",
        "rulesDigest": rules,
        **({"keyId": protected.key_id} if protected.key_id is not None else {}),
        "splits": {name: part_of(table, protected.fields, step.spec) for name, table in tables.items()},
        "parts": [part.dump() for name, table in tables.items() for part in write_parts(store, name, table)],
        "files": [File(PROFILE, len(profile), put_bytes(store, profile).removeprefix("sha256:")).dump()],
        "writer": {"parquet": 1, "pyarrow": pa.__version__},
    }
    digest = publish_manifest(store, "datasets", document)
    rows_before = now["rows"] if now is not None else 0
    return Published("Published", described(store, digest, document, new_rows=document["rows"] - rows_before))


def point(step: IngestStep, store: ObjectStore, version: PublishedVersion) -> None:
    """Let the DataSource's name stand for the version; strictly after its record."""
    advance_pointer(store, "datasets", step.owner.name, version.digest, None)


def current_version(step: IngestStep, store: ObjectStore) -> tuple[str | None, Json | None]:
    """Return digest and manifest of the version in status or, with an empty status, of the one the store points to."""
    digest = step.current
    if digest is None:
        pointer = read_pointer(store, "datasets", step.owner.name)
        digest = pointer.current if pointer is not None else None
    if digest is None:
        return None, None
    try:
        return digest, read_manifest(store, "datasets", digest)
    except Missing:
        # A version that is gone is published again.
        return None, None


def described(store: ObjectStore, digest: str, document: Json, new_rows: int) -> PublishedVersion:
    """Return what status says of a version."""
    profile = next((file for file in document["files"] if file["path"] == PROFILE), None)
    return PublishedVersion(
        digest=digest,
        content_digest=document["content"],
        storage_uri=f"s3://{store.place}/{keys.manifest('datasets', digest)}",
        rows=document["rows"],
        new_rows=max(0, new_rows),
        bytes=sum(part["bytes"] for part in document["parts"]),
        schema_digest=document["schemaDigest"],
        profile_uri=f"s3://{store.place}/{keys.blob(profile['sha256'])}" if profile is not None else None,
        splits=Splits.parse(document["splits"]),
    )


def columns_of(protected: Protected) -> list[Json]:
    """Return the columns of the parts as training and monitoring read them; a dropped one is not among them."""
    return [
        {
            "name": field.name,
            "type": field.column.type.value,
            "role": field.role.value,
            "classification": field.classification.value,
            "nullable": field.column.nullable is not False,
            **({"action": protected.actions[field.name].value} if field.name in protected.actions else {}),
        }
        for field in protected.fields
    ]


def schema_of(spec: DataSourceSpec) -> list[Json]:
    """Return names, types and roles of the declared columns, after defaulting."""
    return [
        {"name": column.name, "type": column.type.value, "role": (column.role or Role.FEATURE).value}
        for column in spec.schema_.columns
    ]


def rules_digest(spec: DataSourceSpec, key_id: str | None) -> str:
    """Return the digest of what is done to the rows of a source, after defaulting."""
    split = spec.split if spec.split is not None else Split(strategy=SplitStrategy.RANDOM)
    fractions = split.fractions if split.fractions is not None else DEFAULT
    return "sha256:" + sha256(
        {
            "filter": spec.filter,
            "schema": spec.schema_.dump(),
            "privacy": [policy.dump() for policy in (spec.privacy.policies if spec.privacy else None) or []],
            "keyId": key_id,
            "quality": (spec.quality if spec.quality is not None else Quality()).dump(),
            "split": split.model_copy(update={"fractions": fractions}).dump(),
        }
    )


def part_of(table: pa.Table, fields: tuple[Field, ...], spec: DataSourceSpec) -> Json:
    """Return what a manifest says of one part: digest, rows, and the span of its time column."""
    chosen = spec.split.time_column if spec.split is not None else None
    times = [field.name for field in fields if field.name == chosen] or [
        field.name for field in fields if field.role is Role.TIME
    ]
    ends = pc.min_max(table.column(times[0])).as_py() if times and table.num_rows else {}
    span = {key: _stamp(ends[end]) for key, end in (("from", "min"), ("until", "max")) if ends.get(end) is not None}
    return {"digest": content_digest(table), "rows": table.num_rows, **span}


def _stamp(value: object) -> str:
    if isinstance(value, datetime):
        return stamp(value)
    return stamp(datetime.fromisoformat(str(value)).replace(tzinfo=UTC))
