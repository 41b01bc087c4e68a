"""Daily log-returns of stocks, as a table of days or as windows of consecutive days."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gan_runner.datasets import lambert
from gan_runner.datasets.coding import Affine, Coding
from gan_runner.datasets.files import absolute, choose, digest, require
from gan_runner.datasets.lambert import Lambert
from gan_runner.datasets.prices import period, read_prices
from gan_runner.datasets.spec import Source, Spec
from gan_runner.errors import DataError, Unavailable

STILL = 1e-9
"""Standard deviation of daily returns that is rounding: far below a basis point."""


def stocks(
    path: str | None = None,
    columns: Sequence[str] | None = None,
    window: int | None = None,
    stride: int = 1,
    held_out: float = 0.2,
    start: str | None = None,
    end: str | None = None,
    coding: str = "standard",
) -> Source:
    """Log-returns log(S_t / S_(t-1)) of prices in a CSV file, brought to the scale of training without looking ahead.

    Args:
        path: the file (see `prices.read_prices`); the S&P 500 from 1999 to 2018 if None.
        columns: names of the price columns; found by their looks if None.
        window: days per sample; if None each day is a sample.
        stride: days between the beginnings of two windows.
        held_out: share of the days, the last ones, that training never sees. The coding is fitted to the days before.
        start, end: the first and the last day of prices, as 2009-05-01; all if None.
        coding: "standard" for mean 0 and variance 1, "lambert" for light tails besides (see `lambert.Lambert`).

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
    choose("coding", coding, CODINGS)
    file = absolute(path) if path else sp500()
    prices = period(read_prices(file, columns), start, end)
    returns = np.diff(np.log(prices.values), axis=0)
    days = len(returns) - round(len(returns) * held_out)
    needed, shortest = window or 2, min(days, len(returns) - days) if held_out > 0 else days
    if shortest < needed:
        what = f"{file} gives {days} returns to train and {len(returns) - days} held out; each part needs {needed}"
        raise DataError(what, "choose a smaller dataset.window or dataset.held_out, or a longer file", id="F54")
    code = CODINGS[coding](returns[:days], prices.names)
    scaled = code.encode(torch.from_numpy(returns)).float()

    def source(rows: Tensor, name: str, rest: Source | None = None) -> Source:
        data = rows if window is None else rows.unfold(0, window, stride)
        return Source(
            Spec(tuple(data.shape[1:]), "table" if window is None else "series", names=prices.names),
            data,
            name=name,
            held_out=rest,
            coding=code,
            digest=digest(data),
            notes=(*prices.notes, f"log-returns, coding {coding} fitted to the first {days} of {len(returns)}"),
        )

    name = file.name.split(".")[0]
    return source(scaled[:days], name, source(scaled[days:], f"{name}-test") if held_out > 0 else None)


def standard(returns: np.ndarray, names: Sequence[str]) -> Affine:
    """To mean 0 and standard deviation 1 of returns (rows, columns); unscaled, with a warning, where nothing varies."""
    scale = returns.std(0)
    constant = scale < STILL
    if constant.any():
        still = [name for name, flag in zip(names, constant, strict=True) if flag]
        warnings.warn(f"constant returns in the training part: {', '.join(still[:5])}; not scaled", stacklevel=3)
    return Affine(returns.mean(0).tolist(), np.where(constant, 1.0, scale).tolist())


def light_tailed(returns: np.ndarray, names: Sequence[str]) -> Lambert:
    """To the light tails of a Gaussian.

    Raises:
        DataError: a column does not vary.
    """
    still = [name for name, scale in zip(names, returns.std(0), strict=True) if scale < STILL]
    if still:
        what = f"constant returns in the training part: {', '.join(still[:5])}"
        raise DataError(what, "choose other columns, or set dataset.coding=standard", id="F54")
    return lambert.fit(torch.from_numpy(returns))


CODINGS: dict[str, Callable[[np.ndarray, Sequence[str]], Coding]] = {"standard": standard, "lambert": light_tailed}


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
