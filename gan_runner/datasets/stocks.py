"""Daily log-returns of stocks, as a table of days or as windows of consecutive days."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gan_runner.datasets.coding import Affine
from gan_runner.datasets.files import absolute, digest, require
from gan_runner.datasets.prices import read_prices
from gan_runner.datasets.spec import Source, Spec
from gan_runner.errors import DataError, Unavailable


def stocks(
    path: str | None = None,
    columns: Sequence[str] | None = None,
    window: int | None = None,
    stride: int = 1,
    held_out: float = 0.2,
) -> Source:
    """Log-returns log(S_t / S_(t-1)) of prices in a CSV file, standardised without looking ahead.

    Args:
        path: the file (see `prices.read_prices`); the S&P 500 from 1999 to 2018 if None.
        columns: names of the price columns; found by their looks if None.
        window: days per sample; if None each day is a sample.
        stride: days between the beginnings of two windows.
        held_out: share of the days, the last ones, that training never sees. Mean and standard deviation are those
            of the days before.

    Returns:
        A table (n, assets), or series (n, assets, window) whose windows share memory. `decode` gives returns.

    Raises:
        UsageError: an argument is out of range.
        MissingInput: there is no such file.
        DataError: it cannot be used, or is too short.
        Unavailable: `path` is None and the package that brings the S&P 500 is missing.
    """
    require(window is None or window > 1, "window", window, "choose a number above 1, or null")
    require(stride > 0, "stride", stride, "choose a number above 0")
    require(0 <= held_out < 1, "held_out", held_out, "choose a share in [0, 1)")
    file = absolute(path) if path else sp500()
    prices = read_prices(file, columns)
    returns = np.diff(np.log(prices.values), axis=0)
    days = len(returns) - round(len(returns) * held_out)
    needed, shortest = window or 2, min(days, len(returns) - days) if held_out > 0 else days
    if shortest < needed:
        what = f"{file} gives {days} returns to train and {len(returns) - days} held out; each part needs {needed}"
        raise DataError(what, "choose a smaller dataset.window or dataset.held_out, or a longer file", id="F54")
    offset, scale = moments(returns[:days], prices.names)
    coding = Affine(offset.tolist(), scale.tolist())
    scaled = coding.encode(torch.from_numpy(returns)).float()

    def source(rows: Tensor, name: str, rest: Source | None = None) -> Source:
        data = rows if window is None else rows.unfold(0, window, stride)
        return Source(
            Spec(tuple(data.shape[1:]), "table" if window is None else "series", names=prices.names),
            data,
            name=name,
            held_out=rest,
            coding=coding,
            digest=digest(data),
            notes=(*prices.notes, f"log-returns, standardised by the first {days} of {len(returns)}"),
        )

    name = file.name.split(".")[0]
    return source(scaled[:days], name, source(scaled[days:], f"{name}-test") if held_out > 0 else None)


def moments(returns: np.ndarray, names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation (columns,) of returns (rows, columns); 1, with a warning, where nothing varies."""
    scale = returns.std(0)
    constant = scale < 1e-9  # far below a basis point: rounding
    if constant.any():
        still = [name for name, flag in zip(names, constant, strict=True) if flag]
        warnings.warn(f"constant returns in the training part: {', '.join(still[:5])}; not scaled", stacklevel=3)
    return returns.mean(0), np.where(constant, 1.0, scale)


def sp500() -> Path:
    """The S&P 500's daily prices that come with the package arch, without its slow import.

    Raises:
        Unavailable: it is not installed.
    """
    package = importlib.util.find_spec("arch")
    if package is None or package.origin is None:
        raise Unavailable(
            "the S&P 500 comes with the package arch, which is missing",
            "pip install arch, or set dataset.path to a CSV file of prices",
            id="F50",
        )
    return Path(package.origin).parent / "data/sp500/sp500.csv.gz"
