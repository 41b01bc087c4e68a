"""Any table of numbers in which most rows are alike: each column by its median and its median absolute deviation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from gan_runner.datasets.coding import Affine
from gan_runner.datasets.files import absolute, choose, digest
from gan_runner.datasets.inference import Rules, choose_columns, without_gaps, without_index
from gan_runner.datasets.sheet import GAPS, Sheet
from gan_runner.datasets.spec import Source, Spec
from gan_runner.datasets.table import read_table
from gan_runner.errors import DataError, UsageError

QUARTILE = 0.6744897501960817
"""The upper quartile of the standard Gaussian: what a median absolute deviation is divided by."""


def numbers(
    path: str | None = None, columns: Sequence[str] = (), ignore: Sequence[str] = (), missing: str = "refuse"
) -> Source:
    """The rows of a CSV or Parquet file of numbers, for robust estimates and outlier scores.

    Each column is less its median, over its median absolute deviation on the scale of a Gaussian's standard deviation,
    or over its standard deviation where more than half of it is one number. That is affine, so a location and a
    scatter matrix on the scale of training have their like in natural units (`python -m gan_runner.estimate`).

    Args:
        path: the file: CSV, plain or gzipped, or Parquet if its name ends so.
        columns: the ones to take, in the order of the file; all if empty.
        ignore: columns to leave out.
        missing: "refuse" gaps, or "drop" the rows that have one.

    Raises:
        UsageError: an argument is out of range.
        MissingInput: there is no such file.
        DataError: it cannot be used; the message names line and column.
    """
    choose("missing", missing, ("refuse", "drop"))
    if path is None:
        raise UsageError("dataset.path is not set", "set it to a CSV or Parquet file", id="F50")
    sheet = without_index(read_table(absolute(path)))
    chosen = choose_columns(sheet, Rules(columns=columns, ignore=ignore))
    whole = without_gaps(sheet, chosen) if missing == "drop" else sheet
    if len(whole.lines) < 2:
        raise DataError(f"{sheet.path} gives {len(whole.lines)} rows", "bring a longer file", id="F54")
    values = np.stack([read(whole, j) for j in chosen], 1)
    centre = np.median(values, 0)
    spread = np.median(np.abs(values - centre), 0) / QUARTILE
    coding = Affine(centre.tolist(), np.where(spread > 0, spread, values.std(0)).tolist())
    data = coding.encode(torch.from_numpy(values)).float()
    dropped = len(sheet.lines) - len(whole.lines)
    return Source(
        Spec((len(chosen),), "table", names=tuple(sheet.names[j] for j in chosen)),
        data,
        name=sheet.path.name.split(".")[0],
        coding=coding,
        digest=digest(data),
        notes=(f"{dropped} of {len(sheet.lines)} rows have a gap: left out",) if dropped else (),
    )


def read(sheet: Sheet, j: int) -> np.ndarray:
    """The numbers (rows,) of column j.

    Raises:
        DataError: a cell is none, or the column never changes; the message names line and column.
    """
    leave = f"set dataset.ignore=[{sheet.names[j]}]"
    for row, cell in enumerate(sheet.columns[j]):
        if cell.lower() in GAPS:
            fix = f"set dataset.missing=drop to leave such rows out, or {leave}"
            raise sheet.fault(f"'{cell}' is a gap", row, j, id="F12", fix=fix)
        if not sheet.is_number(cell):
            raise sheet.fault(f"'{cell}' is no number", row, j, id="F54", fix=f"correct it, or {leave}")
    values = sheet.numbers(j)
    for row in np.flatnonzero(~np.isfinite(values))[:1]:
        raise sheet.fault(f"'{sheet.columns[j][row]}' is not finite", row, j, id="F54", fix=f"correct it, or {leave}")
    if np.ptp(values) == 0:
        raise sheet.fault("the column never changes", 0, j, id="F54", fix=leave)
    return values
