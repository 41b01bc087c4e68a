"""What networks promise a game: a generator draws its own latents, a discriminator splits into features and a head."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn


class Spec(Protocol):
    """The shape of one sample and its kind: "image" or "correlation" in [-1, 1], or unbounded "table" or "series"."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def kind(self) -> str: ...


class Generator(nn.Module):
    """Maps latents (n, latent) to samples (n, *shape) by `net`; its prior is the standard Gaussian.

    Attributes:
        bound: the largest absolute value it can make: 1 for images; None where it has none.
    """

    bound: float | None = 1.0

    def __init__(self, latent: int, net: nn.Module):
        super().__init__()
        self.latent, self.net = latent, net

    def noise(self, n: int) -> Tensor:
        """(n, latent) draws from the prior, where the weights are."""
        weight = next(self.parameters())
        return torch.randn(n, self.latent, device=weight.device, dtype=weight.dtype)

    def forward(self, z: Tensor) -> Tensor:
        return self.net(z)


class UniformGenerator(Generator):
    """A generator whose prior is uniform on [-reach, reach] in each coordinate."""

    reach = 1.0

    def noise(self, n: int) -> Tensor:
        weight = next(self.parameters())
        return self.reach * (2 * torch.rand(n, self.latent, device=weight.device, dtype=weight.dtype) - 1)


class Discriminator(nn.Module):
    """Scores samples (n, *shape) by raw logits (n,), higher for more real: `head` on the features of `trunk`."""

    def __init__(self, trunk: nn.Module, head: nn.Module):
        super().__init__()
        self.trunk, self.head = trunk, head

    def features(self, x: Tensor) -> Tensor:
        """(n, f): the last hidden layer, flat."""
        return self.trunk(x)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x)).squeeze(1)
