"""docs/conditions.yaml against the code that gives conditions, both ways, as far as syntax trees tell.

Where a reason comes out of a step's result, a record or a pod's state, ELSEWHERE names the code that puts it there, and
OPEN the places: of them the test sees no more than that source, nor a reason that another source brings. Marks
(Stalled, Reconciling) and advice it does not see. That a combination is reached is shown by the tests of each status.
"""

import ast
import importlib.util
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest
import yaml

from judgements import Judgement, Module, arguments, modules
from treadle.api.reasons import WORLD, Reason

ROOT = Path(__file__).parent.parent.parent
CODE = ROOT / "operator" / "treadle"
CONTROL = CODE / "control"
TABLE: dict[str, Any] = yaml.safe_load((ROOT / "docs" / "conditions.yaml").read_text())
KINDS = tuple(TABLE["kinds"])
ENGINE = [CONTROL / name for name in ("engine", "kube.py", "clock.py", "jobs.py")]


class Said(NamedTuple):
    """One way in which a condition gives a reason."""

    condition: str
    status: str
    reason: str


# Made by the code as it reads, which a condition around it keeps from being reached.
UNREACHED = {
    # blocked() gives it while a run is under way, and training_ready() tells of that run first.
    "ModelDeployment": {Said("TrainingReady", "False", "Running")},
    # Where a run ended for want of labelled rows, it ended with a result.
    "TrainingJob": {Said("DataResolved", "False", "ResultMissing")},
}

# Where a type or a reason comes from what was seen: (condition, or None for a stage that a step names; status).
OPEN = {
    "DataSource": {("Ready", "False"), (None, "False"), (None, "Unknown")},
    "TrainingJob": {
        *(("Complete", "False"), ("Failed", "True"), ("DataResolved", "False")),
        *((None, "True"), (None, "False"), (None, "Unknown")),
    },
    "ModelDeployment": {("Ready", "False"), ("Verified", "False"), ("CanaryHealthy", "False"), ("RolledBack", "True")},
    "Monitor": {("Ready", "False"), ("DriftDetected", "True"), ("DriftDetected", "Unknown"), (None, "Unknown")},
}


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs", ROOT / "hack" / "docs.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


ROWS = generator().rows(TABLE)


def table(kind: str) -> set[Said]:
    """Return the rows of a kind; one of two statuses gives two."""
    return {
        Said(row.condition, status, row.reason)
        for row in ROWS
        if row.kind == kind
        for status in ("True", "False", "Unknown")
        if status in row.status
    }


def judgements(kind: str) -> list[Judgement]:
    """Return every condition that a kind's package makes."""
    package = CONTROL / kind.lower()
    told = {"block": arguments(0, ("Block",), package), "found": arguments(0, ("Trouble",), package)}
    records = {name: values for name, values in told.items() if values.texts}
    return [made for name, module in modules(package, records) for made in module.judgements(name)]


def read(kind: str) -> set[Said]:
    """Return what a kind's package makes of a type that is known, and the reasons of it that are."""
    return {
        Said(condition, made.status, reason)
        for made in judgements(kind)
        if not made.types.is_open
        for condition in made.types.texts
        for reason in made.reasons.texts
    }


def module(path: str) -> Module:
    return Module((CODE / path).read_text())


def saying(condition: str, status: str, reasons: Iterable[str]) -> set[Said]:
    return {Said(condition, status, reason) for reason in reasons}


JOBS, DEPLOYMENT, GATE = (
    module(f"{path}.py") for path in ("control/jobs", "control/modeldeployment/conditions", "training/gate")
)
PODS = JOBS.mentioned("_hindrance")
ENDED = JOBS.mentioned("_ended", "_silent")
STORE = set(arguments(0, ("StoreError", "Missing"), CODE / "store").texts)
WORLDS = STORE & {reason.value for reason in WORLD}
SIGNING = {"SignatureInvalid"}
"""No fetch and no window opens a signature."""
BROKEN = module("cli/step.py").mentioned("BROKEN", "attempt")


def data_source() -> set[Said]:
    """Return what fetches come to: what an ingest refuses names its condition itself."""
    refused = {
        Said(condition, "False", reason)
        for _, found in modules(CODE / "data")
        for name in ("Refused", "invalid")
        for _, (conditions, second) in found.calls(name, 0, 1)
        for condition in conditions.texts
        for reason in (second.texts if name == "Refused" else {"InvalidSpec"})
    }
    # sql.py is told by its caller for which condition it refuses.
    caller = {Said(condition, "False", "InvalidSpec") for condition in ("SchemaValid", "QualityPassed")}
    sources = set(arguments(0, ("StoreError",), CODE / "data").texts)
    trouble = saying("Fetched", "False", WORLDS - SIGNING | sources | ENDED | BROKEN - {"TrainingError"})
    stages = refused | caller | trouble
    return stages | saying("Ready", "False", {said.reason for said in stages} | PODS)


def training_job() -> set[Said]:
    """Return what runs come to: what a train step refuses names its stage, by a constant."""
    stages = module("training/errors.py").constants
    refused = {
        Said(condition, "False", reason)
        for _, found in modules(CODE / "training", imported=stages)
        for _, (reasons, conditions) in found.calls("Refused", 0, 2)
        for condition in conditions.texts
        for reason in reasons.texts
    }
    good = module("control/trainingjob/status.py").constants["GOOD"]
    assert isinstance(good, ast.Dict)
    passed = {
        Said(ast.literal_eval(stage), "True", Reason[reason.attr].value)
        for stage, reason in zip(good.keys, good.values, strict=True)
        if stage is not None and isinstance(reason, ast.Attribute)
    }
    verdicts = {
        *saying("GatePassed", "True", {"NoChampion"} & GATE.mentioned("conclude")),
        *saying("GatePassed", "False", GATE.mentioned("reason_of")),
        *saying(
            "GatePassed", "Unknown", GATE.mentioned("conclude", "inconclusive") - {"NoChampion", "AllChecksPassed"}
        ),
    }
    published = saying("Registered", "False", {"PublishFailed"})
    final = {said.reason for said in refused if Reason(said.reason) not in WORLD} | ENDED
    ends = saying("Complete", "False", final | WORLDS | PODS) | saying("Failed", "True", final)
    return refused | passed | verdicts | published | ends


def model_deployment() -> set[Said]:
    """Return what pods tell of a model, and what a trial's record holds."""
    refusals = DEPLOYMENT.mentioned("VERIFICATION")
    return {
        *saying("Verified", "False", refusals),
        *saying("Ready", "False", refusals | WORLDS),
        *saying("CanaryHealthy", "False", DEPLOYMENT.mentioned("CANARY_FAULTS")),
        *saying("RolledBack", "True", DEPLOYMENT.mentioned("ASKED", "rolled_back") - {"NotRolledBack"}),
    }


def monitor() -> set[Said]:
    """Return what windows come to: each finding is made by a function of its name."""
    verdict = module("monitoring/verdict.py")
    found = {
        Said("".join(word.title() for word in function.split("_")), status, reason)
        for function, (statuses, reasons) in verdict.calls("finding", 0, 1)
        for status in statuses.texts
        for reason in reasons.texts
    }
    drift = {Said("DriftDetected", said.status, said.reason) for said in found if said.condition == "DriftSuspected"}
    gone = set(arguments(0, ("StoreError",), CODE / "monitoring").texts)
    return {
        *found,
        *drift,
        *saying("QualityBreached", "True", verdict.mentioned("PHRASES")),
        *saying("Ready", "False", WORLDS - SIGNING | gone | ENDED | PODS | BROKEN - {"TrainingError"}),
    }


ELSEWHERE = {
    "DataSource": data_source,
    "TrainingJob": training_job,
    "ModelDeployment": model_deployment,
    "Monitor": monitor,
}


def stopping(kind: str) -> set[Said]:
    """Return with which reasons a pass of this kind is stopped, which its summary tells."""
    summary = next(iter(TABLE["kinds"][kind]))
    return saying(summary, "False", arguments(0, ("Invalid", "Wait"), *ENGINE, CONTROL / kind.lower()).texts)


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_code_says_is_in_the_table(kind: str) -> None:
    code = read(kind) | ELSEWHERE[kind]() | stopping(kind)
    told = {said for said in code if said.reason != "NotJudged"}  # of every condition of every kind
    assert told - table(kind) == UNREACHED.get(kind, set())


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_table_says_is_in_the_code(kind: str) -> None:
    assert table(kind) - read(kind) - ELSEWHERE[kind]() - stopping(kind) == set()


@pytest.mark.parametrize("kind", KINDS)
def test_where_no_tree_tells_type_or_reason(kind: str) -> None:
    found = {
        (condition, made.status)
        for made in judgements(kind)
        if made.types.is_open or made.reasons.is_open
        for condition in ([None] if made.types.is_open else made.types.texts)
    }
    assert found == OPEN[kind]


GROUPS = {"pods": PODS, "ended": ENDED, "store": WORLDS - SIGNING}


@pytest.mark.parametrize(("group", "reasons"), GROUPS.items(), ids=GROUPS.keys())
def test_a_group_holds_what_its_code_says(group: str, reasons: set[str]) -> None:
    assert set(TABLE["groups"][group]) == reasons


def test_every_reason_is_said_somewhere() -> None:
    trees = [ast.walk(ast.parse(path.read_text())) for path in CODE.rglob("*.py") if path.name != "reasons.py"]
    said = {node.attr for tree in trees for node in tree if isinstance(node, ast.Attribute)}
    assert [reason.name for reason in Reason if reason.name not in said] == []


SOURCES = {
    "a reason as it stands": ("no('A', Reason.RUNNING)", {"Running"}, False),
    "one of two": ("no('A', Reason.RUNNING if x else R.IDLE)", {"Running", "Idle"}, False),
    "a variable": ("y = Reason.IDLE\n    no('A', y)", {"Idle"}, False),
    "a function's": ("no('A', given())", {"Settled"}, False),
    "a parameter's": ("passed(Reason.WAITING)", {"Waiting"}, False),
    "a dictionary's": ("no('A', NAMES[x])", {"Free", "Enough"}, False),
    "a record's, or another": ("no('A', x.reason or Reason.IDLE)", {"Idle"}, True),
    "outside a function": ("0\n\nMADE = no('A', Reason.FREE)", {"Free"}, False),
    "not named": ("unknown('A')", {"NotJudged"}, False),
}


@pytest.mark.parametrize(("call", "reasons", "is_open"), SOURCES.values(), ids=SOURCES.keys())
def test_how_a_tree_is_read(call: str, reasons: set[str], is_open: bool) -> None:
    source = f"""
NAMES = {{1: Reason.FREE, 2: Reason.ENOUGH}}

def given():
    return Reason.SETTLED

def passed(reason):
    return no("A", reason)

def said(x):
    {call}
"""
    made = [made for made in Module(source).judgements() if made.reasons.texts]
    assert [(set(one.types.texts), set(one.reasons.texts), one.reasons.is_open) for one in made] == [
        ({"A"}, reasons, is_open)
    ]
