"""How every benchmark writes its table: bench/NAME.md for people, bench/NAME.json for programs."""

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Row:
    """One figure. The bar is of the ratio, or of ours where nothing was beside it; smaller is better."""

    name: str
    ours: float
    peer: float | None = None
    bar: float | None = None

    @property
    def ratio(self) -> float | None:
        """Ours to the peer."""
        return self.ours / self.peer if self.peer else None

    @property
    def met(self) -> bool | None:
        """Whether the bar holds; None where none was asked for."""
        figure = self.ratio if self.peer is not None else self.ours
        return None if self.bar is None or figure is None else figure <= self.bar

    def dump(self) -> dict[str, Any]:
        """Return the row as the issue's schema has it."""
        figures = {"ours": self.ours, "peer": self.peer, "ratio": self.ratio, "bar": self.bar}
        return {"name": self.name, **{key: short(value) for key, value in figures.items()}, "met": self.met}


def short(value: float | None) -> float | None:
    """Return a figure with four significant digits."""
    return None if value is None else float(f"{value:.4g}")


def machine() -> str:
    """Return what the figures belong to."""
    cpu = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            cpu = line.partition(":")[2].strip()
            break
    return f"{cpu}, {os.cpu_count()} cores, Python {platform.python_version()}, {datetime.now(UTC):%Y-%m-%d}"


def write(directory: Path, name: str, where: str, table: Sequence[Row], note: str) -> str:
    """Write both files; return the Markdown."""
    dumped = [row.dump() for row in table]
    directory.mkdir(exist_ok=True)
    (directory / f"{name}.json").write_text(json.dumps({"machine": where, "rows": dumped}, indent=1) + "\n")
    lines = [
        f"# {name}",
        "",
        f"{where}. {note}.",
        "",
        "| | ours | peer | ratio | bar | met |",
        "|--|--|--|--|--|--|",
        *("| " + " | ".join("" if row[key] is None else cell(row[key]) for key in row) + " |" for row in dumped),
    ]
    text = "\n".join(lines) + "\n"
    (directory / f"{name}.md").write_text(text)
    return text


def cell(value: Any) -> str:
    """Return a value as people write it."""
    if isinstance(value, bool):
        return "yes" if value else "**no**"
    return f"{value:g}" if isinstance(value, float) else str(value)
