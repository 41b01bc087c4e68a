"""The cells of anyone's CSV file; what cannot be read is named by line and column."""

from __future__ import annotations

import csv
import gzip
import io
import re
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np

from gan_runner.datasets.files import nearest, read
from gan_runner.errors import DataError

GAPS = {"", "-", ".", "na", "n/a", "#n/a", "nan", "null", "none"}
NUMBER = {
    ".": re.compile(r"[-+]?(?=\.?\d)(\d*|\d{1,3}(,\d{3})+)(\.\d*)?(e[-+]?\d+)?", re.IGNORECASE | re.ASCII),
    ",": re.compile(r"[-+]?(?=,?\d)(\d*|\d{1,3}(\.\d{3})+)(,\d*)?(e[-+]?\d+)?", re.IGNORECASE | re.ASCII),
}
"""What a number looks like under each decimal mark; the other mark may group thousands."""
PLAIN = {".": str.maketrans({",": ""}), ",": str.maketrans({".": "", ",": "."})}
DATE_FORMATS = ("%Y/%m/%d", "%d.%m.%Y", "%d.%m.%y", "%d-%m-%Y", "%d-%b-%Y", "%m/%d/%Y", "%m/%d/%y", "%d/%m/%Y")
FIX = "correct the file, or export it again"


@dataclass
class Sheet:
    """The cells of a file.

    Attributes:
        path: where it was.
        written: how, as messages tell it.
        decimal: its decimal mark.
        names: of the columns.
        columns: one list of stripped cells per column.
        lines: the line number of each row.
        unit: what `lines` count.
    """

    path: Path
    written: str
    decimal: str
    names: list[str]
    columns: list[list[str]]
    lines: list[int]
    unit: str = "line"

    def is_number(self, cell: str) -> bool:
        """Whether a cell is a number as this file writes them."""
        return NUMBER[self.decimal].fullmatch(cell) is not None

    def plain(self, cell: str) -> str:
        """A number without marks of thousands, its decimal mark a point."""
        return cell.translate(PLAIN[self.decimal])

    def numbers(self, column: int) -> np.ndarray:
        """The values (rows,) of a column; gaps are NaN.

        Raises:
            DataError: a cell is neither a number nor a gap.
        """
        values = np.full(len(self.lines), np.nan)
        for row, cell in enumerate(self.columns[column]):
            if self.is_number(cell):
                values[row] = float(self.plain(cell))
            elif cell.lower() not in GAPS:
                raise self.fault(f"'{cell}' is no number", row, column)
        return values

    def fault(self, what: str, row: int, column: int, id: str = "F53", fix: str = FIX) -> DataError:
        """A refusal that names file, line and column."""
        place = f"{self.path}, {self.unit} {self.lines[row]}, column '{self.names[column]}'"
        return DataError(f"{place}: {what} ({self.written})", fix, id=id)


def by_name(sheet: Sheet, columns: Sequence[str]) -> list[int]:
    """The columns asked for.

    Raises:
        DataError: there is no such column.
    """
    for name in columns:
        if name not in sheet.names:
            raise DataError(f"{sheet.path} has no column '{name}'", nearest(name, filter(None, sheet.names)), id="F54")
    return [sheet.names.index(name) for name in columns]


def read_sheet(path: Path) -> Sheet:
    """The cells of a CSV file whose lines are equally long, under names that differ.

    Raises:
        MissingInput: there is no such file.
        DataError: it is no regular table; the message names the line.
    """
    text = decode(path, read(path))
    head = next(line for line in text.splitlines() if line.strip())
    delimiter = max(",;\t|", key=lambda mark: len(next(csv.reader([head], delimiter=mark))))
    rows: list[list[str]] = []
    lines: list[int] = []

    def fault(line: int, what: str) -> DataError:
        return DataError(f"{path}, line {line}: {what} (delimiter {delimiter!r})", FIX, id="F53")

    quote = "'" if head.startswith("'") else '"'
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, quotechar=quote, strict=True)
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                rows.append([cell.strip() for cell in cells])
                lines.append(reader.line_num)
    except csv.Error as error:
        raise fault(reader.line_num, str(error)) from error
    names = rows[0]
    for line, row in zip(lines, rows, strict=True):
        if len(row) != len(names):
            raise fault(line, f"{len(row)} cells where line {lines[0]} has {len(names)}")
    for name in filter(None, names):
        if names.count(name) > 1:
            raise fault(lines[0], f"two columns are named '{name}'")
    if all(NUMBER["."].fullmatch(name) or isinstance(parse_dates([name]), list) for name in names):
        raise fault(lines[0], "values where the names of the columns should be")
    if len(rows) == 1:
        raise fault(lines[0], "nothing below the header")
    columns = [list(cells) for cells in zip(*rows[1:], strict=True)]
    decimal = decimal_mark(columns, delimiter)
    return Sheet(path, f"delimiter {delimiter!r}, decimal {decimal!r}", decimal, names, columns, lines[1:])


def decode(path: Path, data: bytes) -> str:
    """The text in a file: UTF-8, UTF-16 with its mark, or else Windows-1252; gzipped or not.

    Raises:
        DataError: it is empty, damaged or no text.
    """
    try:
        data = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
        text = data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("cp1252", errors="replace")
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} is a damaged gzip file ({error})", FIX, id="F53") from error
    if not text.strip():
        raise DataError(f"{path}, line 1: the file is empty", FIX, id="F53")
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise DataError(f"{path}, line {line}: this is no text", "export it as CSV in UTF-8", id="F53")
    return text


def decimal_mark(columns: Sequence[Sequence[str]], delimiter: str) -> str:
    """The comma, if some cell can only be read so, or if it could be and ";" divides the cells."""
    cells = (cell for column in columns for cell in column if "," in cell and NUMBER[","].fullmatch(cell))
    return "," if any(delimiter == ";" or not NUMBER["."].fullmatch(cell) for cell in cells) else "."


def parse_dates(cells: Sequence[str]) -> list[datetime] | int:
    """Cells as dates of one format, if possible one in which they are sorted; else the first row that is no date."""
    parsers: list[Callable[[str], datetime]] = [datetime.fromisoformat]
    parsers += [lambda cell, form=form: datetime.strptime(cell, form) for form in DATE_FORMATS]
    readings, furthest = [], 0
    for parse in parsers:
        dates: list[datetime] = []
        try:
            for cell in cells:
                dates.append(parse(cell).replace(tzinfo=None))
            readings.append(dates)
        except ValueError:
            furthest = max(furthest, len(dates))
    if not readings:
        return furthest
    return next((dates for dates in readings if dates in (sorted(dates), sorted(dates, reverse=True))), readings[0])
