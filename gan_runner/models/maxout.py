"""The fully connected networks of the first GAN (Goodfellow et al. 2014, as their code sets them for MNIST).

Pixels lie in [-1, 1], not in their [0, 1]: the generator's sigmoid becomes tanh(x / 2), the discriminator maps back.
"""

from __future__ import annotations

import math
from functools import partial

from torch import Tensor, nn

from gan_runner.models import roles
from gan_runner.models.checks import positive
from gan_runner.models.layers import Maxout, draw_weights

FAINTEST = 2e-7
"""How close to black or white a pixel may be that is so in every image."""


class Generator(roles.UniformGenerator):
    """Uniform latents of unit variance through two ReLU layers to an image (n, channels, height, width).

    At 28 x 28 pixels it has 2,503,984 parameters. `begin` sets the output biases to those that make the mean image.

    Raises:
        ValueError: the data are not images, or `latent` or `width` is not positive.
    """

    reach = math.sqrt(3)
    begun: tuple[str, ...] = ("net.4.bias",)

    def __init__(self, spec: roles.Spec, latent: int = 100, width: int = 1200):
        positive(latent=latent, width=width)
        shape = image(spec)
        net = nn.Sequential(
            nn.Linear(latent, width),
            nn.ReLU(),
            nn.Linear(width, width),
            nn.ReLU(),
            nn.Linear(width, math.prod(shape)),
            nn.Unflatten(1, shape),
        )
        super().__init__(latent, net)
        draw_weights(self, partial(nn.init.uniform_, a=-0.05, b=0.05))

    def forward(self, z: Tensor) -> Tensor:
        return (self.net(z) / 2).tanh()

    def begin(self, rows: Tensor) -> None:
        """Take first values from real images (n, channels, height, width) in [-1, 1]."""
        mean = rows.flatten(1).mean(0).clamp(-1 + FAINTEST, 1 - FAINTEST)
        self.get_parameter(self.begun[0]).copy_(2 * mean.atanh())


class Discriminator(roles.Discriminator):
    """Two maxout layers; dropout leaves out 20 % of the pixels and half of the hidden units.

    At 28 x 28 pixels it has 1,231,441 parameters.

    Raises:
        ValueError: the data are not images, or `units` or `pieces` is not positive.
    """

    def __init__(self, spec: roles.Spec, units: int = 240, pieces: int = 5):
        positive(units=units, pieces=pieces)
        trunk = nn.Sequential(
            nn.Flatten(),
            nn.Dropout(0.2),
            Maxout(math.prod(image(spec)), units, pieces),
            nn.Dropout(0.5),
            Maxout(units, units, pieces),
            nn.Dropout(0.5),
        )
        super().__init__(trunk, nn.Linear(units, 1))
        draw_weights(self, partial(nn.init.uniform_, a=-0.005, b=0.005))

    def features(self, x: Tensor) -> Tensor:
        return self.trunk((x + 1) / 2)


def image(spec: roles.Spec) -> tuple[int, ...]:
    """The shape of the data, if they are images."""
    if spec.kind != "image":
        raise ValueError(f"mlp_maxout makes images; {tuple(spec.shape)} is a {spec.kind}: choose model=mlp")
    return tuple(spec.shape)
