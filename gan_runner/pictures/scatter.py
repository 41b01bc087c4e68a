"""Real and generated rows as points: in the plane as they are, otherwise along the real rows' principal directions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from gan_runner.datasets.spec import Source
from gan_runner.metrics import rows
from gan_runner.metrics.modes import census
from gan_runner.metrics.probe import Draw, Findings
from gan_runner.pictures.figure import FAKE, INK, REAL, around, label, legend, panels, render


@dataclass(frozen=True)
class Scatter:
    """`scatter`: samples over real rows, with the modes where they are known; nothing for a single column.

    Args:
        every: steps between two calls.
        n: points of each kind.
    """

    every: int = 1000
    n: int = 2000

    kinds: ClassVar[frozenset[str]] = frozenset({"table"})

    def __call__(self, draw: Draw, source: Source) -> Findings:
        if source.spec.shape[0] == 1:
            return Findings()
        real, fake = (source.decode(x).cpu() for x in (rows.some(source, self.n), draw(self.n)))
        if source.spec.shape[0] == 2:
            modes = source.truth.get("modes")
            title = "" if modes is None else tally(fake, modes, 3 * float(source.truth["sd"]))
            return Findings(pictures={"scatter": scatter(real, fake, source.spec.names, title, modes)})
        axes = ("first principal direction of real rows", "second")
        return Findings(pictures={"scatter": scatter(*project(real, fake), axes, aspect="auto")})


def tally(points: Tensor, modes: Tensor, reach: float) -> str:
    """What to say above points (n, 2) about modes (k, 2)."""
    found = census(points, modes, reach)
    return f"{found['modes']:.0f} of {len(modes)} modes, {found['high_quality']:.0%} near one"


def project(real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    """Both (n, p) along the two directions of largest variance of `real`, from its mean: (n, 2)."""
    mean = real.mean(0)
    directions = torch.linalg.svd(real - mean, full_matrices=False).Vh[:2].T
    return (real - mean) @ directions, (fake - mean) @ directions


def scatter(
    real: Tensor,
    fake: Tensor,
    names: tuple[str, ...],
    title: str = "",
    modes: Tensor | None = None,
    aspect: str = "equal",
) -> Tensor:
    """The picture, framed by the real points; samples outside are counted in the legend.

    Args:
        real, fake: (n, 2).
        names: of the two axes.
        modes: (k, 2) centres to mark.
        aspect: "equal" where both axes have the same unit, otherwise "auto".
    """
    figure, (ax,) = panels(1, 1, 450, 450)
    low, high = around(real)
    outside = int(((fake < low) | (fake > high)).any(1).sum())
    ax.plot(*real.T.numpy(), ".", color=REAL, markersize=4, markeredgewidth=0, label="real")
    suffix = f", {outside / len(fake):.1%} outside" if outside else ""
    ax.plot(*fake.T.numpy(), ".", color=FAKE, markersize=4, alpha=0.6, markeredgewidth=0, label=f"generated{suffix}")
    if modes is not None:
        ax.plot(*modes.T.numpy(), "o", color=INK, markersize=11, fillstyle="none", markeredgewidth=0.7)
    ax.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), aspect=aspect)
    label(ax, title, *names)
    legend(ax)
    return render(figure)
