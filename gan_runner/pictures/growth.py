"""What a progressively grown generator drew at each resolution: one grid a resolution, and a table of several runs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from gan_runner.datasets.spec import Source
from gan_runner.metrics import rows
from gan_runner.metrics.probe import Draw, Findings
from gan_runner.pictures import figure, png
from gan_runner.pictures.grid import IMAGES, grid

PANEL = 250
"""Pixels that a grid is wide and high in the table."""


@dataclass(frozen=True)
class Growth:
    """`samples_4x4`, `samples_8x8`, ...: a grid of samples under the name of the resolution that they have now.

    Beside it `real_4x4`, `real_8x8`, ..., training images at that resolution.

    The samples themselves tell, since a coarse one consists of equal squares. As soon as the next resolution fades in
    they no longer do, so each name keeps the last look at its resolution while that was settled.

    Args:
        every: steps between two calls.
        n: images.
    """

    every: int = 500
    n: int = 36

    kinds: ClassVar[frozenset[str]] = IMAGES

    def __call__(self, draw: Draw, source: Source) -> Findings:
        images = source.decode(draw(self.n))
        size = resolution(images)
        real = coarse(rows.some(source, self.n), size)
        return Findings(
            pictures={f"samples_{size}x{size}": grid(images), f"real_{size}x{size}": grid(source.decode(real))}
        )


def resolution(images: Tensor) -> int:
    """The least size s >= 4 of which all images (n, C, size, size) are enlarged copies."""
    size = images.shape[3]
    while size > 4 and torch.equal(images, enlarged(images[..., ::2, ::2], 2)):
        size, images = size // 2, images[..., ::2, ::2]
    return size


def coarse(images: Tensor, size: int) -> Tensor:
    """Images (n, C, H, H) in which squares are averaged, so that there are `size` in a line."""
    times = images.shape[3] // size
    return enlarged(F.avg_pool2d(images, times), times)


def enlarged(images: Tensor, times: int) -> Tensor:
    return images.repeat_interleave(times, 2).repeat_interleave(times, 3)


def kept(run: Path, what: str = "samples") -> dict[int, Tensor]:
    """Resolution -> the latest grid of "samples" or "real" images, uint8 RGB (height, width, 3), of a run folder."""
    found = {}
    for path in (run / "pictures").glob(f"{what}_*.png"):
        if name := re.fullmatch(rf"{what}_(\d+)x\1", path.stem):
            found[int(name[1])] = png.read(path)
    return dict(sorted(found.items()))


def table(lines: Mapping[str, Mapping[int, Tensor]]) -> Tensor:
    """One row of pictures a name, one column a resolution, uint8 RGB (height, width, 3).

    Args:
        lines: name of the row -> resolution -> grid uint8 RGB (height, width, 3).

    Raises:
        ValueError: there is no grid at all.
    """
    columns = sorted({size for grids in lines.values() for size in grids})
    if not columns:
        raise ValueError("no run has kept grids of its resolutions: train with the probe gan_runner.pictures.growth")
    sheet, axes = figure.panels(len(lines), len(columns), PANEL, PANEL)
    for i, (name, grids) in enumerate(lines.items()):
        for j, size in enumerate(columns):
            ax = axes[i * len(columns) + j]
            figure.label(ax, title=f"{size}x{size}" if i == 0 else "", y=name if j == 0 else "")
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set_visible(False)
            if size in grids:
                ax.imshow(grids[size].numpy(), interpolation="antialiased", aspect="equal")
    return figure.render(sheet)
