"""DCGAN: strided convolutions, batch norm, nothing else (Radford et al. 2016), for squares of 8 to 128 px.

Sizes other than the paper's 64 px have fewer or more stages. `width` is the number of maps next to the image, and it
doubles with every stage away from it: 128 in the paper, 64 in the reference code.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from itertools import pairwise
from typing import Any

from torch import nn

from gan_runner.models import roles
from gan_runner.models.checks import positive, square_image
from gan_runner.models.layers import chain, draw_weights, map_norm
from gan_runner.models.minibatch import beside
from gan_runner.models.packing import packing


class Generator(roles.UniformGenerator):
    """Uniform latents, projected to 4 x 4 maps and doubled in size until they are an image (n, channels, size, size).

    At 64 px RGB it has 3,576,704 parameters.

    Raises:
        ValueError: the data are not such images, or `latent` or `width` is not positive.
    """

    def __init__(self, spec: roles.Spec, latent: int = 100, width: int = 64):
        positive(latent=latent, width=width)
        channels, size = square_image(spec, "dcgan")
        maps = stages(size, width)[::-1]
        net = nn.Sequential(
            nn.Linear(latent, maps[0] * 4 * 4, bias=False),
            nn.Unflatten(1, (maps[0], 4, 4)),
            nn.BatchNorm2d(maps[0]),
            nn.ReLU(inplace=True),
            *[layer for before, after in pairwise(maps) for layer in up(before, after)],
            nn.ConvTranspose2d(maps[-1], channels, 4, 2, 1, bias=False),
            nn.Tanh(),
        )
        super().__init__(latent, net)
        initialise(self)


class Discriminator(roles.Discriminator):
    """An image halved in size until 4 x 4 maps are left, which one linear map scores; no norm at the input.

    At 64 px RGB with batch norm it has 2,765,568 parameters.

    Args:
        norm: batch, instance, group, layer or none; a penalty on each sample's gradient forbids batch.
        minibatch: arguments of `MinibatchDiscrimination` before the last map, such as {kernels: 100, dims: 5}.
        pack: how many samples are judged at once, joined along channels (PacGAN).

    Raises:
        ValueError: the data are not such images, `width` or `pack` is not positive, or `norm` is unknown.
    """

    def __init__(
        self,
        spec: roles.Spec,
        width: int = 64,
        norm: str = "batch",
        minibatch: Mapping[str, Any] | None = None,
        pack: int = 1,
    ):
        positive(width=width)
        channels, size = square_image(spec, "dcgan")
        maps = stages(size, width)
        others, features = beside(maps[-1] * 4 * 4, minibatch)
        trunk = chain(
            packing(pack),
            nn.Conv2d(pack * channels, maps[0], 4, 2, 1, bias=False),
            nn.LeakyReLU(0.2, inplace=True),
            *[layer for before, after in pairwise(maps) for layer in down(before, after, norm)],
            nn.Flatten(),
            others,
        )
        super().__init__(trunk, nn.Linear(features, 1, bias=False))
        initialise(self)


def stages(size: int, width: int) -> list[int]:
    """How many maps there are at half the image's size, at a quarter, and so on down to 4 x 4."""
    return [width * 2**halving for halving in range(round(math.log2(size / 4)))]


def up(before: int, after: int) -> list[nn.Module]:
    return [
        nn.ConvTranspose2d(before, after, 4, 2, 1, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(inplace=True),
    ]


def down(before: int, after: int, norm: str) -> list[nn.Module]:
    return [
        nn.Conv2d(before, after, 4, 2, 1, bias=norm == "none"),
        map_norm(norm, after),
        nn.LeakyReLU(0.2, inplace=True),
    ]


def initialise(net: nn.Module) -> None:
    """Weights N(0, 0.02), gains of batch norm N(1, 0.02), as in the reference code."""
    draw_weights(net, partial(nn.init.normal_, std=0.02))
    for layer in net.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.weight, 1, 0.02)
