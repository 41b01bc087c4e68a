"""Chains on their way from noise, scores of several kinds of rows, and a learnt density beside the true one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from gan_runner.datasets.spec import Source
from gan_runner.metrics.probe import Draw, Findings
from gan_runner.pictures.figure import FAKE, HIGHS, INK, LOWS, REAL, label, panels, render, shades
from gan_runner.pictures.grid import IMAGES, grid
from gan_runner.pictures.marginals import BINS, density


@dataclass(frozen=True)
class Strip:
    """`chains`: one line a chain, from noise on the left to a sample on the right, columns at even steps of moves.

    Of an energy-based model: its objective says where chains are, `way(state, latents, moves)`.

    Args:
        every: steps between two calls.
        n: chains.
        columns: looks at each, the first before it moves; as many as there are moves where that is fewer.

    Raises:
        ValueError: `n` is below 1 or `columns` below 2.
    """

    every: int = 500
    n: int = 8
    columns: int = 11

    kinds: ClassVar[frozenset[str]] = IMAGES

    def __post_init__(self) -> None:
        if self.n < 1 or self.columns < 2:
            raise ValueError(f"n={self.n} must be 1 or more, and columns={self.columns} 2 or more")

    def __call__(self, draw: Draw, source: Source) -> Findings:
        looks = torch.linspace(0, draw.objective.moves, self.columns).round().int().unique().tolist()
        z = draw.latents(self.n)
        seen = torch.stack(draw.objective.way(draw.state.averaged(), z, looks), 1).flatten(0, 1)
        return Findings(pictures={"chains": grid(source.decode(seen), len(looks))})


def histograms(found: Mapping[str, Tensor], what: str) -> Tensor:
    """Densities of numbers (n,), of real rows, samples, and of others by name: uint8 RGB (height, width, 3).

    Args:
        what: the numbers are, below their axis.
    """
    figure, (ax,) = panels(1, 1, 520, 300)
    everything = torch.cat([values.float() for values in found.values()])
    low, high = (float(everything.quantile(q)) for q in (0.001, 0.999))
    edges = torch.linspace(low, high + 1e-6, 2 * BINS + 1)
    colours = iter([HIGHS, LOWS, INK] * len(found))
    for name, values in found.items():
        colour = {"real": REAL, "generated": FAKE}.get(name) or next(colours)
        filled = name != "generated"
        look = {"fill": filled, "alpha": 0.6 if filled else 1.0, "linewidth": 1.6}
        ax.stairs(density(values.float(), edges), edges.numpy(), color=colour, label=name, **look)  # type: ignore[arg-type]
    ax.yaxis.set_visible(False)
    label(ax, "", what)
    ax.legend(loc="upper right", fontsize=8, labelcolor=INK, frameon=False)
    return render(figure)


def densities(points: Tensor, true: Tensor, learned: Tensor, modes: Tensor, names: tuple[str, ...]) -> Tensor:
    """Both densities (n * n,) at the points (n * n, 2) of a mesh whose second coordinate runs fastest, framed by modes.

    Square roots on one scale, that of the true one.
    """
    figure, axes = panels(1, 2, 380, 380)
    n = round(len(points) ** 0.5)
    (left, bottom), (right, top) = points[0].tolist(), points[-1].tolist()
    middle, room = modes.mean(0), 1.35 * float((modes - modes.mean(0)).abs().max().clamp(min=1e-6))
    for ax, values, colour, word in zip(axes, (true, learned), (REAL, FAKE), ("true", "learned"), strict=True):
        look = {"vmin": 0, "vmax": 1.1 * float(true.max()) ** 0.5, "interpolation": "bilinear", "aspect": "auto"}
        mesh = values.view(n, n).T.sqrt().numpy()
        ax.imshow(mesh, shades("white", colour, "black"), origin="lower", extent=(left, right, bottom, top), **look)
        ax.set(xlim=(middle[0] - room, middle[0] + room), ylim=(middle[1] - room, middle[1] + room))
        label(ax, f"{word}, square root of the density", *names)
    return render(figure)
