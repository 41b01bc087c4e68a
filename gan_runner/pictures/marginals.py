"""Histograms of single columns, real against generated."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from gan_runner.datasets.spec import Source
from gan_runner.metrics import rows
from gan_runner.metrics.probe import Draw, Findings
from gan_runner.pictures.figure import FAKE, REAL, RIGHT, label, legend, panels, render

BINS = 40


@dataclass(frozen=True)
class Marginals:
    """`marginals`: the density of each of the first columns.

    Args:
        every: steps between two calls.
        n: rows of each kind.
        columns: how many columns to show.
    """

    every: int = 5000
    n: int = 5000
    columns: int = 8

    kinds: ClassVar[frozenset[str]] = frozenset({"table"})

    def __call__(self, draw: Draw, source: Source) -> Findings:
        real, fake = (source.decode(x).cpu()[:, : self.columns] for x in (rows.some(source, self.n), draw(self.n)))
        return Findings(pictures={"marginals": marginals(real, fake, source.spec.names)})


def marginals(real: Tensor, fake: Tensor, names: tuple[str, ...]) -> Tensor:
    """The picture: a panel for each column of real and fake (n, p), over the range of the real values and some more."""
    count = real.shape[1]
    names = names or tuple(f"column {i + 1}" for i in range(count))
    across = min(count, 4)
    width = min(800 // across, 420)
    figure, axes = panels(math.ceil(count / across), across, width, width * 3 // 5, left=RIGHT)
    for ax, a, b, name in zip(axes, real.T, fake.T, names, strict=False):
        margin = 0.1 * float(a.max() - a.min()) or 1.0
        edges = torch.linspace(float(a.min()) - margin, float(a.max()) + margin, BINS + 1)
        ax.stairs(density(a, edges), edges.numpy(), fill=True, color=REAL, label="real")
        ax.stairs(density(b, edges), edges.numpy(), color=FAKE, linewidth=1.6, label="generated")
        ax.yaxis.set_visible(False)
        ax.locator_params(axis="x", nbins=4)
        label(ax, name)
    for ax in axes[count:]:
        ax.set_visible(False)
    legend(axes[0])
    return render(figure)


def density(x: Tensor, edges: Tensor):
    """Share of the values x (n,) in each bin, per unit; what lies outside the bins is missing from the area."""
    return (torch.histogram(x, edges).hist / len(x) / edges.diff()).numpy()
