"""What a correlation matrix says: its spectrum, its first eigenvector, its tree, its hierarchy."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def marchenko_pastur_edges(variables: int, days: int) -> tuple[float, float]:
    """Between (1 - q)^2 and (1 + q)^2, q^2 = variables / days, lie the eigenvalues of uncorrelated Gaussians (1967)."""
    q = (variables / days) ** 0.5
    return (1 - q) ** 2, (1 + q) ** 2


def marchenko_pastur_density(x: Tensor, variables: int, days: int) -> Tensor:
    """The density of these eigenvalues at x, for fewer variables than days: their limit when both grow."""
    low, high = marchenko_pastur_edges(variables, days)
    return ((high - x) * (x - low)).clamp_min(0).sqrt() * days / (variables * 2 * torch.pi * x)


def eigen(c: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues (n, p) of matrices (n, p, p), the largest first, and the first eigenvector (n, p) of norm 1.

    The sign of the latter, which is arbitrary, is that in which its entries add up to something positive.
    """
    values, vectors = torch.linalg.eigh(c.double())
    first = vectors[..., -1]
    return values.flip(-1), first * torch.where(first.sum(-1, keepdim=True) < 0, -1.0, 1.0)


def one_signed(first: Tensor) -> Tensor:
    """Which of the eigenvectors (n, p) have entries of one sign only, like those of positive matrices (Perron 1907)."""
    return (first > 0).all(1) | (first < 0).all(1)


def tree_degrees(c: Tensor) -> Tensor:
    """How many neighbours (n, p) each variable has in the minimum spanning tree of correlations (n, p, p).

    The tree connects all variables with the least sum of distances (2 (1 - rho))^(1/2) (Mantegna 1999); it is grown
    from the first variable by always taking the nearest of the others (Prim 1957), all trees at once.
    """
    distance = 1 - c.double()  # grows with the distance, so that the tree is the same
    trees, size, _ = distance.shape
    each = torch.arange(trees, device=c.device)
    reach, parent = distance[:, 0].clone(), torch.zeros(trees, size, dtype=torch.int64, device=c.device)
    reach[:, 0] = torch.inf
    degrees, inside = torch.zeros_like(parent), torch.zeros_like(parent, dtype=torch.bool)
    inside[:, 0] = True
    for _ in range(size - 1):
        nearest = reach.argmin(1)
        degrees[each, nearest] += 1
        degrees[each, parent[each, nearest]] += 1
        inside[each, nearest] = True
        nearer = (distance[each, nearest] < reach) & ~inside
        parent = torch.where(nearer, nearest[:, None], parent)
        reach = torch.where(nearer, distance[each, nearest], reach).masked_fill(inside, torch.inf)
    return degrees


def cophenetic(c: Tensor) -> Tensor:
    """How well Ward's hierarchy tells the distances 1 - rho: their correlation (n,) with those in the tree."""
    from scipy.cluster.hierarchy import cophenet, linkage

    upper = np.triu_indices(c.shape[-1], 1)
    distances = 1 - c.double().cpu().numpy()[:, *upper]
    return torch.tensor([cophenet(linkage(d, "ward"), d)[0] for d in distances])
