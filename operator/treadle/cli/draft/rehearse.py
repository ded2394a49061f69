"""A draft tried out on the file itself, by the functions that an ingest runs: what is proposed has been read."""

import secrets
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from treadle import sql
from treadle.api.blocks import PrivacyRef
from treadle.api.datasource import DataSourceSpec, Format
from treadle.api.trainingjob import Task
from treadle.cli.draft.conclude import Tried, candidates, learnable, suits
from treadle.cli.draft.form import NoTable
from treadle.cli.draft.propose import Draft, privacy
from treadle.cli.draft.survey import plain
from treadle.data.collect import SourceFile
from treadle.data.constrain import constrain
from treadle.data.leakage import ROWS_NEEDED, predictive
from treadle.data.protect import KEY, KEY_BYTES, Protected, protect
from treadle.data.refused import Refused
from treadle.data.schema import read
from treadle.data.split import split
from treadle.data.transform import transform


def rehearse(file: SourceFile, form: Format, found: Draft) -> Tried:
    """Return what an ingest makes of a file as drafted; raise Refused where it would refuse it.

    Raises NoTable where no split puts each class where a model could learn it.
    """
    rows = protected_rows(file, form, found)
    possible, refusal = [], None
    for rule in candidates(found, rows.table.num_rows):
        try:
            parts = split(rows.table, rows.fields, rule)
        except Refused as error:
            refusal = error  # too few rows, or moments, to part them so
            continue
        possible.append((rule, parts, counts_of(parts, found)))
        if suits(possible[-1][2]):
            break
    if refusal is not None and not possible:
        raise refusal
    usable = [each for each in possible if suits(each[2])] or [each for each in possible if learnable(each[2])]
    if not usable:
        raise NoTable(
            f'"{found.target.name}" is known in so few rows, or a class of it is so rare, that no split leaves it both '
            "to learn from and to judge by; gather rows, or merge classes"
        )
    rule, parts, counts = usable[0]
    return Tried(rows.table.num_rows, rule, counts, strengths(parts["train"], found))


def protected_rows(file: SourceFile, form: Format, found: Draft) -> Protected:
    """Return the rows of a file as an ingest of the draft would split them; the key is made up, and forgotten."""
    spec = DataSourceSpec.parse(
        {
            "source": {"inline": {"configMapRef": {"name": "rows"}}},
            "format": form.dump(),
            "schema": {"columns": [each.column.dump() for each in found.columns], "onExtraColumn": "Drop"},
            "privacy": privacy(found),
        }
    )
    with sql.connect() as engine, tempfile.TemporaryDirectory() as mounts:
        key = Path(mounts) / "secrets" / PrivacyRef().name / KEY
        key.parent.mkdir(parents=True)
        key.write_text(secrets.token_hex(KEY_BYTES), encoding="ascii")
        typed = read([file], spec)
        shaped = transform(engine, typed, spec)
        constrain(engine, shaped, spec, typed.where)
        return protect(shaped, spec, Path(mounts))


def counts_of(parts: dict[str, pa.Table], found: Draft) -> dict[str, dict[str, int]]:
    """Return the labelled rows of each class in each part; of a regression, of the one class ""."""
    labels = {name: part.column(found.target.name).drop_null() for name, part in parts.items()}
    if found.target.task is Task.REGRESSION:
        return {name: {"": len(column)} for name, column in labels.items()}
    counted = {name: pc.value_counts(column).to_pylist() for name, column in labels.items()}
    return {name: {plain(row["values"]): row["counts"] for row in rows} for name, rows in counted.items()}


def strengths(train: pa.Table, found: Draft) -> dict[str, float]:
    """Return how well each feature alone tells the target, as an ingest measures it; none for few rows."""
    labelled = train.filter(pc.is_valid(train.column(found.target.name)))
    if labelled.num_rows < ROWS_NEEDED:
        return {}
    names = [each.column.name for each in found.features]
    # Squares of numbers beyond 1e154 are infinite; such a column tells nothing then.
    with np.errstate(all="ignore"):
        return {name: predictive(labelled.column(name), labelled.column(found.target.name)) for name in names}
