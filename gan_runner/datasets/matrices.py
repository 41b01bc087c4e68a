"""Correlation matrices: the nearest one to any matrix, and the order in which their blocks can be seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

TOLERANCE, ROUNDS = 1e-9, 1000
"""How far two successive projections may be apart, relative to the matrix, and how often they are repeated for it."""

ROUNDING = 1e-12
"""Eigenvalues above minus this count as not negative."""


@dataclass(frozen=True)
class Nearest:
    """The coding of correlation matrices: samples become the nearest ones, in float64; real ones stay as they are."""

    def encode(self, x: Tensor) -> Tensor:
        return x

    def decode(self, x: Tensor) -> Tensor:
        return nearest_correlation(x)

    def describe(self) -> dict[str, Any]:
        return {"_target_": f"{__name__}.Nearest"}


@torch.no_grad()
def nearest_correlation(x: Tensor) -> Tensor:
    """The correlation matrices nearest to x in the Frobenius norm, by alternating projections (Higham 2002).

    Projections onto the positive semi-definite matrices, with Dykstra's correction, alternate with projections onto
    the matrices of unit diagonal. What then is left of the diagonal's error is scaled away. Of a matrix that is not
    symmetric the symmetric part counts, than which no symmetric matrix is nearer; correlation matrices stay as they
    are.

    Args:
        x: (..., p, p), finite.

    Returns:
        (..., p, p) float64, symmetric, with a diagonal of ones and eigenvalues of at least -1e-12.
    """
    y = with_unit_diagonal(symmetric(x.double().reshape(-1, *x.shape[-2:])))
    negative = torch.linalg.eigvalsh(y)[:, 0] < -ROUNDING
    y[negative] = alternate(y[negative])
    return y.view(x.shape)


def alternate(y: Tensor) -> Tensor:
    """Correlation matrices nearest to symmetric y (n, p, p); those that have converged drop out of further rounds."""
    found, correction = y.clone(), torch.zeros_like(y)
    left = torch.arange(len(y), device=y.device)
    for _ in range(ROUNDS):
        if not len(left):
            break
        before = y - correction
        x = positive_part(before)
        y, correction = with_unit_diagonal(x), x - before
        found[left] = x
        open_ = (y - x).norm(dim=(1, 2)) > TOLERANCE * y.norm(dim=(1, 2))
        left, y, correction = left[open_], y[open_], correction[open_]
    return scaled(found)


@torch.no_grad()
def clipped_correlation(x: Tensor) -> Tensor:
    """Correlation matrices (..., p, p) float64 near x by one projection: negative eigenvalues to 0, then scaled."""
    return scaled(positive_part(with_unit_diagonal(symmetric(x.double()))))


def symmetric(x: Tensor) -> Tensor:
    return (x + x.mT) / 2


def positive_part(x: Tensor) -> Tensor:
    """The positive semi-definite matrices nearest to symmetric x (n, p, p)."""
    values, vectors = torch.linalg.eigh(x)
    return symmetric((vectors * values.clamp_min(0).unsqueeze(-2)) @ vectors.mT)


def with_unit_diagonal(x: Tensor) -> Tensor:
    """x (..., p, p) with ones on the diagonal."""
    return x.diagonal_scatter(torch.ones_like(x[..., 0]), dim1=-2, dim2=-1)


def scaled(x: Tensor) -> Tensor:
    """Covariances (..., p, p) as correlations."""
    sd = x.diagonal(dim1=-2, dim2=-1).clamp_min(1e-300).sqrt()
    return with_unit_diagonal(x / (sd.unsqueeze(-1) * sd.unsqueeze(-2)))


def ordered(matrix: np.ndarray) -> np.ndarray:
    """The order (p,) in which neighbours of a correlation matrix (p, p) resemble each other.

    Ward's clustering on the distances 1 - rho, then the order of its leaves in which neighbours are nearest to each
    other (Bar-Joseph et al. 2001). Of that order and its reverse it is the one whose first half is the more correlated,
    so that the result does not depend on the order of the input.
    """
    from scipy.cluster.hierarchy import leaves_list, linkage

    upper = np.triu_indices(len(matrix), 1)
    order = leaves_list(linkage(1 - matrix[upper], "ward", optimal_ordering=True))
    half = len(order) // 2
    first, last = (matrix[np.ix_(part, part)].sum() for part in (order[:half], order[-half:]))
    return order if first >= last else order[::-1]
