"""Networks that score samples by minus their energy, and know where chains of samples begin."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from gan_runner.models import roles
from gan_runner.models.checks import positive, share
from gan_runner.models.layers import chain
from gan_runner.models.mlp import hidden_layers
from gan_runner.models.resnet import Pool, Residual, conv

LEAK = 0.2


class Energy(roles.Discriminator):
    """Scores samples (n, *shape) by -E (n,): `head` on the features of `trunk`, less the energy of a Gaussian prior.

    Chains of images begin uniformly in their box, [-1, 1] in each pixel, all others at standard normal rows.

    Attributes:
        bound: 1 for images; None where samples are unbounded.
        prior: standard deviation of the Gaussian whose density e^-(energy of the network) multiplies where there is no
            box. It makes the density one that can be normalised; None leaves it out.
    """

    def __init__(self, spec: roles.Spec, trunk: nn.Module, head: nn.Module, prior: float | None = None):
        super().__init__(trunk, head)
        self.shape = tuple(spec.shape)
        self.bound = 1.0 if spec.kind == "image" else None
        self.prior = None if self.bound else prior

    def noise(self, n: int) -> Tensor:
        """(n, latent) draws from the standard Gaussian, as many numbers as a sample has."""
        weight = next(self.parameters())
        return torch.randn(n, math.prod(self.shape), device=weight.device, dtype=weight.dtype)

    def start(self, z: Tensor) -> Tensor:
        """Where chains (n, *shape) of latents (n, latent) begin: by the normal distribution function in a box."""
        z = z.view(-1, *self.shape)
        return z if self.bound is None else self.bound * torch.erf(z / math.sqrt(2))

    def forward(self, x: Tensor) -> Tensor:
        score = super().forward(x)
        return score if self.prior is None else score - x.flatten(1).square().sum(1) / (2 * self.prior**2)


class Mlp(Energy):
    """Flattened samples of any shape through hidden layers.

    Args:
        hidden: widths of the hidden layers.
        activation: silu, tanh, leaky_relu or relu; chains follow a gradient, which the first two make smooth.
        zoom: what samples are multiplied by first; the larger, the sooner fine details are learned.
        prior: see `Energy`.

    Raises:
        ValueError: a width or `prior` is not positive, or a name is unknown.
    """

    def __init__(
        self,
        spec: roles.Spec,
        hidden: Sequence[int] = (128, 128, 128),
        activation: str = "silu",
        zoom: float = 1.0,
        prior: float | None = 2.0,
    ):
        if prior is not None and prior <= 0:
            raise ValueError(f"prior={prior} is not positive: choose a standard deviation, or null for none")
        inputs = math.prod(spec.shape)
        trunk = chain(nn.Flatten(), *hidden_layers(inputs, hidden, activation, "none"))
        super().__init__(spec, trunk, nn.Linear((inputs, *hidden)[-1], 1), prior)
        self.zoom = zoom

    def features(self, x: Tensor) -> Tensor:
        return super().features(self.zoom * x)


class Conv(Energy):
    """Four strided convolutions and two linear maps with swish between (Foster 2023, chapter 7), for images.

    At 32 px grey and a width of 16 it has 76,993 parameters.

    Args:
        width: maps of the first convolution; the others have two, four and four times as many.

    Raises:
        ValueError: the data are no images, or `width` is not positive.
    """

    def __init__(self, spec: roles.Spec, width: int = 16):
        positive(width=width)
        channels, side = images(spec, "ebm_conv")
        maps = [channels, width, 2 * width, 4 * width, 4 * width]
        layers = []
        for number, (before, after) in enumerate(pairwise(maps)):
            kernel = 3 if number else 5
            layers += [nn.Conv2d(before, after, kernel, 2, kernel // 2), nn.SiLU()]
        left = math.prod(-(-length // 16) for length in side)
        trunk = chain(*layers, nn.Flatten(), nn.Linear(left * maps[-1], 4 * width), nn.SiLU())
        super().__init__(spec, trunk, nn.Linear(4 * width, 1))


class Resnet(Energy):
    """Residual blocks without norms, all weights but the last spectrally normalised (Du & Mordatch 2019), for images.

    Six blocks, of width, width, 2, 2, 4 and 4 width maps, halved in size after the first, third and fifth; then ReLU
    and sums over positions. The paper's width is 128.

    Args:
        width: maps of the first convolution.
        dropout: share of features left out, never in chains.

    Raises:
        ValueError: the data are no images, `width` is not positive, or `dropout` is not in [0, 1).
    """

    def __init__(self, spec: roles.Spec, width: int = 32, dropout: float = 0.5):
        positive(width=width)
        share(dropout=dropout)
        channels, _ = images(spec, "ebm_resnet")
        layers: list[nn.Module] = [conv(channels, width)]
        for before, after, halve in (
            *((width, width, True), (width, width, False), (width, 2 * width, True)),
            *((2 * width, 2 * width, False), (2 * width, 4 * width, True), (4 * width, 4 * width, False)),
        ):
            layers.append(block(before, after, halve))
        drop = nn.Dropout(dropout) if dropout else nn.Identity()
        trunk = chain(*layers, nn.ReLU(), Pool("sum"), drop)
        for layer in [m for m in trunk.modules() if isinstance(m, nn.Conv2d)]:
            parametrizations.spectral_norm(layer)  # one power iteration per pass in training, none in evaluation
        super().__init__(spec, trunk, nn.Linear(4 * width, 1))


def suited(
    spec: roles.Spec,
    width: int = 16,
    hidden: Sequence[int] = (128, 128, 128),
    activation: str = "silu",
    zoom: float = 1.0,
    prior: float | None = 2.0,
) -> Energy:
    """The network that suits the data: `Conv` for images, where `width` counts, `Mlp` by the others for all else."""
    return Conv(spec, width) if spec.kind == "image" else Mlp(spec, hidden, activation, zoom, prior)


def block(before: int, after: int, halve: bool) -> nn.Module:
    """x -> shortcut(x) + residual(x), both halved in size by their means if asked."""
    residual = chain(nn.LeakyReLU(LEAK), conv(before, after), nn.LeakyReLU(LEAK), conv(after, after))
    shortcut = nn.Identity() if before == after else nn.Conv2d(before, after, 1)
    return chain(Residual(residual, shortcut), nn.AvgPool2d(2, ceil_mode=True) if halve else nn.Identity())


def images(spec: roles.Spec, name: str) -> tuple[int, tuple[int, ...]]:
    """(channels, (height, width)) of images.

    Raises:
        ValueError: `spec` describes something else.
    """
    if len(spec.shape) != 3:
        raise ValueError(f"{name} scores images; {tuple(spec.shape)} is none: choose model=ebm")
    return spec.shape[0], tuple(spec.shape[1:])
