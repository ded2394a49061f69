"""The documentation against the code: reasons, conditions, links, commands, and what is generated."""

import ast
import importlib.util
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry

from treadle.api.crds import DEFINITIONS, crd
from treadle.api.names import PLURALS
from treadle.api.reasons import Reason
from treadle.control.engine.metrics import Metrics
from treadle.serving.metrics import Counts, Exporter, Levels

ROOT = Path(__file__).parent.parent.parent
DOCS = ROOT / "docs"
REASONS = DOCS / "reasons"
PAGES = sorted([*DOCS.rglob("*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md"])

QUIET = ("What it means", "See it", "What to do")
TROUBLE = ("What it means", "See it", "Likely causes", "What to do", "Meanwhile", "Recovery")
HAND_WRITTEN_LINES = (8, 45)

# Words of example messages that are names and values of the example, or of a library; all others are the code's.
VALUES = frozenset(
    {"KeyError", "Tree", "available", "greater", "nodes", "number", "sklearn", "than", "tree"}
    | {"carrier", "delay", "demo", "dest", "distance", "enough", "first", "flights", "laguardia", "late", "nycflights"}
    | {"Example", "exampel", "plausible", "registry", "sales", "west", "year"}
)

SHORT = {definition.short_name: definition for definition in DEFINITIONS}


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs", ROOT / "hack" / "docs.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


GENERATOR = generator()
TABLE: dict[str, Any] = yaml.safe_load((DOCS / "conditions.yaml").read_text())
ROWS = GENERATOR.rows(TABLE)


def hand_written(reason: str) -> str:
    return str((REASONS / f"{reason}.md").read_text().partition(GENERATOR.END)[2])


def sections(text: str) -> dict[str, str]:
    parts = re.split(r"^## (.+)$", text, flags=re.MULTILINE)
    return {title: body.strip() for title, body in zip(parts[1::2], parts[2::2], strict=True)}


def test_every_reason_has_a_page_and_every_page_a_reason() -> None:
    pages = {path.stem for path in REASONS.glob("*.md")} - {"README"}
    assert pages == {reason.value for reason in Reason}


def test_every_reason_of_the_table_is_in_the_enum_and_the_other_way_round() -> None:
    assert {row.reason for row in ROWS} == {reason.value for reason in Reason}


def test_the_table_has_the_conditions_that_a_status_declares() -> None:
    for definition in DEFINITIONS:
        described = crd(definition)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"][
            "properties"
        ]["conditions"]["description"]
        declared = re.findall(r"[A-Z]\w+", described)
        assert [*TABLE["kinds"][definition.kind], "Reconciling", "Stalled"] == declared, definition.kind


@pytest.mark.parametrize("reason", [reason.value for reason in Reason])
def test_a_page_has_its_sections_and_says_something_in_each(reason: str) -> None:
    has_advice = any(row.advice for row in ROWS if row.reason == reason)
    found = sections(hand_written(reason))
    assert tuple(found) == (TROUBLE if has_advice else QUIET)
    assert all(found.values())


@pytest.mark.parametrize("reason", [reason.value for reason in Reason])
def test_a_page_is_short(reason: str) -> None:
    lines = [line for line in hand_written(reason).splitlines() if line]
    assert HAND_WRITTEN_LINES[0] <= len(lines) <= HAND_WRITTEN_LINES[1]


def test_every_page_that_the_code_names_exists() -> None:
    named = {
        found
        for path in (ROOT / "operator").rglob("*.py")
        for found in re.findall(r"docs: reasons/([A-Z]\w+)", path.read_text())
    }
    assert [name for name in sorted(named) if not (REASONS / f"{name}.md").exists()] == []


def test_an_example_message_is_one_line_of_at_most_300_characters() -> None:
    for reason, message in TABLE["messages"].items():
        assert Reason(reason)
        assert len(message) <= 300 and "\n" not in message, reason
        assert all((REASONS / f"{named}.md").exists() for named in re.findall(r"docs: reasons/(\w+)", message))


def literals() -> Iterator[str]:
    """Yield every text of the code, docstrings aside; of one with values in it, the parts between them."""
    for path in (ROOT / "operator").rglob("*.py"):
        tree = ast.parse(path.read_text())
        comments = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in comments:
                yield node.value.strip()


def foreign(message: str, texts: set[str]) -> list[str]:
    """Return the words of a message that stand in no text of the code, each text taken whole."""
    told = re.sub(r"\.? docs: reasons/\w+$", "", message)
    known: set[int] = set()
    for text in texts:
        at = told.find(text)
        while at >= 0:
            end = at + len(text)
            # Not within a word.
            if not (told[:at][-1:].isalpha() and text[0].isalpha()) and not (
                text[-1].isalpha() and told[end : end + 1].isalpha()
            ):
                known.update(range(at, end))
            at = told.find(text, at + 1)
    return [found[0] for found in re.finditer(r"[A-Za-z]{4,}", told) if not known.issuperset(range(*found.span()))]


def test_an_example_message_is_in_the_words_of_the_code() -> None:
    texts = {text for text in literals() if len(text) > 3}
    strange = {reason: foreign(message, texts) for reason, message in TABLE["messages"].items()}
    assert {reason: words for reason, words in strange.items() if set(words) - VALUES} == {}


def test_nothing_generated_is_stale() -> None:
    assert GENERATOR.stale() == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'(?:src|srcset)="([^"]+)"', text):
        if re.match(r"https?:", target):
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), f"{target} does not exist"
        if anchor:
            assert anchor in anchors(linked), f"{target}: no such heading"


def anchors(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", page.read_text(), flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_name_kinds_and_fields_that_exist(page: Path) -> None:
    for command in re.findall(r"^kubectl .+$", page.read_text(), flags=re.MULTILINE):
        words = shlex.split(command)
        definition = next((SHORT[word.partition("/")[0]] for word in words if word.partition("/")[0] in SHORT), None)
        if definition is None:
            continue
        for path in re.findall(r"\{(\.(?:spec|status)\.[\w.]+)\}", command):
            assert has_field(definition.kind, path), f"{command}: {definition.kind} has no {path}"


def has_field(kind: str, path: str) -> bool:
    definition = next(definition for definition in DEFINITIONS if definition.kind == kind)
    node = crd(definition)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    for step in path.strip(".").split("."):
        node = node.get("properties", {}).get(step)
        if node is None:
            return False
    return True


def exported(registry: CollectorRegistry) -> set[str]:
    return {f"{family.name}_total" if family.type == "counter" else family.name for family in registry.collect()}


def listed(mark: str) -> set[str]:
    text = (DOCS / "concepts" / "operations.md").read_text().partition(f"<!-- metrics: {mark} -->")[2]
    table = text.strip().partition("\n\n")[0]
    return set(re.findall(r"^\| `(\w+)` \|", table, flags=re.MULTILINE))


def test_the_operators_metrics_are_listed() -> None:
    assert listed("operator") == exported(Metrics().registry)


def test_the_servers_metrics_are_listed() -> None:
    registry = CollectorRegistry()
    registry.register(Exporter(Counts(), lambda: Levels(plan=0, waiting=0, log_rows=0, log_dropped=0, ready=False)))
    assert listed("serving") == exported(registry)


def test_the_operators_settings_are_listed() -> None:
    source = (ROOT / "operator" / "treadle" / "control" / "settings.py").read_text()
    read = set(re.findall(r'(?:text|number|choice)\(\s*"([A-Z_]+)"', source))
    told = re.findall(r"`TREADLE_([A-Z_]+)`", (DOCS / "concepts" / "operations.md").read_text())
    assert set(told) == read


def test_every_kind_has_its_reference() -> None:
    assert {path.stem for path in (DOCS / "reference").glob("*.md")} == {kind.lower() for kind in PLURALS}
