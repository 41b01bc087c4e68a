"""One dimension: both densities, and what the discriminator makes of them (Goodfellow et al. 2014, Figure 1)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from gan_runner.datasets.spec import Source
from gan_runner.metrics import rows
from gan_runner.metrics.probe import Draw, Findings
from gan_runner.pictures.figure import FAKE, INK, REAL, RULE, label, legend, panels, render

POINTS = 200
"""Where D is asked."""


@dataclass(frozen=True)
class Line:
    """`line`: densities of real and generated numbers above D(x), and `D_deviation`: how far D is from 1/2.

    That is max |D(x) - 1/2| where the middle 99 % of the real numbers lie: 0 where the game ends. Scores count as
    logits. Finds nothing but for a single column whose samples are judged one by one.

    Args:
        every: steps between two calls.
        n: numbers of each kind.
    """

    every: int = 100
    n: int = 5000

    kinds: ClassVar[frozenset[str]] = frozenset({"table"})

    def __call__(self, draw: Draw, source: Source) -> Findings:
        if source.spec.shape != (1,):
            return Findings()
        numbers, made = rows.some(source, self.n), draw(self.n)
        low, high = (float(end) for end in torch.stack([numbers.min(), numbers.max()]))
        room = 0.3 * (high - low)
        x = torch.linspace(low - room, high + room, POINTS)
        scores = draw.judge(x[:, None].to(source.device))
        if scores is None or len(scores) < POINTS:
            return Findings()
        D = scores.cpu().sigmoid()
        first, last = numbers.flatten().cpu().quantile(torch.tensor([0.005, 0.995]))
        far = float((D[(x >= first) & (x <= last)] - 0.5).abs().max())
        real, fake, axis = (source.decode(t.to(source.device)).cpu().flatten() for t in (numbers, made, x[:, None]))
        return Findings({"D_deviation": far}, {"line": line(axis, real, fake, D, *source.spec.names)}, films=("line",))


def line(x: Tensor, real: Tensor, fake: Tensor, D: Tensor, name: str = "") -> Tensor:
    """The picture: densities of real and fake (n,) by Gaussian kernels, and D (k,) at x (k,) beside the best answer.

    The best answer p / (p + q) is drawn where kernels know the densities: where there is a share of real or generated
    numbers worth mentioning.
    """
    figure, (above, below) = panels(2, 1, 420, 200)
    p, q = kernels(real, x), kernels(fake, x)
    above.fill_between(x.numpy(), p.numpy(), color=REAL, alpha=0.6, linewidth=0, label="real")
    above.plot(x.numpy(), q.numpy(), color=FAKE, linewidth=1.6, label="generated")
    above.set(xlim=(x[0], x[-1]), ylim=(0, 1.15 * float(p.max().maximum(q.max().clamp(max=3 * float(p.max()))))))
    label(above, "density")
    legend(above)
    known = p + q > 0.01 * p.max()
    below.axhline(0.5, color=RULE, linewidth=0.8)
    best = torch.where(known, p / (p + q), math.nan)
    below.plot(x.numpy(), best.numpy(), "--", color=REAL, linewidth=1.4, label="p / (p + q)")
    below.plot(x.numpy(), D.numpy(), color=INK, linewidth=1.6, label="D(x)")
    below.set(xlim=(x[0], x[-1]), ylim=(-0.03, 1.03))
    label(below, "probability of being real", name)
    legend(below)
    return render(figure)


def kernels(numbers: Tensor, x: Tensor) -> Tensor:
    """The density (k,) of numbers (n,) at x (k,): Gaussian kernels of Silverman's width (1986, eq. 3.31)."""
    quartiles = numbers.quantile(torch.tensor([0.25, 0.75], dtype=numbers.dtype))
    spread = min(float(numbers.std()), float(quartiles[1] - quartiles[0]) / 1.34) or float(numbers.std())
    width = max(0.9 * spread * len(numbers) ** -0.2, float(x[1] - x[0]))
    return (-0.5 * ((x[:, None] - numbers) / width) ** 2).exp().mean(1) / (width * math.sqrt(2 * math.pi))
