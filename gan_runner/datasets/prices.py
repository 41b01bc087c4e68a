"""Prices from a CSV file of anyone's making; what cannot be read is named by line and column."""

from __future__ import annotations

import csv
import gzip
import io
import re
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
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
DATE_NAMES = {"date", "datum", "day", "time", "timestamp", "datetime"}
DATE_FORMATS = ("%Y/%m/%d", "%d.%m.%Y", "%d.%m.%y", "%d-%m-%Y", "%d-%b-%Y", "%m/%d/%Y", "%m/%d/%y", "%d/%m/%Y")
FIX = "correct the file, or export it again"


@dataclass
class Prices:
    """Positive prices in the order of time.

    Attributes:
        values: (days, columns) float64.
        names: of the columns.
        notes: what was left out or put in order.
    """

    values: np.ndarray
    names: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass
class Sheet:
    """The cells of a CSV file.

    Attributes:
        path: where it was.
        delimiter, decimal: how it is written.
        names: of the columns.
        columns: one list of stripped cells per column.
        lines: the line number of each row.
    """

    path: Path
    delimiter: str
    decimal: str
    names: list[str]
    columns: list[list[str]]
    lines: list[int]

    def is_number(self, cell: str) -> bool:
        """Whether a cell is a number as this file writes them."""
        return NUMBER[self.decimal].fullmatch(cell) is not None

    def numbers(self, column: int) -> np.ndarray:
        """The values (rows,) of a column; gaps are NaN.

        Raises:
            DataError: a cell is neither a number nor a gap.
        """
        plain = str.maketrans({".": "", ",": "."} if self.decimal == "," else {",": ""})
        values = np.full(len(self.lines), np.nan)
        for row, cell in enumerate(self.columns[column]):
            if self.is_number(cell):
                values[row] = float(cell.translate(plain))
            elif cell.lower() not in GAPS:
                raise self.fault(f"'{cell}' is no number", row, column)
        return values

    def fault(self, what: str, row: int, column: int, id: str = "F53") -> DataError:
        """A refusal that names file, line and column."""
        place = f"{self.path}, line {self.lines[row]}, column '{self.names[column]}'"
        return DataError(f"{place}: {what} (delimiter {self.delimiter!r}, decimal {self.decimal!r})", FIX, id=id)


def read_prices(path: Path, columns: Sequence[str] | None = None) -> Prices:
    """The prices in a CSV file, plain or gzipped, with any usual delimiter, encoding, date format and decimal mark.

    Rows are sorted by the date column, if there is one. Without `columns`, prices are the adjusted close, or else
    the close, of a file with open, high, low and close; of another file all columns of numbers that have no gaps.

    Raises:
        MissingInput: there is no such file.
        DataError: a line, a column or a cell cannot be used; the message names it.
    """
    sheet = read_sheet(path)
    order, date = by_date(sheet)
    chosen = by_name(sheet, columns) if columns else by_looks(sheet, date)
    values = np.stack([sheet.numbers(j) for j in chosen], 1)
    notes = [] if order == sorted(order) else ["rows sorted by date"]
    whole = [k for k, column in enumerate(values.T) if not np.isnan(column).any()]
    if not columns and 0 < len(whole) < len(chosen):
        dropped = [sheet.names[j] for k, j in enumerate(chosen) if k not in whole]
        notes.append(f"columns with gaps left out ({len(dropped)}): {', '.join(dropped[:5])}")
        chosen, values = [chosen[k] for k in whole], values[:, whole]
    for wrong, what, id in ((np.isnan(values), "a gap", "F12"), (~(values > 0) | np.isinf(values), "no price", "F54")):
        for row, k in np.argwhere(wrong)[:1]:
            raise sheet.fault(f"'{sheet.columns[chosen[k]][row]}' is {what}", row, chosen[k], id=id)
    return Prices(values[order], tuple(sheet.names[j] for j in chosen), tuple(notes))


# -- which columns -------------------------------------------------------------------------------


def by_name(sheet: Sheet, columns: Sequence[str]) -> list[int]:
    """The columns asked for.

    Raises:
        DataError: there is no such column.
    """
    for name in columns:
        if name not in sheet.names:
            raise DataError(f"{sheet.path} has no column '{name}'", nearest(name, filter(None, sheet.names)), id="F54")
    return [sheet.names.index(name) for name in columns]


def by_looks(sheet: Sheet, date: int | None) -> list[int]:
    """The columns that seem to be prices.

    Raises:
        DataError: none does.
    """
    names = [name.lower().replace("_", " ") for name in sheet.names]
    if {"open", "high", "low", "close"} <= set(names):
        return [names.index("adj close" if "adj close" in names else "close")]
    candidates = (j for j, name in enumerate(names) if j != date and name not in ("", "volume"))
    found = [j for j in candidates if any(map(sheet.is_number, sheet.columns[j]))]
    if not found:
        what = f"{sheet.path}, line {sheet.lines[0]}: no column holds numbers (delimiter {sheet.delimiter!r})"
        raise DataError(what, FIX, id="F53")
    return found


def by_date(sheet: Sheet) -> tuple[list[int], int | None]:
    """The rows in the order of time, and the column that tells it; the file's own order where none does.

    Raises:
        DataError: a column called a date has a cell that is none, or a date comes twice.
    """
    for j, (name, cells) in enumerate(zip(sheet.names, sheet.columns, strict=True)):
        called = name.lower() in DATE_NAMES
        if not called and any(map(sheet.is_number, cells)):
            continue
        dates = parse_dates(cells)
        if isinstance(dates, int):
            if called:
                raise sheet.fault(f"'{cells[dates]}' is no date", dates, j)
            continue
        order = sorted(range(len(dates)), key=dates.__getitem__)
        for before, row in pairwise(order):
            if dates[before] == dates[row]:
                raise sheet.fault(f"'{cells[row]}' is the date of line {sheet.lines[before]} too", row, j)
        return order, j
    return list(range(len(sheet.lines))), None


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


# -- cells ---------------------------------------------------------------------------------------


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

    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
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
    return Sheet(path, delimiter, decimal_mark(columns, delimiter), names, columns, lines[1:])


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
