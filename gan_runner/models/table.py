"""A generator of table rows: numbers as they come, and of each category one level."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gan_runner.models import roles
from gan_runner.models.checks import positive
from gan_runner.models.layers import chain
from gan_runner.models.mlp import hidden_layers


class Spec(roles.Spec, Protocol):
    """The shape of a row, and how many of its columns belong together: 1 for a number, more for a category."""

    @property
    def groups(self) -> tuple[int, ...]: ...


class Generator(roles.Generator):
    """Latents through hidden layers to a row: one affine output for each number, and logits of levels for a category.

    A level is drawn by the Gumbel-max trick and made one-hot, with the gradient of the softmax at `temperature` (Jang
    et al. 2017, straight-through): the discriminator judges the very rows that are written, and cannot tell them from
    real ones by their not being one-hot. The Gumbel noise is made of further Gaussian latents, so that a sample is a
    function of its latents alone.

    Args:
        latent: Gaussian latents before the hidden layers; `self.latent` counts those of the levels, too.
        hidden: widths of the hidden layers; none makes an affine generator.
        activation: leaky_relu (slope 0.2), relu, silu or tanh.
        norm: batch, group, layer or none, after each hidden layer's affine map.
        temperature: of the softmax; low ones have gradients of few levels, high ones of all.

    Raises:
        ValueError: rows are no table, a width or the temperature is not positive, or a name is unknown.
    """

    bound = None

    def __init__(
        self,
        spec: Spec,
        latent: int = 64,
        hidden: Sequence[int] = (256, 256),
        activation: str = "relu",
        norm: str = "batch",
        temperature: float = 0.5,
    ):
        positive(latent=latent)
        if spec.kind != "table" or len(spec.shape) != 1:
            raise ValueError(f"it makes rows of tables, and {tuple(spec.shape)} is none: choose model=mlp")
        if not temperature > 0:
            raise ValueError(f"temperature={temperature} is not positive")
        width = spec.shape[0]
        groups = tuple(spec.groups) or (1,) * width
        net = chain(
            *hidden_layers(latent, hidden, activation, norm),
            nn.Linear((latent, *hidden)[-1], width),
        )
        super().__init__(latent + sum(size for size in groups if size > 1), net)
        self.depth, self.groups, self.temperature = latent, groups, temperature

    def forward(self, z: Tensor) -> Tensor:
        z, e = z.split([self.depth, self.latent - self.depth], 1)
        columns = self.net(z).split(self.groups, 1)
        noise = iter(gumbel(e).split([size for size in self.groups if size > 1], 1))
        return torch.cat([one_of(c + next(noise), self.temperature) if c.shape[1] > 1 else c for c in columns], 1)


def gumbel(e: Tensor) -> Tensor:
    """Standard Gaussian numbers as standard Gumbel ones, by their quantiles: -log(-log Phi(e))."""
    return -(-torch.special.log_ndtr(e)).log()


def one_of(logits: Tensor, temperature: float) -> Tensor:
    """One-hot (n, k) at the largest logit, with the gradient of the softmax."""
    soft = (logits / temperature).softmax(1)
    return F.one_hot(logits.argmax(1), logits.shape[1]).to(soft.dtype) + (soft - soft.detach())
