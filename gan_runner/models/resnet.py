"""Residual networks of SNGAN (Miyato et al. 2018) and WGAN-GP (Gulrajani et al. 2017), for squares of 8 to 128 px."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from gan_runner.models import roles
from gan_runner.models.checks import choice, positive, square_image
from gan_runner.models.layers import chain, draw_weights, map_norm

GENERATOR_MAPS = {
    8: (4, 4),
    16: (4, 4, 4),
    32: (4, 4, 4, 4),
    64: (16, 8, 4, 2, 1),
    128: (16, 16, 8, 4, 2, 1),
}
"""Size of the image -> maps at 4 x 4 and after each doubling, in units of `width`; 32 px and above as published."""

DISCRIMINATOR_MAPS = {
    8: (2, 2, 2),
    16: (2, 2, 2, 2),
    32: (2, 2, 2, 2),
    64: (1, 2, 4, 8, 16),
    128: (1, 2, 4, 8, 16, 16),
}
"""Size of the image -> maps after each block, in units of `width`."""

HALVINGS = {8: 1, 16: 1, 32: 2, 64: 5, 128: 5}
"""Size of the image -> how many of the discriminator's blocks, the first ones, halve it."""

POOLINGS: dict[str, Callable[..., Tensor]] = {"sum": torch.sum, "mean": torch.mean}


class Generator(roles.Generator):
    """Gaussian latents, projected to 4 x 4 maps and doubled in size by residual blocks with batch norm.

    At 32 px RGB it has 4,276,739 parameters, at 64 px 12,220,675.

    Raises:
        ValueError: the data are not such images, or `latent` or `width` is not positive.
    """

    def __init__(self, spec: roles.Spec, latent: int = 128, width: int = 64):
        positive(latent=latent, width=width)
        channels, size = square_image(spec, "resnet")
        maps = [width * times for times in GENERATOR_MAPS[size]]
        project, paint = nn.Linear(latent, maps[0] * 4 * 4), conv(maps[-1], channels)
        net = nn.Sequential(
            project,
            nn.Unflatten(1, (maps[0], 4, 4)),
            *[double(before, after) for before, after in pairwise(maps)],
            nn.BatchNorm2d(maps[-1]),
            nn.ReLU(inplace=True),
            paint,
            nn.Tanh(),
        )
        super().__init__(latent, net)
        for layer in (project, paint):
            draw_weights(layer, nn.init.xavier_uniform_)


class Discriminator(roles.Discriminator):
    """Residual blocks, then ReLU and pooling over the positions that are left.

    At 32 px RGB it has 1,053,825 parameters, at 64 px 10,141,441; spectral norm adds none.

    Args:
        norm: batch, instance, group, layer or none, within the blocks.
        pooling: sum (SNGAN) or mean (WGAN-GP) over positions.
        spectral_norm: divide each weight by its largest singular value, estimated by one power iteration per pass in
            training.

    Raises:
        ValueError: the data are not such images, `width` is not positive, or a name is unknown.
    """

    def __init__(
        self,
        spec: roles.Spec,
        width: int = 64,
        norm: str = "none",
        pooling: str = "sum",
        spectral_norm: bool = False,
    ):
        positive(width=width)
        channels, size = square_image(spec, "resnet")
        maps = [width * times for times in DISCRIMINATOR_MAPS[size]]
        blocks = [
            block(before, after, norm, halve=number < HALVINGS[size])
            for number, (before, after) in enumerate(pairwise(maps), start=1)
        ]
        trunk = nn.Sequential(first_block(channels, maps[0]), *blocks, nn.ReLU(), Pool(pooling))
        head = nn.Linear(maps[-1], 1)
        draw_weights(head, nn.init.xavier_uniform_)
        super().__init__(trunk, head)
        if spectral_norm:
            for layer in [m for m in self.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]:
                parametrizations.spectral_norm(layer)


class Residual(nn.Module):
    """x -> shortcut(x) + residual(x) (He et al. 2016), weights drawn as SNGAN's."""

    def __init__(self, residual: nn.Module, shortcut: nn.Module):
        super().__init__()
        self.residual, self.shortcut = residual, shortcut
        draw_weights(residual, partial(nn.init.xavier_uniform_, gain=2**0.5))
        draw_weights(shortcut, nn.init.xavier_uniform_)

    def forward(self, x: Tensor) -> Tensor:
        return self.shortcut(x) + self.residual(x)


class Pool(nn.Module):
    """Maps (n, channels, height, width) to features (n, channels), summed or averaged over positions."""

    def __init__(self, pooling: str):
        super().__init__()
        self.reduce = choice(POOLINGS, pooling=pooling)

    def forward(self, x: Tensor) -> Tensor:
        return self.reduce(x, dim=(2, 3))


def conv(before: int, after: int) -> nn.Conv2d:
    return nn.Conv2d(before, after, 3, padding=1)


def double(before: int, after: int) -> Residual:
    """The generator's block: normalise first, and double the size before the first convolution."""
    residual = nn.Sequential(
        nn.BatchNorm2d(before),
        nn.ReLU(inplace=True),
        nn.Upsample(scale_factor=2),
        conv(before, after),
        nn.BatchNorm2d(after),
        nn.ReLU(inplace=True),
        conv(after, after),
    )
    # a 1 x 1 convolution commutes with copying pixels, and is cheaper before it
    return Residual(residual, nn.Sequential(nn.Conv2d(before, after, 1), nn.Upsample(scale_factor=2)))


def first_block(before: int, after: int) -> Residual:
    """The discriminator's first block: no activation on pixels; it halves the size."""
    residual = nn.Sequential(conv(before, after), nn.ReLU(inplace=True), conv(after, after), nn.AvgPool2d(2))
    return Residual(residual, nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(before, after, 1)))


def block(before: int, after: int, norm: str, halve: bool) -> Residual:
    """The discriminator's further blocks; one that keeps size and width has the identity as its shortcut."""
    shrink = nn.AvgPool2d(2) if halve else nn.Identity()
    widen = nn.Conv2d(before, after, 1) if halve or before != after else nn.Identity()
    residual = chain(
        map_norm(norm, before),
        nn.ReLU(),
        conv(before, before),
        map_norm(norm, before),
        nn.ReLU(inplace=True),
        conv(before, after),
        shrink,
    )
    return Residual(residual, chain(shrink, widen))
