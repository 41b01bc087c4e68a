"""Lines of samples of any kind, each sample a little unlike the one before it."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from gan_runner.datasets.spec import Source
from gan_runner.pictures.figure import HIGHS, LOWS, around, label, panels, render, shades
from gan_runner.pictures.grid import grid
from gan_runner.pictures.matrices import colours

Colour = tuple[float, float, float, float]

NAMED = 12
"""Columns of a table that have room for their names."""


def sheet(source: Source, x: Tensor) -> Tensor:
    """The picture of samples (lines, columns, *shape) in the scale of training.

    Images and matrices lie side by side, lines downwards where the sheet is then wide. Points of the plane are joined,
    rows of tables and series are curves, a panel a line, from the first column's colour to the last one's.
    """
    if source.spec.kind in ("image", "correlation"):
        x = x if x.shape[0] <= x.shape[1] else x.transpose(0, 1)
        made = source.decode(x.flatten(0, 1)).cpu()
        return grid(made if source.spec.kind == "image" else colours(made), x.shape[1])
    x = x.detach().cpu()
    return plane(x, source.spec.names) if source.spec.shape == (2,) else profiles(x, source.spec.names)


def plane(x: Tensor, names: tuple[str, ...]) -> Tensor:
    """Points (lines, columns, 2), those of a line joined."""
    figure, (ax,) = panels(1, 1, 450, 450)
    for colour, points in coloured(x):
        ax.plot(*points.T.numpy(), ".", color=colour, markersize=7, markeredgewidth=0)
    for line in x:
        ax.plot(*line.T.numpy(), color="0.8", linewidth=0.8, zorder=0)
    low, high = around(x.flatten(0, 1))
    ax.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]))
    label(ax, "", *(names or ("", "")))
    return render(figure)


def profiles(x: Tensor, names: tuple[str, ...]) -> Tensor:
    """A panel for each line of samples (lines, columns, *shape): columns of a table, days of a series' first column."""
    across = min(3, len(x))
    figure, axes = panels(math.ceil(len(x) / across), across, 300, 150)
    days = x.dim() == 4
    low, high = float(x.min()), float(x.max())
    for ax, line in zip(axes, x, strict=False):
        for colour, row in coloured(line[None, :, 0] if days else line[None]):
            ax.plot(row[0].numpy(), color=colour, linewidth=1)
        ax.set_ylim(low - 0.05 * (high - low), high + 0.05 * (high - low))
        if not days and len(names) == x.shape[2] <= NAMED:
            ax.set_xticks(range(len(names)), [name[:8] for name in names], rotation=30)
        label(ax, "", "day" if days else "", "in the scale of training")
    for ax in axes[len(x) :]:
        ax.set_axis_off()
    return render(figure)


def coloured(x: Tensor) -> list[tuple[Colour, Tensor]]:
    """What stands in each column (lines, *shape) of samples (lines, columns, *shape), and its colour."""
    scale, places = shades(LOWS, HIGHS), torch.linspace(0, 1, x.shape[1]).tolist()
    return [(scale(place), part) for place, part in zip(places, x.unbind(1), strict=True)]
