"""What a Boltzmann machine has learnt, and where its chains go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from gan_runner.datasets.spec import Source
from gan_runner.metrics import rows
from gan_runner.metrics.probe import Draw, Findings
from gan_runner.metrics.rbm import machine
from gan_runner.pictures.grid import IMAGES, grid


@dataclass(frozen=True)
class Filters:
    """`filters`: the weights of hidden units as images, grey where they are 0, those with the largest first.

    Args:
        every: steps between two calls.
        n: hidden units.
    """

    every: int = 2000
    n: int = 100

    kinds: ClassVar[frozenset[str]] = IMAGES

    def __call__(self, draw: Draw, source: Source) -> Findings:
        m = machine(draw)
        if m is None:
            return Findings()
        W = m.W.detach().T.cpu()
        largest = W.norm(dim=1).argsort(descending=True)[: self.n]
        return Findings(pictures={"filters": grid(shaded(W[largest].view(-1, *source.spec.shape)))})


def shaded(W: Tensor) -> Tensor:
    """Weights (n, C, H, W) as uint8: 0 in the middle, the largest of each image at one of the ends."""
    reach = W.flatten(1).abs().amax(1).clamp(min=1e-12).view(-1, 1, 1, 1)
    return (127.5 + 127.5 * W / reach).round().to(torch.uint8)


@dataclass(frozen=True)
class Chains:
    """`chains`: each row a Gibbs chain from a real image, which stands first; then what it shows at times.

    Args:
        every: steps of training between two calls.
        n: chains.
        columns: images of each after the first.
        steps: Gibbs steps between two of them.
    """

    every: int = 0
    n: int = 10
    columns: int = 10
    steps: int = 1000

    kinds: ClassVar[frozenset[str]] = IMAGES

    @torch.no_grad()
    def __call__(self, draw: Draw, source: Source) -> Findings:
        m = machine(draw)
        if m is None:
            return Findings()
        shown = [rows.some(rows.reference(source), self.n)]
        with torch.random.fork_rng():
            torch.manual_seed(0)
            v = m.encode(shown[0])
            for _ in range(self.columns):
                v = m.gibbs(v, self.steps - 1)
                h = m.hide(m.inputs(v).sigmoid())
                shown.append(m.show(m.code(h)))
                v = m.draw(m.mean(m.field(h)))
        strips = torch.stack(shown, 1).flatten(0, 1)
        return Findings(pictures={"chains": grid(source.decode(strips).cpu(), self.columns + 1)})
