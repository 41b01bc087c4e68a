"""The networks of R3GAN (Huang et al. 2024): residual blocks of grouped convolutions, no norm; squares of 8 to 128 px.

Unconditional. With class embeddings of 64 and 768 numbers they would have the 20,781,952 and 21,280,512 parameters of
the authors' CIFAR-10 preset.
"""

from __future__ import annotations

from itertools import chain as joined
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gan_runner.models import roles
from gan_runner.models.checks import positive, square_image

BLOCKS = 2
"""Residual blocks at each size."""

EXPANSION = 2
"""Maps inside a block for each one outside."""

SLOPE = 0.2

L = TypeVar("L", bound=nn.Module)


class Generator(roles.Generator):
    """Gaussian latents scale 4 x 4 maps that are learnt, which blocks and interpolation turn into an image, unbounded.

    At 32 px RGB and the width of the paper it has 20,732,160 parameters.

    Args:
        group: maps of each group of the convolutions in the middle of the blocks.

    Raises:
        ValueError: the data are not such images, or an argument is not positive or does not fit.
    """

    bound = None

    def __init__(self, spec: roles.Spec, latent: int = 64, width: int = 768, group: int = 16):
        channels, stages = checked(spec, width, group, latent=latent)
        body = [[Resize(up=True)] * (stage > 0) + blocks(width, group, stages) for stage in range(stages)]
        super().__init__(latent, nn.Sequential(Basis(latent, width), *joined(*body), conv(width, channels)))


class Discriminator(roles.Discriminator):
    """The same blocks from the image down to 4 x 4 maps, of each of which one weighted sum is a feature.

    At 32 px RGB and the width of the paper it has 20,683,776 parameters.

    Args:
        group: maps of each group of the convolutions in the middle of the blocks.

    Raises:
        ValueError: the data are not such images, or an argument is not positive or does not fit.
    """

    def __init__(self, spec: roles.Spec, width: int = 768, group: int = 16):
        channels, stages = checked(spec, width, group)
        body = [[Resize(up=False)] * (stage > 0) + blocks(width, group, stages) for stage in range(stages)]
        sums = draw(nn.Conv2d(width, width, 4, groups=width, bias=False))
        trunk = nn.Sequential(conv(channels, width), *joined(*body), sums, nn.Flatten())
        super().__init__(trunk, draw(nn.Linear(width, 1, bias=False)))


class Basis(nn.Module):
    """Latents (n, latent) to maps (n, width, 4, 4): each map that was learnt, times a linear function of the latent."""

    def __init__(self, latent: int, width: int):
        super().__init__()
        self.maps = nn.Parameter(torch.randn(width, 4, 4))
        self.amounts = draw(nn.Linear(latent, width, bias=False))

    def forward(self, z: Tensor) -> Tensor:
        return self.maps * self.amounts(z)[..., None, None]


class Block(nn.Module):
    """x -> x + narrow(act(grouped(act(widen(x))))), the last starting at 0 and the others small (Fixup, Zhang 2019)."""

    def __init__(self, width: int, group: int, depth: int):
        super().__init__()
        inner, gain = EXPANSION * width, (2 / (1 + SLOPE**2)) ** 0.5 * depth**-0.25
        self.residual = nn.Sequential(
            conv(width, inner, gain),
            Leaky(inner),
            draw(nn.Conv2d(inner, inner, 3, padding=1, groups=inner // group, bias=False), gain),
            Leaky(inner),
            conv(inner, width, 0.0),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.residual(x)


class Leaky(nn.Module):
    """Leaky ReLU of maps plus a bias for each."""

    def __init__(self, maps: int):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(maps, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return F.leaky_relu(x + self.bias, SLOPE)


class Resize(nn.Module):
    """Twice the size, or half of it, by the filter (1, 3, 3, 1) in both directions; inside, constants stay constant."""

    kernel: Tensor

    def __init__(self, up: bool):
        super().__init__()
        line = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
        self.register_buffer("kernel", line.outer(line)[None, None], persistent=False)
        self.up = up

    def forward(self, x: Tensor) -> Tensor:
        maps = x.shape[1]
        kernel = self.kernel.expand(maps, -1, -1, -1).to(x.dtype)
        if self.up:
            return F.conv_transpose2d(x, 4 * kernel, stride=2, padding=1, groups=maps)
        return F.conv2d(x, kernel, stride=2, padding=1, groups=maps)


def blocks(width: int, group: int, stages: int) -> list[nn.Module]:
    """The blocks at one of so many sizes."""
    return [Block(width, group, BLOCKS * stages) for _ in range(BLOCKS)]


def conv(before: int, after: int, gain: float = 1.0) -> nn.Conv2d:
    """A 1 x 1 convolution."""
    return draw(nn.Conv2d(before, after, 1, bias=False), gain)


def draw(layer: L, gain: float = 1.0) -> L:
    """The layer with weights N(0, gain / sqrt(inputs))."""
    weight = layer.get_parameter("weight")
    nn.init.normal_(weight, std=gain / weight[0].numel() ** 0.5)
    return layer


def checked(spec: roles.Spec, width: int, group: int, **more: int) -> tuple[int, int]:
    """(channels, number of sizes from 4 px on) of images that can be made."""
    positive(width=width, group=group, **more)
    if EXPANSION * width % group:
        raise ValueError(f"group={group} does not divide {EXPANSION} * width = {EXPANSION * width}")
    channels, size = square_image(spec, "r3gan")
    return channels, (size // 4).bit_length()
