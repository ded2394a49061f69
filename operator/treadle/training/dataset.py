"""A dataset version as a run sees it: which columns are for what, and the labelled rows of each part."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from treadle.api.artifacts import Input
from treadle.api.base import Json, moment
from treadle.api.datasource import ColumnType, Role
from treadle.api.names import short
from treadle.api.reasons import Reason
from treadle.api.trainingjob import DataWindow, Recipe
from treadle.store.errors import Missing
from treadle.store.manifest import read_manifest
from treadle.store.port import ObjectStore
from treadle.store.tables import Part, read_parts
from treadle.training.errors import DATA_RESOLVED, EVALUATED, Refused
from treadle.training.estimators import invalid
from treadle.training.prepare import RESERVED

AFTERWARDS = frozenset({Role.TARGET, Role.OUTCOME})
"""Roles of what is known after the event only: never a feature."""
NAMES_SHOWN = 8


@dataclass(frozen=True, slots=True)
class Columns:
    """What the columns of a version are for in one run."""

    inputs: tuple[Input, ...]
    target: str
    types: Mapping[str, ColumnType] = field(default_factory=dict)
    """Of every column of the version."""
    time: str | None = None
    id: str | None = None
    group: str | None = None
    weight: str | None = None


@dataclass(frozen=True, slots=True)
class Dataset:
    """The labelled rows that a run learns from and is judged on.

    train: rows of the window, with the columns that the fit needs. holdout: all rows, with all columns.
    """

    digest: str
    columns: Columns
    holdout_digest: str
    train: pa.Table
    holdout: pa.Table
    described: tuple[Json, ...] = ()
    """Every column of the version, as its manifest tells of it."""
    splits: Mapping[str, Json] = field(default_factory=dict)
    """The parts: digest, rows, and the span of their time."""


def read_dataset(store: ObjectStore, recipe: Recipe, digest: str) -> Dataset:
    """Return a version's rows for a recipe.

    Raises Refused: DataGone, InvalidSpec for a column that is not there, NotEnoughLabelledRows, TooFewRows for a
    holdout without labels. Raises StoreError for a store that does not answer.
    """
    try:
        manifest = read_manifest(store, "datasets", digest)
        columns = resolve(recipe, manifest["columns"], digest)
        window = recipe.data_ref.window
        train = read_split(store, manifest, "train", fit_columns(columns, window))
        holdout = read_split(store, manifest, "holdout", None)
    except Missing as error:
        raise Refused(
            Reason.DATA_GONE,
            f"version {short(digest)} is not whole: {error.message.partition('. ')[0]}. Name another version in "
            "spec.dataRef.version",
            DATA_RESOLVED,
        ) from error
    labelled_holdout = labelled(holdout, columns.target)
    if labelled_holdout.num_rows == 0:
        raise Refused(
            Reason.TOO_FEW_ROWS,
            f"none of {holdout.num_rows} holdout rows of dataset {short(digest)} has a value in {columns.target!r}; "
            "wait for labels, or enlarge the DataSource's split.fractions.holdout",
            EVALUATED,
        )
    return Dataset(
        digest=digest,
        columns=columns,
        holdout_digest=str(manifest["splits"]["holdout"]["digest"]),
        train=enough(train, columns, window),
        holdout=labelled_holdout,
        described=tuple(manifest["columns"]),
        splits=manifest["splits"],
    )


def read_split(store: ObjectStore, manifest: Json, split: str, names: Sequence[str] | None) -> pa.Table:
    """Return the rows of one part of a version; only some columns, if named."""
    return read_parts(store, [Part.parse(entry) for entry in manifest["parts"] if entry["split"] == split], names)


def resolve(recipe: Recipe, described: Sequence[Json], digest: str) -> Columns:
    """Return what a version's columns are for; described: the manifest's entries.

    Raises Refused (InvalidSpec) for a name that the version lacks, and for a feature known after the event only.
    """
    roles = {str(entry["name"]): Role(entry["role"]) for entry in described}
    target = recipe.target or first(roles, Role.TARGET)
    if target is None:
        raise invalid(
            f"spec.target: no column of dataset {short(digest)} has role target; columns are {shown(roles)}. "
            "Set spec.target, or give a column of the DataSource that role"
        )
    if target not in roles:
        raise invalid(f"spec.target: {target!r} is no column of dataset {short(digest)}; columns are {shown(roles)}")
    chosen = features(recipe, roles, target)
    inputs = tuple(
        Input(
            name=entry["name"], type=entry["type"], nullable=entry["nullable"], classification=entry["classification"]
        )
        for entry in described
        if entry["name"] in chosen
    )
    return Columns(
        inputs=inputs,
        target=target,
        types={str(entry["name"]): ColumnType(entry["type"]) for entry in described},
        time=first(roles, Role.TIME),
        id=first(roles, Role.ID),
        group=first(roles, Role.GROUP),
        weight=first(roles, Role.WEIGHT),
    )


def features(recipe: Recipe, roles: dict[str, Role], target: str) -> set[str]:
    """Return the names of the columns that the model sees."""
    include = (recipe.features.include if recipe.features is not None else None) or []
    exclude = (recipe.features.exclude if recipe.features is not None else None) or []
    for key, names in (("include", include), ("exclude", exclude)):
        for name in names:
            if name not in roles:
                raise invalid(f"spec.features.{key}: {name!r} is no column; columns are {shown(roles)}")
    for name in include:
        if name == target or roles[name] in AFTERWARDS:
            raise invalid(
                f"spec.features.include: {name!r} is the target or known after the event only (role "
                f"{roles[name].value}); a prediction cannot have it. Remove it"
            )
    wanted = include or [name for name, role in roles.items() if role is Role.FEATURE and name != target]
    chosen = set(wanted) - set(exclude)
    if not chosen:
        raise invalid(f"spec.features: no feature is left; columns are {shown(roles)}. Exclude fewer of them")
    if taken := sorted(chosen & RESERVED):
        raise invalid(
            f"spec.features: {taken[0]!r} is the name of a model's output; rename that column in the DataSource by an "
            "expression, or exclude it"
        )
    return chosen


def fit_columns(columns: Columns, window: DataWindow | None) -> list[str]:
    """Return the columns of the train part that a fit reads, each once."""
    if window is not None and (window.since or window.until) and columns.time is None:
        raise invalid("spec.dataRef.window: the dataset has no column with role time; remove the window, or give one")
    extra = [name for name in (columns.time, columns.weight) if name is not None]
    return list(dict.fromkeys([*(column.name for column in columns.inputs), columns.target, *extra]))


def enough(train: pa.Table, columns: Columns, window: DataWindow | None) -> pa.Table:
    """Return the labelled rows of the window; raise Refused (NotEnoughLabelledRows) for fewer than it asks for."""
    inside = within(train, columns.time, window)
    found = labelled(inside, columns.target)
    needed = max(1, (window.min_labelled_rows or 0) if window is not None else 0)
    if found.num_rows >= needed:
        return found
    span = "" if window is None else f" from {window.since or 'the first'} until {window.until or 'the last'}"
    raise Refused(
        Reason.NOT_ENOUGH_LABELLED_ROWS,
        f"{found.num_rows} of {train.num_rows} train rows{span} have a value in {columns.target!r}, needed are "
        f"{needed}; wait for the next version, or widen spec.dataRef.window",
        DATA_RESOLVED,
    )


def within(table: pa.Table, time: str | None, window: DataWindow | None) -> pa.Table:
    """Return the rows whose time is in the window: since inclusive, until exclusive; null is outside."""
    if window is None or time is None:
        return table
    kept = table
    for text, keep in ((window.since, pc.greater_equal), (window.until, pc.less)):
        if text is not None:
            bound = pa.scalar(moment(text), pa.timestamp("us", "UTC"))
            # A date is its first moment.
            times = kept.column(time).cast(pa.timestamp("us")).cast(pa.timestamp("us", "UTC"))
            kept = kept.filter(keep(times, bound))
    return kept


def labelled(table: pa.Table, target: str) -> pa.Table:
    """Return the rows with a label."""
    return table.filter(pc.is_valid(table.column(target)))


def weights(table: pa.Table, column: str | None) -> NDArray[np.float64] | None:
    """Return the rows' weights, shape (n,), or None; raise Refused (InvalidSpec) for one that is none."""
    if column is None:
        return None
    values = np.asarray(pc.fill_null(table.column(column).cast(pa.float64(), safe=False), float("nan")))
    bad = int((~(np.isfinite(values) & (values >= 0))).sum())
    if bad or not values.any():
        raise invalid(
            f"column {column!r} with role weight is null, negative or not finite in {bad} of {len(values)} train rows, "
            "or 0 in all; correct it in the DataSource"
        )
    return values


def groups(table: pa.Table, column: str | None) -> NDArray[np.int64] | None:
    """Return the rows' group codes 0..g-1, shape (n,), or None; null is a group."""
    if column is None:
        return None
    encoded = pc.dictionary_encode(table.column(column), null_encoding="encode").combine_chunks()
    return np.asarray(encoded.indices, dtype=np.int64)


def first(roles: dict[str, Role], wanted: Role) -> str | None:
    """Return the first column of a role, or None."""
    return next((name for name, role in roles.items() if role is wanted), None)


def shown(roles: dict[str, Role]) -> str:
    """Return column names as a message lists them."""
    names = list(roles)
    return ", ".join(names[:NAMES_SHOWN]) + (", …" if len(names) > NAMES_SHOWN else "")
