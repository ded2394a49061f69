"""Facts about columns to what each is for, each with its reason; nothing is read here, and nothing written."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches

from treadle import sql
from treadle.api.artifacts import OUTPUT_LABEL, OUTPUT_SCORE
from treadle.api.base import Json
from treadle.api.datasource import Classification, Column, ColumnType, Role
from treadle.api.trainingjob import Task
from treadle.cli.draft.form import NoTable
from treadle.cli.draft.signs import (
    IDS,
    SENSITIVE,
    SURE_ROWS,
    constraints,
    is_group,
    is_id,
    named,
    personal,
    time_column,
    words,
)
from treadle.cli.draft.survey import Facts, Survey

CLASSES_LIMIT = 50
"""More distinct texts are no classes of one model."""
FEW_NUMBERS = 20
"""So few distinct whole numbers are classes rather than a quantity."""
SPREAD_MOMENTS = 10
"""Distinct moments below which there is nothing to split by time."""


@dataclass(frozen=True, slots=True)
class Proposed:
    """A column of the manifest, and why it is so."""

    column: Column
    why: str = ""

    @property
    def role(self) -> Role:
        """Return what the column is for."""
        return self.column.role or Role.FEATURE


@dataclass(frozen=True, slots=True)
class Target:
    """What is to be predicted: the column of the manifest that holds it, its facts, and why it was taken."""

    name: str
    facts: Facts
    why: str
    task: Task

    @property
    def classes(self) -> list[str]:
        """Return the classes in the order in which a model knows them, numbers by size; none for a regression."""
        if self.task is Task.REGRESSION:
            return []
        texts = [text for text, _ in self.facts.values]
        return sorted(texts, key=float) if self.facts.is_number else sorted(texts)

    @property
    def positive(self) -> str | None:
        """Return the class whose probability is the score."""
        return self.classes[-1] if self.task is Task.BINARY else None


@dataclass(frozen=True, slots=True)
class Draft:
    """What a file suggests, before it is tried out."""

    columns: tuple[Proposed, ...]
    target: Target
    left_out: tuple[str, ...] = ()
    """Columns that no manifest can name, or whose values no type holds, each with the reason."""
    time: str | None = None
    """The column by whose order rows can be split."""

    @property
    def features(self) -> list[Proposed]:
        """Return the columns that a model would see."""
        return [each for each in self.columns if each.role is Role.FEATURE]

    @property
    def protected(self) -> list[Classification]:
        """Return the classes of columns that are not public."""
        found = {each.column.classification for each in self.columns}
        return [kind for kind in (Classification.PERSONAL, Classification.SENSITIVE) if kind in found]


# The draft: roles by name, type and values.


def draft(survey: Survey, wished: str | None, file: str) -> Draft:
    """Return what the columns of a file are probably for; wished: the target, if a person named one.

    Raises NoTable for a target that cannot be one, and where nothing could be.
    """
    able = [facts for facts in survey.columns if facts.type is not None and facts.nameable]
    target = chosen_target(able, survey.columns, wished, file)
    names = {facts.name.casefold() for facts in able}
    left_out = tuple(_left_out(facts) for facts in survey.columns if facts not in able)
    time = time_column(able, target.facts)
    ids = [f for f in able if f not in (target.facts, time) and is_id(f) and not personal(f)]
    identity = max(ids, key=lambda f: named(f.name, IDS), default=None)
    group = next((f for f in able if f not in (target.facts, time, identity) and is_group(f) and not personal(f)), None)
    roles = {id(target.facts): Role.TARGET, id(time): Role.TIME, id(identity): Role.ID, id(group): Role.GROUP}
    columns: list[Proposed] = []
    for facts in able:
        role = roles.get(id(facts))
        columns += proposed(facts, role, target, names)
    found = Draft(tuple(columns), replace(target, name=_name_of(columns, Role.TARGET)), left_out)
    splits = time is not None and time.nulls == 0 and time.distinct >= SPREAD_MOMENTS
    return replace(found, time=_name_of(columns, Role.TIME) if splits else None)


def _name_of(columns: Sequence[Proposed], role: Role) -> str:
    return next(each.column.name for each in columns if each.role is role)


def _left_out(facts: Facts) -> str:
    shown = repr(facts.name)[:60]
    if facts.nameable:
        return f"{shown} holds lists, objects or bytes, which no declared type takes"
    return f"{shown} has no name that a manifest may hold: 1 to 128 characters, no double quote, no control character"


def proposed(facts: Facts, role: Role | None, target: Target, names: set[str]) -> list[Proposed]:
    """Return the lines of a column: itself, and one derived of it where its texts mean something else."""
    whose = personal(facts) if role is not Role.TARGET else ""
    if whose:
        kind = Classification.SENSITIVE if whose in SENSITIVE else Classification.PERSONAL
        source = ColumnType.STRING if facts.reading else facts.type
        column = Column(name=facts.name, type=source, role=Role.NONE, classification=kind)
        return [Proposed(column, f"{whose}: stored hashed, not used")]
    role, why = (role, REASONS.get(role, "")) if role is not None else use(facts)
    if role is Role.TARGET:
        why = target.why
    assert facts.type is not None
    expression, about = None, ""
    if facts.reading is not None:
        expression, about = facts.reading.expression, facts.reading.about
    elif role in (None, Role.FEATURE) and facts.name in (OUTPUT_LABEL, OUTPUT_SCORE):
        expression, about = sql.quoted(facts.name), f'"{facts.name}" is the name of a model\'s output'
    if expression is None:
        return [Proposed(_column(facts.name, facts, role, None), why)]
    suffix = facts.reading.suffix if facts.reading else "value"
    name = unused(f"{facts.name}_{suffix}"[:120], names)
    raw = Column(name=facts.name, type=ColumnType.STRING if facts.reading else facts.type, role=Role.NONE)
    sent = "; callers send it" if role in (None, Role.FEATURE) else ""
    derived = _column(name, facts, role, expression)
    return [Proposed(raw, "as the file has it"), Proposed(derived, "; ".join(filter(None, (why, about))) + sent)]


def unused(name: str, names: set[str]) -> str:
    """Return a name that no column has yet, and take it."""
    free = next(text for text in (name, *(f"{name}_{n}" for n in range(2, 1000))) if text.casefold() not in names)
    names.add(free.casefold())
    return free


def _column(name: str, facts: Facts, role: Role | None, expression: str | None) -> Column:
    # An id and a time that splits are needed in each row whatever is declared; said, it can be read. A label may come
    # later than its row.
    surely = role in (Role.ID, Role.TIME) or (facts.rows >= SURE_ROWS and role not in (Role.NONE, Role.TARGET))
    return Column(
        name=name,
        type=facts.type,
        role=role,
        nullable=False if surely and facts.nulls == 0 else None,
        expression=expression,
        constraints=constraints(facts, role),
    )


REASONS = {
    Role.ID: "another value in each row; names the prediction",
    Role.GROUP: "repeats: intervals draw whole groups",
    Role.TIME: "orders the rows",
}


def use(facts: Facts) -> tuple[Role | None, str]:
    """Return the role of a column without a special one, and why; None: a feature."""
    if facts.nulls == facts.rows:
        return Role.NONE, "no value at all"
    if facts.distinct == 1:
        return Role.NONE, "one value throughout"
    if facts.is_time:
        return Role.NONE, "a moment as a number ages; derive what matters by an expression"
    if facts.is_text and facts.distinct > max(CLASSES_LIMIT, (facts.rows - facts.nulls) / 2):
        return Role.NONE, "almost another text in each row"
    if is_id(facts):
        return Role.NONE, "another value in each row"
    if named(facts.name, IDS) and facts.distinct > CLASSES_LIMIT and facts.type is not ColumnType.DOUBLE:
        return Role.NONE, "an identifier"
    return None, ""


# The target.

TARGETS = (
    *("target", "label", "labels", "class", "y", "outcome", "response", "ground truth"),
    *("churn", "churned", "survived", "fraud", "is fraud", "default", "defaulted", "diagnosis", "species", "converted"),
    *("late", "sold", "clicked", "quality", "grade", "price", "sale price", "rent", "income", "salary", "charges"),
)
"""Names of what is often asked for, the plainest first."""


def chosen_target(able: Sequence[Facts], every: Sequence[Facts], wished: str | None, file: str) -> Target:
    """Return the column to predict: the one that was named, else by name, else the last, else the first."""
    if wished is not None:
        facts = next((each for each in every if each.name == wished), None)
        if facts is None:
            known = [each.name for each in every]
            near = get_close_matches(wished, known, 1)
            hint = f'did you mean "{near[0]}"?' if near else f"it has {', '.join(known[:12])}"
            raise NoTable(f'--target: {file} has no column "{wished}"; {hint}')
        if refused := unfit(facts):
            raise NoTable(f'--target: column "{wished}" {refused}; name another')
        return _target(facts, "the target")
    good = [facts for facts in able if not unfit(facts) and not is_id(facts) and not personal(facts)]
    for name in TARGETS:
        for facts in good:
            if " ".join(words(facts.name)) == name:
                return _target(facts, "the target, by its name")
    for position, where in ((-1, "last"), (0, "first")):
        if able and able[position] in good:
            return _target(able[position], f"the target? It is the {where} column; else --target COLUMN")
    if good:
        return _target(good[-1], "the target? No other column could be; else --target COLUMN")
    cause = "; ".join(f'"{each.name}" {unfit(each) or "is an id or personal"}' for each in every[:3])
    raise NoTable(f"no column of {file} can be predicted: {cause}. Name one with --target COLUMN, or add it")


def unfit(facts: Facts) -> str:
    """Return why a column can be no target; empty where it can."""
    if facts.type is None:
        return "holds lists, objects or bytes"
    if not facts.nameable:
        return "has a name that no manifest may hold; rename it in the file"
    if facts.nulls == facts.rows:
        return "holds no value"
    if facts.distinct == 1:
        only = f" ({facts.values[0][0][:40]})" if facts.values and not personal(facts) else ""
        return f"holds one value{only} in all {facts.rows} rows, and a model needs two to tell apart"
    if facts.is_time:
        return "holds times, and a model predicts classes or a number"
    if facts.is_text and (facts.distinct > CLASSES_LIMIT or facts.distinct * 2 > facts.rows - facts.nulls):
        return f"holds {facts.distinct} different texts in {facts.rows} rows, which are no classes"
    return ""


def _target(facts: Facts, why: str) -> Target:
    few = facts.is_whole and facts.distinct <= FEW_NUMBERS and facts.distinct * 5 <= facts.rows - facts.nulls
    if facts.distinct == 2:
        task = Task.BINARY
    elif facts.is_number and not few:
        task = Task.REGRESSION
    else:
        task = Task.MULTICLASS
    told = (
        f"{why}; {facts.distinct} whole numbers taken as classes"
        if task is Task.MULTICLASS and facts.is_number
        else why
    )
    return Target(facts.name, facts, told, task)


def privacy(found: Draft) -> Json:
    """Return what is stored instead of the values that are not public; empty where all are."""
    return {"policies": [{"classification": kind.value, "action": "Hash"} for kind in found.protected]}
