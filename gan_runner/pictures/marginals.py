"""Single columns, real against generated: histograms of numbers, bars of categories."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from gan_runner.datasets.spec import Source
from gan_runner.metrics import rows
from gan_runner.metrics.probe import Draw, Findings
from gan_runner.pictures.figure import FAKE, REAL, RIGHT, label, legend, panels, render

if TYPE_CHECKING:
    from gan_runner.pictures.figure import Axes

BINS = 40
LEGEND = 140
"""Pixels that the legend takes from the first panel's title."""
BARS = 8
"""Categories shown at most."""


@dataclass(frozen=True)
class Marginals:
    """`marginals`: the density of each of the first columns, or the shares of its categories.

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
        real, fake = (
            source.decode(x).cpu().float()[:, : self.columns] for x in (rows.some(source, self.n), draw(self.n))
        )
        return Findings(pictures={"marginals": marginals(real, fake, source.spec.names, source.levels)})


def marginals(
    real: Tensor, fake: Tensor, names: tuple[str, ...], levels: Sequence[tuple[str, ...]] | None = None
) -> Tensor:
    """The picture: a panel for each column of real and fake (n, p).

    Args:
        names: of the columns.
        levels: the texts of each column's categories, none for numbers; all are numbers if None.
    """
    count = real.shape[1]
    names = names or tuple(f"column {i + 1}" for i in range(count))
    across = min(count, 4)
    width = min(800 // across, 420)
    figure, axes = panels(math.ceil(count / across), across, width, width * 3 // 5, left=RIGHT)
    for ax, a, b, name, texts in zip(axes, real.T, fake.T, names, levels or ((),) * count, strict=False):
        if texts:
            bars(ax, a, b, texts)
        else:
            histograms(ax, a[~a.isnan()], b[~b.isnan()])
        ax.yaxis.set_visible(False)
        label(ax, shortened(name, (width - LEGEND if ax is axes[0] else width) // 7))
    for ax in axes[count:]:
        ax.set_visible(False)
    legend(axes[0])
    return render(figure)


def histograms(ax: Axes, real: Tensor, fake: Tensor) -> None:
    """Densities of numbers (n,), over the range of the real ones and some more."""
    margin = 0.1 * float(real.max() - real.min()) or 1.0
    edges = torch.linspace(float(real.min()) - margin, float(real.max()) + margin, BINS + 1)
    ax.stairs(density(real, edges), edges.numpy(), fill=True, color=REAL, label="real")
    ax.stairs(density(fake, edges), edges.numpy(), color=FAKE, linewidth=1.6, label="generated")
    ax.locator_params(axis="x", nbins=4)


def bars(ax: Axes, real: Tensor, fake: Tensor, texts: Sequence[str]) -> None:
    """Shares of categories (n,), numbered as their texts; the most frequent ones if there are many."""
    shares = torch.stack([torch.bincount(x.long(), minlength=len(texts)) / len(x) for x in (real, fake)])
    shown = shares[0].argsort(descending=True, stable=True)[:BARS].sort().values
    for offset, share, colour, word in ((-0.2, shares[0], REAL, "real"), (0.2, shares[1], FAKE, "generated")):
        ax.bar((torch.arange(len(shown)) + offset).numpy(), share[shown].numpy(), 0.4, color=colour, label=word)
    ax.set_xticks(range(len(shown)), [shortened(str(texts[i] or "(gap)"), 60 // len(shown)) for i in shown.tolist()])


def shortened(text: str, most: int) -> str:
    return text if len(text) <= max(most, 4) else text[: max(most, 4) - 1] + "…"


def density(x: Tensor, edges: Tensor):
    """Share of the values x (n,) in each bin, per unit; what lies outside the bins is missing from the area."""
    return (torch.histogram(x, edges).hist / len(x) / edges.diff()).numpy()
