"""How good are generated images? Distances and neighbourhoods in a feature space, each beside what real rows score."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import ClassVar

import torch
from torch import Tensor

from gan_runner.datasets.spec import Source
from gan_runner.metrics import rows
from gan_runner.metrics.features import Features, Space
from gan_runner.metrics.frechet import frechet_distance, statistics
from gan_runner.metrics.kept import kept
from gan_runner.metrics.kernel import kid
from gan_runner.metrics.precision import density_coverage, precision_recall
from gan_runner.metrics.probe import Draw, Findings

NEIGHBOURS = 5
"""Neighbours that density and coverage look at; half of the real rows must be more."""
LIMIT = 10_000
"""Real rows that the Fréchet distance is measured from, at most."""
FLOORS = 5
"""Sets of training rows over which the floor of the Fréchet distance is averaged, at most: one alone is half chance."""
RECIPE = "2"
"""To be changed whenever the real side is found in another way, so that nothing older is taken for it."""


@dataclass(frozen=True)
class Real:
    """The real side of the comparison.

    Attributes:
        mean, covariance: (d,) and (d, d), of all rows.
        half: (m, d) the rows for neighbourhoods and kernels, m at most n.
        floor: what real rows score in place of samples.
    """

    mean: Tensor
    covariance: Tensor
    half: Tensor
    floor: dict[str, float]


@dataclass(frozen=True)
class ImageQuality:
    """`frechet`, `kid`, `precision`, `recall`, `density`, `coverage`, each with its `_floor`: what real rows score.

    Real rows are the held-out split, the training rows where there is none.
      - The Fréchet distance is that of n samples from all real rows (10,000 at most). It grows as n shrinks: never
        compare different n. Its floor is that of n training rows (all where there are fewer) from the held-out ones,
        the mean of up to five such sets; of one half of the real rows from the other where none are held out.
      - The others compare as many samples as there are in one half of the real rows (n at most) with that half. Their
        floor is the other half.

    Args:
        features: the space; numbers from different spaces cannot be compared.
        every: steps between two calls.
        n: samples.
        root: the data directory, where the real side is kept for all runs; in memory alone if None.
        prefix: of all names, where a run judges in two spaces.
    """

    features: Features
    every: int = 2000
    n: int = 2000
    root: str | None = None
    prefix: str = ""

    kinds: ClassVar[frozenset[str]] = frozenset({"image"})
    against: ClassVar[str] = "unseen"
    _known: dict[str, tuple[Space, Real]] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __call__(self, draw: Draw, source: Source) -> Findings:
        if (few := min(len(rows.reference(source)) // 2, self.n)) <= NEIGHBOURS:
            warnings.warn(f"no quality metrics: {few} samples and as many real images are too few", stacklevel=2)
            return Findings()
        space, real = self.known(source)
        found = compare(space(draw.stream(self.n)), real)
        sizes = dict.fromkeys((f"{self.prefix}{name}" for name in found if name != "frechet"), len(real.half))
        compared = {f"{self.prefix}frechet": min(LIMIT, len(rows.reference(source)))} | sizes
        facts = {name.replace("feature_", f"feature_{self.prefix}", 1): value for name, value in space.facts.items()}
        named = {f"{self.prefix}{name}": value for name, value in (found | real.floor).items()}
        return Findings(named | facts, sizes=sizes, rows=compared)

    def known(self, source: Source) -> tuple[Space, Real]:
        """The space and the real side, found at the first call for each data set, or kept since an earlier one."""
        if source.digest not in self._known:
            space, split = self.features(source), rows.reference(source)
            if self.root and source.digest and space.digest:
                recipe = f"{RECIPE} {source.digest} {split.digest} {len(split)} {space.digest} {self.n}".encode()
                content = kept(
                    self.root, recipe, "features of real images", lambda: packed(self.measure(source, space))
                )
                real = Real(**torch.load(io.BytesIO(content), weights_only=True))
            else:
                real = self.measure(source, space)
            self._known[source.digest] = space, real
        return self._known[source.digest]

    def measure(self, source: Source, space: Space) -> Real:
        """The real side, from streams of at most 10,000 rows, or twice n."""
        split = rows.reference(source)
        size = min(self.n, len(split) // 2)
        features = space(rows.stream(split, max(LIMIT, 2 * size)))
        half, other = features[:size].clone(), features[size : 2 * size]
        real = Real(*statistics(features[:LIMIT]), half, {})
        if split is source:
            floor = compare(other, Real(*statistics(half), half, {}), other)
        else:
            sets = space(rows.stream(source, self.n * min(FLOORS, max(LIMIT // self.n, 1)))).split(self.n)
            floor = compare(sets[0], real, other)
            floor["frechet"] = fmean(
                frechet_distance(*statistics(part), real.mean, real.covariance)
                for part in sets
                if len(part) == len(sets[0])
            )
        return replace(real, floor={f"{name}_floor": value for name, value in floor.items()})


def packed(real: Real) -> bytes:
    """The real side as a file."""
    file = io.BytesIO()
    torch.save(vars(real), file)
    return file.getvalue()


def compare(fake: Tensor, real: Real, few: Tensor | None = None) -> dict[str, float]:
    """All six numbers.

    Args:
        fake: features (n, d), for the Fréchet distance.
        few: features (m, d), for the others, as many as those they are compared with; the first of `fake` if None.
    """
    few = fake[: len(real.half)] if few is None else few
    precision, recall = precision_recall(real.half, few)
    density, coverage = density_coverage(real.half, few)
    return {
        "frechet": frechet_distance(*statistics(fake), real.mean, real.covariance),
        "kid": kid(few, real.half, subsets=20)[0],
        "precision": precision,
        "recall": recall,
        "density": density,
        "coverage": coverage,
    }
