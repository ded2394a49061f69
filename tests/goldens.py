"""Golden files: what code made when a person last looked; TREADLE_UPDATE_GOLDEN=1 writes them anew."""

import os
from pathlib import Path
from typing import Any

import yaml

DIRECTORY = Path(__file__).parent / "golden"


def same(name: str, found: Any) -> None:
    """Assert that `found` is what the golden file says, as YAML; or write it, to be reviewed like code."""
    same_text(f"{name}.yaml", yaml.safe_dump(found, sort_keys=True, width=110, allow_unicode=True))


def same_text(name: str, text: str) -> None:
    """Assert that a text is what the golden file of that name says; or write it, to be reviewed like code."""
    path = DIRECTORY / name
    if os.environ.get("TREADLE_UPDATE_GOLDEN") == "1":
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert path.exists(), f"{path} is missing; write it with TREADLE_UPDATE_GOLDEN=1"
    assert text == path.read_text(), f"{path} differs; review, and write it with TREADLE_UPDATE_GOLDEN=1"
