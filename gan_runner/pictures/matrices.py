"""The stylised facts of correlation matrices as pictures, real against generated (CorrGAN, Marti 2019)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from gan_runner.datasets.spec import Source
from gan_runner.metrics import rows
from gan_runner.metrics.matrices import coefficients
from gan_runner.metrics.probe import Draw, Findings
from gan_runner.metrics.spectra import eigen, marchenko_pastur_density, marchenko_pastur_edges, tree_degrees
from gan_runner.pictures.figure import FAKE, HIGHS, INK, LOWS, REAL, label, legend, panels, render, shades
from gan_runner.pictures.marginals import density

SHOWN = 4
"""Matrices of each kind that are drawn."""


@dataclass(frozen=True)
class FactPictures:
    """`facts`: coefficients, spectrum, first eigenvector and tree degrees of all; `heat_maps`: some matrices whole.

    Args:
        every: steps between two calls.
        n: matrices of each kind.
    """

    every: int = 1000
    n: int = 1000

    kinds: ClassVar[frozenset[str]] = frozenset({"correlation"})

    def __call__(self, draw: Draw, source: Source) -> Findings:
        real, fake = (source.decode(x).squeeze(1).cpu() for x in (rows.some(source, self.n), draw(self.n)))
        days = int(source.truth["days"]) if "days" in source.truth else None
        return Findings(pictures={"facts": facts(real, fake, days), "heat_maps": heat_maps(real, fake)})


def facts(real: Tensor, fake: Tensor, days: int | None) -> Tensor:
    """The picture of four facts of correlation matrices (n, p, p): what is one line long or wide, not a matrix.

    `days` are the observations behind each matrix, by which the Marchenko-Pastur law says what chance alone makes.
    """
    figure, axes = panels(2, 2, 330, 230)
    (real_values, real_first), (fake_values, fake_first) = eigen(real), eigen(fake)
    histogram(axes[0], coefficients(real), coefficients(fake))
    label(axes[0], "coefficients", "correlation", "density")
    legend(axes[0])
    spectrum(axes[1], real_values, fake_values, days)
    first_eigenvector(axes[2], real_first, fake_first)
    tree(axes[3], tree_degrees(real), tree_degrees(fake))
    return render(figure)


def histogram(ax: Any, real: Tensor, fake: Tensor) -> None:
    """Densities of both kinds of numbers (n,), over the range of all of them."""
    everything = torch.cat([real, fake])
    edges = torch.linspace(float(everything.min()), float(everything.max()) + 1e-6, 61, dtype=torch.float64)
    ax.stairs(density(real, edges), edges.numpy(), fill=True, color=REAL, label="real")
    ax.stairs(density(fake, edges), edges.numpy(), color=FAKE, linewidth=1.6, label="generated")


def spectrum(ax: Any, real: Tensor, fake: Tensor, days: int | None) -> None:
    """Densities of all eigenvalues (n, p) on a logarithmic axis, and what uncorrelated variables would have."""
    histogram(ax, real.clamp_min(1e-3).log10().flatten(), fake.clamp_min(1e-3).log10().flatten())
    ax.xaxis.set_major_formatter(lambda power, _: f"{10**power:.3g}")
    title = "spectrum"
    if days is not None:
        low, high = marchenko_pastur_edges(real.shape[1], days)
        x = torch.linspace(low, high, 400, dtype=torch.float64)
        law = marchenko_pastur_density(x, real.shape[1], days) * x * torch.log(torch.tensor(10.0))
        ax.plot(x.log10().numpy(), law.numpy(), color=INK, linewidth=1)
        title += f"; line: uncorrelated (to {high:.2f})"
    label(ax, title, "eigenvalue, or 0.001 where smaller", "density of its logarithm")


def first_eigenvector(ax: Any, real: Tensor, fake: Tensor) -> None:
    """Densities of the entries (n, p) of first eigenvectors, times the root of p: all 1 if all variables are alike."""
    size = real.shape[1] ** 0.5
    histogram(ax, size * real.flatten(), size * fake.flatten())
    ax.axvline(0, color=INK, linewidth=0.6)
    label(ax, "first eigenvector", "entry x root of their number", "density")


def tree(ax: Any, real: Tensor, fake: Tensor) -> None:
    """Shares of the degrees (n, p) in minimum spanning trees, both axes logarithmic."""
    for degrees, colour, marker in ((real, REAL, "o"), (fake, FAKE, "x")):
        share = degrees.flatten().bincount().double()[1:] / degrees.numel()
        k = share.nonzero().squeeze(1)
        ax.plot((k + 1).numpy(), share[k].numpy(), color=colour, marker=marker, markersize=5, linewidth=1)
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.xaxis.set_major_formatter("{x:g}")
    ax.xaxis.set_minor_formatter("")
    label(ax, "minimum spanning tree", "degree", "share of variables")


def heat_maps(real: Tensor, fake: Tensor) -> Tensor:
    """The picture of the first matrices (n, p, p) of each kind: from -1 (blue) over 0 (white) to 1 (yellow)."""
    figure, axes = panels(2, SHOWN, 170, 170, left=30)
    for line, (matrices, word) in enumerate(((real, "real"), (fake, "generated"))):
        for ax, matrix in zip(axes[line * SHOWN :], matrices[:SHOWN], strict=False):
            ax.imshow(matrix.numpy(), shades(LOWS, "white", HIGHS), vmin=-1, vmax=1, interpolation="nearest")
            label(ax, word)
    return render(figure)


def colours(c: Tensor) -> Tensor:
    """Correlations (n, 1, p, p) as uint8 RGB images (n, 3, p, p) in the colours of `heat_maps`."""
    scale = torch.tensor([[int(hue[i : i + 2], 16) for i in (1, 3, 5)] for hue in (LOWS, "#ffffff", HIGHS)])
    low, white, high = scale.double().view(3, 1, 3, 1, 1)
    x = c.double()
    return (white + x.clamp_min(0) * (high - white) - x.clamp_max(0) * (low - white)).round().to(torch.uint8)
