"""Images side by side: samples, real ones, and walks between latents."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor

from gan_runner.datasets.spec import Source
from gan_runner.metrics import rows
from gan_runner.metrics.probe import Draw, Findings

IMAGES = frozenset({"image"})
WIDTH = 560
"""Pixels that a grid is enlarged to at most, so that small images can be read on a screen."""


@dataclass(frozen=True)
class SampleGrid:
    """`samples` of the averaged generator and `samples_live` of the one in training, from the same noise.

    Args:
        every: steps between two calls.
        n: images.
    """

    every: int = 500
    n: int = 64

    kinds: ClassVar[frozenset[str]] = IMAGES

    def __call__(self, draw: Draw, source: Source) -> Findings:
        averaged, live = draw(self.n), draw(self.n, live=True)
        return Findings(pictures={"samples": grid(source.decode(averaged)), "samples_live": grid(source.decode(live))})


@dataclass(frozen=True)
class RealGrid:
    """`real` training images, to compare samples with.

    Args:
        every: steps between two calls; -1, once before the first step, is enough.
        n: images.
    """

    every: int = -1
    n: int = 64

    kinds: ClassVar[frozenset[str]] = IMAGES

    def __call__(self, draw: Draw, source: Source) -> Findings:
        return Findings(pictures={"real": grid(source.decode(rows.some(source, self.n)))})


@dataclass(frozen=True)
class Interpolation:
    """`interpolation`: each row of images walks from one latent to another; nothing where the model has no latent.

    Args:
        every: steps between two calls.
        rows: walks.
        columns: images in each.
    """

    every: int = 2000
    rows: int = 6
    columns: int = 10

    kinds: ClassVar[frozenset[str]] = IMAGES

    def __call__(self, draw: Draw, source: Source) -> Findings:
        walks = draw.interpolate(self.rows, self.columns)
        if walks is None:
            return Findings()
        return Findings(pictures={"interpolation": grid(source.decode(walks), self.columns)})


def grid(images: Tensor, columns: int | None = None, gap: int = 2) -> Tensor:
    """Images row by row on white, each pixel enlarged to a square of whole pixels.

    Args:
        images: uint8 (n, C, H, W), C 1 or 3.
        columns: images in a row; as many as make the grid square if None.
        gap: white pixels around each image.

    Returns:
        uint8 RGB (height, width, 3) on the CPU.
    """
    columns = columns or math.ceil(math.sqrt(len(images)))
    lines = math.ceil(len(images) / columns)
    zoom = max((WIDTH // columns - gap) // images.shape[3], 1)
    tiles = images.cpu().expand(-1, 3, -1, -1).repeat_interleave(zoom, 2).repeat_interleave(zoom, 3)
    tiles = F.pad(tiles, (gap, 0, gap, 0), value=255)
    tiles = F.pad(tiles, (0, 0, 0, 0, 0, 0, 0, lines * columns - len(tiles)), value=255)
    _, channels, height, width = tiles.shape
    sheet = tiles.view(lines, columns, channels, height, width).permute(0, 3, 1, 4, 2)
    return F.pad(sheet.reshape(lines * height, columns * width, channels), (0, 0, 0, gap, 0, gap), value=255)
