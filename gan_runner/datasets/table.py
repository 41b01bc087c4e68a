"""Any table of numbers and categories, and those that come with scikit-learn."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from gan_runner.datasets.columns import Columns
from gan_runner.datasets.files import absolute, choose, digest, require
from gan_runner.datasets.inference import Rules, choose_columns, decide, label_of, without_gaps, without_index
from gan_runner.datasets.parquet import is_parquet, read_parquet
from gan_runner.datasets.sheet import Sheet, read_sheet
from gan_runner.datasets.spec import Source, Spec
from gan_runner.errors import DataError, UsageError

SKLEARN = ("breast_cancer", "wine", "iris")


def table(
    path: str | None = None,
    label: str | None = None,
    columns: Sequence[str] = (),
    ignore: Sequence[str] = (),
    categorical: Sequence[str] = (),
    numeric: Sequence[str] = (),
    missing: str = "refuse",
    levels: int = 100,
    held_out: float = 0.2,
    seed: int = 0,
) -> Source:
    """The rows of a CSV or Parquet file of numbers and categories.

    What a column is, all of its rows decide. A column of text, of codes such as 007 or of integers with at most ten
    different values is one of categories; any other column of numbers stays one of numbers, and of integers if all
    are. Refused, with what to do: a mixture of text and numbers, dates, text that differs in every row, integers that
    count the rows, more than `levels` categories, and gaps. Columns that never change stay, with a warning. A first
    column without a name that counts the rows is left out.

    Args:
        path: the file: CSV, plain or gzipped (see `sheet.read_sheet`), or Parquet if its name ends so.
        label: the column of categories that a classifier is to predict, for metrics; it is generated like any other.
        columns: the ones to take, in the order of the file; all if empty.
        ignore: columns to leave out.
        categorical, numeric: columns that are to be categories or numbers, whatever they look like.
        missing: "refuse" gaps, "drop" the rows that have one, or "keep" gaps as something to be generated: as a
            category of their own, and beside numbers as a category that says whether there is one.
        levels: most categories of a column.
        held_out: share of the rows that training never sees. Quantiles are those of the others.
        seed: decides which.

    Returns:
        A table (n, width) with `spec.groups`; `decode` gives (n, columns) numbers and levels (see `columns.Columns`).

    Raises:
        UsageError: an argument is out of range.
        MissingInput: there is no such file.
        DataError: it cannot be used; the message names line and column.
        Unavailable: the file is Parquet, and pyarrow is missing.
    """
    choose("missing", missing, ("refuse", "drop", "keep"))
    require(levels > 1, "levels", levels, "choose a number above 1")
    both = set(categorical) & set(numeric)
    require(not both, "numeric", [*numeric], f"{', '.join(both)} cannot be in dataset.categorical too")
    check_split(held_out, seed)
    if path is None:
        raise UsageError("dataset.path is not set", "set it to a CSV or Parquet file", id="F50")
    rules = Rules(label, columns, ignore, categorical, numeric, missing, levels)
    return of_sheet(read_table(absolute(path)), rules, held_out, seed)


def sklearn_table(name: str, held_out: float = 0.3, seed: int = 0) -> Source:
    """A classification table that comes with scikit-learn, its column `class` the label; see `table`.

    Args:
        name: breast_cancer (569 rows, 30 numbers, 2 classes), wine (178, 13, 3) or iris (150, 4, 3).
        held_out: share of the rows that training never sees.
        seed: decides which.

    Raises:
        UsageError: an argument is out of range.
    """
    choose("name", name, SKLEARN)
    check_split(held_out, seed)
    from sklearn import datasets

    data = getattr(datasets, f"load_{name}")()
    columns = [[str(value) for value in column] for column in data.data.T]
    columns.append([str(data.target_names[number]) for number in data.target])
    names = [*map(str, data.feature_names), "class"]
    sheet = Sheet(Path(name), "scikit-learn", ".", names, columns, [*range(1, len(data.target) + 1)], "row")
    return of_sheet(sheet, Rules(label="class"), held_out, seed)


def check_split(held_out: float, seed: int) -> None:
    require(0 <= held_out < 1, "held_out", held_out, "choose a share in [0, 1)")
    require(seed >= 0, "seed", seed, "choose 0 or more")


def encode_file(path: str | Path, coding: Columns) -> Tensor:
    """The rows (n, width) float32 of a further file, coded as those that `coding` was fitted on.

    The file needs the same columns, in any order; others are not looked at.

    Raises:
        MissingInput: there is no such file.
        DataError: a column is missing, or a cell is no number, a gap or a category that training data had not; the
            message names line and column.
    """
    return coding.encode(coding.read(read_table(absolute(path)))).float()


def read_table(path: Path) -> Sheet:
    return read_parquet(path) if is_parquet(path) else read_sheet(path)


def of_sheet(sheet: Sheet, rules: Rules, held_out: float, seed: int) -> Source:
    """The source of a sheet: columns decided by all rows, their scales by those that are not held out."""
    rest = without_index(sheet)
    notes = [] if rest is sheet else ["a first column without a name counts the rows: left out"]
    chosen = choose_columns(rest, rules)
    whole = without_gaps(rest, chosen) if rules.missing == "drop" else rest
    if len(whole.lines) < len(sheet.lines):
        notes.append(f"{len(sheet.lines) - len(whole.lines)} of {len(sheet.lines)} rows have a gap: left out")
    columns = [decide(whole, j, rules) for j in chosen]
    if not any(column.groups for column in columns):
        raise DataError(f"{sheet.path}: every column is constant", "bring data that vary", id="F54")
    values = Columns(columns).read(whole)
    seen, unseen = divide(sheet, len(values), held_out, seed)
    fitted = [column.fitted(v) for column, v in zip(columns, values[seen].T, strict=True)]
    coding = Columns(fitted, label_of(sheet, columns, rules))
    source = partial(coded, coding, (*notes, f"quantiles of {len(seen)} of {len(values)} rows"))
    name = sheet.path.name.split(".")[0]
    return source(values[seen], name, source(values[unseen], f"{name}-test") if len(unseen) else None)


def divide(sheet: Sheet, n: int, held_out: float, seed: int) -> tuple[Tensor, Tensor]:
    """Which of n rows are seen, and which are held out.

    Raises:
        DataError: there are too few.
    """
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    kept = n - round(n * held_out)
    if kept < 2 or (held_out > 0 and kept == n):
        what = f"{sheet.path} gives {kept} rows to train and {n - kept} held out"
        raise DataError(what, "change dataset.held_out, or bring a longer file", id="F54")
    return order[:kept].sort().values, order[kept:].sort().values


def coded(coding: Columns, notes: tuple[str, ...], values: Tensor, name: str, held_out: Source | None = None) -> Source:
    """Values (n, columns) as a source."""
    data, target = coding.encode(values).float(), coding.target
    classes = len(coding.levels[target]) if target is not None else 0
    return Source(
        Spec((data.shape[1],), "table", classes=classes, names=coding.names, groups=coding.groups),
        data,
        name=name,
        labels=values[:, target].long() if target is not None else None,
        held_out=held_out,
        coding=coding,
        digest=digest(data),
        notes=notes,
    )
