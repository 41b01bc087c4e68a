"""Parquet files as sheets, so that one set of rules decides what columns are."""

from __future__ import annotations

import importlib.util
import io
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np

from gan_runner.datasets.files import read
from gan_runner.datasets.sheet import FIX, Sheet
from gan_runner.errors import DataError, Unavailable

SUFFIXES = (".parquet", ".pq")


def is_parquet(path: Path) -> bool:
    """Whether a file calls itself one."""
    return path.suffix.lower() in SUFFIXES


def read_parquet(path: Path) -> Sheet:
    """The cells of a Parquet file, as text; lines are its rows from 1 on.

    Raises:
        MissingInput: there is no such file.
        DataError: it is damaged, empty, or holds more than numbers, text, truth values and dates.
        Unavailable: pyarrow is missing.
    """
    data = read(path)
    if importlib.util.find_spec("pyarrow") is None:
        fix = "pip install pyarrow, or export the table as CSV"
        raise Unavailable(f"{path} is Parquet, which needs the package pyarrow", fix, id="F50")
    import pandas as pd

    try:
        frame: Any = pd.read_parquet(io.BytesIO(data), engine="pyarrow")
    except (ValueError, OSError, NotImplementedError, KeyError) as error:
        what = f"{path} is no Parquet file that can be read ({error})"
        raise DataError(what, "export it again", id="F53") from error
    frame = frame.reset_index() if any(frame.index.names) else frame
    names = [str(name).strip() for name in frame.columns]
    for name in names:
        if names.count(name) > 1:
            raise DataError(f"{path}: two columns are named '{name}'", FIX, id="F53")
    if frame.empty:
        raise DataError(f"{path}: the table is empty", FIX, id="F53")
    sheet = Sheet(path, "Parquet", ".", names, [], [*range(1, len(frame) + 1)], "row")
    sheet.columns = [texts(sheet, j, frame.iloc[:, j].to_numpy()) for j in range(len(names))]
    return sheet


def texts(sheet: Sheet, j: int, values: np.ndarray) -> list[str]:
    """The values of a column as the cells of a CSV file would have them.

    Raises:
        DataError: one is no scalar.
    """
    import pandas as pd

    scalars = (str, bool, int, float, np.generic, Decimal, date, type(None), type(pd.NaT), type(pd.NA))
    cells: list[str] = []
    for row, value in enumerate(values):
        if not isinstance(value, scalars):
            raise sheet.fault(f"{type(value).__name__} is neither number nor text", row, j)
        cells.append("" if value is None or value is pd.NA or value != value else str(value).strip())
    return cells
