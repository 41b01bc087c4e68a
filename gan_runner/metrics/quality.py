"""How good are generated images? Distances and neighbourhoods in a feature space, each beside what real rows score."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from gan_runner.datasets.spec import Source
from gan_runner.metrics import rows
from gan_runner.metrics.features import Features, Space
from gan_runner.metrics.frechet import frechet_distance, statistics
from gan_runner.metrics.kernel import kid
from gan_runner.metrics.precision import density_coverage, precision_recall
from gan_runner.metrics.probe import Draw, Findings

NEIGHBOURS = 5
"""Neighbours that density and coverage look at; half of the real rows must be more."""
LIMIT = 10_000
"""Real rows that the Fréchet distance is measured from, at most."""


@dataclass(frozen=True)
class Real:
    """The real side of the comparison, embedded once.

    Attributes:
        statistics: mean and covariance of all rows.
        half: (m, d) the rows for neighbourhoods and kernels, m at most n.
        floor: what real rows score in place of samples.
    """

    space: Space
    statistics: tuple[Tensor, Tensor]
    half: Tensor
    floor: dict[str, float]


@dataclass(frozen=True)
class ImageQuality:
    """`frechet`, `kid`, `precision`, `recall`, `density`, `coverage`, each with its `_floor`: what real rows score.

    Real rows are the held-out split, the training rows where there is none.
      - The Fréchet distance is that of n samples from all real rows (10,000 at most). It grows as n shrinks: never
        compare different n. Its floor is that of n real rows drawn with replacement.
      - The others compare as many samples as there are in one half of the real rows (n at most) with that half. Their
        floor is the other half.

    Args:
        features: the space; numbers from different spaces cannot be compared.
        every: steps between two calls.
        n: samples.
    """

    features: Features
    every: int = 2000
    n: int = 2000

    kinds: ClassVar[frozenset[str]] = frozenset({"image"})
    against: ClassVar[str] = "unseen"
    _known: dict[str, Real] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __call__(self, draw: Draw, source: Source) -> Findings:
        if (few := len(rows.reference(source)) // 2) <= NEIGHBOURS:
            warnings.warn(f"no quality metrics: {2 * few} real images are too few to compare with", stacklevel=2)
            return Findings()
        real = self.real(source)
        fake = real.space(draw(self.n))
        found = compare(fake, fake[: len(real.half)], real.statistics, real.half)
        return Findings({**found, **real.floor, **real.space.facts})

    def real(self, source: Source) -> Real:
        """The real side, embedded at the first call for each data set."""
        if source.digest not in self._known:
            space, split = self.features(source), rows.reference(source)
            everything = space(rows.some(split, LIMIT))
            half, other = (space(x) for x in rows.halves(split, self.n))
            again = torch.randint(len(everything), (self.n,), generator=torch.Generator().manual_seed(0))
            floor = compare(everything[again], other, statistics(everything), half)
            floor = {f"{name}_floor": value for name, value in floor.items()}
            self._known[source.digest] = Real(space, statistics(everything), half, floor)
        return self._known[source.digest]


def compare(fake: Tensor, as_many: Tensor, real: tuple[Tensor, Tensor], half: Tensor) -> dict[str, float]:
    """All six numbers.

    Args:
        fake: features (n, d), for the Fréchet distance from `real`, a mean and a covariance.
        as_many: features (m, d), for the others, compared with `half` (m, d).
    """
    precision, recall = precision_recall(half, as_many)
    density, coverage = density_coverage(half, as_many)
    return {
        "frechet": frechet_distance(*statistics(fake), *real),
        "kid": kid(as_many, half, subsets=20)[0],
        "precision": precision,
        "recall": recall,
        "density": density,
        "coverage": coverage,
    }
