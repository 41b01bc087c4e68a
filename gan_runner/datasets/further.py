"""Further files of the kind that a run was trained on, read as its own data were."""

from __future__ import annotations

from collections.abc import Sequence
from functools import singledispatch
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gan_runner.datasets.columns import Columns
from gan_runner.datasets.files import absolute
from gan_runner.datasets.folder import Decoder, search
from gan_runner.datasets.lambert import Lambert
from gan_runner.datasets.long import widen
from gan_runner.datasets.prices import of_sheet
from gan_runner.datasets.sheet import by_name
from gan_runner.datasets.spec import Source
from gan_runner.datasets.stocks import Returns
from gan_runner.datasets.table import read_table
from gan_runner.errors import DataError

Places = dict[str, list[object]]
"""Where each row comes from: the "line" of the file, and the "date" of a row of returns; the "file" of an image."""


def further(path: str, source: Source) -> tuple[Tensor, Places]:
    """Rows (n, *shape) float32 of a file in the scale of training, and where each comes from.

    Args:
        path: CSV or Parquet with the columns that the source is named by, in any order; others are not looked at. Of
            returns it has prices, so that its first day makes no row.

    Raises:
        MissingInput: there is no such file.
        DataError: a column is missing, or a cell cannot be used; the message names line and column.
    """
    values, places = natural(source.coding, source.spec.names, absolute(path))
    return (source.coding.encode(values) if source.coding else values).float(), places


def pictures(path: str, source: Source) -> tuple[Tensor, Places]:
    """The images (n, *shape) under a folder in the scale of training, cut to their centre square and resized.

    Raises:
        MissingInput: there is no such folder.
        DataError: it holds no images, or one that cannot be decoded; the message names it.
    """
    top, (channels, size, _) = absolute(path), source.spec.shape
    files = search(top)
    found = [*Decoder(size, channels).pictures(files)]
    for file, image in zip(files, found, strict=True):
        if not isinstance(image, np.ndarray):
            raise DataError(f"{file} {image}", "repair it, or take it out of the folder", id="F55")
    rows = Source(source.spec, torch.from_numpy(np.stack(found)))  # type: ignore[arg-type]
    return rows.take(torch.arange(len(rows))), {"file": [str(file.relative_to(top)) for file in files]}


@singledispatch
def natural(coding: object, names: Sequence[str], path: Path) -> tuple[Tensor, Places]:
    """Rows (n, columns) float64 in natural units, and their places: finite numbers, unless the coding knows better."""
    sheet = read_table(path)
    chosen = by_name(sheet, names)
    values = np.stack([sheet.numbers(j) for j in chosen], 1)
    for row, k in np.argwhere(~np.isfinite(values))[:1]:
        raise sheet.fault(f"'{sheet.columns[chosen[k]][row]}' is no finite number", row, chosen[k])
    return torch.from_numpy(values), {"line": [*sheet.lines]}


@natural.register
def _(coding: Columns, names: Sequence[str], path: Path) -> tuple[Tensor, Places]:
    sheet = read_table(path)
    return coding.read(sheet), {"line": [*sheet.lines]}


@natural.register(Returns)
@natural.register(Lambert)
def _(coding: object, names: Sequence[str], path: Path) -> tuple[Tensor, Places]:
    prices = of_sheet(widen(read_table(path)), names)
    places: Places = {"line": [*prices.lines[1:]]}
    if prices.dates:
        places["date"] = [f"{day:%Y-%m-%d}" for day in prices.dates[1:]]
    return torch.from_numpy(np.diff(np.log(prices.values), axis=0)), places
