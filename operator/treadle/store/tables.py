"""Arrow tables as Parquet parts, and the digest of what they say."""

import hashlib
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from treadle.api.base import Json
from treadle.api.names import canonical, sha256
from treadle.api.reasons import Reason
from treadle.store import blobs
from treadle.store.errors import StoreError
from treadle.store.port import ObjectStore

PART_ROWS = 1 << 20
GROUP_ROWS = 1 << 17


@dataclass(frozen=True, slots=True)
class Part:
    """One Parquet file of a split, as a dataset's manifest lists it; `sha256` is 64 hex digits."""

    split: str
    path: str
    rows: int
    size_bytes: int
    sha256: str

    def dump(self) -> Json:
        """Return the entry as the manifest holds it."""
        return {
            "split": self.split,
            "path": self.path,
            "rows": self.rows,
            "bytes": self.size_bytes,
            "sha256": self.sha256,
        }

    @classmethod
    def parse(cls, entry: Json) -> "Part":
        """Return the part that a manifest's entry spells."""
        return cls(
            str(entry["split"]), str(entry["path"]), int(entry["rows"]), int(entry["bytes"]), str(entry["sha256"])
        )


def write_parts(store: ObjectStore, split: str, table: pa.Table) -> list[Part]:
    """Store a table as the parts of a split, in row order; a table without rows is one part, which keeps its schema."""
    parts = []
    for number, (rows, data) in enumerate(encode(table)):
        digest = blobs.put_bytes(store, data).removeprefix("sha256:")
        parts.append(Part(split, f"{split}/{number:05d}.parquet", rows, len(data), digest))
    return parts


def read_parts(store: ObjectStore, parts: Iterable[Part], columns: Sequence[str] | None = None) -> pa.Table:
    """Return the rows of parts, in order, or only some columns; the bytes are checked before they are parsed.

    Raises ValueError for no parts, KeyError for a column that is not there, StoreError as `blobs.get_bytes`.
    """
    tables = []
    for part in parts:
        data = blobs.get_bytes(store, part.sha256)
        table = decode(data)
        if table.num_rows != part.rows:
            raise StoreError(
                Reason.CHECKSUM_MISMATCH,
                f"part {part.path} has {table.num_rows} rows, its manifest says {part.rows}. Publish the version again",
            )
        tables.append(table if columns is None else table.select(list(columns)))
    return pa.concat_tables(tables)


def encode(table: pa.Table) -> Iterator[tuple[int, bytes]]:
    """Yield rows and bytes of each Parquet part; equal tables give equal bytes, whatever their chunks.

    Only for one version of pyarrow, whose number is in each file; `content_digest` is equal for all.
    """
    plain = normal(table)
    for start in range(0, max(plain.num_rows, 1), PART_ROWS):
        part = plain.slice(start, PART_ROWS).combine_chunks()
        file = io.BytesIO()
        with pq.ParquetWriter(
            file, part.schema, version="2.6", compression="zstd", compression_level=3, store_schema=False
        ) as writer:
            writer.write_table(part, row_group_size=GROUP_ROWS)
        yield part.num_rows, file.getvalue()


def decode(data: bytes) -> pa.Table:
    """Return the table of one Parquet part."""
    return pq.read_table(pa.BufferReader(data), use_threads=False)


def content_digest(table: pa.Table) -> str:
    """Return the digest of names, types and values, whatever the file format, chunks and version of pyarrow.

    Each column is SHA-256 over its packed validity bits and its values in row order; the table is SHA-256 over
    canonical JSON of [name, type, rows, digest] per column. Raises TypeError for a type that has no such form.
    """
    plain = normal(table)
    columns = [
        [field.name, str(field.type), plain.num_rows, column_digest(plain.column(index))]
        for index, field in enumerate(plain.schema)
    ]
    return f"sha256:{sha256(columns)}"


def schema_bytes(table: pa.Table) -> bytes:
    """Return names and types of a table's columns as canonical JSON."""
    return canonical([[field.name, str(field.type)] for field in normal(table).schema])


def column_digest(column: pa.ChunkedArray) -> str:
    """Return the 64 hex digits of a column: validity bits, then values with nulls zeroed."""
    digest = hashlib.sha256()
    valid = pc.is_valid(column).to_numpy(zero_copy_only=False).astype(bool)
    digest.update(np.packbits(valid, bitorder="little").tobytes())
    for piece in values(column):
        digest.update(piece)
    return digest.hexdigest()


def values(column: pa.ChunkedArray) -> Iterator[bytes]:
    """Yield a column's values as little-endian bytes in row order: one NaN, one zero, text as lengths and UTF-8."""
    kind = column.type
    if pa.types.is_string(kind):
        filled = pc.fill_null(column, "")
        yield pc.binary_length(filled).to_numpy(zero_copy_only=False).astype("<i8").tobytes()
        for chunk in filled.chunks:
            yield text_bytes(chunk)
    elif pa.types.is_boolean(kind):
        truth = pc.fill_null(column, False).to_numpy(zero_copy_only=False).astype(bool)
        yield np.packbits(truth, bitorder="little").tobytes()
    elif pa.types.is_floating(kind):
        width = "<f8" if kind.bit_width == 64 else "<f4"
        numbers = pc.fill_null(column, 0.0).to_numpy(zero_copy_only=False).astype(width)
        yield np.where(np.isnan(numbers), np.array(np.nan, width), numbers + np.array(0, width)).astype(width).tobytes()
    elif pa.types.is_integer(kind) or pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        signed = "i" if not pa.types.is_unsigned_integer(kind) else "u"
        whole = kind if pa.types.is_integer(kind) else (pa.int32() if kind.bit_width == 32 else pa.int64())
        numbers = pc.fill_null(column.cast(whole), 0).to_numpy(zero_copy_only=False)
        yield numbers.astype(f"<{signed}{kind.bit_width // 8}").tobytes()
    else:
        raise TypeError(f"a column of type {kind} has no content digest")


def text_bytes(chunk: pa.Array) -> bytes:
    """Return the UTF-8 of a chunk of text without nulls, one value after the other."""
    offsets = np.frombuffer(chunk.buffers()[1], dtype="<i4", count=len(chunk) + 1, offset=chunk.offset * 4)
    data = chunk.buffers()[2]
    return b"" if data is None or len(chunk) == 0 else data.slice(offsets[0], offsets[-1] - offsets[0]).to_pybytes()


def normal(table: pa.Table) -> pa.Table:
    """Return a table whose text is `string` and whose schema carries no metadata; dictionaries become their values."""
    fields = [pa.field(field.name, plain_type(field.type), field.nullable) for field in table.schema]
    return table.cast(pa.schema(fields)).replace_schema_metadata(None)


def plain_type(kind: pa.DataType) -> pa.DataType:
    """Return the one type that stands for its variants."""
    if pa.types.is_dictionary(kind):
        return plain_type(kind.value_type)
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return pa.string()
    return kind
