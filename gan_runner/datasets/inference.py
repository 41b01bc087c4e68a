"""What the columns of a file are: numbers or categories, decided by all rows and by what the user says."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import pairwise

import numpy as np

from gan_runner.datasets.columns import Category, Column, Gappy, Number, canonical, is_code, key
from gan_runner.datasets.sheet import GAPS, Sheet, by_name, parse_dates
from gan_runner.errors import DataError

FEW = 10
"""Integers of at most so many different values are categories."""
DIGITS = 15
"""Decimals that a double can keep."""


@dataclass(frozen=True)
class Rules:
    """What the user says about columns; see `table.table`."""

    label: str | None = None
    columns: Sequence[str] = ()
    ignore: Sequence[str] = ()
    categorical: Sequence[str] = ()
    numeric: Sequence[str] = ()
    missing: str = "refuse"
    levels: int = 100


def choose_columns(sheet: Sheet, rules: Rules) -> list[int]:
    """The columns asked for, in the order of the file.

    Raises:
        DataError: one is not there, has no name, or none is left.
    """
    for names in (rules.columns, rules.ignore, rules.categorical, rules.numeric, [rules.label] if rules.label else []):
        by_name(sheet, names)
    wanted = set(rules.columns or sheet.names) - set(rules.ignore)
    if rules.label:
        wanted.add(rules.label)
    chosen = [j for j, name in enumerate(sheet.names) if name in wanted]
    for j in chosen:
        if not sheet.names[j]:
            what = f"{sheet.path}, {sheet.unit} 1: column {j + 1} has no name ({sheet.written})"
            raise DataError(what, "name it in the first line", id="F53")
    if not chosen:
        raise DataError(f"{sheet.path}: no column is left", "take some out of dataset.ignore", id="F54")
    return chosen


def without_index(sheet: Sheet) -> Sheet:
    """The columns but for a first one without a name that counts the rows."""
    if sheet.names[0] or not counts(sheet, 0):
        return sheet
    return replace(sheet, names=sheet.names[1:], columns=sheet.columns[1:])


def without_gaps(sheet: Sheet, chosen: Sequence[int]) -> Sheet:
    """The rows that have no gap in the chosen columns.

    Raises:
        DataError: there is none.
    """
    gap = np.array([[cell.lower() in GAPS for cell in sheet.columns[j]] for j in chosen]).any(0)
    rows = np.flatnonzero(~gap)
    if not len(rows):
        what = f"{sheet.path}: every row has a gap"
        raise DataError(what, "set dataset.missing=keep, or dataset.ignore the columns that have them", id="F12")
    columns = [[column[i] for i in rows] for column in sheet.columns]
    return replace(sheet, columns=columns, lines=[sheet.lines[i] for i in rows])


def decide(sheet: Sheet, j: int, rules: Rules) -> Column:
    """What a column is, by its looks or by what the user says.

    Raises:
        DataError: it cannot be used.
    """
    name, cells = sheet.names[j], sheet.columns[j]
    known = [cell for cell in cells if cell.lower() not in GAPS]
    if not known:
        raise sheet.fault("nothing but gaps", 0, j, id="F54", fix=f"set dataset.ignore=[{name}]")
    if len(known) < len(cells) and rules.missing == "refuse":
        row = next(row for row, cell in enumerate(cells) if cell.lower() in GAPS)
        fix = "set dataset.missing=drop to leave such rows out or dataset.missing=keep to generate gaps too"
        raise sheet.fault(f"'{cells[row]}' is a gap", row, j, id="F12", fix=f"{fix}, or dataset.ignore=[{name}]")
    if name in rules.categorical:
        return category(sheet, j, rules)
    if name in rules.numeric:
        for row, cell in enumerate(cells):
            if cell.lower() not in GAPS and not sheet.is_number(cell):
                fix = f"correct it, or take {name} out of dataset.numeric"
                raise sheet.fault(f"'{cell}' is no number", row, j, id="F54", fix=fix)
        return number(sheet, j)
    numbers = [] if any(is_code(sheet, cell) for cell in known) else [c for c in known if sheet.is_number(c)]
    if not numbers:
        return text(sheet, j, rules)
    if len(numbers) < len(known):
        raise mixture(sheet, j, fewer=2 * len(numbers) < len(known))
    values = {float(sheet.plain(cell)) for cell in numbers}
    if len(values) == 1 or (len(values) <= FEW and all(v.is_integer() for v in values)):
        return category(sheet, j, rules)
    if counts(sheet, j):
        fix = f"set dataset.ignore=[{name}], or dataset.numeric=[{name}] to keep it"
        raise sheet.fault("the column counts the rows", 0, j, id="F54", fix=fix)
    return number(sheet, j)


def number(sheet: Sheet, j: int) -> Number | Gappy:
    """A column of numbers, not yet fitted."""
    cells = [cell for cell in sheet.columns[j] if cell.lower() not in GAPS]
    values = [Decimal(sheet.plain(cell)) for cell in cells if sheet.is_number(cell)]
    whole = all(value == value.to_integral_value() for value in values)  # as pandas writes integers beside gaps: 79.0
    digits = 0 if whole else max(-int(value.as_tuple().exponent) for value in values)
    column = Number(sheet.names[j], min(max(digits, 0), DIGITS))
    return Gappy(column) if len(cells) < len(sheet.columns[j]) else column


def text(sheet: Sheet, j: int, rules: Rules) -> Category:
    """A column of text, unless it holds dates or identifies the rows.

    Raises:
        DataError: it does.
    """
    name, cells = sheet.names[j], sheet.columns[j]
    remedy = f"set dataset.ignore=[{name}], or dataset.categorical=[{name}] to take each text for a category"
    if isinstance(parse_dates([cell for cell in cells if cell.lower() not in GAPS]), list):
        raise sheet.fault("dates, which are not modelled", 0, j, id="F54", fix=remedy)
    if len(set(cells)) == len(cells) > 2:
        raise sheet.fault("text that differs in every row tells nothing", 0, j, id="F54", fix=remedy)
    return category(sheet, j, rules)


def category(sheet: Sheet, j: int, rules: Rules) -> Category:
    """A column of categories: numbers in their order, then text in its own.

    Raises:
        DataError: there are too many.
    """
    name = sheet.names[j]
    found = {key(text): text for text in (canonical(sheet, cell) for cell in sheet.columns[j])}
    levels = [found[k] for k in sorted(found, key=lambda k: (isinstance(k, str), k))]
    if len(levels) > rules.levels:
        remedy = f"set dataset.ignore=[{name}] or dataset.levels={len(levels)}"
        what = f"{len(levels)} different texts are more than dataset.levels={rules.levels}"
        raise sheet.fault(what, 0, j, id="F54", fix=remedy)
    if len(levels) == 1:
        warnings.warn(f"{sheet.path}: column '{name}' is always '{levels[0]}'; so it is generated", stacklevel=2)
    return Category(name, levels)


def mixture(sheet: Sheet, j: int, fewer: bool) -> DataError:
    """The refusal of a column of numbers and text, at the first cell of the kind that is rarer."""
    name, cells = sheet.names[j], sheet.columns[j]
    row = next(i for i, c in enumerate(cells) if c.lower() not in GAPS and sheet.is_number(c) == fewer)
    what = f"'{cells[row]}' is a number among text" if fewer else f"'{cells[row]}' is no number"
    return sheet.fault(what, row, j, fix=f"correct it, or set dataset.categorical=[{name}]")


def counts(sheet: Sheet, j: int) -> bool:
    """Whether a column numbers the rows, each by one more than the last."""
    cells = sheet.columns[j]
    if len(cells) < 3 or not all(cell.isdecimal() for cell in cells):
        return False
    return all(int(b) - int(a) == 1 for a, b in pairwise(cells))


def label_of(sheet: Sheet, columns: Sequence[Column], rules: Rules) -> str | None:
    """The label's name.

    Raises:
        DataError: it is a column of numbers, or of one category.
    """
    for column in columns:
        if column.name == rules.label and len(column.levels) < 2:
            what = f"{sheet.path}: the label '{column.name}' is no category with two levels or more"
            raise DataError(what, f"name another, or set dataset.categorical=[{column.name}]", id="F54")
    return rules.label
