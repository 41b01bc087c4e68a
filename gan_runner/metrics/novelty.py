"""How strange images are to a trained energy: scores that know training rows, and no strangers.

Neighbours()(draw, known, x)     # training rows (m, *shape) and others (n, *shape) to (n,), higher for stranger
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from gan_runner.metrics import outliers
from gan_runner.metrics.probe import Draw

CHUNK = 256
"""Rows whose distances to all that are known are taken at once."""


class Score(Protocol):
    def __call__(self, draw: Draw, known: Tensor, x: Tensor) -> Tensor | None:
        """Strangeness (n,) of x (n, *shape) to who trained on `known` (m, *shape); None where the run cannot tell."""
        ...


@dataclass(frozen=True)
class Energy:
    """E(x), minus the score of whoever judges: -log p(x) but for a constant."""

    def __call__(self, draw: Draw, known: Tensor, x: Tensor) -> Tensor | None:
        return outliers.energy(draw, x)


@dataclass(frozen=True)
class Typicality:
    """|E(x) - mean E(known)|: a row may be likelier than nearly all that are drawn (Nalisnick et al. 2019)."""

    def __call__(self, draw: Draw, known: Tensor, x: Tensor) -> Tensor | None:
        usual, score = draw.judge(known), draw.judge(x)
        return None if usual is None or score is None else (score - usual.mean()).abs()


@dataclass(frozen=True)
class Slope:
    """|grad E(x)|: a row that is typical lies where density is flat (Grathwohl et al. 2020, "approximate mass")."""

    def __call__(self, draw: Draw, known: Tensor, x: Tensor) -> Tensor | None:
        slope = draw.slope(x)
        return None if slope is None else slope.flatten(1).norm(dim=1)


@dataclass(frozen=True)
class Relaxation:
    """Energy that a row loses in steps x - size clip(grad E(x)) within [-1, 1]: chains of training, without noise.

    Attributes:
        steps, size, clip: as of `losses.chains.Langevin`.

    Raises:
        ValueError: a number is not positive.
    """

    steps: int = 30
    size: float = 10.0
    clip: float = 0.03

    def __post_init__(self) -> None:
        if min(self.steps, self.size, self.clip) <= 0:
            raise ValueError(f"steps={self.steps}, size={self.size} and clip={self.clip} must be positive")

    def __call__(self, draw: Draw, known: Tensor, x: Tensor) -> Tensor | None:
        before, end = draw.judge(x), x
        for _ in range(self.steps):
            slope = draw.slope(end)
            if slope is None:
                return None
            end = (end + self.size * slope.clamp(-self.clip, self.clip)).clamp(-1, 1)
        after = draw.judge(end)
        return None if before is None or after is None else after - before


@dataclass(frozen=True)
class Mahalanobis:
    """Squared Mahalanobis distance of features to those of known rows, taken as one Gaussian (Lee et al. 2018).

    Attributes:
        ridge: added to the variances, in parts of their mean.

    Raises:
        ValueError: `ridge` is not positive.
    """

    ridge: float = 1e-4

    def __post_init__(self) -> None:
        if self.ridge <= 0:
            raise ValueError(f"ridge={self.ridge} is not positive: features that never vary would have no inverse")

    def __call__(self, draw: Draw, known: Tensor, x: Tensor) -> Tensor | None:
        usual, found = draw.features(known), draw.features(x)
        if usual is None or found is None:
            return None
        usual, found = usual.double(), found.double()
        scatter = torch.cov(usual.T)
        scatter.diagonal().add_(self.ridge * scatter.diagonal().mean())
        off = (found - usual.mean(0)).T
        return (off * torch.linalg.solve(scatter, off)).sum(0)


@dataclass(frozen=True)
class Neighbours:
    """Distance of features to those of the k-th nearest known row (Sun et al. 2022, there of normalised features).

    Attributes:
        k: which neighbour; the farthest where fewer are known.

    Raises:
        ValueError: `k` is below 1.
    """

    k: int = 1

    def __post_init__(self) -> None:
        if self.k < 1:
            raise ValueError(f"k={self.k} is below 1: there is no such neighbour")

    def __call__(self, draw: Draw, known: Tensor, x: Tensor) -> Tensor | None:
        usual, found = self.seen(draw, known), self.seen(draw, x)
        if usual is None or found is None:
            return None
        k = min(self.k, len(usual))
        return torch.cat([torch.cdist(part, usual).kthvalue(k).values for part in found.split(CHUNK)])

    def seen(self, draw: Draw, x: Tensor) -> Tensor | None:
        """What is compared of rows (n, *shape): (n, f)."""
        return draw.features(x)


class Pixels(Neighbours):
    """The same of the rows themselves: what can be told without a network."""

    def seen(self, draw: Draw, x: Tensor) -> Tensor:
        return x.flatten(1)
