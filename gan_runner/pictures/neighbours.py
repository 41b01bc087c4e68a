"""Does a generator copy? Its samples above the training images nearest to them (Goodfellow et al. 2014, Figure 2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from gan_runner.datasets.spec import Source
from gan_runner.metrics import rows
from gan_runner.metrics.probe import Draw, Findings
from gan_runner.pictures.grid import IMAGES, grid

CHUNK = 2048
"""Training images compared at once."""

GAP = 8
"""White lines between samples and training images."""


@dataclass(frozen=True)
class Neighbours:
    """`neighbours`: a row of samples, and below each the training images nearest to it, the nearest first.

    `neighbour_ratio` is the median distance of samples from their nearest training image, in parts of that of real
    images from theirs: near 0 where samples are copies. The distance is the Euclidean one of pixels. The real images
    are held out where there are such; otherwise a training image does not count as its own neighbour.

    Args:
        every: steps between two calls.
        columns: samples shown.
        rows: neighbours shown of each.
        n: samples, and real images, of the ratio.
    """

    every: int = 0
    columns: int = 10
    rows: int = 3
    n: int = 200

    kinds: ClassVar[frozenset[str]] = IMAGES
    against: ClassVar[str] = "both"

    def __call__(self, draw: Draw, source: Source) -> Findings:
        fake, split = draw(max(self.n, self.columns)), rows.reference(source)
        near, nearest = neighbours(fake, source, min(self.rows, len(source)))
        seen = 0 if split is not source else 1  # a training image is its own nearest
        known, _ = neighbours(rows.some(split, self.n), source, min(1 + seen, len(source)))
        ratio = float(near[:, 0].median() / known[:, -1].median().clamp(min=1e-12))
        below = source.take(nearest[: self.columns].T.flatten())
        above, below = (grid(source.decode(x), self.columns) for x in (fake[: self.columns], below))
        picture = torch.cat([above, torch.full_like(above[:GAP], 255), below])
        return Findings({"neighbour_ratio": ratio}, {"neighbours": picture})


def neighbours(images: Tensor, source: Source, k: int) -> tuple[Tensor, Tensor]:
    """Distances and row numbers (n, k) of the k training images nearest to each of n images, on the CPU."""
    wanted = images.flatten(1)
    distance = torch.full((len(images), k), float("inf"), device=wanted.device)
    number = torch.zeros(len(images), k, dtype=torch.long, device=wanted.device)
    for index in torch.arange(len(source)).split(CHUNK):
        found = torch.cdist(wanted, source.take(index).flatten(1))
        distance, order = torch.cat([distance, found], 1).topk(k, largest=False)
        number = torch.cat([number, index.to(number.device).expand(len(images), -1)], 1).gather(1, order)
    nearest = source.take(number.flatten().cpu()).view(len(images), k, -1)
    return (wanted[:, None] - nearest).norm(dim=2).cpu(), number.cpu()  # exact, which products of matrices are not
