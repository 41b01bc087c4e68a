"""Fully connected networks for samples of any shape: images, table rows and series."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise

from torch import nn

from gan_runner.models import roles
from gan_runner.models.checks import choice, positive, share
from gan_runner.models.layers import chain, vector_norm

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "leaky_relu": partial(nn.LeakyReLU, 0.2),
    "relu": nn.ReLU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
}


class Generator(roles.Generator):
    """Latents through hidden layers to a sample: in [-1, 1] by tanh for images, unbounded for tables and series.

    Args:
        hidden: widths of the hidden layers; none makes an affine generator.
        activation: leaky_relu (slope 0.2), relu, silu or tanh.
        norm: batch, group, layer or none, after each hidden layer's affine map.

    Raises:
        ValueError: a width is not positive, or a name is unknown.
    """

    def __init__(
        self,
        spec: roles.Spec,
        latent: int = 32,
        hidden: Sequence[int] = (128, 128),
        activation: str = "leaky_relu",
        norm: str = "none",
    ):
        positive(latent=latent)
        net = chain(
            *hidden_layers(latent, hidden, activation, norm),
            nn.Linear((latent, *hidden)[-1], math.prod(spec.shape)),
            nn.Tanh() if spec.kind == "image" else nn.Identity(),
            nn.Unflatten(1, tuple(spec.shape)),
        )
        super().__init__(latent, net)
        self.bound = 1.0 if spec.kind == "image" else None


class Discriminator(roles.Discriminator):
    """Flattened samples through hidden layers to a logit.

    Args:
        hidden: widths of the hidden layers; none makes an affine discriminator.
        activation: leaky_relu (slope 0.2), relu, silu or tanh.
        norm: batch, group, layer or none, after each hidden layer's affine map.
        dropout: the share of hidden units left out in training.

    Raises:
        ValueError: a width is not positive, a name is unknown, or `dropout` is not in [0, 1).
    """

    def __init__(
        self,
        spec: roles.Spec,
        hidden: Sequence[int] = (128, 128),
        activation: str = "leaky_relu",
        norm: str = "none",
        dropout: float = 0.0,
    ):
        inputs = math.prod(spec.shape)
        trunk = chain(nn.Flatten(), *hidden_layers(inputs, hidden, activation, norm, dropout))
        super().__init__(trunk, nn.Linear((inputs, *hidden)[-1], 1))


def hidden_layers(
    inputs: int, hidden: Sequence[int], activation: str, norm: str, dropout: float = 0.0
) -> list[nn.Module]:
    """For each hidden width: an affine map, normalisation, activation and dropout."""
    share(dropout=dropout)
    activate = choice(ACTIVATIONS, activation=activation)
    layers: list[nn.Module] = []
    for before, after in pairwise((inputs, *hidden)):
        positive(hidden=after)
        layers += [nn.Linear(before, after), vector_norm(norm, after), activate()]
        layers += [nn.Dropout(dropout)] if dropout else []
    return layers
