"""Bytes of one file to columns as the file has them: text for csv, values for jsonl, Arrow for parquet."""

import csv
import io
import json
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from treadle.api.datasource import Format, FormatName
from treadle.api.reasons import Reason
from treadle.data.collect import SourceFile
from treadle.data.refused import Refused


@dataclass(frozen=True, slots=True)
class RawFile:
    """A file's columns before typing; `first_line` is the line of row 0, None where rows and lines differ."""

    name: str
    rows: int
    columns: dict[str, pa.ChunkedArray | list[object]]
    first_line: int | None

    def where(self, row: int) -> str:
        """Say where a row stands."""
        if self.first_line is None:
            return f"{self.name} row {row + 1}"
        return f"{self.name} line {self.first_line + row}"


def read_file(file: SourceFile, form: Format, names: list[str]) -> RawFile:
    """Return a file's columns; raise Refused (FormatError) with the line at which it is not what `form` says.

    names: the columns of a csv file without a header, in order.
    """
    match form.name:
        case FormatName.CSV:
            try:
                return _csv(file, form, names)
            except csv.Error as error:
                raise Refused(
                    "Fetched",
                    Reason.FORMAT_ERROR,
                    f"{file.name} cannot be read as csv: {error}. Correct the file, or format",
                ) from error
        case FormatName.JSONL:
            return _jsonl(file)
        case FormatName.PARQUET:
            return _parquet(file)


def _csv(file: SourceFile, form: Format, names: list[str]) -> RawFile:
    data = file.data.removeprefix(b"\xef\xbb\xbf")
    text = _text(file.name, data)
    header = _header(file.name, text, form) if form.header else names
    try:
        table = pacsv.read_csv(
            pa.BufferReader(data),
            read_options=pacsv.ReadOptions(column_names=header, skip_rows=0),
            parse_options=pacsv.ParseOptions(delimiter=form.delimiter, newlines_in_values=True),
            convert_options=pacsv.ConvertOptions(
                column_types=dict.fromkeys(header, pa.string()),
                null_values=[""] if form.null_values is None else form.null_values,
                strings_can_be_null=True,
            ),
        )
    except pa.ArrowInvalid as error:
        raise _ragged(file.name, text, form, len(header)) from error
    table = table.slice(1) if form.header else table
    # One line a row, so that a row's number is its line's: no quoted line break, no blank line.
    lines = data.count(b"\n") + (0 if data.endswith(b"\n") else 1)
    head = 1 if form.header else 0
    first = head + 1 if lines == table.num_rows + head else None
    return RawFile(file.name, table.num_rows, dict(zip(table.column_names, table.columns, strict=True)), first)


def _text(name: str, data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise Refused(
            "Fetched",
            Reason.FORMAT_ERROR,
            f"{name} line {line} holds byte 0x{data[error.start]:02x}, which is no UTF-8. Save the file as UTF-8",
        ) from error


def _header(name: str, text: str, form: Format) -> list[str]:
    header = next((row for row in csv.reader(io.StringIO(text, newline=""), delimiter=form.delimiter) if row), [])
    twice = [column for column in header if header.count(column) > 1]
    if twice:
        raise Refused(
            "Fetched",
            Reason.FORMAT_ERROR,
            f'{name} line 1 names column "{twice[0]}" {header.count(twice[0])} times. Rename one, or correct format',
        )
    return header


def _ragged(name: str, text: str, form: Format, width: int) -> Refused:
    """Return the refusal that names the first line with another number of fields."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=form.delimiter)
    at = 1
    for row in reader:
        if row and len(row) != width:
            return Refused(
                "Fetched",
                Reason.FORMAT_ERROR,
                f"{name} line {at} has {len(row)} fields, expected {width}. Correct the line, or format.delimiter",
            )
        at = reader.line_num + 1
    return Refused("Fetched", Reason.FORMAT_ERROR, f"{name} cannot be read as csv. Correct the file, or format")


def _jsonl(file: SourceFile) -> RawFile:
    text = _text(file.name, file.data.removeprefix(b"\xef\xbb\xbf"))
    rows: list[dict[str, object]] = []
    lines = text.splitlines()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise Refused(
                "Fetched", Reason.FORMAT_ERROR, f"{file.name} line {number} is no JSON: {error}. Correct the line"
            ) from error
        if not isinstance(row, dict):
            raise Refused(
                "Fetched",
                Reason.FORMAT_ERROR,
                f"{file.name} line {number} is no JSON object. Write one object a line, or correct format.name",
            )
        rows.append(row)
    names = dict.fromkeys(name for row in rows for name in row)
    columns: dict[str, pa.ChunkedArray | list[object]] = {name: [row.get(name) for row in rows] for name in names}
    return RawFile(file.name, len(rows), columns, 1 if len(rows) == len(lines) else None)


def _parquet(file: SourceFile) -> RawFile:
    try:
        table = pq.read_table(pa.BufferReader(file.data))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:  # damaged, an unknown encoding, cut short
        raise Refused(
            "Fetched",
            Reason.FORMAT_ERROR,
            f"{file.name} cannot be read as parquet: {str(error)[:100]}. Replace the file, or correct format.name",
        ) from error
    return RawFile(file.name, table.num_rows, dict(zip(table.column_names, table.columns, strict=True)), None)
