"""Are generated rows distributed like real ones? Column by column, pair by pair, and along random directions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from gan_runner.datasets.spec import Source
from gan_runner.metrics import rows
from gan_runner.metrics.probe import Draw, Findings

DIRECTIONS = 128
"""Random directions of the sliced distance."""


@dataclass(frozen=True)
class TableQuality:
    """Distances of samples from training rows, each with its `_floor`: that of training rows from other training rows.

    `wasserstein_mean` and `wasserstein_max` over columns, `correlation_error`, `sliced_wasserstein`; see `compare`.

    Args:
        every: steps between two calls.
        n: samples; half the training rows where that is fewer.
    """

    every: int = 5000
    n: int = 2000

    kinds: ClassVar[frozenset[str]] = frozenset({"table"})
    against: ClassVar[str] = "training"
    _floors: dict[str, dict[str, float]] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __call__(self, draw: Draw, source: Source) -> Findings:
        half, other = (source.decode(x).cpu() for x in rows.halves(source, self.n))
        if source.digest not in self._floors:
            self._floors[source.digest] = {f"{name}_floor": x for name, x in compare(other, half).items()}
        return Findings(compare(source.decode(draw(len(half))).cpu(), half) | self._floors[source.digest])


def compare(fake: Tensor, real: Tensor) -> dict[str, float]:
    """Distances between rows, in standard deviations of the real columns.

    Args:
        fake, real: (n, p), equally many.

    Returns:
        wasserstein_mean, wasserstein_max: the first Wasserstein distance of a column, mean and largest over columns.
        correlation_error: Frobenius norm of the difference of the correlation matrices, over p.
        sliced_wasserstein: mean over random directions (Bonneel et al. 2015).
    """
    mean, sd = real.double().mean(0), spread(real)
    fake, real = (fake.double() - mean) / sd, (real.double() - mean) / sd
    columns = wasserstein(fake, real)
    p = real.shape[1]
    directions = torch.randn(p, DIRECTIONS, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    directions /= directions.norm(dim=0)
    return {
        "wasserstein_mean": float(columns.mean()),
        "wasserstein_max": float(columns.max()),
        "correlation_error": float((correlation(fake) - correlation(real)).norm() / p),
        "sliced_wasserstein": float(wasserstein(fake @ directions, real @ directions).mean()),
    }


def wasserstein(a: Tensor, b: Tensor) -> Tensor:
    """First Wasserstein distance (p,) of each column of a from that of b, both (n, p): sort and compare."""
    return (a.sort(0).values - b.sort(0).values).abs().mean(0)


def correlation(x: Tensor) -> Tensor:
    """Correlation matrix (p, p) of rows (n, p); a constant column correlates with nothing, not even itself."""
    z = (x - x.mean(0)) / spread(x)
    return z.T @ z / len(z)


def spread(x: Tensor) -> Tensor:
    """Standard deviation (p,) of each column of x (n, p), 1 where it is constant."""
    sd = x.double().std(0, correction=0)
    return sd.where(sd > 1e-12, 1.0)
