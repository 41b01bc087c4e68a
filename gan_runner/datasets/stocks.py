"""Daily log-returns of stocks, as a table of days or as windows of consecutive days."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from gan_runner.datasets import lambert
from gan_runner.datasets.coding import Affine, Coding
from gan_runner.datasets.files import absolute, choose, digest, require
from gan_runner.datasets.lambert import Lambert
from gan_runner.datasets.panels import BUNDLES, bundled, online
from gan_runner.datasets.prices import read_prices
from gan_runner.datasets.spec import Source, Spec
from gan_runner.errors import DataError


class Returns(Affine):
    """The standardising of log-returns; a further file of such rows is one of prices (see `further.natural`)."""


STILL = 1e-9
"""Standard deviation of daily returns that is rounding: far below a basis point."""


def stocks(
    path: str | None = None,
    bundle: str = "sp500",
    tickers: Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
    window: int | None = None,
    stride: int = 1,
    held_out: float = 0.2,
    start: str | None = None,
    end: str | None = None,
    coding: str = "standard",
    root: str = "~/.cache/gan_runner",
) -> Source:
    """Log-returns log(S_t / S_(t-1)) of daily prices, brought to the scale of training without looking ahead.

    Args:
        path: a CSV file (see `prices.read_prices`).
        bundle: where there is neither a path nor tickers, prices that come with a package (see `panels.bundled`).
        tickers: names of stocks whose adjusted closes are downloaded.
        columns: names of the price columns; found by their looks if None.
        window: days per sample; if None each day is a sample.
        stride: days between the beginnings of two windows.
        held_out: share of the days, the last ones, that training never sees. The coding is fitted to the days before.
        start, end: the first and the last day of prices, as 2009-05-01; all if None.
        coding: "standard" for mean 0 and variance 1, "lambert" for light tails besides (see `lambert.Lambert`).
        root: where downloads are kept.

    Returns:
        A table (n, assets), or series (n, assets, window) whose windows share memory. `decode` gives returns.

    Raises:
        UsageError: an argument is out of range.
        MissingInput: there is no such file, or no such ticker.
        DataError: the prices cannot be used, or are too few.
        Unavailable: the package that brings or fetches the prices is missing.
    """
    cut = Cut(window, stride, held_out, coding)
    choose("bundle", bundle, BUNDLES)
    require(not (path and tickers), "tickers", tickers, "give either dataset.path or dataset.tickers")
    file = online(tickers, start, end, root) if tickers else absolute(path) if path else bundled(bundle)
    prices = read_prices(file, columns or tickers, start, end)
    returns = np.diff(np.log(prices.values), axis=0)
    name = file.name.split(".")[0]
    return of_returns(returns, prices.names, name, prices.notes, cut)


@dataclass(frozen=True)
class Cut:
    """How a series of days becomes samples; see `stocks`.

    Raises:
        UsageError: an argument is out of range.
    """

    window: int | None
    stride: int
    held_out: float
    coding: str

    def __post_init__(self) -> None:
        require(self.window is None or self.window > 1, "window", self.window, "choose a number above 1, or null")
        require(self.stride > 0, "stride", self.stride, "choose a number above 0")
        require(0 <= self.held_out < 1, "held_out", self.held_out, "choose a share in [0, 1)")
        choose("coding", self.coding, CODINGS)


def of_returns(
    returns: np.ndarray,
    names: tuple[str, ...],
    name: str,
    notes: tuple[str, ...],
    cut: Cut,
    outlier: np.ndarray | None = None,
    law: Mapping[str, float] | None = None,
) -> Source:
    """The source of log-returns (days, assets).

    Args:
        outlier: (days,) flags of those that a simulator has planted; they become labels and truth of a table.
        law: numbers of a simulator, which become truth.

    Raises:
        DataError: there are too few days.
    """
    days = len(returns) - round(len(returns) * cut.held_out)
    needed, shortest = cut.window or 2, min(days, len(returns) - days) if cut.held_out > 0 else days
    if shortest < needed:
        what = f"{name} gives {days} returns to train and {len(returns) - days} held out; each part needs {needed}"
        raise DataError(what, "choose a smaller dataset.window or dataset.held_out, or more days", id="F54")
    code = CODINGS[cut.coding](returns[:days], names)
    scaled = code.encode(torch.from_numpy(returns)).float()
    known = torch.from_numpy(outlier) if outlier is not None and cut.window is None else None
    truth = {key: torch.tensor(value, dtype=torch.float64) for key, value in (law or {}).items()}

    def source(part: slice, name: str, rest: Source | None = None) -> Source:
        data = scaled[part] if cut.window is None else scaled[part].unfold(0, cut.window, cut.stride)
        kind = "table" if cut.window is None else "series"
        plain = Source(
            Spec(tuple(data.shape[1:]), kind, classes=0 if known is None else 2, names=names),
            data,
            name=name,
            held_out=rest,
            truth=truth,
            coding=code,
            digest=digest(data),
            notes=(*notes, f"log-returns, coding {cut.coding} fitted to the first {days} of {len(returns)}"),
        )
        if known is None:
            return plain
        planted = {"outlier": known[part], "eps": known[part].double().mean()}
        return replace(plain, labels=known[part].long(), truth=truth | planted)

    rest = source(slice(days, None), f"{name}-test") if cut.held_out > 0 else None
    return source(slice(days), name, rest)


def standard(returns: np.ndarray, names: Sequence[str]) -> Returns:
    """To mean 0 and standard deviation 1 of returns (rows, columns); unscaled, with a warning, where nothing varies."""
    scale = returns.std(0)
    constant = scale < STILL
    if constant.any():
        still = [name for name, flag in zip(names, constant, strict=True) if flag]
        warnings.warn(f"constant returns in the training part: {', '.join(still[:5])}; not scaled", stacklevel=3)
    return Returns(returns.mean(0).tolist(), np.where(constant, 1.0, scale).tolist())


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
