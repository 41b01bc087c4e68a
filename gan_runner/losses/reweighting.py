"""What AdaGAN gives a new component: its share of the mixture, and the rows of the data it is to see more of."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

# -- the share beta_t of the component that is added in round t ------------------------------------


class Share(Protocol):
    def __call__(self, t: int) -> float:
        """beta_t in (0, 1] of rounds t = 2, 3, ...; the first component is alone."""
        ...


class Equal:
    """beta_t = 1/t: after each round all components weigh the same."""

    def __call__(self, t: int) -> float:
        return 1 / t


@dataclass(frozen=True)
class Fixed:
    """beta_t = beta: each component takes that share from all before it.

    Raises:
        ValueError: `beta` is not in (0, 1).
    """

    beta: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.beta < 1:
            raise ValueError(f"beta={self.beta} must lie between 0 and 1: it is the share of each new component")

    def __call__(self, t: int) -> float:
        return self.beta


# -- the weights W_t of the rows -------------------------------------------------------------------


class Reweighting(Protocol):
    def __call__(self, d: Tensor, beta: float) -> Tensor:
        """Weights (n,) that sum to 1, from d = dP_model / dP_data (n,) at each row and the next share."""
        ...


class TheoryStar:
    """w = (lambda - (1 - beta) d)_+ / (n beta): of all components the one that mends the mixture most (Theorem 1).

    It minimises every f-divergence of the mixture from the data. Uniform, with a warning, where d is not finite.
    """

    def __call__(self, d: Tensor, beta: float) -> Tensor:
        if not d.isfinite().all():
            return alike(d)
        n, ascending = len(d), (1 - beta) * d.sort().values
        levels = (beta * n + ascending.cumsum(0)) / torch.arange(1, n + 1, dtype=d.dtype)
        awake = int((ascending <= levels).sum())  # so many rows lie below lambda, and all others above
        return normalised((levels[awake - 1] - (1 - beta) * d).clamp(min=0))


class TheoryDagger:
    """w = (1 - lambda (1 - beta) d)_+ / (n beta): `TheoryStar` where that is exact, else nearer the data (Theorem 2).

    Uniform, with a warning, where there is no lambda: the mixture misses a share beta of the rows wholly.
    """

    def __call__(self, d: Tensor, beta: float) -> Tensor:
        n, ascending = len(d), d.sort().values
        above, sums = torch.arange(1, n + 1, dtype=d.dtype) - beta * n, ascending.cumsum(0)
        fits = (above >= 0) & (above * ascending <= sums) & (sums > 0)
        if not fits.any():
            return alike(d)
        last = int(fits.nonzero()[-1])
        return normalised((1 - above[last] / sums[last] * d).clamp(min=0))


@dataclass(frozen=True)
class TopK:
    """Uniform on the share of the rows that the mixture covers least.

    Raises:
        ValueError: `share` is not in (0, 1].
    """

    share: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise ValueError(f"share={self.share} must lie in (0, 1]: it is the part of the rows that is kept")

    def __call__(self, d: Tensor, beta: float) -> Tensor:
        kept = d.argsort()[: max(1, int(self.share * len(d)))]
        return normalised(torch.zeros_like(d).index_fill_(0, kept, 1.0))


class Uniform:
    """All rows alike in every round: a plain ensemble."""

    def __call__(self, d: Tensor, beta: float) -> Tensor:
        return torch.full_like(d, 1 / len(d))


def normalised(w: Tensor) -> Tensor:
    """Weights (n,) that sum to 1: an imperfect classifier's d does not see to that by itself."""
    return w / w.sum()


def alike(d: Tensor) -> Tensor:
    """Uniform weights (n,) where d has no lambda, and a warning."""
    warnings.warn("AdaGAN found no lambda for these density ratios: the next round weighs all rows alike", stacklevel=3)
    return Uniform()(d, 1.0)
