"""Networks that grow from 4 x 4 to the size of the image (Karras et al. 2018, section 2 and appendix A).

All blocks exist from the start; `lod`, the level of detail, says which are awake. At lod = 0 the whole network is, at
lod = k images of size / 2^k are made, and in between the finer of two resolutions fades in. Images are always of full
size at the doors: the generator copies its pixels, the discriminator averages those it is given.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gan_runner.models import roles
from gan_runner.models.checks import SIZES, positive, square_image
from gan_runner.models.equalised import BatchDeviation, Conv2d, Linear, PixelNorm


class Growing(nn.Module):
    """A network of `levels` resolutions, 4 x 4 being the first; it is born with all of them awake.

    Attributes:
        lod: level of detail (0-d float64), from levels - 1 for 4 x 4 down to 0. Read by forward passes as a tensor.
        level: the integer part of `lod`, by which Python chooses the blocks that are awake.
    """

    lod: Tensor

    def __init__(self, size: int):
        super().__init__()
        self.levels = round(math.log2(size)) - 1
        self.level = 0
        self.register_buffer("lod", torch.zeros((), dtype=torch.float64))
        self.register_load_state_dict_post_hook(find_level)

    def grow(self, lod: float) -> None:
        """Be at this level of detail; the buffer keeps its place in memory."""
        self.lod.fill_(lod)
        self.level = math.floor(lod)

    @property
    def doublings(self) -> int:
        """How many doublings of 4 x 4 are awake."""
        return self.levels - 1 - self.level

    def fade(self, new: Tensor, old: Tensor) -> Tensor:
        """From `old`, when a resolution opens, to `new`, when it is settled."""
        return torch.lerp(new, old, (self.lod - self.level).to(new.dtype))


def find_level(net: nn.Module, keys: Any) -> None:
    """After loading, the level that belongs to the loaded level of detail."""
    assert isinstance(net, Growing)
    net.level = math.floor(float(net.lod))


class Generator(Growing):
    """Gaussian latents on the sphere, projected to 4 x 4 maps and doubled in size; unbounded images (n, channels, size,
    size), of which each resolution has its own 1 x 1 convolution that paints them.

    With 512 features it has 20,727,308 parameters at 32 px RGB; the first layer has a bias for each unit, not each map.

    Args:
        features: the most maps a resolution may have.
        base: maps at size s number 2 * base / s where that is less.

    Raises:
        ValueError: the data are not square images of 4, 8, ..., 128 px, or an argument is not positive.
    """

    def __init__(self, spec: roles.Spec, latent: int = 512, features: int = 512, base: int = 8192):
        positive(latent=latent, features=features, base=base)
        channels, size = square_image(spec, "growing", (4, *SIZES))
        super().__init__(size)
        maps = widths(size, features, base)
        self.latent = latent
        self.first = nn.Sequential(
            PixelNorm(),
            Linear(latent, maps[0] * 4 * 4, gain=math.sqrt(2) / 4),
            nn.Unflatten(1, (maps[0], 4, 4)),
            nn.LeakyReLU(0.2),
            PixelNorm(),
            *convolution(maps[0], maps[0]),
            PixelNorm(),
        )
        self.blocks = nn.ModuleList(grow_block(before, after) for before, after in pairwise(maps))
        self.paint = nn.ModuleList(Conv2d(width, channels, kernel=1, gain=1) for width in maps)

    def noise(self, n: int) -> Tensor:
        """(n, latent) draws from the standard Gaussian; the network looks at their direction only."""
        weight = next(self.paint.parameters())
        return torch.randn(n, self.latent, device=weight.device, dtype=weight.dtype)

    def forward(self, z: Tensor) -> Tensor:
        top = self.doublings
        before = after = self.first(z)
        for k in range(top):
            before, after = after, self.blocks[k](after)
        image = self.paint[top](after)
        if top:
            image = self.fade(image, enlarge(self.paint[top - 1](before), 1))
        return enlarge(image, self.level)


class Discriminator(Growing):
    """Scores (n,) of images: 1 x 1 convolutions read each resolution, blocks halve it down to 4 x 4.

    With 512 features it has 20,726,785 parameters at 32 px RGB.

    Args:
        features, base: maps, as in the generator.
        group: samples whose deviation is shown to the last block.

    Raises:
        ValueError: the data are not square images of 4, 8, ..., 128 px, or an argument is not positive.
    """

    def __init__(self, spec: roles.Spec, features: int = 512, base: int = 8192, group: int = 4):
        positive(features=features, base=base)
        channels, size = square_image(spec, "growing", (4, *SIZES))
        super().__init__(size)
        maps = widths(size, features, base)
        self.read = nn.ModuleList(nn.Sequential(*convolution(channels, width, kernel=1)) for width in maps)
        self.blocks = nn.ModuleList(shrink_block(after, before) for before, after in pairwise(maps))
        self.last = nn.Sequential(
            BatchDeviation(group),
            *convolution(maps[0] + 1, maps[0]),
            nn.Flatten(),
            Linear(maps[0] * 4 * 4, maps[0]),
            nn.LeakyReLU(0.2),
        )
        self.head = Linear(maps[0], 1, gain=1)

    def features(self, x: Tensor) -> Tensor:
        """(n, maps): the last hidden layer."""
        top, x = self.doublings, reduce(x, self.level)
        h = self.read[top](x)
        for k in reversed(range(top)):
            h = self.blocks[k](h)
            if k == top - 1:
                h = self.fade(h, self.read[k](reduce(x, 1)))
        return self.last(h)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x)).squeeze(1)


def widths(size: int, features: int, base: int) -> list[int]:
    """How many maps there are at 4 x 4, 8 x 8, and so on up to `size`."""
    return [min(max(2 * base // (4 * 2**k), 1), features) for k in range(round(math.log2(size)) - 1)]


def convolution(before: int, after: int, kernel: int = 3) -> list[nn.Module]:
    return [Conv2d(before, after, kernel), nn.LeakyReLU(0.2)]


def grow_block(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Upsample(scale_factor=2),
        *convolution(before, after),
        PixelNorm(),
        *convolution(after, after),
        PixelNorm(),
    )


def shrink_block(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(*convolution(before, before), *convolution(before, after), nn.AvgPool2d(2))


def enlarge(x: Tensor, halvings: int) -> Tensor:
    """Each pixel of (n, c, s, s) copied to a square of 2^halvings pixels."""
    return F.interpolate(x, scale_factor=float(2**halvings)) if halvings else x


def reduce(x: Tensor, halvings: int) -> Tensor:
    """Squares of 2^halvings pixels averaged, one halving after the other: reducing in two parts gives the same bits."""
    for _ in range(halvings):
        x = F.avg_pool2d(x, 2)
    return x
