"""Tables beyond their single columns: correlation matrices, and the scores of rows, real against generated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from gan_runner.datasets.spec import KINDS, Source
from gan_runner.metrics import rows
from gan_runner.metrics.probe import Draw, Findings
from gan_runner.pictures.figure import FAKE, HIGHS, INK, LEFT, LOWS, REAL, label, legend, panels, render, shades
from gan_runner.pictures.marginals import BINS, density

NAMED = 30
"""Columns, at most, whose names are written beside a matrix."""


@dataclass(frozen=True)
class Correlations:
    """`correlations`: the correlation matrices of real and of generated rows; nothing for a single column.

    Args:
        every: steps between two calls.
        n: rows of each kind.
    """

    every: int = 10_000
    n: int = 5000

    kinds: ClassVar[frozenset[str]] = frozenset({"table"})

    def __call__(self, draw: Draw, source: Source) -> Findings:
        if source.spec.shape[0] == 1:
            return Findings()
        real, fake = (source.decode(x).cpu().double() for x in (rows.some(source, self.n), draw(self.n)))
        a, b = torch.corrcoef(real.T), torch.corrcoef(fake.T)
        return Findings(pictures={"correlations": correlations(a, b, source.spec.names)})


@dataclass(frozen=True)
class Scores:
    """`scores`: how the discriminator scores real and generated rows; nothing where single rows have no score.

    Args:
        every: steps between two calls.
        n: rows of each kind.
    """

    every: int = 10_000
    n: int = 5000

    kinds: ClassVar[frozenset[str]] = KINDS

    def __call__(self, draw: Draw, source: Source) -> Findings:
        real, fake = (draw.judge(x) for x in (rows.some(source, self.n), draw(self.n)))
        if real is None or fake is None:
            return Findings()
        return Findings(pictures={"scores": scores(real.cpu().float(), fake.cpu().float())})


def correlations(real: Tensor, fake: Tensor, names: Sequence[str] = ()) -> Tensor:
    """The picture of two matrices (p, p) of numbers from -1 (blue) over 0 (white) to 1 (yellow); NaN is dark."""
    named = len(names) == len(real) <= NAMED
    figure, axes = panels(1, 2, 320, 320, left=90 if named else LEFT)
    apart = (real - fake).nan_to_num().abs().max()
    for ax, matrix, word in ((axes[0], real, "real"), (axes[1], fake, f"generated, off by {float(apart):.2f} at most")):
        ax.set_facecolor(INK)
        ax.imshow(matrix.numpy(), shades(LOWS, "white", HIGHS), vmin=-1, vmax=1, interpolation="nearest")
        if named:
            ax.set_xticks([])
            ax.set_yticks(range(len(names)), [name[:14] for name in names], fontsize=7)
        label(ax, word, "columns; blue -1, white 0, yellow 1", "" if named else "columns")
    return render(figure)


def scores(real: Tensor, fake: Tensor) -> Tensor:
    """The picture: densities of both kinds of scores (n,), over the range of all of them."""
    figure, (ax,) = panels(1, 1, 420, 260)
    everything = torch.cat([real, fake])
    edges = torch.linspace(float(everything.min()), float(everything.max()) + 1e-6, BINS + 1)
    ax.stairs(density(real, edges), edges.numpy(), fill=True, color=REAL, label="real")
    ax.stairs(density(fake, edges), edges.numpy(), color=FAKE, linewidth=1.6, label="generated")
    ax.yaxis.set_visible(False)
    label(ax, "", "score, higher for more real")
    legend(ax)
    return render(figure)
