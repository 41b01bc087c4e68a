"""Several runs side by side: what each makes, and bars of what was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from gan_runner.pictures.figure import FAKE, INK, REAL, label, panels, render

SIDE = 240
"""Pixels of a run's picture."""
BAR = 26
"""Pixels of a bar with the room around it."""
NAMES = 130
"""Pixels for names beside bars."""


def comparison(
    names: Sequence[str],
    pictures: Sequence[Tensor | None],
    bars: Mapping[str, Sequence[float]],
    floors: Mapping[str, float | None],
    logarithmic: Sequence[str] = (),
) -> Tensor:
    """The picture, RGB.

    Args:
        names: of runs.
        pictures: RGB (height, width, 3) of what each makes.
        bars: metric -> its value for each run.
        floors: metric -> what real rows score, a dashed line.
        logarithmic: metrics whose panels have decades.
    """
    parts = [samples(names, pictures)] if any(p is not None for p in pictures) else []
    parts += [measures(names, bars, floors, logarithmic)] if bars else []
    width = max(part.shape[1] for part in parts) if parts else 1
    return torch.cat([_widened(part, width) for part in parts]) if parts else torch.full((1, 1, 3), 255).byte()


def samples(names: Sequence[str], pictures: Sequence[Tensor | None]) -> Tensor:
    figure, axes = panels(1, len(names), SIDE, SIDE, left=14)
    for ax, name, picture in zip(axes, names, pictures, strict=True):
        ax.axis("off")
        label(ax, name)
        if picture is not None:
            ax.imshow(picture.numpy(), interpolation="antialiased")
    return render(figure)


def measures(
    names: Sequence[str],
    bars: Mapping[str, Sequence[float]],
    floors: Mapping[str, float | None],
    logarithmic: Sequence[str],
) -> Tensor:
    columns = min(len(bars), 3)
    figure, axes = panels(-(-len(bars) // columns), columns, 250, BAR * len(names), left=NAMES)
    for ax in axes[len(bars) :]:
        ax.axis("off")
    for ax, (metric, values) in zip(axes, bars.items(), strict=False):
        ax.barh(range(len(names)), values, color=FAKE, height=0.6)
        ax.set_yticks(range(len(names)), names)
        ax.invert_yaxis()
        if metric in logarithmic:
            ax.set_xscale("log")
        for at, value in enumerate(values):
            ax.annotate(f" {value:.3g}", (value, at), va="center", fontsize=8, color=INK)
        floor, most = floors.get(metric), max(values)
        if metric in logarithmic:
            ax.set_xlim(min(values) / 3, 5 * most)
        else:
            ax.set_xlim(min(0, *values, floor or 0), 1.2 * most)
        if floor is not None:
            ax.axvline(floor, color=REAL, linestyle="--", linewidth=1.2)
        label(ax, metric + (", and real rows dashed" if floor is not None else ""))
    return render(figure)


def _widened(picture: Tensor, width: int) -> Tensor:
    """With white to its right."""
    height, own, _ = picture.shape
    return torch.cat([picture, torch.full((height, width - own, 3), 255, dtype=torch.uint8)], 1)
