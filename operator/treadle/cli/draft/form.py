"""How a file of rows is written: its format by its content, its delimiter and header by its first lines."""

import csv
import io
import re

from treadle.api.datasource import Format, FormatName
from treadle.data.collect import SourceFile


class NoTable(ValueError):
    """A file that cannot become a DataSource; the message is the one line that a person reads."""


MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"PK\x03\x04", "a zip archive or an Excel workbook; unpack it, or save the sheet as csv in UTF-8"),
    (b"\xd0\xcf\x11\xe0", "an Excel workbook; save the sheet as csv in UTF-8"),
    (b"\x1f\x8b", "compressed by gzip; unpack it: gunzip FILE"),
    (b"BZh", "compressed by bzip2; unpack it: bunzip2 FILE"),
    (b"\x28\xb5\x2f\xfd", "compressed by zstd; unpack it: unzstd FILE"),
    (b"\xfd7zXZ", "compressed by xz; unpack it: unxz FILE"),
    (b"SQLite format 3", "an SQLite database; export one of its tables as csv"),
    (b"ARROW1", "an Arrow file; write it as Parquet"),
    (b"\xff\xfe", "text in UTF-16; convert it: iconv -f UTF-16 -t UTF-8"),
    (b"\xfe\xff", "text in UTF-16; convert it: iconv -f UTF-16 -t UTF-8"),
)
DELIMITERS = (",", ";", "\t", "|")
LINES_SNIFFED = 100


def form_of(file: SourceFile) -> tuple[Format, list[str]]:
    """Return how a file is written, and the names of its columns where it has no header; by content, not by name."""
    if not file.data.strip():
        raise NoTable(f"{file.name} is empty; expected a table in csv, Parquet or JSON lines")
    if file.data.startswith(b"PAR1"):
        return Format(name=FormatName.PARQUET), []
    for begin, what in MAGIC:
        if file.data.startswith(begin):
            raise NoTable(f"{file.name} is {what}")
    first = file.data.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    if first == b"{":
        return Format(name=FormatName.JSONL), []
    if first == b"[":
        raise NoTable(f"{file.name} is one JSON list; write one object a line: jq -c '.[]' {file.name}")
    if first == b"<":
        raise NoTable(f"{file.name} is XML or HTML; expected a table in csv, Parquet or JSON lines")
    return csv_form(file.data[: 1 << 20].removeprefix(b"\xef\xbb\xbf").decode(errors="replace"))


def csv_form(text: str) -> tuple[Format, list[str]]:
    """Return delimiter and header of a csv text, and names for the columns of one without a header.

    The delimiter is the one that cuts the most lines into as many fields as the first, then into the most fields.
    """
    lines = {mark: _sample(text, mark) for mark in DELIMITERS}
    agreeing = {mark: sum(len(row) == len(rows[0]) > 1 for row in rows) if rows else 0 for mark, rows in lines.items()}
    delimiter = max(DELIMITERS, key=lambda mark: (agreeing[mark], len(lines[mark][0]) if lines[mark] else 0))
    rows = lines[delimiter]
    if not rows or has_header(rows):
        return Format(name=FormatName.CSV, delimiter=delimiter), []
    names = [f"column_{number}" for number in range(1, len(rows[0]) + 1)]
    return Format(name=FormatName.CSV, delimiter=delimiter, header=False), names


def _sample(text: str, delimiter: str) -> list[list[str]]:
    """Return the first rows that are not blank, without the last, which may be cut; a text beyond repair has few."""
    rows: list[list[str]] = []
    try:
        for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter):
            if row:
                rows.append(row)
            if len(rows) > LINES_SNIFFED:
                break
    except csv.Error:
        pass  # read_file says what is wrong, and where
    return rows[:LINES_SNIFFED]


def has_header(rows: list[list[str]]) -> bool:
    """Say whether the first row names the columns: it does unless every column of numbers begins with a number."""
    first, rest = rows[0], [row for row in rows[1:] if len(row) == len(rows[0])]
    numeric = [
        position
        for position in range(len(first))
        if rest and all(NUMBER.fullmatch(row[position].strip()) for row in rest if row[position].strip())
    ]
    return not numeric or not all(NUMBER.fullmatch(first[position].strip()) for position in numeric)


NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
