"""Files of prices with a row for each day and ticker, seen as a row for each day."""

from __future__ import annotations

from dataclasses import dataclass, field

from gan_runner.datasets.sheet import FIX, Sheet
from gan_runner.errors import DataError

TICKERS = {"ticker", "symbol", "tic", "asset", "stock", "name", "isin", "permno"}
DATES = {"date", "datum", "day", "time", "timestamp", "datetime"}
PRICES = ("adj close", "adjusted close", "adjclose", "close", "price")
"""Names of columns, the first found of the last being the price."""


@dataclass
class Widened(Sheet):
    """A sheet whose cells come from lines of their own.

    Attributes:
        origin: the line of each cell by (row, column).
    """

    origin: dict[tuple[int, int], int] = field(default_factory=dict)

    def fault(self, what: str, row: int, column: int, id: str = "F53", fix: str = FIX) -> DataError:
        lines = [*self.lines]
        lines[row] = self.origin.get((row, column), lines[row])
        return Sheet(self.path, self.written, self.decimal, self.names, self.columns, lines, self.unit).fault(
            what, row, column, id, fix
        )


def widen(sheet: Sheet) -> Sheet:
    """One row per day and one column per ticker, gaps where a ticker has no price; other sheets as they are.

    Raises:
        DataError: no column is a price, or a ticker has two prices on a day.
    """
    names = [name.lower().replace("_", " ") for name in sheet.names]
    tickers = [j for j, name in enumerate(names) if name in TICKERS and len(set(sheet.columns[j])) > 1]
    dates = [j for j, name in enumerate(names) if name in DATES]
    if not tickers or not dates or len(set(sheet.columns[dates[0]])) == len(sheet.lines):
        return sheet
    ticker, date = tickers[0], dates[0]
    price = next((names.index(name) for name in PRICES if name in names), None)
    if price is None:
        what = f"{sheet.path}, line {sheet.lines[0]}: tickers and dates, but no column named {' or '.join(PRICES)}"
        raise DataError(what, "name the column of prices so", id="F54")
    days = {day: row for row, day in enumerate(dict.fromkeys(sheet.columns[date]))}
    stocks = {name: 1 + j for j, name in enumerate(dict.fromkeys(sheet.columns[ticker]))}
    columns = [[*days], *([""] * len(days) for _ in stocks)]
    origin: dict[tuple[int, int], int] = {}
    first = {
        row: line for line, day in zip(sheet.lines[::-1], sheet.columns[date][::-1], strict=True) for row in [days[day]]
    }
    for k, (day, stock, cell) in enumerate(
        zip(sheet.columns[date], sheet.columns[ticker], sheet.columns[price], strict=True)
    ):
        place = days[day], stocks[stock]
        if place in origin:
            raise sheet.fault(f"'{stock}' has a price of {day} in line {origin[place]} too", k, ticker)
        columns[place[1]][place[0]], origin[place] = cell, sheet.lines[k]
    lines = [first[row] for row in range(len(days))]
    return Widened(
        sheet.path, sheet.written, sheet.decimal, [sheet.names[date], *stocks], columns, lines, sheet.unit, origin
    )
