"""Fidelity and diversity by nearest neighbours: is a sample near real rows, and are real rows near samples?"""

from __future__ import annotations

import torch
from torch import Tensor

CHUNK = 1024
"""Rows of a distance matrix that are in memory at once."""


def precision_recall(real: Tensor, fake: Tensor, k: int = 3) -> tuple[float, float]:
    """Share of samples inside the balls around real rows, and of real rows inside those around samples.

    A ball reaches to its centre's k-th neighbour of the same kind (Kynkäänniemi et al. 2019).

    Args:
        real, fake: features (n, d), (m, d); n and m above k.
    """
    near_real, _ = balls(fake, real, radii(real, k))
    near_fake, _ = balls(real, fake, radii(fake, k))
    return share(near_real > 0), share(near_fake > 0)


def density_coverage(real: Tensor, fake: Tensor, k: int = 5) -> tuple[float, float]:
    """How many real balls a sample lies in, of k expected, and the share of real balls that hold a sample.

    Unlike precision and recall they build on real balls alone, which no stray sample can blow up (Naeem et al. 2020).
    For equal distributions density is 1 and coverage 1 - prod_{i=1..k} (n - i) / (n + m - i).

    Args:
        real, fake: features (n, d), (m, d); n above k.
    """
    inside, occupied = balls(fake, real, radii(real, k))
    return float(inside.double().mean() / k), share(occupied)


def radii(x: Tensor, k: int) -> Tensor:
    """Distance (n,) of each row of x (n, d) to its k-th neighbour among the others."""
    x = x.double()
    return torch.cat([torch.cdist(part, x).topk(k + 1, largest=False).values[:, k] for part in x.split(CHUNK)])


def balls(points: Tensor, centres: Tensor, radius: Tensor) -> tuple[Tensor, Tensor]:
    """How many open balls each of points (n, d) lies in (n,), and whether each of the m balls holds one (m,)."""
    centres, counts, occupied = centres.double(), [], torch.zeros(len(centres), dtype=torch.bool)
    for part in points.double().split(CHUNK):
        inside = torch.cdist(part, centres) < radius
        counts.append(inside.sum(1))
        occupied |= inside.any(0)
    return torch.cat(counts), occupied


def share(flags: Tensor) -> float:
    return float(flags.double().mean())
