"""Return windows as the paths of prices they make, and their memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor

from gan_runner.datasets.spec import Source
from gan_runner.metrics import rows
from gan_runner.metrics.probe import Draw, Findings
from gan_runner.metrics.series import acf
from gan_runner.pictures.figure import FAKE, REAL, RULE, label, legend, panels, render

SHOWN = 20
"""Paths of each kind that are drawn."""


@dataclass(frozen=True)
class Paths:
    """`paths`: cumulative log-returns of the first column, and the autocorrelation of returns and of their sizes.

    Args:
        every: steps between two calls.
        n: windows of each kind.
    """

    every: int = 5000
    n: int = 500

    kinds: ClassVar[frozenset[str]] = frozenset({"series"})

    def __call__(self, draw: Draw, source: Source) -> Findings:
        real, fake = (source.decode(x).cpu()[:, :1] for x in (rows.some(source, self.n), draw(self.n)))
        name = source.spec.names[0] if source.spec.names else ""
        return Findings(pictures={"paths": paths(real, fake, name)})


def paths(real: Tensor, fake: Tensor, name: str = "") -> Tensor:
    """The picture of log-returns real and fake (n, 1, time), framed by the real paths."""
    figure, (left, middle, right) = panels(1, 3, 280, 280)
    reach = 1.5 * float(walk(real).abs().max()) or 1.0
    for ax, x, colour, word in ((left, real, REAL, "real"), (middle, fake, FAKE, "generated")):
        ax.plot(walk(x).T.numpy(), color=colour, linewidth=0.9)
        ax.set_ylim(-reach, reach)
        label(ax, f"{word} paths", "day", f"log-price of {name}" if name else "log-price")
        signs, sizes = acf(x)[0], acf(x.abs())[0]
        lags = range(1, 1 + len(signs))
        right.plot(lags, signs.numpy(), "--", color=colour, linewidth=1)
        right.plot(lags, sizes.numpy(), color=colour, label=word)
    right.axhline(0, color=RULE, linewidth=0.6)
    label(right, "r dashed, |r| solid", "lag in days", "autocorrelation")
    legend(right)
    return render(figure)


def walk(returns: Tensor) -> Tensor:
    """Log-prices from 0 (paths, 1 + time) of the first windows of log-returns (n, 1, time)."""
    return F.pad(returns[:SHOWN, 0].cumsum(1), (1, 0))
