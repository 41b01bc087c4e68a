"""Layers that several networks share: normalisation by name, maxout, weights drawn at random."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from gan_runner.models.checks import choice


def group_norm(channels: int) -> nn.Module:
    """Groups of 16 channels (Wu and He 2018, table 3), or of the largest power of two below 16 that divides them."""
    return nn.GroupNorm(channels // math.gcd(16, channels), channels)


MAP_NORMS: dict[str, Callable[[int], nn.Module]] = {
    "batch": nn.BatchNorm2d,
    "instance": partial(nn.InstanceNorm2d, affine=True),
    "group": group_norm,
    "layer": partial(nn.GroupNorm, 1),
    "none": nn.Identity,
}
VECTOR_NORMS: dict[str, Callable[[int], nn.Module]] = {
    "batch": nn.BatchNorm1d,
    "group": group_norm,
    "layer": nn.LayerNorm,
    "none": nn.Identity,
}


def map_norm(norm: str, channels: int) -> nn.Module:
    """The normalisation of feature maps (n, channels, height, width) called `norm`; its gain and bias are per channel.

    Raises:
        ValueError: there is no such normalisation.
    """
    return choice(MAP_NORMS, norm=norm)(channels)


def vector_norm(norm: str, features: int) -> nn.Module:
    """The normalisation of vectors (n, features) called `norm`.

    Raises:
        ValueError: there is no such normalisation; "instance" is none, as it would leave zeros.
    """
    return choice(VECTOR_NORMS, norm=norm)(features)


class Maxout(nn.Module):
    """Units (n, units), each the largest of `pieces` affine functions of (n, inputs) (Goodfellow et al. 2013)."""

    def __init__(self, inputs: int, units: int, pieces: int):
        super().__init__()
        self.affine = nn.Linear(inputs, units * pieces)
        self.units, self.pieces = units, pieces

    def forward(self, x: Tensor) -> Tensor:
        return self.affine(x).view(-1, self.units, self.pieces).amax(2)


def chain(*layers: nn.Module) -> nn.Sequential:
    """The layers one after another, without those that do nothing."""
    return nn.Sequential(*(layer for layer in layers if not isinstance(layer, nn.Identity)))


@torch.no_grad()
def draw_weights(net: nn.Module, draw: Callable[[Tensor], object]) -> None:
    """Fill the weights of linear and convolutional layers by `draw`, and their biases with 0."""
    for layer in net.modules():
        if isinstance(layer, (nn.Linear, nn.Conv1d, nn.Conv2d, nn.ConvTranspose2d)):
            draw(layer.weight)
            if layer.bias is not None:
                layer.bias.zero_()
