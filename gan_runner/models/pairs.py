"""Networks on pairs of a sample and a latent (VEEGAN; ALI and BiGAN have the same)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gan_runner.models import roles
from gan_runner.models.checks import positive
from gan_runner.models.layers import chain
from gan_runner.models.mlp import hidden_layers

LEAST_SD = 1e-3
"""What keeps a learned density from collapsing onto a point."""


class Reconstructor(nn.Module):
    """A Gaussian p(z | x) of latents (n, latent) for samples (n, *shape), by hidden layers.

    Args:
        latent: of the generator.
        hidden: widths of the hidden layers.
        activation: leaky_relu (slope 0.2), relu, silu or tanh.
        sd: standard deviation of each coordinate; learned as a function of x if None. At sqrt(1/2) the negative
            log-likelihood is the squared distance of VEEGAN's Algorithm 1 up to a constant.

    Raises:
        ValueError: a width or `sd` is not positive, or a name is unknown.
    """

    def __init__(
        self,
        spec: roles.Spec,
        latent: int,
        hidden: Sequence[int] = (128, 128),
        activation: str = "relu",
        sd: float | None = None,
    ):
        super().__init__()
        positive(latent=latent)
        if sd is not None and sd <= 0:
            raise ValueError(f"sd={sd} must be above 0")
        self.sd, inputs = sd, math.prod(spec.shape)
        outputs = latent if sd else 2 * latent
        trunk = hidden_layers(inputs, hidden, activation, "none")
        self.net = chain(nn.Flatten(), *trunk, nn.Linear((inputs, *hidden)[-1], outputs))

    def density(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation, each (n, latent)."""
        if self.sd is not None:
            mean = self.net(x)
            return mean, torch.full_like(mean, self.sd)
        mean, raw = self.net(x).chunk(2, 1)
        return mean, F.softplus(raw) + LEAST_SD

    def forward(self, x: Tensor) -> Tensor:
        mean, sd = self.density(x)
        return mean + sd * torch.randn_like(mean)

    def log_likelihood(self, z: Tensor, x: Tensor) -> Tensor:
        """log p(z | x) (n,) without the constant of the Gaussian."""
        mean, sd = self.density(x)
        return (-0.5 * ((z - mean) / sd).square() - sd.log()).sum(1)


class JointDiscriminator(nn.Module):
    """Scores pairs of a sample (n, *shape) and a latent (n, latent) by raw logits (n,), higher for a real sample.

    Raises:
        ValueError: a width is not positive, a name is unknown, or `dropout` is not in [0, 1).
    """

    def __init__(
        self,
        spec: roles.Spec,
        latent: int,
        hidden: Sequence[int] = (128, 128),
        activation: str = "leaky_relu",
        dropout: float = 0.0,
    ):
        super().__init__()
        positive(latent=latent)
        inputs = math.prod(spec.shape) + latent
        self.trunk = chain(*hidden_layers(inputs, hidden, activation, "none", dropout))
        self.head = nn.Linear((inputs, *hidden)[-1], 1)

    def features(self, x: Tensor, z: Tensor) -> Tensor:
        """(n, f): the last hidden layer."""
        return self.trunk(torch.cat([x.flatten(1), z], 1))

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        return self.head(self.features(x, z)).squeeze(1)
