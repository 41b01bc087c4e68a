"""What comes back of real data by way of its latents, G(F(x)) (VEEGAN, Srivastava et al. 2017)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from gan_runner.datasets.spec import Source
from gan_runner.metrics import rows
from gan_runner.metrics.probe import Draw, Findings
from gan_runner.pictures.figure import FAKE, REAL, RULE, around, label, legend, panels, render
from gan_runner.pictures.grid import grid


@dataclass(frozen=True)
class Reconstructions:
    """`reconstructions`: real images above what they come back as, or points of the plane joined with theirs.

    `reconstruction_error` is the root of the mean squared distance between them, in parts of that of real rows from
    their mean: below 1, latents say something about samples. Finds nothing where the method finds no latents.

    Args:
        every: steps between two calls.
        n: rows for the error, of which some are shown.
    """

    every: int = 1000
    n: int = 400

    kinds: ClassVar[frozenset[str]] = frozenset({"image", "table"})
    against: ClassVar[str] = "training"

    def __call__(self, draw: Draw, source: Source) -> Findings:
        real = rows.some(source, self.n)
        again = draw.reconstruct(real)
        if again is None:
            return Findings()
        found = Findings({"reconstruction_error": error(real, again)})
        x, y = (source.decode(some).cpu() for some in (real, again))
        if source.spec.kind == "image":
            found.pictures["reconstructions"] = alternating(x[:30], y[:30])
        elif source.spec.shape == (2,):
            found.pictures["reconstructions"] = arrows(x, y, source.spec.names)
        return found


def error(real: Tensor, again: Tensor) -> float:
    """Root of mean |x - x'|^2 / mean |x - E x|^2, of rows (n, *shape)."""
    apart, spread = (real - again).square().sum(), (real - real.mean(0)).square().sum()
    return float((apart / spread.clamp(min=1e-12)).sqrt())


def alternating(real: Tensor, again: Tensor, columns: int = 10) -> Tensor:
    """A grid of a line of real images, a line of their reconstructions, and so on; images uint8 (n, C, H, W)."""
    pairs = [part for pair in zip(real.split(columns), again.split(columns), strict=True) for part in pair]
    return grid(torch.cat(pairs), columns)


def arrows(real: Tensor, again: Tensor, names: tuple[str, ...] = ("", "")) -> Tensor:
    """Points (n, 2), what they come back as, and the way between, framed by the real points."""
    figure, (ax,) = panels(1, 1, 450, 450)
    low, high = around(real, 0.25)
    ax.plot(*torch.stack([real, again]).unbind(2), color=RULE, linewidth=0.5, alpha=0.6)
    ax.plot(*real.T.numpy(), ".", color=REAL, markersize=9, markeredgewidth=0, label="real x")
    ax.plot(*again.T.numpy(), ".", color=FAKE, markersize=4, markeredgewidth=0, label="G(F(x))")
    ax.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]))
    label(ax, f"error {error(real, again):.2f} of the spread", *names)
    legend(ax)
    return render(figure)
