"""Variational autoencoders (Kingma and Welling 2014): an encoder q(z | x), and a decoder p(x | z) to sample from."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor, nn

from gan_runner.models import roles
from gan_runner.models.checks import positive, quartered_image
from gan_runner.models.layers import chain
from gan_runner.models.likelihoods import Likelihood, usual
from gan_runner.models.mlp import hidden_layers

LOG_SD = 7.0
"""Standard deviations of latents lie between exp(-LOG_SD) and exp(LOG_SD)."""


class Posterior(nn.Module):
    """A Gaussian q(z | x) with independent coordinates, affine in the features (n, f) that `trunk` finds in x."""

    def __init__(self, trunk: nn.Module, features: int, latent: int):
        positive(latent=latent)
        super().__init__()
        self.trunk = trunk
        self.mu, self.log_sd = nn.Linear(features, latent), nn.Linear(features, latent)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and logarithm of the standard deviation, each (n, latent)."""
        found = self.trunk(x)
        return self.mu(found), self.log_sd(found).clamp(-LOG_SD, LOG_SD)


class Observation(roles.Generator):
    """p(x | z): `net` makes a number for each entry of a sample, and `likelihood` says what it means.

    Called as a generator it makes the mean of x, in the scale of training.
    """

    def __init__(self, spec: roles.Spec, latent: int, net: nn.Module, likelihood: Likelihood | None):
        super().__init__(latent, net)
        self.likelihood = likelihood or usual(spec)
        self.likelihood.suit(spec)
        self.bound = self.likelihood.bound

    def forward(self, z: Tensor) -> Tensor:
        return self.likelihood.mean(self.net(z))

    def observe(self, x: Tensor) -> Tensor:
        """The samples (n, *shape) that are modelled in place of x: binarised ones, for Bernoulli pixels."""
        return self.likelihood.observe(x)

    def log_likelihood(self, x: Tensor, z: Tensor) -> Tensor:
        """log p(x | z) (n, k) in nats, of samples (n, *shape) under k latents each (n, k, latent)."""
        return self.likelihood.log_density(x, self.net(z.flatten(0, 1)).unflatten(0, z.shape[:2]))


class Encoder(Posterior):
    """Flattened samples of any shape through hidden layers to q(z | x).

    Args:
        hidden: widths of the hidden layers; none makes mean and log standard deviation affine in x.
        activation: leaky_relu (slope 0.2), relu, silu or tanh.
        dropout: the share of hidden units left out in training.

    Raises:
        ValueError: a width is not positive, a name is unknown, or `dropout` is not in [0, 1).
    """

    def __init__(
        self,
        spec: roles.Spec,
        latent: int = 20,
        hidden: Sequence[int] = (400, 400),
        activation: str = "relu",
        dropout: float = 0.0,
    ):
        inputs = math.prod(spec.shape)
        trunk = chain(nn.Flatten(), *hidden_layers(inputs, hidden, activation, "none", dropout))
        super().__init__(trunk, (inputs, *hidden)[-1], latent)


class Decoder(Observation):
    """The encoder's hidden layers backwards, from a latent to p(x | z).

    Args:
        hidden: widths of the hidden layers in the encoder's order; none makes the mean of a Gaussian affine in z.
        activation: leaky_relu (slope 0.2), relu, silu or tanh.
        dropout: the share of hidden units left out in training.
        likelihood: of `gan_runner.models.likelihoods`; if None, Bernoulli for images and a Gaussian for all else.

    Raises:
        ValueError: a width is not positive, a name is unknown, `dropout` is not in [0, 1), or the likelihood cannot
            describe such samples.
    """

    def __init__(
        self,
        spec: roles.Spec,
        latent: int = 20,
        hidden: Sequence[int] = (400, 400),
        activation: str = "relu",
        dropout: float = 0.0,
        likelihood: Likelihood | None = None,
    ):
        positive(latent=latent)
        widths = (latent, *reversed(hidden))
        net = chain(
            *hidden_layers(latent, widths[1:], activation, "none", dropout),
            nn.Linear(widths[-1], math.prod(spec.shape)),
            nn.Unflatten(1, tuple(spec.shape)),
        )
        super().__init__(spec, latent, net, likelihood)


FULL = 8
"""Units of the full layer between maps and latents, in parts of the first convolution's maps."""


class ConvEncoder(Posterior):
    """Two convolutions, each halving the size, and a full layer, to q(z | x); no norms, which mix samples.

    Args:
        width: maps at half the size; twice as many at a quarter, eight times as many units in the full layer.

    Raises:
        ValueError: the sides of the images are not multiples of 4, or `latent` or `width` is not positive.
    """

    def __init__(self, spec: roles.Spec, latent: int = 32, width: int = 32):
        positive(width=width)
        channels, height, across = quartered_image(spec, "vae_conv")
        trunk = nn.Sequential(
            nn.Conv2d(channels, width, 4, 2, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, 2 * width, 4, 2, 1),
            nn.ReLU(inplace=True),
            nn.Flatten(),
            nn.Linear(2 * width * height * across, FULL * width),
            nn.ReLU(inplace=True),
        )
        super().__init__(trunk, FULL * width, latent)


class ConvDecoder(Observation):
    """The convolutional encoder backwards, from a latent to p(x | z) of images.

    Args:
        width: of the encoder.
        likelihood: of `gan_runner.models.likelihoods`; Bernoulli if None.

    Raises:
        ValueError: the sides of the images are not multiples of 4, or `latent` or `width` is not positive.
    """

    def __init__(self, spec: roles.Spec, latent: int = 32, width: int = 32, likelihood: Likelihood | None = None):
        positive(latent=latent, width=width)
        channels, height, across = quartered_image(spec, "vae_conv")
        net = nn.Sequential(
            nn.Linear(latent, FULL * width),
            nn.ReLU(inplace=True),
            nn.Linear(FULL * width, 2 * width * height * across),
            nn.ReLU(inplace=True),
            nn.Unflatten(1, (2 * width, height, across)),
            nn.ConvTranspose2d(2 * width, width, 4, 2, 1),
            nn.ReLU(inplace=True),
            nn.ConvTranspose2d(width, channels, 4, 2, 1),
        )
        super().__init__(spec, latent, net, likelihood)
