"""Two versions in plain words: what differs, and what the numbers say of it."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from treadle.api.causes import cause
from treadle.api.names import short
from treadle.cli.cluster import Object
from treadle.cli.trace.book import Data, Run
from treadle.cli.trace.chain import bounded

NO_RECIPE = frozenset({"modelName", "trigger", "suspend", "jobTemplate", "storeRef"})
"""Of a run's spec: what it is called, who asked, and where its Job ran."""


@dataclass(frozen=True, slots=True)
class Side:
    """A dataset version with what its manifest tells, where that was read."""

    data: Data
    manifest: Object = field(default_factory=dict)

    @property
    def rows(self) -> int | None:
        return self.data.rows if self.data.rows is not None else self.manifest.get("rows")

    @property
    def splits(self) -> Object:
        return self.data.splits or self.manifest.get("splits") or {}


@dataclass(frozen=True, slots=True)
class Made:
    """A run with its data and the recipe that its model's manifest holds, where that was read."""

    run: Run
    data: Side
    recipe: Object = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What a person calls it."""
        return f"{self.run.version} ({short(self.run.digest)})" if self.run.digest else self.run.title


@dataclass(frozen=True, slots=True)
class Row:
    """A value on both sides; equal ones are left out, but for what must stand beside something."""

    what: str
    left: str
    right: str


@dataclass(frozen=True, slots=True)
class Section:
    """Rows about one thing, with what is to be said of them."""

    title: str
    rows: tuple[Row, ...] = ()
    said: tuple[str, ...] = ()


def of_runs(left: Made, right: Made) -> list[Section]:
    """Return how two runs, or the models that they made, differ."""
    return [what(left, right), of_data(left.data, right.data), recipe(left, right), metrics(left, right),
            gate(left, right), environment(left, right)]  # fmt: skip


def what(left: Made, right: Made) -> Section:
    """Return which two are compared."""
    one, other = left.run, right.run
    said = []
    if one.digest and one.digest == other.digest:
        said.append(f"the same model, byte for byte: {short(one.digest)}")
    rows = [
        Row("run", one.title, other.title),
        Row("ended", one.ended or "not yet", other.ended or "not yet"),
        Row("cause", cause(one.spec.get("trigger") or {}), cause(other.spec.get("trigger") or {})),
    ]
    return Section("What", tuple(rows), tuple(said))


def of_data(left: Side, right: Side) -> Section:
    """Return how two dataset versions differ: rows, spans, columns."""
    if left.data.digest == right.data.digest:
        return Section("Data", said=(f"the same: {left.data.title}",))
    rows = [Row("version", left.data.title, right.data.title), *counted("rows", left.rows, right.rows)]
    names = [name for name in ("train", "validation", "holdout") if name in left.splits or name in right.splits]
    for name in names:
        one, other = left.splits.get(name) or {}, right.splits.get(name) or {}
        rows += counted(f"{name} rows", one.get("rows"), other.get("rows"))
        rows += different([(f"{name} span", span(one), span(other))])
    said = list(columns(left.manifest.get("columns"), right.manifest.get("columns")))
    if left.manifest and right.manifest:
        same = left.manifest["rulesDigest"] == right.manifest["rulesDigest"]
        said.append(
            "made by the same rules" if same else "made by other rules: schema, filter, privacy, checks or split"
        )
    elif not (left.splits and right.splits):
        said.append("parts and columns stand in the bucket, which was not read")
    return Section("Data", tuple(rows), tuple(said))


def columns(left: Sequence[Object] | None, right: Sequence[Object] | None) -> Iterator[str]:
    """Yield how the columns of two versions differ; nothing where a manifest was not read."""
    if left is None or right is None:
        return
    one, other = ({row["name"]: row for row in rows} for rows in (left, right))
    yield from (
        f"column {name} is new ({other[name]['type']}, {other[name]['role']})" for name in other if name not in one
    )
    yield from (f"column {name} is gone" for name in one if name not in other)
    for name in one:
        for key in ("type", "role", "classification", "nullable", "action"):
            was, is_ = one[name].get(key), other.get(name, one[name]).get(key)
            if was != is_:
                yield f"column {name}: {key} {shown(was)} → {shown(is_)}"
    if [*one] != [*other] and {*one} == {*other}:
        yield "the columns stand in another order"
    if one == other:
        yield f"the same {len(one)} columns"


def recipe(left: Made, right: Made) -> Section:
    """Return which fields of the recipe differ."""
    has_specs = "estimator" in left.run.spec and "estimator" in right.run.spec
    if not has_specs and not (left.recipe and right.recipe):
        return Section("Recipe", said=("not known: a TrainingJob is gone, and its model's manifest was not read",))
    one, other = (flat(side.run.spec if has_specs else side.recipe) for side in (left, right))
    paths = sorted({*one, *other})
    rows = different((path, one.get(path, "absent"), other.get(path, "absent")) for path in paths)
    part = "" if has_specs else "only what decides about the model's bytes is kept of a run whose TrainingJob is gone"
    said = [*([] if rows else ["the same"]), *([part] if part else [])]
    return Section("Recipe", tuple(rows), tuple(said))


def metrics(left: Made, right: Made) -> Section:
    """Return both sides' metrics with their intervals, and the paired difference where the gate compared these two."""
    one, other = ({(row["name"], row.get("slice")): row for row in side.run.metrics} for side in (left, right))
    rows = [
        Row(name if part is None else f"{name}, {part}", side_of(one, (name, part)), side_of(other, (name, part)))
        for name, part in dict.fromkeys([*one, *other])
    ]
    return Section("Metrics", tuple(rows), tuple(comparability(left, right)))


def comparability(left: Made, right: Made) -> Iterator[str]:
    """Yield what may be concluded from two sides' metrics."""
    one, other = left.run.gate.get("holdoutDigest"), right.run.gate.get("holdoutDigest")
    if one and other:
        yield (
            f"both on the same holdout rows ({short(one)})"
            if one == other
            else "on different holdout rows: the values do not compare as they stand, but for a paired difference below"
        )
    paired = list(pairs(left, right)) + list(pairs(right, left))
    yield from paired
    if one and other and not paired:
        yield "the gate did not compare these two, so that no paired difference is known"


def pairs(challenger: Made, champion: Made) -> Iterator[str]:
    """Yield the paired difference of a run's gate, where its champion was the other side's model."""
    found = challenger.run.gate
    if champion.run.digest and found.get("champion") == champion.run.digest and found.get("difference"):
        metric = (challenger.run.spec.get("gate") or {}).get("metric") or (
            challenger.run.spec.get("objective") or {}
        ).get("metric", "the objective")
        rows = f" on the same {found['rows']} rows" if found.get("rows") else ""
        yield (
            f"paired difference of {metric}, {challenger.name} less {champion.name}{rows}, positive when better: "
            f"{bounded(found['difference'])}"
        )


def gate(left: Made, right: Made) -> Section:
    """Return both verdicts, and the checks that ended differently."""
    rows = [Row("verdict", left.run.verdict, right.run.verdict)]
    one, other = (
        {check["name"]: f"{check['result']}: {bounded(check)}, needed {check['threshold']}" for check in checks}
        for checks in (left.run.gate.get("checks") or (), right.run.gate.get("checks") or ())
    )
    names = dict.fromkeys([*one, *other])
    rows += different((name, one.get(name, "not checked"), other.get(name, "not checked")) for name in names)
    said = [f"{side.name}: {side.run.message.partition(' docs: ')[0]}" for side in (left, right) if side.run.message]
    return Section("Gate", tuple(rows), tuple(said))


def environment(left: Made, right: Made) -> Section:
    """Return whether both were made with the same packages."""
    one, other = (side.run.status.get("environment") or {} for side in (left, right))
    form = (left.run.model.get("format", ""), right.run.model.get("format", ""))
    rows = different(
        [
            ("packages", short(one.get("packagesDigest", "")), short(other.get("packagesDigest", ""))),
            ("treadle", one.get("sourceRevision", ""), other.get("sourceRevision", "")),
            ("format", *form),
        ]
    )
    return Section("Environment", tuple(rows), () if rows else ("the same packages and format",))


def of_versions(left: Side, right: Side) -> list[Section]:
    """Return how two dataset versions differ."""
    published = Row("published", left.data.published or "unknown", right.data.published or "unknown")
    return [Section("What", (published,)), of_data(left, right)]


# Values.


def flat(value: object, path: str = "") -> dict[str, str]:
    """Return a recipe's fields by their paths; a list of named things is told by their names."""
    if isinstance(value, Mapping):
        found: dict[str, str] = {}
        for key, item in value.items():
            if path or key not in NO_RECIPE:
                found |= flat(item, f"{path}.{key}" if path else str(key))
        return {key: text for key, text in found.items() if key != "dataRef.version"}
    if isinstance(value, list) and value and all(isinstance(item, Mapping) and "name" in item for item in value):
        return flat({item["name"]: {key: of for key, of in item.items() if key != "name"} for item in value}, path)
    return {path: shown(value)}


def different(rows: Iterable[tuple[str, str, str]]) -> list[Row]:
    """Return the rows whose sides differ."""
    return [Row(*row) for row in rows if row[1] != row[2]]


def counted(name: str, left: int | None, right: int | None) -> list[Row]:
    """Return a count on both sides, with how much it grew; nothing where it is the same."""
    if left == right:
        return []
    more = f" ({right - left:+d})" if left is not None and right is not None else ""
    return [Row(name, "unknown" if left is None else str(left), f"{'unknown' if right is None else right}{more}")]


def span(part: Object) -> str:
    """Return the span of a part's time."""
    return f"{part['from']} to {part['until']}" if "from" in part else "no time"


def side_of(rows: Mapping[tuple[str, str | None], Object], key: tuple[str, str | None]) -> str:
    """Return a metric of one side."""
    return bounded(rows[key]) if key in rows else "not measured"


def shown(value: object) -> str:
    """Return a value as a person writes it."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)


# As text and as JSON.


def lines(left: str, right: str, sections: Sequence[Section]) -> Iterator[tuple[str, str]]:
    """Yield text and style of each line."""
    yield f"{left} → {right}", "bold"
    for section in sections:
        yield section.title, "dim"
        width = max((len(row.what) for row in section.rows), default=0)
        wide = max((len(row.left) for row in section.rows), default=0)
        beside = section.title == "Metrics"
        for row in section.rows:
            arrow = "   " if beside else " → "
            same = row.left if row.left == row.right and not beside else f"{row.left:<{wide}}{arrow}{row.right}"
            yield f"  {row.what:<{width}}  {same}", ""
        yield from ((f"  {text}", "") for text in section.said)


def document(left: str, right: str, sections: Sequence[Section], notes: Sequence[str]) -> Object:
    """Return a comparison as a program reads it."""
    return {
        "left": left,
        "right": right,
        "sections": {
            section.title.lower(): {
                "rows": [{"what": row.what, "left": row.left, "right": row.right} for row in section.rows],
                "said": list(section.said),
            }
            for section in sections
        },
        "notes": list(notes),
    }
