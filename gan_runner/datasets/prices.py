"""Prices from a CSV file of anyone's making; what cannot be read is named by line and column."""

from __future__ import annotations

import warnings
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import pairwise
from pathlib import Path

import numpy as np

from gan_runner.datasets.long import DATES, widen
from gan_runner.datasets.sheet import FIX, Sheet, by_name, parse_dates, read_sheet
from gan_runner.errors import DataError, UsageError


@dataclass
class Prices:
    """Positive prices in the order of time.

    Attributes:
        values: (days, columns) float64.
        names: of the columns.
        notes: what was left out or put in order.
        dates: of the days; none where the file tells none.
        lines: of the file, that of each day.
    """

    values: np.ndarray
    names: tuple[str, ...]
    notes: tuple[str, ...]
    dates: tuple[datetime, ...] = ()
    lines: list[int] = field(default_factory=list)


def read_prices(
    path: Path, columns: Sequence[str] | None = None, start: str | None = None, end: str | None = None
) -> Prices:
    """The prices in a CSV file, plain or gzipped, with any usual delimiter, encoding, date format and decimal mark.

    Rows are sorted by the date column, if there is one. Without `columns`, prices are the adjusted close, or else
    the close, of a file with open, high, low and close; of another file all columns of numbers that have no gaps. A
    file with a row for each day and ticker is read as one with a column for each ticker.

    Args:
        columns: their names.
        start, end: the first and the last day, as 2009-05-01; what lies outside is not looked at.

    Raises:
        MissingInput: there is no such file.
        UsageError: `start` or `end` is no date.
        DataError: a line, a column or a cell cannot be used; the message names it. Or no day lies in between.
    """
    return of_sheet(widen(read_sheet(path)), columns, start, end)


def of_sheet(
    sheet: Sheet, columns: Sequence[str] | None = None, start: str | None = None, end: str | None = None
) -> Prices:
    """The prices in a sheet with a row for each day; see `read_prices`."""
    order, told, dates = by_date(sheet)
    if told is None:
        warnings.warn(f"{sheet.path} has no column of dates: its rows are days in the order of time", stacklevel=2)
    notes = [] if order == sorted(order) else ["rows sorted by date"]
    if start is not None or end is not None:
        inside = period(dates, start, end)
        order, dates = order[inside], dates[inside]
        notes.append(f"{dates[0]:%F} to {dates[-1]:%F}")
    chosen = by_name(sheet, columns) if columns else by_looks(sheet, told)
    values = np.stack([sheet.numbers(j) for j in chosen], 1)[order]
    whole = [k for k, column in enumerate(values.T) if not np.isnan(column).any()]
    if not columns and 0 < len(whole) < len(chosen):
        dropped = [sheet.names[j] for k, j in enumerate(chosen) if k not in whole]
        notes.append(f"columns with gaps left out ({len(dropped)}): {', '.join(dropped[:5])}")
        warnings.warn(f"{sheet.path}: {notes[-1]}; name them in dataset.columns to see where", stacklevel=2)
        chosen, values = [chosen[k] for k in whole], values[:, whole]
    for wrong, what, id in ((np.isnan(values), "a gap", "F12"), (~(values > 0) | np.isinf(values), "no price", "F54")):
        for row, k in np.argwhere(wrong)[:1]:
            cell = sheet.columns[chosen[k]][order[row]]
            fix = f"{FIX}; prices are wanted here, not returns" if id == "F54" else FIX
            raise sheet.fault(f"'{cell}' is {what}", order[row], chosen[k], id=id, fix=fix)
    return Prices(
        values, tuple(sheet.names[j] for j in chosen), tuple(notes), dates, [sheet.lines[row] for row in order]
    )


def period(dates: Sequence[datetime], start: str | None, end: str | None) -> slice:
    """Which of the days, in order, lie between two ISO dates, both included; all from or up to there where one is None.

    Raises:
        UsageError: a date is none.
        DataError: there are no days, or none in between.
    """
    first, last = iso_date("start", start or "0001-01-01"), iso_date("end", end or "9999-12-31")
    if not dates:
        what = "dataset.start and dataset.end need a column of dates"
        raise DataError(what, "add one, or set both to null", id="F54")
    days = [day.date() for day in dates]
    inside = slice(bisect_left(days, first), bisect_right(days, last))
    if not days[inside]:
        what = f"no day from {first} to {last}: prices are of {days[0]} to {days[-1]}"
        raise DataError(what, "choose another dataset.start or dataset.end", id="F54")
    return inside


def iso_date(name: str, value: str) -> date:
    """A day written as 2009-05-01.

    Raises:
        UsageError: it is written otherwise.
    """
    try:
        return date.fromisoformat(value)
    except ValueError as error:
        raise UsageError(f"dataset.{name}={value} is no date", "write it as 2009-05-01", id="F61") from error


# -- which columns -------------------------------------------------------------------------------


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
        what = f"{sheet.path}, line {sheet.lines[0]}: no column holds numbers ({sheet.written})"
        raise DataError(what, FIX, id="F53")
    return found


def by_date(sheet: Sheet) -> tuple[list[int], int | None, tuple[datetime, ...]]:
    """The rows in the order of time, the column that tells it, and their dates; the file's own order where none does.

    Raises:
        DataError: a column called a date has a cell that is none, or a date comes twice.
    """
    for j, (name, cells) in enumerate(zip(sheet.names, sheet.columns, strict=True)):
        called = name.lower() in DATES
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
        return order, j, tuple(dates[row] for row in order)
    return list(range(len(sheet.lines))), None, ()
