"""Layers of progressive growing (Karras et al. 2018): equalised learning rate, pixel norm, deviation of the batch."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gan_runner.models.checks import positive


class Linear(nn.Linear):
    """An affine map whose weight is stored as N(0, 1) and used times gain / sqrt(fan_in) (section 4.1).

    Adam moves stored weights by about its rate, whatever their scale, so all layers learn alike. The bias starts at 0
    and is used as it is.
    """

    def __init__(self, inputs: int, outputs: int, gain: float = math.sqrt(2)):
        super().__init__(inputs, outputs)
        self.scale = gain / math.sqrt(inputs)
        restart(self)

    def forward(self, input: Tensor) -> Tensor:
        return F.linear(input, self.weight * self.scale, self.bias)


class Conv2d(nn.Conv2d):
    """A convolution of odd `kernel` that keeps the size of maps; weights as in `Linear`, fan_in = before * kernel^2."""

    def __init__(self, before: int, after: int, kernel: int = 3, gain: float = math.sqrt(2)):
        super().__init__(before, after, kernel, padding=kernel // 2)
        self.scale = gain / math.sqrt(before * kernel**2)
        restart(self)

    def forward(self, input: Tensor) -> Tensor:
        return F.conv2d(input, self.weight * self.scale, self.bias, padding=self.padding)


@torch.no_grad()
def restart(layer: nn.Linear | nn.Conv2d) -> None:
    layer.weight.normal_()
    assert layer.bias is not None
    layer.bias.zero_()


class PixelNorm(nn.Module):
    """x / sqrt(mean of x^2 over dimension 1, + 1e-8) (section 4.2): vectors (n, c), or each pixel of (n, c, h, w)."""

    def forward(self, x: Tensor) -> Tensor:
        return x * (x.square().mean(1, keepdim=True) + 1e-8).rsqrt()


class BatchDeviation(nn.Module):
    """Appends to maps (n, c, height, width) one map that says how much the samples differ (section 3).

    It holds the standard deviation (of the population) over a group of samples, averaged over channels and positions.
    Samples i, i + n / group, i + 2 n / group, ... make a group.

    Args:
        group: samples in a group; where it does not divide n, the largest number below it that does.

    Raises:
        ValueError: `group` is not positive.
    """

    def __init__(self, group: int = 4):
        positive(group=group)
        super().__init__()
        self.group = group

    def forward(self, x: Tensor) -> Tensor:
        n, _, height, width = x.shape
        size = next(g for g in range(min(self.group, n), 0, -1) if n % g == 0)
        variance = x.flatten(1).unflatten(0, (size, n // size)).var(0, correction=0)
        deviation = (variance + 1e-8).sqrt().mean(1)
        return torch.cat([x, deviation.repeat(size).view(n, 1, 1, 1).expand(n, 1, height, width)], 1)
