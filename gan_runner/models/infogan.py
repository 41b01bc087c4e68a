"""The InfoGAN networks on which Lucic et al. (2018) compare losses, for images whose sides are multiples of 4.

Pixels lie in [-1, 1], not in their [0, 1]: hence tanh in place of the sigmoid. Both are leaky, as in their code.
"""

from __future__ import annotations

from functools import partial

from torch import nn

from gan_runner.models import roles
from gan_runner.models.checks import positive, quartered_image
from gan_runner.models.layers import chain, draw_weights, map_norm, vector_norm


class Generator(roles.UniformGenerator):
    """Uniform latents through two full layers and two transposed convolutions to an image (n, channels, height, width).

    Raises:
        ValueError: the sides of the images are not multiples of 4, or `latent` is not positive.
    """

    def __init__(self, spec: roles.Spec, latent: int = 64):
        positive(latent=latent)
        channels, height, width = quartered_image(spec, "infogan")
        net = nn.Sequential(
            nn.Linear(latent, 1024),
            nn.BatchNorm1d(1024),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Linear(1024, 128 * height * width),
            nn.BatchNorm1d(128 * height * width),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Unflatten(1, (128, height, width)),
            nn.ConvTranspose2d(128, 64, 4, 2, 1),
            nn.BatchNorm2d(64),
            nn.LeakyReLU(0.2, inplace=True),
            nn.ConvTranspose2d(64, channels, 4, 2, 1),
            nn.Tanh(),
        )
        super().__init__(latent, net)
        draw_weights(self, partial(nn.init.normal_, std=0.02))


class Discriminator(roles.Discriminator):
    """Two convolutions, each halving the size, and a full layer of 1024 features.

    Args:
        norm: batch, group, layer or none; a penalty on each sample's gradient forbids batch.

    Raises:
        ValueError: the sides of the images are not multiples of 4, or `norm` is unknown.
    """

    def __init__(self, spec: roles.Spec, norm: str = "batch"):
        channels, height, width = quartered_image(spec, "infogan")
        trunk = chain(
            nn.Conv2d(channels, 64, 4, 2, 1),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(64, 128, 4, 2, 1),
            map_norm(norm, 128),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Flatten(),
            nn.Linear(128 * height * width, 1024),
            vector_norm(norm, 1024),
            nn.LeakyReLU(0.2, inplace=True),
        )
        super().__init__(trunk, nn.Linear(1024, 1))
        draw_weights(self, partial(nn.init.normal_, std=0.02))
