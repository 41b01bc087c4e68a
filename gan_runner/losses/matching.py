"""Feature matching: the generator reproduces the mean of what the discriminator sees (Salimans et al. 2016)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, cast

import torch
from torch import Tensor, nn

from gan_runner.losses.payoffs import Logistic
from gan_runner.losses.penalties import full


class Discriminator(Protocol):
    """What the role "discriminator" promises beyond being a module."""

    def features(self, x: Tensor) -> Tensor:
        """(n, f): the last hidden layer of samples (n, *shape)."""
        ...


class DiscriminatorOnly(Logistic):
    """The logistic discriminator alone: the generator is indifferent to scores, so an extra must direct it."""

    def generator(self, real: Tensor, fake: Tensor) -> Tensor:
        return fake.new_zeros(())


@dataclass(frozen=True)
class FeatureMatching:
    """weight * mean over features of (E f(real) - E f(fake))^2, an extra of the generator (Salimans et al. 2016, 3.1).

    f is the discriminator's last hidden layer and E the mean of a batch. The paper writes the sum over features, its
    code takes the mean, as here: the step then does not depend on the layer's width.

    Raises:
        ValueError: `weight` is not positive.
    """

    weight: float = 1.0

    def __post_init__(self) -> None:
        if self.weight <= 0:
            raise ValueError(f"weight={self.weight} is not positive")

    def __call__(self, discriminator: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
        features = cast(Discriminator, discriminator).features
        with torch.no_grad():
            target = full(features(real)).mean(0)
        return self.weight * (full(features(fake)).mean(0) - target).square().mean()
