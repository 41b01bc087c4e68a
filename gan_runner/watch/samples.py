"""Alarms about samples: all alike, or others by the moving average than by the live network.

They look at a few samples at each tick, and not at those that are ends of chains, which would cost more than training.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from gan_runner.datasets.spec import Source
from gan_runner.metrics.probe import Draw
from gan_runner.watch.alarm import Alarm, Row

LEAST = 1e-30
"""Stands for a distance of 0 between real rows where something is divided by it."""


@dataclass(frozen=True)
class Collapse(Alarm):
    """Samples lie much closer to each other than real rows do.

    `health/diversity` is the geometric mean distance of two samples of the moving average over that of two real rows, 1
    where they are as diverse. One mode of many gives nearly 0; two far apart may pass, for which there are
    the metrics `modes` and `recall`.

    Args:
        limit: of the diversity. Generators of images begin near 0.15 and pass 0.4 within five ticks.
        n: samples, and real rows.
    """

    patience: int = 10
    limit: float = 0.2
    n: int = 64

    advice: ClassVar[str] = "loss=r3gan or wgan_gp, a packed discriminator, or a lower optimizer.lr"

    def measure(self, draw: Draw, source: Source) -> dict[str, float]:
        if draw.objective.slow:
            return {}
        real, fake = distances(some(source, self.n)), distances(draw(self.n))
        least = max(1e-3 * float(real.mean()), LEAST)  # copies count as a thousandth apart, for they have no logarithm
        return {"health/diversity": float((mean_log(fake, least) - mean_log(real, least)).exp())}

    def symptom(self, rows: Sequence[Row]) -> str:
        found = rows[-1].get("health/diversity", self.limit)
        return f"samples are {found:.2g} times as diverse as data, limit {self.limit:g}" if found < self.limit else ""


@dataclass(frozen=True)
class Drift(Alarm):
    """Samples of the moving average are not those that the live network makes from the same noise.

    `health/apart` is their mean distance, in mean distances of two real rows: about 0.1 in a run that goes well, 1
    where they have nothing to do with each other, 0.7 where one of them makes nothing but the mean.

    Args:
        limit: of that distance.
        n: samples of each, and real rows.
    """

    patience: int = 10
    limit: float = 0.5
    n: int = 64

    advice: ClassVar[str] = "a shorter train.ema_halflife, or a lower optimizer.generator.lr"

    def measure(self, draw: Draw, source: Source) -> dict[str, float]:
        if draw.objective.slow:
            return {}
        apart = (draw(self.n) - draw(self.n, live=True)).flatten(1).norm(dim=1).mean()
        return {"health/apart": float(apart / distances(some(source, self.n)).mean().clamp(min=LEAST))}

    def symptom(self, rows: Sequence[Row]) -> str:
        found = rows[-1].get("health/apart", 0.0)
        what = f"samples of the moving average and of the live network are {found:.2g} apart, limit {self.limit:g}"
        return what if found > self.limit else ""


def some(source: Source, n: int) -> Tensor:
    """n rows (n, *shape) or all, evenly from first to last; unlike a random choice it costs nothing at every tick."""
    return source.take(torch.linspace(0, len(source) - 1, min(n, len(source))).long())


def distances(x: Tensor) -> Tensor:
    """Euclidean distances of all pairs among (n, *shape)."""
    return torch.pdist(x.flatten(1).float())


def mean_log(distances: Tensor, least: float) -> Tensor:
    """The logarithm (0-d) of the geometric mean of distances, none below `least`."""
    return distances.clamp(min=least).log().mean()
