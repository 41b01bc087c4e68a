"""The Fréchet distance between two Gaussians, of which FID is the best-known use (Heusel et al. 2017)."""

from __future__ import annotations

import torch
from torch import Tensor


def statistics(features: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (d,) and covariance (d, d) of features (n, d), in float64; unbiased as in the FID everybody reports."""
    x = features.double()
    return x.mean(0), torch.cov(x.T).reshape(x.shape[1], x.shape[1])


def frechet_distance(mean_a: Tensor, covariance_a: Tensor, mean_b: Tensor, covariance_b: Tensor) -> float:
    """|m_a - m_b|^2 + tr(A + B - 2 (A B)^(1/2)), the squared distance of Dowson & Landau (1982).

    The trace of the root of A B is the nuclear norm of A^(1/2) B^(1/2): symmetric in A and B, and as exact where they
    are singular as where they are not.

    Args:
        mean_a, mean_b: (d,) float64.
        covariance_a, covariance_b: (d, d) float64, symmetric and positive semi-definite.
    """
    overlap = torch.linalg.svdvals(root(covariance_a) @ root(covariance_b)).sum()
    spread = covariance_a.trace() + covariance_b.trace() - 2 * overlap
    return max(float((mean_a - mean_b).square().sum() + spread), 0.0)


def root(covariance: Tensor) -> Tensor:
    """The symmetric square root (d, d) of a positive semi-definite matrix; what rounding made negative counts as 0."""
    values, vectors = torch.linalg.eigh(covariance)
    return (vectors * values.clamp_min(0).sqrt()) @ vectors.T
