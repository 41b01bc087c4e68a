"""Robust statistics of table rows, from which restricted generators start."""

from __future__ import annotations

import math

import torch
from torch import Tensor

QUARTILE = 0.6744897501960817
"""The upper quartile of the standard Gaussian: what a median absolute deviation is divided by."""

LAGS = 16
"""Partners of each row where pairs of rows are compared: Kendall's tau needs no more for nearly all its precision."""

LEAST = 1e-6
"""The smallest scale of a column."""


def median(rows: Tensor) -> Tensor:
    """The median (p,) of each column of rows (n, p)."""
    return rows.median(0).values


def scale(rows: Tensor) -> Tensor:
    """The median absolute deviation (p,) of each column over that of the standard Gaussian; where more than half of a
    column is one number, its standard deviation."""
    mad = (rows - median(rows)).abs().median(0).values / QUARTILE
    return torch.where(mad > 0, mad, rows.std(0, correction=0)).clamp(min=LEAST)


def tau(rows: Tensor) -> Tensor:
    """Kendall's tau (p, p) of the columns of rows (n, p) in random order, 1 on the diagonal.

    The mean over pairs of rows, each row against the LAGS that follow it, of the product of the signs of differences.
    """
    n, p = rows.shape
    found = rows.new_zeros(p, p)
    lags = range(1, min(LAGS, n - 1) + 1)
    for lag in lags:
        signs = (rows - rows.roll(lag, 0)).sign()
        found += signs.T @ signs / n
    return (found / max(len(lags), 1)).fill_diagonal_(1)


def kendall(rows: Tensor) -> Tensor:
    """A robust scatter matrix (p, p), s_i s_j sin(pi tau_ij / 2): consistent for Gaussian rows in random order."""
    s = scale(rows)
    return s[:, None] * s * (math.pi / 2 * tau(rows)).sin()


def diagonal(rows: Tensor) -> Tensor:
    """The squared scales of columns as a scatter matrix (p, p) without correlations."""
    return scale(rows).square().diag()


def root(scatter: Tensor) -> Tensor:
    """The symmetric root W (p, p) with W^T W = scatter, of the nearest matrix that has one."""
    values, vectors = torch.linalg.eigh(scatter)
    return vectors * values.clamp(min=LEAST**2).sqrt() @ vectors.T


STARTS = {"kendall": kendall, "diagonal": diagonal}
"""First guesses of a scatter matrix."""
