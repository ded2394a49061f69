"""The prediction log of one window, and its champion's reference, from the store."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from treadle.api.artifacts import INPUT_PREFIX, REFERENCE_FILE, SCHEMA_FILE, SCORE_COLUMN, Input, ModelSchema
from treadle.api.base import Json, moment
from treadle.api.datasource import ColumnType
from treadle.api.names import short
from treadle.api.reasons import Reason
from treadle.api.step import MonitorStep, Report
from treadle.monitoring.evidence import Log, LogPart, Reference, Tally
from treadle.monitoring.samples import Values, joined, values_of
from treadle.store import blobs, keys
from treadle.store.errors import Missing, StoreError
from treadle.store.manifest import files_of, read_document, read_manifest
from treadle.store.port import ObjectStore
from treadle.store.tables import decode

ROWS_FILE = "rows.parquet"
ROWS_KEPT = 500_000
"""Rows that are compared; of more, so many are drawn. 40 columns of them stay below 1 GiB."""
READERS = 8  # a part is small, so reading is waiting
ANSWERED = 200
REFUSALS = range(400, 500)


@dataclass(frozen=True, slots=True)
class Slice:
    """The rows of one part that lie in the window."""

    tally: Tally
    kept: int
    columns: dict[str, Values]
    scores: Values | None


def read_reference(champion: str, store: ObjectStore) -> Reference:
    """Return what is normal for a model; raise StoreError (ReferenceGone) if the store has it no more."""
    try:
        files = {file.path: file.sha256 for file in files_of(read_manifest(store, "models", champion))}
        for path in (SCHEMA_FILE, REFERENCE_FILE):
            if path not in files:
                raise gone(champion, f"has no {path}")
        schema = ModelSchema.model_validate_json(blobs.get_bytes(store, files[SCHEMA_FILE]))
        table = decode(blobs.get_bytes(store, files[REFERENCE_FILE]))
    except Missing as error:
        raise gone(champion, f"is not whole at {store.place}") from error
    digest = f"sha256:{files[REFERENCE_FILE]}"
    return Reference(schema, chosen(table, schema.inputs), chosen_scores(table), table.num_rows, digest)


def gone(champion: str, what: str) -> StoreError:
    """Return the error of a model that cannot say what is normal."""
    return StoreError(
        Reason.REFERENCE_GONE,
        f"champion {short(champion)} {what}: there is nothing to compare the window with. "
        "Restore it, or promote a model that is there",
    )


def read_log(step: MonitorStep, inputs: Sequence[Input], store: ObjectStore, report: Report) -> Log:
    """Return the rows of a deployment's log whose time lies in the window."""
    start, end = moment(step.window.start), moment(step.window.end)
    prefixes = [keys.requests_hour(step.deployment, hour.strftime("%Y-%m-%d"), hour.hour) for hour in hours(start, end)]
    with ThreadPoolExecutor(READERS, "log") as readers:
        listed = [
            entry.key for entries in readers.map(lambda prefix: [*store.list(prefix)], prefixes) for entry in entries
        ]
        found = readers.map(lambda key: read_part(key, store), listed)
        parts = tuple(part for part in found if part is not None and part.start < end and part.end > start)
        rates = kept_rates(parts)
        slices = []
        read = readers.map(lambda part, rate: read_slice(part, rate, step, inputs, store), parts, rates)
        for number, piece in enumerate(read):
            slices.append(piece)
            report.stage("read", 0.1 + 0.6 * number / len(parts))
    return together(slices, parts)


def was_ever_logged(step: MonitorStep, store: ObjectStore) -> bool:
    """Say whether the deployment has any log at all."""
    return next(iter(store.list(keys.requests_of(step.deployment))), None) is not None


def hours(start: datetime, end: datetime) -> Iterator[datetime]:
    """Yield the begin of every hour that a half-open window touches; no part of the log leaves its hour."""
    hour = start.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    while hour < end:
        yield hour
        hour += timedelta(hours=1)


def read_part(key: str, store: ObjectStore) -> LogPart | None:
    """Return what a part's manifest says; None if retention took it since it was listed."""
    document = read_document(store, key)
    return None if document is None else parsed(key, document)


def parsed(key: str, document: Json) -> LogPart:
    """Return the part that a manifest spells; raise StoreError (ChecksumMismatch) for anything else."""
    try:
        [file] = [file for file in files_of(document) if file.path == ROWS_FILE]
        rows, percent = int(document["rows"]), int(document["percent"])
        if rows < 1 or not 1 <= percent <= 100:
            raise ValueError(f"{rows} rows at {percent} %")
        return LogPart(
            key,
            file.sha256,
            rows,
            int(document["dropped"]),
            percent,
            moment(document["from"]),
            moment(document["until"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError(
            Reason.CHECKSUM_MISMATCH, f"{key} is no part of a request log. Restore an object version, or delete it"
        ) from error


def kept_rates(parts: Sequence[LogPart]) -> list[float]:
    """Return the share of each part's rows that is compared: hours logged at 100 % weigh no more than others."""
    lowest = min((part.percent for part in parts), default=100)
    even = [lowest / part.percent for part in parts]
    rows = sum(part.rows * rate for part, rate in zip(parts, even, strict=True))
    return [rate * min(1.0, ROWS_KEPT / rows) for rate in even]


def read_slice(part: LogPart, rate: float, step: MonitorStep, inputs: Sequence[Input], store: ObjectStore) -> Slice:
    """Return a part's rows within the window, counted, and a share `rate` of its answers to compare."""
    table = decode(blobs.get_bytes(store, part.sha256))
    if table.num_rows != part.rows:
        raise StoreError(
            Reason.CHECKSUM_MISMATCH,
            f"{part.key} says {part.rows} rows, its file has {table.num_rows}. Restore an object version, or delete it",
        )
    start, end = (
        pa.scalar(moment(text), table.schema.field("time").type) for text in (step.window.start, step.window.end)
    )
    times = table.column("time")
    table = table.filter(pc.and_(pc.greater_equal(times, start), pc.less(times, end)))
    answers = table.filter(pc.equal(table.column("status"), ANSWERED))
    is_champion = pc.equal(answers.column("model_digest"), step.champion)
    tally = counted(table, answers.num_rows, pc.sum(is_champion).as_py() or 0)
    if rate < 1:
        is_kept = pa.array([place(id_) < rate for id_ in answers.column("prediction_id").to_pylist()], pa.bool_())
        answers, is_champion = answers.filter(is_kept), is_champion.filter(is_kept)
    return Slice(tally, answers.num_rows, chosen(answers, inputs), chosen_scores(answers.filter(is_champion)))


def place(prediction_id: str) -> float:
    """Return a number in [0, 1) by which a prediction is drawn, the same in every reading."""
    head = hashlib.sha256(prediction_id.encode()).digest()[8:16]  # the first eight decide what a pod logs
    return int.from_bytes(head, "big") / 2**64


def counted(table: pa.Table, answered: int, by_champion: int) -> Tally:
    """Count a part's requests: the rows of one lie together, with one time and latency."""
    if not table.num_rows:
        return Tally()
    columns = [np.asarray(table.column(name)) for name in ("time", "latency_microseconds", "status")]
    is_first = np.ones(table.num_rows, dtype=bool)
    is_first[1:] = np.any([column[1:] != column[:-1] for column in columns], axis=0)
    status = columns[2][is_first]
    is_refused = (status >= REFUSALS.start) & (status < REFUSALS.stop)
    failed = int(((status != ANSWERED) & ~is_refused).sum())
    return Tally(answered, by_champion, len(status), int(is_refused.sum()), failed)


def chosen(table: pa.Table, inputs: Iterable[Input]) -> dict[str, Values]:
    """Return the inputs that a table holds, in the kind that the model's schema gives them."""
    found = {}
    for item in inputs:
        name = INPUT_PREFIX + item.name
        # A candidate may give a name another type: then those rows say nothing about the champion's column.
        if name in table.column_names and (values := values_of(table.column(name), item.type)) is not None:
            found[item.name] = values
    return found


def chosen_scores(table: pa.Table) -> Values | None:
    """Return the scores that a table holds."""
    return values_of(table.column(SCORE_COLUMN), ColumnType.DOUBLE) if SCORE_COLUMN in table.column_names else None


def together(slices: Sequence[Slice], parts: tuple[LogPart, ...]) -> Log:
    """Return the slices of a window as one log."""
    tally, chunks, scores = Tally(), defaultdict(list), []
    for piece in slices:
        tally += piece.tally
        for name, values in piece.columns.items():
            chunks[name].append(values)
        if piece.scores is not None:
            scores.append(piece.scores)
    return Log(
        tally,
        sum(piece.kept for piece in slices),
        {name: joined(values) for name, values in chunks.items()},
        joined(scores) if scores else None,
        parts,
    )
