"""Are all modes there? Counting in the plane, where the modes are known (VEEGAN, Srivastava et al. 2017)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from gan_runner.datasets.spec import Source
from gan_runner.metrics import rows
from gan_runner.metrics.probe import Draw, Findings


@dataclass(frozen=True)
class Modes:
    """`modes`, `high_quality` and `reverse_kl` of samples, and as `_floor` those of as many real rows; see `census`.

    Finds nothing where the data has no known modes.

    Args:
        every: steps between two calls.
        n: samples.
        sds: standard deviations from a mode within which a sample is of high quality.
    """

    every: int = 1000
    n: int = 2500
    sds: float = 3.0

    kinds: ClassVar[frozenset[str]] = frozenset({"table"})
    against: ClassVar[str] = "truth"

    def __call__(self, draw: Draw, source: Source) -> Findings:
        if "modes" not in source.truth:
            return Findings()
        centres, reach = source.truth["modes"], self.sds * float(source.truth["sd"])
        fake, real = (census(source.decode(x).cpu(), centres, reach) for x in (draw(self.n), rows.some(source, self.n)))
        return Findings(fake | {f"{name}_floor": value for name, value in real.items()})


def census(points: Tensor, modes: Tensor, reach: float) -> dict[str, float]:
    """Which modes samples reach, and how evenly.

    A sample belongs to its nearest mode and is of high quality within `reach` of it: of a true Gaussian in the plane,
    1 - exp(-4.5) = 98.9 % lie within three standard deviations.

    Args:
        points: (n, 2) in natural units.
        modes: (k, 2).
        reach: distance.

    Returns:
        modes: how many have a sample of high quality.
        high_quality: the share of such samples.
        reverse_kl: sum_i q_i log(k q_i) in nats, where q_i is mode i's share of the samples of high quality: 0 if they
            are spread evenly, log k if all are in one mode, NaN if there are none.
    """
    distance, mode = torch.cdist(points.double(), modes.double()).min(1)
    good = distance <= reach
    counts = mode[good].bincount(minlength=len(modes)).double()
    q = counts / counts.sum()
    return {
        "modes": float((counts > 0).sum()),
        "high_quality": float(good.double().mean()),
        "reverse_kl": float(torch.special.xlogy(q, q).sum()) + math.log(len(modes)),
    }
