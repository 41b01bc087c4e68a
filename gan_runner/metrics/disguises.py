"""Images that are strange because they were spoiled: to choose a score of strangeness by, without true strangers."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

TILE = 4
NOISE = 0.3


def disguised(x: Tensor) -> dict[str, Tensor]:
    """name -> images (n, C, H, W) that were spoiled in one way; always the same for the same x."""
    g = torch.Generator().manual_seed(0)
    return {
        "flipped": x.flip(2),
        "negative": -x,
        "pixels": tiled(x, 1, g),
        "tiles": tiled(x, TILE, g),
        "small": framed(x, tuple(x.shape[2:])),
        "noisy": (x + NOISE * torch.randn(x.shape, generator=g).to(x)).clamp(-1, 1),
        "blurred": blurred(blurred(x)),
    }


def tiled(x: Tensor, tile: int, g: torch.Generator) -> Tensor:
    """Images cut into tiles of so many pixels, laid in an order of each image's own; what is left over is black."""
    patches = F.unfold(x, tile, stride=tile)
    order = torch.rand(len(x), 1, patches.shape[2], generator=g).argsort(2).to(x.device)
    height, width = (length // tile * tile for length in x.shape[2:])
    laid = F.fold(patches.gather(2, order.expand_as(patches)), (height, width), tile, stride=tile)
    return F.pad(laid, (0, x.shape[3] - width, 0, x.shape[2] - height), value=-1.0)


def blurred(x: Tensor) -> Tensor:
    """Images whose pixels are binomial means over 5x5 of them, with black around."""
    line = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0]).to(x) / 16
    kernel = (line[:, None] * line).expand(x.shape[1], 1, 5, 5)
    return F.conv2d(F.pad(x, (2, 2, 2, 2), value=-1.0), kernel, groups=x.shape[1])


def framed(images: Tensor, size: tuple[int, ...]) -> Tensor:
    """Images (n, C, H, W) at 5/8 of a height and width, in the middle of black.

    MNIST's digits fill 20 of 28 pixels, which sets of its format frame to 32 before they shrink; those of scikit-learn
    fill their image, every one from top to bottom.
    """
    height, width = (round(length * 5 / 8) for length in size)
    top, left = (size[0] - height) // 2, (size[1] - width) // 2
    made = images.new_full((*images.shape[:2], *size), -1.0)
    made[:, :, top : top + height, left : left + width] = resized(images, (height, width))
    return made


def resized(images: Tensor, size: tuple[int, ...]) -> Tensor:
    """Images (n, C, H, W) at a height and width."""
    if tuple(images.shape[2:]) == tuple(size):
        return images
    return F.interpolate(images, tuple(size), mode="bilinear", antialias=True)
