"""The kernel inception distance: an estimate of squared MMD without bias in the sample size (Bińkowski et al. 2018)."""

from __future__ import annotations

import torch
from torch import Tensor

CHUNK = 1024
"""Rows of the kernel matrix that are in memory at once."""


def kid(x: Tensor, y: Tensor, subsets: int = 100, size: int = 1000) -> tuple[float, float]:
    """Mean over random subsets, and its standard error, of unbiased MMD^2 under k(a, b) = (a.b / d + 1)^3.

    0 in expectation for equal distributions, so it can be negative. The subsets share rows, as in the paper: the
    standard error is that of choosing subsets, less than that of the samples.

    Args:
        x, y: features (n, d), (m, d).
        subsets: how many.
        size: rows of each in a subset; all where there are fewer.
    """
    generator = torch.Generator().manual_seed(0)
    x, y = x.double(), y.double()
    a, b = (choices(len(rows), subsets, min(size, len(rows)), generator) for rows in (x, y))
    n, m = a.sum(1), b.sum(1)
    within_x = (sums(x, x, a, a) - a @ diagonal(x)) / (n * (n - 1))
    within_y = (sums(y, y, b, b) - b @ diagonal(y)) / (m * (m - 1))
    estimates = within_x + within_y - 2 * sums(x, y, a, b) / (n * m)
    error = estimates.std() / subsets**0.5 if subsets > 1 else torch.tensor(torch.nan)
    return float(estimates.mean()), float(error)


def choices(n: int, subsets: int, size: int, generator: torch.Generator) -> Tensor:
    """Indicators (subsets, n) of random subsets: 1 where a row is in, 0 elsewhere."""
    index = torch.rand(subsets, n, generator=generator).argsort(1)[:, :size]
    return torch.zeros(subsets, n, dtype=torch.float64).scatter_(1, index, 1)


def sums(x: Tensor, y: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """Sum of k over all pairs of each subset (subsets,): the diagonal of a K b^T, from one kernel matrix for all."""
    total = a.new_zeros(len(a))
    for rows, part in zip(x.split(CHUNK), a.split(CHUNK, 1), strict=True):
        total += ((part @ cubic(rows, y)) * b).sum(1)
    return total


def cubic(x: Tensor, y: Tensor) -> Tensor:
    """The kernel (n, m) of all pairs."""
    return (x @ y.T / x.shape[1] + 1) ** 3


def diagonal(x: Tensor) -> Tensor:
    """k(x_i, x_i) of each row (n,)."""
    return (x.square().mean(1) + 1) ** 3
