"""Prices from a CSV file of anyone's making; what cannot be read is named by line and column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
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


def read_prices(path: Path, columns: Sequence[str] | None = None) -> Prices:
    """The prices in a CSV file, plain or gzipped, with any usual delimiter, encoding, date format and decimal mark.

    Rows are sorted by the date column, if there is one. Without `columns`, prices are the adjusted close, or else
    the close, of a file with open, high, low and close; of another file all columns of numbers that have no gaps. A
    file with a row for each day and ticker is read as one with a column for each ticker.

    Raises:
        MissingInput: there is no such file.
        DataError: a line, a column or a cell cannot be used; the message names it.
    """
    return of_sheet(widen(read_sheet(path)), columns)


def of_sheet(sheet: Sheet, columns: Sequence[str] | None = None) -> Prices:
    """The prices in a sheet with a row for each day; see `read_prices`."""
    order, told, dates = by_date(sheet)
    chosen = by_name(sheet, columns) if columns else by_looks(sheet, told)
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
    names = tuple(sheet.names[j] for j in chosen)
    return Prices(values[order], names, tuple(notes), dates, [sheet.lines[row] for row in order])


def period(prices: Prices, start: str | None, end: str | None) -> Prices:
    """The prices from one ISO date to another, both included; all from or up to there where one is None.

    Raises:
        UsageError: a date is none.
        DataError: the prices have no dates, or none in between.
    """
    if start is None and end is None:
        return prices
    first, last = iso_date("start", start or "0001-01-01"), iso_date("end", end or "9999-12-31")
    if not prices.dates:
        raise DataError(
            "dataset.start and dataset.end need a column of dates", "add one, or set both to null", id="F54"
        )
    inside = [first <= day.date() <= last for day in prices.dates]
    if not any(inside):
        what = f"no day from {first} to {last}: prices are of {prices.dates[0].date()} to {prices.dates[-1].date()}"
        raise DataError(what, "choose another dataset.start or dataset.end", id="F54")
    kept = tuple(day for day, flag in zip(prices.dates, inside, strict=True) if flag)
    return replace(
        prices, values=prices.values[inside], dates=kept, notes=(*prices.notes, f"{kept[0]:%F} to {kept[-1]:%F}")
    )


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
