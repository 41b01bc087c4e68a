"""How far is each sample from the nearest real point, and each real point from the nearest sample?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from gan_runner.datasets.spec import Source
from gan_runner.metrics import rows
from gan_runner.metrics.probe import Draw, Findings


@dataclass(frozen=True)
class Chamfer:
    """`chamfer` of samples from real rows, and its `_floor`, that of real rows from others (Gao et al. 2022, 2-D).

    Args:
        every: steps between two calls.
        n: samples; half the training rows where that is fewer.
    """

    every: int = 1000
    n: int = 2500

    kinds: ClassVar[frozenset[str]] = frozenset({"table"})
    against: ClassVar[str] = "training"

    def __call__(self, draw: Draw, source: Source) -> Findings:
        real, other = (source.decode(x).cpu() for x in rows.halves(source, self.n))
        fake = source.decode(draw(len(real))).cpu()
        return Findings({"chamfer": chamfer(fake, real), "chamfer_floor": chamfer(other, real)})


def chamfer(a: Tensor, b: Tensor) -> float:
    """Mean distance of points a (n, p) to the nearest of b (m, p), plus that of b to the nearest of a."""
    between = torch.cdist(a.double(), b.double())
    return float(between.min(1).values.mean() + between.min(0).values.mean())
