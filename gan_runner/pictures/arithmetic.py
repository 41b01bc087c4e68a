"""Sums of latents (Radford et al. 2016, Figure 7): pullover - T-shirt + dress makes a dress with long sleeves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from gan_runner.datasets.spec import Source
from gan_runner.metrics.histogram import Judge
from gan_runner.metrics.probe import Draw, Findings
from gan_runner.pictures.grid import IMAGES, grid

SHOWN = 3
"""Samples of each class in the picture."""


@dataclass(frozen=True)
class Arithmetic:
    """`arithmetic`: for each sum a - b + c of classes three lines: samples of a, of b, of c, their mean, and a result.

    The means are those of latents, and a classifier says which samples are of a class. The result on the first line is
    the sum itself; those below are near it: uniform noise of +-0.25 is added to the latent, as in the paper. Sums of a
    class of which there are too few samples are left out, and nothing is found where the data have no labels.

    Args:
        classifier: who sorts.
        sums: the classes [a, b, c] of each.
        every: steps between two calls.
        exemplars: samples in a mean, 3 or more. Three in the paper; of more, what is left has less of single ones.
        n: samples to find them among.

    Raises:
        ValueError: a sum does not have three classes, or a mean fewer than three samples.
    """

    classifier: Judge
    sums: Sequence[Sequence[int]]
    every: int = 0
    exemplars: int = 30
    n: int = 1000

    kinds: ClassVar[frozenset[str]] = IMAGES

    def __post_init__(self) -> None:
        if not self.sums or any(len(terms) != 3 for terms in self.sums):
            raise ValueError(f"sums={[list(terms) for terms in self.sums]} must be triples of classes a - b + c")
        if self.exemplars < SHOWN:
            raise ValueError(f"exemplars={self.exemplars} is below {SHOWN}")

    def __call__(self, draw: Draw, source: Source) -> Findings:
        z = draw.latents(self.n)
        if source.labels is None or z.dim() != 2:
            return Findings()
        classes = self.classifier.judge(source)(draw.generate(z)).to(z.device)
        sums = []
        for terms in self.sums:
            chosen = [z[classes == term][: self.exemplars] for term in terms]
            if min(map(len, chosen)) == self.exemplars:
                sums.append(torch.cat(sheet(torch.stack(chosen))))
        if not sums:
            return Findings()
        images = source.decode(draw.generate(torch.cat(sums)))
        return Findings(pictures={"arithmetic": grid(images, SHOWN + 2)})


def sheet(chosen: Tensor) -> list[Tensor]:
    """Three lines of latents (SHOWN + 2, latent) from those of three classes (3, k, latent): terms, mean, result."""
    a, b, c = means = chosen.mean(1)
    noise = torch.rand(3, len(a), generator=torch.Generator().manual_seed(0)).to(a) / 2 - 0.25
    noise[0] = 0
    results = a - b + c + noise
    return [
        torch.cat([z[:SHOWN], mean[None], result[None]]) for z, mean, result in zip(chosen, means, results, strict=True)
    ]
