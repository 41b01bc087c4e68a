"""Pictures of the plane: what the discriminator thinks of every point, and how densely points lie.

The level sets are those of Gulrajani et al. (2017, Figure 1), the densities those of VEEGAN and of its comparisons.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from gan_runner.datasets.spec import Source
from gan_runner.metrics import rows
from gan_runner.metrics.probe import Draw, Findings
from gan_runner.pictures.figure import FAKE, HIGHS, INK, LOWS, REAL, around, label, legend, panels, render, shades

MESH = 100
"""Points along each axis."""

SIDE = 420
"""Pixels of a panel's sides."""

TABLES = frozenset({"table"})


@dataclass(frozen=True)
class LevelSets:
    """`level_sets` of the discriminator's score, over real and generated points; nothing but in the plane.

    Args:
        every: steps between two calls.
        n: points of each kind.
        margin: how far the picture reaches beyond the real points, in parts of their range.
    """

    every: int = 1000
    n: int = 400
    margin: float = 0.3

    kinds: ClassVar[frozenset[str]] = TABLES

    def __call__(self, draw: Draw, source: Source) -> Findings:
        if source.spec.shape != (2,):
            return Findings()
        x, y = frame(rows.some(source, 5000).cpu(), self.margin)
        found = on_mesh(lambda at: draw.judge(at.to(source.device)), x, y)
        if found is None:
            return Findings()
        x, y = source.decode(torch.stack([x, y], 1).to(source.device)).cpu().T
        real, fake = (source.decode(some).cpu() for some in (rows.some(source, self.n), draw(self.n)))
        return Findings(pictures={"level_sets": level_sets(x, y, found, real, fake, source.spec.names)})


@dataclass(frozen=True)
class Density:
    """`density` of real and of generated points, by Gaussian kernels; nothing but in the plane.

    Args:
        every: steps between two calls.
        n: points of each kind.
        width: standard deviation of the kernels, in parts of the real points' range.
    """

    every: int = 1000
    n: int = 5000
    width: float = 0.015

    kinds: ClassVar[frozenset[str]] = TABLES

    def __call__(self, draw: Draw, source: Source) -> Findings:
        if source.spec.shape != (2,):
            return Findings()
        real, fake = (source.decode(x).cpu() for x in (rows.some(source, self.n), draw(self.n)))
        return Findings(pictures={"density": densities(real, fake, self.width, source.spec.names)})


def frame(points: Tensor, margin: float) -> tuple[Tensor, Tensor]:
    """Two axes (MESH,) around points (n, 2), longer than their range by its `margin` at each end."""
    low, high = around(points, margin)
    return torch.linspace(float(low[0]), float(high[0]), MESH), torch.linspace(float(low[1]), float(high[1]), MESH)


def on_mesh(judge: Callable[[Tensor], Tensor | None], x: Tensor, y: Tensor) -> Tensor | None:
    """Scores (len(y), len(x)) of all points of two axes, line by line upwards as pictures of the plane are drawn; None
    where points are not judged one by one."""
    across, up = torch.meshgrid(x, y, indexing="xy")
    scores = judge(torch.stack([across.flatten(), up.flatten()], 1))
    return None if scores is None or len(scores) < len(x) * len(y) else scores.cpu().float().view(len(y), len(x))


def kernel_density(points: Tensor, x: Tensor, y: Tensor, width: tuple[float, float]) -> Tensor:
    """Mean (len(y), len(x)) of Gaussians about points (n, 2), of standard deviations `width`, at all points of axes."""
    along, up = (
        (-0.5 * ((axis[:, None] - column) / sd) ** 2).exp() / (sd * math.sqrt(2 * math.pi))
        for axis, column, sd in zip((x, y), points.T, width, strict=True)
    )
    return up @ along.T / len(points)


def level_sets(
    x: Tensor, y: Tensor, scores: Tensor, real: Tensor, fake: Tensor, names: tuple[str, ...] = ("", "")
) -> Tensor:
    """The picture: colours from low to high scores (len(y), len(x)), twelve levels, and points (n, 2)."""
    figure, (ax,) = panels(1, 1, SIDE, SIDE)
    levels = [float(q) for q in torch.linspace(float(scores.min()), float(scores.max()) + 1e-6, 13)]
    mesh = (x.numpy(), y.numpy(), scores.numpy())
    ax.contourf(*mesh, levels=levels, cmap=shades(LOWS, "white", HIGHS), alpha=0.75)
    lines = ax.contour(*mesh, levels=levels, colors=INK, linewidths=0.5, linestyles="solid")
    ax.clabel(lines, levels[2:-1:3], fontsize=7, fmt="%.2g", colors=INK)
    ax.plot(*real.T.numpy(), ".", color=INK, markersize=3.5, markeredgewidth=0, label="real")
    ax.plot(*fake.T.numpy(), ".", color=FAKE, markersize=3.5, markeredgewidth=0, alpha=0.8, label="generated")
    ax.set(xlim=(x[0], x[-1]), ylim=(y[0], y[-1]))
    label(ax, f"score, {levels[0]:.2g} (blue) to {levels[-1]:.2g} (yellow)", *names)
    legend(ax)
    return render(figure)


def densities(real: Tensor, fake: Tensor, width: float, names: tuple[str, ...] = ("", "")) -> Tensor:
    """The picture: real points (n, 2) on the left, generated ones on the right, both on the scale of the real ones."""
    figure, axes = panels(1, 2, SIDE, SIDE)
    x, y = frame(real, 0.15)
    sds = tuple(width * float(axis[-1] - axis[0]) / 1.3 for axis in (x, y))
    found = [kernel_density(points, x, y, (sds[0], sds[1])) for points in (real, fake)]
    top = float(found[0].max())
    for ax, values, colour, word in zip(axes, found, (REAL, FAKE), ("real", "generated"), strict=True):
        ends = (float(x[0]), float(x[-1]), float(y[0]), float(y[-1]))
        scale = shades("white", colour, "black")
        look = {"vmin": 0, "vmax": 1.3 * top**0.5, "interpolation": "bilinear"}
        ax.imshow(values.sqrt().numpy(), scale, origin="lower", extent=ends, aspect="auto", **look)
        label(ax, f"{word}, square root of the density", *names)
    return render(figure)
