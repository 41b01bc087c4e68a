"""Numbers against time or place, several to a panel."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from gan_runner.pictures.figure import FAKE, INK, REAL, decades, label, panels, render

COLOURS = (INK, "#1c7ed6", "#2f9e44", "#ae3ec9", "#f59f00")
DATA = {"real": REAL, "generated": FAKE}
"""Colours of names that have one of their own."""

Curve = tuple[Tensor, Tensor]
"""Where (k,), and how much (k,)."""


def curves(
    lines: Mapping[str, Mapping[str, Curve]], x: str, y: str = "", logarithmic: bool = False, room: float = 0.0
) -> Tensor:
    """The picture: panel -> name -> curve; a name has the same colour in every panel.

    Args:
        x, y: what the axes measure.
        logarithmic: whether those upwards have decades.
        room: left free above the curves for their names, in parts of the height.
    """
    names = list(dict.fromkeys(name for panel in lines.values() for name in panel if name not in DATA))
    colours = {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(names)} | DATA
    figure, axes = panels(1, len(lines), 420, 300)
    for ax, (title, panel) in zip(axes, lines.items(), strict=True):
        for name, (where, value) in panel.items():
            ax.plot(where.numpy(), value.numpy(), color=colours[name], linewidth=1.4, label=name)
        if logarithmic:
            decades(ax)
        low, high = ax.get_ylim()
        ax.set_ylim(low, high + room * (high - low))
        label(ax, title, x, y)
        ax.legend(loc="best", fontsize=8, labelcolor=INK, framealpha=0.8, edgecolor="none")
    return render(figure)
