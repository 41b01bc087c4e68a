"""Figures in one house style: real is grey, generated is orange. The only place that knows matplotlib."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

REAL, FAKE, INK, RULE = "#8c929b", "#e8590c", "#343a40", "#adb5bd"
"""Colours of real and of generated data, of words, and of axes."""

LOWS, HIGHS = "#4c6ef5", "#f59f00"
"""Colours of low and of high scores: neither is that of data."""

DPI = 100
LEFT, RIGHT, TOP, BOTTOM = 56, 14, 28, 40
"""Pixels around a panel for its words. Fixed, since fitting them takes longer than drawing."""


def panels(lines: int, columns: int, width: int, height: int, left: int = LEFT) -> tuple[Figure, list[Axes]]:
    """An empty figure, and its panels of `width` x `height` pixels row by row, `left` pixels beside each."""
    from matplotlib.figure import Figure

    across, down = left + width + RIGHT, TOP + height + BOTTOM
    figure = Figure((columns * across / DPI, lines * down / DPI), DPI)
    axes = []
    for line in range(lines):
        for column in range(columns):
            x, y = column * across + left, (lines - 1 - line) * down + BOTTOM
            box = (x / (columns * across), y / (lines * down), width / (columns * across), height / (lines * down))
            ax = figure.add_axes(box)
            ax.spines[["top", "right"]].set_visible(False)
            ax.spines[["left", "bottom"]].set_color(RULE)
            ax.tick_params(labelsize=8, labelcolor=INK, length=2.5, color=RULE)
            axes.append(ax)
    return figure, axes


def label(ax: Axes, title: str = "", x: str = "", y: str = "") -> None:
    """Words on a panel: what it shows, and what its axes measure."""
    ax.set_title(title, fontsize=9, color=INK, loc="left")
    ax.set_xlabel(x, fontsize=8, color=INK)
    ax.set_ylabel(y, fontsize=8, color=INK)


def legend(ax: Axes) -> None:
    """The names of what is drawn on a panel, to the right of its title."""
    ax.legend(
        **{"loc": "lower right", "bbox_to_anchor": (1.01, 0.98), "ncols": 3, "columnspacing": 1, "handletextpad": 0.4},
        **{"fontsize": 8, "labelcolor": INK, "frameon": False, "handlelength": 1, "markerscale": 2, "borderpad": 0.2},
    )


def decades(ax: Axes) -> None:
    """Logarithms upwards on a panel, with numbers between the decades where these are too few to read from."""
    ax.set_yscale("log")
    low, high = ax.get_ylim()
    ax.yaxis.set_major_formatter("{x:g}")
    ax.yaxis.set_minor_formatter("{x:g}" if high < 20 * low else "")
    ax.tick_params(which="both", labelsize=8, labelcolor=INK)


def around(points: Tensor, room: float = 0.15) -> tuple[Tensor, Tensor]:
    """The lower left and upper right corner (2,) of a frame around points (n, 2), `room` of their range away."""
    low, high = points.min(0).values, points.max(0).values
    margin = room * (high - low).clamp(min=1e-6)
    return low - margin, high + margin


def shades(*colours: str) -> Colormap:
    """A scale from the first colour to the last."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("shades", colours)


def render(figure: Figure) -> Tensor:
    """The figure as a picture, uint8 RGB (height, width, 3)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    width, height = canvas.get_width_height()
    rgba = torch.frombuffer(bytearray(canvas.buffer_rgba()), dtype=torch.uint8)
    return rgba.view(height, width, 4)[..., :3].contiguous()
