"""Correlation matrices of stocks, ordered so that their blocks can be seen (CorrGAN, Marti 2019)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch

from gan_runner.datasets.files import absolute, digest, require
from gan_runner.datasets.matrices import Nearest, ordered
from gan_runner.datasets.panels import bundled
from gan_runner.datasets.prices import Prices, read_prices
from gan_runner.datasets.spec import Source, Spec
from gan_runner.errors import DataError


def correlations(
    path: str | None = None,
    columns: Sequence[str] | None = None,
    size: int = 20,
    window: int = 252,
    stride: int = 5,
    subsets: int = 1,
    held_out: float = 0.2,
    seed: int = 0,
) -> Source:
    """Correlation matrices of daily log-returns in windows of days, each in its own order (see `matrices.ordered`).

    Windows of the training part overlap where `stride` is below `window`, so that there are fewer independent ones
    than rows. No day is in a window of the training part and in one held out.

    Args:
        path: a CSV file of prices (see `prices.read_prices`); twenty American stocks from 1990 to 2022 if None.
        columns: names of the price columns; found by their looks if None.
        size: stocks per matrix; where there are more, random ones, others in each window.
        window: days per matrix.
        stride: days between the beginnings of two windows.
        subsets: matrices per window; more than one where there are more stocks than `size`.
        held_out: share of the days, the last ones, that training never sees.
        seed: decides which stocks are chosen.

    Returns:
        Correlations (n, 1, size, size) in the order of time.

    Raises:
        UsageError: an argument is out of range.
        MissingInput: there is no such file.
        DataError: it cannot be used, or has too few days or columns.
        Unavailable: `path` is None and the package that brings the prices is missing.
    """
    require(size > 2, "size", size, "choose a number above 2")
    require(window > 2, "window", window, "choose a number above 2")
    require(stride > 0, "stride", stride, "choose a number above 0")
    require(subsets > 0, "subsets", subsets, "choose a number above 0")
    require(0 < held_out < 1, "held_out", held_out, "choose a share in (0, 1)")
    require(seed >= 0, "seed", seed, "choose 0 or more")
    file = absolute(path) if path else bundled("stocks20")
    prices = read_prices(file, columns)
    returns = np.diff(np.log(prices.values), axis=0)
    days, assets = len(returns) - round(len(returns) * held_out), len(prices.names)
    if assets < size:
        what = f"{file} has {assets} columns of prices, fewer than dataset.size={size}"
        raise DataError(what, f"set dataset.size={assets}", id="F54")
    if min(days, len(returns) - days) < window:
        what = f"{file} gives {days} returns to train and {len(returns) - days} held out; each part needs {window}"
        raise DataError(what, "choose a smaller dataset.window, another dataset.held_out, or a longer file", id="F54")
    rng = np.random.default_rng(seed)
    notes = (*prices.notes, f"windows of {window} days, the last {len(returns) - days} days held out")
    parts = []
    for part in (returns[:days], returns[days:]):
        check_variation(file, prices, part, window)
        matrices = (
            np.corrcoef(part[first : first + window, chosen].T)
            for first in range(0, len(part) - window + 1, stride)
            for chosen in choices(rng, assets, size, 1 if assets == size else subsets)
        )
        parts.append(in_order(matrices))
    known = {"days": torch.tensor(window)}
    return pair(parts[0], parts[1], file.name.split(".")[0], notes, (known, known))


def choices(rng: np.random.Generator, assets: int, size: int, subsets: int) -> list[np.ndarray]:
    """Random subsets of `size` columns, without repetition in each."""
    return [rng.permutation(assets)[:size] for _ in range(subsets)]


def check_variation(file: Path, prices: Prices, returns: np.ndarray, window: int) -> None:
    """Refuse prices that stand still for a whole window: their correlations do not exist.

    Raises:
        DataError: one does.
    """
    moves = np.cumsum(np.vstack([np.zeros(returns.shape[1]), np.abs(returns) > 1e-12]), axis=0)
    still = (moves[window:] == moves[:-window]).any(0)
    if still.any():
        name = prices.names[int(still.argmax())]
        what = f"{file}, column '{name}': it stands still for {window} days, so that it correlates with nothing"
        raise DataError(what, "leave it out by dataset.columns, or choose a larger dataset.window", id="F54")


def in_order(matrices: Iterable[np.ndarray]) -> torch.Tensor:
    """Each of the correlation matrices (p, p) in its own order: (n, 1, p, p) float32."""
    rows = []
    for matrix in matrices:
        order = ordered(matrix)
        rows.append(matrix[np.ix_(order, order)])
    found = torch.from_numpy(np.stack(rows)).float().unsqueeze(1)
    found.diagonal(dim1=2, dim2=3).fill_(1)
    return found


def pair(
    seen: torch.Tensor,
    unseen: torch.Tensor,
    name: str,
    notes: tuple[str, ...],
    truth: Sequence[dict[str, torch.Tensor]] = ({}, {}),
) -> Source:
    """Matrices (n, 1, p, p) as a source, with others held out, and what is known of each."""
    spec = Spec(tuple(seen.shape[1:]), "correlation")
    near = Nearest()
    test = Source(spec, unseen, f"{name}-test", coding=near, digest=digest(unseen), notes=notes, truth=truth[1])
    return Source(spec, seen, name, held_out=test, coding=near, digest=digest(seen), notes=notes, truth=truth[0])
