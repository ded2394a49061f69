"""One part of the request log to the store: Parquet as a blob, then a manifest, created once."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from treadle.api.artifacts import INPUT_PREFIX, LABEL_COLUMN, SCORE_COLUMN
from treadle.api.base import Json, stamp
from treadle.api.datasource import ColumnType
from treadle.api.names import canonical
from treadle.api.plan import ServerSpec
from treadle.api.reasons import Reason
from treadle.serving.log import Part, Rows

if TYPE_CHECKING:
    import pyarrow as pa

    from treadle.store.port import ObjectStore

FORMAT = "treadle.dev/requests/v1"
ROWS_FILE = "rows.parquet"


@dataclass(slots=True)
class PartUploader:
    """Stores parts for one pod; called from the log's thread alone."""

    spec: ServerSpec
    secret_directory: Path
    pod_uid: str
    _number: int = 0
    _opened: "tuple[dict[str, str], ObjectStore] | None" = None
    """The Secret's values, and the store that they opened."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, part: Part, dropped: int) -> None:
        """Store a part; raise StoreError for a store that does not take it."""
        # Imported here: pyarrow and boto3 are the larger part of a server's memory, and a pod that logs nothing
        # never needs them.
        from treadle.store.errors import StoreError

        with self._lock:
            try:
                self._put(self._store(), part, dropped)
            except StoreError as error:
                # The pod's identity may be one that boto3 did not find when it looked.
                if error.reason is Reason.CREDENTIALS_REJECTED:
                    self._opened = None
                raise

    def _store(self) -> "ObjectStore":
        """Return the store, opened again where the mounted Secret is another than it was."""
        from treadle.store.open import open_store, read_secret

        values, address = read_secret(self.secret_directory), self.spec.store
        if self._opened is None or self._opened[0] != values:
            self._opened = None
            store = open_store(self.secret_directory, address.secret, address.prefix, self.spec.owner.namespace)
            self._opened = values, store
        return self._opened[1]

    def _put(self, store: "ObjectStore", part: Part, dropped: int) -> None:
        from treadle.store import blobs, keys
        from treadle.store.tables import encode

        files: list[Json] = []
        for _, data in encode(table(part)):
            digest = blobs.put_bytes(store, data)
            files.append({"path": ROWS_FILE, "bytes": len(data), "sha256": digest.removeprefix("sha256:")})
        name, day, hour = self.spec.owner.name, part.hour.strftime("%Y-%m-%d"), part.hour.hour
        while True:
            key = keys.requests(name, day, hour, self.pod_uid, self._number)
            document = self._manifest(part, dropped, files)
            stored = store.put_once(key, document)
            self._number += 1
            if stored.data == document:
                return
            # A container that was started again has its pod's uid: it counts on behind its predecessor.
            beside = store.list(f"{keys.requests_hour(name, day, hour)}{self.pod_uid}-")
            self._number = max([self._number, *(number_of(entry.key) + 1 for entry in beside)])

    def _manifest(self, part: Part, dropped: int, files: list[Json]) -> bytes:
        times = [rows.time for rows in part.requests]
        return canonical(
            {
                "format": FORMAT,
                "deployment": self.spec.owner.name,
                "pod": self.pod_uid,
                "n": self._number,
                "rows": part.rows,
                "dropped": dropped,
                "percent": part.percent,
                "models": sorted({rows.answered.digest for rows in part.requests}),
                "from": stamp(min(times)),
                "until": stamp(max(times) + timedelta(seconds=1)),
                "files": files,
            }
        )


def number_of(key: str) -> int:
    """Return the number in a part's key."""
    return int(key.rpartition("-")[2].removesuffix(".json"))


def table(part: Part) -> "pa.Table":
    """Return a part's rows: LOG_COLUMNS, then the kept inputs under their prefix, score and label."""
    import pyarrow as pa

    kinds: dict[ColumnType, Any] = {
        ColumnType.BOOLEAN: pa.bool_(),
        ColumnType.INTEGER: pa.int64(),
        ColumnType.DOUBLE: pa.float64(),
        ColumnType.STRING: pa.string(),
        ColumnType.TIMESTAMP: pa.timestamp("us", tz="UTC"),
        ColumnType.DATE: pa.date32(),
    }
    fixed: list[tuple[str, Any, list[Any]]] = [
        ("prediction_id", pa.string(), [rows.answered.ids[row] for rows, row in each(part)]),
        ("model_digest", pa.string(), [rows.answered.digest for rows, _ in each(part)]),
        ("arm", pa.string(), [rows.answered.arm for rows, _ in each(part)]),
        ("time", pa.timestamp("us", tz="UTC"), [rows.time.astimezone(UTC) for rows, _ in each(part)]),
        ("latency_microseconds", pa.int64(), [round(rows.answered.seconds * 1e6) for rows, _ in each(part)]),
        ("status", pa.int16(), [rows.answered.status for rows, _ in each(part)]),
    ]
    inputs = [(INPUT_PREFIX + name, kinds[kind], column(part, name, kind)) for name, kind in part.kept]
    outputs: list[tuple[str, Any, list[Any]]] = [
        (SCORE_COLUMN, pa.float64(), [at(rows.answered.scores, row) for rows, row in each(part)]),
        (LABEL_COLUMN, pa.string(), [at(rows.answered.labels, row) for rows, row in each(part)]),
    ]
    columns = [*fixed, *inputs, *outputs]
    return pa.table(
        [pa.array(values, kind) for _, kind, values in columns],
        schema=pa.schema([pa.field(name, kind) for name, kind, _ in columns]),
    )


def each(part: Part) -> Iterator[tuple[Rows, int]]:
    """Yield every logged row of a part: its request, and its place there."""
    for rows in part.requests:
        for row in rows.picked:
            yield rows, row


def column(part: Part, name: str, kind: ColumnType) -> list[Any]:
    """Return the values of one input; None where a row holds no inputs."""
    values = [None if rows.answered.columns is None else rows.answered.columns[name][row] for rows, row in each(part)]
    if kind == ColumnType.DOUBLE:  # an integer that was widened
        return [None if value is None else float(value) for value in values]
    return values


def at(values: list[Any] | None, row: int) -> Any:
    """Return one of a list's values; None where there is no list, or an empty one."""
    return values[row] if values else None
