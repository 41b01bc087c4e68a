"""Does a generator repeat training images? Whether samples are nearer to them than to images it never saw."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from gan_runner.datasets.spec import Source
from gan_runner.metrics import rows
from gan_runner.metrics.features import Features, Space
from gan_runner.metrics.probe import Draw, Findings


@dataclass(frozen=True)
class Memorisation:
    """`memorisation` of samples, and `memorisation_floor` of real images that training never saw.

    The median, over samples, of the distance to the nearest training image over that to the nearest of half the
    held-out ones. Both are below 1, for there are more training images; far below the floor is copying. Blurred samples
    are near to everything, which `neighbour_ratio` takes for copying and this does not. Needs held-out rows.

    Args:
        features: the space of distances.
        every: steps between two calls.
        n: samples, and real images of the floor.
    """

    features: Features
    every: int = 0
    n: int = 1000

    kinds: ClassVar[frozenset[str]] = frozenset({"image"})
    against: ClassVar[str] = "both"

    def __call__(self, draw: Draw, source: Source) -> Findings:
        if source.held_out is None or len(source.held_out) < 2:
            return Findings()
        space = self.features(source)
        unseen = space(rows.stream(source.held_out))
        known, fresh = unseen.tensor_split(2)
        x = torch.cat([space(draw.stream(self.n)), fresh[: self.n]])
        ratio = near_training(x, source, space) / distances(x, known).clamp_min(1e-12)
        fake, real = (float(part.median()) for part in (ratio[: self.n], ratio[self.n :]))
        return Findings({"memorisation": fake, "memorisation_floor": real, **space.facts})


def near_training(x: Tensor, source: Source, space: Space) -> Tensor:
    """Distances (n,) of features (n, d) from those of the nearest training image, of which a part is held at a time."""
    nearest = torch.full((len(x),), torch.inf)
    for part in rows.stream(source):
        nearest = nearest.minimum(distances(x, space(part)))
    return nearest


def distances(x: Tensor, to: Tensor) -> Tensor:
    """Distances (n,) of rows (n, d) from the nearest of others (m, d).

    Products of matrices say which is nearest; they round too much to say how near.
    """
    index = torch.cat([torch.cdist(part, to).argmin(1) for part in x.split(1024)])
    return (x - to[index]).norm(dim=1)
