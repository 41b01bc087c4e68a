"""What a generator of tables has to beat: columns drawn by themselves, and a Gaussian copula."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from gan_runner.datasets.spec import Source
from gan_runner.metrics import rows
from gan_runner.metrics.probe import Draw, Findings

NUGGET = 1e-6
"""What makes a correlation matrix of repeated columns definite."""


def independent(x: Tensor, n: int, g: torch.Generator) -> Tensor:
    """n rows whose columns are drawn from those of x (m, p) by themselves: all marginals and no dependence."""
    index = torch.randint(len(x), (n, x.shape[1]), generator=g)
    return x.gather(0, index)


def copula(x: Tensor, n: int, g: torch.Generator) -> Tensor:
    """n rows with the marginals of x (m, p) under a Gaussian copula (as in Patki et al. 2016).

    Each column becomes normal scores, ties in random order; rows are drawn from the Gaussian with the correlations of
    these, and each column is brought back to its own values. Categories are ordered by their numbers.
    """
    u = torch.stack([ranks(column, g) for column in x.T], 1)
    z = torch.special.ndtri((u.double() + 0.5) / len(x))
    correlation = torch.corrcoef(z.T).view(x.shape[1], x.shape[1])
    factor = torch.linalg.cholesky((correlation + NUGGET * torch.eye(len(correlation))) / (1 + NUGGET))
    drawn = torch.randn(n, x.shape[1], generator=g, dtype=torch.float64) @ factor.T
    place = (torch.special.ndtr(drawn) * len(x)).long().clamp(max=len(x) - 1)
    return x.sort(0).values.gather(0, place)


def ranks(column: Tensor, g: torch.Generator) -> Tensor:
    """Ranks (n,) from 0 on, of equal values in random order."""
    shuffled = torch.randperm(len(column), generator=g)
    order = shuffled[column[shuffled].argsort(stable=True)]
    return torch.empty_like(order).scatter_(0, order, torch.arange(len(order)))


RIVALS: dict[str, Callable[[Tensor, int, torch.Generator], Tensor]] = {"independent": independent, "copula": copula}


@dataclass(frozen=True)
class Comparison:
    """How well samples, and rivals made from the training rows, stand in for training rows; see `score`.

    Each number has its `_floor`, which the training rows themselves reach, and those of the `_independent` columns and
    of the Gaussian `_copula`. Finds nothing without held-out rows.

    Args:
        every: steps between two calls.
        n: rows of each kind; all training rows where there are fewer, and of the others as many.
    """

    every: int = 0
    n: int = 5000

    kinds: ClassVar[frozenset[str]] = frozenset({"table"})
    against: ClassVar[str] = "unseen"
    _known: dict[str, dict[str, float]] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __call__(self, draw: Draw, source: Source) -> Findings:
        if missing := self.missing(source):
            warnings.warn(f"{type(self).__name__} finds nothing: set {missing}", stacklevel=2)
            return Findings()
        real = source.decode(rows.some(source, self.n)).cpu()
        if source.digest not in self._known:
            self._known[source.digest] = self.others(real, source)
        return Findings(self.score(source.decode(draw(self.amount(real))).cpu(), source) | self._known[source.digest])

    def missing(self, source: Source) -> str:
        """The setting without which `score` cannot be, or nothing."""
        return "" if source.held_out else "dataset.held_out or train.held_out"

    def amount(self, real: Tensor) -> int:
        """How many samples stand in for the real rows."""
        return len(real)

    def others(self, real: Tensor, source: Source) -> dict[str, float]:
        """Scores of the training rows and of the rivals."""
        made = {"floor": self.floor(real, source)}
        for name, rival in RIVALS.items():
            made[name] = rival(real, self.amount(real), torch.Generator().manual_seed(0))
        scores = {name: self.score(x, source) for name, x in made.items()}
        return {f"{what}_{name}": value for name, found in scores.items() for what, value in found.items()}

    def floor(self, real: Tensor, source: Source) -> Tensor:
        """The real rows that do as well as honest samples can."""
        return real

    def score(self, made: Tensor, source: Source) -> dict[str, float]:
        """Numbers of rows (n, columns) in natural units."""
        raise NotImplementedError
