"""Which part a row belongs to: by a hash of the row, so that a holdout row stays one, or by time."""

import hashlib
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from treadle.api.datasource import Fractions, Role, Split, SplitStrategy
from treadle.api.reasons import Reason
from treadle.data.refused import Refused
from treadle.data.schema import ROW
from treadle.data.transform import Field

PARTS = ("train", "validation", "holdout")
DEFAULT = Fractions(train="0.7", validation="0.1", holdout="0.2")


def split(table: pa.Table, fields: tuple[Field, ...], rule: Split | None) -> dict[str, pa.Table]:
    """Return the parts of a version, rows in the order of time, id and source; the column ROW stays.

    Raises Refused (TooFewRows) where a part that should hold rows holds none.
    """
    rule = rule if rule is not None else Split(strategy=SplitStrategy.RANDOM)
    fractions = rule.fractions if rule.fractions is not None else DEFAULT
    shares = [float(fractions.train), float(fractions.validation), float(fractions.holdout)]
    table = ordered(table, fields, rule.time_column)
    if rule.strategy is SplitStrategy.TIME and rule.time_column is not None:
        part = by_time(table.column(rule.time_column), shares)
    else:
        part = by_hash(identities(table, fields), rule.seed, shares)
    parts = {name: table.filter(pa.array(part == index)) for index, name in enumerate(PARTS)}
    for name, share in zip(PARTS, shares, strict=True):
        if share > 0 and parts[name].num_rows == 0:
            raise Refused(
                "QualityPassed",
                Reason.TOO_FEW_ROWS,
                f"{table.num_rows} rows leave the {name} part empty, its share is {share:g}. "
                "Wait for data, or change split.fractions",
            )
    return {name: part for name, part in parts.items() if part.num_rows > 0}


def ordered(table: pa.Table, fields: tuple[Field, ...], time_column: str | None) -> pa.Table:
    """Return the rows in the order of time, id and source."""
    times = [field.name for field in fields if field.role is Role.TIME]
    ids = [field.name for field in fields if field.role is Role.ID]
    columns = list(dict.fromkeys([*([time_column] if time_column else []), *times, *ids, ROW]))
    return table.sort_by([(column, "ascending") for column in columns])


def by_hash(identities: Iterator[bytes], seed: int, shares: list[float]) -> np.ndarray:
    """Return a part's index for each identity: sha256 of seed and identity, as a fraction, against the shares."""
    start = f"{seed}:".encode()
    numbers = np.array(
        [int.from_bytes(hashlib.sha256(start + identity).digest()[:8]) >> 11 for identity in identities], dtype=np.int64
    )
    return np.searchsorted(np.cumsum(shares)[:2], numbers / float(1 << 53), side="right")


def by_time(times: pa.ChunkedArray, shares: list[float]) -> np.ndarray:
    """Return a part's index for each row of a sorted time column; rows of one moment are never parted."""
    values = times.combine_chunks().cast(pa.int32() if pa.types.is_date32(times.type) else pa.int64()).to_numpy()
    rows = len(values)
    bounds = [values[min(rows - 1, round(rows * share))] for share in np.cumsum(shares)[:2]]
    part: np.ndarray = np.searchsorted(np.array(bounds), values, side="right")
    return part


def identities(table: pa.Table, fields: tuple[Field, ...]) -> Iterator[bytes]:
    """Yield what tells rows apart: the id, or all values, each with its length so that no two rows read alike."""
    ids = [field.name for field in fields if field.role is Role.ID]
    names = ids or [field.name for field in fields]
    columns = [pc.cast(table.column(name), pa.string()).to_pylist() for name in names]
    for row in zip(*columns, strict=True):
        yield b"".join(b"-" if value is None else f"{len(value)}:{value}".encode() for value in row)
