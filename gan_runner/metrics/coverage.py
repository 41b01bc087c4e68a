"""How much of the data lies where a model puts its mass? AdaGAN's coverage (Tolstikhin et al. 2017, section 4)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from gan_runner.datasets.spec import Source
from gan_runner.metrics import rows
from gan_runner.metrics.parzen import choose, log_density
from gan_runner.metrics.probe import Draw, Findings

POWERS = range(-7, 7)
"""Bandwidths that are tried: the median distance of two samples times 2 to these powers."""


@dataclass(frozen=True)
class Coverage:
    """`coverage` of real rows by samples, and `coverage_floor`, that by as many other real rows; see `coverage`.

    Args:
        every: steps between two calls.
        n: samples that make the density; half as many more choose its bandwidth and its level, and as many real rows
            are looked for. A quarter of the rows where that is fewer.
    """

    every: int = 1000
    n: int = 1000

    kinds: ClassVar[frozenset[str]] = frozenset({"table"})
    against: ClassVar[str] = "training"

    def __call__(self, draw: Draw, source: Source) -> Findings:
        n = min(self.n, len(source) // 4)
        real, other = (source.decode(x).cpu() for x in rows.halves(source, 2 * n))
        fake = source.decode(draw(n + n // 2)).cpu()
        found = (coverage(x[:n], x[n : n + n // 2], real[: n // 2]) for x in (fake, other))
        return Findings(dict(zip(("coverage", "coverage_floor"), found, strict=True)))


def coverage(fake: Tensor, more: Tensor, real: Tensor, missed: float = 0.05) -> float:
    """C = P_data(log p > t): the share of real points where the model's density exceeds all but its lowest 5 %.

    About 0.95 where model and data are the same; more where the model is wider.

    Args:
        fake: (n, p) samples at which the kernels of p stand.
        more: (m, p) further samples: the bandwidth makes them likeliest, and t is their quantile `missed` of log p.
        real: (k, p).
    """
    fake, more, real = fake.double(), more.double(), real.double()
    typical = float(torch.pdist(fake).median())
    if typical == 0:
        return math.nan  # more than half the samples are one point
    width = choose(more, fake, [typical * 2.0**power for power in POWERS])
    level = log_density(more, fake, width).quantile(missed)
    return float((log_density(real, fake, width) > level).double().mean())
